/*-------------------------------------------------------------------------
 *
 * stage.h
 *		A file's rows in a temporary table of the source's types.
 *
 * An export has a checksum of a table's values as the source's types have
 * them.  Where the target's types make other values of them, the source would
 * be asked for those; an import asks such a table instead.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_STAGE_H
#define FTM_STAGE_H

#include "plan/plan.h"

/* Name of the table, in schema pg_temp. */
#define STAGE_TABLE		"ftm_stage"

typedef struct StageTask
{
	char	   *create_sql;
	char	   *file;
	char	   *file_sha256;
	List	   *column_names;	/* of char * */
} StageTask;

/*
 * Describe the table for the source's half of a table of the plan, with the
 * file's name and digest still to be filled in.  In the current memory context.
 */
extern StageTask *ftm_stage_task(const PlanTable *table);

/*
 * Make the table and fill it; it lives until the end of the transaction, which
 * may have one of them.  Values of the target's own types may call functions of
 * their owners, so it is filled as the role that the target's table, relid, is
 * filled as; that one is locked.  Returns the table's OID.
 */
extern Oid	ftm_stage_rows(const StageTask *task, Oid relid);

#endif							/* FTM_STAGE_H */
