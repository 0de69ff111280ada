/*-------------------------------------------------------------------------
 *
 * finish.c
 *		What a load leaves to be done: foreign keys, statistics.
 *
 * A load swaps a table's storage without looking at foreign keys, and
 * VALIDATE CONSTRAINT does not look at a key that is marked valid.  So keys
 * are marked not valid here before the load, and valid again only by the
 * set-wise check that found no orphan.  That check is an SQL statement of our
 * own, since the server's either stops at the first orphan or validates in
 * silence, where a migration wants to know how many there are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "base/relation.h"
#include "base/target.h"
#include "compat.h"
#include "load/finish.h"

/* A pg_constraint row of a foreign key, as far as it is needed here. */
typedef struct ForeignKey
{
	Oid			oid;
	char	   *name;
	Oid			parent;			/* the key it was inherited from, or 0 */
	Oid			relid;
	Oid			ref_relid;
	char		match;
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	ref_columns[INDEX_MAX_KEYS];
	Oid			operators[INDEX_MAX_KEYS];	/* referenced = referencing */
} ForeignKey;

/* One column of a foreign key, as SQL needs it. */
typedef struct KeyColumn
{
	char	   *sql;			/* alias.name, quoted */
	Oid			type;
	Oid			collation;
} KeyColumn;

/*
 * Read one foreign key; error if it is gone.
 */
static ForeignKey *
read_foreign_key(Oid constraint)
{
	ForeignKey *key = palloc0(sizeof(ForeignKey));
	HeapTuple	tuple;
	Form_pg_constraint form;

	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("foreign key with OID %u does not exist", constraint),
				 errhint("The target's schema must not change while a migration runs.")));
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype != CONSTRAINT_FOREIGN)
		elog(ERROR, "constraint %u is not a foreign key", constraint);

	key->oid = constraint;
	key->name = pstrdup(NameStr(form->conname));
	key->parent = form->conparentid;
	key->relid = form->conrelid;
	key->ref_relid = form->confrelid;
	key->match = form->confmatchtype;
	DeconstructFkConstraintRow(tuple, &key->nkeys, key->columns,
							   key->ref_columns, key->operators,
							   NULL, NULL, NULL, NULL);
	ReleaseSysCache(tuple);
	return key;
}

/*
 * Read a foreign key, or the one at the top of those it was inherited from.
 * A child alone cannot be checked: among the keys that a partitioned
 * referenced table makes there is one for each partition, and a row need be
 * found in one of them only.
 */
static ForeignKey *
read_topmost_foreign_key(Oid constraint)
{
	ForeignKey *key = read_foreign_key(constraint);

	while (OidIsValid(key->parent))
		key = read_foreign_key(key->parent);
	return key;
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
ftm_finish_set_validated(Oid constraint, bool validated)
{
	Relation	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	HeapTuple	tuple;
	Form_pg_constraint form;

	tuple = SearchSysCacheCopy1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->convalidated != validated)
	{
		form->convalidated = validated;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
		InvokeObjectPostAlterHook(ConstraintRelationId, constraint, 0);
		CacheInvalidateRelcacheByRelid(form->conrelid);
	}
	heap_freetuple(tuple);
	table_close(catalog, RowExclusiveLock);
}

/*
 * OIDs of the foreign keys that partitions inherited from constraint, directly
 * or through others.
 */
