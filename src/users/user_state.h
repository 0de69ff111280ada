/*-------------------------------------------------------------------------
 *
 * user_state.h
 *		State of users: ftm_user, and their entries in ftm_user_map.
 *
 * Called in workers only, inside a transaction of the caller's; statements run
 * as the owner of the extension.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_STATE_H
#define FTM_USER_STATE_H

#include "base/rowset.h"
#include "users/user_session.h"

extern const char *ftm_user_status_name(UserStatus status);

/*
 * Error if users were created in another project than this one: the map holds
 * the ids of one.
 */
extern void ftm_user_state_check_project(const char *project_id);

/* Fill in what ftm_user and ftm_user_map know about the session's users. */
extern void ftm_user_state_load(UserSession *session);

/*
 * Users of the session's source who are in it no more, and were not moved, are
 * "gone".  Returns how many have gone since the last call.
 */
extern int	ftm_user_state_mark_gone(const UserSession *session);

/* Did an earlier call decide about users of the session's source? */
extern bool ftm_user_state_were_decided(const UserSession *session);

/* Remember the task's policies for its source, or set those remembered. */
extern void ftm_user_state_put_policies(const UsersTask *task);
extern void ftm_user_state_get_policies(const char *source,
										UserPolicies *policies);

/*
 * Record decisions, as List of RegisteredUser.  Users that are final are left
 * alone.
 */
typedef struct RegisteredUser
{
	const UserEntry *entry;
	const UserDecision *decision;
} RegisteredUser;

extern void ftm_user_state_register(const UserSession *session,
									const List *users);

/* These users (List of UserEntry) are about to be sent: status, time, attempt. */
extern void ftm_user_state_sending(const UserSession *session,
								   const List *entries);

/*
 * Set a user's state from the entry, with the last answer (may be NULL) and a
 * reason for the DBA (may be NULL).  When it is USER_CREATED or USER_MATCHED,
 * the user gets its entry in the map.
 */
extern void ftm_user_state_set(const UserSession *session,
							   const UserEntry *entry,
							   const StackAnswer *answer, const char *reason);

/*
 * The service refused an account or address of a user: that is not carried,
 * either.
 */
extern void ftm_user_state_lose(UserEntry *entry, const UserExtra *extra,
								bool must_reset);

/* What is wrong with a user; NULL: nothing. */
typedef struct UserVerdict
{
	const UserEntry *entry;
	const char *difference;
} UserVerdict;

/* Record verdicts: List of UserVerdict. */
extern void ftm_user_state_verified(const List *verdicts);

/* One line about all users in ftm_user; dry_run: as they will be. */
extern char *ftm_user_state_summary(bool dry_run);

#endif							/* FTM_USER_STATE_H */
