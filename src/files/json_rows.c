/*-------------------------------------------------------------------------
 *
 * json_rows.c
 *		The rows of a JSON file as a stream of COPY's text format.
 *
 *		file -> zlib -> json_split.c -> the server's JSON parser -> COPY text
 *
 * - A number stays the digits that stand in the file, a string becomes its
 *	 characters, anything nested stays as it is: each is the text that the input
 *	 function of the column's type gets to read.  Nothing becomes a double.
 * - One row is handed over at a time, so that an error of CopyFrom() is about
 *	 the object that was read last, whose place is known.
 * - The parser validates and tells where values begin and end; a value is the
 *	 text between.  Only a string with escapes is read by it once more.
 * - Memory holds one object, and what was made of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>
#include <zlib.h>

#include "catalog/pg_type.h"
#include "common/jsonapi.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/target.h"
#include "compat.h"
#include "files/json_file.h"
#include "files/json_rows.h"
#include "files/json_split.h"

#define READ_SIZE		(256 * 1024)

/* zlib: window of 32 kB, and 16 more for the gzip format. */
#define GZIP_WINDOW		(15 + 16)

/* A column that the file may have. */
typedef struct JsonColumn
{
	const char *name;
	size_t		name_length;
	bool		loaded;			/* false: generated, its value is ignored */
	Oid			type;
	int32		typmod;
	char		structure;		/* '[' or '{': the type is made of such a JSON
								 * value; 0: it takes its text */
	SPIPlanPtr	convert;		/* of such values; NULL until needed */
	ExprState  *default_value;	/* NULL: none */
	FmgrInfo	output;			/* of the type, for the default */
	/* of the current row */
	bool		given;
	const char *value;			/* NULL: SQL NULL */
	size_t		length;
	bool		plain;			/* nothing in it means anything to COPY */
} JsonColumn;

typedef struct JsonRows
{
	CopyOrigin	origin;			/* first: what load.c knows of it */
	const TableTask *task;
	int			fd;
	bool		compressed;
	z_stream	zlib;
	bool		zlib_ended;		/* behind a complete gzip stream */
	char	   *input;			/* compressed bytes */
	char	   *data;			/* JSON */
	size_t		used;
	size_t		length;
	bool		ended;
	JsonSplitter splitter;
	StringInfoData object;		/* in the database's encoding once parsed */
	bool		converted;		/* it is not what stands in the file */
	StringInfoData row;
	int			ncolumns;
	JsonColumn *columns;		/* those loaded in the stream's order, then the
								 * ignored ones */
	EState	   *executor;		/* for defaults */
	MemoryContext context;		/* reset for each row */
	JsonLexContext *lexer;		/* of the current object */
	const char *behind;			/* the last value, or the opening brace */
	int			next;			/* column that is likely to come next */
	JsonColumn *column;			/* that is being parsed */
} JsonRows;

static void begin_rows(CopyOrigin *origin, Relation rel);
static int	read_row(CopyOrigin *origin, char **data, bool wait);
static void set_up_columns(JsonRows *rows, Relation rel);
static void check_digest(JsonRows *rows);
static void read_file(JsonRows *rows);
static bool read_object(JsonRows *rows);
static void parse_object(JsonRows *rows);
static void append_row(JsonRows *rows);

pg_noreturn static void
raise_at(const JsonRows *rows, const JsonPlace *place, const char *message);

static void
raise_at(const JsonRows *rows, const JsonPlace *place, const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("file \"%s\" is not what can be imported", rows->task->file),
			 errdetail("At line " UINT64_FORMAT ", column " UINT64_FORMAT ": %s.",
					   place->line, place->column, message)));
}

void
ftm_json_rows_context(void *arg)
{
	JsonRows   *rows = arg;

	if (rows->ended)			/* it is about all rows, as of an index */
		errcontext("file \"%s\"", rows->task->file);
	else if (rows->splitter.object.line > 0)
		errcontext("file \"%s\", object at line " UINT64_FORMAT ", column " UINT64_FORMAT,
				   rows->task->file, rows->splitter.object.line,
				   rows->splitter.object.column);
	else
		errcontext("file \"%s\", line 1, column 1", rows->task->file);
}

CopyOrigin *
ftm_json_rows_create(const TableTask *task)
{
	JsonRows   *rows = palloc0(sizeof(JsonRows));
	size_t		length = strlen(task->file);

	rows->origin.begin = begin_rows;
	rows->origin.read = read_row;
	rows->task = task;
	rows->compressed = length > 3 && strcmp(task->file + length - 3, ".gz") == 0;
	return &rows->origin;
}

