/*-------------------------------------------------------------------------
 *
 * orphans.c
 *		Rows without parent that the source has as well.
 *
 * A key that is valid in a catalog says nothing about rows that were written
 * in replica mode, or restored with triggers off.  Whoever finds such rows in
 * the target wants to know whether they came from there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"

#include "plan/orphans.h"

static bool is_readable(const CatalogTable *table);
static const CatalogColumn *comparable_column(const CatalogTable *table,
											  const char *name);
static bool append_conditions(const CatalogForeignKey *key,
							  const CatalogTable *table,
							  const CatalogTable *referenced,
							  StringInfo not_null, StringInfo join);
static char *from_table(const CatalogTable *table);

int64
ftm_orphans_of_source(const MigrationPlan *plan, SourceConnection *source,
					  const CatalogForeignKey *key)
{
	static const AnswerShape shape = {
		"rows without parent", ONE_ROW, 0, {COUNT_COLUMN}
	};
	const CatalogTable *table = ftm_catalog_table(plan->source, key->schema,
												  key->table);
	const CatalogTable *referenced = ftm_catalog_table(plan->source,
													   key->ref_schema,
													   key->ref_table);
	StringInfoData not_null;
	StringInfoData join;
	RowSet	   *rows;

	initStringInfo(&not_null);
	initStringInfo(&join);
	if (source == NULL || table == NULL || referenced == NULL ||
		!is_readable(table) || !is_readable(referenced) ||
		!append_conditions(key, table, referenced, &not_null, &join))
		return -1;
	rows = ftm_source_query(source, &shape,
							psprintf("SELECT pg_catalog.count(*) FROM %s AS referring"
									 " WHERE (%s) AND NOT EXISTS"
									 " (SELECT FROM %s AS referred WHERE %s)",
									 from_table(table), not_null.data,
									 from_table(referenced), join.data),
							0, NULL);
	return ftm_rowset_int64(rows, 0, 0);
}

static bool
is_readable(const CatalogTable *table)
{
	return table->readable && !table->row_security_active;
}

/* NULL if there is none whose equality is known. */
static const CatalogColumn *
comparable_column(const CatalogTable *table, const char *name)
{
	const CatalogColumn *column = ftm_catalog_column(table, name);

	return column != NULL && strcmp(column->type->base_schema, "pg_catalog") == 0 ?
		column : NULL;
}

/* As the server checks a key: see orphan_sql() in finish.c. */
static bool
append_conditions(const CatalogForeignKey *key, const CatalogTable *table,
				  const CatalogTable *referenced, StringInfo not_null,
				  StringInfo join)
{
	ListCell   *name;
	ListCell   *ref_name;

	forboth(name, key->columns, ref_name, key->ref_columns)
	{
		const CatalogColumn *column = comparable_column(table, lfirst(name));
		const CatalogColumn *ref_column = comparable_column(referenced,
															lfirst(ref_name));

		if (column == NULL || ref_column == NULL ||
			strcmp(column->type->base_name, ref_column->type->base_name) != 0)
			return false;
		appendStringInfo(not_null, "%sreferring.%s IS NOT NULL",
						 not_null->len == 0 ? "" : key->match == 'f' ?
						 " OR " : " AND ",
						 ftm_catalog_quote(lfirst(name)));
		appendStringInfo(join, "%sreferred.%s OPERATOR(pg_catalog.=) referring.%s",
						 join->len == 0 ? "" : " AND ",
						 ftm_catalog_quote(lfirst(ref_name)),
						 ftm_catalog_quote(lfirst(name)));
	}
	return true;
}

static char *
from_table(const CatalogTable *table)
{
	return psprintf("%s%s",
					table->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					ftm_catalog_quote_qualified(table->schema, table->name));
}
