/*-------------------------------------------------------------------------
 *
 * diff.c
 *		ftm_diff(): the very rows of a table that differ.
 *
 * Three steps, each of which reads less than the one before:
 *
 * 1. Both ends sort their rows into buckets by the hash of the key and answer
 *    with a count and a checksum per bucket.
 * 2. Of the buckets that differ, both send hashes and places of the rows, and
 *    the two are merged.
 * 3. Of the rows that differ, both send the columns.
 *
 * So what is sent and kept in memory depends on the number of differences,
 * not on the table's size.  If very many buckets differ, they are taken group
 * by group, as many as work_mem has room for, until max_rows differences are
 * found.
 *
 * A table without a key is compared by its rows' values: the row's hash takes
 * the place of the key's, and what one end has more often than the other is
 * missing or extra, as often as that.
 *
 * Rows are told apart by 64-bit hashes.  Should two keys have the same one,
 * their rows may be paired wrongly, but none is passed over in silence: a row
 * is equal only if its own hash is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "common/int.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/relation.h"
#include "base/target.h"
#include "schema/scope.h"
#include "verify/diff_report.h"

PG_FUNCTION_INFO_V1(ftm_diff);

/* Rows that a bucket is to hold, and bounds of the number of buckets. */
#define BUCKET_ROWS		200
#define MIN_BUCKETS		16
#define MAX_BUCKETS		32768

/* Rows of one end for which there is room at first, and at most (1 GB). */
#define FIRST_ENTRIES	INT64CONST(65536)
#define MAX_ENTRIES		((int64) (MaxAllocSize / sizeof(RowEntry)))

/* What one end says about a bucket. */
typedef struct Bucket
{
	int64		rows;
	uint64		digest;			/* of the checksum's text */
} Bucket;

/* What one end says about a row. */
typedef struct RowEntry
{
	uint64		key_hash;
	uint64		row_hash;
	RowPlace	place;
} RowEntry;

typedef struct RowEntries
{
	int64		count;
	int64		announced;		/* what the buckets hold, as was said */
	int64		size;			/* allocated */
	RowEntry   *entries;
} RowEntries;

/* One call. */
typedef struct Diff
{
	const char *table_name;
	DiffSql    *sql;
	SourceConnection *source;
	DiffReport *report;
	int64		rows_left;		/* of max_rows */
	bool		incomplete;		/* more rows differ than max_rows */
	uint32		mask;			/* number of buckets - 1 */
	Bucket	   *buckets[DIFF_SIDES];
	RowEntries	rows[DIFF_SIDES];	/* of the current group of buckets */
	MemoryContext group_context;	/* reset for each group */
} Diff;

/* Where a scan's rows go. */
typedef struct SideReceiver
{
	Diff	   *diff;
	DiffSide	side;
} SideReceiver;

static void compare_table(Diff *diff, Oid relid, const char *server_name,
						  ReturnSetInfo *rsinfo);
static const PlanTable *find_table(Diff *diff, Oid relid,
								   const char *server_name);
static void warn_about_columns(const PlanTable *table,
							   const TableChecksum *checksum);
static uint32 bucket_mask(const PlanTable *table);
static void read_buckets(Diff *diff);
static int64 bad_bucket_rows(const Diff *diff, uint32 bucket);
static void compare_groups(Diff *diff);
static void compare_group(Diff *diff, const uint32 *buckets, int nbuckets);
static void make_room(Diff *diff, DiffSide side);
static void put_difference(Diff *diff, const RowEntry *source,
						   const RowEntry *target);

/*
 * ftm_diff(table_name regclass, source name, max_rows bigint)
 *
 * See docs/functions.md for its result.  max_rows: number of differing rows, not of rows
 * in the result; NULL: all of them.
 */
Datum
ftm_diff(PG_FUNCTION_ARGS)
{
	Diff		diff = {0};
	MemoryContext context;
	MemoryContext old;
	int			nestlevel;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null",
						PG_ARGISNULL(0) ? "table_name" : "source")));
	diff.rows_left = PG_ARGISNULL(2) ? PG_INT64_MAX : PG_GETARG_INT64(2);
	if (diff.rows_left < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_rows must be at least 1")));
	InitMaterializedSRF(fcinfo, 0);

	context = AllocSetContextCreate(CurrentMemoryContext, "ftmigrate diff",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	nestlevel = ftm_target_pin_settings();
	compare_table(&diff, PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)),
				  (ReturnSetInfo *) fcinfo->resultinfo);
	ftm_target_restore(nestlevel);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
