/*-------------------------------------------------------------------------
 *
 * scan.c
 *		Where the source holds user ids, by value: one statement per table.
 *
 * The source's session is read only, so all of it is one SELECT, in three
 * layers that OFFSET 0 keeps apart, or else the planner would compute the lower
 * ones several times:
 *
 *		values of the columns, documents and arrays as text
 *		-> a mask of bits per value: what is in it
 *		-> counts
 *
 * Most values hold no id, so cheap tests come before regular expressions, and
 * these before the look-up of each id found.  The look-ups are EXISTS: the
 * source's planner makes them a hash table or an index scan as it sees fit.
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

#include "scan.h"
#include "target.h"

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

/* A uuid; and the same without hyphens. */
#define HEX			"[0-9A-Fa-f]"
#define UUID_REGEX	HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}"
#define PLAIN_REGEX HEX "{32}"

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

static char *known_user(const char *id, const KnownUsers *users);
static bool is_computed(const CatalogColumn *column,
						const CatalogTable *target);
static bool can_hold_ids(const CatalogType *type);
static bool is_builtin(const CatalogType *type, const char *name);
static bool is_citext(const CatalogType *type);
static char *value_expression(const CatalogColumn *column);
static char *id_mask(const char *value, const KnownUsers *users);
static char *text_mask(const char *value, const KnownUsers *users);
static void append_counts(StringInfo sql, const char *mask);

KnownUsers *
ftm_scan_known_users(SourceConnection *source)
{
	KnownUsers *users = palloc0(sizeof(KnownUsers));
	const char *mapped;
	RowSet	   *rows;

	rows = ftm_source_query(source,
							"SELECT EXISTS (SELECT FROM pg_catalog.pg_class c"
							" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
							" WHERE n.nspname = 'auth' AND c.relname = 'users')",
							0, NULL);
	users->in_table = ftm_rowset_bool(rows, 0, 0);

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

	rows = ftm_source_query(source,
							psprintf("SELECT pg_catalog.array_agg(m.id)"
									 " FROM pg_catalog.unnest($1::pg_catalog.uuid[]) AS m (id)%s",
									 users->in_table ?
									 " WHERE NOT EXISTS (SELECT FROM auth.users AS u WHERE u.id = m.id)" : ""),
							1, &mapped);
	users->others = ftm_rowset_value(rows, 0, 0);
	return users;
}

