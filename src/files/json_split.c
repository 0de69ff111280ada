/*-------------------------------------------------------------------------
 *
 * json_split.c
 *		Finds the objects in a JSON array of objects that comes in pieces.
 *
 * A state machine over bytes.  In UTF-8, a byte that looks like one of JSON's
 * own characters is one, so characters matter only for counting columns.  What
 * changes no state, which is nearly all of a file, is passed over in runs.
 *
 *-------------------------------------------------------------------------
 */
#include "files/json_split.h"

#include <string.h>

static size_t pass_over(JsonSplitter *splitter, const char *data,
						size_t length);
static JsonSplitStatus outside(JsonSplitter *splitter, unsigned char c);
static JsonSplitStatus inside(JsonSplitter *splitter, unsigned char c);
static JsonSplitStatus in_string(JsonSplitter *splitter, unsigned char c);
static JsonSplitStatus fail(JsonSplitter *splitter, const char *message);

void
ftm_json_split_init(JsonSplitter *splitter)
{
	memset(splitter, 0, sizeof(JsonSplitter));
	splitter->at.line = 1;
	splitter->at.column = 1;
	splitter->state = JSON_SPLIT_START;
}

static void
advance(JsonPlace *place, unsigned char c)
{
	place->offset++;
	if (c == '\n')
	{
		place->line++;
		place->column = 1;
	}
	else if ((c & 0xC0) != 0x80)	/* not the rest of a character */
		place->column++;
}

void
ftm_json_advance(JsonPlace *place, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		advance(place, (unsigned char) text[i]);
}

JsonSplitStatus
ftm_json_split(JsonSplitter *splitter, const char *data, size_t length,
			   size_t *start, size_t *done)
{
	size_t		i = 0;

	*start = 0;
	*done = 0;
	if (splitter->message != NULL)
		return JSON_SPLIT_ERROR;
	while (i < length)
	{
		bool		was_inside = splitter->state == JSON_SPLIT_INSIDE;
		unsigned char c;
		JsonSplitStatus status;

		if (was_inside && !splitter->escaped)
		{
			i += pass_over(splitter, data + i, length - i);
			if (i == length)
				break;
		}
		c = (unsigned char) data[i];
		if (splitter->in_string)
			status = in_string(splitter, c);
		else if (was_inside)
			status = inside(splitter, c);
		else
			status = outside(splitter, c);
		if (status == JSON_SPLIT_ERROR)
			return status;
		if (!was_inside && splitter->state == JSON_SPLIT_INSIDE)
			*start = i;
		advance(&splitter->at, c);
		i++;
		if (status == JSON_SPLIT_OBJECT)
		{
			*done = i;
			return status;
		}
	}
	*done = length;
	if (splitter->state != JSON_SPLIT_INSIDE)
		*start = length;
	return JSON_SPLIT_MORE;
}

/*
 * How many bytes of an object are next that mean nothing to the splitter?  No
 * line feed is among them.
 */
static size_t
pass_over(JsonSplitter *splitter, const char *data, size_t length)
{
	size_t		i = 0;
	size_t		continued = 0;	/* bytes that are the rest of a character */

	if (splitter->in_string)
	{
		for (; i < length; i++)
		{
			unsigned char c = (unsigned char) data[i];

			if (c == '"' || c == '\\' || c < ' ')
				break;
			continued += (c & 0xC0) == 0x80;
		}
	}
	else
	{
		/* brackets and braces, and a few letters that go the slow way */
		for (; i < length; i++)
		{
			unsigned char c = (unsigned char) data[i];

			if (c == '"' || c == '\n' || (c & ~0x26) == 0x59)
				break;
			continued += (c & 0xC0) == 0x80;
		}
	}
	splitter->at.offset += i;
	splitter->at.column += i - continued;
	return i;
}

bool
ftm_json_split_end(JsonSplitter *splitter)
{
	if (splitter->message != NULL)
		return false;
	if (splitter->state == JSON_SPLIT_END)
		return true;
	(void) fail(splitter, splitter->state == JSON_SPLIT_INSIDE ?
				"the file ends inside of an object" :
				"the file ends before its array does");
	return false;
}

/* Brackets: the kind of each open one. */
static bool
is_array(const JsonSplitter *splitter, int depth)
{
	return (splitter->is_array[depth / 8] >> (depth % 8)) & 1;
}

static JsonSplitStatus
open_bracket(JsonSplitter *splitter, bool array)
{
	int			depth = splitter->depth;

	if (depth == JSON_SPLIT_DEPTH)
		return fail(splitter, "values are nested too deeply");
	splitter->is_array[depth / 8] &= (uint8_t) ~(1 << (depth % 8));
	if (array)
		splitter->is_array[depth / 8] |= (uint8_t) (1 << (depth % 8));
	splitter->depth++;
	return JSON_SPLIT_MORE;
}

static JsonSplitStatus
outside(JsonSplitter *splitter, unsigned char c)
{
	if (c == ' ' || c == '\t' || c == '\n' || c == '\r')
		return JSON_SPLIT_MORE;
	switch (splitter->state)
	{
		case JSON_SPLIT_START:
			if (c != '[')
				return fail(splitter, "expected an array of objects");
			splitter->state = JSON_SPLIT_FIRST;
			return JSON_SPLIT_MORE;
		case JSON_SPLIT_FIRST:
		case JSON_SPLIT_NEXT:
			if (c == '{')
			{
				splitter->state = JSON_SPLIT_INSIDE;
				splitter->object = splitter->at;
				return open_bracket(splitter, false);
			}
			if (c == ']' && splitter->state == JSON_SPLIT_FIRST)
			{
				splitter->state = JSON_SPLIT_END;
				return JSON_SPLIT_MORE;
			}
			return fail(splitter, "expected an object");
		case JSON_SPLIT_BEHIND:
			if (c == ',')
				splitter->state = JSON_SPLIT_NEXT;
			else if (c == ']')
				splitter->state = JSON_SPLIT_END;
			else
				return fail(splitter, "expected a comma or the end of the array");
			return JSON_SPLIT_MORE;
		default:
			return fail(splitter, "expected nothing behind the array");
	}
}

static JsonSplitStatus
inside(JsonSplitter *splitter, unsigned char c)
{
	switch (c)
	{
		case '"':
			splitter->in_string = true;
			return JSON_SPLIT_MORE;
		case '{':
		case '[':
			return open_bracket(splitter, c == '[');
		case '}':
		case ']':
			if (is_array(splitter, splitter->depth - 1) != (c == ']'))
				return fail(splitter, "the bracket closes one of the other kind");
			if (--splitter->depth > 0)
				return JSON_SPLIT_MORE;
			splitter->state = JSON_SPLIT_BEHIND;
			return JSON_SPLIT_OBJECT;
		default:
			return JSON_SPLIT_MORE;
	}
}

static JsonSplitStatus
in_string(JsonSplitter *splitter, unsigned char c)
{
	if (c < ' ')
		return fail(splitter, "a string holds a control character or does not end");
	if (splitter->escaped)
		splitter->escaped = false;
	else if (c == '\\')
		splitter->escaped = true;
	else if (c == '"')
		splitter->in_string = false;
	return JSON_SPLIT_MORE;
}

static JsonSplitStatus
fail(JsonSplitter *splitter, const char *message)
{
	splitter->message = message;
	return JSON_SPLIT_ERROR;
}
