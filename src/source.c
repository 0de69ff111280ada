/*-------------------------------------------------------------------------
 *
 * source.c
 *		The source database, read over libpq from inside a backend.
 *
 * Constraints that shape this file:
 *
 * - Nothing may block: every wait is WaitLatchOrSocket() followed by
 *   CHECK_FOR_INTERRUPTS().  libpq's PQconnectPoll() ignores connect_timeout,
 *   so it is enforced here.
 * - libpq's memory is malloc'd.  A connection and its pending result belong to
 *   a SourceConnection in a memory context whose reset callback frees them, so
 *   that an error anywhere leaks neither.  The callback must not throw.
 * - The source is only read: SELECT, COPY ... TO STDOUT, SET and transaction
 *   statements, under default_transaction_read_only.
 * - The connection string never appears in a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>

#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "ftmigrate.h"
#include "source.h"

struct SourceConnection
{
	PGconn	   *connection;		/* NULL once closed */
	PGresult   *result;			/* being looked at, freed on error */
	char	   *copy_data;		/* libpq's buffer of the last COPY message */
	bool		copy_starting;	/* COPY was sent, and not answered yet */
	int			copy_columns;	/* what is expected of the answer */
	bool		copy_binary;
	char	   *server_name;	/* of the foreign server, for messages */
	bool		holds_fd;		/* AcquireExternalFD() succeeded */
	MemoryContextCallback callback;
};

/*
 * Settings of every source session.  The timeouts are read back afterwards:
 * a pooler may swallow SET, and a timeout that fires in the middle of a large
 * table costs the night.
 */
static const char session_setup_sql[] =
	"SELECT pg_catalog.set_config(s.name, w.value, false)"
	"  FROM (VALUES"
	"    ('search_path', 'pg_catalog'),"
	"    ('default_transaction_read_only', 'on'),"
	"    ('row_security', 'off'),"
	"    ('datestyle', 'ISO, YMD'),"
	"    ('intervalstyle', 'postgres'),"
	"    ('extra_float_digits', '3'),"
	"    ('timezone', 'UTC'),"
	"    ('bytea_output', 'hex'),"
	"    ('xmloption', 'content'),"
	"    ('lc_monetary', 'C'),"
	"    ('lc_numeric', 'C'),"
	"    ('quote_all_identifiers', 'off'),"
	"    ('synchronize_seqscans', 'off'),"
	"    ('statement_timeout', '0'),"
	"    ('lock_timeout', '0'),"
	"    ('idle_in_transaction_session_timeout', '0'),"
	"    ('idle_session_timeout', '0'),"
	"    ('transaction_timeout', '0'),"
	"    ('client_connection_check_interval', '500ms')"
	"  ) AS w (name, value)"
	"  JOIN pg_catalog.pg_settings AS s"
	"    ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) w.name";

static const char timeouts_sql[] =
	"SELECT name, setting FROM pg_catalog.pg_settings"
	" WHERE name IN ('statement_timeout', 'lock_timeout',"
	"  'idle_in_transaction_session_timeout', 'idle_session_timeout',"
	"  'transaction_timeout')"
	"   AND setting OPERATOR(pg_catalog.<>) '0'";

static void ignore_notice(void *arg, const PGresult *result);
static void close_connection(void *arg);
static void connect_to_server(SourceConnection *source,
							  const SourceServer *server);
static bool verifies_host(const SourceConnection *source);
static void set_up_session(SourceConnection *source);
static void wait_for_socket(SourceConnection *source, int events,
							TimestampTz deadline, const SourceServer *server);
static void finish_copy_start(SourceConnection *source);
static PGresult *get_result(SourceConnection *source);
static PGresult *get_last_result(SourceConnection *source);
static void send_query(SourceConnection *source, const char *sql,
					   int nparams, const char *const *params);
static void execute(SourceConnection *source, const char *sql);
static void check_result(SourceConnection *source, ExecStatusType expected);
static void report_result_error(SourceConnection *source)
			pg_attribute_noreturn();
