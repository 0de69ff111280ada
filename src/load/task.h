/*-------------------------------------------------------------------------
 *
 * task.h
 *		What the leader tells a worker about one table, and how it travels.
 *
 * Payloads of commands and results are flat: integers in network order and
 * counted strings in the database's encoding.  (pq_sendstring() would convert
 * to the client's encoding, which is the leader's client's business only.)
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_TASK_H
#define FTM_TASK_H

#include "lib/stringinfo.h"

#include "plan/plan.h"
#include "verify/verify.h"

/* One table load, with all a worker needs to do it. */
typedef struct TableTask
{
	int64		run_id;
	char	   *table_name;		/* qualified and quoted, of the target */
	Oid			relid;
	LoadMethod	method;
	bool		binary;
	bool		replace;		/* existing => 'truncate' */
	char	   *copy_sql;
	int			copy_query_length;	/* where a condition may be put into it */
	char	   *source_table;	/* qualified and quoted, if it may be read in
								 * ranges of blocks; else NULL */
	char	   *file;			/* import: where the rows are; else NULL */
	char	   *file_sha256;
	uint64		fingerprint;
	int			ncolumns;
	char	  **column_names;	/* of the target, in the stream's order */
	RewriteColumn *columns;
	char	  **decisions;		/* of columns in which ids are counted: see
								 * ftm_user_column_decision(); else NULL */
	bool		keep_undecided; /* such ids are no error */
	bool		ids_stay;		/* what is counted are users who are gone */
	List	   *unvalidated;	/* char *: expressions of CHECK constraints that
								 * the source has never validated */
	TableChecksum *checksum;	/* for a table that an earlier call loaded */
} TableTask;

/* What came of it. */
typedef struct TableResult
{
	bool		kept;			/* loaded by an earlier call, and still right */
	bool		rows_replaced;	/* it held rows that were not the run's; stays in
								 * the worker */
	int64		rows;
	int64		bytes;			/* of the COPY stream */
	int64		ids_mapped;
	int64		ids_kept;
	int64		ids_undecided;	/* values with ids that nobody has decided about */
	double		seconds;
} TableResult;

extern void ftm_task_put_string(StringInfo buffer, const char *value);
extern char *ftm_task_get_string(StringInfo buffer);
extern void ftm_task_put_strings(StringInfo buffer, const List *values);
extern List *ftm_task_get_strings(StringInfo buffer);

extern void ftm_task_put_table(StringInfo buffer, const TableTask *task);
extern TableTask *ftm_task_get_table(StringInfo buffer);

extern void ftm_task_put_result(StringInfo buffer, const TableResult *result);
extern void ftm_task_get_result(StringInfo buffer, TableResult *result);

extern void ftm_task_put_checksum(StringInfo buffer,
								  const TableChecksum *checksum);
extern TableChecksum *ftm_task_get_checksum(StringInfo buffer);

extern void ftm_task_put_sequence(StringInfo buffer,
								  const CatalogSequence *sequence);
extern CatalogSequence *ftm_task_get_sequence(StringInfo buffer);

extern void ftm_task_put_verdict(StringInfo buffer,
								 const VerifyResult *verdict);
extern VerifyResult *ftm_task_get_verdict(StringInfo buffer);

#endif							/* FTM_TASK_H */
