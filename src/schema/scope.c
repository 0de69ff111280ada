/*-------------------------------------------------------------------------
 *
 * scope.c
 *		What a call works on: the four parameters that every function has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

#include "compat.h"
#include "schema/catalog.h"
#include "schema/scope.h"

typedef struct FilterEntry
{
	char	   *text;
	bool		exact;			/* is a name: no pattern */
} FilterEntry;

struct ScopeFilter
{
	List	   *include;		/* of FilterEntry; NIL: everything */
	List	   *exclude;
};

static List *strings_from_arg(FunctionCallInfo fcinfo, int arg,
							  const char *parameter);
static void check_schemas(List *schemas);
static List *resolve(List *entries, const char *parameter,
					 const Catalog *source);
static bool is_name(const char *text, const char *schema, const char *name);
static bool is_like(const char *text, const char *schema, const char *name);
static bool matches_any(List *entries, const char *schema, const char *name);
pg_noreturn static void report_no_match(const char *text,
										const char *parameter,
										const Catalog *source);

Scope *
ftm_scope_from_args(FunctionCallInfo fcinfo, int first)
{
	Scope	   *scope = palloc0(sizeof(Scope));

	if (PG_ARGISNULL(first))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("source must not be null")));
	scope->source = pstrdup(NameStr(*PG_GETARG_NAME(first)));
	scope->schemas = strings_from_arg(fcinfo, first + 1, "schemas");
	scope->include = strings_from_arg(fcinfo, first + 2, "include");
	scope->exclude = strings_from_arg(fcinfo, first + 3, "exclude");
	check_schemas(scope->schemas);
	return scope;
}

/* A text[] argument as a List of char *; NIL for NULL and '{}'. */
static List *
strings_from_arg(FunctionCallInfo fcinfo, int arg, const char *parameter)
{
	List	   *result = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;

	if (PG_ARGISNULL(arg))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false,
					  TYPALIGN_INT, &elements, &nulls, &nelements);
	for (int i = 0; i < nelements; i++)
	{
		char	   *string = nulls[i] ? NULL : TextDatumGetCString(elements[i]);

		if (string == NULL || string[0] == '\0')
			ereport(ERROR,
					(errcode(nulls[i] ? ERRCODE_NULL_VALUE_NOT_ALLOWED :
							 ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s must not contain null or empty elements",
							parameter)));
		result = lappend(result, string);
	}
	return result;
}

bool
ftm_scope_bool_arg(FunctionCallInfo fcinfo, int argument, const char *name)
{
	if (PG_ARGISNULL(argument))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("parameter \"%s\" must not be null", name)));
	return PG_GETARG_BOOL(argument);
}

char *
ftm_scope_keyword_arg(FunctionCallInfo fcinfo, int argument, const char *name,
					  const char *const *allowed)
{
	StringInfoData list;
	char	   *value;

	if (PG_ARGISNULL(argument))
		return NULL;
	value = text_to_cstring(PG_GETARG_TEXT_PP(argument));

	initStringInfo(&list);
	for (int i = 0; allowed[i] != NULL; i++)
	{
		if (strcmp(value, allowed[i]) == 0)
			return value;
		appendStringInfo(&list, "%s\"%s\"", i > 0 ? ", " : "", allowed[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for parameter \"%s\": \"%s\"", name, value),
			 errhint("Available values: %s.", list.data)));
}

static void
check_schemas(List *schemas)
{
	ListCell   *lc;
	ListCell   *other;

	if (schemas == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no schema to migrate"),
				 errhint("Name at least one, such as schemas => '{public}'.")));
	foreach(lc, schemas)
	{
		const char *schema = lfirst(lc);

		if (strncmp(schema, "pg_", 3) == 0 ||
			strcmp(schema, "information_schema") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot migrate system schema \"%s\"", schema)));
		if (strcmp(schema, "auth") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("cannot migrate schema \"%s\" as tables", schema),
					 errdetail("The users in it become users of the new auth service; its other tables belong to Supabase."),
					 errhint("Leave it out of schemas.")));
		for_each_from(other, schemas, foreach_current_index(lc) + 1)
		{
			if (strcmp(lfirst(other), schema) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("schema \"%s\" is given twice", schema)));
		}
	}
}

