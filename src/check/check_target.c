/*-------------------------------------------------------------------------
 *
 * check_target.c
 *		Checks of the target alone.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include "catalog/pg_class.h"
#include "catalog/pg_tablespace_d.h"
#include "commands/tablespace.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "postmaster/bgworker_internals.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/extension.h"
#include "base/relation.h"
#include "base/settings.h"
#include "base/target.h"
#include "check/check.h"

/*
 * The load itself needs the size of tables and indexes once; sorting for an
 * index and, unless wal_level is minimal, WAL come on top of it.
 */
#define COMFORTABLE_SPACE	2

/* A file system that will take in tables. */
typedef struct Volume
{
	dev_t		device;
	List	   *tablespaces;	/* OIDs */
	int64		needed;			/* bytes */
	int64		available;
} Volume;

static bool is_empty(const PlanTable *table);
static List *loaded_tables(const Preflight *preflight);
static void warn_of_references(Preflight *preflight, const List *loaded);
static bool has_references(const CatalogForeignKey *key);
static RowSet *source_sizes(Preflight *preflight);
static int64 size_of(const RowSet *sizes, const PlanTable *table);
static List *tablespaces_of_table(const PlanTable *table);
static Volume *find_volume(List **volumes, Oid tablespace);
static void report_volume(Preflight *preflight, const Volume *volume);
static char *pretty_size(int64 bytes);

/*
 * Background workers that connect to no database show up nowhere, and a slot
 * that is free now may be taken in a minute: so this is an estimate.
 */
void
ftm_check_worker_slots(Preflight *preflight)
{
	static const char sql[] =
		"SELECT count(*) FROM pg_catalog.pg_stat_activity"
		" WHERE backend_type NOT IN ('client backend', 'autovacuum launcher',"
		"  'autovacuum worker', 'background writer', 'checkpointer',"
		"  'walwriter', 'walsender', 'walreceiver', 'walsummarizer', 'startup',"
		"  'archiver', 'logger', 'slotsync worker', 'io worker')";
	int			wanted = preflight->workers + 1;
	RowSet	   *rows = ftm_target_query_as_owner(sql, 0, NULL);
	int			used = (int) ftm_rowset_int64(rows, 0, 0);
	int			available = max_worker_processes - used;
	char	   *detail = psprintf("Worker slots that are seen to be taken: %d of %d; a run with %d workers needs %d.",
								  used, max_worker_processes,
								  preflight->workers, wanted);
	char	   *hint = psprintf("Raise max_worker_processes to %d or more, which takes a restart.",
								used + wanted);

	if (available < 2)
		ftm_check_fail(preflight, ERRCODE_INSUFFICIENT_RESOURCES, detail, hint);
	else if (available < wanted)
		ftm_check_warn(preflight, detail, hint);
	else
		ftm_check_pass(preflight, detail);
}

void
ftm_check_replication_role(Preflight *preflight)
{
	const char *user = quote_identifier(GetUserNameFromId(GetUserId(), false));

	if (ftm_target_may_become_replica())
		ftm_check_pass(preflight,
					   psprintf("Role %s may keep triggers and foreign keys from firing.",
								user));
	else
		ftm_check_fail(preflight, ERRCODE_INSUFFICIENT_PRIVILEGE,
					   psprintf("Role %s may not set session_replication_role, which keeps triggers and foreign keys from firing.",
								user),
					   psprintf("Have a superuser execute GRANT SET ON PARAMETER session_replication_role TO %s, or run the migration.",
								user));
}

/*
 * Tables that this source's run has loaded are as they should be; the run
 * itself looks at all of them again under its own lock.
 */
