/*-------------------------------------------------------------------------
 *
 * references.c
 *		Rows of tables outside a run that refer to rows of its tables.
 *
 * Foreign keys between tables of a run are checked at its end.  Those of other
 * tables must be checked before the rows that they refer to are gone for good,
 * which is when the table's load commits.  Nobody writes meanwhile: a row that
 * refers to the table needs a lock on it to be stored, which the load holds
 * exclusively.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "base/target.h"
#include "load/finish.h"
#include "load/references.h"
#include "run/state.h"

/*
 * Keys of tables outside run $1 that refer to one of the relations $2, and were
 * valid before it.
 */
static const char outside_keys_sql[] =
	"SELECT k.oid, quote_ident(k.conname), t.name"
	"  FROM pg_constraint k"
	"  JOIN pg_class c ON c.oid = k.conrelid"
	"  JOIN pg_namespace n ON n.oid = c.relnamespace"
	" CROSS JOIN format('%I.%I', n.nspname, c.relname) AS t (name)"
	"  JOIN @schema@.ftm_run_key r"
	"    ON r.run_id = $1::bigint AND r.valid"
	"   AND r.table_name = t.name AND r.key_name = k.conname"
	" WHERE k.contype = 'f' AND k.conparentid = 0"
	"   AND k.confrelid = ANY ($2::oid[])"
	"   AND NOT EXISTS (SELECT FROM @schema@.ftm_run_table o"
	"        WHERE o.run_id = $1::bigint"
	"          AND o.relid = coalesce(pg_partition_root(k.conrelid), k.conrelid))"
	" ORDER BY t.name, k.conname";

void
ftm_references_check(const TableTask *task, const List *tree)
{
	const char *params[2] = {psprintf(INT64_FORMAT, task->run_id),
	ftm_target_oid_array(tree)};
	RowSet	   *keys = ftm_state_query(outside_keys_sql, 2, params);
	StringInfoData lines;

	initStringInfo(&lines);
	for (int i = 0; i < keys->nrows; i++)
	{
		char	   *sample;
		int64		orphans;

		orphans = ftm_finish_count_orphans(atooid(ftm_rowset_value(keys, i, 0)),
										   &sample);
		if (orphans > 0)
			appendStringInfo(&lines, "%sRows of table %s, by foreign key %s: " INT64_FORMAT ", the first of them with %s.",
							 lines.len > 0 ? "\n" : "",
							 ftm_rowset_value(keys, i, 2),
							 ftm_rowset_value(keys, i, 1), orphans, sample);
	}
	if (lines.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg("rows of other tables refer to rows of table %s that the source does not have",
						task->table_name),
				 errdetail_internal("%s", lines.data),
				 errhint("The table's rows are still there.  Delete the rows that refer to them, or drop these foreign keys, and call the function again.")));
}
