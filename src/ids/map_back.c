/*-------------------------------------------------------------------------
 *
 * map_back.c
 *		SQL functions that map user ids of the target back to the source's.
 *
 * Verification compares the source's rows with the target's rows mapped back.
 * These functions share no code with rewrite.c, so that a bug in the rewriter
 * cannot hide behind the same bug here.  They answer for one value at a time:
 *
 *		a target id							-> the user's source id
 *		a source id of a user whose target
 *		id is another						-> all bits flipped, which equals
 *											   nothing that the source holds:
 *											   it should have been rewritten
 *		anything else						-> itself
 *
 * In a text, every 36-character window of the form 8-4-4-4-12 is one value,
 * whatever stands around it; windows of known ids do not overlap.  Written
 * with lower-case letters it is answered in lower case, with upper-case
 * letters in upper case; one that mixes both is left alone, as the rewriter
 * leaves it alone.
 *
 * ftm_values_with_user_ids() is about columns in which nothing was rewritten,
 * since nobody has decided about them.  It sees ids in any case, and without
 * hyphens: 32 digits that are not part of a longer number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "compat.h"
#include "ids/map_back.h"
#include "ids/user_map.h"

#define UUID_TEXT_LENGTH	36
#define BARE_UUID_LENGTH	32	/* without hyphens */

/* What the target does with one id. */
typedef enum IdState
{
	ID_TARGET,					/* a user's target id: as it should be */
	ID_LEFT_OVER,				/* a mapped user's source id, not rewritten */
	ID_KEPT						/* not in the map */
} IdState;

/* How the letters of a uuid's text are written. */
typedef enum LetterCase
{
	CASE_LOWER,					/* or no letters at all */
	CASE_UPPER,
	CASE_MIXED
} LetterCase;

PG_FUNCTION_INFO_V1(ftm_source_user_id);
PG_FUNCTION_INFO_V1(ftm_source_user_ids);
PG_FUNCTION_INFO_V1(ftm_leftover_user_ids_uuid);
PG_FUNCTION_INFO_V1(ftm_leftover_user_ids_text);
PG_FUNCTION_INFO_V1(ftm_kept_user_ids_uuid);
PG_FUNCTION_INFO_V1(ftm_kept_user_ids_text);
PG_FUNCTION_INFO_V1(ftm_mixed_case_user_ids);
PG_FUNCTION_INFO_V1(ftm_values_with_user_ids);

/*
 * Map one id back and say what it was.
 */
static IdState
map_back(const UserMap *map, const uint8_t id[UUID_LEN],
		 uint8_t result[UUID_LEN])
{
	if (ftm_usermap_source(map, id, result))
		return ID_TARGET;

	/*
	 * Had this source id an equal target id, the look-up above would have
	 * found it.
	 */
	if (ftm_usermap_target(map, id, result))
	{
		for (int i = 0; i < UUID_LEN; i++)
			result[i] = (uint8_t) ~id[i];
		return ID_LEFT_OVER;
	}

	memcpy(result, id, UUID_LEN);
	return ID_KEPT;
}

/* What a hexadecimal digit is, and how it is written; 0: it is none. */
#define DIGIT			0x10
#define DIGIT_LOWER		0x20
#define DIGIT_UPPER		0x40
#define DIGIT_VALUE		0x0F

static const uint8_t digits_by_character[256] = {
	['0'] = DIGIT,['1'] = DIGIT | 1,['2'] = DIGIT | 2,['3'] = DIGIT | 3,
	['4'] = DIGIT | 4,['5'] = DIGIT | 5,['6'] = DIGIT | 6,['7'] = DIGIT | 7,
	['8'] = DIGIT | 8,['9'] = DIGIT | 9,
	['a'] = DIGIT | DIGIT_LOWER | 10,['b'] = DIGIT | DIGIT_LOWER | 11,
	['c'] = DIGIT | DIGIT_LOWER | 12,['d'] = DIGIT | DIGIT_LOWER | 13,
	['e'] = DIGIT | DIGIT_LOWER | 14,['f'] = DIGIT | DIGIT_LOWER | 15,
	['A'] = DIGIT | DIGIT_UPPER | 10,['B'] = DIGIT | DIGIT_UPPER | 11,
	['C'] = DIGIT | DIGIT_UPPER | 12,['D'] = DIGIT | DIGIT_UPPER | 13,
	['E'] = DIGIT | DIGIT_UPPER | 14,['F'] = DIGIT | DIGIT_UPPER | 15,
};

