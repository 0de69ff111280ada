/*-------------------------------------------------------------------------
 *
 * user_session.h
 *		What the modules that work on users share: both connections, and every
 *		user's state.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_SESSION_H
#define FTM_USER_SESSION_H

#include "utils/hsearch.h"

#include "remote/stackauth.h"
#include "users/request_window.h"
#include "users/users.h"

#define UUID_TEXT_SIZE	37		/* terminating NUL included */

/* Users read from the source at a time. */
#define USER_BATCH_SIZE	200

/* States of a user; user_state.c has their names. */
typedef enum UserStatus
{
	USER_PENDING,
	USER_SENDING,				/* sent, the answer is not known here yet */
	USER_CREATED,
	USER_MATCHED,				/* existed already */
	USER_CONFLICT,				/* somebody else has the e-mail */
	USER_IN_DOUBT,				/* sent, and no answer came */
	USER_FAILED,
	USER_SKIPPED,
	USER_GONE					/* not in the source any more */
} UserStatus;

/* A user of the source, as ftm_user knows it. */
typedef struct UserEntry
{
	char		id[UUID_TEXT_SIZE]; /* hash key */
	char		target_id[UUID_TEXT_SIZE];	/* "" if not known */
	UserStatus	status;
	UserTreatment treatment;
	bool		registered;		/* has a row in ftm_user */
	bool		shares_email;
	bool		lost_account;	/* an OAuth account is in use there */
	int64		sent_at;		/* milliseconds since 1970; 0: never */
} UserEntry;

typedef struct UserSession
{
	const UsersTask *task;
	MemoryContext context;		/* as long as the session */
	Oid			serverid;		/* of the auth server */
	SourceConnection *source;	/* in a snapshot */
	StackAuth  *stack;
	StackProject *project;
	char	   *project_id;
	SourceUserKey *keys;		/* in order of sign-up */
	int			nkeys;
	HTAB	   *entries;		/* of UserEntry, by id */
	RequestWindow window;		/* of requests in flight */
	int			failures;		/* requests in a row that came to nothing */
} UserSession;

/*
 * Connect to both ends, ask the service for its project, and list the users.
 * Without a source in the task, there is a connection to the service only.
 * Only one session per auth server at a time: waits for another one.
 */
extern UserSession *ftm_user_session_open(const UsersTask *task);
extern void ftm_user_session_close(UserSession *session);

/*
 * Short transactions.  What is palloc'd in between lives on, in the context
 * that was current before.
 */
extern void ftm_user_session_begin(void);
extern void ftm_user_session_commit(void);

extern UserEntry *ftm_user_session_entry(const UserSession *session,
										 const char *id);

/* Decide about all users who are not done with and record it; see users.c. */
extern void ftm_users_register(UserSession *session);

/* Is there nothing left to do about this user? */
extern bool ftm_user_entry_is_final(const UserEntry *entry);

/* What becomes of a user in this session. */
extern UserDecision *ftm_user_session_decide(const UserSession *session,
											 const SourceUser *user);

/* Milliseconds since 1970. */
extern int64 ftm_user_session_now(void);

#endif							/* FTM_USER_SESSION_H */
