/*-------------------------------------------------------------------------
 *
 * source_activity.c
 *		Has anybody written to the source during the migration?
 *
 * Four things are recorded at the beginning and at the end of a run:
 *
 * - For each table, how many rows were ever inserted, updated and deleted.
 *   The source's sessions report that late, up to some ten seconds when they
 *   are idle, and they count what is rolled back, too.  So a counter that has
 *   moved is a suspicion, which reading the table again confirms or refutes;
 *   and one that has not moved may do so yet, which nothing here can cure: the
 *   next ftm_verify() reads the rows.
 * - For each table, the file it is in.  A TRUNCATE counts nothing, and empties
 *   the table even for the snapshot: the checksums of both ends agree then.
 * - Transactions that hold a lock to write to a table and have a transaction
 *   id: they have written to it, and may commit after the snapshot.
 * - The snapshot's xmin and xmax.  If no transaction that had or got an id has
 *   ended in between, nothing has been written anywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/json.h"

#include "load/task.h"
#include "run/state.h"
#include "verify/checksum.h"
#include "verify/source_activity.h"

/*
 * xmin, xmax, whether writes are counted (a replica does not), the time, open
 * transactions.
 */
#define ACTIVITY_SQL \
	"SELECT pg_catalog.pg_snapshot_xmin(s), pg_catalog.pg_snapshot_xmax(s)," \
	" pg_catalog.current_setting('track_counts')::pg_catalog.bool" \
	"  AND NOT pg_catalog.pg_is_in_recovery()," \
	" pg_catalog.clock_timestamp()," \
	" (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(" \
	"   'pid', l.pid, 'xid', l.transactionid::pg_catalog.text)), '[]')" \
	"  FROM pg_catalog.pg_locks l" \
	"  WHERE l.locktype = 'transactionid' AND l.granted" \
	"  AND l.mode = 'ExclusiveLock')" \
	" FROM pg_catalog.pg_current_snapshot() s"
#define ACTIVITY_SHAPE \
	{"transactions", ONE_ROW, 0, { \
		COUNT_COLUMN, COUNT_COLUMN, BOOL_COLUMN, TEXT_COLUMN, JSON_COLUMN}}

/*
 * OID, name, rows written, file, open transactions that have written, of all
 * tables of some schemas ($1), partitions on their own.
 */
#define ACTIVITY_TABLES_SQL \
	"WITH l AS MATERIALIZED (SELECT * FROM pg_catalog.pg_locks WHERE granted)," \
	" writer AS (" \
	"  SELECT w.relation," \
	"   pg_catalog.count(DISTINCT w.virtualtransaction) AS number" \
	"  FROM l w JOIN l x ON x.virtualtransaction = w.virtualtransaction" \
	"  JOIN pg_catalog.pg_database d ON d.oid = w.database" \
	"   AND d.datname = pg_catalog.current_database()" \
	"  WHERE x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'" \
	"  AND w.locktype = 'relation' AND w.mode IN ('RowExclusiveLock'," \
	"   'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')" \
	"  GROUP BY w.relation)" \
	"SELECT c.oid, pg_catalog.quote_ident(n.nspname) || '.' ||" \
	"  pg_catalog.quote_ident(c.relname)," \
	" coalesce(pg_catalog.pg_stat_get_tuples_inserted(c.oid)" \
	"  + pg_catalog.pg_stat_get_tuples_updated(c.oid)" \
	"  + pg_catalog.pg_stat_get_tuples_deleted(c.oid), 0)," \
	" pg_catalog.pg_relation_filenode(c.oid)," \
	" coalesce(w.number, 0)" \
	" FROM pg_catalog.pg_class c" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" LEFT JOIN writer w ON w.relation = c.oid" \
	" WHERE c.relkind = 'r' AND n.nspname = ANY ($1::pg_catalog.text[])" \
	" ORDER BY c.oid"
#define ACTIVITY_TABLES_SHAPE \
	{"writes to tables", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, INT64_COLUMN, OID_OR_NULL, COUNT_COLUMN}}

enum
{
	ACTIVITY_XMIN,
	ACTIVITY_XMAX,
	ACTIVITY_COUNTED,
	ACTIVITY_TIME,
	ACTIVITY_OPEN
};

enum
{
	TABLE_OID,
	TABLE_NAME,
	TABLE_WRITES,
	TABLE_FILE,
	TABLE_WRITERS
};

