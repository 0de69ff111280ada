/*-------------------------------------------------------------------------
 *
 * leader.c
 *		One run, step by step.
 *
 * The leader is the session that called.  It plans, holds the source's
 * exported snapshot, hands out work and judges; it writes no row and takes no
 * lock on a user table.  Its transaction ends with an error whenever a run
 * fails and would take its rows along; and a worker that waited for its lock,
 * while it waits for the worker, would wait for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "access/xact.h"
#include "foreign/foreign.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/named_lock.h"
#include "base/recovery.h"
#include "base/settings.h"
#include "base/target.h"
#include "base/wait.h"
#include "check/check.h"
#include "compat.h"
#include "plan/plan.h"
#include "remote/server.h"
#include "remote/source.h"
#include "run/control.h"
#include "run/leader.h"
#include "run/progress.h"
#include "run/reopen.h"
#include "run/state.h"
#include "run/step.h"
#include "users/user_step.h"
#include "verify/source_activity.h"
#include "verify/verify.h"
#include "workers/pool.h"

static void do_persistently(Leader *leader, void (*attempt) (Leader *leader));
static bool is_loss(const Leader *leader, const ErrorData *error);
static ErrorData *try_attempt(Leader *leader,
							  void (*attempt) (Leader *leader),
							  const ErrorData *loss);
static void prepare_repetition(Leader *leader, const ErrorData *loss);
static void refuse_ids(const RunOptions *options);
static bool ids_stay(const RunOptions *options);
static bool creates_users(const RunOptions *options);
static void plan_only(Leader *leader);
static void run_plan(Leader *leader);
static void start_loaders(Leader *leader);
static void verify_plan(Leader *leader);
static void take_decisions(Leader *leader);
static void check_and_plan(Leader *leader);
static void connect_source(Leader *leader);
static void set_snapshot(Leader *leader, char *snapshot);
static void plan_verification(Leader *leader);
static List *planned_tables(Leader *leader);
static const char *verdict_of_table(const char *status,
									const TableResult *counts);
static void refuse_locked_tables(const MigrationPlan *plan);
static void plan_users(Leader *leader);
static void migrate_users(Leader *leader);
static void roll_back_earlier_run(Leader *leader);
static char *options_text(const RunOptions *options);
static bool begin_run(Leader *leader);
static bool reopen_run(Leader *leader);
static void carry_out(Leader *leader);
static void end_pool_after_failure(Leader *leader, const ErrorData *error);
static void record_failure(Leader *leader, const ErrorData *error);
static void end_run(Leader *leader, const char *status);

/*
 * What workers commit stays, whatever becomes of the caller's transaction: so
 * there must be none but this statement's.  Locks that the block holds already
 * would stop the workers, too.
 */
void
ftm_leader_refuse_transaction_block(const char *function)
{
	ftm_recovery_refuse(function);
	if (IsTransactionBlock() || IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", function),
				 errdetail("Its workers commit table by table."),
				 errhint("Call it outside of BEGIN ... COMMIT.  Clients that turn autocommit off, and psql with FETCH_COUNT set, open a transaction block by themselves.")));
	PreventCommandIfReadOnly(function);
}

List *
ftm_leader_run(const RunOptions *options)
{
	Leader		leader = {0};
	int			nestlevel = ftm_target_pin_settings();

	/* The lock first: planning may itself wait for a table that is loaded. */
	leader.options = options;
	leader.scope = options->scope;
	leader.workers = options->workers;
	if (options->import == NULL)
		leader.server = ftm_options_source_server(options->scope->source);
	if (!options->dry_run)
		ftm_leader_take_lock(options->scope->source);
	refuse_ids(options);
	do_persistently(&leader, options->dry_run ? plan_only : run_plan);
	if (leader.source != NULL)
		ftm_source_disconnect(leader.source);
	ftm_target_restore(nestlevel);
	return leader.results;
}

/*
 * Have an attempt made, and another one if it loses the source, as often as
 * ftmigrate.retries allows.  Any other error, or one too many, ends the call
 * and is written down before it is raised, if there is a run.
 */
