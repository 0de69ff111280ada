/*-------------------------------------------------------------------------
 *
 * schema_code.c
 *		The code in SQL or a procedural language that the schema runs by itself.
 *
 * CHECK constraints, indexes, generated columns, defaults and domains may call
 * functions that read other tables, whatever their volatility says.  During a
 * migration these tables may not be filled yet.
 *
 * What constrains this file:
 *
 * - pg_depend knows what an expression refers to, but not pinned objects, nor
 *	 what the server looks up by itself while it evaluates: the comparison of
 *	 composite values, a domain within an array.  So trees are walked, and types
 *	 taken apart; pg_depend adds what is in nodes that the walk does not know.
 * - Trees are looked at as they are stored.  The planner inlines functions in
 *	 SQL, and then they are not to be seen any more.
 * - Neither C nor the server's own functions are looked into.  Those of the
 *	 server that execute a query which they are given are known by name.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/partition.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_index.h"
#include "catalog/pg_language.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "schema/schema_code.h"

/* What has been found, and where has been looked. */
typedef struct Search
{
	List	   *functions;		/* OIDs */
	List	   *called;			/* those in trees, of all languages */
	List	   *stored;			/* types whose values are made */
	List	   *compared;		/* types whose values are compared */
} Search;

/* The server's own functions that execute a query, of any table. */
static const Oid querying_functions[] = {
	F_QUERY_TO_XML, F_QUERY_TO_XMLSCHEMA, F_QUERY_TO_XML_AND_XMLSCHEMA,
	F_TABLE_TO_XML, F_TABLE_TO_XML_AND_XMLSCHEMA,
	F_CURSOR_TO_XML,
	F_SCHEMA_TO_XML, F_SCHEMA_TO_XML_AND_XMLSCHEMA,
	F_DATABASE_TO_XML, F_DATABASE_TO_XML_AND_XMLSCHEMA,
	F_TS_REWRITE_TSQUERY_TEXT
};

static void search_check(Search *search, Oid constraint);
static void search_index(Search *search, Oid indexid);
static void search_statistics(Search *search, Oid relid);
static void search_values(Search *search, Oid relid, const List *columns);
static List *objects_of(Oid relid, Oid catalogid, Oid indexid,
						AttrNumber table, AttrNumber object);
static void add_function(Search *search, Oid function);
static bool check_function(Oid function, void *context);
static bool walk(Node *node, void *context);
static void walk_stored(Search *search, HeapTuple tuple, int cache,
					  AttrNumber attribute);
static void add_dependencies(Search *search, Oid classid, Oid objid);
static void add_made_type(Search *search, Oid type);
static void add_compared_type(Search *search, Oid type);
static void add_parts(Search *search, Oid type,
					  void (*add) (Search *search, Oid type));
static void add_domain_checks(Search *search, Oid domain);
static void add_operator_class(Search *search, Oid opclass);
static void add_exclusion(Search *search, Oid constraint);
static void add_partition_key(Search *search, Oid relid);
static void add_default(Search *search, Oid relid, AttrNumber attnum,
						Oid type);
static int	compare_strings(const ListCell *a, const ListCell *b);
static bool is_named(const List *names, const char *name);

List *
ftm_schema_code_of_check(Oid constraint)
{
	Search		search = {0};

	search_check(&search, constraint);
	return search.functions;
}

static void
search_check(Search *search, Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID,
										ObjectIdGetDatum(constraint));

	if (!HeapTupleIsValid(tuple))
		return;
	walk_stored(search, tuple, CONSTROID, Anum_pg_constraint_conbin);
	ReleaseSysCache(tuple);
	add_dependencies(search, ConstraintRelationId, constraint);
}

List *
ftm_schema_code_of_index(Oid indexid)
{
	Search		search = {0};

	search_index(&search, indexid);
	return search.functions;
}

static void
search_index(Search *search, Oid indexid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	int			nkeys;
	Datum		classes;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	nkeys = ((Form_pg_index) GETSTRUCT(tuple))->indnkeyatts;
	classes = SysCacheGetAttr(INDEXRELID, tuple, Anum_pg_index_indclass,
							  &isnull);
	for (int i = 0; i < nkeys; i++)
	{
		add_operator_class(search,
						   ((oidvector *) DatumGetPointer(classes))->values[i]);
		add_compared_type(search, get_atttype(indexid, i + 1));
	}
	walk_stored(search, tuple, INDEXRELID, Anum_pg_index_indexprs);
	walk_stored(search, tuple, INDEXRELID, Anum_pg_index_indpred);
	ReleaseSysCache(tuple);
	add_exclusion(search, get_index_constraint(indexid));
	add_dependencies(search, RelationRelationId, indexid);
}

