/*-------------------------------------------------------------------------
 *
 * background.h
 *		Runs whose leader is a background worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_BACKGROUND_H
#define FTM_BACKGROUND_H

#include "run/leader.h"

/*
 * Start a run that goes on when this session ends, as the same user and with
 * the same settings, and wait until it has begun.  Returns its id.  Errors
 * before that are raised here, as they are; later ones are in ftm_run and in
 * the server log.
 */
extern int64 ftm_background_start(const RunOptions *options);

#endif							/* FTM_BACKGROUND_H */
