/*-------------------------------------------------------------------------
 *
 * answer.c
 *		What an answer must look like, and the RowSet that is made of it.
 *
 * Messages say which column and row are wrong and what was expected, and not
 * what was sent: that may be in no encoding, of any length, and secret.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "compat.h"
#include "remote/answer.h"

/* What a value takes beside its bytes: a pointer, a chunk's header, padding. */
#define VALUE_OVERHEAD		32

/* And an element of an array, once somebody has made a list of it. */
#define ELEMENT_OVERHEAD	48

struct AnswerBuilder
{
	const AnswerShape *shape;
	int			ncolumns;
	RowSet	   *rows;
	Size		allocated;		/* values */
	Size		bytes;			/* taken by the rows so far */
	MemoryContext context;
};

static char *check_value(const AnswerShape *shape, int column,
						 const char *value, size_t length, Size *bytes);
static char *check_values(const AnswerShape *shape, char **values,
						  const int *lengths, Size *bytes);
static bool is_json(char *value, size_t length);
static void make_room(AnswerBuilder *builder);

int
ftm_answer_columns(const AnswerShape *shape)
{
	int			ncolumns = 0;

	while (ncolumns < MAX_ANSWER_COLUMNS &&
		   shape->columns[ncolumns].form != FORM_NONE)
		ncolumns++;
	return ncolumns;
}

Size
ftm_answer_max_bytes(const AnswerShape *shape)
{
	if (shape->max_bytes != 0)
		return shape->max_bytes;
	return shape->max_rows <= 1 ? MAX_ROW_BYTES : MAX_ANSWER_BYTES;
}

AnswerBuilder *
ftm_answer_begin(const AnswerShape *shape)
{
	AnswerBuilder *builder = palloc0(sizeof(AnswerBuilder));

	builder->shape = shape;
	builder->ncolumns = ftm_answer_columns(shape);
	builder->context = CurrentMemoryContext;
	builder->rows = palloc0(sizeof(RowSet));
	builder->rows->ncolumns = builder->ncolumns;
	return builder;
}

char *
ftm_answer_check_columns(const AnswerShape *shape, int ncolumns)
{
	if (ncolumns == ftm_answer_columns(shape))
		return NULL;
	return psprintf("The answer about %s has %d columns, expected %d.",
					shape->about, ncolumns, ftm_answer_columns(shape));
}

/*
 * bytes grows by what the value takes in memory.
 */
static char *
check_value(const AnswerShape *shape, int column, const char *value,
			size_t length, Size *bytes)
{
	const ValueRule *rule = &shape->columns[column];
	size_t		elements;

	if (value == NULL)
	{
		*bytes += sizeof(char *);
		return rule->may_be_null ? NULL :
			psprintf("Value %d of the answer about %s is null.",
					 column + 1, shape->about);
	}
	if (!ftm_form_matches(rule, value, length, &elements) ||
		(rule->form == FORM_JSON &&
		 !is_json(unconstify(char *, value), length)))
	{
		if (rule->form == FORM_INTEGER)
			return psprintf("Value %d of the answer about %s is not an integer from " INT64_FORMAT " to " INT64_FORMAT ".",
							column + 1, shape->about,
							rule->minimum, rule->maximum);
		return psprintf("Value %d of the answer about %s is not %s.",
						column + 1, shape->about, ftm_form_name(rule->form));
	}
	if (!pg_verify_mbstr(GetDatabaseEncoding(), value, (int) length, true))
		return psprintf("Value %d of the answer about %s is not valid in encoding \"%s\".",
						column + 1, shape->about, GetDatabaseEncodingName());
	*bytes += VALUE_OVERHEAD + length + elements * ELEMENT_OVERHEAD;
	return NULL;
}

