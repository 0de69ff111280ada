/*-------------------------------------------------------------------------
 *
 * rewrite_feed.c
 *		Feeds a stream to the rewriter in pieces, as its caller would.
 *
 * Every call gets its bytes in a new allocation of exactly their length, so
 * that the address sanitizer sees any access beyond them.
 *
 *-------------------------------------------------------------------------
 */
#include "rewrite_feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
allocate(size_t length)
{
	void	   *memory = malloc(length > 0 ? length : 1);

	if (memory == NULL)
	{
		fputs("out of memory\n", stderr);
		abort();
	}
	return memory;
}

void
buffer_append(Buffer *buffer, const void *data, size_t length)
{
	if (buffer->length + length > buffer->allocated)
	{
		uint8_t    *grown;

		buffer->allocated = 2 * (buffer->length + length);
		grown = allocate(buffer->allocated);
		if (buffer->length > 0)
			memcpy(grown, buffer->data, buffer->length);
		free(buffer->data);
		buffer->data = grown;
	}
	if (length > 0)
		memcpy(buffer->data + buffer->length, data, length);
	buffer->length += length;
}

/* Append the last nbytes bytes of value, the highest first. */
void
buffer_append_integer(Buffer *buffer, int nbytes, int64_t value)
{
	for (int i = nbytes - 1; i >= 0; i--)
	{
		uint8_t		byte = (uint8_t) ((uint64_t) value >> (8 * i));

		buffer_append(buffer, &byte, 1);
	}
}

void
buffer_free(Buffer *buffer)
{
	free(buffer->data);
	memset(buffer, 0, sizeof(Buffer));
}

/* One call: what is left of the calls before, followed by a piece. */
static RewriteStatus
feed_piece(Rewriter *rewriter, Buffer *rest, const uint8_t *piece,
		   size_t piece_length, StreamResult *result)
{
	size_t		length = rest->length + piece_length;
	uint8_t    *data = allocate(length);
	uint8_t    *before = allocate(length);
	size_t		done;
	RewriteStatus status;

	if (rest->length > 0)
		memcpy(data, rest->data, rest->length);
	if (piece_length > 0)
		memcpy(data + rest->length, piece, piece_length);
	memcpy(before, data, length);

	status = ftm_rewrite(rewriter, (char *) data, length, &done);

	buffer_append(&result->output, data, done);
	if (status == REWRITE_OK &&
		memcmp(data + done, before + done, length - done) != 0)
		result->touched_rest = true;
	rest->length = 0;
	buffer_append(rest, data + done, length - done);

	free(data);
	free(before);
	return status;
}

void
feed_stream(const StreamSpec *spec, const uint8_t *stream, size_t length,
			NextPiece pieces, void *state, StreamResult *result)
{
	Rewriter   *rewriter;
	Buffer		rest = {0};
	size_t		fed = 0;

	memset(result, 0, sizeof(StreamResult));
	rewriter = ftm_rewrite_create(spec->ncolumns, spec->columns, spec->binary,
								  spec->lookup, spec->known,
								  spec->lookup_arg);
	if (rewriter == NULL)
		abort();

	while (fed < length && result->status == REWRITE_OK)
	{
		size_t		piece_length = pieces ? pieces(state, fed) : 0;

		if (piece_length == 0 || piece_length > length - fed)
			piece_length = length - fed;
		result->status = feed_piece(rewriter, &rest, stream + fed,
									piece_length, result);
		fed += piece_length;
	}

	result->status = ftm_rewrite_end(rewriter, rest.length);
	ftm_rewrite_counts(rewriter, &result->counts);
	for (int i = 0; i < spec->ncolumns; i++)
		result->values_with_ids[i] = ftm_rewrite_values_with_ids(rewriter, i);
	if (result->status != REWRITE_OK)
	{
		const char *message;

		message = ftm_rewrite_error(rewriter, &result->row, &result->column,
									result->id);
		snprintf(result->message, sizeof(result->message), "%s", message);
	}

	buffer_free(&rest);
	ftm_rewrite_free(rewriter);
}

void
result_free(StreamResult *result)
{
	buffer_free(&result->output);
}

const char *
result_difference(const StreamResult *a, const StreamResult *b, bool exact)
{
	if (a->touched_rest || b->touched_rest)
		return "bytes of an incomplete unit were changed";
	if (a->status != b->status)
		return "status";
	if (a->output.length != b->output.length)
		return "length of the output";
	if (a->output.length > 0 &&
		memcmp(a->output.data, b->output.data, a->output.length) != 0)
		return "bytes of the output";
	if (a->counts.rows != b->counts.rows)
		return "number of rows";
	if (a->status == REWRITE_OK || exact)
	{
		if (a->counts.ids_mapped != b->counts.ids_mapped)
			return "number of ids mapped";
		if (a->counts.ids_kept != b->counts.ids_kept)
			return "number of ids kept";
	}
	if (a->status == REWRITE_OK &&
		memcmp(a->values_with_ids, b->values_with_ids,
			   sizeof(a->values_with_ids)) != 0)
		return "number of values with ids of known users";
	if (a->row != b->row)
		return "row of the error";
	if ((exact || a->status == REWRITE_UNMAPPED) && a->column != b->column)
		return "column of the error";
	if (memcmp(a->id, b->id, sizeof(a->id)) != 0)
		return "id of the error";
	if (exact && strcmp(a->message, b->message) != 0)
		return "message";
	return NULL;
}
