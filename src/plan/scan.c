/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Where the source holds user ids, by value: one statement per table.
 *
 * The source's session is read only, so all of it is one SELECT.  It takes the
 * rows apart into values, each a uuid or a text, so that the expressions for
 * one value, and the hash table of users that they need, exist only once:
 *
 *		values of the columns, documents and arrays as text
 *		-> the id that a value is, if it is one
 *		-> a mask of bits: what is in the value
 *		-> counts per column
 *
 * OFFSET 0 keeps the planner from computing one layer several times within the
 * next.  Most values hold no id, so cheap tests come before regular
 * expressions, and these before the look-up of each id found.  The look-ups are
 * EXISTS: the source's planner makes them a hash table, or an index scan where
 * that would not fit into memory.
 *
 * As in checksum.c, values become text by output functions, never by a cast,
 * which somebody may have created.  Operators are found in pg_catalog, which is
 * the session's search_path.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/extension.h"
#include "base/settings.h"
#include "base/target.h"
#include "plan/scan.h"

/* Bits of a mask. */
#define MASK_WHOLE		1		/* is a known user's id */
#define MASK_UNKNOWN	2		/* holds a uuid of nobody */
#define MASK_INSIDE		4		/* holds a known user's id */
#define MASK_FILE		8		/* the same, in the address of a stored file */
#define MASK_ODD		16		/* holds one in a spelling to be left alone */
#define MASK_KNOWN		(MASK_WHOLE | MASK_INSIDE | MASK_FILE | MASK_ODD)

/* Masks that are counted, in the order of ScanColumn. */
static const int counted_masks[] = {
	MASK_KNOWN, MASK_UNKNOWN, MASK_WHOLE, MASK_INSIDE, MASK_FILE, MASK_ODD
};

/* A uuid: as a LIKE pattern, and as a regular expression. */
#define UUID_SHAPE		"________-____-____-____-____________"
#define HEX_DIGITS		"0123456789abcdefABCDEF"
#define HEX				"[0-9A-Fa-f]"
#define UUID_REGEX		HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}"

/*
 * The same without hyphens, and not within a longer hash.  The first is fast;
 * the second does not take the neighbours in, of which there may be another.
 */
#define BARE_REGEX		"(^|[^0-9A-Fa-f])" HEX "{32}($|[^0-9A-Fa-f])"
#define BARE_ID_REGEX	"(?<!" HEX ")" HEX "{32}(?!" HEX ")"

/*
 * A path of a stored file: an id as the folder that a value, or an element of
 * it, begins with, as Storage's policies ask for; or an id within a name that
 * ends with a file's extension, unless that is the address of something else.
 */
#define FOLDER_REGEX	"(^|[\"{,])" UUID_REGEX "/"
#define FILE_REGEX		UUID_REGEX "[^[:space:]\"@{},<>]*[.][A-Za-z0-9]{1,5}($|[]\"{},<>?#[:space:]])"

/* Is the id that was found such a folder? */
#define FOLDER_CONDITION \
	"(ids.value LIKE found.value || '/%%'" \
	" OR pg_catalog.strpos(ids.value, '\"' || found.value || '/') > 0" \
	" OR pg_catalog.strpos(ids.value, '{' || found.value || '/') > 0" \
	" OR pg_catalog.strpos(ids.value, ',' || found.value || '/') > 0)"

/* Names of stored files that do not look like it and are known, at most. */
#define MAX_FILE_NAMES	10000

/* Supabase's addresses of stored files. */
#define FILE_ADDRESS	"%/storage/v1/%"

/*
 * Types of pg_catalog whose values become text by their output function.  Of
 * the others, those that can hold ids do by way of a row, as "(value)".
 */
static const struct
{
	const char *type;
	const char *output;
}			text_types[] =
{
	{"text", "textout"},
	{"varchar", "varcharout"},
	{"bpchar", "bpcharout"},
	{"name", "nameout"},
	{"json", "json_out"},
	{"jsonb", "jsonb_out"},
	{"xml", "xml_out"},
};

static char *read_file_names(SourceConnection *source);
static bool is_computed(const CatalogColumn *column,
						const CatalogTable *target);
