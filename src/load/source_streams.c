/*-------------------------------------------------------------------------
 *
 * source_streams.c
 *		One table read over several connections at once.
 *
 * For sources that are slower than the loader: far away, or with a slow
 * processor.  The table is cut into ranges of blocks (ctid), each connection
 * copies one range after the other, and their streams are merged into one, so
 * that a single process still writes the table, in one transaction.
 *
 * What constrains this file:
 *
 * - Ranges are small and handed out in order, so that rows stay about as
 *	 clustered as they were: block range indexes and caches live on that.
 * - All connections are in the same snapshot.  Blocks that were added after
 *	 the size was asked for hold no row of it, yet the last range has no end.
 * - In binary format each range has a header and a trailer of its own.  The
 *	 first header and one trailer are passed on, the others are taken away; a
 *	 range without its trailer was cut off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"
#include "storage/block.h"
#include "utils/builtins.h"

#include "base/settings.h"
#include "load/source_streams.h"

/* Blocks of a range: neither a round trip per moment, nor far apart. */
#define MIN_RANGE_BLOCKS	128
#define MAX_RANGE_BLOCKS	4096

/* Ranges per connection that are worth opening it for. */
#define MIN_RANGES	2

/* Bytes after which it is the next connection's turn: all get on alike. */
#define TURN_BYTES	65536

/* Signature, flags, length of the extension that follows. */
#define BINARY_HEADER_LENGTH	19

/* One connection. */
typedef struct SourceStream
{
	SourceConnection *source;	/* NULL when there are no ranges left */
	bool		at_start;		/* of a range: its header comes first */
	bool		complete;		/* its trailer has been seen */
} SourceStream;

typedef struct SourceStreams
{
	CopyOrigin	origin;			/* first */
	const TableTask *task;
	int64		blocks;
	int64		range;			/* blocks of one */
	int64		next_block;		/* where the next range begins */
	bool		header_sent;
	bool		trailer_sent;
	int			current;		/* the stream whose turn it is */
	int			turn_bytes;		/* what it has sent in its turn */
	int			count;
	SourceStream streams[FLEXIBLE_ARRAY_MEMBER];
} SourceStreams;

static void begin_streams(CopyOrigin *origin, Relation rel);
static int	read_streams(CopyOrigin *origin, char **data, bool wait);
static int	read_any(SourceStreams *all, char **data);
static int	read_one(SourceStreams *all, SourceStream *stream, char **data);
static void begin_range(SourceStreams *all, SourceStream *stream);
static int	strip_framing(SourceStreams *all, SourceStream *stream,
						  char **data, int length);
static void wait_for_any(SourceStreams *all);

static int64
range_blocks(int64 blocks)
{
	return Max(MIN_RANGE_BLOCKS,
			   Min(MAX_RANGE_BLOCKS, blocks / (ftm_streams * 4)));
}

int
ftm_streams_wanted(const TableTask *task, SourceConnection *source,
				   int64 *blocks)
{
	static const char sql[] =
		"SELECT pg_catalog.pg_relation_size($1::pg_catalog.regclass)"
		"       / pg_catalog.current_setting('block_size')::pg_catalog.int8";
	static const AnswerShape shape = {
		"the size of a table", ONE_ROW, 0, {INTEGER_OR_NULL(0, MaxBlockNumber)}
	};
	const char *params[1];
	RowSet	   *rows;
	int64		worth;

	*blocks = 0;
	if (ftm_streams == 1 || task->source_table == NULL)
		return 1;
	params[0] = task->source_table;
	rows = ftm_source_query(source, &shape, sql, 1, params);
	*blocks = ftm_rowset_int64(rows, 0, 0);
	worth = *blocks / (range_blocks(*blocks) * MIN_RANGES);
	return (int) Max(1, Min(worth, ftm_streams));
}

CopyOrigin *
ftm_streams_create(const TableTask *task, SourceConnection *const *sources,
				   int count, int64 blocks)
{
	SourceStreams *all = palloc0(offsetof(SourceStreams, streams) +
								 sizeof(SourceStream) * count);

	all->origin.begin = begin_streams;
	all->origin.read = read_streams;
	all->task = task;
	all->blocks = blocks;
	all->range = range_blocks(blocks);
	all->count = count;
	for (int i = 0; i < count; i++)
		all->streams[i].source = sources[i];
	return &all->origin;
}

static void
begin_streams(CopyOrigin *origin, Relation rel pg_attribute_unused())
{
	SourceStreams *all = (SourceStreams *) origin;

	for (int i = 0; i < all->count; i++)
		begin_range(all, &all->streams[i]);
}

/*
 * Have a connection copy the next range, or be done if there is none.
 */
