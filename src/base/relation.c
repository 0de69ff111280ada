/*-------------------------------------------------------------------------
 *
 * relation.c
 *		Relations of the target: by OID, under a lock, and whose code they run.
 *
 * What constrains this file:
 *
 * - Between a plan and its use there may be hours.  A relation's owner may
 *	 rename it meanwhile and put another one in its place, a view above all,
 *	 whose functions run with the rights of whoever selects from it.  So
 *	 relations are taken by OID, and looked at once nobody can change them.
 * - Any query on a table evaluates code of its owner, even if no expression of
 *	 the owner's is in it: the planner reduces what is constant in predicates
 *	 and expressions of indexes, and in constraints.  So there is no query on a
 *	 user's table that may run with the caller's rights; see target.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/relation.h"

static char *qualified_name(Oid relid);
static Oid	relation_owner(Oid relid);
static List *owners_of_tree(Oid relid);
static Oid	role_below(const List *owners);

char *
ftm_relation_lock(Oid relid, LOCKMODE lockmode, const char *kinds,
				  const char *name)
{
	char	   *current;
	char		relkind;

	LockRelationOid(relid, lockmode);
	current = qualified_name(relid);
	if (current == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 name != NULL ?
				 errmsg("relation %s does not exist any more", name) :
				 errmsg("relation with OID %u does not exist", relid),
				 errhint("The target's schema must not change while a migration runs.")));

	relkind = get_rel_relkind(relid);
	if (strchr(kinds, relkind) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 strcmp(kinds, FTM_SEQUENCES) == 0 ?
				 errmsg("%s is not a sequence", current) :
				 errmsg("%s is not a table", current)));

	if (name != NULL && strcmp(current, name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("relation %s is not the one that was planned", name),
				 errdetail("That one's name is %s now.", current),
				 errhint("The target's schema must not change while a migration runs.  Call the function again.")));
	return current;
}

/*
 * "schema.relation", quoted; NULL if there is none of that OID.
 */
static char *
qualified_name(Oid relid)
{
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		return NULL;
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  name);
}

char *
ftm_relation_from(Oid relid)
{
	return psprintf("%s%s",
					get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE ?
					"" : "ONLY ",
					qualified_name(relid));
}

Oid
ftm_relation_role(const List *relids)
{
	List	   *owners = NIL;
	Oid			role;
	ListCell   *lc;

	if (relids == NIL)
		return InvalidOid;
	foreach(lc, relids)
		owners = list_concat_unique_oid(owners, owners_of_tree(lfirst_oid(lc)));
	role = role_below(owners);
	if (OidIsValid(role))
		return role;

	role = role_below(owners_of_tree(linitial_oid(relids)));
	if (!OidIsValid(role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s and its partitions belong to roles that have nothing in common",
						qualified_name(linitial_oid(relids))),
				 errdetail("Constraints and index expressions of one would run with the rights of another."),
				 errhint("Give them one owner with ALTER TABLE ... OWNER TO.")));
	return role;
}

/*
 * Owners of a relation, which comes first, and of its partitions.
 */
static List *
owners_of_tree(Oid relid)
{
	List	   *owners = list_make1_oid(relation_owner(relid));
	ListCell   *lc;

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return owners;
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
		owners = list_append_unique_oid(owners, relation_owner(lfirst_oid(lc)));
	return owners;
}

static Oid
relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * The first of these roles whose rights all the others have; a superuser has
 * everybody's, and so is taken only if there are none but superusers.
 */
static Oid
role_below(const List *owners)
{
	ListCell   *lc;
	ListCell   *other;

	foreach(lc, owners)
	{
		bool		below = true;

		foreach(other, owners)
		{
			if (!has_privs_of_role(lfirst_oid(other), lfirst_oid(lc)))
				below = false;
		}
		if (below)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}
