/*-------------------------------------------------------------------------
 *
 * user_column.h
 *		Which columns of a plan hold user ids, and what becomes of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_COLUMN_H
#define FTM_USER_COLUMN_H

#include "plan/plan.h"

/* A column of the source whose value is a user id. */
typedef struct UserIdColumn
{
	Oid			root;			/* table, partitions stand for their root */
	char	   *name;
	char	   *reason;			/* "foreign key to auth.users" */
	bool		by_foreign_key;
} UserIdColumn;

/*
 * Set mode, count, unmapped_is_error and origin of the plan's columns: from the
 * source's foreign keys and from ftm_user_column, whose rows win.  policy may be
 * NULL.  Impossible columns become problems, undecided ones what policy says.
 */
extern void ftm_user_column_decide(MigrationPlan *plan, const Scope *scope,
								   const UserIdPolicy *policy);

/*
 * Do user ids from a source (name of the foreign server) stay as they are, as
 * the last run from it that was not rolled back says?
 */
extern bool ftm_user_column_ids_stay(const char *source);

/*
 * What would decide about a column in which ids are counted: a row of values for
 * schema_name, table_name, column_name and mode of ftm_user_column; and the
 * statement that does so with these rows, separated by commas.
 */
extern char *ftm_user_column_decision(const CatalogTable *table,
									  const CatalogColumn *column);
extern char *ftm_user_column_decision_sql(const char *decisions);

/*
 * Columns that the source's foreign keys lead to auth.users(id), directly or
 * through other columns that hold user ids: a list of UserIdColumn.  Those for
 * which ftm_user_column says otherwise are left out.
 */
extern List *ftm_user_column_by_foreign_key(const Catalog *source);

/*
 * How user ids in values of a type are rewritten if the value is an id or if
 * it holds ids; REWRITE_KEEP if that is impossible.
 */
extern RewriteMode ftm_user_column_id_mode(const CatalogType *type);
extern RewriteMode ftm_user_column_embedded_mode(const CatalogType *type);

#endif							/* FTM_USER_COLUMN_H */
