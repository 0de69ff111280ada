/*-------------------------------------------------------------------------
 *
 * diff_report.c
 *		The result of ftm_diff(): columns of the rows that differ.
 *
 * Rows come as places and are collected; when there are enough of them, both
 * ends are asked for the columns, and the result grows.  Memory is bounded by
 * the number of rows that are asked for at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

#include "base/target.h"
#include "ids/map_back.h"
#include "verify/diff_report.h"

/* Differing rows whose columns are fetched at once. */
#define BATCH_ROWS		50

/* The columns of one row. */
typedef struct RowValues
{
	uint64	   *hashes;
	char	  **texts;			/* NULL for SQL NULL */
} RowValues;

/* A row that differs; an end that lacks it has no tableoid. */
typedef struct Difference
{
	RowPlace	places[DIFF_SIDES];
	RowValues  *values[DIFF_SIDES];
} Difference;

struct DiffReport
{
	const char *table_name;
	const DiffSql *sql;
	SourceConnection *source;
	const UserMap *map;
	ReturnSetInfo *rsinfo;
	Difference	batch[BATCH_ROWS];
	int			batch_count;
	MemoryContext context;		/* reset for each batch */
};

/* Where the rows of one end go. */
typedef struct ValuesReceiver
{
	DiffReport *report;
	DiffSide	side;
} ValuesReceiver;

DiffReport *
ftm_diff_report_create(const char *table_name, const DiffSql *sql,
					   SourceConnection *source, ReturnSetInfo *rsinfo)
{
	DiffReport *report = palloc0(sizeof(DiffReport));

	report->table_name = table_name;
	report->sql = sql;
	report->source = source;
	report->map = ftm_usermap_load(CurrentMemoryContext);
	report->rsinfo = rsinfo;
	report->context = AllocSetContextCreate(CurrentMemoryContext,
											"ftmigrate diff values",
											ALLOCSET_DEFAULT_SIZES);
	return report;
}

void
ftm_diff_report_add(DiffReport *report, const RowPlace *source,
					const RowPlace *target)
{
	Difference *difference = &report->batch[report->batch_count++];

	memset(difference, 0, sizeof(Difference));
	if (source != NULL)
		difference->places[DIFF_SOURCE] = *source;
	if (target != NULL)
		difference->places[DIFF_TARGET] = *target;
	if (report->batch_count == BATCH_ROWS)
		ftm_diff_report_flush(report);
}

static bool
is_there(const Difference *difference, DiffSide side)
{
	return OidIsValid(difference->places[side].tableoid);
}

/*
 * Elements of an array's text; nulls may be NULL if there are none.
 */
static Datum *
array_elements(const char *text, Oid element, int expected, bool **nulls)
{
	int16		length;
	bool		by_value;
	char		alignment;
	Datum		array;
	Datum	   *elements;
	int			count;

	array = OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(text),
							 ObjectIdGetDatum(element), Int32GetDatum(-1));
	get_typlenbyvalalign(element, &length, &by_value, &alignment);
	deconstruct_array(DatumGetArrayTypeP(array), element, length, by_value,
					  alignment, &elements, nulls, &count);
	if (count != expected)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("a row has %d values, expected %d", count, expected)));
	return elements;
}

/* tableoid, ctid, hashes, texts: for the difference that waits for them */
static void
receive_values(void *arg, char **values)
{
	ValuesReceiver *receiver = arg;
	DiffReport *report = receiver->report;
	int			ncolumns = report->sql->ncolumns;
	MemoryContext old = MemoryContextSwitchTo(report->context);
	RowValues  *row = palloc(sizeof(RowValues));
	Datum	   *elements;
	bool	   *nulls;

	row->hashes = palloc(sizeof(uint64) * Max(1, ncolumns));
	row->texts = palloc0(sizeof(char *) * Max(1, ncolumns));
	elements = array_elements(values[2], INT8OID, ncolumns, NULL);
	for (int i = 0; i < ncolumns; i++)
		row->hashes[i] = (uint64) DatumGetInt64(elements[i]);
	elements = array_elements(values[3], TEXTOID, ncolumns, &nulls);
	for (int i = 0; i < ncolumns; i++)
	{
		if (!nulls[i])
			row->texts[i] = TextDatumGetCString(elements[i]);
	}
	MemoryContextSwitchTo(old);

	for (int i = 0; i < report->batch_count; i++)
	{
		Difference *difference = &report->batch[i];
		const RowPlace *place = &difference->places[receiver->side];

		if (place->tableoid == atooid(values[0]) &&
			strcmp(values[1],
				   psprintf("(%u,%u)",
							ItemPointerGetBlockNumber(&place->ctid),
							ItemPointerGetOffsetNumber(&place->ctid))) == 0)
			difference->values[receiver->side] = row;
	}
}

