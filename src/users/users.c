/*-------------------------------------------------------------------------
 *
 * users.c
 *		Moving users to the auth service: preflight and the step itself.
 *
 * First every user of the source is decided about, and that is recorded in
 * ftm_user; if a user cannot be created, or the project does not allow what
 * users need, nothing is sent.  Then user_send.c creates them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "load/task.h"
#include "run/state.h"
#include "users/user_send.h"
#include "users/user_session.h"
#include "users/user_state.h"

/* Users named in one message. */
#define MAX_NAMED		10

/* What keeps users from being created. */
typedef struct Survey
{
	int			passwords;		/* that would be sent */
	int			gone;			/* users who were in the source before */
	bool		decided_before;
	int			appeared;		/* users since an earlier call decided */
	StringInfoData newcomers;	/* the first of them */
	int			refused;		/* users whom a policy says to ask about */
	StringInfoData names;		/* the first of them, one per line */
	List	   *missing_providers;	/* of MissingProvider */
	MemoryContext context;
} Survey;

typedef struct MissingProvider
{
	char	   *name;
	int			users;
} MissingProvider;

static void survey_users(UserSession *session, Survey *survey, bool write);
static void survey_batch(UserSession *session, Survey *survey, List *keys,
						 bool write);
static void note_decision(Survey *survey, const UserSession *session,
						  const UserEntry *entry,
						  const UserDecision *decision);
static void note_missing_provider(Survey *survey, const char *name);
static void report_summary(const UserSession *session);
static void report_changes(const Survey *survey);
static void note_newcomer(Survey *survey, const SourceUser *user);
static void raise_problems(const UserSession *session, const Survey *survey,
						   int level);

UsersTask *
ftm_users_make_task(const char *source, const char *auth_server)
{
	UsersTask  *task = palloc0(sizeof(UsersTask));

	task->source = pstrdup(source);
	task->auth_server = pstrdup(auth_server);
	ftm_user_policies_init(&task->policies);
	ftm_user_state_get_policies(source, &task->policies);
	task->concurrency = ftm_auth_concurrency;
	task->timeout = ftm_auth_timeout;
	task->max_delay = ftm_auth_max_delay;
	task->settle_time = ftm_auth_settle_time;
	task->outage_timeout = ftm_auth_outage_timeout;
	task->retention_days = ftm_retention_days;
	return task;
}

void
ftm_users_put_task(StringInfo buffer, const UsersTask *task)
{
	pq_sendint64(buffer, task->run_id);
	ftm_task_put_string(buffer, task->source);
	ftm_task_put_string(buffer, task->auth_server);
	ftm_task_put_string(buffer, task->snapshot);
	for (int i = 0; i < USER_POLICIES; i++)
		pq_sendbyte(buffer, task->policies.treatments[i]);
	pq_sendbyte(buffer, task->decide_again);
	pq_sendbyte(buffer, task->dry_run);
	pq_sendint32(buffer, task->accounts);
	ftm_task_put_string(buffer, task->callback_url);
	pq_sendint32(buffer, task->max_mails);
	pq_sendint32(buffer, task->mails_per_hour);
	pq_sendint32(buffer, task->concurrency);
	pq_sendint32(buffer, task->timeout);
	pq_sendint32(buffer, task->max_delay);
	pq_sendint32(buffer, task->settle_time);
	pq_sendint32(buffer, task->outage_timeout);
	pq_sendint32(buffer, task->retention_days);
}

UsersTask *
ftm_users_get_task(StringInfo buffer)
{
	UsersTask  *task = palloc0(sizeof(UsersTask));

	task->run_id = pq_getmsgint64(buffer);
	task->source = ftm_task_get_string(buffer);
	task->auth_server = ftm_task_get_string(buffer);
	task->snapshot = ftm_task_get_string(buffer);
	for (int i = 0; i < USER_POLICIES; i++)
		task->policies.treatments[i] = (UserTreatment) pq_getmsgbyte(buffer);
	task->decide_again = pq_getmsgbyte(buffer);
	task->dry_run = pq_getmsgbyte(buffer);
	task->accounts = pq_getmsgint(buffer, 4);
	task->callback_url = ftm_task_get_string(buffer);
	task->max_mails = pq_getmsgint(buffer, 4);
	task->mails_per_hour = pq_getmsgint(buffer, 4);
	task->concurrency = pq_getmsgint(buffer, 4);
	task->timeout = pq_getmsgint(buffer, 4);
	task->max_delay = pq_getmsgint(buffer, 4);
	task->settle_time = pq_getmsgint(buffer, 4);
	task->outage_timeout = pq_getmsgint(buffer, 4);
	task->retention_days = pq_getmsgint(buffer, 4);
	return task;
}

