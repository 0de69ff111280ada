/*-------------------------------------------------------------------------
 *
 * progress.h
 *		What a caller sees while a run is under way: notices.
 *
 * Other sessions look at the view ftm_progress, which is plain SQL.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_PROGRESS_H
#define FTM_PROGRESS_H

#include "task.h"

/* One line about a table that is done with; see ftmigrate.progress_interval. */
extern void ftm_progress_report_table(const char *table_name,
									  const TableResult *result);

/* One line about a run: what ftm_progress says about it now. */
extern void ftm_progress_report_run(int64 run_id);

#endif							/* FTM_PROGRESS_H */
