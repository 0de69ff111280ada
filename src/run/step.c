/*-------------------------------------------------------------------------
 *
 * step.c
 *		The steps of a run, each as tasks for the pool's workers.
 *
 * A step makes one task per table, key or sequence, has the pool do them all,
 * and judges what came of them.  leader.c says in which order.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/expression.h"
#include "base/extension.h"
#include "base/target.h"
#include "plan/orphans.h"
#include "plan/user_column.h"
#include "run/progress.h"
#include "run/state.h"
#include "run/step.h"
#include "verify/source_activity.h"
#include "verify/verify_schema.h"

/* Unmapped users among whom one is looked for that was not left out. */
#define MAX_USERS_LOOKED_UP	1000

void
ftm_step_open_sources(WorkerPool *pool, const SourceServer *server)
{
	StringInfoData payload;

	initStringInfo(&payload);
	pq_sendint32(&payload, server->serverid);
	ftm_task_put_string(&payload, server->name);
	ftm_pool_send_all(pool, COMMAND_OPEN_SOURCE, &payload);
}

void
ftm_step_set_snapshot(WorkerPool *pool, const char *snapshot)
{
	StringInfoData payload;

	initStringInfo(&payload);
	ftm_task_put_string(&payload, snapshot);
	ftm_pool_send_all(pool, COMMAND_SET_SNAPSHOT, &payload);
}

void
ftm_step_join_run(WorkerPool *pool, int64 run_id,
				  const UnmappedUsers *unmapped)
{
	StringInfoData payload;

	initStringInfo(&payload);
	pq_sendint64(&payload, run_id);
	pq_sendint64(&payload, unmapped != NULL ? unmapped->count : 0);
	if (unmapped != NULL)
		pq_sendbytes(&payload, unmapped->ids.data, unmapped->ids.len);
	ftm_pool_send_all(pool, COMMAND_JOIN_RUN, &payload);
	ftm_pool_await_all(pool);
}

/*
 * Who is a known user besides those in the map?  Asked after users were
 * created, and only if ids are counted anywhere.
 */
void
ftm_step_find_unmapped_users(Leader *leader)
{
	const ImportDirectory *import = leader->options->import;

	if (!leader->plan->counts_ids)
		return;
	if (import == NULL)
	{
		if (leader->plan->source->users_readable)
			leader->unmapped = ftm_unmapped_users(leader->source);
	}
	else if (import->users_file != NULL)
		leader->unmapped = ftm_unmapped_users_of_file(import->users_file,
													  import->users_sha256);
}

/*
 * Users who came after the map was made: named, since their rows keep ids that
 * the new auth service does not know.  Not those who were left out on purpose.
 */
void
ftm_step_report_unmapped_users(Leader *leader)
{
	const char *params[1];
	List	   *ids = NIL;
	RowSet	   *rows;
	char	   *message;

	if (leader->unmapped == NULL || leader->unmapped->count == 0 ||
		leader->plan->ids_stay)
		return;
	for (int64 i = 0; i < Min(leader->unmapped->count, MAX_USERS_LOOKED_UP); i++)
		ids = lappend(ids, ftm_unmapped_user(leader->unmapped, i));
	params[0] = ftm_catalog_array_text(ids);
	rows = ftm_target_query_as_owner(psprintf("SELECT i.id FROM pg_catalog.unnest($1::pg_catalog.uuid[]) WITH ORDINALITY AS i (id, place)"
											  " WHERE NOT EXISTS (SELECT FROM %s.ftm_user AS u"
											  " WHERE u.source_user_id = i.id AND u.status = 'skipped')"
											  " ORDER BY i.place LIMIT 1",
											  ftm_extension_schema_quoted()),
									 1, params);
	if (rows->nrows == 0)
		return;
	message = psprintf("users of the source that the user map lacks: " INT64_FORMAT " of " INT64_FORMAT ", such as %s",
					   leader->unmapped->count, leader->unmapped->users,
					   ftm_rowset_value(rows, 0, 0));
	ereport(WARNING,
			(errmsg_internal("%s", message),
			 errhint("Create or match them, or enter them in ftm_user_map, unless they are to be left behind.")));
	ftm_progress_log(leader->pool, "WARNING", message, NULL);
}

