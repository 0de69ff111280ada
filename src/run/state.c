/*-------------------------------------------------------------------------
 *
 * state.c
 *		The run's state: ftm_run, ftm_run_table, ftm_log.
 *
 * A run's status goes running -> loaded -> verified, or running -> failed and,
 * with the next call, running again.  A run whose leader and keeper were both
 * killed stays "running"; the next call takes it over, since at most one call
 * at a time holds the run lock (see leader.c).
 *
 * A table's status goes pending -> loading -> loaded.  "loaded" is written in
 * the transaction that loads the table, so that it cannot lie.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/extension.h"
#include "base/run_log.h"
#include "base/target.h"
#include "load/finish.h"
#include "run/state.h"
#include "schema/sequence.h"

static void find_run(const RunRequest *request, RunTicket *ticket);
static void insert_run(const RunRequest *request, RunTicket *ticket);
static void continue_run(const RunRequest *request, int64 run_id);
static void check_complete_run(const RunRequest *request, int64 run_id);
static void record_versions(const RunRequest *request, int64 run_id);
static void register_tables(const RunRequest *request, int64 run_id);

RowSet *
ftm_state_query(const char *sql, int nparams, const char *const *params)
{
	StringInfoData statement;
	const char *schema = ftm_extension_schema_quoted();
	const char *mark;

	initStringInfo(&statement);
	while ((mark = strstr(sql, "@schema@")) != NULL)
	{
		appendBinaryStringInfo(&statement, sql, (int) (mark - sql));
		appendStringInfoString(&statement, schema);
		sql = mark + strlen("@schema@");
	}
	appendStringInfoString(&statement, sql);
	return ftm_target_query_as_owner(statement.data, nparams, params);
}

static const char *
int64_text(int64 value)
{
	return psprintf(INT64_FORMAT, value);
}

static const char *
timestamp_text(TimestampTz value)
{
	return DatumGetCString(DirectFunctionCall1(timestamptz_out,
											   TimestampTzGetDatum(value)));
}

void
ftm_state_begin_run(const RunRequest *request, RunTicket *ticket)
{
	memset(ticket, 0, sizeof(RunTicket));

	/* Two keepers must not both find no run and insert one. */
	(void) ftm_state_query("LOCK TABLE @schema@.ftm_run IN SHARE ROW EXCLUSIVE MODE",
						   0, NULL);

	if (request->run_id != 0)
	{
		ticket->run_id = request->run_id;
		ticket->resumed = true;
	}
	else
	{
		ftm_state_refuse_other_ids(request->source, request->ids);
		find_run(request, ticket);
	}
	if (ticket->complete)
	{
		check_complete_run(request, ticket->run_id);
		return;
	}

	if (ticket->run_id != 0)
		continue_run(request, ticket->run_id);
	else
		insert_run(request, ticket);
	record_versions(request, ticket->run_id);
	register_tables(request, ticket->run_id);
}

void
ftm_state_refuse_other_ids(const char *source, const char *ids)
{
	const char *params[2] = {source, ids};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT run_id, coalesce(options ->> 'ids', 'map')"
						   "  FROM @schema@.ftm_run"
						   " WHERE source = $1::name AND status <> 'rolled back'"
						   "   AND coalesce(options ->> 'ids', 'map') <> $2"
						   " ORDER BY run_id DESC LIMIT 1",
						   2, params);
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run %s from source \"%s\" has ids => '%s'",
						ftm_rowset_text(rows, 0, 0), source,
						ftm_rowset_text(rows, 0, 1)),
				 errhint("Call with ids => '%s', or roll that run back.",
						 ftm_rowset_text(rows, 0, 1))));
}

int64
ftm_state_find_run(const char *source, const char *options, bool *complete,
				   bool *same_scope)
{
	const char *params[2] = {source, options};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT run_id, status = 'verified',"
						   "       (options -> 'scope') = ($2::jsonb -> 'scope')"
						   "  FROM @schema@.ftm_run"
						   " WHERE source = $1::name AND status <> 'rolled back'"
						   "   AND (status <> 'verified'"
						   "        OR (options -> 'scope') = ($2::jsonb -> 'scope'))"
						   " ORDER BY (status <> 'verified') DESC, run_id DESC"
						   " LIMIT 1",
						   2, params);
	if (rows->nrows == 0)
		return 0;
	*complete = ftm_rowset_bool(rows, 0, 1);
	*same_scope = ftm_rowset_bool(rows, 0, 2);
	return ftm_rowset_int64(rows, 0, 0);
}

