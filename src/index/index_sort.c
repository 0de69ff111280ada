/*-------------------------------------------------------------------------
 *
 * index_sort.c
 *		Sorts the entries of an index (see index_key.h) in bounded memory.
 *
 * What constrains this file:
 *
 * - Entries are compared word by word, all words: the last one ends in the
 *	 row's place, so that no two entries are equal and any sort is stable.
 * - The server's sort template notices input that is in order already, as
 *	 primary keys and times of creation mostly are, and is compiled once for
 *	 each number of words, so that entries are compared and swapped inline.
 * - Memory grows with the number of entries, up to the limit: most tables are
 *	 small.  The limit is low, whatever the caller allows: touching a page of
 *	 memory for the first time costs as much as sorting what fits there, and more
 *	 than writing it to a file and reading it again.  Only when there are many
 *	 runs, so that merging would take much memory, they become longer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>

#include "miscadmin.h"
#include "storage/buffile.h"
#include "utils/memutils.h"

#include "index/index_key.h"
#include "index/index_sort.h"

#define INITIAL_ENTRIES		1024

/* What is enough for a process's sorts, however much it might take. */
#define USUAL_MEMORY		((Size) 8 * 1024 * 1024)

/* After so many runs, the next ones are twice as long, and so on. */
#define MANY_RUNS			128

/* Where the system has larger pages on demand, they are of this size. */
#define HUGE_PAGE_SIZE		((Size) 2 * 1024 * 1024)

/* What is read of a run at a time; more would only be more memory to touch. */
#define READ_BYTES			(4 * BLCKSZ)

/* What is being read of a run. */
typedef struct RunReader
{
	SortRun		rest;			/* still in the file */
	uint64	   *entries;		/* what has been read */
	int			nentries;
	int			capacity;		/* entries that fit there */
	int			next;
} RunReader;

struct IndexSort
{
	int			nwords;
	Size		entry_size;		/* bytes */
	MemoryContext context;

	/* Entries in memory */
	uint64	   *entries;
	uint64		nentries;
	uint64		allocated;
	uint64		limit;			/* usually */
	uint64		max_limit;		/* if there are many runs */
	uint64		next;			/* to be read, if there are no runs */

	/* Runs */
	SortFiles  *files;			/* where the file shall be; NULL: private */
	char		file_name[SORT_FILE_NAME_LENGTH];
	FileSet    *file_set;		/* where it is; NULL: private */
	BufFile    *file;			/* NULL: not open */
	SortRun    *runs;
	int			nruns;
	int			max_runs;
	uint64		last_entry[MAX_ENTRY_WORDS];	/* of the latest run */

	/* While runs are merged: a heap of those that are not read up */
	RunReader  *readers;
	RunReader **heap;
	int			heap_size;
	bool		top_was_read;	/* the first entry of heap[0] */
};

static IndexSort *create_sort(int nwords);
static void make_room(IndexSort *sort);
static void grow(IndexSort *sort);
static void advise_huge_pages(void *memory, Size size);
static void write_run(IndexSort *sort);
static void begin_run(IndexSort *sort);
static void create_file(IndexSort *sort);
static void delete_file(IndexSort *sort);
static void sort_entries(IndexSort *sort);
static void begin_merge(IndexSort *sort);
static const uint64 *merge_next(IndexSort *sort);
static bool read_run(IndexSort *sort, RunReader *run);
static void sift_down(IndexSort *sort, int at);

#define RUN_ENTRY(sort, run) ((run)->entries + (Size) (run)->next * (sort)->nwords)

static inline int
compare_words(const uint64 *a, const uint64 *b, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
	}
	return 0;
}

/*
 * One sort for each length of entry.
 */
typedef struct Entry2
{
	uint64		words[2];
} Entry2;

#define ST_SORT sort_entries_2
#define ST_ELEMENT_TYPE Entry2
#define ST_COMPARE(a, b) compare_words((a)->words, (b)->words, 2)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

typedef struct Entry3
{
	uint64		words[3];
} Entry3;

#define ST_SORT sort_entries_3
#define ST_ELEMENT_TYPE Entry3
#define ST_COMPARE(a, b) compare_words((a)->words, (b)->words, 3)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