static inline uint8_t
digit_at(const char *text)
{
	return digits_by_character[(unsigned char) *text];
}

/*
 * The 36 bytes at text as a uuid.  False if they are none.
 */
static bool
parse_window(const char *text, uint8_t id[UUID_LEN], LetterCase *letters)
{
	uint8_t		seen = 0;

	if (text[8] != '-' || text[13] != '-' ||
		text[18] != '-' || text[23] != '-')
		return false;

	for (int i = 0; i < UUID_LEN; i++)
	{
		uint8_t		high;
		uint8_t		low;

		if (i == 4 || i == 6 || i == 8 || i == 10)
			text++;				/* the hyphen */
		high = digit_at(text++);
		low = digit_at(text++);
		if (high == 0 || low == 0)
			return false;
		seen |= high | low;
		id[i] = (uint8_t) ((high & DIGIT_VALUE) << 4 | (low & DIGIT_VALUE));
	}
	*letters = (seen & DIGIT_UPPER) == 0 ? CASE_LOWER :
		(seen & DIGIT_LOWER) == 0 ? CASE_UPPER : CASE_MIXED;
	return true;
}

/*
 * Write id over the 36 bytes at text.
 */
static void
format_window(char *text, const uint8_t id[UUID_LEN], LetterCase letters)
{
	const char *digits = letters == CASE_UPPER ?
		"0123456789ABCDEF" : "0123456789abcdef";
	int			at = 0;

	for (int i = 0; i < UUID_LEN; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			text[at++] = '-';
		text[at++] = digits[id[i] >> 4];
		text[at++] = digits[id[i] & 0x0F];
	}
	Assert(at == UUID_TEXT_LENGTH);
}

/*
 * Find the first uuid in text[from .. length): its offset, or -1.
 */
static int
next_window(const char *text, int length, int from, uint8_t id[UUID_LEN],
			LetterCase *letters)
{
	while (from <= length - UUID_TEXT_LENGTH)
	{
		/* The first dash of a uuid that begins at from or later. */
		const char *dash = memchr(text + from + 8, '-', length - from - 8);

		if (dash == NULL)
			return -1;
		from = (int) (dash - text) - 8;
		if (from > length - UUID_TEXT_LENGTH)
			return -1;
		if (parse_window(text + from, id, letters))
			return from;
		from++;
	}
	return -1;
}

/*
 * Count the uuids in text that are in state, written with letters in one case
 * (mixed false) or in both (mixed true).
 */
static int64
count_windows(const UserMap *map, const char *text, int length,
			  IdState state, bool mixed)
{
	int64		count = 0;
	int			at = 0;
	uint8_t		id[UUID_LEN];
	uint8_t		ignored[UUID_LEN];
	LetterCase	letters;

	while ((at = next_window(text, length, at, id, &letters)) >= 0)
	{
		IdState		found = map_back(map, id, ignored);

		if (found == state && (letters == CASE_MIXED) == mixed)
			count++;
		at += found != ID_KEPT && letters != CASE_MIXED ?
			UUID_TEXT_LENGTH : 1;
	}
	return count;
}

