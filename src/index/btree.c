/*-------------------------------------------------------------------------
 *
 * btree.c
 *		Writes a b-tree from its tuples in order.
 *
 * The tree grows from its leaves: each level has one page that is being filled.
 * When a page is full, it gets its high key, the level above gets a downlink
 * to it, and a new page begins to its right.  In the end the pages that are
 * left are the rightmost of their levels, and the one at the top is the root.
 *
 * What constrains this file:
 *
 * - What a tuple or a page of a b-tree looks like is the server's business: its
 *	 own functions truncate high keys, form posting lists and make the meta
 *	 page.  access/nbtree.h and the server's nbtree/README say the rest.
 * - Pages are filled as the server's builds fill them: to the fillfactor, inner
 *	 ones to 70 %; equal keys share a tuple of at most a tenth of a page, if the
 *	 index deduplicates and is not unique.
 * - No tuple is longer than MAX_TUPLE_SIZE, so that room for a high key can be
 *	 kept free on every page, and a page always takes several tuples.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "index/btree.h"
#include "index/page_writer.h"

/* The longest key of index_key.h is much shorter. */
#define MAX_TUPLE_SIZE		256

/* A high key may have a row's place appended. */
#define MAX_HIGH_KEY_SIZE \
	(MAXALIGN(MAX_TUPLE_SIZE) + MAXALIGN(sizeof(ItemPointerData)))

/* What the server's builds allow a posting list: a tenth of a page. */
#define MAX_POSTING_SIZE \
	MAXALIGN_DOWN(MAXALIGN_DOWN(BLCKSZ * 10 / 100) - sizeof(ItemIdData))
#define MAX_POSTING_TIDS	(MAX_POSTING_SIZE / sizeof(ItemPointerData))

/* More levels than a tree of MaxBlockNumber pages can have. */
#define MAX_LEVELS			24

/* The page that is being filled, of one level. */
typedef struct BtreeLevel
{
	Page		page;
	BlockNumber block;
	BlockNumber left;			/* the sibling, or P_NONE */
	OffsetNumber last;			/* the last tuple's place on it */
	Size		target_free;	/* bytes that are to stay free */
	IndexTuple	low_key;		/* for the downlink to the page */
} BtreeLevel;

struct BtreeWriter
{
	Relation	index;
	PageWriter *pages;
	BlockNumber nblocks;		/* blocks given to pages so far */
	BTScanInsert key;			/* how the server truncates */
	bool		deduplicate;
	int			nlevels;
	BtreeLevel	levels[MAX_LEVELS];

	/* The tuple that was added last, and the other rows with its key */
	IndexTuple	pending;
	int			ntids;			/* 0 if there is none pending */
	int			max_tids;
	ItemPointerData tids[MAX_POSTING_TIDS];
	MemoryContext context;		/* of what a page needs when it is full */
};

static void add_pending(BtreeWriter *writer);
static void add_tuple(BtreeWriter *writer, int level, IndexTuple tuple);
static bool is_full(BtreeLevel *level, IndexTuple tuple);
static void add_to_page(BtreeLevel *level, IndexTuple tuple, Size size);
static void begin_level(BtreeWriter *writer);
static void begin_page(BtreeWriter *writer, int level, BlockNumber left);
static void end_page(BtreeWriter *writer, int level, IndexTuple next);
static IndexTuple truncate_key(BtreeWriter *writer, IndexTuple next);
static void add_downlink(BtreeWriter *writer, int level);
static void set_high_key(BtreeLevel *level, IndexTuple high_key);
static void end_level(BtreeWriter *writer, int level);
static void write_meta_page(BtreeWriter *writer);
static IndexTuple minus_infinity(void);

BtreeWriter *
ftm_btree_begin(Relation index)
{
	BtreeWriter *writer = palloc0(sizeof(BtreeWriter));

	writer->index = index;
	writer->pages = ftm_page_writer_begin(index);
	writer->nblocks = BTREE_METAPAGE + 1;
	writer->key = _bt_mkscankey(index, NULL);
	writer->key->allequalimage = _bt_allequalimage(index, true);
	writer->deduplicate = writer->key->allequalimage &&
		!index->rd_index->indisunique && BTGetDeduplicateItems(index);
	writer->pending = palloc(MAX_TUPLE_SIZE);
	writer->context = AllocSetContextCreate(CurrentMemoryContext,
											"ftmigrate b-tree page",
											ALLOCSET_DEFAULT_SIZES);
	return writer;
}