compare_table(Diff *diff, Oid relid, const char *server_name,
			  ReturnSetInfo *rsinfo)
{
	SourceServer *server = ftm_options_source_server(server_name);
	const PlanTable *table;
	TableChecksum *checksum;

	diff->source = ftm_source_connect(server, CurrentMemoryContext);
	(void) ftm_source_export_snapshot(diff->source);
	table = find_table(diff, relid, server_name);
	diff->table_name = ftm_relation_lock(relid, AccessShareLock, FTM_TABLES,
										 table->name);
	checksum = ftm_checksum_build(table);
	warn_about_columns(table, checksum);

	diff->sql = ftm_diff_sql_build(table, checksum, diff->source);
	diff->mask = bucket_mask(table);
	diff->report = ftm_diff_report_create(diff->table_name, diff->sql,
										  diff->source, rsinfo);
	diff->group_context = AllocSetContextCreate(CurrentMemoryContext,
												"ftmigrate diff rows",
												ALLOCSET_DEFAULT_SIZES);
	read_buckets(diff);
	compare_groups(diff);
	ftm_source_disconnect(diff->source);

	if (diff->incomplete)
		ereport(NOTICE,
				(errmsg("more rows of table %s differ than are shown",
						diff->table_name),
				 errhint("Call ftm_diff() with a greater max_rows to see them.")));
}

/*
 * The plan of this one table: what is its counterpart, which columns hold user
 * ids.  What would stand in the way of a load is none of our business.
 */
static const PlanTable *
find_table(Diff *diff, Oid relid, const char *server_name)
{
	char		relkind = get_rel_relkind(relid);
	char	   *name = get_rel_name(relid);
	char	   *schema;
	Scope		scope = {0};
	MigrationPlan *plan;
	PlanTable  *table;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	schema = get_namespace_name(get_rel_namespace(relid));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", name)));
	if (IsCatalogRelationOid(relid) ||
		get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a system table or a temporary table", name)));
	if (get_rel_relispartition(relid))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition", name),
				 errhint("Call ftm_diff() with the partitioned table.")));

	scope.source = pstrdup(server_name);
	scope.schemas = list_make1(schema);
	plan = ftm_plan_build(&scope, diff->source, NULL);
	table = ftm_plan_table_of_target(plan, relid);
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s has no counterpart in source \"%s\"",
						quote_qualified_identifier(schema, name), server_name),
				 errhint("ftm_plan() shows the tables that have one.")));
	return table;
}

/*
 * Say what is not compared: nothing is left out in silence.
 */
static void
warn_about_columns(const PlanTable *table, const TableChecksum *checksum)
{
	ListCell   *lc;

	foreach(lc, table->source->columns)
	{
		const CatalogColumn *column = lfirst(lc);
		ListCell   *lc2;
		bool		compared = false;

		foreach(lc2, checksum->columns)
		{
			if (((ComparedColumn *) lfirst(lc2))->column->source == column)
				compared = true;
		}
		if (compared)
			continue;
		if (ftm_catalog_column(table->target, column->name) == NULL)
			ereport(WARNING,
					(errmsg("column \"%s\" of table %s is not compared: the target does not have it",
							column->name, table->name)));
		else
			ereport(NOTICE,
					(errmsg("column \"%s\" of table %s is not compared: it is computed from user ids",
							column->name, table->name)));
	}
}

/*
 * As many buckets as the table's size asks for, a power of two; by the
 * source's estimate, which may be missing or old: nothing but speed hangs on
 * it.
 */
static uint32
bucket_mask(const PlanTable *table)
{
	double		rows = Max(table->source->rows, table->source->bytes / 200.0);
	uint32		buckets = MIN_BUCKETS;

	while (buckets < MAX_BUCKETS && buckets * (double) BUCKET_ROWS < rows)
		buckets *= 2;
	return buckets - 1;
}

/*
 * Have both ends execute their statements, at the same time.  shape: of the
 * rows.
 */
static void
scan_both(Diff *diff, char *const *statements, const AnswerShape *shape,
		  TargetReceive receive)
{
	SideReceiver source = {diff, DIFF_SOURCE};
	SideReceiver target = {diff, DIFF_TARGET};
	char	   *values[MAX_ANSWER_COLUMNS];

	ftm_source_copy_begin(diff->source,
						  psprintf("COPY (%s) TO STDOUT",
								   statements[DIFF_SOURCE]),
						  ftm_answer_columns(shape), false);
	ftm_target_scan(statements[DIFF_TARGET], diff->sql->target, receive,
					&target);
	while (ftm_source_copy_line(diff->source, shape, values))
	{
		CHECK_FOR_INTERRUPTS();
		receive(&source, values);
	}
}

