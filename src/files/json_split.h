/*-------------------------------------------------------------------------
 *
 * json_split.h
 *		Finds the objects in a JSON array of objects that comes in pieces.
 *
 * Pure, as rewrite.h: knows nothing of PostgreSQL's headers or of files and
 * allocates nothing, so it can be tested and fuzzed alone.  It knows just
 * enough of JSON to tell where an object ends: strings, escapes and brackets.
 * Whether the object is valid JSON is for the server's parser to say.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_JSON_SPLIT_H
#define FTM_JSON_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Brackets within brackets, at most: more than any server can have written,
 * whose parser recurses within max_stack_depth.
 */
#define JSON_SPLIT_DEPTH	65536

typedef enum JsonSplitStatus
{
	JSON_SPLIT_MORE,			/* all bytes are consumed */
	JSON_SPLIT_OBJECT,			/* an object is complete */
	JSON_SPLIT_ERROR			/* final; see message and at */
} JsonSplitStatus;

/* A place in the file: line and column (in characters) count from 1. */
typedef struct JsonPlace
{
	uint64_t	offset;			/* in bytes, from 0 */
	uint64_t	line;
	uint64_t	column;
} JsonPlace;

typedef enum JsonSplitState
{
	JSON_SPLIT_START,			/* before the array */
	JSON_SPLIT_FIRST,			/* behind "[" */
	JSON_SPLIT_NEXT,			/* behind a comma */
	JSON_SPLIT_INSIDE,			/* in an object */
	JSON_SPLIT_BEHIND,			/* behind an object */
	JSON_SPLIT_END				/* behind the array */
} JsonSplitState;

typedef struct JsonSplitter
{
	JsonPlace	at;				/* of the next byte; after an error, of it */
	JsonPlace	object;			/* where the current object begins */
	const char *message;		/* after an error: a fragment */
	JsonSplitState state;
	bool		in_string;
	bool		escaped;		/* behind a backslash */
	int			depth;			/* open brackets, the object's included */
	uint8_t		is_array[(JSON_SPLIT_DEPTH + 7) / 8];	/* which kind */
} JsonSplitter;

extern void ftm_json_split_init(JsonSplitter *splitter);

/*
 * Go on through data[0 .. length).  data[*start .. *done) belongs to the
 * object that is complete with JSON_SPLIT_OBJECT, or goes on in the next
 * piece with JSON_SPLIT_MORE (it is empty between objects).  The caller goes
 * on at *done.
 */
extern JsonSplitStatus ftm_json_split(JsonSplitter *splitter,
									  const char *data, size_t length,
									  size_t *start, size_t *done);

/* The file ends here: false, with message, if the array does not. */
extern bool ftm_json_split_end(JsonSplitter *splitter);

/* The place length bytes behind place, over the text that stands there. */
extern void ftm_json_advance(JsonPlace *place, const char *text, size_t length);

#endif							/* FTM_JSON_SPLIT_H */
