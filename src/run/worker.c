/*-------------------------------------------------------------------------
 *
 * worker.c
 *		What a background worker of a run does.
 *
 * A worker reads commands from its queue, executes one at a time, each in
 * transactions of its own, and answers.  Any error ends the worker: it travels
 * to the leader as it is, the transaction is rolled back on the way out, and
 * the lock on the table is gone before the leader hears that the worker is.
 *
 * The keeper is the worker that writes the run's state.  It is not terminated
 * with the others: when its queue ends before the run was ended, the leader
 * was cancelled or killed, and the keeper writes that down.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/settings.h"
#include "base/target.h"
#include "compat.h"
#include "files/decision.h"
#include "files/export_table.h"
#include "files/json_rows.h"
#include "load/catch_up.h"
#include "load/finish.h"
#include "load/load.h"
#include "load/source_streams.h"
#include "run/rollback.h"
#include "run/state.h"
#include "users/users.h"
#include "workers/pool.h"

PGDLLEXPORT void ftm_worker_main(Datum main_arg);

/*
 * What a worker keeps between commands; all of it goes with the process.
 */
typedef struct Worker
{
	int			index;			/* in the pool */
	int64		run_id;			/* 0 before it is known */
	bool		run_ended;		/* keeper: the leader said how it ended */
	int			leader_pid;		/* keeper: as in RunRequest */
	TimestampTz leader_started;
	Oid			serverid;		/* of the source, to make sure */
	char	   *server_name;	/* NULL if there is none */
	char	   *snapshot;		/* of the run */
	SourceConnection *source;	/* in that snapshot */
	SourceConnection *sources[FTM_MAX_STREAMS]; /* the same, and more if needed */
	UserMap    *map;
} Worker;

static Worker worker;

static bool read_command(shm_mq_handle *commands, StringInfo command);
static void execute_command(StringInfo command);
static void send_answer(StringInfo answer);
static void begin_run(StringInfo command, StringInfo answer);
static void fail_run(StringInfo command, StringInfo answer);
static void end_run(StringInfo command, StringInfo answer);
static void record_activity(StringInfo command, StringInfo answer);
static void log_message(StringInfo command, StringInfo answer);
static void record_verdicts(StringInfo command, StringInfo answer);
static void take_decisions(StringInfo command, StringInfo answer);
static void find_changes(StringInfo command, StringInfo answer);
static void check_users(StringInfo command, StringInfo answer);
static void migrate_users(StringInfo command, StringInfo answer);
static void match_users(StringInfo command, StringInfo answer);
static void verify_users(StringInfo command, StringInfo answer);
static void send_resets(StringInfo command, StringInfo answer);
static void delete_users(StringInfo command, StringInfo answer);
static void roll_back(StringInfo command, StringInfo answer);
static void open_source(StringInfo command, StringInfo answer);
static void set_snapshot(StringInfo command, StringInfo answer);
static void join_run(StringInfo command, StringInfo answer);
static void invalidate_keys(StringInfo command, StringInfo answer);
static void load_table(StringInfo command, StringInfo answer);
static void export_table(StringInfo command, StringInfo answer);
static void set_sequences(StringInfo command, StringInfo answer);
static void build_indexes(StringInfo command, StringInfo answer);
static void validate(StringInfo command, StringInfo answer);
static void check_generated(StringInfo command, StringInfo answer);
static void check_key(StringInfo command, StringInfo answer);
static void analyze_table(StringInfo command, StringInfo answer);
static void verify_table(StringInfo command, StringInfo answer);
static void verify_key(StringInfo command, StringInfo answer);
static void verify_sequence(StringInfo command, StringInfo answer);
static void record_lost_leader(void);

