/*-------------------------------------------------------------------------
 *
 * numeric_value.h
 *		Numeric values: from the bytes on the wire to those in a tuple.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_NUMERIC_VALUE_H
#define FTM_NUMERIC_VALUE_H

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

#endif							/* FTM_NUMERIC_VALUE_H */
