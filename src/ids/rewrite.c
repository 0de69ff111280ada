/*-------------------------------------------------------------------------
 *
 * rewrite.c
 *		The stream rewriter: replaces user ids in a COPY stream, in place.
 *
 * The file is part of the extension and yet includes no postgres.h, only
 * headers of the C library: it parses bytes that another server sent, and so
 * is tested and fuzzed alone, without a server, under sanitizers that know
 * malloc() but not palloc(), and where no ereport() can jump out of it.
 *
 * A row goes through two steps.  The first finds where the row ends and
 * checks its structure; on the way it notes where the values lie that have to
 * be rewritten.  The second visits only those values, and only once the row is
 * complete, so that bytes behind *done are never touched and what happens to a
 * row does not depend on where the stream was cut.  The first step remembers
 * how far it got in an incomplete row, so that a row costs time in proportion
 * to its size even if it arrives in very many pieces.
 *
 *-------------------------------------------------------------------------
 */
#include "ids/rewrite.h"
#include "ids/uuid_text.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Binary COPY: signature, flags, length of the header extension. */
#define SIGNATURE_LENGTH	11
#define HEADER_LENGTH		(SIGNATURE_LENGTH + 4 + 4)
#define HEADER_FLAG_OIDS	(UINT32_C(1) << 16)
#define HEADER_CRITICAL_FLAGS	UINT32_C(0xFFFF0000)

/* No PostgreSQL writes a header extension; this is ample for one that may. */
#define MAX_HEADER_EXTENSION	(1024 * 1024)

/* The server's own limit for one value: a header of 4 bytes, 30 bits in all. */
#define MAX_FIELD_LENGTH	((1 << 30) - 1 - 4)

#define UUID_TYPE_OID		2950
#define MAX_ARRAY_DIMENSIONS	6

static const char binary_signature[SIGNATURE_LENGTH] =
{'P', 'G', 'C', 'O', 'P', 'Y', '\n', '\377', '\r', '\n', '\0'};

typedef enum StreamPart
{
	STREAM_HEADER,
	STREAM_ROWS,
	STREAM_ENDED				/* the trailer has been read */
} StreamPart;

/* A value of the row in hand that has to be rewritten; never a null. */
typedef struct RowValue
{
	size_t		offset;			/* from the beginning of the row */
	size_t		length;
	int			column;			/* from 0 */
} RowValue;

struct Rewriter
{
	int			ncolumns;
	RewriteColumn *columns;
	bool		binary;			/* of values; the stream, if there is one, too */
	bool		escaped;		/* values have the escapes of COPY */
	RewriteLookup lookup;
	void	   *lookup_arg;		/* of known, too */

	StreamPart	part;
	RewriteCounts counts;

	/* What is known of the row in hand, which may be incomplete. */
	uint64_t	examined;		/* bytes of it that need no second look; in
								 * binary this may be more than have arrived */
	int			nfields;		/* binary: fields within these bytes */
	int			nvalues;
	RowValue   *values;			/* room for ncolumns */

	/* The error, if status is not REWRITE_OK. */
	RewriteStatus status;
	char		error[160];
	uint64_t	error_row;
	int			error_column;
	uint8_t		error_id[UUID_LENGTH];

	/* Of columns whose ids are counted. */
	KnownId		known;
	uint64_t   *values_with_ids;
};

/*
 * Errors.  The first one stays; column from 0, or -1.
 */
#if defined(__GNUC__)
__attribute__((format(printf, 4, 5)))
#endif
static void
fail(Rewriter *rewriter, RewriteStatus status, int column,
	 const char *format,...)
{
	va_list		args;

	rewriter->status = status;
	rewriter->error_row =
		rewriter->part == STREAM_ROWS ? rewriter->counts.rows + 1 : 0;
	rewriter->error_column = column + 1;

	va_start(args, format);
	vsnprintf(rewriter->error, sizeof(rewriter->error), format, args);
	va_end(args);
}

/* Big-endian integers, wherever they lie. */
static inline int
read_int16(const char *data)
{
	uint16_t	value;

	memcpy(&value, data, sizeof(value));
	return (int16_t) ntohs(value);
}

static inline int32_t
read_int32(const char *data)
{
	uint32_t	value;

	memcpy(&value, data, sizeof(value));
	return (int32_t) ntohl(value);
}


/*
 * The second step: rewriting the values of one complete row.
 */

/*
 * Look up an id that is a whole value.  False if the map lacks it, which has
 * then been counted or, where the column says so, become an error.
 */
