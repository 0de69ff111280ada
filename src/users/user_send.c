/*-------------------------------------------------------------------------
 *
 * user_send.c
 *		Creating users in the auth service, each exactly once.
 *
 * A request whose answer was lost may have been executed, and not every service
 * heeds idempotency keys.  What keeps a user from being made twice:
 *
 * - "sending" is committed before the request leaves, so that a crash leaves
 *	 a trace;
 * - every user carries the source's id in its server_metadata: a scan of the
 *	 service's users finds what was made without our hearing of it;
 * - an e-mail that may be used to sign in is unique in the service: such a
 *	 request may be repeated, and is answered by a conflict if it was executed
 *	 before;
 * - any other user in doubt is looked for, and sent again only when its
 *	 request is so old that it will not be executed any more.
 *
 * A user counts as created when everything is there, its TOTP secret included.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"

#include "users/user_send.h"
#include "users/user_service.h"
#include "users/user_state.h"

/* Repetitions of one request, or of the search for one user. */
#define MAX_REPETITIONS		10

/* The service's clock may differ from ours by so much, in milliseconds. */
#define CLOCK_SKEW			(10 * 60 * 1000)

/* E-mails that the look-up of one may find: the search is for substrings. */
#define LOOKUP_LIMIT		50

typedef enum SendStep
{
	STEP_CREATE,				/* POST the user */
	STEP_LOOKUP,				/* its e-mail is taken: by itself? */
	STEP_FETCH,					/* it is there already: what is missing? */
	STEP_TOTP,					/* PATCH the secret in */
	STEP_EXTRA					/* further accounts and addresses */
} SendStep;

/* Users read together; their memory goes when the last of them is done. */
typedef struct SendBatch
{
	MemoryContext context;
	int			jobs;
} SendBatch;

/* A user on its way. */
typedef struct SendJob
{
	SendBatch  *batch;
	UserEntry  *entry;
	UserDecision *decision;
	SendStep	step;
	int			repetitions;	/* of this step */
	int			server_errors;	/* with the body that has OAuth providers */
	char		key[STACK_KEY_SIZE];	/* of the latest STEP_CREATE */
	char	   *cursor;			/* of STEP_LOOKUP */
	List	   *extras;			/* of UserExtra: left to do */
	int			extra_failures; /* requests for them that came to nothing */
	int64		not_before;		/* milliseconds since 1970 */
} SendJob;

typedef struct Sender
{
	UserSession *session;
	int			next_key;		/* first one that was not read yet */
	int			nfinal;			/* keys whose users need no more */
	List	   *ready;			/* of SendJob */
	List	   *doubtful;		/* of SendJob: not to be sent again blindly */
	int			in_flight;
	int			refusals;		/* in a row: the service had too much to do */
	int64		refused_since;	/* milliseconds since 1970 */
	int64		not_before;		/* for all: the service asked to wait */
	int			duplicates;
	MemoryContext context;		/* of one round of the loop */
} Sender;

static void find_existing(Sender *sender);
static void send_ready(Sender *sender);
static void read_batch(Sender *sender);
static SendJob *make_job(Sender *sender, SendBatch *batch, UserEntry *entry,
						 UserDecision *decision);
static void make_ready(Sender *sender, SendJob *job, bool first);
static void make_doubtful(Sender *sender, SendJob *job);
static void release_job(SendJob *job);
static void start_jobs(Sender *sender);
static void start_step(Sender *sender, SendJob *job);
static void recover(Sender *sender);
static void take_answer(Sender *sender);
static void note_answer(Sender *sender, SendJob *job,
						const StackAnswer *answer);
static void create_answered(Sender *sender, SendJob *job,
							const StackAnswer *answer);
static void lookup_answered(Sender *sender, SendJob *job,
							const StackAnswer *answer);
static void fetch_answered(Sender *sender, SendJob *job,
						   const StackAnswer *answer);
static void totp_answered(Sender *sender, SendJob *job,
						  const StackAnswer *answer);
static void extra_answered(Sender *sender, SendJob *job,
						   const StackAnswer *answer);
static void continue_with(Sender *sender, SendJob *job,
						  const StackUser *user, const StackAnswer *answer);
static void next_step(Sender *sender, SendJob *job,
					  const StackAnswer *answer);
