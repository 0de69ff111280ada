/*-------------------------------------------------------------------------
 *
 * finish.h
 *		What a load leaves to be done: sequences, foreign keys, statistics.
 *
 * All of it runs in a worker, inside a transaction of the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_FINISH_H
#define FTM_FINISH_H

#include "catalog.h"

/*
 * Set one target sequence to the source's state.  Checks UPDATE on the
 * sequence and its bounds.
 */
extern void ftm_finish_sequence(const char *sequence, int64 last_value,
								bool is_called);

/*
 * Mark foreign keys (pg_constraint OIDs) not valid, before any row they speak
 * about is replaced.  Those that are gone meanwhile are an error.
 */
extern void ftm_finish_invalidate_foreign_keys(const Oid *constraints,
											   int nconstraints);

/*
 * Count the orphans of one foreign key, set-wise; if there are none, mark it
 * (and its partitions' children) valid.  Takes the locks of ALTER TABLE ...
 * VALIDATE CONSTRAINT.  Returns the count.
 */
extern int64 ftm_finish_check_foreign_key(Oid constraint);

/*
 * The same count without marking anything: for verification.  sample gets the
 * key of one orphan as text (NULL if none), in the current memory context.
 */
extern int64 ftm_finish_count_orphans(Oid constraint, char **sample);

extern void ftm_finish_analyze(Oid relid);

#endif							/* FTM_FINISH_H */
