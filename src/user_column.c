/*-------------------------------------------------------------------------
 *
 * user_column.c
 *		Which columns of a plan hold user ids, and what becomes of them.
 *
 * A column is rewritten for one of two reasons only: a foreign key leads from
 * it to auth.users(id), directly or through other columns that hold user ids,
 * or the DBA said so in ftm_user_column.  A name proves nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "target.h"
#include "user_column.h"

#define USERS_SCHEMA	"auth"
#define USERS_TABLE		"users"
#define USERS_COLUMN	"id"

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
	CatalogTable *source;		/* NULL if the source has no such table */
} Declaration;

/* A column of the source whose value is a user id. */
typedef struct IdColumn
{
	Oid			root;			/* table, partitions stand for their root */
	char	   *name;
	char	   *reason;			/* "foreign key to auth.users" */
	bool		by_foreign_key;
} IdColumn;

typedef struct Decider
{
	MigrationPlan *plan;
	const Scope *scope;
	const char *unmapped;
	List	   *declarations;
	List	   *id_columns;
} Decider;

static List *read_declarations(const Catalog *source);
static void follow_foreign_keys(Decider *decider);
static void follow_foreign_key(Decider *decider, const CatalogForeignKey *key,
							   bool *found);
static const char *reason_of_reference(Decider *decider,
									   const CatalogForeignKey *key,
									   const char *ref_column);
static Declaration *find_declaration(Decider *decider, Oid root,
									 const char *column);
static IdColumn *find_id_column(Decider *decider, Oid root,
								const char *column);
static void add_id_column(Decider *decider, Oid root, char *name,
						  char *reason, bool by_foreign_key);
static void check_declarations(Decider *decider);
static void decide_table(Decider *decider, PlanTable *table);
static void decide_id(Decider *decider, PlanTable *table, PlanColumn *column,
					  const IdColumn *id_column,
					  const Declaration *declaration);
static void decide_embedded(Decider *decider, PlanTable *table,
							PlanColumn *column,
							const Declaration *declaration);
static void report_undecided(Decider *decider, PlanTable *table,
							 PlanColumn *column,
							 const Declaration *declaration);
static bool is_base(const CatalogType *type, const char *name);
static char *decision_sql(const Declaration *declaration, const char *set);

