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
#include "common/hashfn.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "check.h"
#include "compat.h"
#include "control.h"
#include "freeze.h"
#include "leader.h"
#include "options.h"
#include "plan.h"
#include "pool.h"
#include "progress.h"
#include "source.h"
#include "state.h"
#include "target.h"
#include "user_step.h"
#include "verify.h"

/*
 * One call; lives in the memory context of the call.
 */
typedef struct Leader
{
	const RunOptions *options;
	SourceServer *server;
	SourceConnection *source;	/* holds the exported snapshot */
	char	   *snapshot;
	SourceActivity *activity;	/* of the source, just before the snapshot */
	MigrationPlan *plan;
	List	   *checks;			/* of CheckResult: what the preflight found */
	WorkerPool *pool;
	UsersTask  *users;			/* NULL: users are not this run's business */
	int64		run_id;
	List	   *results;		/* of RunTableResult */
	List	   *verdicts;		/* of VerifyResult */
} Leader;

static void check_and_plan(Leader *leader);
static void connect_and_plan(Leader *leader, const Scope *scope);
static List *planned_tables(Leader *leader);
static void run_plan(Leader *leader);
static void refuse_locked_tables(const MigrationPlan *plan);
static UsersTask *plan_users(const Leader *leader);
static void migrate_users(Leader *leader);
static void roll_back_earlier_run(Leader *leader);
static bool begin_run(Leader *leader);
static void carry_out_persistently(Leader *leader);
static ErrorData *try_to_carry_out(Leader *leader, const ErrorData *loss,
								   int attempt);
static void regain_source(Leader *leader, const ErrorData *loss, int attempt);
static void wait_for(double delay);
static void carry_out(Leader *leader);
static void record_failure(Leader *leader, const ErrorData *error);
static void open_sources(Leader *leader);
static void invalidate_keys(Leader *leader);
static void load_tables(Leader *leader);
static void set_sequences(Leader *leader);
static void check_keys(Leader *leader);
static void analyze_tables(Leader *leader);
static void verify(Leader *leader);
static void check_freeze(Leader *leader);
static void raise_verdict(Leader *leader);
static void end_run(Leader *leader, const char *status);

/*
 * What workers commit stays, whatever becomes of the caller's transaction: so
 * there must be none but this statement's.  Locks that the block holds already
 * would stop the workers, too.
 */
void
ftm_leader_refuse_transaction_block(const char *function)
{
	if (IsTransactionBlock() || IsSubTransaction())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block", function),
				 errdetail("Its workers commit table by table."),
				 errhint("Call it outside of BEGIN ... COMMIT.  Clients that turn autocommit off, and psql with FETCH_COUNT set, open a transaction block by themselves.")));
	PreventCommandIfReadOnly(function);
	PreventCommandDuringRecovery(function);
}

List *
ftm_leader_run(const RunOptions *options)
{
	Leader		leader = {0};
	int			nestlevel = ftm_target_pin_settings();

	/* The lock first: planning may itself wait for a table that is loaded. */
	leader.options = options;
	leader.server = ftm_options_source_server(options->scope->source);
	if (!options->dry_run)
		ftm_leader_take_lock(leader.server->name);
	check_and_plan(&leader);
	if (options->dry_run)
		leader.results = planned_tables(&leader);
	else
		run_plan(&leader);
	ftm_source_disconnect(leader.source);
	ftm_target_restore(nestlevel);
	return leader.results;
}

/*
 * The run itself, with a failure written down before it is raised.
 */
static void
run_plan(Leader *leader)
{
	refuse_locked_tables(leader->plan);

	leader->pool = ftm_pool_start(Min(leader->options->workers,
									 Max(1, list_length(leader->plan->tables))));
	leader->users = plan_users(leader);
	if (leader->users != NULL)
		ftm_user_step_check(leader->pool, leader->users);
	if (leader->options->restart)
		roll_back_earlier_run(leader);
	if (!begin_run(leader))
	{
		ftm_pool_end(leader->pool);
		leader->results = ftm_leader_tables_of_run(leader->run_id);
	}
	else
	{
		carry_out_persistently(leader);
		ftm_pool_end(leader->pool);
	}
}

/*
 * Carry the run out, and begin again where it stopped if the source was lost.
 * Any other error, or one too many, ends the call.
 */