static void
do_persistently(Leader *leader, void (*attempt) (Leader *leader))
{
	MemoryContext outer = CurrentMemoryContext;
	ErrorData  *loss = NULL;

	for (leader->attempt = 0;; leader->attempt++)
	{
		ErrorData  *error = try_attempt(leader, attempt, loss);

		MemoryContextSwitchTo(outer);
		if (error == NULL)
			return;
		if (!is_loss(leader, error) || leader->attempt >= ftm_retries)
		{
			if (leader->pool != NULL)
				end_pool_after_failure(leader, error);
			ReThrowError(error);
		}
		loss = error;
	}
}

/*
 * A source that was never reached is no lost one: most likely somebody has to
 * correct its options.
 */
static bool
is_loss(const Leader *leader, const ErrorData *error)
{
	if (leader->run_ended)
		return false;
	if (error->sqlerrcode == ERRCODE_PROTOCOL_VIOLATION ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_CONNECTION_EXCEPTION)
		return false;
	return error->sqlerrcode == ERRCODE_CONNECTION_FAILURE ||
		leader->attempt > 0 || leader->snapshot != NULL;
}

/*
 * One attempt, in a memory context of its own that holds all it knows of the
 * source, connection included; returns the error that ended it, or NULL.  Going
 * on after an error without a subtransaction is safe for a lost source only:
 * that is raised by libpq's wrapper or relayed from a worker, while the leader
 * holds nothing that an abort would have to clean up.
 */
static ErrorData *
try_attempt(Leader *leader, void (*attempt) (Leader *leader),
			const ErrorData *loss)
{
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		if (loss != NULL)
			prepare_repetition(leader, loss);
		leader->context = AllocSetContextCreate(CurrentMemoryContext,
												"ftmigrate attempt",
												ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(leader->context);
		attempt(leader);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(TopTransactionContext);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	return error;
}

/*
 * The snapshot went with the connection, so everything that the last attempt
 * knew is forgotten; tables that are loaded already are compared with the new
 * snapshot (see load.c).
 */
static void
prepare_repetition(Leader *leader, const ErrorData *loss)
{
	double		delay = Min(60000.0, ldexp(ftm_retry_delay,
										   leader->attempt - 1));
	char	   *message;

	if (leader->pool != NULL)
		ftm_pool_stop_loaders(leader->pool);
	if (leader->context != NULL)
		MemoryContextDelete(leader->context);
	leader->context = NULL;
	leader->source = NULL;
	leader->snapshot = NULL;
	leader->plan = NULL;
	leader->users = NULL;
	leader->unmapped = NULL;
	leader->results = NIL;
	leader->analyses = NIL;
	leader->verdicts = NIL;

	message = psprintf("%s; attempt %d of %d to go on in %.1f s",
					   loss->message, leader->attempt, ftm_retries,
					   delay / 1000);
	ereport(WARNING,
			(errcode(loss->sqlerrcode),
			 errmsg_internal("%s", message),
			 loss->detail != NULL ? errdetail_internal("%s", loss->detail) : 0));
	if (leader->run_id != 0)
		ftm_progress_log(leader->pool, "WARNING", message, NULL);
	ftm_wait_until(TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
											   (int64) delay));
}

/*
 * What stands against ids => 'keep', or 'map', for reasons that have nothing to
 * do with the source.
 */
static void
refuse_ids(const RunOptions *options)
{
	RowSet	   *rows;

	if (!options->restart)
		ftm_state_refuse_other_ids(options->scope->source, options->policy.ids);
	if (!ids_stay(options))
		return;
	if (options->users && options->auth_server != NULL &&
		GetForeignServerByName(options->auth_server, true) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("user ids cannot be kept with auth server \"%s\"",
						options->auth_server),
				 errdetail("Stack Auth chooses the ids of its users."),
				 errhint("Use ids => 'map', or users => false if the users go somewhere else under the ids that they have.")));
	rows = ftm_state_query("SELECT source_user_id, target_user_id FROM @schema@.ftm_user_map"
						   " WHERE source_user_id <> target_user_id LIMIT 1",
						   0, NULL);
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("user ids cannot be kept: the user map has another id for some user"),
				 errdetail("User %s becomes %s.", ftm_rowset_text(rows, 0, 0),
						   ftm_rowset_text(rows, 0, 1)),
				 errhint("Use ids => 'map', or empty ftm_user_map if those users are not there any more.")));
}

