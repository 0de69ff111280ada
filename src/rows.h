/*-------------------------------------------------------------------------
 *
 * rows.h
 *		Rows from a binary COPY stream into a new table, in bulk.
 *
 * What COPY (FORMAT binary, FREEZE) does, at less cost per row, for the tables
 * that a run fills: ordinary, empty, without triggers and indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ROWS_H
#define FTM_ROWS_H

#include "storage/itemptr.h"
#include "utils/relcache.h"

#include "task.h"

/*
 * Somebody who wants to see each row once it is in the table.  values and
 * isnull have an entry for each attribute of the table, in order, valid during
 * the call only.  So is memory of the current context.
 */
typedef struct RowObserver
{
	void		(*row) (struct RowObserver *observer, const Datum *values,
						const bool *isnull, ItemPointer tid);
} RowObserver;

typedef struct RowWriter RowWriter;

/*
 * Can a RowWriter do this load?  If not, CopyFrom() can.
 */
extern bool ftm_rows_possible(Relation rel, const TableTask *task);

/*
 * Begin to fill rel, which ftm_rows_possible() was asked about, and whose
 * storage the current subtransaction has made: otherwise an error, as of COPY
 * FREEZE.  Neither triggers are fired nor indexes maintained.  observer may be
 * NULL.  All memory is the current context's.
 */
extern RowWriter *ftm_rows_begin(Relation rel, const TableTask *task,
								 RowObserver *observer);

/*
 * The next piece of the stream, cut at the end of its header or of a row.
 * Rows are inserted in batches, so not all need be in the table afterwards.
 * The piece is changed, and the byte behind it is written to, but restored.
 * Errors are those of COPY, its context included.
 */
extern void ftm_rows_write(RowWriter *writer, char *data, size_t length);

/*
 * Insert the rows still pending; returns the number of all rows.  An error if
 * the stream has had no trailer.  Frees the writer.
 */
extern uint64 ftm_rows_end(RowWriter *writer);

#endif							/* FTM_ROWS_H */
