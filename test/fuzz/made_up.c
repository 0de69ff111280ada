/*-------------------------------------------------------------------------
 *
 * made_up.c
 *		What fuzz targets share whose inputs can be made up of parts.
 *
 * With libFuzzer, LLVMFuzzerTestOneInput() is all that a target needs;
 * FUZZ_STANDALONE adds a main() that has the target make inputs up:
 *
 *		..._standalone --runs N [--seed S]
 *
 *-------------------------------------------------------------------------
 */
#include "made_up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "violated: %s\n", what);
	abort();
}

#ifdef FUZZ_STANDALONE
size_t
append_parts(uint8_t *input, size_t length, const Part *parts, int nparts,
			 int count)
{
	for (int i = 0; i < count; i++)
	{
		const Part *part = &parts[rand() % nparts];

		require(length + part->length <= MAX_MADE_UP, "an input has room");
		memcpy(input + length, part->bytes, part->length);
		length += part->length;
	}
	return length;
}

int
main(int argc, char **argv)
{
	long		runs = 200000;
	unsigned int seed = 1;
	uint8_t		input[MAX_MADE_UP];

	for (int i = 1; i + 1 < argc; i += 2)
	{
		if (strcmp(argv[i], "--runs") == 0)
			runs = atol(argv[i + 1]);
		else if (strcmp(argv[i], "--seed") == 0)
			seed = (unsigned int) atol(argv[i + 1]);
	}
	srand(seed);
	for (long run_number = 0; run_number < runs; run_number++)
		LLVMFuzzerTestOneInput(input, make_input(input));
	printf("%ld executions, no violation\n", runs);
	return 0;
}
#endif
