/*-------------------------------------------------------------------------
 *
 * rewrite_test.c
 *		Unit tests of the stream rewriter; prints TAP.
 *
 * Most tests are rows of a table: a stream, and the stream or the error that
 * it becomes, both written by hand.  Every one of them is fed as a whole, byte
 * by byte and in two pieces cut at each place, and compared with the naive
 * rewriter of rewrite_model.c besides.
 *
 * Streams are written in a notation that stays readable:
 *
 *		<old>  <OLD>  <Old>		an id of the list below as text, in lower,
 *								upper or mixed case
 *		<#old>					its 16 bytes
 *		<-old>					its 32 digits without hyphens, <-OLD> and
 *								<-Old> likewise
 *		<1:65>  <2:5>  <4:-1>	an integer of 1, 2 or 4 bytes
 *		<header>  <trailer>		those of binary COPY
 *		<null>					a binary null: the length -1
 *		[...]					binary only, may be nested: the length of what
 *								stands between the brackets, and that
 *
 *-------------------------------------------------------------------------
 */
#include "rewrite_feed.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids by name, and what the user map makes of them; NULL: not in the map. */
typedef struct NamedId
{
	const char *name;
	const char *text;
	const char *mapped_to;
} NamedId;

static const NamedId ids[] = {
	{"old", "0a1b2c3d-1111-4111-8111-00000000000a", "new"},
	{"new", "fedcba98-9999-4999-9999-ffffffffff01", NULL},
	{"other", "7b00b1e5-2222-4222-8222-abcdefabcdef", "digits"},
	{"digits", "12345678-1234-1234-1234-123456789012", "letters"},
	{"letters", "abcdefab-cdef-abcd-efab-cdefabcdefab", NULL},
	{"same", "5a5a5a5a-3333-4333-8333-5a5a5a5a5a5a", "same"},
	{"first", "00000000-0000-4000-8000-00000000000f", "second"},
	{"second", "e0000000-0000-4000-8000-000000000002", "third"},
	{"third", "f0000000-0000-4000-8000-000000000003", "first"},
	{"stranger", "deadbeef-dead-beef-dead-beefdeadbeef", NULL},
	/* begins with the last eight digits of old, so that the two can overlap */
	{"tail", "0000000a-1111-4111-8111-00000000000b", "new"},
	/* begins with the last eight digits of new */
	{"newtail", "ffffff01-1111-4111-8111-00000000000b", "old"},
	{"btail", "b2345678-1234-4234-8234-123456789abc", "new"},
};

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

static int	ntests = 0;
static int	nfailed = 0;

static void
report(bool passed, const char *name, const char *variant, const char *detail)
{
	ntests++;
	printf("%sok %d - %s%s%s\n", passed ? "" : "not ", ntests, name,
		   variant ? ": " : "", variant ? variant : "");
	if (!passed)
	{
		nfailed++;
		printf("# %s\n", detail);
	}
}

static void
bail_out(const char *reason, const char *detail)
{
	printf("Bail out!  %s: %s\n", reason, detail);
	exit(1);
}


/*
 * Ids and the user map.
 */

static const NamedId *
find_id(const char *name, size_t length)
{
	for (size_t i = 0; i < lengthof(ids); i++)
	{
		const char *candidate = ids[i].name;
		size_t		j = 0;

		while (j < length && candidate[j] == tolower((unsigned char) name[j]))
			j++;
		if (j == length && candidate[j] == '\0')
			return &ids[i];
	}
	return NULL;
}

static void
id_bytes(const NamedId *id, uint8_t bytes[16])
{
	const char *text = id->text;

	for (int i = 0; i < 16; i++)
	{
		unsigned int byte;

		if (*text == '-')
			text++;
		sscanf(text, "%2x", &byte);
		bytes[i] = (uint8_t) byte;
		text += 2;
	}
}

static bool
lookup_named(void *arg, const uint8_t source[16], uint8_t target[16])
{
	int		   *ncalls = arg;

	(*ncalls)++;
	for (size_t i = 0; i < lengthof(ids); i++)
	{
		uint8_t		bytes[16];

		id_bytes(&ids[i], bytes);
		if (memcmp(bytes, source, 16) == 0 && ids[i].mapped_to != NULL)
		{
			id_bytes(find_id(ids[i].mapped_to, strlen(ids[i].mapped_to)), target);
			return true;
		}
	}
	return false;
}


