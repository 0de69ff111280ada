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

/* What varlena values look like inside was part of postgres.h before 16. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/*
 * That a function does not return was said by pg_attribute_noreturn(), after
 * its declaration, before 18.
 */
#if PG_VERSION_NUM < 180000
#define pg_noreturn		__attribute__((noreturn))
#endif

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

/* And a relation's name to the log was a RelFileNode. */
#if PG_VERSION_NUM >= 160000
#define ftm_relation_locator(rel)	(&(rel)->rd_locator)
#else
#define ftm_relation_locator(rel)	(&(rel)->rd_node)
#endif

/* Whether the current subtransaction has made it has names after it. */
#if PG_VERSION_NUM >= 160000
#define ftm_storage_made_here(rel) \
	((rel)->rd_createSubid == GetCurrentSubTransactionId() || \
	 (rel)->rd_newRelfilelocatorSubid == GetCurrentSubTransactionId())
#else
#define ftm_storage_made_here(rel) \
	((rel)->rd_createSubid == GetCurrentSubTransactionId() || \
	 (rel)->rd_newRelfilenodeSubid == GetCurrentSubTransactionId())
#endif

/* REINDEX got a pointer to its statement, for event triggers, in 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_reindex_index(indexid, persistence, params) \
	reindex_index(NULL, indexid, false, persistence, params)
#else
#define ftm_reindex_index(indexid, persistence, params) \
	reindex_index(indexid, false, persistence, params)
#endif

/* "Snapshot too old" went away with 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_early_pruning_enabled(rel)	false
#else
#include "utils/snapmgr.h"
#define ftm_early_pruning_enabled(rel)	EarlyPruningEnabled(rel)
#endif

/* pg_class's figures of a relation, in place, as VACUUM writes them. */
#if PG_VERSION_NUM >= 180000
#define ftm_update_relation_statistics(rel, pages, tuples, visible, indexed) \
	vac_update_relstats(rel, pages, tuples, visible, 0, indexed, \
						InvalidTransactionId, InvalidMultiXactId, \
						NULL, NULL, true)
#else
#define ftm_update_relation_statistics(rel, pages, tuples, visible, indexed) \
	vac_update_relstats(rel, pages, tuples, visible, indexed, \
						InvalidTransactionId, InvalidMultiXactId, \
						NULL, NULL, true)
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

/* Errors of parsing a name can be had without ereport() since 16. */
#if PG_VERSION_NUM >= 160000
#define ftm_string_to_qualified_name_list(string) \
	stringToQualifiedNameList(string, NULL)
#else
#define ftm_string_to_qualified_name_list(string) \
	stringToQualifiedNameList(string)
#endif

/* The local id of our transaction moved into the virtual one in 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_local_transaction_id()	(MyProc->vxid.lxid)
#else
#define ftm_local_transaction_id()	(MyProc->lxid)
#endif

/* Whether a stronger lock counts, too, became a choice in 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_lock_held_by_me(tag, mode)	LockHeldByMe(tag, mode, false)
#else
#define ftm_lock_held_by_me(tag, mode)	LockHeldByMe(tag, mode)
#endif

/* What the JSON parser calls reports success or an error since 16. */
#if PG_VERSION_NUM >= 160000
#define FtmJsonActionResult			JsonParseErrorType
#define ftm_return_json_success()	return JSON_SUCCESS
#else
#define FtmJsonActionResult			void
#define ftm_return_json_success()	return
#endif

/* The JSON lexer's state may be the caller's memory since 17. */
#if PG_VERSION_NUM >= 170000
#define ftm_make_json_lexer(json, length, encoding, need_escapes) \
	makeJsonLexContextCstringLen(NULL, json, length, encoding, need_escapes)
#else
#define ftm_make_json_lexer(json, length, encoding, need_escapes) \
	makeJsonLexContextCstringLen(json, length, encoding, need_escapes)
#endif

/* Bytes are encoded as base64 since 18, what was called characters before. */
#if PG_VERSION_NUM >= 180000
#define ftm_base64_encode(bytes, length, base64, base64_length) \
	pg_b64_encode(bytes, length, base64, base64_length)
#else
#define ftm_base64_encode(bytes, length, base64, base64_length) \
	pg_b64_encode((const char *) (bytes), length, base64, base64_length)
#endif

/* The executor's promise to run only once went without saying in 18. */
#if PG_VERSION_NUM >= 180000
#define ftm_executor_run(execution) \
	ExecutorRun(execution, ForwardScanDirection, 0)
#else
#define ftm_executor_run(execution) \
	ExecutorRun(execution, ForwardScanDirection, 0, true)
#endif

/*
 * Whose rights a query's relations are read with (checkAsUser) moved into a
 * list of its own in 16.
 */
#if PG_VERSION_NUM >= 160000
#define FtmReadPermission			RTEPermissionInfo
#define ftm_read_permissions(query)	((query)->rteperminfos)
#else
#define FtmReadPermission			RangeTblEntry
#define ftm_read_permissions(query)	((query)->rtable)
#endif

#endif							/* FTM_COMPAT_H */