/* One JSON value, and nothing behind it. */
static bool
is_json(char *value, size_t length)
{
	JsonLexContext *lexer;

	if (!pg_verify_mbstr(GetDatabaseEncoding(), value, (int) length, true))
		return false;
	lexer = ftm_make_json_lexer(value, (int) length, GetDatabaseEncoding(),
								false);
	return pg_parse_json(lexer, &nullSemAction) == JSON_SUCCESS;
}

/*
 * The values of a row, each as long as lengths says, or to its zero.
 */
static char *
check_values(const AnswerShape *shape, char **values, const int *lengths,
			 Size *bytes)
{
	int			ncolumns = ftm_answer_columns(shape);
	char	   *fault = NULL;

	for (int i = 0; i < ncolumns && fault == NULL; i++)
	{
		size_t		length = 0;

		if (values[i] != NULL)
			length = lengths != NULL ? (size_t) lengths[i] : strlen(values[i]);
		fault = check_value(shape, i, values[i], length, bytes);
	}
	return fault;
}

char *
ftm_answer_check_row(const AnswerShape *shape, char **values,
					 const int *lengths)
{
	Size		bytes = 0;

	return check_values(shape, values, lengths, &bytes);
}

char *
ftm_answer_add_row(AnswerBuilder *builder, char **values, const int *lengths)
{
	const AnswerShape *shape = builder->shape;
	Size		max_bytes = ftm_answer_max_bytes(shape);
	RowSet	   *rows = builder->rows;
	MemoryContext old;
	char	   *fault;

	if (rows->nrows >= shape->max_rows)
		return psprintf("The answer about %s has more rows than " INT64_FORMAT ".",
						shape->about, shape->max_rows);
	fault = check_values(shape, values, lengths, &builder->bytes);
	if (fault != NULL)
		return psprintf("%s  This is row %d.", fault, rows->nrows + 1);
	if (builder->bytes > max_bytes)
		return psprintf("The answer about %s takes more than %zu MB.",
						shape->about, max_bytes / (1024 * 1024));

	old = MemoryContextSwitchTo(builder->context);
	make_room(builder);
	for (int i = 0; i < builder->ncolumns; i++)
		rows->values[(Size) rows->nrows * builder->ncolumns + i] =
			values[i] != NULL ? pstrdup(values[i]) : NULL;
	rows->nrows++;
	MemoryContextSwitchTo(old);
	return NULL;
}

/* For one more row. */
static void
make_room(AnswerBuilder *builder)
{
	RowSet	   *rows = builder->rows;
	Size		needed = ((Size) rows->nrows + 1) * builder->ncolumns;

	if (needed <= builder->allocated)
		return;
	builder->allocated = Max(64, 2 * needed);
	if (rows->values == NULL)
		rows->values = palloc_extended(sizeof(char *) * builder->allocated,
									   MCXT_ALLOC_HUGE);
	else
		rows->values = repalloc_huge(rows->values,
									 sizeof(char *) * builder->allocated);
}

char *
ftm_answer_end(AnswerBuilder *builder, RowSet **rows)
{
	*rows = builder->rows;
	if (builder->rows->nrows >= builder->shape->min_rows)
		return NULL;
	return psprintf("The answer about %s has %d rows, expected at least " INT64_FORMAT ".",
					builder->shape->about, builder->rows->nrows,
					builder->shape->min_rows);
}

char *
ftm_answer_check(const AnswerShape *shape, const RowSet *rows)
{
	int			ncolumns = ftm_answer_columns(shape);
	char	   *fault = NULL;

	if (rows->nrows < shape->min_rows || rows->nrows > shape->max_rows)
		return psprintf("The answer about %s has %d rows.",
						shape->about, rows->nrows);
	if (rows->nrows > 0)
		fault = ftm_answer_check_columns(shape, rows->ncolumns);
	for (int row = 0; row < rows->nrows && fault == NULL; row++)
	{
		CHECK_FOR_INTERRUPTS();
		fault = ftm_answer_check_row(shape,
									 &rows->values[(Size) row * ncolumns],
									 NULL);
	}
	return fault;
}
