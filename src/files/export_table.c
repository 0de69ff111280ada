/*-------------------------------------------------------------------------
 *
 * export_table.c
 *		One table of an export: its rows, as JSON, in a file.
 *
 *		source: row_to_json() -> COPY (binary) -> file
 *
 * The source makes the JSON, so that no value is parsed or printed here.  It
 * comes in COPY's binary format, in which a text has no escapes: two bytes that
 * count columns, four that count bytes, and the object as it will be written.
 *
 * Which form a column has is decided by its type alone, never by a cast that
 * somebody may have created: json functions would look for one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "files/export_table.h"
#include "load/task.h"
#include "verify/checksum.h"

static const char copy_signature[11] = "PGCOPY\n\377\r\n";

/* Signature, flags, length of the extension. */
#define COPY_HEADER_SIZE	(sizeof(copy_signature) + 4 + 4)

/* COPY's stream, taken apart. */
typedef struct CopyReader
{
	const ExportTask *task;
	JsonFile   *file;
	StringInfoData rest;		/* what is not a whole unit yet */
	bool		header_read;
	bool		trailer_read;
	int64		rows;
} CopyReader;

static void append_column(StringInfo sql, const CatalogColumn *column);
static void write_rows(SourceConnection *source, CopyReader *reader);
static size_t write_units(CopyReader *reader, const char *data, size_t length);
static size_t read_header(CopyReader *reader, const char *data, size_t length);
static size_t write_row(CopyReader *reader, const char *data, size_t length);
pg_noreturn static void raise_broken_stream(const CopyReader *reader);

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

/*
 * A type behind all domains: their arrays and elements are known by it only.
 */
static const CatalogType *
flatten(const CatalogType *type)
{
	while (type->base != NULL)
		type = type->base;
	return type;
}

/*
 * May an array of it be a JSON array?  Nulls inside json would be lost, and
 * what extensions and users have defined has its own way of being written.
 */
static bool
is_plain_element(const CatalogType *type)
{
	return type != NULL && type->base == NULL && !type->is_array &&
		type->typtype == 'b' && is_builtin(type) && !is_type(type, "json") &&
		!is_type(type, "jsonb") && !is_type(type, "xml");
}

/* The value's text, by its output function. */
static char *
output_text(const char *name)
{
	return psprintf("CASE WHEN %s IS DISTINCT FROM NULL"
					" THEN pg_catalog.format('%%s', %s) END", name, name);
}

/*
 * One column of the row that becomes an object.
 *
 * - json and jsonb: objects and arrays as they are; anything else is its text
 *	 in a string, since a JSON null would be taken for no value.  So is a
 *	 json that holds line feeds (a row is a line), blanks around it, or escapes
 *	 that only type json accepts.
 * - Arrays of ordinary types: JSON arrays, if they have one dimension and begin
 *	 at 1, which JSON arrays cannot say otherwise.
 * - Other base types and ranges that come with PostgreSQL: row_to_json() makes
 *	 numbers and booleans of some, and strings of the output of all others, NaN
 *	 and infinity included.
 * - Everything else: its text.
 */
static void
append_column(StringInfo sql, const CatalogColumn *column)
{
	const char *name = ftm_catalog_quote(column->name);
	const CatalogType *type = flatten(column->type);

	if (is_type(type, "json") || is_type(type, "jsonb"))
		appendStringInfo(sql, "CASE WHEN pg_catalog.left(pg_catalog.format('%%s', %s), 1) IN ('{', '[')"
						 " AND pg_catalog.right(pg_catalog.format('%%s', %s), 1) IN ('}', ']')"
						 " AND pg_catalog.strpos(pg_catalog.format('%%s', %s), E'\\n') = 0"
						 " AND pg_catalog.strpos(pg_catalog.format('%%s', %s), E'\\\\u') = 0"
						 " THEN pg_catalog.to_json(%s)"
						 " ELSE pg_catalog.to_json(%s) END",
						 name, name, name, name, name, output_text(name));
	else if (is_type(type, "xml"))
		/* its output function drops the encoding from the declaration */
		appendStringInfo(sql, "%s::pg_catalog.text", name);
	else if (type->is_array && is_plain_element(type->element))
		appendStringInfo(sql, "CASE WHEN pg_catalog.cardinality(%s) = 0"
						 " OR (pg_catalog.array_ndims(%s) = 1 AND pg_catalog.array_lower(%s, 1) = 1)"
						 " THEN pg_catalog.to_json(%s)"
						 " ELSE pg_catalog.to_json(%s) END",
						 name, name, name, name, output_text(name));
	else if (is_builtin(type) && !type->is_array &&
			 (type->typtype == 'b' || type->typtype == 'r' ||
			  type->typtype == 'm'))
		appendStringInfoString(sql, name);
	else
		appendStringInfoString(sql, output_text(name));
	appendStringInfo(sql, " AS %s", name);
}