static const struct
{
	WorkerCommand command;
	const char *activity;		/* for pg_stat_activity and ftm_progress, with
								 * what it is about behind it */
	void		(*execute) (StringInfo command, StringInfo answer);
}			commands[] =
{
	{COMMAND_BEGIN_RUN, "begin run", begin_run},
	{COMMAND_FAIL_RUN, "record failure", fail_run},
	{COMMAND_END_RUN, "end run", end_run},
	{COMMAND_RECORD_ACTIVITY, "record activity of source", record_activity},
	{COMMAND_LOG, "write log", log_message},
	{COMMAND_RECORD_VERDICTS, "record verdicts", record_verdicts},
	{COMMAND_TAKE_DECISIONS, "take decisions", take_decisions},
	{COMMAND_FIND_CHANGES, "look for changes", find_changes},
	{COMMAND_CHECK_USERS, "check users", check_users},
	{COMMAND_MIGRATE_USERS, "create users", migrate_users},
	{COMMAND_MATCH_USERS, "match users", match_users},
	{COMMAND_VERIFY_USERS, "verify users", verify_users},
	{COMMAND_SEND_RESETS, "send password resets", send_resets},
	{COMMAND_DELETE_USERS, "delete users", delete_users},
	{COMMAND_ROLL_BACK, "roll back run", roll_back},
	{COMMAND_OPEN_SOURCE, "connect to source", open_source},
	{COMMAND_SET_SNAPSHOT, "connect to source", set_snapshot},
	{COMMAND_JOIN_RUN, "connect to source", join_run},
	{COMMAND_INVALIDATE_KEYS, "mark foreign keys", invalidate_keys},
	{COMMAND_LOAD_TABLE, "load table", load_table},
	{COMMAND_EXPORT_TABLE, "export table", export_table},
	{COMMAND_SET_SEQUENCES, "set", set_sequences},
	{COMMAND_BUILD_INDEXES, "build postponed indexes", build_indexes},
	{COMMAND_VALIDATE, "validate", validate},
	{COMMAND_CHECK_GENERATED, "check generated columns of", check_generated},
	{COMMAND_CHECK_KEY, "check", check_key},
	{COMMAND_ANALYZE_TABLE, "analyze table", analyze_table},
	{COMMAND_VERIFY_TABLE, "verify table", verify_table},
	{COMMAND_VERIFY_KEY, "verify", verify_key},
	{COMMAND_VERIFY_SEQUENCE, "verify sequence", verify_sequence},
};

/*
 * Entry point of a background worker; main_arg is the handle of the pool's
 * segment, the worker's index is in bgw_extra.
 */
void
ftm_worker_main(Datum main_arg)
{
	dsm_segment *segment;
	shm_toc    *toc;
	shm_mq	   *answers;
	shm_mq	   *queue;
	shm_mq_handle *command_queue;
	PoolHeader *header;
	StringInfoData command;

	memcpy(&worker.index, MyBgworkerEntry->bgw_extra, sizeof(int));
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	/* Without a resource owner, the mapping lasts as long as the process. */
	segment = dsm_attach(DatumGetUInt32(main_arg));
	if (segment == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("could not map dynamic shared memory segment")));
	toc = shm_toc_attach(POOL_MAGIC, dsm_segment_address(segment));
	if (toc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("invalid magic number in dynamic shared memory segment")));
	header = shm_toc_lookup(toc, POOL_KEY_HEADER, false);

	/* Errors of connecting to the database are to reach the leader, too. */
	answers = shm_toc_lookup(toc, POOL_KEY_ANSWERS(worker.index), false);
	shm_mq_set_sender(answers, MyProc);
	pq_redirect_to_shm_mq(segment, shm_mq_attach(answers, segment, NULL));
	queue = shm_toc_lookup(toc, POOL_KEY_COMMANDS(worker.index), false);
	shm_mq_set_receiver(queue, MyProc);
	command_queue = shm_mq_attach(queue, segment, NULL);

	ftm_worker_set_up_session(header);
	/* By which ftm_progress knows whose worker it is. */
	SetConfigOption("application_name",
					psprintf("ftmigrate for PID %d", MyBgworkerEntry->bgw_notify_pid),
					PGC_USERSET, PGC_S_SESSION);

	MemoryContextSwitchTo(TopMemoryContext);
	initStringInfo(&command);
	while (read_command(command_queue, &command))
		execute_command(&command);

	if (worker.index == POOL_KEEPER && worker.run_id != 0 && !worker.run_ended)
		record_lost_leader();
	for (int i = 0; i < FTM_MAX_STREAMS; i++)
	{
		if (worker.sources[i] != NULL)
			ftm_source_disconnect(worker.sources[i]);
	}
	proc_exit(0);
}

/*
 * Become the caller, under settings of our own: what ALTER ROLE and ALTER
 * DATABASE SET say must not bend a migration.
 */
