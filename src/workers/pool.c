/*-------------------------------------------------------------------------
 *
 * pool.c
 *		The background workers of a run, as the leader sees them.
 *
 * Workers are dynamic background workers, which need no
 * shared_preload_libraries.  Each has two queues in the pool's dynamic shared
 * memory: commands to it, and answers from it, which are messages of the
 * frontend/backend protocol: 'E' and 'N' for errors and notices, 'D' for a
 * result.  The segment belongs to the leader's transaction: whatever ends it,
 * detaching terminates the loaders and waits until they are gone, while the
 * leader still holds the lock of its call.  So nobody who gets that lock next
 * meets a worker of this call.
 *
 * Waiting for a worker's end can be interrupted, and an error can come at any
 * moment.  So what a pool is at is written down before it is begun (PoolState),
 * every function may be called again after it was interrupted, and a command
 * that was interrupted half-way closes its queue: the worker would take the
 * next command for the rest of it.
 *
 * The leader must never wait for a worker that waits for a lock of the
 * leader's: neither deadlock detector would see it.  leader.c therefore takes
 * no lock on a user table, and workers have a lock_timeout.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "base/target_error.h"
#include "compat.h"
#include "workers/pool.h"

#define COMMAND_QUEUE_SIZE	((Size) 16 * 1024)
#define ANSWER_QUEUE_SIZE	((Size) 16 * 1024)

/* What a pool is at. */
typedef enum PoolState
{
	POOL_OPEN,					/* workers take commands */
	POOL_STOPPED,				/* loaders are gone or going; the keeper takes
								 * commands, and nothing ticks */
	POOL_ENDING,				/* all were told to end */
	POOL_ENDED					/* all are gone, and so is the segment */
} PoolState;

typedef struct PoolWorker
{
	BackgroundWorkerHandle *handle; /* NULL once known to have stopped */
	shm_mq_handle *commands;	/* NULL once detached */
	bool		sending;		/* a command is on its way into the queue; if
								 * nobody is sending it, half of it is there */
	shm_mq_handle *answers;
	int			unanswered;		/* commands that have been sent */
	PoolTask   *task;			/* what it is busy with, if a task */
	int			position;		/* of the task among those of its step, from 1;
								 * of a follow-up 0 */
} PoolWorker;

/* What a call of ftm_pool_run() is about. */
typedef struct TaskQueue
{
	List	   *tasks;
	int			next;			/* the first that has not been given */
	List	   *follow_ups;		/* of those that are finished, not given yet */
	int			nunfinished;	/* of tasks, given */
	int			nrunning;		/* follow-ups included */
} TaskQueue;

struct WorkerPool
{
	PoolState	state;
	dsm_segment *segment;
	MemoryContext context;
	int			nworkers;		/* keeper included */
	PoolWorker *workers;
	const char *failed_object;
	StringInfoData message;		/* last message received */
	int			ntasks;			/* of the step under way */
	int			ndone;
	int			tick_interval;	/* in milliseconds; 0: none */
	TimestampTz next_tick;
	void		(*tick) (void *arg);
	void	   *tick_arg;
};

static dsm_segment *create_segment(int nworkers);
static void create_queues(shm_toc *toc, int index);
static bool start_worker(WorkerPool *pool, int index);
pg_noreturn static void report_no_workers(void);
static void end_loaders(dsm_segment *segment, Datum arg);
static void terminate_loaders(const WorkerPool *pool);
static void wait_for_exit(PoolWorker *worker);
static void detach_commands(PoolWorker *worker);
static bool takes_commands(const WorkerPool *pool, int index);
static void give_tasks(WorkerPool *pool, TaskQueue *queue);
static PoolTask *next_task(WorkerPool *pool, TaskQueue *queue, int *position);
static void finish_task(WorkerPool *pool, TaskQueue *queue, int index);
static void send_command(WorkerPool *pool, int index, WorkerCommand command,
						 StringInfo payload);
