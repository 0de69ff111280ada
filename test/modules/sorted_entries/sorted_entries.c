/*-------------------------------------------------------------------------
 *
 * sorted_entries.c
 *		Sorts entries as index builds do, and looks at the result.
 *
 * A table's sorts get only after millions of rows where this module takes them
 * with as many entries as a test wants to wait for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "storage/buffile.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "index/index_key.h"
#include "index/index_sort.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(sort_entries);
PG_FUNCTION_INFO_V1(sort_entries_in_runs);

/* Arguments of both functions. */
enum
{
	ARG_ENTRIES,				/* how many */
	ARG_ORDER,					/* ascending, descending, or any */
	ARG_WORDS,					/* of an entry */
	ARG_SORTS					/* that the memory is shared with, this one
								 * included */
};

/*
 * The n-th entry to be sorted.  All are different.
 */
static void
make_entry(const char *order, int nwords, uint64 n, uint64 *entry)
{
	if (strcmp(order, "ascending") == 0)
		entry[0] = n;
	else if (strcmp(order, "descending") == 0)
		entry[0] = PG_UINT64_MAX - n;
	else
		entry[0] = hash_bytes_uint32_extended((uint32) n, 0);
	for (int i = 1; i < nwords; i++)
		entry[i] = hash_bytes_uint32_extended((uint32) n, i) ^ n;
}

static uint64
sum_of_words(const uint64 *entry, int nwords)
{
	uint64		sum = 0;

	for (int i = 0; i < nwords; i++)
		sum += entry[i] * (2 * (uint64) i + 1);
	return sum;
}

/*
 * Give entries to the sort; returns the sum of all.
 */
static uint64
put_entries(FunctionCallInfo fcinfo, IndexSort *sort)
{
	uint64		nentries = PG_GETARG_INT64(ARG_ENTRIES);
	const char *order = text_to_cstring(PG_GETARG_TEXT_PP(ARG_ORDER));
	int			nwords = PG_GETARG_INT32(ARG_WORDS);
	uint64		sum = 0;

	for (uint64 n = 0; n < nentries; n++)
	{
		uint64	   *entry = ftm_index_sort_next(sort);

		make_entry(order, nwords, n, entry);
		sum += sum_of_words(entry, nwords);
	}
	return sum;
}

/*
 * Take them back.  An error if they are not in order, or not those of that sum.
 */
static void
get_entries(FunctionCallInfo fcinfo, IndexSort *sort, uint64 expected_sum)
{
	int			nwords = PG_GETARG_INT32(ARG_WORDS);
	uint64		previous[MAX_ENTRY_WORDS];
	uint64		count = 0;
	uint64		sum = 0;
	const uint64 *entry;

	while ((entry = ftm_index_sort_get(sort)) != NULL)
	{
		int			i = 0;

		while (count > 0 && i < nwords && entry[i] == previous[i])
			i++;
		if (count > 0 && (i == nwords || entry[i] < previous[i]))
			elog(ERROR, "entry " UINT64_FORMAT " is not after the one before",
				 count);
		memcpy(previous, entry, nwords * sizeof(uint64));
		sum += sum_of_words(entry, nwords);
		count++;
	}
	if (count != (uint64) PG_GETARG_INT64(ARG_ENTRIES))
		elog(ERROR, "got " UINT64_FORMAT " entries", count);
	if (sum != expected_sum)
		elog(ERROR, "got other entries");
}

/*
 * sort_entries(entries bigint, ordering text, words int, sorts int)
 *
 * Within this process; returns the number of entries as the sort tells it.
 */
Datum
sort_entries(PG_FUNCTION_ARGS)
{
	IndexSort  *sort = ftm_index_sort_begin(PG_GETARG_INT32(ARG_WORDS),
											PG_GETARG_INT32(ARG_SORTS),
											NULL, NULL);
	uint64		sum = put_entries(fcinfo, sort);
	uint64		nentries = ftm_index_sort_entries(sort);

	ftm_index_sort_perform(sort);
	get_entries(fcinfo, sort, sum);
	ftm_index_sort_end(sort);
	PG_RETURN_INT64(nentries);
}

static Datum
lengths_of_runs(const SortedRuns *sorted)
{
	Datum	   *lengths = palloc(sizeof(Datum) * Max(1, sorted->nruns));

	for (int i = 0; i < sorted->nruns; i++)
		lengths[i] = Int64GetDatum((int64) sorted->runs[i].nentries);
	return PointerGetDatum(construct_array(lengths, sorted->nruns, INT8OID,
										   sizeof(int64), FLOAT8PASSBYVAL,
										   TYPALIGN_DOUBLE));
}

/*
 * sort_entries_in_runs(entries bigint, ordering text, words int, sorts int)
 *
 * As for another process that merges the runs; returns their lengths.
 */
Datum
sort_entries_in_runs(PG_FUNCTION_ARGS)
{
	SortFiles  *files = ftm_sort_files_create();
	IndexSort  *sort = ftm_index_sort_begin(PG_GETARG_INT32(ARG_WORDS),
											PG_GETARG_INT32(ARG_SORTS),
											files, "entries");
	uint64		sum = put_entries(fcinfo, sort);
	int			nruns = ftm_index_sort_finish_runs(sort);
	SortedRuns *sorted = palloc(SORTED_RUNS_SIZE(nruns));
	IndexSort  *merge;

	ftm_index_sort_describe(sort, sorted);
	merge = ftm_index_sort_open(sorted);
	ftm_index_sort_perform(merge);
	get_entries(fcinfo, merge, sum);
	if (nruns > 0 &&
		BufFileOpenFileSet(&sorted->files, sorted->file_name, O_RDONLY, true) != NULL)
		elog(ERROR, "the file is still there");
	ftm_index_sort_end(merge);
	ftm_index_sort_end(sort);
	ftm_sort_files_delete(files);
	return lengths_of_runs(sorted);
}
