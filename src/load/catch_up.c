/*-------------------------------------------------------------------------
 *
 * catch_up.c
 *		What loads have postponed, done at the end of the run.
 *
 * The state says what a run has postponed; the catalogs say what of it is still
 * to be done.  So a call that is killed leaves the rest to the next one.
 *
 * Building an index opens the other indexes of the tables that its expressions
 * read, and two processes might wait for each other: so indexes are built one
 * after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/index.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/relation.h"
#include "base/target.h"
#include "compat.h"
#include "index/indexes.h"
#include "load/catch_up.h"
#include "load/finish.h"
#include "load/task.h"
#include "run/state.h"

static void record(int64 run_id, Oid object, bool is_index);
static List *postponed_objects(int64 run_id, bool indexes);
static Oid	table_of_check(Oid constraint);
static char *expression_of_check(Oid constraint);
pg_noreturn static void raise_gone(Oid constraint);
static void check_owner(Oid relid);
static bool partitions_are_valid(Oid indexid);

void
ftm_catch_up_record(int64 run_id, const Postponed *postponed)
{
	ListCell   *lc;

	foreach(lc, postponed->checks)
		record(run_id, lfirst_oid(lc), false);
	foreach(lc, postponed->indexes)
		record(run_id, lfirst_oid(lc), true);
}

/*
 * The first call of a run that postpones it knows what was before.
 */
static void
record(int64 run_id, Oid object, bool is_index)
{
	static const char index_sql[] =
		"INSERT INTO @schema@.ftm_run_postponed"
		" (run_id, table_name, relid, is_index, name, valid)"
		" SELECT $1::bigint,"
		"        quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
		"        c.oid, true, i.relname, x.indisvalid"
		"   FROM pg_index x"
		"   JOIN pg_class i ON i.oid = x.indexrelid"
		"   JOIN pg_class c ON c.oid = x.indrelid"
		"   JOIN pg_namespace n ON n.oid = c.relnamespace"
		"  WHERE x.indexrelid = $2::oid"
		" ON CONFLICT DO NOTHING";
	static const char check_sql[] =
		"INSERT INTO @schema@.ftm_run_postponed"
		" (run_id, table_name, relid, is_index, name, valid)"
		" SELECT $1::bigint,"
		"        quote_ident(n.nspname) || '.' || quote_ident(c.relname),"
		"        c.oid, false, k.conname, k.convalidated"
		"   FROM pg_constraint k"
		"   JOIN pg_class c ON c.oid = k.conrelid"
		"   JOIN pg_namespace n ON n.oid = c.relnamespace"
		"  WHERE k.oid = $2::oid"
		" ON CONFLICT DO NOTHING";
	const char *params[2] = {psprintf(INT64_FORMAT, run_id),
	psprintf("%u", object)};

	(void) ftm_state_query(is_index ? index_sql : check_sql, 2, params);
}

/*
 * Of tables that are still what the run has made of them.
 */
static List *
postponed_objects(int64 run_id, bool indexes)
{
	static const char index_sql[] =
		"SELECT i.oid"
		"  FROM @schema@.ftm_run_postponed p"
		"  JOIN pg_index x ON x.indrelid = p.relid"
		"  JOIN pg_class i ON i.oid = x.indexrelid AND i.relname = p.name"
		" WHERE p.run_id = $1::bigint AND p.is_index"
		"   AND NOT (x.indisvalid AND x.indisready)"
		" ORDER BY i.relkind = 'I', p.table_name, p.name";
	static const char check_sql[] =
		"SELECT k.oid"
		"  FROM @schema@.ftm_run_postponed p"
		"  JOIN pg_constraint k ON k.conrelid = p.relid AND k.conname = p.name"
		"  JOIN pg_class c ON c.oid = k.conrelid"
		" WHERE p.run_id = $1::bigint AND NOT p.is_index AND p.valid"
		"   AND k.contype = 'c' AND NOT k.convalidated"
		" ORDER BY c.relkind = 'p', p.table_name, p.name";
	const char *params[1] = {psprintf(INT64_FORMAT, run_id)};
	RowSet	   *rows = ftm_state_query(indexes ? index_sql : check_sql, 1,
									   params);
	List	   *objects = NIL;

	for (int i = 0; i < rows->nrows; i++)
		objects = lappend_oid(objects, ftm_rowset_oid(rows, i, 0));
	return objects;
}

List *
ftm_catch_up_indexes(int64 run_id)
{
	return postponed_objects(run_id, true);
}

List *
ftm_catch_up_checks(int64 run_id)
{
	return postponed_objects(run_id, false);
}