static PoolTask *
make_task(WorkerCommand command, const char *object, void *arg,
		  void (*done) (void *arg, StringInfo result))
{
	PoolTask   *task = palloc0(sizeof(PoolTask));

	task->command = command;
	task->payload = makeStringInfo();
	task->object = object;
	task->arg = arg;
	task->done = done;
	return task;
}

void
ftm_step_invalidate_keys(Leader *leader)
{
	PoolTask   *task = make_task(COMMAND_INVALIDATE_KEYS, NULL, NULL, NULL);
	ListCell   *lc;

	pq_sendint32(task->payload, list_length(leader->plan->tables));
	foreach(lc, leader->plan->tables)
		pq_sendint32(task->payload, ((PlanTable *) lfirst(lc))->target->oid);
	ftm_pool_run(leader->pool, list_make1(task));
}

static void
table_loaded(void *arg, StringInfo result)
{
	RunTableResult *table = arg;

	ftm_task_get_result(result, &table->counts);
	table->status = table->counts.kept ? "kept" : "loaded";
	ftm_progress_report_table(table->table_name, &table->counts);
}

static TableChecksum *
build_checksum(const Leader *leader, const PlanTable *table)
{
	TableChecksum *checksum = ftm_checksum_build(table);

	if (leader->options->import != NULL)
		ftm_import_adapt_checksum(leader->options->import, table, checksum);
	return checksum;
}

/* Are ids in columns that nobody has decided about no error? */
static bool
keeps_undecided(const Leader *leader)
{
	const char *undecided = leader->options->policy.undecided;

	return undecided != NULL && strcmp(undecided, "keep") == 0;
}

static TableTask *
make_load(const Leader *leader, const PlanTable *table)
{
	TableTask  *load = palloc0(sizeof(TableTask));
	ListCell   *lc;

	load->run_id = leader->run_id;
	load->table_name = table->name;
	load->relid = table->target->oid;
	load->method = table->method;
	load->binary = table->binary;
	load->replace = leader->options->replace;
	load->copy_sql = table->copy_sql;
	load->copy_query_length = (int) table->copy_query_length;
	if (table->source->uses_heap &&
		table->source->relkind == RELKIND_RELATION)
		load->source_table = ftm_catalog_quote_qualified(table->source->schema,
														 table->source->name);
	load->fingerprint = table->fingerprint;
	load->unvalidated = table->source->unvalidated;
	load->checksum = build_checksum(leader, table);
	if (leader->options->import != NULL)
		ftm_import_adapt_task(leader->options->import, table, load);
	load->column_names = palloc(sizeof(char *) * Max(1, list_length(table->columns)));
	load->columns = palloc(sizeof(RewriteColumn) * Max(1, list_length(table->columns)));
	load->decisions = palloc0(sizeof(char *) * Max(1, list_length(table->columns)));
	load->keep_undecided = keeps_undecided(leader);
	load->ids_stay = leader->plan->ids_stay;
	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		if (column->generated)
			continue;
		load->column_names[load->ncolumns] = column->target->name;
		load->columns[load->ncolumns].mode = column->mode;
		if (column->count != REWRITE_KEEP &&
			(!column->counts_gone || leader->unmapped != NULL))
		{
			load->columns[load->ncolumns].mode = column->count;
			load->decisions[load->ncolumns] =
				ftm_user_column_decision(table->source, column->source);
		}
		load->columns[load->ncolumns].unmapped_is_error =
			column->unmapped_is_error;
		load->ncolumns++;
	}
	return load;
}

static PoolTask *
make_analysis(const PlanTable *table)
{
	PoolTask   *task = make_task(COMMAND_ANALYZE_TABLE, table->name, NULL, NULL);

	pq_sendint32(task->payload, table->target->oid);
	return task;
}

/*
 * Whoever has no table left to load begins to analyze those that are loaded,
 * unless something of them is still to come that ANALYZE looks at.
 */
