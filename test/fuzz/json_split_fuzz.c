/*-------------------------------------------------------------------------
 *
 * json_split_fuzz.c
 *		Fuzz target of the JSON splitter.
 *
 * The property: whatever the bytes, the splitter does not crash or read beyond
 * them, finds the same objects and the same error however they are cut into
 * pieces, and every object begins with "{", ends with "}" and has, outside of
 * strings, as many opening as closing brackets.
 *
 * The first byte of an input decides how it is cut.  See made_up.c for how
 * inputs come.
 *
 *-------------------------------------------------------------------------
 */
#include "files/json_split.h"
#include "made_up.h"

#include <stdlib.h>
#include <string.h>

#define MAX_OBJECTS		4096

/* What the splitter made of an input. */
typedef struct Outcome
{
	size_t		nobjects;
	struct
	{
		uint64_t	begin;
		uint64_t	end;
		uint64_t	line;
		uint64_t	column;
	}			objects[MAX_OBJECTS];
	bool		complete;
	const char *message;
	JsonPlace	at;
} Outcome;

/*
 * Split data given in pieces of piece bytes, each in memory of its own, so that
 * the sanitizer sees a byte too many.
 */
static void
run(const uint8_t *data, size_t size, size_t piece, Outcome *outcome)
{
	JsonSplitter splitter;
	size_t		collected = 0;

	memset(outcome, 0, sizeof(Outcome));
	ftm_json_split_init(&splitter);
	for (size_t offset = 0; offset < size && outcome->message == NULL;)
	{
		size_t		length = size - offset < piece ? size - offset : piece;
		char	   *copy = malloc(length);
		size_t		used = 0;

		memcpy(copy, data + offset, length);
		while (used < length)
		{
			size_t		start;
			size_t		done;
			JsonSplitStatus status;

			status = ftm_json_split(&splitter, copy + used, length - used,
									&start, &done);
			if (status == JSON_SPLIT_ERROR)
			{
				outcome->message = splitter.message;
				break;
			}
			require(start <= done && done <= length - used, "bounds");
			require(done > 0, "progress");
			collected += done - start;
			used += done;
			require(splitter.at.offset == offset + used, "offset");
			if (status != JSON_SPLIT_OBJECT)
				continue;
			require(splitter.object.offset + collected == splitter.at.offset,
					"an object is what was given out of it");
			if (outcome->nobjects < MAX_OBJECTS)
			{
				outcome->objects[outcome->nobjects].begin = splitter.object.offset;
				outcome->objects[outcome->nobjects].end = splitter.at.offset;
				outcome->objects[outcome->nobjects].line = splitter.object.line;
				outcome->objects[outcome->nobjects].column = splitter.object.column;
				outcome->nobjects++;
			}
			collected = 0;
		}
		free(copy);
		offset += length;
	}
	outcome->complete = ftm_json_split_end(&splitter);
	if (outcome->message == NULL)
		outcome->message = splitter.message;
	outcome->at = splitter.at;
}

static void
check_object(const uint8_t *data, size_t length)
{
	bool		in_string = false;
	long		braces = 0;
	long		brackets = 0;

	require(length >= 2 && data[0] == '{' && data[length - 1] == '}',
			"an object has its braces");
	for (size_t i = 0; i < length; i++)
	{
		if (in_string && data[i] == '\\')
			i++;
		else if (data[i] == '"')
			in_string = !in_string;
		else if (!in_string)
		{
			braces += (data[i] == '{') - (data[i] == '}');
			brackets += (data[i] == '[') - (data[i] == ']');
			require(braces > 0 || i == length - 1, "an object ends once");
		}
	}
	require(!in_string && braces == 0 && brackets == 0, "balance");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static Outcome whole;
	static Outcome cut;
	size_t		piece;

	if (size == 0)
		return 0;
	piece = 1 + data[0] % 16;
	data++;
	size--;
	run(data, size, size > 0 ? size : 1, &whole);
	run(data, size, piece, &cut);
	require(whole.nobjects == cut.nobjects &&
			memcmp(whole.objects, cut.objects, sizeof(whole.objects)) == 0,
			"the same objects however cut");
	require(whole.complete == cut.complete && whole.message == cut.message &&
			memcmp(&whole.at, &cut.at, sizeof(JsonPlace)) == 0,
			"the same end however cut");
	require(whole.complete == (whole.message == NULL), "an error or the end");
	for (size_t i = 0; i < whole.nobjects; i++)
		check_object(data + whole.objects[i].begin,
					 whole.objects[i].end - whole.objects[i].begin);
	return 0;
}

#ifdef FUZZ_STANDALONE
size_t
make_input(uint8_t *input)
{
	static const Part parts[] =
	{
		PART("["), PART("]"), PART("{"), PART("}"), PART(","), PART(":"),
		PART("\""), PART("\\"), PART("\\\""), PART("\n"), PART(" "),
		PART("\"a\""), PART("1"), PART("null"), PART("{}"), PART("[]"),
		PART("\xc3\xbc"), PART("\x01"), PART("{\"a\":"),
	};
	size_t		length = 0;
	int			count = rand() % 60;

	input[length++] = (uint8_t) rand();
	if (rand() % 8 > 0)
		input[length++] = '[';
	return append_parts(input, length, parts,
						(int) (sizeof(parts) / sizeof(parts[0])), count);
}
#endif
