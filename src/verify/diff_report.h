/*-------------------------------------------------------------------------
 *
 * diff_report.h
 *		The result of ftm_diff(): columns of the rows that differ.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_DIFF_REPORT_H
#define FTM_DIFF_REPORT_H

#include "nodes/execnodes.h"

#include "verify/diff_sql.h"

typedef struct DiffReport DiffReport;

/*
 * Begin a report that fills rsinfo's result set (key, change, column_name,
 * source_value, target_value).  source must stay in the snapshot under which
 * rows are found.  Lives in the current memory context.
 */
extern DiffReport *ftm_diff_report_create(const char *table_name,
										  const DiffSql *sql,
										  SourceConnection *source,
										  ReturnSetInfo *rsinfo);

/*
 * One more row that differs.  source or target is NULL if that end lacks it.
 * May talk to both ends, so no statement of the caller's may be under way.
 */
extern void ftm_diff_report_add(DiffReport *report, const RowPlace *source,
								const RowPlace *target);

/* Show what has not been shown yet. */
extern void ftm_diff_report_flush(DiffReport *report);

#endif							/* FTM_DIFF_REPORT_H */
