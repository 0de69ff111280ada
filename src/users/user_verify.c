/*-------------------------------------------------------------------------
 *
 * user_verify.c
 *		Proof on the other side: the users as the auth service has them now,
 *		against the source and the map.
 *
 * What the service says about a user is compared with what the source says
 * today, decided about anew; not with what was sent.  It never shows hashes:
 * that they work is shown by signing in, for accounts that the DBA names.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/relation.h"
#include "base/target.h"
#include "run/state.h"
#include "users/user_service.h"
#include "users/user_state.h"

/* Differences named in the verdict. */
#define MAX_NAMED		10

/* A user of the service. */
typedef struct FoundUser
{
	char		id[UUID_TEXT_SIZE]; /* hash key */
	StackUser  *user;
} FoundUser;

typedef struct Verifier
{
	UserSession *session;
	HTAB	   *found;			/* of FoundUser */
	UsersVerdict *verdict;
	StringInfoData detail;
	const char *email;			/* account that is being tried */
	const char *password;
} Verifier;

static void user_found(UserSession *session, const StackUser *user,
					   void *arg);
static void compare_batch(Verifier *verifier, List *keys);
static const char *compare_user(Verifier *verifier, const UserEntry *entry,
								const UserDecision *decision);
static const char *compare_details(const UserDecision *decision,
								   const StackUser *user,
								   bool lost_account);
static void note_difference(Verifier *verifier, const char *who,
							const char *difference);
static void check_map(Verifier *verifier);
static void try_accounts(Verifier *verifier);
static void try_account(Verifier *verifier);

