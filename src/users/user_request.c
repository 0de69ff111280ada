/*-------------------------------------------------------------------------
 *
 * user_request.c
 *		What becomes of a user: the requests that create it.
 *
 * JSON is put together as text: the metadata goes through untouched that way,
 * where a JSON library would round numbers; that it is JSON was seen when it
 * came from the source.  The service rejects fields that
 * it does not know, and some values; whatever it would reject or silently
 * change is left out here, and named in not_carried.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/json.h"

#include "users/user_request.h"
#include "users/user_rules.h"

/* Longest name that the service takes, in UTF-16 units. */
#define MAX_DISPLAY_NAME	256

/* Microsoft's tenant of personal accounts, whose ids differ. */
#define PERSONAL_TENANT		"9188040d-6c67-4c5b-b112-36a304b66dad"

/*
 * Providers that both sides know, with the same account ids.  azure is
 * special: see account_of().
 */
static const struct
{
	const char *source;
	const char *target;
}			known_providers[] =
{
	{"apple", "apple"},
	{"azure", "microsoft"},
	{"discord", "discord"},
	{"facebook", "facebook"},
	{"github", "github"},
	{"gitlab", "gitlab"},
	{"google", "google"},
	{"linkedin", "linkedin"},
	{"linkedin_oidc", "linkedin"},
	{"spotify", "spotify"},
	{"twitch", "twitch"},
	{"twitter", "x"},
	{"x", "x"},
};

/* An identity that can be carried. */
typedef struct Account
{
	const char *provider;		/* Stack Auth's name */
	const char *account_id;
	const char *email;
	const char *source_provider;
} Account;

/* Everything about a user while it is decided about. */
typedef struct Decider
{
	const SourceUser *user;
	const UserPolicies *policies;
	const StackProject *project;
	int64		run_id;
	UserDecision *decision;
	bool		fixed;			/* treatment was decided before */
	const char *email;			/* that the user gets; NULL if none */
	bool		verified;
	const char *password_hash;	/* likewise */
	bool		otp;
	char	   *totp;			/* base64 */
	List	   *accounts;		/* of Account: one per provider */
	List	   *more_accounts;	/* of Account: further ones */
	List	   *left_identities;	/* of SourceIdentity: not carried */
	char	   *display_name;	/* what follows is as it is sent, or NULL */
	char	   *image_url;
	const char *user_metadata;
	const char *app_metadata;
} Decider;

static void apply_policy(Decider *decider, UserPolicyKind kind);
static void judge_kind(Decider *decider);
static void judge_email(Decider *decider);
static void judge_hash(Decider *decider);
static void judge_factors(Decider *decider);
static void judge_identities(Decider *decider);
static void judge_profile(Decider *decider);
static const char *judge_metadata(Decider *decider, const char *json,
								  const char *name);
static void judge_ways_in(Decider *decider);
static void judge_rest(Decider *decider);
static const char *account_of(const SourceIdentity *identity,
							  const char **provider);
static bool project_has(const StackProject *project, const char *provider);
static void add_email(Decider *decider, const char *email);
static void lose(Decider *decider, const char *what);
static char *build_body(const Decider *decider, bool with_providers);
static UserExtra *provider_extra(const Account *account, bool sign_in);

UserDecision *
ftm_user_decide(const SourceUser *user, const UserPolicies *policies,
				const UserTreatment *treatment, const StackProject *project,
				int64 run_id)
{
	UserDecision *decision = palloc0(sizeof(UserDecision));
	Decider		decider = {0};
	ListCell   *lc;

	decider.user = user;
	decider.policies = policies;
	decider.project = project;
	decider.run_id = run_id;
	decider.decision = decision;
	decision->email = user->email;
	decision->created_at = user->created_at;
	decision->treatment = treatment != NULL ? *treatment : TREAT_CREATE;
	decider.fixed = treatment != NULL;

	judge_kind(&decider);
	judge_email(&decider);
	judge_hash(&decider);
	judge_factors(&decider);
	judge_identities(&decider);
	judge_profile(&decider);
	judge_ways_in(&decider);
	judge_rest(&decider);
	if (decision->treatment >= TREAT_SKIP)
		return decision;

	decision->body = build_body(&decider, true);
	if (decider.accounts != NIL)
		decision->body_without_providers = build_body(&decider, false);
	if (decider.totp != NULL)
		decision->totp_body = psprintf("{\"totp_secret_base64\": \"%s\"}",
									   decider.totp);
	foreach(lc, decider.accounts)
		decision->provider_extras = lappend(decision->provider_extras,
											provider_extra(lfirst(lc), true));
	foreach(lc, decider.more_accounts)
		decision->extras = lappend(decision->extras,
								   provider_extra(lfirst(lc), false));
	return decision;
}