char *
ftm_export_select_sql(const CatalogTable *table)
{
	StringInfoData sql;
	ListCell   *lc;

	/* exported.* is the row even if it has a column of that name */
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT pg_catalog.row_to_json(exported.*) FROM (SELECT ");
	foreach(lc, table->columns)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(&sql, ", ");
		append_column(&sql, lfirst(lc));
	}
	appendStringInfo(&sql, " FROM %s%s) AS exported",
					 table->relkind == 'p' ? "" : "ONLY ",
					 ftm_catalog_quote_qualified(table->schema, table->name));
	return sql.data;
}

char *
ftm_export_checksum_sql(const CatalogTable *table)
{
	PlanTable	plan = {0};
	ListCell   *lc;

	plan.source = unconstify(CatalogTable *, table);
	plan.target = plan.source;
	plan.name = table->qualified;
	foreach(lc, table->columns)
	{
		PlanColumn *column = palloc0(sizeof(PlanColumn));

		column->source = lfirst(lc);
		column->target = lfirst(lc);
		column->mode = REWRITE_KEEP;
		plan.columns = lappend(plan.columns, column);
	}
	return ftm_checksum_build(&plan)->source_sql;
}

void
ftm_export_table(SourceConnection *source, const ExportTask *task,
				 ExportResult *result)
{
	TimestampTz started = GetCurrentTimestamp();
	CopyReader	reader = {0};

	memset(result, 0, sizeof(ExportResult));
	reader.task = task;
	initStringInfo(&reader.rest);
	reader.file = ftm_json_file_create(task->path, task->compress);
	PG_ENSURE_ERROR_CLEANUP(ftm_json_file_discard,
							PointerGetDatum(reader.file));
	{
		write_rows(source, &reader);
		result->rows = reader.rows;
		if (task->checksum_sql != NULL)
		{
			RowSet	   *rows = ftm_source_query(source, &ftm_checksum_shape,
												task->checksum_sql, 0, NULL);

			if (ftm_rowset_int64(rows, 0, 0) != reader.rows)
				ereport(ERROR,
						(errcode(ERRCODE_DATA_CORRUPTED),
						 errmsg("the source sent " INT64_FORMAT " rows of table %s, but counts " INT64_FORMAT,
								reader.rows, task->name,
								ftm_rowset_int64(rows, 0, 0))));
			result->checksum = ftm_rowset_text(rows, 0, 1);
		}
		ftm_json_file_finish(reader.file, &result->file);
	}
	PG_END_ENSURE_ERROR_CLEANUP(ftm_json_file_discard,
								PointerGetDatum(reader.file));
	result->seconds = TimestampDifferenceMilliseconds(started,
													  GetCurrentTimestamp()) / 1000.0;
}

/*
 * JSON is UTF-8, whatever the target's encoding, which is the one that the
 * session has been told.
 */
static void
set_encoding(SourceConnection *source, const char *encoding)
{
	if (GetDatabaseEncoding() != PG_UTF8)
		(void) ftm_source_query(source, &ftm_source_settings_shape,
								psprintf("SELECT pg_catalog.set_config('client_encoding', '%s', false)",
										 encoding), 0, NULL);
}

/* The statement, in that encoding. */
static char *
copy_sql(const char *select_sql)
{
	char	   *sql = psprintf("COPY (%s) TO STDOUT (FORMAT binary)", select_sql);

	return pg_server_to_any(sql, (int) strlen(sql), PG_UTF8);
}

/*
 * One row per line, commas between them.
 */
static void
write_rows(SourceConnection *source, CopyReader *reader)
{
	char	   *data;
	int			length;

	set_encoding(source, pg_encoding_to_char(PG_UTF8));
	ftm_source_copy_begin(source,
						  copy_sql(reader->task->select_sql),
						  1, true);
	ftm_json_file_write(reader->file, "[", 1);
	while ((length = ftm_source_copy_read(source, &data, true)) >= 0)
	{
		StringInfo	rest = &reader->rest;
		size_t		done;

		CHECK_FOR_INTERRUPTS();
		if (rest->len == 0)
		{
			done = write_units(reader, data, length);
			appendBinaryStringInfo(rest, data + done, length - (int) done);
			continue;
		}
		appendBinaryStringInfo(rest, data, length);
		done = write_units(reader, rest->data, rest->len);
		rest->len -= (int) done;
		memmove(rest->data, rest->data + done, rest->len);
	}
	if (!reader->trailer_read || reader->rest.len > 0)
		raise_broken_stream(reader);
	set_encoding(source, GetDatabaseEncodingName());
	ftm_json_file_write(reader->file, "\n]\n", 3);
}

