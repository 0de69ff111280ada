/*-------------------------------------------------------------------------
 *
 * rewrite_feed.h
 *		What the tests of the stream rewriter share: byte buffers, feeding a
 *		stream in pieces, and a second, naive rewriter to compare with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef REWRITE_FEED_H
#define REWRITE_FEED_H

#include "ids/rewrite.h"

#define MAX_TEST_COLUMNS 16

/* Bytes that grow at the end. */
typedef struct Buffer
{
	uint8_t    *data;
	size_t		length;
	size_t		allocated;
} Buffer;

extern void buffer_append(Buffer *buffer, const void *data, size_t length);
extern void buffer_append_integer(Buffer *buffer, int nbytes, int64_t value);
extern void buffer_free(Buffer *buffer);

/* What a stream holds, and the user map. */
typedef struct StreamSpec
{
	bool		binary;
	int			ncolumns;
	RewriteColumn columns[MAX_TEST_COLUMNS];
	RewriteLookup lookup;
	KnownId		known;
	void	   *lookup_arg;
} StreamSpec;

/* What became of a stream. */
typedef struct StreamResult
{
	RewriteStatus status;
	Buffer		output;			/* the complete units before any error */
	RewriteCounts counts;
	uint64_t	values_with_ids[MAX_TEST_COLUMNS];
	uint64_t	row;
	int			column;
	uint8_t		id[16];
	char		message[200];
	bool		touched_rest;	/* bytes behind *done were changed */
} StreamResult;

/*
 * Where to cut: returns the length of the piece that follows the first fed
 * bytes of a stream; 0 means all the rest.
 */
typedef size_t (*NextPiece) (void *state, size_t fed);

/* Feed a stream to the rewriter; pieces may be NULL: all at once. */
extern void feed_stream(const StreamSpec *spec, const uint8_t *stream,
						size_t length, NextPiece pieces, void *state,
						StreamResult *result);

/* The naive rewriter; fills in no message, and column only for a missing id. */
extern void model_rewrite(const StreamSpec *spec, const uint8_t *stream,
						  size_t length, StreamResult *result);

extern void result_free(StreamResult *result);

/*
 * NULL if both results are the same, else what differs.  The model knows no
 * messages and hardly any column: compare those only if exact.
 */
extern const char *result_difference(const StreamResult *a,
									 const StreamResult *b, bool exact);

#endif							/* REWRITE_FEED_H */