static bool
lookup_value(Rewriter *rewriter, int column, const uint8_t id[UUID_LENGTH],
			 uint8_t target[UUID_LENGTH])
{
	char		text[] = "00000000-0000-0000-0000-000000000000";

	if (rewriter->lookup(rewriter->lookup_arg, id, target))
		return true;

	if (rewriter->columns[column].unmapped_is_error)
	{
		write_uuid(text, id, SPELLING_LOWER);
		fail(rewriter, REWRITE_UNMAPPED, column, "id %s has no mapping", text);
		memcpy(rewriter->error_id, id, UUID_LENGTH);
	}
	else
		rewriter->counts.ids_kept++;
	return false;
}

/* REWRITE_UUID, binary */
static void
rewrite_uuid_binary(Rewriter *rewriter, int column, char *value, size_t length)
{
	uint8_t		id[UUID_LENGTH];
	uint8_t		target[UUID_LENGTH];

	if (length != UUID_LENGTH)
	{
		fail(rewriter, REWRITE_MALFORMED, column,
			 "length of a uuid is %zu, expected %d", length, UUID_LENGTH);
		return;
	}

	memcpy(id, value, UUID_LENGTH);
	if (lookup_value(rewriter, column, id, target))
	{
		memcpy(value, target, UUID_LENGTH);
		rewriter->counts.ids_mapped++;
	}
}

/* REWRITE_UUID, text: only what uuid_out() writes. */
static void
rewrite_uuid_text(Rewriter *rewriter, int column, char *value, size_t length)
{
	uint8_t		id[UUID_LENGTH];
	uint8_t		target[UUID_LENGTH];

	if (length != UUID_TEXT_LENGTH ||
		parse_uuid(value, id) != SPELLING_LOWER)
	{
		fail(rewriter, REWRITE_MALFORMED, column,
			 "value is not a uuid in its canonical form of %d characters",
			 UUID_TEXT_LENGTH);
		return;
	}

	if (lookup_value(rewriter, column, id, target))
	{
		write_uuid(value, target, SPELLING_LOWER);
		rewriter->counts.ids_mapped++;
	}
}

/*
 * REWRITE_TEXT, either format: no character of a uuid is ever escaped.  An id
 * in mixed case is looked up only to tell whether it is an error.
 */
static void
rewrite_text(Rewriter *rewriter, int column, char *value, size_t length)
{
	uint8_t		id[UUID_LENGTH];
	uint8_t		target[UUID_LENGTH];
	UuidSpelling spelling;

	if (length != UUID_TEXT_LENGTH)
		return;
	spelling = parse_uuid(value, id);
	if (spelling == SPELLING_NONE ||
		!lookup_value(rewriter, column, id, target))
		return;

	if (spelling == SPELLING_MIXED)
		rewriter->counts.ids_kept++;
	else
	{
		write_uuid(value, target, spelling);
		rewriter->counts.ids_mapped++;
	}
}

/*
 * In text format: is the character at position the second half of an escape
 * sequence that begins within the value?  \b and \f end in a hexadecimal
 * digit that is none.
 */
static bool
is_escaped(const char *value, const char *position)
{
	const char *first = position;

	while (first > value && first[-1] == '\\')
		first--;
	return (position - first) % 2 != 0;
}

/*
 * REWRITE_EMBEDDED_TEXT, either format, and REWRITE_EMBEDDED_UUIDS in text
 * format: replace every known uuid, whatever stands around it.
 *
 * In binary a value is scanned as one piece, whatever its type: text and json
 * are sent as they are, jsonb after a version byte, text[] with a 4-byte
 * length before each element.  No uuid can be seen across such a length: its
 * first byte would have to be a dash or a digit, so the element would have to
 * be at least 0x2D000000 bytes (720 MB) long.
 */
static void
rewrite_embedded(Rewriter *rewriter, char *value, size_t length)
{
	char	   *start = value;	/* no uuid begins before this */
	char	   *end = value + length;

	while (end - start >= UUID_TEXT_LENGTH)
	{
		uint8_t		id[UUID_LENGTH];
		uint8_t		target[UUID_LENGTH];
		UuidSpelling spelling;
		char	   *dash;

		/* The first dash of a uuid that begins at start or later. */
		dash = memchr(start + 8, '-',
					  (size_t) (end - start) - UUID_TEXT_LENGTH + 1);
		if (dash == NULL)
			break;
		start = dash - 8;

		spelling = parse_uuid(start, id);
		if ((spelling == SPELLING_LOWER || spelling == SPELLING_UPPER) &&
			(!rewriter->escaped || !is_escaped(value, start)) &&
			rewriter->lookup(rewriter->lookup_arg, id, target))
		{
			write_uuid(start, target, spelling);
			rewriter->counts.ids_mapped++;
			start += UUID_TEXT_LENGTH;
		}
		else
			start++;
	}
}