ScopeFilter *
ftm_scope_filter(const Scope *scope, const Catalog *source)
{
	ScopeFilter *filter = palloc(sizeof(ScopeFilter));
	ListCell   *lc;

	foreach(lc, source->missing_schemas)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist in source \"%s\"",
						(char *) lfirst(lc), scope->source)));
	filter->include = resolve(scope->include, "include", source);
	filter->exclude = resolve(scope->exclude, "exclude", source);
	return filter;
}

/*
 * Whether an entry is a name or a pattern depends on what there is: "a_b" is
 * the table a_b if that exists, else a pattern that also matches "axb".
 */
static List *
resolve(List *entries, const char *parameter, const Catalog *source)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, entries)
	{
		FilterEntry *entry = palloc0(sizeof(FilterEntry));
		bool		found = false;
		List	   *lists[] = {source->tables, source->others, source->partitions};
		ListCell   *object;

		entry->text = lfirst(lc);
		for (int i = 0; i < (int) lengthof(lists); i++)
		{
			foreach(object, lists[i])
			{
				CatalogTable *table = lfirst(object);

				/* a view has no rows, a partition's are its root's */
				if (table->relkind == RELKIND_VIEW ||
					(table->root != table->oid &&
					 ftm_catalog_table_by_oid(source, table->root) != NULL))
					continue;
				entry->exact |= is_name(entry->text, table->schema, table->name);
				found |= is_like(entry->text, table->schema, table->name);
			}
		}
		foreach(object, source->sequences)
		{
			CatalogSequence *sequence = lfirst(object);

			entry->exact |= is_name(entry->text, sequence->schema,
									sequence->name);
			found |= is_like(entry->text, sequence->schema, sequence->name);
		}
		if (!entry->exact && !found)
			report_no_match(entry->text, parameter, source);
		result = lappend(result, entry);
	}
	return result;
}

static bool
is_name(const char *text, const char *schema, const char *name)
{
	return strcmp(text, name) == 0 ||
		strcmp(text, psprintf("%s.%s", schema, name)) == 0 ||
		strcmp(text, quote_qualified_identifier(schema, name)) == 0;
}

/*
 * A pattern speaks of schema.name only if it has a dot: else 'p%' would mean
 * everything in schema public.
 */
static bool
is_like(const char *text, const char *schema, const char *name)
{
	const char *subject = name;

	if (strchr(text, '.') != NULL)
		subject = psprintf("%s.%s", schema, name);
	return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID,
												CStringGetTextDatum(subject),
												CStringGetTextDatum(text)));
}

static bool
matches_any(List *entries, const char *schema, const char *name)
{
	ListCell   *lc;

	foreach(lc, entries)
	{
		FilterEntry *entry = lfirst(lc);

		if (entry->exact ? is_name(entry->text, schema, name) :
			is_like(entry->text, schema, name))
			return true;
	}
	return false;
}

bool
ftm_scope_selects(const ScopeFilter *filter, const char *schema,
				  const char *name)
{
	if (filter->include != NIL && !matches_any(filter->include, schema, name))
		return false;
	return !ftm_scope_excludes(filter, schema, name);
}

bool
ftm_scope_excludes(const ScopeFilter *filter, const char *schema,
				   const char *name)
{
	return matches_any(filter->exclude, schema, name);
}

static void
report_no_match(const char *text, const char *parameter, const Catalog *source)
{
	const char *root = NULL;
	ListCell   *lc;

	foreach(lc, source->partitions)
	{
		CatalogTable *partition = lfirst(lc);
		CatalogTable *table;

		if (!is_name(text, partition->schema, partition->name))
			continue;
		table = ftm_catalog_table_by_oid(source, partition->root);
		if (table != NULL)
			root = table->qualified;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("\"%s\" in %s matches no table of the source",
					text, parameter),
			 root != NULL ?
			 errdetail("It is a partition of table %s, and partitions are migrated with their root.", root) : 0,
			 errhint("An entry is a table's name, or a LIKE pattern for its name, or for schema.name if the pattern has a dot.  Only tables of the given schemas count.")));
}
