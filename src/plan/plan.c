/*-------------------------------------------------------------------------
 *
 * plan.c
 *		Two catalogs -> a list of table loads, and everything that is wrong.
 *
 * Nothing is dropped in silence: whatever of the source would not arrive in
 * the target as it is becomes a problem, and all problems are found in one go.
 * Each is a full sentence that names the object and the remedy.
 *
 * What belongs to one subject is elsewhere: types in type_match.c, user ids in
 * user_column.c, keys and sequences in plan_keys.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"

#include "base/expression.h"
#include "miscadmin.h"
#include "plan/plan.h"
#include "plan/plan_code.h"
#include "plan/plan_keys.h"
#include "schema/schema_ids.h"
#include "schema/scope.h"
#include "base/settings.h"
#include "schema/storage.h"
#include "schema/subscribers.h"
#include "schema/table_tree.h"
#include "base/target.h"
#include "schema/type_match.h"
#include "plan/user_column.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

static void build_guarded(MigrationPlan *plan, const Scope *scope,
						  CatalogReader *source, const UserIdPolicy *policy);
static void build_plan(MigrationPlan *plan, const Scope *scope,
					   CatalogReader *source, const UserIdPolicy *policy);
static void match_tables(MigrationPlan *plan, const ScopeFilter *filter);
static CatalogTable *find_counterpart(MigrationPlan *plan,
									  const CatalogTable *source);
static const char *kind_name(const CatalogTable *table);
static void check_source_table(MigrationPlan *plan, const CatalogTable *table);
static void check_target_table(MigrationPlan *plan, const CatalogTable *table);
static bool has_foreign_partitions(MigrationPlan *plan,
								   const PlanTable *table);
static void match_columns(MigrationPlan *plan, PlanTable *table);
static void match_column(MigrationPlan *plan, PlanTable *table,
						 PlanColumn *column);
static void check_target_only_columns(MigrationPlan *plan, PlanTable *table);
static void check_generated(MigrationPlan *plan, PlanTable *table,
							PlanColumn *column);
static void report_left_out(MigrationPlan *plan, const ScopeFilter *filter);
static void choose_method(MigrationPlan *plan, PlanTable *table);
static void build_copy_sql(PlanTable *table);
static uint64 compute_fingerprint(const PlanTable *table);
static int	compare_sizes(const ListCell *a, const ListCell *b);
static List *append_finding(List *findings, PlanTopic topic,
							const char *format, va_list args)
			pg_attribute_printf(3, 0);
static int	formatted_length(const char *format, int length, va_list args)
			pg_attribute_printf(1, 0);

MigrationPlan *
ftm_plan_build(const Scope *scope, SourceConnection *source,
			   const UserIdPolicy *policy)
{
	return ftm_plan_build_asked(scope,
								ftm_catalog_ask_source(source, scope->schemas),
								policy);
}

MigrationPlan *
ftm_plan_build_for(const Scope *scope, Catalog *source, const UserIdPolicy *policy)
{
	MigrationPlan *plan = palloc0(sizeof(MigrationPlan));

	plan->source = source;
	build_guarded(plan, scope, NULL, policy);
	return plan;
}

MigrationPlan *
ftm_plan_build_asked(const Scope *scope, CatalogReader *source,
					 const UserIdPolicy *policy)
{
	MigrationPlan *plan = palloc0(sizeof(MigrationPlan));

	ftm_catalog_ask_rest(source);
	build_guarded(plan, scope, source, policy);
	return plan;
}

/*
 * Reading the target's catalog and planning its INSERTs takes locks for a
 * moment.  A session that loads or alters a table may hold it for hours: give
 * up after the time that a worker would wait.
 */
