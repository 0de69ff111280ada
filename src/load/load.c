/*-------------------------------------------------------------------------
 *
 * load.c
 *		One table load: all rows of one table, in one transaction.
 *
 *		source (libpq) -> rewriter -> row_writer.c -> new storage -> indexes
 *
 * Where row_writer.c cannot, CopyFrom() takes the rows.
 *
 * What constrains this file:
 *
 * - COPY FREEZE, and skipping WAL under wal_level = minimal, need storage that
 *	 was made in this very (sub)transaction of this very process.  So the
 *	 process that swaps the storage copies, and no subtransaction is opened
 *	 around it.
 * - New storage bypasses the check of TRUNCATE that no foreign key refers to
 *	 the table.  So those keys must have been marked not valid before, which is
 *	 checked here under the lock: a key marked valid is always true.
 * - A BEFORE ROW trigger makes CopyFrom() insert row by row, even if it is
 *	 disabled or silenced by session_replication_role.  So the table is shown
 *	 without triggers (pg_class.relhastriggers) while it is filled, and with
 *	 them again before commit.  Enabled ALWAYS and REPLICA triggers are refused
 *	 before: nobody may lose a trigger that would have fired.
 * - An index marked "not ready" is not maintained by inserts.  It stays live,
 *	 so that reindex_relation() finds it, rebuilds it and marks it ready again.
 *	 TOAST indexes are never marked: toasting looks values up in them.
 * - CopyFrom()'s callback has no argument before PostgreSQL 17 or so: the
 *	 stream is a static variable, one load at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_trigger.h"
#include "commands/copy.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

#include "base/relation.h"
#include "base/target.h"
#include "compat.h"
#include "index/indexes.h"
#include "load/catch_up.h"
#include "load/load.h"
#include "load/references.h"
#include "load/row_writer.h"
#include "plan/postponed.h"
#include "plan/user_column.h"
#include "run/rollback.h"
#include "run/state.h"
#include "schema/table_tree.h"

/*
 * The stream between libpq and the table.  Bytes go straight from libpq's
 * message to row_writer.c or to COPY's buffer; only a unit that is cut between
 * messages is put together in "partial".
 */
typedef struct CopyStream
{
	CopyOrigin *origin;
	Rewriter   *rewriter;
	const TableTask *task;
	char	   *ready;			/* rewritten bytes not yet handed over */
	size_t		nready;
	StringInfoData partial;		/* an incomplete unit, not yet rewritten */
	size_t		partial_used;	/* bytes at its start that were handed over */
	bool		ended;
	int64		bytes;
} CopyStream;

static CopyStream *current_stream = NULL;

/* Of the load under way, if ids stay: what to name as an example. */
static pg_uuid_t last_gone_user;

/* Rows straight from the source. */
typedef struct SourceOrigin
{
	CopyOrigin	origin;			/* first */
	const TableTask *task;
	SourceConnection *source;
} SourceOrigin;

static void replace_rows(List *tree, const TableTask *task,
						 CopyOrigin *origin, const UserMap *map,
						 bool replaceable, TableResult *result);
static void load_rows(List *tree, const TableTask *task,
					  CopyOrigin *origin, const UserMap *map,
					  TableResult *result);
static void load_fast(Relation rel, const TableTask *task,
					  CopyOrigin *origin, const UserMap *map,
					  const Postponed *postponed, TableResult *result);
static void stream_rows(Relation rel, const TableTask *task,
						CopyOrigin *origin, const UserMap *map,
						IndexEntries **entries, TableResult *result);
static bool kept_from_earlier_call(const TableTask *task,
								   SourceConnection *source,
								   const UserMap *map, TableResult *result,
								   bool *replaceable);
static void check_tree(const List *tree, const TableTask *task);
static void check_triggers(Relation rel);
static void check_foreign_keys(const List *tree);
static bool holds_rows(const TableTask *task);
static void check_unchanged(const TableTask *task);
static bool show_triggers(Relation rel, bool show);
static void check_row_security(Relation rel, const TableTask *task);
static uint64 write_rows(Relation rel, const TableTask *task,
						 CopyStream *stream, IndexEntries *entries);
static uint64 copy_rows(Relation rel, const TableTask *task);
static void expect_end(CopyStream *stream);
static int	read_stream(void *buffer, int minimum, int maximum);
static bool next_message(CopyStream *stream, bool wait);
static void rewrite_message(CopyStream *stream, char *data, size_t length);
pg_noreturn static void raise_rewrite_error(CopyStream *stream,
											RewriteStatus status);
