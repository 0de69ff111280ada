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

#include "catalog_sql.h"
#include "expression.h"
#include "target.h"
#include "verify.h"
#include "verify_schema.h"

/*
 * The columns of the tables in $1, by table.  Numbered ones take a number from
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
 * Indexes and constraints of the tables in $1 and of their partitions.  Foreign
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
	" i.indisvalid AND i.indisready AND i.indislive, i.indrelid = m.root" \
	" FROM member m" \
	" JOIN pg_catalog.pg_index i ON i.indrelid = m.oid" \
	" JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid" \
	" UNION ALL " \
	"SELECT m.root, false, pg_catalog.quote_ident(k.conname)," \
	" k.convalidated, k.conrelid = m.root" \
	" FROM member m" \
	" JOIN pg_catalog.pg_constraint k ON k.conrelid = m.oid" \
	" WHERE k.contype IN ('c', 'p', 'u', 'x')" \
	" ORDER BY 1, 2, 3"

enum
{
	OBJECT_TABLE,
	OBJECT_IS_INDEX,
	OBJECT_NAME,
	OBJECT_VALID,
	OBJECT_OF_ROOT
};

/* Names of the two in an export. */
#define COLUMNS_QUESTION	"column definitions"
#define OBJECTS_QUESTION	"indexes and constraints"

/* What is found about one table. */
typedef struct Findings
{
	StringInfoData wrong;
	StringInfoData told;
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

static char *oids_of(const MigrationPlan *plan, bool source);
static VerifyResult *compare_columns(const PlanTable *table,
									 const RowSet *source,
									 const RowSet *target);
static int	find_column(const RowSet *columns, Oid relid, const char *name);
static void compare_nullability(Findings *findings, const ColumnPair *pair);
static void compare_expression(Findings *findings, const ColumnPair *pair);
static void compare_collation(Findings *findings, const ColumnPair *pair);
static bool target_lacks(const char *functions);
static VerifyResult *check_objects(const PlanTable *table,
								   const RowSet *source,
								   const RowSet *target);
static int	count_objects(const RowSet *objects, Oid relid, bool indexes,
						  bool of_root);
static bool not_valid_in_source(const RowSet *objects, Oid relid,
								const char *name);
static void tell(StringInfo text, const char *format,...)
			pg_attribute_printf(2, 3);
static VerifyResult *make_result(const char *kind, const PlanTable *table,
								 Findings *findings);

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
				   ftm_source_query(source, COLUMNS_SQL, 1,
									(const char *const *) &oids.data));
	ftm_record_add(record, OBJECTS_QUESTION,
				   ftm_source_query(source, OBJECTS_SQL, 1,
									(const char *const *) &oids.data));
}

List *
ftm_verify_schema(const MigrationPlan *plan, SourceConnection *source,
				  const SourceRecord *record)
{
	const char *source_oids = oids_of(plan, true);
	const char *target_oids = oids_of(plan, false);
	RowSet	   *source_columns;
	RowSet	   *target_columns;
	RowSet	   *source_objects;
	RowSet	   *target_objects;
	List	   *results = NIL;
	ListCell   *lc;

	if (record != NULL)
	{
		source_columns = ftm_record_answer(record, COLUMNS_QUESTION);
		source_objects = ftm_record_answer(record, OBJECTS_QUESTION);
	}
	else
	{
		source_columns = ftm_source_query(source, COLUMNS_SQL, 1, &source_oids);
		source_objects = ftm_source_query(source, OBJECTS_SQL, 1, &source_oids);
	}
	target_columns = ftm_target_query(COLUMNS_SQL, 1, &target_oids);
	target_objects = ftm_target_query(OBJECTS_SQL, 1, &target_oids);
	foreach(lc, plan->tables)
		results = lappend(results, compare_columns(lfirst(lc), source_columns,
												   target_columns));
	foreach(lc, plan->tables)
		results = lappend(results, check_objects(lfirst(lc), source_objects,
												 target_objects));
	return results;
}

