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
#include "utils/memutils.h"

#include "state.h"
#include "user_session.h"

/* A user that the run created, or may have created. */
typedef struct Deletion
{
	char		source_id[UUID_TEXT_SIZE];	/* hash key */
	char		target_id[UUID_TEXT_SIZE];	/* "": not known yet */
	bool		answered;		/* the service's answer said target_id */
	bool		confirmed;		/* the service still says the same */
} Deletion;

static List *list_users(UserSession *session, HTAB *deletions,
						int64 *settled);
static void wait_until(UserSession *session, int64 time);
static void confirm_user(UserSession *session, const StackUser *user,
						 void *arg);
static void delete_user(UserSession *session, const Deletion *deletion);
static void forget_user(const Deletion *deletion);

int
ftm_users_delete(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate deletion",
												  ALLOCSET_DEFAULT_SIZES);
	HTAB	   *deletions;
	HASHCTL		control;
	List	   *users;
	ListCell   *lc;
	int64		settled;
	int			deleted = 0;

	memset(&control, 0, sizeof(control));
	control.keysize = UUID_TEXT_SIZE;
	control.entrysize = sizeof(Deletion);
	control.hcxt = session->context;
	deletions = hash_create("ftmigrate users to delete", 1024, &control,
							HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	users = list_users(session, deletions, &settled);
	wait_until(session, settled);
	ftm_user_session_scan(session, false, 0, confirm_user, deletions);

	foreach(lc, users)
	{
		Deletion   *deletion = lfirst(lc);
		MemoryContext old = MemoryContextSwitchTo(context);

		CHECK_FOR_INTERRUPTS();
		if (deletion->confirmed)
		{
			delete_user(session, deletion);
			deleted++;
		}
		forget_user(deletion);
		pgstat_report_activity(STATE_RUNNING,
							   psprintf("delete users: %d of %d", deleted,
										list_length(users)));
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	ftm_user_session_close(session);
	return deleted;
}

/*
 * What the run created: a List of Deletion, which are in the hash, too.
 * *settled: when the last request without an answer is executed or lost, in
 * milliseconds since 1970.
 */
static List *
list_users(UserSession *session, HTAB *deletions, int64 *settled)
{
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
		Deletion   *deletion = hash_search(deletions,
										   ftm_rowset_value(rows, row, 0),
										   HASH_ENTER, NULL);
		const char *target_id = ftm_rowset_value(rows, row, 1);

		deletion->answered = target_id != NULL;
		strlcpy(deletion->target_id, target_id != NULL ? target_id : "",
				UUID_TEXT_SIZE);
		deletion->confirmed = false;
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
 * Deleting twice is harmless: the second time, the user is not found.
 */
static void
delete_user(UserSession *session, const Deletion *deletion)
{
	for (int n = 1;; n++)
	{
		StackAnswer *answer;

		ftm_stackauth_delete_user(session->stack, deletion->target_id, NULL);
		answer = ftm_stackauth_wait(session->stack, -1);
		if (answer->verdict == STACK_DONE || answer->status == 404)
			return;
		if (n > 10 || answer->verdict == STACK_REFUSED ||
			answer->verdict == STACK_MISCONFIGURED)
			ftm_stackauth_report(session->stack, answer, "delete users");
		(void) ftm_stackauth_wait(session->stack,
								  ftm_user_session_delay(session, answer, n));
	}
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
