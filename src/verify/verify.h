/*-------------------------------------------------------------------------
 *
 * verify.h
 *		Does the target hold what the source holds?
 *
 * Anything that was not checked is not ok.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_VERIFY_H
#define FTM_VERIFY_H

#include "plan/plan.h"
#include "verify/checksum.h"

/* A column of the target with known users' ids that nobody has decided about. */
typedef struct UndecidedColumn
{
	char	   *name;
	char	   *decision;		/* see ftm_user_column_decision() */
	int64		values;			/* that hold such an id */
} UndecidedColumn;

/* One row of ftm_verify(). */
typedef struct VerifyResult
{
	char	   *kind;			/* plan, table, sequence, foreign key, schema,
								 * indexes and constraints, user map, users,
								 * freeze, user ids left */
	char	   *object;
	int64		source_rows;	/* -1: NULL */
	int64		target_rows;
	char	   *source_checksum;	/* NULL if none */
	char	   *target_checksum;
	bool		ok;
	char	   *detail;			/* fragments, separated by semicolons */
	List	   *undecided;		/* of UndecidedColumn; of a table, whose ok does
								 * not depend on it */
} VerifyResult;

/*
 * Compute and compare both checksums of a table, source and target at the same
 * time.  source must be in a snapshot; if it is NULL, the rows are those of an
 * export, and the target's server answers for them.  Reads the target as the
 * current user.  Result in the current memory context.
 */
extern VerifyResult *ftm_verify_table(SourceConnection *source,
									  const char *table_name,
									  const TableChecksum *checksum);

/*
 * Of the tables' results, one more for each column with ids that nobody has
 * decided about, of kind "user ids left"; ok only if such ids are kept on
 * purpose.  Returns a List of VerifyResult.
 */
extern List *ftm_verify_undecided(const List *results, bool keep);

/* Values with such ids in a table. */
extern int64 ftm_verify_ids_undecided(const VerifyResult *result);

/*
 * One result for each problem of the plan: what has no counterpart would be
 * missing from the comparison in silence.  Returns a List of VerifyResult.
 */
extern List *ftm_verify_plan(const MigrationPlan *plan);

/*
 * Compare one sequence with the values that the plan read from the source, and
 * with the data of the column that owns it.
 */
extern VerifyResult *ftm_verify_sequence(const CatalogSequence *source,
										 const CatalogSequence *target);

/*
 * Is a foreign key of the target (pg_constraint OID) valid and without
 * orphans?  valid_in_source: false if the source has the key, but not valid;
 * orphans are what the source had then, and no difference.
 */
extern VerifyResult *ftm_verify_foreign_key(Oid constraint,
											bool valid_in_source);

/* Is the user map one to one, and can it be applied backwards? */
extern VerifyResult *ftm_verify_user_map(void);

/*
 * Count the rows of a table of the target whose generated columns are not what
 * their expressions say now.  Locks the table.
 */
extern int64 ftm_verify_generated(const char *table_name,
								  const TableChecksum *checksum);

#endif							/* FTM_VERIFY_H */
