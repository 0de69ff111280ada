/*-------------------------------------------------------------------------
 *
 * relation.h
 *		Relations of the target: by OID, under a lock, and whose code they run.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_RELATION_H
#define FTM_RELATION_H

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/* Kinds of relations, for ftm_relation_lock(). */
#define FTM_TABLES		"rp"
#define FTM_SEQUENCES	"S"
#define FTM_READABLE	"rpvmf"	/* all that can be selected from */

/*
 * Lock a relation by its OID, until the end of the transaction, and check
 * under the lock what it is now: its relkind is one of the letters in kinds,
 * and it still has the name "schema.relation" (quoted) that it was planned
 * under; name is NULL if it may have any.  Checks no permission.
 *
 * Returns the name, palloc'd.  It holds while the lock does, but for schemas,
 * which are not locked: so a statement with this name in it goes through
 * ftm_target_query_relations(), which does not take another relation for it.
 *
 * Errors: 42P01 if the relation is gone, 42809 if it is of another kind, 55000
 * if it has another name.
 */
extern char *ftm_relation_lock(Oid relid, LOCKMODE lockmode,
							   const char *kinds, const char *name);

/*
 * "[ONLY] schema.table", quoted, palloc'd: a partitioned table's rows are in
 * its partitions, an inheritance parent's children are tables of their own.
 * The table is locked.
 */
extern char *ftm_relation_from(Oid relid);

/*
 * The role as which code may run that belongs to the owners of these relations
 * and their partitions (expressions, constraints, casts): one whose rights all
 * of those owners have, so that none of them gains any by it.  The relations
 * are locked; partitions are locked here, in AccessShareLock.  InvalidOid if
 * there are no relations.
 *
 * Error 42501 if there is no such role for a table and its partitions.  Of
 * several relations without one, the first's is returned: a foreign key's code
 * runs with the rights of either end's owner in the server's own checks, too.
 */
extern Oid	ftm_relation_role(const List *relids);

#endif							/* FTM_RELATION_H */
