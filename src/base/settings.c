/*-------------------------------------------------------------------------
 *
 * settings.c
 *		The settings ftmigrate.*: their variables, units and bounds.
 *
 * All are defined when the library is loaded, which needs no
 * shared_preload_libraries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"

#include "base/settings.h"

int			ftm_workers;
int			ftm_connect_timeout;
int			ftm_streams;
int			ftm_network_timeout;
int			ftm_lock_timeout;
int			ftm_retries;
int			ftm_retry_delay;
int			ftm_retention_days;
int			ftm_progress_interval;
char	   *ftm_log_file;
int			ftm_auth_concurrency;
int			ftm_auth_timeout;
int			ftm_auth_max_delay;
int			ftm_auth_settle_time;
int			ftm_auth_outage_timeout;

static bool check_log_file(char **value, void **extra, GucSource source);

void
ftm_settings_define(void)
{
	DefineCustomIntVariable("ftmigrate.workers",
							"Number of background workers that load tables.",
							"The source sees one connection more than this.",
							&ftm_workers,
							2, 1, 64,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.streams",
							"Number of connections over which a worker reads a large table.",
							"For sources that are far away or slow.",
							&ftm_streams,
							1, 1, FTM_MAX_STREAMS,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.connect_timeout",
							"Time allowed for connecting to the source.",
							NULL,
							&ftm_connect_timeout,
							10, 1, 3600,
							PGC_USERSET, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.network_timeout",
							"Time after which an unacknowledged connection to the source is given up.",
							"Sets libpq's tcp_user_timeout.",
							&ftm_network_timeout,
							60000, 1000, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.lock_timeout",
							"Time a worker waits for a lock on a target table.",
							NULL,
							&ftm_lock_timeout,
							10000, 1, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.retries",
							"Number of times a run connects again after it has lost the source.",
							NULL,
							&ftm_retries,
							5, 0, 1000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.retry_delay",
							"Time before a run connects again after it has lost the source.",
							"It doubles with each time, up to a minute.",
							&ftm_retry_delay,
							1000, 1, 60000,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.retention_days",
							"Number of days for which the user map is kept.",
							"Entries made by a run may be purged after this time.",
							&ftm_retention_days,
							90, 1, 36500,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.progress_interval",
							"Time between two notices about a run's progress.",
							"0 turns them off, and those about finished tables.",
							&ftm_progress_interval,
							5000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomStringVariable("ftmigrate.log_file",
							   "File that what happens in runs is appended to, as JSON.",
							   "An absolute path on the server; empty: none.",
							   &ftm_log_file,
							   "",
							   PGC_SUSET, 0,
							   check_log_file, NULL, NULL);

	DefineCustomIntVariable("ftmigrate.auth_concurrency",
							"Most requests to the auth service at a time.",
							"Fewer are sent as long as it is not faster with more.",
							&ftm_auth_concurrency,
							16, 1, 64,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.auth_timeout",
							"Time allowed for a request to the auth service.",
							"Checking a password's hash may take it several seconds.",
							&ftm_auth_timeout,
							60000, 100, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.auth_max_delay",
							"Longest wait before a request to the auth service is repeated.",
							"Holds for what the service asks for, too.",
							&ftm_auth_max_delay,
							120000, 1, 3600000,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("ftmigrate.auth_settle_time",
							"Time after which a lost request to the auth service counts as not executed.",
							"Only then is a user without an e-mail to sign in with sent again.",
							&ftm_auth_settle_time,
							60000, 0, 3600000,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	DefineCustomIntVariable("ftmigrate.auth_outage_timeout",
							"Time for which an auth service that does not answer is waited for.",
							"Users wait meanwhile, and the call ends when the time is over.",
							&ftm_auth_outage_timeout,
							600000, 0, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("ftmigrate");
}

/* Check hook of ftmigrate.log_file. */
static bool
check_log_file(char **value, void **extra pg_attribute_unused(),
			   GucSource source pg_attribute_unused())
{
	if ((*value)[0] == '\0')
		return true;
	if (!is_absolute_path(*value))
	{
		GUC_check_errdetail("It must be an absolute path.");
		return false;
	}
	if (strlen(*value) >= MAXPGPATH)
	{
		GUC_check_errdetail("The path is too long.");
		return false;
	}
	return true;
}