/* zlib's memory comes from a memory context, which frees it after an error. */
static voidpf
allocate(voidpf context, uInt items, uInt size)
{
	return MemoryContextAllocExtended((MemoryContext) context,
									  (Size) items * size, MCXT_ALLOC_NO_OOM);
}

static void
release(voidpf context pg_attribute_unused(), voidpf memory)
{
	pfree(memory);
}

/*
 * The whole file is read twice: nothing of it is used before its digest is
 * known to be right.
 */
static void
open_file(JsonRows *rows)
{
	rows->fd = ftm_json_file_open(rows->task->file);
	rows->input = palloc(READ_SIZE);
	rows->data = rows->compressed ? palloc(READ_SIZE) : rows->input;
	check_digest(rows);
	if (lseek(rows->fd, 0, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", rows->task->file)));

	if (rows->compressed)
	{
		rows->zlib.zalloc = allocate;
		rows->zlib.zfree = release;
		rows->zlib.opaque = CurrentMemoryContext;
		if (inflateInit2(&rows->zlib, GZIP_WINDOW) != Z_OK)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
	}
	ftm_json_split_init(&rows->splitter);
	initStringInfo(&rows->object);
	rows->context = AllocSetContextCreate(CurrentMemoryContext,
										  "ftmigrate JSON row",
										  ALLOCSET_DEFAULT_SIZES);
}

static void
begin_rows(CopyOrigin *origin, Relation rel)
{
	JsonRows   *rows = (JsonRows *) origin;

	open_file(rows);
	initStringInfo(&rows->row);
	set_up_columns(rows, rel);
}

static size_t
read_bytes(JsonRows *rows)
{
	ssize_t		length;

	CHECK_FOR_INTERRUPTS();
	do
		length = read(rows->fd, rows->input, READ_SIZE);
	while (length < 0 && errno == EINTR);
	if (length < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", rows->task->file)));
	return length;
}

static void
check_digest(JsonRows *rows)
{
	char		text[JSON_SHA256_SIZE];

	ftm_json_file_sha256(rows->fd, rows->task->file, text);
	if (strcmp(text, rows->task->file_sha256) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("file \"%s\" is not the one that metadata.json describes",
						rows->task->file),
				 errdetail("Its SHA-256 is %s, expected %s.", text,
						   rows->task->file_sha256),
				 errhint("If only its layout was changed, correct its \"sha256\" in metadata.json; else export again.")));
}

/*
 * What kind of JSON value is more than the text of a value of this type.
 */
static char
structure_of(Oid type)
{
	Oid			base = getBaseType(type);

	if (OidIsValid(get_element_type(base)))
		return '[';
	if (type_is_rowtype(base))
		return '{';
	return '\0';
}

static void
set_up_column(JsonRows *rows, JsonColumn *column, Relation rel, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	Node	   *expression;
	Oid			output;
	bool		is_varlena;

	column->name = pstrdup(NameStr(attribute->attname));
	column->name_length = strlen(column->name);
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->structure = structure_of(attribute->atttypid);
	column->loaded = attribute->attgenerated == '\0';
	if (!column->loaded)
		return;
	getTypeOutputInfo(attribute->atttypid, &output, &is_varlena);
	fmgr_info(output, &column->output);
	expression = build_column_default(rel, attnum);
	if (expression != NULL)
		column->default_value = ExecPrepareExpr((Expr *) expression,
												rows->executor);
}

static void
set_up_columns(JsonRows *rows, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);

	rows->executor = CreateExecutorState();
	rows->columns = palloc0(sizeof(JsonColumn) * Max(1, desc->natts));
	for (int i = 0; i < rows->task->ncolumns; i++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(rel),
										rows->task->column_names[i]);

		if (attnum == InvalidAttrNumber)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table %s does not exist",
							rows->task->column_names[i],
							rows->task->table_name)));
		set_up_column(rows, &rows->columns[rows->ncolumns++], rel, attnum);
	}
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && attribute->attgenerated != '\0')
			set_up_column(rows, &rows->columns[rows->ncolumns++], rel, i + 1);
	}
}

/*
 * Get the next piece of JSON.
 */
