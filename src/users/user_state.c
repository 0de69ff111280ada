/*-------------------------------------------------------------------------
 *
 * user_state.c
 *		State of users: ftm_user, and their entries in ftm_user_map.
 *
 * A user's status goes pending -> sending -> created.  "sending" is committed
 * before the request leaves, "created" together with the entry in the map; so
 * after a crash a user that may exist in the service is never taken for one
 * that does not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/json.h"

#include "run/state.h"
#include "users/user_state.h"

/* In the order of UserStatus. */
static const char *const status_names[] = {
	"pending", "sending", "created", "matched", "conflict", "in_doubt",
	"failed", "skipped", "gone"
};

StaticAssertDecl(lengthof(status_names) == USER_GONE + 1,
				 "a status lacks its name");

static void put_registered_user(StringInfo json, const RegisteredUser *user);
static void put_member(StringInfo json, const char *key, const char *value);
static void put_flag(StringInfo json, const char *key, bool value);
static void put_list(StringInfo json, const char *key, const List *texts);
static void add_to_map(const UserSession *session, const UserEntry *entry);

const char *
ftm_user_status_name(UserStatus status)
{
	return status_names[status];
}

static UserStatus
status_by_name(const char *name)
{
	for (int i = 0; i < (int) lengthof(status_names); i++)
	{
		if (strcmp(name, status_names[i]) == 0)
			return (UserStatus) i;
	}
	elog(ERROR, "unexpected status of a user: %s", name);
}

void
ftm_user_state_check_project(const char *project_id)
{
	const char *params[1] = {project_id};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT project_id FROM @schema@.ftm_user"
						   " WHERE project_id <> $1"
						   "   AND status NOT IN ('pending', 'skipped')"
						   " LIMIT 1",
						   1, params);
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("users were moved to another Stack Auth project before"),
				 errdetail("ftm_user and ftm_user_map are about project %s.",
						   ftm_rowset_value(rows, 0, 0)),
				 errhint("Correct the option project_id with ALTER SERVER, or empty both tables if those users are of no interest.")));
}

void
ftm_user_state_load(UserSession *session)
{
	RowSet	   *rows;

	rows = ftm_state_query("SELECT source_user_id, status, treatment, target_user_id,"
						   "       (extract(epoch FROM sent_at) * 1000)::bigint,"
						   "       array_to_string(not_carried, ',') LIKE '%sign-in account of %'"
						   "  FROM @schema@.ftm_user",
						   0, NULL);
	for (int row = 0; row < rows->nrows; row++)
	{
		UserEntry  *entry = ftm_user_session_entry(session,
												   ftm_rowset_value(rows, row, 0));
		const char *target_id = ftm_rowset_value(rows, row, 3);

		if (entry == NULL)
			continue;
		entry->registered = true;
		entry->status = status_by_name(ftm_rowset_value(rows, row, 1));
		(void) ftm_user_treatment_by_name(ftm_rowset_value(rows, row, 2),
										  &entry->treatment);
		if (target_id != NULL)
			strlcpy(entry->target_id, target_id, UUID_TEXT_SIZE);
		entry->sent_at = ftm_rowset_int64(rows, row, 4);
		entry->lost_account = ftm_rowset_bool(rows, row, 5);
	}

	/* Entries that the DBA made, or that came from a dump of the map. */
	rows = ftm_state_query("SELECT source_user_id, target_user_id"
						   "  FROM @schema@.ftm_user_map",
						   0, NULL);
	for (int row = 0; row < rows->nrows; row++)
	{
		UserEntry  *entry = ftm_user_session_entry(session,
												   ftm_rowset_value(rows, row, 0));

		if (entry == NULL || entry->status == USER_CREATED ||
			entry->status == USER_MATCHED)
			continue;
		entry->status = USER_MATCHED;
		strlcpy(entry->target_id, ftm_rowset_value(rows, row, 1),
				UUID_TEXT_SIZE);
		entry->registered = false;
	}
}

int
ftm_user_state_mark_gone(const UserSession *session)
{
	const char *params[2];
	StringInfoData ids;
	RowSet	   *rows;

	initStringInfo(&ids);
	appendStringInfoChar(&ids, '{');
	for (int i = 0; i < session->nkeys; i++)
		appendStringInfo(&ids, "%s%s", i > 0 ? "," : "",
						 session->keys[i].id);
	appendStringInfoChar(&ids, '}');
	params[0] = ids.data;
	params[1] = session->task->source;
	rows = ftm_state_query("WITH there AS MATERIALIZED ("
						   " SELECT unnest($1::uuid[]) AS id),"
						   " gone AS ("
						   " UPDATE @schema@.ftm_user AS u"
						   "    SET status = 'gone',"
						   "        reason = 'not in the source any more',"
						   "        updated_at = clock_timestamp()"
						   "  WHERE u.source = $2::name"
						   "    AND u.status NOT IN ('created', 'matched', 'gone')"
						   "    AND NOT EXISTS (SELECT FROM there"
						   "                     WHERE there.id = u.source_user_id)"
						   " RETURNING 1)"
						   " SELECT count(*) FROM gone",
						   2, params);
	return (int) ftm_rowset_int64(rows, 0, 0);
}

