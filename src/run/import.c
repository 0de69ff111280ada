/*-------------------------------------------------------------------------
 *
 * import.c
 *		ftm_import(): a run whose rows come from files.
 *
 * It is the run of leader.c, with the same plan, workers, state and
 * verification.  What the source would be asked for is in metadata.json: its
 * catalog, where a table's rows are, what checksum the source had of them, and
 * where its sequences were.  The source itself may be gone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/recovery.h"
#include "base/settings.h"
#include "base/target.h"
#include "files/export_table.h"
#include "files/json_file.h"
#include "files/stage.h"
#include "run/import.h"
#include "run/leader.h"
#include "run/run.h"
#include "schema/scope.h"

PG_FUNCTION_INFO_V1(ftm_import);
PG_FUNCTION_INFO_V1(ftm_verify_export);

/* Arguments around the scope's. */
enum ImportArgument
{
	ARG_DIRECTORY = 0,
	ARG_SCOPE = 1,
	ARG_EXISTING = 5,
	ARG_UNMAPPED,
	ARG_VERIFY,
	ARG_RESTART,
	ARG_UNDECIDED,
	ARG_IDS,
	ARG_COMPARE_SOURCE = 5		/* of ftm_verify_export() */
};

typedef struct ImportFile
{
	char	   *schema;
	char	   *table;
	char	   *file;
	char	   *sha256;
	char	   *rows;
	char	   *checksum;
} ImportFile;

typedef struct ImportSequence
{
	char	   *schema;
	char	   *name;
	int64		last_value;
	bool		is_called;
} ImportSequence;

static void read_metadata(ImportDirectory *directory, const char *text);
static void narrow_scope(const ImportDirectory *directory, Scope *scope);
static const ImportFile *find_file(const ImportDirectory *directory,
								   const CatalogTable *table);

/*
 * ftm_import(directory, source, schemas, include, exclude, existing, unmapped,
 * verify, restart, undecided, ids)
 *
 * Loads an export into the target; one row per table.
 */
Datum
ftm_import(PG_FUNCTION_ARGS)
{
	static const char *const unmapped_values[] = {"error", "keep", NULL};
	static const char *const existing_values[] = {"error", "truncate", NULL};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RunOptions *options = palloc0(sizeof(RunOptions));
	const char *existing;

	ftm_leader_refuse_transaction_block("ftm_import()");
	if (PG_ARGISNULL(ARG_DIRECTORY))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("parameter \"%s\" must not be null", "directory")));
	options->scope = ftm_scope_from_args(fcinfo, ARG_SCOPE);
	options->workers = ftm_workers;
	options->policy.unmapped = ftm_scope_keyword_arg(fcinfo, ARG_UNMAPPED,
													 "unmapped",
													 unmapped_values);
	options->policy.undecided = ftm_run_undecided_arg(fcinfo, ARG_UNDECIDED);
	options->policy.ids = ftm_run_ids_arg(fcinfo, ARG_IDS);
	existing = ftm_scope_keyword_arg(fcinfo, ARG_EXISTING, "existing",
									 existing_values);
	options->replace = existing != NULL && strcmp(existing, "truncate") == 0;
	options->verify = ftm_scope_bool_arg(fcinfo, ARG_VERIFY, "verify");
	options->restart = ftm_scope_bool_arg(fcinfo, ARG_RESTART, "restart");
	options->import =
		ftm_import_open(text_to_cstring(PG_GETARG_TEXT_PP(ARG_DIRECTORY)));
	narrow_scope(options->import, options->scope);
	InitMaterializedSRF(fcinfo, 0);
	ftm_run_put_results(rsinfo, ftm_leader_run(options));
	return (Datum) 0;
}

