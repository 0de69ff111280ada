/*-------------------------------------------------------------------------
 *
 * diff_sql.h
 *		Every statement of ftm_diff(), for both ends.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_DIFF_SQL_H
#define FTM_DIFF_SQL_H

#include "storage/itemptr.h"

#include "verify/checksum.h"

/* Which end a statement or a row is of. */
typedef enum DiffSide
{
	DIFF_SOURCE,
	DIFF_TARGET
} DiffSide;

#define DIFF_SIDES 2

/* Where a row is, within the snapshot that it was read under. */
typedef struct RowPlace
{
	Oid			tableoid;
	ItemPointerData ctid;
} RowPlace;

/* A table's columns and what the statements are made of. */
typedef struct DiffSql
{
	Oid			target;			/* the target's table */
	int			ncolumns;
	const ComparedColumn **columns;
	bool		has_key;
	bool	   *in_key;			/* for each column */
	char	   *from[DIFF_SIDES];
	char	   *key_hash[DIFF_SIDES];	/* without a key: the row's hash */
	char	   *row_hash[DIFF_SIDES];
	char	   *column_hashes[DIFF_SIDES];	/* elements of an array */
	char	   *column_texts[DIFF_SIDES];	/* elements of an array */
} DiffSql;

/*
 * Find the table's key and build the expressions, in the current memory
 * context.  Asks both ends for their unique indexes.
 */
extern DiffSql *ftm_diff_sql_build(const PlanTable *table,
								   const TableChecksum *checksum,
								   SourceConnection *source);

/*
 * Rows (bucket, number of rows, checksum) for the buckets that are not empty.
 * A row's bucket is its key's hash & mask.
 */
extern char *ftm_diff_sql_buckets(const DiffSql *sql, DiffSide side,
								  uint32 mask);

/*
 * Rows (key's hash, row's hash, tableoid, ctid) for all rows in these buckets.
 */
extern char *ftm_diff_sql_rows(const DiffSql *sql, DiffSide side, uint32 mask,
							   const uint32 *buckets, int nbuckets);

/*
 * Rows (tableoid, ctid, hashes of the columns int8[], their texts text[]) for
 * the rows in these places.
 */
extern char *ftm_diff_sql_values(const DiffSql *sql, DiffSide side,
								 const RowPlace *places, int nplaces);

#endif							/* FTM_DIFF_SQL_H */
