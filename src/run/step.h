/*-------------------------------------------------------------------------
 *
 * step.h
 *		The steps of a run, each as tasks for the pool's workers.
 *
 * For leader.c, and export.c as to the first.  Errors of the workers are raised
 * as they were.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_STEP_H
#define FTM_STEP_H

#include "plan/plan.h"
#include "plan/unmapped_users.h"
#include "remote/source.h"
#include "run/leader.h"
#include "users/users.h"
#include "verify/source_activity.h"
#include "workers/pool.h"

/*
 * One call, and the attempt that it makes: another one begins when the source
 * is lost.
 */
typedef struct Leader
{
	/* of the call */
	const RunOptions *options;
	const Scope *scope;
	int			workers;		/* loaders wanted */
	SourceServer *server;
	WorkerPool *pool;			/* NULL before the first attempt, and without
								 * workers */
	bool		with_users;		/* create missing users first */
	bool		restarted;		/* an earlier run was rolled back, if asked for */
	int64		run_id;			/* 0 before it is known */
	bool		run_ended;		/* it is written down how: an error behind that
								 * is the call's, not the run's */
	bool		reopens;		/* run_id is that of a complete run, which goes on */

	/* of the attempt; all that is allocated for it is in context */
	int			attempt;		/* from 0 */
	MemoryContext context;
	SourceConnection *source;	/* holds the exported snapshot */
	char	   *snapshot;
	SourceActivity *activity;	/* of the source, just before the snapshot */
	MigrationPlan *plan;
	List	   *checks;			/* of CheckResult: what the preflight found */
	UnmappedUsers *unmapped;	/* NULL: nobody needs to know */
	UsersTask  *users;			/* NULL: users are not this call's business */
	List	   *results;		/* of RunTableResult */
	List	   *analyses;		/* of PoolTask, one for each table */
	List	   *verdicts;		/* of VerifyResult */
} Leader;

/*
 * Have the loaders connect to the source, enter the snapshot, and do what a run
 * (0: none) is about; unmapped, which may be NULL, are known users, too.  The
 * first two, which an import does without, do not
 * wait; what went wrong is an error of the third.
 */
extern void ftm_step_open_sources(WorkerPool *pool,
								  const SourceServer *server);
extern void ftm_step_set_snapshot(WorkerPool *pool, const char *snapshot);
extern void ftm_step_join_run(WorkerPool *pool, int64 run_id,
							  const UnmappedUsers *unmapped);

/*
 * Fill in leader->unmapped, if ids are counted anywhere; after users were
 * created.  The other warns of those who are there, but for users who were left
 * out on purpose.
 */
extern void ftm_step_find_unmapped_users(Leader *leader);
extern void ftm_step_report_unmapped_users(Leader *leader);

/* Mark the foreign keys of and to the tables not valid. */
extern void ftm_step_invalidate_keys(Leader *leader);

/*
 * Load all tables, largest first, but those at the end whose rows need others;
 * fills in leader->results, and leader->analyses,
 * some of which may have been made when there was nothing left to load.
 */
extern void ftm_step_load_tables(Leader *leader);

extern void ftm_step_set_sequences(Leader *leader);

/*
 * Build the indexes that loads have postponed, and validate the CHECK
 * constraints; error if any is violated that the source has validated.
 */
extern void ftm_step_catch_up(Leader *leader);

/* Check all foreign keys, and mark valid what is; error if any is violated. */
extern void ftm_step_check_keys(Leader *leader);

/* ANALYZE those tables that have not been yet. */
extern void ftm_step_analyze_tables(Leader *leader);

/* Verify everything; adds to leader->verdicts. */
extern void ftm_step_verify(Leader *leader);

/*
 * Was the source written to while the run went on?  It is asked when everything
 * has been read; nothing else may be asked before the answer is taken.
 */
extern void ftm_step_ask_freeze(Leader *leader);
extern void ftm_step_check_freeze(Leader *leader);

/*
 * Have the keeper write down what was found about anything but tables, whose
 * verdicts the workers have written.
 */
extern void ftm_step_record_verdicts(Leader *leader);

/* Error if any verdict is not ok. */
extern void ftm_step_raise_verdict(Leader *leader);

#endif							/* FTM_STEP_H */
