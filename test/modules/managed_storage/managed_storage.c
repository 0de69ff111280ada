/*-------------------------------------------------------------------------
 *
 * managed_storage.c
 *		A table whose rows are kept elsewhere, as far as a planner can tell.
 *
 * Extensions that distribute a table or cut it into chunks plan an INSERT into
 * it as a CustomScan, or refuse statements that they do not support.  This
 * module does either for the table named by managed_storage.relation.  Its plans
 * cannot be executed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/extensible.h"
#include "nodes/plannodes.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

static Node *create_scan_state(CustomScan *scan);

static char *managed_table;
static bool refuse;
static planner_hook_type next_planner;

static const CustomScanMethods scan_methods = {
	.CustomName = "managed storage",
	.CreateCustomScanState = create_scan_state
};

static Node *
create_scan_state(CustomScan *scan)
{
	elog(ERROR, "plan of node type %d was executed", (int) nodeTag(scan));
	return NULL;
}

/* Does the query insert into the table that is named in the setting? */
static bool
inserts_into_managed_table(Query *query)
{
	RangeTblEntry *target;

	if (query->commandType != CMD_INSERT)
		return false;
	target = rt_fetch(query->resultRelation, query->rtable);
	return strcmp(psprintf("%s.%s",
						   get_namespace_name(get_rel_namespace(target->relid)),
						   get_rel_name(target->relid)), managed_table) == 0;
}

static PlannedStmt *
plan_insert(Query *query, const char *sql, int options, ParamListInfo params)
{
	bool		managed = inserts_into_managed_table(query);
	PlannedStmt *plan;
	CustomScan *scan;

	if (managed && refuse)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot plan INSERT into managed table \"%s\"",
						managed_table)));
	plan = next_planner != NULL ?
		next_planner(query, sql, options, params) :
		standard_planner(query, sql, options, params);
	if (!managed)
		return plan;

	scan = makeNode(CustomScan);
	scan->scan.plan.targetlist = plan->planTree->targetlist;
	scan->custom_plans = list_make1(plan->planTree);
	scan->methods = &scan_methods;
	plan->planTree = (Plan *) scan;
	return plan;
}

void
_PG_init(void)
{
	DefineCustomStringVariable("managed_storage.relation",
							   "Table that is managed, as schema.name.", NULL,
							   &managed_table, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomBoolVariable("managed_storage.refuse",
							 "Refuses to plan instead of planning otherwise.",
							 NULL, &refuse, false, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	next_planner = planner_hook;
	planner_hook = plan_insert;
}