List *
ftm_schema_code_of_statistics(Oid relid)
{
	Search		search = {0};

	search_statistics(&search, relid);
	return search.functions;
}

static void
search_statistics(Search *search, Oid relid)
{
	Relation	catalog = table_open(StatisticExtRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_statistic_ext_stxrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, StatisticExtRelidIndexId, true, NULL, 1,
							  &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		walk_stored(search, tuple, STATEXTOID, Anum_pg_statistic_ext_stxexprs);
		add_dependencies(search, StatisticExtRelationId,
						 ((Form_pg_statistic_ext) GETSTRUCT(tuple))->oid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

List *
ftm_schema_code_of_values(Oid relid, const List *columns)
{
	Search		search = {0};

	search_values(&search, relid, columns);
	return search.functions;
}

static void
search_values(Search *search, Oid relid, const List *columns)
{
	HeapTuple	relation = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int			natts;

	if (!HeapTupleIsValid(relation))
		return;
	natts = ((Form_pg_class) GETSTRUCT(relation))->relnatts;
	ReleaseSysCache(relation);

	for (AttrNumber attnum = 1; attnum <= natts; attnum++)
	{
		HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid),
											Int16GetDatum(attnum));
		Form_pg_attribute att;

		if (!HeapTupleIsValid(tuple))
			continue;
		att = (Form_pg_attribute) GETSTRUCT(tuple);
		if (!att->attisdropped)
		{
			add_made_type(search, att->atttypid);
			if (att->attgenerated != '\0' ||
				!is_named(columns, NameStr(att->attname)))
				add_default(search, relid, attnum, att->atttypid);
		}
		ReleaseSysCache(tuple);
	}
	add_partition_key(search, relid);
}

List *
ftm_schema_code_called(Oid relid, const List *columns)
{
	Search		search = {0};
	ListCell   *lc;

	foreach(lc, objects_of(relid, ConstraintRelationId,
						   ConstraintRelidTypidNameIndexId,
						   Anum_pg_constraint_conrelid,
						   Anum_pg_constraint_oid))
		search_check(&search, lfirst_oid(lc));
	foreach(lc, objects_of(relid, IndexRelationId, IndexIndrelidIndexId,
						   Anum_pg_index_indrelid, Anum_pg_index_indexrelid))
		search_index(&search, lfirst_oid(lc));
	search_statistics(&search, relid);
	search_values(&search, relid, columns);
	return search.called;
}

/*
 * OIDs of a table's rows in a catalog: attribute object of those whose attribute
 * table has the table's OID.
 */
static List *
objects_of(Oid relid, Oid catalogid, Oid indexid, AttrNumber table,
		   AttrNumber object)
{
	List	   *objects = NIL;
	Relation	catalog = table_open(catalogid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, table, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, indexid, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		oid = heap_getattr(tuple, object, RelationGetDescr(catalog),
									   &isnull);

		objects = lappend_oid(objects, DatumGetObjectId(oid));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return objects;
}

char *
ftm_schema_code_names(const List *functions)
{
	List	   *names = NIL;
	StringInfoData text;
	ListCell   *lc;

	foreach(lc, functions)
		names = lappend(names, format_procedure_qualified(lfirst_oid(lc)));
	list_sort(names, compare_strings);
	initStringInfo(&text);
	foreach(lc, names)
		appendStringInfo(&text, "%s%s",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 (char *) lfirst(lc));
	return text.data;
}

static int
compare_strings(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

static bool
is_named(const List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/*
 * What initdb has made is the server's own.
 */
static void
add_function(Search *search, Oid function)
{
	HeapTuple	tuple;
	Oid			language;

	if (function < FirstNormalObjectId)
	{
		for (int i = 0; i < (int) lengthof(querying_functions); i++)
		{
			if (querying_functions[i] == function)
				search->functions = list_append_unique_oid(search->functions,
														   function);
		}
		return;
	}
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(tuple))
		return;
	language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;
	ReleaseSysCache(tuple);
	if (language != INTERNALlanguageId && language != ClanguageId)
		search->functions = list_append_unique_oid(search->functions, function);
}

/* For check_functions_in_node(). */
static bool
check_function(Oid function, void *context)
{
	Search	   *search = context;

	add_function(search, function);
	search->called = list_append_unique_oid(search->called, function);
	return false;
}

/*
 * Walker.  A node that computes a value may have to make one of its type, as
 * json_populate_record() does of a type with domains in it; and all values may
 * be compared.
 */
static bool
walk(Node *node, void *context)
{
	Search	   *search = context;

	if (node == NULL)
		return false;
	(void) check_functions_in_node(node, check_function, context);
	switch (nodeTag(node))
	{
		case T_Var:
		case T_Const:
		case T_Param:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
			add_compared_type(search, exprType(node));
			break;
		case T_FuncExpr:
		case T_OpExpr:
		case T_NullIfExpr:
		case T_SubscriptingRef:
		case T_FieldSelect:
		case T_FieldStore:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
		case T_CaseExpr:
		case T_ArrayExpr:
		case T_RowExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_CoerceToDomain:
			add_compared_type(search, exprType(node));
			add_made_type(search, exprType(node));
			break;
		default:
			break;				/* makes a value of a type of the server's own */
	}
	return expression_tree_walker(node, walk, context);
}

/* Walk a tree, or a list of trees, that is an attribute of a catalog's row. */
static void
walk_stored(Search *search, HeapTuple tuple, int cache, AttrNumber attribute)
{
	bool		isnull;
	Datum		tree = SysCacheGetAttr(cache, tuple, attribute, &isnull);

	if (!isnull)
		(void) walk(stringToNode(TextDatumGetCString(tree)), search);
}

static void
add_dependencies(Search *search, Oid classid, Oid objid)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2,
							  keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend depend = (Form_pg_depend) GETSTRUCT(tuple);

		if (depend->refclassid == ProcedureRelationId)
			add_function(search, depend->refobjid);
		else if (depend->refclassid == OperatorRelationId)
			add_function(search, get_opcode(depend->refobjid));
		else if (depend->refclassid == TypeRelationId)
			add_made_type(search, depend->refobjid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * Read, written or computed: a type's own functions, a domain's constraints, the
 * comparison of a range's bounds.
 */
static void
add_made_type(Search *search, Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;

	if (!OidIsValid(type) || list_member_oid(search->stored, type))
		return;
	search->stored = lappend_oid(search->stored, type);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_type) GETSTRUCT(tuple);
	add_function(search, form->typinput);
	add_function(search, form->typoutput);
	add_function(search, form->typreceive);
	add_function(search, form->typsend);
	if (form->typtype == TYPTYPE_DOMAIN)
		add_domain_checks(search, type);
	if (form->typtype == TYPTYPE_RANGE || form->typtype == TYPTYPE_MULTIRANGE)
		add_compared_type(search, type);
	ReleaseSysCache(tuple);
	add_parts(search, type, add_made_type);
}

/*
 * By the default operator classes, which the server looks up for the values
 * within arrays, rows and ranges, and for GREATEST.
 */
static void
add_compared_type(Search *search, Oid type)
{
	TypeCacheEntry *entry;

	if (!OidIsValid(type) || list_member_oid(search->compared, type) ||
		!SearchSysCacheExists1(TYPEOID, ObjectIdGetDatum(type)))
		return;
	search->compared = lappend_oid(search->compared, type);
	entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR |
							  TYPECACHE_GT_OPR | TYPECACHE_CMP_PROC |
							  TYPECACHE_HASH_PROC |
							  TYPECACHE_HASH_EXTENDED_PROC);
	add_function(search, get_opcode(entry->eq_opr));
	add_function(search, get_opcode(entry->lt_opr));
	add_function(search, get_opcode(entry->gt_opr));
	add_function(search, entry->cmp_proc);
	add_function(search, entry->hash_proc);
	add_function(search, entry->hash_extended_proc);
	add_parts(search, type, add_compared_type);
}

/*
 * Go on with what a type consists of.
 */
static void
add_parts(Search *search, Oid type, void (*add) (Search *search, Oid type))
{
	Oid			relid = get_typ_typrelid(type);
	HeapTuple	tuple;

	check_stack_depth();
	if (get_typtype(type) == TYPTYPE_DOMAIN)
		add(search, getBaseType(type));
	add(search, get_element_type(type));
	add(search, get_multirange_range(type));

	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_range range = (Form_pg_range) GETSTRUCT(tuple);

		add(search, range->rngsubtype);
		add_function(search, range->rngcanonical);
		add_operator_class(search, range->rngsubopc);
		ReleaseSysCache(tuple);
	}
	if (OidIsValid(relid))
	{
		AttrNumber	attnum = 1;

		while (HeapTupleIsValid(tuple = SearchSysCache2(ATTNUM,
														ObjectIdGetDatum(relid),
														Int16GetDatum(attnum++))))
		{
			/* a dropped one has no type */
			add(search, ((Form_pg_attribute) GETSTRUCT(tuple))->atttypid);
			ReleaseSysCache(tuple);
		}
	}
}

/*
 * Of the domain and of those that it is made from.
 */
static void
add_domain_checks(Search *search, Oid domain)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);

	while (get_typtype(domain) == TYPTYPE_DOMAIN)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;
		HeapTuple	type;

		ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber,
					F_OIDEQ, ObjectIdGetDatum(domain));
		scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, NULL,
								  1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		{
			walk_stored(search, tuple, CONSTROID, Anum_pg_constraint_conbin);
			add_dependencies(search, ConstraintRelationId,
							 ((Form_pg_constraint) GETSTRUCT(tuple))->oid);
		}
		systable_endscan(scan);

		type = SearchSysCache1(TYPEOID, ObjectIdGetDatum(domain));
		if (!HeapTupleIsValid(type))
			break;
		domain = ((Form_pg_type) GETSTRUCT(type))->typbasetype;
		ReleaseSysCache(type);
	}
	table_close(catalog, AccessShareLock);
}