static void receive_from_one(WorkerPool *pool, int index);
static int	receive_result(WorkerPool *pool);
static void wait_for_message(WorkerPool *pool);
static char receive_from(WorkerPool *pool, int index);
static void relay_message(WorkerPool *pool, int index, StringInfo message,
						  char type);
static void remember_failed_object(WorkerPool *pool, int index);
pg_noreturn static void report_lost_worker(WorkerPool *pool, int index);

WorkerPool *
ftm_pool_start(int nloaders)
{
	WorkerPool *pool = ftm_pool_begin(nloaders);

	ftm_pool_check_size(pool, nloaders);
	return pool;
}

WorkerPool *
ftm_pool_begin(int nloaders)
{
	/* An abort releases what belongs to the statement before it detaches. */
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	WorkerPool *pool = palloc0(sizeof(WorkerPool));
	int			wanted = nloaders + 1;

	ftm_recovery_refuse("a function that needs background workers");
	pool->context = CurrentMemoryContext;
	pool->workers = palloc0(sizeof(PoolWorker) * wanted);
	initStringInfo(&pool->message);
	pool->segment = create_segment(wanted);

	/* Before the first worker: from here on an error stops them all. */
	on_dsm_detach(pool->segment, end_loaders, PointerGetDatum(pool));

	while (pool->nworkers < wanted && start_worker(pool, pool->nworkers))
		pool->nworkers++;
	MemoryContextSwitchTo(old);
	return pool;
}

void
ftm_pool_check_size(const WorkerPool *pool, int nloaders)
{
	if (pool->nworkers < 2)
		report_no_workers();
	if (pool->nworkers - 1 < nloaders)
		ereport(NOTICE,
				(errmsg("running with %d workers instead of %d",
						pool->nworkers - 1, nloaders),
				 errhint("Raise max_worker_processes for more.")));
}

void
ftm_pool_set_tick(WorkerPool *pool, int interval, void (*tick) (void *arg),
				  void *arg)
{
	pool->tick_interval = interval;
	pool->tick = tick;
	pool->tick_arg = arg;
	pool->next_tick = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
												  interval);
}

static void
report_no_workers(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not start background workers"),
			 errdetail("A run needs at least 2 free worker slots."),
			 errhint("Raise max_worker_processes, or wait until other background workers have ended.")));
}

int
ftm_pool_loaders(const WorkerPool *pool)
{
	return pool->nworkers - 1;
}

const char *
ftm_pool_failed_object(const WorkerPool *pool)
{
	return pool->failed_object;
}

void
ftm_pool_describe_session(PoolHeader *header)
{
	header->database = MyDatabaseId;
	/* Not GetAuthenticatedUserId(): see SET SESSION AUTHORIZATION. */
	header->session_user = GetSessionUserId();
	GetUserIdAndSecContext(&header->current_user, &header->security_context);
	header->connect_timeout = ftm_connect_timeout;
	header->network_timeout = ftm_network_timeout;
	header->streams = ftm_streams;
	header->lock_timeout = ftm_lock_timeout;
	header->maintenance_work_mem = maintenance_work_mem;
	strlcpy(header->log_file, ftm_log_file, MAXPGPATH);
}

/*
 * Make the segment with its header and all queues; the leader is the sender
 * of commands and the receiver of answers.
 */
static dsm_segment *
create_segment(int nworkers)
{
	shm_toc_estimator estimator;
	dsm_segment *segment;
	shm_toc    *toc;
	PoolHeader *header;
	Size		size;

	shm_toc_initialize_estimator(&estimator);
	shm_toc_estimate_chunk(&estimator, sizeof(PoolHeader));
	for (int i = 0; i < nworkers; i++)
	{
		shm_toc_estimate_chunk(&estimator, COMMAND_QUEUE_SIZE);
		shm_toc_estimate_chunk(&estimator, ANSWER_QUEUE_SIZE);
	}
	shm_toc_estimate_keys(&estimator, 1 + 2 * nworkers);
	size = shm_toc_estimate(&estimator);

	segment = dsm_create(size, 0);
	toc = shm_toc_create(POOL_MAGIC, dsm_segment_address(segment), size);

	header = shm_toc_allocate(toc, sizeof(PoolHeader));
	ftm_pool_describe_session(header);
	shm_toc_insert(toc, POOL_KEY_HEADER, header);

	for (int i = 0; i < nworkers; i++)
	{
		shm_toc_insert(toc, POOL_KEY_COMMANDS(i),
					   shm_toc_allocate(toc, COMMAND_QUEUE_SIZE));
		shm_toc_insert(toc, POOL_KEY_ANSWERS(i),
					   shm_toc_allocate(toc, ANSWER_QUEUE_SIZE));
		create_queues(toc, i);
	}
	return segment;
}

