/*-------------------------------------------------------------------------
 *
 * user_delete.c
 *		Taking back the users that a run created in the auth service.
 *
 * Only users that the run made itself, and that still say so in their
 * server_metadata, are deleted: never one who was matched, nor one who was
 * made by hand under an id that the map happens to hold.  The run may have been
 * stopped before it heard of a user that the service made: such a user is
 * found by the same server_metadata, once no request is under way any more.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "run/state.h"
#include "users/user_service.h"

/* Repetitions of one request. */
#define MAX_REPETITIONS		10

/* A user that the run created, or may have created. */
typedef struct Deletion
{
	char		source_id[UUID_TEXT_SIZE];	/* hash key */
	char		target_id[UUID_TEXT_SIZE];	/* "": not known yet */
	bool		answered;		/* the service's answer said target_id */
	bool		confirmed;		/* the service still says the same */
	int			repetitions;	/* of the request */
} Deletion;

typedef struct Deleter
{
	UserSession *session;
	HTAB	   *deletions;		/* of Deletion, by source_id */
	List	   *users;			/* the same, in order */
	int			next;			/* first of them that was not sent yet */
	List	   *again;			/* those whose request has to be repeated */
	int			in_flight;
	int64		not_before;		/* milliseconds since 1970: the service asked
								 * to wait */
	int			deleted;
} Deleter;

static List *list_users(Deleter *deleter, int64 *settled);
static void wait_until(UserSession *session, int64 time);
static void confirm_user(UserSession *session, const StackUser *user,
						 void *arg);
static void start_deletion_of_nobody(UserSession *session, void *arg);
static void start_deletions(Deleter *deleter);
static void take_answer(Deleter *deleter);
static void forget_user(const Deletion *deletion);

int
ftm_users_delete(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate deletion",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = CurrentMemoryContext;
	Deleter		deleter = {0};
	HASHCTL		control;
	int64		settled;

	memset(&control, 0, sizeof(control));
	control.keysize = UUID_TEXT_SIZE;
	control.entrysize = sizeof(Deletion);
	control.hcxt = session->context;
	deleter.session = session;
	deleter.deletions = hash_create("ftmigrate users to delete", 1024,
									&control,
									HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	deleter.users = list_users(&deleter, &settled);
	wait_until(session, settled);
	ftm_user_service_scan(session, false, 0, confirm_user, deleter.deletions);

	while (deleter.next < list_length(deleter.users) ||
		   deleter.again != NIL || deleter.in_flight > 0)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(context);
		if (deleter.in_flight == 0)
		{
			wait_until(session, deleter.not_before);
			if (ftm_user_service_room(session) == 0)
				(void) ftm_user_service_recover(session, "delete users");
		}
		start_deletions(&deleter);
		if (deleter.in_flight > 0)
			take_answer(&deleter);
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	ftm_user_session_close(session);
	return deleter.deleted;
}

/*
 * The service must say of a user who does not exist that there is none: then it
 * understands the request, and the key may make it.
 */
void
ftm_users_check_deletion(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);

	start_deletion_of_nobody(session, NULL);
	(void) ftm_user_service_answer(session, start_deletion_of_nobody, NULL, 0,
								   "delete users");
	ftm_user_session_close(session);
}

static void
start_deletion_of_nobody(UserSession *session, void *arg pg_attribute_unused())
{
	char	   *id = DatumGetCString(DirectFunctionCall1(uuid_out,
														 DirectFunctionCall1(gen_random_uuid, (Datum) 0)));

	ftm_stackauth_delete_user(session->stack, id, NULL);
}

/*
 * What the run created: a List of Deletion, which are in the hash, too.
 * *settled: when the last request without an answer is executed or lost, in
 * milliseconds since 1970.
 */