struct SourceActivity
{
	RowSet	   *server;			/* one row of ACTIVITY_SQL */
	RowSet	   *tables;			/* of ACTIVITY_TABLES_SQL, by OID */
};

/* The same for one table of the plan, its partitions included. */
typedef struct TableActivity
{
	uint64		writes;			/* digest of all counters */
	uint64		files;			/* digest of all files */
	bool		being_written;	/* by a transaction that is open */
} TableActivity;

/* What was found, each a comma-separated list of tables. */
typedef struct Findings
{
	StringInfoData written;
	StringInfoData rewritten;
	StringInfoData writing;		/* by transactions that are still open */
	StringInfoData perhaps;		/* counters moved, and nothing else is known */
	StringInfoData unchanged;	/* counters moved, rows did not */
} Findings;

SourceActivity *
ftm_freeze_read(SourceConnection *source, List *schemas)
{
	ftm_freeze_send(source, schemas);
	return ftm_freeze_receive(source);
}

void
ftm_freeze_send(SourceConnection *source, List *schemas)
{
	static const AnswerShape shape = ACTIVITY_SHAPE;
	static const AnswerShape tables_shape = ACTIVITY_TABLES_SHAPE;
	const char *params[1] = {ftm_catalog_array_text(schemas)};

	ftm_source_send_query(source, &shape, ACTIVITY_SQL, 0, NULL);
	ftm_source_send_query(source, &tables_shape, ACTIVITY_TABLES_SQL,
						  1, params);
}

SourceActivity *
ftm_freeze_receive(SourceConnection *source)
{
	SourceActivity *activity = palloc(sizeof(SourceActivity));

	activity->server = ftm_source_receive(source);
	activity->tables = ftm_source_receive(source);
	return activity;
}

/* As JSON. */
static char *
activity_json(const SourceActivity *activity)
{
	const RowSet *server = activity->server;
	const RowSet *tables = activity->tables;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfoString(&json, "{\"time\": ");
	escape_json(&json, ftm_rowset_text(server, 0, ACTIVITY_TIME));
	appendStringInfo(&json, ", \"xmin\": \"%s\", \"xmax\": \"%s\","
					 " \"writes_counted\": %s, \"open_transactions\": %s, \"tables\": {",
					 ftm_rowset_text(server, 0, ACTIVITY_XMIN),
					 ftm_rowset_text(server, 0, ACTIVITY_XMAX),
					 ftm_rowset_bool(server, 0, ACTIVITY_COUNTED) ?
					 "true" : "false",
					 ftm_rowset_text(server, 0, ACTIVITY_OPEN));
	for (int i = 0; i < tables->nrows; i++)
	{
		appendStringInfoString(&json, i > 0 ? ", " : "");
		escape_json(&json, ftm_rowset_text(tables, i, TABLE_NAME));
		appendStringInfo(&json, ": {\"writes\": " INT64_FORMAT ", \"file\": " INT64_FORMAT ", \"writers\": " INT64_FORMAT "}",
						 ftm_rowset_int64(tables, i, TABLE_WRITES),
						 ftm_rowset_int64(tables, i, TABLE_FILE),
						 ftm_rowset_int64(tables, i, TABLE_WRITERS));
	}
	appendStringInfoString(&json, "}}");
	return json.data;
}

void
ftm_freeze_record(WorkerPool *pool, const SourceActivity *activity, bool at_end)
{
	StringInfoData payload;

	initStringInfo(&payload);
	pq_sendbyte(&payload, at_end);
	ftm_task_put_string(&payload, activity_json(activity));
	(void) ftm_pool_call(pool, POOL_KEEPER, COMMAND_RECORD_ACTIVITY, &payload);
}

/*
 * The plan's table that a table of the source belongs to as itself or as a
 * partition: its index, -1 if there is none.
 */
static int
index_in_plan(const MigrationPlan *plan, Oid oid)
{
	ListCell   *lc;

	foreach(lc, plan->source->partitions)
	{
		const CatalogTable *partition = lfirst(lc);

		if (partition->oid == oid)
			oid = partition->root;
	}
	foreach(lc, plan->tables)
	{
		if (((PlanTable *) lfirst(lc))->source->oid == oid)
			return foreach_current_index(lc);
	}
	return -1;
}

/*
 * Sum up what is known of each table of the plan.
 */
