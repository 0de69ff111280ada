/*-------------------------------------------------------------------------
 *
 * check_plan.c
 *		Checks of both ends against each other.
 *
 * Most of it the plan has found already; one check per topic reports it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "base/extension.h"
#include "base/target.h"
#include "check/check.h"
#include "plan/definition.h"
#include "plan/unmapped_users.h"
#include "schema/catalog_sql.h"
#include "verify/verify_schema.h"

/* Users without a mapping that are looked for in the source's rows. */
#define MAX_IDS_SOUGHT		1000

static void report_topic(Preflight *preflight, PlanTopic topic,
						 char *pass_detail);
static void report_definitions(Preflight *preflight,
							   const List *definitions, int before);
static void report_table_definitions(Preflight *preflight,
									 const TableDefinitions *definitions,
									 int *of_users, int *harmless);
static bool has_topic(const List *findings, PlanTopic topic);
static int	count_user_columns(const MigrationPlan *plan);
static bool may_read_users(Preflight *preflight);
static void report_missing_users(Preflight *preflight,
								 const UnmappedUsers *users);
static char *find_reference(Preflight *preflight, const UnmappedUsers *users);
static List *needed_extensions(const MigrationPlan *plan);
static List *add_extension(List *extensions, const CatalogType *type);

/*
 * Builds the plan, which most of the other checks are about.
 */
void
ftm_check_schema(Preflight *preflight)
{
	preflight->plan = preflight->catalog != NULL ?
		ftm_plan_build_for(preflight->scope, preflight->catalog,
						   &preflight->policy) :
		preflight->reader != NULL ?
		ftm_plan_build_asked(preflight->scope, preflight->reader,
							 &preflight->policy) :
		ftm_plan_build(preflight->scope, preflight->source,
					   &preflight->policy);
	report_topic(preflight, PLAN_SCHEMA,
				 psprintf("All tables of the source (%d) have a counterpart that takes all their values.",
						  list_length(preflight->plan->tables)));
}

/*
 * What verification would find different after the load, as far as it is to be
 * seen before.  A warning, since it can be mended even then.
 */
void
ftm_check_definitions(Preflight *preflight)
{
	int			before = list_length(preflight->results);
	List	   *definitions;
	ListCell   *lc;

	foreach(lc, ftm_verify_schema_differences(preflight->plan,
											  preflight->source,
											  preflight->record,
											  &definitions))
	{
		SchemaDifference *difference = lfirst(lc);

		switch (difference->aspect)
		{
			case SCHEMA_COLUMN:
			case SCHEMA_GENERATION:
				break;			/* the plan's business, and a failure */
			case SCHEMA_INDEX:
				break;			/* the load builds it anew */
			case SCHEMA_NULLABILITY:
			case SCHEMA_DEFAULT:
			case SCHEMA_COLLATION:
			case SCHEMA_CONSTRAINT:
				ftm_check_warn(preflight,
							   psprintf("Table %s: %s; verification counts that as a difference.",
										difference->table->name,
										difference->text),
							   difference->remedy);
				break;
		}
	}
	report_definitions(preflight, definitions, before);
}

/*
 * One warning per table: a schema that was made by other means may differ in
 * many places.  What ought to differ, or does no harm, is counted.
 */
static void
report_definitions(Preflight *preflight, const List *definitions,
				   int before)
{
	int			constraints = 0;
	int			indexes = 0;
	int			of_users = 0;
	int			harmless = 0;
	StringInfoData counts;
	ListCell   *lc;

	foreach(lc, definitions)
	{
		const TableDefinitions *compared = lfirst(lc);

		constraints += compared->constraints;
		indexes += compared->indexes;
		report_table_definitions(preflight, compared, &of_users, &harmless);
	}
	initStringInfo(&counts);
	if (list_length(preflight->results) == before)
		appendStringInfo(&counts,
						 "All constraints (%d) and other indexes (%d) of the source are there by definition, and no others that refuse rows; NOT NULL, defaults and collations are as it asks for.  ",
						 constraints - of_users, indexes);
	if (of_users > 0)
		appendStringInfo(&counts, "Foreign keys to auth.users, which the target does not have, as expected: %d.  ",
						 of_users);
	if (harmless > 0)
		appendStringInfo(&counts, "Indexes that only the target has, and that refuse no row: %d.  ",
						 harmless);
	if (counts.len > 0)
		ftm_check_pass(preflight, pnstrdup(counts.data, counts.len - 2));
}

