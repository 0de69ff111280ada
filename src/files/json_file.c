/*-------------------------------------------------------------------------
 *
 * json_file.c
 *		Files of an export: where they may be, how they are called, and how
 *		they come into being.
 *
 * - The server writes with its own operating-system user, so who may call is
 *	 checked here, and so is the place: never through a symbolic link, never
 *	 among the server's own files.
 * - A file has its name only when it is complete and on disk.  Before that it
 *	 is called "name.PID.partial"; an error, a cancel and the end of the process
 *	 remove it, and after a crash its name says what it is; the next export
 *	 removes it then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "catalog/pg_authid.h"
#include "common/cryptohash.h"
#include "common/relpath.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/named_lock.h"
#include "compat.h"
#include "files/json_file.h"

/* Behind the number of the process that writes the file. */
#define PARTIAL_SUFFIX	".partial"

/* Bytes between two writes. */
#define WRITE_SIZE		(256 * 1024)

/* How files are opened that somebody else may have put there. */
#define READ_FLAGS	(O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY)

/* zlib: window of 32 kB, and 16 more for the gzip format. */
#define GZIP_WINDOW		(15 + 16)
#define GZIP_LEVEL		6
#define ZLIB_MEMORY		8

struct JsonFile
{
	char	   *path;			/* the final name */
	char	   *partial;		/* the name until then */
	int			fd;
	bool		compress;
	bool		finished;
	z_stream	zlib;
	pg_cryptohash_ctx *hash;
	int64		bytes;
	size_t		used;			/* of buffer */
	char		buffer[WRITE_SIZE];
};

static void check_place(const char *name, const char *resolved);
static void deflate_bytes(JsonFile *file, const void *data, size_t length,
						  int flush);
static void write_bytes(JsonFile *file, const char *data, size_t length);
static void flush_buffer(JsonFile *file);
pg_noreturn static void raise_hash_error(JsonFile *file);

char *
ftm_json_output_directory(const char *name)
{
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to write files on the server"),
				 errhint("Be a superuser or a member of the role pg_write_server_files.")));
	return ftm_json_directory(name);
}

char *
ftm_json_directory(const char *name)
{
	char	   *directory = pstrdup(name);
	char		resolved[PATH_MAX];

	canonicalize_path(directory);
	if (!is_absolute_path(directory))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("directory \"%s\" is not an absolute path", name)));
	if (realpath(directory, resolved) == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not access directory \"%s\": %m", name),
				 errhint("Create it, owned by the operating-system user of the server.")));
	if (strcmp(directory, resolved) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("directory \"%s\" is reached through a symbolic link",
						name),
				 errhint("Name the directory itself: \"%s\".", resolved)));
	check_place(name, resolved);
	return directory;
}

/*
 * It must be a directory, and none of those that the server keeps its own
 * files in, wherever links of the data directory lead.
 */
static void
check_place(const char *name, const char *resolved)
{
	static const char *const own[] = {".", "pg_wal", "pg_tblspc"};
	struct stat status;

	if (stat(resolved, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not access directory \"%s\": %m", name)));
	if (!S_ISDIR(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a directory", name)));
	for (int i = 0; i < (int) lengthof(own); i++)
	{
		char		place[PATH_MAX];

		/* The data directory is the working directory of every backend. */
		if (realpath(own[i], place) != NULL &&
			path_is_prefix_of_path(place, resolved))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("directory \"%s\" is part of the server's data directory",
							name)));
	}
	if (strstr(resolved, "/" TABLESPACE_VERSION_DIRECTORY) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("directory \"%s\" is part of a tablespace", name)));
}

void
ftm_json_directory_lock(const char *directory, bool exclusive)
{
	LOCKTAG		tag;
	char	   *holder;

	ftm_named_lock_tag(&tag, LOCK_DIRECTORY, directory);
	if (LockAcquire(&tag, exclusive ? ExclusiveLock : ShareLock,
					false, true) != LOCKACQUIRE_NOT_AVAIL)
		return;
	holder = ftm_named_lock_holder(&tag);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("directory \"%s\" is in use by an export, import or verification of another session",
					directory),
			 holder != NULL ? errdetail_internal("%s", holder) : 0,
			 errhint("Wait for it to end, or use another directory.")));
}

static void
append_name(StringInfo text, const char *name)
{
	for (const char *c = name; *c != '\0'; c++)
	{
		if ((unsigned char) *c < ' ' || *c == 0x7f ||
			strchr("/\\%.:*?\"<>|", *c) != NULL)
			appendStringInfo(text, "%%%02X", (unsigned char) *c);
		else
			appendStringInfoChar(text, *c);
	}
}

char *
ftm_json_file_name(const char *schema, const char *table, bool compress)
{
	StringInfoData name;

	initStringInfo(&name);
	append_name(&name, schema);
	appendStringInfoChar(&name, '.');
	append_name(&name, table);
	appendStringInfoString(&name, compress ? ".json.gz" : ".json");
	return name.data;
}