void
ftm_users_check(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	Survey		survey;

	survey_users(session, &survey, false);
	raise_problems(session, &survey, ERROR);
	ftm_user_session_close(session);
}

int
ftm_users_migrate(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	Survey		survey;
	int			missing = 0;

	if (task->decide_again)
	{
		ftm_user_session_begin();
		ftm_user_state_put_policies(task);
		ftm_user_session_commit();
	}
	survey_users(session, &survey, true);
	report_changes(&survey);
	raise_problems(session, &survey, task->dry_run ? WARNING : ERROR);
	if (!task->dry_run)
	{
		ftm_user_send_all(session);
		for (int i = 0; i < session->nkeys; i++)
		{
			UserEntry  *entry = ftm_user_session_entry(session,
													   session->keys[i].id);

			if (!ftm_user_entry_is_final(entry) &&
				entry->status != USER_SKIPPED)
				missing++;
		}
	}
	report_summary(session);
	ftm_user_session_close(session);
	return missing;
}

/*
 * Who has come and gone since an earlier call decided about the users.
 */
static void
report_changes(const Survey *survey)
{
	if (survey->appeared > 0)
		ereport(NOTICE,
				(errmsg_plural("%d user has signed up since the users were decided about",
							   "%d users have signed up since the users were decided about",
							   survey->appeared, survey->appeared),
				 errdetail_internal("%s", survey->newcomers.data)));
	if (survey->gone > 0)
		ereport(NOTICE,
				(errmsg_plural("%d user is not in the source any more",
							   "%d users are not in the source any more",
							   survey->gone, survey->gone),
				 errdetail("They are not created.  SELECT * FROM ftm_user WHERE status = 'gone'; names them.")));
}

/*
 * How many, and how many keep their password: for whoever watches, and for the
 * log of the run.
 */
static void
report_summary(const UserSession *session)
{
	char	   *summary;

	ftm_user_session_begin();
	summary = ftm_user_state_summary(session->task->dry_run);
	if (session->task->run_id != 0)
		ftm_state_log(session->task->run_id, "LOG", NULL, summary);
	ftm_user_session_commit();
	ereport(NOTICE, (errmsg_internal("%s", summary)));
}

void
ftm_users_register(UserSession *session)
{
	Survey		survey;

	survey_users(session, &survey, true);
}

/*
 * Decide about all users who are not done with; write: record it.
 */
static void
survey_users(UserSession *session, Survey *survey, bool write)
{
	List	   *keys = NIL;

	memset(survey, 0, sizeof(Survey));
	survey->context = CurrentMemoryContext;
	initStringInfo(&survey->names);
	initStringInfo(&survey->newcomers);
	if (write)
	{
		ftm_user_session_begin();
		survey->decided_before = ftm_user_state_were_decided(session);
		survey->gone = ftm_user_state_mark_gone(session);
		ftm_user_session_commit();
	}
	for (int i = 0; i < session->nkeys; i++)
	{
		SourceUserKey *key = &session->keys[i];
		UserEntry  *entry = ftm_user_session_entry(session, key->id);
		bool		done = ftm_user_entry_is_final(entry) ||
			(entry->status == USER_SKIPPED && !session->task->decide_again);

		if (entry->registered && done)
			continue;
		keys = lappend(keys, key);
		if (list_length(keys) == USER_BATCH_SIZE)
		{
			survey_batch(session, survey, keys, write);
			list_free(keys);
			keys = NIL;
		}
	}
	survey_batch(session, survey, keys, write);
}