static void
build_guarded(MigrationPlan *plan, const Scope *scope, CatalogReader *source,
			  const UserIdPolicy *policy)
{
	MemoryContext context = CurrentMemoryContext;
	int			nestlevel = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", psprintf("%d", ftm_lock_timeout),
							 PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	PG_TRY();
	{
		build_plan(plan, scope, source, policy);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		ereport(ERROR,
				(errcode(error->sqlerrcode),
				 errmsg("a table of the target is locked by another session"),
				 errdetail_internal("%s", error->message),
				 errhint("Wait for that session, which may be a worker of a migration; pg_locks shows it.")));
	}
	PG_END_TRY();
	AtEOXact_GUC(false, nestlevel);
}

static void
build_plan(MigrationPlan *plan, const Scope *scope, CatalogReader *source,
		   const UserIdPolicy *policy)
{
	ScopeFilter *filter;
	ListCell   *lc;

	plan->target = ftm_catalog_read_target(scope->schemas);
	if (source != NULL)
		plan->source = ftm_catalog_receive(source);
	filter = ftm_scope_filter(scope, plan->source);

	match_tables(plan, filter);
	report_left_out(plan, filter);
	ftm_subscribers_warn(plan);
	ftm_user_column_decide(plan, scope, policy);
	ftm_plan_match_foreign_keys(plan);
	ftm_plan_match_sequences(plan, filter);
	ftm_plan_assign_levels(plan);
	ftm_plan_find_code(plan);
	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		choose_method(plan, table);
		build_copy_sql(table);
		table->fingerprint = compute_fingerprint(table);
	}
	list_sort(plan->tables, compare_sizes);
}

static void
match_tables(MigrationPlan *plan, const ScopeFilter *filter)
{
	ListCell   *lc;

	foreach(lc, plan->source->tables)
	{
		CatalogTable *source = lfirst(lc);
		CatalogTable *target;
		PlanTable  *table;

		if (!ftm_scope_selects(filter, source->schema, source->name))
			continue;
		target = find_counterpart(plan, source);
		if (target == NULL)
		{
			plan->unmatched = lappend(plan->unmatched, source);
			continue;
		}

		table = palloc0(sizeof(PlanTable));
		table->source = source;
		table->target = target;
		table->name = target->qualified;
		table->binary = true;
		table->seconds = -1;
		check_source_table(plan, source);
		check_target_table(plan, target);
		match_columns(plan, table);
		plan->tables = lappend(plan->tables, table);
	}
	if (plan->tables == NIL && plan->problems == NIL)
		ftm_plan_problem(plan, PLAN_SCHEMA,
						 "There is no table to migrate.  Check the source's database and the arguments schemas, include and exclude.");
}

/* The target's table of the same name; NULL, and a problem, if it is none. */
static CatalogTable *
find_counterpart(MigrationPlan *plan, const CatalogTable *source)
{
	CatalogTable *target = ftm_catalog_table(plan->target, source->schema,
											 source->name);
	List	   *lists[] = {plan->target->others, plan->target->partitions};
	ListCell   *lc;

	if (target != NULL)
		return target;
	for (int i = 0; i < (int) lengthof(lists); i++)
	{
		foreach(lc, lists[i])
		{
			CatalogTable *other = lfirst(lc);

			if (strcmp(other->schema, source->schema) != 0 ||
				strcmp(other->name, source->name) != 0)
				continue;
			ftm_plan_problem(plan, PLAN_SCHEMA,
							 "Table %s of the source is a %s in the target.  Replace it there by a table, or leave it out with exclude.",
							 source->qualified, kind_name(other));
			return NULL;
		}
	}
	ftm_plan_problem(plan, PLAN_SCHEMA,
					 "Table %s of the source has no counterpart in the target.  Create it there, or leave it out with exclude.",
					 source->qualified);
	return NULL;
}

static const char *
kind_name(const CatalogTable *table)
{
	if (table->root != table->oid)
		return "partition";
	switch (table->relkind)
	{
		case RELKIND_VIEW:
			return "view";
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		default:
			return "table";
	}
}