/*
 * Make the queues of one worker in the memory that is there for them.
 */
static void
create_queues(shm_toc *toc, int index)
{
	shm_mq	   *queue;

	queue = shm_mq_create(shm_toc_lookup(toc, POOL_KEY_COMMANDS(index), false),
						  COMMAND_QUEUE_SIZE);
	shm_mq_set_sender(queue, MyProc);
	queue = shm_mq_create(shm_toc_lookup(toc, POOL_KEY_ANSWERS(index), false),
						  ANSWER_QUEUE_SIZE);
	shm_mq_set_receiver(queue, MyProc);
}

/*
 * Register one worker and attach to its queues.  False if there is no slot.
 */
static bool
start_worker(WorkerPool *pool, int index)
{
	PoolWorker *worker = &pool->workers[index];
	shm_toc    *toc = shm_toc_attach(POOL_MAGIC,
									 dsm_segment_address(pool->segment));
	BackgroundWorker registration;

	memset(&registration, 0, sizeof(registration));
	registration.bgw_flags = BGWORKER_SHMEM_ACCESS |
		BGWORKER_BACKEND_DATABASE_CONNECTION;
	registration.bgw_start_time = BgWorkerStart_RecoveryFinished;
	registration.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(registration.bgw_library_name, BGW_MAXLEN, "ftmigrate");
	snprintf(registration.bgw_function_name, BGW_MAXLEN, "ftm_worker_main");
	snprintf(registration.bgw_type, BGW_MAXLEN, "%s",
			 index == POOL_KEEPER ? "ftmigrate keeper" : "ftmigrate worker");
	if (index == POOL_KEEPER)
		snprintf(registration.bgw_name, BGW_MAXLEN,
				 "ftmigrate keeper for PID %d", MyProcPid);
	else
		snprintf(registration.bgw_name, BGW_MAXLEN,
				 "ftmigrate worker %d for PID %d", index, MyProcPid);
	registration.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(pool->segment));
	memcpy(registration.bgw_extra, &index, sizeof(index));
	registration.bgw_notify_pid = MyProcPid;

	if (!RegisterDynamicBackgroundWorker(&registration, &worker->handle))
		return false;

	/*
	 * With the handle, a worker that dies before it attaches counts as
	 * detached instead of being waited for.
	 */
	worker->commands = shm_mq_attach(shm_toc_lookup(toc, POOL_KEY_COMMANDS(index), false),
									 pool->segment, worker->handle);
	worker->answers = shm_mq_attach(shm_toc_lookup(toc, POOL_KEY_ANSWERS(index), false),
									pool->segment, worker->handle);
	return true;
}

/*
 * The segment is being detached: the call is over, in whatever way.  This is in
 * the middle of an abort, so the wait cannot be interrupted, as is the case with
 * parallel workers of the server.  The keeper is left alone: it sees that the
 * leader is gone, writes that down if the run was not ended, and ends by itself.
 */
static void
end_loaders(dsm_segment *segment pg_attribute_unused(), Datum arg)
{
	WorkerPool *pool = (WorkerPool *) DatumGetPointer(arg);

	HOLD_INTERRUPTS();
	terminate_loaders(pool);
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
		wait_for_exit(&pool->workers[i]);
	RESUME_INTERRUPTS();
}

static void
terminate_loaders(const WorkerPool *pool)
{
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
	{
		if (pool->workers[i].handle != NULL)
			TerminateBackgroundWorker(pool->workers[i].handle);
	}
}

