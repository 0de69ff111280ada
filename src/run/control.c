/*-------------------------------------------------------------------------
 *
 * control.c
 *		What can be done to a run from outside: take it back, stop it, wait for
 *		it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "base/target.h"
#include "compat.h"
#include "run/control.h"
#include "run/leader.h"
#include "run/progress.h"
#include "run/run.h"
#include "run/state.h"
#include "users/user_step.h"

PG_FUNCTION_INFO_V1(ftm_rollback);
PG_FUNCTION_INFO_V1(ftm_cancel);
PG_FUNCTION_INFO_V1(ftm_wait);

/* Time between two looks at a run that is waited for, in milliseconds. */
#define WAIT_INTERVAL		200

/*
 * Looks for which a run may be "running" without a leader: its keeper writes
 * down within that time that the leader is gone, if the keeper lives.
 */
#define LOOKS_WITHOUT_LEADER	25

/* What ftm_run says about a run. */
typedef struct RunState
{
	char	   *source;
	char	   *status;
	char	   *error;
	char	   *error_code;
	int			leader_pid;
	bool		leader_is_there;	/* that process, not just one of its id */
} RunState;

static RunState *read_run(int64 run_id);
static void wait_for_end(int64 run_id);
static void raise_error_of_run(int64 run_id);
static void refuse_locked_tables(int64 run_id);
static void put_tables(ReturnSetInfo *rsinfo, const List *tables);

/*
 * ftm_rollback(run_id, force, users)
 *
 * Empties what a run loaded, in one transaction of a worker; one row per table.
 * users: then deletes the users that it created, one after the other; if that
 * is interrupted, the next call goes on with it.
 */
Datum
ftm_rollback(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RollbackRequest request = {0};
	int			nestlevel;
	WorkerPool *pool;
	List	   *tables;

	ftm_leader_refuse_transaction_block("ftm_rollback()");
	request.run_id = PG_GETARG_INT64(0);
	request.force = PG_GETARG_BOOL(1);
	request.users = PG_GETARG_BOOL(2);
	InitMaterializedSRF(fcinfo, 0);

	nestlevel = ftm_target_pin_settings();
	ftm_leader_take_lock(read_run(request.run_id)->source);
	refuse_locked_tables(request.run_id);
	if (request.users)
		ftm_user_step_check_deletion(request.run_id, request.force);
	pool = ftm_pool_start(1);
	if (request.users)
		ftm_user_step_try_deletion(pool, request.run_id);
	tables = ftm_control_roll_back(pool, &request);
	if (request.users)
		ftm_user_step_delete(pool, request.run_id);
	ftm_pool_end(pool);
	ftm_target_restore(nestlevel);

	put_tables(rsinfo, tables);
	return (Datum) 0;
}

/*
 * ftm_cancel(run_id)
 *
 * Stops a run, whichever session leads it.  True if there was something to
 * stop.
 */
Datum
ftm_cancel(PG_FUNCTION_ARGS)
{
	int64		run_id = PG_GETARG_INT64(0);
	RunState   *run;

	ftm_recovery_refuse("ftm_cancel()");
	run = read_run(run_id);
	if (strcmp(run->status, "running") != 0 || !run->leader_is_there)
	{
		ereport(NOTICE,
				(errmsg("run " INT64_FORMAT " is not in progress", run_id)));
		PG_RETURN_BOOL(false);
	}

	/* Checks who may, too. */
	PG_RETURN_DATUM(DirectFunctionCall1(pg_cancel_backend,
										Int32GetDatum(run->leader_pid)));
}

/*
 * ftm_wait(run_id)
 *
 * Waits until a run ends, whichever session leads it, and answers as
 * ftm_run_migration() does; NULL: the latest run.
 */
Datum
ftm_wait(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		run_id;

	ftm_recovery_refuse("ftm_wait()");

	/* A snapshot for the whole transaction would never see the end. */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("ftm_wait() needs isolation level read committed")));
	run_id = PG_ARGISNULL(0) ? ftm_state_latest_run() : PG_GETARG_INT64(0);
	InitMaterializedSRF(fcinfo, 0);

	wait_for_end(run_id);
	raise_error_of_run(run_id);
	ftm_run_put_results(rsinfo, ftm_leader_tables_of_run(run_id));
	return (Datum) 0;
}

/*
 * Error if there is no such run.
 */