static bool
ids_stay(const RunOptions *options)
{
	return strcmp(options->policy.ids, "keep") == 0;
}

/* Are users created first?  If not, a notice says why. */
static bool
creates_users(const RunOptions *options)
{
	if (options->users && ids_stay(options))
		ereport(NOTICE,
				(errmsg("users are not moved: there is no auth server for users who keep their ids"),
				 errhint("Move them by other means, under the ids that they have.")));
	return options->users && !ids_stay(options) &&
		ftm_user_step_is_possible(options->auth_server);
}

/*
 * An attempt at a dry run: its answer is estimates.
 */
static void
plan_only(Leader *leader)
{
	check_and_plan(leader);
	leader->results = planned_tables(leader);
}

/*
 * An attempt at the run itself.
 */
static void
run_plan(Leader *leader)
{
	/* Workers start and connect while the plan is made under the snapshot. */
	start_loaders(leader);
	take_decisions(leader);
	check_and_plan(leader);
	refuse_locked_tables(leader->plan);
	ftm_pool_check_size(leader->pool,
						Min(leader->workers,
							Max(1, list_length(leader->plan->tables))));
	if (leader->run_id == 0)
		leader->with_users = creates_users(leader->options);
	if (leader->with_users)
		plan_users(leader);
	if (leader->with_users && leader->run_id == 0)
		ftm_user_step_check(leader->pool, leader->users);
	if (leader->options->restart && !leader->restarted)
		roll_back_earlier_run(leader);
	if (begin_run(leader) || reopen_run(leader))
		carry_out(leader);
	else
		leader->results = ftm_leader_tables_of_run(leader->run_id);
	ftm_pool_end(leader->pool);
}

/*
 * The pool outlives an attempt, its loaders do not.
 */
static void
start_loaders(Leader *leader)
{
	if (leader->pool != NULL)
		ftm_pool_restart_loaders(leader->pool);
	else
		leader->pool = ftm_pool_begin(leader->workers);
}

List *
ftm_leader_verify(const Scope *scope, ImportDirectory *import,
				  bool compare_source)
{
	RunOptions	options = {0};
	Leader		leader = {0};
	int			nestlevel = ftm_target_pin_settings();

	options.import = import;
	leader.options = &options;
	leader.scope = scope;
	leader.workers = ftm_workers;
	if (import == NULL || compare_source)
		leader.server = ftm_options_source_server(scope->source);
	do_persistently(&leader, verify_plan);
	if (leader.source != NULL)
		ftm_source_disconnect(leader.source);
	ftm_target_restore(nestlevel);
	return leader.verdicts;
}

/*
 * An attempt at verification alone.
 */
static void
verify_plan(Leader *leader)
{
	ImportDirectory *import = leader->options->import;
	VerifyResult *freeze;

	start_loaders(leader);
	ftm_pool_check_size(leader->pool, leader->workers);
	if (leader->server != NULL)
	{
		connect_source(leader);
		set_snapshot(leader, ftm_source_export_snapshot(leader->source));
	}
	plan_verification(leader);
	ftm_step_find_unmapped_users(leader);
	ftm_step_join_run(leader->pool, 0, leader->unmapped);
	if (leader->source != NULL &&
		GetForeignServerByName(DEFAULT_AUTH_SERVER, true) != NULL &&
		ftm_user_step_was_done())
	{
		leader->users = ftm_users_make_task(leader->scope->source,
											DEFAULT_AUTH_SERVER);
		leader->users->snapshot = leader->snapshot;
	}
	ftm_pool_set_tick(leader->pool, ftm_progress_interval,
					  ftm_progress_report_verify, leader->pool);
	leader->verdicts = ftm_verify_plan(leader->plan);
	if (import != NULL)
		leader->verdicts = list_concat(leader->verdicts,
									   ftm_import_verify(import, leader->plan,
														 leader->source));
	ftm_step_verify(leader);
	freeze = import != NULL ? NULL :
		ftm_freeze_since_run(leader->scope->source, leader->plan,
							 leader->verdicts);
	if (freeze != NULL)
		leader->verdicts = lappend(leader->verdicts, freeze);
	ftm_pool_end(leader->pool);
}

