/*-------------------------------------------------------------------------
 *
 * answer_form.c
 *		The form that one value of an answer must have.
 *
 * What is accepted here is what PostgreSQL's output functions write, and
 * nothing beyond: no blanks, no plus signs, no hexadecimal numbers, arrays of
 * one dimension only.  Whoever reads a value afterwards may trust that it is
 * all there, and within its bounds.
 *
 *-------------------------------------------------------------------------
 */
#include "remote/answer_form.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define UUID_TEXT_LENGTH	36

static bool is_letter(const ValueRule *rule, const char *value, size_t length);
static bool is_integer(const char *value, size_t length, int64_t minimum,
					   int64_t maximum);
static bool is_digits(const char *value, size_t length);
static bool is_number(const char *value, size_t length, int64_t minimum);
static bool is_uuid(const char *value, size_t length);
static bool read_unsigned(const char **at, uint64_t maximum, uint64_t *number);
static bool is_array(const ValueRule *rule, const char *value, size_t length,
					 size_t *elements);
static const char *end_of_quoted(const char *at, const char *end);
static const char *end_of_bare(const char *at, const char *end);
static bool is_element(const ValueRule *rule, const char *element,
					   size_t length);
static bool is_null_word(const char *element, size_t length);

bool
ftm_form_matches(const ValueRule *rule, const char *value, size_t length,
				 size_t *elements)
{
	uint32_t	block;
	uint16_t	offset;

	*elements = 0;
	if (memchr(value, '\0', length) != NULL)
		return false;
	switch (rule->form)
	{
		case FORM_NONE:
			return false;
		case FORM_TEXT:
		case FORM_JSON:
			return true;
		case FORM_LETTER:
			return is_letter(rule, value, length);
		case FORM_BOOL:
			return length == 1 && (value[0] == 't' || value[0] == 'f');
		case FORM_INTEGER:
			return is_integer(value, length, rule->minimum, rule->maximum);
		case FORM_DIGITS:
			return is_digits(value, length);
		case FORM_NUMBER:
			return is_number(value, length, rule->minimum);
		case FORM_UUID:
			return is_uuid(value, length);
		case FORM_PLACE:
			return ftm_form_read_place(value, &block, &offset);
		case FORM_INTEGERS:
		case FORM_UUIDS:
		case FORM_TEXTS:
		case FORM_TEXTS_OR_NULLS:
			return is_array(rule, value, length, elements);
	}
	return false;
}

static bool
is_letter(const ValueRule *rule, const char *value, size_t length)
{
	if (length == 0)
		return rule->may_be_empty;
	return length == 1 && strchr(rule->letters, value[0]) != NULL;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A minus sign, perhaps, and digits. */
static bool
is_digits(const char *value, size_t length)
{
	size_t		at = length > 0 && value[0] == '-' ? 1 : 0;

	if (at == length || length > MAX_FORM_DIGITS)
		return false;
	for (; at < length; at++)
	{
		if (!is_digit(value[at]))
			return false;
	}
	return true;
}

static bool
is_integer(const char *value, size_t length, int64_t minimum, int64_t maximum)
{
	char		copy[32];
	long long	number;

	if (!is_digits(value, length) || length >= sizeof(copy))
		return false;
	memcpy(copy, value, length);
	copy[length] = '\0';
	errno = 0;
	number = strtoll(copy, NULL, 10);
	return errno == 0 && number >= minimum && number <= maximum;
}

static bool
is_number(const char *value, size_t length, int64_t minimum)
{
	double		number;
	char	   *end;

	if (length == 0 || length > MAX_FORM_DIGITS ||
		strspn(value, "0123456789+-.e") != length)
		return false;
	errno = 0;
	number = strtod(value, &end);
	return errno == 0 && end == value + length && isfinite(number) &&
		number >= (double) minimum;
}

static bool
is_uuid(const char *value, size_t length)
{
	if (length != UUID_TEXT_LENGTH)
		return false;
	for (size_t i = 0; i < length; i++)
	{
		char		c = value[i];

		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (c != '-')
				return false;
		}
		else if (!is_digit(c) && (c < 'a' || c > 'f'))
			return false;
	}
	return true;
}