static void
survey_batch(UserSession *session, Survey *survey, List *keys, bool write)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate batch of users",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *registered = NIL;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, keys == NIL ? NIL : ftm_supauser_read(session->source, keys))
	{
		SourceUser *user = lfirst(lc);
		UserEntry  *entry = ftm_user_session_entry(session, user->id);
		RegisteredUser *row = palloc(sizeof(RegisteredUser));

		if (survey->decided_before && !entry->registered &&
			!ftm_user_entry_is_final(entry))
			note_newcomer(survey, user);
		row->entry = entry;
		row->decision = ftm_user_session_decide(session, user);
		registered = lappend(registered, row);
		if (!ftm_user_entry_is_final(entry))
			note_decision(survey, session, entry, row->decision);
	}
	if (write)
	{
		ftm_user_session_begin();
		ftm_user_state_register(session, registered);
		ftm_user_session_commit();
		foreach(lc, registered)
		{
			RegisteredUser *row = lfirst(lc);
			UserEntry  *entry = ftm_user_session_entry(session,
													   row->entry->id);

			entry->registered = true;
			entry->treatment = row->decision->treatment;
			if (ftm_user_entry_is_final(entry) ||
				entry->status == USER_SENDING ||
				entry->status == USER_IN_DOUBT)
				continue;
			entry->status = entry->treatment == TREAT_SKIP ?
				USER_SKIPPED : USER_PENDING;
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
note_newcomer(Survey *survey, const SourceUser *user)
{
	if (survey->appeared++ < MAX_NAMED)
		appendStringInfo(&survey->newcomers, "%sUser %s (%s).",
						 survey->appeared > 1 ? "\n" : "", user->id,
						 user->email != NULL ? user->email : "no e-mail");
}

static void
note_decision(Survey *survey, const UserSession *session,
			  const UserEntry *entry, const UserDecision *decision)
{
	bool		missing_is_error =
		session->task->policies.treatments[POLICY_MISSING_PROVIDER] == TREAT_ERROR;
	ListCell   *lc;

	if (decision->treatment == TREAT_SKIP)
		return;
	if (decision->sends_password)
		survey->passwords++;
	if (missing_is_error && decision->missing_providers != NIL)
	{
		foreach(lc, decision->missing_providers)
			note_missing_provider(survey, lfirst(lc));
		if (strcmp(decision->reason,
				   ftm_user_policy_name(POLICY_MISSING_PROVIDER)) == 0)
			return;
	}
	if (decision->treatment == TREAT_ERROR &&
		survey->refused++ < MAX_NAMED)
		appendStringInfo(&survey->names, "\nUser %s (%s): %s.", entry->id,
						 decision->email != NULL ? decision->email : "no e-mail",
						 decision->reason);
}

static void
note_missing_provider(Survey *survey, const char *name)
{
	MemoryContext old;
	MissingProvider *missing;
	ListCell   *lc;

	foreach(lc, survey->missing_providers)
	{
		missing = lfirst(lc);
		if (strcmp(missing->name, name) == 0)
		{
			missing->users++;
			return;
		}
	}
	old = MemoryContextSwitchTo(survey->context);
	missing = palloc(sizeof(MissingProvider));
	missing->name = pstrdup(name);
	missing->users = 1;
	survey->missing_providers = lappend(survey->missing_providers, missing);
	MemoryContextSwitchTo(old);
}

/*
 * All that is wrong, in one error, or in a warning if it may yet be decided.
 */
static void
raise_problems(const UserSession *session, const Survey *survey, int level)
{
	StringInfoData detail;
	StringInfoData hint;
	ListCell   *lc;

	initStringInfo(&detail);
	initStringInfo(&hint);
	if (survey->passwords > 0 && !session->project->credential_enabled)
	{
		appendStringInfo(&detail, ngettext("\n%d user has a password, but the project does not allow to sign in with one.",
										   "\n%d users have a password, but the project does not allow to sign in with one.",
										   survey->passwords),
						 survey->passwords);
		appendStringInfoString(&hint, "  Enable password authentication in the Stack Auth project.");
	}
	foreach(lc, survey->missing_providers)
	{
		MissingProvider *missing = lfirst(lc);

		appendStringInfo(&detail, ngettext("\n%d user signs in through OAuth provider \"%s\", which the project does not have.",
										   "\n%d users sign in through OAuth provider \"%s\", which the project does not have.",
										   missing->users),
						 missing->users, missing->name);
	}
	if (survey->missing_providers != NIL)
		appendStringInfoString(&hint, "  Configure the OAuth providers in the project, or call ftm_migrate_users() with missing_provider => 'drop' first.");
	if (survey->refused > 0)
	{
		appendStringInfo(&detail, ngettext("\n%d user cannot be created as it is:%s",
										   "\n%d users cannot be created as they are:%s",
										   survey->refused),
						 survey->refused, survey->names.data);
		appendStringInfoString(&hint, "  Correct these users in the source, or say what to do with them: call ftm_migrate_users() with the parameter that is named behind each.");
	}
	if (detail.len == 0)
		return;

	ereport(level,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("users cannot be created in auth server \"%s\"",
					session->task->auth_server),
			 errdetail_internal("%s", detail.data + 1),
			 errhint("%s", hint.data + 2)));
}