static void report_lost_connection(SourceConnection *source)
			pg_attribute_noreturn();
static void report_connect_failure(SourceConnection *source,
								   const SourceServer *server)
			pg_attribute_noreturn();
static void clear_result(SourceConnection *source);
static bool is_connection_loss(int sqlstate);

SourceConnection *
ftm_source_connect(const SourceServer *server, MemoryContext context)
{
	SourceConnection *source;

	source = MemoryContextAllocZero(context, sizeof(SourceConnection));
	source->server_name = MemoryContextStrdup(context, server->name);
	source->callback.func = close_connection;
	source->callback.arg = source;
	MemoryContextRegisterResetCallback(context, &source->callback);

	connect_to_server(source, server);
	set_up_session(source);
	return source;
}

void
ftm_source_disconnect(SourceConnection *source)
{
	close_connection(source);
}

/*
 * libpq would write the source's notices to the server log's stderr.  Called
 * from inside libpq: must not throw.
 */
static void
ignore_notice(void *arg pg_attribute_unused(),
			  const PGresult *result pg_attribute_unused())
{
}

/*
 * Close everything that is not PostgreSQL's.  Called on error paths too, and
 * again when the memory context goes: must not throw, and must be idempotent.
 * Closing the socket ends a running COPY at once; any other statement ends
 * within client_connection_check_interval.
 */
static void
close_connection(void *arg)
{
	SourceConnection *source = arg;

	clear_result(source);
	if (source->copy_data != NULL)
		PQfreemem(source->copy_data);
	source->copy_data = NULL;
	if (source->connection != NULL)
		PQfinish(source->connection);
	source->connection = NULL;
	if (source->holds_fd)
		ReleaseExternalFD();
	source->holds_fd = false;
}

int
ftm_source_version(const SourceConnection *source)
{
	return PQserverVersion(source->connection);
}

SourceEncryption
ftm_source_encryption(const SourceConnection *source)
{
	const char *address = PQhostaddr(source->connection);

	if (PQgssEncInUse(source->connection) ||
		(PQsslInUse(source->connection) && verifies_host(source)))
		return SOURCE_VERIFIED;

	/* a socket's directory, or loopback */
	if (address[0] == '\0' || address[0] == '/' ||
		strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0)
		return SOURCE_LOCAL;
	return PQsslInUse(source->connection) ?
		SOURCE_NOT_VERIFIED : SOURCE_NOT_ENCRYPTED;
}

/*
 * Was sslmode verify-full, wherever that was said?  Nothing may throw before
 * the options are freed: the password is among them.
 */
static bool
verifies_host(const SourceConnection *source)
{
	PQconninfoOption *options = PQconninfo(source->connection);
	bool		verifies = false;

	for (PQconninfoOption *option = options;
		 option != NULL && option->keyword != NULL; option++)
	{
		if (strcmp(option->keyword, "sslmode") == 0)
			verifies = option->val != NULL &&
				strcmp(option->val, "verify-full") == 0;
	}
	PQconninfoFree(options);
	return verifies;
}

int
ftm_source_backend_pid(const SourceConnection *source)
{
	return PQbackendPID(source->connection);
}

/*
 * PQconnectStart and PQconnectPoll, with a deadline.
 */
static void
connect_to_server(SourceConnection *source, const SourceServer *server)
{
	TimestampTz deadline;
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to source \"%s\"", server->name),
				 errdetail("There are too many open files on the local server."),
				 errhint("Raise the server's max_files_per_process and/or \"ulimit -n\" limits.")));
	source->holds_fd = true;

	source->connection = PQconnectStartParams(server->keywords,
											  server->values, 0);
	if (source->connection == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	PQsetNoticeReceiver(source->connection, ignore_notice, NULL);

	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										   (int64) server->connect_timeout * 1000);
	while (PQstatus(source->connection) != CONNECTION_BAD &&
		   status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
	{
		wait_for_socket(source,
						status == PGRES_POLLING_READING ?
						WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE,
						deadline, server);
		status = PQconnectPoll(source->connection);
	}
	if (PQstatus(source->connection) != CONNECTION_OK)
		report_connect_failure(source, server);

	/* The dblink rule: see check_conn_params() there for the reasoning. */
	if (server->require_password &&
		!PQconnectionUsedPassword(source->connection))
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required"),
				 errdetail("A non-superuser cannot connect if the source does not request a password."),
				 errhint("The source's authentication method must be changed, or the migration be run by a superuser.")));
}

