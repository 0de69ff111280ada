/*-------------------------------------------------------------------------
 *
 * http.c
 *		HTTP requests to the auth service, several in flight at a time.
 *
 * libcurl calls back from the middle of its own code, so callbacks neither
 * raise errors nor palloc: what they collect is malloc'ed, and is handed over
 * as palloc'ed copies when the request is done.
 *
 * Every wait is short enough for the latch to be looked at ten times a second;
 * a signal ends it at once, since it interrupts poll().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <signal.h>

#include "lib/stringinfo.h"
#include "libpq/pqsignal.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/extension.h"
#include "compat.h"
#include "remote/http.h"

/* Longest wait without looking at the latch, in milliseconds. */
#define WAIT_SLICE		100

/* Answers may hold a page of users with all their metadata. */
#define MAX_ANSWER_SIZE	((size_t) 64 * 1024 * 1024)

/* Longest header value that is kept, terminating NUL included. */
#define HEADER_SIZE		64

/* One request.  malloc'ed, as libcurl's callbacks write to it. */
typedef struct Transfer
{
	struct Transfer *next;		/* in the client's list */
	CURL	   *easy;
	struct curl_slist *headers; /* the client's, and the request's own */
	char	   *request_body;
	char	   *body;
	size_t		length;
	size_t		allocated;
	bool		too_large;
	bool		out_of_memory;
	char		known_error[HEADER_SIZE];
	char		request_id[HEADER_SIZE];
	char		error[CURL_ERROR_SIZE];
	void	   *arg;
} Transfer;

struct HttpClient
{
	CURLM	   *multi;
	struct curl_slist *headers;
	Transfer   *transfers;		/* in flight */
	int			in_flight;
	int			timeout;
	int			connect_timeout;
	MemoryContextCallback callback;
};

static void initialize_library(void);
static void close_client(void *arg);
static struct curl_slist *add_header(struct curl_slist *headers,
									 const char *header);
static void free_headers(struct curl_slist *headers);
static void copy_headers(HttpClient *client, Transfer *transfer,
						 const List *headers);
static void free_transfer(HttpClient *client, Transfer *transfer);
static void set_options(HttpClient *client, Transfer *transfer,
						const char *method, const char *url, bool once);
static size_t receive_body(char *data, size_t size, size_t count, void *arg);
static size_t receive_header(char *data, size_t size, size_t count,
							 void *arg);
static void keep_header(const char *line, size_t length, const char *name,
						char *value);
static void perform(HttpClient *client);
static HttpAnswer *take_answer(HttpClient *client);
static HttpAnswer *make_answer(Transfer *transfer, CURLcode code);
static HttpOutcome outcome_of(CURLcode code);
static bool is_invisible(pg_wchar c);
static void wait_for_events(HttpClient *client, long timeout);
static void check_multi(CURLMcode code);

HttpClient *
ftm_http_create(MemoryContext context, List *headers, int timeout,
				int connect_timeout)
{
	HttpClient *client;
	ListCell   *lc;

	initialize_library();
	client = MemoryContextAllocZero(context, sizeof(HttpClient));
	client->timeout = timeout;
	client->connect_timeout = connect_timeout;
	client->callback.func = close_client;
	client->callback.arg = client;
	MemoryContextRegisterResetCallback(context, &client->callback);

	client->multi = curl_multi_init();
	if (client->multi == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	foreach(lc, headers)
		client->headers = add_header(client->headers, lfirst(lc));
	return client;
}

/*
 * The list with one more; on an error the list is as it was.
 */
static struct curl_slist *
add_header(struct curl_slist *headers, const char *header)
{
	struct curl_slist *list = curl_slist_append(headers, header);

	if (list == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	return list;
}

/*
 * One of them is the key: leave no copy in freed memory.
 */
static void
free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *header = headers; header != NULL;
		 header = header->next)
		explicit_bzero(header->data, strlen(header->data));
	curl_slist_free_all(headers);
}

/*
 * Once per process: libcurl's global state stays until it ends.
 */
static void
initialize_library(void)
{
	static bool initialized = false;

	if (initialized)
		return;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not initialize libcurl")));
	initialized = true;
}

/*
 * Free all that is libcurl's.  A memory context's callback: must not throw.
 */
