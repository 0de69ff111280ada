/*-------------------------------------------------------------------------
 *
 * rewrite_fuzz.c
 *		Fuzz target of the stream rewriter.
 *
 * The property: whatever the bytes, the rewriter does not crash or read beyond
 * them, leaves the stream's length as it is, comes to the same result however
 * the stream is cut, and that result is the naive rewriter's.
 *
 * An input is one byte (bit 0: binary; the rest: number of columns), one byte
 * per column (mode; bit 7: unmapped is an error), then the stream.
 *
 * With libFuzzer, LLVMFuzzerTestOneInput() is all there is.  For machines
 * without it, and to make libFuzzer's first inputs, the file has a main() of
 * its own (FUZZ_STANDALONE), which makes streams up, damages half of them, and
 * is run as
 *
 *		rewrite_fuzz_standalone --runs N [--seed S]
 *		rewrite_fuzz_standalone --corpus DIRECTORY [--seed S]
 *		rewrite_fuzz_standalone FILE ...
 *
 *-------------------------------------------------------------------------
 */
#include "../unit/rewrite_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FUZZ_COLUMNS	7
#define MAX_FUZZ_STREAM		4096
#define NMODES				(REWRITE_COUNT_ANY + 1)

extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A small generator of numbers: the same seed, the same tests, anywhere. */
typedef struct Random
{
	uint64_t	state;
} Random;