static PoolTask *
make_load_task(Leader *leader, const PlanTable *table, RunTableResult *result)
{
	PoolTask   *task = make_task(COMMAND_LOAD_TABLE, table->name, result,
								 table_loaded);
	PoolTask   *analysis = make_analysis(table);

	ftm_task_put_table(task->payload, make_load(leader, table));
	if (!table->postpones)
		task->follow_up = analysis;
	leader->analyses = lappend(leader->analyses, analysis);

	result->table_name = table->name;
	result->status = "pending";
	leader->results = lappend(leader->results, result);
	return task;
}

/*
 * A table of the second wave, and whether its rows are what the schema's code
 * makes of them now that all others are there.
 */
typedef struct GeneratedCheck
{
	PoolTask   *load;
	int64		wrong;			/* rows */
} GeneratedCheck;

static void
generated_checked(void *arg, StringInfo result)
{
	((GeneratedCheck *) arg)->wrong = pq_getmsgint64(result);
}

/*
 * Tables of the second wave may read each other: each that was too early for
 * another is loaded once more.  loads: as they were done.
 */
static void
load_disagreeing_again(Leader *leader, const List *tables, const List *loads)
{
	List	   *checks = NIL;
	List	   *again = NIL;
	ListCell   *lc;
	ListCell   *load;

	forboth(lc, tables, load, loads)
	{
		PlanTable  *table = lfirst(lc);
		TableChecksum *checksum = build_checksum(leader, table);
		GeneratedCheck *check = palloc0(sizeof(GeneratedCheck));
		PoolTask   *task;

		if (checksum->generated_sql == NULL || checksum->obstacle != NULL)
			continue;
		check->load = lfirst(load);
		task = make_task(COMMAND_CHECK_GENERATED, table->name, check,
						 generated_checked);
		ftm_task_put_string(task->payload, table->name);
		ftm_task_put_checksum(task->payload, checksum);
		checks = lappend(checks, task);
	}
	ftm_pool_run(leader->pool, checks);

	foreach(lc, checks)
	{
		GeneratedCheck *check = ((PoolTask *) lfirst(lc))->arg;

		if (check->wrong == 0)
			continue;
		check->load->finished = false;
		check->load->follow_up = NULL;
		again = lappend(again, check->load);
	}
	ftm_pool_run(leader->pool, again);
}

/*
 * One task per table, the plan's order: largest first.  Tables whose rows need
 * others are a second wave, which begins when the first has been committed.
 */
void
ftm_step_load_tables(Leader *leader)
{
	List	   *first = NIL;
	List	   *second = NIL;
	List	   *second_tables = NIL;
	ListCell   *lc;

	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		PoolTask   *task = make_load_task(leader, table,
										  palloc0(sizeof(RunTableResult)));

		if (!table->needs_others)
			first = lappend(first, task);
		else
		{
			second = lappend(second, task);
			second_tables = lappend(second_tables, table);
		}
	}
	ftm_pool_run(leader->pool, first);
	ftm_pool_run(leader->pool, second);
	if (list_length(second) > 1)
		load_disagreeing_again(leader, second_tables, second);
}

void
ftm_step_set_sequences(Leader *leader)
{
	PoolTask   *task = make_task(COMMAND_SET_SEQUENCES, "the sequences",
								 NULL, NULL);
	ListCell   *lc;

	if (leader->plan->sequences == NIL)
		return;
	pq_sendint32(task->payload, list_length(leader->plan->sequences));
	foreach(lc, leader->plan->sequences)
	{
		PlanSequence *sequence = lfirst(lc);

		pq_sendint32(task->payload, sequence->target->oid);
		ftm_task_put_string(task->payload, sequence->target->qualified);
		pq_sendint64(task->payload, sequence->source->last_value);
		pq_sendbyte(task->payload, sequence->source->is_called);
	}
	ftm_pool_run(leader->pool, list_make1(task));
}

/*
 * A CHECK constraint that a load has postponed.
 */
typedef struct PostponedCheck
{
	Oid			constraint;
	char	   *name;			/* "constraint" of table s.t */
	bool		validated_on_source;
	int64		violations;		/* rows */
} PostponedCheck;

typedef struct PostponedChecks
{
	const MigrationPlan *plan;
	List	   *checks;			/* of PostponedCheck */
} PostponedChecks;

/*
 * Has the source never validated such a constraint of this table?  Then rows
 * that violate it are the application's own.
 */
