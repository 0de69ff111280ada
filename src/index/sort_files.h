/*-------------------------------------------------------------------------
 *
 * sort_files.h
 *		Temporary files of a transaction that its parallel workers can read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SORT_FILES_H
#define FTM_SORT_FILES_H

#include "storage/fileset.h"

typedef struct SortFiles SortFiles;

/*
 * A set of files without any yet; it costs nothing until there are some.
 * Allocated in the current memory context.
 */
extern SortFiles *ftm_sort_files_create(void);

/*
 * The set, for BufFileCreateFileSet(); parallel workers open its files by a
 * copy.  At the first call it becomes the current resource owner's, so that the
 * files go with the transaction after an error.
 */
extern FileSet *ftm_sort_files_set(SortFiles *files);

/* Delete the files, which nobody has open any more. */
extern void ftm_sort_files_delete(SortFiles *files);

#endif							/* FTM_SORT_FILES_H */
