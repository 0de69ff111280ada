/*-------------------------------------------------------------------------
 *
 * decision.c
 *		What was decided about columns with user ids, as an export carries it.
 *
 * Decisions are made by whoever knows the application, often long before, and
 * need a scan of a source that may be gone when its export is imported.  So they
 * travel with the files.  An import never changes a decision: it takes what is
 * missing, and where the two differ, somebody has to say which is right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "files/decision.h"
#include "load/task.h"
#include "run/state.h"
#include "schema/catalog.h"

/* The two arrays as rows; $1 is the array, $2 the schemas. */
#define COLUMNS_SQL \
	"(SELECT * FROM json_to_recordset($1::json) AS r" \
	"  (schema_name name, table_name name, column_name name, mode text," \
	"   unmapped text, origin text, known_ids int8, unknown_ids int8," \
	"   suggestion text)" \
	" WHERE schema_name = ANY ($2::name[]))"
#define SCANNED_SQL \
	"(SELECT * FROM json_to_recordset($1::json) AS r" \
	"  (schema_name name, table_name name, column_name name," \
	"   scanned_at timestamptz, known_ids int8, unknown_ids int8)" \
	" WHERE schema_name = ANY ($2::name[]))"

static char *rows_as_json(const char *table, List *schemas);
static char *decision_text(const RowSet *rows, int row, int column);

ExportDecisions *
ftm_decisions_read(const char *source, List *schemas)
{
	ExportDecisions *decisions = palloc(sizeof(ExportDecisions));
	RowSet	   *rows;

	rows = ftm_state_query("SELECT coalesce(options ->> 'ids', 'map') FROM @schema@.ftm_run"
						   " WHERE source = $1::name AND status <> 'rolled back'"
						   " ORDER BY run_id DESC LIMIT 1",
						   1, &source);
	decisions->ids = rows->nrows > 0 ? ftm_rowset_value(rows, 0, 0) : NULL;
	decisions->columns = rows_as_json("@schema@.ftm_user_column", schemas);
	decisions->scanned = rows_as_json("@schema@.ftm_scanned_column", schemas);
	decisions->schemas = schemas;
	return decisions;
}

static char *
rows_as_json(const char *table, List *schemas)
{
	const char *params[1] = {ftm_catalog_array_text(schemas)};
	RowSet	   *rows;

	rows = ftm_state_query(psprintf("SELECT coalesce(json_agg(t ORDER BY schema_name, table_name, column_name), '[]')"
									" FROM %s AS t"
									" WHERE schema_name = ANY ($1::name[])", table),
						   1, params);
	return ftm_rowset_value(rows, 0, 0);
}

void
ftm_decisions_check(const ExportDecisions *decisions, const char *ids)
{
	const char *params[2] = {decisions->columns,
	ftm_catalog_array_text(decisions->schemas)};
	RowSet	   *rows;

	if (decisions->ids != NULL && strcmp(decisions->ids, ids) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the export and this call differ as to user ids"),
				 errdetail("The export says ids => '%s', the call says ids => '%s'.",
						   decisions->ids, ids),
				 errhint("Call ftm_import(ids => '%s'), or correct \"ids\" in metadata.json.",
						 decisions->ids)));
	rows = ftm_state_query("SELECT quote_ident(schema_name) || '.' || quote_ident(table_name)"
						   "       || '.' || quote_ident(column_name),"
						   "       e.mode, e.unmapped, c.mode, c.unmapped"
						   "  FROM " COLUMNS_SQL " AS e"
						   "  JOIN @schema@.ftm_user_column AS c"
						   "    USING (schema_name, table_name, column_name)"
						   " WHERE e.mode <> c.mode OR"
						   "       (e.mode = c.mode AND e.unmapped IS DISTINCT FROM c.unmapped)"
						   " ORDER BY 1 LIMIT 1",
						   2, params);
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the export and this database decide differently about column %s",
						ftm_rowset_text(rows, 0, 0)),
				 errdetail("The export says %s, ftm_user_column says %s.",
						   decision_text(rows, 0, 1),
						   decision_text(rows, 0, 3)),
				 errhint("Have ftm_user_column say what the export says, or delete its row; or correct \"userColumns\" in metadata.json.")));
}

/* mode 'id', unmapped 'keep' */
static char *
decision_text(const RowSet *rows, int row, int column)
{
	const char *unmapped = ftm_rowset_value(rows, row, column + 1);

	if (unmapped == NULL)
		return psprintf("mode '%s', unmapped as usual",
						ftm_rowset_text(rows, row, column));
	return psprintf("mode '%s', unmapped '%s'",
					ftm_rowset_text(rows, row, column), unmapped);
}

int
ftm_decisions_take(const ExportDecisions *decisions)
{
	const char *schemas = ftm_catalog_array_text(decisions->schemas);
	RowSet	   *rows;

	rows = ftm_state_query("WITH taken AS ("
						   "INSERT INTO @schema@.ftm_user_column AS c"
						   " (schema_name, table_name, column_name, mode, unmapped,"
						   "  origin, known_ids, unknown_ids, suggestion)"
						   " SELECT * FROM " COLUMNS_SQL " AS e"
						   " ON CONFLICT (schema_name, table_name, column_name)"
						   " DO UPDATE SET mode = excluded.mode,"
						   "   unmapped = excluded.unmapped, origin = excluded.origin,"
						   "   known_ids = excluded.known_ids,"
						   "   unknown_ids = excluded.unknown_ids,"
						   "   suggestion = excluded.suggestion"
						   "  WHERE c.mode IS NULL AND excluded.mode IS NOT NULL"
						   " RETURNING mode)"
						   " SELECT count(mode) FROM taken",
						   2, (const char *const[]) {decisions->columns, schemas});
	(void) ftm_state_query("INSERT INTO @schema@.ftm_scanned_column"
						   " (schema_name, table_name, column_name, scanned_at,"
						   "  known_ids, unknown_ids)"
						   " SELECT * FROM " SCANNED_SQL " AS e"
						   " ON CONFLICT DO NOTHING",
						   2, (const char *const[]) {decisions->scanned, schemas});
	return (int) ftm_rowset_int64(rows, 0, 0);
}

void
ftm_decisions_put(StringInfo buffer, const ExportDecisions *decisions)
{
	ftm_task_put_string(buffer, decisions->columns);
	ftm_task_put_string(buffer, decisions->scanned);
	ftm_task_put_strings(buffer, decisions->schemas);
}

ExportDecisions *
ftm_decisions_get(StringInfo buffer)
{
	ExportDecisions *decisions = palloc(sizeof(ExportDecisions));

	decisions->columns = ftm_task_get_string(buffer);
	decisions->scanned = ftm_task_get_string(buffer);
	decisions->schemas = ftm_task_get_strings(buffer);
	return decisions;
}
