/*-------------------------------------------------------------------------
 *
 * catch_up.h
 *		What loads have postponed, done at the end of the run.
 *
 * Called in workers, inside a transaction of the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CATCH_UP_H
#define FTM_CATCH_UP_H

#include "lib/stringinfo.h"

#include "plan/postponed.h"

/*
 * Write down, in the state of the run, what this transaction postpones, and
 * whether it is valid now.
 */
extern void ftm_catch_up_record(int64 run_id, const Postponed *postponed);

/*
 * OIDs of the run's indexes that are not built yet, parts of others first, and of
 * the CHECK constraints that were valid before the run and are not now.  What is
 * gone is left out.
 */
extern List *ftm_catch_up_indexes(int64 run_id);
extern List *ftm_catch_up_checks(int64 run_id);

/*
 * Those constraints for the leader: how many, and of each its OID, that of its
 * table's root, what it is called ("constraint "c" of table s.t") and its
 * expression.
 */
extern void ftm_catch_up_put_checks(int64 run_id, StringInfo answer);

/*
 * Build an index, or, if it is partitioned, mark it valid when all parts are.
 * Takes the locks of REINDEX.  Errors: those of REINDEX and of the owner's code; the
 * table belongs to somebody else.
 */
extern void ftm_catch_up_build_index(Oid indexid);

/*
 * Count the rows that violate a CHECK constraint; if there are none, mark it
 * valid.  Takes the lock of ALTER TABLE ... VALIDATE CONSTRAINT.  Errors: those
 * of the owner's code; the constraint is gone; the table belongs to somebody
 * else.
 */
extern int64 ftm_catch_up_validate(Oid constraint);

/*
 * Put back what was before the run, in tables (OIDs) that have been emptied and
 * are locked exclusively.
 */
extern void ftm_catch_up_restore(int64 run_id, const List *relids);

#endif							/* FTM_CATCH_UP_H */