void
ftm_catch_up_put_checks(int64 run_id, StringInfo answer)
{
	List	   *checks = ftm_catch_up_checks(run_id);
	ListCell   *lc;

	pq_sendint32(answer, list_length(checks));
	foreach(lc, checks)
	{
		Oid			constraint = lfirst_oid(lc);
		Oid			relid = table_of_check(constraint);

		pq_sendint32(answer, constraint);
		pq_sendint32(answer, get_rel_relispartition(relid) ?
					 llast_oid(get_partition_ancestors(relid)) : relid);
		ftm_task_put_string(answer,
							psprintf("constraint \"%s\" of table %s",
									 get_constraint_name(constraint),
									 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
																get_rel_name(relid))));
		ftm_task_put_string(answer, expression_of_check(constraint));
	}
}

static Oid
table_of_check(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));
	Oid			relid;

	if (!HeapTupleIsValid(tuple))
		raise_gone(constraint);
	relid = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid;
	ReleaseSysCache(tuple);
	return relid;
}

static char *
expression_of_check(Oid constraint)
{
	const char *params[1] = {psprintf("%u", constraint)};
	RowSet	   *rows = ftm_target_query("SELECT pg_get_expr(conbin, conrelid)"
										" FROM pg_constraint"
										" WHERE oid = $1::oid AND contype = 'c'",
										1, params);

	if (rows->nrows == 0)
		raise_gone(constraint);
	return ftm_rowset_value(rows, 0, 0);
}

static void
raise_gone(Oid constraint)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("constraint with OID %u does not exist", constraint),
			 errhint("The target's schema must not change while a migration runs.")));
}

static void
check_owner(Oid relid)
{
	if (!ftm_owns_relation(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

void
ftm_catch_up_build_index(Oid indexid)
{
	Oid			relid = IndexGetRelation(indexid, true);
	FormerRole	former;

	if (!OidIsValid(relid))
		return;
	check_owner(relid);
	(void) ftm_relation_lock(relid, ShareLock, FTM_TABLES, NULL);
	if (get_rel_relkind(indexid) == RELKIND_PARTITIONED_INDEX)
	{
		if (partitions_are_valid(indexid))
			ftm_indexes_mark(indexid, true);
		return;
	}
	former = ftm_become(ftm_relation_role(list_make1_oid(relid)),
						SECURITY_RESTRICTED_OPERATION);
	ftm_indexes_rebuild_one(indexid);
	ftm_return(&former);
}

static bool
partitions_are_valid(Oid indexid)
{
	ListCell   *lc;

	foreach(lc, find_inheritance_children(indexid, AccessShareLock))
	{
		if (get_rel_relkind(lfirst_oid(lc)) == RELKIND_PARTITIONED_INDEX ?
			!partitions_are_valid(lfirst_oid(lc)) :
			!get_index_isvalid(lfirst_oid(lc)))
			return false;
	}
	return true;
}

/*
 * As VALIDATE CONSTRAINT looks at the rows of one table; but all that violate it
 * are counted.
 */
int64
ftm_catch_up_validate(Oid constraint)
{
	Oid			relid = table_of_check(constraint);
	char	   *expression;
	RowSet	   *rows;
	int64		violations;

	check_owner(relid);
	(void) ftm_relation_lock(relid, ShareUpdateExclusiveLock, FTM_TABLES, NULL);
	expression = expression_of_check(constraint);
	rows = ftm_target_query_relations(psprintf("SELECT pg_catalog.count(*) FROM %s WHERE (%s) IS FALSE",
											   ftm_relation_from(relid),
											   expression),
									  list_make1_oid(relid),
									  TARGET_CODE_OWNERS);
	violations = ftm_rowset_int64(rows, 0, 0);
	if (violations == 0)
		ftm_finish_set_validated(constraint, true);
	return violations;
}

void
ftm_catch_up_restore(int64 run_id, const List *relids)
{
	ListCell   *lc;

	/* The indexes of those tables have been built already, without any row. */
	foreach(lc, postponed_objects(run_id, true))
	{
		Oid			relid = IndexGetRelation(lfirst_oid(lc), true);

		if (list_member_oid(relids, relid) &&
			get_rel_relkind(lfirst_oid(lc)) == RELKIND_PARTITIONED_INDEX)
			ftm_indexes_mark(lfirst_oid(lc), true);
	}
	foreach(lc, ftm_catch_up_checks(run_id))
	{
		if (list_member_oid(relids, table_of_check(lfirst_oid(lc))))
			ftm_finish_set_validated(lfirst_oid(lc), true);
	}
}
