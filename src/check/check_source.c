/*-------------------------------------------------------------------------
 *
 * check_source.c
 *		Checks of the connection to the source and of its server.
 *
 * The source is only read, and nothing here needs more rights there than a
 * migration does; what such a role cannot see is said to be unknown.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "base/wait.h"
#include "check/check.h"

/* hash_record_extended() and client_connection_check_interval came with it. */
#define OLDEST_SOURCE_VERSION	140000

/* How long writes are watched; servers report them at most once a second. */
#define WATCH_MILLISECONDS		1200

static int64 free_connections(Preflight *preflight, char **limit);
static int	backend_pid(SourceConnection *source);
static void send_snapshot(Preflight *preflight);

/*
 * What a run wants to know of the source anyway travels with the first query,
 * since it does not depend on the answer: see ftm_check_snapshot() and
 * ftm_check_schema().
 */
void
ftm_check_connection(Preflight *preflight)
{
	static const AnswerShape shape = {
		"the session", ONE_ROW, 0, {TEXT_COLUMN, TEXT_COLUMN}
	};
	RowSet	   *rows;

	if (preflight->server == NULL)
		preflight->server = ftm_options_source_server(preflight->scope->source);
	if (preflight->source == NULL)
		preflight->source = ftm_check_connect(preflight);
	ftm_source_send_query(preflight->source, &shape,
						  "SELECT current_user, pg_catalog.current_database()",
						  0, NULL);
	if (preflight->for_run)
	{
		send_snapshot(preflight);
		preflight->reader = ftm_catalog_ask_source(preflight->source,
												   preflight->scope->schemas);
	}
	rows = ftm_source_receive(preflight->source);
	ftm_check_pass(preflight,
				   psprintf("Role %s is connected to database %s.",
							quote_identifier(ftm_rowset_text(rows, 0, 0)),
							quote_identifier(ftm_rowset_text(rows, 0, 1))));
}

void
ftm_check_encryption(Preflight *preflight)
{
	const char *verb = "ADD";
	char	   *hint;

	for (const char **keyword = preflight->server->keywords;
		 *keyword != NULL; keyword++)
	{
		if (strcmp(*keyword, "sslmode") == 0)
			verb = "SET";
	}
	hint = psprintf("Execute ALTER SERVER %s OPTIONS (%s sslmode 'verify-full'), and name the file of the certificate authority in option sslrootcert.",
					quote_identifier(preflight->server->name), verb);

	switch (ftm_source_encryption(preflight->source))
	{
		case SOURCE_LOCAL:
			ftm_check_pass(preflight, "The connection does not leave this machine.");
			break;
		case SOURCE_VERIFIED:
			ftm_check_pass(preflight, "The connection is encrypted, and the source has proven who it is.");
			break;
		case SOURCE_NOT_VERIFIED:
			ftm_check_warn(preflight, "The connection is encrypted, but nobody has checked that the source is who it claims to be.",
						   hint);
			break;
		case SOURCE_NOT_ENCRYPTED:
			ftm_check_warn(preflight, "The connection is not encrypted: everybody on its way can read and change the rows.",
						   hint);
			break;
	}
}

/*
 * An older source could not be read at all, so there is no use in going on
 * with it.
 */
void
ftm_check_server_version(Preflight *preflight)
{
	const char *version = ftm_source_parameter(preflight->source,
											   "server_version");

	if (ftm_source_version(preflight->source) >= OLDEST_SOURCE_VERSION)
	{
		ftm_check_pass(preflight, psprintf("The source is PostgreSQL %s.", version));
		return;
	}
	ftm_check_fail(preflight, ERRCODE_FEATURE_NOT_SUPPORTED,
				   psprintf("The source is PostgreSQL %s.", version),
				   "Upgrade the source to PostgreSQL 14 or later: verification needs functions that came with it.");
	ftm_source_disconnect(preflight->source);
	preflight->source = NULL;
}

