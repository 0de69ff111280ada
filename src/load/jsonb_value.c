/*-------------------------------------------------------------------------
 *
 * jsonb_value.c
 *		jsonb values: from the text on the wire to the bytes in a tuple.
 *
 * On the wire a jsonb value is text.  jsonb_recv() takes some 130 instructions
 * per byte of it: it builds a tree of values, calls numeric_in() for each number,
 * sorts the keys of each object, and copies all of it into its final form.  But
 * the text comes from another server's jsonb, so its keys are sorted already.
 *
 * A container begins with the number of its elements and the length of each,
 * and an object's keys come before all of its values, so none of it can be
 * written before its end has been seen.  Scanning goes through the text once,
 * checks it and leaves a token for each scalar, key and container; it knows then
 * how much memory the result takes at most.  Writing goes through the tokens and
 * cannot fail.
 *
 * What constrains this file:
 *
 * - The result must be jsonb_recv()'s, byte for byte.  Text that is not written
 *	 the way the server writes it is left to that function, as is anything whose
 *	 outcome is not obvious, or that is too rare to be worth it: so errors are the
 *	 server's, too.
 * - Keys must be in order, shorter ones first, and different.  Those in which
 *	 ids were replaced on the way here may not be.
 * - Numbers and containers are aligned to 4 bytes relative to the varlena, whose
 *	 header has 4.  Padding is zero, and counts as part of what it precedes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "load/jsonb_value.h"
#include "load/numeric_value.h"
#include "load/row_value.h"

#define WIRE_VERSION	1

/* Containers within each other; scanning and writing recurse. */
#define MAX_DEPTH		64

/* Of tokens; far from JB_MAX_ELEMS, and few enough to have in memory. */
#define FIRST_TOKENS	64
#define MAX_TOKENS		(1024 * 1024)

/* More are not kept for the next value. */
#define KEPT_TOKENS		(64 * 1024)

/*
 * What is written for a token at most, apart from one byte for each of its text:
 * entry, padding and header.  Digits take half as much as their text, but those
 * at each side of the point may need a group more.
 */
#define TOKEN_SIZE		(sizeof(JEntry) + sizeof(int32) - 1 + VARHDRSZ + \
						 FTM_NUMERIC_HEADER + 2 * sizeof(uint16))

typedef enum TokenKind
{
	TOKEN_STRING,
	TOKEN_NUMBER,
	TOKEN_FALSE,
	TOKEN_TRUE,
	TOKEN_NULL,
	TOKEN_ARRAY,
	TOKEN_SCALAR,				/* the array around a value that is no container */
	TOKEN_OBJECT
} TokenKind;

/* A container's tokens follow its own, each key's being followed by its value. */
typedef struct Token
{
	union
	{
		const char *text;		/* of a string or number, without quote or sign */
		uint32		next;		/* the token behind those of a container */
	}			at;
	uint32		length;			/* string: bytes of text; number: digits before
								 * the point; container: elements or pairs */
	uint8		kind;
	uint8		scale;			/* number: digits behind the point */
	bool		negative;
	bool		escaped;		/* there are escapes in the string */
} Token;

struct JsonbDecoder
{
	MemoryContext context;		/* of everything here */
	Token	   *tokens;
	uint32		ntokens;
	uint32		capacity;

	/* The value in hand. */
	const char *end;			/* there is a zero */
};

static const char *scan_value(JsonbDecoder *decoder, const char *text,
							  int depth);
static char *write_container(const JsonbDecoder *decoder, const Token *token,
							 char *out);

JsonbDecoder *
ftm_jsonb_begin(void)
{
	JsonbDecoder *decoder = palloc0(sizeof(JsonbDecoder));

	decoder->context = CurrentMemoryContext;
	return decoder;
}

/* ------------------------------------------------------------------------
 * Scanning: from text to tokens.  Each function returns where what it reads
 * ends, or NULL if that is not for us.
 * ------------------------------------------------------------------------
 */

/*
 * False: there are too many.
 */
static bool
grow_tokens(JsonbDecoder *decoder)
{
	uint32		capacity = Max(decoder->capacity * 2, FIRST_TOKENS);

	CHECK_FOR_INTERRUPTS();
	if (capacity > MAX_TOKENS)
		return false;
	if (decoder->tokens == NULL)
		decoder->tokens = MemoryContextAlloc(decoder->context,
											 sizeof(Token) * capacity);
	else
		decoder->tokens = repalloc(decoder->tokens, sizeof(Token) * capacity);
	decoder->capacity = capacity;
	return true;
}

