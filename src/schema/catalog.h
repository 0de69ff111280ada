/*-------------------------------------------------------------------------
 *
 * catalog.h
 *		What a database has: tables, columns, keys, sequences.
 *
 * Read with the same few set-based queries on the source (over libpq) and on
 * the target (through SPI), so that both ends are described alike.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CATALOG_H
#define FTM_CATALOG_H

#include "nodes/pg_list.h"

#include "remote/source.h"
#include "schema/recorded_answers.h"

/*
 * A type as a column has it.  Types are compared by name, never by OID: OIDs
 * differ between two databases.
 */
typedef struct CatalogType
{
	char	   *schema;
	char	   *name;			/* pg_type.typname */
	int32		typmod;			/* -1 if none */
	char	   *display;		/* as format_type() prints it, user types with
								 * their schema */
	char		typtype;		/* b, c, d, e, r, m */
	bool		is_array;
	char	   *extension;		/* extension that owns the type (or the
								 * array's element), or NULL */
	char	   *base_name;		/* pg_type.typname after flattening domains,
								 * or name itself */
	char	   *base_schema;
	int32		base_typmod;
	struct CatalogType *base;	/* domains: the type one level down */
	struct CatalogType *element;	/* arrays: the element, which has the
									 * array's typmod */
	List	   *labels;			/* enums: labels (char *) in order */
	char	   *definition;		/* composites: attribute names and types in
								 * order; enums: labels in order; domains:
								 * base type, NOT NULL, checks; ranges:
								 * subtype; arrays: the element's; NULL for
								 * others.  What is nested is spelled out where
								 * it comes first, so two ends agree if the
								 * texts are equal. */
	bool		binary_safe;	/* binary output here can be read by the same
								 * type elsewhere: no reg* or xml inside, send
								 * and receive functions, no extension */
} CatalogType;

typedef struct CatalogColumn
{
	int16		attnum;
	char	   *name;
	CatalogType *type;
	bool		not_null;		/* of the column or of its domain */
	bool		has_default;	/* of the column or of its type */
	char		identity;		/* '\0', 'a', 'd' */
	char		generated;		/* '\0', 's' */
	char	   *expression;		/* generation expression or default, or NULL */
	List	   *generated_from; /* generated columns: names (char *) of the
								 * columns that the expression reads */
} CatalogColumn;

typedef struct CatalogTable
{
	Oid			oid;
	char	   *schema;
	char	   *name;
	char	   *qualified;		/* as regclass prints it with an empty
								 * search_path: quoted where needed */
	char		relkind;		/* 'r' or 'p'; 'v', 'm', 'f' in others */
	char		persistence;	/* 'p' or 'u' */
	Oid			root;			/* partitions: the topmost partitioned table;
								 * else the table itself */
	double		rows;			/* estimate: reltuples, for 'p' of all leaves;
								 * -1 if never analyzed.  Source only. */
	int64		bytes;			/* pg_table_size, for 'p' of all leaves.
								 * Source only. */
	bool		readable;		/* the session's role has SELECT, and USAGE
								 * on the schema */
	bool		owned;			/* the session's role has the owner's rights,
								 * and those of the partitions' owners */
	bool		row_security_active;	/* row level security applies to the
										 * session's role */
	bool		published;		/* it or one of its partitions is member of a
								 * publication.  Target only. */
	bool		uses_heap;		/* storage is the heap access method */
	List	   *bad_triggers;	/* names of triggers enabled ALWAYS or REPLICA,
								 * partitions' included */
	List	   *unvalidated;	/* char *: expressions of CHECK constraints that
								 * are not valid, partitions' included */
	List	   *columns;		/* of CatalogColumn, by attnum, no dropped ones */
	List	   *primary_key;	/* names of its columns, NIL without one */
} CatalogTable;