static uint32_t
random_below(Random *random, uint32_t limit)
{
	uint64_t	value = random->state += UINT64_C(0x9E3779B97F4A7C15);

	value = (value ^ (value >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	value = (value ^ (value >> 27)) * UINT64_C(0x94D049BB133111EB);
	value ^= value >> 31;
	return (uint32_t) ((value >> 32) * limit >> 32);
}

/*
 * A user map that knows three ids out of four, so that inputs need not hit a
 * certain one.  Its targets are mostly source ids themselves: what is replaced
 * twice comes out wrong.
 */
static bool
lookup_most(void *arg, const uint8_t source[16], uint8_t target[16])
{
	(void) arg;
	if (source[15] % 4 == 3)
		return false;
	for (int i = 0; i < 16; i++)
		target[i] = (uint8_t) (source[15 - i] ^ 0xA7);
	return true;
}

/* Every other id is a known user's. */
static bool
know_half(void *arg, const uint8_t id[16])
{
	(void) arg;
	return id[15] % 2 == 0;
}

/* Where streams are cut. */
typedef struct Pieces
{
	Random		random;
	uint32_t	longest;		/* 1: byte by byte */
} Pieces;

static size_t
random_piece(void *state, size_t fed)
{
	Pieces	   *pieces = state;

	(void) fed;
	return 1 + random_below(&pieces->random, pieces->longest);
}

static void
expect_same(const StreamResult *a, const StreamResult *b, bool exact,
			const char *what)
{
	const char *difference = result_difference(a, b, exact);

	if (difference == NULL)
		return;
	fprintf(stderr,
			"%s differs: %s\nfirst: status %d, row %d, column %d, \"%s\"\nsecond: status %d, row %d, column %d, \"%s\"\n",
			what, difference,
			a->status, (int) a->row, a->column, a->message,
			b->status, (int) b->row, b->column, b->message);
	abort();
}

/* What became of the inputs so far, by status. */
static uint64_t outcomes[REWRITE_MALFORMED + 1];
static uint64_t ids_mapped;
static uint64_t values_with_ids;

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	StreamSpec	spec = {0};
	StreamResult whole;
	StreamResult other;
	Pieces		pieces;

	if (size < 1)
		return 0;
	spec.binary = data[0] & 1;
	spec.ncolumns = (data[0] >> 1) % (MAX_FUZZ_COLUMNS + 1);
	spec.lookup = lookup_most;
	spec.known = know_half;
	data++;
	size--;
	if (size < (size_t) spec.ncolumns ||
		size - (size_t) spec.ncolumns > MAX_FUZZ_STREAM)
		return 0;
	for (int i = 0; i < spec.ncolumns; i++)
	{
		spec.columns[i].mode = (RewriteMode) (data[i] % 128 % NMODES);
		spec.columns[i].unmapped_is_error = data[i] >> 7;
	}
	data += spec.ncolumns;
	size -= (size_t) spec.ncolumns;

	feed_stream(&spec, data, size, NULL, NULL, &whole);
	if (whole.output.length > size ||
		(whole.status == REWRITE_OK && whole.output.length != size))
		abort();
	outcomes[whole.status]++;
	ids_mapped += whole.counts.ids_mapped;
	for (int i = 0; i < spec.ncolumns; i++)
		values_with_ids += whole.values_with_ids[i];

	model_rewrite(&spec, data, size, &other);
	expect_same(&whole, &other, false, "naive rewriter");
	result_free(&other);

	/* Small pieces of a long stream cost much and tell little. */
	pieces.random.state = size;
	for (pieces.longest = size < 300 ? 1 : 100; pieces.longest < 2 * size;
		 pieces.longest *= 8)
	{
		feed_stream(&spec, data, size, random_piece, &pieces, &other);
		expect_same(&whole, &other, true, "stream in pieces");
		result_free(&other);
	}

	result_free(&whole);
	return 0;
}


#ifdef FUZZ_STANDALONE

/*
 * Making streams up.
 */

static void
append_byte(Buffer *buffer, uint32_t value)
{
	uint8_t		byte = (uint8_t) value;

	buffer_append(buffer, &byte, 1);
}

static void
generate_raw_id(Random *random, Buffer *value)
{
	for (int i = 0; i < 16; i++)
		append_byte(value, random_below(random, 256));
}

/* 36 characters of a uuid; one in eight is spoilt. */
static void
generate_id_text(Random *random, Buffer *value)
{
	static const char *const alphabets[] = {
		"0123456789abcdef", "0123456789ABCDEF", "0123456789abcdefABCDEF",
		"0123456789012345"
	};
	uint32_t	choice = random_below(random, 8);
	const char *alphabet = alphabets[choice < 4 ? choice : 0];
	size_t		begin = value->length;

	for (int i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23)
			append_byte(value, '-');
		else
			append_byte(value, (uint8_t) alphabet[random_below(random,
															   (uint32_t) strlen(alphabet))]);
	}
	if (random_below(random, 8) == 0)
		value->data[begin + random_below(random, 36)] =
			(uint8_t) "-0aFg\\\b"[random_below(random, 7)];
}

/* The same without its hyphens, as far as they are there. */
static void
generate_bare_id(Random *random, Buffer *value)
{
	size_t		begin = value->length;
	size_t		end = begin;

	generate_id_text(random, value);
	for (size_t i = begin; i < value->length; i++)
	{
		if (value->data[i] != '-')
			value->data[end++] = value->data[i];
	}
	value->length = end;
}

/* Text with ids, parts of ids, and what may confuse a search for them. */
static void
generate_text(Random *random, Buffer *value)
{
	uint32_t	npieces = random_below(random, 6);

	for (uint32_t i = 0; i < npieces; i++)
	{
		switch (random_below(random, 5))
		{
			case 0:
			case 1:
				generate_id_text(random, value);
				break;
			case 2:
				generate_id_text(random, value);
				value->length -= random_below(random, 36);
				break;
			case 3:
				for (uint32_t j = random_below(random, 12); j > 0; j--)
					append_byte(value, (uint8_t) "\b\f\n\r\t\v\\\\-0aF\xc3 {\""[random_below(random, 16)]);
				break;
			case 4:
				generate_bare_id(random, value);
				break;
		}
	}
}

