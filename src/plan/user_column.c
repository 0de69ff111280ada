/*-------------------------------------------------------------------------
 *
 * user_column.c
 *		Which columns of a plan hold user ids, and what becomes of them.
 *
 * A column is rewritten for one of two reasons only: a foreign key leads from
 * it to auth.users(id), directly or through other columns that hold user ids,
 * or the DBA said so in ftm_user_column.  A name proves nothing.
 *
 * Any other column whose type can hold an id may do so, unless the DBA said that
 * this is to be ignored: a scan may have found none, but the source lives on.
 * So ids of known users are counted in it, while it is loaded and when it is
 * verified.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/extension.h"
#include "base/target.h"
#include "plan/scan.h"
#include "plan/user_column.h"

#define USERS_SCHEMA	"auth"
#define USERS_TABLE		"users"
#define USERS_COLUMN	"id"

/* Columns that nobody has looked at, named in one finding. */
#define MAX_COLUMNS_NAMED	5

/* An origin, as ftm_user_column has it. */
#define FOREIGN_KEY		"foreign key"

/* Typmod of char(36); a wider one pads, and then the value is no uuid. */
#define BPCHAR_36		(36 + VARHDRSZ)

/* A row of ftm_user_column. */
typedef struct Declaration
{
	char	   *schema;
	char	   *table;
	char	   *column;
	char	   *mode;			/* id, embedded, ignore; NULL: undecided */
	char	   *unmapped;		/* error, keep; NULL: by origin */
	char	   *origin;
	int64		known_ids;
	char	   *suggestion;		/* id, embedded, ignore; NULL: none */
	CatalogTable *source;		/* NULL if the source has no such table */
} Declaration;

typedef struct Decider
{
	const Catalog *source;
	MigrationPlan *plan;		/* these three only if columns are decided */
	const Scope *scope;
	const UserIdPolicy *policy;
	List	   *declarations;
	List	   *id_columns;
	bool		users_known;	/* there may be known users at all */
	RowSet	   *scanned;		/* columns that a scan has read, in order */
	List	   *never_scanned;	/* of char *: columns of which nobody knows */
} Decider;

static void find_id_columns(Decider *decider);
static List *read_declarations(const Catalog *source);
static void follow_foreign_keys(Decider *decider);
static void follow_foreign_key(Decider *decider, const CatalogForeignKey *key,
							   bool *found);
static const char *reason_of_reference(Decider *decider,
									   const CatalogForeignKey *key,
									   const char *ref_column);
static Declaration *find_declaration(Decider *decider, Oid root,
									 const char *column);
static UserIdColumn *find_id_column(Decider *decider, Oid root,
								const char *column);
static void add_id_column(Decider *decider, Oid root, char *name,
						  char *reason, bool by_foreign_key);
static void check_declarations(Decider *decider);
static void decide_table(Decider *decider, PlanTable *table);
static void decide_id(Decider *decider, PlanTable *table, PlanColumn *column,
					  const UserIdColumn *id_column,
					  const Declaration *declaration);
static void decide_embedded(Decider *decider, PlanTable *table,
							PlanColumn *column,
							const Declaration *declaration);
static void keep_table(Decider *decider, PlanTable *table);
static void decide_none(Decider *decider, PlanTable *table,
						PlanColumn *column, const Declaration *declaration);
static RewriteMode count_mode(const CatalogType *type);
static bool is_plain_text(const CatalogType *type);
static bool users_may_be_known(const Decider *decider);
static RowSet *read_scanned(void);
static bool is_scanned(const Decider *decider, const PlanTable *table,
					   const PlanColumn *column);
static void report_never_scanned(Decider *decider);
static void report(Decider *decider, const char *format,...)
			pg_attribute_printf(2, 3);
static void report_undecided(Decider *decider, PlanTable *table,
							 PlanColumn *column,
							 const Declaration *declaration);
