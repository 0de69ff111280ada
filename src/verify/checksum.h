/*-------------------------------------------------------------------------
 *
 * checksum.h
 *		The two statements whose answers tell whether a table's rows are
 *		equal on source and target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CHECKSUM_H
#define FTM_CHECKSUM_H

#include "plan/plan.h"

/* One column that is compared, and the expressions that both ends hash. */
typedef struct ComparedColumn
{
	const PlanColumn *column;
	char	   *source;
	char	   *target;			/* user ids mapped back */
} ComparedColumn;

/*
 * Statements for one table.  source_sql and target_sql answer with one row
 * each, whose first two columns must be equal: number of rows, checksum
 * (numeric, 0 for an empty table).  target_sql goes on with
 *
 *		ids_left		user ids that should have been rewritten and were not
 *		ids_kept		values of user-id columns that the user map lacks
 *		ids_mixed_case	user ids written in mixed case, left alone
 *		ids_undecided	values with known users' ids in columns that nobody has
 *						decided about
 *
 * generated_sql, NULL if the target has no generated column, answers with the
 * number of rows in which some stored generated value is not that of its
 * expression.  It evaluates the table owner's functions: it must run in the
 * owner's name, as a security-restricted operation.
 */
typedef struct TableChecksum
{
	char	   *source_sql;
	char	   *target_sql;
	char	   *generated_sql;
	char	   *obstacle;		/* why the table cannot be compared, or NULL */
	Oid			relid;			/* target table */
	List	   *columns;		/* of ComparedColumn; not sent to workers */
	int			columns_hashed;
	int			columns_total;	/* of the source's table */
	int			columns_missing;	/* of these, on the target */
	List	   *notes;			/* char *: columns compared otherwise, and why */
	char	   *undecided_sql;	/* ids_undecided again, column by column; NULL if
								 * there is no such column */
	List	   *undecided_columns;	/* char *: these columns of the target */
	List	   *undecided_decisions;	/* char *: what would decide about each */
	struct StageTask *stage;	/* import: what makes the table of a file's rows
								 * that source_sql reads; NULL: it reads none */
} TableChecksum;

/* What the source answers to source_sql. */
extern const AnswerShape ftm_checksum_shape;

/*
 * Build the statements for one table of the plan, in the current memory
 * context.
 */
extern TableChecksum *ftm_checksum_build(const PlanTable *table);

/*
 * Parts of those statements, for others who compare rows.  The hash of a row
 * of these comma-separated elements (there may be none), bigint, linear in its
 * columns; what is summed up of that, not linear, of the name of the column
 * that holds it; and "FROM [ONLY] schema.table".
 */
extern char *ftm_checksum_row_hash(const char *elements);
extern char *ftm_checksum_finish(const char *row_hash);
extern char *ftm_checksum_from(const CatalogTable *table);

#endif							/* FTM_CHECKSUM_H */
