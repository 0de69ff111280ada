/*-------------------------------------------------------------------------
 *
 * stream_test.c
 *		Unit tests of the decoder of pgoutput's messages.
 *
 * The messages are written by hand after the chapter "Logical Replication
 * Message Formats" of PostgreSQL's manual, field by field.  Each of them is also
 * cut at every length, which must be an error, in memory that ends there.
 *
 *-------------------------------------------------------------------------
 */
#include "follow/stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int	test_number = 0;
static int	failures = 0;
static StreamDecoder *decoder;
static StreamMessage message;
static char *memory = NULL;	/* of the message decoded last */

static void
ok(bool condition, const char *name)
{
	test_number++;
	printf("%sok %d - %s\n", condition ? "" : "not ", test_number, name);
	if (!condition)
		failures++;
}

/* Decode in memory of just that length, so that reading beyond it is seen. */
static bool
decode(const char *data, size_t length)
{
	free(memory);
	memory = malloc(length > 0 ? length : 1);
	memcpy(memory, data, length);
	return ftm_stream_decode(decoder, memory, length, &message);
}

static bool
fails_at(const char *data, size_t length, size_t expected, const char *error)
{
	size_t		position;

	return !decode(data, length) &&
		strstr(ftm_stream_error(decoder, &position), error) != NULL &&
		position == expected;
}

/* Every beginning of the message, and a byte too many, is an error. */
static void
cut_everywhere(const char *data, size_t length, const char *name)
{
	bool		all = true;
	char		longer[4096] = {0};

	for (size_t cut = 0; cut < length; cut++)
	{
		if (decode(data, cut))
			all = false;
	}
	memcpy(longer, data, length);
	if (decode(longer, length + 1))
		all = false;
	ok(all, name);
}

#define MESSAGE(name, bytes) \
	static const char name[] = bytes; \
	static const size_t name##_length = sizeof(name) - 1

MESSAGE(begin, "B" "\0\0\0\1\2\3\4\5" "\0\2\xa5\x1f\x57\x0c\x80\x01" "\0\0\2\xde");
MESSAGE(commit, "C" "\0" "\0\0\0\1\2\3\4\5" "\0\0\0\1\2\3\4\x45" "\xff\xff\xff\xff\xff\xff\xff\xff");
MESSAGE(origin, "O" "\0\0\0\0\0\0\0\0" "elsewhere\0");
MESSAGE(relation, "R" "\0\0\x40\1" "public\0" "Odd name\0" "d" "\0\2"
		"\1" "id\0" "\0\0\x0b\x86" "\xff\xff\xff\xff"
		"\0" "note\0" "\0\0\4\x13" "\0\0\0\x18");
MESSAGE(type, "Y" "\0\0\x40\2" "\0" "mood\0");
MESSAGE(insert, "I" "\0\0\x40\1" "N" "\0\4" "t\0\0\0\2ab" "n" "u" "b\0\0\0\1\0");
MESSAGE(update, "U" "\0\0\x40\1" "N" "\0\1" "t\0\0\0\0");
MESSAGE(update_key, "U" "\0\0\x40\1" "K" "\0\1" "t\0\0\0\1x" "N" "\0\1" "t\0\0\0\1y");
MESSAGE(update_full, "U" "\0\0\x40\1" "O" "\0\2" "n" "t\0\0\0\1x" "N" "\0\2" "n" "u");
MESSAGE(delete, "D" "\0\0\x40\1" "K" "\0\1" "t\0\0\0\1x");
MESSAGE(truncate_two, "T" "\0\0\0\2" "\3" "\0\0\x40\1" "\0\0\x40\2");
MESSAGE(logical, "M" "\1" "\0\0\0\0\0\0\1\0" "ftmigrate\0" "\0\0\0\3" "1:a");

static void
test_transactions(void)
{
	ok(decode(begin, begin_length) && message.kind == STREAM_BEGIN &&
	   message.final_lsn == UINT64_C(0x102030405) &&
	   message.commit_time == INT64_C(0x2a51f570c8001) && message.xid == 734,
	   "begin");
	ok(decode(commit, commit_length) && message.kind == STREAM_COMMIT &&
	   message.commit_lsn == UINT64_C(0x102030405) &&
	   message.end_lsn == UINT64_C(0x102030445) && message.commit_time == -1,
	   "commit");
	ok(decode(origin, origin_length) && message.kind == STREAM_ORIGIN,
	   "origin");
	ok(decode(logical, logical_length) && message.transactional &&
	   message.message_lsn == 256 &&
	   strcmp(message.prefix, "ftmigrate") == 0 &&
	   message.content_length == 3 &&
	   memcmp(message.content, "1:a", 3) == 0, "logical message");
}

static void
test_tables(void)
{
	ok(decode(relation, relation_length) && message.relation == 16385 &&
	   strcmp(message.schema, "public") == 0 &&
	   strcmp(message.name, "Odd name") == 0 && message.identity == 'd' &&
	   message.ncolumns == 2, "relation");
	ok(message.columns[0].is_key && strcmp(message.columns[0].name, "id") == 0 &&
	   message.columns[0].type == 2950 && message.columns[0].typmod == -1 &&
	   !message.columns[1].is_key &&
	   strcmp(message.columns[1].name, "note") == 0 &&
	   message.columns[1].type == 1043 && message.columns[1].typmod == 24,
	   "its columns");
	ok(decode(type, type_length) && message.type == 16386 &&
	   message.schema[0] == '\0' && strcmp(message.name, "mood") == 0, "type");
	ok(decode(truncate_two, truncate_two_length) && message.ntruncated == 2 &&
	   message.cascade && message.restart_sequences &&
	   ftm_stream_truncated(&message, 0) == 16385 &&
	   ftm_stream_truncated(&message, 1) == 16386, "truncation");
}