static void
read_file(JsonRows *rows)
{
	rows->used = 0;
	rows->length = 0;
	if (!rows->compressed)
	{
		rows->length = read_bytes(rows);
		rows->ended = rows->length == 0;
		return;
	}
	while (rows->length == 0 && !rows->ended)
	{
		int			result;

		if (rows->zlib.avail_in == 0)
		{
			rows->zlib.next_in = (Bytef *) rows->input;
			rows->zlib.avail_in = (uInt) read_bytes(rows);
			if (rows->zlib.avail_in == 0)
			{
				if (!rows->zlib_ended)
					raise_at(rows, &rows->splitter.at,
							 "the compressed data ends too early");
				rows->ended = true;
				break;
			}
		}
		/* A gzip file may be several, one behind the other. */
		if (rows->zlib_ended && inflateReset(&rows->zlib) != Z_OK)
			elog(ERROR, "could not reset zlib");
		rows->zlib_ended = false;
		rows->zlib.next_out = (Bytef *) rows->data;
		rows->zlib.avail_out = READ_SIZE;
		result = inflate(&rows->zlib, Z_NO_FLUSH);
		if (result == Z_STREAM_END)
			rows->zlib_ended = true;
		else if (result != Z_OK && result != Z_BUF_ERROR)
			raise_at(rows, &rows->splitter.at, "the compressed data is damaged");
		rows->length = READ_SIZE - rows->zlib.avail_out;
	}
}

/*
 * Read the next object into rows->object; false at the end of the file.
 */
static bool
read_object(JsonRows *rows)
{
	resetStringInfo(&rows->object);
	for (;;)
	{
		JsonSplitStatus status;
		size_t		start;
		size_t		done;

		if (rows->used == rows->length)
			read_file(rows);
		if (rows->ended)
		{
			if (!ftm_json_split_end(&rows->splitter))
				raise_at(rows, &rows->splitter.at, rows->splitter.message);
			return false;
		}
		status = ftm_json_split(&rows->splitter, rows->data + rows->used,
								rows->length - rows->used, &start, &done);
		if (status == JSON_SPLIT_ERROR)
			raise_at(rows, &rows->splitter.at, rows->splitter.message);
		appendBinaryStringInfo(&rows->object, rows->data + rows->used + start,
							   (int) (done - start));
		rows->used += done;
		if (status == JSON_SPLIT_OBJECT)
			return true;
	}
}

pg_noreturn static void
raise_in_object(const JsonRows *rows, const char *text, const char *message);

/*
 * text points into the object.  Columns are counted in characters, and bytes
 * are those of the file.
 */
static void
raise_in_object(const JsonRows *rows, const char *text, const char *message)
{
	JsonPlace	place = rows->splitter.object;
	size_t		length = text - rows->object.data;
	char	   *before = rows->object.data;

	if (rows->converted)
	{
		before = pg_server_to_any(pnstrdup(before, length), (int) length,
								  PG_UTF8);
		length = strlen(before);
	}
	ftm_json_advance(&place, before, length);
	raise_at(rows, &place, message);
}

/*
 * The parser's error, at the token where it stopped; text is what the lexer
 * reads, which is the object or a part of it.
 */
pg_noreturn static void
raise_syntax_error(const JsonRows *rows, JsonLexContext *lexer,
				   JsonParseErrorType error, const char *text);

static void
raise_syntax_error(const JsonRows *rows, JsonLexContext *lexer,
				   JsonParseErrorType error, const char *text)
{
	char	   *message = pstrdup(json_errdetail(error, lexer));
	size_t		length = strlen(message);

	if (length > 0 && message[length - 1] == '.')
		message[length - 1] = '\0';
	raise_in_object(rows, text, message);
}

/* ------------------------------------------------------------------------
 * What the server's parser calls
 * ------------------------------------------------------------------------
 */

/*
 * The characters of a string that has escapes; string begins with its quote.
 */
static char *
unescaped(const JsonRows *rows, const char *string, size_t length)
{
	JsonLexContext *lexer;
	JsonParseErrorType error;

	lexer = ftm_make_json_lexer(unconstify(char *, string), (int) length,
								GetDatabaseEncoding(), true);
	error = json_lex(lexer);
	if (error != JSON_SUCCESS)
		raise_syntax_error(rows, lexer, error, string);
	return lexer->strval->data;
}

/*
 * The key before the current value: what stands between the value before it
 * and this one is a key and a colon, as the parser has found already.
 */
static const char *
find_key(const JsonRows *rows, size_t *length, const char **place)
{
	const char *begin = rows->behind;
	const char *end;
	bool		escapes = false;
	char	   *key;

	while (*begin != '"')
		begin++;
	for (end = begin + 1; *end != '"'; end++)
	{
		if (*end != '\\')
			continue;
		escapes = true;
		end++;
	}
	*place = begin;
	*length = end - begin - 1;
	if (!escapes)
		return begin + 1;
	key = unescaped(rows, begin, end + 1 - begin);
	*length = strlen(key);
	return key;
}

