/*-------------------------------------------------------------------------
 *
 * plan_code.c
 *		What the schema's own code means for a plan.
 *
 * Code of a table runs as its owner, and finds by name what is in pg_catalog
 * only.  What would fail because of that is told before the load.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "base/target.h"
#include "plan/plan_code.h"
#include "plan/postponed.h"
#include "schema/schema_code.h"
#include "schema/table_tree.h"

/* Which tables' expressions call which functions; both lists have OIDs. */
typedef struct Calls
{
	List	   *relids;
	List	   *functions;
} Calls;

static List *sent_columns(const PlanTable *table);
static void find_needs(PlanTable *table, List **functions);
static void add_calls(Calls *calls, Oid relid, const List *functions);
static void check_execute(MigrationPlan *plan, const Calls *calls);
static void check_usage(MigrationPlan *plan, const Calls *calls);
static RowSet *query_calls(const char *sql, const Calls *calls);
static bool is_evaluated_by_name(const PlanTable *table);
static void warn_of_search_path(MigrationPlan *plan, const List *functions);
static char *suggested_search_path(const char *schema);
static void warn_of_reading(MigrationPlan *plan, const PlanTable *table,
							const List *functions);

void
ftm_plan_find_code(MigrationPlan *plan)
{
	Calls		calls = {NIL, NIL};
	Calls		by_name = {NIL, NIL};
	List	   *of_rows = NIL;	/* a List of OIDs for each table */
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		List	   *functions = NIL;
		ListCell   *member;

		CHECK_FOR_INTERRUPTS();
		find_needs(table, &functions);
		of_rows = lappend(of_rows, functions);
		foreach(member, ftm_table_tree_members(table->target->oid))
		{
			Oid			relid = lfirst_oid(member);
			List	   *called = ftm_schema_code_called(relid,
														sent_columns(table));

			add_calls(&calls, relid, called);
			if (is_evaluated_by_name(table))
				add_calls(&by_name, relid,
						  called != NIL ? called : list_make1_oid(InvalidOid));
		}
	}
	check_execute(plan, &calls);
	check_usage(plan, &by_name);
	warn_of_search_path(plan, calls.functions);
	forboth(lc, plan->tables, other, of_rows)
	{
		if (lfirst(other) != NIL)
			warn_of_reading(plan, lfirst(lc), lfirst(other));
	}
}

/* Names (char *) of the columns whose values come from the source. */
static List *
sent_columns(const PlanTable *table)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		if (!column->generated)
			columns = lappend(columns, column->target->name);
	}
	return columns;
}

/*
 * The load decides again, under its lock, what it postpones.
 */
static void
find_needs(PlanTable *table, List **functions)
{
	ListCell   *lc;

	foreach(lc, ftm_table_tree_members(table->target->oid))
		*functions = list_concat_unique_oid(*functions,
											ftm_schema_code_of_values(lfirst_oid(lc),
																	  sent_columns(table)));
	table->needs_others = *functions != NIL;
	if (table->needs_others)
		table->notes = lappend(table->notes,
							   psprintf("after the others: rows reach %s",
										ftm_schema_code_names(*functions)));
	table->postpones = ftm_postponed_exists(table->target->oid,
											table->source->unvalidated,
											&table->notes);
}

static void
add_calls(Calls *calls, Oid relid, const List *functions)
{
	ListCell   *lc;

	foreach(lc, functions)
	{
		calls->relids = lappend_oid(calls->relids, relid);
		calls->functions = lappend_oid(calls->functions, lfirst_oid(lc));
	}
}

/*
 * The owner must be able to execute what is called for each row.
 */
