/*-------------------------------------------------------------------------
 *
 * sequence.c
 *		Where a sequence of the target is: read and set, by OID.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/sequence.h"
#include "utils/fmgrprotos.h"

#include "base/relation.h"
#include "base/target.h"
#include "schema/sequence.h"

SequencePosition
ftm_sequence_read(Oid relid, const char *name)
{
	SequencePosition position;
	RowSet	   *rows;

	name = ftm_relation_lock(relid, AccessShareLock, FTM_SEQUENCES, name);
	rows = ftm_target_query_relations(psprintf("SELECT last_value, is_called FROM %s",
											   name),
									  list_make1_oid(relid), TARGET_CODE_OURS);
	position.last_value = ftm_rowset_int64(rows, 0, 0);
	position.is_called = ftm_rowset_bool(rows, 0, 1);
	return position;
}

void
ftm_sequence_set(Oid relid, const char *name, SequencePosition position)
{
	(void) ftm_relation_lock(relid, RowExclusiveLock, FTM_SEQUENCES, name);

	/* Checks UPDATE and the bounds. */
	(void) DirectFunctionCall3(setval3_oid, ObjectIdGetDatum(relid),
							   Int64GetDatum(position.last_value),
							   BoolGetDatum(position.is_called));
}