static bool
is_unvalidated_on_source(const MigrationPlan *plan, Oid relid,
						 const char *expression)
{
	PlanTable  *table = ftm_plan_table_of_target(plan, relid);
	ListCell   *lc;

	if (table == NULL)
		return false;
	foreach(lc, table->source->unvalidated)
	{
		if (ftm_expression_equal(lfirst(lc), expression))
			return true;
	}
	return false;
}

static void
indexes_built(void *arg, StringInfo result)
{
	PostponedChecks *postponed = arg;
	int			count = (int) pq_getmsgint(result, 4);

	for (int i = 0; i < count; i++)
	{
		PostponedCheck *check = palloc0(sizeof(PostponedCheck));
		Oid			root;
		char	   *expression;

		check->constraint = pq_getmsgint(result, 4);
		root = pq_getmsgint(result, 4);
		check->name = ftm_task_get_string(result);
		expression = ftm_task_get_string(result);
		check->validated_on_source =
			!is_unvalidated_on_source(postponed->plan, root, expression);
		postponed->checks = lappend(postponed->checks, check);
	}
}

static void
check_validated(void *arg, StringInfo result)
{
	((PostponedCheck *) arg)->violations = pq_getmsgint64(result);
}

/*
 * A constraint that the source has not validated either.  rows says what is
 * wrong with count rows of the table, figure the same in the log.
 */
static void
tell_unvalidated(Leader *leader, const char *name, const char *rows,
				 const char *figure, int64 count)
{
	char	   *message = psprintf("%s stays not valid, as in the source", name);

	ereport(WARNING,
			(errmsg("%s", message),
			 errdetail("%s: " INT64_FORMAT ".", rows, count)));
	ftm_progress_log(leader->pool, "WARNING", message,
					 psprintf("{\"%s\": " INT64_FORMAT "}", figure, count));
}

/*
 * Indexes come first, since the constraints' functions may use them.  All
 * constraints are looked at before anything is said.
 */
void
ftm_step_catch_up(Leader *leader)
{
	PostponedChecks postponed = {leader->plan, NIL};
	List	   *tasks = NIL;
	StringInfoData broken;
	int			nbroken = 0;
	ListCell   *lc;

	ftm_pool_run(leader->pool,
				 list_make1(make_task(COMMAND_BUILD_INDEXES, NULL, &postponed,
									  indexes_built)));
	foreach(lc, postponed.checks)
	{
		PostponedCheck *check = lfirst(lc);
		PoolTask   *task = make_task(COMMAND_VALIDATE, check->name, check,
									 check_validated);

		pq_sendint32(task->payload, check->constraint);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);

	initStringInfo(&broken);
	foreach(lc, postponed.checks)
	{
		PostponedCheck *check = lfirst(lc);

		if (check->violations == 0)
			continue;
		if (check->validated_on_source)
			appendStringInfo(&broken, "%sRows that violate %s: " INT64_FORMAT ".",
							 nbroken++ > 0 ? "\n" : "", check->name,
							 check->violations);
		else
			tell_unvalidated(leader, check->name, "Rows that violate it",
							 "violations", check->violations);
	}
	if (nbroken > 0)
		ereport(ERROR,
				(errcode(ERRCODE_CHECK_VIOLATION),
				 errmsg_plural("%d constraint is violated",
							   "%d constraints are violated",
							   nbroken, nbroken),
				 errdetail_internal("%s", broken.data),
				 errhint("They are not valid now.  Drop them in the target, or mend what their expressions read, and call the function again.")));
}

/*
 * A foreign key of the target, and what the check of it found.
 */
typedef struct KeyCheck
{
	CatalogForeignKey *key;
	char	   *name;			/* "key" of table s.t */
	int64		orphans;
} KeyCheck;

static void
key_checked(void *arg, StringInfo result)
{
	((KeyCheck *) arg)->orphans = pq_getmsgint64(result);
}

static char *
key_name(const CatalogForeignKey *key)
{
	return psprintf("foreign key \"%s\" of table %s", key->name,
					quote_qualified_identifier(key->schema, key->table));
}

