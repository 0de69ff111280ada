/*-------------------------------------------------------------------------
 *
 * catalog.c
 *		What a database has: tables, columns, keys, sequences.
 *
 * One reader for both ends: only receive_answer() knows whether it speaks to the
 * source or to the target.  The SQL is in catalog_sql.h.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "base/target.h"
#include "schema/catalog.h"
#include "schema/catalog_sql.h"
#include "schema/catalog_type.h"

/* What does not depend on other answers, and so is asked in one go. */
typedef enum CatalogQuestion
{
	ASK_VERSION,
	ASK_MISSING_SCHEMAS,
	ASK_TABLES,
	ASK_COLUMNS,
	ASK_SIZES,
	ASK_PUBLISHED,
	ASK_FOREIGN_KEYS,
	ASK_SEQUENCES,
	ASK_USERS,
	ASK_SCHEMAS,
	QUESTIONS					/* how many there are */
} CatalogQuestion;

/* Who is asked. */
#define OF_SOURCE		1
#define OF_TARGET		2
#define OF_RECORD		4		/* a source that is recorded, or a record */
#define OF_ALL			(OF_SOURCE | OF_TARGET | OF_RECORD)

static const struct
{
	const char *name;			/* in a record */
	const char *sql;
	bool		of_schemas;		/* they are $1 */
	int			whose;
	AnswerShape shape;			/* of a source or a record */
}			questions[QUESTIONS] =
{
	[ASK_VERSION] =
	{"version", CATALOG_VERSION_SQL, false, OF_ALL,
	CATALOG_VERSION_SHAPE},
	[ASK_MISSING_SCHEMAS] =
	{"missing schemas", CATALOG_MISSING_SCHEMAS_SQL, true, OF_ALL,
	CATALOG_MISSING_SCHEMAS_SHAPE},
	[ASK_TABLES] =
	{"tables", CATALOG_TABLES_SQL, true, OF_ALL,
	CATALOG_TABLES_SHAPE},
	[ASK_COLUMNS] =
	{"columns", CATALOG_COLUMNS_SQL, true, OF_ALL,
	CATALOG_COLUMNS_SHAPE},
	[ASK_SIZES] =
	{"sizes", CATALOG_SIZES_SQL, true, OF_SOURCE | OF_RECORD,
	CATALOG_SIZES_SHAPE},
	[ASK_PUBLISHED] =
	{"published", CATALOG_PUBLISHED_SQL, false, OF_TARGET, {0}},
	[ASK_FOREIGN_KEYS] =
	{"foreign keys", CATALOG_FOREIGN_KEYS_SQL, false, OF_ALL,
	CATALOG_FOREIGN_KEYS_SHAPE},
	[ASK_SEQUENCES] =
	{"sequences", CATALOG_SEQUENCES_SQL, true, OF_ALL,
	CATALOG_SEQUENCES_SHAPE},
	[ASK_USERS] =
	{"users", CATALOG_USERS_SQL, false, OF_SOURCE | OF_RECORD,
	CATALOG_USERS_SHAPE},
	[ASK_SCHEMAS] =
	{"schemas", CATALOG_SCHEMAS_SQL, true, OF_RECORD,
	CATALOG_SCHEMAS_SHAPE},
};

static const AnswerShape types_shape = CATALOG_TYPES_SHAPE;
static const AnswerShape sequence_values_shape = CATALOG_SEQUENCE_VALUES_SHAPE;

/* How deep types may consist of types. */
#define MAX_TYPE_ROUNDS	1000

struct CatalogReader
{
	SourceConnection *source;	/* NULL: the target, or what is recorded */
	SourceRecord *record;		/* to be added to, or read without a source */
	List	   *schemas;
	const char *schemas_text;	/* of an array */
	RowSet	   *answers[QUESTIONS]; /* NULL: not asked */
	const char *types;			/* OIDs as text of an array; NULL: none */
	const char *values_sql;		/* of sequences; NULL: there are none */
	Catalog    *catalog;		/* NULL: the answers are not read yet */
	HTAB	   *tables;			/* OID -> CatalogTable, all of the catalog */
};

typedef struct TableEntry
{
	Oid			oid;			/* hash key */
	CatalogTable *table;
} TableEntry;

