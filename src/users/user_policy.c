/*-------------------------------------------------------------------------
 *
 * user_policy.c
 *		Policies: what the DBA decides about users of special kinds.
 *
 * Rows refer to users of every kind, so by default every user is created:
 * disabled, where it could not sign in before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "users/user_request.h"

static const char *const treatment_names[] = {
	"create", "drop", "restrict", "disable", "skip", "error"
};

#define ALLOW(treatment)	(1 << (treatment))
#define ALLOW_ANY_USER \
	(ALLOW(TREAT_CREATE) | ALLOW(TREAT_RESTRICT) | ALLOW(TREAT_DISABLE) | \
	 ALLOW(TREAT_SKIP))

/* In the order of UserPolicyKind. */
static const struct
{
	const char *name;
	UserTreatment default_treatment;
	int			allowed;
}			policies_known[] =
{
	{"unconfirmed", TREAT_DISABLE, ALLOW_ANY_USER},
	{"anonymous", TREAT_CREATE, ALLOW_ANY_USER},
	{"phone_only", TREAT_CREATE, ALLOW_ANY_USER},
	{"sso", TREAT_CREATE, ALLOW_ANY_USER},
	{"banned", TREAT_DISABLE, ALLOW_ANY_USER},
	{"soft_deleted", TREAT_DISABLE, ALLOW_ANY_USER},
	{"refused_email", TREAT_ERROR,
	ALLOW(TREAT_DROP) | ALLOW(TREAT_SKIP) | ALLOW(TREAT_ERROR)},
	{"refused_hash", TREAT_DROP,
	ALLOW(TREAT_DROP) | ALLOW(TREAT_SKIP) | ALLOW(TREAT_ERROR)},
	{"lost_mfa", TREAT_RESTRICT, ALLOW_ANY_USER | ALLOW(TREAT_ERROR)},
	{"missing_provider", TREAT_ERROR,
	ALLOW(TREAT_DROP) | ALLOW(TREAT_ERROR)},
	{"refused_metadata", TREAT_DROP,
	ALLOW(TREAT_DROP) | ALLOW(TREAT_SKIP) | ALLOW(TREAT_ERROR)},
	{"refused_image", TREAT_DROP,
	ALLOW(TREAT_DROP) | ALLOW(TREAT_SKIP) | ALLOW(TREAT_ERROR)},
};

StaticAssertDecl(lengthof(policies_known) == USER_POLICIES,
				 "a policy lacks its description");
StaticAssertDecl(lengthof(treatment_names) == TREAT_ERROR + 1,
				 "a treatment lacks its name");

const char *
ftm_user_policy_name(UserPolicyKind kind)
{
	return policies_known[kind].name;
}

bool
ftm_user_policy_by_name(const char *name, UserPolicyKind *kind)
{
	for (int i = 0; i < USER_POLICIES; i++)
	{
		if (strcmp(name, policies_known[i].name) == 0)
		{
			*kind = (UserPolicyKind) i;
			return true;
		}
	}
	return false;
}

const char *
ftm_user_treatment_name(UserTreatment treatment)
{
	return treatment_names[treatment];
}

bool
ftm_user_treatment_by_name(const char *name, UserTreatment *treatment)
{
	for (int i = 0; i < (int) lengthof(treatment_names); i++)
	{
		if (strcmp(name, treatment_names[i]) == 0)
		{
			*treatment = (UserTreatment) i;
			return true;
		}
	}
	return false;
}

void
ftm_user_policies_init(UserPolicies *policies)
{
	for (int i = 0; i < USER_POLICIES; i++)
		policies->treatments[i] = policies_known[i].default_treatment;
}

void
ftm_user_policies_set(UserPolicies *policies, UserPolicyKind kind,
					  const char *value)
{
	StringInfoData list;
	UserTreatment treatment;

	if (ftm_user_treatment_by_name(value, &treatment) &&
		(policies_known[kind].allowed & ALLOW(treatment)))
	{
		policies->treatments[kind] = treatment;
		return;
	}

	initStringInfo(&list);
	for (int i = 0; i < (int) lengthof(treatment_names); i++)
	{
		if (policies_known[kind].allowed & ALLOW(i))
			appendStringInfo(&list, "%s\"%s\"", list.len > 0 ? ", " : "",
							 treatment_names[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"%s\": \"%s\"",
					policies_known[kind].name, value),
			 errhint("Available values: %s.", list.data)));
}