/* Adds to the numbers of differences that are no reason to warn. */
static void
report_table_definitions(Preflight *preflight,
						 const TableDefinitions *definitions,
						 int *of_users, int *harmless)
{
	StringInfoData detail;
	StringInfoData hint;
	ListCell   *lc;

	initStringInfo(&detail);
	initStringInfo(&hint);
	foreach(lc, definitions->differences)
	{
		const DefinitionDifference *difference = lfirst(lc);

		*of_users += difference->of_users;
		*harmless += difference->harmless;
		if (difference->of_users || difference->harmless)
			continue;
		appendStringInfo(&detail, "%s%s", detail.len > 0 ? "; " : "",
						 difference->text);
		appendStringInfo(&hint, "%s%s", hint.len > 0 ? "  " : "",
						 difference->remedy);
	}
	if (detail.len > 0)
		ftm_check_warn(preflight,
					   psprintf("Table %s: %s.", definitions->table->name,
								detail.data),
					   hint.data);
}

void
ftm_check_source_tables(Preflight *preflight)
{
	report_topic(preflight, PLAN_SOURCE_TABLES,
				 psprintf("All rows of the source's tables (%d) can be read.",
						  list_length(preflight->plan->tables)));
}

void
ftm_check_target_tables(Preflight *preflight)
{
	report_topic(preflight, PLAN_TARGET_TABLES,
				 psprintf("All tables of the target (%d) belong to the caller, and can be loaded.",
						  list_length(preflight->plan->tables)));
}

void
ftm_check_triggers(Preflight *preflight)
{
	report_topic(preflight, PLAN_TRIGGERS,
				 "No trigger of the target would fire during the load.");
}

void
ftm_check_sequences(Preflight *preflight)
{
	report_topic(preflight, PLAN_SEQUENCES,
				 psprintf("All sequences of the source (%d) have a counterpart that takes their values.",
						  list_length(preflight->plan->sequences)));
}

/*
 * One result for each of the plan's findings, or a pass.
 */
static void
report_topic(Preflight *preflight, PlanTopic topic, char *pass_detail)
{
	const MigrationPlan *plan = preflight->plan;
	ListCell   *lc;

	foreach(lc, plan->problems)
	{
		PlanFinding *finding = lfirst(lc);

		if (finding->topic == topic)
			ftm_check_fail(preflight, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   finding->detail, finding->hint);
	}
	foreach(lc, plan->warnings)
	{
		PlanFinding *finding = lfirst(lc);

		if (finding->topic == topic)
			ftm_check_warn(preflight, finding->detail, finding->hint);
	}
	if (!has_topic(plan->problems, topic) && !has_topic(plan->warnings, topic))
		ftm_check_pass(preflight, pass_detail);
}

static bool
has_topic(const List *findings, PlanTopic topic)
{
	ListCell   *lc;

	foreach(lc, findings)
	{
		if (((PlanFinding *) lfirst(lc))->topic == topic)
			return true;
	}
	return false;
}

void
ftm_check_user_columns(Preflight *preflight)
{
	report_topic(preflight, PLAN_USER_COLUMNS,
				 preflight->plan->ids_stay ?
				 pstrdup("User ids stay as they are: no column has to be decided about.") :
				 psprintf("All columns that are known to hold user ids are decided; to be rewritten: %d.",
						  count_user_columns(preflight->plan)));
}

/* Columns of the plan whose user ids are rewritten. */
static int
count_user_columns(const MigrationPlan *plan)
{
	int			count = 0;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, plan->tables)
	{
		foreach(lc2, ((PlanTable *) lfirst(lc))->columns)
		{
			if (((PlanColumn *) lfirst(lc2))->mode != REWRITE_KEEP)
				count++;
		}
	}
	return count;
}

void
ftm_check_user_map(Preflight *preflight)
{
	UnmappedUsers *users;

	if (count_user_columns(preflight->plan) == 0)
	{
		ftm_check_pass(preflight, "No column needs the user map.");
		return;
	}
	if (!may_read_users(preflight))
		return;
	users = ftm_unmapped_users(preflight->source);
	if (users->count == 0)
		ftm_check_pass(preflight,
					   psprintf("All users of the source (" INT64_FORMAT ") are in the user map.",
								users->users));
	else if (ftm_options_auth_server(preflight->auth_server, true) != NULL)
		ftm_check_pass(preflight,
					   psprintf("Users that are not in the user map yet: " INT64_FORMAT " of " INT64_FORMAT "; a run creates them by server %s.",
								users->count, users->users,
								quote_identifier(preflight->auth_server)));
	else
		report_missing_users(preflight, users);
}

/*
 * Can the source's users be read?  If not, that is the result.
 */
static bool
may_read_users(Preflight *preflight)
{
	const Catalog *source = preflight->plan->source;

	if (!source->has_users)
		ftm_check_warn(preflight,
					   "The source has no table auth.users, so it is not known which ids the user map ought to have.",
					   "If it is a Supabase database, connect to database postgres of the project.");
	else if (!source->users_readable)
		ftm_check_fail(preflight, ERRCODE_INSUFFICIENT_PRIVILEGE,
					   "Table auth.users of the source cannot be read by the role of the connection.",
					   "Grant it SELECT, and USAGE on the schema.");
	return source->users_readable;
}

