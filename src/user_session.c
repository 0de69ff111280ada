/*-------------------------------------------------------------------------
 *
 * user_session.c
 *		What the modules that work on users share: both connections, and every
 *		user's state.
 *
 * Reading the source needs no transaction in the target; state is written in
 * transactions that are short and never open while the service is waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pool.h"
#include "settings.h"
#include "user_session.h"
#include "user_state.h"

/* Users of the service read at a time. */
#define PAGE_SIZE		200

/* Repetitions of a request that changes nothing. */
#define MAX_REPETITIONS	20

/* First wait before a repetition, in milliseconds. */
#define FIRST_DELAY		1000

static void set_lock_tag(const UserSession *session, LOCKTAG *tag);
static void list_users(UserSession *session);
static void start_project(UserSession *session, void *arg);
static void start_page(UserSession *session, void *arg);

UserSession *
ftm_user_session_open(const UsersTask *task)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate users",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	UserSession *session = palloc0(sizeof(UserSession));
	SourceServer *source = NULL;
	AuthServer *auth;
	LOCKTAG		tag;

	session->task = task;
	session->context = context;

	ftm_user_session_begin();
	auth = ftm_options_auth_server(task->auth_server, false);
	if (task->source != NULL)
		source = ftm_options_source_server(task->source);
	session->project_id = auth->project_id;
	session->serverid = auth->serverid;
	/* Of a worker that has not yet noticed that its leader is gone. */
	set_lock_tag(session, &tag);
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	ftm_user_state_check_project(session->project_id);
	ftm_user_session_commit();

	session->stack = ftm_stackauth_create(context, auth, task->timeout,
										  ftm_connect_timeout);
	start_project(session, NULL);
	session->project = ftm_user_session_answer(session, start_project, NULL,
											   "read the project")->project;

	if (source != NULL)
	{
		session->source = ftm_source_connect(source, context);
		if (task->snapshot != NULL)
			ftm_source_import_snapshot(session->source, task->snapshot);
		else
			(void) ftm_source_export_snapshot(session->source);
		list_users(session);
	}
	MemoryContextSwitchTo(old);
	return session;
}

void
ftm_user_session_close(UserSession *session)
{
	LOCKTAG		tag;

	if (session->source != NULL)
		ftm_source_disconnect(session->source);
	set_lock_tag(session, &tag);
	(void) LockRelease(&tag, ExclusiveLock, true);
	MemoryContextDelete(session->context);
}

static void
set_lock_tag(const UserSession *session, LOCKTAG *tag)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, POOL_MAGIC, session->serverid, 3);
}

static MemoryContext outer_context;

void
ftm_user_session_begin(void)
{
	MemoryContext outer = CurrentMemoryContext;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	outer_context = outer;
	MemoryContextSwitchTo(outer);
}

void
ftm_user_session_commit(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(outer_context);
}

/*
 * All users of the source, and what is known of them.
 */
static void
list_users(UserSession *session)
{
	HASHCTL		control;

	session->keys = ftm_supauser_list(session->source, &session->nkeys);

	memset(&control, 0, sizeof(control));
	control.keysize = UUID_TEXT_SIZE;
	control.entrysize = sizeof(UserEntry);
	control.hcxt = session->context;
	session->entries = hash_create("ftmigrate users",
								   Max(64, session->nkeys), &control,
								   HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	for (int i = 0; i < session->nkeys; i++)
	{
		UserEntry  *entry = hash_search(session->entries, session->keys[i].id,
										HASH_ENTER, NULL);

		memset((char *) entry + UUID_TEXT_SIZE, 0,
			   sizeof(UserEntry) - UUID_TEXT_SIZE);
		entry->shares_email = session->keys[i].shares_email;
	}

	ftm_user_session_begin();
	ftm_user_state_load(session);
	ftm_user_session_commit();
}

UserEntry *
ftm_user_session_entry(const UserSession *session, const char *id)
{
	return hash_search(session->entries, id, HASH_FIND, NULL);
}

bool
ftm_user_entry_is_final(const UserEntry *entry)
{
	return entry->status == USER_CREATED || entry->status == USER_MATCHED;
}

/*
 * What an earlier call decided holds, unless this one was told to decide
 * again; an error was not a decision.
 */
UserDecision *
ftm_user_session_decide(const UserSession *session, const SourceUser *user)
{
	const UserEntry *entry = ftm_user_session_entry(session, user->id);
	bool		decided = entry != NULL && entry->registered &&
		entry->treatment != TREAT_ERROR && !session->task->decide_again;

	return ftm_user_decide(user, &session->task->policies,
						   decided ? &entry->treatment : NULL,
						   session->project, session->task->run_id);
}

StackAnswer *
ftm_user_session_answer(UserSession *session,
						void (*start) (UserSession *session, void *arg),
						void *arg, const char *action)
{
	for (int n = 1;; n++)
	{
		StackAnswer *answer = ftm_stackauth_wait(session->stack, -1);

		switch (answer->verdict)
		{
			case STACK_DONE:
				return answer;
			case STACK_REFUSED:
			case STACK_MISCONFIGURED:
				ftm_stackauth_report(session->stack, answer, action);
			case STACK_BUSY:
			case STACK_NOT_SENT:
			case STACK_IN_DOUBT:
				break;
		}
		/* At the beginning, whoever does not answer is no Stack Auth. */
		if (n > (start == start_project ? 3 : MAX_REPETITIONS))
			ftm_stackauth_report(session->stack, answer, action);
		(void) ftm_stackauth_wait(session->stack,
								  ftm_user_session_delay(session, answer, n));
		start(session, arg);
	}
}

static void
start_project(UserSession *session, void *arg pg_attribute_unused())
{
	ftm_stackauth_get_project(session->stack, NULL);
}

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
 * The cursor names the first user of the next page.  If that user is deleted
 * meanwhile, the service answers with an empty last page and no error: then
 * the scan begins again.
 */
void
ftm_user_session_scan(UserSession *session, bool newest_first,
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
		page = ftm_user_session_answer(session, start_page, &position,
									   "list users")->page;
		if (position.cursor != NULL && page->users == NIL)
		{
			if (++restarts > MAX_REPETITIONS)
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

int
ftm_user_session_delay(const UserSession *session, const StackAnswer *answer,
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

int64
ftm_user_session_now(void)
{
	return GetCurrentTimestamp() / 1000 +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}