void
ftm_worker_set_up_session(const PoolHeader *header)
{
	static const struct
	{
		const char *name;
		const char *value;
	}			settings[] =
	{
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"synchronous_commit", "on"},
		{"check_function_bodies", "off"},
		{"default_tablespace", ""},
	};

	BackgroundWorkerInitializeConnectionByOid(header->database,
											  header->session_user, 0);
	SetClientEncoding(GetDatabaseEncoding());

	for (int i = 0; i < (int) lengthof(settings); i++)
		SetConfigOption(settings[i].name, settings[i].value,
						PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("lock_timeout", psprintf("%d", header->lock_timeout),
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("maintenance_work_mem",
					psprintf("%d", header->maintenance_work_mem),
					PGC_USERSET, PGC_S_SESSION);
	SetConfigOption("ftmigrate.log_file", header->log_file,
					PGC_SUSET, PGC_S_SESSION);
	ftm_lock_timeout = header->lock_timeout;
	ftm_connect_timeout = header->connect_timeout;
	ftm_network_timeout = header->network_timeout;
	ftm_streams = header->streams;
	ftm_target_pin_session();

	/* CurrentUserId, which transactions restore from now on. */
	SetUserIdAndSecContext(header->current_user, header->security_context);
}

/*
 * Wait for the next command; false if the leader has detached.
 */
static bool
read_command(shm_mq_handle *queue, StringInfo command)
{
	Size		length;
	void	   *data;

	pgstat_report_activity(STATE_IDLE, NULL);
	if (shm_mq_receive(queue, &length, &data, false) != SHM_MQ_SUCCESS)
		return false;
	resetStringInfo(command);
	appendBinaryStringInfo(command, data, (int) length);
	return true;
}

/*
 * If the leader is gone, the next read_command() says so.
 */
static void
send_answer(StringInfo answer)
{
	StringInfoData message;

	pq_beginmessage(&message, 'D');
	pq_sendbytes(&message, answer->data, answer->len);
	pq_endmessage(&message);
}

/*
 * Execute one command in a memory context of its own and send its answer.
 */
static void
execute_command(StringInfo command)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "ftmigrate command",
												  ALLOCSET_DEFAULT_SIZES);
	WorkerCommand letter = pq_getmsgbyte(command);
	const char *object = pq_getmsgrawstring(command);
	StringInfoData answer;

	MemoryContextSwitchTo(context);
	initStringInfo(&answer);
	for (int i = 0; i < (int) lengthof(commands); i++)
	{
		if (commands[i].command != letter)
			continue;
		pgstat_report_activity(STATE_RUNNING,
							   object[0] == '\0' ? commands[i].activity :
							   psprintf("%s %s", commands[i].activity, object));
		commands[i].execute(command, &answer);
		/* Statistics of the command's transactions, before anybody asks. */
		pgstat_report_stat(true);
		send_answer(&answer);
		MemoryContextSwitchTo(TopMemoryContext);
		MemoryContextDelete(context);
		return;
	}
	elog(ERROR, "unexpected command %d", letter);
}

/*
 * Commands run between these two; the answer is in a context that outlives
 * the transaction.
 */
static MemoryContext
begin_transaction(void)
{
	MemoryContext outer = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	return outer;
}

/*
 * A transaction whose commit need not wait for the disk: a later one that
 * matters does, at the latest that of the run's end, and takes it along.
 */
static MemoryContext
begin_unhurried_transaction(void)
{
	MemoryContext outer = begin_transaction();

	(void) set_config_option("synchronous_commit", "off", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_LOCAL, true, 0, false);
	return outer;
}

static void
commit_transaction(MemoryContext outer)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(outer);
}

/* ------------------------------------------------------------------------
 * The keeper's commands
 * ------------------------------------------------------------------------
 */

