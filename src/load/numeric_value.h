/*-------------------------------------------------------------------------
 *
 * numeric_value.h
 *		Numeric values: from the wire's bytes, or from digits, to a tuple's bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_NUMERIC_VALUE_H
#define FTM_NUMERIC_VALUE_H

/* What the short form has room for: digits before the point, and behind it. */
#define FTM_NUMERIC_MAX_WHOLE	256
#define FTM_NUMERIC_MAX_SCALE	63

/* It has this many bytes before the digits, of which it has so many in two. */
#define FTM_NUMERIC_HEADER		2
#define FTM_NUMERIC_GROUP		4

/* What a column's type asks of its values. */
typedef struct NumericLimits
{
	bool		any;			/* nothing: no precision and scale */
	int			scale;
	int			whole_digits;	/* most digits before the decimal point */
} NumericLimits;

extern void ftm_numeric_limits(int32 typmod, NumericLimits *limits);

/*
 * Turn a value as numeric_send() writes it, length bytes at data, into one as
 * a tuple has it behind its varlena header, in place.  Returns where that
 * begins, its length in *stored; NULL, with nothing changed, if the value is
 * malformed, out of range or out of the ordinary, and is better left to
 * numeric_recv().
 */
extern char *ftm_numeric_convert(const NumericLimits *limits, char *data,
								 int32 length, int *stored);

/*
 * Write the number with these decimal digits as numeric_in() stores it, without
 * varlena header, and return its length.  The text is that of whole digits, at
 * least one, and then, if scale is not 0, a point and scale digits.  No more
 * bytes are written than two for each group of digits, and the header.
 */
extern int	ftm_numeric_write(char *stored, const char *text, int whole,
							  int scale, bool negative);

#endif							/* FTM_NUMERIC_VALUE_H */
