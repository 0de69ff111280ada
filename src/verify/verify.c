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
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"

#include "base/extension.h"
#include "base/relation.h"
#include "base/target.h"
#include "files/stage.h"
#include "load/finish.h"
#include "plan/user_column.h"
#include "schema/sequence.h"
#include "verify/verify.h"

/* Columns of the answers to a table's two statements. */
enum
{
	ANSWER_ROWS,
	ANSWER_CHECKSUM,
	ANSWER_IDS_LEFT,			/* from here on the target's only */
	ANSWER_IDS_KEPT,
	ANSWER_IDS_MIXED_CASE,
	ANSWER_IDS_UNDECIDED
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
 * expressions say.
 */
static int64
count_wrong_generated(const TableChecksum *checksum)
{
	RowSet	   *rows;

	if (checksum->generated_sql == NULL)
		return 0;
	rows = ftm_target_query_relations(checksum->generated_sql,
									  list_make1_oid(checksum->relid),
									  TARGET_CODE_OWNERS);
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

/*
 * Which columns are they in?  Asked only of a table that has some.
 */
static List *
find_undecided(const TableChecksum *checksum)
{
	RowSet	   *rows = ftm_target_query_relations(checksum->undecided_sql,
												  list_make1_oid(checksum->relid),
												  TARGET_CODE_OURS);
	List	   *result = NIL;
	ListCell   *name;
	ListCell   *decision;

	forboth(name, checksum->undecided_columns,
			decision, checksum->undecided_decisions)
	{
		int64		values = ftm_rowset_int64(rows, 0,
											  foreach_current_index(name));
		UndecidedColumn *column;

		if (values == 0)
			continue;
		column = palloc(sizeof(UndecidedColumn));
		column->name = lfirst(name);
		column->decision = lfirst(decision);
		column->values = values;
		result = lappend(result, column);
	}
	return result;
}

/*
 * What only this table is to blame for: code of its owner, or rights that the
 * owner or the caller lacks.
 */
static bool
is_failure_of_table(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_SYSTEM_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return false;
		default:
			return true;
	}
}

/*
 * The target's half.  NULL if it cannot be had, and why in *failure: then the
 * other tables are verified all the same.
 */
static RowSet *
ask_target(const TableChecksum *checksum, int64 *wrong_generated,
		   char **failure)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	RowSet	   *volatile answer = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		RowSet	   *rows = ftm_target_query_relations(checksum->target_sql,
													  list_make1_oid(checksum->relid),
													  TARGET_CODE_OURS);

		*wrong_generated = count_wrong_generated(checksum);
		answer = rows;
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		if (!is_failure_of_table(geterrcode()))
			PG_RE_THROW();
		error = CopyErrorData();
		FlushErrorState();
		*failure = error->message;
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return answer;
}

VerifyResult *
ftm_verify_table(SourceConnection *source, const char *table_name,
				 const TableChecksum *checksum)
{
	VerifyResult *result = make_result("table", table_name);
	RowSet	   *source_answer;
	RowSet	   *target_answer;
	int64		wrong_generated = 0;
	char	   *failure = NULL;

	if (checksum->obstacle != NULL)
	{
		result->detail = psprintf("not checked: %s", checksum->obstacle);
		return result;
	}

	/* Whoever has the table renamed since the plan must not have it replaced. */
	(void) ftm_relation_lock(checksum->relid, AccessShareLock, FTM_TABLES,
							 table_name);

	/* Both servers work at the same time. */
	if (source != NULL)
		ftm_source_send_query(source, &ftm_checksum_shape,
							  checksum->source_sql, 0, NULL);
	target_answer = ask_target(checksum, &wrong_generated, &failure);
	if (source != NULL)
		source_answer = ftm_source_receive(source);
	else
	{
		List	   *staged = NIL;

		if (checksum->stage != NULL)
			staged = list_make1_oid(ftm_stage_rows(checksum->stage,
												   checksum->relid));
		source_answer = ftm_target_query_relations(checksum->source_sql,
												   staged, TARGET_CODE_OURS);
	}

	if (target_answer == NULL)
	{
		result->detail = psprintf("not checked: %s", failure);
		return result;
	}
	judge_table(result, checksum, source_answer, target_answer,
				wrong_generated);
	if (ftm_rowset_int64(target_answer, 0, ANSWER_IDS_UNDECIDED) > 0)
		result->undecided = find_undecided(checksum);
	return result;
}

int64
ftm_verify_ids_undecided(const VerifyResult *result)
{
	int64		values = 0;
	ListCell   *lc;

	foreach(lc, result->undecided)
		values += ((UndecidedColumn *) lfirst(lc))->values;
	return values;
}