/*
 * Read the header of an array of uuids: number of dimensions, whether there
 * are nulls, element type, and size and lower bound of each dimension.
 * Returns the header's length, or 0 after an error.
 */
static size_t
read_array_header(Rewriter *rewriter, int column, const char *value,
				  size_t length, uint64_t *nelements)
{
	size_t		header_length = 3 * 4;
	int32_t		ndimensions;

	if (length < header_length)
	{
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array of %zu bytes is shorter than its header", length);
		return 0;
	}

	ndimensions = read_int32(value);
	if (ndimensions < 0 || ndimensions > MAX_ARRAY_DIMENSIONS)
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array has %d dimensions", ndimensions);
	else if (read_int32(value + 4) != 0 && read_int32(value + 4) != 1)
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array flags are %d, expected 0 or 1", read_int32(value + 4));
	else if (read_int32(value + 8) != UUID_TYPE_OID)
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array element type is %u, expected %d",
			 (uint32_t) read_int32(value + 8), UUID_TYPE_OID);
	else if ((length - header_length) / 8 < (size_t) ndimensions)
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array of %zu bytes is shorter than its header", length);
	if (rewriter->status != REWRITE_OK)
		return 0;

	*nelements = ndimensions > 0 ? 1 : 0;
	for (int i = 0; i < ndimensions; i++, header_length += 8)
	{
		int32_t		size = read_int32(value + header_length);

		/*
		 * An element takes at least 4 bytes.  Checking that each time also
		 * keeps the product from overflowing.
		 */
		if (size < 0 || (*nelements *= (uint64_t) size) > length / 4)
		{
			fail(rewriter, REWRITE_MALFORMED, column,
				 "size %d of array dimension %d does not fit an array of %zu bytes",
				 size, i + 1, length);
			return 0;
		}
	}
	return header_length;
}

/*
 * REWRITE_EMBEDDED_UUIDS, binary.  Elements that the map lacks stay and are
 * not counted.
 */
static void
rewrite_uuid_array(Rewriter *rewriter, int column, char *value, size_t length)
{
	uint64_t	nelements;
	size_t		offset;

	offset = read_array_header(rewriter, column, value, length, &nelements);
	if (offset == 0)
		return;

	for (; nelements > 0; nelements--)
	{
		uint8_t		id[UUID_LENGTH];
		uint8_t		target[UUID_LENGTH];
		int32_t		element_length;

		if (length - offset < 4)
			break;
		element_length = read_int32(value + offset);
		offset += 4;
		if (element_length == -1)
			continue;
		if (element_length != UUID_LENGTH)
		{
			fail(rewriter, REWRITE_MALFORMED, column,
				 "length of a uuid in an array is %d, expected %d",
				 element_length, UUID_LENGTH);
			return;
		}
		if (length - offset < UUID_LENGTH)
			break;

		memcpy(id, value + offset, UUID_LENGTH);
		if (rewriter->lookup(rewriter->lookup_arg, id, target))
		{
			memcpy(value + offset, target, UUID_LENGTH);
			rewriter->counts.ids_mapped++;
		}
		offset += UUID_LENGTH;
	}

	if (nelements > 0)
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array ends before its last element");
	else if (offset != length)
		fail(rewriter, REWRITE_MALFORMED, column,
			 "array has %zu bytes behind its last element", length - offset);
}

/*
 * REWRITE_COUNT_UUID, REWRITE_COUNT_TEXT, REWRITE_COUNT_ANY: count a value in
 * which a known user's id stands, and stays.  Out of line, so
 * that columns that are rewritten do not pay for it.
 */
#if defined(__GNUC__)
__attribute__((noinline))
#endif
static void
count_value(Rewriter *rewriter, int column, const char *value, size_t length)
{
	RewriteMode mode = rewriter->columns[column].mode;
	KnownIdForm form = KNOWN_ID_IN_TEXT;

	if (rewriter->escaped)
		form = KNOWN_ID_IN_COPY;
	else if (rewriter->binary && mode == REWRITE_COUNT_ANY)
		form = KNOWN_ID_IN_BINARY;
	else if (rewriter->binary && mode == REWRITE_COUNT_UUID)
		form = KNOWN_ID_AS_BYTES;
	if (ftm_known_id_in(value, length, form, rewriter->known,
						rewriter->lookup_arg))
		rewriter->values_with_ids[column]++;
}