void
ftm_btree_add(BtreeWriter *writer, IndexTuple tuple, bool same_key)
{
	Size		size = IndexTupleSize(tuple);

	if (writer->deduplicate && same_key && writer->ntids < writer->max_tids)
	{
		writer->tids[writer->ntids++] = tuple->t_tid;
		return;
	}
	if (writer->ntids > 0)
		add_pending(writer);
	if (size > MAX_TUPLE_SIZE)
		elog(ERROR, "index tuple of %zu bytes is too long", size);
	memcpy(writer->pending, tuple, size);
	writer->tids[0] = tuple->t_tid;
	writer->ntids = 1;
	writer->max_tids = (int) ((MAX_POSTING_SIZE - size) /
							  sizeof(ItemPointerData));
}

/*
 * The pending tuple is complete.
 */
static void
add_pending(BtreeWriter *writer)
{
	IndexTuple	tuple = writer->pending;

	if (writer->ntids > 1)
		tuple = _bt_form_posting(writer->pending, writer->tids, writer->ntids);
	add_tuple(writer, 0, tuple);
	if (tuple != writer->pending)
		pfree(tuple);
}

void
ftm_btree_end(BtreeWriter *writer)
{
	if (writer->ntids > 0)
		add_pending(writer);

	/* The highest level is the one that no other has come to be above of. */
	for (int level = 0; level < writer->nlevels; level++)
		end_level(writer, level);
	write_meta_page(writer);
	ftm_page_writer_end(writer->pages);
	MemoryContextDelete(writer->context);
	pfree(writer->pending);
	pfree(writer->key);
	pfree(writer);
}

/*
 * Add a tuple to a level of the tree, from 0, the leaves.
 */
static void
add_tuple(BtreeWriter *writer, int number, IndexTuple tuple)
{
	BtreeLevel *level = &writer->levels[number];
	Size		size = MAXALIGN(IndexTupleSize(tuple));

	if (number == writer->nlevels)
		begin_level(writer);
	else if (is_full(level, tuple))
		end_page(writer, number, tuple);
	if (number > 0 && level->last == P_HIKEY)
	{
		/* The first key of an inner page is less than any, and not stored. */
		IndexTupleData first = *tuple;

		first.t_info = sizeof(IndexTupleData);
		BTreeTupleSetNAtts(&first, 0, false);
		add_to_page(level, &first, sizeof(IndexTupleData));
	}
	else
		add_to_page(level, tuple, size);
}

/*
 * Is it the page's end before this tuple?  It is if the fillfactor would not
 * even leave room for it as a high key, which has no posting list; or, whatever
 * the fillfactor, if there was no room for a high key behind it.
 */
static bool
is_full(BtreeLevel *level, IndexTuple tuple)
{
	Size		available = PageGetExactFreeSpace(level->page);
	Size		size = IndexTupleSize(tuple);
	Size		key_size = BTreeTupleIsPosting(tuple) ?
		BTreeTupleGetPostingOffset(tuple) : size;

	if (available < MAXALIGN(size) + sizeof(ItemIdData) + MAX_HIGH_KEY_SIZE)
		return true;
	return level->last > P_FIRSTKEY &&
		available < MAXALIGN(key_size) + sizeof(ItemIdData) + level->target_free;
}

/*
 * Put a tuple behind the others; there is room.  The server's own function
 * looks for a place and checks what it finds, each time.
 */
static void
add_to_page(BtreeLevel *level, IndexTuple tuple, Size size)
{
	PageHeader	header = (PageHeader) level->page;

	header->pd_upper -= size;
	memcpy((char *) level->page + header->pd_upper, tuple,
		   IndexTupleSize(tuple));
	level->last = OffsetNumberNext(level->last);
	ItemIdSetNormal(PageGetItemId(level->page, level->last), header->pd_upper,
					IndexTupleSize(tuple));
	header->pd_lower += sizeof(ItemIdData);
}

static void
begin_level(BtreeWriter *writer)
{
	BtreeLevel *level = &writer->levels[writer->nlevels];

	if (writer->nlevels == MAX_LEVELS)
		elog(ERROR, "b-tree has too many levels");
	level->target_free = writer->nlevels > 0 ?
		BLCKSZ * (100 - BTREE_NONLEAF_FILLFACTOR) / 100 :
		BTGetTargetPageFreeSpace(writer->index);
	level->low_key = minus_infinity();
	begin_page(writer, writer->nlevels++, P_NONE);
}

/*
 * Begin a page to the right of left.  The place of its high key stays free.
 */