static bool
read_unsigned(const char **at, uint64_t maximum, uint64_t *number)
{
	if (!is_digit(**at))
		return false;
	*number = 0;
	for (; is_digit(**at); (*at)++)
	{
		*number = *number * 10 + (uint64_t) (**at - '0');
		if (*number > maximum)
			return false;
	}
	return true;
}

bool
ftm_form_read_place(const char *value, uint32_t *block, uint16_t *offset)
{
	const char *at = value;
	uint64_t	read_block;
	uint64_t	read_offset;

	if (*at++ != '(' || !read_unsigned(&at, UINT32_MAX, &read_block) ||
		*at++ != ',' || !read_unsigned(&at, UINT16_MAX, &read_offset) ||
		*at++ != ')' || *at != '\0' || read_offset == 0)
		return false;
	*block = (uint32_t) read_block;
	*offset = (uint16_t) read_offset;
	return true;
}

static bool
is_array(const ValueRule *rule, const char *value, size_t length,
		 size_t *elements)
{
	const char *at = value + 1;
	const char *end = value + length - 1;

	if (length < 2 || value[0] != '{' || *end != '}')
		return false;
	if (at == end)
		return true;
	for (;;)
	{
		const char *element = at;

		if (*at == '"')
		{
			at = end_of_quoted(at, end);
			if (at == NULL || (rule->form != FORM_TEXTS &&
							   rule->form != FORM_TEXTS_OR_NULLS))
				return false;
		}
		else
		{
			at = end_of_bare(at, end);
			if (at == NULL || !is_element(rule, element, (size_t) (at - element)))
				return false;
		}
		(*elements)++;
		if (at == end)
			return true;
		if (*at++ != ',')
			return false;
	}
}

/* Where the element that begins with a quote ends; NULL if it does not. */
static const char *
end_of_quoted(const char *at, const char *end)
{
	for (at++; at < end; at++)
	{
		if (*at == '"')
			return at + 1;
		if (*at == '\\' && ++at == end)
			return NULL;
	}
	return NULL;
}

/* The same for one without quotes; NULL if it has what needs some. */
static const char *
end_of_bare(const char *at, const char *end)
{
	const char *begin = at;

	for (; at < end && *at != ','; at++)
	{
		if (strchr("{}\"\\ \t\n\r\v\f", *at) != NULL)
			return NULL;
	}
	return at > begin ? at : NULL;
}

static bool
is_element(const ValueRule *rule, const char *element, size_t length)
{
	switch (rule->form)
	{
		case FORM_INTEGERS:
			return is_integer(element, length, rule->minimum, rule->maximum);
		case FORM_UUIDS:
			return is_uuid(element, length);
		case FORM_TEXTS:
			return !is_null_word(element, length);
		default:
			return true;
	}
}

static bool
is_null_word(const char *element, size_t length)
{
	static const char word[] = "NULL";

	if (length != 4)
		return false;
	for (int i = 0; i < 4; i++)
	{
		if ((element[i] & ~0x20) != word[i])
			return false;
	}
	return true;
}

const char *
ftm_form_name(ValueForm form)
{
	switch (form)
	{
		case FORM_NONE:
			break;
		case FORM_TEXT:
			return "a text";
		case FORM_JSON:
			return "JSON";
		case FORM_LETTER:
			return "a known letter";
		case FORM_BOOL:
			return "a boolean";
		case FORM_INTEGER:
		case FORM_DIGITS:
			return "an integer";
		case FORM_NUMBER:
			return "a number";
		case FORM_UUID:
			return "a uuid";
		case FORM_PLACE:
			return "the place of a row";
		case FORM_INTEGERS:
			return "an array of integers";
		case FORM_UUIDS:
			return "an array of uuids";
		case FORM_TEXTS:
		case FORM_TEXTS_OR_NULLS:
			return "an array of texts";
	}
	return "anything";
}