static TableActivity *
sum_up(const MigrationPlan *plan, const SourceActivity *activity)
{
	const RowSet *rows = activity->tables;
	TableActivity *tables;

	tables = palloc0(sizeof(TableActivity) * Max(1, list_length(plan->tables)));
	for (int i = 0; i < rows->nrows; i++)
	{
		Oid			oid = ftm_rowset_oid(rows, i, TABLE_OID);
		int			index = index_in_plan(plan, oid);

		if (index < 0)
			continue;

		/* By OID, so that both moments combine in the same order. */
		tables[index].writes =
			hash_combine64(hash_combine64(tables[index].writes, oid),
						   ftm_rowset_int64(rows, i, TABLE_WRITES));
		tables[index].files =
			hash_combine64(hash_combine64(tables[index].files, oid),
						   ftm_rowset_int64(rows, i, TABLE_FILE));
		if (ftm_rowset_int64(rows, i, TABLE_WRITERS) > 0)
			tables[index].being_written = true;
	}
	return tables;
}

/*
 * No transaction that had an id before, or has got one since, has ended.
 * (One that has an id and is not below xmax is open and raises xmax when it
 * ends.)
 */
static bool
nothing_ended(const SourceActivity *before, const SourceActivity *after)
{
	const char *xmax = ftm_rowset_text(before->server, 0, ACTIVITY_XMAX);

	return strcmp(ftm_rowset_text(before->server, 0, ACTIVITY_XMIN), xmax) == 0 &&
		strcmp(ftm_rowset_text(after->server, 0, ACTIVITY_XMAX), xmax) == 0;
}

static const VerifyResult *
find_verdict(const List *verdicts, const char *table_name)
{
	ListCell   *lc;

	foreach(lc, verdicts)
	{
		const VerifyResult *verdict = lfirst(lc);

		if (strcmp(verdict->kind, "table") == 0 &&
			strcmp(verdict->object, table_name) == 0)
			return verdict;
	}
	return NULL;
}

/*
 * Read a table again: does it hold what it held in the snapshot?
 */
static bool
is_unchanged(SourceConnection *source, const PlanTable *table,
			 const VerifyResult *verdict)
{
	TableChecksum *checksum = ftm_checksum_build(table);
	RowSet	   *now = ftm_source_query(source, &ftm_checksum_shape,
									   checksum->source_sql, 0, NULL);

	return ftm_rowset_int64(now, 0, 0) == verdict->source_rows &&
		strcmp(ftm_rowset_text(now, 0, 1), verdict->source_checksum) == 0;
}

static void
add_name(StringInfo list, const char *name)
{
	appendStringInfo(list, "%s%s", list->len > 0 ? ", " : "", name);
}

static void
add_finding(StringInfo detail, const char *text, const StringInfo tables)
{
	if (tables->len > 0)
		appendStringInfo(detail, "%s%s: %s", detail->len > 0 ? "; " : "",
						 text, tables->data);
}

char *
ftm_freeze_writes(const MigrationPlan *plan, const SourceActivity *before,
				  const SourceActivity *after, bool *quiet)
{
	TableActivity *tables_before = sum_up(plan, before);
	TableActivity *tables_after = sum_up(plan, after);
	StringInfoData writing;
	StringInfoData written;
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&writing);
	initStringInfo(&written);
	foreach(lc, plan->tables)
	{
		const char *name = ((PlanTable *) lfirst(lc))->name;
		int			i = foreach_current_index(lc);

		if (tables_after[i].being_written)
			add_name(&writing, name);
		else if (tables_before[i].being_written ||
				 tables_before[i].writes != tables_after[i].writes ||
				 tables_before[i].files != tables_after[i].files)
			add_name(&written, name);
	}

	initStringInfo(&text);
	add_finding(&text, "by transactions that are open", &writing);
	add_finding(&text, "within the last second", &written);
	*quiet = nothing_ended(before, after);
	return text.len > 0 ? text.data : NULL;
}

/*
 * What has happened to one table between before and after?
 */
static void
judge_table(Findings *findings, SourceConnection *source,
			const PlanTable *table, const TableActivity *before,
			const TableActivity *after, bool counted,
			const VerifyResult *verdict)
{
	bool		suspect = !counted || before->being_written ||
		before->writes != after->writes;

	if (after->being_written)
		add_name(&findings->writing, table->name);
	else if (before->files != after->files)
		add_name(&findings->rewritten, table->name);
	else if (suspect && verdict == NULL)
		add_name(&findings->perhaps, table->name);
	else if (suspect && !is_unchanged(source, table, verdict))
		add_name(&findings->written, table->name);
	else if (suspect)
		add_name(&findings->unchanged, table->name);
}