static void
check_execute(MigrationPlan *plan, const Calls *calls)
{
	static const char sql[] =
		"SELECT DISTINCT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),"
		" pg_catalog.quote_ident(cn.nspname) || '.'"
		"   || pg_catalog.quote_ident(c.relname),"
		" pg_catalog.quote_ident(n.nspname) || '.'"
		"   || pg_catalog.quote_ident(p.proname) || '('"
		"   || pg_catalog.oidvectortypes(p.proargtypes) || ')'"
		" FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]),"
		"  pg_catalog.unnest($2::pg_catalog.oid[])) u(relid, function)"
		" JOIN pg_catalog.pg_class c ON c.oid = u.relid"
		" JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace"
		" JOIN pg_catalog.pg_proc p ON p.oid = u.function"
		" JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
		" WHERE NOT pg_catalog.has_function_privilege(c.relowner, p.oid, 'EXECUTE')"
		" ORDER BY 1, 2, 3";
	RowSet	   *rows = query_calls(sql, calls);

	for (int i = 0; i < rows->nrows; i++)
		ftm_plan_problem(plan, PLAN_TARGET_TABLES,
						 "Role %s, the owner of table %s of the target, may not execute function %s, which the table's expressions call.  Execute GRANT EXECUTE ON FUNCTION %s TO %s.",
						 ftm_rowset_value(rows, i, 0),
						 ftm_rowset_value(rows, i, 1),
						 ftm_rowset_value(rows, i, 2),
						 ftm_rowset_value(rows, i, 2),
						 ftm_rowset_value(rows, i, 0));
}

/*
 * Where an expression is compared with what is stored, it is read again as text,
 * by the owner.
 */
static void
check_usage(MigrationPlan *plan, const Calls *calls)
{
	static const char sql[] =
		"SELECT DISTINCT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(c.relowner)),"
		" pg_catalog.quote_ident(cn.nspname) || '.'"
		"   || pg_catalog.quote_ident(c.relname),"
		" pg_catalog.quote_ident(n.nspname)"
		" FROM ROWS FROM (pg_catalog.unnest($1::pg_catalog.oid[]),"
		"  pg_catalog.unnest($2::pg_catalog.oid[])) u(relid, function)"
		" JOIN pg_catalog.pg_class c ON c.oid = u.relid"
		" JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace"
		" LEFT JOIN pg_catalog.pg_proc p ON p.oid = u.function"
		" JOIN pg_catalog.pg_namespace n"
		"  ON n.oid IN (c.relnamespace, p.pronamespace)"
		" WHERE NOT pg_catalog.has_schema_privilege(c.relowner, n.oid, 'USAGE')"
		" ORDER BY 1, 2, 3";
	RowSet	   *rows = query_calls(sql, calls);

	for (int i = 0; i < rows->nrows; i++)
		ftm_plan_problem(plan, PLAN_TARGET_TABLES,
						 "Role %s, the owner of table %s of the target, has no USAGE on schema %s, in which the table or what its expressions call is.  Execute GRANT USAGE ON SCHEMA %s TO %s.",
						 ftm_rowset_value(rows, i, 0),
						 ftm_rowset_value(rows, i, 1),
						 ftm_rowset_value(rows, i, 2),
						 ftm_rowset_value(rows, i, 2),
						 ftm_rowset_value(rows, i, 0));
}

static RowSet *
query_calls(const char *sql, const Calls *calls)
{
	const char *params[2] = {ftm_target_oid_array(calls->relids),
	ftm_target_oid_array(calls->functions)};

	return ftm_target_query(sql, 2, params);
}

/* Are there generated columns to be verified, or constraints to be validated? */
static bool
is_evaluated_by_name(const PlanTable *table)
{
	ListCell   *lc;

	foreach(lc, table->target->columns)
	{
		if (((CatalogColumn *) lfirst(lc))->generated != '\0')
			return true;
	}
	return table->postpones;
}

/*
 * Only the text of a body is looked up by name when it is executed.
 */
