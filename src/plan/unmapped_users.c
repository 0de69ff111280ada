/*-------------------------------------------------------------------------
 *
 * unmapped_users.c
 *		Users whom the source has and the user map lacks.
 *
 * The source's ids come as a stream, so that a million of them take no memory
 * but that of the map; what remains is what the map lacks, which normally is
 * nobody.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "files/json_rows.h"
#include "ids/user_map.h"
#include "plan/unmapped_users.h"

/* The comparison under way. */
typedef struct Comparison
{
	UnmappedUsers *result;
	UserMap    *map;
} Comparison;

static void begin(Comparison *comparison, MemoryContext *map_context);
static void add_user(Comparison *comparison, char *id);
static void add_object(void *arg, const char *object);

UnmappedUsers *
ftm_unmapped_users(SourceConnection *source)
{
	Comparison	comparison;
	MemoryContext map_context;
	static const AnswerShape shape = {
		"ids of users", ANY_ROWS, 0, {UUID_COLUMN}
	};
	char	   *id;

	begin(&comparison, &map_context);
	ftm_source_copy_begin(source, "COPY (SELECT id FROM auth.users) TO STDOUT",
						  1, false);
	while (ftm_source_copy_line(source, &shape, &id))
	{
		CHECK_FOR_INTERRUPTS();
		add_user(&comparison, id);
	}
	MemoryContextDelete(map_context);
	return comparison.result;
}

UnmappedUsers *
ftm_unmapped_users_of_file(const char *path, const char *sha256)
{
	TableTask	task = {0};
	Comparison	comparison;
	MemoryContext map_context;

	begin(&comparison, &map_context);
	task.table_name = "auth.users";
	task.file = unconstify(char *, path);
	task.file_sha256 = unconstify(char *, sha256);
	ftm_json_rows_each(&task, add_object, &comparison);
	MemoryContextDelete(map_context);
	return comparison.result;
}

static void
begin(Comparison *comparison, MemoryContext *map_context)
{
	*map_context = AllocSetContextCreate(CurrentMemoryContext,
										 "ftmigrate user map to compare with",
										 ALLOCSET_DEFAULT_SIZES);
	comparison->map = ftm_usermap_load(*map_context);
	comparison->result = palloc0(sizeof(UnmappedUsers));
	initStringInfo(&comparison->result->ids);
}

static void
add_user(Comparison *comparison, char *id)
{
	UnmappedUsers *result = comparison->result;
	pg_uuid_t  *source = DatumGetUUIDP(DirectFunctionCall1(uuid_in,
														   CStringGetDatum(id)));
	uint8		target[UUID_LEN];

	result->users++;
	if (!ftm_usermap_target(comparison->map, source->data, target))
	{
		result->count++;
		appendBinaryStringInfo(&result->ids, (char *) source->data, UUID_LEN);
	}
	pfree(source);
}

/* A user as an export has one. */
static void
add_object(void *arg, const char *object)
{
	Datum		id = DirectFunctionCall2(json_object_field_text,
										 CStringGetTextDatum(object),
										 CStringGetTextDatum("id"));

	add_user(arg, TextDatumGetCString(id));
}

char *
ftm_unmapped_user(const UnmappedUsers *users, int64 number)
{
	return DatumGetCString(DirectFunctionCall1(uuid_out,
											   PointerGetDatum(users->ids.data + number * UUID_LEN)));
}
