/*-------------------------------------------------------------------------
 *
 * source_user.c
 *		Users as the source has them: schema auth of a Supabase database.
 *
 * Schema auth grows with every version of Supabase's auth server.  Rows are
 * therefore read by way of to_jsonb(): a column that an older version lacks
 * is simply absent, and columns not asked for (tokens) never leave the source.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "users/source_user.h"

/*
 * Of users who share an e-mail, one can sign in with it afterwards: Supabase
 * allows it to users of single sign-on only, so one who is not comes first.
 */
static const char list_sql[] =
"SELECT id, email <> '' AND position > 1"
"  FROM (SELECT u.id, u.created_at, r.j ->> 'email' AS email,"
"               row_number() OVER (PARTITION BY lower(r.j ->> 'email')"
"                   ORDER BY r.j ->> 'deleted_at' IS NOT NULL,"
"                            (r.j ->> 'is_sso_user')::boolean IS TRUE,"
"                            u.created_at, u.id) AS position"
"          FROM ONLY auth.users AS u,"
"               LATERAL (SELECT pg_catalog.to_jsonb(u.*) AS j OFFSET 0) AS r) AS users"
" ORDER BY created_at NULLS FIRST, id";

/* The first of some keys of m whose value is a string and not empty. */
#define FIRST_STRING(keys) \
"(SELECT s.m ->> keys.k FROM pg_catalog.unnest('" keys "'::text[])" \
"     WITH ORDINALITY AS keys (k, n)" \
"  WHERE pg_catalog.jsonb_typeof(s.m -> keys.k) = 'string'" \
"    AND pg_catalog.btrim(s.m ->> keys.k) <> ''" \
"  ORDER BY keys.n LIMIT 1)"

static const AnswerShape list_shape = {
	"all users", ANY_ROWS, MAX_LARGE_ANSWER_BYTES, {UUID_COLUMN, BOOL_OR_NULL}
};

static const char read_sql[] =
"SELECT r.j ->> 'id', r.j ->> 'email', r.j ->> 'encrypted_password', r.j ->> 'phone',"
"       r.j ->> 'role', r.j ->> 'aud', r.j ->> 'created_at', r.j ->> 'updated_at',"
"       r.j ->> 'last_sign_in_at', r.j ->> 'invited_at',"
"       coalesce(r.j ->> 'email_confirmed_at',"
"                CASE WHEN NOT r.j ? 'email_confirmed_at' THEN r.j ->> 'confirmed_at' END),"
"       r.j ->> 'phone_confirmed_at', r.j ->> 'banned_until', r.j ->> 'deleted_at',"
"       nullif(r.j -> 'raw_user_meta_data', 'null')::text,"
"       nullif(r.j -> 'raw_app_meta_data', 'null')::text,"
		FIRST_STRING("{full_name,name,display_name,user_name,preferred_username}") ","
		FIRST_STRING("{avatar_url,picture}") ","
"       (r.j ->> 'banned_until')::timestamptz > pg_catalog.now(),"
"       (r.j ->> 'is_anonymous')::boolean, (r.j ->> 'is_sso_user')::boolean,"
"       (r.j ->> 'is_super_admin')::boolean,"
"       r.j ->> 'email_change' <> '' OR r.j ->> 'phone_change' <> ''"
"  FROM ONLY auth.users AS u,"
"       LATERAL (SELECT pg_catalog.to_jsonb(u.*) AS j OFFSET 0) AS r,"
"       LATERAL (SELECT r.j -> 'raw_user_meta_data' AS m) AS s"
" WHERE u.id = ANY ($1::uuid[])"
" ORDER BY u.created_at NULLS FIRST, u.id";

static const AnswerShape read_shape = {
	"users", ANY_ROWS, MAX_LARGE_ANSWER_BYTES, {
		UUID_COLUMN, TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL,
		TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL,
		TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL, JSON_OR_NULL,
		JSON_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL, BOOL_OR_NULL, BOOL_OR_NULL,
		BOOL_OR_NULL, BOOL_OR_NULL, BOOL_OR_NULL
	}
};

