/*-------------------------------------------------------------------------
 *
 * references.h
 *		Rows of tables outside a run that refer to rows of its tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_REFERENCES_H
#define FTM_REFERENCES_H

#include "nodes/pg_list.h"

#include "load/task.h"

/*
 * To be called when a table has been filled, in the same transaction and under
 * its locks; tree: OIDs of the table and its partitions.  Error if rows of a
 * table that is not part of the run referred to rows of this one, by a foreign
 * key that was valid before the run, and do not find them any more: so what the
 * rows were is not lost yet.
 */
extern void ftm_references_check(const TableTask *task, const List *tree);

#endif							/* FTM_REFERENCES_H */
