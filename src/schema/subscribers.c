/*-------------------------------------------------------------------------
 *
 * subscribers.c
 *		Who hears of what a run does to the target.
 *
 * Loads are decoded row by row, and emptying as TRUNCATE (see table_tree.c): so
 * subscribers stay what the target is, but everything that is loaded goes to
 * them as well, and the WAL of a run is kept until they have it.  A slot of the
 * plugin pgoutput is a subscriber's and gets what publications say; others may
 * get everything, whether it is published or not.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "base/target.h"
#include "schema/subscribers.h"

/* Tables named in one message. */
#define MAX_NAMED		10

/* What the plan loads that logical decoding carries. */
typedef struct Carried
{
	StringInfoData names;		/* of the first MAX_NAMED tables */
	int			tables;
	double		rows;
	int64		bytes;
	bool		all_counted;	/* rows are known of all tables */
} Carried;

static char *slot_names(bool *any_plugin);
static void add_up(Carried *carried, const MigrationPlan *plan, bool all);

void
ftm_subscribers_warn(MigrationPlan *plan)
{
	Carried		carried = {.all_counted = true};
	bool		any_plugin;
	char	   *slots = slot_names(&any_plugin);

	add_up(&carried, plan, any_plugin);
	if (carried.tables == 0)
		return;
	if (!XLogLogicalInfoActive())
		ftm_plan_warning(plan, PLAN_TARGET_TABLES,
						 "Tables of the target that are published for logical replication: %d (%s), but wal_level is not logical: no subscriber gets the rows.  Copy them to the subscribers after the migration, when wal_level is logical.",
						 carried.tables, carried.names.data);
	else
		ftm_plan_warning(plan, PLAN_TARGET_TABLES,
						 "Logical replication carries what is loaded into tables of the target: %d (%s), %s%.0f rows, %s; replication slots in this database: %s.  WAL is kept until all of them have got it: see that there is room, and max_slot_wal_keep_size; or create publications and slots after the migration.",
						 carried.tables, carried.names.data,
						 carried.all_counted ? "about " : "at least ",
						 carried.rows,
						 text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty,
																			Int64GetDatum(carried.bytes)))),
						 slots != NULL ? slots : "none");
}

/*
 * Name and plugin of each logical slot in this database, NULL if there is none.
 * any_plugin: there is one that gets more than what is published.
 */
static char *
slot_names(bool *any_plugin)
{
	static const char sql[] =
		"SELECT pg_catalog.string_agg(pg_catalog.format('%I (%s)', s.slot_name, s.plugin),"
		"        ', ' ORDER BY s.slot_name),"
		"       coalesce(pg_catalog.bool_or(s.plugin <> 'pgoutput'), false)"
		"  FROM pg_catalog.pg_replication_slots s"
		" WHERE s.slot_type = 'logical'"
		"   AND s.database = pg_catalog.current_database()";
	RowSet	   *rows = ftm_target_query(sql, 0, NULL);

	*any_plugin = ftm_rowset_bool(rows, 0, 1);
	return ftm_rowset_value(rows, 0, 0);
}

/*
 * Unlogged tables are not decoded.
 */
static void
add_up(Carried *carried, const MigrationPlan *plan, bool all)
{
	ListCell   *lc;

	initStringInfo(&carried->names);
	foreach(lc, plan->tables)
	{
		const PlanTable *table = lfirst(lc);

		if (table->target->persistence != RELPERSISTENCE_PERMANENT ||
			(!all && !table->target->published))
			continue;
		if (carried->tables < MAX_NAMED)
			appendStringInfo(&carried->names, "%s%s",
							 carried->tables > 0 ? ", " : "", table->name);
		else if (carried->tables == MAX_NAMED)
			appendStringInfoString(&carried->names, ", ...");
		carried->tables++;
		carried->rows += Max(0, table->source->rows);
		carried->bytes += table->source->bytes;
		carried->all_counted &= table->source->rows >= 0;
	}
}
