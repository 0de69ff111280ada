/*-------------------------------------------------------------------------
 *
 * check_needs.c
 *		Checks of what a migration of tables leaves as it is.
 *
 * Rows arrive; what hangs on them elsewhere does not always: ids in the
 * target's own schema, large objects, children and extensions' tables outside
 * of the plan.  All of that is named here, before anybody misses it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/extension.h"
#include "check/check.h"
#include "schema/schema_ids.h"

/* How many objects a sentence names. */
#define NAMED_OBJECTS	3

/*
 * Tables that hang on those of the plan ($1, OIDs) without being in it, and
 * extensions' tables with rows in the scope's schemas ($2).
 */
static const char outside_sql[] =
"SELECT 'c', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),"
" pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname)"
" FROM pg_catalog.pg_inherits i"
" JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" JOIN pg_catalog.pg_class p ON p.oid = i.inhparent"
" JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace"
" WHERE p.oid = ANY ($1::pg_catalog.oid[]) AND c.oid <> ALL ($1::pg_catalog.oid[])"
" AND NOT c.relispartition"
" UNION ALL "
"SELECT 'e', pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),"
" pg_catalog.quote_ident(x.extname)"
" FROM pg_catalog.pg_class c"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" JOIN pg_catalog.pg_depend e ON e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass"
"  AND e.objid = c.oid AND e.deptype = 'e'"
" JOIN pg_catalog.pg_extension x ON x.oid = e.refobjid"
" WHERE c.relkind IN ('r', 'p') AND c.reltuples <> 0"
" AND n.nspname = ANY ($2::pg_catalog.text[])"
" ORDER BY 1, 2";

static const char large_objects_sql[] =
"SELECT pg_catalog.count(*) FROM pg_catalog.pg_largeobject_metadata";

static const AnswerShape outside_shape = {
	"what is outside of the plan", ANY_ROWS, 0,
	{LETTER_COLUMN("ce"), TEXT_COLUMN, TEXT_COLUMN}
};

static const AnswerShape count_shape = {
	"large objects", ONE_ROW, 0, {COUNT_COLUMN}
};

static void report_schema_ids(Preflight *preflight, const List *found,
							  bool refusing);
static bool is_refusing(const Preflight *preflight, const SchemaId *id);
static bool is_in_plan(const MigrationPlan *plan, Oid relid);
static void report_outside(Preflight *preflight, const RowSet *rows);
static void report_large_objects(Preflight *preflight, int64 total);
static void check_oids_of_export(Preflight *preflight);
static int64 count_referenced(Preflight *preflight, StringInfo columns);
static bool holds_oids(const CatalogType *type);
static int64 count_in_column(Preflight *preflight, const CatalogTable *table,
							 const char *column);

/*
 * Where a row's new id would be refused, or would make a difference to what is
 * computed from it, the load cannot be right; anything else can be mended
 * afterwards, but nobody would notice.
 */
void
ftm_check_schema_ids(Preflight *preflight)
{
	List	   *found = ftm_schema_ids_find(preflight->source);
	int			before = list_length(preflight->results);

	report_schema_ids(preflight, found, true);
	report_schema_ids(preflight, found, false);
	if (list_length(preflight->results) == before)
		ftm_check_pass(preflight,
					   "No default, constraint, index, partition bound, policy, function, view, rule or trigger of the target holds the id of a user.");
}

/* Those of one kind, in one result. */
static void
report_schema_ids(Preflight *preflight, const List *found, bool refusing)
{
	StringInfoData names;
	const SchemaId *first = NULL;
	bool		unmapped = false;
	int			count = 0;
	char	   *detail;
	char	   *hint;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, found)
	{
		const SchemaId *id = lfirst(lc);

		if (is_refusing(preflight, id) != refusing)
			continue;
		if (first == NULL)
			first = id;
		unmapped |= id->target_id == NULL;
		if (count++ < NAMED_OBJECTS)
			appendStringInfo(&names, "%s%s %s", names.len > 0 ? ", " : "",
							 id->kind, id->object);
	}
	if (count == 0)
		return;
	detail = psprintf("Ids of the source's users in the target's schema%s: %d, such as in %s.",
					  refusing ? " that rows with the new ids would not fit" : "",
					  count, names.data);
	hint = psprintf("%sSELECT * FROM %s.ftm_schema_user_ids() lists all of them with the statement that mends each%s%s%s.",
					unmapped ? psprintf("Have the users created first, with %s.ftm_migrate_users().  ",
										ftm_extension_schema_quoted()) : "",
					ftm_extension_schema_quoted(),
					first->statement != NULL ? ", the first being: " : "",
					first->statement != NULL ? first->statement : "", "");
	if (refusing)
		ftm_check_fail(preflight, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   detail, hint);
	else
		ftm_check_warn(preflight, detail, hint);
}

/* Only what rows of the plan pass through refuses any. */
static bool
is_refusing(const Preflight *preflight, const SchemaId *id)
{
	return id->refuses && is_in_plan(preflight->plan, id->relid);
}

static bool
is_in_plan(const MigrationPlan *plan, Oid relid)
{
	ListCell   *lc;

	if (ftm_plan_table_of_target(plan, relid) != NULL)
		return true;
	foreach(lc, plan->target->partitions)
	{
		const CatalogTable *partition = lfirst(lc);

		if (partition->oid == relid)
			return ftm_plan_table_of_target(plan, partition->root) != NULL;
	}
	return false;
}

