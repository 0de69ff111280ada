/*-------------------------------------------------------------------------
 *
 * plan_code.h
 *		What the schema's own code means for a plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_PLAN_CODE_H
#define FTM_PLAN_CODE_H

#include "plan/plan.h"

/*
 * Find the tables whose rows need other tables, and those of which something is
 * left to the end of the run; and what the code of the target's tables lacks to
 * be run.  Adds to the tables' notes and to the plan's problems and warnings.
 */
extern void ftm_plan_find_code(MigrationPlan *plan);

#endif							/* FTM_PLAN_CODE_H */