static void
close_client(void *arg)
{
	HttpClient *client = arg;

	while (client->transfers != NULL)
		free_transfer(client, client->transfers);
	if (client->multi != NULL)
		(void) curl_multi_cleanup(client->multi);
	client->multi = NULL;
	free_headers(client->headers);
	client->headers = NULL;
}

/*
 * Take a transfer out of the client and free it, finished or not.
 */
static void
free_transfer(HttpClient *client, Transfer *transfer)
{
	Transfer  **link = &client->transfers;

	while (*link != NULL && *link != transfer)
		link = &(*link)->next;
	if (*link == transfer)
	{
		*link = transfer->next;
		client->in_flight--;
	}
	if (transfer->easy != NULL)
	{
		(void) curl_multi_remove_handle(client->multi, transfer->easy);
		curl_easy_cleanup(transfer->easy);
	}
	free_headers(transfer->headers);
	/* Passwords' hashes and TOTP secrets are in there. */
	if (transfer->request_body != NULL)
		explicit_bzero(transfer->request_body, strlen(transfer->request_body));
	free(transfer->request_body);
	free(transfer->body);
	free(transfer);
}

void
ftm_http_start(HttpClient *client, const char *method, const char *url,
			   const List *headers, const char *body, bool once, void *arg)
{
	Transfer   *transfer = calloc(1, sizeof(Transfer));

	if (transfer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	transfer->next = client->transfers;
	client->transfers = transfer;
	client->in_flight++;

	transfer->arg = arg;
	transfer->easy = curl_easy_init();
	if (body != NULL)
		transfer->request_body = strdup(body);
	if (transfer->easy == NULL ||
		(body != NULL && transfer->request_body == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	copy_headers(client, transfer, headers);
	set_options(client, transfer, method, url, once);
	check_multi(curl_multi_add_handle(client->multi, transfer->easy));
}

static void
copy_headers(HttpClient *client, Transfer *transfer, const List *headers)
{
	ListCell   *lc;

	for (struct curl_slist *header = client->headers; header != NULL;
		 header = header->next)
		transfer->headers = add_header(transfer->headers, header->data);
	foreach(lc, headers)
		transfer->headers = add_header(transfer->headers, lfirst(lc));
}

/* Options are set with the type that libcurl wants; an error is a bug. */
#define SET_OPTION(option, value) \
	do { \
		CURLcode	code_ = curl_easy_setopt(transfer->easy, option, value); \
		if (code_ != CURLE_OK) \
			elog(ERROR, "could not set libcurl's option %s: %s", \
				 #option, curl_easy_strerror(code_)); \
	} while (0)

static void
set_options(HttpClient *client, Transfer *transfer, const char *method,
			const char *url, bool once)
{
	SET_OPTION(CURLOPT_URL, url);
	SET_OPTION(CURLOPT_PROTOCOLS_STR, "http,https");
	SET_OPTION(CURLOPT_USERAGENT, FTM_EXTENSION_NAME);
	/* The key must not follow a redirect to wherever it leads. */
	SET_OPTION(CURLOPT_FOLLOWLOCATION, 0L);
	SET_OPTION(CURLOPT_SSL_VERIFYPEER, 1L);
	SET_OPTION(CURLOPT_SSL_VERIFYHOST, 2L);
	SET_OPTION(CURLOPT_HTTP_VERSION, (long) CURL_HTTP_VERSION_1_1);
	/* Timeouts by alarm() would take PostgreSQL's signal. */
	SET_OPTION(CURLOPT_NOSIGNAL, 1L);
	SET_OPTION(CURLOPT_TIMEOUT_MS, (long) client->timeout);
	SET_OPTION(CURLOPT_CONNECTTIMEOUT, (long) client->connect_timeout);
	SET_OPTION(CURLOPT_ERRORBUFFER, transfer->error);
	SET_OPTION(CURLOPT_PRIVATE, transfer);
	SET_OPTION(CURLOPT_WRITEFUNCTION, receive_body);
	SET_OPTION(CURLOPT_WRITEDATA, transfer);
	SET_OPTION(CURLOPT_HEADERFUNCTION, receive_header);
	SET_OPTION(CURLOPT_HEADERDATA, transfer);
	SET_OPTION(CURLOPT_HTTPHEADER, transfer->headers);
	SET_OPTION(CURLOPT_CUSTOMREQUEST, method);
	if (transfer->request_body != NULL)
	{
		SET_OPTION(CURLOPT_POSTFIELDSIZE_LARGE,
				   (curl_off_t) strlen(transfer->request_body));
		SET_OPTION(CURLOPT_POSTFIELDS, transfer->request_body);
	}
	if (once)
	{
		SET_OPTION(CURLOPT_FRESH_CONNECT, 1L);
		SET_OPTION(CURLOPT_FORBID_REUSE, 1L);
	}
}

/*
 * libcurl's callback for pieces of the body: any other result than the number
 * of bytes ends the transfer.
 */
static size_t
receive_body(char *data, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;
	size_t		length = size * count;

	if (length > MAX_ANSWER_SIZE - transfer->length)
	{
		transfer->too_large = true;
		return 0;
	}
	if (transfer->length + length + 1 > transfer->allocated)
	{
		size_t		allocated = Max(transfer->allocated * 2,
									transfer->length + length + 1);
		char	   *body = realloc(transfer->body, allocated);

		if (body == NULL)
		{
			transfer->out_of_memory = true;
			return 0;
		}
		transfer->body = body;
		transfer->allocated = allocated;
	}
	memcpy(transfer->body + transfer->length, data, length);
	transfer->length += length;
	transfer->body[transfer->length] = '\0';
	return length;
}

/*
 * libcurl's callback for header lines.
 */
static size_t
receive_header(char *data, size_t size, size_t count, void *arg)
{
	Transfer   *transfer = arg;

	/* Both names that the service has had. */
	keep_header(data, size * count, "x-stack-known-error:",
				transfer->known_error);
	keep_header(data, size * count, "x-hexclave-known-error:",
				transfer->known_error);
	keep_header(data, size * count, "x-stack-request-id:",
				transfer->request_id);
	keep_header(data, size * count, "x-hexclave-request-id:",
				transfer->request_id);
	return size * count;
}

/*
 * If the line is the header of this name, store its value if it is a word of
 * harmless characters: it will end up in tables and messages.
 */
static void
keep_header(const char *line, size_t length, const char *name, char *value)
{
	size_t		start = strlen(name);
	size_t		used = 0;

	if (length < start || pg_strncasecmp(line, name, start) != 0)
		return;
	while (start < length && line[start] == ' ')
		start++;
	for (size_t i = start; i < length && used < HEADER_SIZE - 1; i++)
	{
		unsigned char c = (unsigned char) line[i];

		if (!isalnum(c) && c != '_' && c != '-')
			break;
		value[used++] = (char) c;
	}
	value[used] = '\0';
}

HttpAnswer *
ftm_http_wait(HttpClient *client, long timeout)
{
	TimestampTz end = 0;

	if (timeout >= 0)
		end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout);
	else
		Assert(client->in_flight > 0);

	for (;;)
	{
		HttpAnswer *answer;
		long		left = WAIT_SLICE;

		CHECK_FOR_INTERRUPTS();
		perform(client);
		answer = take_answer(client);
		if (answer != NULL)
			return answer;
		if (timeout >= 0)
		{
			left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
			if (left <= 0)
				return NULL;
		}
		wait_for_events(client, left);
	}
}

/*
 * Let libcurl do what can be done without waiting.  It may start a thread to
 * look up the host's name: that inherits the signal mask, and must not run
 * PostgreSQL's signal handlers.
 */
static void
perform(HttpClient *client)
{
	int			running;
	CURLMcode	code;

	sigprocmask(SIG_SETMASK, &BlockSig, NULL);
	code = curl_multi_perform(client->multi, &running);
	sigprocmask(SIG_SETMASK, &UnBlockSig, NULL);
	check_multi(code);
}

/*
 * The answer of a finished request, NULL if none has finished.
 */
static HttpAnswer *
take_answer(HttpClient *client)
{
	CURLMsg    *message;
	int			left;

	while ((message = curl_multi_info_read(client->multi, &left)) != NULL)
	{
		Transfer   *transfer = NULL;
		HttpAnswer *answer;
		CURLcode	code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE,
							  (char **) &transfer) != CURLE_OK)
			elog(ERROR, "libcurl has lost a request");
		answer = make_answer(transfer, code);
		free_transfer(client, transfer);
		return answer;
	}
	return NULL;
}

static HttpAnswer *
make_answer(Transfer *transfer, CURLcode code)
{
	HttpAnswer *answer = palloc0(sizeof(HttpAnswer));
	char	   *type = NULL;
	long		status = 0;
	curl_off_t	retry_after = 0;
	curl_off_t	elapsed = 0;

	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER,
							 &retry_after);
	(void) curl_easy_getinfo(transfer->easy, CURLINFO_TOTAL_TIME_T, &elapsed);

	answer->arg = transfer->arg;
	answer->status = (int) status;
	answer->retry_after = (int64) retry_after;
	answer->elapsed = (int) Min(elapsed / 1000, PG_INT32_MAX);
	answer->known_error = pstrdup(transfer->known_error);
	answer->request_id = pstrdup(transfer->request_id);
	answer->content_type = pstrdup("");
	if (type != NULL)
	{
		answer->content_type = pnstrdup(type, strcspn(type, "; "));
		for (char *p = answer->content_type; *p != '\0'; p++)
			*p = pg_ascii_tolower((unsigned char) *p);
	}

	answer->outcome = outcome_of(code);
	if (answer->outcome == HTTP_ANSWERED)
	{
		answer->length = transfer->length;
		answer->body = MemoryContextAllocHuge(CurrentMemoryContext,
											  transfer->length + 1);
		if (transfer->length > 0)
			memcpy(answer->body, transfer->body, transfer->length);
		answer->body[transfer->length] = '\0';
	}
	else if (transfer->too_large)
		answer->error = psprintf("the answer is longer than %zu bytes",
								 MAX_ANSWER_SIZE);
	else if (transfer->out_of_memory)
		answer->error = "out of memory";
	else
		answer->error = ftm_http_clean_text(transfer->error[0] != '\0' ?
											transfer->error :
											curl_easy_strerror(code),
											CURL_ERROR_SIZE);
	return answer;
}