/* The text of an array with the tables of one end. */
static char *
oids_of(const MigrationPlan *plan, bool source)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		appendStringInfo(&text, "%c%u", text.len > 0 ? ',' : '{',
						 source ? table->source->oid : table->target->oid);
	}
	appendStringInfoString(&text, text.len > 0 ? "}" : "{}");
	return text.data;
}

/*
 * Columns that only the target has are no loss.
 */
static VerifyResult *
compare_columns(const PlanTable *table, const RowSet *source,
				const RowSet *target)
{
	Findings	findings;
	int			total = 0;
	int			compared = 0;

	initStringInfo(&findings.wrong);
	initStringInfo(&findings.told);
	for (int row = 0; row < source->nrows; row++)
	{
		const char *name = ftm_rowset_value(source, row, COLUMN_NAME);
		ColumnPair	pair = {source, row, target, 0, quote_identifier(name)};

		if (atooid(ftm_rowset_value(source, row, COLUMN_TABLE)) !=
			table->source->oid)
			continue;
		total++;
		pair.target_row = find_column(target, table->target->oid, name);
		if (pair.target_row < 0)
		{
			tell(&findings.wrong, "column %s is missing on the target",
				 pair.name);
			continue;
		}
		compared++;
		compare_nullability(&findings, &pair);
		compare_expression(&findings, &pair);
		compare_collation(&findings, &pair);
	}
	tell(&findings.told, "%d of %d columns compared", compared, total);
	return make_result("schema", table, &findings);
}

