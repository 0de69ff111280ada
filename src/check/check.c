/*-------------------------------------------------------------------------
 *
 * check.c
 *		The preflight: ftm_check(), and the second step of a run.
 *
 * Checks are made in the order of the table below, and never stop at the first
 * failure.  What makes that possible:
 *
 * - Each check has a subtransaction of its own, which is always rolled back:
 *   an error becomes a result, and no lock is kept, which a run's workers
 *   would have to wait for.
 * - A check that needs something that an earlier one did not get, such as the
 *   connection, says so as its result.  It never passes.
 * - After an error the state of the source's session is anybody's guess, so it
 *   is replaced by a new one.
 *
 * What a check finds and others need is in Preflight, which lives in a memory
 * context outside of the subtransactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "base/target.h"
#include "check/check.h"
#include "schema/scope.h"

/* What must be there before a check can be made. */
typedef enum CheckNeed
{
	NEEDS_NOTHING,
	NEEDS_SERVER,				/* of the source */
	NEEDS_SOURCE,
	NEEDS_SECOND,				/* connection to the source */
	NEEDS_CATALOG,				/* source, or what an export says of it */
	NEEDS_PLAN
} CheckNeed;

typedef struct Check
{
	const char *name;
	CheckNeed	need;
	bool		advisory;		/* warns if it cannot be made, else fails */
	bool		for_run;		/* part of a run's preflight, too */
	void		(*make) (Preflight *preflight);
} Check;

/* The preflight. */
static const Check checks[] =
{
	{"connection", NEEDS_SERVER, false, true, ftm_check_connection},
	{"encryption", NEEDS_SOURCE, true, false, ftm_check_encryption},
	{"server version", NEEDS_SOURCE, false, true, ftm_check_server_version},
	{"session settings", NEEDS_SOURCE, false, false, ftm_check_session_settings},
	{"connection limit", NEEDS_SOURCE, false, false, ftm_check_connection_limit},
	{"source locks", NEEDS_SOURCE, false, false, ftm_check_source_locks},
	{"pooler mode", NEEDS_SECOND, false, false, ftm_check_pooler_mode},
	{"snapshot", NEEDS_SOURCE, false, true, ftm_check_snapshot},
	{"worker slots", NEEDS_NOTHING, false, false, ftm_check_worker_slots},
	{"replication role", NEEDS_NOTHING, false, true, ftm_check_replication_role},
	{"schema", NEEDS_CATALOG, false, true, ftm_check_schema},
	{"definitions", NEEDS_PLAN, true, true, ftm_check_definitions},
	{"source tables", NEEDS_PLAN, false, true, ftm_check_source_tables},
	{"target tables", NEEDS_PLAN, false, true, ftm_check_target_tables},
	{"triggers", NEEDS_PLAN, false, true, ftm_check_triggers},
	{"empty tables", NEEDS_PLAN, false, true, ftm_check_empty_tables},
	{"sequences", NEEDS_PLAN, false, true, ftm_check_sequences},
	{"left behind", NEEDS_PLAN, false, true, ftm_check_left_behind},
	{"schema ids", NEEDS_PLAN, false, true, ftm_check_schema_ids},
	{"user columns", NEEDS_PLAN, false, true, ftm_check_user_columns},
	{"auth server", NEEDS_SOURCE, false, false, ftm_check_auth_server},
	{"user map", NEEDS_PLAN, false, false, ftm_check_user_map},
	{"extensions", NEEDS_PLAN, false, true, ftm_check_extensions},
	{"encoding", NEEDS_CATALOG, false, true, ftm_check_encoding},
	{"collation", NEEDS_PLAN, true, false, ftm_check_collation},
	{"disk space", NEEDS_PLAN, true, false, ftm_check_disk_space},
	{"statistics", NEEDS_PLAN, true, false, ftm_check_statistics},
	{"freeze", NEEDS_PLAN, true, false, ftm_check_freeze},
};

static void make_for_run(Preflight *preflight, bool of_source);
static bool is_possible(const Preflight *preflight, const Check *check);
static bool needs_connection(const Check *check);
static ErrorData *make_guarded(Preflight *preflight,
							   void (*make) (Preflight *preflight));
static void add_unmade(Preflight *preflight, const Check *check);
static void add_error(Preflight *preflight, const Check *check,
					  const ErrorData *error);
