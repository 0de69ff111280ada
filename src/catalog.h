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

#include "ftmigrate.h"
#include "source.h"

/* A type as far as a migration cares; see ftm_catalog_read_source(). */
typedef struct CatalogType
{
	char	   *schema;
	char	   *name;			/* pg_type.typname */
	int32		typmod;			/* -1 if none */
	char	   *display;		/* as format_type() prints it */
	char		typtype;		/* b, c, d, e, r, m */
	bool		is_array;
	char	   *extension;		/* extension that owns the type (or the
								 * array's element), or NULL */
	char	   *base_name;		/* pg_catalog name after flattening domains,
								 * or name itself */
	char	   *base_schema;
	int32		base_typmod;
	char	   *definition;		/* composites: attribute names and types in
								 * order; enums: labels in order; domains:
								 * base type, NOT NULL, checks; ranges:
								 * subtype; NULL for others.  Two ends agree if
								 * the texts are equal. */
	bool		binary_safe;	/* binary output here can be read by the same
								 * type elsewhere: no oid or reg* inside, send
								 * and receive functions, no extension */
} CatalogType;

typedef struct CatalogColumn
{
	int16		attnum;
	char	   *name;
	CatalogType *type;
	bool		not_null;
	bool		has_default;
	char		identity;		/* '\0', 'a', 'd' */
	char		generated;		/* '\0', 's' */
	char	   *expression;		/* generation expression or default, or NULL */
	List	   *generated_from; /* generated columns: names (char *) of the
								 * columns that the expression reads */
	char	   *collation;		/* schema.name if not the type's default */
} CatalogColumn;

typedef struct CatalogTable
{
	Oid			oid;
	char	   *schema;
	char	   *name;
	char	   *qualified;		/* as regclass prints it with an empty
								 * search_path: quoted where needed */
	char		relkind;		/* 'r' or 'p' */
	char		persistence;	/* 'p' or 'u' */
	bool		is_partition;	/* a partition of another table */
	bool		has_children;	/* inheritance children (not partitions) */
	bool		partition_key_needs_root;	/* partitioned: hash key over an
											 * oid-bearing type */
	List	   *partition_key;	/* names of key columns, for 'p' */
	double		rows;			/* estimate: reltuples, for 'p' of all leaves;
								 * -1 if never analyzed */
	int64		bytes;			/* pg_table_size, for 'p' of all leaves */
	bool		published;		/* member of a publication */
	bool		row_security_forced;
	bool		uses_heap;		/* storage is the heap access method */
	List	   *bad_triggers;	/* names of enabled ALWAYS or REPLICA triggers */
	List	   *columns;		/* of CatalogColumn, by attnum, no dropped ones */
	List	   *primary_key;	/* names of its columns, NIL without one */
} CatalogTable;

typedef struct CatalogForeignKey
{
	Oid			oid;			/* of the pg_constraint row */
	char	   *name;
	Oid			relid;			/* referencing table */
	char	   *schema;
	char	   *table;
	List	   *columns;		/* names */
	Oid			ref_relid;
	char	   *ref_schema;
	char	   *ref_table;
	List	   *ref_columns;
	List	   *operators;		/* pk = fk operators, as OPERATOR(s.=) texts */
	char		match;			/* 's' or 'f' */
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
	int64		last_value;		/* valid if readable */
	bool		is_called;
} CatalogSequence;

/* Lists are sorted by schema and name; names compare bytewise. */
typedef struct Catalog
{
	List	   *tables;			/* of CatalogTable in the scope's schemas, no
								 * members of extensions, no partitions unless
								 * said otherwise; partitioned roots and plain
								 * tables */
	List	   *partitions;		/* of CatalogTable: leaves and sub-partitioned
								 * ones (for messages and foreign keys) */
	List	   *foreign_keys;	/* of CatalogForeignKey: every one whose
								 * referencing or referenced table is in the
								 * scope's schemas, other schemas included */
	List	   *sequences;		/* of CatalogSequence in the scope's schemas */
} Catalog;

/*
 * Read a whole catalog, allocated in the current memory context.  Both need
 * an open transaction and see its snapshot; the source's values of sequences
 * are those of this moment.
 */
extern Catalog *ftm_catalog_read_source(SourceConnection *source,
										List *schemas);
extern Catalog *ftm_catalog_read_target(List *schemas);

/* Find by name; NULL if there is none. */
extern CatalogTable *ftm_catalog_table(const Catalog *catalog,
									   const char *schema, const char *name);
extern CatalogColumn *ftm_catalog_column(const CatalogTable *table,
										 const char *name);

#endif							/* FTM_CATALOG_H */