static void warn_of_hashes(MigrationPlan *plan, const PlanTable *table);
static bool is_hash(const CatalogColumn *column);
static const CatalogType *flatten(const CatalogType *type);
static bool is_array_of_domain(const CatalogType *type);
static bool is_base(const CatalogType *type, const char *name);
static const char *likely_mode(const CatalogType *type);
static char *decision_sql(const Declaration *declaration, const char *set);

void
ftm_user_column_decide(MigrationPlan *plan, const Scope *scope,
					   const UserIdPolicy *policy)
{
	static const UserIdPolicy none = {0};
	Decider		decider = {0};
	ListCell   *lc;

	decider.source = plan->source;
	decider.plan = plan;
	decider.scope = scope;
	decider.policy = policy != NULL ? policy : &none;
	find_id_columns(&decider);
	if (decider.policy->ids != NULL)
		plan->ids_stay = strcmp(decider.policy->ids, "keep") == 0;
	else
		plan->ids_stay = ftm_user_column_ids_stay(scope->source);
	if (plan->ids_stay)
	{
		foreach(lc, plan->tables)
			keep_table(&decider, lfirst(lc));
		return;
	}
	decider.users_known = users_may_be_known(&decider);
	decider.scanned = read_scanned();

	check_declarations(&decider);
	foreach(lc, plan->tables)
	{
		decide_table(&decider, lfirst(lc));
		warn_of_hashes(plan, lfirst(lc));
	}
	report_never_scanned(&decider);
	if (plan->counts_ids && plan->source->has_users &&
		!plan->source->users_readable)
		ftm_plan_problem(plan, PLAN_SOURCE_TABLES,
						 "Table auth.users of the source cannot be read by the role of the connection, so that nobody knows which ids are users'.  Grant it SELECT, and USAGE on the schema.");
}

List *
ftm_user_column_by_foreign_key(const Catalog *source)
{
	Decider		decider = {0};
	List	   *result = NIL;
	ListCell   *lc;

	decider.source = source;
	find_id_columns(&decider);
	foreach(lc, decider.id_columns)
	{
		UserIdColumn *id_column = lfirst(lc);

		if (id_column->by_foreign_key)
			result = lappend(result, id_column);
	}
	return result;
}

/* Read the declarations, and start from those when following foreign keys. */
static void
find_id_columns(Decider *decider)
{
	ListCell   *lc;

	decider->declarations = read_declarations(decider->source);
	foreach(lc, decider->declarations)
	{
		Declaration *declaration = lfirst(lc);

		if (declaration->source != NULL && declaration->mode != NULL &&
			strcmp(declaration->mode, "id") == 0)
			add_id_column(decider, declaration->source->root,
						  declaration->column,
						  psprintf("ftm_user_column, origin %s",
								   declaration->origin),
						  false);
	}
	follow_foreign_keys(decider);
}

/*
 * A declaration for a partition counts for its root: rows are read through
 * the root.
 */
static List *
read_declarations(const Catalog *source)
{
	List	   *result = NIL;
	RowSet	   *rows;
	char	   *sql;

	sql = psprintf("SELECT schema_name, table_name, column_name, mode, unmapped, origin, known_ids, suggestion"
				   " FROM %s.ftm_user_column ORDER BY 1, 2, 3",
				   ftm_extension_schema_quoted());
	rows = ftm_target_query_as_owner(sql, 0, NULL);
	for (int row = 0; row < rows->nrows; row++)
	{
		Declaration *declaration = palloc0(sizeof(Declaration));
		ListCell   *lc;

		declaration->schema = ftm_rowset_value(rows, row, 0);
		declaration->table = ftm_rowset_value(rows, row, 1);
		declaration->column = ftm_rowset_value(rows, row, 2);
		declaration->mode = ftm_rowset_value(rows, row, 3);
		declaration->unmapped = ftm_rowset_value(rows, row, 4);
		declaration->origin = ftm_rowset_value(rows, row, 5);
		declaration->known_ids = ftm_rowset_int64(rows, row, 6);
		declaration->suggestion = ftm_rowset_value(rows, row, 7);
		declaration->source = ftm_catalog_table(source, declaration->schema,
												declaration->table);
		foreach(lc, source->partitions)
		{
			CatalogTable *partition = lfirst(lc);

			if (strcmp(partition->schema, declaration->schema) == 0 &&
				strcmp(partition->name, declaration->table) == 0)
				declaration->source = partition;
		}
		result = lappend(result, declaration);
	}
	return result;
}

