/*-------------------------------------------------------------------------
 *
 * plan_report.c
 *		The plan as its reader sees it: ftm_plan().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/tuplestore.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "plan/plan.h"
#include "schema/scope.h"

#define PLAN_COLUMNS	9

static void put_table(ReturnSetInfo *rsinfo, const PlanTable *table);
static List *describe_rewrites(const PlanTable *table);
static const char *method_name(LoadMethod method);
static Datum text_array(List *strings);
static void report_problems(const MigrationPlan *plan);
static char *list_findings(List *findings);
static void report_totals(const MigrationPlan *plan);

PG_FUNCTION_INFO_V1(ftm_plan);

/*
 * ftm_plan(source, schemas, include, exclude): what a run would do.
 */
Datum
ftm_plan(PG_FUNCTION_ARGS)
{
	static const UserIdPolicy policy = {.undecided = "error"};
	Scope	   *scope = ftm_scope_from_args(fcinfo, 0);
	MemoryContext context;
	SourceConnection *source;
	MigrationPlan *plan;
	ListCell   *lc;

	ftm_recovery_refuse("ftm_plan()");
	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "ftmigrate plan",
									ALLOCSET_DEFAULT_SIZES);
	source = ftm_source_connect(ftm_options_source_server(scope->source),
								context);
	(void) ftm_source_export_snapshot(source);
	plan = ftm_plan_build(scope, source, &policy);
	ftm_plan_estimate(plan, source);
	ftm_source_disconnect(source);

	foreach(lc, plan->tables)
		put_table((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	ftm_plan_report(plan);
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
put_table(ReturnSetInfo *rsinfo, const PlanTable *table)
{
	Datum		values[PLAN_COLUMNS] = {0};
	bool		nulls[PLAN_COLUMNS] = {0};
	Datum		seconds;

	values[0] = CStringGetTextDatum(table->name);
	values[1] = Int32GetDatum(table->level);
	nulls[2] = table->source->rows < 0;
	values[2] = Int64GetDatum((int64) table->source->rows);
	values[3] = Int64GetDatum(table->source->bytes);
	nulls[4] = table->seconds < 0;
	seconds = DirectFunctionCall1(float8_numeric,
								  Float8GetDatum(table->seconds));
	values[4] = DirectFunctionCall2(numeric_round, seconds, Int32GetDatum(1));
	values[5] = text_array(describe_rewrites(table));
	values[6] = CStringGetTextDatum(table->binary ? "binary" : "text");
	values[7] = CStringGetTextDatum(method_name(table->method));
	values[8] = text_array(table->notes);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* "user_id: id (foreign key to auth.users, unmapped error)", ... */
static List *
describe_rewrites(const PlanTable *table)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);
		StringInfoData text;

		if (column->mode == REWRITE_KEEP)
			continue;
		initStringInfo(&text);
		appendStringInfo(&text, "%s: %s (%s",
						 quote_identifier(column->source->name),
						 ftm_plan_mode_name(column->mode),
						 column->origin_detail);
		if (column->mode == REWRITE_UUID || column->mode == REWRITE_TEXT)
			appendStringInfo(&text, ", unmapped %s",
							 column->unmapped_is_error ? "error" : "keep");
		appendStringInfoChar(&text, ')');
		result = lappend(result, text.data);
	}
	return result;
}

static const char *
method_name(LoadMethod method)
{
	switch (method)
	{
		case LOAD_FAST:
			return "fast";
		case LOAD_PLAIN:
			return "plain";
		case LOAD_REFUSED:
			break;
	}
	return "refused";
}

static Datum
text_array(List *strings)
{
	Datum	   *elements = palloc(sizeof(Datum) * Max(1, list_length(strings)));
	ListCell   *lc;

	foreach(lc, strings)
		elements[foreach_current_index(lc)] = CStringGetTextDatum(lfirst(lc));
	return PointerGetDatum(construct_array(elements, list_length(strings),
										   TEXTOID, -1, false, TYPALIGN_INT));
}

void
ftm_plan_report(const MigrationPlan *plan)
{
	int			count = list_length(plan->warnings);

	report_problems(plan);
	if (count > 0)
		ereport(WARNING,
				(errmsg_plural("the plan has %d point to consider",
							   "the plan has %d points to consider",
							   count, count),
				 errdetail_internal("%s", list_findings(plan->warnings))));
	report_totals(plan);
}

/* All in one message, so that none is overlooked and no attempt is wasted. */
static void
report_problems(const MigrationPlan *plan)
{
	int			count = list_length(plan->problems);

	if (count > 0)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_plural("the migration cannot run because of %d problem",
							   "the migration cannot run because of %d problems",
							   count, count),
				 errdetail_internal("%s", list_findings(plan->problems))));
}

/* One per line. */
static char *
list_findings(List *findings)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, findings)
		appendStringInfo(&text, "%s%s",
						 foreach_current_index(lc) > 0 ? "\n" : "",
						 ftm_plan_finding_text(lfirst(lc)));
	return text.data;
}

/*
 * Workers share the tables, but the largest one is one worker's.
 */
static void
report_totals(const MigrationPlan *plan)
{
	double		rows = 0;
	int64		bytes = 0;
	double		seconds = 0;
	double		longest = 0;
	char	   *size;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		rows += Max(0, table->source->rows);
		bytes += table->source->bytes;
		seconds += Max(0, table->seconds);
		longest = Max(longest, table->seconds);
	}
	size = TextDatumGetCString(DirectFunctionCall1(pg_size_pretty,
												   Int64GetDatum(bytes)));
	ereport(NOTICE,
			(errmsg("tables: %d, rows: about %.0f, size: about %s, time: about %.0f s (workers: %d)",
					list_length(plan->tables), rows, size,
					ceil(Max(longest, seconds / ftm_workers)), ftm_workers)));
}
