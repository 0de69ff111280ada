/*-------------------------------------------------------------------------
 *
 * verify_schema.c
 *		Are the target's tables what the source's are, and in order?
 *
 * What the application relied on in the source and would miss in the target
 * is a difference: NOT NULL, a default, a generation expression, a collation.
 * Where the target asks for more, or cannot have what the source has, the
 * detail says so and the result is ok.  Types are the plan's business.
 *
 * The plan is hours old at the end of a run, so its catalogs are not used.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/expression.h"
#include "base/target.h"
#include "plan/definition.h"
#include "schema/catalog_sql.h"
#include "schema/constant.h"
#include "schema/schema_ids.h"
#include "verify/verify.h"
#include "verify/verify_schema.h"

/*
 * The columns of the tables in $1, by table's OID.  Numbered ones take a number from
 * a sequence, in whichever way.  The functions of a default are those of other
 * schemas than the tables', those of pg_catalog excepted, which are not in
 * pg_depend.
 */
#define COLUMNS_SQL \
	"SELECT a.attrelid, a.attname," \
	" a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)," \
	" a.attidentity <> '' OR coalesce(e.text LIKE 'nextval(%', false)," \
	" a.attgenerated <> ''," \
	" e.text," \
	" (SELECT pg_catalog.quote_ident(n.nspname) || '.'" \
	"   || pg_catalog.quote_ident(l.collname)" \
	"  FROM pg_catalog.pg_collation l" \
	"  JOIN pg_catalog.pg_namespace n ON n.oid = l.collnamespace" \
	"  WHERE l.oid = a.attcollation)," \
	" pg_catalog.format_type(a.atttypid, NULL)," \
	" (SELECT pg_catalog.array_agg(DISTINCT n.nspname || '.' || f.proname)" \
	"  FROM pg_catalog.pg_depend p" \
	"  JOIN pg_catalog.pg_proc f ON f.oid = p.refobjid" \
	"  JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace" \
	"  WHERE p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass" \
	"  AND p.objid = d.oid" \
	"  AND p.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass" \
	"  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c" \
	"   WHERE c.oid = ANY ($1::pg_catalog.oid[])" \
	"   AND c.relnamespace = n.oid))" \
	" FROM pg_catalog.pg_attribute a" \
	" JOIN pg_catalog.pg_type t ON t.oid = a.atttypid" \
	" LEFT JOIN pg_catalog.pg_attrdef d" \
	"  ON d.adrelid = a.attrelid AND d.adnum = a.attnum" \
	" CROSS JOIN LATERAL (SELECT coalesce(" \
	"  pg_catalog.pg_get_expr(d.adbin, d.adrelid)," \
	"  pg_catalog.pg_get_expr(t.typdefaultbin, 0)) AS text) e" \
	" WHERE a.attrelid = ANY ($1::pg_catalog.oid[])" \
	" AND a.attnum > 0 AND NOT a.attisdropped" \
	" ORDER BY a.attrelid, a.attnum"
#define COLUMNS_SHAPE \
	{"definitions of columns", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, BOOL_COLUMN, BOOL_COLUMN, BOOL_COLUMN, \
		TEXT_OR_NULL, TEXT_OR_NULL, TEXT_COLUMN, TEXTS_OR_NULL}}

enum
{
	COLUMN_TABLE,
	COLUMN_NAME,
	COLUMN_NOT_NULL,
	COLUMN_NUMBERED,
	COLUMN_GENERATED,
	COLUMN_EXPRESSION,
	COLUMN_COLLATION,
	COLUMN_TYPE,
	COLUMN_FUNCTIONS
};

/*
 * Indexes and constraints of the tables in $1 and of their partitions, by
 * table's OID.  Foreign
 * keys have results of their own; NOT NULL is the columns' business.
 */
#define OBJECTS_SQL \
	CATALOG_TREE \
	", member(oid, root) AS (" \
	" SELECT t.oid, t.root FROM tree t" \
	"  WHERE t.root = ANY ($1::pg_catalog.oid[])" \
	" UNION" \
	" SELECT o.oid, o.oid FROM" \
	"  pg_catalog.unnest($1::pg_catalog.oid[]) o(oid))" \
	"SELECT m.root, true, pg_catalog.quote_ident(c.relname)," \
	" i.indisvalid AND i.indisready AND i.indislive," \
	" i.indrelid::pg_catalog.regclass" \
	" FROM member m" \
	" JOIN pg_catalog.pg_index i ON i.indrelid = m.oid" \
	" JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid" \
	" UNION ALL " \
	"SELECT m.root, false, pg_catalog.quote_ident(k.conname)," \
	" k.convalidated," \
	" k.conrelid::pg_catalog.regclass" \
	" FROM member m" \
	" JOIN pg_catalog.pg_constraint k ON k.conrelid = m.oid" \
	" WHERE k.contype IN ('c', 'p', 'u', 'x')" \
	" ORDER BY 1, 2, 3"
