/*-------------------------------------------------------------------------
 *
 * user_map.c
 *		The user map (table ftm_user_map) as a hash in memory.
 *
 * The loader looks up one id per user-id column and row, the verification the
 * other way round, so both directions are open-addressing hashes without
 * indirect calls.  A million users take about 140 MB; they are read through a
 * cursor, in batches, and never exist as text.
 *
 * Whether an id is a known user's is asked of every value in columns that nobody
 * has decided about, and the answer is no.  A filter of a few bits per user, in
 * which most ids that are no user's find a bit that is not set, says so without
 * hashing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/uuid.h"

#include "base/extension.h"
#include "base/target.h"
#include "compat.h"
#include "ids/user_map.h"

/* Rows fetched at a time. */
#define FETCH_ROWS	10000

/* One direction: id -> its counterpart. */
typedef struct IdPair
{
	pg_uuid_t	id;
	pg_uuid_t	counterpart;
	char		status;			/* for simplehash */
} IdPair;

#define SH_PREFIX idmap
#define SH_ELEMENT_TYPE IdPair
#define SH_KEY_TYPE pg_uuid_t
#define SH_KEY id
#define SH_HASH_KEY(table, key)	hash_bytes((key).data, UUID_LEN)
#define SH_EQUAL(table, a, b)	(memcmp((a).data, (b).data, UUID_LEN) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* Bits of the filter per known user. */
#define FILTER_BITS		16

struct UserMap
{
	idmap_hash *targets;		/* source id -> target id */
	idmap_hash *sources;		/* target id -> source id */
	uint64		digest;
	uint64	   *filter;			/* of the ids that ftm_usermap_knows() */
	uint32		filter_mask;	/* number of its bits, a power of two, less one */
};

/* Users whom the map lacks, by source id; NULL if there are none. */
static idmap_hash *unmapped_users = NULL;

/*
 * Map of the running query.  Which rows a query sees is told by its snapshot
 * and, for the transaction's own changes, the command counter in it.
 */
typedef struct QueryMap
{
	UserMap    *map;
	MemoryContext context;		/* holds the map and this struct */
	int			users;			/* FmgrInfos that refer to it */
	LocalTransactionId transaction;
	TransactionId xmin;
	TransactionId xmax;
	uint32		xcnt;
	CommandId	curcid;
} QueryMap;

/* The latest one, for the next function call to share; or NULL. */
static QueryMap *latest_query_map = NULL;

static char *
uuid_to_cstring(pg_uuid_t *uuid)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   UUIDPGetDatum(uuid)));
}

static void
add_direction(idmap_hash *ids, const pg_uuid_t *id,
			  const pg_uuid_t *counterpart)
{
	bool		found;
	IdPair	   *pair = idmap_insert(ids, *id, &found);

	/* Both columns are unique: only a corrupt index lets this happen. */
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("user id \"%s\" occurs twice in the user map",
						uuid_to_cstring(&pair->id)),
				 errhint("Reindex table ftm_user_map and remove one of the entries.")));
	pair->counterpart = *counterpart;
}

static void
add_pair(UserMap *map, const pg_uuid_t *source, const pg_uuid_t *target)
{
	pg_uuid_t	pair[2];

	add_direction(map->targets, source, target);
	add_direction(map->sources, target, source);

	/* A sum does not depend on the order of the pairs. */
	pair[0] = *source;
	pair[1] = *target;
	map->digest += hash_bytes_extended((unsigned char *) pair, sizeof(pair), 0);
}

/*
 * Refuse a map in which an id is one user's target and another user's source:
 * of such an id in the target nobody could say which of the two it stands
 * for.  That a user keeps the same id is fine.
 */
static void
check_reversible(const UserMap *map)
{
	idmap_iterator iterator;
	IdPair	   *pair;

	idmap_start_iterate(map->targets, &iterator);
	while ((pair = idmap_iterate(map->targets, &iterator)) != NULL)
	{
		if (memcmp(pair->id.data, pair->counterpart.data, UUID_LEN) == 0)
			continue;
		if (idmap_lookup(map->targets, pair->counterpart) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("user map cannot be applied backwards"),
					 errdetail("Target user id \"%s\" is also the source user id of another entry.",
							   uuid_to_cstring(&pair->counterpart)),
					 errhint("Correct the entry in ftm_user_map, or give that user another id in the new auth service.")));
	}
}

