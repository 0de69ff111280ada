/*-------------------------------------------------------------------------
 *
 * answer.h
 *		What an answer must look like, and the RowSet that is made of it.
 *
 * A source is not trusted: whatever it sends is input.  Every query is sent
 * together with the shape of its answer, and whatever does not have that shape
 * is refused where it enters, so that nobody behind has to check again: the
 * number of columns and rows, nulls, the form and bounds of each value, its
 * encoding, and the memory that all of it takes.  The files of an export are
 * held to the same shapes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ANSWER_H
#define FTM_ANSWER_H

#include "base/rowset.h"
#include "remote/answer_form.h"

/* The most columns that an answer may have. */
#define MAX_ANSWER_COLUMNS	24

/*
 * The most bytes that an answer may take in memory, what holds it together
 * included: some 300 000 columns of tables.
 */
#define MAX_ANSWER_BYTES	((Size) 256 * 1024 * 1024)

/* The same for one row of figures and names. */
#define MAX_ROW_BYTES		((Size) 16 * 1024 * 1024)

/* The same for lists of one entry per user, and for rows of users' tables. */
#define MAX_LARGE_ANSWER_BYTES	((Size) 1024 * 1024 * 1024)

typedef struct AnswerShape
{
	const char *about;			/* for messages: "the answer about ..." */
	int64		min_rows;
	int64		max_rows;
	Size		max_bytes;		/* 0: MAX_ANSWER_BYTES, or MAX_ROW_BYTES if
								 * there is one row at most */
	ValueRule	columns[MAX_ANSWER_COLUMNS];	/* ended by FORM_NONE */
} AnswerShape;

/* Numbers of rows, for AnswerShape's second and third member. */
#define ONE_ROW				1, 1
#define ONE_ROW_OR_NONE		0, 1
#define ANY_ROWS			0, PG_INT64_MAX

/* Columns; _OR_NULL may be null. */
#define TEXT_COLUMN			{.form = FORM_TEXT}
#define TEXT_OR_NULL		{.form = FORM_TEXT, .may_be_null = true}
#define JSON_COLUMN			{.form = FORM_JSON}
#define JSON_OR_NULL		{.form = FORM_JSON, .may_be_null = true}
#define BOOL_COLUMN			{.form = FORM_BOOL}
#define BOOL_OR_NULL		{.form = FORM_BOOL, .may_be_null = true}
#define LETTER_COLUMN(set) {.form = FORM_LETTER, .letters = set}
#define LETTER_OR_EMPTY(set) {.form = FORM_LETTER, .may_be_empty = true, .letters = set}
#define INTEGER_COLUMN(least, most) {.form = FORM_INTEGER, .minimum = least, .maximum = most}
#define INTEGER_OR_NULL(least, most) {.form = FORM_INTEGER, .may_be_null = true, .minimum = least, .maximum = most}
#define COUNT_COLUMN		INTEGER_COLUMN(0, PG_INT64_MAX)
#define COUNT_OR_NULL		INTEGER_OR_NULL(0, PG_INT64_MAX)
#define INT64_COLUMN		INTEGER_COLUMN(PG_INT64_MIN, PG_INT64_MAX)
#define OID_COLUMN			INTEGER_COLUMN(1, PG_UINT32_MAX)
#define OID_OR_ZERO			INTEGER_COLUMN(0, PG_UINT32_MAX)
#define OID_OR_NULL			INTEGER_OR_NULL(1, PG_UINT32_MAX)
#define TYPMOD_COLUMN		INTEGER_COLUMN(-1, PG_INT32_MAX)
#define DIGITS_COLUMN		{.form = FORM_DIGITS}
#define NUMBER_COLUMN(least) {.form = FORM_NUMBER, .minimum = least}
#define UUID_COLUMN			{.form = FORM_UUID}
#define PLACE_COLUMN		{.form = FORM_PLACE}
#define TEXTS_COLUMN		{.form = FORM_TEXTS}
#define TEXTS_OR_NULL		{.form = FORM_TEXTS, .may_be_null = true}
#define OIDS_OR_NULL		{.form = FORM_INTEGERS, .may_be_null = true, .minimum = 1, .maximum = PG_UINT32_MAX}
#define TYPMODS_OR_NULL		{.form = FORM_INTEGERS, .may_be_null = true, .minimum = -1, .maximum = PG_INT32_MAX}
#define INT64S_COLUMN		{.form = FORM_INTEGERS, .minimum = PG_INT64_MIN, .maximum = PG_INT64_MAX}
#define TEXTS_OR_NULLS_COLUMN	{.form = FORM_TEXTS_OR_NULLS}
#define UUIDS_OR_NULL		{.form = FORM_UUIDS, .may_be_null = true}

/* How many columns there are. */
extern int	ftm_answer_columns(const AnswerShape *shape);

/* How many bytes it may take. */
extern Size ftm_answer_max_bytes(const AnswerShape *shape);

/*
 * An answer that grows row by row, in the memory context that is current at
 * the beginning.  shape must live as long.
 */
typedef struct AnswerBuilder AnswerBuilder;

extern AnswerBuilder *ftm_answer_begin(const AnswerShape *shape);

/*
 * These return NULL if all is as it must be, and otherwise say what is wrong,
 * as a sentence that quotes nothing of the answer.  lengths may be NULL: the
 * values end with a zero, anyway.  ftm_answer_add_row() copies.
 */
extern char *ftm_answer_check_columns(const AnswerShape *shape, int ncolumns);
extern char *ftm_answer_add_row(AnswerBuilder *builder, char **values,
								const int *lengths);
extern char *ftm_answer_end(AnswerBuilder *builder, RowSet **rows);

/* The same for one row that is not kept, and for all rows of a set. */
extern char *ftm_answer_check_row(const AnswerShape *shape, char **values,
								  const int *lengths);
extern char *ftm_answer_check(const AnswerShape *shape, const RowSet *rows);

#endif							/* FTM_ANSWER_H */