typedef struct SequenceEntry
{
	Oid			oid;			/* hash key */
	CatalogSequence *sequence;
} SequenceEntry;

static CatalogReader *ask(SourceConnection *source, SourceRecord *record,
						  List *schemas);
static bool is_asked(const CatalogReader *reader, CatalogQuestion question);
static void send_question(CatalogReader *reader, const AnswerShape *shape,
						  const char *sql, const char *parameter);
static RowSet *receive_answer(CatalogReader *reader, const char *question,
							  const AnswerShape *shape, const char *sql,
							  const char *parameter);
static void leave_schemas(Catalog *catalog, const RowSet *recorded,
						  List *schemas);
static HTAB *create_hash(const char *name, Size entry_size);
static CatalogTable *find_table(CatalogReader *reader, Oid oid);
static void read_tables(CatalogReader *reader);
static void read_sizes(CatalogReader *reader);
static void read_published(CatalogReader *reader);
static TypeTable *read_types(CatalogReader *reader);
static void add_types(CatalogReader *reader, TypeTable *types,
					  const char *oids);
static void read_columns(CatalogReader *reader, TypeTable *types);
static void read_foreign_keys(CatalogReader *reader);
static void read_sequences(CatalogReader *reader);
static char *sequence_values_sql(const Catalog *catalog);
static void read_sequence_values(CatalogReader *reader, const char *sql);

Catalog *
ftm_catalog_read_source(SourceConnection *source, List *schemas)
{
	return ftm_catalog_receive(ask(source, NULL, schemas));
}

Catalog *
ftm_catalog_read_target(List *schemas)
{
	return ftm_catalog_receive(ask(NULL, NULL, schemas));
}

Catalog *
ftm_catalog_record_source(SourceConnection *source, List *schemas,
						  SourceRecord *record)
{
	return ftm_catalog_receive(ask(source, record, schemas));
}

Catalog *
ftm_catalog_read_record(SourceRecord *record, List *schemas)
{
	return ftm_catalog_receive(ask(NULL, record, schemas));
}

CatalogReader *
ftm_catalog_ask_source(SourceConnection *source, List *schemas)
{
	return ask(source, NULL, schemas);
}

static CatalogReader *
ask(SourceConnection *source, SourceRecord *record, List *schemas)
{
	CatalogReader *reader = palloc0(sizeof(CatalogReader));

	reader->source = source;
	reader->record = record;
	reader->schemas = schemas;
	reader->schemas_text = ftm_catalog_array_text(schemas);
	for (int i = 0; i < QUESTIONS; i++)
	{
		if (is_asked(reader, i))
			send_question(reader, &questions[i].shape, questions[i].sql,
						  questions[i].of_schemas ?
						  reader->schemas_text : NULL);
	}
	return reader;
}

static bool
is_asked(const CatalogReader *reader, CatalogQuestion question)
{
	int			whom = reader->record != NULL ? OF_RECORD :
		reader->source != NULL ? OF_SOURCE : OF_TARGET;

	return (questions[question].whose & whom) != 0;
}

/*
 * The rest takes one more round trip, unless types consist of others.
 */
void
ftm_catalog_ask_rest(CatalogReader *reader)
{
	RowSet	  **answers = reader->answers;
	List	   *oids = NIL;

	reader->catalog = palloc0(sizeof(Catalog));
	reader->tables = create_hash("ftmigrate tables", sizeof(TableEntry));
	for (int i = 0; i < QUESTIONS; i++)
	{
		if (is_asked(reader, i))
			answers[i] = receive_answer(reader, questions[i].name,
										&questions[i].shape, questions[i].sql,
										questions[i].of_schemas ?
										reader->schemas_text : NULL);
	}
	reader->catalog->version =
		(int) ftm_rowset_int64(answers[ASK_VERSION], 0, 0);
	read_tables(reader);
	read_sequences(reader);

	for (int row = 0; row < answers[ASK_COLUMNS]->nrows; row++)
		oids = lappend(oids, ftm_rowset_text(answers[ASK_COLUMNS], row, 3));
	if (oids != NIL)
	{
		reader->types = ftm_catalog_array_text(oids);
		send_question(reader, &types_shape, CATALOG_TYPES_SQL, reader->types);
	}
	reader->values_sql = sequence_values_sql(reader->catalog);
	if (reader->values_sql != NULL)
		send_question(reader, &sequence_values_shape, reader->values_sql, NULL);
}

