/*-------------------------------------------------------------------------
 *
 * user_functions.c
 *		SQL functions about users.
 *
 * Whatever talks to the source or the auth service is done by a background
 * worker; the functions check their arguments, start one, and answer from the
 * state that it left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "run/leader.h"
#include "run/state.h"
#include "users/user_step.h"

PG_FUNCTION_INFO_V1(ftm_migrate_users);
PG_FUNCTION_INFO_V1(ftm_match_users);
PG_FUNCTION_INFO_V1(ftm_verify_users);
PG_FUNCTION_INFO_V1(ftm_send_password_resets);
PG_FUNCTION_INFO_V1(ftm_load_user_map);
PG_FUNCTION_INFO_V1(ftm_purge_user_map);

static void require_arguments(FunctionCallInfo fcinfo);
static char *name_argument(FunctionCallInfo fcinfo, int argument);
static WorkerPool *start_worker(const UsersTask *task);
static void put_rows(FunctionCallInfo fcinfo, RowSet *rows);

/*
 * How the users stand, by everything that a DBA wants to count.
 */
static const char report_sql[] =
"WITH u AS (SELECT * FROM @schema@.ftm_user)"
" SELECT aspect, value, users FROM ("
"  SELECT 1 AS n, 'users' AS aspect, 'all' AS value, count(*) AS users FROM u"
"  UNION ALL SELECT 2, 'status', concat_ws(': ', status,"
"      CASE WHEN status NOT IN ('created', 'pending') THEN reason END), count(*)"
"    FROM u GROUP BY 3"
"  UNION ALL SELECT 3, 'kind', concat_ws(': ', kind, treatment), count(*)"
"    FROM u WHERE kind IS NOT NULL AND status <> 'gone' GROUP BY 3"
"  UNION ALL SELECT 4, 'password',"
"      CASE WHEN keeps_password THEN 'kept'"
"           WHEN must_reset_password THEN 'must be reset'"
"           ELSE 'none, or none to sign in with' END, count(*)"
"    FROM u WHERE status NOT IN ('matched', 'skipped', 'gone') GROUP BY 3"
"  UNION ALL SELECT 5, 'lost provider', provider, count(*)"
"    FROM u, unnest(lost_providers) AS provider"
"   WHERE status NOT IN ('matched', 'skipped', 'gone') GROUP BY 3"
"  UNION ALL SELECT 6, 'not carried', item, count(*)"
"    FROM u, unnest(not_carried) AS item"
"   WHERE status NOT IN ('matched', 'skipped', 'gone') GROUP BY 3"
"  UNION ALL SELECT 7, 'sign-in', 'no way in', count(*)"
"    FROM u WHERE unreachable AND status NOT IN ('matched', 'skipped', 'gone')"
"   HAVING count(*) > 0) AS report"
" ORDER BY n, users DESC, value";

/*
 * ftm_migrate_users(source, auth_server, unconfirmed, anonymous, phone_only,
 * sso, banned, soft_deleted, refused_email, refused_hash, lost_mfa,
 * missing_provider, refused_metadata, refused_image, dry_run)
 *
 * Creates the users that are not there yet and reports about all of them.
 */
Datum
ftm_migrate_users(PG_FUNCTION_ARGS)
{
	UsersTask  *task;
	WorkerPool *pool;
	int			missing;

	ftm_leader_refuse_transaction_block("ftm_migrate_users()");
	require_arguments(fcinfo);
	task = ftm_users_make_task(name_argument(fcinfo, 0),
							   name_argument(fcinfo, 1));
	for (int i = 0; i < USER_POLICIES; i++)
		ftm_user_policies_set(&task->policies, (UserPolicyKind) i,
							  text_to_cstring(PG_GETARG_TEXT_PP(2 + i)));
	task->dry_run = PG_GETARG_BOOL(2 + USER_POLICIES);
	task->decide_again = true;

	pool = start_worker(task);
	/* A dry run shows in its table what is yet to be decided. */
	if (!task->dry_run)
		ftm_user_step_check(pool, task);
	missing = ftm_user_step_call(pool, COMMAND_MIGRATE_USERS, task);
	ftm_pool_end(pool);

	ftm_user_step_raise(WARNING, missing, task);
	put_rows(fcinfo, ftm_state_query(report_sql, 0, NULL));
	return (Datum) 0;
}

/*
 * ftm_match_users(source, auth_server)
 *
 * Maps users who exist in the auth service already, and names those who cannot
 * be told apart.
 */