void
ftm_check_session_settings(Preflight *preflight)
{
	static const char *const timeouts[] = {"statement_timeout",
	"transaction_timeout"};
	bool		ours = false;

	ftm_source_check_timeouts(preflight->source);
	for (int i = 0; i < (int) lengthof(timeouts); i++)
	{
		const char *value = GetConfigOption(timeouts[i], true, false);

		if (value == NULL || strcmp(value, "0") == 0)
			continue;
		ours = true;
		ftm_check_warn(preflight,
					   psprintf("The %s of this session is %s: a call that takes longer is ended.",
								timeouts[i],
								GetConfigOptionByName(timeouts[i], NULL, false)),
					   psprintf("Execute SET %s = 0 before ftm_run_migration(), or call it with wait => false.",
								timeouts[i]));
	}
	if (!ours)
		ftm_check_pass(preflight, "All timeouts of the source's session and of this one are off, and the source's is read-only.");
}

/*
 * Whoever waits for a lock of a table is in the queue of the next one who wants
 * it, so a lock of a minute is reported, too.
 */
void
ftm_check_source_locks(Preflight *preflight)
{
	static const char sql[] =
		"SELECT DISTINCT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),"
		" l.pid, pg_catalog.concat_ws(', ', a.usename, nullif(a.application_name, ''), a.state,"
		"  'since ' || pg_catalog.date_trunc('second', a.xact_start)::pg_catalog.text)"
		" FROM pg_catalog.pg_locks l"
		" JOIN pg_catalog.pg_class c ON c.oid = l.relation"
		" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
		" LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
		" WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'"
		" AND l.pid <> pg_catalog.pg_backend_pid()"
		" AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d"
		"  WHERE d.datname = pg_catalog.current_database())"
		" AND c.relkind IN ('r', 'p', 'm', 'S')"
		" AND (n.nspname = ANY ($1::pg_catalog.text[])"
		"  OR (n.nspname = 'auth' AND c.relname IN ('users', 'identities')))"
		" ORDER BY 1, 2";
	static const AnswerShape shape = {
		"locks", ANY_ROWS, 0, {TEXT_COLUMN, COUNT_COLUMN, TEXT_COLUMN}
	};
	const char *params[1] = {ftm_catalog_array_text(preflight->scope->schemas)};
	RowSet	   *rows = ftm_source_query(preflight->source, &shape, sql, 1,
										params);

	for (int row = 0; row < rows->nrows; row++)
		ftm_check_fail(preflight, ERRCODE_LOCK_NOT_AVAILABLE,
					   psprintf("Table %s of the source is locked by process %s (%s), which alters it or waits to do so: whatever reads it has to wait.",
								ftm_rowset_text(rows, row, 0),
								ftm_rowset_text(rows, row, 1),
								ftm_rowset_text(rows, row, 2)),
					   psprintf("Have that process finish, or execute SELECT pg_terminate_backend(%s) on the source.",
								ftm_rowset_text(rows, row, 1)));
	if (rows->nrows == 0)
		ftm_check_pass(preflight, "Nobody has locked a table of the source against reading.");
}

/*
 * A run has one connection for itself and ftmigrate.streams for each worker.
 * One more is opened, and kept for the next checks, so that a limit that cannot
 * be read, such as a pooler's, is at least not 1.
 */
void
ftm_check_connection_limit(Preflight *preflight)
{
	char	   *limit = NULL;
	int64		available;
	int			wanted = preflight->workers * ftm_streams + 1;

	preflight->second = ftm_check_connect(preflight);
	available = free_connections(preflight, &limit) + 2;
	if (available < wanted)
		ftm_check_fail(preflight, ERRCODE_TOO_MANY_CONNECTIONS,
					   psprintf("Free connections to the source: " INT64_FORMAT ", because of %s; a run with %d workers needs %d.",
								available, limit, preflight->workers, wanted),
					   ftm_streams > 1 ?
					   "Lower ftmigrate.workers or ftmigrate.streams, close other connections, or raise that limit." :
					   psprintf("Set ftmigrate.workers to " INT64_FORMAT " or less, close other connections, or raise that limit.",
								Max(available - 1, 1)));
	else
		ftm_check_pass(preflight,
					   psprintf("A run with %d workers needs %d connections, and about " INT64_FORMAT " are free.",
								preflight->workers, wanted, available));
}