static inline void
rewrite_value(Rewriter *rewriter, int column, char *value, size_t length)
{
	switch (rewriter->columns[column].mode)
	{
		case REWRITE_KEEP:
			break;
		case REWRITE_UUID:
			if (rewriter->binary)
				rewrite_uuid_binary(rewriter, column, value, length);
			else
				rewrite_uuid_text(rewriter, column, value, length);
			break;
		case REWRITE_TEXT:
			rewrite_text(rewriter, column, value, length);
			break;
		case REWRITE_EMBEDDED_TEXT:
			rewrite_embedded(rewriter, value, length);
			break;
		case REWRITE_EMBEDDED_UUIDS:
			if (rewriter->binary)
				rewrite_uuid_array(rewriter, column, value, length);
			else
				rewrite_embedded(rewriter, value, length);
			break;
		case REWRITE_COUNT_UUID:
		case REWRITE_COUNT_TEXT:
		case REWRITE_COUNT_ANY:
			count_value(rewriter, column, value, length);
			break;
	}
}

/* Rewrite all noted values of the row at row; stops at the first error. */
static void
rewrite_row(Rewriter *rewriter, char *row)
{
	for (int i = 0; i < rewriter->nvalues; i++)
	{
		const RowValue *value = &rewriter->values[i];

		rewrite_value(rewriter, value->column, row + value->offset,
					  value->length);
		if (rewriter->status != REWRITE_OK)
			return;
	}
}


/*
 * The first step: finding a complete unit.  These functions return its length,
 * or 0 if it is incomplete or in error.
 */

static inline void
note_value(Rewriter *rewriter, int column, size_t offset, size_t length)
{
	RowValue   *value;

	if (rewriter->columns[column].mode == REWRITE_KEEP)
		return;
	value = &rewriter->values[rewriter->nvalues++];
	value->offset = offset;
	value->length = length;
	value->column = column;
}

static size_t
find_binary_header(Rewriter *rewriter, const char *data, size_t length)
{
	uint32_t	flags;
	int32_t		extension;

	if (length < SIGNATURE_LENGTH)
		return 0;
	if (memcmp(data, binary_signature, SIGNATURE_LENGTH) != 0)
	{
		fail(rewriter, REWRITE_MALFORMED, -1,
			 "stream does not begin with the signature of binary COPY");
		return 0;
	}

	if (length < HEADER_LENGTH)
		return 0;
	flags = (uint32_t) read_int32(data + SIGNATURE_LENGTH);
	extension = read_int32(data + SIGNATURE_LENGTH + 4);
	if (flags & HEADER_FLAG_OIDS)
		fail(rewriter, REWRITE_MALFORMED, -1, "header announces row oids");
	else if (flags & HEADER_CRITICAL_FLAGS)
		fail(rewriter, REWRITE_MALFORMED, -1,
			 "header has unrecognized critical flags 0x%08x", flags);
	else if (extension < 0 || extension > MAX_HEADER_EXTENSION)
		fail(rewriter, REWRITE_MALFORMED, -1,
			 "length of the header extension is %d", extension);
	if (rewriter->status != REWRITE_OK)
		return 0;

	if (length - HEADER_LENGTH < (size_t) extension)
		return 0;
	return HEADER_LENGTH + (size_t) extension;
}

/*
 * The number of fields at the beginning of a row.  False if it is the trailer
 * or an error.
 */
static bool
check_field_count(Rewriter *rewriter, const char *row)
{
	int			nfields = read_int16(row);

	if (nfields == -1)
		rewriter->part = STREAM_ENDED;
	else if (nfields != rewriter->ncolumns)
		fail(rewriter, REWRITE_MALFORMED, -1,
			 "field count is %d, expected %d", nfields, rewriter->ncolumns);
	else
		return true;
	return false;
}

