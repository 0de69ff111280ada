/*-------------------------------------------------------------------------
 *
 * ftmigrate.c
 *		Module magic, settings, and where the extension is installed.
 *
 * Nothing here needs shared_preload_libraries: the library is loaded by the
 * first call of one of its functions, and by background workers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "ftmigrate.h"
#include "runlog.h"
#include "streams.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

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

void
_PG_init(void)
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
							1, 1, MAX_STREAMS,
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
							   ftm_runlog_check_path, NULL, NULL);

	DefineCustomIntVariable("ftmigrate.auth_concurrency",
							"Number of requests to the auth service at a time.",
							NULL,
							&ftm_auth_concurrency,
							4, 1, 64,
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

	MarkGUCPrefixReserved("ftmigrate");
}

/*
 * Schema and owner as pg_extension has them now.  There is no syscache for
 * that catalog.
 */
static void
read_extension(Oid *schema, Oid *owner)
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname,
				BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(FTM_EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" is not installed in this database",
						FTM_EXTENSION_NAME),
				 errhint("Execute CREATE EXTENSION %s.", FTM_EXTENSION_NAME)));

	*schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

char *
ftm_extension_schema(void)
{
	Oid			schema;
	Oid			owner;

	read_extension(&schema, &owner);
	return get_namespace_name(schema);
}

const char *
ftm_extension_schema_quoted(void)
{
	return quote_identifier(ftm_extension_schema());
}

Oid
ftm_extension_owner(void)
{
	Oid			schema;
	Oid			owner;

	read_extension(&schema, &owner);
	return owner;
}

void
ftm_wait_until(TimestampTz end)
{
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
												   end)) > 0)
	{
		(void) WaitLatch(MyLatch,
						 WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 left, ftm_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
