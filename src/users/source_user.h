/*-------------------------------------------------------------------------
 *
 * source_user.h
 *		Users as the source has them: schema auth of a Supabase database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SOURCE_USER_H
#define FTM_SOURCE_USER_H

#include "nodes/pg_list.h"

#include "remote/source.h"

/* A row of auth.identities: an account elsewhere that may sign in. */
typedef struct SourceIdentity
{
	char	   *provider;		/* Supabase's name: "google", "azure", ... */
	char	   *provider_id;	/* the account there */
	char	   *email;			/* may be NULL */
	char	   *azure_oid;		/* claims of Microsoft's, or NULL */
	char	   *azure_tid;
} SourceIdentity;

/*
 * A row of auth.users with all that belongs to it.  Absent and empty texts are
 * both NULL; times are in ISO 8601, UTC.
 */
typedef struct SourceUser
{
	char	   *id;
	char	   *email;
	char	   *password_hash;
	char	   *phone;
	char	   *role;
	char	   *aud;
	char	   *created_at;
	char	   *updated_at;
	char	   *last_sign_in_at;
	char	   *invited_at;
	char	   *email_confirmed_at;
	char	   *phone_confirmed_at;
	char	   *banned_until;
	char	   *deleted_at;
	char	   *user_metadata;	/* JSON */
	char	   *app_metadata;	/* JSON */
	char	   *display_name;	/* out of user_metadata */
	char	   *avatar_url;		/* likewise */
	bool		is_banned;		/* now */
	bool		is_anonymous;
	bool		is_sso_user;
	bool		is_super_admin;
	bool		has_pending_change; /* of e-mail or phone, not confirmed */
	bool		shares_email;	/* with a user who has a better claim to it */
	List	   *identities;		/* of SourceIdentity, last used first */
	char	   *totp_secret;	/* of the verified factor used last */
	bool		has_other_factors;	/* verified, of other types */
} SourceUser;

/* What the list of all users says about one. */
typedef struct SourceUserKey
{
	char	   *id;
	bool		shares_email;
} SourceUserKey;

/*
 * All users in the order in which they signed up; n: their number.  Nothing
 * here needs a transaction in the target.  Error if the source has no
 * auth.users that can be read.
 */
extern SourceUserKey *ftm_supauser_list(SourceConnection *source, int *n);

/*
 * Everything about some of them: a List of SourceUser in the current memory
 * context, in the order in which they signed up.  keys: List of SourceUserKey.
 * Users that are not there are missing in the result.
 */
extern List *ftm_supauser_read(SourceConnection *source, const List *keys);

#endif							/* FTM_SOURCE_USER_H */
