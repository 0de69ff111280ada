/*-------------------------------------------------------------------------
 *
 * stream_fuzz.c
 *		Fuzz target of the decoder of pgoutput's messages.
 *
 * The properties: whatever the bytes, nothing is read beyond them and none is
 * changed; names and values lie within the message; what is accepted, is refused
 * with a byte less and with one more; an error has a position within it.
 *
 * See made_up.c for how inputs come.
 *
 *-------------------------------------------------------------------------
 */
#include "follow/stream.h"
#include "made_up.h"

#include <stdlib.h>
#include <string.h>

static void
check_string(const char *data, size_t size, const char *string)
{
	if (string == NULL)
		return;
	require(string >= data && string < data + size &&
			(size_t) (string - data) + strlen(string) < size,
			"a name is within the message");
}

static void
check_row(const char *data, size_t size, const StreamRow *row)
{
	for (int i = 0; i < row->nvalues; i++)
	{
		const StreamValue *value = &row->values[i];

		if (value->kind == STREAM_TEXT || value->kind == STREAM_BINARY)
			require(value->data >= data &&
					value->length <= size - (size_t) (value->data - data),
					"a value is within the message");
		else
			require(value->data == NULL && value->length == 0,
					"other values are empty");
	}
}

static void
check_message(const char *data, size_t size, const StreamMessage *message)
{
	uint32_t	sum = 0;

	check_string(data, size, message->schema);
	check_string(data, size, message->name);
	check_string(data, size, message->prefix);
	for (int i = 0; message->kind == STREAM_RELATION && i < message->ncolumns; i++)
		check_string(data, size, message->columns[i].name);
	check_row(data, size, &message->old_row);
	check_row(data, size, &message->new_row);
	for (uint32_t i = 0; i < message->ntruncated; i++)
		sum += ftm_stream_truncated(message, i);
	(void) sum;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static StreamDecoder *decoder = NULL;
	StreamMessage message;
	char	   *copy;
	size_t		position;

	if (decoder == NULL)
		decoder = ftm_stream_create();
	/* Exactly as long, so that reading beyond it is seen. */
	copy = malloc(size > 0 ? size : 1);
	memcpy(copy, data, size);
	if (ftm_stream_decode(decoder, copy, size, &message))
	{
		check_message(copy, size, &message);
		require(!ftm_stream_decode(decoder, copy, size - 1, &message),
				"a message has one length");
		copy = realloc(copy, size + 1);
		copy[size] = '\0';
		require(!ftm_stream_decode(decoder, copy, size + 1, &message),
				"a message ends");
	}
	else
	{
		require(strlen(ftm_stream_error(decoder, &position)) > 0,
				"an error has a text");
		require(position <= size, "an error has a position");
	}
	require(memcmp(copy, data, size) == 0, "a message stays as it is");
	free(copy);
	return 0;
}

#ifdef FUZZ_STANDALONE
size_t
make_input(uint8_t *input)
{
	static const Part parts[] =
	{
		PART("\0\0\0\0\0\0\0\1"), PART("\0\0\0\1"), PART("\0\1"), PART("\0\2"),
		PART("\0"), PART("\1"), PART("name\0"), PART("N"), PART("K"), PART("O"),
		PART("d"), PART("f"), PART("n"), PART("u"), PART("t\0\0\0\1x"),
		PART("b\0\0\0\0"), PART("\xff\xff\xff\xff"), PART("\x7f\xff"),
	};
	static const char kinds[] = "BCORYIUDTMS";
	int			count = rand() % 16;

	input[0] = (uint8_t) kinds[rand() % (int) (sizeof(kinds) - 1)];
	return append_parts(input, 1, parts,
						(int) (sizeof(parts) / sizeof(parts[0])), count);
}
#endif
