/*-------------------------------------------------------------------------
 *
 * plan_keys.c
 *		What foreign keys and sequences say about a plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/relation.h"
#include "base/target.h"
#include "plan/plan_keys.h"

typedef PlanTable *(*TableLookup) (const MigrationPlan *plan, Oid oid);

/* Tarjan's algorithm: a table and what it refers to. */
typedef struct GraphNode
{
	PlanTable  *table;
	List	   *references;		/* of GraphNode */
	int			index;			/* order of the first visit, 0: not yet */
	int			low;			/* smallest index reachable */
	bool		on_stack;
} GraphNode;

typedef struct LevelState
{
	int			visited;
	List	   *stack;			/* of GraphNode */
} LevelState;

static void check_key(MigrationPlan *plan, const CatalogForeignKey *key,
					  TableLookup lookup, const char *side);
static bool is_empty_users(const CatalogForeignKey *key, int *empty);
static void add_drop(StringInfo drops, const CatalogForeignKey *key);
static bool same_key(const CatalogForeignKey *a, const CatalogForeignKey *b);
static bool is_id(RewriteMode mode);
static GraphNode *find_node(List *nodes, const PlanTable *table);
static void visit(LevelState *state, GraphNode *node);
static void close_component(LevelState *state, GraphNode *head);
static CatalogSequence *find_counterpart(const MigrationPlan *plan,
										 const CatalogSequence *source);
static bool is_used(const MigrationPlan *plan, const CatalogSequence *source);
static bool same_use(const CatalogSequence *a, const CatalogSequence *b);
static List *columns_of(const CatalogSequence *sequence);
static bool same_owner(const CatalogSequence *a, const CatalogSequence *b);
static void match_sequence(MigrationPlan *plan, CatalogSequence *source,
						   CatalogSequence *target);

void
ftm_plan_match_foreign_keys(MigrationPlan *plan)
{
	StringInfoData drops;
	int			users_empty = -1;
	ListCell   *lc;
	ListCell   *other;

	initStringInfo(&drops);
	foreach(lc, plan->target->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		PlanTable  *table = ftm_plan_table_of_target(plan, key->root);
		PlanTable  *referenced = ftm_plan_table_of_target(plan, key->ref_root);

		if (table == NULL && referenced == NULL)
			continue;
		plan->foreign_keys = lappend(plan->foreign_keys, key);
		if (key->is_partition_child)
			continue;			/* its parent speaks for it */
		if (referenced == NULL && is_empty_users(key, &users_empty))
			add_drop(&drops, key);
		else if (referenced == NULL)
			ftm_plan_warning(plan, PLAN_SCHEMA,
							 "Foreign key %s of table %s refers to table %s, which is not in the plan.  The rows that it needs must be there already.",
							 quote_identifier(key->name), table->name,
							 quote_qualified_identifier(key->ref_schema,
														key->ref_table));
		check_key(plan, key, ftm_plan_table_of_target, "target");
	}

	if (drops.len > 0)
		ftm_plan_problem(plan, PLAN_SCHEMA,
						 "Table auth.users of the target is empty, and foreign keys to it would be violated by every row that has a user.  Fill it, or execute %s.",
						 drops.data);

	/* The source's own keys, unless the target has the same. */
	foreach(lc, plan->source->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		bool		in_target = false;

		foreach(other, plan->foreign_keys)
			in_target |= same_key(key, lfirst(other));
		if (!in_target && !key->is_partition_child)
			check_key(plan, key, ftm_plan_table_of_source, "source");
	}
}

/*
 * Does a key refer to Supabase's table of users, and nobody is in there?  Users
 * live in the auth service, so nothing that a run does will fill it.  *empty: -1
 * as long as nobody has looked.
 */
static bool
is_empty_users(const CatalogForeignKey *key, int *empty)
{
	if (strcmp(key->ref_schema, "auth") != 0 ||
		strcmp(key->ref_table, "users") != 0)
		return false;
	if (*empty < 0)
	{
		RowSet	   *rows;

		/* Whoever may not look is warned as of any other table. */
		rows = ftm_target_query(psprintf("SELECT pg_catalog.has_schema_privilege('auth', 'USAGE')"
										 " AND pg_catalog.has_table_privilege(%u::pg_catalog.oid, 'SELECT')"
										 " AND NOT pg_catalog.row_security_active(%u::pg_catalog.oid)",
										 key->ref_relid, key->ref_relid),
								0, NULL);
		*empty = 0;
		if (ftm_rowset_bool(rows, 0, 0))
		{
			(void) ftm_relation_lock(key->ref_relid, AccessShareLock,
									 FTM_READABLE, NULL);
			rows = ftm_target_query_relations(psprintf("SELECT EXISTS (SELECT FROM %s)",
													   ftm_relation_from(key->ref_relid)),
											  list_make1_oid(key->ref_relid),
											  TARGET_CODE_OURS);
			*empty = ftm_rowset_bool(rows, 0, 0) ? 0 : 1;
		}
	}
	return *empty == 1;
}

