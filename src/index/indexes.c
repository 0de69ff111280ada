/*-------------------------------------------------------------------------
 *
 * indexes.c
 *		The indexes of a table that is filled anew: off, and built again.
 *
 * The server builds the indexes of a table one after the other.  It can sort
 * each in parallel, but then every participant writes its share to disk and
 * one alone merges them: on two cores that costs more processor time than it
 * saves.  Here each participant builds whole indexes of its own, serially,
 * taking the next one when it is done: by sorting keys that are a few integers
 * (index_build.c), which may have been taken from the rows and sorted in part
 * while they were stored (index_entries.c), or by the access method.
 *
 * What constrains this file:
 *
 * - The table's storage, and that of its indexes, was made by this transaction
 *	 and is visible to nobody else, except the parallel workers of this very
 *	 transaction.  They must not write to catalogs, so the leader makes the
 *	 storage before and marks the index valid afterwards; between the two is
 *	 only the access method's build, which writes nothing but the index.
 * - Only plain b-trees of permanent tables are built like this.  Expressions
 *	 and predicates would have to be safe in workers, exclusion constraints
 *	 need a second pass, unlogged indexes a second fork: all of those are left
 *	 to the server's REINDEX, one by one.
 * - maintenance_work_mem is what all participants may use together, at least
 *	 32 MB each, as in the server's own parallel builds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/nbtree.h"
#include "access/parallel.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/visibilitymap.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "commands/progress.h"
#include "commands/tablecmds.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "optimizer/paths.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/bufmgr.h"
#include "storage/predicate.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "compat.h"
#include "index/index_build.h"
#include "index/index_key.h"
#include "index/indexes.h"

/* Least memory for one participant, in kB: what the server asks for, too. */
#define MIN_BUILD_MEMORY	(32 * 1024)

/* An index whose entries are there is built in a part of the time. */
#define COST_OF_READING		4

/* Keys in the table of contents of shared memory; the latter plus a number. */
#define KEY_SHARED_BUILD	UINT64CONST(0xF7A1000000000000)
#define KEY_SORTED_RUNS		UINT64CONST(0xF7A1000100000000)

/* An index to be built, and what its build counted. */
typedef struct IndexBuild
{
	Oid			indexid;
	bool		sorted_keys;	/* ftm_index_build() can do it */
	IndexSort  *sort;			/* its entries, in the leader, or NULL */
	int			nruns;			/* of that, for other processes */
	int			cost;			/* weight among its table's indexes */
	bool		broken_chains;	/* as ii_BrokenHotChain */
	double		heap_tuples;
	double		index_tuples;
} IndexBuild;

/* What the participants share; in dynamic shared memory. */
typedef struct SharedBuild
{
	Oid			relid;
	int			nbuilds;
	pg_atomic_uint32 next;		/* the next of builds[] that nobody has taken */
	IndexBuild	builds[FLEXIBLE_ARRAY_MEMBER];
} SharedBuild;

PGDLLEXPORT void ftm_indexes_worker_main(dsm_segment *segment, shm_toc *toc);

static List *choose_builds(Relation rel, List *indexes,
						   IndexEntries *entries);
static List *with_sorted_keys(List *builds);
static int	build_cost(Relation index);
static int	compare_cost(const ListCell *a, const ListCell *b);
static int	participants(Relation rel, int nbuilds);
static List *build_together(Relation rel, List *builds, int nparticipants);
static void make_storage(List *builds);
static void run_builds(Relation rel, List *builds, int nparticipants);
static SharedBuild *share_builds(ParallelContext *parallel, Relation rel,
								 List *builds);
static void estimate_entries(ParallelContext *parallel, List *builds);
static void share_entries(ParallelContext *parallel, SharedBuild *shared);
static void build_next(shm_toc *toc);
static void build_index(Relation rel, IndexBuild *build, IndexSort *sort);
static List *finish_builds(Relation rel, List *builds);
static void mark_indexes(Relation rel, List *indexes, bool usable);
static void rebuild_one(Oid indexid, char persistence);

void
ftm_indexes_switch_off(Relation rel)
{
	mark_indexes(rel, RelationGetIndexList(rel), false);
}

void
ftm_indexes_put_off(const List *indexes)
{
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = relation_open(lfirst_oid(lc), AccessExclusiveLock);

		/* What is in it is of rows that are gone. */
		if (RELKIND_HAS_STORAGE(index->rd_rel->relkind))
			ftm_relation_set_new_storage(index, index->rd_rel->relpersistence);
		relation_close(index, NoLock);
		ftm_indexes_mark(lfirst_oid(lc), false);
	}
}