static void end_stream(CopyStream *stream);
static bool lookup_target(void *arg, const uint8_t source[16],
						  uint8_t target[16]);
static bool is_known_user(void *arg, const uint8_t id[16]);
static bool is_gone_user(void *arg, const uint8_t id[16]);
static void count_undecided(const CopyStream *stream, TableResult *result);
static void count_gone(const CopyStream *stream, TableResult *result);
static void check_undecided(const TableTask *task, const List *undecided);

static void
begin_source(CopyOrigin *origin, Relation rel pg_attribute_unused())
{
	SourceOrigin *rows = (SourceOrigin *) origin;

	ftm_source_copy_begin(rows->source, rows->task->copy_sql,
						  rows->task->ncolumns, rows->task->binary);
}

static int
read_source(CopyOrigin *origin, char **data, bool wait)
{
	return ftm_source_copy_read(((SourceOrigin *) origin)->source, data, wait);
}

void
ftm_load_table(const TableTask *task, SourceConnection *source,
			   CopyOrigin *origin, const UserMap *map, TableResult *result)
{
	SourceOrigin rows = {{begin_source, read_source}, task, source};
	TimestampTz started = GetCurrentTimestamp();
	uint64		digest = ftm_usermap_digest(map);
	bool		replaceable;
	List	   *tree;

	/*
	 * From here on nobody reads or writes the table and its partitions but us,
	 * so that what is looked at below stays as it is.
	 */
	tree = ftm_table_tree_lock(task->relid);
	(void) ftm_relation_lock(task->relid, AccessExclusiveLock, FTM_TABLES,
							 task->table_name);
	check_tree(tree, task);

	memset(result, 0, sizeof(TableResult));
	if (kept_from_earlier_call(task, source, map, result, &replaceable))
		result->kept = true;
	else
		replace_rows(tree, task, origin != NULL ? origin : &rows.origin, map,
					 replaceable, result);

	result->seconds = TimestampDifferenceMilliseconds(started,
													  GetCurrentTimestamp()) / 1000.0;
	ftm_state_table_loaded(task, digest, result);
}

void
ftm_load_rows_as_they_are(Relation rel, const TableTask *task,
						  CopyOrigin *origin, TableResult *result)
{
	stream_rows(rel, task, origin, NULL, NULL, result);
}

/*
 * What the table holds, if anything, by what it should.  replaceable: the rows
 * in it are this run's own.
 */
static void
replace_rows(List *tree, const TableTask *task, CopyOrigin *origin,
			 const UserMap *map, bool replaceable, TableResult *result)
{
	bool		held_rows = holds_rows(task);

	check_foreign_keys(tree);
	if (!replaceable && held_rows && !task->replace)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s already contains rows", task->table_name),
				 errhint("Empty it, or call ftm_run_migration(existing => 'truncate') to have its rows replaced.")));
	if (replaceable && !task->replace)
		check_unchanged(task);
	result->rows_replaced = held_rows && !replaceable;

	if (held_rows)
		ftm_table_tree_log_truncation(tree);
	load_rows(tree, task, origin, map, result);
	ftm_references_check(task, tree);
}

/*
 * Fill the table, but for what is left to the end of the run; as its owner: index expressions, constraints and column
 * defaults are the owner's code, and must not run with the caller's rights, nor
 * set anything for the tables that this process loads next.
 */
static void
load_rows(List *tree, const TableTask *task, CopyOrigin *origin,
		  const UserMap *map, TableResult *result)
{
	Relation	rel = table_open(task->relid, NoLock);
	Postponed  *postponed = ftm_postponed_find(tree, task->unvalidated);
	FormerRole	former;

	ftm_catch_up_record(task->run_id, postponed);
	ftm_postponed_hide_checks(postponed);
	former = ftm_become(ftm_relation_role(list_make1_oid(RelationGetRelid(rel))),
						SECURITY_RESTRICTED_OPERATION);
	if (task->method == LOAD_FAST)
		load_fast(rel, task, origin, map, postponed, result);
	else
	{
		ftm_table_tree_empty(tree);
		ftm_indexes_put_off(postponed->indexes);
		stream_rows(rel, task, origin, map, NULL, result);
	}
	ftm_return(&former);
	ftm_postponed_show_checks(postponed);
	table_close(rel, NoLock);
}

/*
 * Into new storage, indexes last.
 */