char *
ftm_mapback_expected_text(const UserMap *map, const char *value)
{
	char	   *result = pstrdup(value);
	int			length = (int) strlen(value);
	int			at = 0;
	uint8_t		id[UUID_LEN];
	uint8_t		target[UUID_LEN];
	LetterCase	letters;

	while ((at = next_window(value, length, at, id, &letters)) >= 0)
	{
		if (letters == CASE_MIXED || !ftm_usermap_target(map, id, target))
		{
			at++;
			continue;
		}
		format_window(result + at, target, letters);
		at += UUID_TEXT_LENGTH;
	}
	return result;
}

/*
 * ftm_source_user_id(uuid) returns uuid: the value mapped back.
 */
Datum
ftm_source_user_id(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	pg_uuid_t  *result = palloc(sizeof(pg_uuid_t));

	(void) map_back(ftm_usermap_for_query(fcinfo->flinfo), id->data,
					result->data);
	PG_RETURN_UUID_P(result);
}

/*
 * ftm_source_user_ids(text) returns text: the value with every uuid in it
 * mapped back.
 */
Datum
ftm_source_user_ids(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);
	int			length = VARSIZE_ANY_EXHDR(value);
	const UserMap *map = ftm_usermap_for_query(fcinfo->flinfo);
	text	   *result = NULL;
	int			at = 0;
	uint8_t		id[UUID_LEN];
	uint8_t		source[UUID_LEN];
	LetterCase	letters;

	while ((at = next_window(VARDATA_ANY(value), length, at, id,
							 &letters)) >= 0)
	{
		if (letters == CASE_MIXED || map_back(map, id, source) == ID_KEPT)
		{
			at++;
			continue;
		}
		if (result == NULL)
			result = cstring_to_text_with_len(VARDATA_ANY(value), length);
		format_window(VARDATA(result) + at, source, letters);
		at += UUID_TEXT_LENGTH;
	}
	PG_RETURN_TEXT_P(result != NULL ? result : value);
}

/*
 * ftm_leftover_user_ids(uuid) returns bigint: 1 if the value is the source id
 * of a user whose target id is another, else 0.
 */
Datum
ftm_leftover_user_ids_uuid(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	uint8_t		ignored[UUID_LEN];

	PG_RETURN_INT64(map_back(ftm_usermap_for_query(fcinfo->flinfo), id->data,
							 ignored) == ID_LEFT_OVER ? 1 : 0);
}

/*
 * ftm_leftover_user_ids(text) returns bigint: how many of the uuids in the
 * value are source ids of users whose target id is another.
 */
Datum
ftm_leftover_user_ids_text(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_INT64(count_windows(ftm_usermap_for_query(fcinfo->flinfo),
								  VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
								  ID_LEFT_OVER, false));
}

/*
 * ftm_kept_user_ids(uuid) returns bigint: 1 if the map lacks the value, on
 * either side, else 0.
 */
Datum
ftm_kept_user_ids_uuid(PG_FUNCTION_ARGS)
{
	pg_uuid_t  *id = PG_GETARG_UUID_P(0);
	uint8_t		ignored[UUID_LEN];

	PG_RETURN_INT64(map_back(ftm_usermap_for_query(fcinfo->flinfo), id->data,
							 ignored) == ID_KEPT ? 1 : 0);
}

/*
 * ftm_kept_user_ids(text) returns bigint: how many of the uuids in the value
 * the map lacks, on either side.
 */
Datum
ftm_kept_user_ids_text(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_INT64(count_windows(ftm_usermap_for_query(fcinfo->flinfo),
								  VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
								  ID_KEPT, false));
}

/*
 * ftm_mixed_case_user_ids(text) returns bigint: how many of the uuids in the
 * value are source ids of users whose target id is another, but written in
 * mixed case and therefore left alone.
 */
Datum
ftm_mixed_case_user_ids(PG_FUNCTION_ARGS)
{
	text	   *value = PG_GETARG_TEXT_PP(0);

	PG_RETURN_INT64(count_windows(ftm_usermap_for_query(fcinfo->flinfo),
								  VARDATA_ANY(value), VARSIZE_ANY_EXHDR(value),
								  ID_LEFT_OVER, true));
}