bool
ftm_user_state_were_decided(const UserSession *session)
{
	RowSet	   *rows;

	rows = ftm_state_query("SELECT FROM @schema@.ftm_user"
						   " WHERE source = $1::name LIMIT 1",
						   1, (const char *const *) &session->task->source);
	return rows->nrows > 0;
}

void
ftm_user_state_put_policies(const UsersTask *task)
{
	for (int i = 0; i < USER_POLICIES; i++)
	{
		const char *params[3];

		params[0] = task->source;
		params[1] = ftm_user_policy_name((UserPolicyKind) i);
		params[2] = ftm_user_treatment_name(task->policies.treatments[i]);
		(void) ftm_state_query("INSERT INTO @schema@.ftm_user_policy"
							   " (source, policy, treatment) VALUES ($1::name, $2, $3)"
							   " ON CONFLICT (source, policy)"
							   " DO UPDATE SET treatment = EXCLUDED.treatment",
							   3, params);
	}
}

void
ftm_user_state_get_policies(const char *source, UserPolicies *policies)
{
	RowSet	   *rows;

	rows = ftm_state_query("SELECT policy, treatment"
						   "  FROM @schema@.ftm_user_policy"
						   " WHERE source = $1::name",
						   1, &source);
	for (int row = 0; row < rows->nrows; row++)
	{
		UserPolicyKind kind;

		if (ftm_user_policy_by_name(ftm_rowset_value(rows, row, 0), &kind))
			ftm_user_policies_set(policies, kind,
								  ftm_rowset_value(rows, row, 1));
	}
}

void
ftm_user_state_register(const UserSession *session, const List *users)
{
	StringInfoData json;
	const char *params[5];
	ListCell   *lc;

	if (users == NIL)
		return;
	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(lc, users)
	{
		if (lc != list_head(users))
			appendStringInfoChar(&json, ',');
		put_registered_user(&json, lfirst(lc));
	}
	appendStringInfoChar(&json, ']');

	params[0] = json.data;
	params[1] = session->task->run_id != 0 ?
		psprintf(INT64_FORMAT, session->task->run_id) : NULL;
	params[2] = session->task->auth_server;
	params[3] = session->project_id;
	params[4] = session->task->source;
	(void) ftm_state_query("INSERT INTO @schema@.ftm_user AS u"
						   " (source_user_id, email, user_created_at, status, reason, kind,"
						   "  treatment, target_user_id, keeps_password, must_reset_password,"
						   "  unreachable, loses_mfa, lost_providers, not_carried,"
						   "  run_id, auth_server, project_id, source)"
						   " SELECT id, email, created_at, status, reason, kind, treatment,"
						   "        target, keeps_password, must_reset, unreachable, loses_mfa,"
						   "        ARRAY(SELECT jsonb_array_elements_text(providers)),"
						   "        ARRAY(SELECT jsonb_array_elements_text(losses)),"
						   "        $2::bigint, $3::name, $4, $5::name"
						   "  FROM jsonb_to_recordset($1::jsonb) AS r"
						   "       (id uuid, email text, created_at timestamptz, status text,"
						   "        reason text, kind text, treatment text, target uuid,"
						   "        keeps_password boolean, must_reset boolean,"
						   "        unreachable boolean, loses_mfa boolean,"
						   "        providers jsonb, losses jsonb)"
						   " ON CONFLICT (source_user_id) DO UPDATE"
						   "   SET email = EXCLUDED.email,"
						   "       user_created_at = EXCLUDED.user_created_at,"
						   "       status = CASE WHEN u.status IN ('sending', 'in_doubt')"
						   "                          AND EXCLUDED.status <> 'matched'"
						   "                     THEN u.status ELSE EXCLUDED.status END,"
						   "       reason = EXCLUDED.reason, kind = EXCLUDED.kind,"
						   "       treatment = EXCLUDED.treatment,"
						   "       target_user_id = coalesce(EXCLUDED.target_user_id, u.target_user_id),"
						   "       keeps_password = EXCLUDED.keeps_password,"
						   "       must_reset_password = EXCLUDED.must_reset_password,"
						   "       unreachable = EXCLUDED.unreachable,"
						   "       loses_mfa = EXCLUDED.loses_mfa,"
						   "       lost_providers = EXCLUDED.lost_providers,"
						   "       not_carried = EXCLUDED.not_carried,"
						   "       run_id = EXCLUDED.run_id,"
						   "       auth_server = EXCLUDED.auth_server,"
						   "       project_id = EXCLUDED.project_id,"
						   "       source = EXCLUDED.source,"
						   "       updated_at = clock_timestamp()"
						   " WHERE u.status NOT IN ('created', 'matched')",
						   5, params);
}