/* What stays in the source. */
void
ftm_check_left_behind(Preflight *preflight)
{
	int			before = list_length(preflight->results);
	const char *params[2] = {ftm_plan_oids(preflight->plan, true),
	ftm_catalog_array_text(preflight->scope->schemas)};
	RowSet	   *outside;
	RowSet	   *large_objects;

	if (preflight->source == NULL)
	{
		check_oids_of_export(preflight);
		return;
	}
	/* Both questions share a round trip. */
	ftm_source_send_query(preflight->source, &outside_shape, outside_sql, 2,
						  params);
	ftm_source_send_query(preflight->source, &count_shape, large_objects_sql,
						  0, NULL);
	outside = ftm_source_receive(preflight->source);
	large_objects = ftm_source_receive(preflight->source);
	report_outside(preflight, outside);
	report_large_objects(preflight, ftm_rowset_int64(large_objects, 0, 0));
	if (list_length(preflight->results) == before)
		ftm_check_pass(preflight,
					   "The plan leaves no children of its tables, no extension's rows in its schemas and no large objects behind.");
}

static void
report_outside(Preflight *preflight, const RowSet *rows)
{
	for (int row = 0; row < rows->nrows; row++)
	{
		const char *table = ftm_rowset_text(rows, row, 1);
		const char *of = ftm_rowset_text(rows, row, 2);

		if (ftm_rowset_text(rows, row, 0)[0] == 'c')
			ftm_check_warn(preflight,
						   psprintf("Table %s of the source inherits from table %s, but is not in the plan: whoever reads the parent will miss its rows.",
									table, of),
						   "Add it, or its schema, unless it is to stay behind.");
		else
			ftm_check_warn(preflight,
						   psprintf("Table %s of the source belongs to extension %s, and its rows are not copied.",
									table, of),
						   "Create the extension in the target; copy rows that users have made there by other means.");
	}
}

/*
 * A value that names a large object would point to nothing.
 */
static void
report_large_objects(Preflight *preflight, int64 total)
{
	StringInfoData columns;
	int64		referenced;

	if (total == 0)
		return;
	initStringInfo(&columns);
	referenced = count_referenced(preflight, &columns);
	ftm_check_warn(preflight,
				   psprintf("The source has large objects (" INT64_FORMAT "), which are not copied.  %s",
							total, referenced > 0 ?
							psprintf("Columns of the plan refer to " INT64_FORMAT " of them: %s.",
									 referenced, columns.data) :
							"No column of the plan refers to one."),
				   "Copy them, with their OIDs, by pg_dump --data-only -b -T '*.*' from the source, and psql into the target.");
}

/*
 * An export has no large objects, and does not say whether the source had any:
 * which of its columns could name some is all that can be told.
 */
static void
check_oids_of_export(Preflight *preflight)
{
	StringInfoData columns;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&columns);
	foreach(lc, preflight->plan->tables)
	{
		const PlanTable *table = lfirst(lc);

		foreach(lc2, table->columns)
		{
			const PlanColumn *column = lfirst(lc2);

			if (holds_oids(column->source->type))
				appendStringInfo(&columns, "%s%s.%s",
								 columns.len > 0 ? ", " : "", table->name,
								 quote_identifier(column->source->name));
		}
	}
	if (columns.len == 0)
		ftm_check_pass(preflight,
					   "No column of the export can refer to a large object, which it would not contain.");
	else
		ftm_check_warn(preflight,
					   psprintf("An export contains no large objects, and values of these columns may refer to some: %s.",
								columns.data),
					   "If they do, copy them, with their OIDs, by pg_dump --data-only -b -T '*.*' from the source, and psql into the target.");
}

/* How many the plan's columns name, and "public.files.content (3), ...". */
static int64
count_referenced(Preflight *preflight, StringInfo columns)
{
	int64		referenced = 0;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, preflight->plan->tables)
	{
		const PlanTable *table = lfirst(lc);

		foreach(lc2, table->columns)
		{
			const PlanColumn *column = lfirst(lc2);
			int64		count;

			if (!holds_oids(column->source->type) ||
				!table->source->readable || table->source->row_security_active)
				continue;
			count = count_in_column(preflight, table->source,
									column->source->name);
			if (count == 0)
				continue;
			referenced += count;
			appendStringInfo(columns, "%s%s.%s (" INT64_FORMAT ")",
							 columns->len > 0 ? ", " : "", table->name,
							 quote_identifier(column->source->name), count);
		}
	}
	return referenced;
}

/* Type oid, or a domain over it, such as lo. */
static bool
holds_oids(const CatalogType *type)
{
	return !type->is_array && strcmp(type->base_name, "oid") == 0 &&
		strcmp(type->base_schema, "pg_catalog") == 0;
}

static int64
count_in_column(Preflight *preflight, const CatalogTable *table,
				const char *column)
{
	RowSet	   *rows;

	rows = ftm_source_query(preflight->source, &count_shape,
							psprintf("SELECT pg_catalog.count(*)"
									 " FROM (SELECT DISTINCT referring.%s::pg_catalog.oid FROM %s%s AS referring)"
									 "  AS named (oid)"
									 " JOIN pg_catalog.pg_largeobject_metadata m ON m.oid = named.oid",
									 ftm_catalog_quote(column),
									 table->relkind == 'p' ? "" : "ONLY ",
									 ftm_catalog_quote_qualified(table->schema,
																 table->name)),
							0, NULL);
	return ftm_rowset_int64(rows, 0, 0);
}