/*
 * Support functions and operators for the class's own type: some access methods
 * (BRIN) call the latter for each row, too.
 */
static void
add_operator_class(Search *search, Oid opclass)
{
	Oid			family;
	Oid			type;
	CatCList   *members;

	if (opclass < FirstNormalObjectId ||
		!get_opclass_opfamily_and_input_type(opclass, &family, &type))
		return;
	members = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
	for (int i = 0; i < members->n_members; i++)
	{
		Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(&members->members[i]->tuple);

		if (form->amproclefttype == type && form->amprocrighttype == type)
			add_function(search, form->amproc);
	}
	ReleaseSysCacheList(members);
	members = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
	for (int i = 0; i < members->n_members; i++)
	{
		Form_pg_amop form = (Form_pg_amop) GETSTRUCT(&members->members[i]->tuple);

		if (form->amoplefttype == type && form->amoprighttype == type)
			add_function(search, get_opcode(form->amopopr));
	}
	ReleaseSysCacheList(members);
}

/*
 * The operators of an exclusion constraint, if it is one.
 */
static void
add_exclusion(Search *search, Oid constraint)
{
	HeapTuple	tuple;
	Datum		operators;
	bool		isnull;

	if (!OidIsValid(constraint))
		return;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return;
	operators = SysCacheGetAttr(CONSTROID, tuple,
								Anum_pg_constraint_conexclop, &isnull);
	if (!isnull)
	{
		ArrayType  *array = DatumGetArrayTypeP(operators);
		int			count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));

		for (int i = 0; i < count; i++)
			add_function(search, get_opcode(((Oid *) ARR_DATA_PTR(array))[i]));
	}
	ReleaseSysCache(tuple);
}