static void
begin_run(StringInfo command, StringInfo answer)
{
	RunRequest	request;
	RunTicket	ticket;
	MemoryContext outer;

	request.source = ftm_task_get_string(command);
	request.options = ftm_task_get_string(command);
	request.ids = ftm_task_get_string(command);
	request.snapshot = ftm_task_get_string(command);
	request.run_id = pq_getmsgint64(command);
	request.reopens = pq_getmsgbyte(command);
	request.leader_pid = (int) pq_getmsgint(command, 4);
	request.leader_started = pq_getmsgint64(command);
	request.source_version = (int) pq_getmsgint(command, 4);
	request.ntables = (int) pq_getmsgint(command, 4);
	request.tables = palloc(sizeof(RunTable) * Max(1, request.ntables));
	for (int i = 0; i < request.ntables; i++)
	{
		request.tables[i].name = ftm_task_get_string(command);
		request.tables[i].relid = pq_getmsgint(command, 4);
		request.tables[i].fingerprint = pq_getmsgint64(command);
		request.tables[i].estimated_rows = pq_getmsgint64(command);
		request.tables[i].estimated_bytes = pq_getmsgint64(command);
	}

	outer = begin_transaction();
	ftm_state_begin_run(&request, &ticket);
	commit_transaction(outer);

	worker.run_id = ticket.run_id;
	worker.run_ended = ticket.complete;
	worker.leader_pid = request.leader_pid;
	worker.leader_started = request.leader_started;
	pq_sendint64(answer, ticket.run_id);
	pq_sendbyte(answer, ticket.resumed);
	pq_sendbyte(answer, ticket.complete);
}

static void
fail_run(StringInfo command, StringInfo answer pg_attribute_unused())
{
	char	   *object = ftm_task_get_string(command);
	char	   *error_code = ftm_task_get_string(command);
	char	   *message = ftm_task_get_string(command);
	MemoryContext outer = begin_transaction();

	ftm_state_fail_run(worker.run_id, worker.leader_pid, worker.leader_started,
					   object, error_code, message);
	commit_transaction(outer);
	worker.run_ended = true;
}

static void
end_run(StringInfo command, StringInfo answer pg_attribute_unused())
{
	char	   *status = ftm_task_get_string(command);
	MemoryContext outer = begin_transaction();

	ftm_state_end_run(worker.run_id, status);
	commit_transaction(outer);
	worker.run_ended = true;
}

static void
record_activity(StringInfo command, StringInfo answer pg_attribute_unused())
{
	bool		at_end = pq_getmsgbyte(command);
	char	   *activity = ftm_task_get_string(command);
	MemoryContext outer = begin_unhurried_transaction();

	ftm_state_source_activity(worker.run_id, at_end, activity);
	commit_transaction(outer);
}

static void
log_message(StringInfo command, StringInfo answer pg_attribute_unused())
{
	char	   *level = ftm_task_get_string(command);
	char	   *message = ftm_task_get_string(command);
	char	   *figures = ftm_task_get_string(command);
	MemoryContext outer = begin_unhurried_transaction();

	ftm_state_log_figures(worker.run_id, level, NULL, message, figures);
	commit_transaction(outer);
}

static void
record_verdicts(StringInfo command, StringInfo answer pg_attribute_unused())
{
	int			count = (int) pq_getmsgint(command, 4);
	MemoryContext outer = begin_unhurried_transaction();

	for (int i = 0; i < count; i++)
		ftm_state_verdict(worker.run_id, ftm_task_get_verdict(command));
	commit_transaction(outer);
}

static void
take_decisions(StringInfo command, StringInfo answer)
{
	ExportDecisions *decisions = ftm_decisions_get(command);
	MemoryContext outer = begin_transaction();

	pq_sendint32(answer, ftm_decisions_take(decisions));
	commit_transaction(outer);
}

static void
find_changes(StringInfo command, StringInfo answer)
{
	int64		run_id = pq_getmsgint64(command);
	int			count = (int) pq_getmsgint(command, 4);
	List	   *relids = NIL;
	MemoryContext outer;

	for (int i = 0; i < count; i++)
		relids = lappend_oid(relids, pq_getmsgint(command, 4));
	outer = begin_transaction();
	ftm_task_put_string(answer, ftm_rollback_changes(run_id, relids));
	commit_transaction(outer);
}

/*
 * By the time this keeper notices, the next call may be at work on the run.
 */
static void
record_lost_leader(void)
{
	MemoryContext outer = begin_transaction();

	ftm_state_fail_run(worker.run_id, worker.leader_pid, worker.leader_started,
					   NULL,
					   unpack_sql_state(ERRCODE_ADMIN_SHUTDOWN),
					   "the session that called ftm_run_migration() ended");
	commit_transaction(outer);
}

/* ------------------------------------------------------------------------
 * The loaders' commands
 * ------------------------------------------------------------------------
 */

/*
 * The commands about users open short transactions themselves: none is open
 * while the auth service is waited for.
 */