ImportDirectory *
ftm_import_open(const char *name)
{
	ImportDirectory *directory = palloc0(sizeof(ImportDirectory));
	char	   *path;
	char	   *text;

	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files on the server"),
				 errhint("Be a superuser or a member of the role pg_read_server_files.")));
	directory->path = ftm_json_directory(name);
	ftm_json_directory_lock(directory->path, false);
	path = psprintf("%s/%s", directory->path, JSON_METADATA_FILE);
	text = ftm_json_file_read(path);
	read_metadata(directory, text);
	directory->record = ftm_record_from_json(text);
	if (directory->record == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("file \"%s\" is damaged", path),
				 errdetail("It does not say what the source's schema was.")));
	return directory;
}

/*
 * The server's JSON functions take it apart; what is not valid JSON is their
 * error.
 */
static void
read_metadata(ImportDirectory *directory, const char *text)
{
	static const char files_sql[] =
		"SELECT f->>'schema', f->>'table', f->>'file', f->>'sha256',"
		"       (f->>'rows')::bigint, (f->>'checksum')::numeric"
		"  FROM pg_catalog.json_array_elements($1::json->'tables') AS f";
	static const char sequences_sql[] =
		"SELECT s->>'schema', s->>'sequence', (s->>'lastValue')::bigint,"
		"       (s->>'isCalled')::boolean"
		"  FROM pg_catalog.json_array_elements($1::json->'sequences') AS s";
	RowSet	   *rows = ftm_target_query("SELECT $1::json->>'format'", 1, &text);
	const char *format = ftm_rowset_value(rows, 0, 0);

	if (format == NULL || strcmp(format, CppAsString2(JSON_EXPORT_FORMAT)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("file \"%s/%s\" was not written by this version of ftm_export()",
						directory->path, JSON_METADATA_FILE),
				 errdetail("Its format is %s, expected %d.",
						   format != NULL ? format : "not known",
						   JSON_EXPORT_FORMAT),
				 errhint("Export again, with this version.")));
	rows = ftm_target_query(files_sql, 1, &text);
	for (int i = 0; i < rows->nrows; i++)
	{
		ImportFile *file = palloc0(sizeof(ImportFile));

		file->schema = ftm_rowset_value(rows, i, 0);
		file->table = ftm_rowset_value(rows, i, 1);
		file->file = ftm_rowset_value(rows, i, 2);
		file->sha256 = ftm_rowset_value(rows, i, 3);
		file->rows = ftm_rowset_value(rows, i, 4);
		file->checksum = ftm_rowset_value(rows, i, 5);
		if (file->schema == NULL || file->table == NULL || file->file == NULL ||
			file->sha256 == NULL || file->rows == NULL ||
			file->checksum == NULL || strchr(file->file, '/') != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("file \"%s/%s\" is damaged",
							directory->path, JSON_METADATA_FILE),
					 errdetail("Entry %d of \"tables\" is not complete.", i + 1)));
		directory->files = lappend(directory->files, file);
	}
	rows = ftm_target_query("SELECT $1::json->'users'->>'file', $1::json->'users'->>'sha256'",
							1, &text);
	if (ftm_rowset_value(rows, 0, 0) != NULL &&
		ftm_rowset_value(rows, 0, 1) != NULL &&
		strchr(ftm_rowset_value(rows, 0, 0), '/') == NULL)
	{
		directory->users_file = ftm_json_file_path(directory->path,
												   ftm_rowset_value(rows, 0, 0));
		directory->users_sha256 = ftm_rowset_value(rows, 0, 1);
	}
	rows = ftm_target_query("SELECT $1::json->'userColumns', $1::json->'scannedColumns', $1::json->>'ids'",
							1, &text);
	directory->decisions = palloc0(sizeof(ExportDecisions));
	directory->decisions->columns = ftm_rowset_value(rows, 0, 0);
	directory->decisions->scanned = ftm_rowset_value(rows, 0, 1);
	directory->decisions->ids = ftm_rowset_value(rows, 0, 2);
	if (directory->decisions->columns == NULL ||
		directory->decisions->scanned == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("file \"%s/%s\" is damaged",
						directory->path, JSON_METADATA_FILE),
				 errdetail("It does not say what was decided about columns with user ids.")));
	rows = ftm_target_query(sequences_sql, 1, &text);
	for (int i = 0; i < rows->nrows; i++)
	{
		ImportSequence *sequence = palloc0(sizeof(ImportSequence));

		sequence->schema = ftm_rowset_value(rows, i, 0);
		sequence->name = ftm_rowset_value(rows, i, 1);
		sequence->last_value = ftm_rowset_int64(rows, i, 2);
		sequence->is_called = ftm_rowset_bool(rows, i, 3);
		if (sequence->schema != NULL && sequence->name != NULL)
			directory->sequences = lappend(directory->sequences, sequence);
	}
}