static inline Token *
add_token(JsonbDecoder *decoder, TokenKind kind)
{
	Token	   *token;

	if (unlikely(decoder->ntokens == decoder->capacity) &&
		!grow_tokens(decoder))
		return NULL;
	token = &decoder->tokens[decoder->ntokens++];
	token->kind = (uint8) kind;
	return token;
}

/*
 * Where a run of characters that stand for themselves ends.
 */
static inline const char *
skip_plain(const char *text, const char *end)
{
	const uint64 ones = UINT64CONST(0x0101010101010101);
	const uint64 high = UINT64CONST(0x8080808080808080);

	for (; end - text >= 8; text += 8)
	{
		uint64		chunk;
		uint64		quote;
		uint64		backslash;
		uint64		special;

		/* A byte that is 0, or less than 32, borrows in the subtraction. */
		memcpy(&chunk, text, sizeof(chunk));
		quote = chunk ^ (ones * '"');
		backslash = chunk ^ (ones * '\\');
		special = (((quote - ones) & ~quote) |
				   ((backslash - ones) & ~backslash) |
				   ((chunk - ones * ' ') & ~chunk)) & high;
		if (special == 0)
			continue;
#ifdef WORDS_BIGENDIAN
		break;
#else
		/* What it borrows may hit later bytes, but not earlier ones. */
		return text + pg_rightmost_one_pos64(special) / 8;
#endif
	}
	while ((unsigned char) *text >= ' ' && *text != '"' && *text != '\\')
		text++;
	return text;
}

/*
 * The value of a digit as the server writes it, or -1.
 */
