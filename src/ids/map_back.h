/*-------------------------------------------------------------------------
 *
 * map_back.h
 *		User ids inside texts, mapped from the source's to the target's.
 *
 * The other direction, which verification rests on, is SQL functions only; see
 * mapback.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_MAPBACK_H
#define FTM_MAPBACK_H

#include "ids/user_map.h"

/*
 * A text of the source as it should be in the target: every mapped uuid in it
 * replaced, those in mixed case left alone.  For showing, not for comparing.
 * Result in the current memory context.
 */
extern char *ftm_mapback_expected_text(const UserMap *map, const char *value);

#endif							/* FTM_MAPBACK_H */
