/*-------------------------------------------------------------------------
 *
 * index_sort.h
 *		Sorts the entries of an index (see index_key.h) in bounded memory.
 *
 * Entries are put one by one, then sorted, then read in order.  When the
 * memory is full, what is in it is sorted and written to a temporary file as a
 * run; in the end runs are merged while they are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_INDEX_SORT_H
#define FTM_INDEX_SORT_H

typedef struct IndexSort IndexSort;

/*
 * A sort of entries of nwords words, which takes at most memory bytes, and never
 * more than 32 MB, yet enough for a thousand entries.  Allocated in the current memory context;
 * its files belong to the current resource owner, so that they go with the
 * transaction after an error.
 */
extern IndexSort *ftm_index_sort_begin(int nwords, Size memory);

/* Where the next entry is to be written, nwords words. */
extern uint64 *ftm_index_sort_next(IndexSort *sort);

/* All entries are there; to be called once. */
extern void ftm_index_sort_perform(IndexSort *sort);

/*
 * The next entry in order, valid until the next call, or NULL at the end.
 */
extern const uint64 *ftm_index_sort_get(IndexSort *sort);

extern void ftm_index_sort_end(IndexSort *sort);

#endif							/* FTM_INDEX_SORT_H */
