/*-------------------------------------------------------------------------
 *
 * page_writer.c
 *		Writes the pages of a new relation past the shared buffers.
 *
 * As the server does when it builds an index: pages that nobody reads yet need
 * no buffer, no lock and no place in the cache of others.  They are logged and
 * written a batch at a time.
 *
 * What constrains this file:
 *
 * - A page's log record comes before the page is written, if the relation needs
 *	 any: under wal_level = minimal it does not, and the commit takes care that
 *	 the file is on disk.
 * - A checkpoint knows nothing of pages outside the buffers.  One that began
 *	 before a page was logged replays its record after a crash, so the page need
 *	 not be on disk.  One that begins later does not, but waits for the files
 *	 that it was told to flush; we tell it of each batch, after writing it, not of
 *	 each page, since everybody who writes has to tell it.  So only a checkpoint
 *	 that begins between a page's record and that may miss it: if any has begun
 *	 while we were writing, which the redo pointer tells, the file is flushed here.
 * - A block past the end of the file cannot be written before those in between,
 *	 which are filled with zeros: they are written later, and a file without
 *	 holes does not run out of space then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xloginsert.h"
#include "access/xlogrecord.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "storage/smgr.h"
#include "utils/rel.h"

#include "compat.h"
#include "index/page_writer.h"

/* As many as fit into one log record. */
#define BATCH_PAGES		XLR_MAX_BLOCK_ID

/* Pages that are being filled while a batch waits: one for each tree level. */
#define SPARE_PAGES		32

/* What direct I/O may want, in versions that have it. */
#define PAGE_ALIGNMENT	4096

struct PageWriter
{
	Relation	rel;
	bool		logged;
	XLogRecPtr	redo;			/* of the checkpoint at the beginning */
	BlockNumber nblocks;		/* of the file so far */
	int			nbatch;
	BlockNumber blocks[BATCH_PAGES];
	Page		batch[BATCH_PAGES];
	int			nfree;
	Page		free[BATCH_PAGES + SPARE_PAGES];
	Page		zeros;
	char	   *memory;
};

static void flush(PageWriter *writer);
static void sort_batch(PageWriter *writer);
static bool is_last_of_file(const PageWriter *writer, int i);
static void write_page(PageWriter *writer, BlockNumber block, Page page,
					   bool tell);

PageWriter *
ftm_page_writer_begin(Relation rel)
{
	PageWriter *writer = palloc0(sizeof(PageWriter));
	int			npages = lengthof(writer->free);
	char	   *aligned;

	writer->rel = rel;
	writer->logged = RelationNeedsWAL(rel);
	writer->redo = GetRedoRecPtr();
	writer->memory = palloc((npages + 1) * BLCKSZ + PAGE_ALIGNMENT);
	aligned = (char *) TYPEALIGN(PAGE_ALIGNMENT, writer->memory);
	for (int i = 0; i < npages; i++, aligned += BLCKSZ)
		writer->free[writer->nfree++] = aligned;
	writer->zeros = aligned;
	memset(writer->zeros, 0, BLCKSZ);
	return writer;
}

Page
ftm_page_writer_new_page(PageWriter *writer)
{
	if (writer->nfree == 0)
		elog(ERROR, "too many pages are being filled");
	return writer->free[--writer->nfree];
}

void
ftm_page_writer_write(PageWriter *writer, BlockNumber block, Page page)
{
	writer->blocks[writer->nbatch] = block;
	writer->batch[writer->nbatch++] = page;
	if (writer->nbatch == BATCH_PAGES)
		flush(writer);
}

void
ftm_page_writer_end(PageWriter *writer)
{
	flush(writer);
	if (writer->logged && writer->redo != GetRedoRecPtr())
		smgrimmedsync(RelationGetSmgr(writer->rel), MAIN_FORKNUM);
	pfree(writer->memory);
	pfree(writer);
}

static void
flush(PageWriter *writer)
{
	CHECK_FOR_INTERRUPTS();
	if (writer->nbatch == 0)
		return;

	/* Files grow from their end, with as few zeros as possible. */
	sort_batch(writer);
	if (writer->logged)
		log_newpages(ftm_relation_locator(writer->rel), MAIN_FORKNUM,
					 writer->nbatch, writer->blocks, writer->batch, true);
	for (int i = 0; i < writer->nbatch; i++)
	{
		write_page(writer, writer->blocks[i], writer->batch[i],
				   is_last_of_file(writer, i));
		writer->free[writer->nfree++] = writer->batch[i];
	}
	writer->nbatch = 0;
}

/*
 * Nearly in order already.
 */
static void
sort_batch(PageWriter *writer)
{
	for (int i = 1; i < writer->nbatch; i++)
	{
		BlockNumber block = writer->blocks[i];
		Page		page = writer->batch[i];
		int			j;

		for (j = i; j > 0 && writer->blocks[j - 1] > block; j--)
		{
			writer->blocks[j] = writer->blocks[j - 1];
			writer->batch[j] = writer->batch[j - 1];
		}
		writer->blocks[j] = block;
		writer->batch[j] = page;
	}
}

/*
 * Is page i of the batch the last one in its file?  Large relations have several
 * files, and the checkpointer is told of each.
 */
static bool
is_last_of_file(const PageWriter *writer, int i)
{
	return i == writer->nbatch - 1 ||
		writer->blocks[i] / RELSEG_SIZE != writer->blocks[i + 1] / RELSEG_SIZE;
}

/*
 * Write one page; tell the checkpointer, if that is wanted, that the file is to
 * be flushed.
 */
static void
write_page(PageWriter *writer, BlockNumber block, Page page, bool tell)
{
	SMgrRelation file = RelationGetSmgr(writer->rel);

	PageSetChecksumInplace(page, block);
	if (block < writer->nblocks)
	{
		smgrwrite(file, MAIN_FORKNUM, block, page, !tell);
		return;
	}
	for (; writer->nblocks < block; writer->nblocks++)
		smgrextend(file, MAIN_FORKNUM, writer->nblocks, writer->zeros, true);
	smgrextend(file, MAIN_FORKNUM, block, page, !tell);
	writer->nblocks++;
}
