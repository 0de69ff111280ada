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

#include "source_private.h"

static char *connection_message(SourceConnection *source);
static bool is_connection_loss(int sqlstate);

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
void
ftm_source_report_result_error(SourceConnection *source)
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