/* Until a round finds nothing new: each key passes on what the last found. */
static void
follow_foreign_keys(Decider *decider)
{
	bool		found;

	do
	{
		ListCell   *lc;

		found = false;
		foreach(lc, decider->source->foreign_keys)
			follow_foreign_key(decider, lfirst(lc), &found);
	} while (found);
}

static void
follow_foreign_key(Decider *decider, const CatalogForeignKey *key, bool *found)
{
	ListCell   *column;
	ListCell   *ref_column;

	forboth(column, key->columns, ref_column, key->ref_columns)
	{
		char	   *name = lfirst(column);
		const char *reason = reason_of_reference(decider, key,
												 lfirst(ref_column));
		Declaration *declaration;
		UserIdColumn   *known;

		if (reason == NULL)
			continue;
		declaration = find_declaration(decider, key->root, name);
		if (declaration != NULL && declaration->mode != NULL &&
			strcmp(declaration->mode, "id") != 0)
			continue;			/* the DBA says otherwise */
		known = find_id_column(decider, key->root, name);
		if (known == NULL)
		{
			add_id_column(decider, key->root, name,
						  psprintf("foreign key to %s", reason), true);
			*found = true;
		}
		else if (!known->by_foreign_key)
		{
			known->by_foreign_key = true;
			if (declaration != NULL &&
				strcmp(declaration->origin, FOREIGN_KEY) == 0)
				known->reason = psprintf("foreign key to %s", reason);
		}
	}
}

/*
 * What a foreign key's column refers to, if that is a user id, as it is named
 * in origin_detail; else NULL.
 */
static const char *
reason_of_reference(Decider *decider, const CatalogForeignKey *key,
					const char *ref_column)
{
	if (strcmp(key->ref_schema, USERS_SCHEMA) == 0 &&
		strcmp(key->ref_table, USERS_TABLE) == 0)
		return strcmp(ref_column, USERS_COLUMN) == 0 ?
			USERS_SCHEMA "." USERS_TABLE : NULL;
	if (find_id_column(decider, key->ref_root, ref_column) == NULL)
		return NULL;
	return psprintf("%s.%s", quote_qualified_identifier(key->ref_schema,
														key->ref_table),
					quote_identifier(ref_column));
}

static Declaration *
find_declaration(Decider *decider, Oid root, const char *column)
{
	ListCell   *lc;

	foreach(lc, decider->declarations)
	{
		Declaration *declaration = lfirst(lc);

		if (declaration->source != NULL && declaration->source->root == root &&
			strcmp(declaration->column, column) == 0)
			return declaration;
	}
	return NULL;
}

static UserIdColumn *
find_id_column(Decider *decider, Oid root, const char *column)
{
	ListCell   *lc;

	foreach(lc, decider->id_columns)
	{
		UserIdColumn   *id_column = lfirst(lc);

		if (id_column->root == root && strcmp(id_column->name, column) == 0)
			return id_column;
	}
	return NULL;
}

static void
add_id_column(Decider *decider, Oid root, char *name, char *reason,
			  bool by_foreign_key)
{
	UserIdColumn   *id_column = palloc(sizeof(UserIdColumn));

	id_column->root = root;
	id_column->name = name;
	id_column->reason = reason;
	id_column->by_foreign_key = by_foreign_key;
	decider->id_columns = lappend(decider->id_columns, id_column);
}

/*
 * A row that speaks of nothing is a decision that got lost (a typing error, a
 * renamed column), unless its schema is not looked at.
 */
