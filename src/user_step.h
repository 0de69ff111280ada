/*-------------------------------------------------------------------------
 *
 * user_step.h
 *		Users as the leader sees them: work for one worker of the pool.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_STEP_H
#define FTM_USER_STEP_H

#include "pool.h"
#include "users.h"

/*
 * Is there a server of this name?  If not, a notice says how to make one.
 */
extern bool ftm_user_step_is_possible(const char *auth_server);

/* See ftm_users_check() and ftm_users_migrate(), which do it in a worker. */
extern void ftm_user_step_check(WorkerPool *pool, const UsersTask *task);
extern int	ftm_user_step_migrate(WorkerPool *pool, const UsersTask *task);

/*
 * Error if any users are missing: rows refer to them.  Names some of them,
 * with the reason and the remedy.
 */
extern void ftm_user_step_raise(int missing, const UsersTask *task);

#endif							/* FTM_USER_STEP_H */