static JsonColumn *
find_column(JsonRows *rows, const char *key, size_t length)
{
	for (int i = 0; i < rows->ncolumns; i++)
	{
		int			number = (rows->next + i) % rows->ncolumns;
		JsonColumn *column = &rows->columns[number];

		if (column->name_length == length &&
			memcmp(column->name, key, length) == 0)
		{
			rows->next = number + 1;
			return column;
		}
	}
	return NULL;
}

static FtmJsonActionResult
field_start(void *arg, char *name pg_attribute_unused(),
			bool isnull pg_attribute_unused())
{
	JsonRows   *rows = arg;
	const char *place;
	const char *key;
	size_t		length;

	if (rows->lexer->lex_level > 1)
		ftm_return_json_success();
	key = find_key(rows, &length, &place);
	rows->column = find_column(rows, key, length);
	if (rows->column == NULL)
		raise_in_object(rows, place,
						psprintf("table %s has no column \"%s\"",
								 rows->task->table_name,
								 pnstrdup(key, length)));
	if (rows->column->given)
		raise_in_object(rows, place, psprintf("key \"%s\" is there twice",
											  rows->column->name));
	rows->column->given = true;
	rows->column->value = rows->lexer->token_start;
	ftm_return_json_success();
}

static FtmJsonActionResult
field_end(void *arg, char *name pg_attribute_unused(),
		  bool isnull pg_attribute_unused())
{
	JsonRows   *rows = arg;
	JsonColumn *column = rows->column;

	if (rows->lexer->lex_level > 1)
		ftm_return_json_success();
	rows->behind = rows->lexer->prev_token_terminator;
	column->length = rows->behind - column->value;
	ftm_return_json_success();
}

/*
 * JSON is UTF-8, whatever the database's encoding.
 */
static void
convert_object(JsonRows *rows)
{
	StringInfo	object = &rows->object;
	int			valid = pg_encoding_verifymbstr(PG_UTF8, object->data,
												object->len);
	char	   *converted;

	rows->converted = false;
	if (valid != object->len)
		raise_in_object(rows, object->data + valid,
						"invalid byte sequence for encoding \"UTF8\"");
	if (GetDatabaseEncoding() == PG_UTF8)
		return;
	converted = pg_any_to_server(object->data, object->len, PG_UTF8);
	if (converted == object->data)
		return;
	resetStringInfo(object);
	appendStringInfoString(object, converted);
	rows->converted = true;
}

static void
parse_object(JsonRows *rows)
{
	JsonSemAction actions = {0};
	JsonParseErrorType error;

	convert_object(rows);
	for (int i = 0; i < rows->ncolumns; i++)
		rows->columns[i].given = false;
	rows->next = 0;
	rows->behind = rows->object.data + 1;
	actions.semstate = rows;
	actions.object_field_start = field_start;
	actions.object_field_end = field_end;
	rows->lexer = ftm_make_json_lexer(rows->object.data, rows->object.len,
									  GetDatabaseEncoding(), false);
	error = pg_parse_json(rows->lexer, &actions);
	if (error != JSON_SUCCESS)
		raise_syntax_error(rows, rows->lexer, error,
						   rows->lexer->token_start);
}

/* ------------------------------------------------------------------------
 * From values to a row
 * ------------------------------------------------------------------------
 */

/*
 * As COPY wants it.
 */
static void
append_escaped(StringInfo row, const char *value, size_t length)
{
	const char *end = value + length;
	const char *plain = value;

	for (; value < end; value++)
	{
		char		letter;

		switch (*value)
		{
			case '\\':
				letter = '\\';
				break;
			case '\n':
				letter = 'n';
				break;
			case '\r':
				letter = 'r';
				break;
			case '\t':
				letter = 't';
				break;
			default:
				continue;
		}
		appendBinaryStringInfo(row, plain, (int) (value - plain));
		appendStringInfoChar(row, '\\');
		appendStringInfoChar(row, letter);
		plain = value + 1;
	}
	appendBinaryStringInfo(row, plain, (int) (end - plain));
}

/*
 * A JSON array or object as the text of an array or composite type: the
 * server's json_to_record() makes a value of it.
 */
