/*-------------------------------------------------------------------------
 *
 * scan_report.c
 *		What a scan for user ids found, as its reader sees it, and what becomes
 *		of it: ftm_scan_user_ids() and ftm_accept_user_columns().
 *
 * What is found goes to ftm_user_column.  A column that a foreign key explains
 * is decided by that; any other one is undecided until the DBA speaks, with a
 * suggestion that ftm_accept_user_columns() follows.  A decision that stands
 * there is never touched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/extension.h"
#include "base/recovery.h"
#include "base/target.h"
#include "plan/scan.h"
#include "plan/user_column.h"
#include "schema/scope.h"

/* A column, and what is said about it. */
typedef struct Finding
{
	const CatalogTable *table;
	const ScanColumn *column;
	const char *foreign_key;	/* "foreign key to auth.users", or NULL */
	const char *suggestion;		/* a mode; NULL if there is no id */
	const char *mode;			/* what stands decided, or NULL */
	char	   *detail;			/* NULL if there is nothing to say */
} Finding;

static List *build_scans(const Scope *scope, const Catalog *catalog,
						 const KnownUsers *users);
static void check_readable(const List *scans, const char *source_name);
static List *judge_all(const List *scans, const Catalog *catalog);
static Finding *judge(const CatalogTable *table, const ScanColumn *column,
					  const List *by_foreign_key);
static const char *foreign_key_of(const List *by_foreign_key,
								  const CatalogTable *table,
								  const char *column);
static const char *suggest(const CatalogTable *table,
						   const ScanColumn *column);
static bool is_file_name(const CatalogTable *table,
						 const CatalogColumn *column);
static char *describe(const Finding *finding);
static void append_note(StringInfo notes, const char *format,...)
			pg_attribute_printf(2, 3);
static char *record(const Finding *finding);
static void record_scanned(const List *findings);
static void put_finding(ReturnSetInfo *rsinfo, const Finding *finding);
static void report_undecided(const List *findings);
static void report_not_suggested(void);

PG_FUNCTION_INFO_V1(ftm_scan_user_ids);
PG_FUNCTION_INFO_V1(ftm_accept_user_columns);

/*
 * ftm_scan_user_ids(source, schemas, include, exclude)
 *
 * One row per column of the source that could hold user ids, in the order of
 * the tables.  Records them all, and those that do to be decided about.
 */
Datum
ftm_scan_user_ids(PG_FUNCTION_ARGS)
{
	Scope	   *scope = ftm_scope_from_args(fcinfo, 0);
	MemoryContext context;
	SourceServer *server;
	SourceConnection *source;
	char	   *snapshot;
	Catalog    *catalog;
	KnownUsers *users;
	List	   *scans;
	List	   *findings;
	ListCell   *lc;

	ftm_recovery_refuse("ftm_scan_user_ids()");
	PreventCommandIfReadOnly("ftm_scan_user_ids()");
	InitMaterializedSRF(fcinfo, 0);
	context = AllocSetContextCreate(CurrentMemoryContext, "ftmigrate scan",
									ALLOCSET_DEFAULT_SIZES);
	server = ftm_options_source_server(scope->source);
	source = ftm_source_connect(server, context);
	snapshot = ftm_source_export_snapshot(source);
	catalog = ftm_catalog_read_source(source, scope->schemas);
	users = ftm_scan_begin(source);
	scans = build_scans(scope, catalog, users);
	check_readable(scans, scope->source);
	ftm_scan_execute(scans, users, source, snapshot, server, context);

	findings = judge_all(scans, catalog);
	foreach(lc, findings)
	{
		Finding    *finding = lfirst(lc);

		finding->mode = record(finding);
		put_finding((ReturnSetInfo *) fcinfo->resultinfo, finding);
	}
	record_scanned(findings);
	if (ftm_user_column_ids_stay(scope->source))
		ereport(NOTICE,
				(errmsg("user ids from source \"%s\" stay as they are: no column has to be decided about",
						scope->source)));
	else
		report_undecided(findings);
	MemoryContextDelete(context);
	return (Datum) 0;
}