static void
generate_array(Random *random, Buffer *value)
{
	uint32_t	ndimensions = random_below(random, 4);
	uint32_t	nelements = ndimensions > 0 ? 1 : 0;

	buffer_append_integer(value, 4, ndimensions);
	buffer_append_integer(value, 4, random_below(random, 2));
	buffer_append_integer(value, 4, 2950);
	for (uint32_t i = 0; i < ndimensions; i++)
	{
		uint32_t	size = 1 + random_below(random, 3);

		nelements *= size;
		buffer_append_integer(value, 4, size);
		buffer_append_integer(value, 4, 1);
	}
	for (; nelements > 0; nelements--)
	{
		if (random_below(random, 4) == 0)
			buffer_append_integer(value, 4, -1);
		else
		{
			buffer_append_integer(value, 4, 16);
			generate_raw_id(random, value);
		}
	}
}

/* A value that fits the column; returns false for a null. */
static bool
generate_value(Random *random, RewriteMode mode, bool binary, Buffer *value)
{
	if (random_below(random, 6) == 0)
		return false;

	if ((mode == REWRITE_UUID || mode == REWRITE_COUNT_UUID) && binary)
		generate_raw_id(random, value);
	else if (mode == REWRITE_UUID)
	{
		for (int i = 0; i < 36; i++)
			append_byte(value, i == 8 || i == 13 || i == 18 || i == 23 ? '-' :
						(uint8_t) "0123456789abcdef"[random_below(random, 16)]);
	}
	else if (mode == REWRITE_TEXT && random_below(random, 4) > 0)
		generate_id_text(random, value);
	else if ((mode == REWRITE_EMBEDDED_UUIDS || mode == REWRITE_COUNT_ANY) && binary)
		generate_array(random, value);
	else
		generate_text(random, value);
	return true;
}

/* As COPY TO would write it. */
static void
append_text_value(Buffer *stream, const Buffer *value)
{
	static const char specials[] = "\b\f\n\r\t\v\\";

	for (size_t i = 0; i < value->length; i++)
	{
		const char *special = strchr(specials, value->data[i]);

		if (value->data[i] != '\0' && special != NULL)
		{
			append_byte(stream, '\\');
			append_byte(stream, (uint8_t) "bfnrtv\\"[special - specials]);
		}
		else
			append_byte(stream, value->data[i]);
	}
}

static void
generate_row(Random *random, bool binary, uint32_t ncolumns,
			 const uint8_t *modes, Buffer *stream)
{
	if (binary)
		buffer_append_integer(stream, 2, ncolumns);

	for (uint32_t i = 0; i < ncolumns; i++)
	{
		Buffer		value = {0};
		bool		is_value;

		is_value = generate_value(random, (RewriteMode) (modes[i] % 128), binary,
								  &value);
		if (!binary && i > 0)
			append_byte(stream, '\t');
		if (binary)
		{
			buffer_append_integer(stream, 4, is_value ? (int64_t) value.length : -1);
			buffer_append(stream, value.data, value.length);
		}
		else if (is_value)
			append_text_value(stream, &value);
		else
			buffer_append(stream, "\\N", 2);
		buffer_free(&value);
	}

	if (!binary)
		append_byte(stream, '\n');
}

/* A valid input, although some of its ids may lack a mapping. */
static void
generate_input(Random *random, Buffer *input)
{
	bool		binary = random_below(random, 2) == 0;
	uint32_t	ncolumns = random_below(random, MAX_FUZZ_COLUMNS + 1);
	uint8_t		modes[MAX_FUZZ_COLUMNS];

	append_byte(input, ncolumns << 1 | (binary ? 1 : 0));
	for (uint32_t i = 0; i < ncolumns; i++)
	{
		modes[i] = (uint8_t) random_below(random, NMODES);
		if (random_below(random, 10) == 0)
			modes[i] |= 128;
		append_byte(input, modes[i]);
	}

	if (binary)
		buffer_append(input, "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0", 19);
	for (uint32_t nrows = random_below(random, 5); nrows > 0; nrows--)
		generate_row(random, binary, ncolumns, modes, input);
	if (binary)
		buffer_append_integer(input, 2, -1);
}