static void
put_registered_user(StringInfo json, const RegisteredUser *user)
{
	const UserDecision *decision = user->decision;
	UserStatus	status = user->entry->status;
	const char *reason = NULL;

	if (status == USER_MATCHED)
		reason = "in the user map already";
	else if (decision->treatment == TREAT_SKIP)
	{
		status = USER_SKIPPED;
		reason = decision->reason;
	}
	else if (decision->treatment == TREAT_ERROR)
	{
		status = USER_FAILED;
		reason = decision->reason;
	}
	else
		status = USER_PENDING;

	appendStringInfo(json, "{\"id\": \"%s\"", user->entry->id);
	put_member(json, "email", decision->email);
	put_member(json, "created_at", decision->created_at);
	put_member(json, "status", status_names[status]);
	put_member(json, "reason", reason);
	put_member(json, "kind", decision->reason);
	put_member(json, "treatment",
			   ftm_user_treatment_name(decision->treatment));
	if (user->entry->target_id[0] != '\0')
		put_member(json, "target", user->entry->target_id);
	put_flag(json, "keeps_password", decision->keeps_password);
	put_flag(json, "must_reset", decision->must_reset);
	put_flag(json, "unreachable", decision->unreachable);
	put_flag(json, "loses_mfa", decision->loses_mfa);
	put_list(json, "providers", decision->lost_providers);
	put_list(json, "losses", decision->not_carried);
	appendStringInfoChar(json, '}');
}

static void
put_member(StringInfo json, const char *key, const char *value)
{
	if (value == NULL)
		return;
	appendStringInfo(json, ", \"%s\": ", key);
	escape_json(json, value);
}

static void
put_flag(StringInfo json, const char *key, bool value)
{
	appendStringInfo(json, ", \"%s\": %s", key, value ? "true" : "false");
}

static void
put_list(StringInfo json, const char *key, const List *texts)
{
	ListCell   *lc;

	appendStringInfo(json, ", \"%s\": [", key);
	foreach(lc, texts)
	{
		if (lc != list_head(texts))
			appendStringInfoChar(json, ',');
		escape_json(json, lfirst(lc));
	}
	appendStringInfoChar(json, ']');
}

void
ftm_user_state_sending(const UserSession *session, const List *entries)
{
	StringInfoData ids;
	const char *params[2];
	ListCell   *lc;

	initStringInfo(&ids);
	foreach(lc, entries)
		appendStringInfo(&ids, "%c%s", ids.len == 0 ? '{' : ',',
						 ((UserEntry *) lfirst(lc))->id);
	appendStringInfoChar(&ids, '}');
	params[0] = ids.data;
	params[1] = session->project_id;
	(void) ftm_state_query("UPDATE @schema@.ftm_user"
						   "   SET status = 'sending', attempts = attempts + 1,"
						   "       sent_at = clock_timestamp(), project_id = $2,"
						   "       updated_at = clock_timestamp()"
						   " WHERE source_user_id = ANY ($1::uuid[])",
						   2, params);
}

void
ftm_user_state_set(const UserSession *session, const UserEntry *entry,
				   const StackAnswer *answer, const char *reason)
{
	const char *params[7];

	params[0] = entry->id;
	params[1] = status_names[entry->status];
	params[2] = reason;
	params[3] = entry->target_id[0] != '\0' ? entry->target_id : NULL;
	params[4] = answer != NULL && answer->status != 0 ?
		psprintf("%d", answer->status) : NULL;
	params[5] = answer != NULL && answer->code[0] != '\0' ?
		answer->code : NULL;
	params[6] = answer != NULL && answer->request_id[0] != '\0' ?
		answer->request_id : NULL;
	(void) ftm_state_query("UPDATE @schema@.ftm_user"
						   "   SET status = $2, reason = $3,"
						   "       target_user_id = $4::uuid,"
						   "       http_status = $5::integer, error_code = $6,"
						   "       request_id = $7,"
						   "       updated_at = clock_timestamp()"
						   " WHERE source_user_id = $1::uuid",
						   7, params);
	if (entry->status == USER_CREATED || entry->status == USER_MATCHED)
		add_to_map(session, entry);
}

