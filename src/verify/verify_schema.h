/*-------------------------------------------------------------------------
 *
 * verify_schema.h
 *		Are the target's tables what the source's are, and in order?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_VERIFY_SCHEMA_H
#define FTM_VERIFY_SCHEMA_H

#include "plan/plan.h"

/* What a table of the target can have otherwise than the source's. */
typedef enum SchemaAspect
{
	SCHEMA_COLUMN,				/* its being there */
	SCHEMA_NULLABILITY,
	SCHEMA_DEFAULT,
	SCHEMA_GENERATION,
	SCHEMA_COLLATION,
	SCHEMA_INDEX,
	SCHEMA_CONSTRAINT
} SchemaAspect;

/* A difference that verification does not accept. */
typedef struct SchemaDifference
{
	const PlanTable *table;
	SchemaAspect aspect;
	char	   *text;			/* fragment of a sentence, without the table */
	char	   *remedy;			/* sentence */
} SchemaDifference;

/*
 * Two results for each table of the plan: "schema" compares the columns'
 * nullability, default, generation expression and collation, "indexes and
 * constraints" says whether those of the target are valid, and names those that
 * are not defined as on the source, which does not make it not ok.  Both ends'
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

/*
 * The differences that make those results not ok: a List of SchemaDifference.
 * *definitions: what they tell of constraints and indexes, a List of
 * TableDefinitions.
 */
extern List *ftm_verify_schema_differences(const MigrationPlan *plan,
										   SourceConnection *source,
										   const SourceRecord *record,
										   List **definitions);

#endif							/* FTM_VERIFY_SCHEMA_H */