/* NULL if there is none. */
static const ImportFile *
find_file(const ImportDirectory *directory, const CatalogTable *table)
{
	ListCell   *lc;

	foreach(lc, directory->files)
	{
		const ImportFile *file = lfirst(lc);

		if (strcmp(file->schema, table->schema) == 0 &&
			strcmp(file->table, table->name) == 0)
			return file;
	}
	return NULL;
}

static const ImportSequence *
find_sequence(const ImportDirectory *directory, const CatalogSequence *source)
{
	ListCell   *lc;

	foreach(lc, directory->sequences)
	{
		const ImportSequence *sequence = lfirst(lc);

		if (strcmp(sequence->schema, source->schema) == 0 &&
			strcmp(sequence->name, source->name) == 0)
			return sequence;
	}
	return NULL;
}

Catalog *
ftm_import_catalog(const ImportDirectory *directory, List *schemas)
{
	return ftm_catalog_read_record(directory->record, schemas);
}

/*
 * What the export was told to leave out is left out by the import, too, unless
 * it is told to include it: then adapt_plan() complains.
 */
static void
narrow_scope(const ImportDirectory *directory, Scope *scope)
{
	Catalog    *catalog = ftm_import_catalog(directory, scope->schemas);
	ListCell   *lc;

	if (scope->include != NIL)
		return;
	foreach(lc, catalog->tables)
	{
		CatalogTable *table = lfirst(lc);

		if (find_file(directory, table) == NULL)
			scope->exclude = lappend(scope->exclude, table->qualified);
	}
	foreach(lc, catalog->sequences)
	{
		CatalogSequence *sequence = lfirst(lc);

		if (find_sequence(directory, sequence) == NULL)
			scope->exclude = lappend(scope->exclude, sequence->qualified);
	}
}

void
ftm_import_adapt_plan(const ImportDirectory *directory, MigrationPlan *plan)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		if (find_file(directory, table->source) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FILE),
					 errmsg("directory \"%s\" has no file for table %s",
							directory->path, table->name),
					 errhint("Leave the table out with exclude, or export it.")));
	}
	foreach(lc, plan->sequences)
	{
		CatalogSequence *source = ((PlanSequence *) lfirst(lc))->source;
		const ImportSequence *sequence = find_sequence(directory, source);

		if (sequence == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_FILE),
					 errmsg("directory \"%s\" does not say where sequence %s is",
							directory->path, source->qualified),
					 errhint("Leave the sequence out with exclude, or export it.")));
		source->last_value = sequence->last_value;
		source->is_called = sequence->is_called;
		source->readable = true;
	}
}

void
ftm_import_adapt_task(const ImportDirectory *directory, const PlanTable *table,
					  TableTask *task)
{
	const ImportFile *file = find_file(directory, table->source);

	task->binary = false;
	task->file = ftm_json_file_path(directory->path, file->file);
	task->file_sha256 = file->sha256;
}

