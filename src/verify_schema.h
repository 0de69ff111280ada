/*-------------------------------------------------------------------------
 *
 * verify_schema.h
 *		Are the target's tables what the source's are, and in order?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_VERIFY_SCHEMA_H
#define FTM_VERIFY_SCHEMA_H

#include "plan.h"

/*
 * Two results for each table of the plan: "schema" compares the columns'
 * nullability, default, generation expression and collation, "indexes and
 * constraints" says whether those of the target are valid.  Both ends'
 * catalogs are read anew, without a lock on a table; the source's, if record is
 * not NULL, from there.  Returns a List of VerifyResult in the current memory
 * context.
 */
extern List *ftm_verify_schema(const MigrationPlan *plan,
							   SourceConnection *source,
							   const SourceRecord *record);

/* Record what that needs to know of tables (List of CatalogTable). */
extern void ftm_verify_schema_record(List *tables, SourceConnection *source,
									 SourceRecord *record);

#endif							/* FTM_VERIFY_SCHEMA_H */
