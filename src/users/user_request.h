/*-------------------------------------------------------------------------
 *
 * user_request.h
 *		What becomes of a user: policies, and the requests that create it.
 *
 * Pure functions over a SourceUser: the same user, policies and project always
 * give the same requests.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_REQUEST_H
#define FTM_USER_REQUEST_H

#include "lib/stringinfo.h"

#include "remote/stackauth.h"
#include "users/source_user.h"

/* What the DBA decides about; user_request.c has names and defaults. */
typedef enum UserPolicyKind
{
	POLICY_UNCONFIRMED,			/* never confirmed, never signed in */
	POLICY_ANONYMOUS,
	POLICY_PHONE_ONLY,			/* Stack Auth knows no phones */
	POLICY_SSO,					/* signs in through SAML, which is not there */
	POLICY_BANNED,
	POLICY_SOFT_DELETED,
	POLICY_REFUSED_EMAIL,		/* an e-mail that Stack Auth does not accept */
	POLICY_REFUSED_HASH,		/* a hash that it does not accept */
	POLICY_LOST_MFA,			/* all verified factors cannot be carried */
	POLICY_MISSING_PROVIDER,	/* OAuth provider that the project lacks */
	POLICY_REFUSED_METADATA,	/* metadata that Stack Auth does not accept */
	POLICY_REFUSED_IMAGE		/* likewise, address of an image */
} UserPolicyKind;

#define USER_POLICIES	(POLICY_REFUSED_IMAGE + 1)

/* How; from lenient to strict, the strictest that applies wins. */
typedef enum UserTreatment
{
	TREAT_CREATE,				/* as a user like any other */
	TREAT_DROP,					/* likewise, without the thing refused */
	TREAT_RESTRICT,				/* restricted by the administrator */
	TREAT_DISABLE,				/* likewise, and no way to sign in */
	TREAT_SKIP,					/* not at all */
	TREAT_ERROR					/* don't begin before this is decided */
} UserTreatment;

typedef struct UserPolicies
{
	UserTreatment treatments[USER_POLICIES];
} UserPolicies;

/* Name of a policy, as its parameter is called. */
extern const char *ftm_user_policy_name(UserPolicyKind kind);

extern const char *ftm_user_treatment_name(UserTreatment treatment);

/* The inverse; false if there is no such treatment. */
extern bool ftm_user_treatment_by_name(const char *name,
									   UserTreatment *treatment);

/* The safe defaults. */
extern void ftm_user_policies_init(UserPolicies *policies);

/* The inverse of ftm_user_policy_name(); false if there is no such policy. */
extern bool ftm_user_policy_by_name(const char *name, UserPolicyKind *kind);

/* Set one by the text of its parameter; error if that is not possible. */
extern void ftm_user_policies_set(UserPolicies *policies, UserPolicyKind kind,
								  const char *value);

/* A request after the user was created. */
typedef enum UserExtraKind
{
	EXTRA_PROVIDER,				/* an OAuth account */
	EXTRA_EMAIL					/* another address */
} UserExtraKind;

typedef struct UserExtra
{
	UserExtraKind kind;
	const char *provider;		/* Stack Auth's name; NULL for EXTRA_EMAIL */
	const char *account_id;
	const char *source_provider;	/* Supabase's name, if a way to sign in */
	char	   *body;			/* JSON, but for the opening brace and the
								 * user's id */
	char	   *loss;			/* what is lost if it is refused */
} UserExtra;

/* What becomes of one user. */
typedef struct UserDecision
{
	UserTreatment treatment;
	const char *reason;			/* name of the policy that decided, or NULL */
	char	   *email;			/* for ftm_user; NULL if none */
	char	   *created_at;		/* in the source */
	bool		unique;			/* may sign in by e-mail: can't be made twice */
	const char *sent_email;		/* what the body says; NULL if nothing */
	bool		email_verified;
	bool		sends_password; /* likewise */
	bool		sends_anonymous;
	bool		had_password;
	bool		keeps_password;
	bool		must_reset;		/* no way to sign in before a reset */
	bool		unreachable;	/* no way at all */
	bool		has_mfa;
	bool		loses_mfa;
	List	   *lost_providers; /* of char *, Supabase's names */
	List	   *not_carried;	/* of char *, whatever else */
	List	   *missing_providers;	/* of char *, that the project lacks */
	char	   *body;			/* for POST /users */
	char	   *body_without_providers; /* NULL if it would be the same */
	char	   *totp_body;		/* for PATCH /users/..., or NULL */
	List	   *extras;			/* of UserExtra */
	List	   *provider_extras;	/* likewise: what the body's providers are,
								 * should they not be there afterwards */
} UserDecision;

/*
 * Decide about a user.  project: what it allows; NULL in its place means that
 * everything is allowed.  treatment: if not NULL, decided before; what the
 * user's kind says is ignored then.  run_id: 0 if none.  No secret is in the
 * result but in the bodies.
 */
extern UserDecision *ftm_user_decide(const SourceUser *user,
									 const UserPolicies *policies,
									 const UserTreatment *treatment,
									 const StackProject *project,
									 int64 run_id);

/*
 * What is wrong with a user that the service says it has made for the source's
 * user of this id?  NULL if nothing is.
 */
extern const char *ftm_user_decision_difference(const UserDecision *decision,
												const char *source_id,
												const StackUser *user);

/* Which of the decision's UserExtra does the user not show?  A new List. */
extern List *ftm_user_decision_missing_extras(const UserDecision *decision,
											  const StackUser *user);

#endif							/* FTM_USER_REQUEST_H */
