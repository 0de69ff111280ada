/*-------------------------------------------------------------------------
 *
 * uuid_text.h
 *		Uuids as text, for the modules that read a COPY stream.
 *
 * Pure, as rewrite.h; inline, since it is called for every dash of a text.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_UUID_TEXT_H
#define FTM_UUID_TEXT_H

#include <stdint.h>

#define UUID_LENGTH			16
#define UUID_TEXT_LENGTH	36
#define UUID_DIGITS			32

/* How a uuid is written in a text. */
typedef enum UuidSpelling
{
	SPELLING_NONE,				/* this is no uuid */
	SPELLING_LOWER,				/* also: digits alone */
	SPELLING_UPPER,
	SPELLING_MIXED				/* never written by a program, and a new id
								 * in its place could not follow it */
} UuidSpelling;

#define HEX_DIGIT	0x10
#define HEX_LOWER	0x20
#define HEX_UPPER	0x40
#define HEX_VALUE	0x0F

/* Value of a hexadecimal digit with the flags above; 0: no such digit. */
static const uint8_t hex_digits[256] = {
	['0'] = HEX_DIGIT | 0,['1'] = HEX_DIGIT | 1,
	['2'] = HEX_DIGIT | 2,['3'] = HEX_DIGIT | 3,
	['4'] = HEX_DIGIT | 4,['5'] = HEX_DIGIT | 5,
	['6'] = HEX_DIGIT | 6,['7'] = HEX_DIGIT | 7,
	['8'] = HEX_DIGIT | 8,['9'] = HEX_DIGIT | 9,
	['a'] = HEX_DIGIT | HEX_LOWER | 10,['A'] = HEX_DIGIT | HEX_UPPER | 10,
	['b'] = HEX_DIGIT | HEX_LOWER | 11,['B'] = HEX_DIGIT | HEX_UPPER | 11,
	['c'] = HEX_DIGIT | HEX_LOWER | 12,['C'] = HEX_DIGIT | HEX_UPPER | 12,
	['d'] = HEX_DIGIT | HEX_LOWER | 13,['D'] = HEX_DIGIT | HEX_UPPER | 13,
	['e'] = HEX_DIGIT | HEX_LOWER | 14,['E'] = HEX_DIGIT | HEX_UPPER | 14,
	['f'] = HEX_DIGIT | HEX_LOWER | 15,['F'] = HEX_DIGIT | HEX_UPPER | 15,
};

/* Where the two digits of each byte of a uuid stand in its text. */
static const uint8_t digit_positions[UUID_LENGTH] =
{0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34};


/* Read the 36 characters at text; id is only valid if they are a uuid. */
static inline UuidSpelling
parse_uuid(const char *text, uint8_t id[UUID_LENGTH])
{
	uint8_t		all = HEX_DIGIT;
	uint8_t		any = 0;

	if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-')
		return SPELLING_NONE;

	for (int i = 0; i < UUID_LENGTH; i++)
	{
		const char *digits = text + digit_positions[i];
		uint8_t		high = hex_digits[(unsigned char) digits[0]];
		uint8_t		low = hex_digits[(unsigned char) digits[1]];

		all &= high & low;
		any |= high | low;
		id[i] = (uint8_t) ((high & HEX_VALUE) << 4 | (low & HEX_VALUE));
	}

	if (!(all & HEX_DIGIT))
		return SPELLING_NONE;
	if (!(any & HEX_UPPER))
		return SPELLING_LOWER;
	return (any & HEX_LOWER) ? SPELLING_MIXED : SPELLING_UPPER;
}

/* Write id over the uuid at text, whose dashes stay. */
static inline void
write_uuid(char *text, const uint8_t id[UUID_LENGTH], UuidSpelling spelling)
{
	const char *digits = spelling == SPELLING_UPPER ?
		"0123456789ABCDEF" : "0123456789abcdef";

	for (int i = 0; i < UUID_LENGTH; i++)
	{
		text[digit_positions[i]] = digits[id[i] >> 4];
		text[digit_positions[i] + 1] = digits[id[i] & HEX_VALUE];
	}
}

#endif							/* FTM_UUID_TEXT_H */
