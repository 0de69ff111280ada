/*-------------------------------------------------------------------------
 *
 * catalog_type.h
 *		Types of a catalog: from pg_type's rows to CatalogType.
 *
 * Only catalog.c needs this; everybody else sees the finished CatalogType.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CATALOG_TYPE_H
#define FTM_CATALOG_TYPE_H

#include "schema/catalog.h"

typedef struct TypeTable TypeTable;

/* An empty table for the types of a server of this version. */
extern TypeTable *ftm_catalog_type_table(int version);

/* Take in rows of CATALOG_TYPES_SQL, which must outlive the table. */
extern void ftm_catalog_type_add(TypeTable *types, const RowSet *rows);

/*
 * OIDs (char *) of types that those in the table consist of, but that are not
 * in it yet.
 */
extern List *ftm_catalog_type_missing(TypeTable *types);

/*
 * A column's type by its OID, with the column's typmod and the text of
 * format_type().  Error if it is not in the table.
 */
extern CatalogType *ftm_catalog_type(TypeTable *types, Oid oid, int32 typmod,
									 const char *display);

/* Elements of a text array's output (char *, none NULL); NIL for NULL. */
extern List *ftm_catalog_text_array(const char *value);

#endif							/* FTM_CATALOG_TYPE_H */