/*
 * The user is of this kind: treat it as the policy says, unless another one
 * was stricter.
 */
static void
apply_policy(Decider *decider, UserPolicyKind kind)
{
	UserDecision *decision = decider->decision;
	UserTreatment treatment = decider->policies->treatments[kind];

	if (decider->fixed)
	{
		if (decision->reason == NULL)
			decision->reason = ftm_user_policy_name(kind);
		return;
	}
	if (treatment == TREAT_DROP)
		treatment = TREAT_CREATE;
	if (decision->reason == NULL || treatment > decision->treatment)
		decision->reason = ftm_user_policy_name(kind);
	if (treatment > decision->treatment)
		decision->treatment = treatment;
}

static void
judge_kind(Decider *decider)
{
	const SourceUser *user = decider->user;

	if (user->deleted_at != NULL)
		apply_policy(decider, POLICY_SOFT_DELETED);
	if (user->is_banned)
		apply_policy(decider, POLICY_BANNED);
	if (user->is_anonymous)
		apply_policy(decider, POLICY_ANONYMOUS);
	else if (user->email == NULL && user->phone != NULL)
		apply_policy(decider, POLICY_PHONE_ONLY);
	if (user->is_sso_user)
		apply_policy(decider, POLICY_SSO);
	if (!user->is_anonymous && user->deleted_at == NULL &&
		user->email_confirmed_at == NULL &&
		user->phone_confirmed_at == NULL && user->last_sign_in_at == NULL)
		apply_policy(decider, POLICY_UNCONFIRMED);
}

/*
 * A soft-deleted user's e-mail is a hash of what it was.
 */
static void
judge_email(Decider *decider)
{
	const SourceUser *user = decider->user;

	if (user->email == NULL || user->deleted_at != NULL)
		return;
	if (!ftm_user_rules_email_is_accepted(user->email))
	{
		apply_policy(decider, POLICY_REFUSED_EMAIL);
		lose(decider, "e-mail");
		return;
	}
	decider->email = user->email;
	decider->verified = user->email_confirmed_at != NULL;
	if (user->shares_email)
		lose(decider, "sign-in by e-mail, which another user has");
}

/*
 * A password is of use to nobody who has no e-mail to sign in with.
 */
static void
judge_hash(Decider *decider)
{
	const SourceUser *user = decider->user;
	UserDecision *decision = decider->decision;

	if (user->password_hash == NULL || user->deleted_at != NULL)
		return;
	decision->had_password = true;
	if (!ftm_user_rules_hash_is_accepted(user->password_hash))
	{
		apply_policy(decider, POLICY_REFUSED_HASH);
		lose(decider, "password");
	}
	else if (decider->email == NULL)
		lose(decider, "password");
	else
		decider->password_hash = user->password_hash;
}

static void
judge_factors(Decider *decider)
{
	const SourceUser *user = decider->user;
	UserDecision *decision = decider->decision;

	decision->has_mfa = user->totp_secret != NULL || user->has_other_factors;
	if (!decision->has_mfa)
		return;
	if (user->totp_secret != NULL)
		decider->totp = ftm_user_rules_totp_base64(user->totp_secret);
	if (decider->totp == NULL)
	{
		decision->loses_mfa = true;
		apply_policy(decider, POLICY_LOST_MFA);
		lose(decider, "multi-factor authentication");
	}
	else if (user->has_other_factors)
		lose(decider, "factors other than TOTP");
}

