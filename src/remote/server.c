/*-------------------------------------------------------------------------
 *
 * server.c
 *		Foreign servers and user mappings, looked up and combined.
 *
 * What is stored was checked by validator.c if the wrapper is one of ours, by
 * postgres_fdw or dblink_fdw otherwise; so whatever may become dangerous is
 * looked at again here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/extension.h"
#include "base/settings.h"
#include "compat.h"
#include "remote/server.h"
#include "remote/validator.h"

/* Supabase's pooler in transaction mode listens there. */
#define TRANSACTION_POOLER_PORT	"6543"
#define SESSION_POOLER_PORT		"5432"

/* Wrappers whose servers describe a PostgreSQL database. */
static const char *const source_wrappers[] = {
	FTM_SOURCE_WRAPPER, "postgres_fdw", "dblink_fdw", NULL
};

static const char *const auth_wrappers[] = {
	FTM_STACK_AUTH_WRAPPER, NULL
};

/* Set unless the server says otherwise: a dead source is noticed. */
static const char *const keepalive_defaults[][2] = {
	{"keepalives", "1"},
	{"keepalives_idle", "30"},
	{"keepalives_interval", "10"},
	{"keepalives_count", "3"},
};

static void check_wrapper(ForeignServer *server, const char *const *wrappers);
static void check_usage(ForeignServer *server);
static UserMapping *find_user_mapping(ForeignServer *server,
									  const char *example_options);
static char *find_option(List *options, const char *keyword);
static List *set_option(List *options, const char *keyword,
						const char *value);
static List *connection_parameters(ForeignServer *server,
								   UserMapping *mapping);
static List *add_own_parameters(List *parameters);
static bool check_password_rule(UserMapping *mapping);
static void check_host_is_known(ForeignServer *server, List *parameters);
static void check_pulled_in_options(ForeignServer *server);
static int	connect_timeout(List *parameters);
static void fill_arrays(SourceServer *source, List *parameters);
static char *required_auth_option(ForeignServer *server, List *options,
								  const char *keyword);

SourceServer *
ftm_options_source_server(const char *name)
{
	ForeignServer *server = GetForeignServerByName(name, true);
	UserMapping *mapping;
	SourceServer *source;
	List	   *parameters;

	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", name),
				 errhint("Create it with SELECT %s.ftm_create_source('postgresql://...', %s).",
						 ftm_extension_schema_quoted(),
						 quote_literal_cstr(name))));
	check_wrapper(server, source_wrappers);
	check_usage(server);
	check_pulled_in_options(server);
	mapping = find_user_mapping(server, "user '...', password '...'");

	source = palloc0(sizeof(SourceServer));
	source->serverid = server->serverid;
	source->name = server->servername;
	source->require_password = check_password_rule(mapping);

	parameters = connection_parameters(server, mapping);
	check_host_is_known(server, parameters);
	source->host = find_option(parameters, "host");
	if (source->host == NULL)
		source->host = find_option(parameters, "hostaddr");
	source->port = find_option(parameters, "port");
	ftm_options_refuse_transaction_pooler(source->host, source->port);

	source->connect_timeout = connect_timeout(parameters);
	fill_arrays(source, add_own_parameters(parameters));
	return source;
}

AuthServer *
ftm_options_auth_server(const char *name, bool missing_ok)
{
	ForeignServer *server = GetForeignServerByName(name, true);
	UserMapping *mapping;
	AuthServer *auth;
	int			length;

	if (server == NULL && missing_ok)
		return NULL;
	if (server == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", name),
				 errhint("Create it with CREATE SERVER %s FOREIGN DATA WRAPPER %s OPTIONS (api_url 'https://...', project_id '...').",
						 quote_identifier(name), FTM_STACK_AUTH_WRAPPER)));
	check_wrapper(server, auth_wrappers);
	check_usage(server);
	mapping = find_user_mapping(server, "secret_server_key '...'");

	auth = palloc0(sizeof(AuthServer));
	auth->serverid = server->serverid;
	auth->name = server->servername;
	auth->api_url = required_auth_option(server, server->options, "api_url");
	auth->project_id = required_auth_option(server, server->options,
											"project_id");
	auth->branch_id = find_option(server->options, "branch_id");
	auth->secret_server_key = find_option(mapping->options,
										  "secret_server_key");
	if (auth->secret_server_key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("user mapping for server \"%s\" has no option \"secret_server_key\"",
						server->servername),
				 errhint("Set it with ALTER USER MAPPING.")));

	length = strlen(auth->api_url);
	while (length > 0 && auth->api_url[length - 1] == '/')
		auth->api_url[--length] = '\0';
	return auth;
}

