/*-------------------------------------------------------------------------
 *
 * users.h
 *		Moving users to the auth service: what a worker is asked to do.
 *
 * All functions run in a worker, outside of a transaction: they open short
 * ones of their own, and none while they wait for the auth service.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USERS_H
#define FTM_USERS_H

#include "lib/stringinfo.h"

#include "users/user_request.h"

/* One call, with everything a worker needs to know about it. */
typedef struct UsersTask
{
	int64		run_id;			/* 0 if not part of a run */
	char	   *source;			/* names of foreign servers */
	char	   *auth_server;
	char	   *snapshot;		/* of the source, to be imported; NULL: a new one */
	UserPolicies policies;
	bool		decide_again;	/* the policies count for users, too, that an
								 * earlier call decided about */
	bool		dry_run;		/* decide and record, but send nothing; or see
								 * whether users could be deleted */
	Oid			accounts;		/* table of e-mails and passwords to try */
	char	   *callback_url;	/* for password resets */
	int			max_mails;
	int			mails_per_hour;
	/* settings of the caller's session; times in milliseconds */
	int			concurrency;
	int			timeout;
	int			max_delay;
	int			settle_time;
	int			outage_timeout; /* of the service */
	int			retention_days; /* of entries in the map */
} UsersTask;

/* A task with the defaults and the settings of this session. */
extern UsersTask *ftm_users_make_task(const char *source,
									  const char *auth_server);

extern void ftm_users_put_task(StringInfo buffer, const UsersTask *task);
extern UsersTask *ftm_users_get_task(StringInfo buffer);

/*
 * Is everything as it must be before users can be created?  Changes nothing.
 * Errors name what is wrong: connections, the key, the project's settings,
 * users whom no policy covers.
 */
extern void ftm_users_check(const UsersTask *task);

/*
 * Create all users that are not there yet and fill ftm_user and ftm_user_map.
 * What went wrong with single users is in ftm_user; errors are what stops
 * everything.  Returns the number of users that could not be created.
 */
extern int	ftm_users_migrate(const UsersTask *task);

/*
 * Find users that exist in the service already and enter them in the map.
 * Returns the number of users matched.
 */
extern int	ftm_users_match(const UsersTask *task);

/* What came of ftm_users_verify(). */
typedef struct UsersVerdict
{
	int64		source_users;	/* that are to be there */
	int64		target_users;	/* that are */
	int64		differences;
	char	   *detail;
} UsersVerdict;

/*
 * Compare the users in the service with the source and the map, and try the
 * passwords of task->accounts; the verdict on each user goes to ftm_user.
 */
extern UsersVerdict *ftm_users_verify(const UsersTask *task);

/*
 * Have the service send password resets to those who need one and got none.
 * Returns the number of mails asked for.
 */
extern int	ftm_users_send_resets(const UsersTask *task);

/*
 * What follows SELECT to get rows of ftm_user (u) about the users that run $1
 * has created, or may have: the answer to a request may have been lost.
 */
#define USERS_OF_RUN_SQL \
	" FROM @schema@.ftm_user u" \
	" LEFT JOIN @schema@.ftm_user_map m USING (source_user_id, target_user_id)" \
	" WHERE CASE WHEN u.status = 'created' THEN m.run_id = $1::bigint" \
	"       ELSE u.status IN ('sending', 'in_doubt', 'failed', 'gone')" \
	"            AND u.run_id = $1::bigint AND u.sent_at IS NOT NULL END"

/*
 * Error if the service would not delete users: to be asked before anything
 * else is undone.
 */
extern void ftm_users_check_deletion(const UsersTask *task);

/*
 * Delete the users that run task->run_id created in the service, and forget
 * them; those who may have been created are looked for.  Returns the number of
 * users deleted.
 */
extern int	ftm_users_delete(const UsersTask *task);

#endif							/* FTM_USERS_H */
