/*-------------------------------------------------------------------------
 *
 * import.h
 *		A directory that ftm_export() has written, as a run sees it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_IMPORT_H
#define FTM_IMPORT_H

#include "files/decision.h"
#include "load/task.h"
#include "plan/plan.h"
#include "verify/checksum.h"

typedef struct ImportDirectory
{
	char	   *path;
	List	   *files;			/* of ImportFile */
	List	   *sequences;		/* of ImportSequence */
	char	   *users_file;		/* path of the users; NULL if there are none */
	char	   *users_sha256;
	ExportDecisions *decisions; /* about columns with user ids; its schemas are
								 * NIL */
	SourceRecord *record;		/* of the source's schema */
} ImportDirectory;

/*
 * Check that the current user may read files on the server, and read what
 * metadata.json says.  Errors: no right, no such directory, no metadata, or
 * not of a form that this version knows.
 */
extern ImportDirectory *ftm_import_open(const char *name);

/* The source's catalog of these schemas as it was when it was exported. */
extern Catalog *ftm_import_catalog(const ImportDirectory *directory,
								   List *schemas);

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
 * Compare a table with what the export has found in the source, or, where the
 * target's types make that another checksum, with the rows of its file.
 */
extern void ftm_import_adapt_checksum(const ImportDirectory *directory,
									  const PlanTable *table,
									  TableChecksum *checksum);

/*
 * Are the files those that metadata.json describes, and does the source still
 * hold what they were made of?  A List of VerifyResult, of kinds "file" and
 * "export", the latter unless source is NULL.  source must be in a snapshot.
 */
extern List *ftm_import_verify(const ImportDirectory *directory,
							   const MigrationPlan *plan,
							   SourceConnection *source);

#endif							/* FTM_IMPORT_H */