/*
 * Wait until the source's socket is ready for events.  With a server, a
 * connection attempt is under way and ends at the deadline.
 */
static void
wait_for_socket(SourceConnection *source, int events, TimestampTz deadline,
				const SourceServer *server)
{
	int			ready;
	long		timeout = -1;

	do
	{
		events |= WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
		if (server != NULL)
		{
			timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
													  deadline);
			if (timeout <= 0)
				ereport(ERROR,
						(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						 errmsg("could not connect to source \"%s\"",
								server->name),
						 errdetail("The connection was not established within %d seconds.",
								   server->connect_timeout),
						 errhint("Check the host, the port and firewalls, or raise ftmigrate.connect_timeout.")));
			events |= WL_TIMEOUT;
		}
		ready = WaitLatchOrSocket(MyLatch, events,
								  PQsocket(source->connection), timeout,
								  ftm_wait_event());
		if (ready & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	} while (!(ready & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)));
}

void
ftm_source_wait_readable(SourceConnection *const *sources, int count)
{
	WaitEventSet *events;
	WaitEvent	event;

	events = ftm_create_wait_event_set(CurrentMemoryContext, count + 2);
	(void) AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET,
							 MyLatch, NULL);
	(void) AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET,
							 NULL, NULL);
	for (int i = 0; i < count; i++)
	{
		if (sources[i] != NULL)
			(void) AddWaitEventToSet(events, WL_SOCKET_READABLE,
									 PQsocket(sources[i]->connection),
									 NULL, NULL);
	}
	(void) WaitEventSetWait(events, -1, &event, 1, ftm_wait_event());

	/* Freed first: an interrupt would leave its file descriptor open. */
	FreeWaitEventSet(events);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/*
 * Pin the session's settings, then make sure that the timeouts really are off.
 */
static void
set_up_session(SourceConnection *source)
{
	(void) ftm_source_query(source, session_setup_sql, 0, NULL);
	ftm_source_check_timeouts(source);
}

void
ftm_source_check_timeouts(SourceConnection *source)
{
	RowSet	   *rows;

	rows = ftm_source_query(source, timeouts_sql, 0, NULL);
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not turn off %s on source \"%s\"",
						ftm_rowset_value(rows, 0, 0), source->server_name),
				 errdetail("It is still \"%s\" after it was set to 0.",
						   ftm_rowset_value(rows, 0, 1)),
				 errhint("Connections in transaction mode of a pooler lose their settings.  Use the direct connection or the pooler's session mode (port 5432).")));
}

RowSet *
ftm_source_query(SourceConnection *source, const char *sql,
				 int nparams, const char *const *params)
{
	send_query(source, sql, nparams, params);
	return ftm_source_receive(source);
}

void
ftm_source_send_query(SourceConnection *source, const char *sql,
					  int nparams, const char *const *params)
{
	send_query(source, sql, nparams, params);
}

RowSet *
ftm_source_receive(SourceConnection *source)
{
	PGresult   *result;
	RowSet	   *rows;

	source->result = get_last_result(source);
	check_result(source, PGRES_TUPLES_OK);

	result = source->result;
	rows = palloc0(sizeof(RowSet));
	rows->nrows = PQntuples(result);
	rows->ncolumns = PQnfields(result);
	rows->values = palloc_extended(sizeof(char *) * Max(1, (Size) rows->nrows * rows->ncolumns),
								   MCXT_ALLOC_HUGE);
	for (int row = 0; row < rows->nrows; row++)
	{
		for (int column = 0; column < rows->ncolumns; column++)
			rows->values[row * rows->ncolumns + column] =
				PQgetisnull(result, row, column) ? NULL :
				pstrdup(PQgetvalue(result, row, column));
	}
	clear_result(source);
	return rows;
}