static void
check_users(StringInfo command, StringInfo answer pg_attribute_unused())
{
	ftm_users_check(ftm_users_get_task(command));
}

static void
migrate_users(StringInfo command, StringInfo answer)
{
	pq_sendint32(answer, ftm_users_migrate(ftm_users_get_task(command)));
}

static void
match_users(StringInfo command, StringInfo answer)
{
	pq_sendint32(answer, ftm_users_match(ftm_users_get_task(command)));
}

static void
send_resets(StringInfo command, StringInfo answer)
{
	pq_sendint32(answer, ftm_users_send_resets(ftm_users_get_task(command)));
}

static void
delete_users(StringInfo command, StringInfo answer)
{
	UsersTask  *task = ftm_users_get_task(command);
	int			deleted = 0;

	if (task->dry_run)
		ftm_users_check_deletion(task);
	else
		deleted = ftm_users_delete(task);
	pq_sendint32(answer, deleted);
}

/*
 * The verdict in the form that all verdicts have.
 */
static void
verify_users(StringInfo command, StringInfo answer)
{
	UsersTask  *task = ftm_users_get_task(command);
	UsersVerdict *users = ftm_users_verify(task);
	VerifyResult verdict = {0};

	verdict.kind = "users";
	verdict.object = task->auth_server;
	verdict.source_rows = users->source_users;
	verdict.target_rows = users->target_users;
	verdict.ok = users->differences == 0;
	verdict.detail = users->differences == 0 ? users->detail :
		psprintf(INT64_FORMAT " differences: %s", users->differences,
				 users->detail);
	ftm_task_put_verdict(answer, &verdict);
}

static void
roll_back(StringInfo command, StringInfo answer)
{
	RollbackRequest request;
	List	   *tables;
	ListCell   *lc;
	MemoryContext outer;

	request.run_id = pq_getmsgint64(command);
	request.force = pq_getmsgbyte(command);
	request.restart = pq_getmsgbyte(command);
	request.users = pq_getmsgbyte(command);

	outer = begin_transaction();
	tables = ftm_rollback_run(&request);
	pq_sendint32(answer, list_length(tables));
	foreach(lc, tables)
	{
		RolledBackTable *table = lfirst(lc);

		ftm_task_put_string(answer, table->name);
		pq_sendint64(answer, table->rows);
	}
	commit_transaction(outer);
}

/*
 * More connections to the source, which last as long as the worker.
 */
static void
connect_source(SourceConnection **sources, int count)
{
	SourceServer *server = ftm_options_source_server(worker.server_name);

	if (server->serverid != worker.serverid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("server \"%s\" was replaced by another during the call",
						worker.server_name)));
	ftm_source_connect_all(server, TopMemoryContext, sources, count);
}

/*
 * The source is far away: so the leader has its workers connect while it plans,
 * tells them the snapshot when it knows it, and waits at the end.
 */
static void
open_source(StringInfo command, StringInfo answer pg_attribute_unused())
{
	MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);

	worker.serverid = pq_getmsgint(command, 4);
	worker.server_name = ftm_task_get_string(command);
	MemoryContextSwitchTo(outer);

	outer = begin_transaction();
	connect_source(worker.sources, 1);
	worker.source = worker.sources[0];
	commit_transaction(outer);
}

static void
set_snapshot(StringInfo command, StringInfo answer pg_attribute_unused())
{
	MemoryContext outer = MemoryContextSwitchTo(TopMemoryContext);

	worker.snapshot = ftm_task_get_string(command);
	MemoryContextSwitchTo(outer);
	ftm_source_import_snapshot(worker.source, worker.snapshot);
}

/*
 * Without a source in the case of an import, which reads files.  The user map
 * lasts as long as the worker.
 */
static void
join_run(StringInfo command, StringInfo answer pg_attribute_unused())
{
	int64		unmapped;
	MemoryContext outer;

	worker.run_id = pq_getmsgint64(command);
	unmapped = pq_getmsgint64(command);
	ftm_usermap_set_unmapped((const uint8 *) pq_getmsgbytes(command, (int) (unmapped * UUID_LEN)),
							 unmapped);
	outer = begin_transaction();
	worker.map = ftm_usermap_load(TopMemoryContext);
	commit_transaction(outer);
	if (worker.source != NULL)
		ftm_source_await(worker.source);
}