void
ftm_options_refuse_transaction_pooler(const char *host, const char *port)
{
	static const char pooler_domain[] = ".pooler.supabase.com";
	size_t		host_length = host != NULL ? strlen(host) : 0;
	size_t		domain_length = strlen(pooler_domain);
	bool		is_pooler_host;
	char	   *rest = NULL;

	if (port == NULL)
		return;
	is_pooler_host = host_length > domain_length &&
		pg_strcasecmp(host + host_length - domain_length, pooler_domain) == 0;

	for (char *item = strtok_r(pstrdup(port), ",", &rest); item != NULL;
		 item = strtok_r(NULL, ",", &rest))
	{
		if (strcmp(item, TRANSACTION_POOLER_PORT) == 0 ||
			(is_pooler_host && strcmp(item, SESSION_POOLER_PORT) != 0))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot migrate through a pooler in transaction mode"),
					 errdetail("Supabase's pooler keeps a session, and with it settings and snapshots, at port %s only.",
							   SESSION_POOLER_PORT),
					 errhint("Use the direct connection (host db.<ref>.supabase.co, port 5432, user postgres) or the pooler in session mode (host <region>.pooler.supabase.com, port 5432, user postgres.<ref>).")));
	}
}

/*
 * Is the server one of the wrappers?  Names are enough: only superusers can
 * create foreign-data wrappers.
 */
static void
check_wrapper(ForeignServer *server, const char *const *wrappers)
{
	ForeignDataWrapper *wrapper = GetForeignDataWrapper(server->fdwid);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; wrappers[i] != NULL; i++)
	{
		if (strcmp(wrapper->fdwname, wrappers[i]) == 0)
			return;
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", wrappers[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("server \"%s\" cannot be used here", server->servername),
			 errdetail("It is a server of foreign-data wrapper \"%s\".",
					   wrapper->fdwname),
			 errhint("Name a server of one of: %s.", list.data)));
}

static void
check_usage(ForeignServer *server)
{
	AclResult	result = ftm_server_aclcheck(server->serverid, GetUserId(),
											 ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, server->servername);
}

/*
 * The current user's mapping, else that of PUBLIC.  GetUserMapping() raises an
 * error that names no remedy.
 */
static UserMapping *
find_user_mapping(ForeignServer *server, const char *example_options)
{
	if (!SearchSysCacheExists2(USERMAPPINGUSERSERVER,
							   ObjectIdGetDatum(GetUserId()),
							   ObjectIdGetDatum(server->serverid)) &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER,
							   ObjectIdGetDatum(InvalidOid),
							   ObjectIdGetDatum(server->serverid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("user \"%s\" has no user mapping for server \"%s\"",
						GetUserNameFromId(GetUserId(), false),
						server->servername),
				 errhint("Execute CREATE USER MAPPING FOR %s SERVER %s OPTIONS (%s).",
						 quote_identifier(GetUserNameFromId(GetUserId(), false)),
						 quote_identifier(server->servername),
						 example_options)));
	return GetUserMapping(GetUserId(), server->serverid);
}

/*
 * Value of an option; NULL if it is not there or empty, which is the same to
 * libpq.
 */
static char *
find_option(List *options, const char *keyword)
{
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, keyword) == 0)
		{
			char	   *value = defGetString(option);

			return value[0] != '\0' ? value : NULL;
		}
	}
	return NULL;
}

/*
 * Append an option, unless the list has it already.
 */
static List *
set_option(List *options, const char *keyword, const char *value)
{
	if (find_option(options, keyword) != NULL)
		return options;
	return lappend(options,
				   makeDefElem(pstrdup(keyword),
							   (Node *) makeString(pstrdup(value)), -1));
}

/*
 * What libpq is to get from the mapping and the server, in this order: the
 * mapping wins.  Options of other wrappers that are not libpq's, such as
 * fetch_size, and those that source.c sets itself are left out.
 */
