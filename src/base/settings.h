/*-------------------------------------------------------------------------
 *
 * settings.h
 *		The settings ftmigrate.*: their variables, units and bounds.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SETTINGS_H
#define FTM_SETTINGS_H

/* Bound of ftmigrate.streams: connections over which a worker reads a table. */
#define FTM_MAX_STREAMS	16

/* Their meaning, units and bounds stand where they are defined. */
extern int	ftm_workers;
extern int	ftm_connect_timeout;
extern int	ftm_streams;
extern int	ftm_network_timeout;
extern int	ftm_lock_timeout;
extern int	ftm_retries;
extern int	ftm_retry_delay;
extern int	ftm_retention_days;
extern int	ftm_progress_interval;
extern char *ftm_log_file;
extern int	ftm_auth_concurrency;
extern int	ftm_auth_timeout;
extern int	ftm_auth_max_delay;
extern int	ftm_auth_settle_time;
extern int	ftm_auth_outage_timeout;

/* Define them all; once, when the library is loaded. */
extern void ftm_settings_define(void);

#endif							/* FTM_SETTINGS_H */
