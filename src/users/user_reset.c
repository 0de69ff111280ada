/*-------------------------------------------------------------------------
 *
 * user_reset.c
 *		Password resets for those whose password could not be carried.
 *
 * One mail after the other, as slowly as the project's mail server bears.  Each
 * request makes a mail, so one whose answer was lost is not repeated: that the
 * mail is on its way is committed before the request leaves, and taken back only
 * when the service has said that it did nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "run/state.h"
#include "users/user_service.h"

#define MILLISECONDS_PER_HOUR	(3600 * 1000)

static RowSet *list_recipients(int max_mails);
static bool send_reset(UserSession *session, const char *id,
					   const char *email);
static StackAnswer *request_reset(UserSession *session, const char *email);
static void record_reset(const char *id, bool sent, bool in_doubt);

int
ftm_users_send_resets(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate reset",
												  ALLOCSET_DEFAULT_SIZES);
	long		pause = MILLISECONDS_PER_HOUR / task->mails_per_hour;
	RowSet	   *rows = list_recipients(task->max_mails);
	int			accepted = 0;

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
		if (send_reset(session, ftm_rowset_value(rows, row, 0), email))
			accepted++;
		MemoryContextSwitchTo(old);
		MemoryContextReset(context);
	}
	ftm_user_session_close(session);
	if (accepted < rows->nrows)
		ereport(WARNING,
				(errmsg_plural("%d password reset may have been sent or not",
							   "%d password resets may have been sent or not",
							   rows->nrows - accepted,
							   rows->nrows - accepted),
				 errdetail("The auth service did not answer, and a second request would send a second mail."),
				 errhint("SELECT email FROM ftm_user WHERE reset_in_doubt; shows to whom.  To send these again, UPDATE ftm_user SET reset_sent_at = NULL WHERE reset_in_doubt; and call the function again.")));
	return accepted;
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

/*
 * True if the service has accepted the mail, false if nobody knows.
 */
static bool
send_reset(UserSession *session, const char *id, const char *email)
{
	StackAnswer *answer;

	record_reset(id, true, true);
	answer = request_reset(session, email);
	if (answer->verdict == STACK_DONE)
		record_reset(id, true, false);
	else if (answer->verdict != STACK_IN_DOUBT)
	{
		record_reset(id, false, false);
		ftm_stackauth_report(session->stack, answer, "send a password reset");
	}
	return answer->verdict == STACK_DONE;
}

/*
 * Repeated only as long as it was not executed.
 */
static StackAnswer *
request_reset(UserSession *session, const char *email)
{
	int64		give_up = ftm_user_session_now() +
		session->task->outage_timeout;
	char		key[STACK_KEY_SIZE] = "";
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"email\": ");
	escape_json(&body, email);
	appendStringInfoString(&body, ", \"callback_url\": ");
	escape_json(&body, session->task->callback_url);
	appendStringInfoChar(&body, '}');
	for (int n = 1;; n++)
	{
		StackAnswer *answer;

		ftm_stackauth_renew_key(key, NULL);
		ftm_stackauth_send_reset(session->stack, body.data, key, NULL);
		answer = ftm_stackauth_wait(session->stack, -1);
		if ((answer->verdict != STACK_BUSY &&
			 answer->verdict != STACK_NOT_SENT) ||
			ftm_user_session_now() >= give_up)
			return answer;
		(void) ftm_stackauth_wait(session->stack,
								  ftm_user_service_delay(session, answer, n));
	}
}

static void
record_reset(const char *id, bool sent, bool in_doubt)
{
	const char *params[3] = {id, sent ? "t" : "f", in_doubt ? "t" : "f"};

	ftm_user_session_begin();
	(void) ftm_state_query("UPDATE @schema@.ftm_user"
						   "   SET reset_sent_at = CASE WHEN $2::boolean THEN clock_timestamp() END,"
						   "       reset_in_doubt = $3::boolean"
						   " WHERE source_user_id = $1::uuid",
						   3, params);
	ftm_user_session_commit();
}