static void
add_drop(StringInfo drops, const CatalogForeignKey *key)
{
	appendStringInfo(drops, "%sALTER TABLE %s DROP CONSTRAINT %s",
					 drops->len > 0 ? "; " : "",
					 quote_qualified_identifier(key->schema, key->table),
					 quote_identifier(key->name));
}

/*
 * If only one side's ids are replaced, the rows no longer match.
 */
static void
check_key(MigrationPlan *plan, const CatalogForeignKey *key,
		  TableLookup lookup, const char *side)
{
	PlanTable  *table = lookup(plan, key->root);
	PlanTable  *referenced = lookup(plan, key->ref_root);
	ListCell   *name;
	ListCell   *ref_name;

	if (table == NULL || referenced == NULL)
		return;
	forboth(name, key->columns, ref_name, key->ref_columns)
	{
		PlanColumn *column = ftm_plan_column(table, lfirst(name));
		PlanColumn *ref_column = ftm_plan_column(referenced, lfirst(ref_name));
		bool		first;

		if (column == NULL || ref_column == NULL)
			continue;			/* reported elsewhere */
		first = is_id(column->mode);
		if (first == is_id(ref_column->mode))
			continue;
		ftm_plan_problem(plan, PLAN_USER_COLUMNS,
						 "Foreign key %s of the %s would match no longer: user ids in %s.%s are rewritten, those in %s.%s are not.  Give both columns the same mode in ftm_user_column.",
						 quote_identifier(key->name), side,
						 first ? table->name : referenced->name,
						 quote_identifier(first ? lfirst(name) : lfirst(ref_name)),
						 first ? referenced->name : table->name,
						 quote_identifier(first ? lfirst(ref_name) : lfirst(name)));
	}
}

/* Do two keys, one of each end, connect the same columns? */
static bool
same_key(const CatalogForeignKey *a, const CatalogForeignKey *b)
{
	ListCell   *x;
	ListCell   *y;

	if (strcmp(a->schema, b->schema) != 0 || strcmp(a->table, b->table) != 0 ||
		strcmp(a->ref_schema, b->ref_schema) != 0 ||
		strcmp(a->ref_table, b->ref_table) != 0 ||
		list_length(a->columns) != list_length(b->columns))
		return false;
	forboth(x, a->columns, y, b->columns)
	{
		if (strcmp(lfirst(x), lfirst(y)) != 0)
			return false;
	}
	forboth(x, a->ref_columns, y, b->ref_columns)
	{
		if (strcmp(lfirst(x), lfirst(y)) != 0)
			return false;
	}
	return true;
}

static bool
is_id(RewriteMode mode)
{
	return mode == REWRITE_UUID || mode == REWRITE_TEXT;
}

/*
 * A table's level is the longest path of references from it, cycles counted
 * as one table.  Tarjan's algorithm finishes a component after all that it
 * refers to, so the level is known at that moment.
 */
void
ftm_plan_assign_levels(MigrationPlan *plan)
{
	LevelState	state = {0};
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		GraphNode  *node = palloc0(sizeof(GraphNode));

		node->table = lfirst(lc);
		nodes = lappend(nodes, node);
	}
	foreach(lc, plan->source->foreign_keys)
	{
		CatalogForeignKey *key = lfirst(lc);
		PlanTable  *table = ftm_plan_table_of_source(plan, key->root);
		PlanTable  *referenced = ftm_plan_table_of_source(plan, key->ref_root);

		if (table != NULL && referenced != NULL)
		{
			GraphNode  *node = find_node(nodes, table);

			node->references = lappend(node->references,
									   find_node(nodes, referenced));
		}
	}
	foreach(lc, nodes)
	{
		GraphNode  *node = lfirst(lc);

		if (node->index == 0)
			visit(&state, node);
	}
}

static GraphNode *
find_node(List *nodes, const PlanTable *table)
{
	ListCell   *lc;

	foreach(lc, nodes)
	{
		GraphNode  *node = lfirst(lc);

		if (node->table == table)
			return node;
	}
	elog(ERROR, "table %s is not in the plan", table->name);
	return NULL;
}

static void
visit(LevelState *state, GraphNode *node)
{
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	node->index = node->low = ++state->visited;
	node->on_stack = true;
	state->stack = lappend(state->stack, node);

	foreach(lc, node->references)
	{
		GraphNode  *referenced = lfirst(lc);

		if (referenced->index == 0)
		{
			visit(state, referenced);
			node->low = Min(node->low, referenced->low);
		}
		else if (referenced->on_stack)
			node->low = Min(node->low, referenced->index);
	}
	if (node->low == node->index)
		close_component(state, node);
}

/* Everything on the stack from head on is one component. */
static void
close_component(LevelState *state, GraphNode *head)
{
	List	   *component = NIL;
	int			level = 0;
	GraphNode  *node;
	ListCell   *lc;
	ListCell   *reference;

	do
	{
		node = llast(state->stack);
		state->stack = list_delete_last(state->stack);
		component = lappend(component, node);
	} while (node != head);

	foreach(lc, component)
	{
		node = lfirst(lc);
		foreach(reference, node->references)
		{
			GraphNode  *referenced = lfirst(reference);

			/* what is still "on the stack" is of this component */
			if (!referenced->on_stack)
				level = Max(level, referenced->table->level + 1);
		}
	}
	foreach(lc, component)
	{
		node = lfirst(lc);
		node->on_stack = false;
		node->table->level = level;
	}
}