static void
check_declarations(Decider *decider)
{
	ListCell   *lc;
	ListCell   *schema;

	foreach(lc, decider->declarations)
	{
		Declaration *declaration = lfirst(lc);
		bool		in_scope = false;

		foreach(schema, decider->scope->schemas)
			in_scope |= strcmp(lfirst(schema), declaration->schema) == 0;
		if (!in_scope)
			continue;
		if (declaration->source == NULL)
			ftm_plan_problem(decider->plan, PLAN_USER_COLUMNS,
							 "ftm_user_column has a row for table %s, which the source does not have.  Correct the row or delete it.",
							 quote_qualified_identifier(declaration->schema,
														declaration->table));
		else if (ftm_catalog_column(declaration->source,
									declaration->column) == NULL)
			ftm_plan_problem(decider->plan, PLAN_USER_COLUMNS,
							 "ftm_user_column has a row for column %s.%s, which the source does not have.  Correct the row or delete it.",
							 quote_qualified_identifier(declaration->schema,
														declaration->table),
							 quote_identifier(declaration->column));
	}
}

static void
decide_table(Decider *decider, PlanTable *table)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);
		UserIdColumn   *id_column;
		Declaration *declaration;

		column->mode = REWRITE_KEEP;
		if (column->generated)
			continue;
		id_column = find_id_column(decider, table->source->oid,
								   column->source->name);
		declaration = find_declaration(decider, table->source->oid,
									   column->source->name);
		if (id_column != NULL)
			decide_id(decider, table, column, id_column, declaration);
		else if (declaration == NULL || declaration->mode == NULL)
			decide_none(decider, table, column, declaration);
		else if (strcmp(declaration->mode, "embedded") == 0)
			decide_embedded(decider, table, column, declaration);
	}
}

static void
decide_id(Decider *decider, PlanTable *table, PlanColumn *column,
		  const UserIdColumn *id_column, const Declaration *declaration)
{
	const CatalogType *type = column->source->type;
	const char *unmapped = decider->policy->unmapped;
	bool		by_foreign_key = id_column->by_foreign_key ||
		(declaration != NULL && strcmp(declaration->origin, FOREIGN_KEY) == 0);

	column->mode = ftm_user_column_id_mode(type);
	if (column->mode == REWRITE_KEEP)
		ftm_plan_problem(decider->plan, PLAN_USER_COLUMNS,
						 "Column %s.%s is said to hold user ids (%s), but its type is %s.  Only uuid, text, varchar, name and char(36) columns can be rewritten.",
						 table->name, quote_identifier(column->source->name),
						 id_column->reason, type->display);

	if (unmapped == NULL && declaration != NULL)
		unmapped = declaration->unmapped;
	if (unmapped == NULL)
		unmapped = by_foreign_key ? "error" : "keep";
	column->unmapped_is_error = strcmp(unmapped, "error") == 0;

	column->origin_detail = id_column->reason;
	if (by_foreign_key)
		column->origin = ORIGIN_FOREIGN_KEY;
	else
		column->origin = strcmp(declaration->origin, "values") == 0 ?
			ORIGIN_VALUES : ORIGIN_MANUAL;
}

static void
decide_embedded(Decider *decider, PlanTable *table, PlanColumn *column,
				const Declaration *declaration)
{
	const CatalogType *type = column->source->type;
	const char *name = quote_identifier(column->source->name);

	column->mode = ftm_user_column_embedded_mode(type);
	if (column->mode == REWRITE_KEEP)
		ftm_plan_problem(decider->plan, PLAN_USER_COLUMNS,
						 "Column %s.%s is declared to have user ids embedded, but its type is %s.  That is possible in text, json, jsonb and arrays of these or of uuid.",
						 table->name, name, type->display);

	/* In binary format, the array would not say that its elements are uuid. */
	if (column->mode == REWRITE_EMBEDDED_UUIDS && is_array_of_domain(type) &&
		table->binary)
	{
		table->binary = false;
		table->notes = lappend(table->notes,
							   psprintf("text format: %s is an array of a domain",
										name));
	}
	column->origin = strcmp(declaration->origin, "values") == 0 ?
		ORIGIN_VALUES : ORIGIN_MANUAL;
	column->origin_detail = psprintf("ftm_user_column, origin %s",
									 declaration->origin);
}

