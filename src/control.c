/*-------------------------------------------------------------------------
 *
 * control.c
 *		SQL functions that do something to a run from outside: ftm_rollback().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "control.h"
#include "leader.h"
#include "state.h"
#include "target.h"

PG_FUNCTION_INFO_V1(ftm_rollback);

static char *source_of_run(int64 run_id);
static void refuse_locked_tables(int64 run_id);
static void put_tables(ReturnSetInfo *rsinfo, const List *tables);

/*
 * ftm_rollback(run_id, force, users)
 *
 * Empties what a run loaded, in one transaction of a worker; one row per table.
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
	if (PG_GETARG_BOOL(2))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("deleting the users that a run created is not supported"),
				 errhint("Leave out users => true.")));
	InitMaterializedSRF(fcinfo, 0);

	nestlevel = ftm_target_pin_settings();
	ftm_leader_take_lock(source_of_run(request.run_id));
	refuse_locked_tables(request.run_id);
	pool = ftm_pool_start(1);
	tables = ftm_control_roll_back(pool, &request);
	ftm_pool_end(pool);
	ftm_target_restore(nestlevel);

	put_tables(rsinfo, tables);
	return (Datum) 0;
}

/*
 * Error if there is no such run.
 */
static char *
source_of_run(int64 run_id)
{
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT source FROM @schema@.ftm_run"
						   " WHERE run_id = $1::bigint",
						   1, params);
	if (rows->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no run " INT64_FORMAT, run_id),
				 errhint("ftm_run shows the runs.")));
	return ftm_rowset_value(rows, 0, 0);
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