/* bucket, number of rows, checksum */
static void
receive_bucket(void *arg, char **values)
{
	SideReceiver *receiver = arg;
	uint32		number = strtoul(values[0], NULL, 10);
	Bucket	   *bucket;

	Assert(number <= receiver->diff->mask);
	bucket = &receiver->diff->buckets[receiver->side][number];
	bucket->rows = strtoll(values[1], NULL, 10);
	bucket->digest = hash_bytes_extended((unsigned char *) values[2],
										 (int) strlen(values[2]), 0);
}

static void
read_buckets(Diff *diff)
{
	const AnswerShape shape = {
		"groups of rows", ANY_ROWS, 0, {
			INTEGER_COLUMN(0, diff->mask), COUNT_COLUMN, DIGITS_COLUMN
		}
	};
	char	   *statements[DIFF_SIDES];

	for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
	{
		diff->buckets[side] = palloc0(sizeof(Bucket) * (diff->mask + 1));
		statements[side] = ftm_diff_sql_buckets(diff->sql, side, diff->mask);
	}
	scan_both(diff, statements, &shape, receive_bucket);
}

/*
 * The number of rows in a bucket that differs, of the end that has more; 0 if
 * it does not differ.
 */
static int64
bad_bucket_rows(const Diff *diff, uint32 bucket)
{
	const Bucket *source = &diff->buckets[DIFF_SOURCE][bucket];
	const Bucket *target = &diff->buckets[DIFF_TARGET][bucket];

	if (source->rows == target->rows && source->digest == target->digest)
		return 0;
	return Max(source->rows, target->rows);
}

/*
 * Compare the buckets that differ, as many at once as have room in work_mem
 * with the rows of both ends, but at least one.
 */
static void
compare_groups(Diff *diff)
{
	int64		room = work_mem * INT64CONST(1024) / sizeof(RowEntry) / DIFF_SIDES;
	uint32	   *group = palloc(sizeof(uint32) * (diff->mask + 1));
	int			count = 0;
	int64		rows = 0;

	for (uint32 bucket = 0; bucket <= diff->mask && !diff->incomplete; bucket++)
	{
		int64		bucket_rows = bad_bucket_rows(diff, bucket);

		if (bucket_rows == 0)
			continue;
		if (count > 0 && bucket_rows > room - rows)
		{
			compare_group(diff, group, count);
			count = 0;
			rows = 0;
		}
		group[count++] = bucket;
		rows += bucket_rows;
	}
	if (count > 0 && !diff->incomplete)
		compare_group(diff, group, count);
}

/* key's hash, row's hash, tableoid, ctid */
static void
receive_row(void *arg, char **values)
{
	SideReceiver *receiver = arg;
	RowEntries *rows = &receiver->diff->rows[receiver->side];
	RowEntry   *entry;
	BlockNumber block;
	OffsetNumber offset;

	make_room(receiver->diff, receiver->side);
	if (!ftm_form_read_place(values[3], &block, &offset))
		elog(ERROR, "unexpected ctid: %s", values[3]);
	entry = &rows->entries[rows->count++];
	entry->key_hash = (uint64) strtoll(values[0], NULL, 10);
	entry->row_hash = (uint64) strtoll(values[1], NULL, 10);
	entry->place.tableoid = atooid(values[2]);
	ItemPointerSet(&entry->place.ctid, block, offset);
}

/*
 * For one more row.  What an end has said about its numbers of rows is no
 * measure for memory: it grows with what really comes.
 */
static void
make_room(Diff *diff, DiffSide side)
{
	RowEntries *rows = &diff->rows[side];

	if (rows->count == rows->announced && side == DIFF_SOURCE)
		ftm_source_refuse(diff->source, "There are more rows than were counted.");
	if (rows->count == MAX_ENTRIES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many rows of table %s have the same key to be compared",
						diff->table_name),
				 errhint("ftm_verify() tells whether the tables are equal.")));
	if (rows->count < rows->size)
		return;
	rows->size = Min(rows->size * 2, MAX_ENTRIES);
	rows->entries = repalloc_huge(rows->entries,
								  sizeof(RowEntry) * rows->size);
}

static int
compare_entries(const void *a, const void *b)
{
	const RowEntry *left = a;
	const RowEntry *right = b;

	if (left->key_hash != right->key_hash)
		return left->key_hash < right->key_hash ? -1 : 1;
	if (left->row_hash != right->row_hash)
		return left->row_hash < right->row_hash ? -1 : 1;
	return 0;
}

/*
 * Read the rows of some buckets, sorted.
 */