static void
damage_input(Random *random, Buffer *input)
{
	for (uint32_t n = 1 + random_below(random, 3); n > 0; n--)
	{
		uint32_t	position = random_below(random, (uint32_t) input->length);
		uint8_t    *byte = input->data + position;

		switch (random_below(random, 5))
		{
			case 0:
				*byte ^= (uint8_t) (1 << random_below(random, 8));
				break;
			case 1:
				*byte = (uint8_t) "\0\1\377\t\n\\.N-"[random_below(random, 9)];
				break;
			case 2:				/* a byte is missing */
				memmove(byte, byte + 1, input->length - position - 1);
				input->length--;
				break;
			case 3:				/* one too many */
				append_byte(input, 0);
				byte = input->data + position;
				memmove(byte + 1, byte, input->length - position - 1);
				break;
			case 4:
				input->length = position;
				break;
		}
		if (input->length == 0)
			append_byte(input, 1);
	}
}


/*
 * Running.
 */

static int
run_generated(uint64_t nruns, uint64_t seed)
{
	for (uint64_t run = 0; run < nruns; run++)
	{
		Random		random = {seed * UINT64_C(0xD1342543DE82EF95) + run};
		Buffer		input = {0};

		generate_input(&random, &input);
		if (random_below(&random, 2) == 0)
			damage_input(&random, &input);
		LLVMFuzzerTestOneInput(input.data, input.length);
		buffer_free(&input);
	}
	printf("%llu executions, seed %llu: %llu valid, %llu without mapping, %llu malformed; %llu ids mapped, %llu values with ids\n",
		   (unsigned long long) nruns, (unsigned long long) seed,
		   (unsigned long long) outcomes[REWRITE_OK],
		   (unsigned long long) outcomes[REWRITE_UNMAPPED],
		   (unsigned long long) outcomes[REWRITE_MALFORMED],
		   (unsigned long long) ids_mapped,
		   (unsigned long long) values_with_ids);
	return 0;
}

static int
write_corpus(const char *directory, uint64_t seed)
{
	for (int i = 0; i < 100; i++)
	{
		Random		random = {seed + (uint64_t) i};
		Buffer		input = {0};
		char		path[4096];
		FILE	   *file;

		generate_input(&random, &input);
		snprintf(path, sizeof(path), "%s/stream-%03d", directory, i);
		file = fopen(path, "wb");
		if (file == NULL ||
			fwrite(input.data, 1, input.length, file) != input.length ||
			fclose(file) != 0)
		{
			perror(path);
			return 1;
		}
		buffer_free(&input);
	}
	return 0;
}

static int
run_file(const char *path)
{
	Buffer		input = {0};
	uint8_t		block[4096];
	size_t		length;
	FILE	   *file = fopen(path, "rb");

	if (file == NULL)
	{
		perror(path);
		return 1;
	}
	while ((length = fread(block, 1, sizeof(block), file)) > 0)
		buffer_append(&input, block, length);
	fclose(file);
	LLVMFuzzerTestOneInput(input.data, input.length);
	buffer_free(&input);
	return 0;
}

int
main(int argc, char **argv)
{
	uint64_t	seed = 1;
	int			failures = 0;

	if (argc == 5 && strcmp(argv[3], "--seed") == 0)
		seed = strtoull(argv[4], NULL, 10);
	else if (argc < 2 || (argv[1][0] == '-' && argc != 3))
	{
		fprintf(stderr,
				"usage: %s --runs N [--seed S] | --corpus DIRECTORY [--seed S] | FILE ...\n",
				argv[0]);
		return 2;
	}

	if (strcmp(argv[1], "--runs") == 0)
		return run_generated(strtoull(argv[2], NULL, 10), seed);
	if (strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2], seed);
	for (int i = 1; i < argc; i++)
		failures += run_file(argv[i]);
	return failures == 0 ? 0 : 1;
}

#endif							/* FUZZ_STANDALONE */
