/*-------------------------------------------------------------------------
 *
 * wait.h
 *		Waits for a point in time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_WAIT_H
#define FTM_WAIT_H

#include "datatype/timestamp.h"

/* Wait until end, on the process latch; interrupts are heard. */
extern void ftm_wait_until(TimestampTz end);

#endif							/* FTM_WAIT_H */
