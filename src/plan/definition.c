/*-------------------------------------------------------------------------
 *
 * definition.c
 *		Constraints and indexes of both ends, compared by definition.
 *
 * Each is taken apart into what makes it what it is, so that names, the order
 * of two servers' catalogs and the way in which a major version prints an
 * expression make no difference.  Equal ones are paired off first; of those
 * left over, two of the same kind and name are one that differs, and the rest
 * are missing on one end.  What the source says of a user may be said of the
 * user's new id in the target.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/expression.h"
#include "base/target.h"
#include "plan/definition.h"
#include "schema/catalog_sql.h"
#include "schema/catalog_type.h"
#include "schema/schema_ids.h"

/* Name in an export. */
#define DEFINITIONS_QUESTION	"definitions of indexes and constraints"

/* The tables of $1 (OIDs), and their partitions, with the table of $1. */
#define MEMBERS \
	CATALOG_TREE \
	", member(oid, root, own_root) AS (" \
	" SELECT t.oid, t.root, t.oid = t.root FROM tree t" \
	"  WHERE t.root = ANY ($1::pg_catalog.oid[])" \
	" UNION" \
	" SELECT o.oid, o.oid, true FROM" \
	"  pg_catalog.unnest($1::pg_catalog.oid[]) o(oid))"

/*
 * What an index key is apart from its column or expression: whatever is not
 * the default of the operator class, the collation and the order of sorting.
 */
#define KEY_TRAITS \
	"SELECT pg_catalog.array_agg(pg_catalog.concat_ws(' '," \
	"   CASE WHEN NOT oc.opcdefault THEN oc.opcname END," \
	"   CASE WHEN i.indcollation[u.n - 1] IS DISTINCT FROM a.attcollation" \
	"    THEN 'COLLATE ' || co.collname END," \
	"   CASE i.indoption[u.n - 1] WHEN 0 THEN NULL WHEN 1 THEN 'DESC NULLS LAST'" \
	"    WHEN 2 THEN 'NULLS FIRST' ELSE 'DESC' END," \
	"   pg_catalog.array_to_string(ia.attoptions, ',')) ORDER BY u.n)" \
	"  FROM pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) u(n)" \
	"  JOIN pg_catalog.pg_opclass oc ON oc.oid = i.indclass[u.n - 1]" \
	"  JOIN pg_catalog.pg_attribute ia" \
	"   ON ia.attrelid = i.indexrelid AND ia.attnum = u.n" \
	"  LEFT JOIN pg_catalog.pg_attribute a" \
	"   ON a.attrelid = i.indrelid AND a.attnum = i.indkey[u.n - 1]" \
	"  LEFT JOIN pg_catalog.pg_collation co" \
	"   ON co.oid = i.indcollation[u.n - 1]"

/*
 * Columns that a later version has added are asked for by to_jsonb().  A
 * statement that creates an index of a partitioned table says ONLY, which would
 * leave out its partitions.
 */
