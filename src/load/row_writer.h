/*-------------------------------------------------------------------------
 *
 * row_writer.h
 *		Rows from a binary COPY stream into a new table, in bulk.
 *
 * What COPY (FORMAT binary, FREEZE) does, at less cost per row, for the tables
 * that a run fills: ordinary, empty, without triggers and indexes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ROW_WRITER_H
#define FTM_ROW_WRITER_H

#include "utils/relcache.h"

#include "index/index_entries.h"
#include "load/task.h"

typedef struct RowWriter RowWriter;

/*
 * Can a RowWriter do this load?  If not, CopyFrom() can.
 */
extern bool ftm_rows_possible(Relation rel, const TableTask *task);

/*
 * Begin to fill rel, which ftm_rows_possible() was asked about, and whose
 * storage the current subtransaction has made: otherwise an error, as of COPY
 * FREEZE.  Neither triggers are fired nor indexes maintained, but entries, unless
 * that is NULL, are told of every row.  All memory is the current context's.
 */
extern RowWriter *ftm_rows_begin(Relation rel, const TableTask *task,
								 IndexEntries *entries);

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

#endif							/* FTM_ROW_WRITER_H */