/*
 * Texts from elsewhere are of any length, and in UTF-8 if in anything.  What is
 * no printable character becomes one question mark, and so does what is not
 * ASCII where the database has another encoding: to convert it may need a
 * transaction.
 */
char *
ftm_http_clean_text(const char *text, size_t length)
{
	StringInfoData clean;
	const unsigned char *p = (const unsigned char *) text;
	const unsigned char *end = p + strnlen(text, length);

	initStringInfo(&clean);
	while (p < end)
	{
		int			size = pg_utf_mblen(p);

		if (size > end - p || !pg_utf8_islegal(p, size))
			size = 1;
		if (size > 1 && GetDatabaseEncoding() == PG_UTF8 &&
			!is_invisible(utf8_to_unicode(p)))
			appendBinaryStringInfo(&clean, (const char *) p, size);
		else if (size == 1 && *p >= ' ' && *p <= '~')
			appendStringInfoChar(&clean, (char) *p);
		else
			appendStringInfoChar(&clean, *p == '\n' ? ' ' : '?');
		p += size;
	}
	return clean.data;
}

/*
 * Controls, and what changes the direction of text or hides in it.
 */
static bool
is_invisible(pg_wchar c)
{
	return c < 0xa0 || (c >= 0x200b && c <= 0x200f) ||
		(c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) ||
		c == 0xfeff;
}

