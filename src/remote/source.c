/*-------------------------------------------------------------------------
 *
 * source.c
 *		The source database, read over libpq from inside a backend.
 *
 * Constraints that shape this file:
 *
 * - Nothing may block: source_socket.c has all waits.  libpq's PQconnectPoll()
 *   ignores connect_timeout, so it is enforced there.
 * - libpq's memory is malloc'd.  A connection and its pending result belong to
 *   a SourceConnection in a memory context whose reset callback frees them, so
 *   that an error anywhere leaks neither.  The callback must not throw.
 * - A round trip may take a tenth of a second.  So queries are sent in libpq's
 *   pipeline mode, each with a synchronization point of its own: any number may
 *   be on their way, and an error of one does not concern the others.  What was
 *   sent without anybody waiting for it, such as BEGIN, is judged when an answer
 *   behind it is received.  COPY is not possible in that mode.
 * - Whatever the source sends is input.  Rows are taken one by one and checked
 *   against the shape that came with the query, notifications and notices are
 *   thrown away, and what libpq collects before it hands anything over is
 *   bounded by what has arrived on the socket.
 * - The source is only read: SELECT, COPY ... TO STDOUT, SET and transaction
 *   statements, under default_transaction_read_only.
 * - The connection string never appears in a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "compat.h"
#include "remote/source_private.h"

/*
 * Settings of every source session, but for the time that it may wait for a
 * lock, which is ftmigrate.lock_timeout: whoever alters a table there would
 * have us wait for ever, and nobody know why.  Timeouts are read back afterwards:
 * a pooler may swallow SET, and a timeout that fires in the middle of a large
 * table costs the night.
 */
static const char session_setup_format[] =
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
	"    ('lock_timeout', '%d'),"
	"    ('idle_in_transaction_session_timeout', '0'),"
	"    ('idle_session_timeout', '0'),"
	"    ('transaction_timeout', '0'),"
	"    ('client_connection_check_interval', '500ms')"
	"  ) AS w (name, value)"
	"  JOIN pg_catalog.pg_settings AS s"
	"    ON pg_catalog.lower(s.name) OPERATOR(pg_catalog.=) w.name";

static const char timeouts_format[] =
	"SELECT name, setting FROM pg_catalog.pg_settings"
	" WHERE name IN ('statement_timeout', 'lock_timeout',"
	"  'idle_in_transaction_session_timeout', 'idle_session_timeout',"
	"  'transaction_timeout')"
	"   AND setting OPERATOR(pg_catalog.<>)"
	"   CASE WHEN name OPERATOR(pg_catalog.=) 'lock_timeout' THEN '%d' ELSE '0' END";

/* Names of the settings that are still on. */
static const AnswerShape timeouts_shape = {
	"timeouts", ANY_ROWS, 0, {TEXT_COLUMN, TEXT_COLUMN}
};

const AnswerShape ftm_source_settings_shape = {
	"settings", ANY_ROWS, 0, {TEXT_COLUMN}
};

static const AnswerShape snapshot_shape = {
	"a snapshot", ONE_ROW, 0, {TEXT_COLUMN}
};

/*
 * What libpq may take from the socket before there is anything to be handed
 * over: notices and the like, and beside them a row, of a table the largest
 * that a server can send.  What is being taken may be counted more than once,
 * so there is ample room.
 */
#define MAX_STRAY_BYTES		((Size) 64 * 1024 * 1024)
#define MAX_COPY_BYTES		((Size) MaxAllocSize)

static const char begin_sql[] =
	"BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY";

static void ignore_notice(void *arg, const PGresult *result);
static void close_connection(void *arg);
static void start_connecting(SourceConnection *source,
							 const SourceServer *server);
static void finish_connecting(SourceConnection *const *sources, int count,
							  const SourceServer *server);
static void check_password_used(const SourceConnection *source,
								const SourceServer *server);
static bool verifies_host(const SourceConnection *source);
static void send_setup(SourceConnection *source);
static void finish_copy_start(SourceConnection *source);
static void send_statement(SourceConnection *source, AnswerKind kind,
						   const AnswerShape *shape, const char *sql,
						   int nparams, const char *const *params);
static void take_row_by_row(SourceConnection *source,
							const AnswerShape *shape);
static void flush_output(SourceConnection *source);
static AnswerKind take_answer(SourceConnection *source, RowSet **rows);
static RowSet *read_answer(SourceConnection *source,
						   const AnswerShape *shape);
