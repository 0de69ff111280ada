/*-------------------------------------------------------------------------
 *
 * rewrite_model.c
 *		A second rewriter, to compare with: slow, simple and made differently.
 *
 * It has the whole stream at once, takes every value out of it (undoing the
 * escapes of text format), edits the value and writes it back.  It shares no
 * code with src/ids/rewrite.c.
 *
 *-------------------------------------------------------------------------
 */
#include "rewrite_feed.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stream that is read byte by byte; reading beyond its end fails. */
typedef struct Cursor
{
	const uint8_t *data;
	size_t		length;
	size_t		position;
	bool		failed;
} Cursor;

/* A value of a row, decoded. */
typedef struct ModelValue
{
	bool		is_null;
	Buffer		bytes;
	Buffer		escaped;		/* text format: was this byte escaped, and how */
} ModelValue;

typedef struct ModelRow
{
	int			nvalues;
	ModelValue	values[MAX_TEST_COLUMNS];
} ModelRow;

static int64_t
take_integer(Cursor *cursor, int nbytes)
{
	int64_t		value = 0;

	for (int i = 0; i < nbytes; i++)
	{
		if (cursor->position >= cursor->length)
		{
			cursor->failed = true;
			return 0;
		}
		value = value * 256 + cursor->data[cursor->position++];
	}
	if (value >= (int64_t) 1 << (8 * nbytes - 1))
		value -= (int64_t) 1 << (8 * nbytes);
	return value;
}

static void
take_bytes(Cursor *cursor, int64_t nbytes, Buffer *bytes)
{
	if (nbytes < 0 || (uint64_t) nbytes > cursor->length - cursor->position)
		cursor->failed = true;
	else
	{
		buffer_append(bytes, cursor->data + cursor->position, (size_t) nbytes);
		cursor->position += (size_t) nbytes;
	}
}


/*
 * Values.
 */

/* Are there 36 characters of a uuid at text? */
static bool
is_uuid(const uint8_t *text, size_t length)
{
	const char *pattern = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (length < strlen(pattern))
		return false;
	for (size_t i = 0; i < strlen(pattern); i++)
	{
		if (pattern[i] == '-' ? text[i] != '-' : !isxdigit(text[i]))
			return false;
	}
	return true;
}

/* 'l', 'u' or 'm'ixed */
static char
letter_case(const uint8_t *text)
{
	int			nlower = 0;
	int			nupper = 0;

	for (int i = 0; i < 36; i++)
	{
		nlower += islower(text[i]) ? 1 : 0;
		nupper += isupper(text[i]) ? 1 : 0;
	}
	if (nupper == 0)
		return 'l';
	return nlower == 0 ? 'u' : 'm';
}

/* The 32 digits of a uuid, without its dashes, as a number each two. */
static void
text_to_id(const uint8_t *text, uint8_t id[16])
{
	char		digits[33];
	int			ndigits = 0;

	for (int i = 0; i < 36; i++)
	{
		if (text[i] != '-')
			digits[ndigits++] = (char) text[i];
	}
	digits[32] = '\0';
	for (int i = 0; i < 16; i++)
	{
		unsigned int byte;

		sscanf(digits + 2 * i, "%2x", &byte);
		id[i] = (uint8_t) byte;
	}
}

static void
id_to_text(const uint8_t id[16], char spelling, uint8_t *text)
{
	char		printed[37] = "";

	for (int i = 0; i < 16; i++)
	{
		sprintf(printed + strlen(printed), "%02x", id[i]);
		if (i == 3 || i == 5 || i == 7 || i == 9)
			strcat(printed, "-");
	}
	for (int i = 0; i < 36; i++)
		text[i] = (uint8_t) (spelling == 'u' ? toupper(printed[i]) : printed[i]);
}

/* A missing id in a whole-value column. */
static void
model_missing(const RewriteColumn *column, int number, const uint8_t id[16],
			  StreamResult *result)
{
	if (column->unmapped_is_error)
	{
		result->status = REWRITE_UNMAPPED;
		result->column = number;
		memcpy(result->id, id, 16);
	}
	else
		result->counts.ids_kept++;
}