#define DEFINITIONS_SQL \
	MEMBERS \
	"SELECT m.root, n.nspname, c.relname, m.own_root," \
	" CASE WHEN k.contype IN ('p', 'x') THEN k.contype ELSE 'i' END," \
	" coalesce(k.conname, ic.relname), k.oid IS NOT NULL, true," \
	" pg_catalog.concat_ws(' ', CASE WHEN i.indisunique THEN 'UNIQUE' END," \
	"  am.amname," \
	"  CASE WHEN (pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct')::pg_catalog.bool" \
	"   THEN 'NULLS NOT DISTINCT' END," \
	"  CASE WHEN (pg_catalog.to_jsonb(k) ->> 'conperiod')::pg_catalog.bool" \
	"   THEN 'WITHOUT OVERLAPS' END," \
	"  CASE WHEN k.condeferrable THEN 'DEFERRABLE' END," \
	"  CASE WHEN k.condeferred THEN 'INITIALLY DEFERRED' END)," \
	" (SELECT pg_catalog.array_agg(" \
	"   pg_catalog.pg_get_indexdef(i.indexrelid, u.n, false) ORDER BY u.n)" \
	"  FROM pg_catalog.generate_series(1, i.indnkeyatts::pg_catalog.int4) u(n))," \
	" (" KEY_TRAITS ")," \
	" (SELECT pg_catalog.array_agg(x.name ORDER BY x.name) FROM" \
	"  (SELECT pg_catalog.pg_get_indexdef(i.indexrelid, u.n, false)" \
	"   FROM pg_catalog.generate_series(i.indnkeyatts + 1," \
	"    i.indnatts::pg_catalog.int4) u(n)" \
	"   UNION ALL SELECT o.oprname" \
	"   FROM pg_catalog.unnest(k.conexclop) WITH ORDINALITY u(op, n)" \
	"   JOIN pg_catalog.pg_operator o ON o.oid = u.op) x(name))," \
	" pg_catalog.pg_get_expr(i.indpred, i.indrelid)," \
	" NULL," \
	" CASE WHEN k.oid IS NOT NULL THEN pg_catalog.pg_get_constraintdef(k.oid)" \
	"  ELSE pg_catalog.regexp_replace(" \
	"   pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') END" \
	" FROM member m" \
	" JOIN pg_catalog.pg_class c ON c.oid = m.oid" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" JOIN pg_catalog.pg_index i ON i.indrelid = m.oid" \
	" JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid" \
	" JOIN pg_catalog.pg_am am ON am.oid = ic.relam" \
	" LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = i.indexrelid" \
	"  AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')" \
	" WHERE NOT ic.relispartition" \
	" UNION ALL " \
	"SELECT m.root, n.nspname, c.relname, m.own_root, k.contype, k.conname," \
	" true, k.convalidated," \
	" pg_catalog.concat_ws(' '," \
	"  CASE WHEN k.contype = 'f' THEN pg_catalog.concat('MATCH '," \
	"   k.confmatchtype, ' ON UPDATE ', k.confupdtype, ' ON DELETE '," \
	"   k.confdeltype) END," \
	"  (SELECT '(' || pg_catalog.string_agg(a.attname, ', ' ORDER BY a.attname)" \
	"    || ')'" \
	"   FROM pg_catalog.jsonb_array_elements_text(" \
	"    CASE WHEN pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(k) -> 'confdelsetcols')" \
	"     = 'array' THEN pg_catalog.to_jsonb(k) -> 'confdelsetcols' END) s(attnum)" \
	"   JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid" \
	"    AND a.attnum = s.attnum::pg_catalog.int2)," \
	"  CASE WHEN (pg_catalog.to_jsonb(k) ->> 'conperiod')::pg_catalog.bool" \
	"   THEN 'PERIOD' END," \
	"  CASE WHEN NOT (pg_catalog.to_jsonb(k) ->> 'conenforced')::pg_catalog.bool" \
	"   THEN 'NOT ENFORCED' END," \
	"  CASE WHEN k.contype = 'c' AND k.connoinherit THEN 'NO INHERIT' END," \
	"  CASE WHEN k.condeferrable THEN 'DEFERRABLE' END," \
	"  CASE WHEN k.condeferred THEN 'INITIALLY DEFERRED' END)," \
	" NULL," \
	" (SELECT pg_catalog.array_agg(pg_catalog.quote_ident(a.attname) || ' = '" \
	"   || pg_catalog.quote_ident(ra.attname) ORDER BY a.attname, ra.attname)" \
	"  FROM pg_catalog.generate_subscripts(k.confkey, 1) u(n)" \
	"  JOIN pg_catalog.pg_attribute a" \
	"   ON a.attrelid = k.conrelid AND a.attnum = k.conkey[u.n]" \
	"  JOIN pg_catalog.pg_attribute ra" \
	"   ON ra.attrelid = k.confrelid AND ra.attnum = k.confkey[u.n])," \
	" NULL," \
	" pg_catalog.pg_get_expr(k.conbin, k.conrelid)," \
	" pg_catalog.quote_ident(rn.nspname) || '.'" \
	"  || pg_catalog.quote_ident(rc.relname)," \
	" pg_catalog.pg_get_constraintdef(k.oid)" \
	" FROM member m" \
	" JOIN pg_catalog.pg_class c ON c.oid = m.oid" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" JOIN pg_catalog.pg_constraint k ON k.conrelid = m.oid" \
	" LEFT JOIN pg_catalog.pg_class rc ON rc.oid = k.confrelid" \
	" LEFT JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace" \
	" WHERE k.contype IN ('c', 'f') AND k.conparentid = 0" \
	" AND (k.conislocal OR NOT c.relispartition)" \
	" UNION ALL " \
	"SELECT m.root, n.nspname, c.relname, false, 'b', c.relname, false, true," \
	" pg_catalog.pg_get_expr(c.relpartbound, c.oid)," \
	" NULL, NULL, NULL, NULL, NULL," \
	" pg_catalog.pg_get_expr(c.relpartbound, c.oid)" \
	" FROM member m" \
	" JOIN pg_catalog.pg_class c ON c.oid = m.oid" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" WHERE c.relispartition AND m.oid <> m.root" \
	" ORDER BY 1, 2, 3, 5, 6"