/* Scans of the tables in the scope, in the catalog's order. */
static List *
build_scans(const Scope *scope, const Catalog *catalog,
			const KnownUsers *users)
{
	ScopeFilter *filter = ftm_scope_filter(scope, catalog);
	Catalog    *target = ftm_catalog_read_target(scope->schemas);
	List	   *scans = NIL;
	ListCell   *lc;

	foreach(lc, catalog->tables)
	{
		CatalogTable *table = lfirst(lc);
		TableScan  *scan;

		if (!ftm_scope_selects(filter, table->schema, table->name))
			continue;
		scan = ftm_scan_build(table,
							  ftm_catalog_table(target, table->schema,
												table->name),
							  users);
		if (scan != NULL)
			scans = lappend(scans, scan);
	}
	return scans;
}

/* Rather now than after the tables that can be read. */
static void
check_readable(const List *scans, const char *source_name)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, scans)
	{
		const CatalogTable *table = ((TableScan *) lfirst(lc))->table;

		if (!table->readable || table->row_security_active)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 table->qualified);
	}
	if (names.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the role of the connection cannot read all rows of source \"%s\"",
						source_name),
				 errdetail("It lacks SELECT, or row-level security applies to it, on: %s.",
						   names.data),
				 errhint("Connect as a role with BYPASSRLS that may read these tables, or leave them out with exclude.")));
}

static List *
judge_all(const List *scans, const Catalog *catalog)
{
	List	   *by_foreign_key = ftm_user_column_by_foreign_key(catalog);
	List	   *findings = NIL;
	ListCell   *lc;
	ListCell   *column;

	foreach(lc, scans)
	{
		TableScan  *scan = lfirst(lc);

		foreach(column, scan->columns)
			findings = lappend(findings,
							   judge(scan->table, lfirst(column),
									 by_foreign_key));
	}
	return findings;
}

static Finding *
judge(const CatalogTable *table, const ScanColumn *column,
	  const List *by_foreign_key)
{
	Finding    *finding = palloc0(sizeof(Finding));

	finding->table = table;
	finding->column = column;
	finding->foreign_key = foreign_key_of(by_foreign_key, table,
										  column->column->name);
	finding->suggestion = finding->foreign_key != NULL ? "id" :
		suggest(table, column);
	finding->detail = describe(finding);
	return finding;
}

static const char *
foreign_key_of(const List *by_foreign_key, const CatalogTable *table,
			   const char *column)
{
	ListCell   *lc;

	foreach(lc, by_foreign_key)
	{
		UserIdColumn *id_column = lfirst(lc);

		if (id_column->root == table->oid &&
			strcmp(id_column->name, column) == 0)
			return id_column->reason;
	}
	return NULL;
}

/*
 * Which mode fits what was found.  Ids in paths and addresses of stored files
 * are left alone, since the files keep their names; and so is what cannot be
 * rewritten.  Where both have to be told apart, nothing fits.
 */
static const char *
suggest(const CatalogTable *table, const ScanColumn *column)
{
	const CatalogType *type = column->column->type;

	if (column->known_ids == 0)
		return NULL;
	if (is_file_name(table, column->column))
		return "ignore";
	if (column->whole_ids > 0 && column->inside_ids == 0 &&
		ftm_user_column_id_mode(type) != REWRITE_KEEP)
		return "id";
	if (column->file_ids > 0)
		return column->whole_ids + column->inside_ids > 0 &&
			ftm_user_column_embedded_mode(type) != REWRITE_KEEP ? NULL : "ignore";
	if (column->whole_ids + column->inside_ids > 0 &&
		ftm_user_column_embedded_mode(type) != REWRITE_KEEP)
		return "embedded";
	return "ignore";
}

/* The table in which Storage keeps the names of the files themselves. */
static bool
is_file_name(const CatalogTable *table, const CatalogColumn *column)
{
	return strcmp(table->schema, "storage") == 0 &&
		strcmp(table->name, "objects") == 0 && strcmp(column->name, "name") == 0;
}

