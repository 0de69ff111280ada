/*-------------------------------------------------------------------------
 *
 * create_source.c
 *		ftm_create_source(): server and user mapping from a connection string.
 *
 * The string holds a password, which constrains everything here:
 *
 * - It is never quoted in a message, nor is libpq's complaint about it.
 * - An error must not write the calling statement into the server log (as
 *   log_min_error_statement does by default), nor a PL function's context that
 *   repeats the statement.
 * - Server and mapping are made from parse trees, not from SQL text, so that
 *   no text with the password exists that auto_explain, pg_stat_statements or
 *   a context line could show.
 *
 * What this cannot prevent: the caller's own statement holds the string.  It
 * shows in pg_stat_activity to the same role and to members of
 * pg_read_all_stats, in the log if log_statement or log_min_duration_statement
 * asks for it or if the call fails before it gets here (no permission), and in
 * psql's history.  Who minds uses CREATE SERVER and CREATE USER MAPPING, or
 * changes the password after the migration.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "tcop/dest.h"
#include "tcop/utility.h"
#include "utils/builtins.h"

#include "base/recovery.h"
#include "remote/server.h"
#include "remote/validator.h"

/* What the dashboard shows in place of the password. */
#define PASSWORD_PLACEHOLDER	"[YOUR-PASSWORD]"

static void hide_statement(void *arg);
static List *parse_connection_string(const char *connection_string);
static void check_options(List *options);
static bool is_supabase_host(const char *host);
static List *options_of_catalog(List *options, Oid catalog);
static char *option_value(List *options, const char *keyword);
static DefElem *make_option(const char *keyword, const char *value);
static void create_server(const char *name, List *options);
static void create_user_mapping(const char *name, List *options);
static void run_utility(Node *statement, const char *description);

PG_FUNCTION_INFO_V1(ftm_create_source);

/*
 * ftm_create_source(uri text, server_name name) returns text
 *
 * Creates a server of ftm_source and the current user's mapping from a
 * connection URI, or from a string of keywords and values, and returns the
 * server's name.  Needs USAGE on the wrapper and CREATE on nothing else, as
 * CREATE SERVER does.  Errors: string cannot be parsed, has no host, points at
 * a pooler in transaction mode, or carries an option that ftm_source does not
 * take; server exists.
 */
Datum
ftm_create_source(PG_FUNCTION_ARGS)
{
	char	   *connection_string = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char	   *name = NameStr(*PG_GETARG_NAME(1));
	ErrorContextCallback callback;
	List	   *options;

	ftm_recovery_refuse("ftm_create_source()");
	callback.callback = hide_statement;
	callback.arg = NULL;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	options = parse_connection_string(connection_string);
	check_options(options);
	if (option_value(options, "sslmode") == NULL &&
		is_supabase_host(option_value(options, "host")))
		options = lappend(options, make_option("sslmode", "require"));

	create_server(name, options_of_catalog(options, ForeignServerRelationId));
	create_user_mapping(name, options_of_catalog(options,
												 UserMappingRelationId));

	error_context_stack = callback.previous;
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * Error context callback: keeps the calling statement out of the log.
 */
static void
hide_statement(void *arg pg_attribute_unused())
{
	errhidestmt(true);
	errhidecontext(true);
}

/*
 * The string's options as a List of DefElem; those that it does not give, or
 * leaves empty, are not in it.
 */
static List *
parse_connection_string(const char *connection_string)
{
	char	   *complaint = NULL;
	PQconninfoOption *parsed;
	List	   *volatile options = NIL;

	parsed = PQconninfoParse(connection_string, &complaint);
	PQfreemem(complaint);		/* quotes the string */
	if (parsed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("could not parse the connection string"),
				 errdetail("It is not shown because it may hold a password."),
				 errhint("It has the form postgresql://user:password@host:port/dbname.  Special characters in the password must be percent-encoded, such as %%40 for @.  Remove parameters that only other clients know, such as pgbouncer=true.")));

	PG_TRY();
	{
		for (PQconninfoOption *option = parsed; option->keyword; option++)
		{
			if (option->val == NULL || option->val[0] == '\0')
				continue;

			/* Percent-decoding makes any bytes. */
			if (!pg_verifymbstr(option->val, strlen(option->val), true))
				ereport(ERROR,
						(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						 errmsg("connection string is not valid in encoding \"%s\" after percent-decoding",
								GetDatabaseEncodingName())));
			options = lappend(options,
							  make_option(option->keyword, option->val));
		}
	}
	PG_FINALLY();
	{
		PQconninfoFree(parsed);
	}
	PG_END_TRY();
	return options;
}

