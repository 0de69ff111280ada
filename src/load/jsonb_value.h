/*-------------------------------------------------------------------------
 *
 * jsonb_value.h
 *		jsonb values: from the text on the wire to the bytes in a tuple.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_JSONB_VALUE_H
#define FTM_JSONB_VALUE_H

typedef struct JsonbDecoder JsonbDecoder;

/* One that lives in the current memory context, for any number of values. */
extern JsonbDecoder *ftm_jsonb_begin(void);

/*
 * Turn a value as jsonb_send() writes it, length bytes at data, into one as a
 * tuple has it behind its varlena header, in the current memory context, and
 * return its length in *stored.  NULL if the value is malformed or out of the
 * ordinary, and is better left to jsonb_recv().  The byte behind the value is
 * written to, but restored.
 */
extern char *ftm_jsonb_convert(JsonbDecoder *decoder, char *data,
							   int32 length, int *stored);

#endif							/* FTM_JSONB_VALUE_H */
