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

#include <ctype.h>

#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "diff_sql.h"
#include "mapback.h"
#include "scope.h"
#include "target.h"

PG_FUNCTION_INFO_V1(ftm_diff);

/* Rows that a bucket is to hold, and bounds of the number of buckets. */
#define BUCKET_ROWS		200
#define MIN_BUCKETS		16
#define MAX_BUCKETS		32768

/* Differing rows whose columns are fetched at once. */
#define BATCH_ROWS		50

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
	int64		size;			/* allocated */
	RowEntry   *entries;
} RowEntries;

/* The columns of one row. */
typedef struct RowValues
{
	uint64	   *hashes;
	char	  **texts;			/* NULL for SQL NULL */
} RowValues;

/* A row that differs; an end that lacks it has NULL. */
typedef struct Difference
{
	const RowEntry *rows[DIFF_SIDES];
	RowValues  *values[DIFF_SIDES];
} Difference;

/* One call. */
typedef struct Diff
{
	const char *table_name;
	DiffSql    *sql;
	SourceConnection *source;
	UserMap    *map;
	ReturnSetInfo *rsinfo;
	int64		rows_left;		/* of max_rows */
	bool		incomplete;		/* more rows differ than max_rows */
	uint32		mask;			/* number of buckets - 1 */
	Bucket	   *buckets[DIFF_SIDES];
	RowEntries	rows[DIFF_SIDES];	/* of the current group of buckets */
	Difference *batch;
	int			batch_count;
	MemoryContext group_context;	/* reset for each group */
	MemoryContext batch_context;	/* reset for each batch */
} Diff;

/* Where a scan's rows go. */
typedef struct SideReceiver
{
	Diff	   *diff;
	DiffSide	side;
} SideReceiver;

static void compare_table(Diff *diff, Oid relid, const char *server_name);
static const PlanTable *find_table(Diff *diff, Oid relid,
								   const char *server_name);
static void warn_about_columns(const PlanTable *table,
							   const TableChecksum *checksum);
static uint32 bucket_mask(const PlanTable *table);
static void read_buckets(Diff *diff);
static int64 bad_bucket_rows(const Diff *diff, uint32 bucket);
static void compare_groups(Diff *diff);
static void compare_group(Diff *diff, const uint32 *buckets, int nbuckets);
static void put_difference(Diff *diff, const RowEntry *source,
						   const RowEntry *target);
static void flush_batch(Diff *diff);

/*
 * ftm_diff(table_name regclass, source name, max_rows bigint)
 *
 * See README for its result.  max_rows: number of differing rows, not of rows
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
	diff.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	context = AllocSetContextCreate(CurrentMemoryContext, "ftmigrate diff",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	nestlevel = ftm_target_pin_settings();
	compare_table(&diff, PG_GETARG_OID(0), NameStr(*PG_GETARG_NAME(1)));
	ftm_target_restore(nestlevel);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
compare_table(Diff *diff, Oid relid, const char *server_name)
{
	SourceServer *server = ftm_options_source_server(server_name);
	const PlanTable *table;
	TableChecksum *checksum;

	diff->source = ftm_source_connect(server, CurrentMemoryContext);
	(void) ftm_source_export_snapshot(diff->source);
	table = find_table(diff, relid, server_name);
	diff->table_name = table->name;
	checksum = ftm_checksum_build(table, ftm_source_version(diff->source));
	warn_about_columns(table, checksum);

	diff->map = ftm_usermap_load(CurrentMemoryContext);
	diff->sql = ftm_diff_sql_build(table, checksum, diff->source);
	diff->mask = bucket_mask(table);
	diff->batch = palloc(sizeof(Difference) * BATCH_ROWS);
	diff->group_context = AllocSetContextCreate(CurrentMemoryContext,
												"ftmigrate diff rows",
												ALLOCSET_DEFAULT_SIZES);
	diff->batch_context = AllocSetContextCreate(CurrentMemoryContext,
												"ftmigrate diff values",
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
 * Receive the rest of a COPY of numbers and places, which need no escapes.
 */
static void
receive_copy(SourceConnection *source, int ncolumns, TargetReceive receive,
			 void *arg)
{
	char	  **values = palloc(sizeof(char *) * ncolumns);
	char	   *line;

	while (ftm_source_copy_read(source, &line, true) >= 0)
	{
		for (int i = 0; i < ncolumns; i++)
		{
			values[i] = line;
			line += strcspn(line, "\t\n");
			if (*line != (i < ncolumns - 1 ? '\t' : '\n'))
				ereport(ERROR,
						(errcode(ERRCODE_PROTOCOL_VIOLATION),
						 errmsg("unexpected row in the answer of the source")));
			*line++ = '\0';
		}
		receive(arg, values);
	}
}

