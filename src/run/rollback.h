/*-------------------------------------------------------------------------
 *
 * rollback.h
 *		The target as it was before a run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ROLLBACK_H
#define FTM_ROLLBACK_H

#include "nodes/pg_list.h"

typedef struct RollbackRequest
{
	int64		run_id;
	bool		force;			/* lose what was written since the load, too */
	bool		restart;		/* the run is to start over: that rows which it
								 * replaced are gone is no reason to refuse */
	bool		users;			/* its users are to be deleted then, so it may
								 * be rolled back already */
} RollbackRequest;

/* A table that was emptied. */
typedef struct RolledBackTable
{
	char	   *name;
	int64		rows;			/* that it held */
} RolledBackTable;

/*
 * Empty what a run loaded, put sequences and foreign keys back, and mark the
 * run as rolled back, all in the current transaction of a worker.  The caller
 * holds the lock that ftm_leader_take_lock() takes.  Returns a List of
 * RolledBackTable in the current memory context.
 *
 * Errors: there is no such run, or it is rolled back already (which is none if
 * users are to be deleted: then the List is empty); a table or a
 * sequence belongs to somebody else; unless forced, rows or sequences have
 * changed since the load, rows were replaced by the run, or rows of other
 * tables would lose what they refer to.
 */
extern List *ftm_rollback_run(const RollbackRequest *request);

/*
 * What has become of the rows that a run loaded into a table, in the words of
 * an error's detail; NULL if nothing has, or the table is empty, or not the
 * run's.  The caller holds a lock that keeps others from writing to it.
 */
extern char *ftm_rollback_table_changes(int64 run_id, Oid relid);

/*
 * The same of several tables, and of all sequences that the run has set.  Others
 * may go on writing to the tables: it may be out of date at once.
 */
extern char *ftm_rollback_changes(int64 run_id, List *relids);

#endif							/* FTM_ROLLBACK_H */