static void
check_source_table(MigrationPlan *plan, const CatalogTable *table)
{
	if (!table->readable)
		ftm_plan_problem(plan, PLAN_SOURCE_TABLES,
						 "Table %s of the source cannot be read by the role of the connection.  Grant it SELECT, and USAGE on the schema.",
						 table->qualified);
	if (table->row_security_active)
		ftm_plan_problem(plan, PLAN_SOURCE_TABLES,
						 "Row-level security hides rows of table %s of the source from the role of the connection.  Connect as a role with BYPASSRLS.",
						 table->qualified);
}

static void
check_target_table(MigrationPlan *plan, const CatalogTable *table)
{
	if (!table->owned)
		ftm_plan_problem(plan, PLAN_TARGET_TABLES,
						 "Table %s of the target%s does not belong to %s.  Call as its owner or as a superuser.",
						 table->qualified,
						 table->relkind == RELKIND_PARTITIONED_TABLE ?
						 ", or one of its partitions," : "",
						 quote_identifier(GetUserNameFromId(GetUserId(), false)));
	if (table->row_security_active)
		ftm_plan_problem(plan, PLAN_TARGET_TABLES,
						 "Row-level security of table %s of the target applies to %s.  Turn it off with ALTER TABLE %s NO FORCE ROW LEVEL SECURITY until the migration is done.",
						 table->qualified,
						 quote_identifier(GetUserNameFromId(GetUserId(), false)),
						 table->qualified);
	if (table->bad_triggers != NIL)
	{
		StringInfoData names;
		ListCell   *lc;

		initStringInfo(&names);
		foreach(lc, table->bad_triggers)
			appendStringInfo(&names, "%s%s",
							 foreach_current_index(lc) > 0 ? ", " : "",
							 quote_identifier(lfirst(lc)));
		ftm_plan_problem(plan, PLAN_TRIGGERS,
						 "Table %s of the target%s has triggers enabled ALWAYS or REPLICA, which would fire during the load (%s).  Use ALTER TABLE ... ENABLE TRIGGER or DISABLE TRIGGER.",
						 table->qualified,
						 table->relkind == RELKIND_PARTITIONED_TABLE ?
						 ", or one of its partitions," : "",
						 names.data);
	}
}

static void
match_columns(MigrationPlan *plan, PlanTable *table)
{
	int			copied = 0;
	ListCell   *lc;

	foreach(lc, table->source->columns)
	{
		CatalogColumn *source = lfirst(lc);
		PlanColumn *column = palloc0(sizeof(PlanColumn));

		column->source = source;
		column->target = ftm_catalog_column(table->target, source->name);
		if (column->target == NULL)
		{
			ftm_plan_problem(plan, PLAN_SCHEMA,
							 "Column %s.%s of the source has no counterpart in the target.  Add it there.",
							 table->name, quote_identifier(source->name));
			continue;
		}
		match_column(plan, table, column);
		table->columns = lappend(table->columns, column);
		if (!column->generated)
			copied++;
	}
	check_target_only_columns(plan, table);

	/* COPY without a column list means all columns. */
	if (copied == 0)
	{
		foreach(lc, table->target->columns)
		{
			CatalogColumn *target = lfirst(lc);

			if (target->generated != '\0')
				continue;
			ftm_plan_problem(plan, PLAN_SCHEMA,
							 "Table %s has no column to copy, but columns of its own in the target.  Drop them there.",
							 table->name);
			break;
		}
	}
}