int
ftm_source_wait_any(SourceConnection *const *sources, int count)
{
	for (;;)
	{
		for (int i = 0; i < count; i++)
		{
			if (sources[i] == NULL)
				continue;
			if (sources[i]->connection == NULL ||
				!PQconsumeInput(sources[i]->connection))
				report_lost_connection(sources[i]);
			if (!PQisBusy(sources[i]->connection))
				return i;
		}
		ftm_source_wait_readable(sources, count);
	}
}

char *
ftm_source_export_snapshot(SourceConnection *source)
{
	RowSet	   *rows;

	execute(source, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
	rows = ftm_source_query(source,
							"SELECT pg_catalog.pg_export_snapshot()", 0, NULL);
	return ftm_rowset_value(rows, 0, 0);
}

/*
 * invalid_parameter_value before PostgreSQL 16, undefined_object since.
 */
static bool
is_missing_snapshot(const char *sqlstate)
{
	return sqlstate != NULL &&
		(strcmp(sqlstate, "22023") == 0 || strcmp(sqlstate, "42704") == 0);
}

void
ftm_source_import_snapshot(SourceConnection *source, const char *snapshot)
{
	char	   *literal = quote_literal_cstr(snapshot);

	execute(source, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY");
	send_query(source, psprintf("SET TRANSACTION SNAPSHOT %s", literal), 0, NULL);
	source->result = get_last_result(source);
	if (source->result != NULL &&
		PQresultStatus(source->result) == PGRES_FATAL_ERROR &&
		PQstatus(source->connection) != CONNECTION_BAD &&
		is_missing_snapshot(PQresultErrorField(source->result,
											   PG_DIAG_SQLSTATE)))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the snapshot of source \"%s\" has expired",
						source->server_name),
				 errdetail("It is gone with the connection that has exported it."),
				 errhint("Call the function again: what is complete is kept.")));
	check_result(source, PGRES_COMMAND_OK);
	clear_result(source);
}

void
ftm_source_end_snapshot(SourceConnection *source)
{
	if (PQtransactionStatus(source->connection) != PQTRANS_IDLE)
		execute(source, "ROLLBACK");
}

void
ftm_source_copy_begin(SourceConnection *source, const char *sql,
					  int ncolumns, bool binary)
{
	send_query(source, sql, 0, NULL);
	source->copy_starting = true;
	source->copy_columns = ncolumns;
	source->copy_binary = binary;
}

/*
 * Read the answer to COPY.
 */
static void
finish_copy_start(SourceConnection *source)
{
	source->copy_starting = false;
	source->result = get_result(source);
	if (source->result == NULL)
		report_lost_connection(source);
	check_result(source, PGRES_COPY_OUT);
	if (PQnfields(source->result) != source->copy_columns ||
		PQbinaryTuples(source->result) != (source->copy_binary ? 1 : 0))
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("source \"%s\" sends %d columns in %s format, expected %d in %s format",
						source->server_name,
						PQnfields(source->result),
						PQbinaryTuples(source->result) ? "binary" : "text",
						source->copy_columns,
						source->copy_binary ? "binary" : "text")));
	clear_result(source);
}

