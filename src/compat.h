/*-------------------------------------------------------------------------
 *
 * compat.h
 *		Every difference between PostgreSQL versions, in one place.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_COMPAT_H
#define FTM_COMPAT_H

#if PG_VERSION_NUM < 150000
#error "ftmigrate needs PostgreSQL 15 or later"
#endif

#include "pgstat.h"
#include "utils/wait_event.h"

/*
 * The wait event shown in pg_stat_activity.  Custom names came with 17; they
 * are allocated at first use, since _PG_init() may run without shared memory.
 */
#if PG_VERSION_NUM >= 170000
static inline uint32
ftm_wait_event(void)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = WaitEventExtensionNew("Ftmigrate");
	return wait_event;
}
#else
#define ftm_wait_event()	((uint32) PG_WAIT_EXTENSION)
#endif

/* Sets of wait events belong to a resource owner, or to none, since 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_create_wait_event_set(context, nevents) \
	CreateWaitEventSet(NULL, nevents)
#else
#define ftm_create_wait_event_set(context, nevents) \
	CreateWaitEventSet(context, nevents)
#endif

/* Relation storage was "relfilenode" before 16. */
#if PG_VERSION_NUM >= 160000
#define ftm_relation_set_new_storage(rel, persistence) \
	RelationSetNewRelfilenumber(rel, persistence)
#else
#define ftm_relation_set_new_storage(rel, persistence) \
	RelationSetNewRelfilenode(rel, persistence)
#endif

/* REINDEX got a pointer to its statement, for event triggers, in 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_reindex_relation(relid, flags, params) \
	reindex_relation(NULL, relid, flags, params)
#else
#define ftm_reindex_relation(relid, flags, params) \
	reindex_relation(relid, flags, params)
#endif

/* Ownership checks were one function per kind of object before 16. */
#if PG_VERSION_NUM >= 160000
#define ftm_owns_relation(relid, roleid) \
	object_ownercheck(RelationRelationId, relid, roleid)
#else
#define ftm_owns_relation(relid, roleid) \
	pg_class_ownercheck(relid, roleid)
#endif

/* Permission checks likewise. */
#if PG_VERSION_NUM >= 160000
#define ftm_server_aclcheck(serverid, roleid, mode) \
	object_aclcheck(ForeignServerRelationId, serverid, roleid, mode)
#else
#define ftm_server_aclcheck(serverid, roleid, mode) \
	pg_foreign_server_aclcheck(serverid, roleid, mode)
#endif

#endif							/* FTM_COMPAT_H */
