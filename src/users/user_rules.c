/*-------------------------------------------------------------------------
 *
 * user_rules.c
 *		What Stack Auth accepts, value by value.
 *
 * It rejects a whole request for one value that it does not like, fails on
 * some, and changes others in silence.  These rules were found by trying.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "compat.h"
#include "users/user_rules.h"

#define MAX_METADATA_DEPTH	123
#define MAX_METADATA_SIZE	(512 * 1024)
#define MAX_URL_LENGTH		4096
#define BCRYPT_LENGTH		60

/* A double keeps 15 digits, whatever they are. */
#define MAX_DIGITS			15

/*
 * The pattern of the HTML specification: ASCII, no quoting, labels of up to
 * 63 letters, digits and inner hyphens.
 */
bool
ftm_user_rules_email_is_accepted(const char *email)
{
	static const char local_characters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+/=?^_`{|}~-";
	static const char label_characters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
	size_t		length = strspn(email, local_characters);
	const char *label = email + length + 1;

	if (length == 0 || email[length] != '@')
		return false;
	for (;;)
	{
		length = strspn(label, label_characters);
		if (length == 0 || length > 63 ||
			label[0] == '-' || label[length - 1] == '-')
			return false;
		if (label[length] == '\0')
			return true;
		if (label[length] != '.')
			return false;
		label += length + 1;
	}
}

/*
 * bcrypt in its three spellings, cost 4 to 16.
 */
bool
ftm_user_rules_hash_is_accepted(const char *hash)
{
	static const char alphabet[] =
		"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	int			cost;

	if (strlen(hash) != BCRYPT_LENGTH || strncmp(hash, "$2", 2) != 0 ||
		strchr("aby", hash[2]) == NULL || hash[3] != '$' || hash[6] != '$' ||
		!isdigit((unsigned char) hash[4]) || !isdigit((unsigned char) hash[5]))
		return false;
	cost = (hash[4] - '0') * 10 + hash[5] - '0';
	return cost >= 4 && cost <= 16 &&
		strspn(hash + 7, alphabet) == BCRYPT_LENGTH - 7;
}

/*
 * Base32 as Supabase stores secrets to base64 as Stack Auth wants them; NULL
 * if it is not base32 (encrypted by Supabase, for one).
 */
char *
ftm_user_rules_totp_base64(const char *base32)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	size_t		length = strcspn(base32, "=");
	uint8	   *secret = palloc(length + 1);
	int			secret_length = 0;
	uint32		bits = 0;
	int			nbits = 0;
	char	   *base64;
	int			base64_length;

	if (strspn(base32 + length, "=") != strlen(base32 + length))
		return NULL;
	for (size_t i = 0; i < length; i++)
	{
		const char *digit = strchr(alphabet,
								   pg_ascii_toupper((unsigned char) base32[i]));

		if (digit == NULL)
			return NULL;
		bits = (bits << 5) | (uint32) (digit - alphabet);
		nbits += 5;
		if (nbits >= 8)
		{
			nbits -= 8;
			secret[secret_length++] = (uint8) ((bits >> nbits) & 0xff);
		}
	}
	if (secret_length == 0)
		return NULL;
	base64_length = pg_b64_enc_len(secret_length);
	base64 = palloc0(base64_length + 1);
	if (ftm_base64_encode(secret, secret_length, base64, base64_length) < 0)
		return NULL;
	return base64;
}

/*
 * Looks outside of strings only: what is within them is text.
 */
MetadataProblem
ftm_user_rules_check_metadata(const char *json)
{
	int			depth = 0;
	int			digits = 0;
	bool		in_string = false;
	MetadataProblem problem = METADATA_FINE;

	if (strlen(json) > MAX_METADATA_SIZE)
		return METADATA_TOO_LARGE;
	for (const char *p = json; *p != '\0'; p++)
	{
		if (in_string)
		{
			if (*p == '\\' && p[1] != '\0')
				p++;
			else if (*p == '"')
				in_string = false;
			continue;
		}
		in_string = *p == '"';
		if (isdigit((unsigned char) *p))
			digits++;
		else if (*p != '.')
			digits = 0;
		if (digits > MAX_DIGITS)
			problem = METADATA_IMPRECISE;
		if (*p == '{' || *p == '[')
			depth++;
		else if (*p == '}' || *p == ']')
			depth--;
		if (depth > MAX_METADATA_DEPTH)
			return METADATA_TOO_DEEP;
	}
	return problem;
}

/*
 * The first units UTF-16 units of a text in the database's encoding.
 */
char *
ftm_user_rules_cut_text(const char *text, int units)
{
	const char *p = text;

	while (*p != '\0')
	{
		int			length = pg_mblen(p);

		/* Outside of the basic plane, which takes 4 bytes in UTF-8. */
		units -= length > 3 ? 2 : 1;
		if (units < 0)
			break;
		p += length;
	}
	return pnstrdup(text, p - text);
}

/*
 * One part of a host that looks like an IPv4 address: decimal, octal or
 * hexadecimal; -1 if it is none of these.
 */
static int64
ipv4_number(const char *label, size_t length)
{
	int			base = 10;
	int64		number = 0;

	if (length >= 2 && label[0] == '0' &&
		pg_ascii_tolower((unsigned char) label[1]) == 'x')
	{
		base = 16;
		label += 2;
		length -= 2;
	}
	else if (length >= 2 && label[0] == '0')
		base = 8;
	for (size_t i = 0; i < length; i++)
	{
		int			c = pg_ascii_tolower((unsigned char) label[i]);
		int			digit = isdigit(c) ? c - '0' :
			c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;

		if (digit >= base)
			return -1;
		number = Min(number * base + digit, PG_INT64_MAX / 32);
	}
	return number;
}

/*
 * A browser takes a host for an IPv4 address when its last part is a number,
 * and then it must be one: up to four parts, of which the last one stands for
 * all bytes that are left.
 */
static bool
is_host(const char *host, size_t length)
{
	int64		numbers[4];
	int			nparts = 0;
	bool		last_is_number = false;
	bool		is_address = true;

	/* A dot at the end is not the end of a part. */
	if (length > 1 && host[length - 1] == '.')
		length--;
	for (size_t start = 0; start <= length; nparts++)
	{
		const char *label = host + start;
		size_t		end = 0;
		int64		number;

		while (start + end < length && label[end] != '.')
			end++;
		/* Most of these are no names, and few are used: not worth a decoder. */
		if (pg_strncasecmp(label, "xn--", 4) == 0 && end >= 4)
			return false;
		number = ipv4_number(label, end);
		last_is_number = end > 0 &&
			(number >= 0 || strspn(label, "0123456789") >= end);
		if (end == 0 || number < 0 || nparts > 3)
			is_address = false;
		else
			numbers[nparts] = number;
		start += end + 1;
	}
	if (!last_is_number)
		return length > 0;
	if (!is_address)
		return false;
	for (int i = 0; i < nparts - 1; i++)
	{
		if (numbers[i] > 255)
			return false;
	}
	return numbers[nparts - 1] < INT64CONST(1) << (8 * (5 - nparts));
}

static bool
is_port(const char *port, size_t length)
{
	int			number = 0;

	for (size_t i = 0; i < length; i++)
	{
		if (!isdigit((unsigned char) port[i]))
			return false;
		number = Min(number * 10 + port[i] - '0', 100000);
	}
	return number <= 65535;
}

/*
 * The service's own rules, as far as they are known to be kept by what remains:
 * the scheme in lower case, then a host and a port as a browser takes them.
 */
char *
ftm_user_rules_clean_url(const char *url)
{
	const char *host = strncmp(url, "https://", 8) == 0 ? url + 8 :
		strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
	StringInfoData clean;
	size_t		length;
	size_t		authority;
	const char *utf8;

	if (host == NULL || strlen(url) > MAX_URL_LENGTH)
		return NULL;
	length = strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");
	authority = strcspn(host, "/?#");
	if (length == 0 || !is_host(host, length))
		return NULL;
	if (length < authority &&
		(host[length] != ':' ||
		 !is_port(host + length + 1, authority - length - 1)))
		return NULL;

	utf8 = pg_server_to_any(url, strlen(url), PG_UTF8);
	initStringInfo(&clean);
	for (const char *p = utf8; *p != '\0'; p++)
	{
		if (*p > ' ' && *p < 127)
			appendStringInfoChar(&clean, *p);
		else if ((unsigned char) *p > 127)
			appendStringInfo(&clean, "%%%02X", (unsigned char) *p);
		else
			return NULL;
	}
	return clean.data;
}
