/*-------------------------------------------------------------------------
 *
 * run.c
 *		SQL functions that run and verify a migration.
 *
 * They read and check their arguments, call the leader and put its answer
 * into a result set.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "base/target_error.h"
#include "run/background.h"
#include "run/leader.h"
#include "run/run.h"
#include "schema/scope.h"

PG_FUNCTION_INFO_V1(ftm_run_migration);
PG_FUNCTION_INFO_V1(ftm_verify);

/* Arguments of ftm_run_migration() behind the scope's. */
enum RunArgument
{
	ARG_WORKERS = 4,
	ARG_UNMAPPED,
	ARG_EXISTING,
	ARG_USERS,
	ARG_AUTH_SERVER,
	ARG_VERIFY,
	ARG_DRY_RUN,
	ARG_RESTART,
	ARG_WAIT,
	ARG_UNDECIDED,
	ARG_IDS
};

static RunOptions *options_from_args(FunctionCallInfo fcinfo);
static RunTableResult *background_run(const RunOptions *options);

/*
 * ftm_run_migration(source, schemas, include, exclude, workers, unmapped,
 * existing, users, auth_server, verify, dry_run, restart, wait, undecided, ids)
 *
 * The whole migration, one row per table.
 */
Datum
ftm_run_migration(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RunOptions *options;
	List	   *results;
	ErrorContextCallback callback = {error_context_stack,
	ftm_target_error_timeout_callback, NULL};

	ftm_leader_refuse_transaction_block("ftm_run_migration()");
	options = options_from_args(fcinfo);
	InitMaterializedSRF(fcinfo, 0);

	error_context_stack = &callback;
	if (ftm_scope_bool_arg(fcinfo, ARG_WAIT, "wait") || options->dry_run)
		results = ftm_leader_run(options);
	else
		results = list_make1(background_run(options));
	error_context_stack = callback.previous;
	ftm_run_put_results(rsinfo, results);
	return (Datum) 0;
}

/*
 * ftm_verify(source, schemas, include, exclude)
 *
 * Compares target and source; one row per table, sequence and foreign key, and
 * one for the user map.
 */
Datum
ftm_verify(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Scope	   *scope = ftm_scope_from_args(fcinfo, 0);

	ftm_recovery_refuse("ftm_verify()");
	InitMaterializedSRF(fcinfo, 0);
	ftm_run_put_verdicts(rsinfo, ftm_leader_verify(scope, NULL, true));
	return (Datum) 0;
}

static RunOptions *
options_from_args(FunctionCallInfo fcinfo)
{
	static const char *const unmapped_values[] = {"error", "keep", NULL};
	static const char *const existing_values[] = {"error", "truncate", NULL};
	RunOptions *options = palloc0(sizeof(RunOptions));
	const char *existing;

	options->scope = ftm_scope_from_args(fcinfo, 0);
	options->workers = ftm_workers;
	if (!PG_ARGISNULL(ARG_WORKERS))
		options->workers = PG_GETARG_INT32(ARG_WORKERS);
	if (options->workers < 1 || options->workers > 64)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be between 1 and 64, not %d",
						options->workers)));
	options->policy.unmapped = ftm_scope_keyword_arg(fcinfo, ARG_UNMAPPED,
													 "unmapped",
													 unmapped_values);
	options->policy.undecided = ftm_run_undecided_arg(fcinfo, ARG_UNDECIDED);
	options->policy.ids = ftm_run_ids_arg(fcinfo, ARG_IDS);
	existing = ftm_scope_keyword_arg(fcinfo, ARG_EXISTING, "existing",
									 existing_values);
	options->replace = existing != NULL && strcmp(existing, "truncate") == 0;
	options->users = ftm_scope_bool_arg(fcinfo, ARG_USERS, "users");
	options->auth_server = PG_ARGISNULL(ARG_AUTH_SERVER) ? NULL :
		pstrdup(NameStr(*PG_GETARG_NAME(ARG_AUTH_SERVER)));
	options->verify = ftm_scope_bool_arg(fcinfo, ARG_VERIFY, "verify");
	options->dry_run = ftm_scope_bool_arg(fcinfo, ARG_DRY_RUN, "dry_run");
	options->restart = ftm_scope_bool_arg(fcinfo, ARG_RESTART, "restart");
	return options;
}