/*
 * An import brings along what was decided about columns with user ids.  The
 * plan rests on it, and so does all that is done with the tables afterwards: it
 * must outlive a failure of this call.
 */
static void
take_decisions(Leader *leader)
{
	ExportDecisions decisions;
	StringInfoData payload;
	int			taken;

	if (leader->options->import == NULL)
		return;
	decisions = *leader->options->import->decisions;
	decisions.schemas = leader->scope->schemas;
	ftm_decisions_check(&decisions, leader->options->policy.ids);

	initStringInfo(&payload);
	ftm_decisions_put(&payload, &decisions);
	taken = (int) pq_getmsgint(ftm_pool_call(leader->pool, POOL_KEEPER,
											 COMMAND_TAKE_DECISIONS,
											 &payload), 4);
	if (taken > 0)
		ereport(NOTICE,
				(errmsg("decisions about columns with user ids taken from the export: %d",
						taken)));
}

/*
 * Go no further if anything would make the run fail.
 */
static void
check_and_plan(Leader *leader)
{
	const RunOptions *options = leader->options;
	Preflight	preflight = {0};
	bool		complete;
	bool		same_scope;

	preflight.server = leader->server;
	preflight.scope = options->scope;
	preflight.policy = options->policy;
	preflight.rows_allowed = options->replace || options->dry_run;
	preflight.verify = options->verify;
	preflight.workers = options->workers;
	preflight.auth_server = options->auth_server;
	preflight.run_id = leader->run_id;
	if (preflight.run_id == 0)
		preflight.run_id = ftm_state_find_run(options->scope->source,
											  options_text(options),
											  &complete, &same_scope);
	if (options->import != NULL)
	{
		preflight.catalog = ftm_import_catalog(options->import,
											   options->scope->schemas);
		preflight.record = options->import->record;
	}
	else
	{
		connect_source(leader);
		preflight.source = leader->source;
		ftm_check_run_source(&preflight);
		set_snapshot(leader, preflight.snapshot);
	}
	ftm_check_run(&preflight);

	leader->activity = preflight.activity;
	leader->plan = preflight.plan;
	leader->checks = preflight.results;
	if (options->import != NULL)
		ftm_import_adapt_plan(options->import, leader->plan);
}

/*
 * Workers need a source unless there is an import.  They follow once the source
 * has let the leader in: a wrong password is not tried several times.
 */
static void
connect_source(Leader *leader)
{
	leader->source = ftm_source_connect(leader->server, CurrentMemoryContext);
	if (leader->pool != NULL && leader->options->import == NULL)
		ftm_step_open_sources(leader->pool, leader->server);
}

static void
set_snapshot(Leader *leader, char *snapshot)
{
	leader->snapshot = snapshot;
	if (leader->pool != NULL && leader->options->import == NULL)
		ftm_step_set_snapshot(leader->pool, snapshot);
}

/*
 * What a run would stop at is a verdict here, what it would warn of a warning,
 * unless only a load cares about it.
 */
static void
plan_verification(Leader *leader)
{
	ListCell   *lc;

	if (leader->options->import == NULL)
		leader->plan = ftm_plan_build(leader->scope, leader->source, NULL);
	else
	{
		leader->plan = ftm_plan_build_for(leader->scope,
										  ftm_import_catalog(leader->options->import,
															 leader->scope->schemas),
										  NULL);
		ftm_import_adapt_plan(leader->options->import, leader->plan);
	}

	foreach(lc, leader->plan->warnings)
	{
		PlanFinding *finding = lfirst(lc);

		if (finding->topic != PLAN_TARGET_TABLES)
			ereport(WARNING,
					(errmsg_internal("%s", ftm_plan_finding_text(finding))));
	}
}

