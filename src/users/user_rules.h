/*-------------------------------------------------------------------------
 *
 * user_rules.h
 *		What Stack Auth accepts, value by value.
 *
 * All texts are in the database's encoding; results are palloc'd.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_RULES_H
#define FTM_USER_RULES_H

extern bool ftm_user_rules_email_is_accepted(const char *email);
extern bool ftm_user_rules_hash_is_accepted(const char *hash);

/*
 * A TOTP secret in base32, as Supabase has it, in base64; NULL if it is not in
 * base32 (encrypted, for one).
 */
extern char *ftm_user_rules_totp_base64(const char *base32);

/* What becomes of a JSON value in metadata. */
typedef enum MetadataProblem
{
	METADATA_FINE,
	METADATA_IMPRECISE,			/* numbers lose digits */
	METADATA_TOO_DEEP,			/* would not be accepted */
	METADATA_TOO_LARGE			/* likewise */
} MetadataProblem;

extern MetadataProblem ftm_user_rules_check_metadata(const char *json);

/* The first units UTF-16 units of a text. */
extern char *ftm_user_rules_cut_text(const char *text, int units);

/* A web address in ASCII; NULL if it is none that is accepted. */
extern char *ftm_user_rules_clean_url(const char *url);

#endif							/* FTM_USER_RULES_H */
