/*-------------------------------------------------------------------------
 *
 * rollback.c
 *		The target as it was before a run.
 *
 * Everything happens in one transaction of a worker, under AccessExclusiveLocks
 * on the tables: either all of the run is gone, or nothing.
 *
 * Has a table changed since the load?  All rows that a load stores carry its
 * transaction id in xmin, and keep it: freezing sets a flag beside xmin, VACUUM
 * FULL and CLUSTER copy it.  A row that was inserted or updated since has
 * another one, and a row that was deleted is missing from the count.  So a
 * table is unchanged if it has as many rows as were loaded, all with that
 * xmin.  xmin has 32 bits only: once 2^32 transactions have begun since the
 * load, another one may have had the same, and all rows count as changed.
 *
 * Sequences are restored by ALTER SEQUENCE ... RESTART, which gives the
 * sequence new storage, followed by setval(), which then works on that: unlike
 * setval() alone, both are undone if the transaction aborts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/relation.h"
#include "base/target.h"
#include "compat.h"
#include "load/catch_up.h"
#include "load/finish.h"
#include "run/rollback.h"
#include "run/state.h"
#include "schema/sequence.h"
#include "schema/table_tree.h"

/* A table that the run has loaded, locked. */
typedef struct LoadedTable
{
	Oid			relid;
	char	   *name;
	int64		rows;			/* that were loaded */
	char	   *xmin;			/* of these rows; NULL: too long ago */
	bool		rows_replaced;
	List	   *tree;			/* OIDs of it and its partitions */
	int64		rows_now;
	int64		rows_changed;	/* of them, not the load's */
} LoadedTable;

/* A sequence that the run has set, locked. */
typedef struct SetSequence
{
	Oid			relid;
	char	   *name;
	SequencePosition before;	/* the run */
	SequencePosition now;
	bool		moved;			/* somebody has used it since the run */
} SetSequence;

/* What a run ($1) has loaded, with the xmin of the rows. */
#define LOADED_TABLES_SQL \
	"SELECT relid, table_name, rows," \
	"       CASE WHEN age >= 0 AND age < 4294967296" \
	"         THEN xid % 4294967296 END," \
	"       rows_replaced" \
	"  FROM @schema@.ftm_run_table," \
	"       CAST(load_xid::text AS numeric) AS l (xid)," \
	"       LATERAL (SELECT pg_current_xact_id()::text::numeric - xid) a (age)" \
	" WHERE run_id = $1::bigint AND status = 'loaded'"

static bool is_rolled_back(int64 run_id);
static List *lock_tables(int64 run_id);
static void lock_table(LoadedTable *table, int64 run_id);
static LoadedTable *make_loaded_table(const RowSet *rows, int row);
static void count_rows(LoadedTable *table);
static char *table_changes(const LoadedTable *table);
static List *lock_sequences(int64 run_id);
static void check_replaced_rows(const RollbackRequest *request,
								const List *tables);
static void add_moved_sequences(StringInfo lines, const List *sequences);
static void check_unchanged(const RollbackRequest *request,
							const List *tables, const List *sequences);
static void empty_tables(const List *tables);
static void restore_postponed(int64 run_id, const List *tables);
static void restore_sequences(const List *sequences);
static void restore_keys(const RollbackRequest *request, const List *keys);
static bool key_was_valid(int64 run_id, Oid key, char **name);
static List *keys_of_run(int64 run_id);
static void mark_run(int64 run_id);

List *
ftm_rollback_run(const RollbackRequest *request)
{
	List	   *result = NIL;
	List	   *tables;
	List	   *sequences;
	ListCell   *lc;

	if (is_rolled_back(request->run_id))
	{
		if (request->users)
			return NIL;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run " INT64_FORMAT " is rolled back already",
						request->run_id)));
	}
	tables = lock_tables(request->run_id);
	sequences = lock_sequences(request->run_id);
	check_unchanged(request, tables, sequences);
	check_replaced_rows(request, tables);

	empty_tables(tables);
	restore_postponed(request->run_id, tables);
	restore_sequences(sequences);
	restore_keys(request, keys_of_run(request->run_id));
	mark_run(request->run_id);

	foreach(lc, tables)
	{
		LoadedTable *table = lfirst(lc);
		RolledBackTable *emptied = palloc(sizeof(RolledBackTable));

		emptied->name = table->name;
		emptied->rows = table->rows_now;
		result = lappend(result, emptied);
	}
	return result;
}

static const char *
run_param(int64 run_id)
{
	return psprintf(INT64_FORMAT, run_id);
}

/*
 * Error if there is no such run.
 */
