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

#endif							/* FTM_EXPRESSION_H */