/* What the numbers and the suggestion do not tell; NULL if that is nothing. */
static char *
describe(const Finding *finding)
{
	const ScanColumn *column = finding->column;
	const CatalogType *type = column->column->type;
	StringInfoData notes;

	initStringInfo(&notes);
	if (finding->foreign_key != NULL)
		append_note(&notes, "%s", finding->foreign_key);
	if (column->known_ids > 0 &&
		ftm_user_column_id_mode(type) == REWRITE_KEEP &&
		ftm_user_column_embedded_mode(type) == REWRITE_KEEP)
		append_note(&notes, "ids in this type cannot be rewritten");
	if (column->file_ids > 0)
		append_note(&notes, "values with ids in paths or addresses of stored files: " INT64_FORMAT,
					column->file_ids);
	if (column->known_ids > 0 && finding->suggestion == NULL)
		append_note(&notes, "rewriting the other ids would rewrite those, too");
	if (column->odd_ids > 0)
		append_note(&notes, "values with ids in mixed case or without hyphens, which are never rewritten: " INT64_FORMAT,
					column->odd_ids);
	return notes.len > 0 ? notes.data : NULL;
}

static void
append_note(StringInfo notes, const char *format,...)
{
	int			needed;

	if (notes->len > 0)
		appendStringInfoString(notes, "; ");
	for (;;)
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(notes, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(notes, needed);
	}
}

/*
 * Write a column down if it has ids, or bring the numbers up to date if it is
 * there already.  Returns the mode that stands there, or NULL.
 */
static char *
record(const Finding *finding)
{
	const ScanColumn *column = finding->column;
	bool		by_foreign_key = finding->foreign_key != NULL;
	const char *schema = ftm_extension_schema_quoted();
	const char *params[8];
	char	   *sql;
	RowSet	   *rows;

	params[0] = finding->table->schema;
	params[1] = finding->table->name;
	params[2] = column->column->name;
	params[3] = psprintf(INT64_FORMAT, column->known_ids);
	params[4] = psprintf(INT64_FORMAT, column->unknown_ids);
	params[5] = finding->suggestion;
	params[6] = by_foreign_key ? "id" : NULL;
	params[7] = by_foreign_key ? "foreign key" : "values";
	if (by_foreign_key || column->known_ids > 0)
		sql = psprintf("INSERT INTO %s.ftm_user_column AS c"
					   " (schema_name, table_name, column_name, known_ids, unknown_ids, suggestion, mode, origin)"
					   " VALUES ($1::name, $2::name, $3::name, $4::int8, $5::int8, $6, $7, $8)"
					   " ON CONFLICT (schema_name, table_name, column_name) DO UPDATE SET"
					   " known_ids = excluded.known_ids, unknown_ids = excluded.unknown_ids,"
					   " suggestion = excluded.suggestion,"
					   " mode = COALESCE(c.mode, excluded.mode),"
					   " origin = CASE WHEN c.mode IS NULL THEN excluded.origin ELSE c.origin END"
					   " RETURNING c.mode", schema);
	else
		sql = psprintf("UPDATE %s.ftm_user_column"
					   " SET known_ids = $4::int8, unknown_ids = $5::int8, suggestion = $6"
					   " WHERE (schema_name, table_name, column_name) = ($1::name, $2::name, $3::name)"
					   " RETURNING mode", schema);
	rows = ftm_target_query_as_owner(sql,
									 by_foreign_key || column->known_ids > 0 ? 8 : 6,
									 params);
	return rows->nrows > 0 ? ftm_rowset_value(rows, 0, 0) : NULL;
}

/*
 * Write down which columns were read, and what was in them.
 */
static void
record_scanned(const List *findings)
{
	List	   *values[5] = {NIL};
	const char *params[5];
	ListCell   *lc;

	foreach(lc, findings)
	{
		const Finding *finding = lfirst(lc);
		const ScanColumn *column = finding->column;

		values[0] = lappend(values[0], finding->table->schema);
		values[1] = lappend(values[1], finding->table->name);
		values[2] = lappend(values[2], column->column->name);
		values[3] = lappend(values[3], psprintf(INT64_FORMAT, column->known_ids));
		values[4] = lappend(values[4], psprintf(INT64_FORMAT, column->unknown_ids));
	}
	for (int i = 0; i < (int) lengthof(params); i++)
		params[i] = ftm_catalog_array_text(values[i]);
	(void) ftm_target_query_as_owner(psprintf("INSERT INTO %s.ftm_scanned_column"
											  " (schema_name, table_name, column_name, known_ids, unknown_ids)"
											  " SELECT * FROM unnest($1::name[], $2::name[], $3::name[], $4::int8[], $5::int8[])"
											  " ON CONFLICT (schema_name, table_name, column_name) DO UPDATE SET"
											  " scanned_at = excluded.scanned_at, known_ids = excluded.known_ids,"
											  " unknown_ids = excluded.unknown_ids",
											  ftm_extension_schema_quoted()),
									 5, params);
}