void
ftm_indexes_mark(Oid indexid, bool usable)
{
	Relation	rel = table_open(IndexGetRelation(indexid, false), NoLock);

	mark_indexes(rel, list_make1_oid(indexid), usable);
	table_close(rel, NoLock);
}

void
ftm_indexes_rebuild_one(Oid indexid)
{
	rebuild_one(indexid, get_rel_persistence(indexid));
}

void
ftm_indexes_rebuild(Oid relid, IndexEntries *entries, const List *except)
{
	Relation	rel = table_open(relid, ShareLock);
	List	   *indexes;
	List	   *builds;
	List	   *built = NIL;
	ListCell   *lc;
	int			nparticipants;

	/* The rows are to be seen by the builds. */
	CommandCounterIncrement();

	indexes = list_difference_oid(RelationGetIndexList(rel), except);
	builds = choose_builds(rel, indexes, entries);
	nparticipants = participants(rel, list_length(builds));
	if (nparticipants == 1)
		builds = with_sorted_keys(builds);
	if (builds != NIL)
		built = build_together(rel, builds, nparticipants);
	foreach(lc, list_difference_oid(indexes, built))
	{
		/* A failed REINDEX CONCURRENTLY left it; REINDEX would not have it. */
		if (IsToastRelation(rel) && !get_index_isvalid(lfirst_oid(lc)))
			continue;
		rebuild_one(lfirst_oid(lc), rel->rd_rel->relpersistence);
	}
	table_close(rel, NoLock);
}

/*
 * The indexes that can be built by participants, the most expensive first.
 */
static List *
choose_builds(Relation rel, List *indexes, IndexEntries *entries)
{
	List	   *builds = NIL;
	ListCell   *lc;

	if (!ftm_index_build_fits_table(rel))
		return NIL;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessExclusiveLock);

		if (ftm_index_key_is_plain(index))
		{
			IndexBuild *build = palloc0(sizeof(IndexBuild));

			build->indexid = RelationGetRelid(index);
			build->sorted_keys = ftm_index_build_is_possible(rel, index);
			build->cost = build_cost(index);
			if (entries != NULL)
				build->sort = ftm_index_entries_of(entries, build->indexid);
			if (build->sort == NULL)
				build->cost *= COST_OF_READING;
			builds = lappend(builds, build);
		}
		index_close(index, NoLock);
	}
	list_sort(builds, compare_cost);
	return builds;
}

/*
 * What is left to do for one who is alone: the server sorts one index with
 * several processes, where that is all there is.
 */
static List *
with_sorted_keys(List *builds)
{
	List	   *chosen = NIL;
	ListCell   *lc;

	foreach(lc, builds)
	{
		if (((IndexBuild *) lfirst(lc))->sorted_keys)
			chosen = lappend(chosen, lfirst(lc));
	}
	return chosen;
}

/*
 * Wide keys are sorted more slowly.  A value of any length counts as if it had
 * 32 bytes.
 */
static int
build_cost(Relation index)
{
	TupleDesc	columns = RelationGetDescr(index);
	int			cost = 0;

	for (int i = 0; i < columns->natts; i++)
	{
		int16		length = TupleDescAttr(columns, i)->attlen;

		cost += length > 0 ? length : 32;
	}
	return cost;
}

static int
compare_cost(const ListCell *a, const ListCell *b)
{
	return ((const IndexBuild *) lfirst(b))->cost -
		((const IndexBuild *) lfirst(a))->cost;
}

/*
 * How many processes should build, this one included; 1 if it is not worth
 * while.  The limits are those of the server's parallel builds.
 */
static int
participants(Relation rel, int nbuilds)
{
	if (nbuilds < 2 ||
		RelationGetNumberOfBlocks(rel) < (BlockNumber) min_parallel_table_scan_size)
		return 1;
	return Max(1, Min(Min(nbuilds, max_parallel_maintenance_workers + 1),
					  maintenance_work_mem / MIN_BUILD_MEMORY));
}

/*
 * What reindex_index() does for one index, for several at once: new storage,
 * build, catalogs.  Returns their OIDs.
 */
