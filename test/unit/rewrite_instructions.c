/*-------------------------------------------------------------------------
 *
 * rewrite_instructions.c
 *		Rewrites many rows of one kind, for valgrind to count instructions.
 *
 *		rewrite_instructions KIND ROWS
 *
 * The stream comes in pieces of the size in which rows arrive from libpq: one
 * row at a time.  The caller has valgrind count in ftm_rewrite() only, so that
 * making the stream costs nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "rewrite_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EMBEDDED_UUID "0a1b2c3d-1111-4111-8111-00000000000a"

/* A kind of rows: what is in them, and what is to be rewritten. */
typedef struct Kind
{
	const char *name;
	bool		binary;
	int			ncolumns;
	RewriteColumn columns[MAX_TEST_COLUMNS];
	void		(*append_row) (Buffer *stream);
	int			ids_per_row;
} Kind;

/* Every id is in the map, and is mapped to itself but for one bit. */
static bool
lookup(void *arg, const uint8_t source[16], uint8_t target[16])
{
	(void) arg;
	memcpy(target, source, 16);
	target[15] ^= 1;
	return true;
}

/* Of what is counted, nothing is known: as it should be. */
static bool
known(void *arg, const uint8_t id[16])
{
	(void) arg;
	return id[0] == 0 && id[15] == 0;
}

static void
append_bytes(Buffer *stream, size_t length)
{
	buffer_append_integer(stream, 4, (int64_t) length);
	for (size_t i = 0; i < length; i++)
		buffer_append_integer(stream, 1, (int64_t) (i * 37 % 251));
}

/* bigint, uuid of a user, text, document, timestamptz: an event log. */
static void
append_event(Buffer *stream)
{
	static const char document[] =
	"\001{\"n\": 12345, \"note\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", \"unit\": \"98f13708210194c475687be6106a3b84\", \"user\": \"" EMBEDDED_UUID "\"}";

	buffer_append_integer(stream, 2, 5);
	append_bytes(stream, 8);
	append_bytes(stream, 16);
	append_bytes(stream, 8);
	buffer_append_integer(stream, 4, sizeof(document) - 1);
	buffer_append(stream, document, sizeof(document) - 1);
	append_bytes(stream, 8);
}

/* Eleven columns, one of them null: a sensor reading. */
static void
append_reading(Buffer *stream)
{
	static const size_t lengths[] = {8, 16, 16, 12, 12, 1, 4, 4, 8, 8};

	buffer_append_integer(stream, 2, 11);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		append_bytes(stream, lengths[i]);
	buffer_append_integer(stream, 4, -1);
}

/* The event log in text format. */
static void
append_text_event(Buffer *stream)
{
	static const char row[] =
	"12345\t" EMBEDDED_UUID "\tevent.7\t{\"n\": 12345, \"note\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\", \"user\": \"" EMBEDDED_UUID "\"}\t2025-01-01 00:00:00+00\n";

	buffer_append(stream, row, sizeof(row) - 1);
}

static const Kind kinds[] = {
	{"event", true, 5, {{0}, {REWRITE_UUID, true}}, append_event, 1},
	{"reading", true, 11, {{0}, {REWRITE_UUID, false}}, append_reading, 1},
	{"embedded", true, 5,
		{{0}, {REWRITE_UUID, true}, {0}, {REWRITE_EMBEDDED_TEXT, false}},
		append_event, 2},
	{"embedded-text", false, 5,
		{{0}, {REWRITE_TEXT, true}, {0}, {REWRITE_EMBEDDED_TEXT, false}},
	append_text_event, 2},
	{"counted-uuid", true, 11,
		{{0}, {REWRITE_UUID, false}, {REWRITE_COUNT_UUID, false}},
		append_reading, 1},
	{"counted-text", true, 5,
		{{0}, {REWRITE_UUID, true}, {0}, {REWRITE_COUNT_TEXT, false}},
		append_event, 1},
};

static const Kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
	{
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	}
	return NULL;
}

/* Feed bytes that are whole units; ends the program if they are not. */
static void
rewrite(Rewriter *rewriter, const Buffer *bytes, Buffer *copy)
{
	size_t		done;

	copy->length = 0;
	buffer_append(copy, bytes->data, bytes->length);
	if (ftm_rewrite(rewriter, (char *) copy->data, copy->length,
					&done) != REWRITE_OK || done != copy->length)
	{
		fputs("the stream was not rewritten\n", stderr);
		exit(1);
	}
}

int
main(int argc, char **argv)
{
	const Kind *kind = argc == 3 ? find_kind(argv[1]) : NULL;
	long		nrows = argc == 3 ? atol(argv[2]) : 0;
	Rewriter   *rewriter;
	RewriteCounts counts;
	Buffer		row = {0};
	Buffer		copy = {0};

	if (kind == NULL || nrows <= 0)
	{
		fputs("usage: rewrite_instructions KIND ROWS\n", stderr);
		return 2;
	}
	rewriter = ftm_rewrite_create(kind->ncolumns, kind->columns, kind->binary,
								  lookup, known, NULL);
	if (rewriter == NULL)
		return 1;

	if (kind->binary)
	{
		Buffer		header = {0};

		buffer_append(&header, "PGCOPY\n\377\r\n\0", 11);
		buffer_append_integer(&header, 4, 0);
		buffer_append_integer(&header, 4, 0);
		rewrite(rewriter, &header, &copy);
		buffer_free(&header);
	}
	kind->append_row(&row);
	for (long i = 0; i < nrows; i++)
		rewrite(rewriter, &row, &copy);

	ftm_rewrite_counts(rewriter, &counts);
	ftm_rewrite_free(rewriter);
	buffer_free(&row);
	buffer_free(&copy);
	if (counts.rows != (uint64_t) nrows ||
		counts.ids_mapped != (uint64_t) nrows * kind->ids_per_row)
	{
		fputs("not all ids were rewritten\n", stderr);
		return 1;
	}
	return 0;
}