List *
ftm_verify_undecided(const List *results, bool keep)
{
	List	   *undecided = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, results)
	{
		const VerifyResult *table = lfirst(lc);

		foreach(lc2, table->undecided)
		{
			const UndecidedColumn *column = lfirst(lc2);
			VerifyResult *result = make_result("user ids left",
											   psprintf("%s.%s", table->object,
														quote_identifier(column->name)));

			result->ok = keep;
			result->detail = psprintf("values with ids of known users, of which nobody has decided: " INT64_FORMAT "; to decide, execute %s",
									  column->values,
									  ftm_user_column_decision_sql(column->decision));
			undecided = lappend(undecided, result);
		}
	}
	return undecided;
}

int64
ftm_verify_generated(const char *table_name, const TableChecksum *checksum)
{
	(void) ftm_relation_lock(checksum->relid, AccessShareLock, FTM_TABLES,
							 table_name);
	return count_wrong_generated(checksum);
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
 * Find and lock the column that owns a sequence, which is locked, too.  False
 * if there is none, or if it cannot hold numbers of the sequence: ALTER
 * SEQUENCE takes columns of views.
 */
static bool
owning_column(Oid sequence, Oid *relid, char **column)
{
	int32		attnum;

	if (!sequenceIsOwned(sequence, DEPENDENCY_AUTO, relid, &attnum) &&
		!sequenceIsOwned(sequence, DEPENDENCY_INTERNAL, relid, &attnum))
		return false;
	LockRelationOid(*relid, AccessShareLock);
	switch (get_rel_relkind(*relid))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
			break;
		default:
			return false;
	}

	switch (getBaseType(get_atttype(*relid, attnum)))
	{
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			break;
		default:
			return false;
	}
	*column = get_attname(*relid, attnum, false);
	return true;
}

/*
 * Would the next value of a target sequence be one that the data has passed
 * already?  A sequence that cycles may be anywhere.
 */
static bool
is_behind_data(Oid sequence, SequencePosition position, Oid relid,
			   const char *column)
{
	const char *value = quote_identifier(column);
	const char *from = ftm_relation_from(relid);
	RowSet	   *rows;

	rows = ftm_target_query_relations(psprintf("SELECT CASE WHEN p.seqincrement > 0"
											   " THEN n.value <= (SELECT pg_catalog.max(%s) FROM %s)"
											   " ELSE n.value >= (SELECT pg_catalog.min(%s) FROM %s) END"
											   " FROM pg_catalog.pg_sequence p,"
											   " LATERAL (SELECT '" INT64_FORMAT "'::pg_catalog.numeric"
											   " + %s) n(value)"
											   " WHERE p.seqrelid = %u AND NOT p.seqcycle",
											   value, from, value, from,
											   position.last_value,
											   position.is_called ?
											   "p.seqincrement" : "0",
											   sequence),
									  list_make1_oid(relid), TARGET_CODE_OURS);
	return rows->nrows > 0 && ftm_rowset_bool(rows, 0, 0);
}

VerifyResult *
ftm_verify_sequence(const CatalogSequence *source,
					const CatalogSequence *target)
{
	VerifyResult *result = make_result("sequence", target->qualified);
	StringInfoData detail;
	SequencePosition position;
	Oid			owner;
	char	   *column;

	if (!may_read(target->oid) || !source->readable)
	{
		result->detail = psprintf("not checked: the %s's sequence cannot be read",
								  source->readable ? "target" : "source");
		return result;
	}
	position = ftm_sequence_read(target->oid, target->qualified);

	initStringInfo(&detail);
	result->ok = position.last_value == source->last_value &&
		position.is_called == source->is_called;
	if (result->ok)
		add_detail(&detail, "at " INT64_FORMAT ", %s", position.last_value,
				   position.is_called ? "called" : "not called yet");
	else
		add_detail(&detail, "at " INT64_FORMAT ", %s, on the source and " INT64_FORMAT ", %s, on the target",
				   source->last_value,
				   source->is_called ? "called" : "not called yet",
				   position.last_value,
				   position.is_called ? "called" : "not called yet");

	/*
	 * A sequence that equals the source's and is behind the data is so in the
	 * source, too: worth a word, but no difference.
	 */
	if (!owning_column(target->oid, &owner, &column))
		;						/* there is no such data */
	else if (!may_read(owner))
	{
		result->ok = false;
		add_detail(&detail, "not compared with the values of column %s, which cannot be read",
				   quote_identifier(column));
	}
	else if (is_behind_data(target->oid, position, owner, column))
		add_detail(&detail, "behind the values of column %s%s",
				   column,
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