#define DEFINITIONS_SHAPE \
	{"definitions of indexes and constraints", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, TEXT_COLUMN, BOOL_COLUMN, \
		LETTER_COLUMN("pxicfb"), TEXT_COLUMN, BOOL_COLUMN, BOOL_COLUMN, \
		TEXT_COLUMN, TEXTS_OR_NULL, TEXTS_OR_NULL, TEXTS_OR_NULL, \
		TEXT_OR_NULL, TEXT_OR_NULL, TEXT_COLUMN}}

enum
{
	DEFINITION_TABLE,
	DEFINITION_SCHEMA,			/* of the table, or of a partition */
	DEFINITION_RELATION,
	DEFINITION_OF_ROOT,
	DEFINITION_KIND,			/* p, x, i (UNIQUE too), c, f; b: a partition and
								 * its bound */
	DEFINITION_NAME,
	DEFINITION_IS_CONSTRAINT,
	DEFINITION_VALIDATED,
	DEFINITION_TRAITS,
	DEFINITION_KEYS,			/* array: expressions */
	DEFINITION_KEY_TRAITS,		/* array; a foreign key's pairs of columns */
	DEFINITION_INCLUDED,		/* array: columns, operators of EXCLUDE */
	DEFINITION_EXPRESSION,		/* predicate, or what CHECK says */
	DEFINITION_REFERENCE,		/* table that a foreign key refers to */
	DEFINITION_SQL				/* as the server prints it */
};

static const AnswerShape definitions_shape = DEFINITIONS_SHAPE;

/* The definitions of one table on one end. */
typedef struct Definitions
{
	const RowSet *rows;
	int			begin;
	int			end;			/* the one behind the last */
	bool	   *paired;			/* by row of rows */
} Definitions;

static TableDefinitions *compare_table(const PlanTable *table,
									   const RowSet *source_rows,
									   const RowSet *target_rows);
static void find_definitions(Definitions *definitions, const RowSet *rows,
							 Oid relid);
static void pair_equal(TableDefinitions *result, Definitions *source,
					   Definitions *target);
static void pair_names(TableDefinitions *result, Definitions *source,
					   Definitions *target);
static void compare_domains(TableDefinitions *result);
static void pair_bounds(TableDefinitions *result, Definitions *source,
						Definitions *target);
static bool is_bound(const RowSet *rows, int row);
static void add_missing(TableDefinitions *result, const Definitions *source,
						const Definitions *target);