static char *
converted_structure(JsonColumn *column)
{
	MemoryContext context = CurrentMemoryContext;
	Datum		value;
	Datum		result;
	bool		isnull;
	char	   *converted;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (column->convert == NULL)
	{
		Oid			argument = TEXTOID;
		char	   *type = format_type_extended(column->type, column->typmod,
												FORMAT_TYPE_TYPEMOD_GIVEN |
												FORMAT_TYPE_FORCE_QUALIFY);

		column->convert =
			SPI_prepare(psprintf("SELECT pg_catalog.format('%%s', r.v)"
								 " FROM pg_catalog.json_to_record(pg_catalog.json_build_object('v', $1::pg_catalog.json))"
								 " AS r (v %s)", type), 1, &argument);
		if (column->convert == NULL || SPI_keepplan(column->convert) != 0)
			elog(ERROR, "SPI_prepare failed: %s",
				 SPI_result_code_string(SPI_result));
	}
	value = PointerGetDatum(cstring_to_text_with_len(column->value,
													 (int) column->length));
	if (SPI_execute_plan(column->convert, &value, NULL, true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not convert a JSON value");
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1,
						   &isnull);
	converted = MemoryContextStrdup(context, TextDatumGetCString(result));
	SPI_finish();
	return converted;
}

/*
 * Value of a column whose key is missing; NULL for none.
 */
static char *
default_text(JsonRows *rows, JsonColumn *column)
{
	ExprContext *context;
	Datum		value;
	bool		isnull;

	if (column->default_value == NULL)
		return NULL;
	context = GetPerTupleExprContext(rows->executor);
	value = ExecEvalExprSwitchContext(column->default_value, context, &isnull);
	return isnull ? NULL : OutputFunctionCall(&column->output, value);
}

/*
 * A column's value as the text that its type's input function reads.  Strings
 * without escapes and numbers need no look: they have no character that COPY
 * takes for anything but itself.
 */
static void
set_text(JsonRows *rows, JsonColumn *column)
{
	const char *value = column->value;
	const char *text;

	column->plain = false;
	if (!column->given)
		text = default_text(rows, column);
	else if (value[0] == 'n')
		text = NULL;
	else if (value[0] == '"' &&
			 memchr(value, '\\', column->length) != NULL)
		text = unescaped(rows, value, column->length);
	else if (value[0] == '"')
	{
		column->plain = true;
		column->value++;
		column->length -= 2;
		return;
	}
	else if (value[0] == column->structure)
		text = converted_structure(column);
	else
	{
		column->plain = value[0] != '{' && value[0] != '[';
		return;
	}
	column->value = text;
	column->length = text != NULL ? strlen(text) : 0;
}

static void
append_row(JsonRows *rows)
{
	StringInfo	row = &rows->row;

	resetStringInfo(row);
	ResetPerTupleExprContext(rows->executor);
	for (int i = 0; i < rows->task->ncolumns; i++)
	{
		JsonColumn *column = &rows->columns[i];

		if (i > 0)
			appendStringInfoChar(row, '\t');
		set_text(rows, column);
		if (column->value == NULL)
			appendBinaryStringInfo(row, "\\N", 2);
		else if (column->plain)
			appendBinaryStringInfo(row, column->value, (int) column->length);
		else
			append_escaped(row, column->value, column->length);
	}
	appendStringInfoChar(row, '\n');
}

/*
 * One row.  It is ready at any time, but not handed over unless it must be:
 * then the row before it has been dealt with.
 */
static int
read_row(CopyOrigin *origin, char **data, bool wait)
{
	JsonRows   *rows = (JsonRows *) origin;
	MemoryContext old;

	if (!wait)
		return 0;
	if (!read_object(rows))
	{
		(void) CloseTransientFile(rows->fd);
		return -1;
	}
	MemoryContextReset(rows->context);
	old = MemoryContextSwitchTo(rows->context);
	parse_object(rows);
	append_row(rows);
	MemoryContextSwitchTo(old);
	*data = rows->row.data;
	return rows->row.len;
}

void
ftm_json_rows_each(const TableTask *task,
				   void (*use) (void *arg, const char *object), void *arg)
{
	JsonRows   *rows = (JsonRows *) ftm_json_rows_create(task);

	open_file(rows);
	while (read_object(rows))
	{
		MemoryContext old = MemoryContextSwitchTo(rows->context);

		convert_object(rows);
		use(arg, rows->object.data);
		MemoryContextSwitchTo(old);
		MemoryContextReset(rows->context);
	}
	(void) CloseTransientFile(rows->fd);
	if (rows->compressed)
		(void) inflateEnd(&rows->zlib);
}