static bool
has_account(const List *accounts, const char *provider)
{
	ListCell   *lc;

	foreach(lc, accounts)
	{
		if (strcmp(((Account *) lfirst(lc))->provider, provider) == 0)
			return true;
	}
	return false;
}

/*
 * Sort the identities into those that are sent with the user, those that are
 * sent after it, and those that stay behind.
 */
static void
judge_identities(Decider *decider)
{
	UserDecision *decision = decider->decision;
	ListCell   *lc;

	foreach(lc, decider->user->identities)
	{
		SourceIdentity *identity = lfirst(lc);
		const char *provider = NULL;
		const char *account_id = account_of(identity, &provider);
		Account    *account;

		if (strcmp(identity->provider, "email") == 0)
		{
			add_email(decider, identity->email);
			continue;
		}
		if (strcmp(identity->provider, "phone") == 0)
			continue;
		if (account_id == NULL || decision->treatment >= TREAT_DISABLE ||
			!project_has(decider->project, provider))
		{
			if (account_id != NULL && decision->treatment < TREAT_DISABLE)
			{
				decision->missing_providers =
					lappend(decision->missing_providers, pstrdup(provider));
				apply_policy(decider, POLICY_MISSING_PROVIDER);
			}
			decider->left_identities = lappend(decider->left_identities,
											   identity);
			decision->lost_providers = lappend(decision->lost_providers,
											   identity->provider);
			continue;
		}

		account = palloc0(sizeof(Account));
		account->provider = provider;
		account->account_id = account_id;
		account->email = identity->email;
		account->source_provider = identity->provider;
		if (has_account(decider->accounts, provider))
			decider->more_accounts = lappend(decider->more_accounts, account);
		else
			decider->accounts = lappend(decider->accounts, account);
	}
}

/*
 * An identity by e-mail with another address than the user's.
 */
static void
add_email(Decider *decider, const char *email)
{
	UserExtra  *extra;
	StringInfoData body;

	if (email == NULL || decider->email == NULL ||
		pg_strcasecmp(email, decider->email) == 0 ||
		decider->decision->treatment >= TREAT_DISABLE)
		return;
	if (!ftm_user_rules_email_is_accepted(email))
	{
		lose(decider, "second e-mail");
		return;
	}
	initStringInfo(&body);
	appendStringInfoString(&body, "\"type\": \"email\", \"value\": ");
	escape_json(&body, email);
	appendStringInfoString(&body,
						   ", \"used_for_auth\": false, \"is_verified\": false}");
	extra = palloc0(sizeof(UserExtra));
	extra->kind = EXTRA_EMAIL;
	extra->body = body.data;
	extra->loss = "second e-mail";
	decider->decision->extras = lappend(decider->decision->extras, extra);
}

/*
 * How can the user sign in afterwards?
 */
static void
judge_ways_in(Decider *decider)
{
	UserDecision *decision = decider->decision;
	bool		enabled = decision->treatment < TREAT_DISABLE;
	bool		by_email = enabled && decider->email != NULL &&
		!decider->user->shares_email && !decider->user->is_anonymous;
	bool		magic_link = decider->project == NULL ||
		decider->project->magic_link_enabled;
	bool		has_way;

	decision->sent_email = decider->email;
	decision->email_verified = decider->verified;
	decision->sends_password = decider->password_hash != NULL;
	decision->sends_anonymous = decider->user->is_anonymous;
	decision->unique = by_email;
	decision->keeps_password = by_email && decider->password_hash != NULL;
	has_way = decision->keeps_password || decider->accounts != NIL;
	if (!has_way && by_email && decider->verified && magic_link &&
		!decision->had_password)
	{
		decider->otp = true;
		has_way = true;
	}
	decision->must_reset = by_email && !has_way;
	if (by_email && decision->had_password && !decision->keeps_password)
		decision->must_reset = true;
	decision->unreachable = enabled && !by_email && !has_way;
}

