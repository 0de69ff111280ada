/*-------------------------------------------------------------------------
 *
 * definition.h
 *		Constraints and indexes of both ends, compared by definition.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_DEFINITION_H
#define FTM_DEFINITION_H

#include "plan/plan.h"

/* One constraint or index that is not the same on both ends. */
typedef struct DefinitionDifference
{
	char	   *text;			/* fragment of a sentence, without the table */
	char	   *remedy;			/* sentence */
	bool		of_users;		/* a foreign key to auth.users that only the
								 * source has, as it ought to be */
	bool		harmless;		/* an index that only the target has, and that
								 * refuses no row */
} DefinitionDifference;

/* What was compared for one table of the plan, its partitions included. */
typedef struct TableDefinitions
{
	const PlanTable *table;
	int			constraints;	/* on the source: primary keys, UNIQUE, CHECK,
								 * EXCLUDE and foreign keys */
	int			indexes;		/* on the source: those of no constraint */
	List	   *differences;	/* of DefinitionDifference */
} TableDefinitions;

/*
 * Compare the definitions of all constraints and indexes of the plan's tables:
 * columns, expressions, predicates, INCLUDE, operator classes, collations,
 * order of sorting, NULLS NOT DISTINCT, access methods, operators of EXCLUDE,
 * what foreign keys refer to and do, deferrability, NO INHERIT, and whether
 * the source has not validated what the target has.  Names and storage
 * parameters do not count, and a UNIQUE constraint that cannot be deferred is
 * a unique index.  Domains of the same name are compared as they are.  Of partitions, only what they do not have from their root,
 * where both ends have a partition of that name.
 *
 * NOT NULL and defaults are verify_schema.c's business, as is what is not valid
 * in the target.  Both ends' catalogs are read anew, without a lock on a table;
 *  the source's, if record is not NULL, from there, and else it has been asked by
 * ftm_definition_send(), so that several questions share a round trip.  Returns
 * a List of TableDefinitions, in the order of the plan's tables, in the current
 * memory context.
 */
extern void ftm_definition_send(const MigrationPlan *plan,
								SourceConnection *source);
extern List *ftm_definition_compare(const MigrationPlan *plan,
									SourceConnection *source,
									const SourceRecord *record);

/*
 * Record what that needs to know of the source's tables.  oids: the text of an
 * array.
 */
extern void ftm_definition_record(const char *oids, SourceConnection *source,
								  SourceRecord *record);

#endif							/* FTM_DEFINITION_H */
