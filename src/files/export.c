/*-------------------------------------------------------------------------
 *
 * export.c
 *		ftm_export(): the source as a directory of JSON files.
 *
 * Workers write one file per table, all of one snapshot.  The session that
 * called says in metadata.json, last, what the files are: a directory without
 * it is not an export, whatever else is in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "base/extension.h"
#include "base/recovery.h"
#include "base/settings.h"
#include "base/target.h"
#include "files/decision.h"
#include "files/export_table.h"
#include "load/task.h"
#include "run/step.h"
#include "schema/catalog_sql.h"
#include "schema/scope.h"
#include "verify/verify_schema.h"
#include "workers/pool.h"

PG_FUNCTION_INFO_V1(ftm_export);

/* Arguments around the scope's. */
enum ExportArgument
{
	ARG_DIRECTORY = 0,
	ARG_SCOPE = 1,
	ARG_COMPRESS = 5,
	ARG_OVERWRITE,
	ARG_PASSWORD_HASHES
};

/* One file of the export. */
typedef struct ExportFile
{
	const CatalogTable *table;	/* NULL: the users */
	char	   *name;			/* of the file */
	ExportTask	task;
	ExportResult result;
} ExportFile;

typedef struct Exporter
{
	const Scope *scope;
	char	   *directory;
	bool		compress;
	bool		overwrite;
	bool		password_hashes;
	SourceServer *server;
	SourceConnection *source;	/* holds the exported snapshot */
	char	   *snapshot;
	Catalog    *catalog;
	SourceRecord *record;		/* what an import will want to know */
	ScopeFilter *filter;
	List	   *tables;			/* of ExportFile */
	ExportFile *users;			/* NULL if the source has none */
	JsonFileInfo user_map;
	WorkerPool *pool;
} Exporter;

static Exporter *exporter_from_args(FunctionCallInfo fcinfo);
static void find_tables(Exporter *exporter);
static bool is_exported(const Exporter *exporter,
						const CatalogSequence *sequence);
static void check_sequences(const Exporter *exporter);
static void check_table(const CatalogTable *table);
static void find_users(Exporter *exporter);
static void record_schema(Exporter *exporter);
static void check_files(const Exporter *exporter);
static void remove_metadata(const Exporter *exporter);
static void write_files(Exporter *exporter);
static void write_user_map(Exporter *exporter);
static void write_metadata(const Exporter *exporter);
static void put_results(ReturnSetInfo *rsinfo, const Exporter *exporter);

/*
 * ftm_export(directory, source, schemas, include, exclude, compress,
 * overwrite, password_hashes)
 *
 * Writes the source's tables, users and the user map as JSON files; one row
 * per file.
 */
Datum
ftm_export(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Exporter   *exporter;
	int			nestlevel;

	ftm_recovery_refuse("ftm_export()");
	exporter = exporter_from_args(fcinfo);
	InitMaterializedSRF(fcinfo, 0);
	ftm_extension_require_select("ftm_user_map");
	nestlevel = ftm_target_pin_settings();
	exporter->server = ftm_options_source_server(exporter->scope->source);
	exporter->source = ftm_source_connect(exporter->server,
										  CurrentMemoryContext);
	exporter->snapshot = ftm_source_export_snapshot(exporter->source);
	exporter->record = ftm_record_create();
	exporter->catalog = ftm_catalog_record_source(exporter->source,
												  exporter->scope->schemas,
												  exporter->record);
	exporter->filter = ftm_scope_filter(exporter->scope, exporter->catalog);
	find_tables(exporter);
	check_sequences(exporter);
	find_users(exporter);
	record_schema(exporter);

	check_files(exporter);
	ftm_json_file_remove_leftovers(exporter->directory);
	remove_metadata(exporter);
	write_files(exporter);
	write_user_map(exporter);
	write_metadata(exporter);

	ftm_source_disconnect(exporter->source);
	ftm_target_restore(nestlevel);
	put_results(rsinfo, exporter);
	return (Datum) 0;
}

