/*-------------------------------------------------------------------------
 *
 * verify.c
 *		Does the target hold what the source holds?
 *
 * Nothing here trusts what the load has reported: rows, sequences, foreign
 * keys and the user map are read again.  A verdict says in its detail what was
 * compared and what was found; one that could not compare something is not ok.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/attnum.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "extension.h"
#include "finish.h"
#include "stage.h"
#include "target.h"
#include "verify.h"

/* Columns of the answers to a table's two statements. */
enum
{
	ANSWER_ROWS,
	ANSWER_CHECKSUM,
	ANSWER_IDS_LEFT,			/* from here on the target's only */
	ANSWER_IDS_KEPT,
	ANSWER_IDS_MIXED_CASE
};

static VerifyResult *
make_result(const char *kind, const char *object)
{
	VerifyResult *result = palloc0(sizeof(VerifyResult));

	result->kind = pstrdup(kind);
	result->object = pstrdup(object);
	result->source_rows = -1;
	result->target_rows = -1;
	return result;
}

/* Append one fragment of a detail. */
static void
add_detail(StringInfo detail, const char *format,...)
			pg_attribute_printf(2, 3);

static void
add_detail(StringInfo detail, const char *format,...)
{
	if (detail->len > 0)
		appendStringInfoString(detail, "; ");
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(detail, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(detail, needed);
	}
}

static void
add_details(StringInfo detail, const List *texts)
{
	ListCell   *cell;

	foreach(cell, texts)
		add_detail(detail, "%s", (char *) lfirst(cell));
}

/*
 * Count the target's rows whose generated columns are not what their
 * expressions say.  The expressions may call functions of the table's owner,
 * so they are evaluated as ANALYZE evaluates those of an index: in the owner's
 * name, and unable to leave anything behind in this session.
 */
static int64
count_wrong_generated(const TableChecksum *checksum)
{
	HeapTuple	tuple;
	Oid			owner;
	Oid			userid;
	int			security_context;
	int			nestlevel;
	RowSet	   *rows;

	if (checksum->generated_sql == NULL)
		return 0;

	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(checksum->relid));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", checksum->relid)));
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);

	/* An error resets both at the abort of the (sub)transaction. */
	GetUserIdAndSecContext(&userid, &security_context);
	SetUserIdAndSecContext(owner,
						   security_context | SECURITY_RESTRICTED_OPERATION);
	nestlevel = NewGUCNestLevel();
	rows = ftm_target_query(checksum->generated_sql, 0, NULL);
	AtEOXact_GUC(false, nestlevel);
	SetUserIdAndSecContext(userid, security_context);
	return ftm_rowset_int64(rows, 0, 0);
}

/*
 * Judge the answers of both ends for one table.
 */
static void
judge_table(VerifyResult *result, const TableChecksum *checksum,
			const RowSet *source, const RowSet *target, int64 wrong_generated)
{
	StringInfoData detail;
	int64		ids_left = ftm_rowset_int64(target, 0, ANSWER_IDS_LEFT);
	int64		ids_kept = ftm_rowset_int64(target, 0, ANSWER_IDS_KEPT);
	int64		ids_mixed_case = ftm_rowset_int64(target, 0,
												  ANSWER_IDS_MIXED_CASE);
	bool		same_rows;
	bool		same_checksum;

	result->source_rows = ftm_rowset_int64(source, 0, ANSWER_ROWS);
	result->target_rows = ftm_rowset_int64(target, 0, ANSWER_ROWS);
	result->source_checksum = ftm_rowset_value(source, 0, ANSWER_CHECKSUM);
	result->target_checksum = ftm_rowset_value(target, 0, ANSWER_CHECKSUM);
	same_rows = result->source_rows == result->target_rows;
	same_checksum = strcmp(result->source_checksum,
						   result->target_checksum) == 0;
	result->ok = same_rows && same_checksum && ids_left == 0 &&
		wrong_generated == 0 && checksum->columns_missing == 0;

	initStringInfo(&detail);
	if (!same_rows)
		add_detail(&detail, "row counts differ");
	else if (!same_checksum)
		add_detail(&detail, "rows differ");
	if (ids_left > 0)
		add_detail(&detail, "source user ids left over: " INT64_FORMAT,
				   ids_left);
	if (wrong_generated > 0)
		add_detail(&detail, "rows with wrong generated columns: " INT64_FORMAT,
				   wrong_generated);
	if (checksum->columns_missing > 0)
		add_detail(&detail, "columns missing on the target: %d",
				   checksum->columns_missing);
	add_detail(&detail, "%d of %d columns hashed",
			   checksum->columns_hashed, checksum->columns_total);
	if (ids_kept > 0)
		add_detail(&detail, "user ids kept that the user map lacks: " INT64_FORMAT,
				   ids_kept);
	if (ids_mixed_case > 0)
		add_detail(&detail, "user ids in mixed case left alone: " INT64_FORMAT,
				   ids_mixed_case);
	add_details(&detail, checksum->notes);
	result->detail = detail.data;
}

