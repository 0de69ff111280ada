/*-------------------------------------------------------------------------
 *
 * checksum.c
 *		The two statements whose answers tell whether a table's rows are
 *		equal on source and target.
 *
 * The source computes over its own rows in plain SQL; the target computes the
 * same over the stored rows with user ids mapped back by map_back.c.
 *
 * - A row's hash is the server's hash_record_extended().  That one alone is
 *   linear in its columns, so that a sum over rows would not see two values
 *   that changed places within a column.  It is therefore combined, by
 *   exclusive or, with its own hash: that hash sees 32 bits of it only, but
 *   makes the combination anything but linear, and nothing is lost, since the
 *   row's hash is still in it.  The table's checksum is the sum, which does not
 *   depend on the order of the rows.
 * - The hashes of many types ignore part of the value: bigint folds -1 and
 *   4294967295 together, arrays forget their bounds, jsonb and numeric their
 *   scale, floats the sign of zero.  Only types whose hash sees every bit are
 *   hashed as they are; the others through their send function, and what is
 *   left through its output function.
 * - An output function is called as ROW(value)::text, never as value::text: a
 *   cast that somebody created would be called with our rights and could
 *   answer anything.  For the same reason no value is converted by a cast, but
 *   by output and input functions, which is also what COPY in text format does.
 * - Every name is qualified.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/extension.h"
#include "plan/user_column.h"
#include "verify/checksum.h"

const AnswerShape ftm_checksum_shape = {
	"a table's rows", ONE_ROW, 0, {COUNT_COLUMN, DIGITS_COLUMN}
};

/* How a value gets into the row's hash. */
typedef enum HashForm
{
	HASH_VALUE,					/* as it is */
	HASH_TEXT,					/* as it is, under COLLATE "C" */
	HASH_PADDED,				/* output function, blanks kept */
	HASH_SEND,					/* send function */
	HASH_FLOAT,					/* send function, every NaN alike */
	HASH_RECORD					/* output function, by way of ROW() */
} HashForm;

/*
 * Types of pg_catalog that are not HASH_RECORD.  character(n) does not go
 * through its send function, which converts to client_encoding.
 */
static const struct
{
	const char *type;
	HashForm	form;
	const char *function;
}			hash_forms[] =
{
	{"bool", HASH_VALUE, NULL},
	{"int2", HASH_VALUE, NULL},
	{"int4", HASH_VALUE, NULL},
	{"oid", HASH_VALUE, NULL},
	{"date", HASH_VALUE, NULL},
	{"uuid", HASH_VALUE, NULL},
	{"bytea", HASH_VALUE, NULL},
	{"inet", HASH_VALUE, NULL},
	{"text", HASH_TEXT, NULL},
	{"varchar", HASH_TEXT, NULL},
	{"name", HASH_TEXT, NULL},
	{"bpchar", HASH_PADDED, "bpcharout"},
	{"char", HASH_SEND, "charsend"},
	{"int8", HASH_SEND, "int8send"},
	{"numeric", HASH_SEND, "numeric_send"},
	{"time", HASH_SEND, "time_send"},
	{"timetz", HASH_SEND, "timetz_send"},
	{"timestamp", HASH_SEND, "timestamp_send"},
	{"timestamptz", HASH_SEND, "timestamptz_send"},
	{"interval", HASH_SEND, "interval_send"},
	{"money", HASH_SEND, "cash_send"},
	{"float4", HASH_FLOAT, "float4send"},
	{"float8", HASH_FLOAT, "float8send"},
};

/* Input and output functions of a type of pg_catalog. */
typedef struct TypeFunctions
{
	char	   *input;
	char	   *output;
	int			input_arguments;
	Oid			io_parameter;
} TypeFunctions;

/* The statements under construction. */
typedef struct ChecksumBuilder
{
	TableChecksum *checksum;
	const PlanTable *table;
	const char *schema;			/* the extension's, quoted */
	StringInfoData source_row;	/* elements of the rows that are hashed */
	StringInfoData target_row;
	StringInfoData ids_left;	/* terms of sums, bigint and not null */
	StringInfoData ids_kept;
	StringInfoData ids_mixed_case;
	List	   *undecided;		/* of char *: values in which ids are counted */
	List	   *texts;			/* of TextColumn */
} ChecksumBuilder;