/*
 * The run that this call is about, if there is one.
 */
static void
find_run(const RunRequest *request, RunTicket *ticket)
{
	bool		same_scope;

	ticket->run_id = ftm_state_find_run(request->source, request->options,
										&ticket->complete, &same_scope);
	if (ticket->run_id == 0)
		return;
	ticket->resumed = !ticket->complete;
	if (!same_scope)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run " INT64_FORMAT " from source \"%s\" is unfinished and has another scope",
						ticket->run_id, request->source),
				 errhint("Call ftm_run_migration() with the schemas, include and exclude of that run to finish it, or with restart => true to roll it back first.")));
}

static void
insert_run(const RunRequest *request, RunTicket *ticket)
{
	const char *params[5] = {request->source, request->options,
		request->snapshot, psprintf("%d", request->leader_pid),
	timestamp_text(request->leader_started)};
	RowSet	   *rows;

	rows = ftm_state_query("INSERT INTO @schema@.ftm_run"
						   " (source, status, options, snapshot, leader_pid,"
						   "  leader_started)"
						   " VALUES ($1::name, 'running', $2::jsonb, $3, $4::integer,"
						   "         $5::timestamptz)"
						   " RETURNING run_id",
						   5, params);
	ticket->run_id = ftm_rowset_int64(rows, 0, 0);
	ftm_state_log(ticket->run_id, "LOG", NULL, "run begins");
}

static void
continue_run(const RunRequest *request, int64 run_id)
{
	const char *params[6] = {int64_text(run_id), request->options,
		request->snapshot, psprintf("%d", request->leader_pid),
		timestamp_text(request->leader_started),
	request->run_id != 0 && !request->reopens ? "0" : "1"};

	(void) ftm_state_query("UPDATE @schema@.ftm_run"
						   "   SET status = 'running',"
						   "       calls = calls + $6::integer,"
						   "       options = $2::jsonb, snapshot = $3,"
						   "       call_started_at = clock_timestamp(),"
						   "       finished_at = NULL, error = NULL, error_code = NULL,"
						   "       leader_pid = $4::integer,"
						   "       leader_started = $5::timestamptz"
						   " WHERE run_id = $1::bigint",
						   6, params);
	/* What an earlier call has found is no verdict of this one. */
	(void) ftm_state_query("UPDATE @schema@.ftm_run_table"
						   "   SET verified = NULL, detail = NULL"
						   " WHERE run_id = $1::bigint AND verified IS NOT NULL",
						   1, params);
	(void) ftm_state_query("DELETE FROM @schema@.ftm_run_verdict"
						   " WHERE run_id = $1::bigint",
						   1, params);
	ftm_state_log(run_id, "LOG", NULL, "run continues");
}

/*
 * A complete run has nothing to load, unless the plan is not what it was: then
 * the DBA decides, for the target may be in use by now.
 */
static void
check_complete_run(const RunRequest *request, int64 run_id)
{
	for (int i = 0; i < request->ntables; i++)
	{
		const RunTable *table = &request->tables[i];
		const char *params[3] = {int64_text(run_id), table->name,
		int64_text((int64) table->fingerprint)};
		RowSet	   *rows;

		rows = ftm_state_query("SELECT FROM @schema@.ftm_run_table"
							   " WHERE run_id = $1::bigint AND table_name = $2"
							   "   AND status = 'loaded' AND verified"
							   "   AND fingerprint = $3::bigint",
							   3, params);
		if (rows->nrows == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("run " INT64_FORMAT " is complete, but table %s or what was decided about its columns has changed since",
							run_id, table->name),
					 errhint("Load new tables alone with include => ..., or roll back and start over with restart => true.")));
	}
}

static void
record_versions(const RunRequest *request, int64 run_id)
{
	const char *params[3] = {int64_text(run_id),
	psprintf("%d", request->source_version), FTM_EXTENSION_NAME};

	(void) ftm_state_query("UPDATE @schema@.ftm_run"
						   "   SET source_version = $2::int,"
						   "       target_version = current_setting('server_version_num')::int,"
						   "       extension_version ="
						   "         (SELECT extversion FROM pg_extension"
						   "           WHERE extname = $3::name)"
						   " WHERE run_id = $1::bigint",
						   3, params);
}

