/*-------------------------------------------------------------------------
 *
 * index_sort.h
 *		Sorts the entries of an index (see index_key.h) in bounded memory.
 *
 * Entries are put one by one, then sorted, then read in order.  When the
 * memory is full, what is in it is sorted and written to a temporary file as a
 * run; in the end runs are merged while they are read, which another process
 * may do.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_INDEX_SORT_H
#define FTM_INDEX_SORT_H

#include "index/sort_files.h"

typedef struct IndexSort IndexSort;

#define SORT_FILE_NAME_LENGTH	32

/* A sorted part of the entries, in a file. */
typedef struct SortRun
{
	int			fileno;			/* where it begins */
	off_t		offset;
	uint64		nentries;
} SortRun;

/* All parts; may lie in shared memory. */
typedef struct SortedRuns
{
	FileSet		files;
	char		file_name[SORT_FILE_NAME_LENGTH];
	int			nwords;
	int			nruns;
	SortRun		runs[FLEXIBLE_ARRAY_MEMBER];
} SortedRuns;

#define SORTED_RUNS_SIZE(nruns) \
	add_size(offsetof(SortedRuns, runs), mul_size(sizeof(SortRun), nruns))

/*
 * A sort of entries of nwords words, one of nsorts that go on at the same time
 * and share maintenance_work_mem.  Allocated in the current memory context; its
 * file belongs to the current resource owner, so that it goes with the
 * transaction after an error.  With files, it is the one of that name among
 * them; without, both are NULL.
 */
extern IndexSort *ftm_index_sort_begin(int nwords, int nsorts,
									   SortFiles *files, const char *file_name);

/* Where the next entry is to be written, nwords words. */
extern uint64 *ftm_index_sort_next(IndexSort *sort);

/*
 * Have the next entries, at most a thousand, lie next to each other in memory,
 * and stay there.
 */
extern void ftm_index_sort_reserve(IndexSort *sort, int nentries);

/* The latest entries, which have been reserved. */
extern uint64 *ftm_index_sort_latest(IndexSort *sort, int nentries);

/* How many there are. */
extern uint64 ftm_index_sort_entries(const IndexSort *sort);

/* All entries are there; to be called once. */
extern void ftm_index_sort_perform(IndexSort *sort);

/*
 * The next entry in order, valid until the next call, or NULL at the end.
 */
extern const uint64 *ftm_index_sort_get(IndexSort *sort);

extern void ftm_index_sort_end(IndexSort *sort);

/*
 * Instead of ftm_index_sort_perform(), for a sort with files: all entries are
 * there, and shall be read by others.  Returns the number of runs, and
 * ftm_index_sort_describe() fills what has room for so many.
 */
extern int	ftm_index_sort_finish_runs(IndexSort *sort);
extern void ftm_index_sort_describe(IndexSort *sort, SortedRuns *sorted);

/*
 * The same entries, to be read by this process, and by no other, after
 * ftm_index_sort_perform().  Their file is deleted when all have been read.
 * Refers to sorted.
 */
extern IndexSort *ftm_index_sort_open(SortedRuns *sorted);

#endif							/* FTM_INDEX_SORT_H */
