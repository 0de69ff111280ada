/*-------------------------------------------------------------------------
 *
 * index_build.c
 *		One b-tree, built from the rows of a table that was just filled.
 *
 *		table -> entries -> sort -> b-tree
 *
 * What the server's own build does for every index there may be, done for the
 * plain ones of a table that nobody else has seen: no row is dead, none is
 * being changed, and keys are a few integers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "catalog/catalog.h"
#include "commands/progress.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "utils/rel.h"

#include "compat.h"
#include "index/btree.h"
#include "index/index_build.h"
#include "index/index_key.h"
#include "index/index_sort.h"

/* Progress is shown in steps of this many. */
#define REPORTED_TUPLES		1024

static IndexSort *read_table(Relation rel, const IndexKey *key);
static void read_page(Relation rel, const IndexKey *key, IndexSort *sort,
					  Buffer buffer, TupleTableSlot *slot);
static double write_index(Relation rel, Relation index, IndexKey *key,
						  IndexSort *sort);
pg_noreturn static void raise_duplicate(Relation rel, Relation index,
										IndexKey *key, const uint64 *entry);
static void report_phase(int phase);

/*
 * Unlogged indexes have a second fork; and where old snapshots are given up,
 * REINDEX notes in the catalog which may not use an index.
 */
bool
ftm_index_build_fits_table(Relation rel)
{
	return rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT &&
		!IsToastRelation(rel) && !ftm_early_pruning_enabled(rel);
}

bool
ftm_index_build_is_possible(Relation rel, Relation index)
{
	IndexKey   *key = ftm_index_key_create(rel, index);

	if (key == NULL)
		return false;
	ftm_index_key_free(key);
	return true;
}

IndexBuildResult *
ftm_index_build(Relation rel, Relation index, IndexSort *sort)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	IndexKey   *key = ftm_index_key_create(rel, index);
	IndexSort  *own_sort = NULL;

	if (key == NULL)
		elog(ERROR, "keys of index \"%s\" cannot be sorted as integers",
			 RelationGetRelationName(index));
	ereport(DEBUG1,
			(errmsg_internal("sorting the keys of index \"%s\" on table \"%s\" %s",
							 RelationGetRelationName(index),
							 RelationGetRelationName(rel),
							 sort != NULL ? "taken from its rows" : "read from it")));
	if (sort == NULL)
		sort = own_sort = read_table(rel, key);
	result->index_tuples = write_index(rel, index, key, sort);
	result->heap_tuples = result->index_tuples;
	if (own_sort != NULL)
		ftm_index_sort_end(own_sort);
	ftm_index_key_free(key);
	return result;
}

/*
 * An entry for each row.
 */
static IndexSort *
read_table(Relation rel, const IndexKey *key)
{
	IndexSort  *sort = ftm_index_sort_begin(ftm_index_key_words(key), 1,
											NULL, NULL);
	BufferAccessStrategy strategy = GetAccessStrategy(BAS_BULKREAD);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(rel),
													&TTSOpsHeapTuple);
	BlockNumber nblocks = RelationGetNumberOfBlocks(rel);

	report_phase(PROGRESS_BTREE_PHASE_INDEXBUILD_TABLESCAN);
	pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_TOTAL, nblocks);
	for (BlockNumber block = 0; block < nblocks; block++)
	{
		Buffer		buffer;

		CHECK_FOR_INTERRUPTS();
		buffer = ReadBufferExtended(rel, MAIN_FORKNUM, block, RBM_NORMAL,
									strategy);
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		read_page(rel, key, sort, buffer, slot);
		UnlockReleaseBuffer(buffer);
		pgstat_progress_update_param(PROGRESS_SCAN_BLOCKS_DONE, block + 1);
	}
	ExecDropSingleTupleTableSlot(slot);
	FreeAccessStrategy(strategy);
	return sort;
}

static void
read_page(Relation rel, const IndexKey *key, IndexSort *sort, Buffer buffer,
		  TupleTableSlot *slot)
{
	Page		page = BufferGetPage(buffer);
	OffsetNumber last = PageGetMaxOffsetNumber(page);

	for (OffsetNumber offset = FirstOffsetNumber; offset <= last; offset++)
	{
		ItemId		item = PageGetItemId(page, offset);
		HeapTupleData tuple;
		uint64	   *entry;

		tuple.t_tableOid = RelationGetRelid(rel);
		tuple.t_data = (HeapTupleHeader) PageGetItem(page, item);
		tuple.t_len = ItemIdGetLength(item);
		ItemPointerSet(&tuple.t_self, BufferGetBlockNumber(buffer), offset);
		if (!ItemIdIsNormal(item) ||
			!HeapTupleHeaderXminFrozen(tuple.t_data) ||
			!(tuple.t_data->t_infomask & HEAP_XMAX_INVALID))
			elog(ERROR, "unexpected row at (%u,%u) of table \"%s\"",
				 BufferGetBlockNumber(buffer), offset,
				 RelationGetRelationName(rel));

		ExecStoreHeapTuple(&tuple, slot, false);
		slot_getsomeattrs(slot, ftm_index_key_last_column(key));
		entry = ftm_index_sort_next(sort);
		ftm_index_key_encode(key, slot->tts_values, slot->tts_isnull, entry);
		ftm_index_key_place(entry, ftm_index_key_words(key), &tuple.t_self);
	}
	ExecClearTuple(slot);
}

/*
 * Sort what is left to be sorted, and write the tree while entries come in order;
 * returns their number.
 */
static double
write_index(Relation rel, Relation index, IndexKey *key, IndexSort *sort)
{
	BtreeWriter *writer = ftm_btree_begin(index);
	bool		unique = index->rd_index->indisunique;
	bool		nulls_are_equal = index->rd_index->indnullsnotdistinct;
	int			nwords = ftm_index_key_words(key);
	uint64		previous[MAX_ENTRY_WORDS];
	const uint64 *entry;
	uint64		tuples = 0;

	report_phase(PROGRESS_BTREE_PHASE_LEAF_LOAD);
	pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_TOTAL,
								 ftm_index_sort_entries(sort));
	ftm_index_sort_perform(sort);
	while ((entry = ftm_index_sort_get(sort)) != NULL)
	{
		bool		same_key = tuples > 0 &&
			ftm_index_key_equal(entry, previous, nwords);

		if (same_key && unique &&
			(nulls_are_equal || !ftm_index_key_has_null(key, entry)))
			raise_duplicate(rel, index, key, entry);
		ftm_btree_add(writer, ftm_index_key_tuple(key, entry), same_key);
		memcpy(previous, entry, nwords * sizeof(uint64));
		if (++tuples % REPORTED_TUPLES == 0)
			pgstat_progress_update_param(PROGRESS_CREATEIDX_TUPLES_DONE, tuples);
	}
	ftm_btree_end(writer);
	return tuples;
}

/*
 * In the words of the server's builds.
 */
static void
raise_duplicate(Relation rel, Relation index, IndexKey *key,
				const uint64 *entry)
{
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];
	char	   *description;

	ftm_index_key_decode(key, entry, values, isnull);
	description = BuildIndexValueDescription(index, values, isnull);
	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("could not create unique index \"%s\"",
					RelationGetRelationName(index)),
			 description != NULL ?
			 errdetail("Key %s is duplicated.", description) :
			 errdetail("Duplicate keys exist."),
			 errtableconstraint(rel, RelationGetRelationName(index))));
}

static void
report_phase(int phase)
{
	pgstat_progress_update_param(PROGRESS_CREATEIDX_SUBPHASE, phase);
}