static void
begin_page(BtreeWriter *writer, int number, BlockNumber left)
{
	BtreeLevel *level = &writer->levels[number];
	BTPageOpaque opaque;

	level->page = ftm_page_writer_new_page(writer->pages);
	level->block = writer->nblocks++;
	level->last = P_HIKEY;
	_bt_pageinit(level->page, BLCKSZ);
	((PageHeader) level->page)->pd_lower += sizeof(ItemIdData);
	opaque = BTPageGetOpaque(level->page);
	opaque->btpo_prev = left;
	opaque->btpo_next = P_NONE;
	opaque->btpo_level = number;
	opaque->btpo_flags = number == 0 ? BTP_LEAF : 0;
	opaque->btpo_cycleid = 0;
}

/*
 * A level's page is full: next is the first tuple of the page to its right,
 * which is begun.
 */
static void
end_page(BtreeWriter *writer, int number, IndexTuple next)
{
	BtreeLevel *level = &writer->levels[number];
	Page		page = level->page;
	BlockNumber block = level->block;
	IndexTuple	high_key;

	/* On leaves it says no more than what separates the two pages. */
	high_key = number == 0 ? truncate_key(writer, next) : CopyIndexTuple(next);
	set_high_key(level, high_key);
	add_downlink(writer, number);
	level->low_key = high_key;
	begin_page(writer, number, block);
	BTPageGetOpaque(page)->btpo_next = level->block;
	ftm_page_writer_write(writer->pages, block, page);
}

/*
 * The high key of the leaf that is being filled.  What the server's function
 * needs on its way goes with the context.
 */
static IndexTuple
truncate_key(BtreeWriter *writer, IndexTuple next)
{
	BtreeLevel *level = &writer->levels[0];
	IndexTuple	last = (IndexTuple) PageGetItem(level->page,
												PageGetItemId(level->page, level->last));
	MemoryContext outer = MemoryContextSwitchTo(writer->context);
	IndexTuple	high_key;

	high_key = _bt_truncate(writer->index, last, next, writer->key);
	MemoryContextSwitchTo(outer);
	high_key = CopyIndexTuple(high_key);
	MemoryContextReset(writer->context);
	return high_key;
}

/*
 * Tell the level above of a level's page; its low key has then been used.
 */
static void
add_downlink(BtreeWriter *writer, int number)
{
	BtreeLevel *level = &writer->levels[number];

	BTreeTupleSetDownLink(level->low_key, level->block);
	add_tuple(writer, number + 1, level->low_key);
	pfree(level->low_key);
	level->low_key = NULL;
}

static void
set_high_key(BtreeLevel *level, IndexTuple high_key)
{
	PageHeader	header = (PageHeader) level->page;
	Size		size = IndexTupleSize(high_key);

	if (MAXALIGN(size) > MAX_HIGH_KEY_SIZE)
		elog(ERROR, "high key of %zu bytes is too long", size);
	header->pd_upper -= MAXALIGN(size);
	memcpy((char *) level->page + header->pd_upper, high_key, size);
	ItemIdSetNormal(PageGetItemId(level->page, P_HIKEY), header->pd_upper,
					size);
}

/*
 * A level's last page has no high key: its tuples move to the place of it.
 */
static void
end_level(BtreeWriter *writer, int number)
{
	BtreeLevel *level = &writer->levels[number];
	PageHeader	header = (PageHeader) level->page;

	if (number < writer->nlevels - 1)
		add_downlink(writer, number);
	else
		BTPageGetOpaque(level->page)->btpo_flags |= BTP_ROOT;
	memmove(header->pd_linp, header->pd_linp + 1,
			(level->last - P_HIKEY) * sizeof(ItemIdData));
	header->pd_lower -= sizeof(ItemIdData);
	ftm_page_writer_write(writer->pages, level->block, level->page);
}

/*
 * Last, as in the server's builds.
 */
static void
write_meta_page(BtreeWriter *writer)
{
	Page		page = ftm_page_writer_new_page(writer->pages);
	BlockNumber root = P_NONE;
	int			level = 0;

	if (writer->nlevels > 0)
	{
		level = writer->nlevels - 1;
		root = writer->levels[level].block;
	}
	_bt_initmetapage(page, root, level, writer->key->allequalimage);
	ftm_page_writer_write(writer->pages, BTREE_METAPAGE, page);
}

/*
 * What the downlink to the leftmost page of a level has for a key.
 */
static IndexTuple
minus_infinity(void)
{
	IndexTuple	tuple = palloc0(sizeof(IndexTupleData));

	tuple->t_info = sizeof(IndexTupleData);
	BTreeTupleSetNAtts(tuple, 0, false);
	return tuple;
}