/*
 * Take in as many whole units as there are; returns their length.
 */
static size_t
write_units(CopyReader *reader, const char *data, size_t length)
{
	size_t		done = 0;

	for (;;)
	{
		size_t		unit;

		if (reader->header_read)
			unit = write_row(reader, data + done, length - done);
		else
			unit = read_header(reader, data + done, length - done);
		if (unit == 0)
			return done;
		done += unit;
	}
}

static uint32
get_uint32(const char *data)
{
	uint32		value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh32(value);
}

static size_t
read_header(CopyReader *reader, const char *data, size_t length)
{
	uint32		extension;

	if (length < COPY_HEADER_SIZE)
		return 0;
	extension = get_uint32(data + COPY_HEADER_SIZE - 4);
	if (memcmp(data, copy_signature, sizeof(copy_signature)) != 0 ||
		extension > MaxAllocSize)
		raise_broken_stream(reader);
	if (length < COPY_HEADER_SIZE + extension)
		return 0;
	reader->header_read = true;
	return COPY_HEADER_SIZE + extension;
}

/*
 * A row is the number of its columns, one, and the length of that column; -1
 * columns are the end.
 */
static size_t
write_row(CopyReader *reader, const char *data, size_t length)
{
	uint16		columns;
	uint32		bytes;

	if (length < 2)
		return 0;
	memcpy(&columns, data, sizeof(columns));
	if (reader->trailer_read)
		raise_broken_stream(reader);
	if ((int16) pg_ntoh16(columns) == -1)
	{
		reader->trailer_read = true;
		return 2;
	}
	if (pg_ntoh16(columns) != 1)
		raise_broken_stream(reader);
	if (length < 6)
		return 0;
	bytes = get_uint32(data + 2);
	if (bytes > MaxAllocSize)
		raise_broken_stream(reader);
	if (length < 6 + (size_t) bytes)
		return 0;
	ftm_json_file_write(reader->file, reader->rows > 0 ? ",\n" : "\n",
						reader->rows > 0 ? 2 : 1);
	ftm_json_file_write(reader->file, data + 6, bytes);
	reader->rows++;
	return 6 + (size_t) bytes;
}

static void
raise_broken_stream(const CopyReader *reader)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("the source's stream for table %s is broken",
					reader->task->name),
			 errdetail("After row " INT64_FORMAT ".", reader->rows)));
}

void
ftm_export_put_task(StringInfo buffer, const ExportTask *task)
{
	ftm_task_put_string(buffer, task->name);
	ftm_task_put_string(buffer, task->path);
	pq_sendbyte(buffer, task->compress);
	ftm_task_put_string(buffer, task->select_sql);
	ftm_task_put_string(buffer, task->checksum_sql);
}

ExportTask *
ftm_export_get_task(StringInfo buffer)
{
	ExportTask *task = palloc0(sizeof(ExportTask));

	task->name = ftm_task_get_string(buffer);
	task->path = ftm_task_get_string(buffer);
	task->compress = pq_getmsgbyte(buffer);
	task->select_sql = ftm_task_get_string(buffer);
	task->checksum_sql = ftm_task_get_string(buffer);
	return task;
}

void
ftm_export_put_result(StringInfo buffer, const ExportResult *result)
{
	pq_sendint64(buffer, result->rows);
	pq_sendfloat8(buffer, result->seconds);
	ftm_task_put_string(buffer, result->checksum);
	pq_sendint64(buffer, result->file.bytes);
	ftm_task_put_string(buffer, result->file.sha256);
}

void
ftm_export_get_result(StringInfo buffer, ExportResult *result)
{
	result->rows = pq_getmsgint64(buffer);
	result->seconds = pq_getmsgfloat8(buffer);
	result->checksum = ftm_task_get_string(buffer);
	result->file.bytes = pq_getmsgint64(buffer);
	strlcpy(result->file.sha256, ftm_task_get_string(buffer),
			sizeof(result->file.sha256));
}