static void
model_embedded(const StreamSpec *spec, ModelValue *value, StreamResult *result)
{
	size_t		i = 0;

	while (i < value->bytes.length)
	{
		uint8_t    *text = value->bytes.data + i;
		uint8_t		id[16];
		uint8_t		target[16];
		bool		plain;

		plain = is_uuid(text, value->bytes.length - i) &&
			letter_case(text) != 'm';
		if (plain)
			text_to_id(text, id);
		if (plain && spec->lookup(spec->lookup_arg, id, target))
		{
			id_to_text(target, letter_case(text), text);
			result->counts.ids_mapped++;
			i += 36;
		}
		else
			i++;
	}
}

/* False: not an array of uuids. */
static bool
model_array(const StreamSpec *spec, ModelValue *value, StreamResult *result)
{
	Cursor		cursor = {value->bytes.data, value->bytes.length, 0, false};
	int64_t		ndimensions = take_integer(&cursor, 4);
	int64_t		flags = take_integer(&cursor, 4);
	int64_t		type = take_integer(&cursor, 4);
	double		nelements = 1;

	if (cursor.failed || ndimensions < 0 || ndimensions > 6 ||
		flags < 0 || flags > 1 || type != 2950)
		return false;
	for (int64_t i = 0; i < ndimensions; i++)
	{
		int64_t		size = take_integer(&cursor, 4);

		(void) take_integer(&cursor, 4);
		nelements *= (double) size;
		if (cursor.failed || size < 0 || nelements > (double) cursor.length / 4)
			return false;
	}
	if (ndimensions == 0)
		nelements = 0;

	for (; nelements > 0; nelements--)
	{
		int64_t		length = take_integer(&cursor, 4);
		Buffer		id = {0};
		uint8_t		target[16];

		if (cursor.failed || (length != 16 && length != -1))
			return false;
		if (length == -1)
			continue;
		take_bytes(&cursor, length, &id);
		if (!cursor.failed && spec->lookup(spec->lookup_arg, id.data, target))
		{
			memcpy(value->bytes.data + cursor.position - 16, target, 16);
			result->counts.ids_mapped++;
		}
		buffer_free(&id);
		if (cursor.failed)
			return false;
	}
	return cursor.position == cursor.length;
}

/* A column whose values are ids. */
static bool
model_whole(const StreamSpec *spec, int number, ModelValue *value,
			StreamResult *result)
{
	const RewriteColumn *column = &spec->columns[number - 1];
	Buffer	   *bytes = &value->bytes;
	uint8_t		id[16];
	uint8_t		target[16];
	char		spelling = 'l';
	bool		raw = spec->binary && column->mode == REWRITE_UUID;

	if (raw)
	{
		if (bytes->length != 16)
			return false;
		memcpy(id, bytes->data, 16);
	}
	else
	{
		if (bytes->length != 36 || !is_uuid(bytes->data, bytes->length))
			return column->mode == REWRITE_TEXT;
		spelling = letter_case(bytes->data);
		if (column->mode == REWRITE_UUID && spelling != 'l')
			return false;
		text_to_id(bytes->data, id);
	}

	if (!spec->lookup(spec->lookup_arg, id, target))
		model_missing(column, number, id, result);
	else if (spelling == 'm')
		result->counts.ids_kept++;
	else
	{
		if (raw)
			memcpy(bytes->data, target, 16);
		else
			id_to_text(target, spelling, bytes->data);
		result->counts.ids_mapped++;
	}
	return true;
}

/* Without hyphens: no more and no fewer than 32 digits in a row. */
static bool
model_knows_bare(const StreamSpec *spec, const ModelValue *value)
{
	const Buffer *bytes = &value->bytes;

	for (size_t first = 0; first < bytes->length; first++)
	{
		size_t		ndigits = 0;
		size_t		skip = 0;
		char		text[37];
		uint8_t		id[16];

		if (first > 0 && isxdigit(bytes->data[first - 1]))
			continue;
		while (first + ndigits < bytes->length && 
			   isxdigit(bytes->data[first + ndigits]))
			ndigits++;
		/* what looks like digits may be the end of an element's length */
		if (spec->binary && first > 0 && bytes->data[first - 1] == 0 &&
			ndigits > 32 && ndigits < 36)
			skip = ndigits - 32;
		if (ndigits - skip != 32)
			continue;
		snprintf(text, sizeof(text), "%.8s-%.4s-%.4s-%.4s-%.12s",
				 (const char *) bytes->data + first + skip,
				 (const char *) bytes->data + first + skip + 8,
				 (const char *) bytes->data + first + skip + 12,
				 (const char *) bytes->data + first + skip + 16,
				 (const char *) bytes->data + first + skip + 20);
		text_to_id((const uint8_t *) text, id);
		if (spec->known(spec->lookup_arg, id))
			return true;
	}
	return false;
}

