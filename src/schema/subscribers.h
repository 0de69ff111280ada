/*-------------------------------------------------------------------------
 *
 * subscribers.h
 *		Who hears of what a run does to the target.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SUBSCRIBERS_H
#define FTM_SUBSCRIBERS_H

#include "plan/plan.h"

/*
 * Add a warning to the plan if logical decoding will carry what it loads:
 * through publications, or because there is a replication slot in this database;
 * with the number of tables, rows and bytes.
 */
extern void ftm_subscribers_warn(MigrationPlan *plan);

#endif							/* FTM_SUBSCRIBERS_H */