static List *
inherited_foreign_keys(Oid constraint)
{
	List	   *result = NIL;
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_constraint_conparentid,
				BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(constraint));
	scan = systable_beginscan(catalog, ConstraintParentIndexId, true,
							  NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			child = ((Form_pg_constraint) GETSTRUCT(tuple))->oid;

		result = lappend_oid(result, child);
		result = list_concat(result, inherited_foreign_keys(child));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

/*
 * Lock the referencing tables of constraints, each once and always in the same
 * order, as ALTER TABLE ... VALIDATE CONSTRAINT would; check that they are the
 * current user's.
 */
static void
lock_referencing_tables(const List *constraints)
{
	List	   *relids = NIL;
	ListCell   *cell;

	foreach(cell, constraints)
		relids = lappend_oid(relids, read_foreign_key(lfirst_oid(cell))->relid);
	list_sort(relids, list_oid_cmp);
	list_deduplicate_oid(relids);

	foreach(cell, relids)
	{
		/* The right first: the lock alone would disturb others. */
		check_owner(lfirst_oid(cell));
		LockRelationOid(lfirst_oid(cell), ShareUpdateExclusiveLock);
	}
}

void
ftm_finish_invalidate_foreign_keys(const Oid *constraints, int nconstraints)
{
	List	   *list = NIL;
	ListCell   *cell;

	for (int i = 0; i < nconstraints; i++)
		list = list_append_unique_oid(list, constraints[i]);
	lock_referencing_tables(list);

	foreach(cell, list)
	{
		CHECK_FOR_INTERRUPTS();

		/* Once more under the lock: it may have been dropped meanwhile. */
		(void) read_foreign_key(lfirst_oid(cell));
		ftm_finish_set_validated(lfirst_oid(cell), false);
	}
	CommandCounterIncrement();
}

/*
 * OIDs of the foreign keys of and to any of the relations.  pg_constraint has
 * no index for the second half.
 */
static List *
foreign_keys_of(const List *relids)
{
	List	   *result = NIL;
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false,
										  NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype == CONSTRAINT_FOREIGN &&
			(list_member_oid(relids, form->conrelid) ||
			 list_member_oid(relids, form->confrelid)))
			result = lappend_oid(result, form->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

List *
ftm_finish_foreign_keys(Oid relid)
{
	List	   *relids = list_make1_oid(relid);
	List	   *keys = NIL;
	ListCell   *cell;

	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		relids = find_all_inheritors(relid, NoLock, NULL);
	foreach(cell, foreign_keys_of(relids))
		keys = list_append_unique_oid(keys,
									  read_topmost_foreign_key(lfirst_oid(cell))->oid);
	return keys;
}

/*
 * Those, and the keys that partitions inherited from them: they are valid
 * together.
 */
static List *
all_foreign_keys(Oid relid)
{
	List	   *keys = NIL;
	ListCell   *cell;

	foreach(cell, ftm_finish_foreign_keys(relid))
	{
		keys = list_append_unique_oid(keys, lfirst_oid(cell));
		keys = list_concat_unique_oid(keys,
									  inherited_foreign_keys(lfirst_oid(cell)));
	}
	return keys;
}

void
ftm_finish_lock_table_keys(Oid relid)
{
	lock_referencing_tables(all_foreign_keys(relid));
}

void
ftm_finish_invalidate_table_keys(Oid relid)
{
	List	   *keys = all_foreign_keys(relid);
	Oid		   *constraints;
	int			nconstraints = 0;
	ListCell   *cell;

	constraints = palloc(sizeof(Oid) * Max(1, list_length(keys)));
	foreach(cell, keys)
		constraints[nconstraints++] = lfirst_oid(cell);
	ftm_finish_invalidate_foreign_keys(constraints, nconstraints);
}

static KeyColumn
key_column(const char *alias, Oid relid, AttrNumber attnum)
{
	KeyColumn	column;
	int32		typmod;

	column.sql = psprintf("%s.%s", alias,
						  quote_identifier(get_attname(relid, attnum, false)));
	get_atttypetypmodcoll(relid, attnum, &column.type, &typmod,
						  &column.collation);
	return column;
}

/*
 * Append "pk.x OPERATOR(s.=) fk.y", with casts and a collation where the
 * server's own check has them.
 */
static void
append_key_comparison(StringInfo sql, Oid operator,
					  const KeyColumn *referenced,
					  const KeyColumn *referencing)
{
	generate_operator_clause(sql, referenced->sql, referenced->type, operator,
							 referencing->sql, referencing->type);
	if (OidIsValid(referenced->collation) &&
		referenced->collation != referencing->collation)
	{
		HeapTuple	tuple;
		Form_pg_collation collation;

		tuple = SearchSysCache1(COLLOID,
								ObjectIdGetDatum(referenced->collation));
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for collation %u",
				 referenced->collation);
		collation = (Form_pg_collation) GETSTRUCT(tuple);
		appendStringInfo(sql, " COLLATE %s",
						 quote_qualified_identifier(get_namespace_name(collation->collnamespace),
													NameStr(collation->collname)));
		ReleaseSysCache(tuple);
	}
}

/*
 * The statement that counts the orphans of key and shows the least of them.
 *
 * MATCH SIMPLE asks nothing of a row with a NULL in its key; MATCH FULL allows
 * only all of the key to be NULL, so that a row with some is an orphan: it has
 * no counterpart, whatever the other columns are.
 */
static char *
orphan_sql(const ForeignKey *key)
{
	StringInfoData sql;
	StringInfoData join;
	StringInfoData not_null;
	StringInfoData row;
	char	   *any_referenced = NULL;

	initStringInfo(&join);
	initStringInfo(&not_null);
	initStringInfo(&row);
	for (int i = 0; i < key->nkeys; i++)
	{
		KeyColumn	referencing = key_column("fk", key->relid,
											 key->columns[i]);
		KeyColumn	referenced = key_column("pk", key->ref_relid,
											key->ref_columns[i]);

		if (i > 0)
		{
			appendStringInfoString(&join, " AND ");
			appendStringInfoString(&not_null,
								   key->match == FKCONSTR_MATCH_FULL ?
								   " OR " : " AND ");
			appendStringInfoString(&row, ", ");
		}
		append_key_comparison(&join, key->operators[i], &referenced,
							  &referencing);
		appendStringInfo(&not_null, "%s IS NOT NULL", referencing.sql);
		appendStringInfoString(&row, referencing.sql);
		any_referenced = referenced.sql;
	}

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT pg_catalog.count(*),"
					 " pg_catalog.min(ROW(%s)::pg_catalog.text COLLATE pg_catalog.\"C\")"
					 " FROM %s fk LEFT JOIN %s pk ON (%s)"
					 " WHERE %s IS NULL AND (%s)",
					 row.data, ftm_relation_from(key->relid),
					 ftm_relation_from(key->ref_relid), join.data,
					 any_referenced, not_null.data);
	return sql.data;
}

