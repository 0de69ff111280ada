/*-------------------------------------------------------------------------
 *
 * target.c
 *		SQL in the target database, under pinned settings, in whose name.
 *
 * A caller's settings must never bend a migration: names are resolved in
 * pg_catalog only, and values are written in one form whatever ALTER ROLE or
 * ALTER DATABASE say.  Nothing unqualified in the extension's SQL refers to
 * anything but pg_catalog.
 *
 * What constrains this file:
 *
 * - Catalogs and the extension's own tables are queried through SPI.
 * - Users' relations are not.  Code of their owners is evaluated by any query
 *	 on them, by the planner if not by the executor, and must not run with the
 *	 caller's rights; nor must the owner gain the caller's rights on other
 *	 relations, or need rights that the caller has.  SPI knows one role only.
 *	 So these statements go through the server's stages one by one, each in
 *	 the name of the right role; see run_on_relations().
 * - Names of relations are resolved once, in the analysis, and what they have
 *	 been resolved to is compared with what was meant.  A plan of SPI's would
 *	 resolve them anew whenever it is no longer valid.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/extension.h"
#include "base/relation.h"
#include "base/target.h"
#include "compat.h"

/* Where the rows of a statement on users' relations are sent, as texts. */
typedef struct ScanReceiver
{
	DestReceiver pub;
	TargetReceive receive;
	void	   *arg;
	MemoryContext context;		/* reset for each row */
	int			ncolumns;
	FmgrInfo   *output;			/* of each column's type */
	char	  **values;
} ScanReceiver;

/* Rows that are collected. */
typedef struct RowCollector
{
	MemoryContext context;		/* of the rows */
	ScanReceiver *receiver;
	RowSet	   *rows;
	Size		room;			/* values that have room in it */
} RowCollector;

/* What check_relations() looks for, and who may read it. */
typedef struct RelationCheck
{
	const List *relids;
	Oid			caller;
} RelationCheck;

/*
 * The settings that decide how values are read and written, and what the text
 * of a statement means.  source.c sets the same on the other end.
 *
 * Left alone, since no value depends on them: what the planner is to do or not
 * to do, memory, parallel query, locale of messages (lc_messages, lc_time),
 * default_toast_compression (how values are stored is the target's affair), and
 * what only columns' defaults may read, as an INSERT of the application's would
 * (default_text_search_config).
 */
static const struct
{
	const char *name;
	const char *value;
}			pinned_settings[] =
{
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "off"},
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"},
	{"extra_float_digits", "3"},
	{"timezone", "UTC"},
	{"bytea_output", "hex"},
	{"xmloption", "content"},
	{"lc_monetary", "C"},
	{"lc_numeric", "C"},
	{"quote_all_identifiers", "off"},
	{"array_nulls", "on"},
	{"standard_conforming_strings", "on"},
	{"backslash_quote", "safe_encoding"},
	{"transform_null_equals", "off"},
};

static void
apply_settings(GucAction action)
{
	for (int i = 0; i < (int) lengthof(pinned_settings); i++)
		(void) set_config_option(pinned_settings[i].name,
								 pinned_settings[i].value,
								 PGC_USERSET, PGC_S_SESSION,
								 action, true, 0, false);
}

int
ftm_target_pin_settings(void)
{
	int			nestlevel = NewGUCNestLevel();

	apply_settings(GUC_ACTION_SAVE);
	return nestlevel;
}

void
ftm_target_pin_session(void)
{
	apply_settings(GUC_ACTION_SET);
}

void
ftm_target_restore(int nestlevel)
{
	AtEOXact_GUC(false, nestlevel);
}

FormerRole
ftm_become(Oid role, int security_flags)
{
	FormerRole	former;

	/* An error resets all three at the abort of the (sub)transaction. */
	GetUserIdAndSecContext(&former.userid, &former.security_context);
	former.nestlevel = ftm_target_pin_settings();
	SetUserIdAndSecContext(role, former.security_context | security_flags);
	return former;
}

void
ftm_return(const FormerRole *former)
{
	AtEOXact_GUC(false, former->nestlevel);
	SetUserIdAndSecContext(former->userid, former->security_context);
}

/*
 * Copy SPI's current result as text into context.
 */
static RowSet *
copy_result(MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	RowSet	   *rows = palloc0(sizeof(RowSet));

	if (SPI_tuptable != NULL)
	{
		TupleDesc	desc = SPI_tuptable->tupdesc;

		rows->nrows = (int) SPI_processed;
		rows->ncolumns = desc->natts;
		rows->values = palloc_extended(sizeof(char *) * Max(1, (Size) rows->nrows * rows->ncolumns),
									   MCXT_ALLOC_HUGE);
		for (int row = 0; row < rows->nrows; row++)
		{
			CHECK_FOR_INTERRUPTS();
			for (int column = 0; column < rows->ncolumns; column++)
			{
				/* palloc'd in the current context */
				char	   *value = SPI_getvalue(SPI_tuptable->vals[row], desc,
												 column + 1);

				rows->values[row * rows->ncolumns + column] = value;
			}
		}
	}
	MemoryContextSwitchTo(old);
	return rows;
}