static RunState *
read_run(int64 run_id)
{
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RunState   *run = palloc0(sizeof(RunState));
	RowSet	   *rows;

	/* pg_stat_activity would stay as it was at the first look. */
	pgstat_clear_snapshot();
	rows = ftm_state_query("SELECT r.source, r.status, r.error, r.error_code,"
						   "       r.leader_pid, a.pid IS NOT NULL"
						   "  FROM @schema@.ftm_run r"
						   "  LEFT JOIN pg_stat_activity a"
						   "    ON a.pid = r.leader_pid"
						   "   AND a.backend_start = r.leader_started"
						   " WHERE r.run_id = $1::bigint",
						   1, params);
	if (rows->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no run " INT64_FORMAT, run_id),
				 errhint("ftm_run shows the runs.")));
	run->source = ftm_rowset_value(rows, 0, 0);
	run->status = ftm_rowset_value(rows, 0, 1);
	run->error = ftm_rowset_value(rows, 0, 2);
	run->error_code = ftm_rowset_value(rows, 0, 3);
	run->leader_pid = (int) ftm_rowset_int64(rows, 0, 4);
	run->leader_is_there = ftm_rowset_bool(rows, 0, 5);
	return run;
}

/*
 * Look at the run until it is not running any more, and tell about it as its
 * own leader would.
 */
static void
wait_for_end(int64 run_id)
{
	TimestampTz reported = GetCurrentTimestamp();
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate wait",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	RunState   *run;
	List	   *tables_told = NIL;
	bool		waited = false;
	int			looks = 0;

	while (strcmp((run = read_run(run_id))->status, "running") == 0)
	{
		waited = true;
		ftm_progress_report_loaded(run_id, &tables_told, outer);
		looks = run->leader_is_there ? 0 : looks + 1;
		if (looks > LOOKS_WITHOUT_LEADER)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("run " INT64_FORMAT " was interrupted", run_id),
					 errhint("Call ftm_run_migration() again: what is complete is kept.")));
		if (ftm_progress_interval > 0 &&
			TimestampDifferenceExceeds(reported, GetCurrentTimestamp(),
									   ftm_progress_interval))
		{
			ftm_progress_report_run(&run_id);
			reported = GetCurrentTimestamp();
		}
		MemoryContextReset(context);
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 WAIT_INTERVAL, ftm_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	if (waited)
		ftm_progress_report_loaded(run_id, &tables_told, outer);
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
}

/*
 * The run's error, if it has failed, as the caller of the run got it.
 */
static void
raise_error_of_run(int64 run_id)
{
	RunState   *run = read_run(run_id);
	const char *code = run->error_code;

	if (strcmp(run->status, "failed") == 0)
		ereport(ERROR,
				(errcode(code != NULL && strlen(code) == 5 ?
						 MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]) :
						 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_internal("%s", run->error),
				 errcontext("run " INT64_FORMAT, run_id)));
	if (strcmp(run->status, "rolled back") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run " INT64_FORMAT " was rolled back", run_id)));
}

static void
refuse_locked_tables(int64 run_id)
{
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT relid, table_name FROM @schema@.ftm_run_table"
						   " WHERE run_id = $1::bigint",
						   1, params);
	for (int i = 0; i < rows->nrows; i++)
		ftm_leader_refuse_locked_table(atooid(ftm_rowset_value(rows, i, 0)),
									   ftm_rowset_value(rows, i, 1));
}

List *
ftm_control_roll_back(WorkerPool *pool, const RollbackRequest *request)
{
	List	   *tables = NIL;
	StringInfoData payload;
	StringInfo	answer;
	int			count;

	initStringInfo(&payload);
	pq_sendint64(&payload, request->run_id);
	pq_sendbyte(&payload, request->force);
	pq_sendbyte(&payload, request->restart);
	pq_sendbyte(&payload, request->users);

	/* A loader, not the keeper: it stops when the leader is cancelled. */
	answer = ftm_pool_call(pool, POOL_KEEPER + 1, COMMAND_ROLL_BACK, &payload);
	count = (int) pq_getmsgint(answer, 4);
	for (int i = 0; i < count; i++)
	{
		RolledBackTable *table = palloc(sizeof(RolledBackTable));

		table->name = ftm_task_get_string(answer);
		table->rows = pq_getmsgint64(answer);
		tables = lappend(tables, table);
	}
	return tables;
}

/*
 * table_name, rows
 */
static void
put_tables(ReturnSetInfo *rsinfo, const List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		RolledBackTable *table = lfirst(lc);
		Datum		values[2];
		bool		nulls[2] = {0};

		values[0] = CStringGetTextDatum(table->name);
		values[1] = Int64GetDatum(table->rows);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
}