/*
 * What the wrapper's validator cannot see, or would see too late.
 */
static void
check_options(List *options)
{
	static const char *const public_keywords[] = {"host", "port", "dbname"};
	char	   *host = option_value(options, "host");
	char	   *password = option_value(options, "password");

	/*
	 * An @ or / in the password that is not percent-encoded ends it early, and
	 * the rest shows up in an option that everybody may read.
	 */
	for (int i = 0; i < (int) lengthof(public_keywords); i++)
	{
		char	   *value = option_value(options, public_keywords[i]);

		if (value != NULL && strchr(value, '@') != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("connection string has an \"@\" in its %s",
							public_keywords[i]),
					 errhint("Special characters in the password must be percent-encoded, such as %%40 for @ and %%2F for /.")));
	}
	if (host == NULL && option_value(options, "hostaddr") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connection string names no host"),
				 errhint("It has the form postgresql://user:password@host:port/dbname.")));
	if (password != NULL && strcmp(password, PASSWORD_PLACEHOLDER) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("connection string has a placeholder in place of the password"),
				 errhint("Replace %s by the database password, percent-encoded.",
						 PASSWORD_PLACEHOLDER)));
	ftm_options_refuse_transaction_pooler(host,
										  option_value(options, "port"));
}

/*
 * Supabase's own hosts speak TLS, so there is no reason to do without.
 */
static bool
is_supabase_host(const char *host)
{
	static const char *const domains[] = {".supabase.co", ".supabase.com"};

	for (int i = 0; host != NULL && i < (int) lengthof(domains); i++)
	{
		size_t		length = strlen(domains[i]);

		if (strlen(host) > length &&
			pg_strcasecmp(host + strlen(host) - length, domains[i]) == 0)
			return true;
	}
	return false;
}

/*
 * Those options that belong to a catalog.  What ftm_source does not know goes
 * to the server, whose validator refuses it.
 */
static List *
options_of_catalog(List *options, Oid catalog)
{
	List	   *result = NIL;
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);
		Oid			belongs = ftm_validator_source_catalog(option->defname);

		if (!OidIsValid(belongs))
			belongs = ForeignServerRelationId;
		if (belongs == catalog)
			result = lappend(result, option);
	}
	return result;
}

static char *
option_value(List *options, const char *keyword)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, keyword) == 0)
			return defGetString(option);
	}
	return NULL;
}

static DefElem *
make_option(const char *keyword, const char *value)
{
	return makeDefElem(pstrdup(keyword),
					   (Node *) makeString(pstrdup(value)), -1);
}

static void
create_server(const char *name, List *options)
{
	CreateForeignServerStmt *statement = makeNode(CreateForeignServerStmt);

	if (GetForeignServerByName(name, true) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("server \"%s\" already exists", name),
				 errhint("Change it with ALTER SERVER and ALTER USER MAPPING, drop it with DROP SERVER %s CASCADE, or give another server_name.",
						 quote_identifier(name))));

	statement->servername = pstrdup(name);
	statement->fdwname = FTM_SOURCE_WRAPPER;
	statement->options = options;
	run_utility((Node *) statement, "CREATE SERVER");
}

static void
create_user_mapping(const char *name, List *options)
{
	CreateUserMappingStmt *statement = makeNode(CreateUserMappingStmt);
	RoleSpec   *user = makeNode(RoleSpec);

	user->roletype = ROLESPEC_CURRENT_USER;
	user->location = -1;
	statement->user = user;
	statement->servername = pstrdup(name);
	statement->options = options;
	run_utility((Node *) statement, "CREATE USER MAPPING");
}

/*
 * Execute a utility statement given as a parse tree, with all that belongs to
 * it: permission checks, event triggers, hooks.  description stands in for the
 * statement's text in whatever logs it.
 */
static void
run_utility(Node *statement, const char *description)
{
	PlannedStmt *wrapper = makeNode(PlannedStmt);

	wrapper->commandType = CMD_UTILITY;
	wrapper->utilityStmt = statement;
	wrapper->stmt_location = -1;
	ProcessUtility(wrapper, description, false, PROCESS_UTILITY_QUERY, NULL,
				   NULL, None_Receiver, NULL);
	CommandCounterIncrement();
}
