/*-------------------------------------------------------------------------
 *
 * table_tree.h
 *		A table and its partitions: locked as one, and emptied as one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_TABLE_TREE_H
#define FTM_TABLE_TREE_H

#include "nodes/pg_list.h"
#include "utils/rel.h"

/*
 * Lock a table, and all partitions if it is partitioned, against everybody
 * else, until the end of the transaction.  Returns their OIDs, the table's
 * first, as a List in the current memory context.  What is looked at behind that
 * stays as it is: nobody else has written, or will.
 *
 * Errors: a member is not the current user's, is in use by this session, is no
 * table with rows of its own (a partition may be a foreign table), or is one of
 * the system's.
 */
extern List *ftm_table_tree_lock(Oid relid);

/*
 * The same OIDs without any lock or check: what they are may change at any time.
 */
extern List *ftm_table_tree_members(Oid relid);

/*
 * New, empty storage for one table, and for its TOAST table.  Its indexes are
 * the caller's business.  The caller has the lock.
 */
extern void ftm_table_tree_new_storage(Relation rel);

/*
 * The same for all members of a tree, with empty indexes.
 */
extern void ftm_table_tree_empty(const List *tree);

/*
 * Tell logical decoding that these tables (OIDs) were emptied in this
 * transaction, as TRUNCATE does: to be called before the first row is stored.
 * A subscriber truncates all that are named in one call at once, which it may
 * refuse if its own foreign keys refer to one of them: so a table that held no
 * row is better not named.
 */
extern void ftm_table_tree_log_truncation(const List *relids);

#endif							/* FTM_TABLE_TREE_H */
