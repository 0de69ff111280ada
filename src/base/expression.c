/*-------------------------------------------------------------------------
 *
 * expression.c
 *		Do two servers' texts of an expression mean the same?
 *
 * Major versions print one expression in several ways: with or without a
 * cast, timezone('utc', now()) or now() AT TIME ZONE 'utc'.  The grammar
 * leaves most of that out of its trees, and equal() the rest: so trees are
 * compared, without what may differ.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"

#include "base/expression.h"

static List *parse_statements(const char *text);
static Node *parse_plain(const char *text);
static Node *plain(Node *node);
static bool make_plain(Node *node, void *context);

bool
ftm_expression_equal(const char *a, const char *b)
{
	Node	   *tree_a;
	Node	   *tree_b;

	if (strcmp(a, b) == 0)
		return true;
	tree_a = parse_plain(a);
	tree_b = parse_plain(b);
	return tree_a != NULL && tree_b != NULL && equal(tree_a, tree_b);
}

/* The tree of an expression, ready to be compared; NULL as below. */
static Node *
parse_plain(const char *text)
{
	Node	   *tree = plain(ftm_expression_parse(text));

	(void) make_plain(tree, NULL);
	return tree;
}

Node *
ftm_expression_parse(const char *text)
{
	List	   *statements = parse_statements(psprintf("SELECT %s", text));
	SelectStmt *select;
	SelectStmt *bare = makeNode(SelectStmt);
	ResTarget  *target;

	if (list_length(statements) != 1)
		return NULL;
	select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;
	if (!IsA(select, SelectStmt) || list_length(select->targetList) != 1)
		return NULL;

	/* An expression and nothing behind it, whatever the text is. */
	bare->targetList = select->targetList;
	target = linitial_node(ResTarget, select->targetList);
	return equal(select, bare) && target->name == NULL &&
		target->indirection == NIL ? target->val : NULL;
}

bool
ftm_expression_is_statement(const char *text)
{
	return list_length(parse_statements(text)) == 1;
}

/*
 * The statements in a text; NIL if there is an error in it.  The grammar holds
 * nothing but memory, so that its errors may be dropped.
 */
static List *
parse_statements(const char *text)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *volatile statements = NIL;

	PG_TRY();
	{
		statements = raw_parser(text, RAW_PARSE_DEFAULT);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (geterrcode() != ERRCODE_SYNTAX_ERROR)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return statements;
}

/*
 * The node that stands for node in the comparison: the cast's argument for a
 * cast, now() for CURRENT_TIMESTAMP.
 */
static Node *
plain(Node *node)
{
	while (node != NULL && IsA(node, TypeCast))
		node = ((TypeCast *) node)->arg;
	if (node != NULL && IsA(node, SQLValueFunction) &&
		((SQLValueFunction *) node)->op == SVFOP_CURRENT_TIMESTAMP)
		node = (Node *) makeFuncCall(list_make1(makeString("now")), NIL,
									 COERCE_EXPLICIT_CALL, -1);
	return node;
}

/* Walker: change a tree in its place. */
static bool
make_plain(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, List))
	{
		ListCell   *lc;

		foreach(lc, (List *) node)
			lfirst(lc) = plain(lfirst(lc));
	}
	else if (IsA(node, A_Expr))
	{
		A_Expr	   *expression = (A_Expr *) node;

		expression->name = list_make1(llast(expression->name));
		expression->lexpr = plain(expression->lexpr);
		expression->rexpr = plain(expression->rexpr);
	}
	else if (IsA(node, FuncCall))
	{
		FuncCall   *call = (FuncCall *) node;

		call->funcname = list_make1(llast(call->funcname));
		if (strcmp(strVal(linitial(call->funcname)), "nextval") == 0)
			call->args = NIL;
	}
	else if (IsA(node, TypeCast))
	{
		/* where no case above could put its argument in its place */
		((TypeCast *) node)->typeName = NULL;
	}
	return raw_expression_tree_walker(node, make_plain, context);
}