static void
carry_out_persistently(Leader *leader)
{
	ErrorData  *loss = NULL;

	for (int attempt = 0;; attempt++)
	{
		ErrorData  *error = try_to_carry_out(leader, loss, attempt);

		if (error == NULL)
			return;
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_CONNECTION_EXCEPTION ||
			attempt >= ftm_retries)
		{
			record_failure(leader, error);
			ReThrowError(error);
		}
		loss = error;
	}
}

/*
 * One attempt; returns the error that ended it, or NULL.  Going on after an
 * error without a subtransaction is safe for a lost source only: that is raised
 * by libpq's wrapper or relayed from a worker, while the leader holds nothing
 * that an abort would have to clean up.
 */
static ErrorData *
try_to_carry_out(Leader *leader, const ErrorData *loss, int attempt)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		if (loss != NULL)
			regain_source(leader, loss, attempt);
		carry_out(leader);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(TopTransactionContext);
		error = CopyErrorData();
		FlushErrorState();
		MemoryContextSwitchTo(context);
	}
	PG_END_TRY();
	return error;
}

/*
 * The snapshot went with the connection.  With a new one the plan is made anew,
 * too; tables that are loaded already are compared with it (see load.c).
 */
static void
regain_source(Leader *leader, const ErrorData *loss, int attempt)
{
	double		delay = Min(60000.0, ldexp(ftm_retry_delay, attempt - 1));
	char	   *message;

	ftm_pool_stop_loaders(leader->pool);
	ftm_source_disconnect(leader->source);

	message = psprintf("%s; attempt %d of %d to go on in %.1f s",
					   loss->message, attempt, ftm_retries, delay / 1000);
	ereport(WARNING,
			(errcode(loss->sqlerrcode),
			 errmsg_internal("%s", message),
			 loss->detail != NULL ? errdetail_internal("%s", loss->detail) : 0));
	ftm_progress_log(leader->pool, "WARNING", message, NULL);

	wait_for(delay);
	check_and_plan(leader);
	refuse_locked_tables(leader->plan);
	if (leader->users != NULL)
		leader->users->snapshot = leader->snapshot;
	ftm_pool_restart_loaders(leader->pool);
	(void) begin_run(leader);
}

/*
 * Wait, in milliseconds.
 */
static void
wait_for(double delay)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  (int64) delay);
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
												   end)) > 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 left, ftm_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

List *
ftm_leader_verify(const Scope *scope, ImportDirectory *import)
{
	RunOptions	options = {0};
	Leader		leader = {0};
	VerifyResult *freeze;
	int			nestlevel = ftm_target_pin_settings();

	options.import = import;
	leader.options = &options;
	leader.server = ftm_options_source_server(scope->source);
	connect_and_plan(&leader, scope);
	if (import != NULL)
		ftm_import_adapt_plan(import, leader.plan);
	leader.pool = ftm_pool_start(Min(ftm_workers,
									 Max(1, list_length(leader.plan->tables))));
	if (GetForeignServerByName(DEFAULT_AUTH_SERVER, true) != NULL &&
		ftm_user_step_was_done())
	{
		leader.users = ftm_users_make_task(scope->source, DEFAULT_AUTH_SERVER);
		leader.users->snapshot = leader.snapshot;
	}
	open_sources(&leader);
	leader.verdicts = ftm_verify_plan(leader.plan);
	if (import != NULL)
		leader.verdicts = list_concat(leader.verdicts,
									  ftm_import_verify(import, leader.plan,
														leader.source));
	verify(&leader);
	freeze = import != NULL ? NULL :
		ftm_freeze_since_run(scope->source, leader.plan, leader.verdicts);
	if (freeze != NULL)
		leader.verdicts = lappend(leader.verdicts, freeze);
	ftm_pool_end(leader.pool);
	ftm_source_disconnect(leader.source);
	ftm_target_restore(nestlevel);
	return leader.verdicts;
}

/*
 * Go no further if anything would make the run fail.
 */
