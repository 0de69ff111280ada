/*-------------------------------------------------------------------------
 *
 * user_map.h
 *		The user map (table ftm_user_map) as a hash in memory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_USER_MAP_H
#define FTM_USER_MAP_H

#include "fmgr.h"
#include "utils/uuid.h"

typedef struct UserMap UserMap;

/*
 * Read ftm_user_map as it is now, as the owner of the extension, into a hash
 * allocated in context.  Error if some target id is also another entry's
 * source id: such a map cannot be applied backwards.
 */
extern UserMap *ftm_usermap_load(MemoryContext context);

/*
 * The map as the running query sees it, for a function called by that query.
 * Loaded by the first call of the query and shared by all function calls in
 * it; kept as long as the longest-lived of them.  Same errors.
 */
extern const UserMap *ftm_usermap_for_query(FmgrInfo *flinfo);

/*
 * The same for a function that keeps the map, and more, in fn_extra itself:
 * for as long as context lasts.
 */
extern const UserMap *ftm_usermap_share(MemoryContext context);

/* Look-ups, both ways; false if the map lacks the id. */
extern bool ftm_usermap_target(const UserMap *map, const uint8_t source[16],
							   uint8_t target[16]);
extern bool ftm_usermap_source(const UserMap *map, const uint8_t target[16],
							   uint8_t source[16]);

/*
 * Is this the source id of a user who has another id in the target, or none?
 * Where it stands in the target, it was not rewritten.
 */
extern bool ftm_usermap_knows(const UserMap *map, const uint8_t source[16]);

/* Is this the source id of any user, whatever becomes of it? */
extern bool ftm_usermap_is_user(const UserMap *map, const uint8_t source[16]);

/*
 * Who else is a known user: those whom the source has and the map lacks, count
 * ids one behind the other.  For all maps that this process loads from now on.
 */
extern void ftm_usermap_set_unmapped(const uint8_t *ids, int64 count);

/* Number of entries. */
extern int64 ftm_usermap_size(const UserMap *map);

/*
 * A 64-bit digest of the map's pairs, whatever their order: two maps with the
 * same digest are taken to be the same.
 */
extern uint64 ftm_usermap_digest(const UserMap *map);

#endif							/* FTM_USER_MAP_H */
