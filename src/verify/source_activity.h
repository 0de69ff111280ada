/*-------------------------------------------------------------------------
 *
 * source_activity.h
 *		Has anybody written to the source during the migration?
 *
 * What is written after the snapshot is not in the target.  Verification reads
 * the same snapshot and cannot see it, so the server's own records are asked.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SOURCE_ACTIVITY_H
#define FTM_SOURCE_ACTIVITY_H

#include "plan/plan.h"
#include "verify/verify.h"
#include "workers/pool.h"

/* What the source's statistics and locks say at one moment. */
typedef struct SourceActivity SourceActivity;

/*
 * Ask the source about all tables of these schemas.  To be called outside of a
 * snapshot, since statistics stand still in a transaction; and before the
 * snapshot of a run is taken, for what is written between the two to be seen.
 * Result in the current memory context.
 */
extern SourceActivity *ftm_freeze_read(SourceConnection *source,
									   List *schemas);

/* The same in two halves, as with ftm_source_send_query(). */
extern void ftm_freeze_send(SourceConnection *source, List *schemas);
extern SourceActivity *ftm_freeze_receive(SourceConnection *source);

/*
 * Which tables of the plan are written to by transactions that are open, or
 * were written to between two moments, as far as that was counted; NULL if none
 * is known.  quiet: no transaction that writes has ended anywhere on the
 * server.
 */
extern char *ftm_freeze_writes(const MigrationPlan *plan,
							   const SourceActivity *before,
							   const SourceActivity *after, bool *quiet);

/* Have the pool's keeper write it into ftm_run. */
extern void ftm_freeze_record(WorkerPool *pool, const SourceActivity *activity,
							  bool at_end);

/*
 * Compare two moments: ok if the tables of the plan hold what they held in the
 * snapshot.  Counters lag, and move for writes that are rolled back; so a table
 * whose counter has moved is read again and compared with what verification
 * has read, if that is in verdicts (List of VerifyResult).  source must not be
 * in a snapshot.
 */
extern VerifyResult *ftm_freeze_verdict(SourceConnection *source,
										const char *source_name,
										const MigrationPlan *plan,
										const SourceActivity *before,
										const SourceActivity *after,
										const List *verdicts);

/*
 * For ftm_verify(): compare what verification has just read from the source
 * with what it read at the end of the tables' last complete run.  Not ok if a
 * table has changed since and the target does not have that.  NULL if there
 * was no such run.
 */
extern VerifyResult *ftm_freeze_since_run(const char *source_name,
										  const MigrationPlan *plan,
										  const List *verdicts);

#endif							/* FTM_SOURCE_ACTIVITY_H */
