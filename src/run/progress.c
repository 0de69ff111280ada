/*-------------------------------------------------------------------------
 *
 * progress.c
 *		What the leader tells about a run while it is under way: to its caller
 *		in notices, to everybody else in ftm_log.
 *
 * The figures are those of the view ftm_progress, so that every session sees
 * the same.  The server keeps them: how far a COPY and an index build are is
 * in its progress views, and what a worker is doing is in pg_stat_activity.
 * Reading them locks no user table, as leader.c demands.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "run/progress.h"
#include "run/state.h"
#include "schema/catalog.h"

void
ftm_progress_log(WorkerPool *pool, const char *level, const char *message,
				 const char *figures)
{
	StringInfoData payload;

	initStringInfo(&payload);
	ftm_task_put_string(&payload, level);
	ftm_task_put_string(&payload, message);
	ftm_task_put_string(&payload, figures);
	(void) ftm_pool_call(pool, POOL_KEEPER, COMMAND_LOG, &payload);
}

void
ftm_progress_begin_step(WorkerPool *pool, const char *step)
{
	ftm_progress_log(pool, "LOG", psprintf("step begins: %s", step),
					 psprintf("{\"step\": \"%s\"}", step));
}

void
ftm_progress_report_table(const char *table_name, const TableResult *result)
{
	const char *params[2] = {psprintf(INT64_FORMAT, result->bytes),
	psprintf("%.0f", result->bytes / Max(result->seconds, 0.001))};
	RowSet	   *sizes;

	if (ftm_progress_interval == 0)
		return;
	if (result->kept)
	{
		ereport(NOTICE,
				(errmsg("table %s: " INT64_FORMAT " rows, loaded by an earlier call",
						table_name, result->rows)));
		return;
	}
	sizes = ftm_state_query("SELECT pg_size_pretty($1::bigint),"
							"       pg_size_pretty($2::bigint)", 2, params);
	ereport(NOTICE,
			(errmsg("table %s: " INT64_FORMAT " rows, %s in %.1f s, %s/s",
					table_name, result->rows, ftm_rowset_value(sizes, 0, 0),
					result->seconds, ftm_rowset_value(sizes, 0, 1))));
}

void
ftm_progress_report_loaded(int64 run_id, List **reported,
						   MemoryContext context)
{
	const char *params[2] = {psprintf(INT64_FORMAT, run_id),
	ftm_catalog_array_text(*reported)};
	RowSet	   *tables;

	if (ftm_progress_interval == 0)
		return;
	tables = ftm_state_query("SELECT t.table_name, t.rows, t.bytes,"
							 "       extract(epoch FROM t.finished_at - t.started_at)"
							 "  FROM @schema@.ftm_run_table t"
							 "  JOIN @schema@.ftm_run r ON r.run_id = t.run_id"
							 " WHERE t.run_id = $1::bigint AND t.status = 'loaded'"
							 "   AND t.started_at >= r.call_started_at"
							 "   AND t.table_name <> ALL ($2::text[])"
							 " ORDER BY t.finished_at",
							 2, params);
	for (int i = 0; i < tables->nrows; i++)
	{
		const char *name = ftm_rowset_value(tables, i, 0);
		TableResult result = {0};
		MemoryContext old;

		result.rows = ftm_rowset_int64(tables, i, 1);
		result.bytes = ftm_rowset_int64(tables, i, 2);
		result.seconds = strtod(ftm_rowset_value(tables, i, 3), NULL);
		ftm_progress_report_table(name, &result);

		old = MemoryContextSwitchTo(context);
		*reported = lappend(*reported, pstrdup(name));
		MemoryContextSwitchTo(old);
	}
}

/*
 * The line is put together in SQL, which has the functions for sizes and
 * intervals; NULL if the run is over.
 */
void
ftm_progress_report_run(void *run_id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate progress",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const char *params[1] = {psprintf(INT64_FORMAT, *(int64 *) run_id)};
	RowSet	   *line;

	/* Else it would be as at the first look of this transaction. */
	pgstat_clear_backend_activity_snapshot();
	line = ftm_state_query("WITH p AS MATERIALIZED"
						   "   (SELECT * FROM @schema@.ftm_progress"
						   "     WHERE run_id = $1::bigint),"
						   " done AS"
						   "   (SELECT count(*) FILTER (WHERE finished) AS tables,"
						   "           count(*) AS all_tables"
						   "      FROM (SELECT status IN ('loaded', 'verified', 'different') AS finished"
						   "              FROM p WHERE table_name IS NOT NULL) t)"
						   " SELECT p.step"
						   "        || CASE WHEN p.step = 'load tables'"
						   "           THEN format(': %s of %s tables, %s rows, %s',"
						   "                       done.tables, done.all_tables, p.rows,"
						   "                       pg_size_pretty(p.bytes))"
						   "           ELSE coalesce(format(': %s of %s', p.tasks_done, p.tasks), '')"
						   "           END"
						   "        || CASE WHEN p.step = 'load tables'"
						   "           THEN coalesce(', ' || pg_size_pretty(p.bytes_per_second) || '/s', '')"
						   "           ELSE '' END"
						   "        || coalesce(', ' || p.eta::interval(0) || ' left', '')"
						   "   FROM p, done"
						   "  WHERE p.table_name IS NULL AND p.step IS NOT NULL",
						   1, params);
	if (line->nrows > 0)
		ereport(NOTICE,
				(errmsg_internal("%s", ftm_rowset_value(line, 0, 0))));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * The pool knows as much as the view does, and knows which calls it is about.
 */
void
ftm_progress_report_verify(void *pool)
{
	StringInfoData line;
	List	   *objects;
	ListCell   *lc;
	int			ndone;
	int			ntasks = ftm_pool_tasks(pool, &ndone, &objects);

	if (ntasks == 0)
		return;
	initStringInfo(&line);
	appendStringInfo(&line, "verify: %d of %d", ndone, ntasks);
	foreach(lc, objects)
		appendStringInfo(&line, "%s%s",
						 foreach_current_index(lc) == 0 ? ", now " : ", ",
						 (char *) lfirst(lc));
	ereport(NOTICE,
			(errmsg_internal("%s", line.data)));
	list_free(objects);
	pfree(line.data);
}
