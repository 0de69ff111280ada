/*-------------------------------------------------------------------------
 *
 * answer_form_fuzz.c
 *		Fuzz target of the forms of values.
 *
 * The properties: whatever the bytes, nothing is read beyond them; an integer
 * that is accepted is one for strtoll(), within its bounds; an array that is
 * accepted has as many elements as a naive reader finds.
 *
 * The first byte of an input chooses the form.  See made_up.c for how
 * inputs come.
 *
 *-------------------------------------------------------------------------
 */
#include "remote/answer_form.h"
#include "made_up.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Elements of an array, found by counting commas outside of quotes. */
static size_t
count_elements(const char *value, size_t length)
{
	size_t		elements = 1;
	bool		quoted = false;

	require(length >= 2 && value[0] == '{' && value[length - 1] == '}',
			"an array is in braces");
	if (length == 2)
		return 0;
	for (size_t i = 1; i < length - 1; i++)
	{
		if (value[i] == '\\')
		{
			require(quoted, "a backslash is within quotes");
			i++;
		}
		else if (value[i] == '"')
			quoted = !quoted;
		else if (!quoted && value[i] == ',')
			elements++;
		else
			require(quoted || strchr("{} ", value[i]) == NULL,
					"braces and blanks are within quotes");
	}
	require(!quoted, "quotes are closed");
	return elements;
}

static void
check_integer(const ValueRule *rule, const char *value)
{
	char	   *end;
	long long	number;

	errno = 0;
	number = strtoll(value, &end, 10);
	require(errno == 0 && *end == '\0' && end > value, "it is an integer");
	require(number >= rule->minimum && number <= rule->maximum,
			"it is within its bounds");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	ValueRule	rule = {.letters = "rpv", .minimum = -1000, .maximum = 100000};
	char	   *value;
	size_t		elements;

	if (size == 0)
		return 0;
	rule.form = (ValueForm) (data[0] % (FORM_TEXTS_OR_NULLS + 1));
	rule.may_be_empty = data[0] >= 128;
	data++;
	size--;
	value = malloc(size + 1);
	memcpy(value, data, size);
	value[size] = '\0';
	if (ftm_form_matches(&rule, value, size, &elements))
	{
		require(strlen(value) == size, "there is no zero byte");
		if (rule.form == FORM_INTEGER)
			check_integer(&rule, value);
		if (rule.form >= FORM_INTEGERS)
			require(count_elements(value, size) == elements,
					"the number of elements is right");
		else
			require(elements == 0, "only arrays have elements");
	}
	free(value);
	return 0;
}

#ifdef FUZZ_STANDALONE
size_t
make_input(uint8_t *input)
{
	static const Part parts[] =
	{
		PART("{"), PART("}"), PART(","), PART("\""), PART("\\"), PART("\\\""),
		PART("1"), PART("-"), PART("9223372036854775807"), PART("NULL"), PART("a"),
		PART(" "), PART("(0,"), PART(")"), PART("\xff"), PART("e"), PART("."),
		PART("0a1b2c3d-1111-4111-8111-00000000000a"), PART("t"), PART("r"),
	};
	size_t		length = 0;
	int			count = rand() % 12;

	input[length++] = (uint8_t) rand();
	if (rand() % 2 == 0)
		input[length++] = '{';
	length = append_parts(input, length, parts,
						  (int) (sizeof(parts) / sizeof(parts[0])), count);
	if (rand() % 2 == 0)
		input[length++] = '}';
	return length;
}
#endif