/*
 * A column of the target whose value is hashed as a text, and searched for ids
 * as well: the text is made once, below the rest of the statement.
 */
typedef struct TextColumn
{
	const char *column;			/* quoted */
	const char *alias;			/* quoted: no column has this name */
} TextColumn;

static bool
is_builtin(const CatalogType *type)
{
	return strcmp(type->base_schema, "pg_catalog") == 0;
}

static bool
is_type(const CatalogType *type, const char *name)
{
	return is_builtin(type) && strcmp(type->base_name, name) == 0;
}

static bool
same_base_type(const CatalogType *a, const CatalogType *b)
{
	return strcmp(a->base_name, b->base_name) == 0 &&
		strcmp(a->base_schema, b->base_schema) == 0;
}

/*
 * Form of a type (after flattening domains) and the function it needs.
 */
static HashForm
hash_form(const CatalogType *type, const char **function)
{
	for (int i = 0; i < (int) lengthof(hash_forms); i++)
	{
		if (is_type(type, hash_forms[i].type))
		{
			*function = hash_forms[i].function;
			return hash_forms[i].form;
		}
	}
	*function = NULL;
	return HASH_RECORD;
}

static bool
is_text(const CatalogType *type)
{
	const char *function;
	HashForm	form = hash_form(type, &function);

	return form == HASH_TEXT || form == HASH_PADDED;
}

static char *
record_text(const char *value)
{
	return psprintf("ROW(%s)::pg_catalog.text", value);
}

static char *
as_c_text(const char *value)
{
	return psprintf("%s COLLATE pg_catalog.\"C\"", value);
}

/*
 * The expression that is hashed for value, an expression of that type.
 */
static char *
hashed_expression(const char *value, const CatalogType *type)
{
	const char *function;

	switch (hash_form(type, &function))
	{
		case HASH_VALUE:
			return pstrdup(value);
		case HASH_TEXT:
			return as_c_text(value);
		case HASH_PADDED:
			return as_c_text(psprintf("pg_catalog.textin(pg_catalog.%s(%s))",
									  function, value));
		case HASH_SEND:
			return psprintf("pg_catalog.%s(%s)", function, value);
		case HASH_FLOAT:
			return psprintf("pg_catalog.%s(CASE WHEN %s OPERATOR(pg_catalog.=) 'NaN'::pg_catalog.%s"
							" THEN 'NaN'::pg_catalog.%s ELSE %s END)",
							function, value, type->base_name,
							type->base_name, value);
		case HASH_RECORD:
			break;
	}
	return as_c_text(record_text(value));
}

/*
 * Look up the functions of a type that both ends have in pg_catalog, named as
 * here.  False if there is no such type or its functions are not ordinary.
 */
