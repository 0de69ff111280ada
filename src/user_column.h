/*-------------------------------------------------------------------------
 *
 * user_column.h
 *		Which columns of a plan hold user ids, and what becomes of them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_COLUMN_H
#define FTM_USER_COLUMN_H

#include "plan.h"

/* A column of the source whose value is a user id. */
typedef struct UserIdColumn
{
	Oid			root;			/* table, partitions stand for their root */
	char	   *name;
	char	   *reason;			/* "foreign key to auth.users" */
	bool		by_foreign_key;
} UserIdColumn;

/*
 * Set mode, unmapped_is_error and origin of the plan's columns: from the
 * source's foreign keys and from ftm_user_column, whose rows win.  unmapped as
 * in ftm_plan_build().  Undecided or impossible columns become problems.
 */
extern void ftm_user_column_decide(MigrationPlan *plan, const Scope *scope,
								   const char *unmapped);

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
