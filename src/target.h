/*-------------------------------------------------------------------------
 *
 * target.h
 *		SQL in the target database, through SPI, under pinned settings.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_TARGET_H
#define FTM_TARGET_H

#include "nodes/pg_list.h"

#include "rowset.h"

/*
 * Pin the settings under which the extension's own SQL runs (search_path,
 * output formats, row_security, time zone), until ftm_target_restore() or the
 * end of the (sub)transaction.  Returns the GUC nest level to hand to
 * ftm_target_restore().
 */
extern int	ftm_target_pin_settings(void);
extern void ftm_target_restore(int nestlevel);

/* The same for the rest of the session, outside of any transaction. */
extern void ftm_target_pin_session(void);

/*
 * Run one statement with text parameters ($1 ...; NULL for SQL NULL; cast
 * them in the SQL) and return its rows, allocated in the current memory
 * context.  Runs as the current user.  Needs a transaction; takes a new
 * snapshot each time.  Errors of the statement are raised as they are.
 */
extern RowSet *ftm_target_query(const char *sql, int nparams,
								const char *const *params);

/*
 * The same as the owner of the extension: for the state tables, which callers
 * of a migration need no rights on.  The caller has checked what must be
 * checked.
 */
extern RowSet *ftm_target_query_as_owner(const char *sql, int nparams,
										 const char *const *params);

/*
 * Run one statement as the current user and hand over its rows one by one, as
 * texts (NULL for SQL NULL) that are gone after the call; for results that are
 * not to be in memory.  receive() must not use SPI.  Unlike the functions
 * above, this one sees what the calling statement sees: several scans see the
 * same rows, under the same ctids.
 */
typedef void (*TargetReceive) (void *arg, char **values);

extern void ftm_target_scan(const char *sql, TargetReceive receive, void *arg);

/* The text of an SQL array of OIDs, for a parameter. */
extern char *ftm_target_oid_array(const List *oids);

/*
 * May the current user set session_replication_role?  set_config_option() does
 * not ask.
 */
extern bool ftm_target_may_become_replica(void);

#endif							/* FTM_TARGET_H */
