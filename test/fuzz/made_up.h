/*-------------------------------------------------------------------------
 *
 * made_up.h
 *		What fuzz targets share whose inputs can be made up of parts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MADE_UP_H
#define MADE_UP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_MADE_UP		1024

typedef struct Part
{
	const char *bytes;
	size_t		length;
} Part;

#define PART(bytes)		{bytes, sizeof(bytes) - 1}

/* The target; inputs of any bytes. */
extern int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* End the program, and say what, unless the condition holds. */
extern void require(bool condition, const char *what);

/*
 * Without libFuzzer, the target's own: make an input up by rand(), in memory of
 * MAX_MADE_UP bytes; returns its length.
 */
extern size_t make_input(uint8_t *input);

/* Append count parts, chosen by rand(); returns the new length. */
extern size_t append_parts(uint8_t *input, size_t length, const Part *parts,
						   int nparts, int count);

#endif							/* MADE_UP_H */
