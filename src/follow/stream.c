/*-------------------------------------------------------------------------
 *
 * stream.c
 *		Messages of the output plugin pgoutput: bytes in, changes out.
 *
 * The file is part of the extension and yet includes no postgres.h: see
 * rewrite.c.  It is stricter than the server's own logicalrep_read_*(): flags
 * that the protocol does not have, and bytes behind the end of a message, are
 * errors, too, since a source that sends them speaks of something that this
 * does not know.
 *
 *-------------------------------------------------------------------------
 */
#include "follow/stream.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLAG_KEY			1	/* of a column */
#define FLAG_CASCADE		1	/* of a truncation */
#define FLAG_RESTART		2
#define FLAG_TRANSACTIONAL	1	/* of a logical message */

struct StreamDecoder
{
	char	   *data;			/* the message in hand */
	size_t		length;
	size_t		position;		/* what comes next */

	StreamColumn columns[STREAM_MAX_COLUMNS];
	StreamValue old_values[STREAM_MAX_COLUMNS];
	StreamValue new_values[STREAM_MAX_COLUMNS];

	bool		failed;
	char		error[160];
	size_t		error_position;
};

static bool decode(StreamDecoder *decoder, StreamMessage *message);
static bool decode_begin(StreamDecoder *decoder, StreamMessage *message);
static bool decode_commit(StreamDecoder *decoder, StreamMessage *message);
static bool decode_origin(StreamDecoder *decoder);
static bool decode_relation(StreamDecoder *decoder, StreamMessage *message);
static bool decode_column(StreamDecoder *decoder, StreamColumn *column);
static bool decode_type(StreamDecoder *decoder, StreamMessage *message);
static bool decode_insert(StreamDecoder *decoder, StreamMessage *message);
static bool decode_update(StreamDecoder *decoder, StreamMessage *message);
static bool decode_delete(StreamDecoder *decoder, StreamMessage *message);
static bool decode_truncate(StreamDecoder *decoder, StreamMessage *message);
static bool decode_logical_message(StreamDecoder *decoder,
								   StreamMessage *message);
static bool decode_row(StreamDecoder *decoder, StreamValue *values,
					   StreamRow *row);
static bool decode_value(StreamDecoder *decoder, StreamValue *value);
static bool read_byte(StreamDecoder *decoder, uint8_t *value);
static bool read_flags(StreamDecoder *decoder, uint8_t known, uint8_t *value);
static bool read_count(StreamDecoder *decoder, int *value);
static bool read_uint32(StreamDecoder *decoder, uint32_t *value);
static bool read_uint64(StreamDecoder *decoder, uint64_t *value);
static bool read_lsn(StreamDecoder *decoder, uint64_t *value);
static bool read_string(StreamDecoder *decoder, const char **value);
static bool read_bytes(StreamDecoder *decoder, char **data, size_t *length);
#if defined(__GNUC__)
__attribute__((format(printf, 3, 4)))
#endif
static bool fail(StreamDecoder *decoder, size_t position,
				 const char *format,...);

StreamDecoder *
ftm_stream_create(void)
{
	return calloc(1, sizeof(StreamDecoder));
}

void
ftm_stream_free(StreamDecoder *decoder)
{
	free(decoder);
}

bool
ftm_stream_decode(StreamDecoder *decoder, char *data, size_t length,
				  StreamMessage *message)
{
	decoder->data = data;
	decoder->length = length;
	decoder->position = 0;
	decoder->failed = false;
	memset(message, 0, sizeof(StreamMessage));
	if (!decode(decoder, message))
		return false;
	if (decoder->position < length)
		return fail(decoder, decoder->position,
					"message has %zu bytes behind its end",
					length - decoder->position);
	return true;
}

const char *
ftm_stream_error(const StreamDecoder *decoder, size_t *position)
{
	*position = decoder->error_position;
	return decoder->error;
}

uint32_t
ftm_stream_truncated(const StreamMessage *message, uint32_t index)
{
	uint32_t	value;

	memcpy(&value, message->truncated + index * sizeof(value), sizeof(value));
	return ntohl(value);
}

static bool
decode(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		kind;

	if (!read_byte(decoder, &kind))
		return false;
	message->kind = (StreamKind) kind;
	switch (kind)
	{
		case STREAM_BEGIN:
			return decode_begin(decoder, message);
		case STREAM_COMMIT:
			return decode_commit(decoder, message);
		case STREAM_ORIGIN:
			return decode_origin(decoder);
		case STREAM_RELATION:
			return decode_relation(decoder, message);
		case STREAM_TYPE:
			return decode_type(decoder, message);
		case STREAM_INSERT:
			return decode_insert(decoder, message);
		case STREAM_UPDATE:
			return decode_update(decoder, message);
		case STREAM_DELETE:
			return decode_delete(decoder, message);
		case STREAM_TRUNCATE:
			return decode_truncate(decoder, message);
		case STREAM_LOGICAL_MESSAGE:
			return decode_logical_message(decoder, message);
	}
	return fail(decoder, 0, "kind of message is 0x%02x", kind);
}