typedef struct Entry4
{
	uint64		words[4];
} Entry4;

#define ST_SORT sort_entries_4
#define ST_ELEMENT_TYPE Entry4
#define ST_COMPARE(a, b) compare_words((a)->words, (b)->words, 4)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

typedef struct Entry5
{
	uint64		words[5];
} Entry5;

#define ST_SORT sort_entries_5
#define ST_ELEMENT_TYPE Entry5
#define ST_COMPARE(a, b) compare_words((a)->words, (b)->words, 5)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

typedef struct Entry6
{
	uint64		words[6];
} Entry6;

#define ST_SORT sort_entries_6
#define ST_ELEMENT_TYPE Entry6
#define ST_COMPARE(a, b) compare_words((a)->words, (b)->words, 6)
#define ST_SCOPE static
#define ST_DEFINE
#define ST_CHECK_FOR_INTERRUPTS
#include "lib/sort_template.h"

static void
sort_entries(IndexSort *sort)
{
	switch (sort->nwords)
	{
		case 2:
			sort_entries_2((Entry2 *) sort->entries, sort->nentries);
			break;
		case 3:
			sort_entries_3((Entry3 *) sort->entries, sort->nentries);
			break;
		case 4:
			sort_entries_4((Entry4 *) sort->entries, sort->nentries);
			break;
		case 5:
			sort_entries_5((Entry5 *) sort->entries, sort->nentries);
			break;
		case 6:
			sort_entries_6((Entry6 *) sort->entries, sort->nentries);
			break;
		default:
			elog(ERROR, "unexpected length of an index entry: %d words",
				 sort->nwords);
	}
}

IndexSort *
ftm_index_sort_begin(int nwords, int nsorts, SortFiles *files,
					 const char *file_name)
{
	IndexSort  *sort = create_sort(nwords);
	Size		max_memory = (Size) maintenance_work_mem * 1024 / nsorts;
	Size		memory = Min(max_memory, USUAL_MEMORY / nsorts);

	sort->limit = Max(memory / sort->entry_size, INITIAL_ENTRIES);
	sort->max_limit = Max(max_memory / sort->entry_size, sort->limit);
	sort->files = files;
	if (files != NULL)
		strlcpy(sort->file_name, file_name, sizeof(sort->file_name));
	sort->allocated = INITIAL_ENTRIES;
	sort->entries = palloc(sort->allocated * sort->entry_size);
	return sort;
}

static IndexSort *
create_sort(int nwords)
{
	IndexSort  *sort = palloc0(sizeof(IndexSort));

	sort->nwords = nwords;
	sort->entry_size = nwords * sizeof(uint64);
	sort->context = CurrentMemoryContext;
	return sort;
}

uint64 *
ftm_index_sort_next(IndexSort *sort)
{
	if (sort->nentries == sort->allocated)
		make_room(sort);
	return sort->entries + sort->nentries++ * sort->nwords;
}

void
ftm_index_sort_reserve(IndexSort *sort, int nentries)
{
	while (sort->allocated - sort->nentries < (uint64) nentries)
		make_room(sort);
}

uint64 *
ftm_index_sort_latest(IndexSort *sort, int nentries)
{
	return sort->entries + (sort->nentries - nentries) * sort->nwords;
}

uint64
ftm_index_sort_entries(const IndexSort *sort)
{
	uint64		nentries = sort->nentries;

	for (int i = 0; i < sort->nruns; i++)
		nentries += sort->runs[i].nentries;
	return nentries;
}

static void
make_room(IndexSort *sort)
{
	if (sort->allocated < sort->limit)
		grow(sort);
	else
		write_run(sort);
}

static void
grow(IndexSort *sort)
{
	sort->allocated = Min(sort->allocated * 2, sort->limit);
	sort->entries = repalloc_huge(sort->entries,
								  sort->allocated * sort->entry_size);
	advise_huge_pages(sort->entries, sort->allocated * sort->entry_size);
}

/*
 * Ask for larger pages, which need to be touched less often; it does not matter
 * if there are none.
 */