const char *
ftm_run_undecided_arg(FunctionCallInfo fcinfo, int number)
{
	static const char *const values[] = {"error", "keep", NULL};
	const char *undecided = ftm_scope_keyword_arg(fcinfo, number, "undecided",
												  values);

	return undecided != NULL ? undecided : "error";
}

const char *
ftm_run_ids_arg(FunctionCallInfo fcinfo, int number)
{
	static const char *const values[] = {"map", "keep", NULL};
	const char *ids = ftm_scope_keyword_arg(fcinfo, number, "ids", values);

	return ids != NULL ? ids : "map";
}

/*
 * Start a run and answer with one row: "run 7", running.
 */
static RunTableResult *
background_run(const RunOptions *options)
{
	RunTableResult *result = palloc0(sizeof(RunTableResult));
	int64		run_id = ftm_background_start(options);

	ereport(NOTICE,
			(errmsg("run " INT64_FORMAT " goes on in the background", run_id),
			 errhint("SELECT * FROM ftm_wait(" INT64_FORMAT "); waits for it, SELECT ftm_cancel(" INT64_FORMAT "); stops it.",
					 run_id, run_id)));
	result->table_name = psprintf("run " INT64_FORMAT, run_id);
	result->counts.rows = -1;
	result->counts.bytes = -1;
	result->counts.ids_mapped = -1;
	result->counts.seconds = -1;
	result->status = "running";
	return result;
}

/*
 * A numeric from its text, or NULL.
 */
static Datum
numeric_or_null(const char *text, bool *isnull)
{
	*isnull = text == NULL;
	if (text == NULL)
		return (Datum) 0;
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/*
 * table_name, rows, bytes, ids_mapped, ids_kept, seconds, status
 */
void
ftm_run_put_results(ReturnSetInfo *rsinfo, const List *results)
{
	ListCell   *lc;

	foreach(lc, results)
	{
		RunTableResult *result = lfirst(lc);
		Datum		values[7];
		bool		nulls[7] = {0};

		values[0] = CStringGetTextDatum(result->table_name);
		values[1] = Int64GetDatum(result->counts.rows);
		nulls[1] = result->counts.rows < 0;
		values[2] = Int64GetDatum(result->counts.bytes);
		nulls[2] = result->counts.bytes < 0;
		values[3] = Int64GetDatum(result->counts.ids_mapped);
		values[4] = Int64GetDatum(result->counts.ids_kept);
		values[5] = numeric_or_null(result->counts.seconds < 0 ? NULL :
									psprintf("%.3f", result->counts.seconds),
									&nulls[5]);
		values[6] = CStringGetTextDatum(result->status);
		nulls[3] = nulls[4] = result->counts.ids_mapped < 0;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}

/*
 * kind, object, source_rows, target_rows, source_checksum, target_checksum,
 * ok, detail
 */
void
ftm_run_put_verdicts(ReturnSetInfo *rsinfo, const List *verdicts)
{
	ListCell   *lc;

	foreach(lc, verdicts)
	{
		VerifyResult *verdict = lfirst(lc);
		Datum		values[8] = {0};
		bool		nulls[8] = {0};

		values[0] = CStringGetTextDatum(verdict->kind);
		values[1] = CStringGetTextDatum(verdict->object);
		values[2] = Int64GetDatum(verdict->source_rows);
		nulls[2] = verdict->source_rows < 0;
		values[3] = Int64GetDatum(verdict->target_rows);
		nulls[3] = verdict->target_rows < 0;
		values[4] = numeric_or_null(verdict->source_checksum, &nulls[4]);
		values[5] = numeric_or_null(verdict->target_checksum, &nulls[5]);
		values[6] = BoolGetDatum(verdict->ok);
		nulls[7] = verdict->detail == NULL;
		if (!nulls[7])
			values[7] = CStringGetTextDatum(verdict->detail);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}
