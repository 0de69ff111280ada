/*-------------------------------------------------------------------------
 *
 * postponed.h
 *		CHECK constraints and indexes that a load leaves to the end of the run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_POSTPONED_H
#define FTM_POSTPONED_H

#include "nodes/pg_list.h"

/* What a load leaves for later. */
typedef struct Postponed
{
	List	   *checks;			/* pg_constraint OIDs */
	List	   *indexes;		/* OIDs, partitioned ones included */
} Postponed;

/*
 * Does a table of the target, or one of its partitions, have anything to be
 * postponed, or statistics that only the end of the run can compute?  unvalidated:
 * texts (char *) of CHECK expressions that the source has never validated.  Appends
 * to notes (List of char *) what that is, and why.  Locks nothing.
 */
extern bool ftm_postponed_exists(Oid relid, const List *unvalidated,
								 List **notes);

/*
 * What is to be postponed of the tables of tree.  They are locked exclusively by
 * who loads them.
 */
extern Postponed *ftm_postponed_find(const List *tree,
									 const List *unvalidated);

/*
 * Mark the CHECK constraints not valid, and hide them from those who insert in
 * this transaction, until the second function, which must be called before the
 * commit.
 */
extern void ftm_postponed_hide_checks(const Postponed *postponed);
extern void ftm_postponed_show_checks(const Postponed *postponed);

#endif							/* FTM_POSTPONED_H */