static VerifyResult *
make_verdict(const char *source_name)
{
	VerifyResult *verdict = palloc0(sizeof(VerifyResult));

	verdict->kind = "freeze";
	verdict->object = pstrdup(quote_identifier(source_name));
	verdict->source_rows = -1;
	verdict->target_rows = -1;
	return verdict;
}

VerifyResult *
ftm_freeze_verdict(SourceConnection *source, const char *source_name,
				   const MigrationPlan *plan, const SourceActivity *before,
				   const SourceActivity *after, const List *verdicts)
{
	VerifyResult *verdict = make_verdict(source_name);
	TableActivity *tables_before = sum_up(plan, before);
	TableActivity *tables_after = sum_up(plan, after);
	bool		counted = ftm_rowset_bool(after->server, 0, ACTIVITY_COUNTED);
	Findings	findings;
	StringInfoData detail;
	ListCell   *lc;

	initStringInfo(&findings.written);
	initStringInfo(&findings.rewritten);
	initStringInfo(&findings.writing);
	initStringInfo(&findings.perhaps);
	initStringInfo(&findings.unchanged);
	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		int			i = foreach_current_index(lc);

		judge_table(&findings, source, table,
					&tables_before[i], &tables_after[i],
					counted || nothing_ended(before, after),
					find_verdict(verdicts, table->name));
	}

	initStringInfo(&detail);
	add_finding(&detail, "written to since the snapshot", &findings.written);
	add_finding(&detail, "emptied or rewritten since the snapshot",
				&findings.rewritten);
	add_finding(&detail, "written to by transactions that are still open",
				&findings.writing);
	add_finding(&detail, "perhaps written to since the snapshot",
				&findings.perhaps);
	verdict->ok = detail.len == 0;
	if (!verdict->ok)
		appendStringInfoString(&detail, "; migrate again when nobody writes to the source");
	add_finding(&detail, "written to without effect", &findings.unchanged);
	if (detail.len == 0)
		appendStringInfoString(&detail, nothing_ended(before, after) ?
							   "no transaction has written since the snapshot" :
							   "no writes to the tables were counted since the snapshot");
	verdict->detail = detail.data;
	return verdict;
}

VerifyResult *
ftm_freeze_since_run(const char *source_name, const MigrationPlan *plan,
					 const List *verdicts)
{
	VerifyResult *verdict = make_verdict(source_name);
	const char *params[1] = {source_name};
	StringInfoData lost;
	StringInfoData taken_over;
	StringInfoData detail;
	RowSet	   *rows;
	int			compared = 0;

	rows = ftm_state_query("SELECT DISTINCT ON (t.table_name)"
						   "       t.table_name, t.rows, t.source_checksum,"
						   "       t.fingerprint, t.relid"
						   "  FROM @schema@.ftm_run_table t"
						   "  JOIN @schema@.ftm_run r USING (run_id)"
						   " WHERE r.source = $1::name AND r.status = 'verified'"
						   "   AND t.verified"
						   " ORDER BY t.table_name, t.run_id DESC",
						   1, params);
	initStringInfo(&lost);
	initStringInfo(&taken_over);
	for (int i = 0; i < rows->nrows; i++)
	{
		const VerifyResult *now = find_verdict(verdicts,
											   ftm_rowset_value(rows, i, 0));
		const PlanTable *table =
			ftm_plan_table_of_target(plan, atooid(ftm_rowset_value(rows, i, 4)));

		/* Checksums of another plan are not comparable. */
		if (now == NULL || table == NULL ||
			(int64) table->fingerprint != ftm_rowset_int64(rows, i, 3))
			continue;
		compared++;
		if (now->source_rows != ftm_rowset_int64(rows, i, 1) ||
			strcmp(now->source_checksum, ftm_rowset_value(rows, i, 2)) != 0)
			add_name(now->ok ? &taken_over : &lost, now->object);
	}
	if (compared == 0)
		return NULL;

	initStringInfo(&detail);
	add_finding(&detail, "written to since the migration", &lost);
	add_finding(&detail, "written to since the migration, and the target has it",
				&taken_over);
	verdict->ok = lost.len == 0;
	if (detail.len == 0)
		appendStringInfoString(&detail, "not written to since the migration");
	verdict->detail = detail.data;
	return verdict;
}