/*
 * The bit of an id.  Which bytes of a uuid differ from one to the next depends
 * on how it was made: random ones everywhere, others at either end.
 */
static inline uint32
filter_bit(const UserMap *map, const uint8_t id[UUID_LEN])
{
	uint32		begin;
	uint32		end;

	memcpy(&begin, id, sizeof(begin));
	memcpy(&end, id + UUID_LEN - sizeof(end), sizeof(end));
	return (pg_ntoh32(end) ^ begin) & map->filter_mask;
}

static void
add_to_filter(UserMap *map, const pg_uuid_t *id)
{
	uint32		bit = filter_bit(map, id->data);

	map->filter[bit / 64] |= UINT64CONST(1) << (bit % 64);
}

static void
build_filter(UserMap *map, MemoryContext context)
{
	uint64		members = map->targets->members;
	uint64		bits;
	idmap_iterator iterator;
	IdPair	   *pair;

	if (unmapped_users != NULL)
		members += unmapped_users->members;
	bits = pg_nextpower2_64(Max(members, 64) * FILTER_BITS);
	bits = Min(bits, UINT64CONST(1) << 31);
	map->filter_mask = (uint32) (bits - 1);
	map->filter = MemoryContextAllocExtended(context, bits / 8,
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	idmap_start_iterate(map->targets, &iterator);
	while ((pair = idmap_iterate(map->targets, &iterator)) != NULL)
		add_to_filter(map, &pair->id);
	if (unmapped_users == NULL)
		return;
	idmap_start_iterate(unmapped_users, &iterator);
	while ((pair = idmap_iterate(unmapped_users, &iterator)) != NULL)
		add_to_filter(map, &pair->id);
}

/*
 * Add all rows of the table to map.  latest: take a new snapshot; else that
 * of the running query is used.
 */
static void
read_table(UserMap *map, bool latest)
{
	char	   *sql;
	SPIPlanPtr	plan;
	Portal		portal;

	sql = psprintf("SELECT source_user_id, target_user_id FROM %s.ftm_user_map",
				   ftm_extension_schema_quoted());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	plan = SPI_prepare(sql, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s",
			 SPI_result_code_string(SPI_result));
	portal = SPI_cursor_open(NULL, plan, NULL, NULL, !latest);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			HeapTuple	tuple = SPI_tuptable->vals[row];
			TupleDesc	desc = SPI_tuptable->tupdesc;
			bool		source_isnull;
			bool		target_isnull;
			Datum		source;
			Datum		target;

			source = SPI_getbinval(tuple, desc, 1, &source_isnull);
			target = SPI_getbinval(tuple, desc, 2, &target_isnull);
			if (source_isnull || target_isnull)
				elog(ERROR, "unexpected null in the user map");
			add_pair(map, DatumGetUUIDP(source), DatumGetUUIDP(target));
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	SPI_finish();
}

/*
 * Read the map into context.  The caller has decided what its user may do
 * with the result; the table itself is its owner's.
 */
static UserMap *
load_map(MemoryContext context, bool latest)
{
	UserMap    *map = MemoryContextAllocZero(context, sizeof(UserMap));
	FormerRole	former;

	map->targets = idmap_create(context, 1024, NULL);
	map->sources = idmap_create(context, 1024, NULL);

	former = ftm_become(ftm_extension_owner(), SECURITY_LOCAL_USERID_CHANGE);
	read_table(map, latest);
	ftm_return(&former);

	check_reversible(map);
	build_filter(map, context);
	return map;
}

UserMap *
ftm_usermap_load(MemoryContext context)
{
	return load_map(context, true);
}

/*
 * Reset callback of a memory context in which an FmgrInfo referred to the
 * map; the last one takes the map along.
 */
static void
release_query_map(void *arg)
{
	QueryMap   *query_map = arg;

	if (--query_map->users > 0)
		return;
	if (latest_query_map == query_map)
		latest_query_map = NULL;
	MemoryContextDelete(query_map->context);
}

static bool
is_map_of_query(const QueryMap *query_map, const SnapshotData *snapshot)
{
	return query_map != NULL &&
		query_map->transaction == ftm_local_transaction_id() &&
		query_map->xmin == snapshot->xmin &&
		query_map->xmax == snapshot->xmax &&
		query_map->xcnt == snapshot->xcnt &&
		query_map->curcid == snapshot->curcid;
}

/*
 * Load the map under snapshot, into a context of its own.
 */
static QueryMap *
load_query_map(const SnapshotData *snapshot)
{
	MemoryContext context;
	QueryMap   *query_map;

	/* Below the caller's context until nothing can go wrong any more. */
	context = AllocSetContextCreate(CurrentMemoryContext,
									"ftmigrate user map of a query",
									ALLOCSET_DEFAULT_SIZES);
	query_map = MemoryContextAllocZero(context, sizeof(QueryMap));
	query_map->context = context;
	query_map->transaction = ftm_local_transaction_id();
	query_map->xmin = snapshot->xmin;
	query_map->xmax = snapshot->xmax;
	query_map->xcnt = snapshot->xcnt;
	query_map->curcid = snapshot->curcid;
	query_map->map = load_map(context, false);
	MemoryContextSetParent(context, TopMemoryContext);
	return query_map;
}

/*
 * The map of the running query, kept at least as long as context.
 */
static QueryMap *
share_query_map(MemoryContext context)
{
	MemoryContextCallback *callback;
	QueryMap   *query_map;

	/* Allocated first, so that nothing fails between load and register. */
	callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	if (!is_map_of_query(latest_query_map, GetActiveSnapshot()))
		latest_query_map = load_query_map(GetActiveSnapshot());
	query_map = latest_query_map;
	query_map->users++;
	callback->func = release_query_map;
	callback->arg = query_map;
	MemoryContextRegisterResetCallback(context, callback);
	return query_map;
}

const UserMap *
ftm_usermap_share(MemoryContext context)
{
	return share_query_map(context)->map;
}

const UserMap *
ftm_usermap_for_query(FmgrInfo *flinfo)
{
	if (flinfo->fn_extra == NULL)
		flinfo->fn_extra = share_query_map(flinfo->fn_mcxt);
	return ((QueryMap *) flinfo->fn_extra)->map;
}

static bool
look_up(idmap_hash *ids, const uint8_t id[16], uint8_t counterpart[16])
{
	pg_uuid_t	key;
	IdPair	   *pair;

	memcpy(key.data, id, UUID_LEN);
	pair = idmap_lookup(ids, key);
	if (pair == NULL)
		return false;
	memcpy(counterpart, pair->counterpart.data, UUID_LEN);
	return true;
}

bool
ftm_usermap_target(const UserMap *map, const uint8_t source[16],
				   uint8_t target[16])
{
	return look_up(map->targets, source, target);
}

bool
ftm_usermap_source(const UserMap *map, const uint8_t target[16],
				   uint8_t source[16])
{
	return look_up(map->sources, target, source);
}

bool
ftm_usermap_knows(const UserMap *map, const uint8_t source[16])
{
	uint32		bit = filter_bit(map, source);
	pg_uuid_t	key;
	IdPair	   *pair;

	if ((map->filter[bit / 64] & UINT64CONST(1) << (bit % 64)) == 0)
		return false;
	memcpy(key.data, source, UUID_LEN);
	pair = idmap_lookup(map->targets, key);
	if (pair != NULL)
		return memcmp(pair->counterpart.data, source, UUID_LEN) != 0;
	return unmapped_users != NULL &&
		idmap_lookup(unmapped_users, key) != NULL;
}

bool
ftm_usermap_is_user(const UserMap *map, const uint8_t source[16])
{
	pg_uuid_t	key;

	memcpy(key.data, source, UUID_LEN);
	return (unmapped_users != NULL &&
			idmap_lookup(unmapped_users, key) != NULL) ||
		idmap_lookup(map->targets, key) != NULL;
}

void
ftm_usermap_set_unmapped(const uint8_t *ids, int64 count)
{
	if (unmapped_users != NULL)
		idmap_destroy(unmapped_users);
	unmapped_users = NULL;
	if (count == 0)
		return;
	unmapped_users = idmap_create(TopMemoryContext, count, NULL);
	for (int64 i = 0; i < count; i++)
	{
		pg_uuid_t	key;
		bool		found;

		memcpy(key.data, ids + i * UUID_LEN, UUID_LEN);
		(void) idmap_insert(unmapped_users, key, &found);
	}
}

int64
ftm_usermap_size(const UserMap *map)
{
	return map->targets->members;
}

uint64
ftm_usermap_digest(const UserMap *map)
{
	return map->digest;
}
