/*-------------------------------------------------------------------------
 *
 * catalog_sql.h
 *		The catalog queries of catalog.c: all that a migration ever asks a
 *		source about its schema.
 *
 * The same text runs on the source and on the target, on PostgreSQL 14 to 17,
 * under search_path = pg_catalog.  Names leave here as plain names and are
 * quoted by the reader: regclass::text depends on the search_path.  Nothing
 * here locks a user table beyond the call that looks at it (which is why
 * partition trees are walked in pg_inherits: pg_partition_tree() would keep a
 * lock on every member).
 *
 * $1 is the array of the scope's schemas, unless said otherwise.  Behind each
 * query is the shape that its answer must have: see answer.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_CATALOG_SQL_H
#define FTM_CATALOG_SQL_H

#include "remote/answer.h"

/* Every member of every partition tree, with the tree's root. */
#define CATALOG_TREE \
	"WITH RECURSIVE tree(oid, root) AS (" \
	" SELECT c.oid, c.oid FROM pg_catalog.pg_class c" \
	" WHERE c.relkind = 'p' AND NOT c.relispartition" \
	" UNION ALL" \
	" SELECT i.inhrelid, tree.root FROM tree" \
	" JOIN pg_catalog.pg_inherits i ON i.inhparent = tree.oid)"

/* Relations of the scope that neither an extension nor a session owns. */
#define CATALOG_IN_SCOPE \
	" n.nspname = ANY ($1::pg_catalog.text[])" \
	" AND c.relpersistence <> 't'" \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e" \
	"  WHERE e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass" \
	"  AND e.objid = c.oid AND e.deptype = 'e')"

#define CATALOG_MISSING_SCHEMAS_SQL \
	"SELECT s.name" \
	" FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY s(name, i)" \
	" WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n" \
	"  WHERE n.nspname = s.name) ORDER BY s.i"
#define CATALOG_MISSING_SCHEMAS_SHAPE \
	{"schemas that are missing", ANY_ROWS, 0, {TEXT_COLUMN}}

#define CATALOG_SCHEMAS_SQL \
	"SELECT n.nspname FROM pg_catalog.pg_namespace n" \
	" WHERE n.nspname = ANY ($1::pg_catalog.text[]) ORDER BY 1"
#define CATALOG_SCHEMAS_SHAPE \
	{"schemas", ANY_ROWS, 0, {TEXT_COLUMN}}

/* Supabase's users: no row if there is no such table, else may it be read? */
#define CATALOG_USERS_SQL \
	"SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')" \
	" AND pg_catalog.has_table_privilege(c.oid, 'SELECT')" \
	" FROM pg_catalog.pg_class c" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" WHERE n.nspname = 'auth' AND c.relname = 'users'"
#define CATALOG_USERS_SHAPE \
	{"auth.users", ONE_ROW_OR_NONE, 0, {BOOL_COLUMN}}

#define CATALOG_VERSION_SQL \
	"SELECT pg_catalog.current_setting('server_version_num')"
#define CATALOG_VERSION_SHAPE \
	{"the server's version", ONE_ROW, 0, {INTEGER_COLUMN(70000, 9999999)}}

#define CATALOG_ENCODING_SQL \
	"SELECT pg_catalog.current_setting('server_encoding')"
#define CATALOG_ENCODING_SHAPE \
	{"the database's encoding", ONE_ROW, 0, {TEXT_COLUMN}}
#define CATALOG_ENCODING_QUESTION "encoding"	/* in an export */

