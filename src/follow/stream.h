/*-------------------------------------------------------------------------
 *
 * stream.h
 *		Messages of the output plugin pgoutput: bytes in, changes out.
 *
 * Pure, as rewrite.h: it knows nothing of PostgreSQL's headers, of libpq or of
 * tables, so that it is tested and fuzzed alone.  It reads version 1 of the
 * protocol, with messages, but without streamed and prepared transactions:
 * those come only to who asks for them, and are refused.
 *
 * Nothing is copied: names and values lie where the message has them, and are
 * gone with it.  The message itself is never changed, so it may be decoded as
 * often as one likes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_STREAM_H
#define FTM_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The server's own limit for columns of a table. */
#define STREAM_MAX_COLUMNS	1600

/* The first byte of a message. */
typedef enum StreamKind
{
	STREAM_BEGIN = 'B',
	STREAM_COMMIT = 'C',
	STREAM_ORIGIN = 'O',		/* nothing but its kind is kept */
	STREAM_RELATION = 'R',
	STREAM_TYPE = 'Y',
	STREAM_INSERT = 'I',
	STREAM_UPDATE = 'U',
	STREAM_DELETE = 'D',
	STREAM_TRUNCATE = 'T',
	STREAM_LOGICAL_MESSAGE = 'M'
} StreamKind;

/* A value of a row, as the message has it. */
typedef enum StreamValueKind
{
	STREAM_NULL = 'n',
	STREAM_UNCHANGED = 'u',		/* kept out of line, and as it was */
	STREAM_TEXT = 't',
	STREAM_BINARY = 'b'
} StreamValueKind;

typedef struct StreamValue
{
	StreamValueKind kind;
	char	   *data;			/* in the message; no zero byte behind it */
	size_t		length;
} StreamValue;

typedef struct StreamRow
{
	int			nvalues;
	StreamValue *values;
} StreamRow;

/* What an update or a delete says of the row as it was. */
typedef enum StreamOldRow
{
	STREAM_OLD_NONE = 0,		/* its key is that of the new row */
	STREAM_OLD_KEY = 'K',		/* the columns of its key, others are null */
	STREAM_OLD_ROW = 'O'		/* all of it: replica identity full */
} StreamOldRow;

typedef struct StreamColumn
{
	bool		is_key;			/* of the replica identity */
	const char *name;
	uint32_t	type;			/* OID in the source */
	int32_t		typmod;
} StreamColumn;

/* Only what belongs to the kind is set. */
typedef struct StreamMessage
{
	StreamKind	kind;

	/* STREAM_BEGIN: the position is that of the commit record's start. */
	uint64_t	final_lsn;
	uint32_t	xid;

	/* STREAM_COMMIT: the same position, and that of the record's end. */
	uint64_t	commit_lsn;
	uint64_t	end_lsn;

	/* Both: microseconds since 2000-01-01 00:00 UTC. */
	int64_t		commit_time;

	/* STREAM_RELATION, STREAM_INSERT, STREAM_UPDATE, STREAM_DELETE */
	uint32_t	relation;		/* OID in the source */

	/* STREAM_RELATION and STREAM_TYPE */
	const char *schema;			/* "" is pg_catalog */
	const char *name;
	uint32_t	type;			/* STREAM_TYPE: OID in the source */
	char		identity;		/* STREAM_RELATION: d, n, f or i */
	int			ncolumns;
	const StreamColumn *columns;

	/* STREAM_INSERT, STREAM_UPDATE, STREAM_DELETE */
	StreamOldRow old_kind;
	StreamRow	old_row;
	StreamRow	new_row;

	/* STREAM_TRUNCATE; see ftm_stream_truncated() */
	uint32_t	ntruncated;
	const char *truncated;
	bool		cascade;
	bool		restart_sequences;

	/* STREAM_LOGICAL_MESSAGE */
	bool		transactional;
	uint64_t	message_lsn;
	const char *prefix;
	const char *content;		/* no zero byte behind it */
	size_t		content_length;
} StreamMessage;

typedef struct StreamDecoder StreamDecoder;

/* NULL if memory is short; it takes some 150 kB (malloc). */
extern StreamDecoder *ftm_stream_create(void);
extern void ftm_stream_free(StreamDecoder *decoder);

/*
 * Decode one message.  True: *message is set, and valid as long as data is and
 * nothing else is decoded.  False: it is no message of this protocol, as
 * ftm_stream_error() says.  Every length and count has been checked, names end
 * within the message; what they say has not.
 */
extern bool ftm_stream_decode(StreamDecoder *decoder, char *data,
							  size_t length, StreamMessage *message);

/*
 * What was wrong, as a fragment in the style of an error detail, and at which
 * byte of the message (from 0); valid as long as the decoder.
 */
extern const char *ftm_stream_error(const StreamDecoder *decoder,
									size_t *position);

/* OID in the source of a truncated table; index is less than ntruncated. */
extern uint32_t ftm_stream_truncated(const StreamMessage *message,
									 uint32_t index);

#endif							/* FTM_STREAM_H */