static List *
list_users(Deleter *deleter, int64 *settled)
{
	UserSession *session = deleter->session;
	const char *params[2];
	List	   *users = NIL;
	RowSet	   *rows;

	params[0] = psprintf(INT64_FORMAT, session->task->run_id);
	params[1] = session->task->auth_server;
	ftm_user_session_begin();
	rows = ftm_state_query("SELECT u.source_user_id, u.target_user_id,"
						   "       (extract(epoch FROM u.sent_at) * 1000)::bigint"
						   USERS_OF_RUN_SQL
						   "   AND u.auth_server = $2::name",
						   2, params);
	ftm_user_session_commit();
	*settled = 0;
	for (int row = 0; row < rows->nrows; row++)
	{
		Deletion   *deletion = hash_search(deleter->deletions,
										   ftm_rowset_value(rows, row, 0),
										   HASH_ENTER, NULL);
		const char *target_id = ftm_rowset_value(rows, row, 1);

		deletion->answered = target_id != NULL;
		strlcpy(deletion->target_id, target_id != NULL ? target_id : "",
				UUID_TEXT_SIZE);
		deletion->confirmed = false;
		deletion->repetitions = 0;
		if (!deletion->answered)
			*settled = Max(*settled, ftm_rowset_int64(rows, row, 2) +
						   session->task->settle_time);
		users = lappend(users, deletion);
	}
	return users;
}

static void
wait_until(UserSession *session, int64 time)
{
	int64		left;

	while ((left = time - ftm_user_session_now()) > 0)
		(void) ftm_stackauth_wait(session->stack, (long) Min(left, 1000));
}

static void
confirm_user(UserSession *session, const StackUser *user, void *arg)
{
	Deletion   *deletion = user->source_id == NULL ? NULL :
		hash_search(arg, user->source_id, HASH_FIND, NULL);

	if (deletion == NULL)
		return;
	if (!deletion->answered && user->run_id == session->task->run_id)
		strlcpy(deletion->target_id, user->id, UUID_TEXT_SIZE);
	if (strcmp(deletion->target_id, user->id) == 0)
		deletion->confirmed = true;
}

/*
 * As many as the service can take.  Those who are not there any more, or say
 * something else by now, need no request.
 */
static void
start_deletions(Deleter *deleter)
{
	int			room = ftm_user_service_room(deleter->session);

	if (ftm_user_session_now() < deleter->not_before)
		return;
	while (deleter->in_flight < room)
	{
		Deletion   *deletion;

		if (deleter->again != NIL)
		{
			deletion = linitial(deleter->again);
			deleter->again = list_delete_first(deleter->again);
		}
		else if (deleter->next < list_length(deleter->users))
			deletion = list_nth(deleter->users, deleter->next++);
		else
			break;
		if (!deletion->confirmed)
		{
			forget_user(deletion);
			continue;
		}
		ftm_stackauth_delete_user(deleter->session->stack,
								  deletion->target_id, deletion);
		deleter->in_flight++;
	}
}

/*
 * Deleting twice is harmless: the second time, the user is not found.
 */
static void
take_answer(Deleter *deleter)
{
	UserSession *session = deleter->session;
	StackAnswer *answer = ftm_stackauth_wait(session->stack, -1);
	Deletion   *deletion = answer->arg;
	MemoryContext old;

	deleter->in_flight--;
	ftm_user_service_note(session, answer);
	if (answer->verdict == STACK_DONE || answer->user_is_missing)
	{
		forget_user(deletion);
		deleter->deleted++;
		pgstat_report_activity(STATE_RUNNING,
							   psprintf("delete users: %d of %d",
										deleter->deleted,
										list_length(deleter->users)));
		return;
	}
	if (answer->verdict == STACK_REFUSED ||
		answer->verdict == STACK_MISCONFIGURED ||
		++deletion->repetitions > MAX_REPETITIONS)
		ftm_stackauth_report(session->stack, answer, "delete users");
	if (answer->verdict == STACK_BUSY)
		deleter->not_before = ftm_user_session_now() +
			ftm_user_service_delay(session, answer, deletion->repetitions);
	old = MemoryContextSwitchTo(session->context);
	deleter->again = lappend(deleter->again, deletion);
	MemoryContextSwitchTo(old);
}

/*
 * The user is to be created anew, should there be another run.
 */
static void
forget_user(const Deletion *deletion)
{
	const char *params[2] = {deletion->source_id,
	deletion->answered ? deletion->target_id : NULL};

	ftm_user_session_begin();
	(void) ftm_state_query("DELETE FROM @schema@.ftm_user_map"
						   " WHERE source_user_id = $1::uuid"
						   "   AND target_user_id = $2::uuid",
						   2, params);
	(void) ftm_state_query("DELETE FROM @schema@.ftm_user"
						   " WHERE source_user_id = $1::uuid"
						   "   AND target_user_id IS NOT DISTINCT FROM $2::uuid",
						   2, params);
	ftm_user_session_commit();
}