#define CATALOG_TABLES_SQL \
	CATALOG_TREE \
	", bad_trigger(root, names) AS (" \
	" SELECT coalesce(t.root, g.tgrelid)," \
	"  pg_catalog.array_agg(DISTINCT g.tgname::pg_catalog.text)" \
	" FROM pg_catalog.pg_trigger g LEFT JOIN tree t ON t.oid = g.tgrelid" \
	" WHERE g.tgenabled IN ('A', 'R') GROUP BY 1)" \
	", unvalidated(root, expressions) AS (" \
	" SELECT coalesce(t.root, k.conrelid)," \
	"  pg_catalog.array_agg(DISTINCT" \
	"   pg_catalog.pg_get_expr(k.conbin, k.conrelid))" \
	" FROM pg_catalog.pg_constraint k LEFT JOIN tree t ON t.oid = k.conrelid" \
	" WHERE k.contype = 'c' AND k.conrelid <> 0 AND NOT k.convalidated" \
	" GROUP BY 1)" \
	"SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence," \
	" coalesce(t.root, c.oid)," \
	" pg_catalog.has_table_privilege(c.oid, 'SELECT')" \
	"  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')," \
	" pg_catalog.pg_has_role(c.relowner, 'USAGE')" \
	"  AND NOT EXISTS (SELECT FROM tree p" \
	"   JOIN pg_catalog.pg_class pc ON pc.oid = p.oid" \
	"   WHERE p.root = c.oid" \
	"   AND NOT pg_catalog.pg_has_role(pc.relowner, 'USAGE'))," \
	" pg_catalog.row_security_active(c.oid)," \
	" am.amhandler = 'pg_catalog.heap_tableam_handler'::pg_catalog.regproc," \
	" b.names," \
	" (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY u.i)" \
	"  FROM pg_catalog.pg_constraint k," \
	"   pg_catalog.unnest(k.conkey) WITH ORDINALITY u(attnum, i)," \
	"   pg_catalog.pg_attribute a" \
	"  WHERE k.conrelid = c.oid AND k.contype = 'p'" \
	"  AND a.attrelid = c.oid AND a.attnum = u.attnum)," \
	" v.expressions" \
	" FROM pg_catalog.pg_class c" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam" \
	" LEFT JOIN tree t ON t.oid = c.oid" \
	" LEFT JOIN bad_trigger b ON b.root = c.oid" \
	" LEFT JOIN unvalidated v ON v.root = c.oid" \
	" WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND" \
	CATALOG_IN_SCOPE \
	" ORDER BY n.nspname, c.relname"
#define CATALOG_TABLES_SHAPE \
	{"tables", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, TEXT_COLUMN, LETTER_COLUMN("rpvmf"), \
		LETTER_COLUMN("pu"), OID_COLUMN, BOOL_COLUMN, BOOL_COLUMN, BOOL_COLUMN, \
		BOOL_OR_NULL, TEXTS_OR_NULL, TEXTS_OR_NULL, TEXTS_OR_NULL}}

/*
 * Sizes, on the source only: the target's would wait for a load that holds
 * its table exclusively.  Partitions count for their root.
 */
#define CATALOG_SIZES_SQL \
	CATALOG_TREE \
	"SELECT coalesce(t.root, c.oid)," \
	" CASE" \
	"  WHEN pg_catalog.sum(pg_catalog.pg_relation_size(c.oid)) = 0 THEN 0" \
	"  WHEN pg_catalog.bool_and(c.reltuples < 0) THEN -1" \
	"  ELSE pg_catalog.sum(greatest(c.reltuples, 0)) END," \
	" pg_catalog.sum(pg_catalog.pg_table_size(c.oid))::pg_catalog.int8" \
	" FROM pg_catalog.pg_class c" \
	" LEFT JOIN tree t ON t.oid = c.oid" \
	" JOIN pg_catalog.pg_class root ON root.oid = coalesce(t.root, c.oid)" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = root.relnamespace" \
	" WHERE c.relkind = 'r' AND" \
	CATALOG_IN_SCOPE \
	" GROUP BY 1"
#define CATALOG_SIZES_SHAPE \
	{"sizes of tables", ANY_ROWS, 0, { \
		OID_COLUMN, NUMBER_COLUMN(-1), COUNT_OR_NULL}}

/*
 * Published tables, on the target only.  The view knows every way a table
 * gets into a publication of the server's version.
 */
