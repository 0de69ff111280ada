/*-------------------------------------------------------------------------
 *
 * known_id.c
 *		Is a known user's id anywhere in a value of a COPY stream?
 *
 * Like rewrite.c, which calls it, the file includes no postgres.h.  Every value
 * of a column that nobody has decided about goes through here, and next to none
 * holds an id: so what is looked at first are single bytes that no id can do
 * without.
 *
 *-------------------------------------------------------------------------
 */
#include "ids/known_id.h"
#include "ids/uuid_text.h"

#include <string.h>

typedef struct IdSearch
{
	const char *value;
	size_t		length;
	KnownIdForm form;
	KnownId		known;
	void	   *arg;
} IdSearch;

static inline bool
is_digit(char c)
{
	return hex_digits[(unsigned char) c] != 0;
}

/* Is the character at position the second half of \b, \f or the like? */
static bool
is_escaped(const IdSearch *search, const char *position)
{
	const char *first = position;

	if (search->form != KNOWN_ID_IN_COPY)
		return false;
	while (first > search->value && first[-1] == '\\')
		first--;
	return (position - first) % 2 != 0;
}

/* With hyphens, whatever stands around it. */
static bool
is_in_text(const IdSearch *search)
{
	const char *start = search->value;	/* no uuid begins before this */
	const char *end = start + search->length;

	while (end - start >= UUID_TEXT_LENGTH)
	{
		uint8_t		id[UUID_LENGTH];
		const char *dash;

		/* The first dash of a uuid that begins at start or later. */
		dash = memchr(start + 8, '-',
					  (size_t) (end - start) - UUID_TEXT_LENGTH + 1);
		if (dash == NULL)
			break;
		start = dash - 8;
		if (parse_uuid(start, id) != SPELLING_NONE &&
			!is_escaped(search, start) &&
			search->known(search->arg, id))
			return true;
		start++;
	}
	return false;
}

static bool
is_known_without_hyphens(const IdSearch *search, const char *digits)
{
	uint8_t		id[UUID_LENGTH];

	for (int i = 0; i < UUID_LENGTH; i++)
	{
		uint8_t		high = hex_digits[(unsigned char) digits[2 * i]];
		uint8_t		low = hex_digits[(unsigned char) digits[2 * i + 1]];

		id[i] = (uint8_t) ((high & HEX_VALUE) << 4 | (low & HEX_VALUE));
	}
	return search->known(search->arg, id);
}

/*
 * Digits at the beginning of a row that are none: the second half of \b or \f,
 * or the last bytes of a length, whose first byte is zero as no byte of a text
 * is.  Returns how many.
 */
static size_t
leading_impostors(const IdSearch *search, size_t first, size_t ndigits)
{
	if (search->form == KNOWN_ID_IN_COPY)
		return is_escaped(search, search->value + first) ? 1 : 0;
	if (first > 0 && search->value[first - 1] == '\0' && ndigits > UUID_DIGITS &&
		ndigits < UUID_DIGITS + 4)
		return ndigits - UUID_DIGITS;
	return 0;
}

/*
 * Without hyphens: 32 digits in a row, and no more, since a longer row is a
 * hash.  Such a row covers one of the places that are looked at, which are 32
 * bytes apart.
 */
static bool
is_in_row_of_digits(const IdSearch *search)
{
	const char *value = search->value;
	size_t		place = UUID_DIGITS - 1;

	while (place < search->length)
	{
		size_t		first = place;
		size_t		behind = place;

		while (behind < search->length && is_digit(value[behind]))
			behind++;
		if (behind > place)
		{
			while (first > 0 && is_digit(value[first - 1]))
				first--;
			if (behind - first >= UUID_DIGITS)
				first += leading_impostors(search, first, behind - first);
			if (behind - first == UUID_DIGITS &&
				is_known_without_hyphens(search, value + first))
				return true;
		}
		place = behind + UUID_DIGITS;
	}
	return false;
}

/* As 16 bytes behind their number. */
static bool
is_in_parts(const IdSearch *search)
{
	static const char number[4] = {0, 0, 0, UUID_LENGTH};
	const char *start = search->value;
	const char *end = start + search->length;

	while ((size_t) (end - start) >= sizeof(number) + UUID_LENGTH)
	{
		const char *last = memchr(start + 3, UUID_LENGTH,
								  (size_t) (end - start) - UUID_LENGTH - 3);

		if (last == NULL)
			break;
		if (memcmp(last - 3, number, sizeof(number)) == 0 &&
			search->known(search->arg, (const uint8_t *) last + 1))
			return true;
		start = last - 2;
	}
	return false;
}

static bool
is_anywhere(const char *value, size_t length, KnownIdForm form, KnownId known,
			void *arg)
{
	IdSearch	search = {value, length, form, known, arg};

	if (form == KNOWN_ID_IN_BINARY && is_in_parts(&search))
		return true;
	return length >= UUID_DIGITS &&
		(is_in_text(&search) || is_in_row_of_digits(&search));
}

bool
ftm_known_id_in(const char *value, size_t length, KnownIdForm form,
				KnownId known, void *arg)
{
	if (form == KNOWN_ID_AS_BYTES)
		return length == UUID_LENGTH && known(arg, (const uint8_t *) value);
	return is_anywhere(value, length, form, known, arg);
}
