/*-------------------------------------------------------------------------
 *
 * constant.c
 *		Are two texts of a default the same constant?
 *
 * Only the column's type knows which texts stand for the same value, so the
 * server is asked to compute both.  One of them has come from the source, and
 * must not be able to do anything here: so a text is only computed if its tree
 * has nothing but literals, signs, arrays and casts to types in pg_catalog,
 * which with it as the search_path call nobody's functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "base/expression.h"
#include "base/target.h"
#include "schema/constant.h"

static bool is_constant(Node *node);
static bool are_constants(List *nodes);
static bool is_builtin_type(const TypeName *type);
static char *type_of_column(Oid relid, const char *column);
static bool compute_equal(const char *a, const char *b, const char *type);

bool
ftm_constant_equal(const char *a, const char *b, Oid relid, const char *column)
{
	char	   *type;

	if (!is_constant(ftm_expression_parse(a)) ||
		!is_constant(ftm_expression_parse(b)))
		return false;
	type = type_of_column(relid, column);
	return type != NULL && compute_equal(a, b, type);
}

/* NULL, which a text that cannot be parsed gives, is none. */
static bool
is_constant(Node *node)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_A_Const:
			return true;
		case T_TypeCast:
			return is_builtin_type(((TypeCast *) node)->typeName) &&
				is_constant(((TypeCast *) node)->arg);
		case T_A_ArrayExpr:
			return are_constants(((A_ArrayExpr *) node)->elements);
		case T_A_Expr:
			{
				A_Expr	   *sign = (A_Expr *) node;

				return sign->kind == AEXPR_OP && sign->lexpr == NULL &&
					list_length(sign->name) == 1 &&
					strcmp(strVal(linitial(sign->name)), "-") == 0 &&
					is_constant(sign->rexpr);
			}
		default:
			return false;
	}
}

static bool
are_constants(List *nodes)
{
	ListCell   *lc;

	foreach(lc, nodes)
	{
		if (!is_constant(lfirst(lc)))
			return false;
	}
	return true;
}

/* Unqualified names are looked up in pg_catalog only. */
static bool
is_builtin_type(const TypeName *type)
{
	if (type->setof || type->pct_type)
		return false;
	return list_length(type->names) == 1 ||
		(list_length(type->names) == 2 &&
		 strcmp(strVal(linitial(type->names)), "pg_catalog") == 0);
}

/* As to be written in a statement; NULL if it is not one of the server's own. */
static char *
type_of_column(Oid relid, const char *column)
{
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			type;
	int32		typmod;
	Oid			collation;
	HeapTuple	tuple;
	bool		builtin;

	if (attnum == InvalidAttrNumber)
		return NULL;
	get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
	type = getBaseTypeAndTypmod(type, &typmod);
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	builtin = ((Form_pg_type) GETSTRUCT(tuple))->typnamespace ==
		PG_CATALOG_NAMESPACE;
	ReleaseSysCache(tuple);
	return builtin ? format_type_extended(type, typmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN |
										  FORMAT_TYPE_FORCE_QUALIFY) : NULL;
}

/*
 * The server raises an error for what is no value of the type; it is no reason
 * to stop.
 */
static bool
compute_equal(const char *a, const char *b, const char *type)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool equal = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		RowSet	   *rows = ftm_target_query(psprintf("SELECT (%s)::%s::pg_catalog.text"
													 " IS NOT DISTINCT FROM (%s)::%s::pg_catalog.text",
													 a, type, b, type),
											0, NULL);

		equal = ftm_rowset_bool(rows, 0, 0);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return equal;
}