/*
 * A sequence that belongs to a column of the plan, or from which one takes its
 * default, is needed wherever it is; any other if the scope selects it.
 */
void
ftm_plan_match_sequences(MigrationPlan *plan, const ScopeFilter *filter)
{
	ListCell   *lc;

	foreach(lc, plan->source->sequences)
	{
		CatalogSequence *source = lfirst(lc);
		CatalogSequence *target;

		if (!is_used(plan, source) &&
			(source->owner_table != NULL || !source->in_scope ||
			 !ftm_scope_selects(filter, source->schema, source->name)))
			continue;
		if (ftm_scope_excludes(filter, source->schema, source->name))
			continue;

		target = find_counterpart(plan, source);
		if (target == NULL)
			ftm_plan_problem(plan, PLAN_SEQUENCES,
							 "Sequence %s of the source has no counterpart in the target.  Create it there, or leave it out with exclude.",
							 source->qualified);
		else
			match_sequence(plan, source, target);
	}
}

/* Does a table of the plan own the sequence, or take numbers from it? */
static bool
is_used(const MigrationPlan *plan, const CatalogSequence *source)
{
	ListCell   *lc;

	foreach(lc, plan->tables)
	{
		const CatalogTable *table = ((PlanTable *) lfirst(lc))->source;

		if (ftm_catalog_uses_sequence(table, source) ||
			(source->owner_table != NULL &&
			 strcmp(source->owner_schema, table->schema) == 0 &&
			 strcmp(source->owner_table, table->name) == 0))
			return true;
	}
	return false;
}

/*
 * The sequence of the same column, the one of the same name if the column has
 * several; else the sequence of the same name, unless it serves another
 * column; else the one from which such a column takes its default.
 */
static CatalogSequence *
find_counterpart(const MigrationPlan *plan, const CatalogSequence *source)
{
	CatalogSequence *by_owner = NULL;
	CatalogSequence *by_name = NULL;
	CatalogSequence *by_use = NULL;
	ListCell   *lc;

	foreach(lc, plan->target->sequences)
	{
		CatalogSequence *target = lfirst(lc);
		bool		same_name = strcmp(source->name, target->name) == 0 &&
			strcmp(source->schema, target->schema) == 0;

		if (same_owner(source, target))
		{
			if (by_owner == NULL || same_name)
				by_owner = target;
		}
		else if (same_name &&
				 (source->owner_table == NULL || target->owner_table == NULL))
			by_name = target;
		else if (same_use(source, target))
			by_use = target;
	}
	return by_owner != NULL ? by_owner : by_name != NULL ? by_name : by_use;
}

/*
 * Does a column take its numbers from either, as a default, or as identity or
 * serial?
 */
static bool
same_use(const CatalogSequence *a, const CatalogSequence *b)
{
	List	   *columns_a = columns_of(a);
	List	   *columns_b = columns_of(b);
	ListCell   *lc_a;
	ListCell   *lc_b;

	foreach(lc_a, columns_a)
	{
		foreach(lc_b, columns_b)
		{
			if (strcmp(lfirst(lc_a), lfirst(lc_b)) == 0)
				return true;
		}
	}
	return false;
}

/* As in CatalogSequence, with the one that owns it. */
static List *
columns_of(const CatalogSequence *sequence)
{
	if (sequence->owner_table == NULL)
		return sequence->columns;
	return lappend(list_copy(sequence->columns),
				   psprintf("%s.%s",
							ftm_catalog_quote_qualified(sequence->owner_schema,
														sequence->owner_table),
							ftm_catalog_quote(sequence->owner_column)));
}

static bool
same_owner(const CatalogSequence *a, const CatalogSequence *b)
{
	return a->owner_table != NULL && b->owner_table != NULL &&
		strcmp(a->owner_schema, b->owner_schema) == 0 &&
		strcmp(a->owner_table, b->owner_table) == 0 &&
		strcmp(a->owner_column, b->owner_column) == 0;
}

static void
match_sequence(MigrationPlan *plan, CatalogSequence *source,
			   CatalogSequence *target)
{
	PlanSequence *pair = palloc(sizeof(PlanSequence));

	if (!source->readable)
		ftm_plan_problem(plan, PLAN_SEQUENCES,
						 "Sequence %s of the source cannot be read by the role of the connection.  Grant it SELECT, and USAGE on the schema.",
						 source->qualified);
	else if (source->last_value < target->minimum ||
			 source->last_value > target->maximum)
		ftm_plan_problem(plan, PLAN_SEQUENCES,
						 "Sequence %s is at " INT64_FORMAT " in the source, but goes from " INT64_FORMAT " to " INT64_FORMAT " in the target.  Widen its bounds with ALTER SEQUENCE.",
						 target->qualified, source->last_value,
						 target->minimum, target->maximum);
	pair->source = source;
	pair->target = target;
	plan->sequences = lappend(plan->sequences, pair);
}
