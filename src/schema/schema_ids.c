/*-------------------------------------------------------------------------
 *
 * schema_ids.c
 *		User ids that are written into the target's schema itself.
 *
 * Policies and functions often name one user, the administrator; so may a
 * default or a partition bound.  The load replaces ids in rows, not in the
 * schema, which is the target's own: so they are found, by value, and the
 * statement that mends each is made, for somebody to look at and execute.
 *
 * There are few ids in a schema and perhaps millions of users, so the ids of
 * the schema are looked up among the users, never the other way round.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"

#include "base/extension.h"
#include "base/target.h"
#include "remote/server.h"
#include "schema/catalog.h"
#include "schema/schema_ids.h"

#define UUID_TEXT_LENGTH	36

/* Objects of users: not the server's, not an extension's. */
#define OF_USERS(namespace, class, oid) \
	namespace " !~ '^(pg_|information_schema$)'" \
	" AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e" \
	"  WHERE e.classid = 'pg_catalog." class "'::pg_catalog.regclass" \
	"  AND e.objid = " oid " AND e.deptype = 'e')"

#define NAME_OF(namespace, name) \
	"pg_catalog.quote_ident(" namespace ") || '.' ||" \
	" pg_catalog.quote_ident(" name ")"

#define UUID_PATTERN \
	"'[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}'"

/*
 * Whatever has an id in its definition: the definition, and what has to stand
 * before and behind it in a statement that gives the object that definition.
 */
