/*-------------------------------------------------------------------------
 *
 * rowset.h
 *		A small query result as text, the same for source and target.
 *
 * The catalogs of both ends are read with the very same SQL; whether it went
 * over libpq (ftm_source_query) or through SPI (ftm_target_query), the answer
 * is a RowSet.  Meant for catalogs and counts, not for tables of data: all
 * rows are in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ROWSET_H
#define FTM_ROWSET_H

#include <errno.h>

typedef struct RowSet
{
	int			nrows;
	int			ncolumns;
	char	  **values;			/* nrows * ncolumns; NULL stands for SQL NULL */
} RowSet;

/*
 * Value at (row, column), counted from 0; NULL stands for SQL NULL.  Error
 * 22P02 if there is none: answers are also read from files.
 */
static inline char *
ftm_rowset_value(const RowSet *rows, int row, int column)
{
	if (unlikely(row >= rows->nrows || column >= rows->ncolumns))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("an answer of %d rows with %d values has no value %d in row %d",
						rows->nrows, rows->ncolumns, column + 1, row + 1)));
	return rows->values[row * rows->ncolumns + column];
}

/* The same where SQL NULL cannot be right: error 22P02, too. */
static inline char *
ftm_rowset_text(const RowSet *rows, int row, int column)
{
	char	   *value = ftm_rowset_value(rows, row, column);

	if (unlikely(value == NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("value %d in row %d of an answer is null",
						column + 1, row + 1)));
	return value;
}

/* The same as a bool: 't' is true, NULL and everything else is false. */
static inline bool
ftm_rowset_bool(const RowSet *rows, int row, int column)
{
	const char *value = ftm_rowset_value(rows, row, column);

	return value != NULL && value[0] == 't';
}

/*
 * The same as a 64-bit integer; NULL is 0.  Error 22P02 if it is none; answers
 * of a source have been checked before (see answer.h).
 */
static inline int64
ftm_rowset_int64(const RowSet *rows, int row, int column)
{
	const char *value = ftm_rowset_value(rows, row, column);
	int64		number;
	char	   *end;

	if (value == NULL)
		return 0;
	errno = 0;
	number = strtoll(value, &end, 10);
	if (unlikely(errno != 0 || end == value || *end != '\0'))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("value %d in row %d of an answer is not an integer",
						column + 1, row + 1)));
	return number;
}

/* The same as an OID, which cannot be NULL. */
static inline Oid
ftm_rowset_oid(const RowSet *rows, int row, int column)
{
	(void) ftm_rowset_text(rows, row, column);
	return (Oid) ftm_rowset_int64(rows, row, column);
}

/*
 * The rows whose first value is an OID, *begin up to the one before *end, among
 * rows that are sorted by it.
 */
static inline void
ftm_rowset_range(const RowSet *rows, Oid oid, int *begin, int *end)
{
	int			low = 0;
	int			high = rows->nrows;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (strtoul(ftm_rowset_text(rows, middle, 0), NULL, 10) < oid)
			low = middle + 1;
		else
			high = middle;
	}
	*begin = low;
	while (low < rows->nrows &&
		   strtoul(ftm_rowset_text(rows, low, 0), NULL, 10) == oid)
		low++;
	*end = low;
}

#endif							/* FTM_ROWSET_H */