static bool is_builtin(const CatalogType *type, const char *name);
static bool is_citext(const CatalogType *type);
static char *text_expression(const CatalogColumn *column);
static char *known_user(const char *id, const KnownUsers *users);
static char *mask_expression(const KnownUsers *users);
static char *counts(void);
static int	compare_sizes(const ListCell *a, const ListCell *b);
static void send_scan(const TableScan *scan, const KnownUsers *users,
					  SourceConnection *source);
static void receive_scan(const TableScan *scan, SourceConnection *source);

/*
 * For the rest of the transaction.  The planner has no idea of what these
 * statements cost: it would compile them, and sort what it can as well hash.
 * The memory is for the ids of several hundred thousand users.
 */
static const char planner_settings_sql[] =
"SELECT pg_catalog.set_config('jit', 'off', true),"
" pg_catalog.set_config('enable_sort', 'off', true),"
" pg_catalog.set_config('work_mem', '32MB', true)";

static const AnswerShape planner_settings_shape = {
	"settings", ONE_ROW, 0, {TEXT_COLUMN, TEXT_COLUMN, TEXT_COLUMN}
};

KnownUsers *
ftm_scan_begin(SourceConnection *source)
{
	static const AnswerShape exists_shape = {
		"auth.users", ONE_ROW, 0, {BOOL_COLUMN}
	};
	static const AnswerShape others_shape = {
		"mapped users", ONE_ROW, MAX_LARGE_ANSWER_BYTES, {UUIDS_OR_NULL}
	};
	KnownUsers *users = palloc0(sizeof(KnownUsers));
	const char *mapped;
	RowSet	   *rows;

	/* The source gets to see all ids of the user map. */
	ftm_extension_require_select("ftm_user_map");

	(void) ftm_source_query(source, &planner_settings_shape,
							planner_settings_sql, 0, NULL);
	rows = ftm_source_query(source, &exists_shape,
							"SELECT EXISTS (SELECT FROM pg_catalog.pg_class c"
							" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
							" WHERE n.nspname = 'auth' AND c.relname = 'users')",
							0, NULL);
	users->in_table = ftm_rowset_bool(rows, 0, 0);

	users->file_names = read_file_names(source);

	rows = ftm_target_query_as_owner(psprintf("SELECT pg_catalog.array_agg(source_user_id)"
											  " FROM %s.ftm_user_map",
											  ftm_extension_schema_quoted()),
									 0, NULL);
	mapped = ftm_rowset_value(rows, 0, 0);
	if (mapped == NULL)
	{
		if (!users->in_table)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("there are no user ids to look for"),
					 errdetail("The source has no table auth.users, and ftm_user_map is empty."),
					 errhint("Connect to the Supabase database, or fill ftm_user_map.")));
		return users;
	}

	rows = ftm_source_query(source, &others_shape,
							psprintf("SELECT pg_catalog.array_agg(m.id)"
									 " FROM pg_catalog.unnest($1::pg_catalog.uuid[]) AS m (id)%s",
									 users->in_table ?
									 " WHERE NOT EXISTS (SELECT FROM auth.users AS u WHERE u.id = m.id)" : ""),
							1, &mapped);
	users->others = ftm_rowset_value(rows, 0, 0);
	return users;
}

/*
 * Names of the source's stored files with ids in them, with their buckets and
 * without, that do not look like paths: the text of an array, NULL for none.
 * A source without Storage, or whose role may not read it, has none.
 */
