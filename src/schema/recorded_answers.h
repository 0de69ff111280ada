/*-------------------------------------------------------------------------
 *
 * recorded_answers.h
 *		What a source has answered about its schema, kept for later.
 *
 * An export carries it, so that its files can be planned, loaded and verified
 * when the source is gone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_RECORDED_ANSWERS_H
#define FTM_RECORDED_ANSWERS_H

#include "lib/stringinfo.h"

#include "remote/answer.h"

/* Answers by the names of their questions. */
typedef struct SourceRecord SourceRecord;

/* An empty one, in the current memory context. */
extern SourceRecord *ftm_record_create(void);

/*
 * Add the answer to a question.  One that is asked several times, each time
 * for more, has one answer in the end.
 */
extern void ftm_record_add(SourceRecord *record, const char *question,
						   const RowSet *rows);

/*
 * Errors: the question was not asked, or what was read from a file does not
 * have the shape that a source's answer must have.
 */
extern RowSet *ftm_record_answer(const SourceRecord *record,
								 const char *question,
								 const AnswerShape *shape);

/* A JSON object: {"question": [["value", null, ...], ...], ...} */
extern void ftm_record_put_json(StringInfo text, const SourceRecord *record);

/*
 * The way back; NULL if member "catalog" of the JSON object in text is not
 * there.  Errors: not JSON, or not of this form.
 */
extern SourceRecord *ftm_record_from_json(const char *text);

#endif							/* FTM_RECORDED_ANSWERS_H */