RewriteMode
ftm_user_column_id_mode(const CatalogType *type)
{
	if (is_base(type, "uuid"))
		return REWRITE_UUID;
	if (is_base(type, "text") || is_base(type, "varchar") ||
		is_base(type, "name") || is_base(type, "citext") ||
		(is_base(type, "bpchar") && type->base_typmod == BPCHAR_36))
		return REWRITE_TEXT;
	return REWRITE_KEEP;
}

RewriteMode
ftm_user_column_embedded_mode(const CatalogType *type)
{
	const CatalogType *value = flatten(type);

	if (value->is_array)
		value = flatten(value->element);
	else if (is_base(value, "uuid"))
		return REWRITE_KEEP;	/* that would be an id */
	if (is_base(value, "uuid"))
		return REWRITE_EMBEDDED_UUIDS;
	if (is_base(value, "text") || is_base(value, "varchar") ||
		is_base(value, "bpchar") || is_base(value, "name") ||
		is_base(value, "json") || is_base(value, "jsonb") ||
		is_base(value, "citext"))
		return REWRITE_EMBEDDED_TEXT;
	return REWRITE_KEEP;
}

static const CatalogType *
flatten(const CatalogType *type)
{
	while (type->base != NULL)
		type = type->base;
	return type;
}

static bool
is_array_of_domain(const CatalogType *type)
{
	type = flatten(type);
	return type->is_array && type->element->base != NULL;
}

bool
ftm_user_column_ids_stay(const char *source)
{
	RowSet	   *rows;

	rows = ftm_target_query_as_owner(psprintf("SELECT options ->> 'ids' = 'keep' FROM %s.ftm_run"
											  " WHERE source = $1::name AND status <> 'rolled back'"
											  " ORDER BY run_id DESC LIMIT 1",
											  ftm_extension_schema_quoted()),
									 1, &source);
	return rows->nrows > 0 && ftm_rowset_value(rows, 0, 0) != NULL &&
		ftm_rowset_bool(rows, 0, 0);
}

/*
 * Ids stay as they are.  In columns that are known to hold them, those of users
 * who are gone are worth knowing; which columns those are need not be complete.
 */
static void
keep_table(Decider *decider, PlanTable *table)
{
	const char *unmapped = decider->policy->unmapped;
	ListCell   *lc;

	if (!decider->source->users_readable)
		return;
	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		if (column->generated ||
			find_id_column(decider, table->source->oid,
						   column->source->name) == NULL ||
			ftm_user_column_id_mode(column->source->type) == REWRITE_KEEP)
			continue;
		column->count = count_mode(column->source->type);
		column->counts_gone = true;
		column->unmapped_is_error = unmapped != NULL &&
			strcmp(unmapped, "error") == 0;
		decider->plan->counts_ids = true;
	}
}

/*
 * Nobody has decided about a column.
 */
static void
decide_none(Decider *decider, PlanTable *table, PlanColumn *column,
			const Declaration *declaration)
{
	const CatalogType *type = column->source->type;

	if (!decider->users_known || !ftm_scan_can_hold_ids(type))
		return;
	column->count = count_mode(type);
	decider->plan->counts_ids = true;
	if (declaration != NULL && declaration->known_ids > 0)
		report_undecided(decider, table, column, declaration);
	else if (!is_scanned(decider, table, column))
		decider->never_scanned = lappend(decider->never_scanned,
										 psprintf("%s.%s", table->name,
												  quote_identifier(column->source->name)));
}

/* How ids in values of a type that can hold some are counted. */
static RewriteMode
count_mode(const CatalogType *type)
{
	const CatalogType *value = flatten(type);

	if (is_base(value, "uuid"))
		return REWRITE_COUNT_UUID;
	if (value->is_array)
		value = flatten(value->element);
	return is_plain_text(value) ? REWRITE_COUNT_TEXT : REWRITE_COUNT_ANY;
}