static char *
read_file_names(SourceConnection *source)
{
	static const AnswerShape exists_shape = {
		"storage.objects", ONE_ROW, 0, {BOOL_OR_NULL}
	};
	static const AnswerShape names_shape = {
		"stored files", ONE_ROW, 0, {TEXTS_OR_NULL}
	};
	RowSet	   *rows;

	rows = ftm_source_query(source, &exists_shape,
							"SELECT pg_catalog.count(*) = 2 AND pg_catalog.bool_and("
							"  pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
							"  AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')"
							"  AND NOT pg_catalog.row_security_active(c.oid))"
							" FROM pg_catalog.pg_class c"
							" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
							" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
							" WHERE n.nspname = 'storage' AND c.relname = 'objects'"
							" AND a.attname IN ('bucket_id', 'name')",
							0, NULL);
	if (!ftm_rowset_bool(rows, 0, 0))
		return NULL;
	rows = ftm_source_query(source, &names_shape,
							psprintf("SELECT pg_catalog.array_agg(n.name)"
									 " FROM (SELECT x.name FROM storage.objects AS o"
									 "  CROSS JOIN LATERAL (VALUES (o.name::pg_catalog.text),"
									 "   (o.bucket_id::pg_catalog.text || '/' || o.name::pg_catalog.text)) AS x (name)"
									 "  WHERE o.name::pg_catalog.text COLLATE pg_catalog.\"C\" ~ '%s'"
									 "  AND o.name::pg_catalog.text COLLATE pg_catalog.\"C\" !~ '%s'"
									 "  LIMIT %d) AS n",
									 UUID_REGEX, FOLDER_REGEX "|" FILE_REGEX,
									 MAX_FILE_NAMES),
							0, NULL);
	return ftm_rowset_value(rows, 0, 0);
}

TableScan *
ftm_scan_build(const CatalogTable *table, const CatalogTable *target,
			   const KnownUsers *users)
{
	static const AnswerShape shape = {
		"user ids", ANY_ROWS, 0, {
			COUNT_COLUMN, COUNT_COLUMN, COUNT_COLUMN, COUNT_COLUMN,
			COUNT_COLUMN, COUNT_COLUMN, COUNT_COLUMN
		}
	};
	TableScan  *scan = palloc0(sizeof(TableScan));
	StringInfoData values;
	ListCell   *lc;

	scan->table = table;
	initStringInfo(&values);
	foreach(lc, table->columns)
	{
		const CatalogColumn *column = lfirst(lc);
		ScanColumn *scanned;

		if (!ftm_scan_can_hold_ids(column->type) || is_computed(column, target))
			continue;
		if (is_builtin(column->type, "uuid"))
			appendStringInfo(&values, ", (%d, scanned.%s, NULL)",
							 list_length(scan->columns),
							 ftm_catalog_quote(column->name));
		else
			appendStringInfo(&values, ", (%d, NULL, %s)",
							 list_length(scan->columns),
							 text_expression(column));
		scanned = palloc0(sizeof(ScanColumn));
		scanned->column = column;
		scan->columns = lappend(scan->columns, scanned);
	}
	if (scan->columns == NIL)
		return NULL;

	scan->shape = shape;
	scan->shape.max_rows = list_length(scan->columns);
	scan->shape.columns[0].maximum = list_length(scan->columns) - 1;
	scan->sql = psprintf("SELECT masks.n, %s FROM (SELECT ids.n, %s AS mask"
						 " FROM (SELECT v.n, v.value, CASE WHEN v.value IS NULL THEN v.id"
						 " WHEN pg_catalog.octet_length(v.value) = 36 AND v.value LIKE '" UUID_SHAPE "'"
						 " AND pg_catalog.translate(v.value, '" HEX_DIGITS "', '') = '----'"
						 " THEN pg_catalog.uuid_in(pg_catalog.textout(v.value)) END AS id"
						 " FROM %s%s AS scanned CROSS JOIN LATERAL"
						 " (VALUES (-1, NULL::pg_catalog.uuid, NULL::pg_catalog.text COLLATE pg_catalog.\"C\")%s)"
						 " AS v (n, id, value)"
						 " WHERE v.id IS NOT NULL OR pg_catalog.octet_length(v.value) >= 32"
						 " OFFSET 0) AS ids OFFSET 0) AS masks GROUP BY masks.n",
						 counts(), mask_expression(users),
						 table->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
						 ftm_catalog_quote_qualified(table->schema,
													 table->name),
						 values.data);
	return scan;
}

/* Will the target compute the column by itself? */
static bool
is_computed(const CatalogColumn *column, const CatalogTable *target)
{
	const CatalogColumn *counterpart = NULL;

	if (target != NULL)
		counterpart = ftm_catalog_column(target, column->name);
	return counterpart != NULL ? counterpart->generated != '\0' :
		column->generated != '\0';
}

/*
 * Of the types of extensions, those that are made of texts.
 */