static bool
model_knows(const StreamSpec *spec, RewriteMode mode, const ModelValue *value)
{
	const Buffer *bytes = &value->bytes;

	if (mode == REWRITE_COUNT_UUID && spec->binary)
		return bytes->length == 16 && spec->known(spec->lookup_arg, bytes->data);
	for (size_t i = 0; i < bytes->length; i++)
	{
		uint8_t		id[16];

		if (is_uuid(bytes->data + i, bytes->length - i))
		{
			text_to_id(bytes->data + i, id);
			if (spec->known(spec->lookup_arg, id))
				return true;
		}
		if (mode == REWRITE_COUNT_ANY && spec->binary &&
			bytes->length - i >= 20 &&
			memcmp(bytes->data + i, "\0\0\0\20", 4) == 0 &&
			spec->known(spec->lookup_arg, bytes->data + i + 4))
			return true;
	}
	return model_knows_bare(spec, value);
}

static void
model_rewrite_row(const StreamSpec *spec, ModelRow *row, StreamResult *result)
{
	for (int i = 0; i < row->nvalues && result->status == REWRITE_OK; i++)
	{
		ModelValue *value = &row->values[i];
		RewriteMode mode = spec->columns[i].mode;
		bool		ok = true;

		if (value->is_null || mode == REWRITE_KEEP)
			continue;
		if (mode == REWRITE_COUNT_UUID || mode == REWRITE_COUNT_TEXT ||
			mode == REWRITE_COUNT_ANY)
			result->values_with_ids[i] += model_knows(spec, mode, value);
		else if (mode == REWRITE_UUID || mode == REWRITE_TEXT)
			ok = model_whole(spec, i + 1, value, result);
		else if (mode == REWRITE_EMBEDDED_UUIDS && spec->binary)
			ok = model_array(spec, value, result);
		else
			model_embedded(spec, value, result);
		if (!ok)
			result->status = REWRITE_MALFORMED;
	}
}

static void
row_free(ModelRow *row)
{
	for (int i = 0; i < MAX_TEST_COLUMNS; i++)
	{
		buffer_free(&row->values[i].bytes);
		buffer_free(&row->values[i].escaped);
	}
}


/*
 * Binary format.
 */

static bool
model_binary_header(Cursor *cursor)
{
	Buffer		signature = {0};
	int64_t		flags;
	int64_t		extension;
	bool		ok;

	take_bytes(cursor, 11, &signature);
	ok = !cursor->failed &&
		memcmp(signature.data, "PGCOPY\n\377\r\n", 11) == 0;
	buffer_free(&signature);

	flags = take_integer(cursor, 4);
	extension = take_integer(cursor, 4);
	if (!ok || cursor->failed || flags < 0 || flags > 0xFFFF ||
		extension < 0 || extension > 1024 * 1024)
		return false;
	for (int64_t i = 0; i < extension; i++)
		(void) take_integer(cursor, 1);
	return !cursor->failed;
}

static bool
model_binary_row(const StreamSpec *spec, Cursor *cursor, ModelRow *row)
{
	row->nvalues = spec->ncolumns;
	for (int i = 0; i < spec->ncolumns; i++)
	{
		int64_t		length = take_integer(cursor, 4);

		row->values[i].is_null = length == -1;
		if (length != -1 && !cursor->failed)
			take_bytes(cursor, length, &row->values[i].bytes);
		if (cursor->failed)
			return false;
	}
	return true;
}

static void
model_write_binary_row(const ModelRow *row, Buffer *output)
{
	buffer_append_integer(output, 2, row->nvalues);
	for (int i = 0; i < row->nvalues; i++)
	{
		const ModelValue *value = &row->values[i];

		buffer_append_integer(output, 4,
							  value->is_null ? -1 : (int64_t) value->bytes.length);
		buffer_append(output, value->bytes.data, value->bytes.length);
	}
}