#define OBJECTS_SHAPE \
	{"indexes and constraints", ANY_ROWS, 0, { \
		OID_COLUMN, BOOL_COLUMN, TEXT_COLUMN, BOOL_COLUMN, TEXT_COLUMN}}

enum
{
	OBJECT_TABLE,
	OBJECT_IS_INDEX,
	OBJECT_NAME,
	OBJECT_VALID,
	OBJECT_RELATION				/* as to be written in a statement */
};

/* Names of the two in an export. */
#define COLUMNS_QUESTION	"column definitions"
#define OBJECTS_QUESTION	"indexes and constraints"

static const AnswerShape columns_shape = COLUMNS_SHAPE;
static const AnswerShape objects_shape = OBJECTS_SHAPE;

/* Both ends' catalogs, as far as they matter here. */
typedef struct Schemas
{
	RowSet	   *source_columns;	/* of COLUMNS_SQL */
	RowSet	   *target_columns;
	RowSet	   *source_objects;	/* of OBJECTS_SQL */
	RowSet	   *target_objects;
	List	   *definitions;	/* of TableDefinitions */
} Schemas;

/* The rows of one table in one of these; end is the one behind the last. */
typedef struct TableRows
{
	const RowSet *rows;
	int			begin;
	int			end;
} TableRows;

/* What is found about one table. */
typedef struct Findings
{
	const PlanTable *table;
	List	   *differences;	/* of SchemaDifference */
	StringInfoData told;		/* what is worth a word, and no difference */
} Findings;

/* The same column on both ends. */
typedef struct ColumnPair
{
	const RowSet *source;
	int			source_row;
	const RowSet *target;
	int			target_row;
	const char *name;			/* quoted */
} ColumnPair;

static void read_schemas(Schemas *schemas, const MigrationPlan *plan,
						 SourceConnection *source,
						 const SourceRecord *record);
static TableRows rows_of_table(const RowSet *rows, Oid relid);
static void compare_columns(Findings *findings, const Schemas *schemas);
static int	find_column(const TableRows *columns, const char *name);
static void compare_nullability(Findings *findings, const ColumnPair *pair);
static void compare_expression(Findings *findings, const ColumnPair *pair);
static void compare_collation(Findings *findings, const ColumnPair *pair);
static bool target_lacks(const char *functions);
static void check_objects(Findings *findings, const Schemas *schemas);
static void tell_definitions(Findings *findings,
							 const TableDefinitions *definitions);
static int	count_objects(const TableRows *objects, bool indexes);
static bool is_not_valid(const TableRows *constraints, const char *name);
static void begin_findings(Findings *findings, const PlanTable *table);
static void differ(Findings *findings, SchemaAspect aspect, char *text,
				   char *remedy);
static void tell(Findings *findings, const char *format,...)
			pg_attribute_printf(2, 3);
static VerifyResult *make_result(const char *kind, const Findings *findings);

void
ftm_verify_schema_record(List *tables, SourceConnection *source,
						 SourceRecord *record)
{
	StringInfoData oids;
	ListCell   *lc;

	initStringInfo(&oids);
	foreach(lc, tables)
		appendStringInfo(&oids, "%c%u", oids.len > 0 ? ',' : '{',
						 ((CatalogTable *) lfirst(lc))->oid);
	appendStringInfoString(&oids, oids.len > 0 ? "}" : "{}");
	ftm_record_add(record, COLUMNS_QUESTION,
				   ftm_source_query(source, &columns_shape, COLUMNS_SQL, 1,
									(const char *const *) &oids.data));
	ftm_record_add(record, OBJECTS_QUESTION,
				   ftm_source_query(source, &objects_shape, OBJECTS_SQL, 1,
									(const char *const *) &oids.data));
	ftm_definition_record(oids.data, source, record);
}

