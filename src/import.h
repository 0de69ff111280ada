/*-------------------------------------------------------------------------
 *
 * import.h
 *		A directory that ftm_export() has written, as a run sees it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_IMPORT_H
#define FTM_IMPORT_H

#include "checksum.h"
#include "plan.h"
#include "task.h"

typedef struct ImportDirectory
{
	char	   *path;
	List	   *files;			/* of ImportFile */
	List	   *sequences;		/* of ImportSequence */
} ImportDirectory;

/*
 * Check that the current user may read files on the server, and read what
 * metadata.json says.  Errors: no right, no such directory, no metadata, or
 * not of a form that this version knows.
 */
extern ImportDirectory *ftm_import_open(const char *name);

/*
 * Make a plan one for the files: every table must have one, and the sequences
 * go where they were when the files were written.
 */
extern void ftm_import_adapt_plan(const ImportDirectory *directory,
								  MigrationPlan *plan);

/* Make a table's load one from its file. */
extern void ftm_import_adapt_task(const ImportDirectory *directory,
								  const PlanTable *table, TableTask *task);

/*
 * Compare a table with what the export has found in the source, not with what
 * is there now.
 */
extern void ftm_import_adapt_checksum(const ImportDirectory *directory,
									  const PlanTable *table,
									  int source_version,
									  TableChecksum *checksum);

/*
 * Are the files those that metadata.json describes, and does the source still
 * hold what they were made of?  A List of VerifyResult, of kinds "file" and
 * "export".  source must be in a snapshot.
 */
extern List *ftm_import_verify(const ImportDirectory *directory,
							   const MigrationPlan *plan,
							   SourceConnection *source);

#endif							/* FTM_IMPORT_H */
