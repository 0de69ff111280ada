/*-------------------------------------------------------------------------
 *
 * check.h
 *		The preflight: what would stop a migration, or spoil it?
 *
 * A preflight is a list of checks (see check.c), each of which adds one result
 * or several.  Checks change nothing, on either end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CHECK_H
#define FTM_CHECK_H

#include "datatype/timestamp.h"

#include "plan/plan.h"
#include "remote/source.h"
#include "schema/recorded_answers.h"
#include "schema/scope.h"
#include "verify/source_activity.h"

typedef enum CheckStatus
{
	CHECK_PASS,
	CHECK_WARN,					/* worth knowing, or cannot be known for sure */
	CHECK_FAIL					/* a run would fail, or go wrong */
} CheckStatus;

/* One row of ftm_check(). */
typedef struct CheckResult
{
	const char *name;			/* of the check */
	CheckStatus status;
	int			sqlstate;		/* for a run that stops because of it */
	char	   *detail;			/* full sentences: what was found */
	char	   *hint;			/* the remedy; NULL if none is needed */
} CheckResult;

/*
 * A preflight under way.  Lives in, and allocates everything in, one memory
 * context, although each check has a subtransaction of its own.
 */
typedef struct Preflight
{
	/* what is to be checked */
	const Scope *scope;
	bool		for_run;		/* as a run's first step, not ftm_check() */
	int64		run_id;			/* for_run: the run it goes on with, or 0 */
	UserIdPolicy policy;
	bool		rows_allowed;	/* in the tables of the target */
	bool		verify;
	int			workers;		/* that load tables */
	const char *auth_server;	/* where a run creates users, if it exists */
	Catalog    *catalog;		/* of an export, with what was recorded there: */
	const SourceRecord *record; /* no source is asked; NULL: a source is */

	/* what checks have found, for those after them; NULL: not found */
	SourceServer *server;
	SourceConnection *source;
	SourceConnection *second;	/* another connection, for a few checks */
	SourceActivity *activity;	/* just before the snapshot */
	TimestampTz activity_time;	/* when that was */
	char	   *snapshot;		/* exported by source */
	CatalogReader *reader;		/* for_run: source was asked for its catalog */
	MigrationPlan *plan;

	const char *check;			/* name of the check being made */
	List	   *results;		/* of CheckResult */
	MemoryContext context;
} Preflight;

/*
 * The preflight of a run, in two parts.  The first exports the snapshot of a
 * source that is connected already, the second builds the plan; all of that is
 * left in preflight, in the current memory context.  Only those checks are
 * made that are cheap and tell for sure that the run would fail.  Each part
 * raises what failed as one error, the second also raises what is worth knowing
 * as warnings.  Keeps no lock on a table.  Errors of reading are raised as they
 * are.  With catalog and record set, for the run of an import, there is no
 * source, and no first part.
 */
extern void ftm_check_run_source(Preflight *preflight);
extern void ftm_check_run(Preflight *preflight);

/* A connection to the source whose session is set up: no less counts as one. */
extern SourceConnection *ftm_check_connect(const Preflight *preflight);

/* What a check says.  hint: NULL for CHECK_PASS only. */
extern void ftm_check_pass(Preflight *preflight, char *detail);
extern void ftm_check_warn(Preflight *preflight, char *detail, char *hint);
extern void ftm_check_fail(Preflight *preflight, int sqlstate, char *detail,
						   char *hint);

/* checks of the connection to the source and of its server: check_source.c */
extern void ftm_check_connection(Preflight *preflight);
extern void ftm_check_encryption(Preflight *preflight);
extern void ftm_check_server_version(Preflight *preflight);
extern void ftm_check_session_settings(Preflight *preflight);
extern void ftm_check_connection_limit(Preflight *preflight);
extern void ftm_check_source_locks(Preflight *preflight);
extern void ftm_check_pooler_mode(Preflight *preflight);
extern void ftm_check_snapshot(Preflight *preflight);
extern void ftm_check_freeze(Preflight *preflight);

/* checks of the target alone: check_target.c */
extern void ftm_check_worker_slots(Preflight *preflight);
extern void ftm_check_replication_role(Preflight *preflight);
extern void ftm_check_empty_tables(Preflight *preflight);
extern void ftm_check_disk_space(Preflight *preflight);

/* checks of both ends against each other: check_plan.c */
extern void ftm_check_schema(Preflight *preflight);
extern void ftm_check_definitions(Preflight *preflight);
extern void ftm_check_source_tables(Preflight *preflight);
extern void ftm_check_target_tables(Preflight *preflight);
extern void ftm_check_triggers(Preflight *preflight);
extern void ftm_check_sequences(Preflight *preflight);
extern void ftm_check_user_columns(Preflight *preflight);
extern void ftm_check_user_map(Preflight *preflight);
extern void ftm_check_extensions(Preflight *preflight);
extern void ftm_check_encoding(Preflight *preflight);
extern void ftm_check_collation(Preflight *preflight);
extern void ftm_check_statistics(Preflight *preflight);

/* checks of what a migration of tables leaves as it is: check_needs.c */
extern void ftm_check_schema_ids(Preflight *preflight);
extern void ftm_check_left_behind(Preflight *preflight);

/* check of the auth service: check_auth.c */
extern void ftm_check_auth_server(Preflight *preflight);

#endif							/* FTM_CHECK_H */
