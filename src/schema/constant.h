/*-------------------------------------------------------------------------
 *
 * constant.h
 *		Are two texts of a default the same constant?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CONSTANT_H
#define FTM_CONSTANT_H

/*
 * Do both texts say nothing but a constant, and the same one in a column of the
 * target (relid, by name): '{}'::text[] and ARRAY[]::text[], or 0 and 0.00 in a
 * numeric(10,2)?  False if either is no constant, if it is none of the column's
 * type, or if that is not one of PostgreSQL's own.  Needs a transaction.
 */
extern bool ftm_constant_equal(const char *a, const char *b, Oid relid,
							   const char *column);

#endif							/* FTM_CONSTANT_H */