static bool
type_functions(const CatalogType *type, TypeFunctions *functions)
{
	HeapTuple	tuple;
	Form_pg_type form;
	Oid			input;
	Oid			output;

	tuple = SearchSysCache2(TYPENAMENSP, CStringGetDatum(type->base_name),
							ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	input = form->typinput;
	output = form->typoutput;
	functions->io_parameter = getTypeIOParam(tuple);
	ReleaseSysCache(tuple);

	functions->input = get_func_name(input);
	functions->output = get_func_name(output);
	functions->input_arguments = get_func_nargs(input);
	return functions->input != NULL && functions->output != NULL &&
		get_func_namespace(input) == PG_CATALOG_NAMESPACE &&
		get_func_namespace(output) == PG_CATALOG_NAMESPACE;
}

/*
 * Must the source's values be converted before they can equal the target's?
 */
static bool
needs_conversion(const PlanColumn *column)
{
	const CatalogType *source = column->source->type;
	const CatalogType *target = column->target->type;

	return !same_base_type(source, target) ||
		source->base_typmod != target->base_typmod;
}

/*
 * The source's column as a value of the target's type, the way that COPY in
 * text format makes one of the other.  NULL if only text can be compared.
 */
static char *
converted_value(const char *value, const PlanColumn *column)
{
	const CatalogType *target = column->target->type;
	TypeFunctions from;
	TypeFunctions to;

	if (!is_builtin(column->source->type) || !is_builtin(target) ||
		!type_functions(column->source->type, &from) ||
		!type_functions(target, &to))
		return NULL;
	if (to.input_arguments == 1)
		return psprintf("pg_catalog.%s(pg_catalog.%s(%s))",
						quote_identifier(to.input),
						quote_identifier(from.output), value);
	return psprintf("pg_catalog.%s(pg_catalog.%s(%s), %u::pg_catalog.oid, '%d'::pg_catalog.int4)",
					quote_identifier(to.input),
					quote_identifier(from.output), value,
					to.io_parameter, target->base_typmod);
}

/*
 * A column that holds text, character(n) included, as text without losing
 * blanks.
 */
static char *
text_value(const char *value, const CatalogType *type)
{
	TypeFunctions functions;

	if (is_type(type, "text") || !type_functions(type, &functions))
		return pstrdup(value);
	return psprintf("pg_catalog.textin(pg_catalog.%s(%s))",
					quote_identifier(functions.output), value);
}

/*
 * A jsonb value (or array of them) with the ids in it mapped back.  It is
 * parsed again, since the order of keys depends on them.
 */
static char *
mapped_jsonb(const ChecksumBuilder *builder, const char *value,
			 const CatalogType *type)
{
	bool		is_array = is_type(type, "_jsonb");

	return psprintf("pg_catalog.%s(pg_catalog.textout(%s.ftm_source_user_ids("
					"pg_catalog.textin(pg_catalog.%s(%s))))%s)",
					is_array ? "array_in" : "jsonb_in",
					builder->schema,
					is_array ? "array_out" : "jsonb_out",
					value,
					is_array ? psprintf(", %u::pg_catalog.oid, '-1'::pg_catalog.int4",
										JSONBOID) : "");
}

static void
add_term(StringInfo sum, const char *term)
{
	if (sum->len > 0)
		appendStringInfoString(sum, " OPERATOR(pg_catalog.+) ");
	appendStringInfo(sum, "COALESCE(%s, 0)", term);
}

/*
 * Count what is in the text of a column.
 */
static void
count_ids_in_text(ChecksumBuilder *builder, const char *text)
{
	add_term(&builder->ids_left,
			 psprintf("%s.ftm_leftover_user_ids(%s)", builder->schema, text));
	add_term(&builder->ids_mixed_case,
			 psprintf("%s.ftm_mixed_case_user_ids(%s)", builder->schema, text));
}

/*
 * A column whose whole value is a user id, as text: what is no uuid is left
 * alone, uuids inside of more text included.
 */
static char *
id_text_expression(ChecksumBuilder *builder, const char *value,
				   const CatalogType *type)
{
	char	   *text = text_value(value, type);
	char	   *id;

	id = psprintf("CASE WHEN pg_catalog.octet_length(%s) OPERATOR(pg_catalog.=) 36 THEN %s END",
				  text, text);
	count_ids_in_text(builder, id);
	add_term(&builder->ids_kept,
			 psprintf("%s.ftm_kept_user_ids(%s)", builder->schema, id));
	return as_c_text(psprintf("COALESCE(%s.ftm_source_user_ids(%s), %s)",
							  builder->schema, id, text));
}

/*
 * The expression that the target hashes for a column with user ids.
 */
static char *
mapped_expression(ChecksumBuilder *builder, const char *value,
				  const PlanColumn *column)
{
	const CatalogType *type = column->target->type;
	char	   *text;

	if (column->mode == REWRITE_UUID && is_type(type, "uuid"))
	{
		add_term(&builder->ids_left,
				 psprintf("%s.ftm_leftover_user_ids(%s)", builder->schema,
						  value));
		add_term(&builder->ids_kept,
				 psprintf("%s.ftm_kept_user_ids(%s)", builder->schema, value));
		return psprintf("%s.ftm_source_user_id(%s)", builder->schema, value);
	}

	if (column->mode == REWRITE_TEXT && is_text(type))
		return id_text_expression(builder, value, type);

	if (is_type(type, "jsonb") || is_type(type, "_jsonb"))
	{
		count_ids_in_text(builder, record_text(value));
		return as_c_text(record_text(mapped_jsonb(builder, value, type)));
	}

	text = is_text(type) ? text_value(value, type) : record_text(value);
	count_ids_in_text(builder, text);
	return as_c_text(psprintf("%s.ftm_source_user_ids(%s)", builder->schema,
							  text));
}

/*
 * Does a generated column of the target read a column that is rewritten?  Its
 * value differs from the source's then, as it should.
 */
static bool
reads_user_id(const PlanTable *table, const CatalogColumn *generated)
{
	ListCell   *cell;
	ListCell   *name;

	foreach(cell, table->columns)
	{
		PlanColumn *column = lfirst(cell);

		if (column->mode == REWRITE_KEEP || column->target == NULL)
			continue;
		foreach(name, generated->generated_from)
		{
			if (strcmp(lfirst(name), column->target->name) == 0)
				return true;
		}
	}
	return false;
}

/* Types whose values are searched for ids as they are; others, as texts. */
static bool
is_searched_as_is(const CatalogType *type)
{
	return is_type(type, "uuid") || is_type(type, "text") ||
		is_type(type, "varchar") || is_type(type, "bpchar") ||
		is_type(type, "json") || is_type(type, "xml");
}

/*
 * A name for the text of a column of the table.
 */
static char *
text_alias(const ChecksumBuilder *builder)
{
	char	   *alias = psprintf("ftm_text_%d", list_length(builder->texts) + 1);

	while (ftm_catalog_column(builder->table->target, alias) != NULL)
		alias = psprintf("%s_", alias);
	return alias;
}

/*
 * Count known users' ids in a column that nobody has decided about.  Returns
 * what is to be hashed in the target: expression, or the same text by another
 * name.
 */
static char *
count_undecided(ChecksumBuilder *builder, const PlanColumn *column,
				char *expression)
{
	TableChecksum *checksum = builder->checksum;
	const CatalogType *type = column->target->type;
	char	   *name = pstrdup(quote_identifier(column->target->name));
	char	   *value = name;

	checksum->undecided_columns = lappend(checksum->undecided_columns,
										  column->target->name);
	checksum->undecided_decisions = lappend(checksum->undecided_decisions,
											ftm_user_column_decision(builder->table->source,
																	 column->source));
	if (!is_searched_as_is(type))
	{
		TextColumn *text = palloc(sizeof(TextColumn));

		text->column = name;
		text->alias = value = text_alias(builder);
		builder->texts = lappend(builder->texts, text);
		if (strcmp(expression, as_c_text(record_text(name))) == 0)
			expression = as_c_text(value);
	}
	builder->undecided = lappend(builder->undecided, value);
	return expression;
}

static void
append_element(StringInfo row, const char *expression)
{
	if (row->len > 0)
		appendStringInfoString(row, ", ");
	appendStringInfoString(row, expression);
}

/*
 * Add an element to both sides' rows.
 */
static void
add_elements(ChecksumBuilder *builder, const PlanColumn *column,
			 char *source, char *target)
{
	ComparedColumn *compared = palloc(sizeof(ComparedColumn));

	compared->column = column;
	compared->source = source;
	compared->target = target;
	builder->checksum->columns = lappend(builder->checksum->columns, compared);
	append_element(&builder->source_row, source);
	append_element(&builder->target_row,
				   column->count == REWRITE_KEEP || column->counts_gone ? target :
				   count_undecided(builder, column, target));
}

/*
 * Add one column to both sides' rows.
 */
static void
add_column(ChecksumBuilder *builder, const PlanColumn *column)
{
	TableChecksum *checksum = builder->checksum;
	const char *source = ftm_catalog_quote(column->source->name);
	const char *target = quote_identifier(column->target->name);
	char	   *converted;

	if (column->target->generated != '\0' &&
		reads_user_id(builder->table, column->target))
	{
		checksum->notes = lappend(checksum->notes,
								  psprintf("generated column %s reads user ids and is compared with its expression only",
										   target));
		return;
	}

	checksum->columns_hashed++;
	if (needs_conversion(column))
	{
		converted = converted_value(source, column);
		if (converted == NULL)
		{
			/* Types that only their texts have in common. */
			add_elements(builder, column, as_c_text(record_text(source)),
						 column->mode == REWRITE_KEEP ?
						 as_c_text(record_text(target)) :
						 as_c_text(psprintf("%s.ftm_source_user_ids(%s)",
											builder->schema,
											record_text(target))));
			if (column->mode != REWRITE_KEEP)
				count_ids_in_text(builder, record_text(target));
			return;
		}
		source = converted;
	}

	add_elements(builder, column,
				 hashed_expression(source, column->target->type),
				 column->mode == REWRITE_KEEP ?
				 hashed_expression(target, column->target->type) :
				 mapped_expression(builder, target, column));
}

char *
ftm_checksum_row_hash(const char *elements)
{
	if (elements[0] == '\0')
		return pstrdup("0::pg_catalog.int8");
	return psprintf("pg_catalog.hash_record_extended(ROW(%s), 0)", elements);
}

char *
ftm_checksum_finish(const char *row_hash)
{
	return psprintf("(%s OPERATOR(pg_catalog.#) pg_catalog.hashint8extended(%s, 0))",
					row_hash, row_hash);
}

/*
 * "count(*), checksum" of rows with a column row_hash.
 */
static char *
count_and_checksum(void)
{
	return psprintf("pg_catalog.count(*), COALESCE(pg_catalog.sum(%s), 0)",
					ftm_checksum_finish("row_hash"));
}

/*
 * Partitioned tables are read with their partitions, inheritance parents
 * without their children.
 */
char *
ftm_checksum_from(const CatalogTable *table)
{
	return psprintf("FROM %s%s",
					table->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					ftm_catalog_quote_qualified(table->schema, table->name));
}

/*
 * The statement that recomputes the target's generated columns, those without
 * counterpart on the source included; NULL if there are none.
 */
static char *
generated_sql(const CatalogTable *table)
{
	StringInfoData wrong;
	ListCell   *cell;

	initStringInfo(&wrong);
	foreach(cell, table->columns)
	{
		CatalogColumn *column = lfirst(cell);

		if (column->generated == '\0')
			continue;
		if (wrong.len > 0)
			appendStringInfoString(&wrong, " OR ");

		/* As text: not every type has an equality that sees all. */
		appendStringInfo(&wrong, "%s IS DISTINCT FROM %s",
						 as_c_text(record_text(quote_identifier(column->name))),
						 as_c_text(record_text(psprintf("(%s)", column->expression))));
	}
	if (wrong.len == 0)
		return NULL;
	return psprintf("SELECT pg_catalog.count(*) %s WHERE %s",
					ftm_checksum_from(table), wrong.data);
}

/*
 * The OFFSET has each row's hash computed once, although it is used twice; being
 * a constant from the beginning, it does not stop parallel query.
 */
static char *
source_sql(const ChecksumBuilder *builder)
{
	return psprintf("SELECT %s FROM (SELECT %s AS row_hash %s OFFSET '0'::pg_catalog.int8) r",
					count_and_checksum(),
					ftm_checksum_row_hash(builder->source_row.data),
					ftm_checksum_from(builder->table->source));
}

/*
 * How many of these values (List of char *) have a known user's id in them: a
 * sum of calls, each of which takes as many as a function can.
 */
static char *
undecided_term(const ChecksumBuilder *builder, const List *values)
{
	StringInfoData term;
	ListCell   *lc;

	initStringInfo(&term);
	foreach(lc, values)
	{
		int			place = foreach_current_index(lc) % FUNC_MAX_ARGS;

		if (place == 0)
			appendStringInfo(&term, "%s%s.ftm_values_with_user_ids(",
							 term.len > 0 ? ") OPERATOR(pg_catalog.+) " : "",
							 builder->schema);
		appendStringInfo(&term, "%s%s", place > 0 ? ", " : "",
						 (char *) lfirst(lc));
	}
	appendStringInfoChar(&term, ')');
	return term.data;
}

/*
 * The target's rows, with texts that are needed more than once.
 */
static char *
target_from(const ChecksumBuilder *builder)
{
	StringInfoData from;
	ListCell   *lc;

	if (builder->texts == NIL)
		return ftm_checksum_from(builder->table->target);
	initStringInfo(&from);
	appendStringInfoString(&from, "FROM (SELECT *");
	foreach(lc, builder->texts)
	{
		TextColumn *text = lfirst(lc);

		appendStringInfo(&from, ", %s AS %s", record_text(text->column),
						 text->alias);
	}
	appendStringInfo(&from, " %s OFFSET '0'::pg_catalog.int8) t",
					 ftm_checksum_from(builder->table->target));
	return from.data;
}

/*
 * The same values, column by column.
 */
static char *
undecided_sql(const ChecksumBuilder *builder)
{
	StringInfoData sql;
	ListCell   *lc;

	if (builder->undecided == NIL)
		return NULL;
	initStringInfo(&sql);
	foreach(lc, builder->undecided)
		appendStringInfo(&sql, "%s COALESCE(pg_catalog.sum(%s), 0)",
						 foreach_current_index(lc) > 0 ? "," : "SELECT",
						 undecided_term(builder, list_make1(lfirst(lc))));
	appendStringInfo(&sql, " %s", target_from(builder));
	return sql.data;
}

static char *
target_sql(const ChecksumBuilder *builder)
{
	const StringInfoData *ids[] = {
		&builder->ids_left, &builder->ids_kept, &builder->ids_mixed_case
	};
	StringInfoData sums;
	StringInfoData terms;

	initStringInfo(&sums);
	initStringInfo(&terms);
	for (int i = 0; i < (int) lengthof(ids); i++)
	{
		if (ids[i]->len == 0)
		{
			appendStringInfoString(&sums, ", 0");
			continue;
		}
		appendStringInfo(&sums, ", COALESCE(pg_catalog.sum(ids_%d), 0)", i);
		appendStringInfo(&terms, ", %s AS ids_%d", ids[i]->data, i);
	}
	if (builder->undecided == NIL)
		appendStringInfoString(&sums, ", 0");
	else
	{
		appendStringInfoString(&sums, ", COALESCE(pg_catalog.sum(ids_undecided), 0)");
		appendStringInfo(&terms, ", %s AS ids_undecided",
						 undecided_term(builder, builder->undecided));
	}
	return psprintf("SELECT %s%s FROM (SELECT %s AS row_hash%s %s OFFSET '0'::pg_catalog.int8) r",
					count_and_checksum(), sums.data,
					ftm_checksum_row_hash(builder->target_row.data), terms.data,
					target_from(builder));
}

/*
 * Rows that the session does not see are not compared; one table that cannot
 * be read must not end the verification of all others.
 */
static char *
obstacle(const PlanTable *table)
{
	if (!table->source->readable)
		return pstrdup("the source's table cannot be read");
	if (table->source->row_security_active)
		return pstrdup("row-level security hides rows of the source's table");
	if (!table->target->readable)
		return pstrdup("the target's table cannot be read");
	if (table->target->row_security_active)
		return pstrdup("row-level security hides rows of the target's table");
	return NULL;
}

TableChecksum *
ftm_checksum_build(const PlanTable *table)
{
	TableChecksum *checksum = palloc0(sizeof(TableChecksum));
	ChecksumBuilder builder = {0};
	ListCell   *cell;

	builder.checksum = checksum;
	builder.table = table;
	builder.schema = ftm_extension_schema_quoted();
	initStringInfo(&builder.source_row);
	initStringInfo(&builder.target_row);
	initStringInfo(&builder.ids_left);
	initStringInfo(&builder.ids_kept);
	initStringInfo(&builder.ids_mixed_case);

	checksum->obstacle = obstacle(table);
	checksum->relid = table->target->oid;
	checksum->columns_total = list_length(table->source->columns);
	checksum->columns_missing = checksum->columns_total;
	foreach(cell, table->columns)
	{
		PlanColumn *column = lfirst(cell);

		if (column->source == NULL || column->target == NULL)
			continue;
		checksum->columns_missing--;
		add_column(&builder, column);
	}

	checksum->source_sql = source_sql(&builder);
	checksum->target_sql = target_sql(&builder);
	checksum->generated_sql = generated_sql(table->target);
	checksum->undecided_sql = undecided_sql(&builder);
	return checksum;
}