/* Known users are those that the map gives another id. */
static bool
known_named(void *arg, const uint8_t id[16])
{
	int			ncalls = *(int *) arg;
	uint8_t		target[16];
	bool		known = lookup_named(arg, id, target) &&
		memcmp(id, target, 16) != 0;

	*(int *) arg = ncalls;
	return known;
}


/*
 * The notation of streams and columns.
 */

/* Append an id in the spelling of its name. */
static void
append_id_text(Buffer *stream, const NamedId *id, const char *name)
{
	bool		first_upper = isupper((unsigned char) name[0]) != 0;
	bool		rest_upper = isupper((unsigned char) name[1]) != 0;
	bool		upper = first_upper;

	for (const char *c = id->text; *c != '\0'; c++)
	{
		uint8_t		byte = (uint8_t) (upper ? toupper((unsigned char) *c) : *c);

		buffer_append(stream, &byte, 1);
		if (isalpha((unsigned char) *c))
			upper = rest_upper;
	}
}

static void
append_token(Buffer *stream, const char *token, size_t length)
{
	const NamedId *id;

	if (length > 1 && token[0] == '-')
	{
		Buffer		text = {0};

		id = find_id(token + 1, length - 1);
		append_id_text(&text, id, token + 1);
		for (size_t i = 0; i < text.length; i++)
		{
			if (text.data[i] != '-')
				buffer_append(stream, text.data + i, 1);
		}
		buffer_free(&text);
	}
	else if (length > 2 && token[1] == ':')
		buffer_append_integer(stream, token[0] - '0', strtoll(token + 2, NULL, 0));
	else if (strncmp(token, "header", length) == 0)
		buffer_append(stream, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
	else if (strncmp(token, "trailer", length) == 0)
		buffer_append_integer(stream, 2, -1);
	else if (strncmp(token, "null", length) == 0)
		buffer_append_integer(stream, 4, -1);
	else if (token[0] == '#' && (id = find_id(token + 1, length - 1)) != NULL)
	{
		uint8_t		bytes[16];

		id_bytes(id, bytes);
		buffer_append(stream, bytes, 16);
	}
	else if ((id = find_id(token, length)) != NULL)
		append_id_text(stream, id, token);
	else
		bail_out("no such token", token);
}

static void
write_length(Buffer *stream, size_t position)
{
	Buffer		length = {0};

	buffer_append_integer(&length, 4, (int64_t) (stream->length - position - 4));
	memcpy(stream->data + position, length.data, 4);
	buffer_free(&length);
}

static void
build_stream(const char *notation, bool binary, Buffer *stream)
{
	size_t		open[8];
	int			nopen = 0;

	memset(stream, 0, sizeof(Buffer));
	for (const char *c = notation; *c != '\0'; c++)
	{
		if (*c == '<')
		{
			const char *end = strchr(c, '>');

			append_token(stream, c + 1, (size_t) (end - c) - 1);
			c = end;
		}
		else if (binary && *c == '[')
		{
			open[nopen++] = stream->length;
			buffer_append_integer(stream, 4, 0);
		}
		else if (binary && *c == ']')
			write_length(stream, open[--nopen]);
		else
			buffer_append(stream, c, 1);
	}
}

/* Columns: k u t e a U T A as in RewriteMode; ! behind it: unmapped is an error. */
static void
parse_columns(const char *columns, StreamSpec *spec)
{
	static const char letters[] = "kuteaUTA";

	for (; *columns != '\0'; columns++)
	{
		if (*columns == '!')
			spec->columns[spec->ncolumns - 1].unmapped_is_error = true;
		else
			spec->columns[spec->ncolumns++].mode =
				(RewriteMode) (strchr(letters, *columns) - letters);
	}
}


/*
 * The table of streams.
 */

typedef struct StreamTest
{
	const char *name;
	const char *format;			/* "binary" or "text" */
	const char *columns;
	const char *input;
	const char *output;			/* of an error: what precedes it */
	uint64_t	rows;
	uint64_t	ids_mapped;
	uint64_t	ids_kept;
	uint64_t	values_with_ids[MAX_TEST_COLUMNS];

	/* For errors only. */
	RewriteStatus status;
	const char *message;		/* how it begins */
	uint64_t	row;
	int			column;
	const char *id;
} StreamTest;

static const StreamTest stream_tests[] = {
#include "rewrite_cases.h"
};

/* NULL, or what is wrong with the result of a test. */
static const char *
check_result(const StreamTest *test, const StreamResult *result)
{
	StreamResult expected = {0};
	const char *difference;

	build_stream(test->output, strcmp(test->format, "binary") == 0,
				 &expected.output);
	expected.status = test->status;
	expected.counts.rows = test->rows;
	expected.counts.ids_mapped = test->ids_mapped;
	expected.counts.ids_kept = test->ids_kept;
	memcpy(expected.values_with_ids, test->values_with_ids,
		   sizeof(expected.values_with_ids));
	expected.row = test->row;
	expected.column = test->column;
	if (test->id != NULL)
		id_bytes(find_id(test->id, strlen(test->id)), expected.id);

	/* Of a message the table gives only the beginning. */
	if (test->message != NULL && test->message[0] != '\0' &&
		strncmp(result->message, test->message, strlen(test->message)) == 0)
		snprintf(expected.message, sizeof(expected.message), "%s",
				 result->message);

	difference = result_difference(&expected, result, true);
	result_free(&expected);
	return difference;
}

/* Cuts at one place, state; 0: byte by byte. */
static size_t
cut_at(void *state, size_t fed)
{
	size_t		place = *(size_t *) state;

	return place == 0 ? 1 : place > fed ? place - fed : 0;
}

static void
run_stream_test(const StreamTest *test)
{
	StreamSpec	spec = {0};
	StreamResult whole;
	StreamResult other;
	Buffer		stream;
	const char *difference;
	char		detail[400];
	int			ncalls = 0;

	spec.binary = strcmp(test->format, "binary") == 0;
	spec.lookup = lookup_named;
	spec.known = known_named;
	spec.lookup_arg = &ncalls;
	parse_columns(test->columns, &spec);
	build_stream(test->input, spec.binary, &stream);

	feed_stream(&spec, stream.data, stream.length, NULL, NULL, &whole);
	difference = check_result(test, &whole);
	snprintf(detail, sizeof(detail),
			 "not as expected: %s (status %d \"%s\", row %d, column %d, rows %d, mapped %d, kept %d, values with ids %d)",
			 difference ? difference : "", whole.status, whole.message,
			 (int) whole.row, whole.column, (int) whole.counts.rows,
			 (int) whole.counts.ids_mapped, (int) whole.counts.ids_kept,
			 (int) whole.values_with_ids[0]);
	report(difference == NULL, test->format, test->name, detail);

	difference = NULL;
	for (size_t cut = 0; cut < stream.length && difference == NULL; cut++)
	{
		feed_stream(&spec, stream.data, stream.length, cut_at, &cut, &other);
		difference = result_difference(&whole, &other, true);
		snprintf(detail, sizeof(detail), "differs when cut at %zu: %s", cut,
				 difference ? difference : "");
		result_free(&other);
	}
	report(difference == NULL, test->name, "cut anywhere", detail);

	model_rewrite(&spec, stream.data, stream.length, &other);
	difference = result_difference(&whole, &other, false);
	snprintf(detail, sizeof(detail), "differs: %s", difference ? difference : "");
	report(difference == NULL, test->name, "as the naive rewriter", detail);
	result_free(&other);

	result_free(&whole);
	buffer_free(&stream);
}


/*
 * What does not fit the table.
 */

/* Rows of a valid stream, cut before its end at each place, are an error. */
static void
test_truncation(const char *name, bool binary, const char *columns,
				const char *notation, size_t header_length)
{
	StreamSpec	spec = {0};
	Buffer		stream;
	bool		passed = true;
	int			ncalls = 0;
	char		detail[100] = "";

	spec.binary = binary;
	spec.lookup = lookup_named;
	spec.lookup_arg = &ncalls;
	parse_columns(columns, &spec);
	build_stream(notation, binary, &stream);

	for (size_t length = 0; length <= stream.length && passed; length++)
	{
		StreamResult result;
		bool		complete = length == stream.length;
		const char *message = "";

		if (!binary && (length == 0 || stream.data[length - 1] == '\n'))
			complete = true;
		if (!complete)
			message = length < header_length ?
				"stream ends inside its header" : "stream ends ";

		feed_stream(&spec, stream.data, length, NULL, NULL, &result);
		passed = (result.status == REWRITE_OK) == complete &&
			strncmp(result.message, message, strlen(message)) == 0;
		snprintf(detail, sizeof(detail), "after %zu bytes: status %d, \"%.60s\"",
				 length, result.status, result.message);
		result_free(&result);
	}
	report(passed, name, NULL, detail);
	buffer_free(&stream);
}

static Rewriter *
create_rewriter(const char *columns, bool binary, int *ncalls)
{
	StreamSpec	spec = {0};
	Rewriter   *rewriter;

	parse_columns(columns, &spec);
	rewriter = ftm_rewrite_create(spec.ncolumns, spec.columns, binary,
								  lookup_named, NULL, ncalls);
	/* The columns must have been copied. */
	memset(&spec, 0x7F, sizeof(spec));
	if (rewriter == NULL)
		bail_out("out of memory", "ftm_rewrite_create");
	return rewriter;
}

/*
 * That an incomplete row is not searched from its beginning again each time,
 * which would take time in proportion to the square of its size: what has been
 * looked at is spoilt behind the rewriter's back, and it must not notice.
 */
static void
test_no_rescan(void)
{
	int			ncalls = 0;
	size_t		done;
	Buffer		stream;
	Rewriter   *rewriter;
	RewriteCounts counts;

	rewriter = create_rewriter("k", false, &ncalls);
	build_stream("abcdefgh\n", false, &stream);
	ftm_rewrite(rewriter, (char *) stream.data, 5, &done);
	stream.data[2] = '\n';
	ftm_rewrite(rewriter, (char *) stream.data, stream.length, &done);
	ftm_rewrite_counts(rewriter, &counts);
	report(done == stream.length && counts.rows == 1,
		   "text row in pieces is searched once", NULL,
		   "a line end was found in bytes looked at before");
	ftm_rewrite_free(rewriter);
	buffer_free(&stream);

	rewriter = create_rewriter("kk", true, &ncalls);
	build_stream("<header><2:2>[abc][defg]<trailer>", true, &stream);
	ftm_rewrite(rewriter, (char *) stream.data, 19, &done);
	ftm_rewrite(rewriter, (char *) stream.data + 19, 12, &done);
	stream.data[19] = 7;		/* the field count */
	stream.data[19 + 2] = 7;	/* the first field's length */
	ftm_rewrite(rewriter, (char *) stream.data + 19, stream.length - 19, &done);
	report(done == stream.length - 19 &&
		   ftm_rewrite_end(rewriter, 0) == REWRITE_OK,
		   "binary row in pieces is searched once", NULL,
		   "lengths of fields were read again");
	ftm_rewrite_free(rewriter);
	buffer_free(&stream);
}

static void
test_error_is_final(void)
{
	int			ncalls = 0;
	size_t		done = 99;
	char		bad[] = "a\tb\n";
	char		worse[] = "\\.\n";
	char		good[] = "a\n";
	uint64_t	row;
	int			column;
	uint8_t		id[16];
	bool		passed;
	Rewriter   *rewriter = create_rewriter("k", false, &ncalls);
	RewriteCounts counts;

	passed = ftm_rewrite(rewriter, good, 2, &done) == REWRITE_OK && done == 2 &&
		ftm_rewrite(rewriter, bad, 4, &done) == REWRITE_MALFORMED && done == 0 &&
		ftm_rewrite(rewriter, good, 2, &done) == REWRITE_MALFORMED && done == 0 &&
		ftm_rewrite(rewriter, worse, 3, &done) == REWRITE_MALFORMED && done == 0 &&
		ftm_rewrite_end(rewriter, 1) == REWRITE_MALFORMED &&
		strcmp(ftm_rewrite_error(rewriter, &row, &column, id),
			   "row has more fields than the 1 expected") == 0 && row == 2 && column == 0;
	ftm_rewrite_counts(rewriter, &counts);
	report(passed && counts.rows == 1, "an error is final", NULL,
		   "a later call succeeded, or changed the error");
	ftm_rewrite_free(rewriter);
}

/* A caller that loses bytes must not make the rewriter read beyond the rest. */
static void
test_fewer_bytes(void)
{
	int			ncalls = 0;
	size_t		done = 99;
	char		row[] = "abc\n";
	Rewriter   *rewriter = create_rewriter("k", false, &ncalls);
	bool		passed;

	passed = ftm_rewrite(rewriter, row, 3, &done) == REWRITE_OK && done == 0 &&
		ftm_rewrite(rewriter, row, 1, &done) == REWRITE_OK && done == 0 &&
		ftm_rewrite(rewriter, row, 4, &done) == REWRITE_OK && done == 4;
	report(passed, "fewer bytes than in the call before", NULL,
		   "something was consumed");
	ftm_rewrite_free(rewriter);
}

static void
test_empty_calls(void)
{
	int			ncalls = 0;
	size_t		done = 99;
	char		nothing[1];
	Rewriter   *rewriter = create_rewriter("", true, &ncalls);
	Buffer		stream;
	bool		passed;

	build_stream("<header><2:0><trailer>", true, &stream);
	passed = ftm_rewrite(rewriter, nothing, 0, &done) == REWRITE_OK && done == 0 &&
		ftm_rewrite(rewriter, (char *) stream.data, stream.length,
					&done) == REWRITE_OK && done == stream.length &&
		ftm_rewrite(rewriter, nothing, 0, &done) == REWRITE_OK && done == 0 &&
		ftm_rewrite_end(rewriter, 0) == REWRITE_OK;
	report(passed, "calls without bytes do nothing", NULL, "they did");
	ftm_rewrite_free(rewriter);
	ftm_rewrite_free(NULL);
	buffer_free(&stream);
}

/* As many columns as a table can have, the last one rewritten. */
static void
test_many_columns(void)
{
	enum
	{
		NCOLUMNS = 1600
	};
	static RewriteColumn columns[NCOLUMNS];
	int			ncalls = 0;
	size_t		done;
	uint8_t		expected[16];
	bool		passed;
	Buffer		stream = {0};
	Buffer		part;
	Rewriter   *rewriter;

	columns[NCOLUMNS - 1].mode = REWRITE_UUID;
	rewriter = ftm_rewrite_create(NCOLUMNS, columns, true, lookup_named, NULL,
								  &ncalls);
	build_stream("<header><2:1600>", true, &part);
	buffer_append(&stream, part.data, part.length);
	buffer_free(&part);
	for (int i = 0; i < NCOLUMNS - 1; i++)
		buffer_append_integer(&stream, 4, -1);
	build_stream("[<#old>]<trailer>", true, &part);
	buffer_append(&stream, part.data, part.length);
	buffer_free(&part);

	id_bytes(find_id("new", 3), expected);
	passed = ftm_rewrite(rewriter, (char *) stream.data, stream.length,
						 &done) == REWRITE_OK && done == stream.length &&
		memcmp(stream.data + stream.length - 18, expected, 16) == 0;
	report(passed && ncalls == 1, "1600 columns", NULL, "last one not rewritten");
	ftm_rewrite_free(rewriter);
	buffer_free(&stream);
}

/* A header extension that is as long as allowed, and is skipped. */
static void
test_header_extension(void)
{
	StreamSpec	spec = {0};
	StreamResult result;
	Buffer		stream;
	int			ncalls = 0;

	spec.binary = true;
	spec.lookup = lookup_named;
	spec.lookup_arg = &ncalls;
	build_stream("<header>", true, &stream);
	stream.length -= 4;
	buffer_append_integer(&stream, 4, 1024 * 1024);
	for (int i = 0; i < 1024 * 1024 / 8; i++)
		buffer_append_integer(&stream, 8, -1);
	buffer_append_integer(&stream, 2, -1);

	feed_stream(&spec, stream.data, stream.length, NULL, NULL, &result);
	report(result.status == REWRITE_OK && result.output.length == stream.length,
		   "long header extension is skipped", NULL, result.message);
	result_free(&result);
	buffer_free(&stream);
}

int
main(void)
{
	/* What a crash leaves must be readable. */
	setvbuf(stdout, NULL, _IOLBF, 0);

	for (size_t i = 0; i < lengthof(stream_tests); i++)
		run_stream_test(&stream_tests[i]);

	test_truncation("binary stream that ends too early", true, "kuta",
					"<header><2:4>[abc][<#old>][<old>][<4:1><4:0><4:2950><4:1><4:1>[<#old>]]<trailer>",
					19);
	test_truncation("text stream that ends too early", false, "kut",
					"abc\t<old>\t<old>\n\\N\t\\N\t\\\\\n", 0);
	test_no_rescan();
	test_error_is_final();
	test_fewer_bytes();
	test_empty_calls();
	test_many_columns();
	test_header_extension();

	printf("1..%d\n", ntests);
	printf("# %d tests, %d failed\n", ntests, nfailed);
	return nfailed == 0 ? 0 : 1;
}
