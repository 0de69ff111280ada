/*-------------------------------------------------------------------------
 *
 * index_entries.h
 *		The entries of a table's indexes, taken from its rows as they are stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_INDEX_ENTRIES_H
#define FTM_INDEX_ENTRIES_H

#include "executor/tuptable.h"
#include "utils/relcache.h"

#include "index/index_sort.h"

typedef struct IndexEntries IndexEntries;

/*
 * Begin to take entries for those indexes of rel that ftm_index_build() can
 * build, all rows of which are yet to come; NULL if there is none, or if it
 * is better not to, as under a temp_file_limit.  The caller has an
 * AccessExclusiveLock on rel; the indexes are locked likewise.  Allocated in the
 * current memory context, and bounded by maintenance_work_mem.
 */
extern IndexEntries *ftm_index_entries_begin(Relation rel);

/*
 * A row's values, in order of attribute number, from 1.  At most
 * MAX_UNPLACED_ROWS may be without a place.
 */
#define MAX_UNPLACED_ROWS	1000

extern void ftm_index_entries_add(IndexEntries *entries, const Datum *values,
								  const bool *isnull);

/*
 * All rows that had no place have been stored, in this order, and their slots
 * know where.
 */
extern void ftm_index_entries_place(IndexEntries *entries,
									TupleTableSlot **slots, int nrows);

/*
 * There are no more rows.  An error if they have not been nrows.
 */
extern void ftm_index_entries_finish(IndexEntries *entries, uint64 nrows);

/* The entries of an index, not sorted yet, or NULL if they were not taken. */
extern IndexSort *ftm_index_entries_of(IndexEntries *entries, Oid indexid);

/* Forget them. */
extern void ftm_index_entries_end(IndexEntries *entries);

#endif							/* FTM_INDEX_ENTRIES_H */