static Exporter *
exporter_from_args(FunctionCallInfo fcinfo)
{
	Exporter   *exporter = palloc0(sizeof(Exporter));

	if (PG_ARGISNULL(ARG_DIRECTORY))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("parameter \"%s\" must not be null", "directory")));
	exporter->scope = ftm_scope_from_args(fcinfo, ARG_SCOPE);
	exporter->compress = ftm_scope_bool_arg(fcinfo, ARG_COMPRESS, "compress");
	exporter->overwrite = ftm_scope_bool_arg(fcinfo, ARG_OVERWRITE, "overwrite");
	exporter->password_hashes = ftm_scope_bool_arg(fcinfo, ARG_PASSWORD_HASHES,
													   "password_hashes");
	exporter->directory =
		ftm_json_output_directory(text_to_cstring(PG_GETARG_TEXT_PP(ARG_DIRECTORY)));
	ftm_json_directory_lock(exporter->directory, true);
	return exporter;
}

static char *
path_of(const Exporter *exporter, const char *file)
{
	return ftm_json_file_path(exporter->directory, file);
}

/* The largest first, as in a migration. */
static int
compare_sizes(const ListCell *a, const ListCell *b)
{
	const ExportFile *x = lfirst(a);
	const ExportFile *y = lfirst(b);

	if (x->table->bytes != y->table->bytes)
		return x->table->bytes > y->table->bytes ? -1 : 1;
	return strcmp(x->task.name, y->task.name);
}

static void
find_tables(Exporter *exporter)
{
	ListCell   *lc;

	foreach(lc, exporter->catalog->tables)
	{
		CatalogTable *table = lfirst(lc);
		ExportFile *file;

		if (!ftm_scope_selects(exporter->filter, table->schema, table->name))
			continue;
		check_table(table);
		file = palloc0(sizeof(ExportFile));
		file->table = table;
		file->name = ftm_json_file_name(table->schema, table->name,
										exporter->compress);
		file->task.name = table->qualified;
		file->task.path = path_of(exporter, file->name);
		file->task.compress = exporter->compress;
		file->task.select_sql = ftm_export_select_sql(table);
		file->task.checksum_sql = ftm_export_checksum_sql(table);
		exporter->tables = lappend(exporter->tables, file);
	}
	if (exporter->tables == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table to export"),
				 errhint("Check the source's database and the arguments schemas, include and exclude.")));
	list_sort(exporter->tables, compare_sizes);
}

/* What the scope selects, and what tables take their defaults from. */
static bool
is_exported(const Exporter *exporter, const CatalogSequence *sequence)
{
	ListCell   *lc;

	if (ftm_scope_excludes(exporter->filter, sequence->schema, sequence->name))
		return false;
	foreach(lc, exporter->tables)
	{
		if (ftm_catalog_uses_sequence(((ExportFile *) lfirst(lc))->table,
									  sequence))
			return true;
	}
	return sequence->in_scope &&
		ftm_scope_selects(exporter->filter, sequence->schema, sequence->name);
}

static void
check_sequences(const Exporter *exporter)
{
	ListCell   *lc;

	foreach(lc, exporter->catalog->sequences)
	{
		CatalogSequence *sequence = lfirst(lc);

		if (!sequence->readable && is_exported(exporter, sequence))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("sequence %s of the source cannot be read by the role of the connection",
							sequence->qualified),
					 errhint("Grant it SELECT, and USAGE on the schema, or leave the sequence out with exclude.")));
	}
}

static void
check_table(const CatalogTable *table)
{
	if (!table->readable)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s of the source cannot be read by the role of the connection",
						table->qualified),
				 errhint("Grant it SELECT, and USAGE on the schema, or leave the table out with exclude.")));
	if (table->row_security_active)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security hides rows of table %s of the source from the role of the connection",
						table->qualified),
				 errhint("Connect as a role with BYPASSRLS.")));
}

/*
 * auth.users, less what nobody needs (tokens of pending requests) and what
 * nobody gets without asking (password hashes).
 */