static void
match_column(MigrationPlan *plan, PlanTable *table, PlanColumn *column)
{
	const CatalogType *source = column->source->type;
	const CatalogType *target = column->target->type;
	TypeMatch	match = ftm_type_match(source, target);
	char	   *name = psprintf("%s.%s", table->name,
								quote_identifier(column->source->name));

	check_generated(plan, table, column);
	if (!match.lossless)
	{
		ftm_plan_problem(plan, PLAN_SCHEMA,
						 "Column %s is %s in the source and %s in the target, which may change or refuse values%s%s.  Give it the source's type.",
						 name, source->display, target->display,
						 match.obstacle != NULL ? ": " : "",
						 match.obstacle != NULL ? match.obstacle : "");
		return;
	}
	column->type_differs = match.differs;
	if (column->generated)
		return;
	if (match.differs)
		ftm_plan_warning(plan, PLAN_SCHEMA,
						 "Column %s is %s in the source and %s in the target.  Its values are kept%s%s.",
						 name, source->display, target->display,
						 match.remark != NULL ? ", " : "",
						 match.remark != NULL ? match.remark : "");
	if (column->target->not_null && !column->source->not_null)
		ftm_plan_warning(plan, PLAN_SCHEMA,
						 "Column %s is NOT NULL in the target only, and a null in the source would end the load.  Drop NOT NULL there, unless the source has none.",
						 name);
	if (!match.binary)
	{
		table->binary = false;
		table->notes = lappend(table->notes,
							   match.differs ?
							   psprintf("text format: %s is %s in the source",
										quote_identifier(column->source->name),
										source->display) :
							   psprintf("text format: %s is %s",
										quote_identifier(column->source->name),
										source->display));
	}
}

static void
check_target_only_columns(MigrationPlan *plan, PlanTable *table)
{
	ListCell   *lc;

	foreach(lc, table->target->columns)
	{
		CatalogColumn *target = lfirst(lc);

		if (ftm_catalog_column(table->source, target->name) == NULL &&
			target->not_null && !target->has_default &&
			target->identity == '\0' && target->generated == '\0')
			ftm_plan_problem(plan, PLAN_SCHEMA,
							 "Column %s.%s exists in the target only, is NOT NULL and has no default.  Give it a default or drop NOT NULL.",
							 table->name, quote_identifier(target->name));
	}
}

/*
 * A generated column of the target is computed there.  That is the source's
 * value only if the source computes it the same way.  (The other way round is
 * fine: the source's computed values are copied like any others.)
 */
static void
check_generated(MigrationPlan *plan, PlanTable *table, PlanColumn *column)
{
	const char *source = column->source->expression;
	const char *target = column->target->expression;

	column->generated = column->target->generated != '\0';
	if (!column->generated)
		return;
	if (column->source->generated == '\0')
		ftm_plan_problem(plan, PLAN_SCHEMA,
						 "Column %s.%s is generated in the target, but not in the source, whose values would be lost.  Drop the expression in the target.",
						 table->name, quote_identifier(column->source->name));
	else if (!ftm_expression_equal(source, target) &&
			 !ftm_expression_equal(ftm_schema_ids_map(source), target))
		ftm_plan_problem(plan, PLAN_SCHEMA,
						 "Column %s.%s is generated from %s in the source and from %s in the target.  Make the expressions the same.",
						 table->name, quote_identifier(column->source->name),
						 source, target);
}

/*
 * Name what holds data in the scope but is no table that could be loaded.
 */
static void
report_left_out(MigrationPlan *plan, const ScopeFilter *filter)
{
	ListCell   *lc;

	foreach(lc, plan->source->others)
	{
		CatalogTable *other = lfirst(lc);

		if (!ftm_scope_selects(filter, other->schema, other->name))
			continue;
		if (other->relkind == RELKIND_MATVIEW)
			ftm_plan_warning(plan, PLAN_SCHEMA,
							 "Materialized view %s of the source is not copied.  Refresh it in the target after the migration.",
							 other->qualified);
		else if (other->relkind == RELKIND_FOREIGN_TABLE)
			ftm_plan_warning(plan, PLAN_SCHEMA,
							 "Foreign table %s of the source is not copied, since its rows are elsewhere.  Create one in the target, if the application needs it.",
							 other->qualified);
	}
	foreach(lc, plan->source->partitions)
	{
		CatalogTable *partition = lfirst(lc);

		if (ftm_catalog_table_by_oid(plan->source, partition->root) == NULL &&
			ftm_scope_selects(filter, partition->schema, partition->name))
			ftm_plan_problem(plan, PLAN_SCHEMA,
							 "Table %s of the source is a partition of a table in another schema.  Add that schema to schemas, or leave it out with exclude.",
							 partition->qualified);
	}
}