void
ftm_check_empty_tables(Preflight *preflight)
{
	List	   *loaded = loaded_tables(preflight);
	int			total = list_length(preflight->plan->tables);
	int			checked = 0;
	int			filled = 0;
	ListCell   *lc;

	/* the subtransaction takes this back */
	(void) set_config_option("lock_timeout", psprintf("%d", ftm_lock_timeout),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	warn_of_references(preflight, loaded);
	if (preflight->rows_allowed)
		return;
	foreach(lc, preflight->plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		if (list_member_oid(loaded, table->target->oid) ||
			table->method == LOAD_REFUSED ||
			!table->target->readable || table->target->row_security_active)
			continue;
		checked++;
		if (is_empty(table))
			continue;
		filled++;
		ftm_check_fail(preflight, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   psprintf("Table %s already contains rows.", table->name),
					   "Empty it, or call ftm_run_migration(existing => 'truncate') to have its rows replaced.");
	}

	if (checked < total - list_length(loaded))
		ftm_check_fail(preflight, ERRCODE_INSUFFICIENT_PRIVILEGE,
					   psprintf("Tables of the target of which it could not be checked whether they are empty: %d.",
								total - list_length(loaded) - checked),
					   "Do first what the rows of check \"target tables\" say, and see that the caller has SELECT on the tables.");
	else if (filled == 0)
		ftm_check_pass(preflight,
					   psprintf("Tables of the target that are empty: %d; loaded by an earlier call: %d.",
								checked, list_length(loaded)));
}

/*
 * Name the tables outside the plan that have rows which refer to rows of the
 * plan's: replacing these is only possible with others that they find, too (see
 * references.c).  Rows can refer to nothing but rows, so it is not asked whether
 * the plan's table has some.
 */
static void
warn_of_references(Preflight *preflight, const List *loaded)
{
	ListCell   *lc;

	foreach(lc, preflight->plan->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		PlanTable  *table = ftm_plan_table_of_target(preflight->plan,
													 key->ref_root);

		if (table == NULL || key->is_partition_child || !key->valid ||
			list_member_oid(loaded, table->target->oid) ||
			ftm_plan_table_of_target(preflight->plan, key->root) != NULL ||
			!has_references(key))
			continue;
		ftm_check_warn(preflight,
					   psprintf("Rows of table %s, which is not in the plan, refer to rows of table %s by foreign key %s.",
								quote_qualified_identifier(key->schema, key->table),
								table->name, quote_identifier(key->name)),
					   "With existing => 'truncate', a table is not replaced if one of them would not find its row any more; delete them before, or have the source hold the rows that they need.");
	}
}

/*
 * Also true if that cannot be told.  Under the lock, the name is the table's,
 * and whoever has another has replaced it.
 */
static bool
has_references(const CatalogForeignKey *key)
{
	StringInfoData sql;
	const char *params[1] = {psprintf("%u", key->relid)};
	char	   *name;
	ListCell   *lc;

	if (!ftm_rowset_bool(ftm_target_query("SELECT pg_catalog.has_table_privilege($1::pg_catalog.oid, 'SELECT')"
										  " AND NOT pg_catalog.row_security_active($1::pg_catalog.oid)",
										  1, params), 0, 0))
		return true;
	LockRelationOid(key->relid, AccessShareLock);
	name = get_rel_name(key->relid);
	if (name == NULL || strcmp(name, key->table) != 0)
		return true;
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT EXISTS (SELECT FROM %s AS k WHERE true",
					 ftm_relation_from(key->relid));
	foreach(lc, key->columns)
		appendStringInfo(&sql, " AND k.%s IS NOT NULL",
						 quote_identifier(lfirst(lc)));
	appendStringInfoChar(&sql, ')');
	return ftm_rowset_bool(ftm_target_query_relations(sql.data,
													  list_make1_oid(key->relid),
													  TARGET_CODE_OURS),
						   0, 0);
}

static bool
is_empty(const PlanTable *table)
{
	Oid			relid = table->target->oid;
	RowSet	   *rows;

	(void) ftm_relation_lock(relid, AccessShareLock, FTM_TABLES, table->name);
	rows = ftm_target_query_relations(psprintf("SELECT EXISTS (SELECT FROM %s)",
											   ftm_relation_from(relid)),
									  list_make1_oid(relid), TARGET_CODE_OURS);
	return !ftm_rowset_bool(rows, 0, 0);
}

/*
 * OIDs of the plan's tables that a run from this source has loaded, whatever
 * became of the run then.  A run keeps none but its own: it must find that out
 * here, before it has marked any foreign key.
 */
static List *
loaded_tables(const Preflight *preflight)
{
	const char *params[2] = {preflight->scope->source,
	preflight->for_run ? psprintf(INT64_FORMAT, preflight->run_id) : NULL};
	List	   *loaded = NIL;
	RowSet	   *rows;

	rows = ftm_target_query_as_owner(psprintf("SELECT DISTINCT t.relid"
											  " FROM %s.ftm_run_table t"
											  " JOIN %s.ftm_run r USING (run_id)"
											  " WHERE r.source = $1::pg_catalog.name"
											  " AND r.status <> 'rolled back'"
											  " AND t.status = 'loaded'"
											  " AND ($2 IS NULL OR run_id = $2::pg_catalog.int8)",
											  ftm_extension_schema_quoted(),
											  ftm_extension_schema_quoted()),
									 2, params);
	for (int row = 0; row < rows->nrows; row++)
	{
		Oid			relid = ftm_rowset_oid(rows, row, 0);

		if (ftm_plan_table_of_target(preflight->plan, relid) != NULL)
			loaded = lappend_oid(loaded, relid);
	}
	return loaded;
}

/*
 * The source's size is what can be known.  It is an upper bound as far as the
 * source is bloated, so it takes a good margin to call it enough, and a run
 * does not insist on it.
 */
void
ftm_check_disk_space(Preflight *preflight)
{
	List	   *loaded = loaded_tables(preflight);
	RowSet	   *sizes = source_sizes(preflight);
	List	   *volumes = NIL;
	ListCell   *lc;

	foreach(lc, preflight->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		List	   *seen = NIL;
		ListCell   *tablespace;

		if (list_member_oid(loaded, table->target->oid))
			continue;
		foreach(tablespace, tablespaces_of_table(table))
		{
			Volume	   *volume = find_volume(&volumes, lfirst_oid(tablespace));

			/* parts of a table may be in several places: count it in each */
			if (!list_member_ptr(seen, volume))
				volume->needed += size_of(sizes, table);
			seen = lappend(seen, volume);
		}
	}
	foreach(lc, volumes)
		report_volume(preflight, lfirst(lc));
	if (volumes == NIL)
		ftm_check_pass(preflight, "There is no table left to load.");
}

/*
 * Root OID and total size of each table of the source, partitions and indexes
 * included.
 */
static RowSet *
source_sizes(Preflight *preflight)
{
	static const char sql[] =
		"WITH RECURSIVE tree(oid, root) AS ("
		" SELECT u.oid, u.oid FROM pg_catalog.unnest($1::pg_catalog.oid[]) u(oid)"
		" UNION ALL"
		" SELECT i.inhrelid, tree.root FROM tree"
		" JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid"
		" JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
		" WHERE c.relispartition)"
		" SELECT root, pg_catalog.sum(pg_catalog.pg_total_relation_size(oid))::pg_catalog.int8"
		" FROM tree GROUP BY root";
	static const AnswerShape shape = {
		"sizes of tables", ANY_ROWS, 0, {OID_COLUMN, COUNT_OR_NULL}
	};
	List	   *oids = NIL;
	const char *params[1];
	ListCell   *lc;

	foreach(lc, preflight->plan->tables)
		oids = lappend(oids, psprintf("%u", ((PlanTable *) lfirst(lc))->source->oid));
	params[0] = ftm_catalog_array_text(oids);
	return ftm_source_query(preflight->source, &shape, sql, 1, params);
}

static int64
size_of(const RowSet *sizes, const PlanTable *table)
{
	for (int row = 0; row < sizes->nrows; row++)
	{
		if (ftm_rowset_oid(sizes, row, 0) == table->source->oid)
			return ftm_rowset_int64(sizes, row, 1);
	}
	return 0;
}

/* OIDs of the tablespaces in which a table, its parts and indexes are. */
static List *
tablespaces_of_table(const PlanTable *table)
{
	static const char sql[] =
		"WITH RECURSIVE tree(oid) AS ("
		" SELECT $1::pg_catalog.oid"
		" UNION ALL"
		" SELECT i.inhrelid FROM tree"
		" JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid"
		" JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid"
		" WHERE c.relispartition)"
		" SELECT DISTINCT c.reltablespace FROM pg_catalog.pg_class c"
		" WHERE c.relkind IN ('r', 'i') AND c.oid IN (SELECT oid FROM tree"
		"  UNION ALL SELECT x.indexrelid FROM tree"
		"  JOIN pg_catalog.pg_index x ON x.indrelid = tree.oid)";
	const char *params[1] = {psprintf("%u", table->target->oid)};
	RowSet	   *rows = ftm_target_query(sql, 1, params);
	List	   *oids = NIL;

	for (int row = 0; row < rows->nrows; row++)
	{
		Oid			oid = ftm_rowset_oid(rows, row, 0);

		oids = list_append_unique_oid(oids, OidIsValid(oid) ?
									  oid : MyDatabaseTableSpace);
	}
	return oids;
}

/*
 * The file system that holds a tablespace; it is added to volumes when it is
 * not among them yet.  Paths are relative to the data directory, in which
 * server processes live.
 */
static Volume *
find_volume(List **volumes, Oid tablespace)
{
	const char *path = tablespace == DEFAULTTABLESPACE_OID ? "base" :
		psprintf("pg_tblspc/%u", tablespace);
	struct stat status;
	struct statvfs space;
	Volume	   *volume;
	ListCell   *lc;

	if (stat(path, &status) != 0 || statvfs(path, &space) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not get the free space of tablespace \"%s\": %m",
						get_tablespace_name(tablespace))));
	foreach(lc, *volumes)
	{
		volume = lfirst(lc);
		if (volume->device == status.st_dev)
		{
			volume->tablespaces = list_append_unique_oid(volume->tablespaces,
														 tablespace);
			return volume;
		}
	}
	volume = palloc0(sizeof(Volume));
	volume->device = status.st_dev;
	volume->tablespaces = list_make1_oid(tablespace);
	volume->available = (int64) space.f_bavail * (int64) space.f_frsize;
	*volumes = lappend(*volumes, volume);
	return volume;
}

static void
report_volume(Preflight *preflight, const Volume *volume)
{
	StringInfoData names;
	char	   *detail;
	char	   *hint;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, volume->tablespaces)
		appendStringInfo(&names, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(get_tablespace_name(lfirst_oid(lc))));
	detail = psprintf("Tables and indexes take about %s, as on the source; where tablespace %s is, %s are free.",
					  pretty_size(volume->needed), names.data,
					  pretty_size(volume->available));
	hint = psprintf("Make room for %s: sorting for indexes and, unless wal_level is minimal, WAL take as much again.",
					pretty_size(volume->needed * COMFORTABLE_SPACE));
	if (volume->available < volume->needed)
		ftm_check_fail(preflight, ERRCODE_DISK_FULL, detail, hint);
	else if (volume->available < volume->needed * COMFORTABLE_SPACE)
		ftm_check_warn(preflight, detail, hint);
	else
		ftm_check_pass(preflight, detail);
}

static char *
pretty_size(int64 bytes)
{
	return text_to_cstring(DatumGetTextPP(DirectFunctionCall1(pg_size_pretty,
															  Int64GetDatum(bytes))));
}