static const char objects_sql[] =
"SELECT d.kind, d.object, d.before, d.definition, d.behind, d.relid, d.refuses"
" FROM ("
/* defaults and generated columns */
"SELECT CASE WHEN a.attgenerated = '' THEN 'default' ELSE 'generated column' END,"
" " NAME_OF("n.nspname", "c.relname") " || '.' || pg_catalog.quote_ident(a.attname),"
" 'ALTER TABLE ' || " NAME_OF("n.nspname", "c.relname") " ||"
"  CASE WHEN a.attgenerated = ''"
"   THEN ' ALTER COLUMN ' || pg_catalog.quote_ident(a.attname) || ' SET DEFAULT '"
"   ELSE ' DROP COLUMN ' || pg_catalog.quote_ident(a.attname) || ', ADD COLUMN '"
"    || pg_catalog.quote_ident(a.attname) || ' '"
"    || pg_catalog.format_type(a.atttypid, a.atttypmod)"
"    || ' GENERATED ALWAYS AS (' END,"
" pg_catalog.pg_get_expr(ad.adbin, ad.adrelid),"
" CASE a.attgenerated WHEN '' THEN '' WHEN 's' THEN ') STORED' ELSE ')' END,"
" c.oid, a.attgenerated <> ''"
" FROM pg_catalog.pg_attrdef ad"
" JOIN pg_catalog.pg_attribute a ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum"
" JOIN pg_catalog.pg_class c ON c.oid = ad.adrelid"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE " OF_USERS("n.nspname", "pg_class", "c.oid")
/* constraints of tables, a partition's own only */
" UNION ALL SELECT 'constraint',"
" pg_catalog.quote_ident(k.conname) || ' on ' || " NAME_OF("n.nspname", "c.relname") ","
" 'ALTER TABLE ' || " NAME_OF("n.nspname", "c.relname")
"  || ' DROP CONSTRAINT ' || pg_catalog.quote_ident(k.conname)"
"  || ', ADD CONSTRAINT ' || pg_catalog.quote_ident(k.conname) || ' ',"
" pg_catalog.pg_get_constraintdef(k.oid), '', c.oid, true"
" FROM pg_catalog.pg_constraint k"
" JOIN pg_catalog.pg_class c ON c.oid = k.conrelid"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE k.contype IN ('c', 'x') AND k.conislocal"
" AND " OF_USERS("n.nspname", "pg_class", "c.oid")
/* indexes that no constraint has */
" UNION ALL SELECT 'index', " NAME_OF("n.nspname", "ic.relname") ","
" 'DROP INDEX ' || " NAME_OF("n.nspname", "ic.relname") " || '; ',"
" pg_catalog.regexp_replace(pg_catalog.pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON '),"
" '', c.oid, i.indisunique"
" FROM pg_catalog.pg_index i"
" JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid"
" JOIN pg_catalog.pg_class c ON c.oid = i.indrelid"
" JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace"
" WHERE (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) AND NOT ic.relispartition"
" AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k"
"  WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))"
" AND " OF_USERS("n.nspname", "pg_class", "c.oid")
/* partition bounds */
" UNION ALL SELECT 'partition', " NAME_OF("n.nspname", "c.relname") ","
" 'ALTER TABLE ' || " NAME_OF("pn.nspname", "p.relname") " || ' DETACH PARTITION '"
"  || " NAME_OF("n.nspname", "c.relname") " || '; ALTER TABLE '"
"  || " NAME_OF("pn.nspname", "p.relname") " || ' ATTACH PARTITION '"
"  || " NAME_OF("n.nspname", "c.relname") " || ' ',"
" pg_catalog.pg_get_expr(c.relpartbound, c.oid), '', c.oid, true"
" FROM pg_catalog.pg_class c"
" JOIN pg_catalog.pg_inherits h ON h.inhrelid = c.oid"
" JOIN pg_catalog.pg_class p ON p.oid = h.inhparent"
" JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE c.relispartition AND c.relkind IN ('r', 'p')"
" AND " OF_USERS("n.nspname", "pg_class", "c.oid")
/* domains: constraints and defaults */
" UNION ALL SELECT 'domain', " NAME_OF("n.nspname", "t.typname") ","
" 'ALTER DOMAIN ' || " NAME_OF("n.nspname", "t.typname") " || ' DROP CONSTRAINT '"
"  || pg_catalog.quote_ident(k.conname) || '; ALTER DOMAIN '"
"  || " NAME_OF("n.nspname", "t.typname") " || ' ADD CONSTRAINT '"
"  || pg_catalog.quote_ident(k.conname) || ' ',"
" pg_catalog.pg_get_constraintdef(k.oid), '', 0, true"
" FROM pg_catalog.pg_constraint k"
" JOIN pg_catalog.pg_type t ON t.oid = k.contypid"
" JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
" WHERE k.contype = 'c' AND " OF_USERS("n.nspname", "pg_type", "t.oid")
" UNION ALL SELECT 'domain', " NAME_OF("n.nspname", "t.typname") ","
" 'ALTER DOMAIN ' || " NAME_OF("n.nspname", "t.typname") " || ' SET DEFAULT ',"
" pg_catalog.pg_get_expr(t.typdefaultbin, 0), '', 0, false"
" FROM pg_catalog.pg_type t"
" JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
" WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL"
" AND " OF_USERS("n.nspname", "pg_type", "t.oid")
/* policies */
" UNION ALL SELECT 'policy',"
" pg_catalog.quote_ident(p.polname) || ' on ' || " NAME_OF("n.nspname", "c.relname") ","
" 'ALTER POLICY ' || pg_catalog.quote_ident(p.polname) || ' ON '"
"  || " NAME_OF("n.nspname", "c.relname") ","
" pg_catalog.concat(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')',"
"  ' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')'),"
" '', c.oid, false"
" FROM pg_catalog.pg_policy p"
" JOIN pg_catalog.pg_class c ON c.oid = p.polrelid"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE " OF_USERS("n.nspname", "pg_class", "c.oid")
/* functions and procedures */
" UNION ALL SELECT 'function', " NAME_OF("n.nspname", "f.proname")
"  || '(' || pg_catalog.pg_get_function_identity_arguments(f.oid) || ')',"
" '', pg_catalog.pg_get_functiondef(f.oid), '', 0, false"
" FROM pg_catalog.pg_proc f"
" JOIN pg_catalog.pg_namespace n ON n.oid = f.pronamespace"
" JOIN pg_catalog.pg_language l ON l.oid = f.prolang"
" WHERE f.prokind <> 'a' AND l.lanname NOT IN ('c', 'internal')"
" AND " OF_USERS("n.nspname", "pg_proc", "f.oid")
/* views, rules */
" UNION ALL SELECT CASE c.relkind WHEN 'v' THEN 'view' ELSE 'materialized view' END,"
" " NAME_OF("n.nspname", "c.relname") ","
" CASE c.relkind WHEN 'v' THEN 'CREATE OR REPLACE VIEW ' ELSE 'DROP MATERIALIZED VIEW '"
"  || " NAME_OF("n.nspname", "c.relname") " || '; CREATE MATERIALIZED VIEW ' END"
"  || " NAME_OF("n.nspname", "c.relname") " || ' AS ',"
" pg_catalog.pg_get_viewdef(c.oid), '', 0, false"
" FROM pg_catalog.pg_class c"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE c.relkind IN ('v', 'm') AND " OF_USERS("n.nspname", "pg_class", "c.oid")
" UNION ALL SELECT 'rule',"
" pg_catalog.quote_ident(r.rulename) || ' on ' || " NAME_OF("n.nspname", "c.relname") ","
" 'DROP RULE ' || pg_catalog.quote_ident(r.rulename) || ' ON '"
"  || " NAME_OF("n.nspname", "c.relname") " || '; ',"
" pg_catalog.pg_get_ruledef(r.oid), '', c.oid, false"
" FROM pg_catalog.pg_rewrite r"
" JOIN pg_catalog.pg_class c ON c.oid = r.ev_class"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE r.rulename <> '_RETURN' AND " OF_USERS("n.nspname", "pg_class", "c.oid")
/* triggers: conditions and arguments */
" UNION ALL SELECT 'trigger',"
" pg_catalog.quote_ident(g.tgname) || ' on ' || " NAME_OF("n.nspname", "c.relname") ","
" 'DROP TRIGGER ' || pg_catalog.quote_ident(g.tgname) || ' ON '"
"  || " NAME_OF("n.nspname", "c.relname") " || '; ',"
" pg_catalog.pg_get_triggerdef(g.oid), '', c.oid, false"
" FROM pg_catalog.pg_trigger g"
" JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE NOT g.tgisinternal AND " OF_USERS("n.nspname", "pg_class", "c.oid")
") AS d (kind, object, before, definition, behind, relid, refuses)"
" WHERE d.definition ~ " UUID_PATTERN
" ORDER BY d.kind, d.object";

