/*-------------------------------------------------------------------------
 *
 * user_step.h
 *		Users as the leader sees them: work for one worker of the pool.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_STEP_H
#define FTM_USER_STEP_H

#include "users/users.h"
#include "workers/pool.h"

/*
 * Is there a server of this name?  If not, a notice says how to make one.
 */
extern bool ftm_user_step_is_possible(const char *auth_server);

/* See ftm_users_check(), which does it in a worker. */
extern void ftm_user_step_check(WorkerPool *pool, const UsersTask *task);

/* One of the other commands about users; returns the number it answers. */
extern int	ftm_user_step_call(WorkerPool *pool, WorkerCommand command,
							   const UsersTask *task);

/* Was any user moved to the auth service, so that there is one to verify? */
extern bool ftm_user_step_was_done(void);

/*
 * Error, or only a warning if forced, if another run from the same source has
 * loaded rows that the users of this one may own.
 */
extern void ftm_user_step_check_deletion(int64 run_id, bool force);

/*
 * Error if the auth service would not delete the users that a run created: to
 * be asked before the run's rows are gone.
 */
extern void ftm_user_step_try_deletion(WorkerPool *pool, int64 run_id);

/* Delete the users that a run created, wherever it did; see ftm_users_delete(). */
extern void ftm_user_step_delete(WorkerPool *pool, int64 run_id);

/*
 * If any users are missing, report it at this level (ERROR, WARNING).  Names
 * some of them, with the reason and the remedy.
 */
extern void ftm_user_step_raise(int level, int missing,
								const UsersTask *task);

#endif							/* FTM_USER_STEP_H */