#define CATALOG_PUBLISHED_SQL \
	CATALOG_TREE \
	"SELECT DISTINCT coalesce(t.root, c.oid)" \
	" FROM pg_catalog.pg_publication_tables p" \
	" JOIN pg_catalog.pg_namespace n ON n.nspname = p.schemaname" \
	" JOIN pg_catalog.pg_class c" \
	"  ON c.relnamespace = n.oid AND c.relname = p.tablename" \
	" LEFT JOIN tree t ON t.oid = c.oid"

/*
 * What a generation expression reads is in pg_depend: recorded for the column
 * itself up to PostgreSQL 14, for its pg_attrdef row since.
 */
#define CATALOG_COLUMNS_SQL \
	"SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod," \
	" pg_catalog.format_type(a.atttypid, a.atttypmod)," \
	" a.attnotnull OR (t.typtype = 'd' AND t.typnotnull)," \
	" a.atthasdef OR t.typdefault IS NOT NULL," \
	" a.attidentity, a.attgenerated," \
	" pg_catalog.pg_get_expr(d.adbin, d.adrelid)," \
	" (SELECT pg_catalog.array_agg(DISTINCT r.attname::pg_catalog.text)" \
	"  FROM pg_catalog.pg_depend p JOIN pg_catalog.pg_attribute r" \
	"   ON r.attrelid = a.attrelid AND r.attnum = p.refobjsubid" \
	"  WHERE a.attgenerated <> '' AND r.attnum <> a.attnum" \
	"  AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass" \
	"  AND p.refobjid = a.attrelid" \
	"  AND ((p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass" \
	"    AND p.objid = d.oid)" \
	"   OR (p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass" \
	"    AND p.objid = a.attrelid AND p.objsubid = a.attnum)))" \
	" FROM pg_catalog.pg_attribute a" \
	" JOIN pg_catalog.pg_class c ON c.oid = a.attrelid" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" JOIN pg_catalog.pg_type t ON t.oid = a.atttypid" \
	" LEFT JOIN pg_catalog.pg_attrdef d" \
	"  ON d.adrelid = a.attrelid AND d.adnum = a.attnum" \
	" WHERE c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND" \
	CATALOG_IN_SCOPE \
	" ORDER BY a.attrelid, a.attnum"
#define CATALOG_COLUMNS_SHAPE \
	{"columns", ANY_ROWS, 0, { \
		OID_COLUMN, INTEGER_COLUMN(1, PG_INT16_MAX), TEXT_COLUMN, OID_COLUMN, \
		TYPMOD_COLUMN, TEXT_COLUMN, BOOL_COLUMN, BOOL_COLUMN, \
		LETTER_OR_EMPTY("ad"), LETTER_OR_EMPTY("sv"), TEXT_OR_NULL, \
		TEXTS_OR_NULL}}

/*
 * Types by OID ($1), asked again for what those consist of until nothing new
 * comes up.  (A recursive query would do it in one go, but be so overestimated
 * that the server spends half a second on compiling it.)
 */
