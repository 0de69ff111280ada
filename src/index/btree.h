/*-------------------------------------------------------------------------
 *
 * btree.h
 *		Writes a b-tree from its tuples in order.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_BTREE_H
#define FTM_BTREE_H

#include "access/itup.h"
#include "utils/relcache.h"

typedef struct BtreeWriter BtreeWriter;

/*
 * Begin to write index, whose storage was made by this transaction and is
 * empty.  Allocated in the current memory context.  May be used for indexes
 * whose tuples are all short, as those that index_key.h knows are.
 */
extern BtreeWriter *ftm_btree_begin(Relation index);

/*
 * Add the next tuple.  Tuples come in the order of the index, those with equal
 * keys in the order of their rows; same_key says that its key equals that of
 * the one before.  The tuple is copied.
 */
extern void ftm_btree_add(BtreeWriter *writer, IndexTuple tuple,
						  bool same_key);

/* All tuples have been added. */
extern void ftm_btree_end(BtreeWriter *writer);

#endif							/* FTM_BTREE_H */
