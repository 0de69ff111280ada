/*-------------------------------------------------------------------------
 *
 * run_log.c
 *		The log file: what happens in runs, one JSON object per line.
 *
 * The file says what ftm_log says: a line is written when the transaction that
 * inserted the row into ftm_log has committed.  Several workers append to it
 * without a lock: each line goes out in one write() at the file's end.  It is
 * opened for every line, so that it may be renamed or removed at any time.
 *
 * A run must never stop because of its log.  Hence the flags: opening a FIFO
 * that nobody reads must not wait, and a symbolic link, which somebody with
 * rights on the folder may have put there, must not be followed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "storage/fd.h"
#include "utils/json.h"
#include "utils/memutils.h"

#include "base/run_log.h"
#include "base/settings.h"

#define LOG_FILE_FLAGS \
	(O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | PG_BINARY)

/* Lines (char *) of the current transaction, in TopTransactionContext. */
static List *pending_lines = NIL;

static bool warned = false;

static char *make_line(const char *time, int64 run_id, const char *level,
					   const char *table_name, const char *message,
					   const char *figures);
static void at_transaction_end(XactEvent event, void *arg);
static void write_line(const char *line);
static void warn(const char *action);

void
ftm_runlog_add(const char *time, int64 run_id, const char *level,
			   const char *table_name, const char *message,
			   const char *figures)
{
	static bool registered = false;
	MemoryContext old;

	if (ftm_log_file[0] == '\0')
		return;
	if (!registered)
	{
		RegisterXactCallback(at_transaction_end, NULL);
		registered = true;
	}
	old = MemoryContextSwitchTo(TopTransactionContext);
	pending_lines = lappend(pending_lines,
							make_line(time, run_id, level, table_name,
									  message, figures));
	MemoryContextSwitchTo(old);
}

/*
 * JSON is UTF-8, whatever the database's encoding is.
 */
static char *
make_line(const char *time, int64 run_id, const char *level,
		  const char *table_name, const char *message, const char *figures)
{
	StringInfoData line;

	initStringInfo(&line);
	appendStringInfo(&line, "{\"time\": \"%s\", \"run\": " INT64_FORMAT ", \"level\": ",
					 time, run_id);
	escape_json(&line, level);
	appendStringInfoString(&line, ", \"table\": ");
	if (table_name != NULL)
		escape_json(&line, table_name);
	else
		appendStringInfoString(&line, "null");
	appendStringInfoString(&line, ", \"message\": ");
	escape_json(&line, message);
	appendStringInfo(&line, ", \"figures\": %s}\n",
					 figures != NULL ? figures : "{}");

	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return line.data;
	return pg_server_to_any(line.data, line.len, PG_UTF8);
}

/*
 * Errors are out of the question here: the transaction has committed.
 */
static void
at_transaction_end(XactEvent event, void *arg pg_attribute_unused())
{
	ListCell   *lc;

	switch (event)
	{
		case XACT_EVENT_COMMIT:
			foreach(lc, pending_lines)
				write_line(lfirst(lc));
			pending_lines = NIL;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			pending_lines = NIL;
			break;
		default:
			break;
	}
}

static void
write_line(const char *line)
{
	ssize_t		length = (ssize_t) strlen(line);
	ssize_t		written;
	struct stat status;
	int			fd = BasicOpenFilePerm(ftm_log_file, LOG_FILE_FLAGS, 0600);

	if (fd < 0 || fstat(fd, &status) != 0)
	{
		warn("open");
		if (fd >= 0)
			(void) close(fd);
		return;
	}
	if (!S_ISREG(status.st_mode))
	{
		/* Neither a FIFO nor a device keeps what is written. */
		errno = EINVAL;
		warn("open");
		(void) close(fd);
		return;
	}
	errno = 0;
	written = write(fd, line, length);
	if (written != length)
	{
		/* A part was written: the disk is full. */
		if (written >= 0 && errno == 0)
			errno = ENOSPC;
		warn("write");
	}
	(void) close(fd);
}

static void
warn(const char *action)
{
	if (warned)
		return;
	warned = true;
	ereport(WARNING,
			(errcode_for_file_access(),
			 errmsg("could not %s log file \"%s\": %m", action, ftm_log_file),
			 errdetail("The run goes on; ftm_log has what the file lacks.")));
}