#define CATALOG_TYPES_SQL \
	"SELECT t.oid, n.nspname, t.typname, t.typtype," \
	" (SELECT e.oid FROM pg_catalog.pg_type e WHERE e.typarray = t.oid)," \
	" t.typbasetype, t.typtypmod," \
	" CASE WHEN t.typtype = 'd'" \
	"  THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END," \
	" t.typnotnull," \
	" (SELECT x.extname FROM pg_catalog.pg_depend d" \
	"  JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid" \
	"  WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass" \
	"  AND d.objid = t.oid AND d.deptype = 'e'" \
	"  AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass)," \
	" t.typsend <> 0 AND t.typreceive <> 0," \
	" (SELECT pg_catalog.array_agg(e.enumlabel::pg_catalog.text" \
	"   ORDER BY e.enumsortorder)" \
	"  FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)," \
	" (SELECT r.rngsubtype FROM pg_catalog.pg_range r" \
	"  WHERE t.oid IN (r.rngtypid, r.rngmultitypid))," \
	" (SELECT pg_catalog.array_agg(" \
	"   pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname)" \
	"  FROM pg_catalog.pg_constraint k" \
	"  WHERE k.contypid = t.oid AND k.contype = 'c')," \
	" m.names, m.types, m.typmods, m.displays" \
	" FROM pg_catalog.pg_type t" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace" \
	" LEFT JOIN LATERAL (SELECT" \
	"   pg_catalog.array_agg(a.attname::pg_catalog.text" \
	"    ORDER BY a.attnum) AS names," \
	"   pg_catalog.array_agg(a.atttypid ORDER BY a.attnum) AS types," \
	"   pg_catalog.array_agg(a.atttypmod ORDER BY a.attnum) AS typmods," \
	"   pg_catalog.array_agg(pg_catalog.format_type(" \
	"    a.atttypid, a.atttypmod) ORDER BY a.attnum) AS displays" \
	"  FROM pg_catalog.pg_attribute a" \
	"  WHERE t.typtype = 'c' AND a.attrelid = t.typrelid" \
	"  AND a.attnum > 0 AND NOT a.attisdropped) m ON true" \
	" WHERE t.oid = ANY ($1::pg_catalog.oid[])"
#define CATALOG_TYPES_SHAPE \
	{"types", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, TEXT_COLUMN, LETTER_COLUMN("bcdemrp"), \
		OID_OR_NULL, OID_OR_ZERO, TYPMOD_COLUMN, TEXT_OR_NULL, BOOL_COLUMN, \
		TEXT_OR_NULL, BOOL_COLUMN, TEXTS_OR_NULL, OID_OR_NULL, TEXTS_OR_NULL, \
		TEXTS_OR_NULL, OIDS_OR_NULL, TYPMODS_OR_NULL, TEXTS_OR_NULL}}

#define CATALOG_FOREIGN_KEYS_SQL \
	CATALOG_TREE \
	"SELECT k.oid, k.conname, k.conrelid, coalesce(t.root, k.conrelid)," \
	" n.nspname, c.relname," \
	" (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY u.i)" \
	"  FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u(attnum, i)" \
	"  JOIN pg_catalog.pg_attribute a" \
	"   ON a.attrelid = k.conrelid AND a.attnum = u.attnum)," \
	" k.confrelid, coalesce(rt.root, k.confrelid), rn.nspname, rc.relname," \
	" (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY u.i)" \
	"  FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u(attnum, i)" \
	"  JOIN pg_catalog.pg_attribute a" \
	"   ON a.attrelid = k.confrelid AND a.attnum = u.attnum)," \
	" (SELECT pg_catalog.array_agg('OPERATOR('" \
	"   || pg_catalog.quote_ident(pn.nspname) || '.' || o.oprname || ')'" \
	"   ORDER BY u.i)" \
	"  FROM pg_catalog.unnest(k.conpfeqop) WITH ORDINALITY u(op, i)" \
	"  JOIN pg_catalog.pg_operator o ON o.oid = u.op" \
	"  JOIN pg_catalog.pg_namespace pn ON pn.oid = o.oprnamespace)," \
	" k.confmatchtype, k.convalidated, k.conparentid <> 0" \
	" FROM pg_catalog.pg_constraint k" \
	" JOIN pg_catalog.pg_class c ON c.oid = k.conrelid" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" JOIN pg_catalog.pg_class rc ON rc.oid = k.confrelid" \
	" JOIN pg_catalog.pg_namespace rn ON rn.oid = rc.relnamespace" \
	" LEFT JOIN tree t ON t.oid = k.conrelid" \
	" LEFT JOIN tree rt ON rt.oid = k.confrelid" \
	" WHERE k.contype = 'f'" \
	" ORDER BY n.nspname, c.relname, k.conname, k.oid"
