/*-------------------------------------------------------------------------
 *
 * control.h
 *		What can be done to a run from outside.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CONTROL_H
#define FTM_CONTROL_H

#include "run/rollback.h"
#include "workers/pool.h"

/*
 * Have a worker of the pool do what ftm_rollback_run() says.  Returns a List
 * of RolledBackTable in the current memory context.  The caller holds no lock
 * on a table of the run.
 */
extern List *ftm_control_roll_back(WorkerPool *pool,
								   const RollbackRequest *request);

#endif							/* FTM_CONTROL_H */
