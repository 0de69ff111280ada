/*-------------------------------------------------------------------------
 *
 * run_log.h
 *		The log file: what happens in runs, one JSON object per line.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_RUN_LOG_H
#define FTM_RUN_LOG_H

/*
 * Append a line to ftmigrate.log_file once the current transaction has
 * committed; none if it aborts, or if there is no log file.  time is ISO 8601,
 * level as PostgreSQL names them; table_name and figures (a JSON object) may
 * be NULL.  A file that cannot be written is a warning, once per process.
 */
extern void ftm_runlog_add(const char *time, int64 run_id, const char *level,
						   const char *table_name, const char *message,
						   const char *figures);

#endif							/* FTM_RUN_LOG_H */