bool
ftm_scan_can_hold_ids(const CatalogType *type)
{
	check_stack_depth();
	while (type->base != NULL)
		type = type->base;
	if (type->is_array)
		return ftm_scan_can_hold_ids(type->element);
	if (type->typtype == TYPTYPE_COMPOSITE)
		return true;
	if (type->typtype == TYPTYPE_RANGE || type->typtype == TYPTYPE_MULTIRANGE)
		return strcmp(type->schema, "pg_catalog") != 0;
	if (type->extension != NULL)
		return is_citext(type) || strcmp(type->name, "hstore") == 0 ||
			strcmp(type->name, "ltree") == 0;
	if (is_builtin(type, "uuid"))
		return true;
	for (int i = 0; i < (int) lengthof(text_types); i++)
	{
		if (is_builtin(type, text_types[i].type))
			return true;
	}
	return false;
}

/* Is the type this one, domains flattened? */
static bool
is_builtin(const CatalogType *type, const char *name)
{
	return strcmp(type->base_name, name) == 0 &&
		strcmp(type->base_schema, "pg_catalog") == 0;
}

static bool
is_citext(const CatalogType *type)
{
	return strcmp(type->base_name, "citext") == 0;
}

/*
 * A column that is no uuid as a text.  Under COLLATE "C", not only because it
 * is fast: some collations know neither LIKE nor regular expressions.
 */
static char *
text_expression(const CatalogColumn *column)
{
	const CatalogType *type = column->type;
	char	   *name = psprintf("scanned.%s", ftm_catalog_quote(column->name));
	char	   *text = NULL;

	while (type->base != NULL)
		type = type->base;
	if (is_builtin(type, "text"))
		text = name;
	else if (type->is_array)
		text = psprintf("pg_catalog.textin(pg_catalog.array_out(%s))", name);
	for (int i = 0; text == NULL && i < (int) lengthof(text_types); i++)
	{
		if (is_builtin(type, text_types[i].type))
			text = psprintf("pg_catalog.textin(pg_catalog.%s(%s))",
							text_types[i].output, name);
	}
	if (text == NULL)
		text = psprintf("ROW(%s)::pg_catalog.text", name);
	if (is_citext(type))
		text = psprintf("pg_catalog.btrim(%s, '()')", text);
	return psprintf("%s COLLATE pg_catalog.\"C\"", text);
}

/* "Is this uuid a known user's?" */
static char *
known_user(const char *id, const KnownUsers *users)
{
	return psprintf("(%s OR %s)",
					users->in_table ?
					psprintf("EXISTS (SELECT FROM auth.users AS u WHERE u.id = %s)",
							 id) : "false",
					users->others != NULL ?
					psprintf("%s = ANY ($1::pg_catalog.uuid[])", id) : "false");
}

/*
 * What is in a value: ids.value if it is a text, and ids.id if it is an id.
 */
static char *
mask_expression(const KnownUsers *users)
{
	const char *known = known_user("found.id", users);
	StringInfoData mask;

	initStringInfo(&mask);
	appendStringInfo(&mask, "CASE WHEN ids.id IS NOT NULL THEN"
					 " CASE WHEN NOT %s THEN %d"
					 " WHEN ids.value NOT IN (pg_catalog.lower(ids.value), pg_catalog.upper(ids.value)) THEN %d"
					 " ELSE %d END ELSE ",
					 known_user("ids.id", users), MASK_UNKNOWN, MASK_ODD,
					 MASK_WHOLE);

	/* ids inside */
	appendStringInfo(&mask, "CASE WHEN ids.value LIKE '%%" UUID_SHAPE "%%'"
					 " THEN (SELECT COALESCE(pg_catalog.bit_or(CASE WHEN NOT %s THEN %d"
					 " WHEN found.value NOT IN (pg_catalog.lower(found.value), pg_catalog.upper(found.value)) THEN %d"
					 " WHEN ids.value LIKE '%s' OR (ids.value ~ '" FILE_REGEX "'"
					 " AND pg_catalog.strpos(ids.value, '://') = 0) OR " FOLDER_CONDITION
					 " OR ids.value = ANY (%s::pg_catalog.text[]) THEN %d ELSE %d END), 0)"
					 " FROM (SELECT m.match[1] AS value,"
					 " pg_catalog.uuid_in(pg_catalog.textout(m.match[1])) AS id"
					 " FROM pg_catalog.regexp_matches(ids.value, '" UUID_REGEX "', 'g') AS m (match)) AS found)"
					 " ELSE 0 END",
					 known, MASK_UNKNOWN, MASK_ODD, FILE_ADDRESS,
					 quote_literal_cstr(users->file_names != NULL ?
										users->file_names : "{}"),
					 MASK_FILE, MASK_INSIDE);

	/* ids without hyphens */
	appendStringInfo(&mask, " | CASE WHEN ids.value ~ '" BARE_REGEX "'"
					 " THEN (SELECT COALESCE(pg_catalog.bit_or(CASE WHEN %s THEN %d ELSE 0 END), 0)"
					 " FROM (SELECT pg_catalog.uuid_in(pg_catalog.textout(m.match[1])) AS id"
					 " FROM pg_catalog.regexp_matches(ids.value, '" BARE_ID_REGEX "', 'g') AS m (match)) AS found)"
					 " ELSE 0 END END",
					 known, MASK_ODD);
	return mask.data;
}

