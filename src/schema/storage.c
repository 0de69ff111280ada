/*-------------------------------------------------------------------------
 *
 * storage.c
 *		Does a table keep its rows where the load would put them?
 *
 * An extension that spreads a table's rows elsewhere does so from the planner
 * or the executor, so CopyFrom() goes past it and fills a file that nobody
 * reads.  No catalog tells: the table's access method may be the heap and the
 * extension unknown to us.  But an INSERT must find the way, so its plan shows
 * it: a CustomScan somewhere on top, where a table of the server's own has a
 * ModifyTable only.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "base/relation.h"
#include "base/target.h"
#include "schema/storage.h"

static bool plan_is_plain(Oid relid);
static char *insert_sql(Oid relid);

bool
ftm_storage_is_managed(Oid relid)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool managed = true;

	/* Rolled back in any case: the locks of planning go with it. */
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		managed = !plan_is_plain(relid);
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;

		/*
		 * A planner that refuses speaks of a table that is not an ordinary
		 * one.  Any other error is no answer.
		 */
		if (error->sqlerrcode != ERRCODE_FEATURE_NOT_SUPPORTED &&
			error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	return managed;
}

/*
 * Plan an INSERT of nothing.  Rules and row level security are not applied
 * (no rewriting), since COPY does not apply them either.
 */
static bool
plan_is_plain(Oid relid)
{
	char	   *sql = insert_sql(relid);
	RawStmt    *parsed = linitial_node(RawStmt, pg_parse_query(sql));
	Query	   *query = parse_analyze_fixedparams(parsed, sql, NULL, 0, NULL);
	FormerRole	former;
	PlannedStmt *plan;

	/* Planning may evaluate code of the table's owner. */
	former = ftm_become(ftm_relation_role(list_make1_oid(relid)),
						SECURITY_RESTRICTED_OPERATION);
	plan = pg_plan_query(query, sql, 0, NULL);
	ftm_return(&former);
	return IsA(plan->planTree, ModifyTable);
}

/*
 * INSERT INTO table (columns) SELECT NULL::type, ... WHERE false, with the
 * columns that a load fills: all but the generated ones.
 */
static char *
insert_sql(Oid relid)
{
	Relation	rel = relation_open(relid, RowExclusiveLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData columns;
	StringInfoData values;
	const char *schema = get_namespace_name(RelationGetNamespace(rel));
	char	   *result;

	initStringInfo(&columns);
	initStringInfo(&values);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char *separator = columns.len > 0 ? ", " : "";

		if (attribute->attisdropped || attribute->attgenerated != '\0')
			continue;
		appendStringInfo(&columns, "%s%s", separator,
						 quote_identifier(NameStr(attribute->attname)));
		appendStringInfo(&values, "%sNULL::%s", separator,
						 format_type_be_qualified(attribute->atttypid));
	}
	result = psprintf("INSERT INTO %s%s%s%s OVERRIDING SYSTEM VALUE SELECT %s WHERE false",
					  quote_qualified_identifier(schema,
												 RelationGetRelationName(rel)),
					  columns.len > 0 ? " (" : "", columns.data,
					  columns.len > 0 ? ")" : "", values.data);
	relation_close(rel, NoLock);
	return result;
}
