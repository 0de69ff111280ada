/*-------------------------------------------------------------------------
 *
 * decision.h
 *		What was decided about columns with user ids, as an export carries it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_DECISION_H
#define FTM_DECISION_H

#include "lib/stringinfo.h"
#include "nodes/pg_list.h"

/* What an export says, as JSON arrays of objects. */
typedef struct ExportDecisions
{
	char	   *columns;		/* rows of ftm_user_column */
	char	   *scanned;		/* rows of ftm_scanned_column */
	char	   *ids;			/* "map" or "keep", as the last run from the source
								 * says; NULL if there was none.  Not sent to a
								 * worker. */
	List	   *schemas;		/* of char *: whose tables are imported */
} ExportDecisions;

/* Those of tables of these schemas of a source, in this database. */
extern ExportDecisions *ftm_decisions_read(const char *source, List *schemas);

/*
 * Error if ids, the parameter of an import, is not what the export says; or if
 * this database has decided otherwise about a column of these schemas,
 * or as to ids that the user map lacks.
 */
extern void ftm_decisions_check(const ExportDecisions *decisions,
								const char *ids);

/*
 * Take over what this database has not decided; returns of how many columns
 * that was.  In a worker: it must last, even if the import fails.
 */
extern int	ftm_decisions_take(const ExportDecisions *decisions);

extern void ftm_decisions_put(StringInfo buffer,
							  const ExportDecisions *decisions);
extern ExportDecisions *ftm_decisions_get(StringInfo buffer);

#endif							/* FTM_DECISION_H */