static bool
decode_begin(StreamDecoder *decoder, StreamMessage *message)
{
	uint64_t	commit_time;

	if (!read_lsn(decoder, &message->final_lsn) ||
		!read_uint64(decoder, &commit_time) ||
		!read_uint32(decoder, &message->xid))
		return false;
	message->commit_time = (int64_t) commit_time;
	return true;
}

static bool
decode_commit(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		flags;
	uint64_t	commit_time;

	if (!read_flags(decoder, 0, &flags) ||
		!read_lsn(decoder, &message->commit_lsn) ||
		!read_lsn(decoder, &message->end_lsn) ||
		!read_uint64(decoder, &commit_time))
		return false;
	message->commit_time = (int64_t) commit_time;
	return true;
}

static bool
decode_origin(StreamDecoder *decoder)
{
	uint64_t	lsn;
	const char *name;

	return read_uint64(decoder, &lsn) && read_string(decoder, &name);
}

static bool
decode_relation(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		identity;

	if (!read_uint32(decoder, &message->relation) ||
		!read_string(decoder, &message->schema) ||
		!read_string(decoder, &message->name) ||
		!read_byte(decoder, &identity))
		return false;
	if (identity == '\0' || strchr("dnfi", identity) == NULL)
		return fail(decoder, decoder->position - 1,
					"replica identity is 0x%02x", identity);
	message->identity = (char) identity;
	if (!read_count(decoder, &message->ncolumns))
		return false;
	for (int i = 0; i < message->ncolumns; i++)
	{
		if (!decode_column(decoder, &decoder->columns[i]))
			return false;
	}
	message->columns = decoder->columns;
	return true;
}

static bool
decode_column(StreamDecoder *decoder, StreamColumn *column)
{
	uint8_t		flags;
	uint32_t	typmod;

	if (!read_flags(decoder, FLAG_KEY, &flags) ||
		!read_string(decoder, &column->name) ||
		!read_uint32(decoder, &column->type) ||
		!read_uint32(decoder, &typmod))
		return false;
	column->is_key = (flags & FLAG_KEY) != 0;
	column->typmod = (int32_t) typmod;
	return true;
}

static bool
decode_type(StreamDecoder *decoder, StreamMessage *message)
{
	return read_uint32(decoder, &message->type) &&
		read_string(decoder, &message->schema) &&
		read_string(decoder, &message->name);
}

static bool
decode_insert(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		kind;

	if (!read_uint32(decoder, &message->relation) ||
		!read_byte(decoder, &kind))
		return false;
	if (kind != 'N')
		return fail(decoder, decoder->position - 1,
					"kind of row in an insert is 0x%02x", kind);
	return decode_row(decoder, decoder->new_values, &message->new_row);
}

static bool
decode_update(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		kind;

	if (!read_uint32(decoder, &message->relation) ||
		!read_byte(decoder, &kind))
		return false;
	if (kind == STREAM_OLD_KEY || kind == STREAM_OLD_ROW)
	{
		message->old_kind = (StreamOldRow) kind;
		if (!decode_row(decoder, decoder->old_values, &message->old_row) ||
			!read_byte(decoder, &kind))
			return false;
	}
	if (kind != 'N')
		return fail(decoder, decoder->position - 1,
					"kind of row in an update is 0x%02x", kind);
	return decode_row(decoder, decoder->new_values, &message->new_row);
}

static bool
decode_delete(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		kind;

	if (!read_uint32(decoder, &message->relation) ||
		!read_byte(decoder, &kind))
		return false;
	if (kind != STREAM_OLD_KEY && kind != STREAM_OLD_ROW)
		return fail(decoder, decoder->position - 1,
					"kind of row in a delete is 0x%02x", kind);
	message->old_kind = (StreamOldRow) kind;
	return decode_row(decoder, decoder->old_values, &message->old_row);
}

static bool
decode_truncate(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		flags;
	size_t		position = decoder->position;

	if (!read_uint32(decoder, &message->ntruncated) ||
		!read_flags(decoder, FLAG_CASCADE | FLAG_RESTART, &flags))
		return false;
	message->cascade = (flags & FLAG_CASCADE) != 0;
	message->restart_sequences = (flags & FLAG_RESTART) != 0;
	if ((decoder->length - decoder->position) / sizeof(uint32_t) <
		message->ntruncated)
		return fail(decoder, position,
					"truncation of %u tables is longer than its message",
					message->ntruncated);
	message->truncated = decoder->data + decoder->position;
	decoder->position += (size_t) message->ntruncated * sizeof(uint32_t);
	return true;
}