static bool
is_rolled_back(int64 run_id)
{
	const char *params[1] = {run_param(run_id)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT status FROM @schema@.ftm_run"
						   " WHERE run_id = $1::bigint FOR UPDATE",
						   1, params);
	if (rows->nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no run " INT64_FORMAT, run_id),
				 errhint("ftm_run shows the runs.")));
	return strcmp(ftm_rowset_value(rows, 0, 0), "rolled back") == 0;
}

/*
 * The tables that the run has loaded, as far as they still exist, with their
 * rows counted: a List of LoadedTable.  What another run has loaded into one of
 * them is not this run's ('replaced').
 */
static List *
lock_tables(int64 run_id)
{
	const char *params[1] = {run_param(run_id)};
	List	   *tables = NIL;
	RowSet	   *rows;

	rows = ftm_state_query(LOADED_TABLES_SQL " ORDER BY relid", 1, params);
	for (int i = 0; i < rows->nrows; i++)
	{
		LoadedTable *table = make_loaded_table(rows, i);

		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(table->relid)))
			continue;
		lock_table(table, run_id);
		count_rows(table);
		tables = lappend(tables, table);
	}
	return tables;
}

static LoadedTable *
make_loaded_table(const RowSet *rows, int row)
{
	LoadedTable *table = palloc0(sizeof(LoadedTable));

	table->relid = atooid(ftm_rowset_value(rows, row, 0));
	table->name = ftm_rowset_value(rows, row, 1);
	table->rows = ftm_rowset_int64(rows, row, 2);
	table->xmin = ftm_rowset_value(rows, row, 3);
	table->rows_replaced = ftm_rowset_bool(rows, row, 4);
	return table;
}

char *
ftm_rollback_table_changes(int64 run_id, Oid relid)
{
	const char *params[2] = {run_param(run_id), psprintf("%u", relid)};
	RowSet	   *rows = ftm_state_query(LOADED_TABLES_SQL " AND relid = $2::oid",
									   2, params);
	LoadedTable *table;

	if (rows->nrows == 0)
		return NULL;
	table = make_loaded_table(rows, 0);
	count_rows(table);
	return table_changes(table);
}

/*
 * Lock a table and its partitions, if they may be emptied by this role, and
 * are what they were.
 */
static void
lock_table(LoadedTable *table, int64 run_id)
{
	char	   *name;

	table->tree = ftm_table_tree_lock(table->relid);
	name = get_rel_name(table->relid);
	if (name != NULL)
		name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(table->relid)),
										  name);
	if (name == NULL || strcmp(name, table->name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s is not the one that run " INT64_FORMAT " loaded",
						table->name, run_id),
				 name != NULL ?
				 errdetail("Its OID is that of %s now.", name) : 0,
				 errhint("Rename the table back, or empty it by hand and delete its row from ftm_run_table.")));
}

static void
count_rows(LoadedTable *table)
{
	RowSet	   *rows;

	rows = ftm_target_query_relations(psprintf("SELECT count(*),"
											   " count(*) FILTER (WHERE %s%s%s)"
											   " FROM %s",
											   table->xmin != NULL ? "xmin <> '" : "true",
											   table->xmin != NULL ? table->xmin : "",
											   table->xmin != NULL ? "'::xid" : "",
											   ftm_relation_from(table->relid)),
									  list_make1_oid(table->relid),
									  TARGET_CODE_OURS);
	table->rows_now = ftm_rowset_int64(rows, 0, 0);
	table->rows_changed = ftm_rowset_int64(rows, 0, 1);
}

/* As a sentence; NULL: none, or none that could be lost. */
static char *
table_changes(const LoadedTable *table)
{
	int64		missing = table->rows - (table->rows_now - table->rows_changed);

	if (table->rows_now == 0 || (table->rows_changed == 0 && missing == 0))
		return NULL;
	if (table->xmin == NULL)
		return psprintf("Table %s: loaded too long ago to tell whether it has changed.",
						table->name);
	return psprintf("Table %s: rows inserted or updated: " INT64_FORMAT ", loaded rows updated or deleted: " INT64_FORMAT ".",
					table->name, table->rows_changed, missing);
}

static bool
same_position(SequencePosition a, SequencePosition b)
{
	return a.last_value == b.last_value && a.is_called == b.is_called;
}

/*
 * The sequences that the run has set, as far as they still exist: a List of
 * SetSequence.  The lock keeps others from drawing values.
 */
