/*-------------------------------------------------------------------------
 *
 * load.h
 *		One table load: all rows of one table, in one transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_LOAD_H
#define FTM_LOAD_H

#include "utils/relcache.h"

#include "ids/user_map.h"
#include "load/task.h"

/*
 * Where rows come from, as a stream of COPY data of the task's columns in its
 * format.  begin() is called once, when the table is ready to be filled.
 * read() returns the length of the next piece, *data pointing to it until the
 * next call; 0 if there is none yet and wait is false; -1 at the end.  The
 * piece may be changed, and so may the byte behind it.
 */
typedef struct CopyOrigin
{
	void		(*begin) (struct CopyOrigin *origin, Relation rel);
	int			(*read) (struct CopyOrigin *origin, char **data, bool wait);
} CopyOrigin;

/*
 * Load one table in the current transaction, state included; the caller
 * commits, or aborts and has the old rows back.  The rows come from origin, or
 * from the source if it is NULL.  source must be in the run's snapshot,
 * session_replication_role must be replica.  Takes an AccessExclusiveLock on
 * the table and its partitions.
 */
extern void ftm_load_table(const TableTask *task, SourceConnection *source,
						   CopyOrigin *origin, const UserMap *map,
						   TableResult *result);

/*
 * Add the rows of origin to a table, as COPY does; no user id is rewritten.
 * For tables of the session's own.
 */
extern void ftm_load_rows_as_they_are(Relation rel, const TableTask *task,
									  CopyOrigin *origin,
									  TableResult *result);

#endif							/* FTM_LOAD_H */