static void
invalidate_keys(StringInfo command, StringInfo answer pg_attribute_unused())
{
	int			count = (int) pq_getmsgint(command, 4);
	MemoryContext outer = begin_transaction();

	for (int i = 0; i < count; i++)
	{
		Oid			relid = pq_getmsgint(command, 4);

		ftm_finish_lock_table_keys(relid);
		ftm_state_keys_found(worker.run_id, relid);
		ftm_finish_invalidate_table_keys(relid);
	}
	commit_transaction(outer);
}

/*
 * Triggers and foreign keys must not fire.  The setting is a superuser's, and
 * setting it from C would bypass the check: so check.
 */
static void
become_replica(void)
{
	if (!ftm_target_may_become_replica())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set parameter \"%s\"",
						"session_replication_role"),
				 errhint("Execute GRANT SET ON PARAMETER session_replication_role TO the caller's role, or have a superuser run the migration.")));
	(void) set_config_option("session_replication_role", "replica",
							 PGC_SUSET, PGC_S_SESSION, GUC_ACTION_LOCAL,
							 true, 0, false);
}

/*
 * Says which table an error is about, and what to do about a lock that was not
 * to be had: the server's message names neither.
 */
static void
load_table_callback(void *arg)
{
	errcontext("loading table %s", (const char *) arg);
	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint("Another session uses the table.  End it, or raise ftmigrate.lock_timeout, and call the function again.");
}

/*
 * The table's rows over several connections, if it is worth that; else NULL.
 * The connections last as long as the worker.
 */
static CopyOrigin *
open_streams(const TableTask *task)
{
	int64		blocks;
	int			count = ftm_streams_wanted(task, worker.source, &blocks);
	int			open = 1;

	if (count == 1)
		return NULL;
	while (open < count && worker.sources[open] != NULL)
		open++;
	if (open < count)
		connect_source(&worker.sources[open], count - open);
	for (int i = open; i < count; i++)
		ftm_source_import_snapshot(worker.sources[i], worker.snapshot);
	return ftm_streams_create(task, worker.sources, count, blocks);
}

static void
load_table(StringInfo command, StringInfo answer)
{
	TableTask  *task = ftm_task_get_table(command);
	TableResult result;
	CopyOrigin *origin = NULL;
	ErrorContextCallback callback;
	ErrorContextCallback file_callback;
	MemoryContext outer;

	callback.callback = load_table_callback;
	callback.arg = task->table_name;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	outer = begin_transaction();
	ftm_state_table_loading(task);
	commit_transaction(outer);

	outer = begin_transaction();
	become_replica();
	if (task->file != NULL)
	{
		origin = ftm_json_rows_create(task);
		file_callback.callback = ftm_json_rows_context;
		file_callback.arg = origin;
		file_callback.previous = error_context_stack;
		error_context_stack = &file_callback;
	}
	else
		origin = open_streams(task);
	ftm_load_table(task, worker.source, origin, worker.map, &result);
	commit_transaction(outer);

	error_context_stack = callback.previous;
	ftm_task_put_result(answer, &result);
}

static void
export_table(StringInfo command, StringInfo answer)
{
	ExportTask *task = ftm_export_get_task(command);
	ExportResult result;
	MemoryContext outer;

	pgstat_report_activity(STATE_RUNNING,
						   psprintf("export table %s", task->name));
	outer = begin_transaction();
	ftm_export_table(worker.source, task, &result);
	ftm_export_put_result(answer, &result);
	commit_transaction(outer);
}

/*
 * Lock a sequence until it is released, over the ends of transactions, so that
 * nobody draws from it, renames or drops it.  Who may not set it may not disturb
 * others either, and gets the error when it is set.
 */
