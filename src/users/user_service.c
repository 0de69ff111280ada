/*-------------------------------------------------------------------------
 *
 * user_service.c
 *		The auth service while users are worked on: how many requests it can
 *		take, what to do when it is out of order, and who is there.
 *
 * A request that comes to nothing is its user's affair, as long as others are
 * answered.  Only when several in a row come to nothing, or one in a way that
 * no user can cause, the service itself may be out of order.  Then nothing else
 * is sent, and the project is asked for until that is answered: a user cannot
 * make that fail.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "users/user_service.h"

/* Users of the service read at a time: within the limits of both contracts. */
#define PAGE_SIZE		200

/* Times that a list is begun anew because its cursor was deleted. */
#define MAX_RESTARTS	20

/* First wait before a repetition, in milliseconds. */
#define FIRST_DELAY		1000

/* While the service is out of order, the wait is doubled so often, less one. */
#define MAX_DOUBLED		3

/* Requests in a row that come to nothing before the project is asked for. */
#define MAX_FAILURES	5

static bool came_to_nothing(const StackAnswer *answer);
static void start_project(UserSession *session, void *arg);
static void start_page(UserSession *session, void *arg);

/*
 * Not answered, or by somebody who stands in front of a service that does not.
 */
static bool
came_to_nothing(const StackAnswer *answer)
{
	return answer->verdict == STACK_NOT_SENT ||
		answer->verdict == STACK_IN_DOUBT;
}

StackAnswer *
ftm_user_service_answer(UserSession *session,
						void (*start) (UserSession *session, void *arg),
						void *arg, int attempts, const char *action)
{
	int64		give_up = ftm_user_session_now() +
		session->task->outage_timeout;

	for (int n = 1;; n++)
	{
		StackAnswer *answer = ftm_stackauth_wait(session->stack, -1);

		if (answer->verdict == STACK_DONE || answer->user_is_missing)
			return answer;
		if (answer->verdict == STACK_REFUSED ||
			answer->verdict == STACK_MISCONFIGURED ||
			(attempts > 0 ? n > attempts : ftm_user_session_now() >= give_up))
			ftm_stackauth_report(session->stack, answer, action);
		(void) ftm_stackauth_wait(session->stack,
								  ftm_user_service_delay(session, answer, n));
		start(session, arg);
	}
}

static void
start_project(UserSession *session, void *arg pg_attribute_unused())
{
	ftm_stackauth_get_project(session->stack, NULL);
}

StackProject *
ftm_user_service_project(UserSession *session, int attempts)
{
	start_project(session, NULL);
	return ftm_user_service_answer(session, start_project, NULL, attempts,
								   "read the project")->project;
}

/* ------------------------------------------------------------------------
 * In order or not
 * ------------------------------------------------------------------------
 */

void
ftm_user_service_note(UserSession *session, const StackAnswer *answer)
{
	if (answer->verdict == STACK_BUSY)
		ftm_request_window_refused(&session->window);
	else if (!came_to_nothing(answer))
	{
		session->failures = 0;
		if (answer->verdict == STACK_DONE)
			ftm_request_window_answered(&session->window, answer->elapsed);
	}
	else
	{
		/* No user makes a connection fail, or a gateway say so. */
		if (answer->verdict == STACK_NOT_SENT ||
			(answer->status >= 502 && answer->status <= 504))
		{
			ftm_request_window_refused(&session->window);
			session->failures = MAX_FAILURES;
		}
		else
			session->failures++;
	}
}

int
ftm_user_service_room(const UserSession *session)
{
	return session->failures >= MAX_FAILURES ? 0 :
		ftm_request_window_size(&session->window);
}