static void
load_fast(Relation rel, const TableTask *task, CopyOrigin *origin,
		  const UserMap *map, const Postponed *postponed, TableResult *result)
{
	Oid			relid = RelationGetRelid(rel);
	IndexEntries *entries = NULL;
	bool		had_triggers;

	ftm_table_tree_new_storage(rel);
	ftm_indexes_switch_off(rel);
	ftm_indexes_put_off(postponed->indexes);
	had_triggers = show_triggers(rel, false);
	stream_rows(rel, task, origin, map, &entries, result);
	if (had_triggers)
		(void) show_triggers(rel, true);
	/* COPY's own figures are gone; these are for ftm_progress. */
	pgstat_report_activity(STATE_RUNNING,
						   psprintf("rebuild indexes after " INT64_FORMAT " rows, " INT64_FORMAT " bytes of table %s",
									result->rows, result->bytes,
									task->table_name));
	ftm_indexes_rebuild(relid, entries, postponed->indexes);
	if (entries != NULL)
		ftm_index_entries_end(entries);
}

/*
 * The row's way: source -> rewriter -> table.  Unless entries is NULL, those of
 * the table's indexes are taken on the way, where that is possible.
 */
static void
stream_rows(Relation rel, const TableTask *task, CopyOrigin *origin,
			const UserMap *map, IndexEntries **entries, TableResult *result)
{
	CopyStream	stream = {0};
	RewriteCounts counts;

	stream.origin = origin;
	stream.task = task;
	initStringInfo(&stream.partial);
	stream.rewriter = ftm_rewrite_create(task->ncolumns, task->columns,
										 task->binary, lookup_target,
										 task->ids_stay ? is_gone_user : is_known_user,
										 unconstify(UserMap *, map));
	if (stream.rewriter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	PG_TRY();
	{
		current_stream = &stream;
		check_row_security(rel, task);
		origin->begin(origin, rel);
		if (ftm_rows_possible(rel, task))
		{
			if (entries != NULL)
				*entries = ftm_index_entries_begin(rel);
			result->rows = write_rows(rel, task, &stream,
									  entries != NULL ? *entries : NULL);
		}
		else
			result->rows = copy_rows(rel, task);
		expect_end(&stream);
		ftm_rewrite_counts(stream.rewriter, &counts);
		if (task->ids_stay)
			count_gone(&stream, result);
		else
			count_undecided(&stream, result);
	}
	PG_FINALLY();
	{
		current_stream = NULL;
		ftm_rewrite_free(stream.rewriter);
	}
	PG_END_TRY();
	pfree(stream.partial.data);

	if (counts.rows != (uint64) result->rows)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the source sent " UINT64_FORMAT " rows for table %s, but " INT64_FORMAT " were stored",
						(uint64) counts.rows, task->table_name,
						result->rows)));
	result->bytes = stream.bytes;
	result->ids_mapped = counts.ids_mapped;
	result->ids_kept += counts.ids_kept;
}

/*
 * Did an earlier call of this run load the table, and does it still hold what
 * the source holds under the snapshot of this call?  *replaceable: the rows in
 * it are this run's own, whatever they are worth.
 */
static bool
kept_from_earlier_call(const TableTask *task, SourceConnection *source,
					   const UserMap *map, TableResult *result,
					   bool *replaceable)
{
	VerifyResult *verdict;

	if (!ftm_state_table_is_loaded(task, ftm_usermap_digest(map), result,
								   replaceable))
		return false;

	verdict = ftm_verify_table(source, task->table_name, task->checksum);
	if (verdict->ok)
	{
		result->ids_undecided = ftm_verify_ids_undecided(verdict);
		check_undecided(task, verdict->undecided);
		return true;
	}
	ftm_state_log(task->run_id, "LOG", task->table_name,
				  psprintf("loaded again: %s", verdict->detail));
	memset(result, 0, sizeof(TableResult));
	*replaceable = true;
	return false;
}

/*
 * What must hold for any load.  The plan has said all this before; here it is
 * true, since we have the locks.
 */
static void
check_tree(const List *tree, const TableTask *task)
{
	ListCell   *lc;

	PreventCommandIfReadOnly("ftm_run_migration()");
	foreach(lc, tree)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		check_triggers(rel);
		table_close(rel, NoLock);
	}
	if (list_length(tree) > 1 && task->method == LOAD_FAST)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s was replaced by a partitioned one during the run",
						task->table_name),
				 errhint("Call the function again.")));
}

