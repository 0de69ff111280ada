/*-------------------------------------------------------------------------
 *
 * plan_keys.h
 *		What foreign keys and sequences say about a plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_PLAN_KEYS_H
#define FTM_PLAN_KEYS_H

#include "plan/plan.h"
#include "schema/scope.h"

/*
 * Collect the target's foreign keys that touch the plan, and check that each
 * key's two sides are rewritten alike.  The columns' modes must be set.
 */
extern void ftm_plan_match_foreign_keys(MigrationPlan *plan);

/* Set every table's level from the source's foreign keys. */
extern void ftm_plan_assign_levels(MigrationPlan *plan);

/* Pair the source's sequences with the target's. */
extern void ftm_plan_match_sequences(MigrationPlan *plan,
									 const ScopeFilter *filter);

#endif							/* FTM_PLAN_KEYS_H */
