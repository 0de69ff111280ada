/*-------------------------------------------------------------------------
 *
 * user_send.h
 *		Creating users in the auth service, each exactly once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_SEND_H
#define FTM_USER_SEND_H

#include "users/user_session.h"

/*
 * Create every registered user of the session that is not there yet, and
 * record what became of each.  Errors: only what stops everything.
 */
extern void ftm_user_send_all(UserSession *session);

#endif							/* FTM_USER_SEND_H */
