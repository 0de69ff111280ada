/*-------------------------------------------------------------------------
 *
 * row_writer.c
 *		Rows from a binary COPY stream into a new table, in bulk.
 *
 * CopyFrom() copies each value into a buffer, calls its type's receive
 * function, collects the results in a slot, forms a tuple of them and copies
 * that.  Here a row is decoded where it lies in the message, and its values
 * are written once: into the tuple that goes to the table.
 *
 * A row goes through three steps.  Reading visits the fields in the stream's
 * order: fixed-length values become Datums, those of variable length are
 * checked and left where they are, jsonb is written anew, all other types go
 * through their receive functions.  Forming visits the attributes in the table's
 * order and writes the tuple into the batch.  A full batch is inserted.
 *
 * What constrains this file:
 *
 * - The outcome must be COPY's to the letter.  Values are checked in the
 *	 stream's order, constraints after the whole row, so that the first error is
 *	 the same.
 * - heap_multi_insert() copies a tuple that its slot does not own.  Ours lie
 *	 in the batch, which outlives the insertion, so the slots say they own them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "pgstat.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "load/row_value.h"
#include "load/row_writer.h"

/* A batch: what COPY takes, too. */
#define MAX_BATCH_ROWS	1000
#define MAX_BATCH_BYTES	65536

StaticAssertDecl(MAX_BATCH_ROWS <= MAX_UNPLACED_ROWS,
				 "a batch has more rows than index entries may wait for");

/* Binary COPY: signature, flags, length of the header extension. */
#define SIGNATURE_LENGTH		11
#define HEADER_LENGTH			(SIGNATURE_LENGTH + 4 + 4)
#define HEADER_FLAG_OIDS		((uint32) 1 << 16)
#define HEADER_CRITICAL_FLAGS	((uint32) 0xFFFF0000)

struct RowWriter
{
	MemoryContext context;		/* of everything here */
	Relation	rel;
	IndexEntries *entries;		/* to be told of each row, or NULL */
	int			nfields;
	RowField   *fields;
	int			nattributes;
	RowAttribute *attributes;
	bool		always_check;	/* each row must satisfy more than NOT NULL */

	/* For constraints. */
	EState	   *executor;
	ResultRelInfo *result_rel;
	TupleTableSlot *check_slot;

	/* The row in hand. */
	Datum	   *values;
	bool	   *isnull;
	int		   *raw_length;		/* of values that have no varlena header yet */
	bool		has_null;
	bool		has_violation;	/* of NOT NULL */
	bool		any_received;	/* row_context has been used */
	size_t		received_size;	/* of values that are not the stream's bytes */
	MemoryContext row_context;	/* where they are */

	/* The batch. */
	int			nrows;
	char	   *tuples;			/* MAX_BATCH_BYTES */
	size_t		tuples_used;
	TupleTableSlot **slots;
	int			nslots;
	TupleTableSlotOps slot_ops;
	MemoryContext batch_context;	/* what its insertion allocates */

	BulkInsertState bulk;
	int			options;
	CommandId	command;

	bool		header_seen;
	bool		trailer_seen;
	uint64		bytes;
	uint64		inserted;
	uint64		row;			/* the one in hand, from 1 */
	const char *column;			/* the one in hand, or NULL */
};

static void init_fields(RowWriter *writer, const TableTask *task);
static void init_attributes(RowWriter *writer);
static void init_constraints(RowWriter *writer);
static void init_batch(RowWriter *writer);
static void check_frozen_possible(Relation rel);
static char *read_header(const char *data, char *end);
static char *read_row(RowWriter *writer, char *row, char *end);
static void read_null(RowWriter *writer, RowField *field);
static void receive_value(RowWriter *writer, RowField *field, char *data,
						  int32 length);
static void set_column(RowWriter *writer, const RowField *field);
pg_noreturn static void raise_bad_field(RowWriter *writer,
										const RowField *field,
										const char *message);
static void form_row(RowWriter *writer, size_t size);
static HeapTuple make_room(RowWriter *writer, size_t size);
static void add_row(RowWriter *writer, HeapTuple tuple);
static void check_constraints(RowWriter *writer);
static void insert_batch(RowWriter *writer);
static void begin_progress(Relation rel);
static void report_progress(RowWriter *writer);
static void error_context(void *arg);
pg_noreturn static void raise_bad_format(const char *message);

/*
 * A column that the stream lacks must be null: nothing computes it here.
 */