TableScan *
ftm_scan_build(const CatalogTable *table, const CatalogTable *target,
			   const KnownUsers *users)
{
	TableScan  *scan = palloc0(sizeof(TableScan));
	StringInfoData values;
	StringInfoData masks;
	StringInfoData counts;
	ListCell   *lc;

	scan->table = table;
	initStringInfo(&values);
	initStringInfo(&masks);
	initStringInfo(&counts);
	foreach(lc, table->columns)
	{
		const CatalogColumn *column = lfirst(lc);
		ScanColumn *scanned;
		const char *separator;
		char	   *value = psprintf("v%d", column->attnum);
		char	   *mask = psprintf("m%d", column->attnum);

		if (!can_hold_ids(column->type) || is_computed(column, target))
			continue;
		separator = scan->columns == NIL ? "" : ", ";
		appendStringInfo(&values, "%s%s AS %s", separator,
						 value_expression(column), value);
		appendStringInfo(&masks, "%s%s AS %s", separator,
						 is_builtin(column->type, "uuid") ?
						 id_mask(value, users) : text_mask(value, users),
						 mask);
		appendStringInfoString(&counts, separator);
		append_counts(&counts, mask);

		scanned = palloc0(sizeof(ScanColumn));
		scanned->column = column;
		scan->columns = lappend(scan->columns, scanned);
	}
	if (scan->columns == NIL)
		return NULL;
	scan->sql = psprintf("SELECT %s FROM (SELECT %s FROM (SELECT %s FROM %s%s AS scanned"
						 " OFFSET 0) AS value OFFSET 0) AS mask",
						 counts.data, masks.data, values.data,
						 table->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
						 ftm_catalog_quote_qualified(table->schema,
													 table->name));
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
 * Can a value of this type have a uuid in it?  Of the types of extensions,
 * those that are made of texts.
 */
static bool
can_hold_ids(const CatalogType *type)
{
	check_stack_depth();
	while (type->base != NULL)
		type = type->base;
	if (type->is_array)
		return can_hold_ids(type->element);
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
 * A column as a uuid, if it is one, or else as a text.  Under COLLATE "C", not
 * only because it is fast: some collations know neither LIKE nor regular
 * expressions.
 */
static char *
value_expression(const CatalogColumn *column)
{
	const CatalogType *type = column->type;
	char	   *name = psprintf("scanned.%s", ftm_catalog_quote(column->name));
	char	   *text = NULL;

	while (type->base != NULL)
		type = type->base;
	if (is_builtin(type, "uuid"))
		return name;
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

static char *
id_mask(const char *value, const KnownUsers *users)
{
	return psprintf("CASE WHEN %s IS NULL THEN 0 WHEN %s THEN %d ELSE %d END",
					value, known_user(value, users), MASK_WHOLE, MASK_UNKNOWN);
}

static char *
text_mask(const char *value, const KnownUsers *users)
{
	const char *known = known_user("found.id", users);
	StringInfoData mask;

	initStringInfo(&mask);
	appendStringInfo(&mask, "CASE WHEN pg_catalog.octet_length(%s) >= 32 THEN ",
					 value);

	/* ids as they should be */
	appendStringInfo(&mask, "CASE WHEN %s LIKE '%%-%%-%%-%%-%%' AND %s ~ '" UUID_REGEX "'"
					 " THEN (SELECT pg_catalog.bit_or(CASE"
					 " WHEN NOT %s THEN %d"
					 " WHEN found.id_text NOT IN (pg_catalog.lower(found.id_text), pg_catalog.upper(found.id_text)) THEN %d"
					 " WHEN pg_catalog.octet_length(%s) = 36 THEN %d"
					 " WHEN %s LIKE '%s' THEN %d ELSE %d END)"
					 " FROM (SELECT m.match[1] AS id_text,"
					 " pg_catalog.uuid_in(pg_catalog.textout(m.match[1])) AS id"
					 " FROM pg_catalog.regexp_matches(%s, '" UUID_REGEX "', 'g') AS m (match)) AS found)"
					 " ELSE 0 END",
					 value, value, known, MASK_UNKNOWN, MASK_ODD,
					 value, MASK_WHOLE, value, FILE_ADDRESS, MASK_FILE,
					 MASK_INSIDE, value);

	/* ids without hyphens, among hashes and other things */
	appendStringInfo(&mask, " | CASE WHEN %s ~ '" PLAIN_REGEX "'"
					 " THEN (SELECT COALESCE(pg_catalog.bit_or(%d), 0)"
					 " FROM (SELECT pg_catalog.uuid_in(pg_catalog.textout(m.match[1])) AS id"
					 " FROM pg_catalog.regexp_matches(%s, '" PLAIN_REGEX "', 'g') AS m (match)) AS found"
					 " WHERE %s) ELSE 0 END",
					 value, MASK_ODD, value, known);
	appendStringInfoString(&mask, " ELSE 0 END");
	return mask.data;
}

/* One text with all numbers, since a result has 1664 columns at most. */
static void
append_counts(StringInfo sql, const char *mask)
{
	appendStringInfoString(sql, "pg_catalog.concat_ws(' '");
	for (int i = 0; i < (int) lengthof(counted_masks); i++)
		appendStringInfo(sql, ", pg_catalog.count(*) FILTER (WHERE %s & %d <> 0)",
						 mask, counted_masks[i]);
	appendStringInfoChar(sql, ')');
}

void
ftm_scan_execute(TableScan *scan, const KnownUsers *users,
				 SourceConnection *source)
{
	const char *others = users->others;
	RowSet	   *rows;
	ListCell   *lc;

	rows = ftm_source_query(source, scan->sql, others != NULL ? 1 : 0, &others);
	foreach(lc, scan->columns)
	{
		ScanColumn *column = lfirst(lc);
		char	   *next = ftm_rowset_value(rows, 0, foreach_current_index(lc));

		column->known_ids = strtoll(next, &next, 10);
		column->unknown_ids = strtoll(next, &next, 10);
		column->whole_ids = strtoll(next, &next, 10);
		column->inside_ids = strtoll(next, &next, 10);
		column->file_ids = strtoll(next, &next, 10);
		column->odd_ids = strtoll(next, &next, 10);
	}
}
