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

#endif							/* FTM_EXTENSION_H */