static void
find_users(Exporter *exporter)
{
	static const char exists_sql[] =
		"SELECT pg_catalog.has_table_privilege(c.oid, 'SELECT')"
		"  FROM pg_catalog.pg_class AS c"
		"  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
		" WHERE n.nspname = 'auth' AND c.relname = 'users' AND c.relkind = 'r'"
		"   AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')";
	static const AnswerShape shape = {
		"auth.users", ONE_ROW_OR_NONE, 0, {BOOL_COLUMN}
	};
	RowSet	   *rows = ftm_source_query(exporter->source, &shape,
										exists_sql, 0, NULL);
	ExportFile *file;

	if (rows->nrows == 0 || !ftm_rowset_bool(rows, 0, 0))
	{
		ereport(WARNING,
				(errmsg("users are not exported: the source has no table auth.users that its role can read")));
		return;
	}
	file = palloc0(sizeof(ExportFile));
	file->name = psprintf("%s%s", JSON_USERS_FILE,
						  exporter->compress ? ".gz" : "");
	file->task.name = "auth.users";
	file->task.path = path_of(exporter, file->name);
	file->task.compress = exporter->compress;
	file->task.select_sql =
		psprintf("SELECT pg_catalog.to_json(pg_catalog.to_jsonb(u.*)"
				 " OPERATOR(pg_catalog.-) '{%sconfirmation_token,recovery_token,"
				 "email_change_token_new,email_change_token_current,"
				 "phone_change_token,reauthentication_token}'::pg_catalog.text[])"
				 " FROM ONLY auth.users AS u ORDER BY u.id",
				 exporter->password_hashes ? "" : "encrypted_password,");
	exporter->users = file;
}

/*
 * What is not in the catalog.
 */
static void
record_schema(Exporter *exporter)
{
	static const AnswerShape shape = CATALOG_ENCODING_SHAPE;
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, exporter->tables)
		tables = lappend(tables,
						 unconstify(CatalogTable *,
									((ExportFile *) lfirst(lc))->table));
	ftm_verify_schema_record(tables, exporter->source, exporter->record);
	ftm_record_add(exporter->record, CATALOG_ENCODING_QUESTION,
				   ftm_source_query(exporter->source, &shape,
									CATALOG_ENCODING_SQL, 0, NULL));
}

/*
 * All names at once, before the first is written.
 */
static void
check_files(const Exporter *exporter)
{
	static const char *const names[] = {JSON_METADATA_FILE, JSON_USER_MAP_FILE};
	ListCell   *lc;

	for (int i = 0; i < (int) lengthof(names); i++)
		ftm_json_file_refuse_existing(path_of(exporter, names[i]),
									  exporter->overwrite);
	foreach(lc, exporter->tables)
		ftm_json_file_refuse_existing(((ExportFile *) lfirst(lc))->task.path,
									  exporter->overwrite);
	if (exporter->users != NULL)
		ftm_json_file_refuse_existing(exporter->users->task.path,
									  exporter->overwrite);
}

/*
 * From the first file that is replaced on, what the old metadata says is wrong.
 */