static void
judge_rest(Decider *decider)
{
	const SourceUser *user = decider->user;

	if (user->phone != NULL)
		lose(decider, "phone");
	if (user->has_pending_change)
		lose(decider, "pending change of e-mail or phone");
}

static void
lose(Decider *decider, const char *what)
{
	decider->decision->not_carried = lappend(decider->decision->not_carried,
											 pstrdup(what));
}

/*
 * Stack Auth's provider and account id for an identity; NULL if it has none.
 * Microsoft gives every application its own ids: only the claim oid, of work
 * and school accounts, is the same for both.
 */
static const char *
account_of(const SourceIdentity *identity, const char **provider)
{
	for (int i = 0; i < (int) lengthof(known_providers); i++)
	{
		if (strcmp(known_providers[i].source, identity->provider) != 0)
			continue;
		*provider = known_providers[i].target;
		if (strcmp(identity->provider, "azure") != 0)
			return identity->provider_id;
		if (identity->azure_tid != NULL &&
			strcmp(identity->azure_tid, PERSONAL_TENANT) == 0)
			return NULL;
		return identity->azure_oid;
	}
	return NULL;
}

static bool
project_has(const StackProject *project, const char *provider)
{
	ListCell   *lc;

	if (project == NULL)
		return true;
	foreach(lc, project->providers)
	{
		if (strcmp(lfirst(lc), provider) == 0)
			return true;
	}
	return false;
}

/*
 * Name, image and metadata, as far as the service accepts them.
 */
static void
judge_profile(Decider *decider)
{
	const SourceUser *user = decider->user;

	if (user->display_name != NULL)
	{
		decider->display_name = ftm_user_rules_cut_text(user->display_name,
														MAX_DISPLAY_NAME);
		if (strcmp(decider->display_name, user->display_name) != 0)
			lose(decider, "end of the display name");
	}
	if (user->avatar_url != NULL)
	{
		decider->image_url = ftm_user_rules_clean_url(user->avatar_url);
		if (decider->image_url == NULL)
		{
			apply_policy(decider, POLICY_REFUSED_IMAGE);
			lose(decider, "avatar");
		}
	}
	decider->user_metadata = judge_metadata(decider, user->user_metadata,
											"user metadata");
	decider->app_metadata = judge_metadata(decider, user->app_metadata,
										   "app metadata");
}

/*
 * The JSON if it may be sent, else NULL.  What becomes of it is named in
 * not_carried.
 */
static const char *
judge_metadata(Decider *decider, const char *json, const char *name)
{
	const char *problem = NULL;

	if (json == NULL)
		return NULL;
	switch (ftm_user_rules_check_metadata(json))
	{
		case METADATA_TOO_LARGE:
			problem = "too large";
			break;
		case METADATA_TOO_DEEP:
			problem = "nested too deeply";
			break;
		case METADATA_IMPRECISE:
			lose(decider, psprintf("precision of numbers in %s", name));
			break;
		case METADATA_FINE:
			break;
	}
	if (problem != NULL)
	{
		apply_policy(decider, POLICY_REFUSED_METADATA);
		lose(decider, psprintf("%s (%s)", name, problem));
		return NULL;
	}
	if (strstr(json, "\"__proto__\"") != NULL)
		lose(decider, psprintf("key __proto__ in %s", name));
	return json;
}

/* ------------------------------------------------------------------------
 * Bodies
 * ------------------------------------------------------------------------
 */

/*
 * Append a member to an object that is open.
 */
static void
put_key(StringInfo body, const char *key)
{
	char		last = body->data[body->len - 1];

	if (last != '{' && last != '[')
		appendStringInfoString(body, ", ");
	appendStringInfo(body, "\"%s\": ", key);
}

static void
put_text(StringInfo body, const char *key, const char *value)
{
	if (value == NULL)
		return;
	put_key(body, key);
	escape_json(body, value);
}

static void
put_bool(StringInfo body, const char *key, bool value)
{
	put_key(body, key);
	appendStringInfoString(body, value ? "true" : "false");
}

/*
 * JSON that was judged passes through as it is: a JSON library would round
 * numbers.
 */