static void
read_rows(Diff *diff, const uint32 *buckets, int nbuckets)
{
	static const AnswerShape shape = {
		"hashes of rows", ANY_ROWS, 0, {
			INT64_COLUMN, INT64_COLUMN, OID_COLUMN, PLACE_COLUMN
		}
	};
	char	   *statements[DIFF_SIDES];

	for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
	{
		RowEntries *rows = &diff->rows[side];

		rows->count = 0;
		rows->announced = 0;
		for (int i = 0; i < nbuckets; i++)
		{
			if (pg_add_s64_overflow(rows->announced,
									diff->buckets[side][buckets[i]].rows,
									&rows->announced))
				rows->announced = PG_INT64_MAX;
		}
		rows->size = Max(1, Min(rows->announced, FIRST_ENTRIES));
		rows->entries = palloc_extended(sizeof(RowEntry) * rows->size,
										MCXT_ALLOC_HUGE);
		statements[side] = ftm_diff_sql_rows(diff->sql, side, diff->mask,
											 buckets, nbuckets);
	}
	scan_both(diff, statements, &shape, receive_row);
	for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
		qsort(diff->rows[side].entries, diff->rows[side].count,
			  sizeof(RowEntry), compare_entries);
}

/*
 * The end of the rows that have the same key as the one at from.
 */
static int64
end_of_key(const RowEntries *rows, int64 from)
{
	int64		end = from + 1;

	while (end < rows->count &&
		   rows->entries[end].key_hash == rows->entries[from].key_hash)
		end++;
	return end;
}

/*
 * The next row in [*at, end) that the other end's rows in [other_at,
 * other_end) do not have as well; NULL if there is none.  Both are sorted by
 * the row's hash; *other_at follows.
 */
static const RowEntry *
next_unmatched(const RowEntries *rows, int64 *at, int64 end,
			   const RowEntries *others, int64 *other_at, int64 other_end)
{
	while (*at < end)
	{
		const RowEntry *row = &rows->entries[(*at)++];

		while (*other_at < other_end &&
			   others->entries[*other_at].row_hash < row->row_hash)
			(*other_at)++;
		if (*other_at >= other_end ||
			others->entries[*other_at].row_hash != row->row_hash)
			return row;
		(*other_at)++;
	}
	return NULL;
}

/*
 * Rows of one key: [source_at, source_end) on the source, [target_at,
 * target_end) on the target; one of the ranges may be empty.  Equal rows are
 * paired off, then what is left.
 */
static void
compare_key(Diff *diff, int64 source_at, int64 source_end,
			int64 target_at, int64 target_end)
{
	const RowEntries *sources = &diff->rows[DIFF_SOURCE];
	const RowEntries *targets = &diff->rows[DIFF_TARGET];
	int64		source_follows = source_at;
	int64		target_follows = target_at;
	const RowEntry *source;
	const RowEntry *target;

	do
	{
		source = next_unmatched(sources, &source_at, source_end,
								targets, &target_follows, target_end);
		target = next_unmatched(targets, &target_at, target_end,
								sources, &source_follows, source_end);
		if (source != NULL || target != NULL)
			put_difference(diff, source, target);
	} while ((source != NULL || target != NULL) && !diff->incomplete);
}

static void
compare_group(Diff *diff, const uint32 *buckets, int nbuckets)
{
	MemoryContext old = MemoryContextSwitchTo(diff->group_context);
	const RowEntries *sources = &diff->rows[DIFF_SOURCE];
	const RowEntries *targets = &diff->rows[DIFF_TARGET];
	int64		i = 0;
	int64		j = 0;

	read_rows(diff, buckets, nbuckets);
	while ((i < sources->count || j < targets->count) && !diff->incomplete)
	{
		int64		i_end = i;
		int64		j_end = j;

		CHECK_FOR_INTERRUPTS();
		if (j >= targets->count ||
			(i < sources->count &&
			 sources->entries[i].key_hash <= targets->entries[j].key_hash))
			i_end = end_of_key(sources, i);
		if (i >= sources->count ||
			(j < targets->count &&
			 targets->entries[j].key_hash <= sources->entries[i].key_hash))
			j_end = end_of_key(targets, j);
		compare_key(diff, i, i_end, j, j_end);
		i = i_end;
		j = j_end;
	}
	ftm_diff_report_flush(diff->report);
	MemoryContextSwitchTo(old);
	MemoryContextReset(diff->group_context);
}

/*
 * One more row that differs; source or target may be NULL.
 */
static void
put_difference(Diff *diff, const RowEntry *source, const RowEntry *target)
{
	if (diff->rows_left == 0)
	{
		diff->incomplete = true;
		return;
	}
	diff->rows_left--;
	ftm_diff_report_add(diff->report,
						source != NULL ? &source->place : NULL,
						target != NULL ? &target->place : NULL);
}