static bool
decode_logical_message(StreamDecoder *decoder, StreamMessage *message)
{
	uint8_t		flags;
	char	   *content;

	if (!read_flags(decoder, FLAG_TRANSACTIONAL, &flags) ||
		!read_uint64(decoder, &message->message_lsn) ||
		!read_string(decoder, &message->prefix) ||
		!read_bytes(decoder, &content, &message->content_length))
		return false;
	message->transactional = (flags & FLAG_TRANSACTIONAL) != 0;
	message->content = content;
	return true;
}

static bool
decode_row(StreamDecoder *decoder, StreamValue *values, StreamRow *row)
{
	if (!read_count(decoder, &row->nvalues))
		return false;
	for (int i = 0; i < row->nvalues; i++)
	{
		if (!decode_value(decoder, &values[i]))
			return false;
	}
	row->values = values;
	return true;
}

static bool
decode_value(StreamDecoder *decoder, StreamValue *value)
{
	uint8_t		kind;

	if (!read_byte(decoder, &kind))
		return false;
	value->kind = (StreamValueKind) kind;
	value->data = NULL;
	value->length = 0;
	switch (kind)
	{
		case STREAM_NULL:
		case STREAM_UNCHANGED:
			return true;
		case STREAM_TEXT:
		case STREAM_BINARY:
			return read_bytes(decoder, &value->data, &value->length);
	}
	return fail(decoder, decoder->position - 1, "kind of value is 0x%02x",
				kind);
}


/*
 * Parts of a message; false if it ends before them, or they are impossible.
 */

static inline bool
has_left(StreamDecoder *decoder, size_t length)
{
	if (decoder->length - decoder->position >= length)
		return true;
	return fail(decoder, decoder->position,
				"message of %zu bytes ends too early", decoder->length);
}

static bool
read_byte(StreamDecoder *decoder, uint8_t *value)
{
	if (!has_left(decoder, 1))
		return false;
	*value = (uint8_t) decoder->data[decoder->position++];
	return true;
}

/* Flags that are not among the known ones are refused. */
static bool
read_flags(StreamDecoder *decoder, uint8_t known, uint8_t *value)
{
	if (!read_byte(decoder, value))
		return false;
	if ((*value & ~known) != 0)
		return fail(decoder, decoder->position - 1, "flags are 0x%02x", *value);
	return true;
}

/* A number of columns. */
static bool
read_count(StreamDecoder *decoder, int *value)
{
	uint16_t	count;

	if (!has_left(decoder, sizeof(count)))
		return false;
	memcpy(&count, decoder->data + decoder->position, sizeof(count));
	*value = ntohs(count);
	if (*value > STREAM_MAX_COLUMNS)
		return fail(decoder, decoder->position, "number of columns is %d",
					*value);
	decoder->position += sizeof(count);
	return true;
}

static bool
read_uint32(StreamDecoder *decoder, uint32_t *value)
{
	if (!has_left(decoder, sizeof(*value)))
		return false;
	memcpy(value, decoder->data + decoder->position, sizeof(*value));
	*value = ntohl(*value);
	decoder->position += sizeof(*value);
	return true;
}

static bool
read_uint64(StreamDecoder *decoder, uint64_t *value)
{
	uint32_t	high;
	uint32_t	low;

	if (!has_left(decoder, sizeof(*value)) ||
		!read_uint32(decoder, &high) || !read_uint32(decoder, &low))
		return false;
	*value = (uint64_t) high << 32 | low;
	return true;
}

/* A position that must be one. */
static bool
read_lsn(StreamDecoder *decoder, uint64_t *value)
{
	if (!read_uint64(decoder, value))
		return false;
	if (*value == 0)
		return fail(decoder, decoder->position - sizeof(*value),
					"position in the log is zero");
	return true;
}

static bool
read_string(StreamDecoder *decoder, const char **value)
{
	char	   *start = decoder->data + decoder->position;
	char	   *end = NULL;

	if (decoder->position < decoder->length)
		end = memchr(start, '\0', decoder->length - decoder->position);
	if (end == NULL)
		return fail(decoder, decoder->position,
					"name goes on behind the end of its message");
	*value = start;
	decoder->position += (size_t) (end - start) + 1;
	return true;
}

/* Bytes behind their number. */
static bool
read_bytes(StreamDecoder *decoder, char **data, size_t *length)
{
	uint32_t	count;

	if (!read_uint32(decoder, &count))
		return false;
	if (decoder->length - decoder->position < count)
		return fail(decoder, decoder->position - sizeof(count),
					"length is %d, but only %zu bytes follow",
					(int32_t) count, decoder->length - decoder->position);
	*data = decoder->data + decoder->position;
	*length = count;
	decoder->position += count;
	return true;
}

/* The first error stays. */
static bool
fail(StreamDecoder *decoder, size_t position, const char *format,...)
{
	va_list		args;

	if (decoder->failed)
		return false;
	decoder->failed = true;
	decoder->error_position = position;
	va_start(args, format);
	vsnprintf(decoder->error, sizeof(decoder->error), format, args);
	va_end(args);
	return false;
}
