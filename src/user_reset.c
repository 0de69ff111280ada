/*-------------------------------------------------------------------------
 *
 * user_reset.c
 *		Password resets for those whose password could not be carried.
 *
 * One mail after the other, as slowly as the project's mail server bears.  A
 * user whose mail was accepted is not asked for again, so a call may be broken
 * off and repeated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "state.h"
#include "user_session.h"

#define MILLISECONDS_PER_HOUR	(3600 * 1000)

static RowSet *list_recipients(int max_mails);
static void start_reset(UserSession *session, void *arg);
static void record_reset(const char *id);

int
ftm_users_send_resets(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate reset",
												  ALLOCSET_DEFAULT_SIZES);
	long		pause = MILLISECONDS_PER_HOUR / task->mails_per_hour;
	RowSet	   *rows = list_recipients(task->max_mails);

	for (int row = 0; row < rows->nrows; row++)
	{
		MemoryContext old = MemoryContextSwitchTo(context);
		char	   *email = ftm_rowset_value(rows, row, 1);

		CHECK_FOR_INTERRUPTS();
		if (row > 0)
			(void) ftm_stackauth_wait(session->stack, pause);
		pgstat_report_activity(STATE_RUNNING,
							   psprintf("send password resets: %d of %d",
										row + 1, rows->nrows));
		start_reset(session, email);
		(void) ftm_user_session_answer(session, start_reset, email,
									   "send a password reset");
		record_reset(ftm_rowset_value(rows, row, 0));
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	ftm_user_session_close(session);
	return rows->nrows;
}

/*
 * Those who must reset their password, have an e-mail that the service knows
 * them by, and got no mail yet.
 */
static RowSet *
list_recipients(int max_mails)
{
	const char *params[1] = {max_mails > 0 ? psprintf("%d", max_mails) : NULL};
	RowSet	   *rows;

	ftm_user_session_begin();
	rows = ftm_state_query("SELECT source_user_id, email"
						   "  FROM @schema@.ftm_user"
						   " WHERE must_reset_password AND status = 'created'"
						   "   AND reset_sent_at IS NULL"
						   " ORDER BY user_created_at, source_user_id"
						   " LIMIT $1::integer",
						   1, params);
	ftm_user_session_commit();
	return rows;
}

static void
start_reset(UserSession *session, void *arg)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"email\": ");
	escape_json(&body, arg);
	appendStringInfoString(&body, ", \"callback_url\": ");
	escape_json(&body, session->task->callback_url);
	appendStringInfoChar(&body, '}');
	ftm_stackauth_send_reset(session->stack, body.data, NULL);
}

static void
record_reset(const char *id)
{
	ftm_user_session_begin();
	(void) ftm_state_query("UPDATE @schema@.ftm_user"
						   "   SET reset_sent_at = clock_timestamp()"
						   " WHERE source_user_id = $1::uuid",
						   1, &id);
	ftm_user_session_commit();
}
