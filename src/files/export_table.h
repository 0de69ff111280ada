/*-------------------------------------------------------------------------
 *
 * export_table.h
 *		One table of an export: its rows, as JSON, in a file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_EXPORT_TABLE_H
#define FTM_EXPORT_TABLE_H

#include "lib/stringinfo.h"

#include "files/json_file.h"
#include "schema/catalog.h"

/* What a worker needs to know. */
typedef struct ExportTask
{
	char	   *name;			/* of the table, for messages */
	char	   *path;
	bool		compress;
	char	   *select_sql;		/* one column of type json, one row each */
	char	   *checksum_sql;	/* number of rows and checksum, or NULL */
} ExportTask;

/* What came of it. */
typedef struct ExportResult
{
	int64		rows;
	double		seconds;
	char	   *checksum;		/* numeric; NULL without checksum_sql */
	JsonFileInfo file;
} ExportResult;

/*
 * The statement that makes JSON objects of a table's rows, on the source, in
 * the current memory context.  A value is a JSON number, boolean, array or
 * object where that loses nothing, and otherwise a string that holds the text
 * of the value as COPY writes it.
 */
extern char *ftm_export_select_sql(const CatalogTable *table);

/*
 * The statement by which ftm_verify() computes the number of this table's rows
 * and their checksum on the source, if the target's columns are of the same
 * types.
 */
extern char *ftm_export_checksum_sql(const CatalogTable *table);

/*
 * Write all rows to the file; source must be in a snapshot.  Errors: those of
 * both, and if the file did not get as many rows as the source counts.
 */
extern void ftm_export_table(SourceConnection *source, const ExportTask *task,
							 ExportResult *result);

extern void ftm_export_put_task(StringInfo buffer, const ExportTask *task);
extern ExportTask *ftm_export_get_task(StringInfo buffer);
extern void ftm_export_put_result(StringInfo buffer, const ExportResult *result);
extern void ftm_export_get_result(StringInfo buffer, ExportResult *result);

#endif							/* FTM_EXPORT_TABLE_H */