static void add_extra(TableDefinitions *result, const Definitions *source,
					  const Definitions *target);
static bool has_relation(const Definitions *definitions, const RowSet *rows,
						 int row);
static bool are_equal(const RowSet *a, int row_a, const RowSet *b, int row_b);
static bool same_relation(const RowSet *a, int row_a,
						  const RowSet *b, int row_b);
static bool same_texts(const RowSet *a, int row_a, const RowSet *b, int row_b,
					   int column);
static bool same_expression(const char *a, const char *b);
static bool same_keys(const char *a, const char *b);
static char *describe(const RowSet *rows, int row);
static const char *definition_of(const RowSet *rows, int row);
static bool is_unique(const RowSet *rows, int row);
static const char *kind_name(const RowSet *rows, int row);
static char *relation_of(const RowSet *rows, int row);
static char *create_statement(const RowSet *rows, int row);
static char *remedy(const char *drop, const char *create);
static char *drop_statement(const RowSet *rows, int row);
static DefinitionDifference *add_difference(TableDefinitions *result,
											char *text, char *hint);

void
ftm_definition_record(const char *oids, SourceConnection *source,
					  SourceRecord *record)
{
	ftm_record_add(record, DEFINITIONS_QUESTION,
				   ftm_source_query(source, &definitions_shape,
									DEFINITIONS_SQL, 1, &oids));
}

void
ftm_definition_send(const MigrationPlan *plan, SourceConnection *source)
{
	const char *oids = ftm_plan_oids(plan, true);

	ftm_source_send_query(source, &definitions_shape, DEFINITIONS_SQL, 1,
						  &oids);
}

List *
ftm_definition_compare(const MigrationPlan *plan, SourceConnection *source,
					   const SourceRecord *record)
{
	const char *target_oids = ftm_plan_oids(plan, false);
	RowSet	   *source_rows;
	RowSet	   *target_rows;
	List	   *results = NIL;
	ListCell   *lc;

	target_rows = ftm_target_query(DEFINITIONS_SQL, 1, &target_oids);
	source_rows = record != NULL ?
		ftm_record_answer(record, DEFINITIONS_QUESTION,
						  &definitions_shape) :
		ftm_source_receive(source);

	foreach(lc, plan->tables)
		results = lappend(results, compare_table(lfirst(lc), source_rows,
												 target_rows));
	return results;
}

static TableDefinitions *
compare_table(const PlanTable *table, const RowSet *source_rows,
			  const RowSet *target_rows)
{
	TableDefinitions *result = palloc0(sizeof(TableDefinitions));
	Definitions source;
	Definitions target;

	CHECK_FOR_INTERRUPTS();
	result->table = table;
	find_definitions(&source, source_rows, table->source->oid);
	find_definitions(&target, target_rows, table->target->oid);
	for (int row = source.begin; row < source.end; row++)
	{
		if (ftm_rowset_bool(source.rows, row, DEFINITION_IS_CONSTRAINT))
			result->constraints++;
		else if (!is_bound(source.rows, row))
			result->indexes++;
	}
	compare_domains(result);
	pair_bounds(result, &source, &target);
	pair_equal(result, &source, &target);
	pair_names(result, &source, &target);
	add_missing(result, &source, &target);
	add_extra(result, &source, &target);
	return result;
}

/* Rows are sorted by table. */
static void
find_definitions(Definitions *definitions, const RowSet *rows, Oid relid)
{
	ftm_rowset_range(rows, relid, &definitions->begin, &definitions->end);
	definitions->rows = rows;
	definitions->paired = palloc0(Max(1, definitions->end - definitions->begin));
	definitions->paired -= definitions->begin;
}

/*
 * A type that is another one is the plan's business; this is a domain of the
 * same name whose constraints are others.
 */