/*
 * A user without a mapping does no harm unless a row refers to it by a column
 * in which that is an error, so that is what is looked for.
 */
static void
report_missing_users(Preflight *preflight, const UnmappedUsers *users)
{
	char	   *reference = find_reference(preflight, users);
	char	   *detail;
	char	   *hint;

	detail = psprintf("Users of the source that are not in the user map: " INT64_FORMAT " of " INT64_FORMAT ", such as %s.",
					  users->count, users->users, ftm_unmapped_user(users, 0));
	hint = psprintf("Have the run create them in the new auth service, which takes a server %s of ftm_stack_auth, or enter them in %s.ftm_user_map.",
					quote_identifier(preflight->auth_server),
					ftm_extension_schema_quoted());
	if (reference != NULL)
		ftm_check_fail(preflight, ERRCODE_FOREIGN_KEY_VIOLATION,
					   psprintf("%s  %s", detail, reference), hint);
	else if (users->count > MAX_IDS_SOUGHT)
		ftm_check_warn(preflight,
					   psprintf("%s  No row that must have a known user refers to the first %d of them; the others were not looked for.",
								detail, MAX_IDS_SOUGHT),
					   hint);
	else
		ftm_check_warn(preflight,
					   psprintf("%s  No row that must have a known user refers to them.",
								detail),
					   hint);
}

/*
 * Where the source has a missing user in a column in which that is an error,
 * as a sentence; NULL if nowhere.  Reads each of these tables once, at most.
 */
static char *
find_reference(Preflight *preflight, const UnmappedUsers *users)
{
	static const AnswerShape shape = {
		"references to a user", ONE_ROW_OR_NONE, 0, {TEXT_COLUMN}
	};
	const char *params[1];
	List	   *ids = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	for (int64 i = 0; i < Min(users->count, MAX_IDS_SOUGHT); i++)
		ids = lappend(ids, ftm_unmapped_user(users, i));
	params[0] = ftm_catalog_array_text(ids);

	foreach(lc, preflight->plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		if (!table->source->readable || table->source->row_security_active)
			continue;
		foreach(lc2, table->columns)
		{
			PlanColumn *column = lfirst(lc2);
			char	   *name = ftm_catalog_quote(column->source->name);
			RowSet	   *rows;

			if (!column->unmapped_is_error ||
				(column->mode != REWRITE_UUID && column->mode != REWRITE_TEXT))
				continue;
			rows = ftm_source_query(preflight->source, &shape,
									psprintf(column->mode == REWRITE_UUID ?
											 "SELECT %s::pg_catalog.uuid FROM %s%s WHERE %s = ANY ($1::pg_catalog.uuid[]) LIMIT 1" :
											 "SELECT %s FROM %s%s WHERE pg_catalog.lower(%s::pg_catalog.text) = ANY ($1::pg_catalog.text[]) LIMIT 1",
											 name,
											 table->source->relkind == RELKIND_PARTITIONED_TABLE ?
											 "" : "ONLY ",
											 ftm_catalog_quote_qualified(table->source->schema,
																		 table->source->name),
											 name),
									1, params);
			if (rows->nrows > 0)
				return psprintf("Column %s.%s refers to user %s, which would end the load.",
								table->name,
								quote_identifier(column->source->name),
								ftm_rowset_text(rows, 0, 0));
		}
	}
	return NULL;
}

/*
 * An extension whose type a column of the source has is needed, unless the
 * target's column does without.
 */
void
ftm_check_extensions(Preflight *preflight)
{
	List	   *needed = needed_extensions(preflight->plan);
	int			missing = 0;
	ListCell   *lc;

	foreach(lc, needed)
	{
		const char *params[1] = {lfirst(lc)};
		RowSet	   *rows;

		rows = ftm_target_query("SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = $1),"
								" EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = $1)",
								1, params);
		if (ftm_rowset_bool(rows, 0, 0))
			continue;
		missing++;
		ftm_check_fail(preflight, ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   psprintf("Columns of the source have types of extension %s, which the target does not have.",
								quote_identifier(params[0])),
					   psprintf(ftm_rowset_bool(rows, 0, 1) ?
								"Execute CREATE EXTENSION %s." :
								"Install the package that extension %s comes with, then execute CREATE EXTENSION.",
								quote_identifier(params[0])));
	}
	if (missing == 0)
		ftm_check_pass(preflight,
					   psprintf("The target has all extensions that the source's columns need (%d).",
								list_length(needed)));
}

