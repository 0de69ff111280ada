/*-------------------------------------------------------------------------
 *
 * check_auth.c
 *		Preflight: can the users be created in the auth service?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "check/check.h"
#include "users/user_step.h"

/*
 * Requests are made by a background worker, as in a run, where this is a step
 * of its own: it takes a worker, which the checks of a run do without.
 */
void
ftm_check_auth_server(Preflight *preflight)
{
	WorkerPool *pool;

	if (ftm_options_auth_server(preflight->auth_server, true) == NULL)
	{
		ftm_check_pass(preflight,
					   psprintf("There is no auth server %s: user ids are mapped as the user map says.",
								quote_identifier(preflight->auth_server)));
		return;
	}

	/* An error ends the worker with the subtransaction. */
	pool = ftm_pool_start(1);
	ftm_user_step_check(pool,
						ftm_users_make_task(preflight->scope->source,
											preflight->auth_server));
	ftm_pool_end(pool);
	ftm_check_pass(preflight,
				   psprintf("Auth server %s knows the key, and all users can be created.",
							quote_identifier(preflight->auth_server)));
}