static void add_row(SourceConnection *source, AnswerBuilder *builder);
static void check_columns(SourceConnection *source, const AnswerShape *shape);
static void read_synchronization(SourceConnection *source);
static void read_copy_end(SourceConnection *source);
static void check_timeouts(const SourceConnection *source,
						   const RowSet *rows);
static void check_snapshot(SourceConnection *source);
static void check_result(SourceConnection *source, ExecStatusType expected);
static void clear_result(SourceConnection *source);

SourceConnection *
ftm_source_connect(const SourceServer *server, MemoryContext context)
{
	SourceConnection *source;

	ftm_source_connect_all(server, context, &source, 1);
	return source;
}

void
ftm_source_connect_all(const SourceServer *server, MemoryContext context,
					   SourceConnection **sources, int count)
{
	for (int i = 0; i < count; i++)
	{
		SourceConnection *source;

		source = MemoryContextAllocZero(context, sizeof(SourceConnection));
		source->server_name = MemoryContextStrdup(context, server->name);
		source->callback.func = close_connection;
		source->callback.arg = source;
		MemoryContextRegisterResetCallback(context, &source->callback);
		start_connecting(source, server);
		sources[i] = source;
	}
	finish_connecting(sources, count, server);
	for (int i = 0; i < count; i++)
	{
		check_password_used(sources[i], server);
		send_setup(sources[i]);
	}
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
	ftm_source_close(arg);
}

void
ftm_source_close(SourceConnection *source)
{
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

	if (address == NULL)
		ftm_source_report_lost_connection(unconstify(SourceConnection *,
													 source));
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

const char *
ftm_source_parameter(const SourceConnection *source, const char *name)
{
	const char *value = PQparameterStatus(source->connection, name);

	return value != NULL ? ftm_source_clean_text(value) : "unknown";
}

int
ftm_source_backend_pid(const SourceConnection *source)
{
	return PQbackendPID(source->connection);
}

static void
start_connecting(SourceConnection *source, const SourceServer *server)
{
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
	source->arrival_limit = MAX_STRAY_BYTES;
}

/*
 * PQconnectPoll, with a deadline, until all connections are established.
 */
static void
finish_connecting(SourceConnection *const *sources, int count,
				  const SourceServer *server)
{
	PostgresPollingStatusType *statuses = palloc(sizeof(*statuses) * count);
	bool	   *ready = palloc(sizeof(bool) * count);
	TimestampTz deadline;
	int			unfinished = count;

	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
										   (int64) server->connect_timeout * 1000);
	for (int i = 0; i < count; i++)
		statuses[i] = PGRES_POLLING_WRITING;
	for (;;)
	{
		for (int i = 0; i < count; i++)
		{
			if (PQstatus(sources[i]->connection) == CONNECTION_BAD)
				ftm_source_report_connect_failure(sources[i], server);
		}
		if (unfinished == 0)
			break;
		ftm_source_wait_for_connection(sources, statuses, ready, count,
									   deadline, server);
		for (int i = 0; i < count; i++)
		{
			if (!ready[i])
				continue;
			ftm_source_bound_input(sources[i]);
			statuses[i] = PQconnectPoll(sources[i]->connection);
			if (statuses[i] == PGRES_POLLING_OK)
				unfinished--;
		}
	}

	/* Else libpq would wait by itself for room in the socket's buffer. */
	for (int i = 0; i < count; i++)
	{
		if (PQsetnonblocking(sources[i]->connection, 1) != 0)
			ftm_source_report_connect_failure(sources[i], server);
	}
	pfree(statuses);
	pfree(ready);
}

/*
 * The dblink rule: see check_conn_params() there for the reasoning.
 */
static void
check_password_used(const SourceConnection *source, const SourceServer *server)
{
	if (server->require_password &&
		!PQconnectionUsedPassword(source->connection))
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required"),
				 errdetail("A non-superuser cannot connect if the source does not request a password."),
				 errhint("The source's authentication method must be changed, or the migration be run by a superuser.")));
}

/*
 * Pin the session's settings, then make sure that the timeouts really are off.
 */
static void
send_setup(SourceConnection *source)
{
	send_statement(source, ANSWER_SETTINGS, &ftm_source_settings_shape,
				   psprintf(session_setup_format, ftm_lock_timeout), 0, NULL);
	send_statement(source, ANSWER_TIMEOUTS, &timeouts_shape,
				   psprintf(timeouts_format, ftm_lock_timeout), 0, NULL);
}

