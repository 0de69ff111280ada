/*-------------------------------------------------------------------------
 *
 * extension.c
 *		Where the extension is installed, and to whom it belongs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_extension.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/extension.h"

/*
 * Schema and owner as pg_extension has them now.  There is no syscache for
 * that catalog.
 */
static void
read_extension(Oid *schema, Oid *owner)
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname,
				BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(FTM_EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" is not installed in this database",
						FTM_EXTENSION_NAME),
				 errhint("Execute CREATE EXTENSION %s.", FTM_EXTENSION_NAME)));

	*schema = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	*owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;

	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

char *
ftm_extension_schema(void)
{
	Oid			schema;
	Oid			owner;

	read_extension(&schema, &owner);
	return get_namespace_name(schema);
}

const char *
ftm_extension_schema_quoted(void)
{
	return quote_identifier(ftm_extension_schema());
}

void
ftm_extension_require_select(const char *table)
{
	Oid			schema;
	Oid			owner;
	Oid			relid;

	read_extension(&schema, &owner);
	relid = get_relname_relid(table, schema);
	if (!OidIsValid(relid))
		elog(ERROR, "table %s of the extension is missing", table);
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", table),
				 errdetail("The function hands out what is in it."),
				 errhint("Execute GRANT SELECT ON %s TO %s.",
						 quote_qualified_identifier(get_namespace_name(schema), table),
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

Oid
ftm_extension_owner(void)
{
	Oid			schema;
	Oid			owner;

	read_extension(&schema, &owner);
	return owner;
}