static void
compare_domains(TableDefinitions *result)
{
	ListCell   *lc;

	foreach(lc, result->table->columns)
	{
		const PlanColumn *column = lfirst(lc);
		const CatalogType *source = column->source->type;
		const CatalogType *target = column->target->type;

		if (source->typtype == TYPTYPE_DOMAIN &&
			target->typtype == TYPTYPE_DOMAIN &&
			strcmp(source->display, target->display) == 0 &&
			strcmp(source->definition, target->definition) != 0)
			add_difference(result,
						   psprintf("domain %s of column %s is %s on the source and %s on the target",
									target->display,
									quote_identifier(column->target->name),
									source->definition, target->definition),
						   pstrdup("Values of the source that break its constraints would end the load: make them the same."));
	}
}

/*
 * A bound of the source that no partition of the target has may be covered by
 * others there, or by a default partition: but a row that none takes ends the
 * load.  What the target has more of does no harm.
 */
static void
pair_bounds(TableDefinitions *result, Definitions *source, Definitions *target)
{
	bool		has_default = false;

	for (int t = target->begin; t < target->end; t++)
	{
		if (!is_bound(target->rows, t))
			continue;
		target->paired[t] = true;
		has_default |= strcmp(ftm_rowset_text(target->rows, t, DEFINITION_SQL),
							  "DEFAULT") == 0;
	}
	for (int s = source->begin; s < source->end; s++)
	{
		bool		found = false;

		if (!is_bound(source->rows, s))
			continue;
		source->paired[s] = true;
		for (int t = target->begin; t < target->end && !found; t++)
			found = is_bound(target->rows, t) &&
				same_texts(source->rows, s, target->rows, t, DEFINITION_SQL);
		if (!found)
			add_difference(result,
						   psprintf("no partition of the target is that of %s, %s%s",
									relation_of(source->rows, s),
									ftm_rowset_text(source->rows, s,
													DEFINITION_SQL),
									has_default ?
									": there is a default partition" : ""),
						   pstrdup("A row that no partition takes ends the load: create the partition, unless others cover it."));
	}
}

static bool
is_bound(const RowSet *rows, int row)
{
	return ftm_rowset_text(rows, row, DEFINITION_KIND)[0] == 'b';
}

/*
 * What the source has never validated, and the target has, is the same
 * definition, but rows may not pass it.
 */
static void
pair_equal(TableDefinitions *result, Definitions *source, Definitions *target)
{
	for (int s = source->begin; s < source->end; s++)
	{
		for (int t = target->begin; t < target->end; t++)
		{
			if (target->paired[t] ||
				!are_equal(source->rows, s, target->rows, t))
				continue;
			source->paired[s] = target->paired[t] = true;
			if (!ftm_rowset_bool(source->rows, s, DEFINITION_VALIDATED) &&
				ftm_rowset_bool(target->rows, t, DEFINITION_VALIDATED))
				add_difference(result,
							   psprintf("%s is NOT VALID on the source only",
										describe(target->rows, t)),
							   psprintf("Rows of the source may break it.  %s",
										remedy(drop_statement(target->rows, t),
											   create_statement(source->rows, s))));
			break;
		}
	}
}

/* Of the same kind and name, but otherwise not the same. */
static void
pair_names(TableDefinitions *result, Definitions *source, Definitions *target)
{
	for (int s = source->begin; s < source->end; s++)
	{
		for (int t = target->begin; t < target->end; t++)
		{
			if (source->paired[s] || target->paired[t] ||
				!same_relation(source->rows, s, target->rows, t) ||
				!same_texts(source->rows, s, target->rows, t, DEFINITION_KIND) ||
				!same_texts(source->rows, s, target->rows, t, DEFINITION_NAME))
				continue;
			source->paired[s] = target->paired[t] = true;
			add_difference(result,
						   psprintf("%s on the source is %s on the target",
									describe(source->rows, s),
									definition_of(target->rows, t)),
						   remedy(drop_statement(target->rows, t),
								  create_statement(source->rows, s)));
		}
	}
}