/* Finds the trailer, too; rewriter->part tells. */
static size_t
find_binary_row(Rewriter *rewriter, const char *row, size_t length)
{
	const RewriteColumn *columns = rewriter->columns;
	int			ncolumns = rewriter->ncolumns;
	uint64_t	offset = rewriter->examined;
	int			field = rewriter->nfields;

	if (offset == 0)
	{
		if (length < 2)
			return 0;
		if (!check_field_count(rewriter, row))
			return rewriter->part == STREAM_ENDED ? 2 : 0;
		offset = 2;
	}

	for (; field < ncolumns; field++)
	{
		uint32_t	field_length;

		if (offset + 4 > length)
			break;
		field_length = (uint32_t) read_int32(row + offset);
		offset += 4;
		if (field_length > MAX_FIELD_LENGTH)
		{
			/* A null, most likely. */
			if (field_length == UINT32_MAX)
				continue;
			fail(rewriter, REWRITE_MALFORMED, field,
				 "field length is %d", (int32_t) field_length);
			return 0;
		}
		if (columns[field].mode != REWRITE_KEEP)
			note_value(rewriter, field, (size_t) offset, field_length);
		offset += field_length;
	}

	rewriter->examined = offset;
	rewriter->nfields = field;
	if (field < ncolumns || length < offset)
		return 0;
	return (size_t) offset;
}

/*
 * Check that every backslash in a field of a text row begins an escape
 * sequence that COPY TO writes.  COPY FROM would understand more, but there an
 * escaped tab or line end belongs to the value and \. ends the data, so that
 * anything else here means a damaged stream that could lose rows.
 */
static bool
check_escapes(Rewriter *rewriter, int column, const char *field, size_t length)
{
	const char *end = field + length;

	while ((field = memchr(field, '\\', (size_t) (end - field))) != NULL)
	{
		if (end - field < 2 || field[1] == '\0' ||
			strchr("bfnrtv\\", field[1]) == NULL)
		{
			fail(rewriter, REWRITE_MALFORMED, column,
				 "backslash begins no escape sequence of COPY TO");
			return false;
		}
		field += 2;
	}
	return true;
}

/* Note the values of a complete text row, without its line end. */
static void
split_text_row(Rewriter *rewriter, const char *row, size_t length)
{
	bool		has_backslash = memchr(row, '\\', length) != NULL;
	const char *end = row + length;
	const char *field = row;
	int			nfields = 0;

	if (rewriter->ncolumns == 0)
	{
		if (length > 0)
			fail(rewriter, REWRITE_MALFORMED, -1,
				 "row of a table without columns is not empty");
		return;
	}

	for (;;)
	{
		const char *tab = memchr(field, '\t', (size_t) (end - field));
		size_t		field_length = (size_t) ((tab ? tab : end) - field);
		bool		is_null = field_length == 2 && memcmp(field, "\\N", 2) == 0;

		if (nfields == rewriter->ncolumns)
		{
			fail(rewriter, REWRITE_MALFORMED, -1,
				 "row has more fields than the %d expected", rewriter->ncolumns);
			return;
		}
		if (!is_null)
		{
			if (has_backslash &&
				!check_escapes(rewriter, nfields, field, field_length))
				return;
			note_value(rewriter, nfields, (size_t) (field - row), field_length);
		}
		nfields++;
		if (tab == NULL)
			break;
		field = tab + 1;
	}

	if (nfields != rewriter->ncolumns)
		fail(rewriter, REWRITE_MALFORMED, -1,
			 "field count is %d, expected %d", nfields, rewriter->ncolumns);
}

/*
 * A line.  In every encoding that a server may have, a byte below 128 is an
 * ASCII character, so that line ends, tabs and backslashes can be looked for
 * as bytes; and COPY TO writes none of them raw inside a value.
 */
static size_t
find_text_row(Rewriter *rewriter, const char *row, size_t length)
{
	const char *line_end;

	if (length < rewriter->examined)
		return 0;
	line_end = memchr(row + rewriter->examined, '\n',
					  length - (size_t) rewriter->examined);
	if (line_end == NULL)
	{
		rewriter->examined = length;
		return 0;
	}

	split_text_row(rewriter, row, (size_t) (line_end - row));
	if (rewriter->status != REWRITE_OK)
		return 0;
	return (size_t) (line_end - row) + 1;
}

/*
 * Find and rewrite the row or trailer at the beginning of data.
 */
static size_t
next_row(Rewriter *rewriter, char *data, size_t length)
{
	size_t		row_length;

	if (rewriter->binary)
		row_length = find_binary_row(rewriter, data, length);
	else
		row_length = find_text_row(rewriter, data, length);
	if (row_length == 0 || rewriter->part == STREAM_ENDED)
		return row_length;

	rewrite_row(rewriter, data);
	if (rewriter->status != REWRITE_OK)
		return 0;

	rewriter->counts.rows++;
	rewriter->examined = 0;
	rewriter->nfields = 0;
	rewriter->nvalues = 0;
	return row_length;
}

