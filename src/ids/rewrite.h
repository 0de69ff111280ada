/*-------------------------------------------------------------------------
 *
 * rewrite.h
 *		The stream rewriter: replaces user ids in a COPY stream, in place.
 *
 * Pure: bytes in, bytes out.  It knows nothing of PostgreSQL's headers, of
 * libpq or of tables, allocates only in ftm_rewrite_create() (malloc), and
 * can therefore be tested and fuzzed alone.  Replacement never changes a
 * length: a uuid is 16 bytes in binary COPY and 36 as text, before and after.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_REWRITE_H
#define FTM_REWRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ids/known_id.h"

/*
 * What a column holds, and so what is replaced in it.  A uuid as text that is
 * in upper case stays in upper case; one in mixed case is never replaced.
 */
typedef enum RewriteMode
{
	REWRITE_KEEP,				/* nothing is replaced */
	REWRITE_UUID,				/* the value is one user id, type uuid */
	REWRITE_TEXT,				/* the value is one user id, as text; a text
								 * that is no uuid is left alone */
	REWRITE_EMBEDDED_TEXT,		/* every known uuid inside text, text[], json,
								 * jsonb, as 36 characters */
	REWRITE_EMBEDDED_UUIDS,		/* uuid[]: 16-byte elements in binary, 36
								 * characters in text format */

	/* Nothing is replaced, but ids of known users are counted. */
	REWRITE_COUNT_UUID,			/* the value is one uuid */
	REWRITE_COUNT_TEXT,			/* every uuid inside text, arrays of text, json,
								 * jsonb: whatever the case of its letters, and
								 * without hyphens, too */
	REWRITE_COUNT_ANY			/* the same in a value that consists of others
								 * (array, composite, range), in binary also
								 * uuids of 16 bytes */
} RewriteMode;

typedef struct RewriteColumn
{
	RewriteMode mode;
	bool		unmapped_is_error;	/* an id that the map lacks is an error
									 * (REWRITE_UUID and REWRITE_TEXT only) */
} RewriteColumn;

/*
 * Look-up of one user id, 16 bytes.  True: *target has been filled in.  Must
 * not throw.
 */
typedef bool (*RewriteLookup) (void *arg, const uint8_t source[16],
							   uint8_t target[16]);

typedef enum RewriteStatus
{
	REWRITE_OK,
	REWRITE_UNMAPPED,			/* id without mapping, see ftm_rewrite_error */
	REWRITE_MALFORMED			/* not a COPY stream of this many columns */
} RewriteStatus;

typedef struct RewriteCounts
{
	uint64_t	rows;
	uint64_t	ids_mapped;		/* values replaced */
	uint64_t	ids_kept;		/* ids in REWRITE_UUID and REWRITE_TEXT
								 * columns that the map lacks, or that are
								 * in mixed case, left as is */
} RewriteCounts;

typedef struct Rewriter Rewriter;

/*
 * columns is copied.  binary: COPY (FORMAT binary), else text format with the
 * default delimiter and null marker.  known may be NULL if no column's ids are
 * counted; arg is for both functions.  Returns NULL if memory is short.
 */
extern Rewriter *ftm_rewrite_create(int ncolumns, const RewriteColumn *columns,
									bool binary, RewriteLookup lookup,
									KnownId known, void *arg);
extern void ftm_rewrite_free(Rewriter *rewriter);

/*
 * Rewrite all complete units (header, rows, trailer) at the beginning of
 * data[0 .. length) in place; *done is how many bytes they are.  The caller
 * keeps the rest and presents it again, followed by more of the stream; the
 * stream may be cut anywhere.  Bytes behind *done are left as they are, unless
 * there is an error: the row that has it may have been rewritten in part.  Any
 * status but REWRITE_OK is final.
 */
extern RewriteStatus ftm_rewrite(Rewriter *rewriter, char *data,
								 size_t length, size_t *done);

/*
 * Instead of a stream: rewrite one value of a column (from 0), that is not null,
 * in place; as text without any escapes, or as the type's send function has it.
 * A rewriter is used for a stream or for values, never for both.
 */
extern RewriteStatus ftm_rewrite_value(Rewriter *rewriter, int column,
									   bool binary, char *value,
									   size_t length);

/*
 * The stream ends here, with remaining bytes that ftm_rewrite() did not
 * consume: REWRITE_OK if it was complete (a binary stream has had its
 * trailer), else REWRITE_MALFORMED.
 */
extern RewriteStatus ftm_rewrite_end(Rewriter *rewriter, size_t remaining);

extern void ftm_rewrite_counts(const Rewriter *rewriter, RewriteCounts *counts);

/*
 * How many values (column from 0, of a mode that counts) have the id of a known
 * user in them.
 */
extern uint64_t ftm_rewrite_values_with_ids(const Rewriter *rewriter,
											int column);

/*
 * After a status other than REWRITE_OK: what was wrong, as a fragment in the
 * style of an error detail ("field count is 3, expected 5"), valid as long as
 * the rewriter; row and column counted from 1, 0 if not known.  For
 * REWRITE_UNMAPPED, id holds the 16 bytes of the id.
 */
extern const char *ftm_rewrite_error(const Rewriter *rewriter, uint64_t *row,
									 int *column, uint8_t id[16]);

#endif							/* FTM_REWRITE_H */