static void postpone(Sender *sender, SendJob *job, const StackAnswer *answer);
static void end_job(Sender *sender, SendJob *job, UserStatus status,
					const StackAnswer *answer, const char *reason);
static void record(Sender *sender, SendJob *job, UserStatus status,
				   const StackAnswer *answer, const char *reason);
static void resolve_doubts(Sender *sender);

void
ftm_user_send_all(UserSession *session)
{
	Sender		sender = {0};
	int			rounds = 0;

	sender.session = session;
	sender.context = AllocSetContextCreate(CurrentMemoryContext,
										   "ftmigrate answers",
										   ALLOCSET_DEFAULT_SIZES);
	find_existing(&sender);
	send_ready(&sender);
	while (sender.doubtful != NIL && rounds++ < MAX_REPETITIONS)
	{
		resolve_doubts(&sender);
		send_ready(&sender);
	}
	while (sender.doubtful != NIL)
	{
		SendJob    *job = linitial(sender.doubtful);

		sender.doubtful = list_delete_first(sender.doubtful);
		end_job(&sender, job, USER_IN_DOUBT, NULL,
				"no request was answered; it may exist");
	}
	MemoryContextDelete(sender.context);
}

/* ------------------------------------------------------------------------
 * Users that are there already
 * ------------------------------------------------------------------------
 */

/*
 * A user of the service was seen.  Of duplicates, the first that was seen is
 * kept: scans are oldest first but for those who are in doubt, who cannot have
 * any.
 */
static void
user_seen(UserSession *session, const StackUser *user, void *arg)
{
	Sender	   *sender = arg;
	UserEntry  *entry = user->source_id == NULL ? NULL :
	ftm_user_session_entry(session, user->source_id);

	if (entry == NULL)
		return;
	if (entry->target_id[0] == '\0')
		strlcpy(entry->target_id, user->id, UUID_TEXT_SIZE);
	else if (strcmp(entry->target_id, user->id) != 0)
	{
		sender->duplicates++;
		ereport(WARNING,
				(errmsg("user %s exists twice in auth server \"%s\"",
						entry->id, session->task->auth_server),
				 errdetail("User %s is used, user %s is not.",
						   entry->target_id, user->id),
				 errhint("Delete the latter unless somebody made it on purpose.")));
	}
}

/*
 * Look through all users of the service once, if there is anything to send:
 * what an earlier call made is adopted, even if the state of that call is
 * lost.
 */
static void
find_existing(Sender *sender)
{
	UserSession *session = sender->session;
	bool		needed = false;

	for (int i = 0; i < session->nkeys && !needed; i++)
	{
		UserEntry  *entry = ftm_user_session_entry(session,
												   session->keys[i].id);

		needed = !ftm_user_entry_is_final(entry) &&
			entry->status != USER_SKIPPED;
	}
	if (needed)
		ftm_user_service_scan(session, false, 0, user_seen, sender);
}

/*
 * When did the newest, or oldest, of these requests leave?
 */
static int64
doubt_time(const Sender *sender, bool newest)
{
	int64		time = 0;
	ListCell   *lc;

	foreach(lc, sender->doubtful)
	{
		int64		sent_at = ((SendJob *) lfirst(lc))->entry->sent_at;

		if (time == 0 || (newest ? sent_at > time : sent_at < time))
			time = sent_at;
	}
	return time;
}

static int
unknown_doubts(const Sender *sender)
{
	int			n = 0;
	ListCell   *lc;

	foreach(lc, sender->doubtful)
	{
		if (((SendJob *) lfirst(lc))->entry->target_id[0] == '\0')
			n++;
	}
	return n;
}

/*
 * Find out which of the doubtful users exist.  A request may still be executed
 * some time after it was given up, so "not there" counts only when the settle
 * time is over.
 */
static void
resolve_doubts(Sender *sender)
{
	UserSession *session = sender->session;
	int64		since = doubt_time(sender, false) - CLOCK_SKEW;
	ListCell   *lc;

	ftm_user_service_scan(session, true, since, user_seen, sender);
	if (unknown_doubts(sender) > 0)
	{
		int64		settled = doubt_time(sender, true) +
			session->task->settle_time;
		int64		left = settled - ftm_user_session_now();

		if (left > 0)
			(void) ftm_stackauth_wait(session->stack, (long) left);
		ftm_user_service_scan(session, true, since, user_seen, sender);
	}

	foreach(lc, sender->doubtful)
	{
		SendJob    *job = lfirst(lc);

		job->step = job->entry->target_id[0] != '\0' ?
			STEP_FETCH : STEP_CREATE;
		job->not_before = 0;
		make_ready(sender, job, false);
	}
	list_free(sender->doubtful);
	sender->doubtful = NIL;
}

