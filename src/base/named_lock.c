/*-------------------------------------------------------------------------
 *
 * named_lock.c
 *		Locks on what has a name but no relation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"

#include "base/named_lock.h"
#include "base/target.h"

void
ftm_named_lock_tag(LOCKTAG *tag, NamedLockSpace space, const char *name)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) name,
										   (int) strlen(name), 0);

	SET_LOCKTAG_ADVISORY(*tag,
						 space == LOCK_DIRECTORY ? InvalidOid : MyDatabaseId,
						 (uint32) (hash >> 32), (uint32) hash, space);
}

/*
 * Not every role may see whose session it is: so as the extension's owner.
 */
char *
ftm_named_lock_holder(const LOCKTAG *tag)
{
	static const char sql[] =
		"SELECT pg_catalog.format('It is held by process %s%s%s.', l.pid,"
		"        ', role ' || a.usename, ', since '"
		"        || pg_catalog.to_char(a.query_start, 'YYYY-MM-DD HH24:MI:SS TZ'))"
		"  FROM pg_catalog.pg_locks l"
		"  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
		" WHERE l.granted AND l.locktype = 'advisory'"
		"   AND l.database = $1::pg_catalog.oid AND l.classid = $2::pg_catalog.oid"
		"   AND l.objid = $3::pg_catalog.oid AND l.objsubid = $4::pg_catalog.int2"
		" LIMIT 1";
	const char *params[4] = {psprintf("%u", tag->locktag_field1),
		psprintf("%u", tag->locktag_field2), psprintf("%u", tag->locktag_field3),
	psprintf("%u", tag->locktag_field4)};
	RowSet	   *rows = ftm_target_query_as_owner(sql, 4, params);

	return rows->nrows > 0 ? ftm_rowset_value(rows, 0, 0) : NULL;
}
