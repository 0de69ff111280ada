/*-------------------------------------------------------------------------
 *
 * user_service.h
 *		The auth service while users are worked on: how many requests it can
 *		take, what to do when it is out of order, and who is there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_SERVICE_H
#define FTM_USER_SERVICE_H

#include "users/user_session.h"

/*
 * Wait for the answer to the only request in flight, and start it again with
 * start(session, arg) as long as the settings allow (attempts: or at most so
 * many times; 0: no limit).  The answer is what was asked for, or that there is
 * no such user.  Errors: see ftm_stackauth_report(); action as there.
 */
extern StackAnswer *ftm_user_service_answer(UserSession *session,
											void (*start) (UserSession *session, void *arg),
											void *arg, int attempts,
											const char *action);

/* Ask for the project, the only request in flight; as above. */
extern StackProject *ftm_user_service_project(UserSession *session,
											  int attempts);

/*
 * Read all users of the service, oldest first, or newest first down to those
 * that signed up before stop_before (milliseconds since 1970).  seen is called
 * for each, in a memory context that is reset after each page.
 */
extern void ftm_user_service_scan(UserSession *session, bool newest_first,
								  int64 stop_before,
								  void (*seen) (UserSession *session,
												const StackUser *user,
												void *arg),
								  void *arg);

/*
 * How long to wait before the nth repetition (from 1), in milliseconds: what
 * the service asks for, else exponential, with jitter.
 */
extern int	ftm_user_service_delay(const UserSession *session,
								   const StackAnswer *answer, int n);

/*
 * Take note of an answer: it says how many requests the service can take, and
 * whether it is in order.
 */
extern void ftm_user_service_note(UserSession *session,
								  const StackAnswer *answer);

/*
 * How many requests may be in flight now?  0: the service does not seem to be
 * in order, so let those that are in flight end, then recover.
 */
extern int	ftm_user_service_room(const UserSession *session);

/*
 * With no request in flight, wait until the service is in order again.  True if
 * it was not, so that what was not answered was nobody's fault.  Error when the
 * time that the settings allow is over.
 */
extern bool ftm_user_service_recover(UserSession *session,
									 const char *action);

#endif							/* FTM_USER_SERVICE_H */