static void
check_and_plan(Leader *leader)
{
	const RunOptions *options = leader->options;
	Preflight	preflight = {0};

	preflight.server = leader->server;
	preflight.scope = options->scope;
	preflight.unmapped = options->unmapped;
	preflight.rows_allowed = options->replace || options->dry_run;
	preflight.verify = options->verify;
	preflight.workers = options->workers;
	preflight.auth_server = options->auth_server;
	ftm_check_run(&preflight);

	leader->source = preflight.source;
	leader->activity = preflight.activity;
	leader->snapshot = preflight.snapshot;
	leader->plan = preflight.plan;
	leader->checks = preflight.results;
	if (options->import != NULL)
		ftm_import_adapt_plan(options->import, leader->plan);
}

/*
 * The snapshot first: the plan is read under it.
 */
static void
connect_and_plan(Leader *leader, const Scope *scope)
{
	ListCell   *lc;

	leader->source = ftm_source_connect(leader->server, CurrentMemoryContext);
	leader->snapshot = ftm_source_export_snapshot(leader->source);
	leader->plan = ftm_plan_build(scope, leader->source, NULL);

	foreach(lc, leader->plan->warnings)
		ereport(WARNING,
				(errmsg_internal("%s", ftm_plan_finding_text(lfirst(lc)))));
}

/*
 * The answer of a dry run: estimates.
 */
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
 * Reading a run's state is no task for a worker: nothing is written.
 */
List *
ftm_leader_tables_of_run(int64 run_id)
{
	List	   *results = NIL;
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT table_name, rows, bytes, ids_mapped, ids_kept,"
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
		result->status = ftm_rowset_value(rows, i, 5);
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
		if (LockHeldByMe(&tag, mode))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the calling statement holds a lock on table %s",
							name),
					 errhint("Call the function in a statement that uses no other table.")));
	}
}

/*
 * An advisory lock in a key space of our own, on the name of the source, by
 * which runs are known: the server of an old run may be gone.
 */
void
ftm_leader_take_lock(const char *source)
{
	LOCKTAG		tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, POOL_MAGIC,
						 hash_bytes((const unsigned char *) source,
									(int) strlen(source)), 2);
	if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a run from source \"%s\" is in progress in another session",
						source),
				 errhint("Wait for it to end; ftm_run shows its state.")));
}

/*
 * What to tell a worker about the users, in the very snapshot that the rows
 * are read from; NULL if no users are to be created.
 */
static UsersTask *
plan_users(const Leader *leader)
{
	const RunOptions *options = leader->options;
	UsersTask  *task;

	if (!options->users || !ftm_user_step_is_possible(options->auth_server))
		return NULL;
	task = ftm_users_make_task(leader->server->name, options->auth_server);
	task->snapshot = leader->snapshot;
	return task;
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

	leader->results = NIL;
	leader->verdicts = NIL;
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
	ftm_freeze_record(leader->pool, leader->activity, false);
	ftm_progress_begin_step(leader->pool, "load tables");
	open_sources(leader);
	invalidate_keys(leader);
	load_tables(leader);
	ftm_progress_begin_step(leader->pool, "set sequences");
	set_sequences(leader);
	ftm_progress_begin_step(leader->pool, "check foreign keys");
	check_keys(leader);
	ftm_progress_begin_step(leader->pool, "analyze tables");
	analyze_tables(leader);
	if (!leader->options->verify)
	{
		check_freeze(leader);
		end_run(leader, "loaded");
		return;
	}
	ftm_progress_begin_step(leader->pool, "verify");
	verify(leader);
	check_freeze(leader);
	raise_verdict(leader);
	end_run(leader, "verified");
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
	if (options->unmapped != NULL)
		escape_json(&text, options->unmapped);
	else
		appendStringInfoString(&text, "null");
	appendStringInfoChar(&text, '}');
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
	ftm_task_put_string(&request, leader->snapshot);
	pq_sendint64(&request, leader->run_id);
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
	if (first && leader->options->begun != NULL)
		leader->options->begun(leader->run_id);

	if (complete)
		ereport(NOTICE,
				(errmsg("run " INT64_FORMAT " is complete and verified, there is nothing to do",
						leader->run_id),
				 errhint("Use restart => true to roll it back and start over.")));
	else if (resumed)
		ereport(NOTICE,
				(errmsg("continuing run " INT64_FORMAT, leader->run_id)));
	return !complete;
}

