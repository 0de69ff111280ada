/*-------------------------------------------------------------------------
 *
 * index_entries.c
 *		The entries of a table's indexes, taken from its rows as they are stored.
 *
 * An index that is built afterwards reads the whole table once more, to find
 * values that all were in hand before.  Here they are taken, and sorted, while
 * the load mostly waits for the source; what is left for later is to merge
 * and to write the tree.
 *
 * What constrains this file:
 *
 * - Where a row is stored is known only after its batch was inserted, when its
 *	 values are gone.  So an entry is made without a place, and gets it later;
 *	 until then it must not be sorted away.
 * - All indexes of the table are sorted at the same time, and share the memory
 *	 that otherwise each has, and the disk.  Where temporary files are limited,
 *	 what is enough for one index after the other need not be enough for all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "nodes/pg_list.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "index/index_build.h"
#include "index/index_entries.h"
#include "index/index_key.h"
#include "index/sort_files.h"

/* The entries of one index. */
typedef struct EntryList
{
	Oid			indexid;
	Relation	index;			/* while rows come */
	IndexKey   *key;
	int			nwords;
	IndexSort  *sort;
} EntryList;

struct IndexEntries
{
	int			nlists;
	EntryList  *lists;
	SortFiles  *files;
	int			nunplaced;
	uint64		nrows;
};

static void begin_list(IndexEntries *entries, Relation rel, Oid indexid);
static void begin_sorts(IndexEntries *entries);
static void reserve(IndexEntries *entries);

IndexEntries *
ftm_index_entries_begin(Relation rel)
{
	IndexEntries *entries;
	List	   *indexes = RelationGetIndexList(rel);
	ListCell   *lc;

	if (indexes == NIL || temp_file_limit >= 0 ||
		!ftm_index_build_fits_table(rel))
		return NULL;
	entries = palloc0(sizeof(IndexEntries));
	entries->lists = palloc0(sizeof(EntryList) * list_length(indexes));
	foreach(lc, indexes)
		begin_list(entries, rel, lfirst_oid(lc));
	if (entries->nlists == 0)
	{
		pfree(entries->lists);
		pfree(entries);
		return NULL;
	}
	begin_sorts(entries);
	reserve(entries);
	return entries;
}

static void
begin_list(IndexEntries *entries, Relation rel, Oid indexid)
{
	Relation	index = index_open(indexid, AccessExclusiveLock);
	IndexKey   *key = ftm_index_key_create(rel, index);
	EntryList  *list;

	if (key == NULL)
	{
		index_close(index, NoLock);
		return;
	}
	list = &entries->lists[entries->nlists++];
	list->indexid = indexid;
	list->index = index;
	list->key = key;
	list->nwords = ftm_index_key_words(key);
}

static void
begin_sorts(IndexEntries *entries)
{
	entries->files = ftm_sort_files_create();
	for (int i = 0; i < entries->nlists; i++)
	{
		EntryList  *list = &entries->lists[i];
		char		name[SORT_FILE_NAME_LENGTH];

		snprintf(name, sizeof(name), "index_%u", list->indexid);
		list->sort = ftm_index_sort_begin(list->nwords, entries->nlists,
										  entries->files, name);
	}
}

/*
 * Make room for the next batch.
 */
static void
reserve(IndexEntries *entries)
{
	for (int i = 0; i < entries->nlists; i++)
		ftm_index_sort_reserve(entries->lists[i].sort, MAX_UNPLACED_ROWS);
}

void
ftm_index_entries_add(IndexEntries *entries, const Datum *values,
					  const bool *isnull)
{
	for (int i = 0; i < entries->nlists; i++)
	{
		EntryList  *list = &entries->lists[i];

		ftm_index_key_encode(list->key, values, isnull,
							 ftm_index_sort_next(list->sort));
	}
	entries->nunplaced++;
}

void
ftm_index_entries_place(IndexEntries *entries, TupleTableSlot **slots,
						int nrows)
{
	if (nrows != entries->nunplaced)
		elog(ERROR, "%d rows were stored instead of %d", nrows,
			 entries->nunplaced);
	for (int i = 0; i < entries->nlists; i++)
	{
		EntryList  *list = &entries->lists[i];
		uint64	   *entry = ftm_index_sort_latest(list->sort, nrows);

		for (int row = 0; row < nrows; row++, entry += list->nwords)
			ftm_index_key_place(entry, list->nwords, &slots[row]->tts_tid);
	}
	entries->nrows += nrows;
	entries->nunplaced = 0;
	reserve(entries);
}

void
ftm_index_entries_finish(IndexEntries *entries, uint64 nrows)
{
	if (entries->nrows != nrows || entries->nunplaced > 0)
		elog(ERROR, "indexes have entries for " UINT64_FORMAT " of " UINT64_FORMAT " rows",
			 entries->nrows, nrows);
	for (int i = 0; i < entries->nlists; i++)
	{
		EntryList  *list = &entries->lists[i];

		ftm_index_key_free(list->key);
		index_close(list->index, NoLock);
		list->key = NULL;
		list->index = NULL;
	}
}

IndexSort *
ftm_index_entries_of(IndexEntries *entries, Oid indexid)
{
	for (int i = 0; i < entries->nlists; i++)
	{
		if (entries->lists[i].indexid == indexid)
			return entries->lists[i].sort;
	}
	return NULL;
}

void
ftm_index_entries_end(IndexEntries *entries)
{
	for (int i = 0; i < entries->nlists; i++)
		ftm_index_sort_end(entries->lists[i].sort);
	ftm_sort_files_delete(entries->files);
	pfree(entries->lists);
	pfree(entries);
}