char *
ftm_json_file_path(const char *directory, const char *name)
{
	return psprintf("%s/%s", directory,
					pg_server_to_any(name, (int) strlen(name), PG_UTF8));
}

void
ftm_json_file_refuse_existing(const char *path, bool overwrite)
{
	struct stat status;

	if (lstat(path, &status) != 0)
	{
		if (errno == ENOENT)
			return;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not access file \"%s\": %m", path)));
	}
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" exists and is not a regular file", path)));
	if (!overwrite)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_FILE),
				 errmsg("file \"%s\" exists already", path),
				 errhint("Use an empty directory, or overwrite => true.")));
}

/*
 * Is it the temporary name of a file, and the process that wrote it no more?
 */
static bool
is_leftover(const char *name)
{
	const char *end = strstr(name, PARTIAL_SUFFIX);
	const char *begin = end;
	long		pid;

	if (end == NULL || end[strlen(PARTIAL_SUFFIX)] != '\0')
		return false;
	while (begin > name && isdigit((unsigned char) begin[-1]))
		begin--;
	if (begin == end || begin == name || begin[-1] != '.')
		return false;
	pid = strtol(begin, NULL, 10);
	return pid > 0 && pid <= INT_MAX &&
		kill((pid_t) pid, 0) != 0 && errno == ESRCH;
}

void
ftm_json_file_remove_leftovers(const char *directory)
{
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;

	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		char	   *path = psprintf("%s/%s", directory, entry->d_name);

		if (is_leftover(entry->d_name) && unlink(path) != 0 && errno != ENOENT)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", path)));
		pfree(path);
	}
	FreeDir(dir);
}

/* zlib's memory comes from a memory context, which frees it after an error. */
static voidpf
allocate(voidpf context, uInt items, uInt size)
{
	return MemoryContextAllocExtended((MemoryContext) context,
									  (Size) items * size, MCXT_ALLOC_NO_OOM);
}

static void
release(voidpf context pg_attribute_unused(), voidpf memory)
{
	pfree(memory);
}

JsonFile *
ftm_json_file_create(const char *path, bool compress)
{
	JsonFile   *file = palloc0(sizeof(JsonFile));

	file->path = pstrdup(path);
	file->partial = psprintf("%s.%d" PARTIAL_SUFFIX, path, MyProcPid);
	file->compress = compress;
	if (compress)
	{
		file->zlib.zalloc = allocate;
		file->zlib.zfree = release;
		file->zlib.opaque = CurrentMemoryContext;
		if (deflateInit2(&file->zlib, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW,
						 ZLIB_MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY),
					 errmsg("out of memory")));
	}
	file->hash = pg_cryptohash_create(PG_SHA256);
	if (file->hash == NULL || pg_cryptohash_init(file->hash) < 0)
		raise_hash_error(file);

	/* An earlier process with our number may have left one. */
	(void) unlink(file->partial);

	/* O_EXCL does not follow a symbolic link either. */
	file->fd = OpenTransientFilePerm(file->partial,
									 O_WRONLY | O_CREAT | O_EXCL | PG_BINARY,
									 S_IRUSR | S_IWUSR);
	if (file->fd < 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create file \"%s\": %m", file->partial)));
	return file;
}

void
ftm_json_file_write(JsonFile *file, const void *data, size_t length)
{
	if (file->compress)
		deflate_bytes(file, data, length, Z_NO_FLUSH);
	else
		write_bytes(file, data, length);
}

/*
 * Run the compressor until it has taken all of data (and, with Z_FINISH, given
 * out everything), straight into the buffer.
 */
static void
deflate_bytes(JsonFile *file, const void *data, size_t length, int flush)
{
	int			result;

	file->zlib.next_in = unconstify(void *, data);
	file->zlib.avail_in = (uInt) length;	/* a row has less than 1 GB */
	do
	{
		if (file->used == WRITE_SIZE)
			flush_buffer(file);
		file->zlib.next_out = (Bytef *) file->buffer + file->used;
		file->zlib.avail_out = (uInt) (WRITE_SIZE - file->used);
		result = deflate(&file->zlib, flush);
		if (result == Z_STREAM_ERROR)
			elog(ERROR, "could not compress file \"%s\"", file->path);
		file->used = WRITE_SIZE - file->zlib.avail_out;
	} while (flush == Z_FINISH ? result != Z_STREAM_END :
			 file->zlib.avail_in > 0 || file->zlib.avail_out == 0);
}

static void
write_bytes(JsonFile *file, const char *data, size_t length)
{
	while (length > 0)
	{
		size_t		part;

		if (file->used == WRITE_SIZE)
			flush_buffer(file);
		part = Min(length, WRITE_SIZE - file->used);
		memcpy(file->buffer + file->used, data, part);
		file->used += part;
		data += part;
		length -= part;
	}
}

