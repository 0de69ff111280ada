/*-------------------------------------------------------------------------
 *
 * named_lock.h
 *		Locks on what has a name but no relation.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_NAMED_LOCK_H
#define FTM_NAMED_LOCK_H

#include "storage/lock.h"

/*
 * What a lock is on.  These are key spaces of advisory locks; SQL's own
 * functions use 1 and 2, so that nobody can take one of these by SQL.
 */
typedef enum NamedLockSpace
{
	LOCK_AUTH_SERVER = 3,		/* in this database, by OID as text */
	LOCK_DIRECTORY = 4,			/* of the whole server, by path */
	LOCK_SOURCE = 5				/* runs in this database, by source's name */
} NamedLockSpace;

/* Two names with the same hash of 64 bits exclude each other, too. */
extern void ftm_named_lock_tag(LOCKTAG *tag, NamedLockSpace space,
							   const char *name);

/*
 * Who has the lock, as a sentence for an error's detail; NULL if nobody has by
 * now.  Needs a transaction.
 */
extern char *ftm_named_lock_holder(const LOCKTAG *tag);

#endif							/* FTM_NAMED_LOCK_H */