static void
put_json(StringInfo body, const char *key, const char *json)
{
	if (json == NULL)
		return;
	put_key(body, key);
	appendStringInfoString(body, json);
}

static void
put_names(StringInfo body, const char *key, const List *names)
{
	ListCell   *lc;

	if (names == NIL)
		return;
	put_key(body, key);
	appendStringInfoChar(body, '[');
	foreach(lc, names)
	{
		if (lc != list_head(names))
			appendStringInfoString(body, ", ");
		escape_json(body, lfirst(lc));
	}
	appendStringInfoChar(body, ']');
}

static void
put_account(StringInfo body, const Account *account)
{
	if (body->data[body->len - 1] != '[')
		appendStringInfoString(body, ", ");
	appendStringInfoChar(body, '{');
	put_text(body, "id", account->provider);
	put_text(body, "account_id", account->account_id);
	put_text(body, "email", account->email);
	appendStringInfoChar(body, '}');
}

static void
put_left_identities(StringInfo body, const List *identities)
{
	ListCell   *lc;

	if (identities == NIL)
		return;
	put_key(body, "identities");
	appendStringInfoChar(body, '[');
	foreach(lc, identities)
	{
		SourceIdentity *identity = lfirst(lc);

		if (lc != list_head(identities))
			appendStringInfoString(body, ", ");
		appendStringInfoChar(body, '{');
		put_text(body, "provider", identity->provider);
		put_text(body, "provider_id", identity->provider_id);
		put_text(body, "email", identity->email);
		appendStringInfoChar(body, '}');
	}
	appendStringInfoChar(body, ']');
}

/*
 * What the service has no field for.  The member ftmigrate is how a user is
 * recognized after a lost answer.
 */
static void
put_server_metadata(const Decider *decider, StringInfo body)
{
	const SourceUser *user = decider->user;

	put_key(body, "server_metadata");
	appendStringInfo(body, "{\"ftmigrate\": {\"supabase_user_id\": \"%s\"",
					 user->id);
	if (decider->run_id != 0)
		appendStringInfo(body, ", \"run\": " INT64_FORMAT, decider->run_id);
	appendStringInfoString(body, "}, \"supabase\": {");
	put_text(body, "user_id", user->id);
	put_text(body, "created_at", user->created_at);
	put_text(body, "updated_at", user->updated_at);
	put_text(body, "last_sign_in_at", user->last_sign_in_at);
	put_text(body, "invited_at", user->invited_at);
	put_text(body, "email_confirmed_at", user->email_confirmed_at);
	if (decider->email == NULL)
		put_text(body, "email", user->email);
	put_text(body, "phone", user->phone);
	put_text(body, "phone_confirmed_at", user->phone_confirmed_at);
	put_text(body, "banned_until", user->banned_until);
	put_text(body, "deleted_at", user->deleted_at);
	if (user->role != NULL && strcmp(user->role, "authenticated") != 0)
		put_text(body, "role", user->role);
	if (user->aud != NULL && strcmp(user->aud, "authenticated") != 0)
		put_text(body, "aud", user->aud);
	if (user->is_super_admin)
		put_bool(body, "is_super_admin", true);
	if (user->is_sso_user)
		put_bool(body, "is_sso_user", true);
	put_left_identities(body, decider->left_identities);
	put_names(body, "not_carried", decider->decision->not_carried);
	appendStringInfoString(body, "}}");
}

/*
 * The user sees the reason, the details are for administrators.
 */
static void
put_restriction(const Decider *decider, StringInfo body)
{
	const SourceUser *user = decider->user;
	const char *details;

	if (user->is_banned)
		details = psprintf("banned in Supabase until %s", user->banned_until);
	else if (user->deleted_at != NULL)
		details = psprintf("deleted in Supabase at %s", user->deleted_at);
	else if (decider->decision->loses_mfa)
		details = "had multi-factor authentication in Supabase, which could not be carried";
	else if (decider->decision->reason != NULL)
		details = psprintf("policy of the migration: %s",
						   decider->decision->reason);
	else
		details = "policy of the migration";

	put_bool(body, "restricted_by_admin", true);
	put_text(body, "restricted_by_admin_reason",
			 user->is_banned ? "This account was banned." :
			 "This account was restricted when it was moved.");
	put_text(body, "restricted_by_admin_private_details", details);
}