/*
 * table_name, column_name, type, known_ids, unknown_ids, mode, suggestion,
 * detail
 */
static void
put_finding(ReturnSetInfo *rsinfo, const Finding *finding)
{
	const ScanColumn *column = finding->column;
	const char *texts[] = {finding->mode, finding->suggestion, finding->detail};
	Datum		values[8] = {0};
	bool		nulls[8] = {0};

	values[0] = CStringGetTextDatum(finding->table->qualified);
	values[1] = CStringGetTextDatum(column->column->name);
	values[2] = CStringGetTextDatum(column->column->type->display);
	values[3] = Int64GetDatum(column->known_ids);
	values[4] = Int64GetDatum(column->unknown_ids);
	for (int i = 0; i < (int) lengthof(texts); i++)
	{
		nulls[5 + i] = texts[i] == NULL;
		if (texts[i] != NULL)
			values[5 + i] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
report_undecided(const List *findings)
{
	int			undecided = 0;
	ListCell   *lc;

	foreach(lc, findings)
	{
		Finding    *finding = lfirst(lc);

		if (finding->column->known_ids > 0 && finding->mode == NULL)
			undecided++;
	}
	if (undecided > 0)
		ereport(NOTICE,
				(errmsg_plural("%d column with user ids is not decided",
							   "%d columns with user ids are not decided",
							   undecided, undecided),
				 errhint("Set the mode of each in ftm_user_column, or accept the suggestions with SELECT * FROM ftm_accept_user_columns().")));
}

/*
 * ftm_accept_user_columns(mode, unmapped)
 *
 * Decides all undecided columns, as suggested if mode is NULL.  Returns the
 * rows of ftm_user_column that it decided.
 */
Datum
ftm_accept_user_columns(PG_FUNCTION_ARGS)
{
	static const char *const mode_values[] = {"id", "embedded", "ignore", NULL};
	static const char *const unmapped_values[] = {"error", "keep", NULL};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *params[2];
	AttInMetadata *metadata;
	RowSet	   *rows;

	ftm_recovery_refuse("ftm_accept_user_columns()");
	params[0] = ftm_scope_keyword_arg(fcinfo, 0, "mode", mode_values);
	params[1] = ftm_scope_keyword_arg(fcinfo, 1, "unmapped", unmapped_values);
	InitMaterializedSRF(fcinfo, 0);
	rows = ftm_target_query_as_owner(psprintf("WITH accepted AS (UPDATE %s.ftm_user_column"
											  " SET mode = CASE WHEN suggestion = 'ignore' THEN suggestion ELSE COALESCE($1, suggestion) END,"
											  " unmapped = COALESCE($2, unmapped)"
											  " WHERE mode IS NULL AND COALESCE($1, suggestion) IS NOT NULL"
											  " RETURNING *)"
											  " SELECT * FROM accepted"
											  " ORDER BY schema_name, table_name, column_name",
											  ftm_extension_schema_quoted()),
									 2, params);
	metadata = TupleDescGetAttInMetadata(rsinfo->setDesc);
	for (int row = 0; row < rows->nrows; row++)
		tuplestore_puttuple(rsinfo->setResult,
							BuildTupleFromCStrings(metadata,
												   &rows->values[row * rows->ncolumns]));
	report_not_suggested();
	return (Datum) 0;
}

/* A row of the DBA's own without a mode, for which nothing was scanned. */
static void
report_not_suggested(void)
{
	RowSet	   *rows;
	int			count;

	rows = ftm_target_query_as_owner(psprintf("SELECT pg_catalog.count(*) FROM %s.ftm_user_column"
											  " WHERE mode IS NULL AND known_ids IS DISTINCT FROM 0",
											  ftm_extension_schema_quoted()),
									 0, NULL);
	count = (int) ftm_rowset_int64(rows, 0, 0);
	if (count > 0)
		ereport(WARNING,
				(errmsg_plural("%d column remains undecided, for which there is no suggestion",
							   "%d columns remain undecided, for which there is no suggestion",
							   count, count),
				 errhint("Call ftm_scan_user_ids(), which makes suggestions, or give a mode.")));
}
