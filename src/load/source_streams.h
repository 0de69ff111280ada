/*-------------------------------------------------------------------------
 *
 * source_streams.h
 *		One table read over several connections at once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SOURCE_STREAMS_H
#define FTM_SOURCE_STREAMS_H

#include "load/load.h"
#include "remote/source.h"

/* The most that ftmigrate.streams may be. */
/*
 * How many connections the task's table is worth: 1 to ftm_streams.  Asks the
 * source for the table's size and leaves it in *blocks, to be passed on below.
 */
extern int	ftm_streams_wanted(const TableTask *task, SourceConnection *source,
							   int64 *blocks);

/*
 * The task's rows, read over count connections, all in the run's snapshot, as
 * one COPY stream.  Rows come roughly in the order of the source's storage.
 * Result, and what it needs, in the current memory context.
 */
extern CopyOrigin *ftm_streams_create(const TableTask *task,
									  SourceConnection *const *sources,
									  int count, int64 blocks);

#endif							/* FTM_SOURCE_STREAMS_H */
