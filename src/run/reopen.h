/*-------------------------------------------------------------------------
 *
 * reopen.h
 *		A complete, verified run that is called again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_REOPEN_H
#define FTM_REOPEN_H

#include "run/step.h"

/*
 * Verify everything anew, in the snapshot of this call.  False, with a notice,
 * if the target still holds what the source holds.  True if what differs can be
 * mended by going on with the run.  Error if it cannot, or if it was changed in
 * the target since the run, so that something would be lost; then the run stays
 * as it was.
 */
extern bool ftm_reopen_is_needed(Leader *leader, int64 run_id);

#endif							/* FTM_REOPEN_H */
