/*-------------------------------------------------------------------------
 *
 * scope.h
 *		What a call works on: the four parameters that every function has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SCOPE_H
#define FTM_SCOPE_H

#include "fmgr.h"
#include "nodes/pg_list.h"

struct Catalog;

/*
 * What a call works on: the four parameters that every function has.
 * schemas, include and exclude are Lists of char *; NIL stands for "not
 * given" in include and exclude.
 */
typedef struct Scope
{
	char	   *source;			/* name of the foreign server */
	List	   *schemas;
	List	   *include;
	List	   *exclude;
} Scope;

/*
 * Arguments first .. first + 3 of an SQL function (source name, schemas
 * text[], include text[], exclude text[]) as a Scope, in the current memory
 * context.  Errors: no source or schema given, NULL inside an array, a schema
 * that cannot be migrated or is given twice.
 */
extern Scope *ftm_scope_from_args(FunctionCallInfo fcinfo, int first);

/*
 * A text argument that must be one of a few words (NULL-terminated); NULL if it
 * is NULL.  The error lists the words.
 */
extern char *ftm_scope_keyword_arg(FunctionCallInfo fcinfo, int argument,
								   const char *name,
								   const char *const *allowed);

/* A boolean argument; error 22004 if it is NULL. */
extern bool ftm_scope_bool_arg(FunctionCallInfo fcinfo, int argument,
							   const char *name);

/* include and exclude, resolved against what the source has. */
typedef struct ScopeFilter ScopeFilter;

/*
 * An entry that is the name of a table (or sequence), bare, as schema.name or
 * as regclass prints it, means those of that name; any other entry is a LIKE
 * pattern, for schema.name if it has a dot, else for the bare name.  Error if
 * an entry matches nothing in source, or a schema does not exist there.
 */
extern ScopeFilter *ftm_scope_filter(const Scope *scope, const struct Catalog *source);

/* Is a table or sequence in, and not out? */
extern bool ftm_scope_selects(const ScopeFilter *filter, const char *schema,
							  const char *name);

/* Is it left out by name? */
extern bool ftm_scope_excludes(const ScopeFilter *filter, const char *schema,
							   const char *name);

#endif							/* FTM_SCOPE_H */