static void
advise_huge_pages(void *memory, Size size)
{
#ifdef MADV_HUGEPAGE
	char	   *start = (char *) TYPEALIGN(HUGE_PAGE_SIZE, memory);
	char	   *end = (char *) TYPEALIGN_DOWN(HUGE_PAGE_SIZE, (char *) memory + size);

	if (start < end)
		(void) madvise(start, end - start, MADV_HUGEPAGE);
#endif
}

/*
 * Sort what is in memory and write it to the file.  If it comes after all that
 * the latest run has, as in tables that are in order, that one becomes longer.
 */
static void
write_run(IndexSort *sort)
{
	sort_entries(sort);
	if (sort->nruns == 0 ||
		compare_words(sort->entries, sort->last_entry, sort->nwords) < 0)
		begin_run(sort);
	memcpy(sort->last_entry, ftm_index_sort_latest(sort, 1), sort->entry_size);
	BufFileWrite(sort->file, sort->entries,
				 sort->nentries * sort->entry_size);
	sort->runs[sort->nruns - 1].nentries += sort->nentries;
	sort->nentries = 0;
}

static void
begin_run(IndexSort *sort)
{
	SortRun    *run;

	if (sort->file == NULL)
		create_file(sort);
	if (sort->nruns == sort->max_runs)
	{
		sort->max_runs = Max(16, sort->max_runs * 2);
		sort->runs = sort->runs == NULL ?
			MemoryContextAlloc(sort->context,
							   sizeof(SortRun) * sort->max_runs) :
			repalloc(sort->runs, sizeof(SortRun) * sort->max_runs);
	}
	run = &sort->runs[sort->nruns++];
	BufFileTell(sort->file, &run->fileno, &run->offset);
	run->nentries = 0;
	if (sort->nruns % MANY_RUNS == 0)
		sort->limit = Min(sort->limit * 2, sort->max_limit);
}

/*
 * The sort may be in the hands of a caller with a shorter life.
 */
static void
create_file(IndexSort *sort)
{
	MemoryContext old = MemoryContextSwitchTo(sort->context);

	if (sort->files == NULL)
		sort->file = BufFileCreateTemp(false);
	else
	{
		sort->file_set = ftm_sort_files_set(sort->files);
		sort->file = BufFileCreateFileSet(sort->file_set, sort->file_name);
	}
	MemoryContextSwitchTo(old);
}

/*
 * As soon as nobody needs it: what all indexes of a large table leave to the
 * end of the transaction keeps the disk busy when others want to commit.
 */
static void
delete_file(IndexSort *sort)
{
	if (sort->file == NULL)
		return;
	BufFileClose(sort->file);
	sort->file = NULL;
	if (sort->file_set != NULL)
		BufFileDeleteFileSet(sort->file_set, sort->file_name, true);
}

int
ftm_index_sort_finish_runs(IndexSort *sort)
{
	if (sort->nentries > 0)
		write_run(sort);
	if (sort->file != NULL)
	{
		BufFileExportFileSet(sort->file);
		BufFileClose(sort->file);
		sort->file = NULL;
	}
	pfree(sort->entries);
	sort->entries = NULL;
	return sort->nruns;
}

void
ftm_index_sort_describe(IndexSort *sort, SortedRuns *sorted)
{
	memset(sorted, 0, offsetof(SortedRuns, runs));
	strlcpy(sorted->file_name, sort->file_name, sizeof(sorted->file_name));
	sorted->nwords = sort->nwords;
	sorted->nruns = sort->nruns;
	if (sort->nruns == 0)
		return;
	sorted->files = *sort->file_set;
	memcpy(sorted->runs, sort->runs, sizeof(SortRun) * sort->nruns);
}

IndexSort *
ftm_index_sort_open(SortedRuns *sorted)
{
	IndexSort  *sort = create_sort(sorted->nwords);

	if (sorted->nruns == 0)
		return sort;
	sort->file_set = &sorted->files;
	strlcpy(sort->file_name, sorted->file_name, sizeof(sort->file_name));
	sort->file = BufFileOpenFileSet(sort->file_set, sort->file_name,
									O_RDONLY, false);
	sort->runs = palloc(sizeof(SortRun) * sorted->nruns);
	memcpy(sort->runs, sorted->runs, sizeof(SortRun) * sorted->nruns);
	sort->nruns = sorted->nruns;
	return sort;
}