/*
 * The body of POST /users.
 */
static char *
build_body(const Decider *decider, bool with_providers)
{
	const SourceUser *user = decider->user;
	UserDecision *decision = decider->decision;
	StringInfoData body;
	ListCell   *lc;

	initStringInfo(&body);
	appendStringInfoChar(&body, '{');
	if (decider->email != NULL)
	{
		put_text(&body, "primary_email", decider->email);
		put_bool(&body, "primary_email_verified", decider->verified);
		put_bool(&body, "primary_email_auth_enabled", decision->unique);
	}
	put_text(&body, "password_hash", decider->password_hash);
	if (decider->otp)
		put_bool(&body, "otp_auth_enabled", true);
	put_text(&body, "display_name", decider->display_name);
	put_text(&body, "profile_image_url", decider->image_url);
	put_json(&body, "client_metadata", decider->user_metadata);
	put_json(&body, "client_read_only_metadata", decider->app_metadata);
	if (with_providers && decider->accounts != NIL)
	{
		put_key(&body, "oauth_providers");
		appendStringInfoChar(&body, '[');
		foreach(lc, decider->accounts)
			put_account(&body, lfirst(lc));
		appendStringInfoChar(&body, ']');
	}
	if (user->is_anonymous)
		put_bool(&body, "is_anonymous", true);
	if (decision->treatment >= TREAT_RESTRICT)
		put_restriction(decider, &body);
	put_server_metadata(decider, &body);
	appendStringInfoChar(&body, '}');
	return body.data;
}

/*
 * The body of POST /oauth-providers behind {"user_id": "...", .
 */
static UserExtra *
provider_extra(const Account *account, bool sign_in)
{
	UserExtra  *extra = palloc0(sizeof(UserExtra));
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "\"provider_config_id\": ");
	escape_json(&body, account->provider);
	put_text(&body, "account_id", account->account_id);
	put_text(&body, "email", account->email);
	put_bool(&body, "allow_sign_in", sign_in);
	put_bool(&body, "allow_connected_accounts", true);
	appendStringInfoChar(&body, '}');

	extra->kind = EXTRA_PROVIDER;
	extra->provider = account->provider;
	extra->account_id = account->account_id;
	extra->source_provider = sign_in ? account->source_provider : NULL;
	extra->body = body.data;
	extra->loss = psprintf("%s account of %s",
						   sign_in ? "sign-in" : "second",
						   account->source_provider);
	return extra;
}

/* ------------------------------------------------------------------------
 * What came of it
 * ------------------------------------------------------------------------
 */

const char *
ftm_user_decision_difference(const UserDecision *decision,
							 const char *source_id, const StackUser *user)
{
	if (user->source_id == NULL || strcmp(user->source_id, source_id) != 0)
		return "the service did not store server_metadata";
	if (decision->sent_email != NULL &&
		(user->email == NULL ||
		 pg_strcasecmp(user->email, decision->sent_email) != 0))
		return "the service stored another e-mail";
	if (decision->sends_password && !user->has_password)
		return "the service did not store the password";
	return NULL;
}

List *
ftm_user_decision_missing_extras(const UserDecision *decision,
								 const StackUser *user)
{
	List	   *extras = list_concat_copy(decision->extras,
										  decision->provider_extras);
	ListCell   *lc;

	foreach(lc, extras)
	{
		UserExtra  *extra = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, user->providers)
		{
			StackProvider *provider = lfirst(lc2);

			if (extra->kind == EXTRA_PROVIDER &&
				strcmp(provider->id, extra->provider) == 0 &&
				strcmp(provider->account_id, extra->account_id) == 0)
			{
				extras = foreach_delete_current(extras, lc);
				break;
			}
		}
	}
	return extras;
}
