/*-------------------------------------------------------------------------
 *
 * index_key.h
 *		The key of a b-tree index and the row it stands for, as words whose
 *		order is the index's.
 *
 * Sorting is what building an index costs.  An entry that is a few integers
 * next to each other sorts several times faster than an index tuple behind a
 * pointer, whose values a comparison function is asked about, and is a third
 * of its size.  It holds all that the tuple holds: the tuple is made from it
 * again when its place is known.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_INDEX_KEY_H
#define FTM_INDEX_KEY_H

#include "access/itup.h"
#include "utils/relcache.h"

/*
 * Words of an entry.  The last 48 bits are the row's place in the table, so
 * that equal keys are in its order, as in every b-tree; before them is the key.
 */
#define MIN_ENTRY_WORDS	2
#define MAX_ENTRY_WORDS	6
#define ENTRY_TID_BITS	48

typedef struct IndexKey IndexKey;

/*
 * Is the index a b-tree that has all rows of its table under values that are in
 * them: no predicate, no expressions, and no exclusion constraint's?
 */
extern bool ftm_index_key_is_plain(Relation index);

/*
 * How to make entries of an index, or NULL if that cannot be done: it is not
 * plain, has columns that are only included, or a column whose order is not
 * simply that of its bytes (text, numeric, floats), or the key is too long.
 * Allocated in the current memory context; refers to the index, which must stay
 * open.  The caller's lock on the table, rel, keeps its columns from becoming
 * nullable.
 */
extern IndexKey *ftm_index_key_create(Relation rel, Relation index);
extern void ftm_index_key_free(IndexKey *key);

/* Words of an entry, from MIN_ENTRY_WORDS to MAX_ENTRY_WORDS. */
extern int	ftm_index_key_words(const IndexKey *key);

/* The last column of the table, by attribute number, that is in the key. */
extern AttrNumber ftm_index_key_last_column(const IndexKey *key);

/*
 * The entry of a row: values and isnull are the table's columns in order of
 * attribute number, from 1, at least up to the last that is in the key.  The
 * row's place is added when it is known.
 */
extern void ftm_index_key_encode(const IndexKey *key, const Datum *values,
								 const bool *isnull, uint64 *entry);

static inline void
ftm_index_key_place(uint64 *entry, int nwords, ItemPointer tid)
{
	entry[nwords - 1] |=
		(uint64) ItemPointerGetBlockNumberNoCheck(tid) << 16 |
		ItemPointerGetOffsetNumberNoCheck(tid);
}

/*
 * The index tuple of an entry, as index_form_tuple() makes it; valid until the
 * next call for this key.
 */
extern IndexTuple ftm_index_key_tuple(IndexKey *key, const uint64 *entry);

/*
 * The key's values, in the order of the index's columns; those by reference are
 * valid until the next call for this key.
 */
extern void ftm_index_key_decode(IndexKey *key, const uint64 *entry,
								 Datum *values, bool *isnull);

/* Is any of the values null? */
extern bool ftm_index_key_has_null(const IndexKey *key, const uint64 *entry);

/* Do two entries have equal keys? */
static inline bool
ftm_index_key_equal(const uint64 *a, const uint64 *b, int nwords)
{
	for (int i = 0; i < nwords - 1; i++)
	{
		if (a[i] != b[i])
			return false;
	}
	return ((a[nwords - 1] ^ b[nwords - 1]) >> ENTRY_TID_BITS) == 0;
}

#endif							/* FTM_INDEX_KEY_H */