/*
 * Have both ends execute their statements, at the same time.
 */
static void
scan_both(Diff *diff, char *const *statements, int ncolumns,
		  TargetReceive receive)
{
	SideReceiver source = {diff, DIFF_SOURCE};
	SideReceiver target = {diff, DIFF_TARGET};

	ftm_source_copy_begin(diff->source,
						  psprintf("COPY (%s) TO STDOUT",
								   statements[DIFF_SOURCE]),
						  ncolumns, false);
	ftm_target_scan(statements[DIFF_TARGET], receive, &target);
	receive_copy(diff->source, ncolumns, receive, &source);
}

/* bucket, number of rows, checksum */
static void
receive_bucket(void *arg, char **values)
{
	SideReceiver *receiver = arg;
	uint32		number = strtoul(values[0], NULL, 10);
	Bucket	   *bucket;

	if (number > receiver->diff->mask)
		elog(ERROR, "bucket %u is out of range", number);
	bucket = &receiver->diff->buckets[receiver->side][number];
	bucket->rows = strtoll(values[1], NULL, 10);
	bucket->digest = hash_bytes_extended((unsigned char *) values[2],
										 (int) strlen(values[2]), 0);
}

static void
read_buckets(Diff *diff)
{
	char	   *statements[DIFF_SIDES];

	for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
	{
		diff->buckets[side] = palloc0(sizeof(Bucket) * (diff->mask + 1));
		statements[side] = ftm_diff_sql_buckets(diff->sql, side, diff->mask);
	}
	scan_both(diff, statements, 3, receive_bucket);
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
		if (count > 0 && rows + bucket_rows > room)
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

	if (rows->count >= rows->size)
	{
		rows->size *= 2;
		rows->entries = repalloc_huge(rows->entries,
									  sizeof(RowEntry) * rows->size);
	}
	entry = &rows->entries[rows->count++];
	entry->key_hash = (uint64) strtoll(values[0], NULL, 10);
	entry->row_hash = (uint64) strtoll(values[1], NULL, 10);
	entry->place.tableoid = atooid(values[2]);
	if (sscanf(values[3], "(%u,%hu)", &block, &offset) != 2)
		elog(ERROR, "unexpected ctid: %s", values[3]);
	ItemPointerSet(&entry->place.ctid, block, offset);
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
	char	   *statements[DIFF_SIDES];

	for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
	{
		RowEntries *rows = &diff->rows[side];

		rows->count = 0;
		rows->size = 0;
		for (int i = 0; i < nbuckets; i++)
			rows->size += diff->buckets[side][buckets[i]].rows;
		rows->size = Max(rows->size, 1);
		rows->entries = palloc_extended(sizeof(RowEntry) * rows->size,
										MCXT_ALLOC_HUGE);
		statements[side] = ftm_diff_sql_rows(diff->sql, side, diff->mask,
											 buckets, nbuckets);
	}
	scan_both(diff, statements, 4, receive_row);
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
	flush_batch(diff);
	MemoryContextSwitchTo(old);
	MemoryContextReset(diff->group_context);
}

/*
 * One more row that differs; source or target may be NULL.
 */
static void
put_difference(Diff *diff, const RowEntry *source, const RowEntry *target)
{
	Difference *difference;

	if (diff->rows_left == 0)
	{
		diff->incomplete = true;
		return;
	}
	diff->rows_left--;
	difference = &diff->batch[diff->batch_count++];
	difference->rows[DIFF_SOURCE] = source;
	difference->rows[DIFF_TARGET] = target;
	difference->values[DIFF_SOURCE] = NULL;
	difference->values[DIFF_TARGET] = NULL;
	if (diff->batch_count == BATCH_ROWS)
		flush_batch(diff);
}

/*
 * Elements of an array's text; nulls may be NULL if there are none.
 */
static Datum *
array_elements(const char *text, Oid element, int expected, bool **nulls)
{
	int16		length;
	bool		by_value;
	char		alignment;
	Datum		array;
	Datum	   *elements;
	int			count;

	array = OidFunctionCall3(F_ARRAY_IN, CStringGetDatum(text),
							 ObjectIdGetDatum(element), Int32GetDatum(-1));
	get_typlenbyvalalign(element, &length, &by_value, &alignment);
	deconstruct_array(DatumGetArrayTypeP(array), element, length, by_value,
					  alignment, &elements, nulls, &count);
	if (count != expected)
		elog(ERROR, "row has %d columns, expected %d", count, expected);
	return elements;
}

