/*-------------------------------------------------------------------------
 *
 * schema_ids.h
 *		User ids that are written into the target's schema itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SCHEMA_IDS_H
#define FTM_SCHEMA_IDS_H

#include "remote/source.h"

/* A known user's id in the definition of an object of the target. */
typedef struct SchemaId
{
	char	   *kind;			/* "default", "policy", ... */
	char	   *object;			/* its name, qualified and quoted */
	char	   *source_id;		/* as text, in lower case */
	char	   *target_id;		/* NULL: the user has none yet */
	char	   *statement;		/* puts the new ids in the place of all that are
								 * mapped; NULL if none is */
	Oid			relid;			/* its table, or InvalidOid */
	bool		refuses;		/* rows with the new id would be refused, put
								 * elsewhere or computed otherwise: a partition
								 * bound, a generated column, CHECK, EXCLUDE or
								 * a predicate of a unique index */
} SchemaId;

/*
 * Look through defaults, generated columns, constraints, indexes, partition
 * bounds, domains, policies, functions, views, rules and triggers of the target
 * (all schemas but the server's own, extensions' objects left out) for ids of
 * users in ftm_user_map or in the source's auth.users.  Users who keep their id
 * do not count.  source may be NULL: then only the map is known.  Takes no lock
 * on a table.  Returns a List of SchemaId, sorted by kind and object, in the
 * current memory context.
 */
extern List *ftm_schema_ids_find(SourceConnection *source);

/*
 * The text with each id in it that ftm_user_map knows as a source's replaced
 * by the target's; the text itself if there is none.
 */
extern const char *ftm_schema_ids_map(const char *text);

#endif							/* FTM_SCHEMA_IDS_H */
