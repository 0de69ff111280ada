/*-------------------------------------------------------------------------
 *
 * answer_form.h
 *		The form that one value of an answer must have.
 *
 * Independent of PostgreSQL, like rewrite.c, so that it can be fuzzed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ANSWER_FORM_H
#define FTM_ANSWER_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ValueForm
{
	FORM_NONE,					/* ends a list of forms */
	FORM_TEXT,					/* any bytes but zero; their encoding is the
								 * caller's to check */
	FORM_JSON,					/* the same, and the caller parses it */
	FORM_LETTER,				/* one of letters; see may_be_empty */
	FORM_BOOL,					/* t or f */
	FORM_INTEGER,				/* of 64 bits, within minimum and maximum */
	FORM_DIGITS,				/* an integer of any size */
	FORM_NUMBER,				/* finite, not below minimum */
	FORM_UUID,					/* in lower case, with hyphens */
	FORM_PLACE,					/* a ctid: "(block,offset)" */
	FORM_INTEGERS,				/* array of integers within the bounds */
	FORM_UUIDS,					/* array of uuids */
	FORM_TEXTS,					/* array of texts, none null */
	FORM_TEXTS_OR_NULLS			/* array of texts */
} ValueForm;

typedef struct ValueRule
{
	ValueForm	form;
	bool		may_be_null;
	bool		may_be_empty;	/* FORM_LETTER: '' stands for none */
	int64_t		minimum;
	int64_t		maximum;
	const char *letters;
} ValueRule;

/* The longest FORM_DIGITS. */
#define MAX_FORM_DIGITS		200

/*
 * Does the value, length bytes followed by a zero, have the form?  elements
 * gets the number of its elements if it is an array, otherwise 0.
 */
extern bool ftm_form_matches(const ValueRule *rule, const char *value,
							 size_t length, size_t *elements);

/* Read a FORM_PLACE.  False if it is none. */
extern bool ftm_form_read_place(const char *value, uint32_t *block,
								uint16_t *offset);

/* What the form is called in messages, bounds left out: "an integer". */
extern const char *ftm_form_name(ValueForm form);

#endif							/* FTM_ANSWER_FORM_H */