static List *
planned_tables(Leader *leader)
{
	List	   *results = NIL;
	ListCell   *lc;

	ftm_plan_estimate(leader->plan, leader->source);
	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		RunTableResult *result = palloc0(sizeof(RunTableResult));

		result->table_name = table->name;
		result->counts.rows = (int64) Max(0, table->source->rows);
		result->counts.bytes = table->source->bytes;
		result->counts.ids_mapped = -1;
		result->counts.seconds = table->seconds;
		result->status = "planned";
		results = lappend(results, result);
	}
	return results;
}

/*
 * A run that keeps ids in undecided columns says so wherever it says that a
 * table is as it should be.
 */
static const char *
verdict_of_table(const char *status, const TableResult *counts)
{
	if (counts->ids_undecided == 0)
		return status;
	return psprintf("%s, " INT64_FORMAT " ids kept in undecided columns",
					status, counts->ids_undecided);
}

/*
 * Reading a run's state is no task for a worker: nothing is written.
 */
List *
ftm_leader_tables_of_run(int64 run_id)
{
	List	   *results = NIL;
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT table_name, rows, bytes, ids_mapped, ids_kept,"
						   "       ids_undecided,"
						   "       CASE WHEN verified THEN 'verified' ELSE status END"
						   "  FROM @schema@.ftm_run_table"
						   " WHERE run_id = $1::bigint"
						   " ORDER BY bytes DESC NULLS LAST, table_name",
						   1, params);
	for (int i = 0; i < rows->nrows; i++)
	{
		RunTableResult *result = palloc0(sizeof(RunTableResult));

		result->table_name = ftm_rowset_value(rows, i, 0);
		result->counts.rows = ftm_rowset_int64(rows, i, 1);
		result->counts.bytes = ftm_rowset_int64(rows, i, 2);
		result->counts.ids_mapped = ftm_rowset_int64(rows, i, 3);
		result->counts.ids_kept = ftm_rowset_int64(rows, i, 4);
		result->counts.seconds = -1;
		result->counts.ids_undecided = ftm_rowset_int64(rows, i, 5);
		result->status = verdict_of_table(ftm_rowset_value(rows, i, 6),
										  &result->counts);
		results = lappend(results, result);
	}
	return results;
}

static void
refuse_locked_tables(const MigrationPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		ftm_leader_refuse_locked_table(table->target->oid, table->name);
	}
}

/*
 * Workers would wait for a lock of ours until lock_timeout.  It can only have
 * been taken by the calling statement itself ("SELECT ... FROM t, ftm_...").
 */
void
ftm_leader_refuse_locked_table(Oid relid, const char *name)
{
	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
	{
		LOCKTAG		tag;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
		if (ftm_lock_held_by_me(&tag, mode))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the calling statement holds a lock on table %s",
							name),
					 errhint("Call the function in a statement that uses no other table.")));
	}
}

/*
 * On the name of the source, by which runs are known: the server of an old run
 * may be gone.
 */
void
ftm_leader_take_lock(const char *source)
{
	LOCKTAG		tag;

	char	   *holder;

	ftm_named_lock_tag(&tag, LOCK_SOURCE, source);
	if (LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL)
		return;
	holder = ftm_named_lock_holder(&tag);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("a run from source \"%s\" is in progress in another session",
					source),
			 holder != NULL ? errdetail_internal("%s", holder) : 0,
			 errhint("Wait for it to end; ftm_run shows its state.")));
}

/*
 * What to tell a worker about the users, in the very snapshot that the rows
 * are read from.
 */
static void
plan_users(Leader *leader)
{
	leader->users = ftm_users_make_task(leader->server->name,
										leader->options->auth_server);
	leader->users->snapshot = leader->snapshot;
}

/*
 * Before any loader reads the user map.
 */
static void
migrate_users(Leader *leader)
{
	leader->users->run_id = leader->run_id;
	ftm_user_step_raise(ERROR,
						ftm_user_step_call(leader->pool, COMMAND_MIGRATE_USERS,
										   leader->users),
						leader->users);
}

/*
 * All steps between the run's beginning and its end.
 */
