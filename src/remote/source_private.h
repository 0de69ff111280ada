/*-------------------------------------------------------------------------
 *
 * source_private.h
 *		What the files that make up a source connection share.
 *
 * For source.c and source_error.c alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SOURCE_PRIVATE_H
#define FTM_SOURCE_PRIVATE_H

#include "datatype/timestamp.h"
#include "libpq-fe.h"

#include "remote/source.h"

/* What has been sent, and so what is to be done with its answer. */
typedef enum AnswerKind
{
	ANSWER_ROWS,				/* it is for whoever receives it */
	ANSWER_NO_ROWS,				/* of BEGIN and the like: must be no error */
	ANSWER_SETTINGS,			/* of the session: the same, with rows */
	ANSWER_TIMEOUTS,			/* those that are on: there must be none */
	ANSWER_SNAPSHOT				/* it must be there yet */
} AnswerKind;

typedef struct ExpectedAnswer
{
	AnswerKind	kind;
	const AnswerShape *shape;	/* NULL: no rows */
} ExpectedAnswer;

/* The most that may be on its way at a time. */
#define MAX_ANSWERS		32

struct SourceConnection
{
	PGconn	   *connection;		/* NULL once closed */
	PGresult   *result;			/* being looked at, freed on error */
	int			nanswers;		/* not received yet, in order */
	ExpectedAnswer answers[MAX_ANSWERS];
	Size		arrived;		/* bytes, since something was handed over */
	Size		arrival_limit;	/* what that may be */
	char	   *copy_data;		/* libpq's buffer of the last COPY message */
	bool		copy_starting;	/* COPY was sent, and not answered yet */
	int			copy_columns;	/* what is expected of the answer */
	bool		copy_binary;
	char	   *server_name;	/* of the foreign server, for messages */
	bool		holds_fd;		/* AcquireExternalFD() succeeded */
	MemoryContextCallback callback;
};

/*
 * A text of the source or of libpq, copied, as it may be shown and stored: in
 * the database's encoding, bytes that are not valid in it as \xNN, and cut where
 * it is longer than any message should be.
 */
extern char *ftm_source_clean_text(const char *text);

/* Raise the error that is source->result, field by field. */
pg_noreturn extern void ftm_source_report_result_error(SourceConnection *source);

/* 08006, with what the server or libpq has said last. */
pg_noreturn extern void ftm_source_report_lost_connection(SourceConnection *source);

/* Why an attempt to connect has failed: see ftm_source_connect(). */
pg_noreturn extern void ftm_source_report_connect_failure(SourceConnection *source,
														  const SourceServer *server);

/* In source_socket.c: wait until the source's socket is ready for events. */
extern void ftm_source_wait_for_socket(SourceConnection *source, int events);

/*
 * Wait, at most until the deadline, for something to happen to the connections
 * that are being established, of which each is at one of statuses; ready says
 * to which, perhaps to none.  Error 08001 after the deadline.
 */
extern void ftm_source_wait_for_connection(SourceConnection *const *sources,
										   const PostgresPollingStatusType *statuses,
										   bool *ready, int count,
										   TimestampTz deadline,
										   const SourceServer *server);

/*
 * Count what waits on the socket, which libpq is about to take, and end the
 * connection, with error 08P01, if it takes ever more without anything to hand
 * over.
 */
extern void ftm_source_bound_input(SourceConnection *source);

/*
 * Have libpq take what has arrived, counted in the same way.
 */
extern void ftm_source_consume_input(SourceConnection *source);

/*
 * PQgetResult without blocking: the next result of the statement, or NULL at
 * its end.
 */
extern PGresult *ftm_source_get_result(SourceConnection *source);

/* Close what is not PostgreSQL's; may be called again. */
extern void ftm_source_close(SourceConnection *source);

#endif							/* FTM_SOURCE_PRIVATE_H */
