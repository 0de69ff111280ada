/*-------------------------------------------------------------------------
 *
 * source_socket.c
 *		What comes through the sockets of source connections, and waits for it.
 *
 * Nothing may block: every wait hears the latch, interrupts and the end of the
 * postmaster.  libpq takes whatever a source sends, rows or not, so what it may
 * take before there is something to be handed over is counted here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/ioctl.h>

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "remote/source_private.h"

static void discard_notifications(SourceConnection *source);
static WaitEventSet *create_wait_set(int count);
static void finish_wait(WaitEventSet *events);

void
ftm_source_wait_for_socket(SourceConnection *source, int events)
{
	int			ready;

	do
	{
		ready = WaitLatchOrSocket(MyLatch,
								  events | WL_LATCH_SET | WL_EXIT_ON_PM_DEATH,
								  PQsocket(source->connection), -1,
								  ftm_wait_event());
		if (ready & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	} while (!(ready & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE)));
}

/*
 * Have libpq take what has arrived.  With TLS, one attempt may leave something
 * in OpenSSL's buffer (of a record of 16 kB, the part for which libpq's own had
 * no room), for which the socket would be waited for in vain.
 */
void
ftm_source_consume_input(SourceConnection *source)
{
	int			attempts = PQsslInUse(source->connection) ? 3 : 1;

	for (int i = 0; i < attempts; i++)
	{
		ftm_source_bound_input(source);
		if (!PQconsumeInput(source->connection))
			ftm_source_report_lost_connection(source);
	}
	discard_notifications(source);
}

void
ftm_source_bound_input(SourceConnection *source)
{
	int			readable;

	if (ioctl(PQsocket(source->connection), FIONREAD, &readable) == 0)
		source->arrived += (Size) Max(readable, 0);
	if (source->arrived > source->arrival_limit)
		ftm_source_refuse(source,
						  psprintf("More than %zu MB have arrived at once.",
								   source->arrival_limit / (1024 * 1024)));
}

/*
 * Nobody listens here, but libpq keeps every notification that a server sends.
 */
static void
discard_notifications(SourceConnection *source)
{
	PGnotify   *notification;

	while ((notification = PQnotifies(source->connection)) != NULL)
		PQfreemem(notification);
}

void
ftm_source_wait_for_connection(SourceConnection *const *sources,
							   const PostgresPollingStatusType *statuses,
							   bool *ready, int count, TimestampTz deadline,
							   const SourceServer *server)
{
	long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(),
														  deadline);
	WaitEventSet *events;
	WaitEvent	happened[8];
	int			nhappened;

	if (timeout <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to source \"%s\"", server->name),
				 errdetail("The connection was not established within %d seconds.",
						   server->connect_timeout),
				 errhint("Check the host, the port and firewalls, or raise ftmigrate.connect_timeout.")));
	events = create_wait_set(count);
	for (int i = 0; i < count; i++)
	{
		ready[i] = false;
		if (statuses[i] != PGRES_POLLING_OK)
			(void) AddWaitEventToSet(events,
									 statuses[i] == PGRES_POLLING_READING ?
									 WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE,
									 PQsocket(sources[i]->connection),
									 NULL, &ready[i]);
	}
	nhappened = WaitEventSetWait(events, timeout, happened,
								 lengthof(happened), ftm_wait_event());
	for (int i = 0; i < nhappened; i++)
	{
		if (happened[i].events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			*(bool *) happened[i].user_data = true;
	}
	finish_wait(events);
}

/* The latch and the postmaster's death; room for the sockets of count more. */
static WaitEventSet *
create_wait_set(int count)
{
	WaitEventSet *events;

	events = ftm_create_wait_event_set(CurrentMemoryContext, count + 2);
	(void) AddWaitEventToSet(events, WL_LATCH_SET, PGINVALID_SOCKET,
							 MyLatch, NULL);
	(void) AddWaitEventToSet(events, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET,
							 NULL, NULL);
	return events;
}

/* Freed first: an interrupt would leave its file descriptor open. */
static void
finish_wait(WaitEventSet *events)
{
	FreeWaitEventSet(events);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
ftm_source_wait_readable(SourceConnection *const *sources, int count)
{
	WaitEventSet *events = create_wait_set(count);
	WaitEvent	event;

	for (int i = 0; i < count; i++)
	{
		if (sources[i] == NULL)
			continue;
		if (sources[i]->connection == NULL)
			ftm_source_report_lost_connection(sources[i]);
		(void) AddWaitEventToSet(events, WL_SOCKET_READABLE,
								 PQsocket(sources[i]->connection), NULL, NULL);
	}
	(void) WaitEventSetWait(events, -1, &event, 1, ftm_wait_event());
	finish_wait(events);
}

int
ftm_source_wait_any(SourceConnection *const *sources, int count)
{
	for (;;)
	{
		for (int i = 0; i < count; i++)
		{
			if (sources[i] == NULL)
				continue;
			if (sources[i]->connection == NULL)
				ftm_source_report_lost_connection(sources[i]);
			ftm_source_consume_input(sources[i]);
			if (!PQisBusy(sources[i]->connection))
				return i;
		}
		ftm_source_wait_readable(sources, count);
	}
}

PGresult *
ftm_source_get_result(SourceConnection *source)
{
	while (PQisBusy(source->connection))
	{
		ftm_source_consume_input(source);
		if (!PQisBusy(source->connection))
			break;
		ftm_source_wait_for_socket(source, WL_SOCKET_READABLE);
	}
	CHECK_FOR_INTERRUPTS();
	source->arrived = 0;
	return PQgetResult(source->connection);
}