/*
 * One row per table of the plan.  What an interrupted call left as "loading"
 * was not loaded.
 */
static void
register_tables(const RunRequest *request, int64 run_id)
{
	for (int i = 0; i < request->ntables; i++)
	{
		const RunTable *table = &request->tables[i];
		const char *params[5] = {int64_text(run_id), table->name,
			psprintf("%u", table->relid), int64_text(table->estimated_rows),
		int64_text(table->estimated_bytes)};

		(void) ftm_state_query("INSERT INTO @schema@.ftm_run_table AS t"
							   " (run_id, table_name, status, relid,"
							   "  estimated_rows, estimated_bytes)"
							   " VALUES ($1::bigint, $2, 'pending', $3::oid,"
							   "         nullif($4::bigint, -1), $5::bigint)"
							   " ON CONFLICT (run_id, table_name) DO UPDATE"
							   "   SET status = 'pending', started_at = NULL,"
							   "       finished_at = NULL, error = NULL,"
							   "       error_code = NULL, relid = EXCLUDED.relid,"
							   "       estimated_rows = EXCLUDED.estimated_rows,"
							   "       estimated_bytes = EXCLUDED.estimated_bytes"
							   " WHERE t.status <> 'loaded'",
							   5, params);
	}
}

void
ftm_state_fail_run(int64 run_id, int leader_pid, TimestampTz leader_started,
				   const char *object, const char *error_code,
				   const char *message)
{
	const char *run_params[5] = {int64_text(run_id), error_code, message,
	psprintf("%d", leader_pid), timestamp_text(leader_started)};
	const char *table_params[4] = {int64_text(run_id), error_code, message,
	object};
	RowSet	   *runs;

	runs = ftm_state_query("UPDATE @schema@.ftm_run"
						   "   SET status = 'failed', finished_at = clock_timestamp(),"
						   "       error_code = $2, error = $3"
						   " WHERE run_id = $1::bigint AND status = 'running'"
						   "   AND leader_pid = $4::integer"
						   "   AND leader_started = $5::timestamptz"
						   " RETURNING run_id",
						   5, run_params);
	if (runs->nrows == 0)
		return;
	(void) ftm_state_query("UPDATE @schema@.ftm_run_table"
						   "   SET status = CASE WHEN table_name = $4 THEN 'failed'"
						   "                ELSE 'pending' END,"
						   "       finished_at = clock_timestamp(),"
						   "       error_code = CASE WHEN table_name = $4 THEN $2 END,"
						   "       error = CASE WHEN table_name = $4 THEN $3 END"
						   " WHERE run_id = $1::bigint"
						   "   AND (status = 'loading'"
						   "        OR (status = 'pending' AND table_name = $4))",
						   4, table_params);
	ftm_state_log(run_id, "ERROR", object, message);
}

void
ftm_state_end_run(int64 run_id, const char *status)
{
	const char *params[2] = {int64_text(run_id), status};

	(void) ftm_state_query("UPDATE @schema@.ftm_run"
						   "   SET status = $2, finished_at = clock_timestamp()"
						   " WHERE run_id = $1::bigint",
						   2, params);
	ftm_state_log(run_id, "LOG", NULL, psprintf("run ends: %s", status));
}

void
ftm_state_source_activity(int64 run_id, bool at_end, const char *activity)
{
	const char *params[2] = {int64_text(run_id), activity};

	(void) ftm_state_query(at_end ?
						   "UPDATE @schema@.ftm_run"
						   "   SET source_at_end = $2::jsonb"
						   " WHERE run_id = $1::bigint" :
						   "UPDATE @schema@.ftm_run"
						   "   SET source_at_snapshot = $2::jsonb,"
						   "       source_at_end = NULL"
						   " WHERE run_id = $1::bigint",
						   2, params);
}

void
ftm_state_table_loading(const TableTask *task)
{
	const char *params[2] = {int64_text(task->run_id), task->table_name};

	(void) ftm_state_query("UPDATE @schema@.ftm_run_table"
						   "   SET status = 'loading', started_at = clock_timestamp(),"
						   "       worker_pid = pg_backend_pid(),"
						   "       finished_at = NULL, error = NULL, error_code = NULL"
						   " WHERE run_id = $1::bigint AND table_name = $2"
						   "   AND status <> 'loaded'",
						   2, params);
}

