/*-------------------------------------------------------------------------
 *
 * reopen.c
 *		A complete, verified run that is called again.
 *
 * Somebody has written to the source since, most likely, and wants to have it in
 * the target.  Or the application uses the target already, and the call is a
 * mistake: that must not cost a row.  So all tables are verified first, and of
 * all that differ it is known that nobody has written to them before the first
 * is emptied.  (Each is asked again under its lock, see load.c.)
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "run/progress.h"
#include "run/reopen.h"

static bool is_of_kind(const VerifyResult *verdict, const char *kind);
static void count_differences(const Leader *leader, int *differences,
							  int *loadable);
static void refuse_changes(Leader *leader, int64 run_id);
static List *different_tables(const Leader *leader);

bool
ftm_reopen_is_needed(Leader *leader, int64 run_id)
{
	int			differences;
	int			loadable;

	/* No run's: verdicts are not recorded as long as it stays closed. */
	ftm_step_join_run(leader->pool, 0, leader->unmapped);
	ftm_step_verify(leader);
	count_differences(leader, &differences, &loadable);
	if (differences == 0)
	{
		ftm_progress_log(leader->pool, "LOG", "verified anew: nothing has changed",
						 NULL);
		ereport(NOTICE,
				(errmsg("run " INT64_FORMAT " is complete, and verified anew: there is nothing to do",
						run_id),
				 errhint("Use restart => true to roll it back and start over.")));
		return false;
	}
	if (loadable == 0)
		ftm_step_raise_verdict(leader);
	if (!leader->options->replace)
		refuse_changes(leader, run_id);
	leader->verdicts = NIL;
	return true;
}

static bool
is_of_kind(const VerifyResult *verdict, const char *kind)
{
	return strcmp(verdict->kind, kind) == 0;
}

/* How many verdicts are not ok, and of these, how many a run can mend? */
static void
count_differences(const Leader *leader, int *differences, int *loadable)
{
	ListCell   *lc;

	*differences = 0;
	*loadable = 0;
	foreach(lc, leader->verdicts)
	{
		const VerifyResult *verdict = lfirst(lc);

		if (verdict->ok)
			continue;
		(*differences)++;
		if (is_of_kind(verdict, "table") || is_of_kind(verdict, "sequence") ||
			is_of_kind(verdict, "foreign key") || is_of_kind(verdict, "users"))
			(*loadable)++;
	}
}

/*
 * Error if the target has been written to where it differs from the source.
 */
static void
refuse_changes(Leader *leader, int64 run_id)
{
	List	   *tables = different_tables(leader);
	StringInfoData request;
	char	   *changes;
	ListCell   *lc;

	initStringInfo(&request);
	pq_sendint64(&request, run_id);
	pq_sendint32(&request, list_length(tables));
	foreach(lc, tables)
		pq_sendint32(&request, ((PlanTable *) lfirst(lc))->target->oid);
	changes = ftm_task_get_string(ftm_pool_call(leader->pool, POOL_KEEPER,
												COMMAND_FIND_CHANGES,
												&request));
	if (changes != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run " INT64_FORMAT " is complete, and the target has been written to since",
						run_id),
				 errdetail_internal("%s", changes),
				 tables == NIL ?
				 errhint("SELECT * FROM ftm_verify() WHERE NOT ok; shows what differs.") :
				 errhint("Nothing was changed.  SELECT * FROM ftm_diff(%s); shows the rows that differ.  To lose what was written, call ftm_run_migration(existing => 'truncate').",
						 quote_literal_cstr(((PlanTable *) linitial(tables))->name))));
}

/* A List of PlanTable. */
static List *
different_tables(const Leader *leader)
{
	List	   *result = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		foreach(lc2, leader->verdicts)
		{
			const VerifyResult *verdict = lfirst(lc2);

			if (!verdict->ok && is_of_kind(verdict, "table") &&
				strcmp(verdict->object, table->name) == 0)
				result = lappend(result, table);
		}
	}
	return result;
}