/* ------------------------------------------------------------------------
 * The loop
 * ------------------------------------------------------------------------
 */

/*
 * Until nothing is ready and nothing in flight.
 */
static void
send_ready(Sender *sender)
{
	MemoryContext old = CurrentMemoryContext;
	int			most = sender->session->task->concurrency;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(sender->context);

		while (list_length(sender->ready) < most &&
			   sender->next_key < sender->session->nkeys)
			read_batch(sender);
		if (sender->ready == NIL && sender->in_flight == 0)
			break;

		MemoryContextSwitchTo(sender->context);
		if (sender->in_flight == 0 &&
			ftm_user_service_room(sender->session) == 0)
			recover(sender);
		start_jobs(sender);
		take_answer(sender);
		MemoryContextSwitchTo(old);
	}
}

/*
 * Read the next users from the source and make jobs for those that need one.
 */
static void
read_batch(Sender *sender)
{
	UserSession *session = sender->session;
	MemoryContext old = CurrentMemoryContext;
	SendBatch  *batch;
	List	   *keys = NIL;
	ListCell   *lc;

	while (sender->next_key < session->nkeys &&
		   list_length(keys) < USER_BATCH_SIZE)
	{
		SourceUserKey *key = &session->keys[sender->next_key++];
		UserEntry  *entry = ftm_user_session_entry(session, key->id);

		if (ftm_user_entry_is_final(entry) || entry->status == USER_SKIPPED)
			sender->nfinal++;
		else
			keys = lappend(keys, key);
	}
	if (keys == NIL)
		return;

	batch = palloc0(sizeof(SendBatch));
	batch->context = AllocSetContextCreate(session->context,
										   "ftmigrate batch of users",
										   ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(batch->context);
	foreach(lc, ftm_supauser_read(session->source, keys))
	{
		SourceUser *user = lfirst(lc);
		UserDecision *decision = ftm_user_session_decide(session, user);
		UserEntry  *entry = ftm_user_session_entry(session, user->id);

		if (decision->body == NULL)
			sender->nfinal++;
		else
		{
			SendJob    *job = make_job(sender, batch, entry, decision);

			if (job->step == STEP_CREATE && job->not_before > 0)
				make_doubtful(sender, job);
			else
				make_ready(sender, job, false);
		}
	}
	MemoryContextSwitchTo(old);
	if (batch->jobs == 0)
	{
		MemoryContextDelete(batch->context);
		pfree(batch);
	}
	list_free(keys);
}

/*
 * A job's first step.  One that must not be sent before its last request has
 * settled gets a time in not_before.
 */
static SendJob *
make_job(Sender *sender, SendBatch *batch, UserEntry *entry,
		 UserDecision *decision)
{
	SendJob    *job = palloc0(sizeof(SendJob));
	int64		settled = entry->sent_at + sender->session->task->settle_time;

	batch->jobs++;
	job->batch = batch;
	job->entry = entry;
	job->decision = decision;
	if (entry->target_id[0] != '\0')
		job->step = STEP_FETCH;
	else if ((entry->status == USER_SENDING ||
			  entry->status == USER_IN_DOUBT) && !decision->unique &&
			 ftm_user_session_now() < settled)
		job->not_before = settled;
	return job;
}

/*
 * Both lists live as long as the session, whatever context is current.
 */
static void
make_ready(Sender *sender, SendJob *job, bool first)
{
	MemoryContext old = MemoryContextSwitchTo(sender->session->context);

	sender->ready = first ? lcons(job, sender->ready) :
		lappend(sender->ready, job);
	MemoryContextSwitchTo(old);
}

static void
make_doubtful(Sender *sender, SendJob *job)
{
	MemoryContext old = MemoryContextSwitchTo(sender->session->context);

	sender->doubtful = lappend(sender->doubtful, job);
	MemoryContextSwitchTo(old);
}

static void
release_job(SendJob *job)
{
	SendBatch  *batch = job->batch;

	if (--batch->jobs > 0)
		return;
	MemoryContextDelete(batch->context);
	pfree(batch);
}

/*
 * Start as many ready jobs as may be in flight.  Before the first request that
 * creates a user leaves, the state of all of them is committed.
 */
static void
start_jobs(Sender *sender)
{
	UserSession *session = sender->session;
	int64		now = ftm_user_session_now();
	int			room = ftm_user_service_room(session) - sender->in_flight;
	List	   *starting = NIL;
	List	   *creating = NIL;
	ListCell   *lc;

	if (now < sender->not_before)
		return;
	foreach(lc, sender->ready)
	{
		SendJob    *job = lfirst(lc);

		if (list_length(starting) >= room)
			break;
		if (job->not_before > now)
			continue;
		starting = lappend(starting, job);
		if (job->step == STEP_CREATE)
			creating = lappend(creating, job->entry);
		sender->ready = foreach_delete_current(sender->ready, lc);
	}

	if (creating != NIL)
	{
		ftm_user_session_begin();
		ftm_user_state_sending(session, creating);
		ftm_user_session_commit();
	}
	foreach(lc, creating)
	{
		UserEntry  *entry = lfirst(lc);

		entry->status = USER_SENDING;
		entry->sent_at = ftm_user_session_now();
	}
	foreach(lc, starting)
		start_step(sender, lfirst(lc));
	list_free(starting);
	list_free(creating);
}

static char *
body_for_user(const UserEntry *entry, const char *rest)
{
	return psprintf("{\"user_id\": \"%s\", %s", entry->target_id, rest);
}

static void
start_step(Sender *sender, SendJob *job)
{
	StackAuth  *stack = sender->session->stack;
	UserDecision *decision = job->decision;
	UserExtra  *extra;

	sender->in_flight++;
	switch (job->step)
	{
		case STEP_CREATE:
			if (job->key[0] == '\0')
				ftm_stackauth_renew_key(job->key, NULL);
			/* Refused for its providers, it seems: they can follow. */
			ftm_stackauth_create_user(stack,
									  job->server_errors > 1 &&
									  decision->body_without_providers != NULL ?
									  decision->body_without_providers :
									  decision->body,
									  decision->unique, job->key, job);
			break;
		case STEP_LOOKUP:
			ftm_stackauth_list_users(stack, LOOKUP_LIMIT, false,
									 decision->sent_email, job->cursor, job);
			break;
		case STEP_FETCH:
			ftm_stackauth_get_user(stack, job->entry->target_id, job);
			break;
		case STEP_TOTP:
			ftm_stackauth_update_user(stack, job->entry->target_id,
									  decision->totp_body, job);
			break;
		case STEP_EXTRA:
			extra = linitial(job->extras);
			if (extra->kind == EXTRA_PROVIDER)
				ftm_stackauth_add_provider(stack,
										   body_for_user(job->entry, extra->body),
										   job);
			else
				ftm_stackauth_add_email(stack,
										body_for_user(job->entry, extra->body),
										job);
			break;
	}
}

/*
 * Until when may nothing happen?  -1: until an answer comes.
 */
static long
time_to_wait(const Sender *sender)
{
	int64		now = ftm_user_session_now();
	int64		next = PG_INT64_MAX;
	ListCell   *lc;

	if (sender->in_flight < ftm_user_service_room(sender->session))
	{
		foreach(lc, sender->ready)
			next = Min(next, ((SendJob *) lfirst(lc))->not_before);
		if (next < PG_INT64_MAX)
			next = Max(next, sender->not_before);
	}
	if (next == PG_INT64_MAX)
		return sender->in_flight > 0 ? -1 : 0;
	return (long) Max(0, Min(next - now, 3600 * 1000));
}

/*
 * Wait for one answer and act on it.
 */
static void
take_answer(Sender *sender)
{
	UserSession *session = sender->session;
	StackAnswer *answer = ftm_stackauth_wait(session->stack,
											 time_to_wait(sender));
	SendJob    *job;

	if (answer == NULL)
		return;
	job = answer->arg;
	sender->in_flight--;

	note_answer(sender, job, answer);

	switch (job->step)
	{
		case STEP_CREATE:
			create_answered(sender, job, answer);
			break;
		case STEP_LOOKUP:
			lookup_answered(sender, job, answer);
			break;
		case STEP_FETCH:
			fetch_answered(sender, job, answer);
			break;
		case STEP_TOTP:
			totp_answered(sender, job, answer);
			break;
		case STEP_EXTRA:
			extra_answered(sender, job, answer);
			break;
	}
}

/*
 * What an answer says about the service; an error if it says that nothing more
 * will be accepted.
 */
static void
note_answer(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	UserSession *session = sender->session;
	int64		now = ftm_user_session_now();

	ftm_user_service_note(session, answer);
	if (job->step == STEP_CREATE)
		ftm_stackauth_renew_key(job->key, answer);
	if (answer->verdict != STACK_BUSY)
		sender->refusals = 0;
	else if (sender->refusals++ == 0)
		sender->refused_since = now;

	if (answer->verdict == STACK_MISCONFIGURED ||
		(answer->verdict == STACK_BUSY &&
		 now - sender->refused_since > session->task->outage_timeout))
	{
		/* Not executed: no need to look for it next time. */
		if (job->step == STEP_CREATE)
			record(sender, job, USER_PENDING, answer, NULL);
		ftm_stackauth_report(session->stack, answer, "create users");
	}
}

/*
 * All users wait until the service is in order again.  If it was not, that is
 * not held against those whose requests came to nothing.
 */
static void
recover(Sender *sender)
{
	ListCell   *lc;

	if (!ftm_user_service_recover(sender->session, "create users"))
		return;
	foreach(lc, sender->ready)
	{
		SendJob    *job = lfirst(lc);

		job->repetitions = 0;
		job->server_errors = 0;
		job->extra_failures = 0;
		job->not_before = 0;
	}
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

static void
create_answered(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	switch (answer->verdict)
	{
		case STACK_DONE:
			continue_with(sender, job, answer->user, answer);
			return;
		case STACK_REFUSED:
			if (answer->email_is_taken && job->decision->sent_email != NULL)
			{
				job->step = STEP_LOOKUP;
				job->repetitions = 0;
				job->cursor = NULL;
				make_ready(sender, job, true);
				return;
			}
			end_job(sender, job, USER_FAILED, answer, answer->message);
			return;
		case STACK_IN_DOUBT:
			/* The service's answer to an account that is in use, too. */
			if (answer->status == 500)
				job->server_errors++;
			if (!job->decision->unique)
			{
				record(sender, job, USER_IN_DOUBT, answer, answer->message);
				make_doubtful(sender, job);
				return;
			}
			break;
		default:
			break;
	}
	postpone(sender, job, answer);
}

/*
 * Who has the e-mail?  The search is for substrings, so look closely.
 */
static void
lookup_answered(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	ListCell   *lc;

	if (answer->verdict == STACK_REFUSED)
	{
		end_job(sender, job, USER_FAILED, answer, answer->message);
		return;
	}
	if (answer->verdict != STACK_DONE)
	{
		postpone(sender, job, answer);
		return;
	}
	foreach(lc, answer->page->users)
	{
		StackUser  *user = lfirst(lc);

		if (user->email == NULL || !user->email_auth_enabled ||
			pg_strcasecmp(user->email, job->decision->sent_email) != 0)
			continue;
		if (user->source_id != NULL &&
			strcmp(user->source_id, job->entry->id) == 0)
			continue_with(sender, job, user, answer);
		else
			end_job(sender, job, USER_CONFLICT, answer,
					psprintf("the e-mail belongs to Stack Auth user %s",
							 user->id));
		return;
	}
	if (answer->page->next_cursor != NULL)
	{
		job->cursor = MemoryContextStrdup(job->batch->context,
										  answer->page->next_cursor);
		make_ready(sender, job, true);
		return;
	}
	end_job(sender, job, USER_CONFLICT, answer,
			"the e-mail is a further one of another Stack Auth user");
}

static void
fetch_answered(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	if (answer->verdict == STACK_DONE)
		continue_with(sender, job, answer->user, answer);
	else if (answer->user_is_missing)
	{
		/* Deleted since; nobody else deletes what we have not finished. */
		job->entry->target_id[0] = '\0';
		job->step = STEP_CREATE;
		make_ready(sender, job, true);
	}
	else if (answer->verdict == STACK_REFUSED)
		end_job(sender, job, USER_FAILED, answer, answer->message);
	else
		postpone(sender, job, answer);
}

/*
 * The user is there: what is missing?
 */
static void
continue_with(Sender *sender, SendJob *job, const StackUser *user,
			  const StackAnswer *answer)
{
	const char *problem = ftm_user_decision_difference(job->decision,
													   job->entry->id, user);
	bool		last_step;
	MemoryContext old;

	strlcpy(job->entry->target_id, user->id, UUID_TEXT_SIZE);
	if (problem != NULL)
	{
		end_job(sender, job, USER_FAILED, answer, problem);
		return;
	}

	old = MemoryContextSwitchTo(job->batch->context);
	job->extras = ftm_user_decision_missing_extras(job->decision, user);
	MemoryContextSwitchTo(old);

	last_step = job->extras == NIL && job->decision->totp_body == NULL;
	if (!last_step)
		record(sender, job, USER_SENDING, answer, NULL);
	job->step = STEP_CREATE;
	next_step(sender, job, answer);
}

/*
 * Go on after a step that succeeded.
 */
static void
next_step(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	job->repetitions = 0;
	job->not_before = 0;
	if (job->step < STEP_TOTP && job->decision->totp_body != NULL)
		job->step = STEP_TOTP;
	else if (job->extras != NIL)
		job->step = STEP_EXTRA;
	else
	{
		end_job(sender, job, USER_CREATED, answer, NULL);
		return;
	}
	make_ready(sender, job, true);
}

/*
 * Setting the same secret twice is harmless.
 */
static void
totp_answered(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	if (answer->verdict == STACK_DONE && answer->user->requires_totp)
		next_step(sender, job, answer);
	else if (answer->verdict == STACK_DONE ||
			 answer->verdict == STACK_REFUSED)
		end_job(sender, job, USER_FAILED, answer,
				"the TOTP secret was not accepted");
	else
		postpone(sender, job, answer);
}

/*
 * What cannot be added is lost, but the user is complete without it.  After a
 * lost answer the user is looked at before the request is repeated; an e-mail
 * that is there already is told by its text.
 */
static void
extra_answered(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	UserExtra  *extra = linitial(job->extras);
	bool		given_up = false;

	if (answer->verdict == STACK_IN_DOUBT)
	{
		/* An account that is in use is the service's own error, too. */
		given_up = ++job->extra_failures > MAX_REPETITIONS;
		job->step = given_up ? STEP_EXTRA : STEP_FETCH;
	}
	if (!given_up && answer->verdict != STACK_DONE &&
		answer->verdict != STACK_REFUSED)
	{
		postpone(sender, job, answer);
		return;
	}
	if (answer->verdict == STACK_REFUSED && job->repetitions > 0)
	{
		/* Refused because it is there since the first time?  Look. */
		job->step = STEP_FETCH;
		job->repetitions = 0;
		make_ready(sender, job, true);
		return;
	}
	if (given_up ||
		(answer->verdict == STACK_REFUSED &&
		 strstr(answer->message, "already exists") == NULL))
	{
		ftm_user_session_begin();
		ftm_user_state_lose(job->entry, extra,
							extra->source_provider != NULL &&
							job->decision->unique &&
							!job->decision->keeps_password);
		ftm_user_session_commit();
	}
	job->extras = list_delete_first(job->extras);
	next_step(sender, job, answer);
}

/*
 * Try the step again later.  When the service is busy, everybody waits.
 */
static void
postpone(Sender *sender, SendJob *job, const StackAnswer *answer)
{
	int64		now = ftm_user_session_now();
	int			n = answer->verdict == STACK_BUSY ?
		sender->refusals : ++job->repetitions;

	if (job->repetitions > MAX_REPETITIONS)
	{
		end_job(sender, job, USER_IN_DOUBT, answer, answer->message);
		return;
	}
	job->not_before = now + ftm_user_service_delay(sender->session, answer,
												   Max(1, n));
	if (answer->verdict == STACK_BUSY)
		sender->not_before = Max(sender->not_before, job->not_before);
	make_ready(sender, job, false);
}

static void
record(Sender *sender, SendJob *job, UserStatus status,
	   const StackAnswer *answer, const char *reason)
{
	job->entry->status = status;
	ftm_user_session_begin();
	ftm_user_state_set(sender->session, job->entry, answer, reason);
	ftm_user_session_commit();
}

static void
end_job(Sender *sender, SendJob *job, UserStatus status,
		const StackAnswer *answer, const char *reason)
{
	record(sender, job, status, answer, reason);
	sender->nfinal++;
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("create users: %d of %d",
									sender->nfinal, sender->session->nkeys));
	release_job(job);
}
