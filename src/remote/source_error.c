/*-------------------------------------------------------------------------
 *
 * source_error.c
 *		Errors of the source and of libpq, as ours.
 *
 * The connection string never appears in a message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <errno.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "remote/source_private.h"

/* The longest text that is passed on, in bytes of the database's encoding. */
#define MAX_TEXT_LENGTH	8192

static char *connection_message(SourceConnection *source);
static char *error_field(const PGresult *result, int code);
static int	error_state(const PGresult *result);
static bool is_connection_loss(int sqlstate);

char *
ftm_source_clean_text(const char *text)
{
	int			encoding = GetDatabaseEncoding();
	const char *end = text + strnlen(text, MAX_TEXT_LENGTH + 1);
	StringInfoData clean;

	initStringInfo(&clean);
	while (text < end)
	{
		int			length = pg_encoding_verifymbchar(encoding, text,
													  (int) (end - text));

		if (clean.len + Max(length, 4) > MAX_TEXT_LENGTH)
		{
			appendStringInfoString(&clean, " ...");
			break;
		}
		if (length > 0)
			appendBinaryStringInfo(&clean, text, length);
		else
			appendStringInfo(&clean, "\\x%02x", (unsigned char) *text);
		text += Max(length, 1);
	}
	return clean.data;
}

/*
 * libpq's message without its trailing newline.
 */
static char *
connection_message(SourceConnection *source)
{
	return pchomp(ftm_source_clean_text(PQerrorMessage(source->connection)));
}

void
ftm_source_refuse(SourceConnection *source, const char *detail)
{
	/* detail may be in no result of the source's: see answer.c. */
	ftm_source_close(source);
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("unexpected answer from source \"%s\"",
					source->server_name),
			 errdetail_internal("%s", detail),
			 errhint("Check that the server is PostgreSQL, and what is between here and there.")));
}

/* A field of the source's error; NULL if it has none. */
static char *
error_field(const PGresult *result, int code)
{
	const char *text = PQresultErrorField(result, code);

	return text != NULL ? ftm_source_clean_text(text) : NULL;
}

/* The SQLSTATE of the source's error; 0 if it has none that could be one. */
static int
error_state(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (state == NULL || strlen(state) != 5 ||
		strspn(state, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 5 ||
		strncmp(state, "00", 2) == 0)
		return 0;
	return MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
}

/*
 * Re-raise an error of the source field by field.
 */
void
ftm_source_report_result_error(SourceConnection *source)
{
	PGresult   *result = source->result;
	char	   *primary = error_field(result, PG_DIAG_MESSAGE_PRIMARY);
	char	   *detail = error_field(result, PG_DIAG_MESSAGE_DETAIL);
	char	   *hint = error_field(result, PG_DIAG_MESSAGE_HINT);
	char	   *context = error_field(result, PG_DIAG_CONTEXT);
	int			sqlstate = error_state(result);

	if (PQresultStatus(result) != PGRES_FATAL_ERROR)
		ftm_source_refuse(source,
						  psprintf("It is %s.",
								   PQresStatus(PQresultStatus(result))));
	if (sqlstate == 0 || primary == NULL)
		ftm_source_refuse(source,
						  pchomp(ftm_source_clean_text(PQresultErrorMessage(result))));

	/* ereport copies the texts; the result goes with the memory context. */
	if (is_connection_loss(sqlstate))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("lost connection to source \"%s\"",
						source->server_name),
				 errdetail_internal("%s", primary),
				 errhint("Call the function again: what is complete is kept.")));
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg_internal("%s", primary),
			 detail != NULL ? errdetail_internal("%s", detail) : 0,
			 hint != NULL ? errhint("%s", hint) :
			 sqlstate == ERRCODE_LOCK_NOT_AVAILABLE ?
			 errhint("Another session of the source has locked a table: check \"source locks\" of ftm_check() says which.  End that session, or raise ftmigrate.lock_timeout, and call the function again.") : 0,
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

void
ftm_source_report_lost_connection(SourceConnection *source)
{
	/* An error the server sent before it closed is better than ours. */
	if (source->result != NULL &&
		PQresultStatus(source->result) == PGRES_FATAL_ERROR &&
		PQresultErrorField(source->result, PG_DIAG_SQLSTATE) != NULL)
		ftm_source_report_result_error(source);

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
void
ftm_source_report_connect_failure(SourceConnection *source,
								  const SourceServer *server)
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