/*
 * Only then is it known to have stopped: the wait may be interrupted, and then
 * somebody else waits again.
 */
static void
wait_for_exit(PoolWorker *worker)
{
	if (worker->handle != NULL)
		(void) WaitForBackgroundWorkerShutdown(worker->handle);
	worker->handle = NULL;
	worker->task = NULL;
}

StringInfo
ftm_pool_call(WorkerPool *pool, int worker, WorkerCommand command,
			  StringInfo payload)
{
	send_command(pool, worker, command, payload);
	receive_from_one(pool, worker);
	return &pool->message;
}

void
ftm_pool_send_all(WorkerPool *pool, WorkerCommand command, StringInfo payload)
{
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
		send_command(pool, i, command, payload);
}

void
ftm_pool_await_all(WorkerPool *pool)
{
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
	{
		while (pool->workers[i].unanswered > 0)
			(void) receive_result(pool);
	}
}

void
ftm_pool_run(WorkerPool *pool, List *tasks)
{
	TaskQueue	queue = {0};

	queue.tasks = tasks;
	pool->ntasks = list_length(tasks);
	pool->ndone = 0;
	give_tasks(pool, &queue);
	while (queue.nrunning > 0)
	{
		finish_task(pool, &queue, receive_result(pool));
		give_tasks(pool, &queue);
	}
	pool->ntasks = 0;
}

/*
 * Give a task to each loader that has none, as long as there are some.
 */
static void
give_tasks(WorkerPool *pool, TaskQueue *queue)
{
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
	{
		PoolWorker *worker = &pool->workers[i];

		if (worker->unanswered > 0)
			continue;
		worker->task = next_task(pool, queue, &worker->position);
		if (worker->task == NULL)
			return;
		send_command(pool, i, worker->task->command, worker->task->payload);
		queue->nrunning++;
	}
}

/*
 * Follow-ups are begun only while there is something to wait for anyway.
 */
static PoolTask *
next_task(WorkerPool *pool, TaskQueue *queue, int *position)
{
	PoolTask   *task;

	while (queue->next < list_length(queue->tasks))
	{
		task = list_nth(queue->tasks, queue->next++);
		*position = queue->next;
		if (!task->finished)
		{
			queue->nunfinished++;
			return task;
		}
		pool->ndone++;
	}
	if (queue->nunfinished == 0 || queue->follow_ups == NIL)
		return NULL;
	task = linitial(queue->follow_ups);
	*position = 0;
	queue->follow_ups = list_delete_first(queue->follow_ups);
	return task;
}

static void
finish_task(WorkerPool *pool, TaskQueue *queue, int index)
{
	PoolWorker *worker = &pool->workers[index];
	PoolTask   *task = worker->task;

	if (task->done != NULL)
		task->done(task->arg, &pool->message);
	task->finished = true;
	worker->task = NULL;
	queue->nrunning--;
	if (worker->position > 0)
	{
		queue->nunfinished--;
		pool->ndone++;
	}
	if (task->follow_up != NULL)
		queue->follow_ups = lappend(queue->follow_ups, task->follow_up);
}

int
ftm_pool_tasks(const WorkerPool *pool, int *ndone, List **objects)
{
	*ndone = pool->ndone;
	*objects = NIL;
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
	{
		const PoolTask *task = pool->workers[i].task;

		if (task != NULL && task->object != NULL)
			*objects = lappend(*objects, unconstify(char *, task->object));
	}
	return pool->ntasks;
}

/*
 * A command is its letter, what it is about, terminated by a NUL, and the
 * payload.  A task of several also says which of them it is, for ftm_progress;
 * a follow-up is none of them.
 * Waits while the queue is full, which a worker that reads its command ends.
 */