/* tableoid, ctid, hashes, texts: for the difference that waits for them */
static void
receive_values(void *arg, char **values)
{
	SideReceiver *receiver = arg;
	Diff	   *diff = receiver->diff;
	int			ncolumns = diff->sql->ncolumns;
	MemoryContext old = MemoryContextSwitchTo(diff->batch_context);
	RowValues  *row = palloc(sizeof(RowValues));
	Datum	   *elements;
	bool	   *nulls;

	row->hashes = palloc(sizeof(uint64) * Max(1, ncolumns));
	row->texts = palloc0(sizeof(char *) * Max(1, ncolumns));
	elements = array_elements(values[2], INT8OID, ncolumns, NULL);
	for (int i = 0; i < ncolumns; i++)
		row->hashes[i] = (uint64) DatumGetInt64(elements[i]);
	elements = array_elements(values[3], TEXTOID, ncolumns, &nulls);
	for (int i = 0; i < ncolumns; i++)
	{
		if (!nulls[i])
			row->texts[i] = TextDatumGetCString(elements[i]);
	}
	MemoryContextSwitchTo(old);

	for (int i = 0; i < diff->batch_count; i++)
	{
		const RowEntry *entry = diff->batch[i].rows[receiver->side];

		if (entry != NULL &&
			entry->place.tableoid == atooid(values[0]) &&
			strcmp(values[1],
				   psprintf("(%u,%u)",
							ItemPointerGetBlockNumber(&entry->place.ctid),
							ItemPointerGetOffsetNumber(&entry->place.ctid))) == 0)
			diff->batch[i].values[receiver->side] = row;
	}
}

/*
 * The statement for the batch's rows on one end; NULL if it has none of them.
 */
static char *
values_statement(Diff *diff, DiffSide side)
{
	RowPlace	places[BATCH_ROWS];
	int			count = 0;

	for (int i = 0; i < diff->batch_count; i++)
	{
		if (diff->batch[i].rows[side] != NULL)
			places[count++] = diff->batch[i].rows[side]->place;
	}
	return count > 0 ?
		ftm_diff_sql_values(diff->sql, side, places, count) : NULL;
}

/*
 * Fetch the columns of the batch's rows, from both ends at the same time.
 */
static void
read_values(Diff *diff)
{
	SideReceiver receivers[DIFF_SIDES] = {
		{diff, DIFF_SOURCE}, {diff, DIFF_TARGET}
	};
	char	   *source_sql = values_statement(diff, DIFF_SOURCE);
	char	   *target_sql = values_statement(diff, DIFF_TARGET);

	if (source_sql != NULL)
		ftm_source_send_query(diff->source, source_sql, 0, NULL);
	if (target_sql != NULL)
		ftm_target_scan(target_sql, receive_values, &receivers[DIFF_TARGET]);
	if (source_sql != NULL)
	{
		RowSet	   *rows = ftm_source_receive(diff->source);

		for (int i = 0; i < rows->nrows; i++)
			receive_values(&receivers[DIFF_SOURCE],
						   &rows->values[i * rows->ncolumns]);
	}
	for (int i = 0; i < diff->batch_count; i++)
	{
		for (DiffSide side = DIFF_SOURCE; side <= DIFF_TARGET; side++)
		{
			if (diff->batch[i].rows[side] != NULL &&
				diff->batch[i].values[side] == NULL)
				elog(ERROR, "row of table %s was not found again",
					 diff->table_name);
		}
	}
}

/*
 * The text of a column, as the target has it or should have it: in the
 * source's values user ids are replaced.
 */
static char *
shown_text(const Diff *diff, DiffSide side, int column, char *text)
{
	const PlanColumn *plan = diff->sql->columns[column]->column;

	if (text == NULL || side == DIFF_TARGET || plan->mode == REWRITE_KEEP)
		return text;

	/* A whole value is an id, or it is left alone. */
	if (plan->mode == REWRITE_TEXT && strlen(text) != 36)
		return text;
	text = ftm_mapback_expected_text(diff->map, text);

	/* The order of keys depends on the ids among them. */
	if (strcmp(plan->target->type->base_name, "jsonb") == 0 &&
		strcmp(plan->target->type->base_schema, "pg_catalog") == 0)
		text = DatumGetCString(DirectFunctionCall1(jsonb_out,
												   DirectFunctionCall1(jsonb_in,
																	   CStringGetDatum(text))));
	return text;
}

/*
 * Is this text, of a value of this type, JSON as it is?  JSON's numbers are
 * neither NaN nor infinite.
 */