static bool
is_plain_text(const CatalogType *type)
{
	return is_base(type, "text") || is_base(type, "varchar") ||
		is_base(type, "bpchar") || is_base(type, "name") ||
		is_base(type, "json") || is_base(type, "jsonb") ||
		is_base(type, "xml") || is_base(type, "citext");
}

/*
 * Known users are those of auth.users and of the user map.  Where there are
 * none, no value can hold the id of one.
 */
static bool
users_may_be_known(const Decider *decider)
{
	RowSet	   *rows;

	if (decider->source->has_users)
		return true;
	rows = ftm_target_query_as_owner(psprintf("SELECT EXISTS (SELECT FROM %s.ftm_user_map)",
											  ftm_extension_schema_quoted()),
									 0, NULL);
	return ftm_rowset_bool(rows, 0, 0);
}

/* In the order of strcmp(), which is that of names. */
static RowSet *
read_scanned(void)
{
	return ftm_target_query_as_owner(psprintf("SELECT schema_name, table_name, column_name"
											  " FROM %s.ftm_scanned_column"
											  " ORDER BY 1, 2, 3",
											  ftm_extension_schema_quoted()),
									 0, NULL);
}

static bool
is_scanned(const Decider *decider, const PlanTable *table,
		   const PlanColumn *column)
{
	const char *names[] = {table->source->schema, table->source->name,
	column->source->name};
	int			low = 0;
	int			high = decider->scanned->nrows;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;
		int			order = 0;

		for (int i = 0; i < (int) lengthof(names) && order == 0; i++)
			order = strcmp(names[i],
						   ftm_rowset_text(decider->scanned, middle, i));
		if (order == 0)
			return true;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return false;
}

/* One finding, whatever their number: one statement mends it. */
static void
report_never_scanned(Decider *decider)
{
	StringInfoData names;
	const char *schemas;
	int			count = list_length(decider->never_scanned);
	ListCell   *lc;

	if (count == 0)
		return;
	initStringInfo(&names);
	foreach(lc, decider->never_scanned)
	{
		if (foreach_current_index(lc) == MAX_COLUMNS_NAMED)
			break;
		appendStringInfo(&names, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 (char *) lfirst(lc));
	}
	schemas = list_length(decider->scope->schemas) == 1 &&
		strcmp(linitial(decider->scope->schemas), "public") == 0 ? "" :
		psprintf("schemas => %s",
				 quote_literal_cstr(ftm_catalog_array_text(decider->scope->schemas)));
	report(decider,
		   "Columns in which nobody has looked for user ids: %d%s %s.  Look into them with SELECT * FROM %s.ftm_scan_user_ids(%s), and decide about those in which it finds some; or leave ids in them as they are with undecided => 'keep', or all ids of users who keep theirs with ids => 'keep'.",
		   count, count > MAX_COLUMNS_NAMED ? ", such as" : ",", names.data,
		   ftm_extension_schema_quoted(), schemas);
}

/* A problem, a warning or nothing. */
static void
report(Decider *decider, const char *format,...)
{
	const char *undecided = decider->policy->undecided;
	va_list		args;

	if (undecided == NULL)
		return;
	va_start(args, format);
	ftm_plan_finding(decider->plan, strcmp(undecided, "error") == 0,
					 PLAN_USER_COLUMNS, format, args);
	va_end(args);
}

/*
 * A scan has found ids in a column.
 */
static void
report_undecided(Decider *decider, PlanTable *table, PlanColumn *column,
				 const Declaration *declaration)
{
	const char *name = quote_identifier(column->source->name);

	if (is_base(column->source->type, "uuid"))
		report(decider,
			   "Column %s.%s holds " INT64_FORMAT " user ids without a foreign key, and it is not decided whether they are to be rewritten.  Execute %s, or with mode = 'ignore' to leave them as they are.",
			   table->name, name, declaration->known_ids,
			   decision_sql(declaration, "mode = 'id'"));
	else
		report(decider,
			   "Column %s.%s holds user ids in " INT64_FORMAT " values, and it is not decided whether they are to be rewritten.  Execute %s, or with mode = 'ignore' to leave them as they are.",
			   table->name, name, declaration->known_ids,
			   decision_sql(declaration,
							psprintf("mode = %s",
									 quote_literal_cstr(declaration->suggestion != NULL ?
														declaration->suggestion :
														likely_mode(column->source->type)))));
}