#define CATALOG_FOREIGN_KEYS_SHAPE \
	{"foreign keys", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, OID_COLUMN, OID_COLUMN, TEXT_COLUMN, \
		TEXT_COLUMN, TEXTS_COLUMN, OID_COLUMN, OID_COLUMN, TEXT_COLUMN, \
		TEXT_COLUMN, TEXTS_COLUMN, TEXTS_COLUMN, LETTER_COLUMN("fps"), \
		BOOL_COLUMN, BOOL_COLUMN}}

/*
 * Sequences of the scope, and those from which a column of one of its tables
 * takes its default, wherever they are.  The last value names these columns, a
 * partition's as its root's.
 */
#define CATALOG_SEQUENCES_SQL \
	CATALOG_TREE \
	", used(oid, columns) AS (" \
	" SELECT p.refobjid, pg_catalog.array_agg(DISTINCT pg_catalog.concat_ws('.'," \
	"   '\"' || pg_catalog.replace(n.nspname, '\"', '\"\"') || '\"'," \
	"   '\"' || pg_catalog.replace(c.relname, '\"', '\"\"') || '\"'," \
	"   '\"' || pg_catalog.replace(a.attname, '\"', '\"\"') || '\"'))" \
	"  FROM pg_catalog.pg_depend p" \
	"  JOIN pg_catalog.pg_attrdef d ON d.oid = p.objid" \
	"  JOIN pg_catalog.pg_attribute a" \
	"   ON a.attrelid = d.adrelid AND a.attnum = d.adnum" \
	"  LEFT JOIN tree t ON t.oid = d.adrelid" \
	"  JOIN pg_catalog.pg_class c ON c.oid = coalesce(t.root, d.adrelid)" \
	"  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	"  WHERE p.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass" \
	"  AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass" \
	"  AND n.nspname = ANY ($1::pg_catalog.text[]) GROUP BY 1)" \
	"SELECT c.oid, n.nspname, c.relname," \
	" tn.nspname, tc.relname, ta.attname, s.seqmin, s.seqmax," \
	" pg_catalog.has_sequence_privilege(c.oid, 'SELECT')" \
	"  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')," \
	" u.columns" \
	" FROM pg_catalog.pg_sequence s" \
	" JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid" \
	" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace" \
	" LEFT JOIN pg_catalog.pg_depend d" \
	"  ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass" \
	"  AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype IN ('a', 'i')" \
	"  AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass" \
	"  AND d.refobjsubid > 0" \
	" LEFT JOIN pg_catalog.pg_class tc ON tc.oid = d.refobjid" \
	" LEFT JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace" \
	" LEFT JOIN pg_catalog.pg_attribute ta" \
	"  ON ta.attrelid = d.refobjid AND ta.attnum = d.refobjsubid" \
	" LEFT JOIN used u ON u.oid = c.oid" \
	" WHERE (" CATALOG_IN_SCOPE ")" \
	" OR (u.oid IS NOT NULL AND c.relpersistence <> 't')" \
	" ORDER BY n.nspname, c.relname"
#define CATALOG_SEQUENCES_SHAPE \
	{"sequences", ANY_ROWS, 0, { \
		OID_COLUMN, TEXT_COLUMN, TEXT_COLUMN, TEXT_OR_NULL, TEXT_OR_NULL, \
		TEXT_OR_NULL, INT64_COLUMN, INT64_COLUMN, BOOL_COLUMN, \
		TEXTS_OR_NULL}}

/* One line per sequence, joined by UNION ALL; filled in with its OID and name. */
#define CATALOG_SEQUENCE_VALUE_SQL \
	"SELECT %u, last_value, is_called FROM %s"
#define CATALOG_SEQUENCE_VALUES_SHAPE \
	{"values of sequences", ANY_ROWS, 0, { \
		OID_COLUMN, INT64_COLUMN, BOOL_COLUMN}}

#endif							/* FTM_CATALOG_SQL_H */