int
ftm_source_copy_read(SourceConnection *source, char **data, bool wait)
{
	int			length;
	bool		tried = false;

	if (source->copy_data != NULL)
		PQfreemem(source->copy_data);
	source->copy_data = NULL;

	for (;;)
	{
		if (source->copy_starting &&
			(wait || !PQisBusy(source->connection)))
			finish_copy_start(source);
		length = source->copy_starting ? 0 :
			PQgetCopyData(source->connection, &source->copy_data, true);
		if (length != 0)
			break;

		/* Often more has arrived meanwhile: wait only if it has not. */
		if (tried && !wait)
			return 0;
		if (tried)
			wait_for_socket(source, WL_SOCKET_READABLE, 0, NULL);
		if (!PQconsumeInput(source->connection))
			report_lost_connection(source);
		tried = true;
	}
	if (length == -2)
		report_lost_connection(source);
	if (length == -1)
	{
		/* An error in the middle of the stream arrives only here. */
		source->result = get_last_result(source);
		check_result(source, PGRES_COMMAND_OK);
		clear_result(source);
		return -1;
	}
	*data = source->copy_data;
	return length;
}

/*
 * Send a statement and flush it.
 */
static void
send_query(SourceConnection *source, const char *sql,
		   int nparams, const char *const *params)
{
	int			flushed;

	if (source->connection == NULL)
		report_lost_connection(source);

	/* Without parameters, the simple protocol: it also does SET and COPY. */
	if (nparams == 0 ? !PQsendQuery(source->connection, sql) :
		!PQsendQueryParams(source->connection, sql, nparams, NULL,
						   params, NULL, NULL, 0))
		report_lost_connection(source);
	while ((flushed = PQflush(source->connection)) == 1)
	{
		wait_for_socket(source, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE,
						0, NULL);
		if (!PQconsumeInput(source->connection))
			report_lost_connection(source);
	}
	if (flushed < 0)
		report_lost_connection(source);
}

/*
 * PQgetResult without blocking: the next result of the statement, or NULL at
 * its end.
 */
static PGresult *
get_result(SourceConnection *source)
{
	while (PQisBusy(source->connection))
	{
		wait_for_socket(source, WL_SOCKET_READABLE, 0, NULL);
		if (!PQconsumeInput(source->connection))
			report_lost_connection(source);
	}
	return PQgetResult(source->connection);
}

/*
 * Read results until the statement's end and return the last one.  A COPY
 * state never ends by itself, so stop there.
 */
static PGresult *
get_last_result(SourceConnection *source)
{
	for (;;)
	{
		PGresult   *result = get_result(source);

		if (result == NULL)
			break;
		clear_result(source);
		source->result = result;
		if (PQresultStatus(result) == PGRES_COPY_OUT ||
			PQresultStatus(result) == PGRES_COPY_IN ||
			PQstatus(source->connection) == CONNECTION_BAD)
			break;
	}
	return source->result;
}

/*
 * A statement without rows.
 */
static void
execute(SourceConnection *source, const char *sql)
{
	send_query(source, sql, 0, NULL);
	source->result = get_last_result(source);
	check_result(source, PGRES_COMMAND_OK);
	clear_result(source);
}

static void
check_result(SourceConnection *source, ExecStatusType expected)
{
	if (source->result == NULL ||
		PQstatus(source->connection) == CONNECTION_BAD)
		report_lost_connection(source);
	if (PQresultStatus(source->result) != expected)
		report_result_error(source);
}

static void
clear_result(SourceConnection *source)
{
	if (source->result != NULL)
		PQclear(source->result);
	source->result = NULL;
}

/*
 * libpq's message without its trailing newline.
 */
static char *
connection_message(SourceConnection *source)
{
	return pchomp(PQerrorMessage(source->connection));
}

/*
 * Re-raise an error of the source field by field.
 */
static void
report_result_error(SourceConnection *source)
{
	PGresult   *result = source->result;
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
	int			sqlstate = ERRCODE_CONNECTION_FAILURE;

	if (state != NULL && strlen(state) == 5)
		sqlstate = MAKE_SQLSTATE(state[0], state[1], state[2], state[3],
								 state[4]);

	/* ereport copies the texts; the result goes with the memory context. */
	if (is_connection_loss(sqlstate))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("lost connection to source \"%s\"",
						source->server_name),
				 primary != NULL ? errdetail_internal("%s", primary) : 0,
				 errhint("Call the function again: what is complete is kept.")));
	ereport(ERROR,
			(errcode(sqlstate),
			 primary != NULL ? errmsg_internal("%s", primary) :
			 errmsg("unexpected answer from source \"%s\": %s",
					source->server_name,
					PQresStatus(PQresultStatus(result))),
			 detail != NULL ? errdetail_internal("%s", detail) : 0,
			 hint != NULL ? errhint("%s", hint) : 0,
			 context != NULL ? errcontext("%s", context) : 0,
			 errcontext("source \"%s\"", source->server_name)));
}