/*
 * Hashes beside a column that is rewritten: if they are of that row, as in an
 * audit trail that is chained, they do not match the row any more.
 */
static void
warn_of_hashes(MigrationPlan *plan, const PlanTable *table)
{
	StringInfoData hashes;
	StringInfoData rewritten;
	ListCell   *lc;

	initStringInfo(&hashes);
	initStringInfo(&rewritten);
	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);
		StringInfo	names = NULL;

		if (column->mode != REWRITE_KEEP)
			names = &rewritten;
		else if (is_hash(column->source))
			names = &hashes;
		if (names != NULL)
			appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "",
							 quote_identifier(column->source->name));
	}
	if (hashes.len == 0 || rewritten.len == 0)
		return;
	ftm_plan_warning(plan, PLAN_USER_COLUMNS,
					 "Table %s has hashes (%s) beside user ids that are rewritten (%s), and those that include the ids will not match any more.  To keep an audit trail as it was written, set mode = 'ignore' for these columns in ftm_user_column.",
					 table->name, hashes.data, rewritten.data);
}

/*
 * Does a column hold a hash of something else in its row, to judge by its
 * name?  (A password_hash does not.)
 */
static bool
is_hash(const CatalogColumn *column)
{
	static const char *const words[] = {
		"hash", "checksum", "digest", "hmac", "signature"
	};
	static const char *const secrets[] = {
		"password", "passwd", "token", "secret", "key", "pin", "code"
	};
	const char *name = column->name;
	bool		found = false;

	if (!is_base(column->type, "text") && !is_base(column->type, "varchar") &&
		!is_base(column->type, "bpchar") && !is_base(column->type, "bytea"))
		return false;
	for (int i = 0; i < (int) lengthof(words); i++)
	{
		int			before = (int) (strlen(name) - strlen(words[i]));

		found |= before >= 0 && pg_strcasecmp(name + before, words[i]) == 0 &&
			(before == 0 || name[before - 1] == '_');
	}
	for (int i = 0; i < (int) lengthof(secrets); i++)
		found &= strstr(name, secrets[i]) == NULL;
	return found;
}

/* Is the type this built-in type (or citext), domains flattened? */
static bool
is_base(const CatalogType *type, const char *name)
{
	if (strcmp(type->base_name, name) != 0)
		return false;
	return strcmp(type->base_schema, "pg_catalog") == 0 ||
		strcmp(name, "citext") == 0;
}

/* What a column of a type is rewritten by, if that is possible. */
static const char *
likely_mode(const CatalogType *type)
{
	if (is_base(flatten(type), "uuid"))
		return "id";
	if (ftm_user_column_embedded_mode(type) != REWRITE_KEEP)
		return "embedded";
	return "ignore";
}

char *
ftm_user_column_decision(const CatalogTable *table,
						 const CatalogColumn *column)
{
	return psprintf("(%s, %s, %s, %s)", quote_literal_cstr(table->schema),
					quote_literal_cstr(table->name),
					quote_literal_cstr(column->name),
					quote_literal_cstr(likely_mode(column->type)));
}

char *
ftm_user_column_decision_sql(const char *decisions)
{
	return psprintf("INSERT INTO %s.ftm_user_column (schema_name, table_name, column_name, mode) VALUES %s"
					" ON CONFLICT (schema_name, table_name, column_name) DO UPDATE SET mode = excluded.mode",
					ftm_extension_schema_quoted(), decisions);
}

static char *
decision_sql(const Declaration *declaration, const char *set)
{
	return psprintf("UPDATE %s.ftm_user_column SET %s WHERE (schema_name, table_name, column_name) = (%s, %s, %s)",
					ftm_extension_schema_quoted(), set,
					quote_literal_cstr(declaration->schema),
					quote_literal_cstr(declaration->table),
					quote_literal_cstr(declaration->column));
}
