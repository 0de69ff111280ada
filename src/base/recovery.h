/*-------------------------------------------------------------------------
 *
 * recovery.h
 *		What cannot be done on a standby.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_RECOVERY_H
#define FTM_RECOVERY_H

/*
 * Error during recovery: no background worker starts then, and nothing can be
 * written.  function as in "ftm_verify()".
 */
extern void ftm_recovery_refuse(const char *function);

#endif							/* FTM_RECOVERY_H */
