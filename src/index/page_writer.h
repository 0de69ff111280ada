/*-------------------------------------------------------------------------
 *
 * page_writer.h
 *		Writes the pages of a new relation past the shared buffers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_PAGE_WRITER_H
#define FTM_PAGE_WRITER_H

#include "storage/bufpage.h"
#include "utils/relcache.h"

typedef struct PageWriter PageWriter;

/*
 * Begin to write the main fork of rel, whose storage was made by this
 * transaction, is empty, and is read by nobody until the transaction commits.
 * Allocated in the current memory context.
 */
extern PageWriter *ftm_page_writer_begin(Relation rel);

/* Memory for a page, its contents undefined; it becomes the writer's again. */
extern Page ftm_page_writer_new_page(PageWriter *writer);

/*
 * Write a page, in the standard layout, to a block; blocks may come in any
 * order, each once.  The page's memory is the writer's again.
 */
extern void ftm_page_writer_write(PageWriter *writer, BlockNumber block,
								  Page page);

/*
 * Write what is left.  After that, the pages survive a crash if the transaction
 * commits.
 */
extern void ftm_page_writer_end(PageWriter *writer);

#endif							/* FTM_PAGE_WRITER_H */