List *
ftm_verify_schema(const MigrationPlan *plan, SourceConnection *source,
				  const SourceRecord *record)
{
	Schemas		schemas;
	Findings	findings;
	List	   *results = NIL;
	ListCell   *lc;

	read_schemas(&schemas, plan, source, record);
	foreach(lc, plan->tables)
	{
		begin_findings(&findings, lfirst(lc));
		compare_columns(&findings, &schemas);
		results = lappend(results, make_result("schema", &findings));
	}
	foreach(lc, schemas.definitions)
	{
		TableDefinitions *compared = lfirst(lc);

		begin_findings(&findings, compared->table);
		check_objects(&findings, &schemas);
		tell_definitions(&findings, compared);
		results = lappend(results, make_result("indexes and constraints",
											   &findings));
	}
	return results;
}

List *
ftm_verify_schema_differences(const MigrationPlan *plan,
							  SourceConnection *source,
							  const SourceRecord *record,
							  List **definitions)
{
	Schemas		schemas;
	Findings	findings;
	List	   *differences = NIL;
	ListCell   *lc;

	read_schemas(&schemas, plan, source, record);
	foreach(lc, plan->tables)
	{
		begin_findings(&findings, lfirst(lc));
		compare_columns(&findings, &schemas);
		check_objects(&findings, &schemas);
		differences = list_concat(differences, findings.differences);
	}
	*definitions = schemas.definitions;
	return differences;
}

static void
read_schemas(Schemas *schemas, const MigrationPlan *plan,
			 SourceConnection *source, const SourceRecord *record)
{
	const char *source_oids = ftm_plan_oids(plan, true);
	const char *target_oids = ftm_plan_oids(plan, false);

	/* Both servers work at the same time. */
	if (record == NULL)
	{
		ftm_source_send_query(source, &columns_shape, COLUMNS_SQL,
							  1, &source_oids);
		ftm_source_send_query(source, &objects_shape, OBJECTS_SQL,
							  1, &source_oids);
		ftm_definition_send(plan, source);
	}
	schemas->target_columns = ftm_target_query(COLUMNS_SQL, 1, &target_oids);
	schemas->target_objects = ftm_target_query(OBJECTS_SQL, 1, &target_oids);
	schemas->source_columns = record != NULL ?
		ftm_record_answer(record, COLUMNS_QUESTION, &columns_shape) :
		ftm_source_receive(source);
	schemas->source_objects = record != NULL ?
		ftm_record_answer(record, OBJECTS_QUESTION, &objects_shape) :
		ftm_source_receive(source);
	schemas->definitions = ftm_definition_compare(plan, source, record);
}

/* Both kinds of rows begin with the table's OID, and are sorted by it. */
static TableRows
rows_of_table(const RowSet *rows, Oid relid)
{
	TableRows	result = {rows, 0, 0};

	ftm_rowset_range(rows, relid, &result.begin, &result.end);
	return result;
}

/*
 * Columns that only the target has are no loss.
 */
static void
compare_columns(Findings *findings, const Schemas *schemas)
{
	TableRows	source = rows_of_table(schemas->source_columns,
									   findings->table->source->oid);
	TableRows	target = rows_of_table(schemas->target_columns,
									   findings->table->target->oid);
	int			compared = 0;

	for (int row = source.begin; row < source.end; row++)
	{
		const char *name = ftm_rowset_text(source.rows, row, COLUMN_NAME);
		ColumnPair	pair = {source.rows, row, target.rows,
		find_column(&target, name), quote_identifier(name)};

		if (pair.target_row < 0)
		{
			differ(findings, SCHEMA_COLUMN,
				   psprintf("column %s is missing on the target", pair.name),
				   pstrdup("Add it there."));
			continue;
		}
		compared++;
		compare_nullability(findings, &pair);
		compare_expression(findings, &pair);
		compare_collation(findings, &pair);
	}
	tell(findings, "%d of %d columns compared", compared,
		 source.end - source.begin);
}

/* The row of a column, -1 if there is none. */
static int
find_column(const TableRows *columns, const char *name)
{
	for (int row = columns->begin; row < columns->end; row++)
	{
		if (strcmp(ftm_rowset_text(columns->rows, row, COLUMN_NAME), name) == 0)
			return row;
	}
	return -1;
}

/*
 * Without the source's NOT NULL the target takes nulls that nobody expects.
 * The other way round, all rows have passed it.
 */
