/*-------------------------------------------------------------------------
 *
 * sort_files.c
 *		Temporary files of a transaction that its parallel workers can read.
 *
 * Files of the server's BufFileCreateTemp() belong to one process.  Those of a
 * file set have names, by which others find them, but nobody deletes them when
 * an error comes: the server ties such a set to a segment of dynamic shared
 * memory, which a resource owner lets go, and which takes the files along.  The
 * segment of a parallel context will not do: the files are older.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/dsm.h"
#include "storage/sharedfileset.h"

#include "index/sort_files.h"

struct SortFiles
{
	dsm_segment *segment;		/* that holds the set, or NULL if there is none */
};

SortFiles *
ftm_sort_files_create(void)
{
	return palloc0(sizeof(SortFiles));
}

FileSet *
ftm_sort_files_set(SortFiles *files)
{
	SharedFileSet *set;

	if (files->segment == NULL)
	{
		files->segment = dsm_create(sizeof(SharedFileSet), 0);
		SharedFileSetInit(dsm_segment_address(files->segment), files->segment);
	}
	set = dsm_segment_address(files->segment);
	return &set->fs;
}

void
ftm_sort_files_delete(SortFiles *files)
{
	if (files->segment != NULL)
		dsm_detach(files->segment);
	pfree(files);
}