/*
 * How many more connections the source accepts, as far as its own limits say;
 * limit gets the name of the tightest.  Those of the role and of the database
 * do not count for superusers.
 */
static int64
free_connections(Preflight *preflight, char **limit)
{
	static const char sql[] =
		"WITH used AS ("
		" SELECT count(*) AS everywhere,"
		"  count(*) FILTER (WHERE a.usesysid = r.oid) AS of_role,"
		"  count(*) FILTER (WHERE a.datid = d.oid) AS of_database"
		" FROM pg_catalog.pg_stat_activity a, pg_catalog.pg_roles r,"
		"  pg_catalog.pg_database d"
		" WHERE a.datid IS NOT NULL AND r.rolname = current_user"
		" AND d.datname = pg_catalog.current_database())"
		" SELECT l.name, l.free FROM used, pg_catalog.pg_roles r,"
		"  pg_catalog.pg_database d,"
		" LATERAL (VALUES"
		"  ('max_connections', pg_catalog.current_setting('max_connections')::int8"
		"   - CASE WHEN r.rolsuper THEN 0 ELSE"
		"    pg_catalog.current_setting('superuser_reserved_connections')::int8"
		"    + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int8 END"
		"   - used.everywhere),"
		"  ('the connection limit of the role', CASE WHEN r.rolconnlimit >= 0"
		"   AND NOT r.rolsuper THEN r.rolconnlimit - used.of_role END),"
		"  ('the connection limit of the database', CASE WHEN d.datconnlimit >= 0"
		"   AND NOT r.rolsuper THEN d.datconnlimit - used.of_database END)"
		" ) l(name, free)"
		" WHERE r.rolname = current_user"
		" AND d.datname = pg_catalog.current_database()"
		" AND l.free IS NOT NULL ORDER BY l.free LIMIT 1";
	static const AnswerShape shape = {
		"free connections", ONE_ROW, 0, {
			TEXT_COLUMN, INTEGER_COLUMN(PG_INT32_MIN, PG_INT32_MAX)
		}
	};
	RowSet	   *rows = ftm_source_query(preflight->source, &shape, sql, 0, NULL);

	*limit = ftm_rowset_text(rows, 0, 0);
	return ftm_rowset_int64(rows, 0, 1);
}

/*
 * A pooler in transaction mode lends a server process for one transaction, so
 * while another session of ours is in a transaction, this one gets another
 * process than before.
 */
void
ftm_check_pooler_mode(Preflight *preflight)
{
	int			before = backend_pid(preflight->source);
	int			after;
	bool		pooled;

	(void) ftm_source_export_snapshot(preflight->second);
	after = backend_pid(preflight->source);
	ftm_source_end_snapshot(preflight->second);

	pooled = ftm_source_backend_pid(preflight->source) != after;
	if (before != after)
		ftm_check_fail(preflight, ERRCODE_FEATURE_NOT_SUPPORTED,
					   "The source's process changed from one statement to the next: this is a pooler in transaction mode, which keeps neither settings nor snapshots.",
					   "Use the direct connection or the pooler's session mode (port 5432).");
	else if (pooled)
		ftm_check_pass(preflight, "The connection goes through a pooler, which keeps the session; its own limit of clients cannot be read.");
	else
		ftm_check_pass(preflight, "There is no pooler between here and the source.");
}