Catalog *
ftm_catalog_receive(CatalogReader *reader)
{
	RowSet	  **answers = reader->answers;

	if (reader->catalog == NULL)
		ftm_catalog_ask_rest(reader);
	for (int row = 0; row < answers[ASK_MISSING_SCHEMAS]->nrows; row++)
		reader->catalog->missing_schemas =
			lappend(reader->catalog->missing_schemas,
					ftm_rowset_text(answers[ASK_MISSING_SCHEMAS], row, 0));
	read_columns(reader, read_types(reader));
	if (answers[ASK_SIZES] != NULL)
		read_sizes(reader);
	if (answers[ASK_PUBLISHED] != NULL)
		read_published(reader);
	read_foreign_keys(reader);
	if (answers[ASK_USERS] != NULL)
	{
		reader->catalog->has_users = answers[ASK_USERS]->nrows > 0;
		reader->catalog->users_readable = reader->catalog->has_users &&
			ftm_rowset_bool(answers[ASK_USERS], 0, 0);
	}
	if (answers[ASK_SCHEMAS] != NULL && reader->source == NULL)
		leave_schemas(reader->catalog, answers[ASK_SCHEMAS], reader->schemas);
	hash_destroy(reader->tables);
	return reader->catalog;
}

/* parameter: $1, NULL if sql has none.  Only a source is asked ahead. */
static void
send_question(CatalogReader *reader, const AnswerShape *shape,
			  const char *sql, const char *parameter)
{
	if (reader->source != NULL)
		ftm_source_send_query(reader->source, shape, sql,
							  parameter != NULL ? 1 : 0, &parameter);
}

/* In the order in which the source was asked. */
static RowSet *
receive_answer(CatalogReader *reader, const char *question,
			   const AnswerShape *shape, const char *sql,
			   const char *parameter)
{
	RowSet	   *rows;

	if (reader->source == NULL && reader->record != NULL)
		return ftm_record_answer(reader->record, question, shape);
	if (reader->source == NULL)
		return ftm_target_query(sql, parameter != NULL ? 1 : 0, &parameter);
	rows = ftm_source_receive(reader->source);
	if (reader->record != NULL)
		ftm_record_add(reader->record, question, rows);
	return rows;
}

static bool
contains(List *strings, const char *string)
{
	ListCell   *lc;

	foreach(lc, strings)
	{
		if (strcmp(lfirst(lc), string) == 0)
			return true;
	}
	return false;
}

/*
 * What a source would have been asked about: of recorded schemas, these.
 */
static void
leave_schemas(Catalog *catalog, const RowSet *recorded, List *schemas)
{
	List	  **tables[] = {&catalog->tables, &catalog->partitions,
	&catalog->others};
	List	   *names = NIL;
	ListCell   *lc;

	for (int i = 0; i < (int) lengthof(tables); i++)
	{
		foreach(lc, *tables[i])
		{
			if (!contains(schemas, ((CatalogTable *) lfirst(lc))->schema))
				*tables[i] = foreach_delete_current(*tables[i], lc);
		}
	}
	foreach(lc, catalog->sequences)
	{
		CatalogSequence *sequence = lfirst(lc);

		/* whether its columns are there is found out later */
		if (!sequence->in_scope && sequence->columns == NIL)
			catalog->sequences = foreach_delete_current(catalog->sequences, lc);
	}
	for (int row = 0; row < recorded->nrows; row++)
		names = lappend(names, ftm_rowset_text(recorded, row, 0));
	catalog->missing_schemas = NIL;
	foreach(lc, schemas)
	{
		if (!contains(names, lfirst(lc)))
			catalog->missing_schemas = lappend(catalog->missing_schemas,
											   lfirst(lc));
	}
}

