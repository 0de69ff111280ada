/*-------------------------------------------------------------------------
 *
 * recorded_answers.c
 *		What a source has answered about its schema, kept for later.
 *
 * The answers are kept as they are, texts in rows, so that whoever asks gets
 * from a record what a source would have said.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/pg_list.h"
#include "utils/json.h"

#include "base/target.h"
#include "schema/recorded_answers.h"

typedef struct RecordedAnswer
{
	char	   *question;
	RowSet	   *rows;
	Size		allocated;		/* values */
} RecordedAnswer;

struct SourceRecord
{
	List	   *answers;		/* of RecordedAnswer */
};

static RecordedAnswer *find_answer(const SourceRecord *record,
								   const char *question);
static void append_rows(RecordedAnswer *answer, const RowSet *more);

SourceRecord *
ftm_record_create(void)
{
	return palloc0(sizeof(SourceRecord));
}

static RecordedAnswer *
find_answer(const SourceRecord *record, const char *question)
{
	ListCell   *lc;

	foreach(lc, record->answers)
	{
		RecordedAnswer *answer = lfirst(lc);

		if (strcmp(answer->question, question) == 0)
			return answer;
	}
	return NULL;
}

void
ftm_record_add(SourceRecord *record, const char *question, const RowSet *rows)
{
	RecordedAnswer *answer = find_answer(record, question);

	if (answer == NULL)
	{
		answer = palloc0(sizeof(RecordedAnswer));
		answer->question = pstrdup(question);
		answer->rows = palloc0(sizeof(RowSet));
		record->answers = lappend(record->answers, answer);
	}
	append_rows(answer, rows);
}

static void
append_rows(RecordedAnswer *answer, const RowSet *more)
{
	RowSet	   *rows = answer->rows;
	Size		old = (Size) rows->nrows * rows->ncolumns;
	Size		added = (Size) more->nrows * more->ncolumns;

	if (added == 0)
		return;
	if (old > 0 && rows->ncolumns != more->ncolumns)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("rows of \"%s\" have different numbers of values",
						answer->question)));
	if (answer->allocated < old + added)
	{
		answer->allocated = Max(64, 2 * (old + added));
		rows->values = rows->values == NULL ?
			palloc_extended(sizeof(char *) * answer->allocated,
							MCXT_ALLOC_HUGE) :
			repalloc_huge(rows->values, sizeof(char *) * answer->allocated);
	}
	memcpy(rows->values + old, more->values, sizeof(char *) * added);
	rows->ncolumns = more->ncolumns;
	rows->nrows += more->nrows;
}

RowSet *
ftm_record_answer(const SourceRecord *record, const char *question,
				  const AnswerShape *shape)
{
	RecordedAnswer *answer = find_answer(record, question);
	char	   *fault;

	if (answer == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("the export does not say what the source's %s are",
						question)));
	fault = ftm_answer_check(shape, answer->rows);
	if (fault != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("what the export says about the source's %s is not usable",
						question),
				 errdetail_internal("%s", fault)));
	return answer->rows;
}

void
ftm_record_put_json(StringInfo text, const SourceRecord *record)
{
	ListCell   *lc;

	appendStringInfoChar(text, '{');
	foreach(lc, record->answers)
	{
		RecordedAnswer *answer = lfirst(lc);
		const RowSet *rows = answer->rows;

		appendStringInfoString(text, foreach_current_index(lc) > 0 ?
							   ",\n    " : "\n    ");
		escape_json(text, answer->question);
		appendStringInfoString(text, ": [");
		for (int row = 0; row < rows->nrows; row++)
		{
			appendStringInfoString(text, row > 0 ? ",\n      [" : "\n      [");
			for (int column = 0; column < rows->ncolumns; column++)
			{
				const char *value = ftm_rowset_value(rows, row, column);

				if (column > 0)
					appendStringInfoString(text, ", ");
				if (value != NULL)
					escape_json(text, value);
				else
					appendStringInfoString(text, "null");
			}
			appendStringInfoChar(text, ']');
		}
		appendStringInfoChar(text, ']');
	}
	appendStringInfoString(text, "\n  }");
}

/*
 * One row of the query is one row of an answer, its values as the text of an
 * array; a question without an answer has a row of nulls.
 */
SourceRecord *
ftm_record_from_json(const char *text)
{
	static const char sql[] =
		"SELECT q.key, v.n, v.value, r.i IS NULL"
		"  FROM pg_catalog.json_each($1::pg_catalog.json->'catalog') AS q"
		"  LEFT JOIN LATERAL pg_catalog.json_array_elements(q.value)"
		"   WITH ORDINALITY AS r(value, i) ON true"
		"  LEFT JOIN LATERAL pg_catalog.json_array_elements_text(r.value)"
		"   WITH ORDINALITY AS v(value, n) ON true"
		" ORDER BY q.key, r.i, v.n";
	RowSet	   *values = ftm_target_query(sql, 1, &text);
	SourceRecord *record = ftm_record_create();
	int			next;

	if (values->nrows == 0)
		return NULL;
	for (int first = 0; first < values->nrows; first = next)
	{
		RowSet		row = {0};

		/* values of one row are numbered from 1 */
		for (next = first + 1; next < values->nrows &&
			 ftm_rowset_int64(values, next, 1) > 1; next++)
			 ;
		if (!ftm_rowset_bool(values, first, 3))
		{
			row.nrows = 1;
			row.ncolumns = next - first;
			row.values = palloc(sizeof(char *) * row.ncolumns);
			for (int i = 0; i < row.ncolumns; i++)
				row.values[i] = ftm_rowset_value(values, first + i, 2);
		}
		ftm_record_add(record, ftm_rowset_value(values, first, 0), &row);
	}
	return record;
}