void
ftm_index_sort_perform(IndexSort *sort)
{
	if (sort->nruns == 0)
	{
		sort_entries(sort);
		return;
	}
	if (sort->nentries > 0)
		write_run(sort);
	begin_merge(sort);
}

const uint64 *
ftm_index_sort_get(IndexSort *sort)
{
	if (sort->nruns > 0)
		return merge_next(sort);
	if (sort->next == sort->nentries)
		return NULL;
	return sort->entries + sort->next++ * sort->nwords;
}

void
ftm_index_sort_end(IndexSort *sort)
{
	delete_file(sort);
	if (sort->runs != NULL)
		pfree(sort->runs);
	if (sort->heap != NULL)
		pfree(sort->heap);
	if (sort->readers != NULL)
		pfree(sort->readers);
	if (sort->entries != NULL)
		pfree(sort->entries);
	pfree(sort);
}

static void
begin_merge(IndexSort *sort)
{
	int			capacity = (int) (READ_BYTES / sort->entry_size);

	if (sort->entries != NULL)
		pfree(sort->entries);
	sort->entries = palloc_extended((Size) capacity * sort->entry_size * sort->nruns,
									MCXT_ALLOC_HUGE);
	sort->readers = palloc_extended(sizeof(RunReader) * sort->nruns,
									MCXT_ALLOC_HUGE);
	sort->heap = palloc_extended(sizeof(RunReader *) * sort->nruns,
								 MCXT_ALLOC_HUGE);
	for (int i = 0; i < sort->nruns; i++)
	{
		RunReader  *run = &sort->readers[i];

		run->rest = sort->runs[i];
		run->entries = sort->entries + (Size) capacity * sort->nwords * i;
		run->capacity = capacity;
		if (read_run(sort, run))
			sort->heap[sort->heap_size++] = run;
	}
	for (int i = sort->heap_size / 2 - 1; i >= 0; i--)
		sift_down(sort, i);
}

/*
 * Read the next part of a run; false if there is none.
 */
static bool
read_run(IndexSort *sort, RunReader *run)
{
	int			count = (int) Min(run->rest.nentries, (uint64) run->capacity);
	size_t		size;

	CHECK_FOR_INTERRUPTS();
	if (count == 0)
		return false;
	if (BufFileSeek(sort->file, run->rest.fileno, run->rest.offset, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file: %m")));
	size = count * sort->entry_size;
	if (BufFileRead(sort->file, run->entries, size) != size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read from a temporary file: it is too short")));
	BufFileTell(sort->file, &run->rest.fileno, &run->rest.offset);
	run->rest.nentries -= count;
	run->nentries = count;
	run->next = 0;
	return true;
}

/*
 * The entry that was returned last is still the first of heap[0]: only now may
 * its place be read over.
 */
static const uint64 *
merge_next(IndexSort *sort)
{
	RunReader  *top;

	if (sort->heap_size == 0)
		return NULL;
	top = sort->heap[0];
	if (sort->top_was_read)
	{
		if (++top->next == top->nentries && !read_run(sort, top))
			sort->heap[0] = sort->heap[--sort->heap_size];
		if (sort->heap_size == 0)
		{
			delete_file(sort);
			return NULL;
		}
		sift_down(sort, 0);
		top = sort->heap[0];
	}
	sort->top_was_read = true;
	return RUN_ENTRY(sort, top);
}

static void
sift_down(IndexSort *sort, int at)
{
	RunReader  *run = sort->heap[at];

	for (;;)
	{
		int			child = at * 2 + 1;

		if (child >= sort->heap_size)
			break;
		if (child + 1 < sort->heap_size &&
			compare_words(RUN_ENTRY(sort, sort->heap[child + 1]),
						  RUN_ENTRY(sort, sort->heap[child]), sort->nwords) < 0)
			child++;
		if (compare_words(RUN_ENTRY(sort, run),
						  RUN_ENTRY(sort, sort->heap[child]), sort->nwords) <= 0)
			break;
		sort->heap[at] = sort->heap[child];
		at = child;
	}
	sort->heap[at] = run;
}