static void
check_triggers(Relation rel)
{
	if (rel->trigdesc == NULL)
		return;
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgenabled == TRIGGER_FIRES_ALWAYS ||
			trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("trigger \"%s\" of table %s would fire during the load",
							trigger->tgname,
							quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
													   RelationGetRelationName(rel))),
					 errhint("Disable it with ALTER TABLE ... DISABLE TRIGGER for the time of the run.")));
	}
}

/*
 * Every foreign key of and to the table and its partitions must be marked not
 * valid by now.
 */
static void
check_foreign_keys(const List *tree)
{
	static const char sql[] =
		"SELECT c.conname, pg_catalog.quote_ident(n.nspname)"
		"       || '.' || pg_catalog.quote_ident(r.relname)"
		"  FROM pg_catalog.pg_constraint c"
		"  JOIN pg_catalog.pg_class r ON r.oid = c.conrelid"
		"  JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace"
		" WHERE c.contype = 'f' AND c.convalidated"
		"   AND (c.conrelid = ANY ($1::pg_catalog.oid[])"
		"        OR c.confrelid = ANY ($1::pg_catalog.oid[]))";
	const char *params[1] = {ftm_target_oid_array(tree)};
	RowSet	   *rows;

	rows = ftm_target_query(sql, 1, params);
	if (rows->nrows > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign key \"%s\" of table %s was validated or added during the run",
						ftm_rowset_value(rows, 0, 0),
						ftm_rowset_value(rows, 0, 1)),
				 errhint("Call the function again.")));
}

/*
 * Emptiness is decided under the lock: somebody may have written since the
 * plan.
 */
static bool
holds_rows(const TableTask *task)
{
	RowSet	   *rows;

	rows = ftm_target_query_relations(psprintf("SELECT EXISTS (SELECT FROM %s)",
											   ftm_relation_from(task->relid)),
									  list_make1_oid(task->relid),
									  TARGET_CODE_OURS);
	return ftm_rowset_bool(rows, 0, 0);
}

/*
 * A table that this run has loaded, and has to load again, may be in use by
 * now: nobody must lose what was written to it.
 */
static void
check_unchanged(const TableTask *task)
{
	char	   *changes = ftm_rollback_table_changes(task->run_id, task->relid);

	if (changes != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s differs from the source, but has been written to since run " INT64_FORMAT " loaded it",
						task->table_name, task->run_id),
				 errdetail_internal("%s", changes),
				 errhint("SELECT * FROM ftm_diff(%s); shows the rows.  To lose what was written, call ftm_run_migration(existing => 'truncate').",
						 quote_literal_cstr(task->table_name))));
}

/*
 * Show or hide the table's triggers to the relation cache; returns what it was.
 */
static bool
show_triggers(Relation rel, bool show)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID,
											ObjectIdGetDatum(RelationGetRelid(rel)));
	bool		before;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u",
			 RelationGetRelid(rel));
	before = ((Form_pg_class) GETSTRUCT(tuple))->relhastriggers;
	if (before != show)
	{
		((Form_pg_class) GETSTRUCT(tuple))->relhastriggers = show;
		CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
	}
	heap_freetuple(tuple);
	table_close(pg_class, RowExclusiveLock);
	CommandCounterIncrement();
	return before;
}

static void
check_row_security(Relation rel, const TableTask *task)
{
	if (check_enable_rls(RelationGetRelid(rel), rel->rd_rel->relowner, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("row-level security of table %s applies to its owner",
						task->table_name),
				 errhint("Execute ALTER TABLE ... NO FORCE ROW LEVEL SECURITY for the time of the run.")));
}

/*
 * Rows from the stream, each as it arrives.
 */
static uint64
write_rows(Relation rel, const TableTask *task, CopyStream *stream,
		   IndexEntries *entries)
{
	RowWriter  *writer = ftm_rows_begin(rel, task, entries);
	uint64		rows;

	while (!stream->ended)
	{
		if (next_message(stream, true))
			ftm_rows_write(writer, stream->ready, stream->nready);
	}
	rows = ftm_rows_end(writer);
	CommandCounterIncrement();
	return rows;
}

/*
 * COPY from the stream.  Does what DoCopy() does around CopyFrom().
 */