UsersVerdict *
ftm_users_verify(const UsersTask *task)
{
	Verifier	verifier = {0};
	HASHCTL		control;
	List	   *keys = NIL;

	verifier.verdict = palloc0(sizeof(UsersVerdict));
	initStringInfo(&verifier.detail);
	verifier.session = ftm_user_session_open(task);

	memset(&control, 0, sizeof(control));
	control.keysize = UUID_TEXT_SIZE;
	control.entrysize = sizeof(FoundUser);
	control.hcxt = verifier.session->context;
	verifier.found = hash_create("ftmigrate users found", 1024, &control,
								 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ftm_user_service_scan(verifier.session, false, 0, user_found, &verifier);

	for (int i = 0; i < verifier.session->nkeys; i++)
	{
		keys = lappend(keys, &verifier.session->keys[i]);
		if (list_length(keys) < USER_BATCH_SIZE &&
			i < verifier.session->nkeys - 1)
			continue;
		compare_batch(&verifier, keys);
		list_free(keys);
		keys = NIL;
	}
	check_map(&verifier);
	if (OidIsValid(task->accounts))
		try_accounts(&verifier);
	ftm_user_session_close(verifier.session);
	verifier.verdict->detail = verifier.detail.len > 0 ?
		verifier.detail.data : "every user is there, with all that it is to have";
	return verifier.verdict;
}

/*
 * Keep what is compared later, and say so at once if a user of ours is not the
 * one in the map: somebody may sign in as the wrong one.
 */
static void
user_found(UserSession *session, const StackUser *user, void *arg)
{
	Verifier   *verifier = arg;
	MemoryContext old = MemoryContextSwitchTo(session->context);
	FoundUser  *found = hash_search(verifier->found, user->id, HASH_ENTER,
									NULL);
	UserEntry  *entry;
	ListCell   *lc;

	found->user = palloc(sizeof(StackUser));
	*found->user = *user;
	found->user->id = pstrdup(user->id);
	if (user->email != NULL)
		found->user->email = pstrdup(user->email);
	if (user->source_id != NULL)
		found->user->source_id = pstrdup(user->source_id);
	found->user->providers = NIL;
	foreach(lc, user->providers)
	{
		StackProvider *provider = palloc(sizeof(StackProvider));

		provider->id = pstrdup(((StackProvider *) lfirst(lc))->id);
		provider->account_id = pstrdup(((StackProvider *) lfirst(lc))->account_id);
		found->user->providers = lappend(found->user->providers, provider);
	}
	MemoryContextSwitchTo(old);

	entry = user->source_id == NULL ? NULL :
		ftm_user_session_entry(session, user->source_id);
	if (entry != NULL && entry->target_id[0] != '\0' &&
		strcmp(entry->target_id, user->id) != 0)
		note_difference(verifier, psprintf("Stack Auth user %s", user->id),
						psprintf("made for user %s, who is mapped to %s",
								 entry->id, entry->target_id));
}

static void
compare_batch(Verifier *verifier, List *keys)
{
	UserSession *session = verifier->session;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate batch of users",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *verdicts = NIL;
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, ftm_supauser_read(session->source, keys))
	{
		SourceUser *user = lfirst(lc);
		UserVerdict *verdict = palloc(sizeof(UserVerdict));

		verdict->entry = ftm_user_session_entry(session, user->id);
		if (verdict->entry->status == USER_SKIPPED)
			continue;
		verifier->verdict->source_users++;
		verdict->difference = compare_user(verifier, verdict->entry,
										   ftm_user_session_decide(session, user));
		if (verdict->difference != NULL)
			note_difference(verifier, psprintf("user %s", user->id),
							verdict->difference);
		verdicts = lappend(verdicts, verdict);
	}
	ftm_user_session_begin();
	ftm_user_state_verified(verdicts);
	ftm_user_session_commit();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/*
 * What is different about a user; NULL if nothing is.  Of one who existed
 * before, nothing was promised but that it is there.
 */
static const char *
compare_user(Verifier *verifier, const UserEntry *entry,
			 const UserDecision *decision)
{
	FoundUser  *found;

	if (!ftm_user_entry_is_final(entry))
		return psprintf("not created (%s)",
						ftm_user_status_name(entry->status));
	found = hash_search(verifier->found, entry->target_id, HASH_FIND, NULL);
	if (found == NULL)
		return psprintf("Stack Auth user %s does not exist",
						entry->target_id);
	verifier->verdict->target_users++;
	if (entry->status == USER_MATCHED)
		return NULL;
	if (found->user->source_id == NULL ||
		strcmp(found->user->source_id, entry->id) != 0)
		return "server_metadata names another user";
	return compare_details(decision, found->user, entry->lost_account);
}

static bool
has_provider(const StackUser *user, const UserExtra *extra)
{
	ListCell   *lc;

	foreach(lc, user->providers)
	{
		StackProvider *provider = lfirst(lc);

		if (strcmp(provider->id, extra->provider) == 0 &&
			strcmp(provider->account_id, extra->account_id) == 0)
			return true;
	}
	return false;
}

/*
 * A password that is there although none was carried is one that the user has
 * set since.  lost_account: an account was refused, which ftm_user tells.
 */
static const char *
compare_details(const UserDecision *decision, const StackUser *user,
				bool lost_account)
{
	ListCell   *lc;

	if (decision->sent_email == NULL ? user->email != NULL :
		user->email == NULL ||
		pg_strcasecmp(user->email, decision->sent_email) != 0)
		return "another e-mail";
	if (decision->email_verified && !user->email_verified)
		return "the e-mail is not verified";
	if (!decision->email_verified && user->email_verified)
		return "the e-mail is verified, which it was not";
	if (decision->unique != user->email_auth_enabled)
		return decision->unique ? "cannot sign in by e-mail" :
			"can sign in by e-mail, which it shall not";
	if (decision->sends_password && !user->has_password)
		return "the password is missing";
	if ((decision->totp_body != NULL) != user->requires_totp)
		return decision->totp_body != NULL ?
			"TOTP is not required" : "TOTP is required, which it was not";
	if (decision->sends_anonymous != user->is_anonymous)
		return "anonymous or not";
	if ((decision->treatment >= TREAT_RESTRICT) != user->restricted_by_admin)
		return user->restricted_by_admin ?
			"restricted, which it shall not be" : "not restricted";
	foreach(lc, decision->provider_extras)
	{
		UserExtra  *extra = lfirst(lc);

		if (!lost_account && !has_provider(user, extra))
			return psprintf("sign-in through %s is missing", extra->provider);
	}
	return NULL;
}

static void
note_difference(Verifier *verifier, const char *who, const char *difference)
{
	if (verifier->verdict->differences++ < MAX_NAMED)
		appendStringInfo(&verifier->detail, "%s%s: %s",
						 verifier->detail.len > 0 ? "; " : "", who, difference);
}

/*
 * State and map must say the same.
 */
static void
check_map(Verifier *verifier)
{
	RowSet	   *rows;

	ftm_user_session_begin();
	rows = ftm_state_query("SELECT u.source_user_id"
						   "  FROM @schema@.ftm_user u"
						   "  LEFT JOIN @schema@.ftm_user_map m USING (source_user_id)"
						   " WHERE u.status IN ('created', 'matched')"
						   "   AND u.target_user_id IS DISTINCT FROM m.target_user_id",
						   0, NULL);
	ftm_user_session_commit();
	for (int row = 0; row < rows->nrows; row++)
		note_difference(verifier,
						psprintf("user %s", ftm_rowset_value(rows, row, 0)),
						"the map has another target id, or none");
}

/* ------------------------------------------------------------------------
 * Signing in
 * ------------------------------------------------------------------------
 */

/*
 * Passwords come from a table, which the worker reads itself: that way they
 * are in no statement, no message and no shared memory.
 */
static void
try_accounts(Verifier *verifier)
{
	Oid			relid = verifier->session->task->accounts;
	RowSet	   *rows;

	ftm_user_session_begin();
	rows = ftm_target_query_relations(psprintf("SELECT email, password FROM %s",
											   ftm_relation_lock(relid, AccessShareLock,
																 FTM_READABLE, NULL)),
									  list_make1_oid(relid), TARGET_CODE_CASTS);
	ftm_user_session_commit();
	for (int row = 0; row < rows->nrows; row++)
	{
		verifier->email = ftm_rowset_value(rows, row, 0);
		verifier->password = ftm_rowset_value(rows, row, 1);
		if (verifier->email != NULL && verifier->password != NULL)
		{
			try_account(verifier);
			explicit_bzero(ftm_rowset_value(rows, row, 1),
						   strlen(verifier->password));
		}
	}
}

static void
start_sign_in(Verifier *verifier)
{
	StringInfoData body;

	initStringInfo(&body);
	appendStringInfoString(&body, "{\"email\": ");
	escape_json(&body, verifier->email);
	appendStringInfoString(&body, ", \"password\": ");
	escape_json(&body, verifier->password);
	appendStringInfoChar(&body, '}');
	ftm_stackauth_sign_in(verifier->session->stack, body.data, NULL);
	explicit_bzero(body.data, body.len);
	pfree(body.data);
}

/*
 * Who is asked for a second factor has given the right password.
 */
static void
try_account(Verifier *verifier)
{
	UserSession *session = verifier->session;
	char	   *who = psprintf("account %s", verifier->email);
	StackAnswer *answer;

	for (int n = 1;; n++)
	{
		start_sign_in(verifier);
		answer = ftm_stackauth_wait(session->stack, -1);
		if (answer->verdict == STACK_DONE || answer->verdict == STACK_REFUSED)
			break;
		if (n > 10 || answer->verdict == STACK_MISCONFIGURED)
			ftm_stackauth_report(session->stack, answer, "sign in");
		(void) ftm_stackauth_wait(session->stack,
								  ftm_user_service_delay(session, answer, n));
	}

	if (answer->verdict == STACK_REFUSED)
	{
		if (strcmp(answer->code, "MULTI_FACTOR_AUTHENTICATION_REQUIRED") != 0)
			note_difference(verifier, who,
							psprintf("cannot sign in (%s)", answer->code));
	}
	else
	{
		const char *params[2] = {verifier->email, answer->user_id};
		RowSet	   *rows;

		ftm_user_session_begin();
		rows = ftm_state_query("SELECT FROM @schema@.ftm_user"
							   " WHERE lower(email) = lower($1)"
							   "   AND target_user_id = $2::uuid",
							   2, params);
		ftm_user_session_commit();
		if (rows->nrows == 0)
			note_difference(verifier, who,
							"signs in as a user whom the map does not know");
	}
}