static List *
connection_parameters(ForeignServer *server, UserMapping *mapping)
{
	List	   *stored = list_concat_copy(mapping->options, server->options);
	List	   *parameters = NIL;
	ListCell   *cell;

	foreach(cell, stored)
	{
		DefElem    *option = lfirst(cell);
		char	   *value = defGetString(option);

		if (value[0] != '\0' && ftm_validator_is_libpq_option(option->defname))
			parameters = set_option(parameters, option->defname, value);
	}
	return parameters;
}

/*
 * What every source connection gets.
 */
static List *
add_own_parameters(List *parameters)
{
	for (int i = 0; i < (int) lengthof(keepalive_defaults); i++)
		parameters = set_option(parameters, keepalive_defaults[i][0],
								keepalive_defaults[i][1]);
	parameters = set_option(parameters, "tcp_user_timeout",
							psprintf("%d", ftm_network_timeout));
	parameters = set_option(parameters, "client_encoding",
							GetDatabaseEncodingName());
	return set_option(parameters, "fallback_application_name",
					  FTM_EXTENSION_NAME);
}

/*
 * The dblink rule: who is not a superuser must not connect with credentials
 * of the server's operating system user.  Returns whether source.c must check
 * that the password was used.  password_required is an option that only
 * superusers can turn off.
 */
static bool
check_password_rule(UserMapping *mapping)
{
	ListCell   *cell;

	if (superuser_arg(GetUserId()))
		return false;
	foreach(cell, mapping->options)
	{
		DefElem    *option = lfirst(cell);

		if (strcmp(option->defname, "password_required") == 0 &&
			!defGetBoolean(option))
			return false;
	}
	if (find_option(mapping->options, "password") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required"),
				 errdetail("Non-superusers must provide a password in the user mapping."),
				 errhint("Set option \"password\" with ALTER USER MAPPING.")));
	return true;
}

/*
 * Without a host libpq would use a socket of this machine.  That is a
 * superuser's choice, as is naming the socket's directory (see validator.c).
 */
static void
check_host_is_known(ForeignServer *server, List *parameters)
{
	if (find_option(parameters, "host") == NULL &&
		find_option(parameters, "hostaddr") == NULL &&
		!superuser_arg(GetUserId()) && !superuser_arg(server->owner))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"host\"",
						server->servername),
				 errhint("Set it with ALTER SERVER %s.",
						 quote_identifier(server->servername))));
}

/*
 * postgres_fdw and dblink_fdw let a server refer to files with further
 * parameters.  To leave those out would connect to somewhere else, or as
 * somebody else.
 */
static void
check_pulled_in_options(ForeignServer *server)
{
	static const char *const refused[] = {"service", "passfile"};

	for (int i = 0; i < (int) lengthof(refused); i++)
	{
		if (find_option(server->options, refused[i]) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"%s\" of server \"%s\" is not supported",
							refused[i], server->servername),
					 errhint("Create a server of foreign-data wrapper %s with host, port and dbname, and a user mapping with user and password.",
							 FTM_SOURCE_WRAPPER)));
	}
}

/*
 * In seconds: the server's own, else the setting.  As in libpq, a value that
 * is no positive number is none.
 */
static int
connect_timeout(List *parameters)
{
	char	   *value = find_option(parameters, "connect_timeout");
	int			seconds = value != NULL ? atoi(value) : 0;

	return seconds > 0 ? seconds : ftm_connect_timeout;
}

static void
fill_arrays(SourceServer *source, List *parameters)
{
	int			n = 0;
	ListCell   *cell;

	source->keywords = palloc0(sizeof(char *) * (list_length(parameters) + 1));
	source->values = palloc0(sizeof(char *) * (list_length(parameters) + 1));
	foreach(cell, parameters)
	{
		DefElem    *parameter = lfirst(cell);

		source->keywords[n] = parameter->defname;
		source->values[n] = defGetString(parameter);
		n++;
	}
}

static char *
required_auth_option(ForeignServer *server, List *options,
					 const char *keyword)
{
	char	   *value = find_option(options, keyword);

	if (value == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"%s\"",
						server->servername, keyword),
				 errhint("Set it with ALTER SERVER %s.",
						 quote_identifier(server->servername))));
	return value;
}