static uint64
copy_rows(Relation rel, const TableTask *task)
{
	ParseState *pstate = make_parsestate(NULL);
	List	   *columns = NIL;
	List	   *options = NIL;
	CopyFromState copy;
	uint64		rows;

	for (int i = 0; i < task->ncolumns; i++)
		columns = lappend(columns, makeString(task->column_names[i]));
	if (task->binary)
		options = lappend(options,
						  makeDefElem("format", (Node *) makeString("binary"), -1));
	if (task->method == LOAD_FAST)
		options = lappend(options,
						  makeDefElem("freeze", (Node *) makeBoolean(true), -1));

	/* The executor wants the very lock of the entry, whatever else we hold. */
	LockRelationOid(RelationGetRelid(rel), RowExclusiveLock);
	(void) addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock,
										 NULL, false, false);
	copy = BeginCopyFrom(pstate, rel, NULL, NULL, false, read_stream,
						 columns, options);
	rows = CopyFrom(copy);
	EndCopyFrom(copy);
	free_parsestate(pstate);
	CommandCounterIncrement();
	return rows;
}

/*
 * In binary format COPY has seen the trailer, not the end of the stream.
 */
static void
expect_end(CopyStream *stream)
{
	while (!stream->ended)
	{
		if (next_message(stream, true))
			ereport(ERROR,
					(errcode(ERRCODE_PROTOCOL_VIOLATION),
					 errmsg("the source sent data after the end of table %s",
							stream->task->table_name)));
	}
}

/*
 * CopyFrom()'s callback: between minimum and maximum bytes, fewer only at the
 * end.  It takes everything that has arrived, as far as it fits, and waits only
 * for the minimum: returning after each row would cost a round through
 * CopyFrom()'s buffer management per row.
 */
static int
read_stream(void *buffer, int minimum, int maximum)
{
	CopyStream *stream = current_stream;
	int			done = 0;

	while (done < maximum)
	{
		size_t		length;

		if (stream->nready == 0 && !next_message(stream, done < minimum))
			break;
		length = Min(stream->nready, (size_t) (maximum - done));
		memcpy((char *) buffer + done, stream->ready, length);
		stream->ready += length;
		stream->nready -= length;
		done += (int) length;
	}
	return done;
}

/*
 * Get the next message and rewrite it; false at the end of the stream, or if
 * none has arrived yet and wait is false.
 */
static bool
next_message(CopyStream *stream, bool wait)
{
	char	   *data;
	int			length;

	CHECK_FOR_INTERRUPTS();
	if (stream->ended)
		return false;
	length = stream->origin->read(stream->origin, &data, wait);
	if (length == 0)
		return false;
	if (length < 0)
	{
		end_stream(stream);
		return false;
	}
	stream->bytes += length;
	rewrite_message(stream, data, length);
	return true;
}

/*
 * Rewrite what is complete.  A message normally is one row, and is rewritten
 * and handed over where libpq has put it; the rest of a unit that goes on in
 * the next message is collected.
 */
static void
rewrite_message(CopyStream *stream, char *data, size_t length)
{
	StringInfo	partial = &stream->partial;
	RewriteStatus status;
	size_t		done;

	/* All that was handed over is gone from the collected bytes. */
	if (stream->partial_used > 0)
	{
		memmove(partial->data, partial->data + stream->partial_used,
				partial->len - stream->partial_used);
		partial->len -= (int) stream->partial_used;
		stream->partial_used = 0;
	}
	if (partial->len > 0)
	{
		appendBinaryStringInfo(partial, data, (int) length);
		data = partial->data;
		length = partial->len;
	}

	status = ftm_rewrite(stream->rewriter, data, length, &done);
	if (status != REWRITE_OK)
		raise_rewrite_error(stream, status);

	stream->ready = data;
	stream->nready = done;
	if (data == partial->data)
		stream->partial_used = done;
	else if (done < length)
		appendBinaryStringInfo(partial, data + done, (int) (length - done));
}

static void
end_stream(CopyStream *stream)
{
	RewriteStatus status;

	status = ftm_rewrite_end(stream->rewriter,
							 stream->partial.len - stream->partial_used);
	if (status != REWRITE_OK)
		raise_rewrite_error(stream, status);
	stream->ended = true;
}