static void
flush_buffer(JsonFile *file)
{
	size_t		done = 0;

	CHECK_FOR_INTERRUPTS();
	while (done < file->used)
	{
		ssize_t		written;

		errno = 0;
		written = write(file->fd, file->buffer + done, file->used - done);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			/* A short write without an error means a full disk. */
			if (errno == 0)
				errno = ENOSPC;
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not write file \"%s\": %m", file->partial)));
		}
		done += written;
	}
	if (pg_cryptohash_update(file->hash, (uint8 *) file->buffer,
							 file->used) < 0)
		raise_hash_error(file);
	file->bytes += file->used;
	file->used = 0;
}

void
ftm_json_file_finish(JsonFile *file, JsonFileInfo *info)
{
	uint8		digest[PG_SHA256_DIGEST_LENGTH];

	if (file->compress)
	{
		deflate_bytes(file, "", 0, Z_FINISH);
		(void) deflateEnd(&file->zlib);
	}
	flush_buffer(file);
	if (pg_cryptohash_final(file->hash, digest, sizeof(digest)) < 0)
		raise_hash_error(file);
	pg_cryptohash_free(file->hash);

	if (pg_fsync(file->fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not fsync file \"%s\": %m", file->partial)));
	if (CloseTransientFile(file->fd) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not close file \"%s\": %m", file->partial)));
	(void) durable_rename(file->partial, file->path, ERROR);
	file->finished = true;

	info->bytes = file->bytes;
	(void) hex_encode((char *) digest, sizeof(digest), info->sha256);
	info->sha256[2 * sizeof(digest)] = '\0';
}

/*
 * The descriptor is closed at the end of the transaction.  Nobody hears of a
 * failure here: the error that brought us here is the one to report.
 */
void
ftm_json_file_discard(int code pg_attribute_unused(), Datum arg)
{
	JsonFile   *file = (JsonFile *) DatumGetPointer(arg);

	if (!file->finished)
		(void) unlink(file->partial);
}

void
ftm_json_file_save(const char *path, const char *text, JsonFileInfo *info)
{
	const char *utf8 = pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	JsonFile   *file = ftm_json_file_create(path, false);

	PG_ENSURE_ERROR_CLEANUP(ftm_json_file_discard, PointerGetDatum(file));
	{
		ftm_json_file_write(file, utf8, strlen(utf8));
		ftm_json_file_finish(file, info);
	}
	PG_END_ENSURE_ERROR_CLEANUP(ftm_json_file_discard, PointerGetDatum(file));
	pfree(file);
}

/*
 * Without waiting for the other end of a FIFO or for a device, which could not
 * be interrupted: what it is is known once it is open.
 */
int
ftm_json_file_open(const char *path)
{
	int			fd = OpenTransientFile(path, READ_FLAGS);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open file \"%s\": %m", path),
				 errhint("Without it, the directory is not a complete export.")));
	if (!S_ISREG(status.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a regular file", path)));
	return fd;
}

void
ftm_json_file_sha256(int fd, const char *path, char text[JSON_SHA256_SIZE])
{
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	uint8	   *buffer = palloc(WRITE_SIZE);
	bool		ok = hash != NULL && pg_cryptohash_init(hash) == 0;

	while (ok)
	{
		ssize_t		length = read(fd, buffer, WRITE_SIZE);

		CHECK_FOR_INTERRUPTS();
		if (length < 0 && errno == EINTR)
			continue;
		if (length < 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read file \"%s\": %m", path)));
		if (length == 0)
			break;
		ok = pg_cryptohash_update(hash, buffer, length) == 0;
	}
	if (!ok || pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not compute the SHA-256 of file \"%s\"", path)));
	pg_cryptohash_free(hash);
	pfree(buffer);
	(void) hex_encode((char *) digest, sizeof(digest), text);
	text[2 * sizeof(digest)] = '\0';
}

char *
ftm_json_file_read(const char *path)
{
	int			fd = ftm_json_file_open(path);
	struct stat status;
	char	   *text;
	ssize_t		length;

	if (fstat(fd, &status) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", path)));
	if ((Size) status.st_size >= MaxAllocSize)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("file \"%s\" has 1 GB or more", path)));
	text = palloc(status.st_size + 1);
	length = read(fd, text, status.st_size);
	if (length != status.st_size)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read file \"%s\": %m", path)));
	text[length] = '\0';
	(void) CloseTransientFile(fd);
	return pg_any_to_server(text, (int) length, PG_UTF8);
}

static void
raise_hash_error(JsonFile *file)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("could not compute the SHA-256 of file \"%s\": %s",
					file->path, pg_cryptohash_error(file->hash))));
}
