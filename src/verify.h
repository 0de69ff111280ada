/*-------------------------------------------------------------------------
 *
 * verify.h
 *		Does the target hold what the source holds?
 *
 * The source computes its checksum in plain SQL over its own rows; the target
 * computes the same over the stored rows with user ids mapped back, by code
 * that shares nothing with rewrite.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_VERIFY_H
#define FTM_VERIFY_H

#include "plan.h"

/*
 * One table's checksum statements.  Each answers with one row: count(*) and
 * the checksum (numeric as text, '0' for an empty table); the target's also
 * ids_left (values in user-id columns, and embedded ids, that are still source
 * ids of mapped users) and generated_wrong (rows whose stored generated value
 * is not the expression's).
 */
typedef struct TableChecksum
{
	char	   *source_sql;
	char	   *target_sql;
	int			columns_hashed;
	int			columns_total;
	List	   *notes;			/* char *: columns compared otherwise, and why */
} TableChecksum;

/* Statements for one table of the plan, in the current memory context. */
extern TableChecksum *ftm_verify_table_sql(const PlanTable *table);

typedef struct VerifyResult
{
	char	   *kind;			/* table, sequence, foreign key, user map */
	char	   *object;
	int64		source_rows;	/* -1: NULL */
	int64		target_rows;
	char	   *source_checksum;	/* NULL if none */
	char	   *target_checksum;
	bool		ok;
	char	   *detail;
} VerifyResult;

/*
 * Compute and compare both checksums, source and target at the same time.
 * source must be in the run's snapshot.  Result in the current memory context.
 */
extern VerifyResult *ftm_verify_table(SourceConnection *source,
									  const char *table_name,
									  const TableChecksum *checksum);

/*
 * Everything but the tables: sequences of the plan (source values read over
 * source now), foreign keys (valid, and without orphans), user map.  Returns a
 * List of VerifyResult.
 */
extern List *ftm_verify_sequences(const MigrationPlan *plan);
extern VerifyResult *ftm_verify_foreign_key(Oid constraint);
extern VerifyResult *ftm_verify_user_map(void);

#endif							/* FTM_VERIFY_H */