static void
compare_nullability(Findings *findings, const ColumnPair *pair)
{
	bool		source = ftm_rowset_bool(pair->source, pair->source_row,
										 COLUMN_NOT_NULL);
	bool		target = ftm_rowset_bool(pair->target, pair->target_row,
										 COLUMN_NOT_NULL);

	if (source && !target)
		differ(findings, SCHEMA_NULLABILITY,
			   psprintf("column %s is NOT NULL on the source only", pair->name),
			   psprintf("Execute ALTER TABLE %s ALTER COLUMN %s SET NOT NULL.",
						findings->table->name, pair->name));
	else if (target && !source)
		tell(findings, "column %s is NOT NULL on the target only", pair->name);
}

/*
 * Defaults and generation expressions.  All ways to take a number from a
 * sequence are alike.
 */
static void
compare_expression(Findings *findings, const ColumnPair *pair)
{
	const RowSet *source = pair->source;
	const RowSet *target = pair->target;
	int			s = pair->source_row;
	int			t = pair->target_row;
	bool		generated = ftm_rowset_bool(source, s, COLUMN_GENERATED);
	bool		source_numbered = ftm_rowset_bool(source, s, COLUMN_NUMBERED);
	bool		target_numbered = ftm_rowset_bool(target, t, COLUMN_NUMBERED);
	const char *source_text = source_numbered ? "a number of a sequence" :
	ftm_rowset_value(source, s, COLUMN_EXPRESSION);
	const char *target_text = target_numbered ? "a number of a sequence" :
	ftm_rowset_value(target, t, COLUMN_EXPRESSION);
	const char *functions = ftm_rowset_value(source, s, COLUMN_FUNCTIONS);
	char	   *text;

	if (generated && !ftm_rowset_bool(target, t, COLUMN_GENERATED))
	{
		/* The plan has the source's values copied, as it says. */
		tell(findings, "column %s is generated on the source only", pair->name);
		return;
	}
	if (!generated && ftm_rowset_bool(target, t, COLUMN_GENERATED))
	{
		differ(findings, SCHEMA_GENERATION,
			   psprintf("column %s is generated on the target only", pair->name),
			   pstrdup("Drop the expression there."));
		return;
	}
	if (source_text == NULL)
	{
		if (target_text != NULL)
			tell(findings, "column %s has a default on the target only",
				 pair->name);
		return;
	}
	if (source_numbered ? target_numbered :
		target_text != NULL &&
		(ftm_expression_equal(source_text, target_text) ||
		 ftm_expression_equal(ftm_schema_ids_map(source_text), target_text) ||
		 (!target_numbered && !generated &&
		  ftm_constant_equal(source_text, target_text,
							 findings->table->target->oid,
							 ftm_rowset_text(target, t, COLUMN_NAME)))))
		return;

	text = psprintf("column %s has the %s %s on the source and %s on the target",
					pair->name, generated ? "expression" : "default",
					source_text, target_text != NULL ? target_text : "none");
	if (functions != NULL && target_lacks(functions))
		tell(findings, "%s", text);
	else if (generated)
		differ(findings, SCHEMA_GENERATION, text,
			   pstrdup("Make the expressions the same."));
	else
		differ(findings, SCHEMA_DEFAULT, text,
			   psprintf("Execute ALTER TABLE %s ALTER COLUMN %s %s%s.",
						findings->table->name, pair->name,
						source_numbered ? "ADD GENERATED BY DEFAULT AS IDENTITY" : "SET DEFAULT ",
						source_numbered ? "" : source_text));
}

/*
 * Does the target lack one of these functions (the text of an array)?  Those
 * of Supabase's own schemas, auth.uid() above all, it cannot have.
 */
static bool
target_lacks(const char *functions)
{
	RowSet	   *rows = ftm_target_query("SELECT pg_catalog.count(*) > 0"
										" FROM pg_catalog.unnest($1::pg_catalog.text[]) f(name)"
										" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_proc p"
										"  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace"
										"  WHERE n.nspname || '.' || p.proname = f.name)",
										1, &functions);

	return ftm_rowset_bool(rows, 0, 0);
}

/*
 * Another type's collation is another matter: name has "C", jsonb has none.
 */
static void
compare_collation(Findings *findings, const ColumnPair *pair)
{
	const char *source = ftm_rowset_value(pair->source, pair->source_row,
										  COLUMN_COLLATION);
	const char *target = ftm_rowset_value(pair->target, pair->target_row,
										  COLUMN_COLLATION);
	char	   *text;

	if (source == NULL || target == NULL || strcmp(source, target) == 0)
		return;
	text = psprintf("column %s has the collation %s on the source and %s on the target",
					pair->name, source, target);
	if (strcmp(ftm_rowset_text(pair->source, pair->source_row, COLUMN_TYPE),
			   ftm_rowset_text(pair->target, pair->target_row, COLUMN_TYPE)) == 0)
		differ(findings, SCHEMA_COLLATION, text,
			   psprintf("Give the column of the target COLLATE %s.", source));
	else
		tell(findings, "%s", text);
}

