/*-------------------------------------------------------------------------
 *
 * recovery.c
 *		What cannot be done on a standby.
 *
 * A background worker that is asked for there is started when the recovery ends,
 * which may be never: whoever waits for it waits for ever.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"

#include "base/recovery.h"

void
ftm_recovery_refuse(const char *function)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
				 errmsg("cannot execute %s during recovery", function),
				 errhint("This server is a standby.  Call the function on its primary, or promote it before.")));
}
