/*-------------------------------------------------------------------------
 *
 * leader.h
 *		One run, step by step.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_LEADER_H
#define FTM_LEADER_H

#include "load/task.h"
#include "remote/server.h"
#include "run/import.h"
#include "schema/scope.h"

typedef struct RunOptions
{
	Scope	   *scope;
	int			workers;		/* loaders */
	UserIdPolicy policy;
	bool		replace;		/* existing => 'truncate' */
	bool		users;			/* create missing users first */
	char	   *auth_server;	/* name of the ftm_stack_auth server */
	bool		verify;
	bool		dry_run;		/* plan only */
	bool		restart;
	ImportDirectory *import;	/* where the rows are; NULL: in the source */
	void		(*begun) (int64 run_id);	/* called once the run is known; may be
											 * NULL */
} RunOptions;

/* One table of the answer. */
typedef struct RunTableResult
{
	char	   *table_name;
	TableResult counts;			/* ids_mapped, seconds < 0: not known */
	const char *status;			/* "planned", "kept", "loaded", "verified" */
} RunTableResult;

/*
 * The whole migration.  Returns a List of RunTableResult in the current memory
 * context; any failure is an error.  The current transaction must not hold a
 * lock on a table of the plan, and holds none afterwards.
 */
extern List *ftm_leader_run(const RunOptions *options);

/*
 * Error inside a transaction block, in a read-only transaction and during
 * recovery; function as in "ftm_run_migration()".
 */
extern void ftm_leader_refuse_transaction_block(const char *function);

/*
 * What is recorded about the tables of a run that has ended: a List of
 * RunTableResult.
 */
extern List *ftm_leader_tables_of_run(int64 run_id);

/*
 * Only one call per source (name of the foreign server) and target at a time
 * works on either: error if there is another.  Holds until the end of the
 * transaction.
 */
extern void ftm_leader_take_lock(const char *source);

/*
 * Error if this session holds a lock on a table that workers will lock.
 */
extern void ftm_leader_refuse_locked_table(Oid relid, const char *name);

/*
 * Verify only: a List of VerifyResult.  Same rules.  With an export, the
 * target is compared with that instead of the source, and so is the source if
 * compare_source; else it is not asked anything.
 */
extern List *ftm_leader_verify(const Scope *scope, ImportDirectory *import,
							   bool compare_source);

#endif							/* FTM_LEADER_H */