static void
add_to_map(const UserSession *session, const UserEntry *entry)
{
	const char *params[3];

	params[0] = entry->id;
	params[1] = session->task->run_id != 0 ?
		psprintf(INT64_FORMAT, session->task->run_id) : NULL;
	params[2] = psprintf("%d days", session->task->retention_days);
	(void) ftm_state_query("INSERT INTO @schema@.ftm_user_map"
						   " (source_user_id, target_user_id, email, run_id, retain_until)"
						   " SELECT source_user_id, target_user_id, email, $2::bigint,"
						   "        clock_timestamp() + $3::interval"
						   "  FROM @schema@.ftm_user WHERE source_user_id = $1::uuid"
						   " ON CONFLICT (source_user_id) DO NOTHING",
						   3, params);
}

void
ftm_user_state_lose(UserEntry *entry, const UserExtra *extra, bool must_reset)
{
	const char *params[4];

	params[0] = entry->id;
	params[1] = extra->loss;
	params[2] = extra->source_provider;
	params[3] = must_reset ? "t" : "f";
	(void) ftm_state_query("UPDATE @schema@.ftm_user"
						   "   SET not_carried = array_append(not_carried, $2),"
						   "       lost_providers = lost_providers"
						   "           || array_remove(ARRAY[$3], NULL),"
						   "       must_reset_password = must_reset_password OR $4::boolean"
						   " WHERE source_user_id = $1::uuid"
						   "   AND NOT not_carried @> ARRAY[$2]",
						   4, params);
	if (extra->source_provider != NULL)
		entry->lost_account = true;
}

void
ftm_user_state_verified(const List *verdicts)
{
	StringInfoData json;
	const char *params[1];
	ListCell   *lc;

	initStringInfo(&json);
	appendStringInfoChar(&json, '[');
	foreach(lc, verdicts)
	{
		UserVerdict *verdict = lfirst(lc);

		appendStringInfo(&json, "%s{\"id\": \"%s\"",
						 lc == list_head(verdicts) ? "" : ",",
						 verdict->entry->id);
		put_member(&json, "difference", verdict->difference);
		appendStringInfoChar(&json, '}');
	}
	appendStringInfoChar(&json, ']');
	params[0] = json.data;
	(void) ftm_state_query("UPDATE @schema@.ftm_user AS u"
						   "   SET verified = r.difference IS NULL,"
						   "       difference = r.difference,"
						   "       verified_at = clock_timestamp()"
						   "  FROM jsonb_to_recordset($1::jsonb) AS r"
						   "       (id uuid, difference text)"
						   " WHERE u.source_user_id = r.id",
						   1, params);
}

char *
ftm_user_state_summary(bool dry_run)
{
	const char *params[1] = {dry_run ? "t" : "f"};
	RowSet	   *rows;

	/* What is kept and lost is told of those who are, or would be, created. */
	rows = ftm_state_query("SELECT format('users: %s%s created, %s matched, %s skipped, %s %s;"
						   " %s keep their password, %s must reset it, %s lose a provider, %s lose MFA',"
						   "   CASE WHEN $1::boolean"
						   "        THEN count(*) FILTER (WHERE status = 'pending') || ' to be created, ' END,"
						   "   count(*) FILTER (WHERE status = 'created'),"
						   "   count(*) FILTER (WHERE status = 'matched'),"
						   "   count(*) FILTER (WHERE status = 'skipped'),"
						   "   count(*) FILTER (WHERE NOT settled),"
						   "   CASE WHEN $1::boolean THEN 'undecided' ELSE 'missing' END,"
						   "   count(*) FILTER (WHERE counts AND keeps_password),"
						   "   count(*) FILTER (WHERE counts AND must_reset_password),"
						   "   count(*) FILTER (WHERE counts AND lost_providers <> '{}'),"
						   "   count(*) FILTER (WHERE counts AND loses_mfa))"
						   "  FROM @schema@.ftm_user,"
						   "       LATERAL (SELECT status = 'created'"
						   "                       OR $1::boolean AND status = 'pending',"
						   "                       status IN ('created', 'matched', 'skipped', 'gone')"
						   "                       OR $1::boolean AND status = 'pending') AS s (counts, settled)",
						   1, params);
	return ftm_rowset_value(rows, 0, 0);
}