/*
 * Does the source have the same key, and not valid, too?  Then its orphans are
 * the application's own.
 */
static bool
not_valid_in_source(const Leader *leader, const CatalogForeignKey *key)
{
	ListCell   *lc;

	foreach(lc, leader->plan->source->foreign_keys)
	{
		CatalogForeignKey *other = lfirst(lc);

		if (!other->valid &&
			strcmp(other->name, key->name) == 0 &&
			strcmp(other->schema, key->schema) == 0 &&
			strcmp(other->table, key->table) == 0)
			return true;
	}
	return false;
}

/*
 * Check all foreign keys, and only then complain: about all at once.
 */
void
ftm_step_check_keys(Leader *leader)
{
	List	   *tasks = NIL;
	StringInfoData broken;
	int			nbroken = 0;
	bool		all_in_source = true;
	ListCell   *lc;

	foreach(lc, leader->plan->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		KeyCheck   *check = palloc0(sizeof(KeyCheck));
		PoolTask   *task;

		/* checked with its parent */
		if (key->is_partition_child)
			continue;
		check->key = key;
		check->name = key_name(key);
		task = make_task(COMMAND_CHECK_KEY, check->name, check, key_checked);
		pq_sendint32(task->payload, key->oid);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);

	initStringInfo(&broken);
	foreach(lc, tasks)
	{
		KeyCheck   *check = ((PoolTask *) lfirst(lc))->arg;
		int64		in_source;

		if (check->orphans == 0)
			continue;
		if (not_valid_in_source(leader, check->key))
		{
			tell_unvalidated(leader, check->name, "Rows without parent",
							 "orphans", check->orphans);
			continue;
		}
		in_source = ftm_orphans_of_source(leader->plan, leader->source,
										  check->key);
		all_in_source &= in_source >= check->orphans;
		appendStringInfo(&broken, "%sRows without parent by %s: " INT64_FORMAT "%s.",
						 nbroken++ > 0 ? "\n" : "", check->name, check->orphans,
						 in_source > 0 ?
						 psprintf("; the source has " INT64_FORMAT " of them, too",
								  in_source) : "");
	}
	if (nbroken > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FOREIGN_KEY_VIOLATION),
				 errmsg_plural("%d foreign key is violated",
							   "%d foreign keys are violated",
							   nbroken, nbroken),
				 errdetail_internal("%s", broken.data),
				 all_in_source ?
				 errhint("The source has these rows, too, whatever its own keys say.  Mend or delete them there, or accept them: drop the keys in the target, call again, and add the keys NOT VALID.") :
				 errhint("Load the tables they refer to as well, or drop the keys in the target.")));
}

void
ftm_step_analyze_tables(Leader *leader)
{
	ftm_pool_run(leader->pool, leader->analyses);
}

static void
verdict_reached(void *arg, StringInfo result)
{
	*(VerifyResult *) arg = *ftm_task_get_verdict(result);
}

/*
 * A task whose verdict will be in its place in the list, whichever worker is
 * first.
 */
static PoolTask *
make_verify_task(Leader *leader, WorkerCommand command, const char *object)
{
	VerifyResult *verdict = palloc0(sizeof(VerifyResult));

	leader->verdicts = lappend(leader->verdicts, verdict);
	return make_task(command, object, verdict, verdict_reached);
}

/*
 * The largest tables first, then keys and sequences.  The user map is no table
 * of the plan: the leader may read it.
 */