/*
 * A load cannot replace the rows of a foreign table, nor a rollback take them
 * back.  Partitions may be in schemas that the catalog was not read for.
 */
static bool
has_foreign_partitions(MigrationPlan *plan, const PlanTable *table)
{
	bool		found = false;
	ListCell   *lc;

	if (table->target->relkind != RELKIND_PARTITIONED_TABLE)
		return false;
	foreach(lc, ftm_table_tree_members(table->target->oid))
	{
		Oid			relid = lfirst_oid(lc);

		if (get_rel_relkind(relid) != RELKIND_FOREIGN_TABLE)
			continue;
		found = true;
		ftm_plan_problem(plan, PLAN_TARGET_TABLES,
						 "Partition %s of table %s of the target is a foreign table, whose rows can be neither replaced nor taken back.  Detach it, or leave the table out with exclude.",
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
													get_rel_name(relid)),
						 table->name);
	}
	return found;
}

static void
choose_method(MigrationPlan *plan, PlanTable *table)
{
	if (ftm_storage_is_managed(table->target->oid))
	{
		table->method = LOAD_REFUSED;
		ftm_plan_problem(plan, PLAN_TARGET_TABLES,
						 "Storage of table %s of the target is managed by another extension, and rows loaded into it would be lost.  Load into an ordinary table, or leave it out with exclude.",
						 table->name);
	}
	else if (has_foreign_partitions(plan, table))
		table->method = LOAD_REFUSED;
	else if (table->target->relkind == RELKIND_PARTITIONED_TABLE)
	{
		table->method = LOAD_PLAIN;
		table->notes = lappend(table->notes,
							   "indexes stay in place: partitioned");
	}
	else if (!table->target->uses_heap)
	{
		table->method = LOAD_PLAIN;
		table->notes = lappend(table->notes,
							   "indexes stay in place: not a heap");
	}
	else
		table->method = LOAD_FAST;
}

/*
 * The source's half of the load.  Rows of a partitioned table come through its
 * root; any other table is read with ONLY, since inheritance children are
 * tables of their own.
 */
static void
build_copy_sql(PlanTable *table)
{
	const CatalogTable *source = table->source;
	StringInfoData sql;
	const char *separator = " ";
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "COPY (SELECT");
	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);
		const CatalogType *type = column->source->type;

		if (column->generated)
			continue;
		appendStringInfo(&sql, "%s%s", separator,
						 ftm_catalog_quote(column->source->name));

		/* xml's output function drops the encoding from the declaration. */
		if (strcmp(type->base_name, "xml") == 0 &&
			strcmp(type->base_schema, "pg_catalog") == 0)
			appendStringInfoString(&sql, "::pg_catalog.text");
		separator = ", ";
	}
	appendStringInfo(&sql, " FROM %s%s",
					 source->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 ftm_catalog_quote_qualified(source->schema, source->name));
	table->copy_query_length = sql.len;
	appendStringInfo(&sql, ") TO STDOUT%s",
					 table->binary ? " (FORMAT binary)" : "");
	table->copy_sql = sql.data;
}

/*
 * Digest of all that decides which bytes a load puts where.  Sizes and other
 * things that change by themselves stay out.
 */
static uint64
compute_fingerprint(const PlanTable *table)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	appendStringInfo(&text, "%u %s", table->target->oid,
					 table->source->qualified);
	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		/* names are quoted, so that no other columns give the same text */
		appendStringInfo(&text, "\n%s %d %s %s %d %d %d",
						 ftm_catalog_quote(column->source->name),
						 column->target->attnum,
						 ftm_catalog_quote(column->source->type->display),
						 ftm_catalog_quote(column->target->type->display),
						 column->generated, column->mode,
						 column->unmapped_is_error);
	}
	return hash_bytes_extended((const unsigned char *) text.data, text.len, 0);
}

