/*-------------------------------------------------------------------------
 *
 * unmapped_users.h
 *		Users whom the source has and the user map lacks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_UNMAPPED_USERS_H
#define FTM_UNMAPPED_USERS_H

#include "lib/stringinfo.h"

#include "remote/source.h"

typedef struct UnmappedUsers
{
	int64		users;			/* that the source has */
	int64		count;			/* of them, not in the map */
	StringInfoData ids;			/* of these, 16 bytes each */
} UnmappedUsers;

/*
 * Compare auth.users of the source, which must be readable, with the user map
 * as it is now.  Nothing may be under way on the connection.  In the current
 * memory context, which holds no more than the map meanwhile.
 */
extern UnmappedUsers *ftm_unmapped_users(SourceConnection *source);

/*
 * The same for the users of an export: the file (compressed or not, of this
 * SHA-256) that ftm_export() wrote.
 */
extern UnmappedUsers *ftm_unmapped_users_of_file(const char *path,
												 const char *sha256);

/* One of the ids, from 0, as text. */
extern char *ftm_unmapped_user(const UnmappedUsers *users, int64 number);

#endif							/* FTM_UNMAPPED_USERS_H */