bool
ftm_rows_possible(Relation rel, const TableTask *task)
{
	TupleDesc	tupdesc = RelationGetDescr(rel);

	if (task->method != LOAD_FAST || !task->binary ||
		rel->rd_rel->relkind != RELKIND_RELATION ||
		rel->rd_rel->relispartition ||
		rel->rd_rel->relam != HEAP_TABLE_AM_OID)
		return false;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		bool		sent = false;

		if (att->attisdropped)
			continue;
		for (int column = 0; column < task->ncolumns && !sent; column++)
			sent = strcmp(task->column_names[column],
						  NameStr(att->attname)) == 0;
		if (att->attgenerated != '\0' ||
			(!sent && build_column_default(rel, i + 1) != NULL))
			return false;
	}
	return true;
}

RowWriter *
ftm_rows_begin(Relation rel, const TableTask *task, IndexEntries *entries)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RowWriter  *writer = palloc0(sizeof(RowWriter));

	check_frozen_possible(rel);
	writer->context = context;
	writer->rel = rel;
	writer->entries = entries;
	init_fields(writer, task);
	init_attributes(writer);
	init_constraints(writer);
	init_batch(writer);
	writer->bulk = GetBulkInsertState();
	writer->options = TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN;
	writer->command = GetCurrentCommandId(true);
	begin_progress(rel);
	MemoryContextSwitchTo(old);
	return writer;
}

void
ftm_rows_write(RowWriter *writer, char *data, size_t length)
{
	ErrorContextCallback callback = {error_context_stack, error_context, writer};
	char	   *end = data + length;

	error_context_stack = &callback;
	writer->bytes += length;
	if (!writer->header_seen && length > 0)
	{
		data = read_header(data, end);
		writer->header_seen = true;
	}
	while (data < end)
		data = read_row(writer, data, end);
	error_context_stack = callback.previous;
}

uint64
ftm_rows_end(RowWriter *writer)
{
	ErrorContextCallback callback = {error_context_stack, error_context, writer};
	uint64		rows;

	error_context_stack = &callback;
	if (!writer->trailer_seen)
		raise_bad_format("unexpected EOF in COPY data");
	if (writer->nrows > 0)
		insert_batch(writer);
	error_context_stack = callback.previous;

	rows = writer->inserted;
	if (writer->entries != NULL)
		ftm_index_entries_finish(writer->entries, rows);
	pgstat_progress_end_command();
	FreeBulkInsertState(writer->bulk);
	table_finish_bulk_insert(writer->rel, writer->options);
	ExecDropSingleTupleTableSlot(writer->check_slot);
	FreeExecutorState(writer->executor);
	MemoryContextDelete(writer->context);
	return rows;
}

/* ------------------------------------------------------------------------
 * What is known before the first row
 * ------------------------------------------------------------------------
 */

/*
 * Rows may be stored as frozen if nobody can look for them with a snapshot
 * from before, and if the table is gone again should this fail.
 */
static void
check_frozen_possible(Relation rel)
{
	/* That of the catalogs would be counted, and can be had again. */
	InvalidateCatalogSnapshot();
	if (!ThereAreNoPriorRegisteredSnapshots() || !ThereAreNoReadyPortals())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot perform COPY FREEZE because of prior transaction activity")));
	if (!ftm_storage_made_here(rel))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction")));
}

static void
init_fields(RowWriter *writer, const TableTask *task)
{
	TupleDesc	tupdesc = RelationGetDescr(writer->rel);

	writer->nfields = task->ncolumns;
	writer->fields = palloc0(sizeof(RowField) * Max(task->ncolumns, 1));
	for (int i = 0; i < task->ncolumns; i++)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(writer->rel),
										task->column_names[i]);

		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of relation \"%s\" does not exist",
							task->column_names[i],
							RelationGetRelationName(writer->rel))));
		ftm_field_init(&writer->fields[i], TupleDescAttr(tupdesc, attnum - 1));
	}
}

static void
init_attributes(RowWriter *writer)
{
	TupleDesc	tupdesc = RelationGetDescr(writer->rel);

	writer->nattributes = tupdesc->natts;
	writer->attributes = palloc0(sizeof(RowAttribute) * Max(tupdesc->natts, 1));
	for (int i = 0; i < tupdesc->natts; i++)
		ftm_attribute_init(&writer->attributes[i], TupleDescAttr(tupdesc, i));
}

/*
 * NOT NULL is tested here; the executor does the rest, and raises the errors.
 */