/*
 * Run the count.  Both tables are locked; they are read with the rights of the
 * current user, and row level security is an error.
 *
 * Where the columns' types differ, the comparison has a cast in it, which the
 * owner of a type may have defined.  It does not run with the current user's
 * rights, but as the owner of one of the tables: of the two the one whose
 * rights the other has anyway, else that of the referencing table, whose
 * constraint it is.  (The server's triggers execute the same cast as the owner
 * of the table that they look into, which is either, so that this gives nobody
 * anything new.)
 *
 * The join is a maintenance operation and gets the memory of one, as the
 * server's own check does.
 */
static int64
count_orphans(const ForeignKey *key, char **sample)
{
	int			nestlevel = NewGUCNestLevel();
	RowSet	   *rows;

	(void) set_config_option("work_mem", psprintf("%d", maintenance_work_mem),
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("hash_mem_multiplier", "1",
							 PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	rows = ftm_target_query_relations(orphan_sql(key),
									  list_make2_oid(key->relid,
													 key->ref_relid),
									  TARGET_CODE_CASTS);
	AtEOXact_GUC(false, nestlevel);

	if (sample != NULL)
		*sample = ftm_rowset_value(rows, 0, 1);
	return ftm_rowset_int64(rows, 0, 0);
}

int64
ftm_finish_check_foreign_key(Oid constraint)
{
	ForeignKey *key = read_topmost_foreign_key(constraint);
	List	   *keys;
	ListCell   *cell;
	int64		orphans;

	keys = lcons_oid(key->oid, inherited_foreign_keys(key->oid));
	lock_referencing_tables(keys);
	LockRelationOid(key->ref_relid, RowShareLock);

	orphans = count_orphans(key, NULL);
	if (orphans > 0)
		return orphans;

	foreach(cell, keys)
		ftm_finish_set_validated(lfirst_oid(cell), true);
	CommandCounterIncrement();
	return 0;
}

int64
ftm_finish_count_orphans(Oid constraint, char **sample)
{
	ForeignKey *key = read_topmost_foreign_key(constraint);

	(void) ftm_relation_lock(key->relid, AccessShareLock, FTM_TABLES, NULL);
	(void) ftm_relation_lock(key->ref_relid, AccessShareLock, FTM_TABLES, NULL);
	return count_orphans(key, sample);
}

void
ftm_finish_analyze(Oid relid)
{
	char	   *sql;
	int			result;

	/* The server analyzes a table as its owner, whoever asks for it. */
	check_owner(relid);
	sql = psprintf("ANALYZE %s",
				   ftm_relation_lock(relid, ShareUpdateExclusiveLock,
									 FTM_TABLES, NULL));
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute(sql, false, 0);
	if (result != SPI_OK_UTILITY)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(result));
	SPI_finish();
}