/* The oldest versions kept the account's id in column id. */
static const char identities_sql[] =
"SELECT r.j ->> 'user_id', r.j ->> 'provider',"
"       coalesce(r.j ->> 'provider_id', r.j #>> '{identity_data,sub}', r.j ->> 'id'),"
"       coalesce(r.j ->> 'email', pg_catalog.lower(r.j #>> '{identity_data,email}')),"
"       r.j #>> '{identity_data,custom_claims,oid}',"
"       r.j #>> '{identity_data,custom_claims,tid}'"
"  FROM ONLY auth.identities AS i,"
"       LATERAL (SELECT pg_catalog.to_jsonb(i.*) AS j OFFSET 0) AS r"
" WHERE i.user_id = ANY ($1::uuid[])"
" ORDER BY i.last_sign_in_at DESC NULLS LAST, r.j ->> 'provider',"
"          r.j ->> 'provider_id'";

static const AnswerShape identities_shape = {
	"identities of users", ANY_ROWS, MAX_LARGE_ANSWER_BYTES, {
		UUID_COLUMN, TEXT_COLUMN, TEXT_OR_NULL, TEXT_OR_NULL, TEXT_OR_NULL,
		TEXT_OR_NULL
	}
};

static const char factors_sql[] =
"SELECT r.j ->> 'user_id', r.j ->> 'factor_type', r.j ->> 'secret'"
"  FROM ONLY auth.mfa_factors AS f,"
"       LATERAL (SELECT pg_catalog.to_jsonb(f.*) AS j OFFSET 0) AS r"
" WHERE f.user_id = ANY ($1::uuid[]) AND f.status = 'verified'"
" ORDER BY coalesce((r.j ->> 'last_challenged_at')::timestamptz, f.updated_at) DESC,"
"          f.id";

static const AnswerShape factors_shape = {
	"factors of users", ANY_ROWS, MAX_LARGE_ANSWER_BYTES, {
		UUID_COLUMN, TEXT_COLUMN, TEXT_OR_NULL
	}
};

static bool table_exists(SourceConnection *source, const char *name);
static char *id_array(const List *keys);
static SourceUser *user_from_row(RowSet *rows, int row);
static const SourceUserKey *find_key(const List *keys, const char *id);
static SourceUser *find_user(const List *users, const char *id);
static void read_identities(SourceConnection *source, const char *ids,
							List *users);
static void read_factors(SourceConnection *source, const char *ids,
						 List *users);

SourceUserKey *
ftm_supauser_list(SourceConnection *source, int *n)
{
	RowSet	   *rows;
	SourceUserKey *keys;

	if (!table_exists(source, "auth.users"))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the source has no table auth.users"),
				 errhint("Name a Supabase database, or leave users out with users => false.")));

	rows = ftm_source_query(source, &list_shape, list_sql, 0, NULL);
	keys = palloc_extended(sizeof(SourceUserKey) * Max(1, (Size) rows->nrows),
						   MCXT_ALLOC_HUGE);
	for (int row = 0; row < rows->nrows; row++)
	{
		keys[row].id = ftm_rowset_text(rows, row, 0);
		keys[row].shares_email = ftm_rowset_bool(rows, row, 1);
	}
	*n = rows->nrows;
	return keys;
}

static bool
table_exists(SourceConnection *source, const char *name)
{
	static const AnswerShape shape = {
		"a table", ONE_ROW, 0, {BOOL_COLUMN}
	};
	RowSet	   *rows;

	rows = ftm_source_query(source, &shape,
							"SELECT pg_catalog.to_regclass($1) IS NOT NULL",
							1, &name);
	return ftm_rowset_bool(rows, 0, 0);
}