static void
carry_out(Leader *leader)
{
	ListCell   *lc;

	foreach(lc, leader->checks)
	{
		CheckResult *check = lfirst(lc);

		if (check->status == CHECK_WARN)
			ftm_progress_log(leader->pool, "WARNING",
							 psprintf("%s  %s", check->detail, check->hint),
							 NULL);
	}
	ftm_pool_set_tick(leader->pool, ftm_progress_interval,
					  ftm_progress_report_run, &leader->run_id);

	if (leader->users != NULL)
	{
		ftm_progress_begin_step(leader->pool, "create users");
		migrate_users(leader);
	}
	if (leader->activity != NULL)
		ftm_freeze_record(leader->pool, leader->activity, false);
	ftm_progress_begin_step(leader->pool, "load tables");
	ftm_step_find_unmapped_users(leader);
	ftm_step_report_unmapped_users(leader);
	ftm_step_join_run(leader->pool, leader->run_id, leader->unmapped);
	ftm_step_invalidate_keys(leader);
	ftm_step_load_tables(leader);
	ftm_progress_begin_step(leader->pool, "set sequences");
	ftm_step_set_sequences(leader);
	ftm_step_catch_up(leader);
	ftm_progress_begin_step(leader->pool, "check foreign keys");
	ftm_step_check_keys(leader);
	ftm_progress_begin_step(leader->pool, "analyze tables");
	if (!leader->options->verify)
		ftm_step_ask_freeze(leader);
	ftm_step_analyze_tables(leader);
	if (leader->options->verify)
	{
		ftm_progress_begin_step(leader->pool, "verify");
		ftm_step_verify(leader);
		ftm_step_ask_freeze(leader);
	}
	ftm_pool_dismiss_loaders(leader->pool);
	ftm_step_check_freeze(leader);
	ftm_step_record_verdicts(leader);
	if (leader->options->verify)
		ftm_step_raise_verdict(leader);
	end_run(leader, leader->options->verify ? "verified" : "loaded");
}

/*
 * The options of the run as jsonb text; "scope" is what a later call must
 * repeat to continue the run.
 */
static char *
options_text(const RunOptions *options)
{
	const Scope *scope = options->scope;
	List	   *lists[3] = {scope->schemas, scope->include, scope->exclude};
	const char *names[3] = {"schemas", "include", "exclude"};
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, "{\"scope\": {");
	for (int i = 0; i < 3; i++)
	{
		ListCell   *lc;

		appendStringInfo(&text, "%s\"%s\": [", i > 0 ? ", " : "", names[i]);
		foreach(lc, lists[i])
		{
			if (lc != list_head(lists[i]))
				appendStringInfoString(&text, ", ");
			escape_json(&text, lfirst(lc));
		}
		appendStringInfoChar(&text, ']');
	}
	if (options->import != NULL)
	{
		appendStringInfoString(&text, ", \"directory\": ");
		escape_json(&text, options->import->path);
	}
	appendStringInfo(&text, "}, \"workers\": %d, \"existing\": \"%s\", \"verify\": %s, \"unmapped\": ",
					 options->workers,
					 options->replace ? "truncate" : "error",
					 options->verify ? "true" : "false");
	if (options->policy.unmapped != NULL)
		escape_json(&text, options->policy.unmapped);
	else
		appendStringInfoString(&text, "null");
	appendStringInfo(&text, ", \"undecided\": \"%s\", \"ids\": \"%s\"}",
					 options->policy.undecided, options->policy.ids);
	return text.data;
}

/*
 * restart => true: what an earlier run has loaded goes first, unless somebody
 * has changed it since.
 */
static void
roll_back_earlier_run(Leader *leader)
{
	RollbackRequest request = {0};
	bool		complete;
	bool		same_scope;

	request.run_id = ftm_state_find_run(leader->options->scope->source,
										options_text(leader->options),
										&complete, &same_scope);
	request.restart = true;
	if (request.run_id != 0)
		(void) ftm_control_roll_back(leader->pool, &request);
	leader->restarted = true;
}

/*
 * Have the keeper find or make the run.  False if there is nothing to do.
 */