/*
 * A constraint that is not valid in the source either is no difference.
 */
static void
check_objects(Findings *findings, const Schemas *schemas)
{
	TableRows	source = rows_of_table(schemas->source_objects,
									   findings->table->source->oid);
	TableRows	target = rows_of_table(schemas->target_objects,
									   findings->table->target->oid);

	for (int row = target.begin; row < target.end; row++)
	{
		const char *name = ftm_rowset_text(target.rows, row, OBJECT_NAME);
		const char *relation = ftm_rowset_text(target.rows, row,
												OBJECT_RELATION);

		if (ftm_rowset_bool(target.rows, row, OBJECT_VALID))
			continue;
		if (ftm_rowset_bool(target.rows, row, OBJECT_IS_INDEX))
			differ(findings, SCHEMA_INDEX,
				   psprintf("index %s is not valid", name),
				   psprintf("Execute REINDEX TABLE %s.", relation));
		else if (is_not_valid(&source, name))
			tell(findings, "constraint %s is not valid on the source either",
				 name);
		else
			differ(findings, SCHEMA_CONSTRAINT,
				   psprintf("constraint %s is not valid", name),
				   psprintf("Execute ALTER TABLE %s VALIDATE CONSTRAINT %s.",
							relation, name));
	}
	tell(findings, "indexes: %d, constraints: %d",
		 count_objects(&target, true), count_objects(&target, false));
}

/*
 * What is defined otherwise is only told: indexes may be replaced on purpose,
 * and constraints that the new application needs no more be left out.
 */
static void
tell_definitions(Findings *findings, const TableDefinitions *definitions)
{
	int			of_users = 0;
	int			others = 0;
	ListCell   *lc;

	foreach(lc, definitions->differences)
	{
		const DefinitionDifference *difference = lfirst(lc);

		if (difference->of_users)
			of_users++;
		else
		{
			tell(findings, "%s", difference->text);
			others++;
		}
	}
	if (others == 0)
		tell(findings, "as defined on the source%s",
			 of_users > 0 ? ", but for foreign keys to auth.users" : "");
}

static int
count_objects(const TableRows *objects, bool indexes)
{
	int			count = 0;

	for (int row = objects->begin; row < objects->end; row++)
	{
		if (ftm_rowset_bool(objects->rows, row, OBJECT_IS_INDEX) == indexes)
			count++;
	}
	return count;
}

/* Is there such a constraint, and not valid? */
static bool
is_not_valid(const TableRows *objects, const char *name)
{
	for (int row = objects->begin; row < objects->end; row++)
	{
		if (!ftm_rowset_bool(objects->rows, row, OBJECT_IS_INDEX) &&
			strcmp(ftm_rowset_text(objects->rows, row, OBJECT_NAME), name) == 0)
			return !ftm_rowset_bool(objects->rows, row, OBJECT_VALID);
	}
	return false;
}

static void
begin_findings(Findings *findings, const PlanTable *table)
{
	findings->table = table;
	findings->differences = NIL;
	initStringInfo(&findings->told);
}

static void
differ(Findings *findings, SchemaAspect aspect, char *text, char *remedy)
{
	SchemaDifference *difference = palloc(sizeof(SchemaDifference));

	difference->table = findings->table;
	difference->aspect = aspect;
	difference->text = text;
	difference->remedy = remedy;
	findings->differences = lappend(findings->differences, difference);
}

static void
tell(Findings *findings, const char *format,...)
{
	StringInfo	text = &findings->told;

	if (text->len > 0)
		appendStringInfoString(text, "; ");
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(text, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(text, needed);
	}
}

/* Ok if nothing differs; what does is said first. */
static VerifyResult *
make_result(const char *kind, const Findings *findings)
{
	VerifyResult *result = palloc0(sizeof(VerifyResult));
	StringInfoData detail;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, findings->differences)
		appendStringInfo(&detail, "%s; ", ((SchemaDifference *) lfirst(lc))->text);
	appendStringInfoString(&detail, findings->told.data);

	result->kind = pstrdup(kind);
	result->object = pstrdup(findings->table->name);
	result->source_rows = -1;
	result->target_rows = -1;
	result->ok = findings->differences == NIL;
	result->detail = detail.data;
	return result;
}
