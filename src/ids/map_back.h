/*-------------------------------------------------------------------------
 *
 * map_back.h
 *		User ids inside texts, mapped from the source's to the target's.
 *
 * The other direction, which verification rests on, is SQL functions only; see
 * map_back.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_MAP_BACK_H
#define FTM_MAP_BACK_H

#include "ids/user_map.h"

/*
 * A text of the source as it should be in the target: every mapped uuid in it
 * replaced, those in mixed case left alone.  For showing, not for comparing.
 * Result in the current memory context.
 */
extern char *ftm_mapback_expected_text(const UserMap *map, const char *value);

#endif							/* FTM_MAP_BACK_H */