static void
send_command(WorkerPool *pool, int index, WorkerCommand command,
			 StringInfo payload)
{
	PoolWorker *worker = &pool->workers[index];
	char		letter = (char) command;
	const PoolTask *task = worker->task;
	const char *object = task != NULL && task->object != NULL ? task->object : "";
	shm_mq_iovec parts[3];

	if (!takes_commands(pool, index))
		elog(ERROR, "background worker %d takes no command \"%c\" any more",
			 index, letter);
	if (task != NULL && worker->position > 0 && pool->ntasks > 1)
		object = psprintf("%s: %d of %d", object,
						  worker->position, pool->ntasks);

	parts[0].data = &letter;
	parts[0].len = 1;
	parts[1].data = object;
	parts[1].len = strlen(object) + 1;
	parts[2].data = payload != NULL ? payload->data : "";
	parts[2].len = payload != NULL ? payload->len : 0;

	worker->sending = true;
	if (shm_mq_sendv(worker->commands, parts, 3, false, true) != SHM_MQ_SUCCESS)
	{
		/* It may have sent the reason before it went. */
		while (receive_from(pool, index) != '\0')
			;
		report_lost_worker(pool, index);
	}
	worker->sending = false;
	worker->unanswered++;
}

static bool
takes_commands(const WorkerPool *pool, int index)
{
	const PoolWorker *worker = &pool->workers[index];

	if (pool->state != POOL_OPEN &&
		(pool->state != POOL_STOPPED || index != POOL_KEEPER))
		return false;
	return worker->commands != NULL && !worker->sending;
}

bool
ftm_pool_keeper_listens(const WorkerPool *pool)
{
	return takes_commands(pool, POOL_KEEPER);
}

/*
 * Wait for the result of the last command to one worker.  The keeper is done in
 * a moment, and may be writing down that there is a run: until then, a loader's
 * error would not be recorded.  A loader takes its time, and must not be waited
 * for if another one fails.
 */
static void
receive_from_one(WorkerPool *pool, int index)
{
	while (pool->workers[index].unanswered > 0)
	{
		CHECK_FOR_INTERRUPTS();
		if (index != POOL_KEEPER)
			(void) receive_result(pool);
		else if (receive_from(pool, index) == '\0')
			wait_for_message(pool);
	}
}

/*
 * Wait for the next result of any busy worker, relay notices and raise errors
 * meanwhile.  The result is in pool->message, its cursor behind the type.
 */
static int
receive_result(WorkerPool *pool)
{
	for (;;)
	{
		char		type;

		CHECK_FOR_INTERRUPTS();

		for (int i = 0; i < pool->nworkers; i++)
		{
			if (pool->workers[i].handle == NULL)
				continue;
			while ((type = receive_from(pool, i)) != '\0')
			{
				if (type == 'D')
					return i;
			}
		}
		wait_for_message(pool);
	}
}

/*
 * Wait until some worker may have something to say, or until the next tick is
 * due, and have that done.
 */
static void
wait_for_message(WorkerPool *pool)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	bool		ticks = pool->state == POOL_OPEN && pool->tick_interval > 0;
	long		timeout = -1L;

	if (ticks)
	{
		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
												  pool->next_tick);
		events |= WL_TIMEOUT;
	}
	(void) WaitLatch(MyLatch, events, timeout, ftm_wait_event());
	ResetLatch(MyLatch);

	if (ticks && GetCurrentTimestamp() >= pool->next_tick)
	{
		pool->next_tick = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													  pool->tick_interval);
		pool->tick(pool->tick_arg);
	}
}

/*
 * Take one message of one worker, if there is one, and act on it.  Returns its
 * type, '\0' if there is none.
 */
static char
receive_from(WorkerPool *pool, int index)
{
	PoolWorker *worker = &pool->workers[index];
	Size		length;
	void	   *data;
	char		type;

	switch (shm_mq_receive(worker->answers, &length, &data, true))
	{
		case SHM_MQ_WOULD_BLOCK:
			return '\0';
		case SHM_MQ_DETACHED:
			report_lost_worker(pool, index);
		case SHM_MQ_SUCCESS:
			break;
	}

	/* Copied first: handling it may receive again, or throw. */
	resetStringInfo(&pool->message);
	appendBinaryStringInfo(&pool->message, data, (int) length);
	type = pool->message.data[pool->message.cursor++];
	if (type == 'D')
		worker->unanswered--;
	else
		relay_message(pool, index, &pool->message, type);
	return type;
}

