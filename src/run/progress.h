/*-------------------------------------------------------------------------
 *
 * progress.h
 *		What the leader tells about a run while it is under way: to its caller
 *		in notices, to everybody else in ftm_log.
 *
 * Other sessions look at the view ftm_progress, which is plain SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_PROGRESS_H
#define FTM_PROGRESS_H

#include "load/task.h"
#include "workers/pool.h"

/*
 * Have the keeper write a line into the run's log; figures is a JSON object or
 * NULL.  The step that the run is in is known to ftm_progress and ftm_report()
 * by the last such line about a step.
 */
extern void ftm_progress_log(WorkerPool *pool, const char *level,
							 const char *message, const char *figures);
extern void ftm_progress_begin_step(WorkerPool *pool, const char *step);

/* One line about a table that is done with; see ftmigrate.progress_interval. */
extern void ftm_progress_report_table(const char *table_name,
									  const TableResult *result);

/*
 * For who waits for a run that another session leads: a line about each table
 * that it has loaded, other than those in *reported (List of char *), which
 * grows in the memory context.
 */
extern void ftm_progress_report_loaded(int64 run_id, List **reported,
									   MemoryContext context);

/*
 * One line about a run: what ftm_progress says about it now.  run_id points to
 * an int64; see ftm_pool_set_tick().
 */
extern void ftm_progress_report_run(void *run_id);

/*
 * One line about a verification that is no part of a run; pool points to its
 * WorkerPool.
 */
extern void ftm_progress_report_verify(void *pool);

#endif							/* FTM_PROGRESS_H */
