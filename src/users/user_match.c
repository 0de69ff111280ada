/*-------------------------------------------------------------------------
 *
 * user_match.c
 *		Users who exist in the auth service already.
 *
 * An e-mail tells who somebody is only if it was verified, on both sides, and
 * may be used to sign in.  Whatever is not clear is left to the DBA, and named.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "run/state.h"
#include "users/user_service.h"
#include "users/user_state.h"

/* E-mails are at most 254 bytes long; longer ones are not matched. */
#define EMAIL_SIZE		256

/* A user of the service, by e-mail. */
typedef struct Candidate
{
	char		email[EMAIL_SIZE];	/* hash key; lower case */
	char		id[UUID_TEXT_SIZE];
	UserEntry  *first;			/* user of the source with this e-mail */
	bool		ambiguous;		/* there are several */
	bool		taken;			/* in the map already, for somebody else */
} Candidate;

typedef struct Matcher
{
	UserSession *session;
	HTAB	   *candidates;
} Matcher;

static void candidate_seen(UserSession *session, const StackUser *user,
						   void *arg);
static bool make_key(const char *email, char *key);
static void mark_taken(Matcher *matcher);
static void pair_users(Matcher *matcher, bool write, int *matched);
static void pair_user(Matcher *matcher, const SourceUser *user, bool write,
					  int *matched);

int
ftm_users_match(const UsersTask *task)
{
	UserSession *session = ftm_user_session_open(task);
	Matcher		matcher = {0};
	HASHCTL		control;
	int			matched = 0;

	ftm_users_register(session);

	matcher.session = session;
	memset(&control, 0, sizeof(control));
	control.keysize = EMAIL_SIZE;
	control.entrysize = sizeof(Candidate);
	control.hcxt = session->context;
	matcher.candidates = hash_create("ftmigrate e-mails", 1024, &control,
									 HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ftm_user_service_scan(session, false, 0, candidate_seen, &matcher);
	mark_taken(&matcher);

	/* Who shares an e-mail is known when all have been looked at. */
	pair_users(&matcher, false, &matched);
	pair_users(&matcher, true, &matched);
	ftm_user_session_close(session);
	return matched;
}

/*
 * The key for an e-mail; false if it is too long.
 */
static bool
make_key(const char *email, char *key)
{
	size_t		length = strlen(email);

	if (length >= EMAIL_SIZE)
		return false;
	memset(key, 0, EMAIL_SIZE);
	for (size_t i = 0; i < length; i++)
		key[i] = pg_ascii_tolower((unsigned char) email[i]);
	return true;
}

static void
candidate_seen(UserSession *session pg_attribute_unused(),
			   const StackUser *user, void *arg)
{
	Matcher    *matcher = arg;
	char		key[EMAIL_SIZE];
	Candidate  *candidate;

	if (user->email == NULL || !user->email_verified ||
		!user->email_auth_enabled || user->is_anonymous ||
		!make_key(user->email, key))
		return;
	candidate = hash_search(matcher->candidates, key, HASH_ENTER, NULL);
	strlcpy(candidate->id, user->id, UUID_TEXT_SIZE);
	candidate->first = NULL;
	candidate->ambiguous = false;
	candidate->taken = false;
}

/*
 * A user of the service stands for one user of the source only.
 */
static void
mark_taken(Matcher *matcher)
{
	HASH_SEQ_STATUS status;
	Candidate  *candidate;
	HTAB	   *targets;
	HASHCTL		control;
	RowSet	   *rows;

	memset(&control, 0, sizeof(control));
	control.keysize = UUID_TEXT_SIZE;
	control.entrysize = UUID_TEXT_SIZE;
	control.hcxt = matcher->session->context;
	targets = hash_create("ftmigrate targets", 1024, &control,
						  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ftm_user_session_begin();
	rows = ftm_state_query("SELECT target_user_id FROM @schema@.ftm_user_map",
						   0, NULL);
	ftm_user_session_commit();
	for (int row = 0; row < rows->nrows; row++)
		(void) hash_search(targets, ftm_rowset_value(rows, row, 0),
						   HASH_ENTER, NULL);

	hash_seq_init(&status, matcher->candidates);
	while ((candidate = hash_seq_search(&status)) != NULL)
		candidate->taken = hash_search(targets, candidate->id, HASH_FIND,
									   NULL) != NULL;
}

/*
 * Look at all users of the source who are in the map not yet.
 */
static void
pair_users(Matcher *matcher, bool write, int *matched)
{
	UserSession *session = matcher->session;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate batch of users",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	int			next = 0;

	while (next < session->nkeys)
	{
		List	   *keys = NIL;
		ListCell   *lc;

		CHECK_FOR_INTERRUPTS();
		for (; next < session->nkeys &&
			 list_length(keys) < USER_BATCH_SIZE; next++)
		{
			if (!ftm_user_entry_is_final(ftm_user_session_entry(session,
																session->keys[next].id)))
				keys = lappend(keys, &session->keys[next]);
		}
		foreach(lc, keys == NIL ? NIL :
				ftm_supauser_read(session->source, keys))
			pair_user(matcher, lfirst(lc), write, matched);
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
pair_user(Matcher *matcher, const SourceUser *user, bool write, int *matched)
{
	UserSession *session = matcher->session;
	UserEntry  *entry = ftm_user_session_entry(session, user->id);
	char		key[EMAIL_SIZE];
	Candidate  *candidate;
	const char *reason = NULL;

	if (user->email == NULL || user->email_confirmed_at == NULL ||
		user->deleted_at != NULL || !make_key(user->email, key))
		return;
	candidate = hash_search(matcher->candidates, key, HASH_FIND, NULL);
	if (candidate == NULL)
		return;
	if (!write)
	{
		candidate->ambiguous |= candidate->first != NULL &&
			candidate->first != entry;
		candidate->first = entry;
		return;
	}

	if (candidate->ambiguous)
		reason = psprintf("another user of the source has the e-mail of Stack Auth user %s, too",
						  candidate->id);
	else if (candidate->taken)
		reason = psprintf("Stack Auth user %s is another user's in the map",
						  candidate->id);
	entry->status = reason != NULL ? USER_CONFLICT : USER_MATCHED;
	if (reason == NULL)
	{
		strlcpy(entry->target_id, candidate->id, UUID_TEXT_SIZE);
		(*matched)++;
	}
	ftm_user_session_begin();
	ftm_user_state_set(session, entry, NULL,
					   reason != NULL ? reason : "same verified e-mail");
	ftm_user_session_commit();
}
