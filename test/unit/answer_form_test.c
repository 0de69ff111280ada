/*-------------------------------------------------------------------------
 *
 * answer_form_test.c
 *		Unit tests of the forms of values; prints TAP.
 *
 * Each test is a value and what PostgreSQL's output functions say about it:
 * whether they could have written it, and how many elements it then has.
 *
 *-------------------------------------------------------------------------
 */
#include "remote/answer_form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UUID	"0a1b2c3d-1111-4111-8111-00000000000a"

typedef struct Case
{
	ValueRule	rule;
	const char *value;
	int			elements;		/* -1: does not have the form */
	size_t		length;			/* 0: to its zero */
} Case;

#define INTEGER(least, most) \
	{.form = FORM_INTEGER, .minimum = least, .maximum = most}
#define INTEGERS(least, most) \
	{.form = FORM_INTEGERS, .minimum = least, .maximum = most}
#define ANY_INTEGER	INTEGER(INT64_MIN, INT64_MAX)

static const Case cases[] = {
	{{.form = FORM_NONE}, "", -1},
	{{.form = FORM_TEXT}, "", 0},
	{{.form = FORM_TEXT}, "\xff\n{", 0},

	{{.form = FORM_LETTER, .letters = "rp"}, "r", 0},
	{{.form = FORM_LETTER, .letters = "rp"}, "v", -1},
	{{.form = FORM_LETTER, .letters = "rp"}, "rp", -1},
	{{.form = FORM_LETTER, .letters = "rp"}, "", -1},
	{{.form = FORM_LETTER, .letters = "rp", .may_be_empty = true}, "", 0},

	{{.form = FORM_BOOL}, "t", 0},
	{{.form = FORM_BOOL}, "f", 0},
	{{.form = FORM_BOOL}, "true", -1},
	{{.form = FORM_BOOL}, "", -1},

	{ANY_INTEGER, "0", 0},
	{ANY_INTEGER, "-1", 0},
	{ANY_INTEGER, "9223372036854775807", 0},
	{ANY_INTEGER, "-9223372036854775808", 0},
	{ANY_INTEGER, "9223372036854775808", -1},
	{ANY_INTEGER, "18446744073709551616", -1},
	{ANY_INTEGER, "", -1},
	{ANY_INTEGER, "-", -1},
	{ANY_INTEGER, "+1", -1},
	{ANY_INTEGER, " 1", -1},
	{ANY_INTEGER, "1 ", -1},
	{ANY_INTEGER, "1e3", -1},
	{ANY_INTEGER, "0x10", -1},
	{ANY_INTEGER, "1\0002", -1, 3},
	{INTEGER(1, 4294967295), "0", -1},
	{INTEGER(1, 4294967295), "1", 0},
	{INTEGER(1, 4294967295), "4294967295", 0},
	{INTEGER(1, 4294967295), "4294967296", -1},
	{INTEGER(1, 4294967295), "-1", -1},

	{{.form = FORM_DIGITS}, "340282366920938463463374607431768211456", 0},
	{{.form = FORM_DIGITS}, "-12", 0},
	{{.form = FORM_DIGITS}, "1.0", -1},
	{{.form = FORM_DIGITS}, "NaN", -1},

	{{.form = FORM_NUMBER, .minimum = -1}, "-1", 0},
	{{.form = FORM_NUMBER, .minimum = -1}, "1.5e+06", 0},
	{{.form = FORM_NUMBER, .minimum = -1}, "-1.5", -1},
	{{.form = FORM_NUMBER, .minimum = -1}, "1e400", -1},
	{{.form = FORM_NUMBER, .minimum = -1}, "NaN", -1},
	{{.form = FORM_NUMBER, .minimum = -1}, "Infinity", -1},
	{{.form = FORM_NUMBER, .minimum = -1}, "1 ", -1},
	{{.form = FORM_NUMBER, .minimum = -1}, "", -1},

	{{.form = FORM_UUID}, UUID, 0},
	{{.form = FORM_UUID}, "0A1b2c3d-1111-4111-8111-00000000000a", -1},
	{{.form = FORM_UUID}, "0a1b2c3d-1111-4111-8111-00000000000", -1},
	{{.form = FORM_UUID}, "0a1b2c3d1111-4111-8111-00000000000a0", -1},
	{{.form = FORM_UUID}, "{0a1b2c3d-1111-4111-8111-0000000000}", -1},

	{{.form = FORM_PLACE}, "(0,1)", 0},
	{{.form = FORM_PLACE}, "(4294967295,65535)", 0},
	{{.form = FORM_PLACE}, "(0,0)", -1},
	{{.form = FORM_PLACE}, "(4294967296,1)", -1},
	{{.form = FORM_PLACE}, "(0,65536)", -1},
	{{.form = FORM_PLACE}, "(0,1", -1},
	{{.form = FORM_PLACE}, "(,1)", -1},
	{{.form = FORM_PLACE}, "(0,1) ", -1},

	{INTEGERS(0, 9), "{}", 0},
	{INTEGERS(0, 9), "{1}", 1},
	{INTEGERS(0, 9), "{1,2,3}", 3},
	{INTEGERS(0, 9), "{1,10}", -1},
	{INTEGERS(0, 9), "{1,NULL}", -1},
	{INTEGERS(0, 9), "{\"1\"}", -1},
	{INTEGERS(0, 9), "{1,}", -1},
	{INTEGERS(0, 9), "{,1}", -1},
	{INTEGERS(0, 9), "{{1}}", -1},
	{INTEGERS(0, 9), "[0:0]={1}", -1},
	{INTEGERS(0, 9), "{1", -1},
	{INTEGERS(0, 9), "{", -1},
	{INTEGERS(0, 9), "", -1},

	{{.form = FORM_UUIDS}, "{" UUID "," UUID "}", 2},
	{{.form = FORM_UUIDS}, "{" UUID ",a}", -1},

	{{.form = FORM_TEXTS}, "{a,b c}", -1},
	{{.form = FORM_TEXTS}, "{a,\"b c\"}", 2},
	{{.form = FORM_TEXTS}, "{\"\",\"NULL\"}", 2},
	{{.form = FORM_TEXTS}, "{\"a\\\\\",b}", 2},
	{{.form = FORM_TEXTS}, "{\"a\\\"b\"}", 1},
	{{.form = FORM_TEXTS}, "{\"a\\\\\\\"b\"}", 1},
	{{.form = FORM_TEXTS}, "{\"a\\\"}", -1},
	{{.form = FORM_TEXTS}, "{\"a\\}", -1},
	{{.form = FORM_TEXTS}, "{\"a\"b}", -1},
	{{.form = FORM_TEXTS}, "{a\"b\"}", -1},
	{{.form = FORM_TEXTS}, "{\"a}", -1},
	{{.form = FORM_TEXTS}, "{a,NULL}", -1},
	{{.form = FORM_TEXTS}, "{null}", -1},
	{{.form = FORM_TEXTS}, "{NULLS}", 1},
	{{.form = FORM_TEXTS_OR_NULLS}, "{a,NULL}", 2},
	{{.form = FORM_TEXTS_OR_NULLS}, "{{a}}", -1},
};

int
main(void)
{
	int			ncases = (int) (sizeof(cases) / sizeof(cases[0]));
	int			nfailed = 0;

	printf("1..%d\n", ncases);
	for (int i = 0; i < ncases; i++)
	{
		const Case *test = &cases[i];
		size_t		length = test->length > 0 ? test->length : strlen(test->value);
		char	   *copy = malloc(length + 1);
		size_t		elements;
		bool		matches;
		bool		ok;

		memcpy(copy, test->value, length);
		copy[length] = '\0';
		matches = ftm_form_matches(&test->rule, copy, length, &elements);
		free(copy);
		ok = matches == (test->elements >= 0) &&
			(!matches || elements == (size_t) test->elements);
		nfailed += !ok;
		printf("%sok %d - %s: %s\n", ok ? "" : "not ", i + 1,
			   ftm_form_name(test->rule.form), test->value);
	}
	return nfailed > 0;
}