/*
 * The statement for the batch's rows on one end; NULL if it has none of them.
 */
static char *
values_statement(DiffReport *report, DiffSide side)
{
	RowPlace	places[BATCH_ROWS];
	int			count = 0;

	for (int i = 0; i < report->batch_count; i++)
	{
		if (is_there(&report->batch[i], side))
			places[count++] = report->batch[i].places[side];
	}
	return count > 0 ?
		ftm_diff_sql_values(report->sql, side, places, count) : NULL;
}

/*
 * Fetch the columns of the batch's rows, from both ends at the same time.
 */
static void
read_values(DiffReport *report)
{
	static const AnswerShape shape = {
		"values of rows", 0, BATCH_ROWS, MAX_LARGE_ANSWER_BYTES, {
			OID_COLUMN, PLACE_COLUMN, INT64S_COLUMN, TEXTS_OR_NULLS_COLUMN
		}
	};
	ValuesReceiver receivers[DIFF_SIDES] = {
		{report, DIFF_SOURCE}, {report, DIFF_TARGET}
	};
	char	   *source_sql = values_statement(report, DIFF_SOURCE);
	char	   *target_sql = values_statement(report, DIFF_TARGET);

	if (source_sql != NULL)
		ftm_source_send_query(report->source, &shape, source_sql, 0, NULL);
	if (target_sql != NULL)
		ftm_target_scan(target_sql, report->sql->target, receive_values,
						&receivers[DIFF_TARGET]);
	if (source_sql != NULL)
	{
		RowSet	   *rows = ftm_source_receive(report->source);

		for (int i = 0; i < rows->nrows; i++)
			receive_values(&receivers[DIFF_SOURCE],
						   &rows->values[i * rows->ncolumns]);
	}
	for (int i = 0; i < report->batch_count; i++)
	{
		for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
		{
			if (is_there(&report->batch[i], side) &&
				report->batch[i].values[side] == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_DATA_EXCEPTION),
						 errmsg("a row of table %s was not found again in the %s",
								report->table_name,
								side == DIFF_SOURCE ? "source" : "target")));
		}
	}
}

/*
 * The text of a column, as the target has it or should have it: in the
 * source's values user ids are replaced.
 */
static char *
shown_text(const DiffReport *report, DiffSide side, int column, char *text)
{
	const PlanColumn *plan = report->sql->columns[column]->column;

	if (text == NULL || side == DIFF_TARGET || plan->mode == REWRITE_KEEP)
		return text;

	/* A whole value is an id, or it is left alone. */
	if (plan->mode == REWRITE_TEXT && strlen(text) != 36)
		return text;
	text = ftm_mapback_expected_text(report->map, text);

	/* The order of keys depends on the ids among them. */
	if (strcmp(plan->target->type->base_name, "jsonb") == 0 &&
		strcmp(plan->target->type->base_schema, "pg_catalog") == 0)
		text = DatumGetCString(DirectFunctionCall1(jsonb_out,
												   DirectFunctionCall1(jsonb_in,
																	   CStringGetDatum(text))));
	return text;
}

/*
 * Is this text, of a value of this type, JSON as it is?  JSON's numbers are
 * neither NaN nor infinite.
 */
