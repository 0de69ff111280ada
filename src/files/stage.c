/*-------------------------------------------------------------------------
 *
 * stage.c
 *		A file's rows in a temporary table of the source's types.
 *
 * The rows come the way that they come into the target, but no user id is
 * rewritten.  Types that the target does not have stay texts, as which they
 * are compared, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/relation.h"
#include "base/target.h"
#include "files/json_rows.h"
#include "files/stage.h"
#include "load/load.h"

/*
 * The type of a column: the source's, without its domains, if the target has
 * it for certain.  The name is the target's, not what a file says.
 */
static const char *
stage_type(const PlanColumn *column)
{
	const CatalogType *type = column->source->type;
	const CatalogType *target = column->target->type;
	Oid			builtin = InvalidOid;

	while (type->base != NULL)
		type = type->base;
	if (strcmp(type->schema, "pg_catalog") == 0)
		builtin = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid,
								  CStringGetDatum(type->name),
								  ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	if (OidIsValid(builtin))
		return format_type_extended(builtin, type->typmod,
									FORMAT_TYPE_TYPEMOD_GIVEN |
									FORMAT_TYPE_FORCE_QUALIFY);
	if (strcmp(column->source->type->schema, target->schema) == 0 &&
		strcmp(column->source->type->name, target->name) == 0)
		return target->display;
	return "pg_catalog.text";
}

StageTask *
ftm_stage_task(const PlanTable *table)
{
	StageTask  *task = palloc0(sizeof(StageTask));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "CREATE TEMPORARY TABLE " STAGE_TABLE " (");
	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		appendStringInfo(&sql, "%s%s %s",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 ftm_catalog_quote(column->source->name),
						 stage_type(column));
		task->column_names = lappend(task->column_names, column->source->name);
	}
	appendStringInfoString(&sql, ") ON COMMIT DROP");
	task->create_sql = sql.data;
	return task;
}

Oid
ftm_stage_rows(const StageTask *task, Oid relid)
{
	TableTask	load = {0};
	TableResult result = {0};
	FormerRole	former;
	Oid			stage;
	Relation	rel;
	ListCell   *lc;

	(void) ftm_target_query(task->create_sql, 0, NULL);
	load.table_name = "pg_temp." STAGE_TABLE;
	load.method = LOAD_PLAIN;
	load.file = task->file;
	load.file_sha256 = task->file_sha256;
	load.ncolumns = list_length(task->column_names);
	load.column_names = palloc(sizeof(char *) * Max(1, load.ncolumns));
	load.columns = palloc0(sizeof(RewriteColumn) * Max(1, load.ncolumns));
	foreach(lc, task->column_names)
	{
		load.column_names[foreach_current_index(lc)] = lfirst(lc);
		load.columns[foreach_current_index(lc)].mode = REWRITE_KEEP;
	}

	stage = get_relname_relid(STAGE_TABLE,
							  LookupExplicitNamespace("pg_temp", false));
	rel = table_open(stage, RowExclusiveLock);
	former = ftm_become(ftm_relation_role(list_make1_oid(relid)),
						SECURITY_RESTRICTED_OPERATION);
	ftm_load_rows_as_they_are(rel, &load, ftm_json_rows_create(&load),
							  &result);
	ftm_return(&former);
	table_close(rel, NoLock);
	return stage;
}