VerifyResult *
ftm_verify_table(SourceConnection *source, const char *table_name,
				 const TableChecksum *checksum)
{
	VerifyResult *result = make_result("table", table_name);
	RowSet	   *source_answer;
	RowSet	   *target_answer;
	int64		wrong_generated;

	if (checksum->obstacle != NULL)
	{
		result->detail = psprintf("not checked: %s", checksum->obstacle);
		return result;
	}

	/* Both servers work at the same time. */
	if (source != NULL)
		ftm_source_send_query(source, &ftm_checksum_shape,
							  checksum->source_sql, 0, NULL);
	target_answer = ftm_target_query(checksum->target_sql, 0, NULL);
	wrong_generated = count_wrong_generated(checksum);
	if (source != NULL)
		source_answer = ftm_source_receive(source);
	else
	{
		if (checksum->stage != NULL)
			ftm_stage_rows(checksum->stage);
		source_answer = ftm_target_query(checksum->source_sql, 0, NULL);
	}

	judge_table(result, checksum, source_answer, target_answer,
				wrong_generated);
	return result;
}

List *
ftm_verify_plan(const MigrationPlan *plan)
{
	List	   *results = NIL;
	ListCell   *cell;

	foreach(cell, plan->problems)
	{
		PlanFinding *finding = lfirst(cell);
		VerifyResult *result;

		/* What only a load cares about is no difference afterwards. */
		if (finding->topic == PLAN_TARGET_TABLES ||
			finding->topic == PLAN_TRIGGERS)
			continue;
		result = make_result("plan", "source and target");
		result->detail = ftm_plan_finding_text(finding);
		results = lappend(results, result);
	}
	return results;
}

/*
 * SQL: may the current user read all rows of a relation of the target?
 */
static char *
may_read_sql(const char *oid)
{
	return psprintf("(pg_catalog.has_table_privilege(%s, 'SELECT')"
					" AND NOT pg_catalog.row_security_active(%s))", oid, oid);
}

static bool
may_read(Oid relid)
{
	RowSet	   *rows = ftm_target_query(psprintf("SELECT %s",
												 may_read_sql(psprintf("%u::pg_catalog.oid", relid))),
										0, NULL);

	return ftm_rowset_bool(rows, 0, 0);
}

/*
 * "[ONLY] schema.table" and the column that owns a sequence, if it is there
 * and holds numbers.
 */
static bool
owning_column(const CatalogSequence *sequence, Oid *owner, char **table,
			  const char **column)
{
	Oid			schema;
	Oid			relid;
	AttrNumber	attnum;

	if (sequence->owner_table == NULL)
		return false;
	schema = get_namespace_oid(sequence->owner_schema, true);
	relid = OidIsValid(schema) ?
		get_relname_relid(sequence->owner_table, schema) : InvalidOid;
	attnum = OidIsValid(relid) ?
		get_attnum(relid, sequence->owner_column) : InvalidAttrNumber;
	if (attnum == InvalidAttrNumber)
		return false;

	switch (getBaseType(get_atttype(relid, attnum)))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			break;
		default:
			return false;
	}
	*table = psprintf("%s%s",
					  get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ?
					  "" : "ONLY ",
					  quote_qualified_identifier(sequence->owner_schema,
												 sequence->owner_table));
	*column = quote_identifier(sequence->owner_column);
	*owner = relid;
	return true;
}

/*
 * Would the next value of a target sequence be one that the data has passed
 * already?  A sequence that cycles may be anywhere.
 */
static bool
is_behind_data(const CatalogSequence *sequence, const char *table,
			   const char *column)
{
	RowSet	   *rows;

	rows = ftm_target_query(psprintf("SELECT CASE WHEN p.seqincrement > 0"
									 " THEN n.value <= (SELECT pg_catalog.max(%s) FROM %s)"
									 " ELSE n.value >= (SELECT pg_catalog.min(%s) FROM %s) END"
									 " FROM %s s,"
									 " pg_catalog.pg_sequence p,"
									 " LATERAL (SELECT s.last_value::pg_catalog.numeric +"
									 " CASE WHEN s.is_called THEN p.seqincrement ELSE 0 END) n(value)"
									 " WHERE p.seqrelid = %u AND NOT p.seqcycle",
									 column, table, column, table,
									 sequence->qualified, sequence->oid),
							0, NULL);
	return rows->nrows > 0 && ftm_rowset_bool(rows, 0, 0);
}