typedef struct CatalogForeignKey
{
	Oid			oid;			/* of the pg_constraint row */
	char	   *name;
	Oid			relid;			/* referencing table */
	Oid			root;			/* its partitioned root, or itself */
	char	   *schema;
	char	   *table;
	List	   *columns;		/* names */
	Oid			ref_relid;		/* referenced table */
	Oid			ref_root;		/* its partitioned root, or itself */
	char	   *ref_schema;
	char	   *ref_table;
	List	   *ref_columns;
	List	   *operators;		/* pk = fk operators, as OPERATOR(s.=) texts */
	char		match;			/* 's' or 'f' ('p' does not exist yet) */
	bool		valid;
	bool		is_partition_child; /* conparentid is set */
} CatalogForeignKey;

typedef struct CatalogSequence
{
	Oid			oid;
	char	   *schema;
	char	   *name;
	char	   *qualified;
	char	   *owner_schema;	/* table and column that own it, or NULL */
	char	   *owner_table;
	char	   *owner_column;
	int64		minimum;
	int64		maximum;
	bool		readable;		/* the session's role has SELECT */
	bool		in_scope;		/* its schema is one of the scope's */
	List	   *columns;		/* char *: "schema"."table"."column", always
								 * quoted, of tables of the scope whose
								 * defaults take numbers from it */
	int64		last_value;		/* these two only if readable */
	bool		is_called;
} CatalogSequence;

/* Lists are sorted by schema and name; names compare bytewise. */
typedef struct Catalog
{
	int			version;		/* server version, as in 150020 */
	List	   *missing_schemas;	/* schemas of the scope that do not exist */
	List	   *tables;			/* of CatalogTable in the scope's schemas:
								 * plain tables and partitioned roots, no
								 * members of extensions, no temporary ones */
	List	   *partitions;		/* of CatalogTable: leaves and sub-partitioned
								 * ones */
	List	   *others;			/* of CatalogTable, without columns: views,
								 * materialized views, foreign tables */
	List	   *foreign_keys;	/* of CatalogForeignKey: every one in the
								 * database, since user ids may be passed on
								 * through tables outside the scope */
	List	   *sequences;		/* of CatalogSequence in the scope's schemas,
								 * or used by tables that are */
	bool		has_users;		/* there is a table auth.users, ... */
	bool		users_readable; /* which the session's role may read.  Source
								 * only, both. */
} Catalog;

/*
 * Read a whole catalog, allocated in the current memory context.  Both need
 * an open transaction and see its snapshot; the source's values of sequences
 * are those of this moment.
 */
extern Catalog *ftm_catalog_read_source(SourceConnection *source,
										List *schemas);
extern Catalog *ftm_catalog_read_target(List *schemas);

/*
 * The source's in two halves, as with ftm_source_send_query().  In between, the
 * second function, which may be left out, waits for the answers and asks what
 * follows from them.
 */
typedef struct CatalogReader CatalogReader;

extern CatalogReader *ftm_catalog_ask_source(SourceConnection *source,
											 List *schemas);
extern void ftm_catalog_ask_rest(CatalogReader *reader);
extern Catalog *ftm_catalog_receive(CatalogReader *reader);

/*
 * Read the source's, and record all answers; and read a catalog from a record
 * instead of a source.  The record may be of more schemas.
 */
extern Catalog *ftm_catalog_record_source(SourceConnection *source,
										  List *schemas,
										  SourceRecord *record);
extern Catalog *ftm_catalog_read_record(SourceRecord *record, List *schemas);

/* Find by name; NULL if there is none. */
extern CatalogTable *ftm_catalog_table(const Catalog *catalog,
									   const char *schema, const char *name);
extern CatalogTable *ftm_catalog_table_by_oid(const Catalog *catalog, Oid oid);
extern CatalogColumn *ftm_catalog_column(const CatalogTable *table,
										 const char *name);

/* Does a default of the table, or of one of its partitions, take numbers? */
extern bool ftm_catalog_uses_sequence(const CatalogTable *table,
									  const CatalogSequence *sequence);

/*
 * A name for SQL that the source will read, always in double quotes: which
 * words are reserved depends on the server's version, so quote_identifier()
 * knows the target's only.
 */
extern char *ftm_catalog_quote(const char *name);
extern char *ftm_catalog_quote_qualified(const char *schema, const char *name);

/* The text of an SQL array with these elements (char *). */
extern char *ftm_catalog_array_text(List *strings);

#endif							/* FTM_CATALOG_H */
