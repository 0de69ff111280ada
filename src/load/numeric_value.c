/*-------------------------------------------------------------------------
 *
 * numeric_value.c
 *		Numeric values: from the wire's bytes, or from digits, to a tuple's bytes.
 *
 * numeric_recv() takes some 600 instructions per value, most of them to make
 * of it what it nearly always is already: digits in base 10000 without zeros
 * at either end, and none behind the scale.
 *
 * What constrains this file:
 *
 * - How the server stores a numeric is known to numeric.c alone, but is fixed:
 *	 it lies in every table.  Only its short form is written here, which holds
 *	 for up to 63 digits behind the point and 256 before it: sign, scale and
 *	 weight in 16 bits, then the digits.
 * - Anything that numeric_recv() would have to round, strip or refuse is left
 *	 to it, so that its outcome and its errors are the server's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "load/numeric_value.h"
#include "load/row_value.h"

/* On the wire: number of digits, weight, sign, scale; then the digits. */
#define WIRE_HEADER		8
#define WIRE_POSITIVE	0x0000
#define WIRE_NEGATIVE	0x4000

#define BASE			10000
#define DIGITS_PER_GROUP	FTM_NUMERIC_GROUP

/* In a tuple. */
#define SHORT_FORM			0x8000
#define SHORT_NEGATIVE		0x2000
#define SHORT_SCALE_SHIFT	7
#define SHORT_SCALE_MAX		FTM_NUMERIC_MAX_SCALE
#define SHORT_WEIGHT_MASK	0x007F	/* two's complement */
#define SHORT_WEIGHT_MIN	(-64)
#define SHORT_WEIGHT_MAX	(FTM_NUMERIC_MAX_WHOLE / DIGITS_PER_GROUP - 1)

static const int powers[] = {1, 10, 100, 1000};

void
ftm_numeric_limits(int32 typmod, NumericLimits *limits)
{
	int32		packed = typmod - VARHDRSZ;
	int			precision = (packed >> 16) & 0xFFFF;

	/* The scale has 11 bits and a sign. */
	limits->any = packed < 0;
	limits->scale = ((packed & 0x7FF) ^ 0x400) - 0x400;
	limits->whole_digits = precision - limits->scale;
}

/*
 * Are there digits at both ends, and none behind the scale or too many before
 * the point?
 */
static inline bool
is_plain(const NumericLimits *limits, int first, int last, int ngroups,
		 int weight, int scale)
{
	int			behind = (ngroups - weight - 1) * DIGITS_PER_GROUP - scale;
	int			whole = (weight + 1) * DIGITS_PER_GROUP;

	if (first == 0 || last == 0 || behind >= DIGITS_PER_GROUP ||
		(behind > 0 && last % powers[behind] != 0))
		return false;
	if (limits->any)
		return true;
	whole -= (first < 1000) + (first < 100) + (first < 10);
	return whole <= limits->whole_digits;
}

static inline void
write_header(char *stored, int weight, int scale, bool negative)
{
	uint16		header = (uint16) (SHORT_FORM | scale << SHORT_SCALE_SHIFT |
								   (weight & SHORT_WEIGHT_MASK) |
								   (negative ? SHORT_NEGATIVE : 0));

	memcpy(stored, &header, sizeof(header));
}

char *
ftm_numeric_convert(const NumericLimits *limits, char *data, int32 length,
					int *stored)
{
	char	   *digits = data + WIRE_HEADER;
	int			ngroups;
	int			weight;
	int			sign;
	int			scale;

	if (length < WIRE_HEADER)
		return NULL;
	ngroups = ftm_read_uint16(data);
	weight = (int16) ftm_read_uint16(data + 2);
	sign = ftm_read_uint16(data + 4);
	scale = ftm_read_uint16(data + 6);
	if (length != WIRE_HEADER + ngroups * 2 ||
		(sign != WIRE_POSITIVE && sign != WIRE_NEGATIVE) ||
		scale > SHORT_SCALE_MAX ||
		weight < SHORT_WEIGHT_MIN || weight > SHORT_WEIGHT_MAX ||
		(!limits->any && scale != limits->scale))
		return NULL;

	if (ngroups == 0)
	{
		if (weight != 0 || sign != WIRE_POSITIVE)
			return NULL;
	}
	else if (!is_plain(limits, ftm_read_uint16(digits),
					   ftm_read_uint16(digits + (ngroups - 1) * 2),
					   ngroups, weight, scale))
		return NULL;
	for (int i = 0; i < ngroups; i++)
	{
		if (ftm_read_uint16(digits + i * 2) >= BASE)
			return NULL;
	}

	for (int i = 0; i < ngroups; i++)
	{
		uint16		digit = ftm_read_uint16(digits + i * 2);

		memcpy(digits + i * 2, &digit, sizeof(digit));
	}
	write_header(digits - FTM_NUMERIC_HEADER, weight, scale,
				 sign == WIRE_NEGATIVE);
	*stored = FTM_NUMERIC_HEADER + ngroups * 2;
	return digits - FTM_NUMERIC_HEADER;
}

static inline int
read_group(const char *text, int ndigits)
{
	int			group = 0;

	for (int i = 0; i < ndigits; i++)
		group = group * 10 + (text[i] - '0');
	return group;
}

/*
 * Groups that are zero are stripped at both ends; the scale still tells how
 * many digits there were.
 */
int
ftm_numeric_write(char *stored, const char *text, int whole, int scale,
				  bool negative)
{
	char	   *groups = stored + FTM_NUMERIC_HEADER;
	int			weight = (whole - 1) / DIGITS_PER_GROUP;
	int			ngroups = 0;
	int			nused = 0;
	int			ndigits;

	/* Most numbers are small integers. */
	if (scale == 0 && whole <= DIGITS_PER_GROUP)
	{
		uint16		group = (uint16) read_group(text, whole);

		write_header(stored, 0, 0, negative && group != 0);
		memcpy(groups, &group, sizeof(group));
		return FTM_NUMERIC_HEADER + (group != 0 ? 2 : 0);
	}

	for (int left = whole + scale; left > 0; left -= ndigits)
	{
		uint16		group;

		if (left > scale)
		{
			ndigits = (left - scale - 1) % DIGITS_PER_GROUP + 1;
			group = (uint16) read_group(text, ndigits);
			text += ndigits + (left - ndigits == scale);	/* the point */
		}
		else
		{
			ndigits = Min(left, DIGITS_PER_GROUP);
			group = (uint16) (read_group(text, ndigits) *
							  powers[DIGITS_PER_GROUP - ndigits]);
			text += ndigits;
		}
		if (group == 0 && ngroups == 0)
		{
			weight--;
			continue;
		}
		memcpy(groups + ngroups * 2, &group, sizeof(group));
		ngroups++;
		if (group != 0)
			nused = ngroups;
	}
	write_header(stored, nused > 0 ? weight : 0, scale, negative && nused > 0);
	return FTM_NUMERIC_HEADER + nused * 2;
}
