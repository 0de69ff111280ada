/*-------------------------------------------------------------------------
 *
 * stackauth.h
 *		Stack Auth's REST API, as far as a migration needs it.
 *
 * Requests are started with one of the functions below and answered by
 * ftm_stackauth_wait(), in any order.  An answer says what its request means
 * for the caller, not only which status it had.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_STACKAUTH_H
#define FTM_STACKAUTH_H

#include "nodes/pg_list.h"

#include "compat.h"
#include "remote/server.h"

typedef struct StackAuth StackAuth;

/* What an answer means. */
typedef enum StackVerdict
{
	STACK_DONE,					/* done, and the answer is as documented */
	STACK_REFUSED,				/* this request is not accepted; not done */
	STACK_MISCONFIGURED,		/* no request would be; not done */
	STACK_BUSY,					/* too many requests; not done, try later */
	STACK_NOT_SENT,				/* no connection; not done, try later */
	STACK_IN_DOUBT				/* done or not: nobody knows */
} StackVerdict;

/* An OAuth identity as the service has it. */
typedef struct StackProvider
{
	char	   *id;
	char	   *account_id;
} StackProvider;

/*
 * A user as the service has it; texts in the database's encoding, ids as
 * uuid_out() prints them.
 */
typedef struct StackUser
{
	char	   *id;
	char	   *email;			/* NULL if none */
	bool		email_verified;
	bool		email_auth_enabled;
	bool		has_password;
	bool		requires_totp;
	bool		is_anonymous;
	bool		restricted_by_admin;
	List	   *providers;		/* of StackProvider */
	char	   *source_id;		/* of the user this extension made it for, or
								 * NULL */
	int64		run_id;			/* of the run that made it; 0: none did */
	int64		signed_up_millis;
} StackUser;

typedef struct StackUserPage
{
	List	   *users;			/* of StackUser */
	char	   *next_cursor;	/* NULL on the last page */
} StackUserPage;

typedef struct StackProject
{
	char	   *display_name;
	bool		credential_enabled;
	bool		magic_link_enabled;
	List	   *providers;		/* of char *, ids of enabled OAuth providers */
} StackProject;

typedef struct StackAnswer
{
	StackVerdict verdict;
	int			status;			/* of HTTP; 0 if no answer came */
	bool		email_is_taken; /* STACK_REFUSED: somebody has it */
	bool		user_is_missing;	/* likewise: there is no such user */
	char	   *code;			/* of the error, "" if it has none */
	char	   *message;		/* printable; never a secret */
	char	   *request_id;
	int			retry_after;	/* milliseconds; 0 if not said */
	int			elapsed;		/* milliseconds that it took */
	StackUser  *user;			/* what was asked for, if STACK_DONE */
	StackUserPage *page;
	StackProject *project;
	char	   *user_id;		/* of who signed in */
	void	   *arg;
} StackAnswer;

/*
 * A client for this server.  timeout: of a request, in milliseconds.
 */
extern StackAuth *ftm_stackauth_create(MemoryContext context,
									   const AuthServer *server, int timeout,
									   int connect_timeout);

/*
 * Start a request; arg comes back with the answer.  Bodies are JSON in the
 * database's encoding.  unique: the service itself refuses to make this user
 * twice, so that the request may be repeated.  key: an idempotency key of
 * STACK_KEY_SIZE, see ftm_stackauth_renew_key(), or NULL.
 */
extern void ftm_stackauth_get_project(StackAuth *stack, void *arg);
extern void ftm_stackauth_get_user(StackAuth *stack, const char *id,
								   void *arg);
extern void ftm_stackauth_create_user(StackAuth *stack, const char *body,
									  bool unique, const char *key, void *arg);
extern void ftm_stackauth_update_user(StackAuth *stack, const char *id,
									  const char *body, void *arg);
extern void ftm_stackauth_delete_user(StackAuth *stack, const char *id,
									  void *arg);
extern void ftm_stackauth_add_provider(StackAuth *stack, const char *body,
									   void *arg);
extern void ftm_stackauth_add_email(StackAuth *stack, const char *body,
									void *arg);
extern void ftm_stackauth_send_reset(StackAuth *stack, const char *body,
									 const char *key, void *arg);
extern void ftm_stackauth_sign_in(StackAuth *stack, const char *body,
								  void *arg);

/*
 * A page of users by age, at most limit of them; query: only those with this
 * text in an e-mail or name, or NULL; cursor: as the page before said, or
 * NULL.  newest_first turns the order around.
 */
extern void ftm_stackauth_list_users(StackAuth *stack, int limit,
									 bool newest_first, const char *query,
									 const char *cursor, void *arg);

/*
 * A newer service executes requests with the same key and body once, and
 * answers the later ones as it answered the first, be that an error; an older
 * one ignores keys.  So the key of a request whose answer was lost is kept when
 * it is repeated, and any other repetition takes a new one.  key: at least
 * STACK_KEY_SIZE bytes, "" if there is none yet; answer: to the request that
 * had it, or NULL.
 */
#define STACK_KEY_SIZE	33

extern void ftm_stackauth_renew_key(char *key, const StackAnswer *answer);

/*
 * As ftm_http_wait(): an answer in the current memory context, or NULL when
 * timeout milliseconds are over (-1: never).
 */
extern StackAnswer *ftm_stackauth_wait(StackAuth *stack, long timeout);

/*
 * Raise an answer that ends everything as an error: what was refused or lost
 * while doing what action says ("create users").
 */
pg_noreturn extern void ftm_stackauth_report(const StackAuth *stack,
											 const StackAnswer *answer,
											 const char *action);

#endif							/* FTM_STACKAUTH_H */
