/*-------------------------------------------------------------------------
 *
 * orphans.h
 *		Rows without parent that the source has as well.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_ORPHANS_H
#define FTM_ORPHANS_H

#include "plan/plan.h"

/*
 * The number of rows of the source that would violate a foreign key of the
 * target; -1 if that cannot be asked: there is no source, it lacks one of the
 * tables or columns, they cannot be read, or they are of a type whose equality
 * is not PostgreSQL's own.  In the transaction that source is in.
 */
extern int64 ftm_orphans_of_source(const MigrationPlan *plan,
								   SourceConnection *source,
								   const CatalogForeignKey *key);

#endif							/* FTM_ORPHANS_H */