static void
model_binary(const StreamSpec *spec, Cursor *cursor, StreamResult *result)
{
	if (!model_binary_header(cursor))
	{
		result->status = REWRITE_MALFORMED;
		return;
	}
	buffer_append(&result->output, cursor->data, cursor->position);

	while (result->status == REWRITE_OK)
	{
		ModelRow	row = {0};
		int64_t		nfields = take_integer(cursor, 2);

		if (!cursor->failed && nfields == -1)
		{
			buffer_append_integer(&result->output, 2, -1);
			if (cursor->position != cursor->length)
				result->status = REWRITE_MALFORMED;
			return;
		}

		if (cursor->failed || nfields != spec->ncolumns ||
			!model_binary_row(spec, cursor, &row))
			result->status = REWRITE_MALFORMED;
		else
			model_rewrite_row(spec, &row, result);

		if (result->status == REWRITE_OK)
		{
			result->counts.rows++;
			model_write_binary_row(&row, &result->output);
		}
		else
			result->row = result->counts.rows + 1;
		row_free(&row);
	}
}


/*
 * Text format.
 */

/* Read one line into values; false if it is damaged or incomplete. */
static bool
model_text_row(const StreamSpec *spec, Cursor *cursor, ModelRow *row)
{
	static const char escapes[] = "b\bf\fn\nr\rt\tv\v\\\\";
	ModelValue *value = &row->values[0];

	row->nvalues = 1;
	for (;;)
	{
		uint8_t		byte = (uint8_t) take_integer(cursor, 1);
		uint8_t		escaped = 0;

		if (cursor->failed)
			return false;
		if (byte == '\n')
			break;
		if (value->is_null && byte != '\t')
			return false;
		if (byte == '\t')
		{
			if (row->nvalues >= spec->ncolumns)
				return false;
			value = &row->values[row->nvalues++];
			continue;
		}
		if (byte == '\\')
		{
			size_t		i = 0;

			escaped = (uint8_t) take_integer(cursor, 1);
			if (escaped == 'N' && value->bytes.length == 0)
			{
				value->is_null = true;
				continue;
			}
			while (i + 1 < sizeof(escapes) && (uint8_t) escapes[i] != escaped)
				i += 2;
			if (cursor->failed || i + 1 >= sizeof(escapes))
				return false;
			byte = (uint8_t) escapes[i + 1];
		}
		buffer_append(&value->bytes, &byte, 1);
		buffer_append(&value->escaped, &escaped, 1);
	}

	if (spec->ncolumns == 0)
	{
		row->nvalues = 0;
		return !value->is_null && value->bytes.length == 0;
	}
	return row->nvalues == spec->ncolumns;
}

static void
model_write_text_row(const ModelRow *row, Buffer *output)
{
	for (int i = 0; i < row->nvalues; i++)
	{
		const ModelValue *value = &row->values[i];

		if (i > 0)
			buffer_append(output, "\t", 1);
		if (value->is_null)
			buffer_append(output, "\\N", 2);
		for (size_t j = 0; j < value->bytes.length; j++)
		{
			if (value->escaped.data[j])
			{
				buffer_append(output, "\\", 1);
				buffer_append(output, &value->escaped.data[j], 1);
			}
			else
				buffer_append(output, &value->bytes.data[j], 1);
		}
	}
	buffer_append(output, "\n", 1);
}

static void
model_text(const StreamSpec *spec, Cursor *cursor, StreamResult *result)
{
	while (cursor->position < cursor->length && result->status == REWRITE_OK)
	{
		ModelRow	row = {0};

		if (model_text_row(spec, cursor, &row))
			model_rewrite_row(spec, &row, result);
		else
			result->status = REWRITE_MALFORMED;

		if (result->status == REWRITE_OK)
		{
			result->counts.rows++;
			model_write_text_row(&row, &result->output);
		}
		else
			result->row = result->counts.rows + 1;
		row_free(&row);
	}
}

void
model_rewrite(const StreamSpec *spec, const uint8_t *stream, size_t length,
			  StreamResult *result)
{
	Cursor		cursor = {stream, length, 0, false};

	memset(result, 0, sizeof(StreamResult));
	if (spec->binary)
		model_binary(spec, &cursor, result);
	else
		model_text(spec, &cursor, result);
}