/*
 * Stop everything, then have the keeper write down why.  The loaders' locks
 * and source connections are gone before the caller sees the error.
 */
static void
record_failure(Leader *leader, const ErrorData *error)
{
	StringInfoData failure;

	PG_TRY();
	{
		ftm_pool_stop_loaders(leader->pool);
		initStringInfo(&failure);
		ftm_task_put_string(&failure, ftm_pool_failed_object(leader->pool));
		ftm_task_put_string(&failure, unpack_sql_state(error->sqlerrcode));
		ftm_task_put_string(&failure, error->message);
		(void) ftm_pool_call(leader->pool, POOL_KEEPER, COMMAND_FAIL_RUN,
							 &failure);
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
open_sources(Leader *leader)
{
	StringInfoData payload;

	initStringInfo(&payload);
	pq_sendint64(&payload, leader->run_id);
	pq_sendint32(&payload, leader->server->serverid);
	ftm_task_put_string(&payload, leader->server->name);
	ftm_task_put_string(&payload, leader->snapshot);
	ftm_pool_broadcast(leader->pool, COMMAND_OPEN_SOURCE, &payload);
}

static PoolTask *
make_task(WorkerCommand command, const char *object, void *arg,
		  void (*done) (void *arg, StringInfo result))
{
	PoolTask   *task = palloc0(sizeof(PoolTask));

	task->command = command;
	task->payload = makeStringInfo();
	task->object = object;
	task->arg = arg;
	task->done = done;
	return task;
}

static void
invalidate_keys(Leader *leader)
{
	PoolTask   *task = make_task(COMMAND_INVALIDATE_KEYS, NULL, NULL, NULL);
	ListCell   *lc;

	pq_sendint32(task->payload, list_length(leader->plan->tables));
	foreach(lc, leader->plan->tables)
		pq_sendint32(task->payload, ((PlanTable *) lfirst(lc))->target->oid);
	ftm_pool_run(leader->pool, list_make1(task));
}

static void
table_loaded(void *arg, StringInfo result)
{
	RunTableResult *table = arg;

	ftm_task_get_result(result, &table->counts);
	table->status = table->counts.kept ? "kept" : "loaded";
	ftm_progress_report_table(table->table_name, &table->counts);
}

static TableChecksum *
build_checksum(const Leader *leader, const PlanTable *table)
{
	int			version = ftm_source_version(leader->source);
	TableChecksum *checksum = ftm_checksum_build(table, version);

	if (leader->options->import != NULL)
		ftm_import_adapt_checksum(leader->options->import, table, version,
								  checksum);
	return checksum;
}

/*
 * One task per table, the plan's order: largest first.
 */
static void
load_tables(Leader *leader)
{
	List	   *tasks = NIL;
	ListCell   *lc;

	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		RunTableResult *result = palloc0(sizeof(RunTableResult));
		PoolTask   *task = make_task(COMMAND_LOAD_TABLE, table->name,
									 result, table_loaded);
		TableTask  *load = palloc0(sizeof(TableTask));
		ListCell   *lc2;

		load->run_id = leader->run_id;
		load->table_name = table->name;
		load->relid = table->target->oid;
		load->method = table->method;
		load->binary = table->binary;
		load->replace = leader->options->replace;
		load->copy_sql = table->copy_sql;
		load->fingerprint = table->fingerprint;
		load->checksum = build_checksum(leader, table);
		if (leader->options->import != NULL)
			ftm_import_adapt_task(leader->options->import, table, load);
		load->column_names = palloc(sizeof(char *) * Max(1, list_length(table->columns)));
		load->columns = palloc(sizeof(RewriteColumn) * Max(1, list_length(table->columns)));
		foreach(lc2, table->columns)
		{
			PlanColumn *column = lfirst(lc2);

			if (column->generated)
				continue;
			load->column_names[load->ncolumns] = column->target->name;
			load->columns[load->ncolumns].mode = column->mode;
			load->columns[load->ncolumns].unmapped_is_error =
				column->unmapped_is_error;
			load->ncolumns++;
		}
		ftm_task_put_table(task->payload, load);

		result->table_name = table->name;
		result->status = "pending";
		leader->results = lappend(leader->results, result);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);
}

static void
set_sequences(Leader *leader)
{
	PoolTask   *task = make_task(COMMAND_SET_SEQUENCES, "the sequences",
								 NULL, NULL);
	ListCell   *lc;

	if (leader->plan->sequences == NIL)
		return;
	pq_sendint32(task->payload, list_length(leader->plan->sequences));
	foreach(lc, leader->plan->sequences)
	{
		PlanSequence *sequence = lfirst(lc);

		ftm_task_put_string(task->payload, sequence->target->qualified);
		pq_sendint64(task->payload, sequence->source->last_value);
		pq_sendbyte(task->payload, sequence->source->is_called);
	}
	ftm_pool_run(leader->pool, list_make1(task));
}

/*
 * A foreign key of the target, and what the check of it found.
 */
typedef struct KeyCheck
{
	CatalogForeignKey *key;
	char	   *name;			/* "key" of table s.t */
	int64		orphans;
} KeyCheck;

static void
key_checked(void *arg, StringInfo result)
{
	((KeyCheck *) arg)->orphans = pq_getmsgint64(result);
}

static char *
key_name(const CatalogForeignKey *key)
{
	return psprintf("foreign key \"%s\" of table %s", key->name,
					quote_qualified_identifier(key->schema, key->table));
}

/*
 * Does the source have the same key, and not valid, too?  Then its orphans are
 * the application's own.
 */
static bool
not_valid_in_source(const Leader *leader, const CatalogForeignKey *key)
{
	ListCell   *lc;

	foreach(lc, leader->plan->source->foreign_keys)
	{
		CatalogForeignKey *other = lfirst(lc);

		if (!other->valid &&
			strcmp(other->name, key->name) == 0 &&
			strcmp(other->schema, key->schema) == 0 &&
			strcmp(other->table, key->table) == 0)
			return true;
	}
	return false;
}

/*
 * Check all foreign keys, and only then complain: about all at once.
 */
static void
check_keys(Leader *leader)
{
	List	   *tasks = NIL;
	StringInfoData broken;
	int			nbroken = 0;
	ListCell   *lc;

	foreach(lc, leader->plan->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		KeyCheck   *check = palloc0(sizeof(KeyCheck));
		PoolTask   *task;

		/* checked with its parent */
		if (key->is_partition_child)
			continue;
		check->key = key;
		check->name = key_name(key);
		task = make_task(COMMAND_CHECK_KEY, check->name, check, key_checked);
		pq_sendint32(task->payload, key->oid);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);

	initStringInfo(&broken);
	foreach(lc, tasks)
	{
		KeyCheck   *check = ((PoolTask *) lfirst(lc))->arg;

		if (check->orphans == 0)
			continue;
		if (not_valid_in_source(leader, check->key))
		{
			ereport(WARNING,
					(errmsg("%s stays not valid, as in the source", check->name),
					 errdetail("Rows without parent: " INT64_FORMAT ".",
							   check->orphans)));
			ftm_progress_log(leader->pool, "WARNING",
							 psprintf("%s stays not valid, as in the source",
									  check->name),
							 psprintf("{\"orphans\": " INT64_FORMAT "}",
									  check->orphans));
			continue;
		}
		appendStringInfo(&broken, "%sRows without parent by %s: " INT64_FORMAT ".",
						 nbroken++ > 0 ? "\n" : "", check->name, check->orphans);
	}
	if (nbroken > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg_plural("%d foreign key is violated",
							   "%d foreign keys are violated",
							   nbroken, nbroken),
				 errdetail_internal("%s", broken.data),
				 errhint("Load the tables they refer to as well, or drop the keys in the target.")));
}

