/*-------------------------------------------------------------------------
 *
 * json_rows.h
 *		The rows of a JSON file as a stream of COPY's text format.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_JSON_ROWS_H
#define FTM_JSON_ROWS_H

#include "load/load.h"

/*
 * An origin of rows for ftm_load_table(): the file task->file, which must have
 * the SHA-256 task->file_sha256.  Needs a transaction, at whose end everything
 * is closed.  Errors name the file, the line and the column.
 */
extern CopyOrigin *ftm_json_rows_create(const TableTask *task);

/*
 * Have use() called for each object of such a file, in the database's encoding,
 * in a memory context that lasts no longer.  Same errors, but for columns.
 */
extern void ftm_json_rows_each(const TableTask *task,
							   void (*use) (void *arg, const char *object),
							   void *arg);

/* Where a load is; for an error context callback, arg is the CopyOrigin. */
extern void ftm_json_rows_context(void *arg);

#endif							/* FTM_JSON_ROWS_H */
