/*-------------------------------------------------------------------------
 *
 * extension.h
 *		Where the extension is installed, and to whom it belongs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_EXTENSION_H
#define FTM_EXTENSION_H

#define FTM_EXTENSION_NAME	"ftmigrate"

/*
 * Name of the schema that holds the extension's objects, palloc'd, not
 * quoted.  Error if the extension is not installed in this database.
 */
extern char *ftm_extension_schema(void);

/* The same, quoted for use in SQL: "ext". */
extern const char *ftm_extension_schema_quoted(void);

/* Owner of the extension, in whose name state tables are read and written. */
extern Oid	ftm_extension_owner(void);

/*
 * Error 42501 unless the current user may read a table of the extension: for
 * what hands out its rows, which are read in its owner's name.
 */
extern void ftm_extension_require_select(const char *table);

#endif							/* FTM_EXTENSION_H */