List *
ftm_supauser_read(SourceConnection *source, const List *keys)
{
	const char *ids = id_array(keys);
	RowSet	   *rows = ftm_source_query(source, &read_shape, read_sql, 1, &ids);
	List	   *users = NIL;

	for (int row = 0; row < rows->nrows; row++)
	{
		SourceUser *user = user_from_row(rows, row);
		const SourceUserKey *key = find_key(keys, user->id);

		if (key == NULL || find_user(users, user->id) != NULL)
			ftm_source_refuse(source, "A user was not asked for, or is there twice.");
		user->shares_email = key->shares_email;
		users = lappend(users, user);
	}
	read_identities(source, ids, users);
	if (table_exists(source, "auth.mfa_factors"))
		read_factors(source, ids, users);
	return users;
}

/*
 * The keys' ids as an array's text; uuids need no quoting.
 */
static char *
id_array(const List *keys)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, keys)
		appendStringInfo(&text, "%c%s", text.len == 0 ? '{' : ',',
						 ((SourceUserKey *) lfirst(lc))->id);
	appendStringInfoString(&text, text.len == 0 ? "{}" : "}");
	return text.data;
}

/*
 * Supabase writes '' where there is no value as well as NULL.
 */
static char *
text_value(RowSet *rows, int row, int column)
{
	char	   *value = ftm_rowset_value(rows, row, column);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

static SourceUser *
user_from_row(RowSet *rows, int row)
{
	SourceUser *user = palloc0(sizeof(SourceUser));
	char	  **texts[] = {
		&user->id, &user->email, &user->password_hash, &user->phone,
		&user->role, &user->aud, &user->created_at, &user->updated_at,
		&user->last_sign_in_at, &user->invited_at, &user->email_confirmed_at,
		&user->phone_confirmed_at, &user->banned_until, &user->deleted_at,
		&user->user_metadata, &user->app_metadata, &user->display_name,
	&user->avatar_url};
	bool	   *flags[] = {
		&user->is_banned, &user->is_anonymous, &user->is_sso_user,
	&user->is_super_admin, &user->has_pending_change};

	for (int i = 0; i < (int) lengthof(texts); i++)
		*texts[i] = text_value(rows, row, i);
	for (int i = 0; i < (int) lengthof(flags); i++)
		*flags[i] = ftm_rowset_bool(rows, row, (int) lengthof(texts) + i);
	return user;
}

static const SourceUserKey *
find_key(const List *keys, const char *id)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		const SourceUserKey *key = lfirst(lc);

		if (strcmp(key->id, id) == 0)
			return key;
	}
	return NULL;
}

/*
 * Batches are small: no hash needed.
 */
static SourceUser *
find_user(const List *users, const char *id)
{
	ListCell   *lc;

	foreach(lc, users)
	{
		SourceUser *user = lfirst(lc);

		if (strcmp(user->id, id) == 0)
			return user;
	}
	return NULL;
}

static void
read_identities(SourceConnection *source, const char *ids, List *users)
{
	RowSet	   *rows = ftm_source_query(source, &identities_shape, identities_sql, 1, &ids);

	for (int row = 0; row < rows->nrows; row++)
	{
		SourceUser *user = find_user(users, ftm_rowset_text(rows, row, 0));
		SourceIdentity *identity;

		if (user == NULL)
			continue;
		identity = palloc0(sizeof(SourceIdentity));
		identity->provider = ftm_rowset_text(rows, row, 1);
		identity->provider_id = text_value(rows, row, 2);
		identity->email = text_value(rows, row, 3);
		identity->azure_oid = text_value(rows, row, 4);
		identity->azure_tid = text_value(rows, row, 5);
		user->identities = lappend(user->identities, identity);
	}
}

static void
read_factors(SourceConnection *source, const char *ids, List *users)
{
	RowSet	   *rows = ftm_source_query(source, &factors_shape, factors_sql, 1, &ids);

	for (int row = 0; row < rows->nrows; row++)
	{
		SourceUser *user = find_user(users, ftm_rowset_text(rows, row, 0));
		const char *type = ftm_rowset_text(rows, row, 1);
		char	   *secret = text_value(rows, row, 2);

		if (user == NULL)
			continue;
		if (strcmp(type, "totp") != 0 || secret == NULL)
			user->has_other_factors = true;
		else if (user->totp_secret == NULL)
			user->totp_secret = secret;
	}
}