/* Names of extensions, each once. */
static List *
needed_extensions(const MigrationPlan *plan)
{
	List	   *extensions = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		foreach(lc2, table->source->columns)
		{
			CatalogColumn *column = lfirst(lc2);
			PlanColumn *planned = ftm_plan_column(table, column->name);

			if (planned == NULL || !planned->type_differs)
				extensions = add_extension(extensions, column->type);
		}
	}
	foreach(lc, plan->unmatched)
	{
		foreach(lc2, ((CatalogTable *) lfirst(lc))->columns)
			extensions = add_extension(extensions,
									   ((CatalogColumn *) lfirst(lc2))->type);
	}
	return extensions;
}

static List *
add_extension(List *extensions, const CatalogType *type)
{
	ListCell   *lc;

	if (type->base != NULL)
		extensions = add_extension(extensions, type->base);
	if (type->extension == NULL)
		return extensions;
	foreach(lc, extensions)
	{
		if (strcmp(lfirst(lc), type->extension) == 0)
			return extensions;
	}
	return lappend(extensions, type->extension);
}

/*
 * Text would be converted; but checksums are computed over the stored bytes.
 */
void
ftm_check_encoding(Preflight *preflight)
{
	static const AnswerShape shape = CATALOG_ENCODING_SHAPE;
	const char *source = preflight->record != NULL ?
		ftm_rowset_text(ftm_record_answer(preflight->record,
										  CATALOG_ENCODING_QUESTION,
										  &shape), 0, 0) :
		ftm_source_parameter(preflight->source, "server_encoding");
	const char *target = GetDatabaseEncodingName();
	char	   *detail;
	char	   *hint;

	if (strcmp(source, target) == 0)
	{
		ftm_check_pass(preflight,
					   psprintf("Both databases have encoding %s.", target));
		return;
	}
	detail = psprintf("The source has encoding %s, the target has %s: verification would find every text different that is not plain ASCII.",
					  source, target);
	hint = psprintf("Create the target database with ENCODING %s.",
					quote_literal_cstr(source));
	if (preflight->verify)
		ftm_check_fail(preflight, ERRCODE_FEATURE_NOT_SUPPORTED, detail, hint);
	else
		ftm_check_warn(preflight, detail, hint);
}

/*
 * Columns with a collation of their own are among the definitions.
 */
void
ftm_check_collation(Preflight *preflight)
{
	/* columns that came with 15 and changed their name in 17 */
	static const char sql[] =
		"SELECT coalesce(pg_catalog.to_jsonb(d) ->> 'datlocprovider', 'c'),"
		" d.datcollate, d.datctype,"
		" coalesce(pg_catalog.to_jsonb(d) ->> 'daticulocale',"
		"  pg_catalog.to_jsonb(d) ->> 'datlocale', '')"
		" FROM pg_catalog.pg_database d"
		" WHERE d.datname = pg_catalog.current_database()";
	static const AnswerShape shape = {
		"the database's collation", ONE_ROW, 0, {
			TEXT_COLUMN, TEXT_COLUMN, TEXT_COLUMN, TEXT_COLUMN
		}
	};
	RowSet	   *source = ftm_source_query(preflight->source, &shape,
										  sql, 0, NULL);
	RowSet	   *target = ftm_target_query(sql, 0, NULL);
	bool		same = true;

	for (int column = 0; column < source->ncolumns; column++)
		same &= strcmp(ftm_rowset_text(source, 0, column),
					   ftm_rowset_text(target, 0, column)) == 0;
	if (same)
	{
		ftm_check_pass(preflight, "The databases have the same collation.");
		return;
	}
	ftm_check_warn(preflight,
				   psprintf("The database's collation is \"%s\", ctype \"%s\", ICU locale \"%s\" in the source, and \"%s\", \"%s\", \"%s\" in the target: text may be sorted, and upper and lower case be told, in another way.",
							ftm_rowset_value(source, 0, 1),
							ftm_rowset_value(source, 0, 2),
							ftm_rowset_value(source, 0, 3),
							ftm_rowset_value(target, 0, 1),
							ftm_rowset_value(target, 0, 2),
							ftm_rowset_value(target, 0, 3)),
				   "Create the target database with the source's LC_COLLATE and LC_CTYPE, if the order of texts matters, or if unique indexes use lower(), upper() or citext.");
}

/*
 * Estimates rest on the source's statistics.
 */
void
ftm_check_statistics(Preflight *preflight)
{
	StringInfoData names;
	int			missing = 0;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, preflight->plan->tables)
	{
		PlanTable  *table = lfirst(lc);

		if (table->source->rows < 0)
			appendStringInfo(&names, "%s%s", missing++ > 0 ? ", " : "",
							 table->name);
	}
	if (missing > 0)
		ftm_check_warn(preflight,
					   psprintf("The source has never counted the rows of: %s; ftm_plan() cannot tell how many they are.",
								names.data),
					   "Execute ANALYZE in the source, if that matters.");
	else
		ftm_check_pass(preflight, "The source has statistics of all tables.");
}
