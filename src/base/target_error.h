/*-------------------------------------------------------------------------
 *
 * target_error.h
 *		What to do about an error of the target's server.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_TARGET_ERROR_H
#define FTM_TARGET_ERROR_H

#include "utils/elog.h"

/*
 * The remedy for an error that the server raised while a worker was at work on
 * a table, as a hint; NULL if there is none that is known.
 */
extern const char *ftm_target_error_hint(const ErrorData *error);

/*
 * Error context callback of a call that may take hours: what to do about a
 * statement_timeout that ends it.
 */
extern void ftm_target_error_timeout_callback(void *arg);

#endif							/* FTM_TARGET_ERROR_H */
