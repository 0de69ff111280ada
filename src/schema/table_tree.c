/*-------------------------------------------------------------------------
 *
 * table_tree.c
 *		A table and its partitions: locked as one, and emptied as one.
 *
 * Rows of a partitioned table are written by way of its partitions, too, without
 * a lock on the table itself.  So whoever wants to know whether it is empty, or
 * as it was, locks all of them first.  Children by inheritance are tables of
 * their own, and no members.
 *
 * Emptying swaps files, which logical decoding does not see: what TRUNCATE
 * writes into the log for it is written here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam_xlog.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/relation.h"
#include "base/target.h"
#include "compat.h"
#include "index/indexes.h"
#include "schema/table_tree.h"

static List *find_members(Oid relid, LOCKMODE mode);
static void check_owner(Oid relid);
static void check_member(Oid relid, Oid root);
static char *qualified_name(Oid relid);

List *
ftm_table_tree_lock(Oid relid)
{
	List	   *tree;
	ListCell   *lc;

	/* The right first: the lock alone would disturb others. */
	foreach(lc, ftm_table_tree_members(relid))
		check_owner(lfirst_oid(lc));

	LockRelationOid(relid, AccessExclusiveLock);
	tree = find_members(relid, AccessExclusiveLock);
	foreach(lc, tree)
		check_member(lfirst_oid(lc), relid);
	return tree;
}

List *
ftm_table_tree_members(Oid relid)
{
	return find_members(relid, NoLock);
}

/* The lock is taken on all but the first. */
static List *
find_members(Oid relid, LOCKMODE mode)
{
	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		return find_all_inheritors(relid, mode, NULL);
	return list_make1_oid(relid);
}

static void
check_owner(Oid relid)
{
	char	   *name = get_rel_name(relid);

	/* One that is gone by now is somebody else's error. */
	if (name != NULL && !ftm_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)), name);
}

/*
 * What must hold for a member before it is emptied or filled.
 */
static void
check_member(Oid relid, Oid root)
{
	Relation	rel = relation_open(relid, NoLock);
	char		relkind = rel->rd_rel->relkind;

	check_owner(relid);
	if (relkind == RELKIND_FOREIGN_TABLE && relid != root)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("partition %s of table %s is a foreign table",
						qualified_name(relid), qualified_name(root)),
				 errdetail("Its rows are elsewhere, and cannot be replaced or taken back."),
				 errhint("Detach the partition.")));
	if (IsSystemRelation(rel) || RelationIsMapped(rel) ||
		(relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot load rows into %s", qualified_name(relid)),
				 errdetail("It is not an ordinary table.")));
	CheckTableNotInUse(rel, "load");
	relation_close(rel, NoLock);
}

static char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

void
ftm_table_tree_new_storage(Relation rel)
{
	Oid			toastrelid = rel->rd_rel->reltoastrelid;

	ftm_relation_set_new_storage(rel, rel->rd_rel->relpersistence);
	if (OidIsValid(toastrelid))
	{
		Relation	toast = relation_open(toastrelid, AccessExclusiveLock);

		ftm_relation_set_new_storage(toast, toast->rd_rel->relpersistence);
		table_close(toast, NoLock);
		ftm_indexes_rebuild(toastrelid, NULL, NIL);
	}
	pgstat_count_truncate(rel);
}

void
ftm_table_tree_empty(const List *tree)
{
	FormerRole	former;
	ListCell   *lc;

	/* Building even an empty index looks at its expressions. */
	former = ftm_become(ftm_relation_role(list_make1_oid(linitial_oid(tree))),
						SECURITY_RESTRICTED_OPERATION);
	foreach(lc, tree)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind))
		{
			ftm_table_tree_new_storage(rel);
			ftm_indexes_rebuild(RelationGetRelid(rel), NULL, NIL);
		}
		table_close(rel, NoLock);
	}
	ftm_return(&former);
}

/*
 * As ExecuteTruncateGuts() does, partitioned tables included: which of them a
 * subscriber knows is for the publication to say.
 */
void
ftm_table_tree_log_truncation(const List *relids)
{
	Oid		   *logged = palloc(sizeof(Oid) * Max(1, list_length(relids)));
	xl_heap_truncate record = {0};
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (RelationIsLogicallyLogged(rel))
			logged[record.nrelids++] = RelationGetRelid(rel);
		table_close(rel, NoLock);
	}
	if (record.nrelids > 0)
	{
		/* Neither CASCADE nor RESTART IDENTITY. */
		record.dbId = MyDatabaseId;
		record.flags = 0;

		XLogBeginInsert();
		XLogRegisterData((char *) &record, SizeOfHeapTruncate);
		XLogRegisterData((char *) logged, record.nrelids * sizeof(Oid));
		XLogSetRecordFlags(XLOG_INCLUDE_ORIGIN);
		(void) XLogInsert(RM_HEAP_ID, XLOG_HEAP_TRUNCATE);
	}
	pfree(logged);
}