char *
ftm_catalog_array_text(List *strings)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	foreach(lc, strings)
	{
		appendStringInfoString(&text, foreach_current_index(lc) > 0 ? ",\"" : "\"");
		for (const char *c = lfirst(lc); *c != '\0'; c++)
		{
			if (*c == '"' || *c == '\\')
				appendStringInfoChar(&text, '\\');
			appendStringInfoChar(&text, *c);
		}
		appendStringInfoChar(&text, '"');
	}
	appendStringInfoChar(&text, '}');
	return text.data;
}

/* A hash by OID. */
static HTAB *
create_hash(const char *name, Size entry_size)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(Oid);
	control.entrysize = entry_size;
	control.hcxt = CurrentMemoryContext;
	return hash_create(name, 256, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static CatalogTable *
find_table(CatalogReader *reader, Oid oid)
{
	TableEntry *entry = hash_search(reader->tables, &oid, HASH_FIND, NULL);

	return entry != NULL ? entry->table : NULL;
}

static void
read_tables(CatalogReader *reader)
{
	const RowSet *rows = reader->answers[ASK_TABLES];
	Catalog    *catalog = reader->catalog;

	for (int row = 0; row < rows->nrows; row++)
	{
		CatalogTable *table = palloc0(sizeof(CatalogTable));
		TableEntry *entry;

		table->oid = ftm_rowset_oid(rows, row, 0);
		table->schema = ftm_rowset_text(rows, row, 1);
		table->name = ftm_rowset_text(rows, row, 2);
		table->qualified = quote_qualified_identifier(table->schema,
													  table->name);
		table->relkind = ftm_rowset_text(rows, row, 3)[0];
		table->persistence = ftm_rowset_text(rows, row, 4)[0];
		table->root = ftm_rowset_oid(rows, row, 5);
		table->readable = ftm_rowset_bool(rows, row, 6);
		table->owned = ftm_rowset_bool(rows, row, 7);
		table->row_security_active = ftm_rowset_bool(rows, row, 8);
		table->uses_heap = ftm_rowset_bool(rows, row, 9);
		table->bad_triggers =
			ftm_catalog_text_array(ftm_rowset_value(rows, row, 10));
		table->primary_key =
			ftm_catalog_text_array(ftm_rowset_value(rows, row, 11));
		table->unvalidated =
			ftm_catalog_text_array(ftm_rowset_value(rows, row, 12));
		table->rows = -1;

		if (table->root != table->oid)
			catalog->partitions = lappend(catalog->partitions, table);
		else if (table->relkind == RELKIND_RELATION ||
				 table->relkind == RELKIND_PARTITIONED_TABLE)
			catalog->tables = lappend(catalog->tables, table);
		else
			catalog->others = lappend(catalog->others, table);

		entry = hash_search(reader->tables, &table->oid, HASH_ENTER, NULL);
		entry->table = table;
	}
}

static void
read_sizes(CatalogReader *reader)
{
	const RowSet *rows = reader->answers[ASK_SIZES];

	for (int row = 0; row < rows->nrows; row++)
	{
		CatalogTable *table = find_table(reader, ftm_rowset_oid(rows, row, 0));

		if (table == NULL)
			continue;
		table->rows = strtod(ftm_rowset_text(rows, row, 1), NULL);
		table->bytes = ftm_rowset_int64(rows, row, 2);
	}
}

static void
read_published(CatalogReader *reader)
{
	const RowSet *rows = reader->answers[ASK_PUBLISHED];

	for (int row = 0; row < rows->nrows; row++)
	{
		CatalogTable *table = find_table(reader, ftm_rowset_oid(rows, row, 0));

		if (table != NULL)
			table->published = true;
	}
}

/*
 * The types of the columns, to the last part.  The values of sequences have
 * been asked for behind the first of them.
 */
static TypeTable *
read_types(CatalogReader *reader)
{
	TypeTable  *types = ftm_catalog_type_table(reader->catalog->version);
	List	   *missing;

	if (reader->types != NULL)
		add_types(reader, types, reader->types);
	if (reader->values_sql != NULL)
		read_sequence_values(reader, reader->values_sql);
	for (int round = 1; (missing = ftm_catalog_type_missing(types)) != NIL;
		 round++)
	{
		char	   *oids = ftm_catalog_array_text(missing);

		/* A record has answered all that it was asked, and says it again. */
		if (reader->source == NULL && reader->record != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("the export does not say what type %s is",
							(char *) linitial(missing))));
		if (round > MAX_TYPE_ROUNDS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("types consist of types more than %d deep",
							MAX_TYPE_ROUNDS)));
		send_question(reader, &types_shape, CATALOG_TYPES_SQL, oids);
		add_types(reader, types, oids);
	}
	return types;
}