void
ftm_state_keys_found(int64 run_id, Oid relid)
{
	ListCell   *lc;

	foreach(lc, ftm_finish_foreign_keys(relid))
	{
		const char *params[2] = {int64_text(run_id),
		psprintf("%u", lfirst_oid(lc))};

		(void) ftm_state_query("INSERT INTO @schema@.ftm_run_key"
							   " (run_id, table_name, key_name, valid)"
							   " SELECT $1::bigint,"
							   "        quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
							   "        k.conname, k.convalidated"
							   "  FROM pg_constraint k"
							   "  JOIN pg_class c ON c.oid = k.conrelid"
							   "  JOIN pg_namespace n ON n.oid = c.relnamespace"
							   " WHERE k.oid = $2::oid"
							   " ON CONFLICT DO NOTHING",
							   2, params);
	}
}

void
ftm_state_sequence_found(int64 run_id, Oid relid, const char *sequence,
						 SequencePosition set)
{
	SequencePosition now = ftm_sequence_read(relid, sequence);
	const char *params[7] = {int64_text(run_id), sequence,
		int64_text(now.last_value), now.is_called ? "t" : "f",
		int64_text(set.last_value), set.is_called ? "t" : "f",
	psprintf("%u", relid)};

	(void) ftm_state_query("INSERT INTO @schema@.ftm_run_sequence AS s"
						   " (run_id, sequence_name, relid, last_value, is_called,"
						   "  set_last_value, set_is_called)"
						   " VALUES ($1::bigint, $2, $7::oid, $3::bigint,"
						   "         $4::boolean, $5::bigint, $6::boolean)"
						   " ON CONFLICT (run_id, sequence_name) DO UPDATE"
						   "   SET set_last_value = EXCLUDED.set_last_value,"
						   "       set_is_called = EXCLUDED.set_is_called",
						   7, params);
}

bool
ftm_state_table_is_loaded(const TableTask *task, uint64 map_digest,
						  TableResult *result, bool *loaded_otherwise)
{
	const char *params[5] = {int64_text(task->run_id), task->table_name,
		psprintf("%u", task->relid), int64_text((int64) task->fingerprint),
	int64_text((int64) map_digest)};
	RowSet	   *rows;
	bool		same;

	rows = ftm_state_query("SELECT relid = $3::oid AND fingerprint = $4::bigint"
						   "       AND user_map_digest = $5::bigint,"
						   "       relid = $3::oid,"
						   "       rows, bytes, ids_mapped, ids_kept, ids_undecided"
						   "  FROM @schema@.ftm_run_table"
						   " WHERE run_id = $1::bigint AND table_name = $2"
						   "   AND status = 'loaded'",
						   5, params);
	*loaded_otherwise = false;
	if (rows->nrows == 0)
		return false;

	same = ftm_rowset_bool(rows, 0, 0);
	*loaded_otherwise = !same && ftm_rowset_bool(rows, 0, 1);
	if (same)
	{
		result->rows = ftm_rowset_int64(rows, 0, 2);
		result->bytes = ftm_rowset_int64(rows, 0, 3);
		result->ids_mapped = ftm_rowset_int64(rows, 0, 4);
		result->ids_kept = ftm_rowset_int64(rows, 0, 5);
		result->ids_undecided = ftm_rowset_int64(rows, 0, 6);
	}
	return same;
}