static size_t
next_unit(Rewriter *rewriter, char *data, size_t length)
{
	size_t		unit_length;

	switch (rewriter->part)
	{
		case STREAM_HEADER:
			unit_length = find_binary_header(rewriter, data, length);
			if (unit_length > 0)
				rewriter->part = STREAM_ROWS;
			return unit_length;
		case STREAM_ROWS:
			return next_row(rewriter, data, length);
		case STREAM_ENDED:
			fail(rewriter, REWRITE_MALFORMED, -1,
				 "stream goes on behind its trailer");
			break;
	}
	return 0;
}


/*
 * What rewrite.h offers; the comments there say arguments and results.
 */

Rewriter *
ftm_rewrite_create(int ncolumns, const RewriteColumn *columns, bool binary,
				   RewriteLookup lookup, KnownId known, void *arg)
{
	Rewriter   *rewriter = calloc(1, sizeof(Rewriter));
	size_t		nmembers = ncolumns > 0 ? (size_t) ncolumns : 1;

	if (rewriter == NULL)
		return NULL;

	rewriter->ncolumns = ncolumns;
	rewriter->columns = calloc(nmembers, sizeof(RewriteColumn));
	rewriter->values = calloc(nmembers, sizeof(RowValue));
	rewriter->values_with_ids = calloc(nmembers, sizeof(uint64_t));
	if (rewriter->columns == NULL || rewriter->values == NULL ||
		rewriter->values_with_ids == NULL)
	{
		ftm_rewrite_free(rewriter);
		return NULL;
	}
	if (ncolumns > 0)
		memcpy(rewriter->columns, columns, nmembers * sizeof(RewriteColumn));

	rewriter->binary = binary;
	rewriter->escaped = !binary;
	rewriter->lookup = lookup;
	rewriter->known = known;
	rewriter->lookup_arg = arg;
	rewriter->part = binary ? STREAM_HEADER : STREAM_ROWS;
	rewriter->status = REWRITE_OK;
	return rewriter;
}

void
ftm_rewrite_free(Rewriter *rewriter)
{
	if (rewriter == NULL)
		return;
	free(rewriter->columns);
	free(rewriter->values);
	free(rewriter->values_with_ids);
	free(rewriter);
}

RewriteStatus
ftm_rewrite(Rewriter *rewriter, char *data, size_t length, size_t *done)
{
	*done = 0;
	while (rewriter->status == REWRITE_OK && *done < length)
	{
		size_t		unit_length;

		unit_length = next_unit(rewriter, data + *done, length - *done);
		if (unit_length == 0)
			break;
		*done += unit_length;
	}
	return rewriter->status;
}

RewriteStatus
ftm_rewrite_value(Rewriter *rewriter, int column, bool binary, char *value,
				  size_t length)
{
	if (rewriter->status != REWRITE_OK)
		return rewriter->status;
	rewriter->binary = binary;
	rewriter->escaped = false;
	rewrite_value(rewriter, column, value, length);
	return rewriter->status;
}

RewriteStatus
ftm_rewrite_end(Rewriter *rewriter, size_t remaining)
{
	if (rewriter->status != REWRITE_OK)
		return rewriter->status;

	if (rewriter->part == STREAM_HEADER)
		fail(rewriter, REWRITE_MALFORMED, -1, "stream ends inside its header");
	else if (remaining > 0)
		fail(rewriter, REWRITE_MALFORMED, -1, "stream ends inside a row");
	else if (rewriter->binary && rewriter->part != STREAM_ENDED)
		fail(rewriter, REWRITE_MALFORMED, -1,
			 "stream ends without its trailer");
	return rewriter->status;
}

void
ftm_rewrite_counts(const Rewriter *rewriter, RewriteCounts *counts)
{
	*counts = rewriter->counts;
}

uint64_t
ftm_rewrite_values_with_ids(const Rewriter *rewriter, int column)
{
	return rewriter->values_with_ids[column];
}

const char *
ftm_rewrite_error(const Rewriter *rewriter, uint64_t *row, int *column,
				  uint8_t id[16])
{
	*row = rewriter->error_row;
	*column = rewriter->error_column;
	memcpy(id, rewriter->error_id, UUID_LENGTH);
	return rewriter->error;
}
