/*-------------------------------------------------------------------------
 *
 * apply.h
 *		Changes of the source, made in the target's tables.
 *
 * Transactions are the caller's: he begins one, hands messages over, calls
 * ftm_apply_finish(), records the position and commits, all in the same
 * transaction.  Several transactions of the source may go into one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_APPLY_H
#define FTM_APPLY_H

#include "access/xlogdefs.h"

#include "follow/stream.h"
#include "plan/plan.h"
#include "ids/user_map.h"

typedef struct Apply Apply;

typedef struct ApplySetup
{
	const MigrationPlan *plan;	/* these two must outlive the Apply */
	const UserMap *map;

	/*
	 * The source's write position (pg_current_wal_insert_lsn()) when its
	 * catalog was read for the plan, or an earlier one.  A table that had
	 * another shape before it, to which the target was brought in the meantime,
	 * is no error; one that gets another shape behind it is.
	 */
	XLogRecPtr	plan_lsn;

	/*
	 * The topmost partitioned table of a partition (OIDs in the source) that
	 * was made since; InvalidOid if it is none.  May be NULL.
	 */
	Oid			(*partition_root) (void *arg, Oid relid);
	void	   *arg;
} ApplySetup;

/* What was applied to a table. */
typedef struct ApplyCounts
{
	int64		inserted;
	int64		updated;
	int64		deleted;
	int64		truncated;		/* times */
} ApplyCounts;

/* In a memory context of its own below memory. */
extern Apply *ftm_apply_begin(const ApplySetup *setup, MemoryContext memory);
extern void ftm_apply_end(Apply *apply);

/*
 * Changes of transactions whose final_lsn is less than apply_from are not
 * applied to the table: its rows are those of a later snapshot.  0, the
 * default: all are.
 */
extern void ftm_apply_from(Apply *apply, const PlanTable *table,
						   XLogRecPtr apply_from);

/*
 * Take in any message of the stream, in its order.  Changes are made at once;
 * STREAM_COMMIT, STREAM_ORIGIN and STREAM_LOGICAL_MESSAGE do nothing here.  The
 * bytes of the message may be changed.
 *
 * In between, the current user and settings may be those of a table's owner,
 * tables and a snapshot are open: no other work in this transaction before
 * ftm_apply_finish().
 *
 * Errors: 55000 if a table does not fit the plan, a row is missing, or another
 * is in its place; 08P01 if the message does not fit the one about its table;
 * 22P02 and so on if a value is not one; 23505 and so on if a row is refused.
 * All of them name table, column or key, and position.
 */
extern void ftm_apply_message(Apply *apply, StreamMessage *message);

/* Before the transaction is committed, or anything else is done in it. */
extern void ftm_apply_finish(Apply *apply);

/*
 * After the transaction was aborted, instead: nothing of it is used any more.
 * What the stream has said about tables stays known, and counts do not count
 * what was undone.
 */
extern void ftm_apply_forget(Apply *apply);

/*
 * What was applied to a table of the plan, in transactions that were finished.
 */
extern const ApplyCounts *ftm_apply_counts(const Apply *apply,
										   const PlanTable *table);

#endif							/* FTM_APPLY_H */
