/*-------------------------------------------------------------------------
 *
 * target.h
 *		SQL in the target database, under pinned settings, in whose name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_TARGET_H
#define FTM_TARGET_H

#include "nodes/pg_list.h"

#include "base/rowset.h"

/* Who was the current user, and under which settings. */
typedef struct FormerRole
{
	Oid			userid;
	int			security_context;
	int			nestlevel;
} FormerRole;

/* Whose functions a statement on users' relations calls. */
typedef enum TargetCode
{
	TARGET_CODE_OURS,			/* pg_catalog's and the extension's, which the
								 * caller must have the right to execute */
	TARGET_CODE_CASTS,			/* also casts and operators that somebody has
								 * defined, found by the caller */
	TARGET_CODE_OWNERS			/* expressions of the relations' owner, who
								 * must find and may execute what is in them */
} TargetCode;

/*
 * Pin the settings under which the extension's own SQL runs (search_path,
 * output formats, row_security, time zone), until ftm_target_restore() or the
 * end of the (sub)transaction.  Returns the GUC nest level to hand to
 * ftm_target_restore().
 */
extern int	ftm_target_pin_settings(void);
extern void ftm_target_restore(int nestlevel);

/*
 * Become role until ftm_return(), or the end of the (sub)transaction, under
 * pinned settings of a nest level of its own: whatever is set meanwhile is set
 * back.  For code of others, security_flags is SECURITY_RESTRICTED_OPERATION,
 * so that nothing is left behind in this session; for our own statements it is
 * SECURITY_LOCAL_USERID_CHANGE.  The caller has checked what the current user
 * may do.  Returns what ftm_return() must be given.
 */
extern FormerRole ftm_become(Oid role, int security_flags);
extern void ftm_return(const FormerRole *former);

/* Pin the settings for the rest of the session, outside of any transaction. */
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
 * Run one SELECT without parameters on users' relations and return its rows as
 * above.  It may read those of relids, which are locked, and catalogs; whatever
 * else it names, or has come to name, is an error 55000.  The current user must
 * have SELECT on them, and row-level security must not apply to it; but code of
 * their owners runs as ftm_relation_role(relids), in a security-restricted
 * operation.  relids may be NIL: no relation is read.
 */
extern RowSet *ftm_target_query_relations(const char *sql, const List *relids,
										  TargetCode code);

/*
 * The same, with our own functions only, on one relation; the rows are handed
 * over one by one, as texts (NULL for SQL NULL) that are gone after the call;
 * for results that are not to be in memory.  receive() must not use SPI.
 * Unlike the functions above, this one sees what the calling statement sees:
 * several scans see the same rows, under the same ctids.
 */
typedef void (*TargetReceive) (void *arg, char **values);

extern void ftm_target_scan(const char *sql, Oid relid,
							TargetReceive receive, void *arg);

/* The text of an SQL array of OIDs, for a parameter. */
extern char *ftm_target_oid_array(const List *oids);

/*
 * May the current user set session_replication_role?  set_config_option() does
 * not ask.
 */
extern bool ftm_target_may_become_replica(void);

#endif							/* FTM_TARGET_H */
