/*-------------------------------------------------------------------------
 *
 * known_id.h
 *		Is a known user's id anywhere in a value of a COPY stream?
 *
 * Pure, as rewrite.h.  It looks for what a scan of the source looks for: uuids
 * with hyphens in whatever case, and 32 hexadecimal digits in a row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_KNOWN_ID_H
#define FTM_KNOWN_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Is this the id of a known user?  Must not throw. */
typedef bool (*KnownId) (void *arg, const uint8_t id[16]);

/* What the bytes of a value are. */
typedef enum KnownIdForm
{
	KNOWN_ID_AS_BYTES,			/* one uuid, 16 bytes; other lengths hold none */
	KNOWN_ID_IN_TEXT,			/* text; lengths between the parts of an array do
								 * not matter */
	KNOWN_ID_IN_COPY,			/* text with the escapes of COPY */
	KNOWN_ID_IN_BINARY			/* parts, each behind its length: text, or uuids
								 * of 16 bytes (array, composite, range) */
} KnownIdForm;

extern bool ftm_known_id_in(const char *value, size_t length, KnownIdForm form,
							KnownId known, void *arg);

#endif							/* FTM_KNOWN_ID_H */