/* Counts of the masks, in the order of ScanColumn. */
static char *
counts(void)
{
	StringInfoData sql;

	initStringInfo(&sql);
	for (int i = 0; i < (int) lengthof(counted_masks); i++)
		appendStringInfo(&sql, "%spg_catalog.count(*) FILTER (WHERE masks.mask & %d <> 0)",
						 i > 0 ? ", " : "", counted_masks[i]);
	return sql.data;
}

void
ftm_scan_execute(List *scans, const KnownUsers *users,
				 SourceConnection *source, const char *snapshot,
				 const SourceServer *server, MemoryContext context)
{
	int			count = Min(ftm_workers, list_length(scans));
	SourceConnection **sources = palloc(sizeof(SourceConnection *) * ftm_workers);
	TableScan **running = palloc(sizeof(TableScan *) * ftm_workers);
	int			next;
	int			done = 0;

	scans = list_copy(scans);
	list_sort(scans, compare_sizes);
	for (next = 0; next < count; next++)
	{
		sources[next] = source;
		if (next > 0)
		{
			sources[next] = ftm_source_connect(server, context);
			ftm_source_import_snapshot(sources[next], snapshot);
			(void) ftm_source_query(sources[next], &planner_settings_shape,
									planner_settings_sql, 0, NULL);
		}
		running[next] = list_nth(scans, next);
		send_scan(running[next], users, sources[next]);
	}

	/* Whoever is done takes the next table. */
	while (done < list_length(scans))
	{
		int			i = ftm_source_wait_any(sources, count);

		receive_scan(running[i], sources[i]);
		done++;
		if (next < list_length(scans))
		{
			running[i] = list_nth(scans, next++);
			send_scan(running[i], users, sources[i]);
		}
		else
			sources[i] = NULL;
	}
}

static int
compare_sizes(const ListCell *a, const ListCell *b)
{
	const TableScan *x = lfirst(a);
	const TableScan *y = lfirst(b);

	if (x->table->bytes == y->table->bytes)
		return 0;
	return x->table->bytes > y->table->bytes ? -1 : 1;
}

static void
send_scan(const TableScan *scan, const KnownUsers *users,
		  SourceConnection *source)
{
	const char *others = users->others;

	ftm_source_send_query(source, &scan->shape, scan->sql,
						  others != NULL ? 1 : 0, &others);
}

static void
receive_scan(const TableScan *scan, SourceConnection *source)
{
	RowSet	   *rows = ftm_source_receive(source);

	for (int row = 0; row < rows->nrows; row++)
	{
		ScanColumn *column = list_nth(scan->columns,
									  (int) ftm_rowset_int64(rows, row, 0));

		column->known_ids = ftm_rowset_int64(rows, row, 1);
		column->unknown_ids = ftm_rowset_int64(rows, row, 2);
		column->whole_ids = ftm_rowset_int64(rows, row, 3);
		column->inside_ids = ftm_rowset_int64(rows, row, 4);
		column->file_ids = ftm_rowset_int64(rows, row, 5);
		column->odd_ids = ftm_rowset_int64(rows, row, 6);
	}
}
