/*-------------------------------------------------------------------------
 *
 * json_split_test.c
 *		Unit tests of the JSON splitter; prints TAP.
 *
 * Each test is a file and what the splitter finds in it, written by hand: the
 * objects, each behind "line:column ", and the error, if there is one.  Every
 * one is fed as a whole and cut in two at each place.
 *
 *-------------------------------------------------------------------------
 */
#include "files/json_split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Case
{
	const char *name;
	const char *file;
	const char *expected;
} Case;

static const Case cases[] = {
	{"empty array", "[]", ""},
	{"empty array with blanks", " \r\n[\t\n ] \n", ""},
	{"one object", "[{\"a\":1}]", "1:2 {\"a\":1}\n"},
	{"a row per line", "[\n{\"a\":1},\n{\"a\":2}\n]\n",
	"2:1 {\"a\":1}\n3:1 {\"a\":2}\n"},
	{"pretty-printed", "[\n  {\n    \"a\" : 1\n  } ,\n\n  { }\n]",
	"2:3 {\n    \"a\" : 1\n  }\n6:3 { }\n"},
	{"brackets in strings", "[{\"a}]\":\"{[\\\"}\"},{}]",
	"1:2 {\"a}]\":\"{[\\\"}\"}\n1:18 {}\n"},
	{"backslash at the end of a string", "[{\"a\":\"\\\\\"},{}]",
	"1:2 {\"a\":\"\\\\\"}\n1:13 {}\n"},
	{"nested", "[{\"a\":[{\"b\":[[]]}]}]", "1:2 {\"a\":[{\"b\":[[]]}]}\n"},
	{"columns are characters", "[{\"\xc3\xbc\":\"\xf0\x9f\x98\x80\"},{}]",
	"1:2 {\"\xc3\xbc\":\"\xf0\x9f\x98\x80\"}\n1:12 {}\n"},

	{"nothing", "", "1:1 the file ends before its array does"},
	{"blanks only", " \n ", "2:2 the file ends before its array does"},
	{"an object", "{}", "1:1 expected an array of objects"},
	{"byte order mark", "\xef\xbb\xbf[]", "1:1 expected an array of objects"},
	{"a number in the array", "[ 1 ]", "1:3 expected an object"},
	{"an array in the array", "[[]]", "1:2 expected an object"},
	{"trailing comma", "[{},]", "1:2 {}\n1:5 expected an object"},
	{"leading comma", "[,{}]", "1:2 expected an object"},
	{"no comma", "[{}{}]", "1:2 {}\n1:4 expected a comma or the end of the array"},
	{"two arrays", "[] []", "1:4 expected nothing behind the array"},
	{"not closed", "[{}\n", "1:2 {}\n2:1 the file ends before its array does"},
	{"cut in an object", "[{\"a\":", "1:7 the file ends inside of an object"},
	{"cut in a string", "[{\"a", "1:5 the file ends inside of an object"},
	{"cut behind a backslash", "[{\"a\\", "1:6 the file ends inside of an object"},
	{"line feed in a string", "[{\"a\nb\":1}]",
	"1:5 a string holds a control character or does not end"},
	{"wrong bracket", "[{\"a\":[}]", "1:8 the bracket closes one of the other kind"},
	{"wrong brace", "[{\"a\":1]", "1:8 the bracket closes one of the other kind"},
};

static char found[8 * JSON_SPLIT_DEPTH];

static void
note(const JsonPlace *place, const char *text)
{
	char		where[64];

	snprintf(where, sizeof(where), "%llu:%llu ",
			 (unsigned long long) place->line,
			 (unsigned long long) place->column);
	strcat(found, where);
	strcat(found, text);
}

static bool
feed(JsonSplitter *splitter, const char *data, size_t length, char *object)
{
	size_t		used = 0;

	while (used < length)
	{
		size_t		start;
		size_t		done;

		switch (ftm_json_split(splitter, data + used, length - used,
							   &start, &done))
		{
			case JSON_SPLIT_ERROR:
				return false;
			case JSON_SPLIT_OBJECT:
				strncat(object, data + used + start, done - start);
				strcat(object, "\n");
				note(&splitter->object, object);
				object[0] = '\0';
				break;
			case JSON_SPLIT_MORE:
				strncat(object, data + used + start, done - start);
				break;
		}
		used += done;
	}
	return true;
}

/* Split file, cut at this place, into found. */
static void
split(const char *file, size_t cut)
{
	JsonSplitter splitter;
	static char object[4 * JSON_SPLIT_DEPTH];

	found[0] = object[0] = '\0';
	ftm_json_split_init(&splitter);
	if (!feed(&splitter, file, cut, object) ||
		!feed(&splitter, file + cut, strlen(file) - cut, object) ||
		!ftm_json_split_end(&splitter))
		note(&splitter.at, splitter.message);
}

static void
test_depth(int number, int depth, bool ok)
{
	char	   *file = calloc(1, 2 * depth + 16);

	strcpy(file, "[{\"a\":");
	memset(file + strlen(file), '[', depth - 1);
	memset(file + strlen(file), ']', depth - 1);
	strcat(file, "}]");
	split(file, 0);
	printf("%sok %d - depth %d\n",
		   (strstr(found, "nested too deeply") == NULL) == ok ? "" : "not ",
		   number, depth);
	free(file);
}

int
main(void)
{
	int			number = 0;
	int			ncases = (int) (sizeof(cases) / sizeof(cases[0]));

	for (int i = 0; i < ncases; i++)
	{
		bool		ok = true;

		for (size_t cut = 0; cut <= strlen(cases[i].file); cut++)
		{
			split(cases[i].file, cut);
			if (strcmp(found, cases[i].expected) == 0)
				continue;
			printf("# cut at %zu: %s\n", cut, found);
			ok = false;
		}
		printf("%sok %d - %s\n", ok ? "" : "not ", ++number, cases[i].name);
	}
	test_depth(++number, JSON_SPLIT_DEPTH, true);
	test_depth(++number, JSON_SPLIT_DEPTH + 1, false);
	printf("1..%d\n", number);
	return 0;
}
