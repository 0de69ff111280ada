/*-------------------------------------------------------------------------
 *
 * index_build.h
 *		One b-tree, built from the rows of a table that was just filled.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_INDEX_BUILD_H
#define FTM_INDEX_BUILD_H

#include "access/genam.h"
#include "utils/relcache.h"

#include "index/index_sort.h"

/*
 * Is the table of a kind whose indexes may be built without all that the
 * server's REINDEX does?
 */
extern bool ftm_index_build_fits_table(Relation rel);

/*
 * Is the index of a kind that can be built here?  Only the server can build the
 * others.
 */
extern bool ftm_index_build_is_possible(Relation rel, Relation index);

/*
 * Build such an index, whose storage is new and empty, as the access method would.
 * All rows of the table, rel, were stored frozen by this transaction and have
 * not been touched since.  Their entries may have been taken by then, in a sort;
 * otherwise it is NULL, and they are read.  In memory, sorting may use
 * maintenance_work_mem.
 *
 * Returns what the access method's build returns, allocated in the current
 * memory context.  Errors: 23505 for duplicates in a unique index, as the server
 * reports them.
 */
extern IndexBuildResult *ftm_index_build(Relation rel, Relation index,
										 IndexSort *sort);

#endif							/* FTM_INDEX_BUILD_H */