/* Is a known user's id in the text, with hyphens? */
static bool
has_known_window(const UserMap *map, const char *text, int length)
{
	int			at = 0;
	uint8_t		id[UUID_LEN];
	LetterCase	letters;

	while ((at = next_window(text, length, at, id, &letters)) >= 0)
	{
		if (ftm_usermap_knows(map, id))
			return true;
		at++;
	}
	return false;
}

/* The same without hyphens. */
static bool
has_known_number(const UserMap *map, const char *text, int length)
{
	int			end = BARE_UUID_LENGTH - 1;	/* where one might end */

	while (end < length)
	{
		int			from = end;
		char		window[UUID_TEXT_LENGTH];
		uint8_t		id[UUID_LEN];
		LetterCase	letters;

		/* Back to where the digits begin; most often there are none. */
		while (from >= 0 && digit_at(text + from) != 0)
			from--;
		if (from > end - BARE_UUID_LENGTH)
		{
			/* too few; one that goes on ends that many bytes later */
			end = from + BARE_UUID_LENGTH;
			continue;
		}
		from++;
		while (end + 1 < length && digit_at(text + end + 1) != 0)
			end++;
		if (end - from + 1 == BARE_UUID_LENGTH)
		{
			memset(window, '-', sizeof(window));
			memcpy(window, text + from, 8);
			memcpy(window + 9, text + from + 8, 4);
			memcpy(window + 14, text + from + 12, 4);
			memcpy(window + 19, text + from + 16, 4);
			memcpy(window + 24, text + from + 20, 12);
			if (parse_window(window, id, &letters) &&
				ftm_usermap_knows(map, id))
				return true;
		}
		end += BARE_UUID_LENGTH + 1;
	}
	return false;
}

/* Arguments of a call of ftm_values_with_user_ids(). */
typedef struct ValueTypes
{
	const UserMap *map;
	bool		is_uuid[FLEXIBLE_ARRAY_MEMBER]; /* else a text of some kind */
} ValueTypes;

static ValueTypes *
value_types(FunctionCallInfo fcinfo)
{
	ValueTypes *types = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt,
										   offsetof(ValueTypes, is_uuid) +
										   sizeof(bool) * PG_NARGS());

	types->map = ftm_usermap_share(fcinfo->flinfo->fn_mcxt);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		Oid			type = getBaseType(get_fn_expr_argtype(fcinfo->flinfo, i));

		types->is_uuid[i] = type == UUIDOID;
		if (type != UUIDOID && type != TEXTOID && type != VARCHAROID &&
			type != BPCHAROID && type != JSONOID && type != XMLOID)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("argument %d of ftm_values_with_user_ids() is neither a uuid nor a text",
							i + 1)));
	}
	return types;
}

/*
 * ftm_values_with_user_ids(VARIADIC "any") returns bigint: how many of the
 * values have a known user's id in them that was not rewritten.  One call for
 * all columns of a row.
 */
Datum
ftm_values_with_user_ids(PG_FUNCTION_ARGS)
{
	ValueTypes *types = fcinfo->flinfo->fn_extra;
	int64		count = 0;

	if (types == NULL)
		fcinfo->flinfo->fn_extra = types = value_types(fcinfo);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		if (PG_ARGISNULL(i))
			continue;
		if (types->is_uuid[i])
			count += ftm_usermap_knows(types->map, PG_GETARG_UUID_P(i)->data);
		else
		{
			text	   *value = PG_GETARG_TEXT_PP(i);
			const char *data = VARDATA_ANY(value);
			int			length = VARSIZE_ANY_EXHDR(value);

			if (length >= BARE_UUID_LENGTH &&
				(has_known_window(types->map, data, length) ||
				 has_known_number(types->map, data, length)))
				count++;
			if ((Pointer) value != DatumGetPointer(PG_GETARG_DATUM(i)))
				pfree(value);
		}
	}
	PG_RETURN_INT64(count);
}