void
ftm_state_table_loaded(const TableTask *task, uint64 map_digest,
					   const TableResult *result)
{
	const char *params[11] = {int64_text(task->run_id), task->table_name,
		psprintf("%u", task->relid),
		int64_text(result->rows), int64_text(result->bytes),
		int64_text(result->ids_mapped), int64_text(result->ids_kept),
		int64_text((int64) task->fingerprint), int64_text((int64) map_digest),
		result->rows_replaced ? "t" : "f",
	int64_text(result->ids_undecided)};
	RowSet	   *rows;

	if (result->kept)
	{
		ftm_state_log(task->run_id, "LOG", task->table_name,
					  "loaded by an earlier call, and unchanged");
		return;
	}
	rows = ftm_state_query("UPDATE @schema@.ftm_run_table"
						   "   SET status = 'loaded', relid = $3::oid,"
						   "       rows = $4::bigint, bytes = $5::bigint,"
						   "       ids_mapped = $6::bigint, ids_kept = $7::bigint,"
						   "       ids_undecided = $11::bigint,"
						   "       fingerprint = $8::bigint,"
						   "       user_map_digest = $9::bigint,"
						   "       finished_at = clock_timestamp(),"
						   "       error = NULL, error_code = NULL,"
						   "       source_checksum = NULL, target_checksum = NULL,"
						   "       verified = NULL, detail = NULL,"
						   "       load_xid = pg_current_xact_id(),"
						   "       rows_replaced = rows_replaced OR $10::boolean"
						   " WHERE run_id = $1::bigint AND table_name = $2"
						   " RETURNING table_name",
						   11, params);
	if (rows->nrows != 1)
		elog(ERROR, "table %s is not registered in run " INT64_FORMAT,
			 task->table_name, task->run_id);

	/* What another run has loaded into the table is gone. */
	(void) ftm_state_query("UPDATE @schema@.ftm_run_table SET status = 'replaced'"
						   " WHERE relid = $2::oid AND status = 'loaded'"
						   "   AND run_id <> $1::bigint",
						   2, (const char *const[]) {params[0], params[2]});
	ftm_state_log_figures(task->run_id, "LOG", task->table_name,
						  psprintf("loaded " INT64_FORMAT " rows in %.3f s",
								   result->rows, result->seconds),
						  psprintf("{\"rows\": " INT64_FORMAT
								   ", \"bytes\": " INT64_FORMAT
								   ", \"ids_mapped\": " INT64_FORMAT
								   ", \"ids_kept\": " INT64_FORMAT
								   ", \"ids_undecided\": " INT64_FORMAT
								   ", \"seconds\": %.3f}",
								   result->rows, result->bytes,
								   result->ids_mapped, result->ids_kept,
								   result->ids_undecided, result->seconds));
}

void
ftm_state_table_verified(int64 run_id, const VerifyResult *verdict)
{
	const char *params[6] = {int64_text(run_id), verdict->object,
		verdict->source_checksum, verdict->target_checksum,
	verdict->ok ? "t" : "f", verdict->detail};

	(void) ftm_state_query("UPDATE @schema@.ftm_run_table"
						   "   SET source_checksum = $3::numeric,"
						   "       target_checksum = $4::numeric,"
						   "       verified = $5::boolean, detail = $6"
						   " WHERE run_id = $1::bigint AND table_name = $2",
						   6, params);
	if (!verdict->ok)
		ftm_state_log(run_id, "ERROR", verdict->object,
					  psprintf("verification: %s", verdict->detail));
}

void
ftm_state_verdict(int64 run_id, const VerifyResult *verdict)
{
	const char *params[5] = {int64_text(run_id), verdict->kind,
		verdict->object, verdict->ok ? "t" : "f", verdict->detail};

	(void) ftm_state_query("INSERT INTO @schema@.ftm_run_verdict"
						   " (run_id, kind, object, ok, detail)"
						   " VALUES ($1::bigint, $2, $3, $4::boolean, $5)",
						   5, params);
	if (!verdict->ok)
		ftm_state_log(run_id, "ERROR", NULL,
					  psprintf("verification: %s %s: %s", verdict->kind,
							   verdict->object, verdict->detail));
}

void
ftm_state_log(int64 run_id, const char *level, const char *table_name,
			  const char *message)
{
	ftm_state_log_figures(run_id, level, table_name, message, NULL);
}

void
ftm_state_log_figures(int64 run_id, const char *level, const char *table_name,
					  const char *message, const char *figures)
{
	const char *params[5] = {int64_text(run_id), level, table_name, message,
	figures};
	RowSet	   *rows;

	rows = ftm_state_query("INSERT INTO @schema@.ftm_log"
						   " (run_id, level, table_name, message, figures)"
						   " VALUES ($1::bigint, $2, $3, $4, $5::jsonb)"
						   " RETURNING to_char(logged_at AT TIME ZONE 'UTC',"
						   "  'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
						   5, params);
	ftm_runlog_add(ftm_rowset_value(rows, 0, 0), run_id, level, table_name,
				   message, figures);
}

int64
ftm_state_latest_run(void)
{
	RowSet	   *rows = ftm_state_query("SELECT max(run_id) FROM @schema@.ftm_run",
									   0, NULL);

	if (ftm_rowset_value(rows, 0, 0) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no run")));
	return ftm_rowset_int64(rows, 0, 0);
}
