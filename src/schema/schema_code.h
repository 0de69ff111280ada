/*-------------------------------------------------------------------------
 *
 * schema_code.h
 *		The code in SQL or a procedural language that the schema runs by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SCHEMA_CODE_H
#define FTM_SCHEMA_CODE_H

#include "nodes/pg_list.h"

/*
 * Each of these returns the OIDs of the functions that may look at tables (those
 * in SQL or a procedural language, and the server's own that execute a query)
 * and that are reached by way of calls, operators, casts, comparisons, operator
 * classes, domains and what types consist of; NIL if there is none.  A function
 * reached only by the body of another is not among them.  More rather than less:
 * a function that is reached need not be called for each row.
 *
 * All read catalogs only and lock no table.  What is gone has no code.  Result in
 * the current memory context.
 */

/* When a CHECK constraint (OID) of a table is tested. */
extern List *ftm_schema_code_of_check(Oid constraint);

/* When an index, or a constraint that it serves, is built or kept. */
extern List *ftm_schema_code_of_index(Oid indexid);

/* When ANALYZE computes the extended statistics of a table. */
extern List *ftm_schema_code_of_statistics(Oid relid);

/*
 * When a row is put into one table: values of its columns' types, generated
 * columns, the defaults of those that are not among the names (char *) in
 * columns, and its partition key.
 */
extern List *ftm_schema_code_of_values(Oid relid, const List *columns);

/*
 * What the owner of a table must be able to execute: the functions of all
 * languages that stand in its CHECK constraints, indexes and statistics, in
 * generated columns, in defaults as above, and in the constraints of its domains.
 */
extern List *ftm_schema_code_called(Oid relid, const List *columns);

/*
 * What functions are called in a sentence: "s.f(integer), ...", quoted, in the
 * order of their names.
 */
extern char *ftm_schema_code_names(const List *functions);

#endif							/* FTM_SCHEMA_CODE_H */