enum
{
	OBJECT_KIND,
	OBJECT_NAME,
	OBJECT_BEFORE,
	OBJECT_DEFINITION,
	OBJECT_BEHIND,
	OBJECT_RELID,
	OBJECT_REFUSES
};

static const char users_table_sql[] =
"SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
"  AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
" FROM pg_catalog.pg_class c"
" JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
" WHERE n.nspname = 'auth' AND c.relname = 'users'";

static const char users_sql[] =
"SELECT u.id FROM auth.users AS u WHERE u.id = ANY ($1::pg_catalog.uuid[])";

/* A known user. */
typedef struct KnownId
{
	const char *source_id;
	const char *target_id;		/* NULL: not in the map */
} KnownId;

static const char *next_id(const char *text);
static List *add_ids(List *ids, const char *text);
static bool is_member(const List *texts, const char *text);
static List *find_mapped(List *ids);
static List *add_users(List *known, List *ids, SourceConnection *source);
static const KnownId *find_known(const List *known, const char *id);
static char *replace_ids(const char *text, const List *known, bool *replaced);
static List *add_object(List *found, const RowSet *rows, int row,
						const List *known);
static void put_row(ReturnSetInfo *rsinfo, const SchemaId *found);

PG_FUNCTION_INFO_V1(ftm_schema_user_ids);

