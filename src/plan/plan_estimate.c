/*-------------------------------------------------------------------------
 *
 * plan_estimate.c
 *		How long will the plan's tables take?
 *
 * A freeze is planned with this figure, so it is measured where it differs
 * most from site to site, the way from the source to here, and is generous
 * for the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <math.h>

#include "portability/instr_time.h"

#include "base/target.h"
#include "plan/plan.h"

/*
 * A sample starts small, for a slow line, and grows until it took long enough
 * to tell: at most SAMPLE_GROWTH * SAMPLE_SECONDS for the last step.
 */
#define SAMPLE_FIRST_BYTES	(64 * 1024)
#define SAMPLE_LAST_BYTES	(4 * 1024 * 1024)
#define SAMPLE_GROWTH		8
#define SAMPLE_SECONDS		0.2
#define SAMPLE_TABLES		3

/*
 * What the target takes in and what each index adds to that, as measured with
 * sensor readings of eleven columns on two cores.
 */
#define TARGET_BYTES_PER_SECOND	(40.0 * 1024 * 1024)
#define INDEX_SHARE				0.25
#define SECONDS_PER_TABLE		0.05
#define SAFETY					1.5

typedef struct Sample
{
	double		bytes;			/* of the table's size on disk */
	double		seconds;
} Sample;

static bool sample_table(const PlanTable *table, SourceConnection *source,
						 Sample *sample);
static void sample_rows(const PlanTable *table, SourceConnection *source,
						int64 limit, int64 *rows, int64 *stream_bytes,
						double *seconds);
static int	count_copied_columns(const PlanTable *table);
static int64 count_indexes(const RowSet *indexes, Oid relid);

void
ftm_plan_estimate(MigrationPlan *plan, SourceConnection *source)
{
	Sample		total = {0, 0};
	double		rate = TARGET_BYTES_PER_SECOND;
	int			sampled = 0;
	RowSet	   *indexes;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		Sample		sample;

		if (sampled == SAMPLE_TABLES)
			break;
		if (!table->source->readable || table->source->row_security_active ||
			table->source->bytes == 0 || count_copied_columns(table) == 0)
			continue;
		if (!sample_table(table, source, &sample))
			continue;
		total.bytes += sample.bytes;
		total.seconds += sample.seconds;
		sampled++;
	}
	if (total.seconds > 0)
		rate = Min(rate, total.bytes / total.seconds);

	indexes = ftm_target_query("SELECT indrelid, pg_catalog.count(*)"
							   " FROM pg_catalog.pg_index GROUP BY indrelid",
							   0, NULL);
	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		double		seconds = table->source->bytes / rate;

		seconds *= 1 + INDEX_SHARE * count_indexes(indexes, table->target->oid);
		table->seconds = SAFETY * (seconds + SECONDS_PER_TABLE);
	}
}

/*
 * Read ever larger beginnings of a table, the last of which is the sample.
 * False if the table turns out to be empty.
 */
static bool
sample_table(const PlanTable *table, SourceConnection *source, Sample *sample)
{
	double		width = 100;
	int64		limit;
	int64		rows;
	int64		stream_bytes;

	if (table->source->rows > 0)
		width = Max(1, table->source->bytes / table->source->rows);

	for (double want = SAMPLE_FIRST_BYTES;; want *= SAMPLE_GROWTH)
	{
		limit = (int64) ceil(want / width);
		sample_rows(table, source, limit, &rows, &stream_bytes,
					&sample->seconds);
		sample->bytes = table->source->rows > 0 ? rows * width : stream_bytes;
		if (sample->seconds >= SAMPLE_SECONDS || rows < limit ||
			stream_bytes >= SAMPLE_LAST_BYTES || want >= SAMPLE_LAST_BYTES)
			break;
	}
	return rows > 0;
}

static void
sample_rows(const PlanTable *table, SourceConnection *source, int64 limit,
			int64 *rows, int64 *stream_bytes, double *seconds)
{
	instr_time	start;
	instr_time	duration;
	char	   *sql;
	char	   *data;
	int			length;

	/* The load's own statement, cut short: ") TO STDOUT" closes the query. */
	sql = psprintf("%.*s LIMIT " INT64_FORMAT "%s",
				   (int) table->copy_query_length, table->copy_sql, limit,
				   table->copy_sql + table->copy_query_length);
	*rows = 0;
	*stream_bytes = 0;
	INSTR_TIME_SET_CURRENT(start);
	ftm_source_copy_begin(source, sql, count_copied_columns(table),
						  table->binary);
	while ((length = ftm_source_copy_read(source, &data, true)) >= 0)
	{
		(*rows)++;
		*stream_bytes += length;
	}
	INSTR_TIME_SET_CURRENT(duration);
	INSTR_TIME_SUBTRACT(duration, start);
	*seconds = INSTR_TIME_GET_DOUBLE(duration);

	/* the trailer of a binary stream is a message of its own */
	if (table->binary)
		(*rows)--;
	pfree(sql);
}

static int
count_copied_columns(const PlanTable *table)
{
	int			count = 0;
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		if (!column->generated)
			count++;
	}
	return count;
}

static int64
count_indexes(const RowSet *indexes, Oid relid)
{
	for (int row = 0; row < indexes->nrows; row++)
	{
		if (atooid(ftm_rowset_value(indexes, row, 0)) == relid)
			return ftm_rowset_int64(indexes, row, 1);
	}
	return 0;
}