static void
begin_range(SourceStreams *all, SourceStream *stream)
{
	const TableTask *task = all->task;
	StringInfoData sql;

	if (all->next_block >= all->blocks)
	{
		stream->source = NULL;
		return;
	}
	initStringInfo(&sql);
	appendBinaryStringInfo(&sql, task->copy_sql, task->copy_query_length);
	appendStringInfo(&sql, " WHERE ctid OPERATOR(pg_catalog.>=) '(" INT64_FORMAT ",0)'::pg_catalog.tid",
					 all->next_block);
	all->next_block += all->range;
	if (all->next_block < all->blocks)
		appendStringInfo(&sql, " AND ctid OPERATOR(pg_catalog.<) '(" INT64_FORMAT ",0)'::pg_catalog.tid",
						 all->next_block);
	appendStringInfoString(&sql, task->copy_sql + task->copy_query_length);

	ftm_source_copy_begin(stream->source, sql.data, task->ncolumns,
						  task->binary);
	stream->at_start = true;
	stream->complete = false;
	pfree(sql.data);
}

/*
 * As CopyOrigin has it.
 */
static int
read_streams(CopyOrigin *origin, char **data, bool wait)
{
	static char trailer[] = {'\377', '\377'};
	SourceStreams *all = (SourceStreams *) origin;

	for (;;)
	{
		int			length = read_any(all, data);

		if (length > 0)
			return length;
		if (length < 0)
			break;
		if (!wait)
			return 0;
		wait_for_any(all);
	}
	if (!all->task->binary || all->trailer_sent)
		return -1;
	all->trailer_sent = true;
	*data = trailer;
	return sizeof(trailer);
}

/*
 * What has arrived on any connection; 0 if nothing has, -1 if all are done.
 */
static int
read_any(SourceStreams *all, char **data)
{
	/* The one whose turn has just ended is asked again, last. */
	for (int i = 0; i <= all->count; i++)
	{
		SourceStream *stream = &all->streams[all->current];
		int			length = 0;

		if (all->turn_bytes < TURN_BYTES)
			length = read_one(all, stream, data);
		all->turn_bytes += length;
		if (length > 0)
			return length;
		all->current = (all->current + 1) % all->count;
		all->turn_bytes = 0;
	}
	for (int i = 0; i < all->count; i++)
	{
		if (all->streams[i].source != NULL)
			return 0;
	}
	return -1;
}

/*
 * Reads on until nothing more has arrived: what libpq has read already does not
 * make the socket readable again.
 */
static int
read_one(SourceStreams *all, SourceStream *stream, char **data)
{
	while (stream->source != NULL)
	{
		int			length = ftm_source_copy_read(stream->source, data, false);

		if (length == 0)
			break;
		if (length > 0)
		{
			if (all->task->binary)
				length = strip_framing(all, stream, data, length);
			if (length > 0)
				return length;
			continue;
		}
		if (all->task->binary && !stream->complete)
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("the source's stream for table %s is broken",
							all->task->table_name),
					 errdetail("A part of it has no end.")));
		begin_range(all, stream);
	}
	return 0;
}

/*
 * Take header and trailer of a range away, except for the very first header.
 * The server sends the header together with the first row, or with the trailer
 * if there is none, and the trailer otherwise by itself.
 */
static int
strip_framing(SourceStreams *all, SourceStream *stream, char **data,
			  int length)
{
	char	   *row = *data;
	int			row_length = length;

	if (stream->at_start)
	{
		uint32		extension;

		if (length >= BINARY_HEADER_LENGTH)
			memcpy(&extension, row + BINARY_HEADER_LENGTH - sizeof(extension),
				   sizeof(extension));
		if (length < BINARY_HEADER_LENGTH ||
			pg_ntoh32(extension) > (uint32) (length - BINARY_HEADER_LENGTH))
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("the source's stream for table %s is broken",
							all->task->table_name),
					 errdetail("A part of it begins without a whole header.")));
		row += BINARY_HEADER_LENGTH + pg_ntoh32(extension);
		row_length -= BINARY_HEADER_LENGTH + (int) pg_ntoh32(extension);
		stream->at_start = false;
	}

	/* A row has as many columns as it has; -1 is the trailer. */
	if (row_length == 2 && row[0] == '\377' && row[1] == '\377')
	{
		stream->complete = true;
		length -= 2;
		row_length = 0;
	}
	if (!all->header_sent)
	{
		all->header_sent = true;
		return length;
	}
	*data = row;
	return row_length;
}

static void
wait_for_any(SourceStreams *all)
{
	SourceConnection *sources[FTM_MAX_STREAMS];

	for (int i = 0; i < all->count; i++)
		sources[i] = all->streams[i].source;
	ftm_source_wait_readable(sources, all->count);
}
