/*-------------------------------------------------------------------------
 *
 * diff_sql.c
 *		Every statement of ftm_diff(), for both ends.
 *
 * The same statements go to the source and to the target; they differ in the
 * expressions of the columns, which are those of the table's checksum: what
 * the checksum calls equal is equal here.
 *
 * Rows are found again by tableoid and ctid, which reads nothing but their
 * pages.  That holds as long as the snapshot does: the source's is the
 * connection's transaction, the target's the calling statement's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "base/target.h"
#include "schema/catalog_type.h"
#include "verify/diff_sql.h"

/*
 * The keys of a table ($1), the primary key first: of each unique index the
 * columns, in one order.  Indexes that hold no or several rows per key, and
 * those of some rows or of expressions, are left out.
 */
#define DIFF_KEYS_SQL \
	"SELECT k.names" \
	" FROM pg_catalog.pg_index i, LATERAL" \
	"  (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text" \
	"    ORDER BY a.attname COLLATE pg_catalog.\"C\") AS names," \
	"    pg_catalog.bool_and(a.attnotnull) AS not_null" \
	"   FROM pg_catalog.unnest(i.indkey) WITH ORDINALITY u(attnum, n)" \
	"   JOIN pg_catalog.pg_attribute a" \
	"    ON a.attrelid = i.indrelid AND a.attnum = u.attnum" \
	"   WHERE u.n <= i.indnkeyatts) k" \
	" WHERE i.indrelid = $1::pg_catalog.oid" \
	" AND i.indisunique AND i.indisvalid AND k.not_null" \
	" AND i.indpred IS NULL AND i.indexprs IS NULL" \
	" ORDER BY i.indisprimary DESC, i.indnkeyatts, k.names"
#define DIFF_KEYS_SHAPE \
	{"keys of a table", ANY_ROWS, 0, {TEXTS_COLUMN}}

static void
append_element(StringInfo list, const char *element)
{
	if (list->len > 0)
		appendStringInfoString(list, ", ");
	appendStringInfoString(list, element);
}

/*
 * Mark the columns of a key.  False if one of them is not compared.
 */
static bool
mark_key(DiffSql *sql, const char *names)
{
	ListCell   *lc;

	memset(sql->in_key, 0, sizeof(bool) * sql->ncolumns);
	foreach(lc, ftm_catalog_text_array(names))
	{
		bool		found = false;

		for (int i = 0; i < sql->ncolumns; i++)
		{
			if (strcmp(sql->columns[i]->column->target->name, lfirst(lc)) != 0)
				continue;
			sql->in_key[i] = true;
			found = true;
		}
		if (!found)
			return false;
	}
	return true;
}

/*
 * The first key of the target that the source has, too.
 */
static void
find_key(DiffSql *sql, const PlanTable *table, SourceConnection *source)
{
	static const AnswerShape shape = DIFF_KEYS_SHAPE;
	const char *source_oid = psprintf("%u", table->source->oid);
	const char *target_oid = psprintf("%u", table->target->oid);
	RowSet	   *theirs = ftm_source_query(source, &shape, DIFF_KEYS_SQL,
										  1, &source_oid);
	RowSet	   *ours = ftm_target_query(DIFF_KEYS_SQL, 1, &target_oid);

	for (int i = 0; i < ours->nrows; i++)
	{
		const char *names = ftm_rowset_text(ours, i, 0);

		for (int j = 0; j < theirs->nrows; j++)
		{
			if (strcmp(names, ftm_rowset_text(theirs, j, 0)) == 0 &&
				mark_key(sql, names))
			{
				sql->has_key = true;
				return;
			}
		}
	}
	memset(sql->in_key, 0, sizeof(bool) * sql->ncolumns);
}

/*
 * A column as text.  format() calls the type's output function and, unlike a
 * cast to text, nothing that a user has made; IS DISTINCT FROM, unlike IS NOT
 * NULL, takes a composite of nulls for what it is.
 */
static char *
text_expression(const char *column)
{
	return psprintf("CASE WHEN %s IS DISTINCT FROM NULL"
					" THEN pg_catalog.format('%%s', %s) END",
					column, column);
}