/* ftm_schema_user_ids(source): one row per object and id. */
Datum
ftm_schema_user_ids(PG_FUNCTION_ARGS)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "ftmigrate schema ids",
												  ALLOCSET_DEFAULT_SIZES);
	SourceConnection *source;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	source = ftm_source_connect(ftm_options_source_server(PG_ARGISNULL(0) ?
														  "supabase" :
														  NameStr(*PG_GETARG_NAME(0))),
								context);
	foreach(lc, ftm_schema_ids_find(source))
		put_row((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	MemoryContextDelete(context);
	return (Datum) 0;
}

static void
put_row(ReturnSetInfo *rsinfo, const SchemaId *found)
{
	Datum		values[5] = {0};
	bool		nulls[5] = {0};

	values[0] = CStringGetTextDatum(found->kind);
	values[1] = CStringGetTextDatum(found->object);
	values[2] = DirectFunctionCall1(uuid_in, CStringGetDatum(found->source_id));
	nulls[3] = found->target_id == NULL;
	if (!nulls[3])
		values[3] = DirectFunctionCall1(uuid_in,
										CStringGetDatum(found->target_id));
	nulls[4] = found->statement == NULL;
	if (!nulls[4])
		values[4] = CStringGetTextDatum(found->statement);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

List *
ftm_schema_ids_find(SourceConnection *source)
{
	RowSet	   *rows = ftm_target_query(objects_sql, 0, NULL);
	List	   *ids = NIL;
	List	   *known;
	List	   *found = NIL;

	for (int row = 0; row < rows->nrows; row++)
		ids = add_ids(ids, ftm_rowset_text(rows, row, OBJECT_DEFINITION));
	if (ids == NIL)
		return NIL;
	known = add_users(find_mapped(ids), ids, source);
	for (int row = 0; row < rows->nrows; row++)
		found = add_object(found, rows, row, known);
	return found;
}

const char *
ftm_schema_ids_map(const char *text)
{
	List	   *ids = add_ids(NIL, text);
	bool		replaced = false;
	char	   *result;

	if (ids == NIL)
		return text;
	result = replace_ids(text, find_mapped(ids), &replaced);
	return replaced ? result : text;
}

/* Where the next id in a text begins; NULL if there is no more. */
static const char *
next_id(const char *text)
{
	for (; *text != '\0'; text++)
	{
		int			i = 0;

		while (i < UUID_TEXT_LENGTH &&
			   (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] == '-' :
				isxdigit((unsigned char) text[i])))
			i++;
		if (i == UUID_TEXT_LENGTH)
			return text;
	}
	return NULL;
}

/* In lower case, each once. */
static List *
add_ids(List *ids, const char *text)
{
	while ((text = next_id(text)) != NULL)
	{
		char	   *id = asc_tolower(text, UUID_TEXT_LENGTH);

		if (!is_member(ids, id))
			ids = lappend(ids, id);
		text += UUID_TEXT_LENGTH;
	}
	return ids;
}

static bool
is_member(const List *texts, const char *text)
{
	ListCell   *lc;

	foreach(lc, texts)
	{
		if (strcmp(lfirst(lc), text) == 0)
			return true;
	}
	return false;
}

/* Those of ids that the user map has: a List of KnownId. */
static List *
find_mapped(List *ids)
{
	const char *params[1] = {ftm_catalog_array_text(ids)};
	RowSet	   *rows = ftm_target_query_as_owner(psprintf("SELECT source_user_id, target_user_id"
														  " FROM %s.ftm_user_map"
														  " WHERE source_user_id = ANY ($1::pg_catalog.uuid[])",
														  ftm_extension_schema_quoted()),
												 1, params);
	List	   *known = NIL;

	for (int row = 0; row < rows->nrows; row++)
	{
		KnownId    *id = palloc(sizeof(KnownId));

		id->source_id = ftm_rowset_text(rows, row, 0);
		id->target_id = ftm_rowset_text(rows, row, 1);
		known = lappend(known, id);
	}
	return known;
}

/* Add those that the source has, and that are not among known. */
static List *
add_users(List *known, List *ids, SourceConnection *source)
{
	static const AnswerShape table_shape = {
		"auth.users", ONE_ROW_OR_NONE, 0, {BOOL_COLUMN}
	};
	static const AnswerShape users_shape = {
		"users", ANY_ROWS, 0, {UUID_COLUMN}
	};
	const char *params[1] = {ftm_catalog_array_text(ids)};
	RowSet	   *rows;

	if (source == NULL)
		return known;
	rows = ftm_source_query(source, &table_shape, users_table_sql, 0, NULL);
	if (rows->nrows == 0 || !ftm_rowset_bool(rows, 0, 0))
		return known;
	rows = ftm_source_query(source, &users_shape, users_sql, 1, params);
	for (int row = 0; row < rows->nrows; row++)
	{
		KnownId    *id;

		if (find_known(known, ftm_rowset_text(rows, row, 0)) != NULL)
			continue;
		id = palloc0(sizeof(KnownId));
		id->source_id = ftm_rowset_text(rows, row, 0);
		known = lappend(known, id);
	}
	return known;
}

static const KnownId *
find_known(const List *known, const char *id)
{
	ListCell   *lc;

	foreach(lc, known)
	{
		const KnownId *candidate = lfirst(lc);

		if (strcmp(candidate->source_id, id) == 0)
			return candidate;
	}
	return NULL;
}

/* The text with the target's ids; says whether there was any to replace. */
static char *
replace_ids(const char *text, const List *known, bool *replaced)
{
	StringInfoData result;
	const char *id;

	initStringInfo(&result);
	while ((id = next_id(text)) != NULL)
	{
		const KnownId *user = find_known(known,
										 asc_tolower(id, UUID_TEXT_LENGTH));

		appendBinaryStringInfo(&result, text, (int) (id - text));
		if (user != NULL && user->target_id != NULL)
		{
			appendStringInfoString(&result, user->target_id);
			*replaced = true;
		}
		else
			appendBinaryStringInfo(&result, id, UUID_TEXT_LENGTH);
		text = id + UUID_TEXT_LENGTH;
	}
	appendStringInfoString(&result, text);
	return result.data;
}

/* One entry for each known id in the object of a row. */
static List *
add_object(List *found, const RowSet *rows, int row, const List *known)
{
	const char *definition = ftm_rowset_text(rows, row, OBJECT_DEFINITION);
	bool		replaced = false;
	char	   *mended = replace_ids(definition, known, &replaced);
	ListCell   *lc;

	CHECK_FOR_INTERRUPTS();
	foreach(lc, add_ids(NIL, definition))
	{
		const KnownId *user = find_known(known, lfirst(lc));
		SchemaId   *entry;

		if (user == NULL || (user->target_id != NULL &&
							 strcmp(user->source_id, user->target_id) == 0))
			continue;
		entry = palloc0(sizeof(SchemaId));
		entry->kind = ftm_rowset_text(rows, row, OBJECT_KIND);
		entry->object = ftm_rowset_text(rows, row, OBJECT_NAME);
		entry->source_id = pstrdup(user->source_id);
		entry->target_id = user->target_id != NULL ?
			pstrdup(user->target_id) : NULL;
		if (replaced)
			entry->statement = psprintf("%s%s%s",
										ftm_rowset_text(rows, row, OBJECT_BEFORE),
										mended,
										ftm_rowset_text(rows, row, OBJECT_BEHIND));
		entry->relid = ftm_rowset_oid(rows, row, OBJECT_RELID);
		entry->refuses = ftm_rowset_bool(rows, row, OBJECT_REFUSES);
		found = lappend(found, entry);
	}
	return found;
}