static inline int
hex_digit(char digit)
{
	return digit >= '0' && digit <= '9' ? digit - '0' :
		digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/*
 * The character that an escape stands for; *length is how many bytes it has.
 * 0 if it is not one of those that the server writes.
 */
static char
read_escape(const char *text, int *length)
{
	*length = 2;
	switch (text[1])
	{
		case '"':
		case '\\':
			return text[1];
		case 'b':
			return '\b';
		case 'f':
			return '\f';
		case 'n':
			return '\n';
		case 'r':
			return '\r';
		case 't':
			return '\t';
		case 'u':
			*length = 6;
			if (text[2] == '0' && text[3] == '0' &&
				(text[4] == '0' || text[4] == '1') && hex_digit(text[5]) >= 0)
				return (char) ((text[4] - '0') * 16 + hex_digit(text[5]));
			return 0;
	}
	return 0;
}

/*
 * A string, from behind its first quote on.
 */
static inline const char *
scan_string(JsonbDecoder *decoder, const char *text)
{
	const char *start = text;
	Token	   *token = add_token(decoder, TOKEN_STRING);

	if (token == NULL)
		return NULL;
	token->at.text = text;
	token->escaped = false;
	for (;;)
	{
		int			length;

		text = skip_plain(text, decoder->end);
		if (*text == '"')
			break;
		if (*text != '\\' || read_escape(text, &length) == 0)
			return NULL;
		text += length;
		token->escaped = true;
	}
	token->length = (uint32) (text - start);
	return text + 1;
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline const char *
scan_number(JsonbDecoder *decoder, const char *text)
{
	bool		negative = *text == '-';
	const char *start = text + negative;
	size_t		whole;
	size_t		scale = 0;
	Token	   *token;

	text = start;
	if (!is_digit(*text))
		return NULL;
	if (*text++ != '0')
	{
		while (is_digit(*text))
			text++;
	}
	whole = text - start;
	if (*text == '.')
	{
		const char *point = text++;

		while (is_digit(*text))
			text++;
		scale = text - point - 1;
		if (scale == 0)
			return NULL;
	}
	if (whole > FTM_NUMERIC_MAX_WHOLE || scale > FTM_NUMERIC_MAX_SCALE)
		return NULL;

	token = add_token(decoder, TOKEN_NUMBER);
	if (token == NULL)
		return NULL;
	token->at.text = start;
	token->length = (uint32) whole;
	token->scale = (uint8) scale;
	token->negative = negative;
	return text;
}

static inline const char *
scan_word(JsonbDecoder *decoder, const char *text, const char *word,
		  TokenKind kind)
{
	size_t		length = strlen(word);

	if (strncmp(text, word, length) != 0 ||
		add_token(decoder, kind) == NULL)
		return NULL;
	return text + length;
}

/*
 * What follows an element or pair; *last says whether there are no more.
 */
static inline const char *
scan_separator(const char *text, char closing, bool *last)
{
	*last = *text == closing;
	if (*last)
		return text + 1;
	return text[0] == ',' && text[1] == ' ' ? text + 2 : NULL;
}

/*
 * An array, from its bracket on.
 */
static const char *
scan_array(JsonbDecoder *decoder, const char *text, int depth)
{
	uint32		index = decoder->ntokens;
	uint32		count = 0;
	bool		last;

	if (depth > MAX_DEPTH || add_token(decoder, TOKEN_ARRAY) == NULL)
		return NULL;
	text++;
	last = *text == ']';
	if (last)
		text++;
	while (!last)
	{
		text = scan_value(decoder, text, depth);
		if (text != NULL)
			text = scan_separator(text, ']', &last);
		if (text == NULL)
			return NULL;
		count++;
	}
	decoder->tokens[index].length = count;
	decoder->tokens[index].at.next = decoder->ntokens;
	return text;
}

static inline bool
is_greater_key(const Token *key, const Token *previous)
{
	if (key->length != previous->length)
		return key->length > previous->length;
	return memcmp(key->at.text, previous->at.text, key->length) > 0;
}

/*
 * An object, from its brace on.
 */
static const char *
scan_object(JsonbDecoder *decoder, const char *text, int depth)
{
	uint32		index = decoder->ntokens;
	uint32		previous = index;
	uint32		count = 0;
	bool		last;

	if (depth > MAX_DEPTH || add_token(decoder, TOKEN_OBJECT) == NULL)
		return NULL;
	text++;
	last = *text == '}';
	if (last)
		text++;
	while (!last)
	{
		uint32		key = decoder->ntokens;

		if (*text != '"')
			return NULL;
		text = scan_string(decoder, text + 1);

		/* Keys with escapes are too rare to be compared here. */
		if (text == NULL || decoder->tokens[key].escaped ||
			(count > 0 && !is_greater_key(&decoder->tokens[key],
										  &decoder->tokens[previous])))
			return NULL;
		if (text[0] != ':' || text[1] != ' ')
			return NULL;
		text = scan_value(decoder, text + 2, depth);
		if (text != NULL)
			text = scan_separator(text, '}', &last);
		if (text == NULL)
			return NULL;
		previous = key;
		count++;
	}
	decoder->tokens[index].length = count;
	decoder->tokens[index].at.next = decoder->ntokens;
	return text;
}

/*
 * Any value within depth containers.
 */
static const char *
scan_value(JsonbDecoder *decoder, const char *text, int depth)
{
	switch (*text)
	{
		case '"':
			return scan_string(decoder, text + 1);
		case '{':
			return scan_object(decoder, text, depth + 1);
		case '[':
			return scan_array(decoder, text, depth + 1);
		case 'f':
			return scan_word(decoder, text, "false", TOKEN_FALSE);
		case 't':
			return scan_word(decoder, text, "true", TOKEN_TRUE);
		case 'n':
			return scan_word(decoder, text, "null", TOKEN_NULL);
	}
	return scan_number(decoder, text);
}

/*
 * All of the value in hand.  False: it is not for us.
 */
static bool
scan_document(JsonbDecoder *decoder, const char *text)
{
	decoder->ntokens = 0;
	if (*text != '{' && *text != '[')
	{
		Token	   *token = add_token(decoder, TOKEN_SCALAR);

		token->length = 1;
	}
	return scan_value(decoder, text, 0) == decoder->end;
}

/* ------------------------------------------------------------------------
 * Writing: from tokens to a jsonb value.  Each function returns where what it
 * writes ends.
 * ------------------------------------------------------------------------
 */

/*
 * More than the padding may be written: there is always something behind it.
 */
static inline char *
write_padding(char *out)
{
	memset(out, 0, sizeof(int32));
	return (char *) INTALIGN(out);
}

static char *
write_escaped(const Token *token, char *out)
{
	const char *text = token->at.text;
	const char *end = text + token->length;

	while (text < end)
	{
		const char *escape = memchr(text, '\\', end - text);
		size_t		plain = (escape != NULL ? escape : end) - text;
		int			length;

		memcpy(out, text, plain);
		out += plain;
		text += plain;
		if (escape != NULL)
		{
			*out++ = read_escape(text, &length);
			text += length;
		}
	}
	return out;
}

static inline char *
write_plain(const Token *token, char *out)
{
	memcpy(out, token->at.text, token->length);
	return out + token->length;
}

static inline char *
write_string(const Token *token, char *out)
{
	return unlikely(token->escaped) ? write_escaped(token, out) :
		write_plain(token, out);
}

static inline char *
write_number(const Token *token, char *out)
{
	int			length;

	out = write_padding(out);
	length = VARHDRSZ + ftm_numeric_write(out + VARHDRSZ, token->at.text,
										  (int) token->length, token->scale,
										  token->negative);
	SET_VARSIZE(out, length);
	return out + length;
}

static inline const Token *
next_token(const JsonbDecoder *decoder, const Token *token)
{
	return token->kind >= TOKEN_ARRAY ? &decoder->tokens[token->at.next] : token + 1;
}

/*
 * A value within a container, and what its entry says of its type.
 */
static inline char *
write_value(const JsonbDecoder *decoder, const Token *token, char *out,
			JEntry *type)
{
	switch ((TokenKind) token->kind)
	{
		case TOKEN_STRING:
			*type = JENTRY_ISSTRING;
			return write_string(token, out);
		case TOKEN_NUMBER:
			*type = JENTRY_ISNUMERIC;
			return write_number(token, out);
		case TOKEN_FALSE:
			*type = JENTRY_ISBOOL_FALSE;
			return out;
		case TOKEN_TRUE:
			*type = JENTRY_ISBOOL_TRUE;
			return out;
		case TOKEN_NULL:
			*type = JENTRY_ISNULL;
			return out;
		case TOKEN_ARRAY:
		case TOKEN_SCALAR:
		case TOKEN_OBJECT:
			break;
	}
	*type = JENTRY_ISCONTAINER;
	return write_container(decoder, token, write_padding(out));
}

/*
 * The entry with this number, of what lies between start and end in the
 * container whose contents begin at contents.
 */
static inline JEntry
make_entry(uint32 number, JEntry type, const char *contents,
		   const char *start, const char *end)
{
	if (number % JB_OFFSET_STRIDE == 0)
		return type | JENTRY_HAS_OFF | (JEntry) (end - contents);
	return type | (JEntry) (end - start);
}

static char *
write_array(const JsonbDecoder *decoder, const Token *array, char *out)
{
	uint32		count = array->length;
	JEntry	   *entries = (JEntry *) out;
	char	   *contents = out + count * sizeof(JEntry);
	const Token *token = array + 1;

	out = contents;
	for (uint32 number = 0; number < count; number++)
	{
		char	   *start = out;
		JEntry		type;

		out = write_value(decoder, token, out, &type);
		entries[number] = make_entry(number, type, contents, start, out);
		token = next_token(decoder, token);
	}
	return out;
}

static char *
write_object(const JsonbDecoder *decoder, const Token *object, char *out)
{
	uint32		count = object->length;
	JEntry	   *entries = (JEntry *) out;
	char	   *contents = out + count * 2 * sizeof(JEntry);
	const Token *key = object + 1;

	out = contents;
	for (uint32 number = 0; number < count; number++)
	{
		char	   *start = out;

		out = write_plain(key, out);
		entries[number] = make_entry(number, JENTRY_ISSTRING, contents, start,
									 out);
		key = next_token(decoder, key + 1);
	}
	key = object + 1;
	for (uint32 number = count; number < count * 2; number++)
	{
		char	   *start = out;
		JEntry		type;

		out = write_value(decoder, key + 1, out, &type);
		entries[number] = make_entry(number, type, contents, start, out);
		key = next_token(decoder, key + 1);
	}
	return out;
}

/*
 * An array or object, where it is aligned.
 */
static char *
write_container(const JsonbDecoder *decoder, const Token *token, char *out)
{
	uint32	   *header = (uint32 *) out;

	CHECK_FOR_INTERRUPTS();
	out += sizeof(*header);
	if (token->kind == TOKEN_OBJECT)
	{
		*header = token->length | JB_FOBJECT;
		return write_object(decoder, token, out);
	}
	*header = token->length | JB_FARRAY |
		(token->kind == TOKEN_SCALAR ? JB_FSCALAR : 0);
	return write_array(decoder, token, out);
}

char *
ftm_jsonb_convert(JsonbDecoder *decoder, char *data, int32 length, int *stored)
{
	char		behind = data[length];
	char	   *result = NULL;
	size_t		size;
	bool		scanned;

	if (length < 2 || *data != WIRE_VERSION ||
		!ftm_is_text(data + 1, length - 1))
		return NULL;

	/* Text without zeros: one at its end stops whatever looks for more. */
	decoder->end = data + length;
	data[length] = '\0';
	scanned = scan_document(decoder, data + 1);
	data[length] = behind;
	size = length + decoder->ntokens * TOKEN_SIZE;
	if (scanned && size <= JENTRY_OFFLENMASK)
	{
		result = palloc(size);
		*stored = (int) (write_container(decoder, decoder->tokens, result) -
						 result);
	}
	if (unlikely(decoder->capacity > KEPT_TOKENS))
	{
		pfree(decoder->tokens);
		decoder->tokens = NULL;
		decoder->capacity = 0;
	}
	return result;
}