static void
add_types(CatalogReader *reader, TypeTable *types, const char *oids)
{
	ftm_catalog_type_add(types,
						 receive_answer(reader, "types", &types_shape,
										CATALOG_TYPES_SQL, oids));
}

static void
read_columns(CatalogReader *reader, TypeTable *types)
{
	const RowSet *rows = reader->answers[ASK_COLUMNS];

	for (int row = 0; row < rows->nrows; row++)
	{
		CatalogTable *table = find_table(reader, ftm_rowset_oid(rows, row, 0));
		CatalogColumn *column;

		CHECK_FOR_INTERRUPTS();
		if (table == NULL)		/* created between two queries */
			continue;
		column = palloc0(sizeof(CatalogColumn));
		column->attnum = (int16) ftm_rowset_int64(rows, row, 1);
		column->name = ftm_rowset_text(rows, row, 2);
		column->type =
			ftm_catalog_type(types, ftm_rowset_oid(rows, row, 3),
							 (int32) ftm_rowset_int64(rows, row, 4),
							 ftm_rowset_text(rows, row, 5));
		column->not_null = ftm_rowset_bool(rows, row, 6);
		column->has_default = ftm_rowset_bool(rows, row, 7);
		column->identity = ftm_rowset_text(rows, row, 8)[0];
		column->generated = ftm_rowset_text(rows, row, 9)[0];
		column->expression = ftm_rowset_value(rows, row, 10);
		column->generated_from =
			ftm_catalog_text_array(ftm_rowset_value(rows, row, 11));
		table->columns = lappend(table->columns, column);
	}
}

static void
read_foreign_keys(CatalogReader *reader)
{
	const RowSet *rows = reader->answers[ASK_FOREIGN_KEYS];

	for (int row = 0; row < rows->nrows; row++)
	{
		CatalogForeignKey *key = palloc0(sizeof(CatalogForeignKey));

		key->oid = ftm_rowset_oid(rows, row, 0);
		key->name = ftm_rowset_text(rows, row, 1);
		key->relid = ftm_rowset_oid(rows, row, 2);
		key->root = ftm_rowset_oid(rows, row, 3);
		key->schema = ftm_rowset_text(rows, row, 4);
		key->table = ftm_rowset_text(rows, row, 5);
		key->columns = ftm_catalog_text_array(ftm_rowset_value(rows, row, 6));
		key->ref_relid = ftm_rowset_oid(rows, row, 7);
		key->ref_root = ftm_rowset_oid(rows, row, 8);
		key->ref_schema = ftm_rowset_text(rows, row, 9);
		key->ref_table = ftm_rowset_text(rows, row, 10);
		key->ref_columns = ftm_catalog_text_array(ftm_rowset_value(rows, row, 11));
		key->operators = ftm_catalog_text_array(ftm_rowset_value(rows, row, 12));
		key->match = ftm_rowset_text(rows, row, 13)[0];
		key->valid = ftm_rowset_bool(rows, row, 14);
		key->is_partition_child = ftm_rowset_bool(rows, row, 15);
		reader->catalog->foreign_keys =
			lappend(reader->catalog->foreign_keys, key);
	}
}

static void
read_sequences(CatalogReader *reader)
{
	const RowSet *rows = reader->answers[ASK_SEQUENCES];

	for (int row = 0; row < rows->nrows; row++)
	{
		CatalogSequence *sequence = palloc0(sizeof(CatalogSequence));

		sequence->oid = ftm_rowset_oid(rows, row, 0);
		sequence->schema = ftm_rowset_text(rows, row, 1);
		sequence->name = ftm_rowset_text(rows, row, 2);
		sequence->qualified = quote_qualified_identifier(sequence->schema,
														 sequence->name);
		sequence->owner_schema = ftm_rowset_value(rows, row, 3);
		sequence->owner_table = ftm_rowset_value(rows, row, 4);
		sequence->owner_column = ftm_rowset_value(rows, row, 5);
		sequence->minimum = ftm_rowset_int64(rows, row, 6);
		sequence->maximum = ftm_rowset_int64(rows, row, 7);
		sequence->readable = ftm_rowset_bool(rows, row, 8);
		sequence->in_scope = contains(reader->schemas, sequence->schema);
		sequence->columns =
			ftm_catalog_text_array(ftm_rowset_value(rows, row, 9));
		reader->catalog->sequences =
			lappend(reader->catalog->sequences, sequence);
	}
}