void
ftm_user_column_decide(MigrationPlan *plan, const Scope *scope,
					   const char *unmapped)
{
	Decider		decider = {0};
	ListCell   *lc;

	decider.plan = plan;
	decider.scope = scope;
	decider.unmapped = unmapped;
	decider.declarations = read_declarations(plan->source);

	foreach(lc, decider.declarations)
	{
		Declaration *declaration = lfirst(lc);

		if (declaration->source != NULL && declaration->mode != NULL &&
			strcmp(declaration->mode, "id") == 0)
			add_id_column(&decider, declaration->source->root,
						  declaration->column,
						  psprintf("ftm_user_column, origin %s",
								   declaration->origin),
						  false);
	}
	follow_foreign_keys(&decider);

	check_declarations(&decider);
	foreach(lc, plan->tables)
		decide_table(&decider, lfirst(lc));
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

	sql = psprintf("SELECT schema_name, table_name, column_name, mode, unmapped, origin, known_ids"
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
		foreach(lc, decider->plan->source->foreign_keys)
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
		IdColumn   *known;

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
			known->by_foreign_key = true;
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

static IdColumn *
find_id_column(Decider *decider, Oid root, const char *column)
{
	ListCell   *lc;

	foreach(lc, decider->id_columns)
	{
		IdColumn   *id_column = lfirst(lc);

		if (id_column->root == root && strcmp(id_column->name, column) == 0)
			return id_column;
	}
	return NULL;
}

static void
add_id_column(Decider *decider, Oid root, char *name, char *reason,
			  bool by_foreign_key)
{
	IdColumn   *id_column = palloc(sizeof(IdColumn));

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
			ftm_plan_problem(decider->plan,
							 "ftm_user_column has a row for table %s, which the source does not have; correct the row or delete it.",
							 quote_qualified_identifier(declaration->schema,
														declaration->table));
		else if (ftm_catalog_column(declaration->source,
									declaration->column) == NULL)
			ftm_plan_problem(decider->plan,
							 "ftm_user_column has a row for column %s.%s, which the source does not have; correct the row or delete it.",
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
		IdColumn   *id_column;
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
		else if (declaration == NULL)
			continue;
		else if (declaration->mode == NULL)
			report_undecided(decider, table, column, declaration);
		else if (strcmp(declaration->mode, "embedded") == 0)
			decide_embedded(decider, table, column, declaration);
	}
}

static void
decide_id(Decider *decider, PlanTable *table, PlanColumn *column,
		  const IdColumn *id_column, const Declaration *declaration)
{
	const CatalogType *type = column->source->type;
	const char *unmapped = decider->unmapped;

	if (is_base(type, "uuid"))
		column->mode = REWRITE_UUID;
	else if (is_base(type, "text") || is_base(type, "varchar") ||
			 is_base(type, "citext") ||
			 (is_base(type, "bpchar") && type->base_typmod == BPCHAR_36))
		column->mode = REWRITE_TEXT;
	else
		ftm_plan_problem(decider->plan,
						 "Column %s.%s is said to hold user ids (%s), but its type is %s; only uuid, text, varchar and char(36) columns can be rewritten.",
						 table->name, quote_identifier(column->source->name),
						 id_column->reason, type->display);

	if (unmapped == NULL && declaration != NULL)
		unmapped = declaration->unmapped;
	if (unmapped == NULL)
		unmapped = id_column->by_foreign_key ? "error" : "keep";
	column->unmapped_is_error = strcmp(unmapped, "error") == 0;

	column->origin_detail = id_column->reason;
	if (declaration == NULL || id_column->by_foreign_key)
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
	const CatalogType *value = type;

	while (value->base != NULL)
		value = value->base;
	if (value->is_array)
		value = value->element;

	if (is_base(value, "text") || is_base(value, "varchar") ||
		is_base(value, "json") || is_base(value, "jsonb") ||
		is_base(value, "citext"))
		column->mode = REWRITE_EMBEDDED_TEXT;
	else if (is_base(value, "uuid") && !is_base(type, "uuid"))
		column->mode = REWRITE_EMBEDDED_UUIDS;
	else
		ftm_plan_problem(decider->plan,
						 "Column %s.%s is declared to have user ids embedded, but its type is %s; that is possible in text, json, jsonb and arrays of these or of uuid.",
						 table->name, quote_identifier(column->source->name),
						 type->display);
	column->origin = strcmp(declaration->origin, "values") == 0 ?
		ORIGIN_VALUES : ORIGIN_MANUAL;
	column->origin_detail = psprintf("ftm_user_column, origin %s",
									 declaration->origin);
}

/*
 * Only a uuid column with ids in it must be decided: for the others, leaving
 * the value as it is may well be right.
 */
static void
report_undecided(Decider *decider, PlanTable *table, PlanColumn *column,
				 const Declaration *declaration)
{
	if (!is_base(column->source->type, "uuid") || declaration->known_ids == 0)
		return;
	ftm_plan_problem(decider->plan,
					 "Column %s.%s holds " INT64_FORMAT " user ids without a foreign key, and it is not decided whether they are to be rewritten; execute %s, or with mode = 'ignore' to leave them as they are.",
					 table->name, quote_identifier(column->source->name),
					 declaration->known_ids,
					 decision_sql(declaration, "mode = 'id'"));
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

static char *
decision_sql(const Declaration *declaration, const char *set)
{
	return psprintf("UPDATE %s.ftm_user_column SET %s WHERE (schema_name, table_name, column_name) = (%s, %s, %s)",
					ftm_extension_schema_quoted(), set,
					quote_literal_cstr(declaration->schema),
					quote_literal_cstr(declaration->table),
					quote_literal_cstr(declaration->column));
}