void
ftm_import_adapt_checksum(const ImportDirectory *directory,
						  const PlanTable *table, TableChecksum *checksum)
{
	const ImportFile *file = find_file(directory, table->source);
	CatalogTable source = *table->source;
	PlanTable	staged = *table;

	if (strcmp(checksum->source_sql,
			   ftm_export_checksum_sql(table->source)) == 0)
	{
		checksum->source_sql = psprintf("SELECT %s::pg_catalog.int8, %s::pg_catalog.numeric",
										quote_literal_cstr(file->rows),
										quote_literal_cstr(file->checksum));
		return;
	}
	source.schema = "pg_temp";
	source.name = STAGE_TABLE;
	source.relkind = RELKIND_RELATION;
	staged.source = &source;
	checksum->source_sql = ftm_checksum_build(&staged)->source_sql;
	checksum->stage = ftm_stage_task(table);
	checksum->stage->file = ftm_json_file_path(directory->path, file->file);
	checksum->stage->file_sha256 = file->sha256;
	checksum->notes = lappend(checksum->notes,
							  "compared with the rows of the file");
}

static VerifyResult *
verify_file(const ImportDirectory *directory, const ImportFile *file)
{
	VerifyResult *result = palloc0(sizeof(VerifyResult));
	char	   *path = ftm_json_file_path(directory->path, file->file);
	char		sha256[JSON_SHA256_SIZE];
	int			fd = ftm_json_file_open(path);

	ftm_json_file_sha256(fd, path, sha256);
	(void) CloseTransientFile(fd);
	result->kind = "file";
	result->object = file->file;
	result->source_rows = -1;
	result->target_rows = -1;
	result->ok = strcmp(sha256, file->sha256) == 0;
	result->detail = result->ok ? "SHA-256 as in metadata.json" :
		psprintf("SHA-256 is %s, expected %s", sha256, file->sha256);
	return result;
}

/*
 * What the source holds now, beside what the export says of it: the latter as
 * the target's columns of the answer.
 */
static VerifyResult *
verify_source(const ImportFile *file, const CatalogTable *table,
			  SourceConnection *source)
{
	VerifyResult *result = palloc0(sizeof(VerifyResult));
	RowSet	   *rows;

	rows = ftm_source_query(source, &ftm_checksum_shape,
							ftm_export_checksum_sql(table), 0, NULL);
	result->kind = "export";
	result->object = table->qualified;
	result->source_rows = ftm_rowset_int64(rows, 0, 0);
	result->source_checksum = ftm_rowset_text(rows, 0, 1);
	result->target_rows = strtoll(file->rows, NULL, 10);
	result->target_checksum = file->checksum;
	result->ok = result->source_rows == result->target_rows &&
		strcmp(result->source_checksum, result->target_checksum) == 0;
	result->detail = result->ok ? "the source holds what was exported" :
		"the source has changed since the export";
	return result;
}

List *
ftm_import_verify(const ImportDirectory *directory, const MigrationPlan *plan,
				  SourceConnection *source)
{
	List	   *results = NIL;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		const CatalogTable *table = ((PlanTable *) lfirst(lc))->source;
		const ImportFile *file = find_file(directory, table);

		results = lappend(results, verify_file(directory, file));
		if (source != NULL)
			results = lappend(results, verify_source(file, table, source));
	}
	return results;
}

/*
 * ftm_verify_export(directory, source, schemas, include, exclude,
 * compare_source)
 *
 * ftm_verify() with the export between the two: files and, if compare_source,
 * the source against metadata.json, and the target against it.
 */
Datum
ftm_verify_export(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Scope	   *scope;
	ImportDirectory *directory;

	ftm_recovery_refuse("ftm_verify_export()");
	if (PG_ARGISNULL(ARG_DIRECTORY))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("parameter \"%s\" must not be null", "directory")));
	scope = ftm_scope_from_args(fcinfo, ARG_SCOPE);
	directory = ftm_import_open(text_to_cstring(PG_GETARG_TEXT_PP(ARG_DIRECTORY)));
	narrow_scope(directory, scope);
	InitMaterializedSRF(fcinfo, 0);
	ftm_run_put_verdicts(rsinfo, ftm_leader_verify(scope, directory,
												   ftm_scope_bool_arg(fcinfo, ARG_COMPARE_SOURCE,
																	  "compare_source")));
	return (Datum) 0;
}