static List *
build_together(Relation rel, List *builds, int nparticipants)
{
	int			nestlevel = NewGUCNestLevel();
	List	   *built;

	/* Before parallel mode: settings travel to workers when they start. */
	(void) set_config_option("maintenance_work_mem",
							 psprintf("%d", maintenance_work_mem / nparticipants),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	make_storage(builds);
	run_builds(rel, builds, nparticipants);
	built = finish_builds(rel, builds);
	AtEOXact_GUC(false, nestlevel);
	return built;
}

static void
make_storage(List *builds)
{
	ListCell   *lc;

	foreach(lc, builds)
	{
		IndexBuild *build = lfirst(lc);
		Relation	index = index_open(build->indexid, AccessExclusiveLock);

		CheckTableNotInUse(index, "build");
		TransferPredicateLocksToHeapRelation(index);
		ftm_relation_set_new_storage(index, index->rd_rel->relpersistence);
		index_close(index, NoLock);
	}
	CommandCounterIncrement();
}

/*
 * Launch workers and take part.  If none can be had, the leader builds all.
 * An error in a worker is raised here; an error here ends the workers, with
 * the transaction.
 */
static void
run_builds(Relation rel, List *builds, int nparticipants)
{
	ParallelContext *parallel;
	SharedBuild *shared;
	int			i = 0;
	ListCell   *lc;

	if (nparticipants == 1)
	{
		foreach(lc, builds)
		{
			IndexBuild *build = lfirst(lc);

			build_index(rel, build, build->sort);
		}
		return;
	}
	EnterParallelMode();
	parallel = CreateParallelContext("ftmigrate", "ftm_indexes_worker_main",
									 nparticipants - 1);
	shared = share_builds(parallel, rel, builds);
	LaunchParallelWorkers(parallel);
	build_next(parallel->toc);
	WaitForParallelWorkersToFinish(parallel);
	foreach(lc, builds)
		*(IndexBuild *) lfirst(lc) = shared->builds[i++];
	DestroyParallelContext(parallel);
	ExitParallelMode();
}

static SharedBuild *
share_builds(ParallelContext *parallel, Relation rel, List *builds)
{
	Size		size = offsetof(SharedBuild, builds) +
		sizeof(IndexBuild) * list_length(builds);
	SharedBuild *shared;
	ListCell   *lc;

	shm_toc_estimate_chunk(&parallel->estimator, size);
	shm_toc_estimate_keys(&parallel->estimator, 1);
	estimate_entries(parallel, builds);

	/* Without shared memory to be had, this is private, with no workers. */
	InitializeParallelDSM(parallel);
	shared = shm_toc_allocate(parallel->toc, size);
	shared->relid = RelationGetRelid(rel);
	shared->nbuilds = 0;
	pg_atomic_init_u32(&shared->next, 0);
	foreach(lc, builds)
		shared->builds[shared->nbuilds++] = *(IndexBuild *) lfirst(lc);
	shm_toc_insert(parallel->toc, KEY_SHARED_BUILD, shared);
	share_entries(parallel, shared);
	return shared;
}

static void
estimate_entries(ParallelContext *parallel, List *builds)
{
	ListCell   *lc;

	foreach(lc, builds)
	{
		IndexBuild *build = lfirst(lc);

		if (build->sort == NULL)
			continue;
		build->nruns = ftm_index_sort_finish_runs(build->sort);
		shm_toc_estimate_chunk(&parallel->estimator,
							   SORTED_RUNS_SIZE(build->nruns));
		shm_toc_estimate_keys(&parallel->estimator, 1);
	}
}

static void
share_entries(ParallelContext *parallel, SharedBuild *shared)
{
	for (int i = 0; i < shared->nbuilds; i++)
	{
		IndexBuild *build = &shared->builds[i];
		SortedRuns *sorted;

		if (build->sort == NULL)
			continue;
		sorted = shm_toc_allocate(parallel->toc, SORTED_RUNS_SIZE(build->nruns));
		ftm_index_sort_describe(build->sort, sorted);
		shm_toc_insert(parallel->toc, KEY_SORTED_RUNS + i, sorted);
	}
}

/*
 * Entry point of a parallel worker.  It runs as the table's owner, in the
 * leader's transaction and with its settings.
 */
void
ftm_indexes_worker_main(dsm_segment *segment pg_attribute_unused(),
						shm_toc *toc)
{
	build_next(toc);
}

/*
 * Build indexes until there are none left.
 */
static void
build_next(shm_toc *toc)
{
	SharedBuild *shared = shm_toc_lookup(toc, KEY_SHARED_BUILD, false);

	/* The leader's lock is the worker's, too. */
	Relation	rel = table_open(shared->relid, ShareLock);
	uint32		i;

	while ((i = pg_atomic_fetch_add_u32(&shared->next, 1)) < (uint32) shared->nbuilds)
	{
		SortedRuns *sorted = shm_toc_lookup(toc, KEY_SORTED_RUNS + i, true);
		IndexSort  *sort = NULL;

		if (sorted != NULL)
			sort = ftm_index_sort_open(sorted);
		build_index(rel, &shared->builds[i], sort);
		if (sort != NULL)
			ftm_index_sort_end(sort);
	}
	table_close(rel, NoLock);
}

/*
 * The access method's build of one index, shown in
 * pg_stat_progress_create_index.
 */
static void
build_index(Relation rel, IndexBuild *build, IndexSort *sort)
{
	static const int columns[] = {
		PROGRESS_CREATEIDX_COMMAND,
		PROGRESS_CREATEIDX_INDEX_OID,
		PROGRESS_CREATEIDX_ACCESS_METHOD_OID,
		PROGRESS_CREATEIDX_PHASE,
		PROGRESS_CREATEIDX_SUBPHASE
	};
	int64		values[lengthof(columns)] = {
		PROGRESS_CREATEIDX_COMMAND_REINDEX,
		build->indexid,
		BTREE_AM_OID,
		PROGRESS_CREATEIDX_PHASE_BUILD,
		PROGRESS_CREATEIDX_SUBPHASE_INITIALIZE
	};
	Relation	index = index_open(build->indexid, AccessExclusiveLock);
	IndexInfo  *info = BuildIndexInfo(index);
	IndexBuildResult *result;

	pgstat_progress_start_command(PROGRESS_COMMAND_CREATE_INDEX,
								  RelationGetRelid(rel));
	pgstat_progress_update_multi_param(lengthof(columns), columns, values);
	result = build->sorted_keys ? ftm_index_build(rel, index, sort) :
		index->rd_indam->ambuild(rel, index, info);
	pgstat_progress_end_command();

	build->heap_tuples = result->heap_tuples;
	build->index_tuples = result->index_tuples;
	build->broken_chains = info->ii_BrokenHotChain;
	index_close(index, NoLock);
}

/*
 * Write down what the builds found, and mark the indexes valid.
 */
static List *
finish_builds(Relation rel, List *builds)
{
	List	   *indexes = NIL;
	BlockNumber all_visible;
	ListCell   *lc;

	foreach(lc, builds)
	{
		IndexBuild *build = lfirst(lc);
		Relation	index = index_open(build->indexid, NoLock);

		/* Rows that were never updated have no chains. */
		if (build->broken_chains)
			elog(ERROR, "broken HOT chain in table \"%s\"",
				 RelationGetRelationName(rel));
		ftm_update_relation_statistics(index, RelationGetNumberOfBlocks(index),
									   build->index_tuples, 0, false);
		index_close(index, NoLock);
		indexes = lappend_oid(indexes, build->indexid);
	}
	visibilitymap_count(rel, &all_visible, NULL);
	ftm_update_relation_statistics(rel, RelationGetNumberOfBlocks(rel),
								   ((IndexBuild *) linitial(builds))->heap_tuples,
								   all_visible, true);
	mark_indexes(rel, indexes, true);
	return indexes;
}

/*
 * Indexes stay live when they are not usable: REINDEX must find them.
 */
static void
mark_indexes(Relation rel, List *indexes, bool usable)
{
	Relation	pg_index = table_open(IndexRelationId, RowExclusiveLock);
	ListCell   *lc;

	foreach(lc, indexes)
	{
		HeapTuple	tuple = SearchSysCacheCopy1(INDEXRELID,
												ObjectIdGetDatum(lfirst_oid(lc)));
		Form_pg_index form;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for index %u", lfirst_oid(lc));
		form = (Form_pg_index) GETSTRUCT(tuple);
		form->indisready = usable;
		form->indisvalid = usable;
		if (usable)
			form->indcheckxmin = false;
		CatalogTupleUpdate(pg_index, &tuple->t_self, tuple);
		heap_freetuple(tuple);
	}
	table_close(pg_index, RowExclusiveLock);
	CacheInvalidateRelcache(rel);
	CommandCounterIncrement();
}

/*
 * REINDEX of one index, checking constraints: otherwise duplicates would stay
 * unseen, and the index not valid.
 */
static void
rebuild_one(Oid indexid, char persistence)
{
	ReindexParams params = {0};

	params.options = REINDEXOPT_REPORT_PROGRESS;
	ftm_reindex_index(indexid, persistence, &params);
	CommandCounterIncrement();
}
