/*-------------------------------------------------------------------------
 *
 * postponed.c
 *		CHECK constraints and indexes that a load leaves to the end of the run.
 *
 * Code of the schema may read other tables, which are complete only then.  And
 * rows that the source has taken in before it got a constraint, without ever
 * validating it, are not the target's to refuse.
 *
 * What constrains this file:
 *
 * - Between a table's load and the end of the run anything may be killed.  So a
 *	 constraint is committed as not valid, and an index as neither valid nor
 *	 ready (see indexes.c): what the server knows is true at any time.
 * - An inserting process sees the constraints of a table in its relation cache,
 *	 which may be built anew at any moment.  So they are hidden in the catalogs
 *	 from which it is built, and only from this transaction: others cannot look
 *	 at the table until it has ended.  To the cache a constraint is a CHECK if
 *	 its type says so, and pg_class has their number.
 *
 * catch_up.c does at the end what has been left here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/expression.h"
#include "base/target.h"
#include "compat.h"
#include "plan/postponed.h"
#include "schema/schema_code.h"
#include "schema/table_tree.h"

static const char *quoted(const char *name);
static void add_note(List **notes, const char *what, const List *functions);
static List *find_checks(Oid relid, const List *unvalidated);
static bool is_unvalidated(HeapTuple constraint, const List *unvalidated);
static List *find_indexes(Oid relid);
static void change_check(Oid constraint, bool hide);
static void count_checks(Oid relid, int difference);
static char *check_expression(HeapTuple constraint);

bool
ftm_postponed_exists(Oid relid, const List *unvalidated, List **notes)
{
	List	   *tree = ftm_table_tree_members(relid);
	Postponed  *postponed = ftm_postponed_find(tree, unvalidated);
	int			before = list_length(*notes);
	ListCell   *lc;

	foreach(lc, postponed->checks)
		add_note(notes, psprintf("constraint %s is validated",
								 quoted(get_constraint_name(lfirst_oid(lc)))),
				 ftm_schema_code_of_check(lfirst_oid(lc)));
	foreach(lc, postponed->indexes)
		add_note(notes, psprintf("index %s is built",
								 quoted(get_rel_name(lfirst_oid(lc)))),
				 ftm_schema_code_of_index(lfirst_oid(lc)));
	foreach(lc, tree)
	{
		List	   *functions = ftm_schema_code_of_statistics(lfirst_oid(lc));

		if (functions != NIL)
			add_note(notes, "statistics are computed", functions);
	}
	return list_length(*notes) > before;
}

/* A name, NULL if the object has been dropped meanwhile. */
static const char *
quoted(const char *name)
{
	return name != NULL ? quote_identifier(name) : "that is gone";
}

/* Without functions it is the source that has not validated it. */
static void
add_note(List **notes, const char *what, const List *functions)
{
	*notes = lappend(*notes, functions != NIL ?
					 psprintf("%s at the end: it reaches %s", what,
							  ftm_schema_code_names(functions)) :
					 psprintf("%s at the end, unless rows violate it: not valid on the source",
							  what));
}

Postponed *
ftm_postponed_find(const List *tree, const List *unvalidated)
{
	Postponed  *postponed = palloc0(sizeof(Postponed));
	ListCell   *lc;

	foreach(lc, tree)
	{
		postponed->checks = list_concat(postponed->checks,
										find_checks(lfirst_oid(lc),
													unvalidated));
		postponed->indexes = list_concat(postponed->indexes,
										 find_indexes(lfirst_oid(lc)));
	}
	return postponed;
}

static List *
find_checks(Oid relid, const List *unvalidated)
{
	List	   *checks = NIL;
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype == CONSTRAINT_CHECK &&
			(is_unvalidated(tuple, unvalidated) ||
			 ftm_schema_code_of_check(form->oid) != NIL))
			checks = lappend_oid(checks, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return checks;
}

/* Is it one that the source has, and never validated? */
static bool
is_unvalidated(HeapTuple constraint, const List *unvalidated)
{
	char	   *expression;
	ListCell   *lc;

	if (unvalidated == NIL)
		return false;
	expression = check_expression(constraint);
	foreach(lc, unvalidated)
	{
		if (ftm_expression_equal(lfirst(lc), expression))
			return true;
	}
	return false;
}

/* As the source prints it, too: its settings and the worker's are the same. */
static char *
check_expression(HeapTuple constraint)
{
	bool		isnull;
	Datum		tree = SysCacheGetAttr(CONSTROID, constraint,
									   Anum_pg_constraint_conbin, &isnull);
	Oid			relid = ((Form_pg_constraint) GETSTRUCT(constraint))->conrelid;
	int			nestlevel;
	char	   *expression;

	if (isnull)
		elog(ERROR, "null conbin of a constraint of relation %u", relid);
	nestlevel = ftm_target_pin_settings();
	expression = TextDatumGetCString(DirectFunctionCall2(pg_get_expr, tree,
														 ObjectIdGetDatum(relid)));
	ftm_target_restore(nestlevel);
	return expression;
}

static List *
find_indexes(Oid relid)
{
	List	   *indexes = NIL;
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);

		if (form->indislive && ftm_schema_code_of_index(form->indexrelid) != NIL)
			indexes = lappend_oid(indexes, form->indexrelid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return indexes;
}

void
ftm_postponed_hide_checks(const Postponed *postponed)
{
	ListCell   *lc;

	foreach(lc, postponed->checks)
		change_check(lfirst_oid(lc), true);
}

void
ftm_postponed_show_checks(const Postponed *postponed)
{
	ListCell   *lc;

	foreach(lc, postponed->checks)
		change_check(lfirst_oid(lc), false);
}

/*
 * While it is hidden, a CHECK passes for a trigger's constraint, in which nobody
 * is interested who inserts rows.
 */
static void
change_check(Oid constraint, bool hide)
{
	Relation	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(CONSTROID,
											ObjectIdGetDatum(constraint));
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	form->contype = hide ? CONSTRAINT_TRIGGER : CONSTRAINT_CHECK;
	form->convalidated = false;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	count_checks(form->conrelid, hide ? -1 : 1);
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* Has the relation cache read the constraints again, too. */
static void
count_checks(Oid relid, int difference)
{
	Relation	pg_class = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	((Form_pg_class) GETSTRUCT(tuple))->relchecks += difference;
	CatalogTupleUpdate(pg_class, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(pg_class, RowExclusiveLock);
}