static void
add_partition_key(Search *search, Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(PARTRELID, ObjectIdGetDatum(relid));
	Datum		classes;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return;
	classes = SysCacheGetAttr(PARTRELID, tuple,
							  Anum_pg_partitioned_table_partclass, &isnull);
	for (int i = 0; i < ((oidvector *) DatumGetPointer(classes))->dim1; i++)
		add_operator_class(search,
						   ((oidvector *) DatumGetPointer(classes))->values[i]);
	walk_stored(search, tuple, PARTRELID, Anum_pg_partitioned_table_partexprs);
	ReleaseSysCache(tuple);
}

/*
 * A column's generation expression or default, or that of its type.
 */
static void
add_default(Search *search, Oid relid, AttrNumber attnum, Oid type)
{
	Relation	catalog = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_attrdef_adrelid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_attrdef_adnum, BTEqualStrategyNumber,
				F_INT2EQ, Int16GetDatum(attnum));
	scan = systable_beginscan(catalog, AttrDefaultIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		tree = heap_getattr(tuple, Anum_pg_attrdef_adbin,
										RelationGetDescr(catalog), &isnull);

		(void) walk(stringToNode(TextDatumGetCString(tree)), search);
		add_dependencies(search, AttrDefaultRelationId,
						 ((Form_pg_attrdef) GETSTRUCT(tuple))->oid);
		found = true;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	if (!found)
	{
		tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
		if (!HeapTupleIsValid(tuple))
			return;
		walk_stored(search, tuple, TYPEOID, Anum_pg_type_typdefaultbin);
		ReleaseSysCache(tuple);
	}
}