static void
init_constraints(RowWriter *writer)
{
	Relation	rel = writer->rel;
	TupleDesc	tupdesc = RelationGetDescr(rel);

	writer->executor = CreateExecutorState();
	writer->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result_rel, rel, 0, NULL, 0);
	writer->check_slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsVirtual);
	writer->check_slot->tts_tableOid = RelationGetRelid(rel);

	writer->always_check = rel->rd_rel->relchecks > 0;
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		bool		sent = false;

		for (int field = 0; field < writer->nfields && !sent; field++)
			sent = writer->fields[field].attribute == i;
		if (att->attnotnull && !sent)
			writer->always_check = true;
	}
}

/*
 * For insertion a slot asks for its tuple to be made its own, which ours is.
 */
static void
keep_tuple(TupleTableSlot *slot pg_attribute_unused())
{
}

static void
init_batch(RowWriter *writer)
{
	int			nvalues = Max(writer->nattributes, 1);

	/* Attributes that the stream lacks stay null. */
	writer->values = palloc0(sizeof(Datum) * nvalues);
	writer->isnull = palloc(sizeof(bool) * nvalues);
	memset(writer->isnull, true, sizeof(bool) * nvalues);
	writer->raw_length = palloc0(sizeof(int) * nvalues);

	writer->tuples = palloc(MAX_BATCH_BYTES);
	writer->slots = palloc(sizeof(TupleTableSlot *) * MAX_BATCH_ROWS);
	writer->slot_ops = TTSOpsHeapTuple;
	writer->slot_ops.materialize = keep_tuple;
	writer->batch_context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate batch",
												  ALLOCSET_DEFAULT_SIZES);
	writer->row_context = AllocSetContextCreate(CurrentMemoryContext,
												"ftmigrate row",
												ALLOCSET_DEFAULT_SIZES);
}

/* ------------------------------------------------------------------------
 * Reading: from bytes of the stream to values
 * ------------------------------------------------------------------------
 */

/*
 * Returns where the header ends.
 */
static char *
read_header(const char *data, char *end)
{
	static const char signature[SIGNATURE_LENGTH] =
	{'P', 'G', 'C', 'O', 'P', 'Y', '\n', '\377', '\r', '\n', '\0'};
	size_t		length = end - data;
	uint32		flags;
	uint32		extension;

	if (length < SIGNATURE_LENGTH ||
		memcmp(data, signature, SIGNATURE_LENGTH) != 0)
		raise_bad_format("COPY file signature not recognized");
	if (length < HEADER_LENGTH)
		raise_bad_format("invalid COPY file header (missing length)");
	flags = ftm_read_uint32(data + SIGNATURE_LENGTH);
	extension = ftm_read_uint32(data + SIGNATURE_LENGTH + 4);
	if (flags & HEADER_FLAG_OIDS)
		raise_bad_format("invalid COPY file header (WITH OIDS)");
	if (flags & HEADER_CRITICAL_FLAGS)
		raise_bad_format("unrecognized critical flags in COPY file header");
	if (extension > length - HEADER_LENGTH)
		raise_bad_format("invalid COPY file header (wrong length)");
	return end - (length - HEADER_LENGTH - extension);
}

/*
 * Returns where the row ends.  Finds the trailer, too.
 */
static char *
read_row(RowWriter *writer, char *row, char *end)
{
	char	   *data = row + 2;
	int			nfields;

	if (writer->trailer_seen)
		raise_bad_format("received copy data after EOF marker");
	if (end - row < 2)
		raise_bad_format("unexpected EOF in COPY data");
	nfields = (int16) ftm_read_uint16(row);
	if (nfields == -1)
	{
		writer->trailer_seen = true;
		return data;
	}
	writer->row++;
	if (nfields != writer->nfields)
		ereport(ERROR,
				(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
				 errmsg("row field count is %d, expected %d",
						nfields, writer->nfields)));

	writer->has_null = writer->nfields < writer->nattributes;
	writer->has_violation = false;
	for (RowField *field = writer->fields; nfields > 0; field++, nfields--)
	{
		int			attribute = field->attribute;
		int32		length;

		if (end - data < 4)
			raise_bad_field(writer, field, "unexpected EOF in COPY data");
		length = (int32) ftm_read_uint32(data);
		data += 4;
		if ((uint32) length > MAX_VARLENA_BYTES)
		{
			if (length != -1)
				raise_bad_field(writer, field, "invalid field size");
			read_null(writer, field);
			continue;
		}
		if (end - data < length)
			raise_bad_field(writer, field, "unexpected EOF in COPY data");
		writer->isnull[attribute] = false;
		if (!ftm_field_decode(field, data, length, &writer->values[attribute],
						  &writer->raw_length[attribute]))
			receive_value(writer, field, data, length);
		data += length;
	}
	form_row(writer, data - row);
	return data;
}

