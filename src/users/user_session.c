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
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/named_lock.h"
#include "base/settings.h"
#include "users/user_service.h"
#include "users/user_state.h"

/* Times that the project is asked for at the beginning. */
#define FIRST_ATTEMPTS	3

static void set_lock_tag(const UserSession *session, LOCKTAG *tag);
static void list_users(UserSession *session);

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
	ftm_request_window_init(&session->window, task->concurrency);
	/* At the beginning, whoever does not answer is no Stack Auth. */
	session->project = ftm_user_service_project(session, FIRST_ATTEMPTS);

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
	ftm_named_lock_tag(tag, LOCK_AUTH_SERVER, psprintf("%u", session->serverid));
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

int64
ftm_user_session_now(void)
{
	return GetCurrentTimestamp() / 1000 +
		(int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;
}
