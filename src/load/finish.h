/*-------------------------------------------------------------------------
 *
 * finish.h
 *		What a load leaves to be done: sequences, foreign keys, statistics.
 *
 * All of it runs inside a transaction of the caller's, as the current user,
 * whose rights are checked here where the server would not do it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_FINISH_H
#define FTM_FINISH_H

#include "schema/catalog.h"

/*
 * Mark foreign keys (pg_constraint OIDs) not valid, before any row they speak
 * about is replaced.  Those that are gone meanwhile are an error, as is one
 * whose referencing table the current user does not own.
 *
 * Takes a ShareUpdateExclusiveLock on every referencing table, in the order of
 * their OIDs, until the end of the transaction: meant for one short transaction
 * before the loads, not for a worker that already has a table locked.
 */
extern void ftm_finish_invalidate_foreign_keys(const Oid *constraints,
											   int nconstraints);

/*
 * The same for all foreign keys of and to one table, partitions included; and
 * its locks alone, under which it is safe to read whether the keys are valid.
 */
extern void ftm_finish_invalidate_table_keys(Oid relid);
extern void ftm_finish_lock_table_keys(Oid relid);

/*
 * Set convalidated of one foreign key or CHECK constraint, whose table is
 * locked.  The caller knows that it is true.
 */
extern void ftm_finish_set_validated(Oid constraint, bool validated);

/*
 * OIDs of the foreign keys of and to one table and its partitions, those that
 * were inherited from others left out in favour of these.
 */
extern List *ftm_finish_foreign_keys(Oid relid);

/*
 * Count the orphans of one foreign key, set-wise; if there are none, mark it
 * (and its partitions' children) valid.  A child that a partition inherited
 * stands for the key it was inherited from.  Takes the locks of ALTER TABLE ...
 * VALIDATE CONSTRAINT.  Returns the number of referencing rows without a
 * counterpart.  Errors: the constraint is gone, its referencing table belongs
 * to somebody else, SELECT not granted on one of the tables.
 */
extern int64 ftm_finish_check_foreign_key(Oid constraint);

/*
 * The same count without marking anything, under AccessShareLock: for
 * verification.  sample gets the key of one orphan as text, "(a,b)" (NULL if
 * none), in the current memory context.
 */
extern int64 ftm_finish_count_orphans(Oid constraint, char **sample);

/*
 * ANALYZE one table.  Error if the current user may not (the server would
 * merely warn).
 */
extern void ftm_finish_analyze(Oid relid);

#endif							/* FTM_FINISH_H */
