/*-------------------------------------------------------------------------
 *
 * type_match.h
 *		Can a source column's values become a target column's without loss?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_TYPE_MATCH_H
#define FTM_TYPE_MATCH_H

#include "schema/catalog.h"

typedef struct TypeMatch
{
	bool		lossless;		/* else only obstacle is set */
	bool		binary;			/* the source's binary output is the target's
								 * binary input */
	bool		differs;		/* the types differ, by name or by typmod */
	const char *remark;			/* what is not kept although every value is, as
								 * a clause; or NULL */
	char	   *obstacle;		/* why values could change or not fit, as a
								 * clause; NULL if the types just differ */
} TypeMatch;

extern TypeMatch ftm_type_match(const CatalogType *source,
								const CatalogType *target);

#endif							/* FTM_TYPE_MATCH_H */