static void
remove_metadata(const Exporter *exporter)
{
	char	   *path = path_of(exporter, JSON_METADATA_FILE);

	if (unlink(path) == 0)
		fsync_fname(exporter->directory, true);
	else if (errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", path)));
}

static void
file_written(void *arg, StringInfo result)
{
	ftm_export_get_result(result, &((ExportFile *) arg)->result);
}

static PoolTask *
make_task(ExportFile *file)
{
	PoolTask   *task = palloc0(sizeof(PoolTask));

	task->command = COMMAND_EXPORT_TABLE;
	task->payload = makeStringInfo();
	task->object = file->task.name;
	task->arg = file;
	task->done = file_written;
	ftm_export_put_task(task->payload, &file->task);
	return task;
}

static void
write_files(Exporter *exporter)
{
	List	   *tasks = NIL;
	ListCell   *lc;

	foreach(lc, exporter->tables)
		tasks = lappend(tasks, make_task(lfirst(lc)));
	if (exporter->users != NULL)
		tasks = lappend(tasks, make_task(exporter->users));

	exporter->pool = ftm_pool_start(Min(ftm_workers, list_length(tasks)));
	ftm_step_open_sources(exporter->pool, exporter->server);
	ftm_step_set_snapshot(exporter->pool, exporter->snapshot);
	ftm_step_join_run(exporter->pool, 0, NULL);
	ftm_pool_run(exporter->pool, tasks);
	ftm_pool_end(exporter->pool);
}

static void
write_user_map(Exporter *exporter)
{
	RowSet	   *rows;

	rows = ftm_target_query_as_owner(psprintf("SELECT pg_catalog.jsonb_pretty(%s.ftm_dump_user_map()) || E'\\n'",
											  ftm_extension_schema_quoted()),
									 0, NULL);
	ftm_json_file_save(path_of(exporter, JSON_USER_MAP_FILE),
					   ftm_rowset_value(rows, 0, 0), &exporter->user_map);
}

static void
append_string(StringInfo text, const char *key, const char *value)
{
	appendStringInfo(text, ", \"%s\": ", key);
	escape_json(text, value);
}

static void
append_file(StringInfo text, const ExportFile *file)
{
	const ExportResult *result = &file->result;

	appendStringInfoString(text, "{\"file\": ");
	escape_json(text, file->name);
	if (file->table != NULL)
	{
		append_string(text, "schema", file->table->schema);
		append_string(text, "table", file->table->name);
	}
	appendStringInfo(text, ", \"rows\": " INT64_FORMAT ", \"bytes\": " INT64_FORMAT ", \"seconds\": %.3f",
					 result->rows, result->file.bytes, result->seconds);
	append_string(text, "sha256", result->file.sha256);
	/* a string, since it has more digits than many a reader of JSON keeps */
	if (result->checksum != NULL)
		append_string(text, "checksum", result->checksum);
	appendStringInfoChar(text, '}');
}

static void
append_sequences(StringInfo text, const Exporter *exporter)
{
	const char *separator = "";
	ListCell   *lc;

	foreach(lc, exporter->catalog->sequences)
	{
		CatalogSequence *sequence = lfirst(lc);

		if (!is_exported(exporter, sequence))
			continue;
		appendStringInfo(text, "%s\n    {\"schema\": ", separator);
		escape_json(text, sequence->schema);
		append_string(text, "sequence", sequence->name);
		appendStringInfo(text, ", \"lastValue\": " INT64_FORMAT ", \"isCalled\": %s}",
						 sequence->last_value,
						 sequence->is_called ? "true" : "false");
		separator = ",";
	}
}

static void
write_metadata(const Exporter *exporter)
{
	StringInfoData text;
	JsonFileInfo ignored;
	ExportDecisions *decisions;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "{\n  \"format\": %d,\n  \"exportedAt\": ",
					 JSON_EXPORT_FORMAT);
	escape_json(&text, timestamptz_to_str(GetCurrentTimestamp()));
	appendStringInfo(&text, ",\n  \"sourceVersion\": %d,\n  \"tables\": [",
					 exporter->catalog->version);
	foreach(lc, exporter->tables)
	{
		appendStringInfoString(&text, foreach_current_index(lc) > 0 ?
							   ",\n    " : "\n    ");
		append_file(&text, lfirst(lc));
	}
	appendStringInfoString(&text, "\n  ],\n  \"sequences\": [");
	append_sequences(&text, exporter);
	appendStringInfoString(&text, "\n  ],\n  \"users\": ");
	if (exporter->users != NULL)
		append_file(&text, exporter->users);
	else
		appendStringInfoString(&text, "null");
	appendStringInfo(&text, ",\n  \"userMap\": {\"file\": \"%s\", \"bytes\": " INT64_FORMAT ", \"sha256\": \"%s\"},\n  \"catalog\": ",
					 JSON_USER_MAP_FILE, exporter->user_map.bytes,
					 exporter->user_map.sha256);
	ftm_record_put_json(&text, exporter->record);
	decisions = ftm_decisions_read(exporter->scope->source,
								   exporter->scope->schemas);
	if (decisions->ids != NULL)
		appendStringInfo(&text, ",\n  \"ids\": \"%s\"", decisions->ids);
	appendStringInfo(&text, ",\n  \"userColumns\": %s,\n  \"scannedColumns\": %s",
					 decisions->columns, decisions->scanned);
	appendStringInfoString(&text, "\n}\n");
	ftm_json_file_save(path_of(exporter, JSON_METADATA_FILE), text.data,
					   &ignored);
}

static void
put_file(ReturnSetInfo *rsinfo, const ExportFile *file)
{
	Datum		values[5];
	bool		nulls[5] = {0};

	values[0] = CStringGetTextDatum(file->task.name);
	values[1] = CStringGetTextDatum(file->name);
	values[2] = Int64GetDatum(file->result.rows);
	values[3] = Int64GetDatum(file->result.file.bytes);
	values[4] = DirectFunctionCall3(numeric_in,
									CStringGetDatum(psprintf("%.3f", file->result.seconds)),
									ObjectIdGetDatum(InvalidOid),
									Int32GetDatum(-1));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/*
 * table_name, file, rows, bytes, seconds
 */
static void
put_results(ReturnSetInfo *rsinfo, const Exporter *exporter)
{
	ListCell   *lc;

	foreach(lc, exporter->tables)
		put_file(rsinfo, lfirst(lc));
	if (exporter->users != NULL)
		put_file(rsinfo, exporter->users);
}
