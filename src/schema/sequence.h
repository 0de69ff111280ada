/*-------------------------------------------------------------------------
 *
 * sequence.h
 *		Where a sequence of the target is: read and set, by OID.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SEQUENCE_H
#define FTM_SEQUENCE_H

/* Where a sequence is. */
typedef struct SequencePosition
{
	int64		last_value;
	bool		is_called;
} SequencePosition;

/*
 * Read a sequence, which the current user must have SELECT on.  It is locked
 * until the end of the transaction, against being dropped or renamed; name is
 * the one it was planned under, quoted, or NULL.  Errors as those of
 * ftm_relation_lock().
 */
extern SequencePosition ftm_sequence_read(Oid relid, const char *name);

/*
 * Set a sequence, which the current user must have UPDATE on.  As with
 * setval(), an abort does not undo it.  Errors as above, and if the value is
 * out of the sequence's bounds.
 */
extern void ftm_sequence_set(Oid relid, const char *name,
							 SequencePosition position);

#endif							/* FTM_SEQUENCE_H */
