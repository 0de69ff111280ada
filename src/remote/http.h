/*-------------------------------------------------------------------------
 *
 * http.h
 *		HTTP requests to the auth service, several in flight at a time.
 *
 * A client belongs to a memory context: when that context goes, requests in
 * flight are broken off and everything of libcurl's is freed.  Nothing here
 * needs a transaction, and none should be open while waiting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_HTTP_H
#define FTM_HTTP_H

#include "nodes/pg_list.h"

typedef struct HttpClient HttpClient;

/* How a request ended. */
typedef enum HttpOutcome
{
	HTTP_ANSWERED,				/* a whole answer is there */
	HTTP_NOT_SENT,				/* the server cannot have seen the request */
	HTTP_LOST					/* sent, perhaps; no whole answer came */
} HttpOutcome;

/* What came of one request; in the memory context of the caller. */
typedef struct HttpAnswer
{
	HttpOutcome outcome;
	const char *error;			/* why there is no answer; else NULL */
	int			status;			/* 0 if none came */
	char	   *content_type;	/* lower case, without parameters; or "" */
	char	   *body;			/* UTF-8 as it came, NUL-terminated */
	size_t		length;			/* bytes in body */
	int64		retry_after;	/* seconds, 0 if the server did not say */
	int			elapsed;		/* milliseconds that the request took */
	char	   *known_error;	/* x-stack-known-error, or "" */
	char	   *request_id;		/* x-stack-request-id, or "" */
	void	   *arg;			/* what ftm_http_start() was given */
} HttpAnswer;

/*
 * Make a client.  headers: List of char *, "name: value", sent with every
 * request; they may hold a secret.  timeout: of a whole request, in
 * milliseconds; connect_timeout: in seconds.
 */
extern HttpClient *ftm_http_create(MemoryContext context, List *headers,
								   int timeout, int connect_timeout);

/*
 * Begin a request.  headers: List of char *, of this request alone.  body: JSON
 * in UTF-8, or NULL for none.  once: the request must never reach the server
 * twice; libcurl repeats one by itself if a kept connection turns out to be
 * closed, so this takes a new connection.
 */
extern void ftm_http_start(HttpClient *client, const char *method,
						   const char *url, const List *headers,
						   const char *body, bool once, void *arg);

/*
 * Wait for an answer, at most so many milliseconds; -1: until one comes (there
 * must be a request).  NULL if none came.  Interruptible; with no request in
 * flight, this is a sleep.
 */
extern HttpAnswer *ftm_http_wait(HttpClient *client, long timeout);

/*
 * The first length bytes of a text from elsewhere in the database's encoding,
 * with everything replaced that is not a printable character; palloc'd.
 */
extern char *ftm_http_clean_text(const char *text, size_t length);

#endif							/* FTM_HTTP_H */
