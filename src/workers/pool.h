/*-------------------------------------------------------------------------
 *
 * pool.h
 *		The background workers of a run, as the leader sees them.
 *
 * The leader holds a pool: one keeper, which writes the run's state, and
 * loaders, which do the work.  It hands out commands; a worker executes one at
 * a time and answers with one result, or with an error that is raised in the
 * leader as it was.  A worker that fails is gone, and so is the pool.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_POOL_H
#define FTM_POOL_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"
#include "storage/dsm.h"
#include "storage/shm_mq.h"
#include "storage/shm_toc.h"

/* What a worker can be told to do; worker.c has a function for each. */
typedef enum WorkerCommand
{
	/* the keeper's */
	COMMAND_BEGIN_RUN = 'B',
	COMMAND_FAIL_RUN = 'X',
	COMMAND_END_RUN = 'E',
	COMMAND_RECORD_ACTIVITY = 'G',
	COMMAND_LOG = 'N',
	COMMAND_RECORD_VERDICTS = 'P',
	COMMAND_TAKE_DECISIONS = 'H',
	COMMAND_FIND_CHANGES = 'h',
	/* the loaders' */
	COMMAND_CHECK_USERS = 'C',
	COMMAND_MIGRATE_USERS = 'U',
	COMMAND_MATCH_USERS = 'M',
	COMMAND_VERIFY_USERS = 'W',
	COMMAND_SEND_RESETS = 'R',
	COMMAND_DELETE_USERS = 'D',
	COMMAND_ROLL_BACK = 'Z',
	COMMAND_OPEN_SOURCE = 'O',
	COMMAND_SET_SNAPSHOT = 'T',
	COMMAND_JOIN_RUN = 'Y',
	COMMAND_INVALIDATE_KEYS = 'I',
	COMMAND_LOAD_TABLE = 'L',
	COMMAND_EXPORT_TABLE = 'J',
	COMMAND_SET_SEQUENCES = 'S',
	COMMAND_BUILD_INDEXES = 'b',
	COMMAND_VALIDATE = 'v',
	COMMAND_CHECK_GENERATED = 'g',
	COMMAND_CHECK_KEY = 'K',
	COMMAND_ANALYZE_TABLE = 'A',
	COMMAND_VERIFY_TABLE = 'V',
	COMMAND_VERIFY_KEY = 'F',
	COMMAND_VERIFY_SEQUENCE = 'Q'
} WorkerCommand;

/*
 * At the beginning of the pool's shared memory: who the workers are to be.
 * Written by the leader before the first worker starts, never changed after;
 * no lock needed.
 */
typedef struct PoolHeader
{
	Oid			database;
	Oid			session_user;	/* connected as: a role with LOGIN */
	Oid			current_user;	/* whose rights count */
	int			security_context;
	/* settings of the leader's session that workers take over */
	int			connect_timeout;
	int			network_timeout;
	int			lock_timeout;
	int			streams;
	int			maintenance_work_mem;
	char		log_file[MAXPGPATH];
} PoolHeader;

#define POOL_MAGIC			0x66746d31
#define POOL_KEY_HEADER		UINT64CONST(1)
/* Two queues for worker i: commands to it, answers from it. */
#define POOL_KEY_COMMANDS(i)	(UINT64CONST(0x1000) + (i))
#define POOL_KEY_ANSWERS(i)		(UINT64CONST(0x2000) + (i))

/* Fill in what this session is.  In worker.c: become what another one is. */
extern void ftm_pool_describe_session(PoolHeader *header);
extern void ftm_worker_set_up_session(const PoolHeader *header);

#define POOL_KEEPER			0	/* index of the keeper; loaders follow */

typedef struct WorkerPool WorkerPool;

/* One piece of work for whichever loader is free. */
typedef struct PoolTask
{
	WorkerCommand command;
	StringInfo	payload;
	const char *object;			/* table or key it is about, for messages and
								 * for what pg_stat_activity shows */
	void	   *arg;			/* for done */
	void		(*done) (void *arg, StringInfo result);
	struct PoolTask *follow_up; /* possible once this one is done, or NULL */
	bool		finished;
} PoolTask;

/*
 * Start a keeper and nloaders loaders for the current user and database, in
 * the current transaction: when it aborts, at the latest, they are stopped, and
 * gone before it releases its locks.
 * Runs with fewer loaders if not all slots of max_worker_processes are free;
 * error 53000 if there are not even two.
 */
extern WorkerPool *ftm_pool_start(int nloaders);

/*
 * The same in two halves: the first starts as many as it can, the second says
 * or complains that nloaders are more.
 */
extern WorkerPool *ftm_pool_begin(int nloaders);
extern void ftm_pool_check_size(const WorkerPool *pool, int nloaders);

extern int	ftm_pool_loaders(const WorkerPool *pool);

/*
 * From now on, call tick(arg) every so many milliseconds while waiting for
 * workers; 0: never.  It runs in the leader's transaction and must not use the
 * pool.
 */
extern void ftm_pool_set_tick(WorkerPool *pool, int interval,
							  void (*tick) (void *arg), void *arg);

/*
 * Send a command to one worker and wait for its result, which is valid until
 * the next call.  Commands sent to it before are done first.
 */
extern StringInfo ftm_pool_call(WorkerPool *pool, int worker,
								WorkerCommand command, StringInfo payload);

/*
 * Send the same command to all loaders; wait for all of them to have done what
 * was sent.
 */
extern void ftm_pool_send_all(WorkerPool *pool, WorkerCommand command,
							  StringInfo payload);
extern void ftm_pool_await_all(WorkerPool *pool);

/*
 * Have all tasks (List of PoolTask) that are not finished done by the loaders,
 * in list order as far as they become free, and call each one's done function in
 * the leader.  A loader that has nothing to do while others still have does
 * follow-ups; those that nobody had the time for stay unfinished.
 * Notices of the workers are relayed; the first error is raised, the object
 * it is about can then be had from ftm_pool_failed_object().
 */
extern void ftm_pool_run(WorkerPool *pool, List *tasks);
extern const char *ftm_pool_failed_object(const WorkerPool *pool);

/*
 * How many tasks the ftm_pool_run() under way has (0: none is), how many of
 * them are done, and what the loaders are working on (List of char *).
 */
extern int	ftm_pool_tasks(const WorkerPool *pool, int *ndone, List **objects);

/*
 * For error paths: stop the loaders and wait until they are gone, so that the
 * locks and source connections of the run are, too.  The keeper lives on.
 */
extern void ftm_pool_stop_loaders(WorkerPool *pool);

/*
 * For error paths: can the keeper be told anything?  Not when the pool was told
 * to end, nor when a command to the keeper was interrupted half-way.
 */
extern bool ftm_pool_keeper_listens(const WorkerPool *pool);

/*
 * There is nothing more for the loaders to do: they end while the leader goes
 * on with the keeper.
 */
extern void ftm_pool_dismiss_loaders(WorkerPool *pool);

/*
 * New loaders instead of those that were stopped, as many as there are slots
 * for; error 53000 if there is none.
 */
extern void ftm_pool_restart_loaders(WorkerPool *pool);

/*
 * Raise the error ('E'), or pass on the notice ('N'), that a background worker
 * has sent; message's cursor is behind the type.
 */
extern void ftm_pool_relay_message(StringInfo message, char type);

/*
 * Orderly end: all workers finish.  May be called again if it was interrupted;
 * does nothing once they have.
 */
extern void ftm_pool_end(WorkerPool *pool);

#endif							/* FTM_POOL_H */