void
ftm_step_verify(Leader *leader)
{
	List	   *tasks = NIL;
	ListCell   *lc;

	foreach(lc, leader->plan->tables)
	{
		PlanTable  *table = lfirst(lc);
		PoolTask   *task = make_verify_task(leader, COMMAND_VERIFY_TABLE,
											table->name);

		ftm_task_put_string(task->payload, table->name);
		ftm_task_put_checksum(task->payload, build_checksum(leader, table));
		tasks = lappend(tasks, task);
	}
	foreach(lc, leader->plan->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		PoolTask   *task;

		if (key->is_partition_child)
			continue;
		task = make_verify_task(leader, COMMAND_VERIFY_KEY, key_name(key));
		pq_sendint32(task->payload, key->oid);
		pq_sendbyte(task->payload, !not_valid_in_source(leader, key));
		tasks = lappend(tasks, task);
	}
	foreach(lc, leader->plan->sequences)
	{
		PlanSequence *sequence = lfirst(lc);
		PoolTask   *task = make_verify_task(leader, COMMAND_VERIFY_SEQUENCE,
											sequence->target->qualified);

		ftm_task_put_sequence(task->payload, sequence->source);
		ftm_task_put_sequence(task->payload, sequence->target);
		tasks = lappend(tasks, task);
	}
	if (leader->users != NULL)
	{
		PoolTask   *task = make_verify_task(leader, COMMAND_VERIFY_USERS,
											NULL);

		ftm_users_put_task(task->payload, leader->users);
		tasks = lappend(tasks, task);
	}
	ftm_pool_run(leader->pool, tasks);

	leader->verdicts = list_concat(leader->verdicts,
								   ftm_verify_undecided(leader->verdicts,
														keeps_undecided(leader)));
	leader->verdicts = list_concat(leader->verdicts,
								   ftm_verify_schema(leader->plan,
													 leader->source,
													 leader->options->import != NULL ?
													 leader->options->import->record :
													 NULL));
	leader->verdicts = lappend(leader->verdicts, ftm_verify_user_map());
}

/*
 * Let go of the snapshot and ask.  Files do not move.
 */
void
ftm_step_ask_freeze(Leader *leader)
{
	if (leader->options->import != NULL)
		return;
	ftm_source_end_snapshot(leader->source);
	ftm_freeze_send(leader->source, leader->options->scope->schemas);
}

/*
 * Without verification there is no verdict to add it to.
 */
void
ftm_step_check_freeze(Leader *leader)
{
	SourceActivity *now;
	VerifyResult *verdict;

	if (leader->options->import != NULL)
		return;
	now = ftm_freeze_receive(leader->source);
	ftm_freeze_record(leader->pool, now, true);
	verdict = ftm_freeze_verdict(leader->source, leader->server->name,
								 leader->plan, leader->activity, now,
								 leader->verdicts);
	leader->verdicts = lappend(leader->verdicts, verdict);
	if (!verdict->ok && !leader->options->verify)
		ereport(WARNING,
				(errmsg("the source was not frozen"),
				 errdetail_internal("%s", verdict->detail)));
}

void
ftm_step_record_verdicts(Leader *leader)
{
	StringInfoData payload;
	List	   *others = NIL;
	ListCell   *lc;

	foreach(lc, leader->verdicts)
	{
		if (strcmp(((VerifyResult *) lfirst(lc))->kind, "table") != 0)
			others = lappend(others, lfirst(lc));
	}

	initStringInfo(&payload);
	pq_sendint32(&payload, list_length(others));
	foreach(lc, others)
		ftm_task_put_verdict(&payload, lfirst(lc));
	(void) ftm_pool_call(leader->pool, POOL_KEEPER, COMMAND_RECORD_VERDICTS,
						 &payload);
}

/*
 * Fails closed: anything that is not ok ends the call with an error.
 */
void
ftm_step_raise_verdict(Leader *leader)
{
	StringInfoData detail;
	char	   *first_table = NULL;
	int			nwrong = 0;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, leader->verdicts)
	{
		VerifyResult *verdict = lfirst(lc);

		if (verdict->ok)
			continue;
		appendStringInfo(&detail, "%s%s %s: %s", nwrong++ > 0 ? "\n" : "",
						 verdict->kind, verdict->object, verdict->detail);
		if (first_table == NULL && strcmp(verdict->kind, "table") == 0)
			first_table = verdict->object;
	}
	if (nwrong > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg_plural("verification found %d difference between source and target",
							   "verification found %d differences between source and target",
							   nwrong, nwrong),
				 errdetail_internal("%s", detail.data),
				 first_table == NULL ?
				 errhint("SELECT * FROM ftm_verify(); shows them again.") :
				 errhint("SELECT * FROM ftm_run_table WHERE run_id = " INT64_FORMAT " AND NOT verified; shows the tables, SELECT * FROM ftm_diff(%s); the rows.",
						 leader->run_id, quote_literal_cstr(first_table))));
}