/*
 * For error_context().
 */
static void
set_column(RowWriter *writer, const RowField *field)
{
	writer->column = NameStr(TupleDescAttr(RelationGetDescr(writer->rel),
										   field->attribute)->attname);
}

static void
raise_bad_field(RowWriter *writer, const RowField *field, const char *message)
{
	set_column(writer, field);
	raise_bad_format(message);
}

/*
 * A null, too, is shown to a receive function that is not strict: that of a
 * domain, which may have constraints.
 */
static void
read_null(RowWriter *writer, RowField *field)
{
	int			attribute = field->attribute;

	writer->isnull[attribute] = true;
	writer->values[attribute] = (Datum) 0;
	writer->has_null = true;
	if (field->not_null)
		writer->has_violation = true;
	if (field->null_received)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->row_context);

		set_column(writer, field);
		writer->any_received = true;
		(void) ReceiveFunctionCall(&field->receive, NULL, field->ioparam,
								   field->typmod);
		writer->column = NULL;
		MemoryContextSwitchTo(old);
	}
}

/*
 * A value that is not where the stream has it: a jsonb, or one that its type's
 * receive function has to make.
 */
static void
receive_value(RowWriter *writer, RowField *field, char *data, int32 length)
{
	int			attribute = field->attribute;
	MemoryContext old = MemoryContextSwitchTo(writer->row_context);
	int			raw_length = NOT_RAW;
	char	   *jsonb = NULL;

	writer->any_received = true;
	set_column(writer, field);
	if (field->jsonb != NULL)
		jsonb = ftm_jsonb_convert(field->jsonb, data, length, &raw_length);
	if (jsonb != NULL)
	{
		writer->values[attribute] = PointerGetDatum(jsonb);
		writer->received_size += VARHDRSZ + raw_length;
	}
	else
	{
		writer->values[attribute] = ftm_field_receive(field, data, length);
		writer->received_size += ftm_attribute_size(&writer->attributes[attribute],
													writer->values[attribute]);
	}
	writer->raw_length[attribute] = raw_length;
	writer->column = NULL;
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------------
 * Forming: from values to a tuple
 * ------------------------------------------------------------------------
 */

/*
 * Make a tuple of the row in hand, whose stream has size bytes.
 */
static void
form_row(RowWriter *writer, size_t size)
{
	int			nattributes = writer->nattributes;
	size_t		header = SizeofHeapTupleHeader;
	uint16		infomask = 0;
	HeapTuple	tuple;
	HeapTupleHeader content;
	char	   *data;

	if (writer->has_null)
	{
		infomask |= HEAP_HASNULL;
		header += BITMAPLEN(nattributes);
	}
	header = MAXALIGN(header);

	/* A field's length takes as much of the stream as a varlena's here. */
	tuple = make_room(writer, HEAPTUPLESIZE + header + size +
					  writer->received_size +
					  (size_t) (nattributes + 1) * MAXIMUM_ALIGNOF);
	content = tuple->t_data;
	memset(content, 0, header);
	data = (char *) content + header;
	for (int i = 0; i < nattributes; i++)
	{
		const RowAttribute *attribute = &writer->attributes[i];

		if (writer->isnull[i])
			continue;
		if (writer->has_null)
			content->t_bits[i >> 3] |= 1 << (i & 7);
		infomask |= attribute->infomask;
		data = ftm_attribute_store(attribute, data, &writer->values[i],
							   writer->raw_length[i]);
	}
	content->t_infomask = infomask;
	content->t_hoff = (uint8) header;
	HeapTupleHeaderSetNatts(content, nattributes);
	tuple->t_len = (uint32) (data - (char *) content);

	if (writer->any_received)
	{
		MemoryContextReset(writer->row_context);
		writer->any_received = false;
		writer->received_size = 0;
	}
	if (writer->always_check || writer->has_violation)
		check_constraints(writer);
	if (writer->entries != NULL)
		ftm_index_entries_add(writer->entries, writer->values, writer->isnull);
	add_row(writer, tuple);
}

/*
 * Space for a tuple of at most size bytes, in the batch or, if it is larger
 * than any batch, by itself.  Only what add_row() is told of is taken.
 */
static HeapTuple
make_room(RowWriter *writer, size_t size)
{
	HeapTuple	tuple;

	if (writer->nrows > 0 && size > MAX_BATCH_BYTES - writer->tuples_used)
		insert_batch(writer);
	if (size <= MAX_BATCH_BYTES)
		tuple = (HeapTuple) (writer->tuples + writer->tuples_used);
	else if (size <= PG_INT32_MAX)
		tuple = MemoryContextAllocHuge(writer->batch_context, size);
	else
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row is too large for a table")));
	tuple->t_data = (HeapTupleHeader) ((char *) tuple + HEAPTUPLESIZE);
	tuple->t_tableOid = RelationGetRelid(writer->rel);
	ItemPointerSetInvalid(&tuple->t_self);
	return tuple;
}

/* ------------------------------------------------------------------------
 * The batch
 * ------------------------------------------------------------------------
 */

static void
add_row(RowWriter *writer, HeapTuple tuple)
{
	HeapTupleTableSlot *slot;

	if (writer->nrows == writer->nslots)
	{
		MemoryContext old = MemoryContextSwitchTo(writer->context);

		writer->slots[writer->nslots++] =
			MakeSingleTupleTableSlot(NULL, &writer->slot_ops);
		MemoryContextSwitchTo(old);
	}
	slot = (HeapTupleTableSlot *) writer->slots[writer->nrows];
	slot->tuple = tuple;
	slot->base.tts_flags &= ~TTS_FLAG_EMPTY;
	writer->nrows++;

	if ((char *) tuple == writer->tuples + writer->tuples_used)
		writer->tuples_used += MAXALIGN(HEAPTUPLESIZE + tuple->t_len);
	else
		writer->tuples_used = MAX_BATCH_BYTES;
	if (writer->nrows == MAX_BATCH_ROWS ||
		writer->tuples_used >= MAX_BATCH_BYTES)
		insert_batch(writer);
}

/*
 * The values are those of the tuple by now.
 */
static void
check_constraints(RowWriter *writer)
{
	TupleTableSlot *slot = writer->check_slot;

	ExecClearTuple(slot);
	memcpy(slot->tts_values, writer->values,
		   sizeof(Datum) * writer->nattributes);
	memcpy(slot->tts_isnull, writer->isnull,
		   sizeof(bool) * writer->nattributes);
	ExecStoreVirtualTuple(slot);

	ExecConstraints(writer->result_rel, slot, writer->executor);
	ResetPerTupleExprContext(writer->executor);
}

static void
insert_batch(RowWriter *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->batch_context);

	CHECK_FOR_INTERRUPTS();
	table_multi_insert(writer->rel, writer->slots, writer->nrows,
					   writer->command, writer->options, writer->bulk);
	if (writer->entries != NULL)
		ftm_index_entries_place(writer->entries, writer->slots, writer->nrows);
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->batch_context);

	writer->inserted += writer->nrows;
	writer->nrows = 0;
	writer->tuples_used = 0;
	report_progress(writer);
}