static List *
lock_sequences(int64 run_id)
{
	const char *params[1] = {run_param(run_id)};
	List	   *sequences = NIL;
	RowSet	   *rows;

	rows = ftm_state_query("SELECT s.relid, s.last_value, s.is_called,"
						   "       s.set_last_value, s.set_is_called"
						   "  FROM @schema@.ftm_run_sequence s"
						   "  JOIN pg_sequence p ON p.seqrelid = s.relid"
						   " WHERE s.run_id = $1::bigint"
						   " ORDER BY s.relid",
						   1, params);
	for (int i = 0; i < rows->nrows; i++)
	{
		SetSequence *sequence = palloc0(sizeof(SetSequence));
		Oid			relid = atooid(ftm_rowset_value(rows, i, 0));
		SequencePosition set;

		if (!ftm_owns_relation(relid, GetUserId()))
			aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_SEQUENCE,
						   get_rel_name(relid));
		LockRelationOid(relid, ShareRowExclusiveLock);
		if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			continue;
		sequence->relid = relid;
		sequence->name = ftm_relation_lock(relid, ShareRowExclusiveLock,
										   FTM_SEQUENCES, NULL);
		sequence->before.last_value = ftm_rowset_int64(rows, i, 1);
		sequence->before.is_called = ftm_rowset_bool(rows, i, 2);
		set.last_value = ftm_rowset_int64(rows, i, 3);
		set.is_called = ftm_rowset_bool(rows, i, 4);

		sequence->now = ftm_sequence_read(relid, NULL);
		sequence->moved = !same_position(sequence->now, sequence->before) &&
			!same_position(sequence->now, set);
		sequences = lappend(sequences, sequence);
	}
	return sequences;
}

/*
 * Append a line to the detail of a message.
 */
static void
add_line(StringInfo lines, const char *format,...) pg_attribute_printf(2, 3);

static void
add_line(StringInfo lines, const char *format,...)
{
	if (lines->len > 0)
		appendStringInfoChar(lines, '\n');
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(lines, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(lines, needed);
	}
}

/*
 * A run with existing => 'truncate' cannot be undone: say so.
 */
static void
check_replaced_rows(const RollbackRequest *request, const List *tables)
{
	StringInfoData lines;
	ListCell   *lc;

	initStringInfo(&lines);
	foreach(lc, tables)
	{
		LoadedTable *table = lfirst(lc);

		if (table->rows_replaced)
			add_line(&lines, "Table %s held rows before the run.", table->name);
	}
	if (lines.len == 0)
		return;
	if (request->force || request->restart)
		ereport(WARNING,
				(errmsg("rows that run " INT64_FORMAT " replaced are gone for good",
						request->run_id),
				 errdetail_internal("%s", lines.data)));
	else
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("run " INT64_FORMAT " replaced rows, which cannot be brought back",
						request->run_id),
				 errdetail_internal("%s", lines.data),
				 errhint("SELECT ftm_rollback(" INT64_FORMAT ", force => true); leaves these tables empty.",
						 request->run_id)));
}

char *
ftm_rollback_changes(int64 run_id, List *relids)
{
	StringInfoData lines;
	ListCell   *lc;

	initStringInfo(&lines);
	foreach(lc, relids)
	{
		char	   *changes;

		(void) ftm_relation_lock(lfirst_oid(lc), AccessShareLock, FTM_TABLES,
								 NULL);
		changes = ftm_rollback_table_changes(run_id, lfirst_oid(lc));
		if (changes != NULL)
			add_line(&lines, "%s", changes);
	}
	add_moved_sequences(&lines, lock_sequences(run_id));
	return lines.len > 0 ? lines.data : NULL;
}

static void
add_moved_sequences(StringInfo lines, const List *sequences)
{
	ListCell   *lc;

	foreach(lc, sequences)
	{
		SetSequence *sequence = lfirst(lc);

		if (sequence->moved)
			add_line(lines, "Sequence %s: moved to " INT64_FORMAT ".",
					 sequence->name, sequence->now.last_value);
	}
}

/*
 * Nobody may lose what was written since the load.  A table that is empty by
 * now has nothing to lose.
 */
static void
check_unchanged(const RollbackRequest *request, const List *tables,
				const List *sequences)
{
	StringInfoData lines;
	ListCell   *lc;

	initStringInfo(&lines);
	foreach(lc, tables)
	{
		char	   *changes = table_changes(lfirst(lc));

		if (changes != NULL)
			add_line(&lines, "%s", changes);
	}
	add_moved_sequences(&lines, sequences);
	if (lines.len == 0)
		return;
	ereport(request->force ? WARNING : ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("what run " INT64_FORMAT " loaded has changed since",
					request->run_id),
			 errdetail_internal("%s", lines.data),
			 request->force ? 0 :
			 errhint("To lose these changes, SELECT ftm_rollback(" INT64_FORMAT ", force => true);",
					 request->run_id)));
}

/*
 * Logical decoding hears of all that held rows at once: a subscriber whose
 * foreign keys are like ours could not truncate one of them alone.
 */
