/*-------------------------------------------------------------------------
 *
 * state.h
 *		The run's state: ftm_run, ftm_run_*, ftm_log.
 *
 * Called in workers only, inside a transaction of the caller's: the leader's
 * own transaction ends with an error whenever a run fails, and would take the
 * state with it.  All statements run as the owner of the extension.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_STATE_H
#define FTM_STATE_H

#include "datatype/timestamp.h"

#include "load/task.h"
#include "schema/sequence.h"

/* A table as ftm_run_table knows it at the beginning of a call. */
typedef struct RunTable
{
	char	   *name;
	Oid			relid;
	uint64		fingerprint;
	int64		estimated_rows; /* of the source; -1: not known */
	int64		estimated_bytes;
} RunTable;

/* What a call asks for. */
typedef struct RunRequest
{
	char	   *source;
	char	   *options;		/* jsonb text: scope and all parameters */
	char	   *ids;			/* of these: "map" or "keep" */
	char	   *snapshot;
	int64		run_id;			/* of this very call, which goes on after it has
								 * lost the source; else 0 */
	bool		reopens;		/* it was complete; this call goes on with it */
	int			leader_pid;		/* the process that leads the run, and since */
	TimestampTz leader_started; /* when it exists */
	int			source_version; /* as in 150020 */
	int			ntables;
	RunTable   *tables;
} RunRequest;

/* What it gets. */
typedef struct RunTicket
{
	int64		run_id;
	bool		resumed;		/* an unfinished run goes on */
	bool		complete;		/* loaded and verified already: nothing to do */
} RunTicket;

/*
 * Run a statement on the state tables as the owner of the extension; @schema@
 * in it stands for the extension's schema, nparams text parameters follow.
 */
extern RowSet *ftm_state_query(const char *sql, int nparams,
							   const char *const *params);

/*
 * The run that a call is about: the unfinished one from this source, else the
 * last complete one of the same scope; 0 if there is none.  options as in
 * RunRequest.
 */
extern int64 ftm_state_find_run(const char *source, const char *options,
								bool *complete, bool *same_scope);

/*
 * Error if a run from the source that was not rolled back has another value of
 * ids ("map" or "keep"): one part of an application's ids cannot stay while the
 * other is mapped.
 */
extern void ftm_state_refuse_other_ids(const char *source, const char *ids);

/*
 * Find the run to go on with, or begin a new one.  Error if an unfinished run
 * has another scope, or if a complete one's tables have changed since.
 */
extern void ftm_state_begin_run(const RunRequest *request, RunTicket *ticket);

/*
 * The run ended with an error, while it was at object (may be NULL).  Nothing
 * happens if the run has another leader by now.
 */
extern void ftm_state_fail_run(int64 run_id, int leader_pid,
							   TimestampTz leader_started, const char *object,
							   const char *error_code, const char *message);

/* The run ended well: status is 'loaded' or 'verified'. */
extern void ftm_state_end_run(int64 run_id, const char *status);

/*
 * What the source said about writes to it (jsonb text), at the snapshot or at
 * the end of the run.
 */
extern void ftm_state_source_activity(int64 run_id, bool at_end,
									  const char *activity);

/* A table load begins; in a transaction of its own. */
extern void ftm_state_table_loading(const TableTask *task);

/*
 * Remember, for a rollback, which foreign keys of and to a table are valid,
 * and where a sequence is; what an earlier call of the run has remembered
 * stays.  Both in a transaction that commits before, or with, the change.  set
 * is where the run is about to set the sequence, which has this name.
 */
extern void ftm_state_keys_found(int64 run_id, Oid relid);
extern void ftm_state_sequence_found(int64 run_id, Oid relid,
									 const char *sequence,
									 SequencePosition set);

/*
 * Was this table loaded by this run, with the same fingerprint and user map?
 * To be asked while holding the lock on the table.  Fills in what the load
 * counted.  *loaded_otherwise: loaded by this run, but under another plan or
 * map, so that its rows may be replaced.
 */
extern bool ftm_state_table_is_loaded(const TableTask *task, uint64 map_digest,
									  TableResult *result,
									  bool *loaded_otherwise);

/* It is loaded; in the very transaction that loaded it. */
extern void ftm_state_table_loaded(const TableTask *task, uint64 map_digest,
								   const TableResult *result);

/* Verification's verdict on a table of the run. */
extern void ftm_state_table_verified(int64 run_id,
									 const VerifyResult *verdict);

/* A verdict on anything else, which is not there yet. */
extern void ftm_state_verdict(int64 run_id, const VerifyResult *verdict);

/*
 * One line for ftm_log, and for the log file once the transaction has
 * committed; level as PostgreSQL names them ("LOG", "ERROR").  figures is a
 * JSON object, or NULL.
 */
extern void ftm_state_log(int64 run_id, const char *level,
						  const char *table_name, const char *message);
extern void ftm_state_log_figures(int64 run_id, const char *level,
								  const char *table_name, const char *message,
								  const char *figures);

/* The number of the newest run; error 42704 if there is none. */
extern int64 ftm_state_latest_run(void);

#endif							/* FTM_STATE_H */
