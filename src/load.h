/*-------------------------------------------------------------------------
 *
 * load.h
 *		One table load: all rows of one table, in one transaction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_LOAD_H
#define FTM_LOAD_H

#include "task.h"
#include "usermap.h"

/*
 * Load one table in the current transaction, state included; the caller
 * commits, or aborts and has the old rows back.  source must be in the run's
 * snapshot, session_replication_role must be replica.  Takes an
 * AccessExclusiveLock on the table.
 */
extern void ftm_load_table(const TableTask *task, SourceConnection *source,
						   const UserMap *map, TableResult *result);

/* Replace a table's storage (and its partitions') by an empty one. */
extern void ftm_load_empty_table(Oid relid);

#endif							/* FTM_LOAD_H */