static bool
is_json(const CatalogType *type, const char *text)
{
	static const char *const numbers[] = {
		"int2", "int4", "int8", "numeric", "float4", "float8"
	};

	if (strcmp(type->base_schema, "pg_catalog") != 0)
		return false;
	if (strcmp(type->base_name, "json") == 0 ||
		strcmp(type->base_name, "jsonb") == 0)
		return true;
	for (int i = 0; i < (int) lengthof(numbers); i++)
	{
		if (strcmp(type->base_name, numbers[i]) == 0)
			return isdigit((unsigned char) text[strlen(text) - 1]) != 0;
	}
	return false;
}

/*
 * Append a column's value to a JSON object; what JSON has no form for becomes
 * a string.
 */
static void
append_json_value(StringInfo json, const CatalogType *type, const char *text)
{
	if (text == NULL)
		appendStringInfoString(json, "null");
	else if (strcmp(type->base_name, "bool") == 0 &&
			 strcmp(type->base_schema, "pg_catalog") == 0)
		appendStringInfoString(json, text[0] == 't' ? "true" : "false");
	else if (is_json(type, text))
		appendStringInfoString(json, text);
	else
		escape_json(json, text);
}

/*
 * A row, or only the columns of its key, as a JSON object.
 */
static char *
row_as_json(const Diff *diff, DiffSide side, const RowValues *values,
			bool key_only)
{
	StringInfoData json;

	initStringInfo(&json);
	for (int i = 0; i < diff->sql->ncolumns; i++)
	{
		const PlanColumn *column = diff->sql->columns[i]->column;

		if (key_only && !diff->sql->in_key[i])
			continue;
		appendStringInfoString(&json, json.len > 0 ? ", " : "{");
		escape_json(&json, column->target->name);
		appendStringInfoString(&json, ": ");
		append_json_value(&json,
						  side == DIFF_SOURCE ? column->source->type :
						  column->target->type,
						  shown_text(diff, side, i, values->texts[i]));
	}
	appendStringInfoString(&json, json.len > 0 ? "}" : "{}");
	return json.data;
}

/* key, change, column_name, source_value, target_value */
static void
put_row(Diff *diff, const char *key, const char *change, const char *column,
		const char *source_value, const char *target_value)
{
	const char *texts[5] = {NULL, change, column, source_value, target_value};
	Datum		values[5] = {0};
	bool		nulls[5];

	nulls[0] = key == NULL;
	if (key != NULL)
		values[0] = DirectFunctionCall1(jsonb_in, CStringGetDatum(key));
	for (int i = 1; i < 5; i++)
	{
		nulls[i] = texts[i] == NULL;
		if (!nulls[i])
			values[i] = CStringGetTextDatum(texts[i]);
	}
	tuplestore_putvalues(diff->rsinfo->setResult, diff->rsinfo->setDesc,
						 values, nulls);
}

/*
 * A row that both ends have: one row of the result for each column.
 */
static void
put_changed_columns(Diff *diff, const Difference *difference, const char *key)
{
	const RowValues *source = difference->values[DIFF_SOURCE];
	const RowValues *target = difference->values[DIFF_TARGET];

	for (int i = 0; i < diff->sql->ncolumns; i++)
	{
		if (source->hashes[i] == target->hashes[i] &&
			(source->texts[i] == NULL) == (target->texts[i] == NULL))
			continue;
		put_row(diff, key, "changed",
				diff->sql->columns[i]->column->target->name,
				shown_text(diff, DIFF_SOURCE, i, source->texts[i]),
				target->texts[i]);
	}
}

/*
 * Put the collected differences into the result.
 */
static void
flush_batch(Diff *diff)
{
	MemoryContext old = MemoryContextSwitchTo(diff->batch_context);

	read_values(diff);
	for (int i = 0; i < diff->batch_count; i++)
	{
		const Difference *difference = &diff->batch[i];
		DiffSide	side = difference->rows[DIFF_TARGET] != NULL ?
			DIFF_TARGET : DIFF_SOURCE;
		const RowValues *values = difference->values[side];
		char	   *key = NULL;

		if (diff->sql->has_key)
			key = row_as_json(diff, side, values, true);
		if (difference->rows[DIFF_TARGET] == NULL)
			put_row(diff, key, "missing", NULL,
					row_as_json(diff, side, values, false), NULL);
		else if (difference->rows[DIFF_SOURCE] == NULL)
			put_row(diff, key, "extra", NULL, NULL,
					row_as_json(diff, side, values, false));
		else
			put_changed_columns(diff, difference, key);
	}
	diff->batch_count = 0;
	MemoryContextSwitchTo(old);
	MemoryContextReset(diff->batch_context);
}
