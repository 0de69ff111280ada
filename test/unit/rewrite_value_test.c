/*-------------------------------------------------------------------------
 *
 * rewrite_value_test.c
 *		Unit tests of the rewriter for single values.
 *
 *-------------------------------------------------------------------------
 */
#include "ids/rewrite.h"

#include <stdio.h>
#include <string.h>

#define OLD_ID	"0a1b2c3d-1111-4111-8111-00000000000a"
#define NEW_ID	"ffffffff-2222-4222-8222-00000000000b"
#define OTHER	"0a1b2c3d-1111-4111-8111-00000000000c"

static const uint8_t old_id[16] = {0x0a, 0x1b, 0x2c, 0x3d, 0x11, 0x11, 0x41, 0x11, 0x81, 0x11, 0, 0, 0, 0, 0, 0x0a};
static const uint8_t new_id[16] = {0xff, 0xff, 0xff, 0xff, 0x22, 0x22, 0x42, 0x22, 0x82, 0x22, 0, 0, 0, 0, 0, 0x0b};

static int	test_number = 0;
static int	failures = 0;

static bool
lookup(void *arg, const uint8_t source[16], uint8_t target[16])
{
	(void) arg;
	if (memcmp(source, old_id, 16) != 0)
		return false;
	memcpy(target, new_id, 16);
	return true;
}

static void
check(RewriteMode mode, const char *value, RewriteStatus status,
	  const char *expected, const char *name)
{
	RewriteColumn columns[2] = {{REWRITE_KEEP, false}, {mode, true}};
	Rewriter   *rewriter = ftm_rewrite_create(2, columns, false, lookup, NULL, NULL);
	char		buffer[256];
	bool		good;

	strcpy(buffer, value);
	good = ftm_rewrite_value(rewriter, 1, false, buffer, strlen(value)) == status &&
		strcmp(buffer, expected) == 0;
	printf("%sok %d - %s\n", good ? "" : "not ", ++test_number, name);
	failures += !good;
	ftm_rewrite_free(rewriter);
}

static void
check_binary(void)
{
	RewriteColumn column = {REWRITE_UUID, true};
	Rewriter   *rewriter = ftm_rewrite_create(1, &column, false, lookup, NULL, NULL);
	char		buffer[16];
	bool		good;

	memcpy(buffer, old_id, 16);
	good = ftm_rewrite_value(rewriter, 0, true, buffer, 16) == REWRITE_OK &&
		memcmp(buffer, new_id, 16) == 0 &&
		ftm_rewrite_value(rewriter, 0, true, buffer, 15) == REWRITE_MALFORMED;
	printf("%sok %d - binary values\n", good ? "" : "not ", ++test_number);
	failures += !good;
	ftm_rewrite_free(rewriter);
}

int
main(void)
{
	check(REWRITE_UUID, OLD_ID, REWRITE_OK, NEW_ID, "an id");
	check(REWRITE_UUID, OTHER, REWRITE_UNMAPPED, OTHER, "an id that the map lacks");
	check(REWRITE_UUID, "x", REWRITE_MALFORMED, "x", "no id");
	check(REWRITE_TEXT, OLD_ID, REWRITE_OK, NEW_ID, "an id as text");
	check(REWRITE_TEXT, "free", REWRITE_OK, "free", "text without an id");
	check(REWRITE_KEEP, OLD_ID, REWRITE_OK, OLD_ID, "an id in a column that is kept");
	check(REWRITE_EMBEDDED_TEXT, "a\\b" OLD_ID "\t" OTHER "\n", REWRITE_OK,
		  "a\\b" NEW_ID "\t" OTHER "\n", "embedded, behind a backslash that escapes nothing");
	check(REWRITE_EMBEDDED_UUIDS, "{" OLD_ID ",NULL," OTHER "}", REWRITE_OK,
		  "{" NEW_ID ",NULL," OTHER "}", "an array");
	check_binary();
	printf("1..%d\n", test_number);
	return failures > 0;
}
