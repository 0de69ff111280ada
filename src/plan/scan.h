/*-------------------------------------------------------------------------
 *
 * scan.h
 *		Where the source holds user ids, by value: one statement per table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SCAN_H
#define FTM_SCAN_H

#include "schema/catalog.h"

/* What one column of the source holds. */
typedef struct ScanColumn
{
	const CatalogColumn *column;
	/* numbers of values ... */
	int64		known_ids;		/* that hold the id of a known user */
	int64		unknown_ids;	/* that hold a uuid that no known user has */
	int64		whole_ids;		/* that are the id of a known user, no more */
	int64		inside_ids;		/* with the id of a known user inside */
	int64		file_ids;		/* the same, in the path or address of a
								 * stored file */
	int64		odd_ids;		/* with the id of a known user in mixed case
								 * or without hyphens: never rewritten */
} ScanColumn;

typedef struct TableScan
{
	const CatalogTable *table;
	List	   *columns;		/* of ScanColumn: those that can hold ids */
	char	   *sql;			/* one row per column with ids: its place in
								 * the list and its numbers */
	AnswerShape shape;			/* of these rows */
} TableScan;

/*
 * Who a known user is: a row of auth.users, or a key of ftm_user_map that
 * auth.users lacks.
 */
typedef struct KnownUsers
{
	bool		in_table;		/* the source has auth.users */
	char	   *others;			/* uuid[] as text; NULL if there are none */
	char	   *file_names;		/* text[] as text: stored files that only
								 * storage.objects tells; NULL: none */
} KnownUsers;

/*
 * Can a value of this type have a uuid in it, so that a scan reads it?
 */
extern bool ftm_scan_can_hold_ids(const CatalogType *type);

/*
 * Prepare the source's transaction for scans, and ask the source and the user
 * map (which is read as the owner of the extension) who is known.
 */
extern KnownUsers *ftm_scan_begin(SourceConnection *source);

/*
 * The statement for one table of the source; NULL if no column of it can hold
 * user ids.  target: the same table there, or NULL; columns that it computes
 * by itself are left out.
 */
extern TableScan *ftm_scan_build(const CatalogTable *table,
								 const CatalogTable *target,
								 const KnownUsers *users);

/*
 * Execute scans (List of TableScan) on up to ftmigrate.workers connections,
 * largest tables first, and fill in the numbers.  source has exported snapshot
 * and is one of the connections; the others are made with server, in context.
 */
extern void ftm_scan_execute(List *scans, const KnownUsers *users,
							 SourceConnection *source, const char *snapshot,
							 const SourceServer *server, MemoryContext context);

#endif							/* FTM_SCAN_H */