void
ftm_source_check_timeouts(SourceConnection *source)
{
	send_statement(source, ANSWER_TIMEOUTS, &timeouts_shape,
				   psprintf(timeouts_format, ftm_lock_timeout), 0, NULL);
	ftm_source_await(source);
}

RowSet *
ftm_source_query(SourceConnection *source, const AnswerShape *shape,
				 const char *sql, int nparams, const char *const *params)
{
	ftm_source_send_query(source, shape, sql, nparams, params);
	return ftm_source_receive(source);
}

void
ftm_source_send_query(SourceConnection *source, const AnswerShape *shape,
					  const char *sql, int nparams, const char *const *params)
{
	send_statement(source, ANSWER_ROWS, shape, sql, nparams, params);
}

RowSet *
ftm_source_receive(SourceConnection *source)
{
	RowSet	   *rows;

	while (take_answer(source, &rows) != ANSWER_ROWS)
		;
	return rows;
}

void
ftm_source_await(SourceConnection *source)
{
	RowSet	   *rows;

	while (source->nanswers > 0)
	{
		if (take_answer(source, &rows) == ANSWER_ROWS)
			elog(ERROR, "the answer to a query was not received");
	}
}

char *
ftm_source_export_snapshot(SourceConnection *source)
{
	ftm_source_send_export(source);
	return ftm_source_receive_export(source);
}

void
ftm_source_send_export(SourceConnection *source)
{
	send_statement(source, ANSWER_NO_ROWS, NULL, begin_sql, 0, NULL);
	send_statement(source, ANSWER_ROWS, &snapshot_shape,
				   "SELECT pg_catalog.pg_export_snapshot()", 0, NULL);
}

char *
ftm_source_receive_export(SourceConnection *source)
{
	return ftm_rowset_text(ftm_source_receive(source), 0, 0);
}

void
ftm_source_import_snapshot(SourceConnection *source, const char *snapshot)
{
	send_statement(source, ANSWER_NO_ROWS, NULL, begin_sql, 0, NULL);
	send_statement(source, ANSWER_SNAPSHOT, NULL,
				   psprintf("SET TRANSACTION SNAPSHOT %s",
							quote_literal_cstr(snapshot)),
				   0, NULL);
}

void
ftm_source_end_snapshot(SourceConnection *source)
{
	if (source->nanswers > 0 ||
		PQtransactionStatus(source->connection) != PQTRANS_IDLE)
		send_statement(source, ANSWER_NO_ROWS, NULL, "ROLLBACK", 0, NULL);
}

void
ftm_source_copy_begin(SourceConnection *source, const char *sql,
					  int ncolumns, bool binary)
{
	ftm_source_await(source);
	if (source->connection == NULL ||
		!PQexitPipelineMode(source->connection) ||
		!PQsendQuery(source->connection, sql))
		ftm_source_report_lost_connection(source);
	flush_output(source);
	source->arrived = 0;
	source->arrival_limit = MAX_STRAY_BYTES + MAX_COPY_BYTES;
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
	source->result = ftm_source_get_result(source);
	if (source->result == NULL)
		ftm_source_report_lost_connection(source);
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
			ftm_source_wait_for_socket(source, WL_SOCKET_READABLE);
		ftm_source_consume_input(source);
		tried = true;
	}
	source->arrived = 0;
	if (length == -2)
		ftm_source_report_lost_connection(source);
	if (length == -1)
	{
		read_copy_end(source);
		return -1;
	}
	*data = source->copy_data;
	return length;
}

/*
 * An error in the middle of the stream arrives only here.  There is one
 * statement, so one result, and none of COPY again.
 */
static void
read_copy_end(SourceConnection *source)
{
	ExecStatusType status;
	PGresult   *more;

	source->result = ftm_source_get_result(source);
	status = PQresultStatus(source->result);
	if (status == PGRES_COMMAND_OK || status == PGRES_FATAL_ERROR)
	{
		more = ftm_source_get_result(source);
		PQclear(more);
		if (more != NULL && PQstatus(source->connection) != CONNECTION_BAD)
			ftm_source_refuse(source, "The answer to COPY has more than one result.");
	}
	check_result(source, PGRES_COMMAND_OK);
	clear_result(source);
}

