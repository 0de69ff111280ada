/*-------------------------------------------------------------------------
 *
 * source.h
 *		The source database, read over libpq from inside a backend.
 *
 * Every wait is on the process latch, so that cancel, statement_timeout and
 * termination end it at once.  A connection belongs to a memory context: when
 * that context goes, the connection is closed, errors included.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SOURCE_H
#define FTM_SOURCE_H

#include "compat.h"
#include "remote/answer.h"
#include "remote/server.h"

typedef struct SourceConnection SourceConnection;

/*
 * Connect and set up the session (see DESIGN: read only, row_security off,
 * timeouts off and read back, fixed formats).  The connection and its libpq
 * state are closed when context is reset or deleted.  Errors: SQLSTATE of the
 * server or 08001, message "could not connect to source "%s"", hints for the
 * well-known causes.  Never mentions the connection string.
 *
 * Does not wait until the session is set up: that is judged before the answer
 * to the first query is, see below.
 *
 * ftm_source_connect_all() makes count connections in the time of one.
 */
extern SourceConnection *ftm_source_connect(const SourceServer *server,
											MemoryContext context);
extern void ftm_source_connect_all(const SourceServer *server,
								   MemoryContext context,
								   SourceConnection **sources, int count);
extern void ftm_source_disconnect(SourceConnection *source);

/* PQserverVersion() of the other end: 150020, 170004, ... */
extern int	ftm_source_version(const SourceConnection *source);

/*
 * What every server says of itself when it is connected: "server_version" or
 * "server_encoding".  "unknown" if it did not.
 */
extern const char *ftm_source_parameter(const SourceConnection *source,
										const char *name);

/* How well a connection is protected on its way. */
typedef enum SourceEncryption
{
	SOURCE_LOCAL,				/* it does not leave this machine */
	SOURCE_NOT_ENCRYPTED,
	SOURCE_NOT_VERIFIED,		/* encrypted, but to whom was not checked */
	SOURCE_VERIFIED				/* TLS with sslmode verify-full, or GSSAPI */
} SourceEncryption;

extern SourceEncryption ftm_source_encryption(const SourceConnection *source);

/* The process that serves the connection, as far as libpq was told. */
extern int	ftm_source_backend_pid(const SourceConnection *source);

/*
 * Error if one of the session's timeouts is on, in spite of having been turned
 * off when the connection was made.
 */
extern void ftm_source_check_timeouts(SourceConnection *source);

/*
 * Run one statement with text parameters and return its rows, allocated in
 * the current memory context.  The source's errors are re-raised with their
 * own SQLSTATE, detail and hint, and the server's name as context.  An answer
 * that does not have the shape (see answer.h) is error 08P01, as is every other
 * fault in what a server says, and ends the connection.
 */
extern RowSet *ftm_source_query(SourceConnection *source,
								const AnswerShape *shape, const char *sql,
								int nparams, const char *const *params);

/*
 * The same in two halves, so that both servers can work at the same time, and
 * that queries can share a round trip: up to some thirty may be sent before
 * their answers are received, in the same order.  The shape must live until
 * then.
 */
extern void ftm_source_send_query(SourceConnection *source,
								  const AnswerShape *shape, const char *sql,
								  int nparams, const char *const *params);
extern RowSet *ftm_source_receive(SourceConnection *source);

/*
 * The shape of an answer whose values are for nobody, such as that of
 * set_config().
 */
extern const AnswerShape ftm_source_settings_shape;

/* Refuse an answer: error 08P01 with this detail, and end the connection. */
pg_noreturn extern void ftm_source_refuse(SourceConnection *source,
										  const char *detail);

/*
 * Some functions here only send.  Whether the source did as it was told is
 * found out with the next answer received, or by this, which waits: an error
 * is raised then.
 */
extern void ftm_source_await(SourceConnection *source);

/*
 * Wait until one of count connections, each with a query sent, has an answer
 * to receive; NULLs among them are skipped.  Returns its index.
 */
extern int	ftm_source_wait_any(SourceConnection *const *sources, int count);

/*
 * Begin the REPEATABLE READ READ ONLY transaction of a run.  export: returns
 * the exported snapshot's name, valid while this connection stays in the
 * transaction; also in two halves, as queries.  import: the transaction sees
 * that very snapshot; only sends.
 */
extern char *ftm_source_export_snapshot(SourceConnection *source);
extern void ftm_source_send_export(SourceConnection *source);
extern char *ftm_source_receive_export(SourceConnection *source);
extern void ftm_source_import_snapshot(SourceConnection *source,
									   const char *snapshot);

/* End the transaction, if one is open; only sends. */
extern void ftm_source_end_snapshot(SourceConnection *source);

/*
 * COPY ... TO STDOUT.  ftm_source_copy_begin() waits for what is on its way,
 * and not for the answer to the statement itself: what is wrong with that is an
 * error of the first read.
 *
 * ftm_source_copy_read() returns the length of the next CopyData message, *data
 * pointing to it until the next call; 0 if none has arrived yet and wait is
 * false; -1 at the end of the stream, when the server's command completion has
 * been read and was in order.
 *
 * ftm_source_wait_readable() waits until it is worth trying to read from one of
 * count connections again, NULLs among them being skipped.
 */
extern void ftm_source_copy_begin(SourceConnection *source, const char *sql,
								  int ncolumns, bool binary);
extern int	ftm_source_copy_read(SourceConnection *source, char **data,
								 bool wait);

/*
 * Wait for the next line of a COPY in text format and split it into the
 * columns of shape, whose values are in no need of escapes.  False at the end.
 */
extern bool ftm_source_copy_line(SourceConnection *source,
								 const AnswerShape *shape, char **values);
extern void ftm_source_wait_readable(SourceConnection *const *sources,
									 int count);

#endif							/* FTM_SOURCE_H */
