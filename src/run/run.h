/*-------------------------------------------------------------------------
 *
 * run.h
 *		Result sets about runs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_RUN_H
#define FTM_RUN_H

#include "fmgr.h"
#include "nodes/execnodes.h"
#include "nodes/pg_list.h"

/* Parameter "undecided", as in UserIdPolicy; NULL counts as the default. */
extern const char *ftm_run_undecided_arg(FunctionCallInfo fcinfo, int number);

/* Parameter "ids", likewise. */
extern const char *ftm_run_ids_arg(FunctionCallInfo fcinfo, int number);

/*
 * Add a List of RunTableResult to a materialized result set: table_name, rows,
 * bytes, ids_mapped, ids_kept, seconds, status.  Negative numbers: NULL.
 */
extern void ftm_run_put_results(ReturnSetInfo *rsinfo, const List *results);

/*
 * Add a List of VerifyResult: kind, object, source_rows, target_rows,
 * source_checksum, target_checksum, ok, detail.  Negative numbers: NULL.
 */
extern void ftm_run_put_verdicts(ReturnSetInfo *rsinfo, const List *verdicts);

#endif							/* FTM_RUN_H */
