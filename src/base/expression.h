/*-------------------------------------------------------------------------
 *
 * expression.h
 *		Do two servers' texts of an expression mean the same?
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_EXPRESSION_H
#define FTM_EXPRESSION_H

/*
 * Compare two expressions as pg_get_expr() prints them, by what the parser
 * makes of them: blanks, parentheses without effect, casts, the schemas of
 * functions and operators, and which sequence nextval() draws from do not
 * count.  A text that this server cannot parse equals only itself.  No errors.
 */
extern bool ftm_expression_equal(const char *a, const char *b);

/*
 * The grammar's tree of an expression; NULL if the text is none, or none that
 * this server's grammar knows.
 */
extern struct Node *ftm_expression_parse(const char *text);

/* Is the text one SQL statement, and no more? */
extern bool ftm_expression_is_statement(const char *text);

#endif							/* FTM_EXPRESSION_H */
