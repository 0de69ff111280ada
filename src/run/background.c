/*-------------------------------------------------------------------------
 *
 * background.c
 *		Runs whose leader is a background worker.
 *
 * The session that calls ftm_run_migration(wait => false) starts a leader,
 * hands it options and settings in a segment of dynamic shared memory, and
 * waits until the leader says that the run has begun: by then it has connected
 * to the source, made the plan and taken the run's lock, so that what usually
 * goes wrong is told to the caller.  Then both let go of the segment.  A caller
 * that is cancelled before takes the leader with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "libpq/pqformat.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/target.h"
#include "compat.h"
#include "run/background.h"
#include "workers/pool.h"

#define BACKGROUND_MAGIC	0x66746d32
#define KEY_SESSION			UINT64CONST(1)	/* PoolHeader */
#define KEY_OPTIONS			UINT64CONST(2)	/* length, options and settings */
#define KEY_ANSWERS			UINT64CONST(3)	/* queue to the caller */
#define ANSWER_QUEUE_SIZE	((Size) 16 * 1024)

/* The caller's side. */
typedef struct Starter
{
	dsm_segment *segment;
	BackgroundWorkerHandle *leader;
	shm_mq_handle *answers;
} Starter;

PGDLLEXPORT void ftm_background_main(Datum main_arg);

/* The leader's side: the segment until the run has begun. */
static dsm_segment *caller_segment = NULL;

static void put_options(StringInfo buffer, const RunOptions *options);
static RunOptions *get_options(StringInfo buffer);
static void put_settings(StringInfo buffer);
static void apply_settings(StringInfo buffer);
static dsm_segment *create_segment(const RunOptions *options);
static void register_leader(Starter *starter);
static void terminate_leader(dsm_segment *segment, Datum arg);
static int64 wait_for_run(Starter *starter);
static void tell_caller(int64 run_id);

int64
ftm_background_start(const RunOptions *options)
{
	/* An abort releases what belongs to the statement before it detaches. */
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Starter    *starter = palloc0(sizeof(Starter));
	int64		run_id;

	starter->segment = create_segment(options);
	on_dsm_detach(starter->segment, terminate_leader, PointerGetDatum(starter));
	register_leader(starter);
	MemoryContextSwitchTo(old);
	run_id = wait_for_run(starter);

	/* From here on it is on its own. */
	cancel_on_dsm_detach(starter->segment, terminate_leader,
						 PointerGetDatum(starter));
	dsm_detach(starter->segment);
	return run_id;
}

static dsm_segment *
create_segment(const RunOptions *options)
{
	shm_toc_estimator estimator;
	StringInfoData text;
	dsm_segment *segment;
	shm_toc    *toc;
	shm_mq	   *queue;
	PoolHeader *session;
	char	   *place;
	Size		size;

	initStringInfo(&text);
	put_options(&text, options);
	put_settings(&text);

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(PoolHeader));
	shm_toc_estimate_chunk(&estimator, sizeof(int) + text.len);
	shm_toc_estimate_chunk(&estimator, ANSWER_QUEUE_SIZE);
	shm_toc_estimate_keys(&estimator, 3);
	size = shm_toc_estimate(&estimator);
	segment = dsm_create(size, 0);
	toc = shm_toc_create(BACKGROUND_MAGIC, dsm_segment_address(segment), size);

	session = shm_toc_allocate(toc, sizeof(PoolHeader));
	ftm_pool_describe_session(session);
	shm_toc_insert(toc, KEY_SESSION, session);

	place = shm_toc_allocate(toc, sizeof(int) + text.len);
	memcpy(place, &text.len, sizeof(int));
	memcpy(place + sizeof(int), text.data, text.len);
	shm_toc_insert(toc, KEY_OPTIONS, place);

	queue = shm_mq_create(shm_toc_allocate(toc, ANSWER_QUEUE_SIZE),
						  ANSWER_QUEUE_SIZE);
	shm_mq_set_receiver(queue, MyProc);
	shm_toc_insert(toc, KEY_ANSWERS, queue);
	return segment;
}

static void
put_options(StringInfo buffer, const RunOptions *options)
{
	ftm_task_put_string(buffer, options->scope->source);
	ftm_task_put_strings(buffer, options->scope->schemas);
	ftm_task_put_strings(buffer, options->scope->include);
	ftm_task_put_strings(buffer, options->scope->exclude);
	pq_sendint32(buffer, options->workers);
	ftm_task_put_string(buffer, options->policy.unmapped);
	ftm_task_put_string(buffer, options->policy.undecided);
	ftm_task_put_string(buffer, options->policy.ids);
	pq_sendbyte(buffer, options->replace);
	pq_sendbyte(buffer, options->users);
	ftm_task_put_string(buffer, options->auth_server);
	pq_sendbyte(buffer, options->verify);
	pq_sendbyte(buffer, options->restart);
}

static RunOptions *
get_options(StringInfo buffer)
{
	RunOptions *options = palloc0(sizeof(RunOptions));

	options->scope = palloc0(sizeof(Scope));
	options->scope->source = ftm_task_get_string(buffer);
	options->scope->schemas = ftm_task_get_strings(buffer);
	options->scope->include = ftm_task_get_strings(buffer);
	options->scope->exclude = ftm_task_get_strings(buffer);
	options->workers = (int) pq_getmsgint(buffer, 4);
	options->policy.unmapped = ftm_task_get_string(buffer);
	options->policy.undecided = ftm_task_get_string(buffer);
	options->policy.ids = ftm_task_get_string(buffer);
	options->replace = pq_getmsgbyte(buffer);
	options->users = pq_getmsgbyte(buffer);
	options->auth_server = ftm_task_get_string(buffer);
	options->verify = pq_getmsgbyte(buffer);
	options->restart = pq_getmsgbyte(buffer);
	return options;
}