static void
analyze_tables(Leader *leader)
{
	List	   *tasks = NIL;
	ListCell   *lc;

	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		PoolTask   *task = make_task(COMMAND_ANALYZE_TABLE, table->name,
									 NULL, NULL);

		pq_sendint32(task->payload, table->target->oid);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);
}

static void
verdict_reached(void *arg, StringInfo result)
{
	*(VerifyResult *) arg = *ftm_task_get_verdict(result);
}

/*
 * A task whose verdict will be in its place in the list, whichever worker is
 * first.
 */
static PoolTask *
make_verify_task(Leader *leader, WorkerCommand command, const char *object)
{
	VerifyResult *verdict = palloc0(sizeof(VerifyResult));

	leader->verdicts = lappend(leader->verdicts, verdict);
	return make_task(command, object, verdict, verdict_reached);
}

/*
 * The largest tables first, then keys and sequences.  The user map is no table
 * of the plan: the leader may read it.
 */
static void
verify(Leader *leader)
{
	List	   *tasks = NIL;
	ListCell   *lc;

	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		PoolTask   *task = make_verify_task(leader, COMMAND_VERIFY_TABLE,
											table->name);

		ftm_task_put_string(task->payload, table->name);
		ftm_task_put_checksum(task->payload, build_checksum(leader, table));
		tasks = lappend(tasks, task);
	}
	foreach(lc, leader->plan->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		PoolTask   *task;

		if (key->is_partition_child)
			continue;
		task = make_verify_task(leader, COMMAND_VERIFY_KEY, key_name(key));
		pq_sendint32(task->payload, key->oid);
		pq_sendbyte(task->payload, !not_valid_in_source(leader, key));
		tasks = lappend(tasks, task);
	}
	foreach(lc, leader->plan->sequences)
	{
		PlanSequence *sequence = lfirst(lc);
		PoolTask   *task = make_verify_task(leader, COMMAND_VERIFY_SEQUENCE,
											sequence->target->qualified);

		ftm_task_put_sequence(task->payload, sequence->source);
		ftm_task_put_sequence(task->payload, sequence->target);
		tasks = lappend(tasks, task);
	}
	if (leader->users != NULL)
	{
		PoolTask   *task = make_verify_task(leader, COMMAND_VERIFY_USERS,
											NULL);

		ftm_users_put_task(task->payload, leader->users);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);

	leader->verdicts = lappend(leader->verdicts, ftm_verify_user_map());
}