/* ------------------------------------------------------------------------
 * What others see
 * ------------------------------------------------------------------------
 */

/*
 * In pg_stat_progress_copy this is a COPY like any other.
 */
static void
begin_progress(Relation rel)
{
	const int	parameters[] = {PROGRESS_COPY_COMMAND, PROGRESS_COPY_TYPE};
	const int64 values[] = {PROGRESS_COPY_COMMAND_FROM, PROGRESS_COPY_TYPE_CALLBACK};

	pgstat_progress_start_command(PROGRESS_COMMAND_COPY, RelationGetRelid(rel));
	pgstat_progress_update_multi_param(lengthof(values), parameters, values);
}

static void
report_progress(RowWriter *writer)
{
	const int	parameters[] = {PROGRESS_COPY_BYTES_PROCESSED, PROGRESS_COPY_TUPLES_PROCESSED};
	const int64 values[] = {(int64) writer->bytes, (int64) writer->inserted};

	pgstat_progress_update_multi_param(lengthof(values), parameters, values);
}

/*
 * As that of COPY.
 */
static void
error_context(void *arg)
{
	RowWriter  *writer = arg;

	if (writer->column != NULL)
		errcontext("COPY %s, line %llu, column %s",
				   RelationGetRelationName(writer->rel),
				   (unsigned long long) writer->row, writer->column);
	else
		errcontext("COPY %s, line %llu",
				   RelationGetRelationName(writer->rel),
				   (unsigned long long) writer->row);
}

static void
raise_bad_format(const char *message)
{
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg_internal("%s", message)));
}