static void
add_missing(TableDefinitions *result, const Definitions *source,
			const Definitions *target)
{
	for (int row = source->begin; row < source->end; row++)
	{
		const char *reference = ftm_rowset_value(source->rows, row,
												 DEFINITION_REFERENCE);
		DefinitionDifference *difference;

		if (source->paired[row] ||
			!has_relation(target, source->rows, row))
			continue;
		difference = add_difference(result,
									psprintf("%s is missing on the target",
											 describe(source->rows, row)),
									remedy(NULL, create_statement(source->rows,
																  row)));
		difference->of_users = reference != NULL &&
			strcmp(reference, "auth.users") == 0;
	}
}

static void
add_extra(TableDefinitions *result, const Definitions *source,
		  const Definitions *target)
{
	for (int row = target->begin; row < target->end; row++)
	{
		DefinitionDifference *difference;

		if (target->paired[row] ||
			!has_relation(source, target->rows, row))
			continue;
		difference = add_difference(result,
									psprintf("%s is on the target only",
											 describe(target->rows, row)),
									psprintf("Rows of the source that break it would end the load: see that it has none, or execute %s.",
											 drop_statement(target->rows, row)));
		difference->harmless =
			!ftm_rowset_bool(target->rows, row, DEFINITION_IS_CONSTRAINT) &&
			!is_unique(target->rows, row);
	}
}

/* Whether both ends have a partition is another question. */
static bool
has_relation(const Definitions *definitions, const RowSet *rows, int row)
{
	if (ftm_rowset_bool(rows, row, DEFINITION_OF_ROOT))
		return true;
	for (int other = definitions->begin; other < definitions->end; other++)
	{
		if (same_relation(definitions->rows, other, rows, row))
			return true;
	}
	return false;
}

static bool
are_equal(const RowSet *a, int row_a, const RowSet *b, int row_b)
{
	static const int texts[] = {
		DEFINITION_KIND, DEFINITION_TRAITS, DEFINITION_KEY_TRAITS,
		DEFINITION_INCLUDED, DEFINITION_REFERENCE
	};

	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		if (!same_texts(a, row_a, b, row_b, texts[i]))
			return false;
	}
	return same_relation(a, row_a, b, row_b) &&
		same_keys(ftm_rowset_value(a, row_a, DEFINITION_KEYS),
				  ftm_rowset_value(b, row_b, DEFINITION_KEYS)) &&
		same_expression(ftm_rowset_value(a, row_a, DEFINITION_EXPRESSION),
						ftm_rowset_value(b, row_b, DEFINITION_EXPRESSION));
}

static bool
same_relation(const RowSet *a, int row_a, const RowSet *b, int row_b)
{
	return same_texts(a, row_a, b, row_b, DEFINITION_SCHEMA) &&
		same_texts(a, row_a, b, row_b, DEFINITION_RELATION);
}

static bool
same_texts(const RowSet *a, int row_a, const RowSet *b, int row_b, int column)
{
	const char *text_a = ftm_rowset_value(a, row_a, column);
	const char *text_b = ftm_rowset_value(b, row_b, column);

	return text_a == NULL || text_b == NULL ? text_a == text_b :
		strcmp(text_a, text_b) == 0 ||
		strcmp(ftm_schema_ids_map(text_a), text_b) == 0;
}

/* NULL: none. */
static bool
same_expression(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b :
		ftm_expression_equal(a, b) ||
		ftm_expression_equal(ftm_schema_ids_map(a), b);
}

/* Arrays of expressions, NULL for none. */
static bool
same_keys(const char *a, const char *b)
{
	List	   *keys_a = ftm_catalog_text_array(a);
	List	   *keys_b = ftm_catalog_text_array(b);
	ListCell   *lc_a;
	ListCell   *lc_b;

	if (list_length(keys_a) != list_length(keys_b))
		return false;
	forboth(lc_a, keys_a, lc_b, keys_b)
	{
		if (!same_expression(lfirst(lc_a), lfirst(lc_b)))
			return false;
	}
	return true;
}