bool
ftm_user_service_recover(UserSession *session, const char *action)
{
	int64		began = ftm_user_session_now();
	bool		outage = false;

	for (int n = 1;; n++)
	{
		StackAnswer *answer;

		start_project(session, NULL);
		answer = ftm_stackauth_wait(session->stack, -1);
		if (answer->verdict == STACK_DONE)
			break;
		if (answer->verdict == STACK_REFUSED ||
			answer->verdict == STACK_MISCONFIGURED ||
			ftm_user_session_now() - began >= session->task->outage_timeout)
			ftm_stackauth_report(session->stack, answer, action);
		if (!outage)
			ereport(NOTICE,
					(errmsg("auth server \"%s\" does not answer: waiting for it",
							session->task->auth_server),
					 errdetail_internal("%s", answer->message),
					 errhint("ftmigrate.auth_outage_timeout says for how long.")));
		outage = true;
		pgstat_report_activity(STATE_RUNNING, "waiting for the auth server");
		(void) ftm_stackauth_wait(session->stack,
								  ftm_user_service_delay(session, answer,
														 Min(n, MAX_DOUBLED)));
	}
	session->failures = 0;
	if (outage)
		ereport(NOTICE,
				(errmsg("auth server \"%s\" answers again after %.1f s",
						session->task->auth_server,
						(ftm_user_session_now() - began) / 1000.0)));
	return outage;
}

int
ftm_user_service_delay(const UserSession *session, const StackAnswer *answer,
					   int n)
{
	int			limit = session->task->max_delay;
	int64		delay = Min(FIRST_DELAY, limit);

	if (answer->verdict == STACK_BUSY && answer->retry_after > 0)
		delay = answer->retry_after;
	else
	{
		for (int i = 1; i < n && delay < limit; i++)
			delay *= 2;
		/* So that clients that were turned away don't come back together. */
		delay = delay / 2 +
			(int64) (pg_prng_double(&pg_global_prng_state) * (delay / 2));
	}
	return (int) Max(1, Min(delay, limit));
}

/* ------------------------------------------------------------------------
 * Who is there
 * ------------------------------------------------------------------------
 */

/* Which page of a scan. */
typedef struct ScanPosition
{
	bool		newest_first;
	const char *cursor;
} ScanPosition;

static void
start_page(UserSession *session, void *arg)
{
	ScanPosition *position = arg;

	ftm_stackauth_list_users(session->stack, PAGE_SIZE,
							 position->newest_first, NULL, position->cursor,
							 NULL);
}

/*
 * The cursor names the first user of the next page, or since Hexclave the last
 * one of this page.  If that user is deleted meanwhile, the service answers with
 * an empty last page and no error: then the scan begins again.
 */
void
ftm_user_service_scan(UserSession *session, bool newest_first,
					  int64 stop_before,
					  void (*seen) (UserSession *session,
									const StackUser *user, void *arg),
					  void *arg)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate page of users",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	ScanPosition position = {newest_first, NULL};
	char		cursor[UUID_TEXT_SIZE];
	int			restarts = 0;
	bool		more = true;

	while (more)
	{
		StackUserPage *page;
		ListCell   *lc;

		MemoryContextReset(context);
		MemoryContextSwitchTo(context);
		start_page(session, &position);
		page = ftm_user_service_answer(session, start_page, &position, 0,
									   "list users")->page;
		if (position.cursor != NULL && page->users == NIL)
		{
			if (++restarts > MAX_RESTARTS)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_ERROR),
						 errmsg("could not list the users in auth server \"%s\"",
								session->task->auth_server),
						 errdetail("Users are deleted while they are listed."),
						 errhint("Call the function again when nobody deletes users.")));
			position.cursor = NULL;
			MemoryContextSwitchTo(old);
			continue;
		}
		foreach(lc, page->users)
		{
			StackUser  *user = lfirst(lc);

			seen(session, user, arg);
			if (newest_first && user->signed_up_millis < stop_before)
				more = false;
		}
		more = more && page->next_cursor != NULL &&
			strlen(page->next_cursor) < UUID_TEXT_SIZE;
		if (more)
		{
			strlcpy(cursor, page->next_cursor, sizeof(cursor));
			position.cursor = cursor;
		}
		MemoryContextSwitchTo(old);
	}
	MemoryContextDelete(context);
}
