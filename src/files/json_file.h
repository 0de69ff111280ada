/*-------------------------------------------------------------------------
 *
 * json_file.h
 *		Files of an export: where they may be, how they are called, and how
 *		they come into being.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_JSON_FILE_H
#define FTM_JSON_FILE_H

#define JSON_METADATA_FILE	"metadata.json"
#define JSON_USERS_FILE		"auth_users.json"
#define JSON_USER_MAP_FILE	"user-mapping.json"

/* Form of the directory; to be raised when it changes. */
#define JSON_EXPORT_FORMAT	2

/* SHA-256 in hexadecimal, with its terminator. */
#define JSON_SHA256_SIZE	65

/* A file that is being written. */
typedef struct JsonFile JsonFile;

/* What a finished file is. */
typedef struct JsonFileInfo
{
	int64		bytes;			/* on disk, compressed if it is */
	char		sha256[JSON_SHA256_SIZE];	/* of those bytes */
} JsonFileInfo;

/*
 * Check that name is an existing directory: absolute, without symbolic links,
 * not the server's own.  Returns its name in canonical form.
 */
extern char *ftm_json_directory(const char *name);

/*
 * Keep other sessions from writing into a directory, and if exclusive from
 * reading it, until the end of the transaction; error 55006 if one is at it.
 */
extern void ftm_json_directory_lock(const char *directory, bool exclusive);

/*
 * Open a regular file, not through a symbolic link, until the end of the
 * transaction; and compute the SHA-256 of all that is to be read from it.
 */
extern int	ftm_json_file_open(const char *path);
extern void ftm_json_file_sha256(int fd, const char *path,
								 char text[JSON_SHA256_SIZE]);

/*
 * A small file as a whole, in the database's encoding.  Errors: those of the
 * file system, 1 GB or more, not UTF-8.
 */
extern char *ftm_json_file_read(const char *path);

/*
 * Check that the current user may write files on the server; then the same
 * as ftm_json_directory().
 */
extern char *ftm_json_output_directory(const char *name);

/*
 * Name of a table's file: "schema.table.json".  What would not be safe in a
 * file name is written as %XX, and so is a dot in either name.
 */
extern char *ftm_json_file_name(const char *schema, const char *table,
								bool compress);

/* Its path: names of files are UTF-8, as what is in them. */
extern char *ftm_json_file_path(const char *directory, const char *name);

/*
 * Error if path exists and may not be, or cannot be, replaced.
 */
extern void ftm_json_file_refuse_existing(const char *path, bool overwrite);

/*
 * Remove what processes that are gone have left half-written in the directory.
 */
extern void ftm_json_file_remove_leftovers(const char *directory);

/*
 * Write a file, gzipped if compress.  It has a temporary name until
 * ftm_json_file_finish() has flushed it to disk and renamed it; whoever writes
 * calls ftm_json_file_discard() if that does not happen.  Needs a transaction,
 * at whose end the file is closed.  Errors: those of the file system.
 */
extern JsonFile *ftm_json_file_create(const char *path, bool compress);
extern void ftm_json_file_write(JsonFile *file, const void *data, size_t length);
extern void ftm_json_file_finish(JsonFile *file, JsonFileInfo *info);

/* For PG_ENSURE_ERROR_CLEANUP(); arg is the JsonFile. */
extern void ftm_json_file_discard(int code, Datum arg);

/*
 * All of these in one, for a file that is in memory, in the database's
 * encoding; JSON is UTF-8.
 */
extern void ftm_json_file_save(const char *path, const char *text,
							   JsonFileInfo *info);

#endif							/* FTM_JSON_FILE_H */