static void
warn_of_search_path(MigrationPlan *plan, const List *functions)
{
	static const char sql[] =
		"SELECT pg_catalog.quote_ident(n.nspname) || '.'"
		"   || pg_catalog.quote_ident(p.proname) || '('"
		"   || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',"
		" pg_catalog.quote_ident(n.nspname)"
		" FROM pg_catalog.pg_proc p"
		" JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
		" JOIN pg_catalog.pg_language l ON l.oid = p.prolang"
		" WHERE p.oid = ANY ($1::pg_catalog.oid[])"
		" AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
		" AND l.lanname NOT IN ('internal', 'c')"
		" AND p.prosqlbody IS NULL"
		" AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) s(text)"
		"  WHERE s.text LIKE 'search_path=%')"
		" ORDER BY 1";
	const char *params[1] = {ftm_target_oid_array(functions)};
	RowSet	   *rows;

	if (functions == NIL)
		return;
	rows = ftm_target_query(sql, 1, params);
	for (int i = 0; i < rows->nrows; i++)
		ftm_plan_warning(plan, PLAN_TARGET_TABLES,
						 "Function %s, which expressions of the target's tables call, has no search_path of its own, and finds by name nothing but what is in pg_catalog while a migration runs.  Unless all names in it are qualified, execute ALTER FUNCTION %s SET search_path = %s.",
						 ftm_rowset_value(rows, i, 0),
						 ftm_rowset_value(rows, i, 0),
						 suggested_search_path(ftm_rowset_value(rows, i, 1)));
}

/* The function's schema, and those that sessions like the caller's begin with. */
static char *
suggested_search_path(const char *schema)
{
	List	   *schemas = NIL;
	char	   *names = pstrdup(GetConfigOptionResetString("search_path"));
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfoString(&text, schema);
	if (!SplitIdentifierString(names, ',', &schemas))
		return text.data;
	foreach(lc, schemas)
	{
		const char *name = quote_identifier(lfirst(lc));

		if (strcmp(lfirst(lc), "$user") != 0 && strcmp(name, schema) != 0 &&
			strncmp(lfirst(lc), "pg_", 3) != 0)
			appendStringInfo(&text, ", %s", name);
	}
	return text.data;
}

/*
 * By name, since a body's text is all that is known: tables that are loaded
 * last, too, and tables of the target that are not in the plan.
 */
static void
warn_of_reading(MigrationPlan *plan, const PlanTable *table,
				const List *functions)
{
	static const char sql[] =
		"SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p"
		" WHERE p.oid = ANY ($1::pg_catalog.oid[])"
		" AND (p.prosrc ~* ('\\m'"
		"   || pg_catalog.regexp_replace($3, '(\\W)', '\\\\\\1', 'g')"
		"   || '\\M')"
		"  OR EXISTS (SELECT FROM pg_catalog.pg_depend d"
		"   WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass"
		"   AND d.objid = p.oid"
		"   AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
		"   AND d.refobjid = $2::pg_catalog.oid)))";
	const char *oids = ftm_target_oid_array(functions);
	ListCell   *lc;

	foreach(lc, plan->target->tables)
	{
		CatalogTable *other = lfirst(lc);
		PlanTable  *planned = ftm_plan_table_of_target(plan, other->oid);
		const char *params[3] = {oids, psprintf("%u", other->oid), other->name};

		if (planned == table || (planned != NULL && !planned->needs_others) ||
			!ftm_rowset_bool(ftm_target_query(sql, 3, params), 0, 0))
			continue;
		if (planned != NULL)
			ftm_plan_warning(plan, PLAN_TARGET_TABLES,
							 "Rows of table %s seem to need rows of table %s, and both are loaded after the others.  A generated column that does not agree afterwards is computed again; of a default or a domain make sure that it has seen all rows.",
							 table->name, planned->name);
		else
			ftm_plan_warning(plan, PLAN_TARGET_TABLES,
							 "Rows of table %s seem to need rows of table %s, which is not in the plan.  See that they are there before the run, or have it migrate that table, too.",
							 table->name, other->qualified);
	}
}