/*
 * All values in one query, NULL if there are none.  A sequence's state is in
 * its own relation only: pg_sequences does not tell a value set but not yet
 * called.
 */
static char *
sequence_values_sql(const Catalog *catalog)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, catalog->sequences)
	{
		CatalogSequence *sequence = lfirst(lc);
		char	   *name = ftm_catalog_quote_qualified(sequence->schema,
													   sequence->name);

		if (!sequence->readable)
			continue;
		if (sql.len > 0)
			appendStringInfoString(&sql, " UNION ALL ");
		appendStringInfo(&sql, CATALOG_SEQUENCE_VALUE_SQL, sequence->oid, name);
	}
	return sql.len > 0 ? sql.data : NULL;
}

static void
read_sequence_values(CatalogReader *reader, const char *sql)
{
	RowSet	   *rows = receive_answer(reader, "sequence values",
									  &sequence_values_shape, sql, NULL);
	HTAB	   *sequences = create_hash("ftmigrate sequences",
										sizeof(SequenceEntry));
	SequenceEntry *entry;
	ListCell   *lc;

	foreach(lc, reader->catalog->sequences)
	{
		CatalogSequence *sequence = lfirst(lc);

		entry = hash_search(sequences, &sequence->oid, HASH_ENTER, NULL);
		entry->sequence = sequence;
	}
	for (int row = 0; row < rows->nrows; row++)
	{
		Oid			oid = ftm_rowset_oid(rows, row, 0);

		CHECK_FOR_INTERRUPTS();
		entry = hash_search(sequences, &oid, HASH_FIND, NULL);
		if (entry == NULL)
			continue;
		entry->sequence->last_value = ftm_rowset_int64(rows, row, 1);
		entry->sequence->is_called = ftm_rowset_bool(rows, row, 2);
	}
	hash_destroy(sequences);
}

CatalogTable *
ftm_catalog_table(const Catalog *catalog, const char *schema, const char *name)
{
	ListCell   *lc;

	foreach(lc, catalog->tables)
	{
		CatalogTable *table = lfirst(lc);

		if (strcmp(table->name, name) == 0 &&
			strcmp(table->schema, schema) == 0)
			return table;
	}
	return NULL;
}

CatalogTable *
ftm_catalog_table_by_oid(const Catalog *catalog, Oid oid)
{
	ListCell   *lc;

	foreach(lc, catalog->tables)
	{
		CatalogTable *table = lfirst(lc);

		if (table->oid == oid)
			return table;
	}
	return NULL;
}

CatalogColumn *
ftm_catalog_column(const CatalogTable *table, const char *name)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		CatalogColumn *column = lfirst(lc);

		if (strcmp(column->name, name) == 0)
			return column;
	}
	return NULL;
}

bool
ftm_catalog_uses_sequence(const CatalogTable *table,
						  const CatalogSequence *sequence)
{
	char	   *prefix = psprintf("%s.",
								  ftm_catalog_quote_qualified(table->schema,
															  table->name));
	ListCell   *lc;

	foreach(lc, sequence->columns)
	{
		if (strncmp(lfirst(lc), prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

char *
ftm_catalog_quote(const char *name)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoChar(&text, '"');
	for (const char *c = name; *c != '\0'; c++)
	{
		if (*c == '"')
			appendStringInfoChar(&text, '"');
		appendStringInfoChar(&text, *c);
	}
	appendStringInfoChar(&text, '"');
	return text.data;
}

char *
ftm_catalog_quote_qualified(const char *schema, const char *name)
{
	return psprintf("%s.%s", ftm_catalog_quote(schema), ftm_catalog_quote(name));
}