/*
 * Before a connection stands and is encrypted, nothing of a request is sent.
 */
static HttpOutcome
outcome_of(CURLcode code)
{
	switch (code)
	{
		case CURLE_OK:
			return HTTP_ANSWERED;
		case CURLE_COULDNT_RESOLVE_PROXY:
		case CURLE_COULDNT_RESOLVE_HOST:
		case CURLE_COULDNT_CONNECT:
		case CURLE_SSL_CONNECT_ERROR:
		case CURLE_PEER_FAILED_VERIFICATION:
		case CURLE_SSL_CACERT_BADFILE:
			return HTTP_NOT_SENT;
		default:
			return HTTP_LOST;
	}
}

/*
 * Wait for the sockets or a signal, at most so many milliseconds or one
 * slice, and look after the latch.
 */
static void
wait_for_events(HttpClient *client, long timeout)
{
	int			events = WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
	long		latch_timeout = 0;

	if (client->in_flight > 0)
		check_multi(curl_multi_poll(client->multi, NULL, 0,
									(int) Min(timeout, WAIT_SLICE), NULL));
	else
		latch_timeout = timeout;

	if (WaitLatch(MyLatch, events, latch_timeout,
				  ftm_wait_event()) & WL_LATCH_SET)
		ResetLatch(MyLatch);
}

static void
check_multi(CURLMcode code)
{
	if (code != CURLM_OK)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("libcurl failed: %s", curl_multi_strerror(code))));
}