/* Largest first, then by name. */
static int
compare_sizes(const ListCell *a, const ListCell *b)
{
	const PlanTable *x = lfirst(a);
	const PlanTable *y = lfirst(b);

	if (x->source->bytes != y->source->bytes)
		return x->source->bytes > y->source->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}

PlanTable *
ftm_plan_table_of_source(const MigrationPlan *plan, Oid oid)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		if (table->source->oid == oid)
			return table;
	}
	return NULL;
}

PlanTable *
ftm_plan_table_of_target(const MigrationPlan *plan, Oid oid)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		if (table->target->oid == oid)
			return table;
	}
	return NULL;
}

char *
ftm_plan_oids(const MigrationPlan *plan, bool source)
{
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		oids = lappend(oids, psprintf("%u", source ? table->source->oid :
									  table->target->oid));
	}
	return ftm_catalog_array_text(oids);
}

PlanColumn *
ftm_plan_column(const PlanTable *table, const char *name)
{
	ListCell   *lc;

	foreach(lc, table->columns)
	{
		PlanColumn *column = lfirst(lc);

		if (strcmp(column->source->name, name) == 0)
			return column;
	}
	return NULL;
}

const char *
ftm_plan_mode_name(RewriteMode mode)
{
	switch (mode)
	{
		case REWRITE_UUID:
		case REWRITE_TEXT:
			return "id";
		case REWRITE_EMBEDDED_TEXT:
		case REWRITE_EMBEDDED_UUIDS:
			return "embedded";
		case REWRITE_KEEP:
		case REWRITE_COUNT_UUID:
		case REWRITE_COUNT_TEXT:
		case REWRITE_COUNT_ANY:
			break;
	}
	return "keep";
}

void
ftm_plan_problem(MigrationPlan *plan, PlanTopic topic, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	plan->problems = append_finding(plan->problems, topic, format, args);
	va_end(args);
}

void
ftm_plan_warning(MigrationPlan *plan, PlanTopic topic, const char *format,...)
{
	va_list		args;

	va_start(args, format);
	plan->warnings = append_finding(plan->warnings, topic, format, args);
	va_end(args);
}

void
ftm_plan_finding(MigrationPlan *plan, bool is_problem, PlanTopic topic,
				 const char *format, va_list args)
{
	if (is_problem)
		plan->problems = append_finding(plan->problems, topic, format, args);
	else
		plan->warnings = append_finding(plan->warnings, topic, format, args);
}

char *
ftm_plan_finding_text(const PlanFinding *finding)
{
	return psprintf("%s  %s", finding->detail, finding->hint);
}

/*
 * The two sentences are told apart in the format: names that are filled in may
 * hold anything.
 */
static List *
append_finding(List *findings, PlanTopic topic, const char *format,
			   va_list args)
{
	static const char separator[] = ".  ";
	const char *end = strstr(format, separator);
	PlanFinding *finding = palloc(sizeof(PlanFinding));
	StringInfoData text;
	int			detail_length;

	if (end == NULL)
		elog(ERROR, "finding of the plan without a remedy: %s", format);
	detail_length = formatted_length(format, (int) (end - format) + 1, args);

	initStringInfo(&text);
	for (;;)
	{
		va_list		copy;
		int			needed;

		va_copy(copy, args);
		needed = appendStringInfoVA(&text, format, copy);
		va_end(copy);
		if (needed == 0)
			break;
		enlargeStringInfo(&text, needed);
	}
	finding->topic = topic;
	finding->detail = pnstrdup(text.data, detail_length);
	finding->hint = pstrdup(text.data + detail_length + strlen(separator) - 1);
	return lappend(findings, finding);
}

/* How long is what the first length bytes of format make of args? */
static int
formatted_length(const char *format, int length, va_list args)
{
	char	   *beginning = pnstrdup(format, length);
	va_list		copy;
	int			result;

	va_copy(copy, args);
	result = vsnprintf(NULL, 0, beginning, copy);
	va_end(copy);
	pfree(beginning);
	if (result < 0)
		elog(ERROR, "vsnprintf failed: %m");
	return result;
}