/*
 * Does the source's error mean that it has closed, or is about to close, the
 * connection?  Such errors get a SQLSTATE of their own, so that they differ
 * from a shutdown of the target, and can be told by it (see leader.c).
 */
static bool
is_connection_loss(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_CONNECTION_EXCEPTION ||
		sqlstate == ERRCODE_ADMIN_SHUTDOWN ||
		sqlstate == ERRCODE_CRASH_SHUTDOWN ||
		sqlstate == ERRCODE_CANNOT_CONNECT_NOW ||
		sqlstate == ERRCODE_IDLE_SESSION_TIMEOUT;
}

static void
report_lost_connection(SourceConnection *source)
{
	/* An error the server sent before it closed is better than ours. */
	if (source->result != NULL &&
		PQresultStatus(source->result) == PGRES_FATAL_ERROR &&
		PQresultErrorField(source->result, PG_DIAG_SQLSTATE) != NULL)
		report_result_error(source);

	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("lost connection to source \"%s\"", source->server_name),
			 source->connection != NULL ?
			 errdetail_internal("%s", connection_message(source)) : 0,
			 errhint("Call the function again: what is complete is kept.")));
}

/*
 * libpq gives a text only; tell the well-known causes apart by it to name the
 * remedy.  The text itself holds host, address and user, never a password.
 */
static void
report_connect_failure(SourceConnection *source, const SourceServer *server)
{
	char	   *message = connection_message(source);
	bool		direct_host = server->host != NULL &&
		strncmp(server->host, "db.", 3) == 0 &&
		strstr(server->host, ".supabase.") != NULL;
	const char *hint = NULL;
	int			sqlstate = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;

	if (strstr(message, "password authentication failed") != NULL ||
		strstr(message, "no password supplied") != NULL ||
		strstr(message, "Wrong password") != NULL)
	{
		sqlstate = ERRCODE_INVALID_PASSWORD;
		hint = "Correct user and password with ALTER USER MAPPING.";
	}
	else if (strstr(message, "Tenant or user not found") != NULL)
		hint = "The pooler wants the user name in the form postgres.<project ref>.";
	else if (strstr(message, "unreachable") != NULL ||
			 strstr(message, "not translate host name") != NULL)
		hint = direct_host ?
			"Supabase's direct host has an IPv6 address only.  Without IPv6, use the session pooler: host <region>.pooler.supabase.com, port 5432, user postgres.<project ref>." :
			"Check the host name and the network of the target server.";
	else if (strstr(message, "Connection refused") != NULL)
		hint = "Check host and port of the foreign server, and that the source accepts connections.";
	else if (strstr(message, "closed the connection unexpectedly") != NULL ||
			 strstr(message, strerror(ECONNRESET)) != NULL ||
			 strstr(message, strerror(EPIPE)) != NULL)
	{
		/* It was there: see leader.c, which tries again. */
		sqlstate = ERRCODE_CONNECTION_FAILURE;
		hint = "Check host and port of the foreign server, and the network between.";
	}
	else if (strstr(message, "too many clients") != NULL ||
			 strstr(message, "max clients") != NULL ||
			 strstr(message, "too many connections") != NULL ||
			 strstr(message, "remaining connection slots") != NULL)
		hint = "Lower the number of workers, or close other connections to the source.";

	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("could not connect to source \"%s\"", server->name),
			 errdetail_internal("%s", message),
			 hint != NULL ? errhint("%s", hint) : 0));
}