VerifyResult *
ftm_verify_sequence(const CatalogSequence *source,
					const CatalogSequence *target)
{
	VerifyResult *result = make_result("sequence", target->qualified);
	StringInfoData detail;
	RowSet	   *rows;
	int64		last_value;
	bool		is_called;
	Oid			owner;
	char	   *table;
	const char *column;

	if (!may_read(target->oid) || !source->readable)
	{
		result->detail = psprintf("not checked: the %s's sequence cannot be read",
								  source->readable ? "target" : "source");
		return result;
	}
	rows = ftm_target_query(psprintf("SELECT last_value, is_called FROM %s",
									 target->qualified),
							0, NULL);
	last_value = ftm_rowset_int64(rows, 0, 0);
	is_called = ftm_rowset_bool(rows, 0, 1);

	initStringInfo(&detail);
	result->ok = last_value == source->last_value &&
		is_called == source->is_called;
	if (result->ok)
		add_detail(&detail, "at " INT64_FORMAT ", %s", last_value,
				   is_called ? "called" : "not called yet");
	else
		add_detail(&detail, "at " INT64_FORMAT ", %s, on the source and " INT64_FORMAT ", %s, on the target",
				   source->last_value,
				   source->is_called ? "called" : "not called yet",
				   last_value, is_called ? "called" : "not called yet");

	/*
	 * A sequence that equals the source's and is behind the data is so in the
	 * source, too: worth a word, but no difference.
	 */
	if (!owning_column(target, &owner, &table, &column))
		;						/* there is no such data */
	else if (!may_read(owner))
	{
		result->ok = false;
		add_detail(&detail, "not compared with the values of column %s, which cannot be read",
				   column);
	}
	else if (is_behind_data(target, table, column))
		add_detail(&detail, "behind the values of column %s%s",
				   target->owner_column,
				   result->ok ? ", as in the source" : "");
	result->detail = detail.data;
	return result;
}

VerifyResult *
ftm_verify_foreign_key(Oid constraint, bool valid_in_source)
{
	VerifyResult *result;
	StringInfoData detail;
	const char *params[1];
	RowSet	   *rows;
	bool		valid;
	int64		orphans;
	char	   *sample;

	params[0] = psprintf("%u", constraint);
	rows = ftm_target_query(psprintf("SELECT pg_catalog.quote_ident(k.conname),"
									 " pg_catalog.quote_ident(n.nspname) || '.' ||"
									 "  pg_catalog.quote_ident(c.relname),"
									 " k.convalidated, %s AND %s"
									 " FROM pg_catalog.pg_constraint k"
									 " JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
									 " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
									 " WHERE k.oid = $1::pg_catalog.oid AND k.contype = 'f'",
									 may_read_sql("k.conrelid"),
									 may_read_sql("k.confrelid")),
							1, params);
	if (rows->nrows == 0)
	{
		result = make_result("foreign key", params[0]);
		result->detail = pstrdup("does not exist any more");
		return result;
	}
	result = make_result("foreign key",
						 psprintf("%s on %s", ftm_rowset_value(rows, 0, 0),
								  ftm_rowset_value(rows, 0, 1)));
	if (!ftm_rowset_bool(rows, 0, 3))
	{
		result->detail = pstrdup("not checked: its tables cannot be read, or row-level security hides some of their rows");
		return result;
	}
	valid = ftm_rowset_bool(rows, 0, 2);
	orphans = ftm_finish_count_orphans(constraint, &sample);

	initStringInfo(&detail);
	result->ok = (valid && orphans == 0) || !valid_in_source;
	if (!valid)
		add_detail(&detail, valid_in_source ?
				   "not valid" : "not valid on the source either");
	if (orphans == 0)
		add_detail(&detail, "every row has its counterpart");
	else
		add_detail(&detail, "rows without counterpart: " INT64_FORMAT ", the first of them %s",
				   orphans, sample);
	result->detail = detail.data;
	return result;
}

VerifyResult *
ftm_verify_user_map(void)
{
	char	   *map = psprintf("%s.ftm_user_map", ftm_extension_schema_quoted());
	VerifyResult *result = make_result("user map", map);
	StringInfoData detail;
	RowSet	   *rows;
	int64		doubled;
	int64		both;

	rows = ftm_target_query_as_owner(psprintf("SELECT count(*),"
											  " 2 * count(*) - count(DISTINCT source_user_id)"
											  "  - count(DISTINCT target_user_id),"
											  " (SELECT count(*) FROM %s t JOIN %s s"
											  "   ON s.source_user_id = t.target_user_id"
											  "   WHERE t.source_user_id <> t.target_user_id)"
											  " FROM %s", map, map, map),
									 0, NULL);
	result->target_rows = ftm_rowset_int64(rows, 0, 0);
	doubled = ftm_rowset_int64(rows, 0, 1);
	both = ftm_rowset_int64(rows, 0, 2);
	result->ok = doubled == 0 && both == 0;

	initStringInfo(&detail);
	if (doubled > 0)
		add_detail(&detail, "ids that occur more than once: " INT64_FORMAT, doubled);
	if (both > 0)
		add_detail(&detail, "target ids that are other users' source ids: " INT64_FORMAT,
				   both);
	if (result->ok)
		add_detail(&detail, "one to one");
	result->detail = detail.data;
	return result;
}