bool
ftm_source_copy_line(SourceConnection *source, const AnswerShape *shape,
					 char **values)
{
	int			ncolumns = ftm_answer_columns(shape);
	char	   *line;
	char	   *fault;
	int			length = ftm_source_copy_read(source, &line, true);

	if (length < 0)
		return false;
	if (strlen(line) != (size_t) length)
		ftm_source_refuse(source, "A line has a zero byte in it.");
	for (int i = 0; i < ncolumns; i++)
	{
		values[i] = line;
		line += strcspn(line, "\t\n");
		if (*line != (i < ncolumns - 1 ? '\t' : '\n'))
			ftm_source_refuse(source,
							  psprintf("A line of the answer about %s does not have %d values.",
									   shape->about, ncolumns));
		*line++ = '\0';
	}
	fault = *line != '\0' ? "A message has more than one line." :
		ftm_answer_check_row(shape, values, NULL);
	if (fault != NULL)
		ftm_source_refuse(source, fault);
	return true;
}

/*
 * Send a statement whose answer is to be received behind those of all others
 * that are on their way.
 */
static void
send_statement(SourceConnection *source, AnswerKind kind,
			   const AnswerShape *shape, const char *sql, int nparams,
			   const char *const *params)
{
	if (source->nanswers == MAX_ANSWERS)
		elog(ERROR, "too many queries were sent to the source");
	if (source->connection == NULL ||
		!PQenterPipelineMode(source->connection) ||
		!PQsendQueryParams(source->connection, sql, nparams, NULL,
						   params, NULL, NULL, 0))
		ftm_source_report_lost_connection(source);
	if (source->nanswers == 0)
		take_row_by_row(source, shape);
	if (!PQpipelineSync(source->connection))
		ftm_source_report_lost_connection(source);
	source->answers[source->nanswers].kind = kind;
	source->answers[source->nanswers].shape = shape;
	source->nanswers++;
	flush_output(source);
}

/*
 * Otherwise libpq would collect all of an answer, however long, before anybody
 * can look at it.  The mode is to be chosen for each statement, when its answer
 * is the next one and before anything is read.
 */
static void
take_row_by_row(SourceConnection *source, const AnswerShape *shape)
{
	source->arrived = 0;
	source->arrival_limit = MAX_STRAY_BYTES +
		(shape != NULL ? ftm_answer_max_bytes(shape) : 0);
	if (!PQsetSingleRowMode(source->connection))
		ftm_source_report_lost_connection(source);
}

static void
flush_output(SourceConnection *source)
{
	int			flushed;

	while ((flushed = PQflush(source->connection)) == 1)
	{
		ftm_source_wait_for_socket(source, WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE);
		ftm_source_consume_input(source);
	}
	if (flushed < 0)
		ftm_source_report_lost_connection(source);
}

/*
 * Wait for the next answer and judge it.  If it is one with rows for somebody,
 * rows gets them.
 */
static AnswerKind
take_answer(SourceConnection *source, RowSet **rows)
{
	ExpectedAnswer expected = source->answers[0];

	if (source->connection == NULL)
		ftm_source_report_lost_connection(source);
	if (source->nanswers == 0)
		elog(ERROR, "no query was sent to the source");

	*rows = read_answer(source, expected.shape);
	if (PQstatus(source->connection) != CONNECTION_BAD)
		read_synchronization(source);
	source->nanswers--;
	memmove(&source->answers[0], &source->answers[1],
			sizeof(ExpectedAnswer) * source->nanswers);
	if (source->nanswers > 0 &&
		PQstatus(source->connection) != CONNECTION_BAD)
		take_row_by_row(source, source->answers[0].shape);

	if (expected.kind == ANSWER_SNAPSHOT)
		check_snapshot(source);
	check_result(source, expected.shape == NULL ?
				 PGRES_COMMAND_OK : PGRES_TUPLES_OK);
	clear_result(source);
	if (expected.kind == ANSWER_TIMEOUTS)
		check_timeouts(source, *rows);
	return expected.kind;
}

/*
 * Read an answer to its end.  The result that says how it has ended is left in
 * source->result; its rows are returned, NULL if there are to be none or if it
 * is an error.
 */