static int
backend_pid(SourceConnection *source)
{
	static const AnswerShape shape = {
		"the server process", ONE_ROW, 0, {INTEGER_COLUMN(0, PG_INT32_MAX)}
	};
	RowSet	   *rows = ftm_source_query(source, &shape,
										"SELECT pg_catalog.pg_backend_pid()",
										0, NULL);

	return (int) ftm_rowset_int64(rows, 0, 0);
}

/*
 * A run exports the snapshot for its workers, and remembers what the source
 * was doing just before; ftm_check() looks again at its end.
 */
void
ftm_check_snapshot(Preflight *preflight)
{
	if (!preflight->for_run)
		send_snapshot(preflight);
	preflight->activity = ftm_freeze_receive(preflight->source);
	preflight->activity_time = GetCurrentTimestamp();
	preflight->snapshot = ftm_source_receive_export(preflight->source);
	if (preflight->for_run)
		return;
	if (preflight->second == NULL)
	{
		ftm_check_fail(preflight, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   "A snapshot was exported, but not imported, because there is no second connection to the source.",
					   "Do first what the row of check \"connection limit\" says.");
		return;
	}
	ftm_source_import_snapshot(preflight->second, preflight->snapshot);
	ftm_source_await(preflight->second);
	ftm_source_disconnect(preflight->second);
	preflight->second = NULL;
	ftm_check_pass(preflight, "A second connection sees the snapshot of the first one.");
}

/*
 * Does anybody write to the source?  What is visible from outside is this
 * moment: transactions under way, and counters that run behind.  So a pass
 * says what was looked at, and no more.
 */
void
ftm_check_freeze(Preflight *preflight)
{
	static const char hint[] = "Stop the application and its jobs before ftm_run_migration(): rows written after its snapshot stay behind.";
	static const AnswerShape shape = {
		"what is counted", ONE_ROW, 0, {BOOL_COLUMN, TEXT_COLUMN}
	};
	SourceActivity *after;
	RowSet	   *rows;
	char	   *writes;
	bool		quiet;

	/* inside of it, nothing new would be seen */
	ftm_source_end_snapshot(preflight->source);
	rows = ftm_source_query(preflight->source, &shape,
							"SELECT pg_catalog.pg_is_in_recovery(),"
							" pg_catalog.current_setting('track_counts')",
							0, NULL);
	if (ftm_rowset_bool(rows, 0, 0))
	{
		ftm_check_warn(preflight, "The source is a replica: who writes to its primary cannot be seen from here, nor how far it runs behind.",
					   "Stop all writers, and wait until the replica has replayed everything, before ftm_run_migration().");
		return;
	}
	if (preflight->activity == NULL)
	{
		preflight->activity = ftm_freeze_read(preflight->source,
											  preflight->scope->schemas);
		preflight->activity_time = GetCurrentTimestamp();
	}
	/* The other checks have taken part of the time already. */
	ftm_wait_until(TimestampTzPlusMilliseconds(preflight->activity_time,
											   WATCH_MILLISECONDS));
	after = ftm_freeze_read(preflight->source, preflight->scope->schemas);

	writes = ftm_freeze_writes(preflight->plan, preflight->activity, after,
							   &quiet);
	if (writes != NULL)
		ftm_check_warn(preflight,
					   psprintf("The source is being written to, %s.", writes),
					   pstrdup(hint));
	else if (quiet)
		ftm_check_pass(preflight,
					   psprintf("No transaction on the source's server has written for %.1f seconds.",
								WATCH_MILLISECONDS / 1000.0));
	else if (strcmp(ftm_rowset_text(rows, 0, 1), "on") != 0)
		ftm_check_warn(preflight, "Transactions on the source's server have written something, and which tables is not counted, since track_counts is off.",
					   pstrdup(hint));
	else
		ftm_check_pass(preflight, "Transactions on the source's server have written something, but no write to a table of the plan is known.");
}

static void
send_snapshot(Preflight *preflight)
{
	ftm_freeze_send(preflight->source, preflight->scope->schemas);
	ftm_source_send_export(preflight->source);
}