/*
 * "constraint t_c_check (CHECK ((c > 0)))" or "index t_i (btree (i))", of a
 * partition if it is one's.
 */
static char *
describe(const RowSet *rows, int row)
{
	return psprintf("%s %s (%s)%s%s", kind_name(rows, row),
					quote_identifier(ftm_rowset_text(rows, row, DEFINITION_NAME)),
					definition_of(rows, row),
					ftm_rowset_bool(rows, row, DEFINITION_OF_ROOT) ? "" :
					" of partition ",
					ftm_rowset_bool(rows, row, DEFINITION_OF_ROOT) ? "" :
					relation_of(rows, row));
}

/* Without the names of an index and its table. */
static const char *
definition_of(const RowSet *rows, int row)
{
	const char *sql = ftm_rowset_text(rows, row, DEFINITION_SQL);
	const char *method = strstr(sql, " USING ");

	if (ftm_rowset_bool(rows, row, DEFINITION_IS_CONSTRAINT) || method == NULL)
		return sql;
	method += strlen(" USING ");
	return is_unique(rows, row) ? psprintf("UNIQUE %s", method) : method;
}

static bool
is_unique(const RowSet *rows, int row)
{
	return strncmp(ftm_rowset_text(rows, row, DEFINITION_TRAITS), "UNIQUE ",
				   strlen("UNIQUE ")) == 0;
}

static const char *
kind_name(const RowSet *rows, int row)
{
	if (!ftm_rowset_bool(rows, row, DEFINITION_IS_CONSTRAINT))
		return "index";
	switch (ftm_rowset_text(rows, row, DEFINITION_KIND)[0])
	{
		case 'p':
			return "primary key";
		case 'f':
			return "foreign key";
		default:
			return "constraint";
	}
}

/* As to be written in a statement. */
static char *
relation_of(const RowSet *rows, int row)
{
	return quote_qualified_identifier(ftm_rowset_text(rows, row,
													  DEFINITION_SCHEMA),
									  ftm_rowset_text(rows, row,
													  DEFINITION_RELATION));
}

static char *
create_statement(const RowSet *rows, int row)
{
	const char *sql = ftm_rowset_text(rows, row, DEFINITION_SQL);

	if (!ftm_rowset_bool(rows, row, DEFINITION_IS_CONSTRAINT))
		return pstrdup(sql);
	return psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s",
					relation_of(rows, row),
					quote_identifier(ftm_rowset_text(rows, row,
													 DEFINITION_NAME)),
					sql);
}

/*
 * drop may be NULL.  What is to be created comes from the source: it is no
 * statement to be executed unless it is one, and one alone.
 */
static char *
remedy(const char *drop, const char *create)
{
	if (!ftm_expression_is_statement(create))
		return pstrdup("Make it the same.");
	return psprintf("Execute %s%s%s.", drop != NULL ? drop : "",
					drop != NULL ? "; " : "", create);
}

static char *
drop_statement(const RowSet *rows, int row)
{
	const char *name = ftm_rowset_text(rows, row, DEFINITION_NAME);

	if (!ftm_rowset_bool(rows, row, DEFINITION_IS_CONSTRAINT))
		return psprintf("DROP INDEX %s",
						quote_qualified_identifier(ftm_rowset_text(rows, row,
																   DEFINITION_SCHEMA),
												   name));
	return psprintf("ALTER TABLE %s DROP CONSTRAINT %s",
					relation_of(rows, row), quote_identifier(name));
}

static DefinitionDifference *
add_difference(TableDefinitions *result, char *text, char *hint)
{
	DefinitionDifference *difference = palloc0(sizeof(DefinitionDifference));

	difference->text = text;
	difference->remedy = hint;
	result->differences = lappend(result->differences, difference);
	return difference;
}