static void reconnect(Preflight *preflight);
static void add_result(Preflight *preflight, CheckStatus status, int sqlstate,
					   char *detail, char *hint);
static void report_warnings(const Preflight *preflight);
static void raise_failures(const Preflight *preflight);
static void put_result(ReturnSetInfo *rsinfo, const CheckResult *result);

PG_FUNCTION_INFO_V1(ftm_check);

/*
 * ftm_check(source, schemas, include, exclude): the preflight, one row per
 * finding.
 */
Datum
ftm_check(PG_FUNCTION_ARGS)
{
	Preflight	preflight = {0};
	MemoryContext old;
	int			nestlevel;
	ListCell   *lc;

	ftm_recovery_refuse("ftm_check()");
	preflight.scope = ftm_scope_from_args(fcinfo, 0);
	preflight.policy.undecided = "error";
	preflight.verify = true;
	preflight.workers = ftm_workers;
	preflight.auth_server = DEFAULT_AUTH_SERVER;
	InitMaterializedSRF(fcinfo, 0);
	preflight.context = AllocSetContextCreate(CurrentMemoryContext,
											  "ftmigrate check",
											  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(preflight.context);
	nestlevel = ftm_target_pin_settings();

	for (int i = 0; i < (int) lengthof(checks); i++)
	{
		const Check *check = &checks[i];
		ErrorData  *error;

		preflight.check = check->name;
		if (!is_possible(&preflight, check))
		{
			add_unmade(&preflight, check);
			continue;
		}
		error = make_guarded(&preflight, check->make);
		if (error == NULL)
			continue;
		add_error(&preflight, check, error);
		if (preflight.source != NULL)
			(void) make_guarded(&preflight, reconnect);
	}

	ftm_target_restore(nestlevel);
	MemoryContextSwitchTo(old);
	foreach(lc, preflight.results)
		put_result((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	MemoryContextDelete(preflight.context);
	return (Datum) 0;
}

void
ftm_check_run_source(Preflight *preflight)
{
	make_for_run(preflight, true);
}

void
ftm_check_run(Preflight *preflight)
{
	make_for_run(preflight, false);
}

/*
 * Make the checks of a run, either those of the source as such or the others,
 * and raise what has failed.
 */
static void
make_for_run(Preflight *preflight, bool of_source)
{
	preflight->for_run = true;
	preflight->context = CurrentMemoryContext;

	for (int i = 0; i < (int) lengthof(checks); i++)
	{
		const Check *check = &checks[i];
		ErrorData  *error;

		if (!check->for_run || needs_connection(check) != of_source)
			continue;
		preflight->check = check->name;
		if (!is_possible(preflight, check))
			break;				/* an earlier check has failed */
		error = make_guarded(preflight, check->make);
		if (error != NULL)
			ReThrowError(error);
	}
	if (!of_source)
		report_warnings(preflight);
	raise_failures(preflight);
}

static bool
is_possible(const Preflight *preflight, const Check *check)
{
	switch (check->need)
	{
		case NEEDS_NOTHING:
		case NEEDS_SERVER:
			return true;
		case NEEDS_CATALOG:
			return preflight->source != NULL || preflight->record != NULL;
		case NEEDS_SOURCE:
			return preflight->source != NULL;
		case NEEDS_SECOND:
			return preflight->second != NULL;
		case NEEDS_PLAN:
			return preflight->plan != NULL &&
				(preflight->source != NULL || preflight->record != NULL);
	}
	return false;
}

/* Is it about the source as such, not about what is in it? */
static bool
needs_connection(const Check *check)
{
	return check->need == NEEDS_SERVER || check->need == NEEDS_SOURCE ||
		check->need == NEEDS_SECOND;
}

/*
 * Make a check in a subtransaction that leaves no trace.  Returns the error
 * that it ended with, or NULL.  A cancel is not caught.
 */
static ErrorData *
make_guarded(Preflight *preflight, void (*make) (Preflight *preflight))
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(preflight->context);
	PG_TRY();
	{
		make(preflight);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(preflight->context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;

	if (error != NULL && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}

/*
 * A check that could not be made is no pass.
 */
static void
add_unmade(Preflight *preflight, const Check *check)
{
	const char *reason;
	const char *hint;

	if (preflight->source == NULL)
	{
		reason = "there is no connection to a source that can be read";
		hint = "connection";
	}
	else if (check->need == NEEDS_SECOND)
	{
		reason = "there is no second connection to the source";
		hint = "connection limit";
	}
	else
	{
		reason = "source and target could not be compared";
		hint = "schema";
	}
	add_result(preflight, check->advisory ? CHECK_WARN : CHECK_FAIL,
			   ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
			   psprintf("This was not checked, because %s.", reason),
			   psprintf("Do first what the row of check \"%s\" says.", hint));
}

/*
 * The error's own texts are better than any of ours.
 */
static void
add_error(Preflight *preflight, const Check *check, const ErrorData *error)
{
	char	   *detail = error->message;
	char	   *hint = error->hint;

	if (error->detail != NULL)
		detail = psprintf("%s: %s", error->message, error->detail);
	if (hint == NULL && preflight->source == NULL && preflight->server != NULL)
		hint = psprintf("Correct the options of server %s, or those of its user mapping.",
						quote_identifier(preflight->server->name));
	if (hint == NULL)
		hint = "The check could not be made because of this error; remove its cause and check again.";
	add_result(preflight, check->advisory ? CHECK_WARN : CHECK_FAIL,
			   error->sqlerrcode, detail, hint);
}

/*
 * The old session may be in the middle of a statement, or in a transaction
 * that has failed.
 */
static void
reconnect(Preflight *preflight)
{
	ftm_source_disconnect(preflight->source);
	preflight->source = NULL;
	preflight->source = ftm_check_connect(preflight);
}

SourceConnection *
ftm_check_connect(const Preflight *preflight)
{
	SourceConnection *source = ftm_source_connect(preflight->server,
												  preflight->context);

	ftm_source_await(source);
	return source;
}

void
ftm_check_pass(Preflight *preflight, char *detail)
{
	add_result(preflight, CHECK_PASS, 0, detail, NULL);
}

void
ftm_check_warn(Preflight *preflight, char *detail, char *hint)
{
	add_result(preflight, CHECK_WARN, 0, detail, hint);
}

void
ftm_check_fail(Preflight *preflight, int sqlstate, char *detail, char *hint)
{
	add_result(preflight, CHECK_FAIL, sqlstate, detail, hint);
}

static void
add_result(Preflight *preflight, CheckStatus status, int sqlstate,
		   char *detail, char *hint)
{
	CheckResult *result = palloc0(sizeof(CheckResult));

	result->name = preflight->check;
	result->status = status;
	result->sqlstate = sqlstate;
	result->detail = detail;
	result->hint = hint;
	preflight->results = lappend(preflight->results, result);
}

static void
report_warnings(const Preflight *preflight)
{
	ListCell   *lc;

	foreach(lc, preflight->results)
	{
		CheckResult *result = lfirst(lc);

		if (result->status == CHECK_WARN)
			ereport(WARNING,
					(errmsg_internal("%s  %s", result->detail, result->hint)));
	}
}

/*
 * All in one message, so that none is overlooked and no attempt is wasted.  If
 * all have the same SQLSTATE, so has the error.
 */
static void
raise_failures(const Preflight *preflight)
{
	StringInfoData detail;
	int			sqlstate = 0;
	int			count = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, preflight->results)
	{
		CheckResult *result = lfirst(lc);

		if (result->status != CHECK_FAIL)
			continue;
		sqlstate = count == 0 || sqlstate == result->sqlstate ?
			result->sqlstate : ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
		appendStringInfo(&detail, "%s%s  %s", count++ > 0 ? "\n" : "",
						 result->detail, result->hint);
	}
	if (count > 0)
		ereport(ERROR,
				(errcode(sqlstate),
				 errmsg_plural("the migration cannot run because of %d problem",
							   "the migration cannot run because of %d problems",
							   count, count),
				 errdetail_internal("%s", detail.data)));
}

/* check_name, status, detail, hint */
static void
put_result(ReturnSetInfo *rsinfo, const CheckResult *result)
{
	static const char *const status_names[] = {
		[CHECK_PASS] = "pass", [CHECK_WARN] = "warn", [CHECK_FAIL] = "fail"
	};
	Datum		values[4] = {0};
	bool		nulls[4] = {0};

	values[0] = CStringGetTextDatum(result->name);
	values[1] = CStringGetTextDatum(status_names[result->status]);
	values[2] = CStringGetTextDatum(result->detail);
	nulls[3] = result->hint == NULL;
	if (!nulls[3])
		values[3] = CStringGetTextDatum(result->hint);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