static bool
begin_run(Leader *leader)
{
	StringInfoData request;
	StringInfo	ticket;
	bool		first;
	bool		resumed;
	bool		complete;
	ListCell   *lc;

	initStringInfo(&request);
	ftm_task_put_string(&request, leader->options->scope->source);
	ftm_task_put_string(&request, options_text(leader->options));
	ftm_task_put_string(&request, leader->options->policy.ids);
	ftm_task_put_string(&request, leader->snapshot);
	pq_sendint64(&request, leader->run_id);
	pq_sendbyte(&request, leader->reopens);
	pq_sendint32(&request, MyProcPid);
	pq_sendint64(&request, MyStartTimestamp);
	pq_sendint32(&request, leader->plan->source->version);
	pq_sendint32(&request, list_length(leader->plan->tables));
	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		ftm_task_put_string(&request, table->name);
		pq_sendint32(&request, table->target->oid);
		pq_sendint64(&request, table->fingerprint);
		pq_sendint64(&request, (int64) table->source->rows);
		pq_sendint64(&request, table->source->bytes);
	}

	ticket = ftm_pool_call(leader->pool, POOL_KEEPER, COMMAND_BEGIN_RUN,
						   &request);
	first = leader->run_id == 0;
	leader->run_id = pq_getmsgint64(ticket);
	resumed = pq_getmsgbyte(ticket);
	complete = pq_getmsgbyte(ticket);
	leader->run_ended = complete;
	if (first && leader->options->begun != NULL)
		leader->options->begun(leader->run_id);

	if (resumed)
		ereport(NOTICE,
				(errmsg("continuing run " INT64_FORMAT, leader->run_id)));
	return !complete;
}

/*
 * Is there something to do for a complete run all the same?  Then it goes on.
 * An error, and a lost source, find it complete until it does.
 */
static bool
reopen_run(Leader *leader)
{
	int64		run_id = leader->run_id;
	bool		needed;

	leader->run_id = 0;
	ftm_step_find_unmapped_users(leader);
	needed = ftm_reopen_is_needed(leader, run_id);
	leader->run_id = run_id;
	leader->reopens = needed;
	if (needed)
		(void) begin_run(leader);
	leader->reopens = false;
	return needed;
}

/*
 * Stop everything, and have the keeper write down why, if there is a run that
 * has not ended.  The loaders' locks and source connections are gone before the
 * caller sees the error.  A keeper that takes no commands any more, or not the
 * whole of one, finds its queue at an end, and writes down by itself that the
 * leader has gone.
 */
static void
end_pool_after_failure(Leader *leader, const ErrorData *error)
{
	PG_TRY();
	{
		ftm_pool_stop_loaders(leader->pool);
		if (leader->run_id != 0 && !leader->run_ended &&
			ftm_pool_keeper_listens(leader->pool))
			record_failure(leader, error);
		ftm_pool_end(leader->pool);
	}
	PG_CATCH();
	{
		/* The first error is the one to report; the keeper, if it lives,
		 * writes that the leader is gone. */
		FlushErrorState();
	}
	PG_END_TRY();
}

static void
record_failure(Leader *leader, const ErrorData *error)
{
	StringInfoData failure;

	initStringInfo(&failure);
	ftm_task_put_string(&failure, ftm_pool_failed_object(leader->pool));
	ftm_task_put_string(&failure, unpack_sql_state(error->sqlerrcode));
	ftm_task_put_string(&failure, error->message);
	(void) ftm_pool_call(leader->pool, POOL_KEEPER, COMMAND_FAIL_RUN,
						 &failure);
}

static void
end_run(Leader *leader, const char *status)
{
	StringInfoData payload;
	int64		undecided = 0;
	ListCell   *lc;

	initStringInfo(&payload);
	ftm_task_put_string(&payload, status);
	(void) ftm_pool_call(leader->pool, POOL_KEEPER, COMMAND_END_RUN, &payload);
	leader->run_ended = true;
	foreach(lc, leader->results)
	{
		RunTableResult *result = lfirst(lc);

		result->status = verdict_of_table(result->counts.kept ? "kept" : status,
										  &result->counts);
		undecided += result->counts.ids_undecided;
	}
	if (undecided > 0)
		ereport(WARNING,
				(errmsg("ids of known users are kept in columns that nobody has decided about: " INT64_FORMAT,
						undecided),
				 errhint("SELECT object, detail FROM ftm_verify() WHERE kind = 'user ids left'; shows the columns.")));
}