/*
 * The session's settings that mean something to a run.  What they are worth
 * has been checked when they were set.
 */
static void
put_settings(StringInfo buffer)
{
	RowSet	   *rows;

	rows = ftm_target_query("SELECT name, setting FROM pg_settings"
							" WHERE name LIKE 'ftmigrate.%'"
							"   AND context IN ('user', 'superuser')",
							0, NULL);
	pq_sendint32(buffer, rows->nrows);
	for (int i = 0; i < rows->nrows; i++)
	{
		ftm_task_put_string(buffer, ftm_rowset_value(rows, i, 0));
		ftm_task_put_string(buffer, ftm_rowset_value(rows, i, 1));
	}
}

static void
apply_settings(StringInfo buffer)
{
	int			count = (int) pq_getmsgint(buffer, 4);

	for (int i = 0; i < count; i++)
	{
		char	   *name = ftm_task_get_string(buffer);
		char	   *value = ftm_task_get_string(buffer);

		SetConfigOption(name, value, PGC_SUSET, PGC_S_SESSION);
	}
}

static void
register_leader(Starter *starter)
{
	shm_toc    *toc = shm_toc_attach(BACKGROUND_MAGIC,
									 dsm_segment_address(starter->segment));
	BackgroundWorker registration;

	memset(&registration, 0, sizeof(registration));
	registration.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration.bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(registration.bgw_library_name, BGW_MAXLEN, "ftmigrate");
	snprintf(registration.bgw_function_name, BGW_MAXLEN, "ftm_background_main");
	snprintf(registration.bgw_type, BGW_MAXLEN, "ftmigrate leader");
	snprintf(registration.bgw_name, BGW_MAXLEN,
			 "ftmigrate leader started by PID %d", MyProcPid);
	registration.bgw_main_arg =
		UInt32GetDatum(dsm_segment_handle(starter->segment));
	registration.bgw_notify_pid = MyProcPid;

	if (!RegisterDynamicBackgroundWorker(&registration, &starter->leader))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("could not start a background worker"),
				 errdetail("A run in the background needs at least 3 free worker slots."),
				 errhint("Raise max_worker_processes, or wait until other background workers have ended.")));
	starter->answers = shm_mq_attach(shm_toc_lookup(toc, KEY_ANSWERS, false),
									 starter->segment, starter->leader);
}

/*
 * The leader holds the lock of the run: until it is gone, the caller's next call
 * would be refused.  In the middle of an abort, as in pool.c.
 */
static void
terminate_leader(dsm_segment *segment pg_attribute_unused(), Datum arg)
{
	const Starter *starter = (const Starter *) DatumGetPointer(arg);

	if (starter->leader == NULL)
		return;
	HOLD_INTERRUPTS();
	TerminateBackgroundWorker(starter->leader);
	(void) WaitForBackgroundWorkerShutdown(starter->leader);
	RESUME_INTERRUPTS();
}

/*
 * Relay what the leader says until it says that the run has begun.
 */
static int64
wait_for_run(Starter *starter)
{
	StringInfoData message;

	initStringInfo(&message);
	for (;;)
	{
		Size		length;
		void	   *data;
		char		type;

		CHECK_FOR_INTERRUPTS();
		switch (shm_mq_receive(starter->answers, &length, &data, true))
		{
			case SHM_MQ_SUCCESS:
				resetStringInfo(&message);
				appendBinaryStringInfo(&message, data, (int) length);
				type = (char) pq_getmsgbyte(&message);
				if (type == 'D')
					return pq_getmsgint64(&message);
				ftm_pool_relay_message(&message, type);
				break;
			case SHM_MQ_DETACHED:
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("the run ended before it began"),
						 errhint("See the server log for the reason.")));
			case SHM_MQ_WOULD_BLOCK:
				(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH,
								 -1L, ftm_wait_event());
				ResetLatch(MyLatch);
				break;
		}
	}
}

/*
 * Entry point of the background worker; main_arg is the handle of the segment.
 */
void
ftm_background_main(Datum main_arg)
{
	shm_toc    *toc;
	shm_mq	   *queue;
	char	   *place;
	StringInfoData text;
	RunOptions *options;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();

	caller_segment = dsm_attach(DatumGetUInt32(main_arg));
	toc = caller_segment == NULL ? NULL :
		shm_toc_attach(BACKGROUND_MAGIC, dsm_segment_address(caller_segment));
	if (toc == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the session that started the run is gone")));
	queue = shm_toc_lookup(toc, KEY_ANSWERS, false);
	shm_mq_set_sender(queue, MyProc);
	pq_redirect_to_shm_mq(caller_segment,
						  shm_mq_attach(queue, caller_segment, NULL));
	ftm_worker_set_up_session(shm_toc_lookup(toc, KEY_SESSION, false));

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "ftm_run_migration(wait => false)");

	initStringInfo(&text);
	place = shm_toc_lookup(toc, KEY_OPTIONS, false);
	appendBinaryStringInfo(&text, place + sizeof(int), *(int *) place);
	options = get_options(&text);
	apply_settings(&text);
	options->begun = tell_caller;
	(void) ftm_leader_run(options);

	PopActiveSnapshot();
	CommitTransactionCommand();
	proc_exit(0);
}

/*
 * The run has begun: the caller may go.
 */
static void
tell_caller(int64 run_id)
{
	StringInfoData message;

	pq_beginmessage(&message, 'D');
	pq_sendint64(&message, run_id);
	pq_endmessage(&message);

	/* Errors and notices go to the server log from now on. */
	dsm_detach(caller_segment);
	caller_segment = NULL;
}