static bool
is_text(const StreamValue *value, const char *text)
{
	return value->kind == STREAM_TEXT && value->length == strlen(text) &&
		memcmp(value->data, text, value->length) == 0;
}

static void
test_rows(void)
{
	ok(decode(insert, insert_length) && message.relation == 16385 &&
	   message.old_kind == STREAM_OLD_NONE && message.new_row.nvalues == 4 &&
	   is_text(&message.new_row.values[0], "ab") &&
	   message.new_row.values[1].kind == STREAM_NULL &&
	   message.new_row.values[2].kind == STREAM_UNCHANGED &&
	   message.new_row.values[3].kind == STREAM_BINARY &&
	   message.new_row.values[3].length == 1, "insert");
	ok(decode(update, update_length) && message.old_kind == STREAM_OLD_NONE &&
	   message.new_row.nvalues == 1 && is_text(&message.new_row.values[0], ""),
	   "update");
	ok(decode(update_key, update_key_length) &&
	   message.old_kind == STREAM_OLD_KEY &&
	   is_text(&message.old_row.values[0], "x") &&
	   is_text(&message.new_row.values[0], "y"), "update of a key");
	ok(decode(update_full, update_full_length) &&
	   message.old_kind == STREAM_OLD_ROW && message.old_row.nvalues == 2 &&
	   message.old_row.values[0].kind == STREAM_NULL &&
	   is_text(&message.old_row.values[1], "x") &&
	   message.new_row.values[1].kind == STREAM_UNCHANGED,
	   "update with identity full");
	ok(decode(delete, delete_length) && message.old_kind == STREAM_OLD_KEY &&
	   message.new_row.nvalues == 0 &&
	   is_text(&message.old_row.values[0], "x"), "delete");
	ok(decode(insert, insert_length) && memcmp(memory, insert, insert_length) == 0,
	   "a message stays as it is");
}

#define FAILS(bytes, position, error, name) \
	ok(fails_at(bytes, sizeof(bytes) - 1, position, error), name)

static void
test_errors(void)
{
	FAILS("", 0, "ends too early", "an empty message");
	FAILS("S\0\0\0\1\1", 0, "kind of message is 0x53", "a streamed transaction");
	FAILS("B\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 1, "is zero",
		  "a position of zero");
	FAILS("C\1", 1, "flags are 0x01", "flags of a commit");
	FAILS("R\0\0\0\1a\0b\0x\0\0", 9, "replica identity is 0x78",
		  "an unknown replica identity");
	FAILS("R\0\0\0\1a\0b\0d\x06\x41", 10, "number of columns is 1601",
		  "too many columns");
	FAILS("R\0\0\0\1a", 5, "goes on behind", "a name without an end");
	FAILS("I\0\0\0\1K\0\0", 5, "kind of row in an insert is 0x4b",
		  "an insert of an old row");
	FAILS("U\0\0\0\1K\0\0K\0\0", 8, "kind of row in an update is 0x4b",
		  "an update without a new row");
	FAILS("D\0\0\0\1N\0\0", 5, "kind of row in a delete is 0x4e",
		  "a delete of a new row");
	FAILS("I\0\0\0\1N\0\1z", 8, "kind of value is 0x7a", "an unknown value");
	FAILS("I\0\0\0\1N\0\1t\0\0\0\2a", 9, "length is 2, but only 1 bytes follow",
		  "a value that is too long");
	FAILS("I\0\0\0\1N\0\1t\xff\xff\xff\xff", 9, "length is -1",
		  "a length below zero");
	FAILS("T\xff\xff\xff\xff\0", 1, "truncation of 4294967295 tables",
		  "too many truncated tables");
	FAILS("T\0\0\0\0\4", 5, "flags are 0x04", "flags of a truncation");
	FAILS("Y\0\0\0\1a\0b\0!", 9, "1 bytes behind its end", "a byte too many");
}

static void
test_cuts(void)
{
	cut_everywhere(begin, begin_length, "begin, cut");
	cut_everywhere(commit, commit_length, "commit, cut");
	cut_everywhere(origin, origin_length, "origin, cut");
	cut_everywhere(relation, relation_length, "relation, cut");
	cut_everywhere(type, type_length, "type, cut");
	cut_everywhere(insert, insert_length, "insert, cut");
	cut_everywhere(update, update_length, "update, cut");
	cut_everywhere(update_key, update_key_length, "update of a key, cut");
	cut_everywhere(update_full, update_full_length, "update with identity full, cut");
	cut_everywhere(delete, delete_length, "delete, cut");
	cut_everywhere(truncate_two, truncate_two_length, "truncation, cut");
	cut_everywhere(logical, logical_length, "logical message, cut");
}

int
main(void)
{
	decoder = ftm_stream_create();
	test_transactions();
	test_tables();
	test_rows();
	test_errors();
	test_cuts();
	ftm_stream_free(decoder);
	free(memory);
	printf("1..%d\n", test_number);
	return failures > 0;
}