/* The row of a column, -1 if there is none. */
static int
find_column(const RowSet *columns, Oid relid, const char *name)
{
	for (int row = 0; row < columns->nrows; row++)
	{
		if (strcmp(ftm_rowset_value(columns, row, COLUMN_NAME), name) == 0 &&
			atooid(ftm_rowset_value(columns, row, COLUMN_TABLE)) == relid)
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
		tell(&findings->wrong, "column %s is NOT NULL on the source only",
			 pair->name);
	else if (target && !source)
		tell(&findings->told, "column %s is NOT NULL on the target only",
			 pair->name);
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
	bool		source_generated = ftm_rowset_bool(source, s, COLUMN_GENERATED);
	bool		target_generated = ftm_rowset_bool(target, t, COLUMN_GENERATED);
	const char *source_text = ftm_rowset_value(source, s, COLUMN_EXPRESSION);
	const char *target_text = ftm_rowset_value(target, t, COLUMN_EXPRESSION);
	const char *functions = ftm_rowset_value(source, s, COLUMN_FUNCTIONS);
	const char *what = source_generated ? "expression" : "default";

	if (source_generated != target_generated)
	{
		/* The plan has the values of the source's copied, as it says. */
		tell(source_generated ? &findings->told : &findings->wrong,
			 "column %s is generated on the %s only",
			 pair->name, source_generated ? "source" : "target");
		return;
	}
	if (ftm_rowset_bool(source, s, COLUMN_NUMBERED))
	{
		if (ftm_rowset_bool(target, t, COLUMN_NUMBERED))
			return;
		source_text = "a number of a sequence";
	}
	else if (source_text == NULL)
	{
		if (target_text != NULL ||
			ftm_rowset_bool(target, t, COLUMN_NUMBERED))
			tell(&findings->told, "column %s has a default on the target only",
				 pair->name);
		return;
	}
	else if (target_text != NULL &&
			 ftm_expression_equal(source_text, target_text))
		return;

	if (target_text == NULL && ftm_rowset_bool(target, t, COLUMN_NUMBERED))
		target_text = "a number of a sequence";
	tell(functions != NULL && target_lacks(functions) ?
		 &findings->told : &findings->wrong,
		 "column %s has the %s %s on the source and %s on the target",
		 pair->name, what, source_text,
		 target_text != NULL ? target_text : "none");
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
	bool		same_type;

	if (source == NULL || target == NULL || strcmp(source, target) == 0)
		return;
	same_type = strcmp(ftm_rowset_value(pair->source, pair->source_row,
										COLUMN_TYPE),
					   ftm_rowset_value(pair->target, pair->target_row,
										COLUMN_TYPE)) == 0;
	tell(same_type ? &findings->wrong : &findings->told,
		 "column %s has the collation %s on the source and %s on the target",
		 pair->name, source, target);
}

/*
 * A constraint that is not valid in the source either is no difference.  What
 * the target has fewer of is only told: indexes may be replaced on purpose.
 */
static VerifyResult *
check_objects(const PlanTable *table, const RowSet *source,
			  const RowSet *target)
{
	Findings	findings;
	Oid			source_oid = table->source->oid;
	Oid			target_oid = table->target->oid;
	int			indexes = count_objects(target, target_oid, true, false);
	int			constraints = count_objects(target, target_oid, false, false);
	int			source_indexes = count_objects(source, source_oid, true, true);
	int			source_constraints = count_objects(source, source_oid, false,
												   true);

	initStringInfo(&findings.wrong);
	initStringInfo(&findings.told);
	for (int row = 0; row < target->nrows; row++)
	{
		const char *name = ftm_rowset_value(target, row, OBJECT_NAME);

		if (ftm_rowset_bool(target, row, OBJECT_VALID) ||
			atooid(ftm_rowset_value(target, row, OBJECT_TABLE)) != target_oid)
			continue;
		if (ftm_rowset_bool(target, row, OBJECT_IS_INDEX))
			tell(&findings.wrong, "index %s is not valid", name);
		else if (not_valid_in_source(source, source_oid, name))
			tell(&findings.told, "constraint %s is not valid on the source either",
				 name);
		else
			tell(&findings.wrong, "constraint %s is not valid", name);
	}
	tell(&findings.told, "indexes: %d, constraints: %d", indexes, constraints);
	if (source_indexes > count_objects(target, target_oid, true, true))
		tell(&findings.told, "indexes on the source: %d", source_indexes);
	if (source_constraints > count_objects(target, target_oid, false, true))
		tell(&findings.told, "constraints on the source: %d",
			 source_constraints);
	return make_result("indexes and constraints", table, &findings);
}

/* of_root: without those of partitions. */
static int
count_objects(const RowSet *objects, Oid relid, bool indexes, bool of_root)
{
	int			count = 0;

	for (int row = 0; row < objects->nrows; row++)
	{
		if (atooid(ftm_rowset_value(objects, row, OBJECT_TABLE)) == relid &&
			ftm_rowset_bool(objects, row, OBJECT_IS_INDEX) == indexes &&
			(!of_root || ftm_rowset_bool(objects, row, OBJECT_OF_ROOT)))
			count++;
	}
	return count;
}

static bool
not_valid_in_source(const RowSet *objects, Oid relid, const char *name)
{
	for (int row = 0; row < objects->nrows; row++)
	{
		if (atooid(ftm_rowset_value(objects, row, OBJECT_TABLE)) == relid &&
			!ftm_rowset_bool(objects, row, OBJECT_IS_INDEX) &&
			strcmp(ftm_rowset_value(objects, row, OBJECT_NAME), name) == 0)
			return !ftm_rowset_bool(objects, row, OBJECT_VALID);
	}
	return false;
}

/* Append one fragment. */
static void
tell(StringInfo text, const char *format,...)
{
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

/* Ok if nothing is wrong; what is wrong is said first. */
static VerifyResult *
make_result(const char *kind, const PlanTable *table, Findings *findings)
{
	VerifyResult *result = palloc0(sizeof(VerifyResult));

	result->kind = pstrdup(kind);
	result->object = pstrdup(table->name);
	result->source_rows = -1;
	result->target_rows = -1;
	result->ok = findings->wrong.len == 0;
	result->detail = result->ok ? findings->told.data :
		psprintf("%s; %s", findings->wrong.data, findings->told.data);
	return result;
}
