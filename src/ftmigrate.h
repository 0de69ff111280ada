/*-------------------------------------------------------------------------
 *
 * ftmigrate.h
 *		Settings of the extension and the words that every module shares.
 *
 * A row's way through the program:
 *
 *		source.c (libpq stream) -> rewrite.c (user ids) -> load.c (CopyFrom)
 *
 * and the run around it: run.c and control.c hold the SQL functions, leader.c
 * the course of a run, step.c its steps, pool.c the background workers as the
 * leader sees them, worker.c what a worker does, rollback.c the way back,
 * background.c runs without a session, state.c the rows in ftm_run,
 * ftm_run_table and ftm_log; runlog.c has the log file, progress.c what a
 * caller sees meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_FTMIGRATE_H
#define FTM_FTMIGRATE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

#define FTM_EXTENSION_NAME	"ftmigrate"

/* Settings; see ftmigrate.c for their meaning, units and bounds. */
extern int	ftm_workers;
extern int	ftm_connect_timeout;
extern int	ftm_streams;
extern int	ftm_network_timeout;
extern int	ftm_lock_timeout;
extern int	ftm_retries;
extern int	ftm_retry_delay;
extern int	ftm_retention_days;
extern int	ftm_progress_interval;
extern char *ftm_log_file;
extern int	ftm_auth_concurrency;
extern int	ftm_auth_timeout;
extern int	ftm_auth_max_delay;
extern int	ftm_auth_settle_time;

/*
 * Name of the schema that holds the extension's objects, palloc'd, not
 * quoted.  Error if the extension is not installed in this database.
 */
extern char *ftm_extension_schema(void);

/* The same, quoted for use in SQL: "ext". */
extern const char *ftm_extension_schema_quoted(void);

/* Owner of the extension, in whose name state tables are read and written. */
extern Oid	ftm_extension_owner(void);

/*
 * What a call works on: the four parameters that every function has.
 * schemas, include and exclude are Lists of char *; NIL stands for "not
 * given" in include and exclude.
 */
typedef struct Scope
{
	char	   *source;			/* name of the foreign server */
	List	   *schemas;
	List	   *include;
	List	   *exclude;
} Scope;

/* Wait until end, on the process latch; interrupts are heard. */
extern void ftm_wait_until(TimestampTz end);

#endif							/* FTM_FTMIGRATE_H */
