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

/*
 * Set mode, unmapped_is_error and origin of the plan's columns: from the
 * source's foreign keys and from ftm_user_column, whose rows win.  unmapped as
 * in ftm_plan_build().  Undecided or impossible columns become problems.
 */
extern void ftm_user_column_decide(MigrationPlan *plan, const Scope *scope,
								   const char *unmapped);

#endif							/* FTM_USER_COLUMN_H */
