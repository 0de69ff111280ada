/*-------------------------------------------------------------------------
 *
 * indexes.h
 *		The indexes of a table that is filled anew: off, and built again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_INDEXES_H
#define FTM_INDEXES_H

#include "nodes/pg_list.h"
#include "utils/relcache.h"

#include "index/index_entries.h"

/*
 * Mark all indexes of a table not ready and not valid, so that inserts leave
 * them alone.  The caller holds an AccessExclusiveLock, and builds them again
 * in the same transaction.
 */
extern void ftm_indexes_switch_off(Relation rel);

/*
 * Mark some indexes, which may be partitioned, not ready and not valid, and drop
 * what is in them: another transaction will build them.  The caller holds an
 * AccessExclusiveLock on their tables.
 */
extern void ftm_indexes_put_off(const List *indexes);

/*
 * Mark one index ready and valid, or neither.  Its table is locked; the caller
 * knows that it is true.
 */
extern void ftm_indexes_mark(Oid indexid, bool usable);

/* REINDEX of one index, as the current user. */
extern void ftm_indexes_rebuild_one(Oid indexid);

/*
 * Build all indexes of a table, but those in except, anew and mark them ready and valid.  Builds
 * several at a time, in parallel workers, if max_parallel_maintenance_workers
 * allows it and maintenance_work_mem is enough for that.  Indexes whose entries
 * were taken from the rows are built of those, which are used up.  entries may be
 * NULL.  Takes the locks of REINDEX TABLE.  Errors: those of REINDEX, 23505 for
 * duplicates among them.
 */
extern void ftm_indexes_rebuild(Oid relid, IndexEntries *entries,
								const List *except);

#endif							/* FTM_INDEXES_H */