Datum
ftm_match_users(PG_FUNCTION_ARGS)
{
	UsersTask  *task;
	WorkerPool *pool;

	ftm_leader_refuse_transaction_block("ftm_match_users()");
	require_arguments(fcinfo);
	task = ftm_users_make_task(name_argument(fcinfo, 0),
							   name_argument(fcinfo, 1));
	pool = start_worker(task);
	(void) ftm_user_step_call(pool, COMMAND_MATCH_USERS, task);
	ftm_pool_end(pool);
	put_rows(fcinfo,
			 ftm_state_query("SELECT source_user_id, email, target_user_id, status, reason"
							 "  FROM @schema@.ftm_user"
							 " WHERE status IN ('matched', 'conflict')"
							 " ORDER BY status DESC, email, source_user_id",
							 0, NULL));
	return (Datum) 0;
}

/*
 * ftm_verify_users(source, auth_server, accounts)
 *
 * Compares the users in the auth service with source and map; accounts, a
 * table with columns email and password, names some to sign in as.
 */
Datum
ftm_verify_users(PG_FUNCTION_ARGS)
{
	UsersTask  *task;
	WorkerPool *pool;
	StringInfoData payload;
	VerifyResult *verdict;

	ftm_leader_refuse_transaction_block("ftm_verify_users()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source and auth_server must not be null")));
	task = ftm_users_make_task(name_argument(fcinfo, 0),
							   name_argument(fcinfo, 1));
	if (!PG_ARGISNULL(2))
	{
		task->accounts = PG_GETARG_OID(2);
		if (get_rel_persistence(task->accounts) == RELPERSISTENCE_TEMP)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("accounts cannot be a temporary table"),
					 errdetail("It is read by a background worker."),
					 errhint("Use an unlogged table, and drop it afterwards.")));
	}
	pool = start_worker(task);
	initStringInfo(&payload);
	ftm_users_put_task(&payload, task);
	verdict = ftm_task_get_verdict(ftm_pool_call(pool, POOL_KEEPER + 1,
												 COMMAND_VERIFY_USERS,
												 &payload));
	ftm_pool_end(pool);
	if (!verdict->ok)
		ereport(WARNING,
				(errmsg("users in auth server \"%s\" are not as they must be",
						task->auth_server),
				 errdetail_internal("%s", verdict->detail)));
	put_rows(fcinfo,
			 ftm_state_query("SELECT source_user_id, email, target_user_id, verified, difference"
							 "  FROM @schema@.ftm_user WHERE status NOT IN ('skipped', 'gone')"
							 " ORDER BY verified NULLS FIRST, user_created_at, source_user_id",
							 0, NULL));
	return (Datum) 0;
}

/*
 * ftm_send_password_resets(callback_url, auth_server, max_mails,
 * mails_per_hour)
 *
 * Returns the number of mails that the service accepted.
 */