/*
 * Run one statement under the settings and as the role that are in force.
 */
static RowSet *
query(const char *sql, int nparams, const char *const *params)
{
	MemoryContext context = CurrentMemoryContext;
	Oid		   *types = palloc(sizeof(Oid) * Max(1, nparams));
	Datum	   *values = palloc0(sizeof(Datum) * Max(1, nparams));
	char	   *nulls = palloc(Max(1, nparams));
	RowSet	   *rows;
	int			result;

	for (int i = 0; i < nparams; i++)
	{
		types[i] = TEXTOID;
		nulls[i] = params[i] == NULL ? 'n' : ' ';
		if (params[i] != NULL)
			values[i] = CStringGetTextDatum(params[i]);
	}

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	result = SPI_execute_with_args(sql, nparams, types, values, nulls,
								   false, 0);
	if (result < 0)
		elog(ERROR, "SPI_execute_with_args failed: %s",
			 SPI_result_code_string(result));
	rows = copy_result(context);
	SPI_finish();
	return rows;
}

RowSet *
ftm_target_query(const char *sql, int nparams, const char *const *params)
{
	int			nestlevel = ftm_target_pin_settings();
	RowSet	   *rows = query(sql, nparams, params);

	ftm_target_restore(nestlevel);
	return rows;
}

RowSet *
ftm_target_query_as_owner(const char *sql, int nparams,
						  const char *const *params)
{
	FormerRole	former = ftm_become(ftm_extension_owner(),
									SECURITY_LOCAL_USERID_CHANGE);
	RowSet	   *rows = query(sql, nparams, params);

	ftm_return(&former);
	return rows;
}

static void
scan_startup(DestReceiver *self, int operation pg_attribute_unused(),
			 TupleDesc desc)
{
	ScanReceiver *receiver = (ScanReceiver *) self;

	receiver->ncolumns = desc->natts;
	receiver->output = palloc(sizeof(FmgrInfo) * desc->natts);
	receiver->values = palloc(sizeof(char *) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Oid			function;
		bool		is_varlena;

		getTypeOutputInfo(TupleDescAttr(desc, i)->atttypid,
						  &function, &is_varlena);
		fmgr_info(function, &receiver->output[i]);
	}
}

static bool
scan_receive(TupleTableSlot *slot, DestReceiver *self)
{
	ScanReceiver *receiver = (ScanReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	slot_getallattrs(slot);
	for (int i = 0; i < receiver->ncolumns; i++)
		receiver->values[i] = slot->tts_isnull[i] ? NULL :
			OutputFunctionCall(&receiver->output[i], slot->tts_values[i]);
	receiver->receive(receiver->arg, receiver->values);
	MemoryContextSwitchTo(old);
	MemoryContextReset(receiver->context);
	return true;
}

/* Everything the receiver has is in a memory context. */
static void
scan_shutdown(DestReceiver *self pg_attribute_unused())
{
}

/*
 * Error callback: say which statement an error is about, as SPI does.
 */
static void
statement_context(void *arg)
{
	int			position = geterrposition();

	if (position > 0)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(arg);
	}
	else
		errcontext("SQL statement \"%s\"", (const char *) arg);
}

/*
 * Every relation in the statement must be a catalog or one of those that are
 * meant, and is read with the rights of the caller, whoever executes the plan.
 */
static bool
check_relations(Node *node, void *context)
{
	RelationCheck *check = context;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, check_relations, context);

	foreach(lc, ((Query *) node)->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, lc);

		if (entry->rtekind == RTE_RELATION &&
			entry->relid >= FirstNormalObjectId &&
			!list_member_oid(check->relids, entry->relid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("relation %s is not the one that was planned",
							quote_qualified_identifier(get_namespace_name(get_rel_namespace(entry->relid)),
													   get_rel_name(entry->relid))),
					 errhint("The target's schema must not change while a migration runs.  Call the function again.")));
	}
	foreach(lc, ftm_read_permissions((Query *) node))
		lfirst_node(FtmReadPermission, lc)->checkAsUser = check->caller;
	return query_tree_walker((Query *) node, check_relations, context, 0);
}

/*
 * Execute a plan; see run_on_relations() for the roles.
 */
static void
execute_plan(PlannedStmt *plan, const char *sql, Oid functions, Oid role,
			 int security_context, DestReceiver *receiver)
{
	QueryDesc  *execution = CreateQueryDesc(plan, sql, GetActiveSnapshot(),
											InvalidSnapshot, receiver, NULL,
											NULL, 0);

	SetUserIdAndSecContext(functions, security_context);
	ExecutorStart(execution, 0);
	SetUserIdAndSecContext(role, security_context);
	ftm_executor_run(execution);
	ExecutorFinish(execution);
	ExecutorEnd(execution);
	FreeQueryDesc(execution);
}