static RowSet *
read_answer(SourceConnection *source, const AnswerShape *shape)
{
	AnswerBuilder *builder = shape != NULL ? ftm_answer_begin(shape) : NULL;
	PGresult   *result;
	RowSet	   *rows = NULL;
	char	   *fault;

	while ((result = ftm_source_get_result(source)) != NULL)
	{
		clear_result(source);
		source->result = result;
		switch (PQresultStatus(result))
		{
			case PGRES_SINGLE_TUPLE:
				add_row(source, builder);
				break;
			case PGRES_TUPLES_OK:
				if (builder == NULL)
					ftm_source_refuse(source, "There are rows where none belong.");
				check_columns(source, shape);
				fault = ftm_answer_end(builder, &rows);
				if (fault != NULL)
					ftm_source_refuse(source, fault);
				break;
			case PGRES_COPY_IN:
			case PGRES_COPY_OUT:
			case PGRES_COPY_BOTH:
				ftm_source_refuse(source, "It begins a COPY that was not asked for.");
				break;
			case PGRES_PIPELINE_SYNC:
				ftm_source_refuse(source, "It ends before it has begun.");
				break;
			default:
				break;			/* judged by the caller */
		}
		if (PQstatus(source->connection) == CONNECTION_BAD)
			break;
	}
	return rows;
}

/* Take in the row that is source->result. */
static void
add_row(SourceConnection *source, AnswerBuilder *builder)
{
	PGresult   *result = source->result;
	int			ncolumns = PQnfields(result);
	char	   *values[MAX_ANSWER_COLUMNS];
	int			lengths[MAX_ANSWER_COLUMNS];
	char	   *fault;

	if (builder == NULL)
		ftm_source_refuse(source, "There are rows where none belong.");
	check_columns(source, source->answers[0].shape);
	for (int i = 0; i < ncolumns; i++)
	{
		values[i] = PQgetisnull(result, 0, i) ? NULL : PQgetvalue(result, 0, i);
		lengths[i] = PQgetlength(result, 0, i);
	}
	fault = ftm_answer_add_row(builder, values, lengths);
	if (fault != NULL)
		ftm_source_refuse(source, fault);
}

/* As many as there are to be, and all of them texts. */
static void
check_columns(SourceConnection *source, const AnswerShape *shape)
{
	char	   *fault = ftm_answer_check_columns(shape,
												 PQnfields(source->result));

	if (fault != NULL)
		ftm_source_refuse(source, fault);
	for (int i = 0; i < PQnfields(source->result); i++)
	{
		if (PQfformat(source->result, i) != 0)
			ftm_source_refuse(source,
							  psprintf("The answer about %s is in binary format.",
									   shape->about));
	}
}

/* Each statement has a synchronization point behind it. */
static void
read_synchronization(SourceConnection *source)
{
	PGresult   *result = ftm_source_get_result(source);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	if (PQstatus(source->connection) == CONNECTION_BAD)
		return;					/* judged by the caller */
	if (status != PGRES_PIPELINE_SYNC)
		ftm_source_refuse(source, "An answer does not end where it should.");
}

static void
check_timeouts(const SourceConnection *source, const RowSet *rows)
{
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("could not turn off %s on source \"%s\"",
						ftm_rowset_text(rows, 0, 0), source->server_name),
				 errdetail("It is still \"%s\" after it was set.",
						   ftm_rowset_text(rows, 0, 1)),
				 errhint("Connections in transaction mode of a pooler lose their settings.  Use the direct connection or the pooler's session mode (port 5432).")));
}

/*
 * invalid_parameter_value before PostgreSQL 16, undefined_object since.
 */
static void
check_snapshot(SourceConnection *source)
{
	const char *sqlstate = PQresultErrorField(source->result, PG_DIAG_SQLSTATE);

	if (PQstatus(source->connection) != CONNECTION_BAD && sqlstate != NULL &&
		(strcmp(sqlstate, "22023") == 0 || strcmp(sqlstate, "42704") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the snapshot of source \"%s\" has expired",
						source->server_name),
				 errdetail("It is gone with the connection that has exported it."),
				 errhint("Call the function again: what is complete is kept.")));
}

static void
check_result(SourceConnection *source, ExecStatusType expected)
{
	if (source->result == NULL ||
		PQstatus(source->connection) == CONNECTION_BAD)
		ftm_source_report_lost_connection(source);
	if (PQresultStatus(source->result) != expected)
		ftm_source_report_result_error(source);
}

static void
clear_result(SourceConnection *source)
{
	if (source->result != NULL)
		PQclear(source->result);
	source->result = NULL;
}