/*
 * Raise a worker's error, or pass on its notice.
 */
static void
relay_message(WorkerPool *pool, int index, StringInfo message, char type)
{
	if (type == 'E')
		remember_failed_object(pool, index);
	ftm_pool_relay_message(message, type);
}

/*
 * The task does not live as long as the pool.
 */
static void
remember_failed_object(WorkerPool *pool, int index)
{
	const PoolTask *task = pool->workers[index].task;

	if (task != NULL && task->object != NULL)
		pool->failed_object = MemoryContextStrdup(pool->context, task->object);
}

void
ftm_pool_relay_message(StringInfo message, char type)
{
	ErrorData	error;

	if (type != 'E' && type != 'N')
		elog(ERROR, "unexpected message type %d from a background worker",
			 type);

	pq_parse_errornotice(message, &error);
	/* A FATAL of the worker ends the call, not the session. */
	if (type == 'E')
	{
		error.elevel = ERROR;
		if (error.hint == NULL)
			error.hint = unconstify(char *, ftm_target_error_hint(&error));
	}
	ThrowErrorData(&error);
}

static void
report_lost_worker(WorkerPool *pool, int index)
{
	remember_failed_object(pool, index);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("lost connection to a background worker"),
			 pool->failed_object != NULL ?
			 errdetail("It was working on %s.", pool->failed_object) : 0,
			 errhint("See the server log for its reason.  Call the function again: what is complete is kept.")));
}

void
ftm_pool_stop_loaders(WorkerPool *pool)
{
	if (pool->state == POOL_ENDED)
		return;
	if (pool->state == POOL_OPEN)
		pool->state = POOL_STOPPED;
	terminate_loaders(pool);
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
		wait_for_exit(&pool->workers[i]);
}

void
ftm_pool_restart_loaders(WorkerPool *pool)
{
	MemoryContext old = MemoryContextSwitchTo(pool->context);
	shm_toc    *toc = shm_toc_attach(POOL_MAGIC,
									 dsm_segment_address(pool->segment));
	int			wanted = pool->nworkers;

	Assert(pool->state == POOL_STOPPED);

	/* The processes are gone, so the queues' memory may be used again. */
	for (int i = POOL_KEEPER + 1; i < wanted; i++)
	{
		detach_commands(&pool->workers[i]);
		shm_mq_detach(pool->workers[i].answers);
		memset(&pool->workers[i], 0, sizeof(PoolWorker));
		create_queues(toc, i);
	}
	pool->failed_object = NULL;

	pool->nworkers = POOL_KEEPER + 1;
	while (pool->nworkers < wanted && start_worker(pool, pool->nworkers))
		pool->nworkers++;
	if (pool->nworkers == POOL_KEEPER + 1)
		report_no_workers();
	pool->state = POOL_OPEN;
	MemoryContextSwitchTo(old);
}

void
ftm_pool_dismiss_loaders(WorkerPool *pool)
{
	for (int i = POOL_KEEPER + 1; i < pool->nworkers; i++)
		detach_commands(&pool->workers[i]);
}

/*
 * Detached from its commands, a worker ends.
 */
static void
detach_commands(PoolWorker *worker)
{
	if (worker->commands != NULL)
		shm_mq_detach(worker->commands);
	worker->commands = NULL;
}

void
ftm_pool_end(WorkerPool *pool)
{
	if (pool->state == POOL_ENDED)
		return;

	/* Said before the wait, which an error may end. */
	pool->state = POOL_ENDING;
	for (int i = 0; i < pool->nworkers; i++)
		detach_commands(&pool->workers[i]);
	for (int i = 0; i < pool->nworkers; i++)
		wait_for_exit(&pool->workers[i]);

	pool->state = POOL_ENDED;
	for (int i = 0; i < pool->nworkers; i++)
		pool->workers[i].answers = NULL;
	dsm_detach(pool->segment);
	pool->segment = NULL;
}