/*
 * Everything has been read: let go of the snapshot and look whether the source
 * has moved on.  Without verification there is no verdict to add it to.
 */
static void
check_freeze(Leader *leader)
{
	SourceActivity *now;
	VerifyResult *verdict;

	ftm_source_end_snapshot(leader->source);
	now = ftm_freeze_read(leader->source, leader->options->scope->schemas);
	ftm_freeze_record(leader->pool, now, true);
	verdict = ftm_freeze_verdict(leader->source, leader->server->name,
								 leader->plan, leader->activity, now,
								 leader->verdicts);
	leader->verdicts = lappend(leader->verdicts, verdict);
	if (!verdict->ok && !leader->options->verify)
		ereport(WARNING,
				(errmsg("the source was not frozen"),
				 errdetail_internal("%s", verdict->detail)));
}

/*
 * Fails closed: anything that is not ok ends the call with an error.
 */
static void
raise_verdict(Leader *leader)
{
	StringInfoData detail;
	char	   *first_table = NULL;
	int			nwrong = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, leader->verdicts)
	{
		VerifyResult *verdict = lfirst(lc);

		if (verdict->ok)
			continue;
		appendStringInfo(&detail, "%s%s %s: %s", nwrong++ > 0 ? "\n" : "",
						 verdict->kind, verdict->object, verdict->detail);
		if (first_table == NULL && strcmp(verdict->kind, "table") == 0)
			first_table = verdict->object;
	}
	if (nwrong > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg_plural("verification found %d difference between source and target",
							   "verification found %d differences between source and target",
							   nwrong, nwrong),
				 errdetail_internal("%s", detail.data),
				 first_table == NULL ?
				 errhint("SELECT * FROM ftm_verify(); shows them again.") :
				 errhint("SELECT * FROM ftm_run_table WHERE run_id = " INT64_FORMAT " AND NOT verified; shows the tables, SELECT * FROM ftm_diff(%s); the rows.",
						 leader->run_id, quote_literal_cstr(first_table))));
}

static void
end_run(Leader *leader, const char *status)
{
	StringInfoData payload;
	ListCell   *lc;

	initStringInfo(&payload);
	ftm_task_put_string(&payload, status);
	(void) ftm_pool_call(leader->pool, POOL_KEEPER, COMMAND_END_RUN, &payload);
	foreach(lc, leader->results)
		((RunTableResult *) lfirst(lc))->status =
			((RunTableResult *) lfirst(lc))->counts.kept ? "kept" : status;
}