Datum
ftm_send_password_resets(PG_FUNCTION_ARGS)
{
	UsersTask  *task;
	WorkerPool *pool;
	int			mails;

	ftm_leader_refuse_transaction_block("ftm_send_password_resets()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("callback_url, auth_server and mails_per_hour must not be null")));
	task = ftm_users_make_task("", name_argument(fcinfo, 1));
	task->source = NULL;
	task->callback_url = text_to_cstring(PG_GETARG_TEXT_PP(0));
	task->max_mails = PG_ARGISNULL(2) ? 0 : PG_GETARG_INT32(2);
	task->mails_per_hour = PG_GETARG_INT32(3);
	if (task->mails_per_hour < 1 || task->max_mails < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_mails and mails_per_hour must be greater than zero")));
	pool = start_worker(task);
	mails = ftm_user_step_call(pool, COMMAND_SEND_RESETS, task);
	ftm_pool_end(pool);
	PG_RETURN_INT32(mails);
}

/*
 * ftm_load_user_map(map jsonb)
 *
 * Adds the mappings of a dump; returns how many were new.
 */
Datum
ftm_load_user_map(PG_FUNCTION_ARGS)
{
	char	   *map = DatumGetCString(DirectFunctionCall1(jsonb_out,
														  PG_GETARG_DATUM(0)));
	const char *params[2] = {map, psprintf("%d days", ftm_retention_days)};
	RowSet	   *rows;

	ftm_recovery_refuse("ftm_load_user_map()");
	rows = ftm_state_query("SELECT jsonb_typeof($1::jsonb -> 'mappings') IS DISTINCT FROM 'array'",
						   1, params);
	if (ftm_rowset_bool(rows, 0, 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("user map has no array \"mappings\""),
				 errhint("The form is {\"generatedAt\": ..., \"retainUntil\": ..., \"mappings\": [{\"supabaseUserId\": ..., \"stackAuthUserId\": ..., \"email\": ..., \"migratedAt\": ...}]}.")));
	rows = ftm_state_query("WITH new AS ("
						   " INSERT INTO @schema@.ftm_user_map"
						   "  (source_user_id, target_user_id, email, created_at, retain_until)"
						   " SELECT m.\"supabaseUserId\", m.\"stackAuthUserId\", m.email,"
						   "        coalesce(m.\"migratedAt\", clock_timestamp()),"
						   "        coalesce(($1::jsonb ->> 'retainUntil')::timestamptz,"
						   "                 clock_timestamp() + $2::interval)"
						   "  FROM jsonb_to_recordset($1::jsonb -> 'mappings') AS m"
						   "       (\"supabaseUserId\" uuid, \"stackAuthUserId\" uuid, email text,"
						   "        \"migratedAt\" timestamptz)"
						   " WHERE NOT EXISTS (SELECT FROM @schema@.ftm_user_map o"
						   "                    WHERE o.source_user_id = m.\"supabaseUserId\""
						   "                      AND o.target_user_id = m.\"stackAuthUserId\")"
						   " RETURNING source_user_id)"
						   " SELECT count(*) FROM new",
						   2, params);
	PG_RETURN_INT64(ftm_rowset_int64(rows, 0, 0));
}

/*
 * ftm_purge_user_map()
 *
 * Removes the entries whose time is over, and what ftm_user says about those
 * users; returns how many.  Error if there are entries, but none is due.
 */
Datum
ftm_purge_user_map(PG_FUNCTION_ARGS pg_attribute_unused())
{
	RowSet	   *rows;
	int64		purged;

	ftm_recovery_refuse("ftm_purge_user_map()");
	rows = ftm_state_query("WITH due AS ("
						   " DELETE FROM @schema@.ftm_user_map"
						   "  WHERE retain_until <= clock_timestamp() RETURNING source_user_id),"
						   " users AS ("
						   " DELETE FROM @schema@.ftm_user"
						   "  WHERE source_user_id IN (SELECT source_user_id FROM due))"
						   " SELECT count(*) FROM due",
						   0, NULL);
	purged = ftm_rowset_int64(rows, 0, 0);
	if (purged > 0)
		PG_RETURN_INT64(purged);

	rows = ftm_state_query("SELECT count(*), min(retain_until) FROM @schema@.ftm_user_map",
						   0, NULL);
	if (ftm_rowset_int64(rows, 0, 0) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no entry of the user map may be removed yet"),
				 ftm_rowset_value(rows, 0, 1) != NULL ?
				 errdetail("The first one is kept until %s.",
						   ftm_rowset_value(rows, 0, 1)) :
				 errdetail("No entry has a time until which it is kept."),
				 errhint("Column retain_until of ftm_user_map says when; change it to remove entries earlier.")));
	PG_RETURN_INT64(0);
}

static void
require_arguments(FunctionCallInfo fcinfo)
{
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("parameter %d must not be null", i + 1)));
	}
}

static char *
name_argument(FunctionCallInfo fcinfo, int argument)
{
	return pstrdup(NameStr(*PG_GETARG_NAME(argument)));
}

/*
 * A pool with one worker, when this session is the only one that works on the
 * task's source.
 */
static WorkerPool *
start_worker(const UsersTask *task)
{
	if (task->source != NULL)
		ftm_leader_take_lock(task->source);
	(void) ftm_options_auth_server(task->auth_server, false);
	return ftm_pool_start(1);
}

/*
 * Answer with rows, whose texts are read as the result's column types.
 */
static void
put_rows(FunctionCallInfo fcinfo, RowSet *rows)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	AttInMetadata *types;

	InitMaterializedSRF(fcinfo, 0);
	types = TupleDescGetAttInMetadata(rsinfo->setDesc);
	for (int row = 0; row < rows->nrows; row++)
		tuplestore_puttuple(rsinfo->setResult,
							BuildTupleFromCStrings(types,
												   &rows->values[row * rows->ncolumns]));
}