static void
raise_rewrite_error(CopyStream *stream, RewriteStatus status)
{
	const TableTask *task = stream->task;
	const char *message;
	uint64_t	row;
	int			column;
	uint8_t		id[UUID_LEN];

	message = ftm_rewrite_error(stream->rewriter, &row, &column, id);
	if (status == REWRITE_UNMAPPED)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(uuid_out,
															   PointerGetDatum(id)));

		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("user id %s in column \"%s\" of table %s is not in the user map",
						text, task->column_names[column - 1],
						task->table_name),
				 errdetail("It was found in row " UINT64_FORMAT " of the source.",
						   (uint64) row),
				 errhint("Create or match the user, add it to ftm_user_map, or use unmapped => 'keep' to leave such ids as they are.")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg("the source's stream for table %s is broken",
					task->table_name),
			 column > 0 && column <= task->ncolumns ?
			 errdetail("At row " UINT64_FORMAT ", column \"%s\": %s.",
					   (uint64) row, task->column_names[column - 1], message) :
			 row > 0 ?
			 errdetail("At row " UINT64_FORMAT ": %s.", (uint64) row, message) :
			 errdetail_internal("%s.", message)));
}

/*
 * Ids of known users in columns that nobody has decided about, by what the
 * rewriter has counted.  Before the indexes are built, if that is an error.
 */
static void
count_undecided(const CopyStream *stream, TableResult *result)
{
	const TableTask *task = stream->task;
	List	   *undecided = NIL;

	for (int i = 0; i < task->ncolumns; i++)
	{
		UndecidedColumn *column;
		int64		values = ftm_rewrite_values_with_ids(stream->rewriter, i);

		if (values == 0)
			continue;
		column = palloc(sizeof(UndecidedColumn));
		column->name = task->column_names[i];
		column->decision = task->decisions[i];
		column->values = values;
		undecided = lappend(undecided, column);
		result->ids_undecided += values;
	}
	check_undecided(task, undecided);
}

/*
 * User ids stay, and some are of users whom the source does not have any more:
 * the rows are as they were, and whoever migrates should know of them.
 */
static void
count_gone(const CopyStream *stream, TableResult *result)
{
	const TableTask *task = stream->task;
	StringInfoData columns;
	bool		is_error = false;
	char	   *message;

	initStringInfo(&columns);
	for (int i = 0; i < task->ncolumns; i++)
	{
		int64		values = ftm_rewrite_values_with_ids(stream->rewriter, i);

		if (values == 0)
			continue;
		appendStringInfo(&columns, "%s%s (" INT64_FORMAT ")",
						 columns.len > 0 ? ", " : "",
						 quote_identifier(task->column_names[i]), values);
		result->ids_kept += values;
		is_error |= task->columns[i].unmapped_is_error;
	}
	if (columns.len == 0)
		return;
	message = psprintf("table %s refers to users who are gone: %s, the last of them %s",
					   task->table_name, columns.data,
					   DatumGetCString(DirectFunctionCall1(uuid_out,
														   UUIDPGetDatum(&last_gone_user))));
	ereport(is_error ? ERROR : WARNING,
			(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
			 errmsg_internal("%s", message),
			 is_error ?
			 errhint("Mend the rows in the source, or use unmapped => 'keep' to leave such ids as they are.") : 0));
	ftm_state_log(task->run_id, "WARNING", task->table_name, message);
}

/*
 * undecided is a List of UndecidedColumn.
 */
static void
check_undecided(const TableTask *task, const List *undecided)
{
	StringInfoData columns;
	StringInfoData decisions;
	ListCell   *lc;

	if (undecided == NIL || task->keep_undecided)
		return;
	initStringInfo(&columns);
	initStringInfo(&decisions);
	foreach(lc, undecided)
	{
		UndecidedColumn *column = lfirst(lc);
		const char *separator = foreach_current_index(lc) > 0 ? ", " : "";

		appendStringInfo(&columns, "%s%s (" INT64_FORMAT ")", separator,
						 quote_identifier(column->name), column->values);
		appendStringInfo(&decisions, "%s%s", separator, column->decision);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s holds ids of known users in columns that nobody has decided about",
					task->table_name),
			 errdetail("Columns, and how many values with such ids each has: %s.",
					   columns.data),
			 errhint("Execute %s; or with 'ignore' to leave them as they are, and call the function again.  With undecided => 'keep' it goes on without a decision.",
					 ftm_user_column_decision_sql(decisions.data))));
}

/*
 * For the rewriter.
 */
static bool
is_known_user(void *arg, const uint8_t id[16])
{
	return ftm_usermap_knows((const UserMap *) arg, id);
}

static bool
is_gone_user(void *arg, const uint8_t id[16])
{
	if (ftm_usermap_is_user((const UserMap *) arg, id))
		return false;
	memcpy(last_gone_user.data, id, UUID_LEN);
	return true;
}

static bool
lookup_target(void *arg, const uint8_t source[16], uint8_t target[16])
{
	return ftm_usermap_target((const UserMap *) arg, source, target);
}