static LockRelId
hold_sequence(Oid relid, const char *name)
{
	LockRelId	lock;

	lock.dbId = MyDatabaseId;
	lock.relId = relid;
	if (pg_class_aclcheck(relid, GetUserId(), ACL_UPDATE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SEQUENCE, name);
	LockRelationIdForSession(&lock, ShareRowExclusiveLock);
	return lock;
}

/*
 * What a sequence was before is committed first: setting it is not undone by
 * an abort.  In between it must not move, or a rollback would put it back to
 * before what somebody has drawn.
 */
static void
set_sequences(StringInfo command, StringInfo answer pg_attribute_unused())
{
	int			count = (int) pq_getmsgint(command, 4);
	LockRelId  *held = palloc(sizeof(LockRelId) * Max(1, count));
	int			start = command->cursor;

	for (int pass = 0; pass < 2; pass++)
	{
		MemoryContext outer = begin_transaction();

		command->cursor = start;
		for (int i = 0; i < count; i++)
		{
			Oid			relid = pq_getmsgint(command, 4);
			char	   *name = ftm_task_get_string(command);
			SequencePosition position;

			position.last_value = pq_getmsgint64(command);
			position.is_called = pq_getmsgbyte(command);
			if (pass == 0)
			{
				held[i] = hold_sequence(relid, name);
				ftm_state_sequence_found(worker.run_id, relid, name, position);
			}
			else
				ftm_sequence_set(relid, name, position);
		}
		commit_transaction(outer);
	}
	for (int i = 0; i < count; i++)
		UnlockRelationIdForSession(&held[i], ShareRowExclusiveLock);
}

/*
 * One transaction for each: what is built stays built.  Answers with the
 * constraints that are to be validated then.
 */
static void
build_indexes(StringInfo command pg_attribute_unused(), StringInfo answer)
{
	MemoryContext outer = begin_transaction();
	List	   *indexes;
	ListCell   *lc;

	MemoryContextSwitchTo(outer);
	indexes = ftm_catch_up_indexes(worker.run_id);
	commit_transaction(outer);

	foreach(lc, indexes)
	{
		outer = begin_transaction();
		ftm_catch_up_build_index(lfirst_oid(lc));
		commit_transaction(outer);
	}

	outer = begin_transaction();
	ftm_catch_up_put_checks(worker.run_id, answer);
	commit_transaction(outer);
}

static void
validate(StringInfo command, StringInfo answer)
{
	Oid			constraint = pq_getmsgint(command, 4);
	MemoryContext outer = begin_transaction();
	int64		violations = ftm_catch_up_validate(constraint);

	commit_transaction(outer);
	pq_sendint64(answer, violations);
}

static void
check_generated(StringInfo command, StringInfo answer)
{
	char	   *table_name = ftm_task_get_string(command);
	TableChecksum *checksum = ftm_task_get_checksum(command);
	MemoryContext outer = begin_transaction();
	int64		wrong = ftm_verify_generated(table_name, checksum);

	commit_transaction(outer);
	pq_sendint64(answer, wrong);
}

static void
check_key(StringInfo command, StringInfo answer)
{
	Oid			constraint = pq_getmsgint(command, 4);
	MemoryContext outer = begin_transaction();
	int64		orphans = ftm_finish_check_foreign_key(constraint);

	commit_transaction(outer);
	pq_sendint64(answer, orphans);
}

static void
analyze_table(StringInfo command, StringInfo answer pg_attribute_unused())
{
	Oid			relid = pq_getmsgint(command, 4);
	MemoryContext outer = begin_unhurried_transaction();

	ftm_finish_analyze(relid);
	commit_transaction(outer);
}

/*
 * Compare one table with the source; the verdict becomes part of the run, if
 * there is one (ftm_verify() has none).
 */
static void
verify_table(StringInfo command, StringInfo answer)
{
	char	   *table_name = ftm_task_get_string(command);
	TableChecksum *checksum = ftm_task_get_checksum(command);
	VerifyResult *verdict;
	MemoryContext outer;

	outer = begin_transaction();
	verdict = ftm_verify_table(worker.source, table_name, checksum);
	if (worker.run_id != 0)
		ftm_state_table_verified(worker.run_id, verdict);
	ftm_task_put_verdict(answer, verdict);
	commit_transaction(outer);
}

static void
verify_key(StringInfo command, StringInfo answer)
{
	Oid			constraint = pq_getmsgint(command, 4);
	bool		valid_in_source = pq_getmsgbyte(command);
	MemoryContext outer = begin_transaction();

	ftm_task_put_verdict(answer, ftm_verify_foreign_key(constraint,
														valid_in_source));
	commit_transaction(outer);
}

static void
verify_sequence(StringInfo command, StringInfo answer)
{
	CatalogSequence *source = ftm_task_get_sequence(command);
	CatalogSequence *target = ftm_task_get_sequence(command);
	MemoryContext outer = begin_transaction();

	ftm_task_put_verdict(answer, ftm_verify_sequence(source, target));
	commit_transaction(outer);
}
