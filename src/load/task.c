/*-------------------------------------------------------------------------
 *
 * task.c
 *		What the leader tells a worker about one table, and how it travels.
 *
 * Both ends are the same build of this library, so there is no versioning.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"

#include "files/stage.h"
#include "load/task.h"

void
ftm_task_put_string(StringInfo buffer, const char *value)
{
	int			length;

	if (value == NULL)
	{
		pq_sendint32(buffer, -1);
		return;
	}
	length = (int) strlen(value);
	pq_sendint32(buffer, length);
	pq_sendbytes(buffer, value, length);
}

char *
ftm_task_get_string(StringInfo buffer)
{
	int			length = (int) pq_getmsgint(buffer, 4);

	if (length < 0)
		return NULL;
	return pnstrdup(pq_getmsgbytes(buffer, length), length);
}

void
ftm_task_put_strings(StringInfo buffer, const List *values)
{
	ListCell   *lc;

	pq_sendint32(buffer, list_length(values));
	foreach(lc, values)
		ftm_task_put_string(buffer, lfirst(lc));
}

List *
ftm_task_get_strings(StringInfo buffer)
{
	List	   *values = NIL;
	int			count = (int) pq_getmsgint(buffer, 4);

	for (int i = 0; i < count; i++)
		values = lappend(values, ftm_task_get_string(buffer));
	return values;
}

void
ftm_task_put_table(StringInfo buffer, const TableTask *task)
{
	pq_sendint64(buffer, task->run_id);
	ftm_task_put_string(buffer, task->table_name);
	pq_sendint32(buffer, task->relid);
	pq_sendbyte(buffer, task->method);
	pq_sendbyte(buffer, task->binary);
	pq_sendbyte(buffer, task->replace);
	ftm_task_put_string(buffer, task->copy_sql);
	pq_sendint32(buffer, task->copy_query_length);
	ftm_task_put_string(buffer, task->source_table);
	ftm_task_put_string(buffer, task->file);
	ftm_task_put_string(buffer, task->file_sha256);
	pq_sendint64(buffer, task->fingerprint);
	pq_sendint32(buffer, task->ncolumns);
	for (int i = 0; i < task->ncolumns; i++)
	{
		ftm_task_put_string(buffer, task->column_names[i]);
		pq_sendbyte(buffer, task->columns[i].mode);
		pq_sendbyte(buffer, task->columns[i].unmapped_is_error);
		ftm_task_put_string(buffer, task->decisions[i]);
	}
	pq_sendbyte(buffer, task->keep_undecided);
	pq_sendbyte(buffer, task->ids_stay);
	ftm_task_put_strings(buffer, task->unvalidated);
	ftm_task_put_checksum(buffer, task->checksum);
}

TableTask *
ftm_task_get_table(StringInfo buffer)
{
	TableTask  *task = palloc0(sizeof(TableTask));

	task->run_id = pq_getmsgint64(buffer);
	task->table_name = ftm_task_get_string(buffer);
	task->relid = pq_getmsgint(buffer, 4);
	task->method = pq_getmsgbyte(buffer);
	task->binary = pq_getmsgbyte(buffer);
	task->replace = pq_getmsgbyte(buffer);
	task->copy_sql = ftm_task_get_string(buffer);
	task->copy_query_length = (int) pq_getmsgint(buffer, 4);
	task->source_table = ftm_task_get_string(buffer);
	task->file = ftm_task_get_string(buffer);
	task->file_sha256 = ftm_task_get_string(buffer);
	task->fingerprint = pq_getmsgint64(buffer);
	task->ncolumns = (int) pq_getmsgint(buffer, 4);
	task->column_names = palloc(sizeof(char *) * Max(1, task->ncolumns));
	task->columns = palloc(sizeof(RewriteColumn) * Max(1, task->ncolumns));
	task->decisions = palloc(sizeof(char *) * Max(1, task->ncolumns));
	for (int i = 0; i < task->ncolumns; i++)
	{
		task->column_names[i] = ftm_task_get_string(buffer);
		task->columns[i].mode = pq_getmsgbyte(buffer);
		task->columns[i].unmapped_is_error = pq_getmsgbyte(buffer);
		task->decisions[i] = ftm_task_get_string(buffer);
	}
	task->keep_undecided = pq_getmsgbyte(buffer);
	task->ids_stay = pq_getmsgbyte(buffer);
	task->unvalidated = ftm_task_get_strings(buffer);
	task->checksum = ftm_task_get_checksum(buffer);
	return task;
}

void
ftm_task_put_result(StringInfo buffer, const TableResult *result)
{
	pq_sendbyte(buffer, result->kept);
	pq_sendint64(buffer, result->rows);
	pq_sendint64(buffer, result->bytes);
	pq_sendint64(buffer, result->ids_mapped);
	pq_sendint64(buffer, result->ids_kept);
	pq_sendint64(buffer, result->ids_undecided);
	pq_sendfloat8(buffer, result->seconds);
}

void
ftm_task_get_result(StringInfo buffer, TableResult *result)
{
	result->kept = pq_getmsgbyte(buffer);
	result->rows = pq_getmsgint64(buffer);
	result->bytes = pq_getmsgint64(buffer);
	result->ids_mapped = pq_getmsgint64(buffer);
	result->ids_kept = pq_getmsgint64(buffer);
	result->ids_undecided = pq_getmsgint64(buffer);
	result->seconds = pq_getmsgfloat8(buffer);
}

static void
put_stage(StringInfo buffer, const StageTask *stage)
{
	pq_sendbyte(buffer, stage != NULL);
	if (stage == NULL)
		return;
	ftm_task_put_string(buffer, stage->create_sql);
	ftm_task_put_string(buffer, stage->file);
	ftm_task_put_string(buffer, stage->file_sha256);
	ftm_task_put_strings(buffer, stage->column_names);
}

static StageTask *
get_stage(StringInfo buffer)
{
	StageTask  *stage;

	if (!pq_getmsgbyte(buffer))
		return NULL;
	stage = palloc0(sizeof(StageTask));
	stage->create_sql = ftm_task_get_string(buffer);
	stage->file = ftm_task_get_string(buffer);
	stage->file_sha256 = ftm_task_get_string(buffer);
	stage->column_names = ftm_task_get_strings(buffer);
	return stage;
}

void
ftm_task_put_checksum(StringInfo buffer, const TableChecksum *checksum)
{
	ftm_task_put_string(buffer, checksum->source_sql);
	ftm_task_put_string(buffer, checksum->target_sql);
	ftm_task_put_string(buffer, checksum->generated_sql);
	ftm_task_put_string(buffer, checksum->obstacle);
	pq_sendint32(buffer, checksum->relid);
	pq_sendint32(buffer, checksum->columns_hashed);
	pq_sendint32(buffer, checksum->columns_total);
	pq_sendint32(buffer, checksum->columns_missing);
	ftm_task_put_strings(buffer, checksum->notes);
	ftm_task_put_string(buffer, checksum->undecided_sql);
	ftm_task_put_strings(buffer, checksum->undecided_columns);
	ftm_task_put_strings(buffer, checksum->undecided_decisions);
	put_stage(buffer, checksum->stage);
}

TableChecksum *
ftm_task_get_checksum(StringInfo buffer)
{
	TableChecksum *checksum = palloc0(sizeof(TableChecksum));

	checksum->source_sql = ftm_task_get_string(buffer);
	checksum->target_sql = ftm_task_get_string(buffer);
	checksum->generated_sql = ftm_task_get_string(buffer);
	checksum->obstacle = ftm_task_get_string(buffer);
	checksum->relid = pq_getmsgint(buffer, 4);
	checksum->columns_hashed = (int) pq_getmsgint(buffer, 4);
	checksum->columns_total = (int) pq_getmsgint(buffer, 4);
	checksum->columns_missing = (int) pq_getmsgint(buffer, 4);
	checksum->notes = ftm_task_get_strings(buffer);
	checksum->undecided_sql = ftm_task_get_string(buffer);
	checksum->undecided_columns = ftm_task_get_strings(buffer);
	checksum->undecided_decisions = ftm_task_get_strings(buffer);
	checksum->stage = get_stage(buffer);
	return checksum;
}

void
ftm_task_put_sequence(StringInfo buffer, const CatalogSequence *sequence)
{
	pq_sendint32(buffer, sequence->oid);
	ftm_task_put_string(buffer, sequence->qualified);
	ftm_task_put_string(buffer, sequence->owner_schema);
	ftm_task_put_string(buffer, sequence->owner_table);
	ftm_task_put_string(buffer, sequence->owner_column);
	pq_sendint64(buffer, sequence->last_value);
	pq_sendbyte(buffer, sequence->readable);
	pq_sendbyte(buffer, sequence->is_called);
}

CatalogSequence *
ftm_task_get_sequence(StringInfo buffer)
{
	CatalogSequence *sequence = palloc0(sizeof(CatalogSequence));

	sequence->oid = pq_getmsgint(buffer, 4);
	sequence->qualified = ftm_task_get_string(buffer);
	sequence->owner_schema = ftm_task_get_string(buffer);
	sequence->owner_table = ftm_task_get_string(buffer);
	sequence->owner_column = ftm_task_get_string(buffer);
	sequence->last_value = pq_getmsgint64(buffer);
	sequence->readable = pq_getmsgbyte(buffer);
	sequence->is_called = pq_getmsgbyte(buffer);
	return sequence;
}

void
ftm_task_put_verdict(StringInfo buffer, const VerifyResult *verdict)
{
	ListCell   *lc;

	ftm_task_put_string(buffer, verdict->kind);
	ftm_task_put_string(buffer, verdict->object);
	pq_sendint64(buffer, verdict->source_rows);
	pq_sendint64(buffer, verdict->target_rows);
	ftm_task_put_string(buffer, verdict->source_checksum);
	ftm_task_put_string(buffer, verdict->target_checksum);
	pq_sendbyte(buffer, verdict->ok);
	ftm_task_put_string(buffer, verdict->detail);
	pq_sendint32(buffer, list_length(verdict->undecided));
	foreach(lc, verdict->undecided)
	{
		UndecidedColumn *column = lfirst(lc);

		ftm_task_put_string(buffer, column->name);
		ftm_task_put_string(buffer, column->decision);
		pq_sendint64(buffer, column->values);
	}
}

VerifyResult *
ftm_task_get_verdict(StringInfo buffer)
{
	VerifyResult *verdict = palloc0(sizeof(VerifyResult));
	int			undecided;

	verdict->kind = ftm_task_get_string(buffer);
	verdict->object = ftm_task_get_string(buffer);
	verdict->source_rows = pq_getmsgint64(buffer);
	verdict->target_rows = pq_getmsgint64(buffer);
	verdict->source_checksum = ftm_task_get_string(buffer);
	verdict->target_checksum = ftm_task_get_string(buffer);
	verdict->ok = pq_getmsgbyte(buffer);
	verdict->detail = ftm_task_get_string(buffer);
	undecided = (int) pq_getmsgint(buffer, 4);
	for (int i = 0; i < undecided; i++)
	{
		UndecidedColumn *column = palloc(sizeof(UndecidedColumn));

		column->name = ftm_task_get_string(buffer);
		column->decision = ftm_task_get_string(buffer);
		column->values = pq_getmsgint64(buffer);
		verdict->undecided = lappend(verdict->undecided, column);
	}
	return verdict;
}