static void
empty_tables(const List *tables)
{
	List	   *emptied = NIL;
	ListCell   *lc;

	foreach(lc, tables)
		ftm_finish_invalidate_table_keys(((LoadedTable *) lfirst(lc))->relid);
	foreach(lc, tables)
	{
		LoadedTable *table = lfirst(lc);

		if (table->rows_now > 0)
			emptied = list_concat(emptied, table->tree);
		ftm_table_tree_empty(table->tree);
	}
	ftm_table_tree_log_truncation(emptied);
}

/* What the loads had left to the end of the run. */
static void
restore_postponed(int64 run_id, const List *tables)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, tables)
		relids = list_concat(relids, ((LoadedTable *) lfirst(lc))->tree);
	ftm_catch_up_restore(run_id, relids);
	CommandCounterIncrement();
}

static void
restore_sequences(const List *sequences)
{
	ListCell   *lc;

	foreach(lc, sequences)
	{
		SetSequence *sequence = lfirst(lc);

		/* Of new storage, in which an abort undoes even setval(). */
		ResetSequence(sequence->relid);
		ftm_sequence_set(sequence->relid, NULL, sequence->before);
	}
}

/*
 * The foreign keys of all tables of the run: it has marked them not valid even
 * if it came to load no row.
 */
static List *
keys_of_run(int64 run_id)
{
	const char *params[1] = {run_param(run_id)};
	List	   *keys = NIL;
	RowSet	   *rows;

	rows = ftm_state_query("SELECT t.relid FROM @schema@.ftm_run_table t"
						   "  JOIN pg_class c ON c.oid = t.relid"
						   " WHERE t.run_id = $1::bigint AND t.status <> 'replaced'",
						   1, params);
	for (int i = 0; i < rows->nrows; i++)
		keys = list_concat_unique_oid(keys,
									  ftm_finish_foreign_keys(atooid(ftm_rowset_value(rows, i, 0))));
	return keys;
}

/*
 * An emptied table has no orphans, but rows of other tables may refer to it.
 * Those that did so before the run did so without a valid key.
 */
static void
restore_keys(const RollbackRequest *request, const List *keys)
{
	StringInfoData lines;
	ListCell   *lc;

	initStringInfo(&lines);
	foreach(lc, keys)
	{
		char	   *name;
		bool		was_valid = key_was_valid(request->run_id,
											  lfirst_oid(lc), &name);
		int64		orphans = ftm_finish_check_foreign_key(lfirst_oid(lc));

		if (orphans > 0 && was_valid)
			add_line(&lines, "Foreign key %s: " INT64_FORMAT ".", name,
					 orphans);
	}
	if (lines.len > 0)
		ereport(request->force ? WARNING : ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("rows of other tables refer to rows that run " INT64_FORMAT " loaded",
						request->run_id),
				 errdetail_internal("%s", lines.data),
				 request->force ?
				 errhint("These foreign keys are not valid now.") :
				 errhint("Delete those rows, or SELECT ftm_rollback(" INT64_FORMAT ", force => true); to leave these foreign keys not valid.",
						 request->run_id)));
}

/*
 * Was a foreign key valid before the run?  One that was added since was.
 */
static bool
key_was_valid(int64 run_id, Oid key, char **name)
{
	const char *params[2] = {run_param(run_id), psprintf("%u", key)};
	RowSet	   *rows;

	rows = ftm_state_query("SELECT format('%I of table %s', k.conname, t.name),"
						   "       coalesce(r.valid, true)"
						   "  FROM pg_constraint k"
						   "  JOIN pg_class c ON c.oid = k.conrelid"
						   "  JOIN pg_namespace n ON n.oid = c.relnamespace"
						   " CROSS JOIN format('%I.%I', n.nspname, c.relname) AS t (name)"
						   "  LEFT JOIN @schema@.ftm_run_key r"
						   "    ON r.run_id = $1::bigint"
						   "   AND r.table_name = t.name AND r.key_name = k.conname"
						   " WHERE k.oid = $2::oid",
						   2, params);
	if (rows->nrows == 0)
		elog(ERROR, "cache lookup failed for constraint %u", key);
	*name = ftm_rowset_value(rows, 0, 0);
	return ftm_rowset_bool(rows, 0, 1);
}

static void
mark_run(int64 run_id)
{
	const char *params[1] = {run_param(run_id)};

	(void) ftm_state_query("UPDATE @schema@.ftm_run_table"
						   "   SET status = 'rolled back'"
						   " WHERE run_id = $1::bigint AND status <> 'replaced'",
						   1, params);
	(void) ftm_state_query("UPDATE @schema@.ftm_run"
						   "   SET status = 'rolled back',"
						   "       finished_at = clock_timestamp()"
						   " WHERE run_id = $1::bigint",
						   1, params);
	ftm_state_log(run_id, "LOG", NULL, "run rolled back");
}