static bool
is_json(const CatalogType *type, const char *text)
{
	static const char *const numbers[] = {
		"int2", "int4", "int8", "numeric", "float4", "float8"
	};

	if (strcmp(type->base_schema, "pg_catalog") != 0)
		return false;
	if (strcmp(type->base_name, "json") == 0 ||
		strcmp(type->base_name, "jsonb") == 0)
		return true;
	for (int i = 0; i < (int) lengthof(numbers); i++)
	{
		if (strcmp(type->base_name, numbers[i]) == 0)
			return text[0] != '\0' &&
				isdigit((unsigned char) text[strlen(text) - 1]) != 0;
	}
	return false;
}

/*
 * Append a column's value to a JSON object; what JSON has no form for becomes
 * a string.
 */
static void
append_json_value(StringInfo json, const CatalogType *type, const char *text)
{
	if (text == NULL)
		appendStringInfoString(json, "null");
	else if (strcmp(type->base_name, "bool") == 0 &&
			 strcmp(type->base_schema, "pg_catalog") == 0)
		appendStringInfoString(json, text[0] == 't' ? "true" : "false");
	else if (is_json(type, text))
		appendStringInfoString(json, text);
	else
		escape_json(json, text);
}

/*
 * A row, or only the columns of its key, as a JSON object.
 */
static char *
row_as_json(const DiffReport *report, DiffSide side, const RowValues *values,
			bool key_only)
{
	StringInfoData json;

	initStringInfo(&json);
	for (int i = 0; i < report->sql->ncolumns; i++)
	{
		const PlanColumn *column = report->sql->columns[i]->column;

		if (key_only && !report->sql->in_key[i])
			continue;
		appendStringInfoString(&json, json.len > 0 ? ", " : "{");
		escape_json(&json, column->target->name);
		appendStringInfoString(&json, ": ");
		append_json_value(&json,
						  side == DIFF_SOURCE ? column->source->type :
						  column->target->type,
						  shown_text(report, side, i, values->texts[i]));
	}
	appendStringInfoString(&json, json.len > 0 ? "}" : "{}");
	return json.data;
}

/* key, change, column_name, source_value, target_value */
static void
put_row(DiffReport *report, const char *key, const char *change, const char *column,
		const char *source_value, const char *target_value)
{
	const char *texts[5] = {NULL, change, column, source_value, target_value};
	Datum		values[5] = {0};
	bool		nulls[5];

	nulls[0] = key == NULL;
	if (key != NULL)
		values[0] = DirectFunctionCall1(jsonb_in, CStringGetDatum(key));
	for (int i = 1; i < 5; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (!nulls[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc,
						 values, nulls);
}

/*
 * A row that both ends have: one row of the result for each column.
 */
static void
put_changed_columns(DiffReport *report, const Difference *difference, const char *key)
{
	const RowValues *source = difference->values[DIFF_SOURCE];
	const RowValues *target = difference->values[DIFF_TARGET];

	for (int i = 0; i < report->sql->ncolumns; i++)
	{
		if (source->hashes[i] == target->hashes[i] &&
			(source->texts[i] == NULL) == (target->texts[i] == NULL))
			continue;
		put_row(report, key, "changed",
				report->sql->columns[i]->column->target->name,
				shown_text(report, DIFF_SOURCE, i, source->texts[i]),
				target->texts[i]);
	}
}

static void
put_difference(DiffReport *report, const Difference *difference)
{
	DiffSide	side = is_there(difference, DIFF_TARGET) ?
		DIFF_TARGET : DIFF_SOURCE;
	const RowValues *values = difference->values[side];
	char	   *key = NULL;

	if (report->sql->has_key)
		key = row_as_json(report, side, values, true);
	if (!is_there(difference, DIFF_TARGET))
		put_row(report, key, "missing", NULL,
				row_as_json(report, side, values, false), NULL);
	else if (!is_there(difference, DIFF_SOURCE))
		put_row(report, key, "extra", NULL, NULL,
				row_as_json(report, side, values, false));
	else
		put_changed_columns(report, difference, key);
}

void
ftm_diff_report_flush(DiffReport *report)
{
	MemoryContext old = MemoryContextSwitchTo(report->context);

	read_values(report);
	for (int i = 0; i < report->batch_count; i++)
		put_difference(report, &report->batch[i]);
	report->batch_count = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(report->context);
}