/*
 * Run a SELECT on users' relations under the active snapshot.
 *
 * The caller's rights decide which names are found and what may be read; they
 * are asked for as if the caller had run the statement.  Everything that could
 * be an owner's code runs as role, which no owner gains anything by, and cannot
 * leave anything behind: the plan is made and the rows are computed by it.
 * Whose right to execute functions is asked for, which is when an execution is
 * started, depends on whose functions they are: see TargetCode.
 */
static void
run_on_relations(const char *sql, const List *relids, TargetCode code,
				 DestReceiver *receiver)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ErrorContextCallback callback = {error_context_stack, statement_context,
	unconstify(char *, sql)};
	RelationCheck check = {relids, GetUserId()};
	Oid			role = relids != NIL ? ftm_relation_role(relids) : GetUserId();
	FormerRole	former;
	int			security_context;
	Query	   *analyzed;
	PlannedStmt *plan;

	error_context_stack = &callback;
	former = ftm_become(code == TARGET_CODE_OWNERS ? role : check.caller,
						SECURITY_RESTRICTED_OPERATION);
	security_context = former.security_context | SECURITY_RESTRICTED_OPERATION;
	analyzed = parse_analyze_fixedparams(linitial_node(RawStmt,
													   pg_parse_query(sql)),
										 sql, NULL, 0, NULL);
	(void) check_relations((Node *) analyzed, &check);

	SetUserIdAndSecContext(role, security_context);
	analyzed = linitial_node(Query, pg_rewrite_query(analyzed));
	plan = pg_plan_query(analyzed, sql, CURSOR_OPT_PARALLEL_OK, NULL);
	execute_plan(plan, sql, code == TARGET_CODE_OURS ? check.caller : role,
				 role, security_context, receiver);
	ftm_return(&former);

	error_context_stack = callback.previous;
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
init_receiver(ScanReceiver *receiver, TargetReceive receive, void *arg)
{
	memset(receiver, 0, sizeof(ScanReceiver));
	receiver->pub.receiveSlot = scan_receive;
	receiver->pub.rStartup = scan_startup;
	receiver->pub.rShutdown = scan_shutdown;
	receiver->pub.rDestroy = scan_shutdown;
	receiver->pub.mydest = DestNone;
	receiver->receive = receive;
	receiver->arg = arg;
	receiver->context = AllocSetContextCreate(CurrentMemoryContext,
											  "ftmigrate scanned row",
											  ALLOCSET_DEFAULT_SIZES);
}

static void
collect_row(void *arg, char **values)
{
	RowCollector *collector = arg;
	RowSet	   *rows = collector->rows;
	int			ncolumns = collector->receiver->ncolumns;
	Size		used = (Size) rows->nrows * ncolumns;

	if (used + ncolumns > collector->room)
	{
		collector->room = Max(2 * collector->room, (Size) ncolumns);
		rows->values = repalloc_huge(rows->values,
									 sizeof(char *) * collector->room);
	}
	for (int i = 0; i < ncolumns; i++)
		rows->values[used + i] = values[i] == NULL ? NULL :
			MemoryContextStrdup(collector->context, values[i]);
	rows->nrows++;
}

RowSet *
ftm_target_query_relations(const char *sql, const List *relids,
						   TargetCode code)
{
	ScanReceiver receiver;
	RowCollector collector = {CurrentMemoryContext, &receiver,
	palloc0(sizeof(RowSet)), 0};

	collector.rows->values = palloc(sizeof(char *));
	init_receiver(&receiver, collect_row, &collector);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	run_on_relations(sql, relids, code, &receiver.pub);
	PopActiveSnapshot();
	MemoryContextDelete(receiver.context);
	collector.rows->ncolumns = receiver.ncolumns;
	return collector.rows;
}

void
ftm_target_scan(const char *sql, Oid relid, TargetReceive receive, void *arg)
{
	ScanReceiver receiver;

	init_receiver(&receiver, receive, arg);
	run_on_relations(sql, list_make1_oid(relid), TARGET_CODE_OURS,
					 &receiver.pub);
	MemoryContextDelete(receiver.context);
}

char *
ftm_target_oid_array(const List *oids)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfoChar(&text, '{');
	foreach(lc, oids)
		appendStringInfo(&text, "%s%u",
						 foreach_current_index(lc) > 0 ? "," : "",
						 lfirst_oid(lc));
	appendStringInfoChar(&text, '}');
	return text.data;
}

bool
ftm_target_may_become_replica(void)
{
	return superuser() ||
		pg_parameter_aclcheck("session_replication_role", GetUserId(),
							  ACL_SET) == ACLCHECK_OK;
}