static void
build_side(DiffSql *sql, DiffSide side, const CatalogTable *table)
{
	StringInfoData key;
	StringInfoData row;
	StringInfoData hashes;
	StringInfoData texts;

	initStringInfo(&key);
	initStringInfo(&row);
	initStringInfo(&hashes);
	initStringInfo(&texts);
	for (int i = 0; i < sql->ncolumns; i++)
	{
		const ComparedColumn *compared = sql->columns[i];
		const char *hashed = side == DIFF_SOURCE ?
			compared->source : compared->target;
		const char *name = side == DIFF_SOURCE ?
			compared->column->source->name : compared->column->target->name;

		if (sql->in_key[i])
			append_element(&key, hashed);
		append_element(&row, hashed);
		append_element(&hashes, ftm_checksum_row_hash(hashed));
		append_element(&texts, text_expression(ftm_catalog_quote(name)));
	}
	sql->from[side] = ftm_checksum_from(table);
	sql->row_hash[side] = ftm_checksum_row_hash(row.data);
	sql->key_hash[side] = ftm_checksum_row_hash(sql->has_key ?
												key.data : row.data);
	sql->column_hashes[side] = hashes.data;
	sql->column_texts[side] = texts.data;
}

DiffSql *
ftm_diff_sql_build(const PlanTable *table, const TableChecksum *checksum,
				   SourceConnection *source)
{
	DiffSql    *sql = palloc0(sizeof(DiffSql));
	ListCell   *lc;

	sql->columns = palloc(sizeof(ComparedColumn *) *
						  Max(1, list_length(checksum->columns)));
	sql->in_key = palloc0(sizeof(bool) *
						  Max(1, list_length(checksum->columns)));
	foreach(lc, checksum->columns)
		sql->columns[sql->ncolumns++] = lfirst(lc);

	sql->target = table->target->oid;
	find_key(sql, table, source);
	build_side(sql, DIFF_SOURCE, table->source);
	build_side(sql, DIFF_TARGET, table->target);
	return sql;
}

/*
 * The OFFSET keeps the planner from looking into the subquery: it would take a
 * bucket for as many groups as the key has values, and sort the table.
 */
char *
ftm_diff_sql_buckets(const DiffSql *sql, DiffSide side, uint32 mask)
{
	return psprintf("SELECT bucket, pg_catalog.count(*), pg_catalog.sum(%s)"
					" FROM (SELECT %s & %u AS bucket, %s AS row_hash %s OFFSET '0'::pg_catalog.int8) r"
					" GROUP BY bucket",
					ftm_checksum_finish("row_hash"),
					sql->key_hash[side], mask, sql->row_hash[side],
					sql->from[side]);
}

char *
ftm_diff_sql_rows(const DiffSql *sql, DiffSide side, uint32 mask,
				  const uint32 *buckets, int nbuckets)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < nbuckets; i++)
		appendStringInfo(&list, i > 0 ? ",%u" : "%u", buckets[i]);
	return psprintf("SELECT %s, %s, tableoid, ctid %s"
					" WHERE (%s & %u) = ANY ('{%s}'::pg_catalog.int8[])",
					sql->key_hash[side], sql->row_hash[side], sql->from[side],
					sql->key_hash[side], mask, list.data);
}

char *
ftm_diff_sql_values(const DiffSql *sql, DiffSide side,
					const RowPlace *places, int nplaces)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < nplaces; i++)
		append_element(&list,
					   psprintf("(%u, '(%u,%u)'::pg_catalog.tid)",
								places[i].tableoid,
								ItemPointerGetBlockNumber(&places[i].ctid),
								ItemPointerGetOffsetNumber(&places[i].ctid)));
	return psprintf("SELECT tableoid, ctid, ARRAY[%s]::pg_catalog.int8[],"
					" ARRAY[%s]::pg_catalog.text[] %s"
					" WHERE (tableoid, ctid) IN (%s)",
					sql->column_hashes[side], sql->column_texts[side],
					sql->from[side], list.data);
}
