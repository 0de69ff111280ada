/*-------------------------------------------------------------------------
 *
 * user_step.c
 *		Users as the leader sees them: work for one worker of the pool.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"

#include "run/state.h"
#include "users/user_step.h"

/* The loader that does it; any would do. */
#define USER_WORKER		(POOL_KEEPER + 1)

/* Users named in one message. */
#define MAX_NAMED		10

static int	delete_users(WorkerPool *pool, int64 run_id, bool dry_run);

bool
ftm_user_step_is_possible(const char *auth_server)
{
	if (auth_server != NULL &&
		GetForeignServerByName(auth_server, true) != NULL)
		return true;
	ereport(NOTICE,
			(errmsg("users are not created: there is no auth server \"%s\"",
					auth_server != NULL ? auth_server : ""),
			 errdetail("User ids are mapped as ftm_user_map says."),
			 errhint("To create users, execute CREATE SERVER %s FOREIGN DATA WRAPPER ftm_stack_auth OPTIONS (api_url 'https://...', project_id '...') and CREATE USER MAPPING FOR CURRENT_USER SERVER %s OPTIONS (secret_server_key '...').",
					 quote_identifier(auth_server != NULL ? auth_server : "stack_auth"),
					 quote_identifier(auth_server != NULL ? auth_server : "stack_auth"))));
	return false;
}

void
ftm_user_step_check(WorkerPool *pool, const UsersTask *task)
{
	StringInfoData payload;

	initStringInfo(&payload);
	ftm_users_put_task(&payload, task);
	(void) ftm_pool_call(pool, USER_WORKER, COMMAND_CHECK_USERS, &payload);
}

int
ftm_user_step_call(WorkerPool *pool, WorkerCommand command,
				   const UsersTask *task)
{
	StringInfoData payload;

	initStringInfo(&payload);
	ftm_users_put_task(&payload, task);
	return (int) pq_getmsgint(ftm_pool_call(pool, USER_WORKER, command,
											&payload), 4);
}

bool
ftm_user_step_was_done(void)
{
	RowSet	   *rows;

	rows = ftm_state_query("SELECT FROM @schema@.ftm_user"
						   " WHERE status IN ('created', 'matched') LIMIT 1",
						   0, NULL);
	return rows->nrows > 0;
}

void
ftm_user_step_check_deletion(int64 run_id, bool force)
{
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT max(o.run_id)"
						   "  FROM @schema@.ftm_run r"
						   "  JOIN @schema@.ftm_run o"
						   "    ON o.source = r.source AND o.run_id <> r.run_id"
						   " WHERE r.run_id = $1::bigint"
						   "   AND EXISTS (SELECT FROM @schema@.ftm_run_table t"
						   "                WHERE t.run_id = o.run_id"
						   "                  AND t.status = 'loaded')",
						   1, params);
	if (ftm_rowset_value(rows, 0, 0) != NULL)
		ereport(force ? WARNING : ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows that run %s loaded may belong to users that run " INT64_FORMAT " created",
						ftm_rowset_value(rows, 0, 0), run_id),
				 force ? 0 :
				 errhint("Roll back that run first, or SELECT ftm_rollback(" INT64_FORMAT ", users => true, force => true);",
						 run_id)));
}

void
ftm_user_step_try_deletion(WorkerPool *pool, int64 run_id)
{
	(void) delete_users(pool, run_id, true);
}

void
ftm_user_step_delete(WorkerPool *pool, int64 run_id)
{
	int			deleted = delete_users(pool, run_id, false);

	ereport(NOTICE,
			(errmsg_plural("%d user was deleted from the auth service",
						   "%d users were deleted from the auth service",
						   deleted, deleted)));
}

/*
 * In all auth servers in which the run made users; dry_run: only see whether
 * they would do it.
 */
static int
delete_users(WorkerPool *pool, int64 run_id, bool dry_run)
{
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows;
	int			deleted = 0;

	rows = ftm_state_query("SELECT DISTINCT u.auth_server" USERS_OF_RUN_SQL,
						   1, params);
	for (int row = 0; row < rows->nrows; row++)
	{
		UsersTask  *task = ftm_users_make_task("", ftm_rowset_value(rows, row, 0));

		task->source = NULL;
		task->run_id = run_id;
		task->dry_run = dry_run;
		deleted += ftm_user_step_call(pool, COMMAND_DELETE_USERS, task);
	}
	return deleted;
}

void
ftm_user_step_raise(int level, int missing, const UsersTask *task)
{
	StringInfoData detail;
	RowSet	   *rows;
	bool		conflict = false;

	if (missing == 0)
		return;
	rows = ftm_state_query("SELECT source_user_id, email, status, reason"
						   "  FROM @schema@.ftm_user"
						   " WHERE status NOT IN ('created', 'matched', 'skipped', 'gone')"
						   " ORDER BY status, user_created_at, source_user_id"
						   " LIMIT " CppAsString2(MAX_NAMED),
						   0, NULL);
	initStringInfo(&detail);
	for (int row = 0; row < rows->nrows; row++)
	{
		const char *email = ftm_rowset_value(rows, row, 1);
		const char *status = ftm_rowset_value(rows, row, 2);
		const char *reason = ftm_rowset_value(rows, row, 3);

		appendStringInfo(&detail, "%sUser %s (%s) is %s: %s.",
						 row > 0 ? "\n" : "", ftm_rowset_value(rows, row, 0),
						 email != NULL ? email : "no e-mail", status,
						 reason != NULL ? reason : "not sent");
		conflict |= strcmp(status, "conflict") == 0;
	}
	ereport(level,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d user could not be created in auth server \"%s\"",
						   "%d users could not be created in auth server \"%s\"",
						   missing, missing, task->auth_server),
			 errdetail_internal("%s", detail.data),
			 conflict ?
			 errhint("SELECT * FROM ftm_user shows all of them.  Users who exist already are matched by ftm_match_users().  Then call the function again: what is complete is kept.") :
			 errhint("SELECT * FROM ftm_user shows all of them.  Call the function again: what is complete is kept.")));
}
