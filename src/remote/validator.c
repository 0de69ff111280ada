/*-------------------------------------------------------------------------
 *
 * validator.c
 *		Validators of the foreign-data wrappers ftm_source and ftm_stack_auth.
 *
 * The wrappers have no handler: their servers and user mappings only store
 * where to connect and with which credentials, as with dblink_fdw.
 *
 * A validator's messages never repeat a value.  A connection string whose
 * password was not percent-encoded is taken apart at the wrong places, and
 * then a piece of the password is what stands in host, port or dbname.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/string.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "compat.h"
#include "remote/validator.h"

/* What a value of an option must look like. */
typedef enum OptionKind
{
	OPTION_TEXT,				/* anything */
	OPTION_HOST,				/* list of host names or socket directories */
	OPTION_PORT,				/* list of port numbers */
	OPTION_INTEGER,				/* from minimum to maximum */
	OPTION_CHOICE,				/* one of choices */
	OPTION_FILE,				/* path on this server: superusers only */
	OPTION_PASSWORD_REQUIRED,	/* boolean; false: superusers only */
	OPTION_URL,					/* base URL of the auth service */
	OPTION_TOKEN				/* letters, digits, hyphens, underscores */
} OptionKind;

typedef struct OptionRule
{
	const char *keyword;
	OptionKind	kind;
	int			minimum;
	int			maximum;
	const char *choices;		/* separated by ", " */
} OptionRule;

/*
 * Those of libpq's options that make sense for a source.  Left out are what
 * source.c sets for itself (client_encoding, application_name, options,
 * replication) and what would pull parameters or passwords out of the server's
 * files (service, passfile).  It is an allow-list so that an option which a
 * newer libpq adds is not accepted before somebody has thought about it.
 */
static const OptionRule libpq_rules[] = {
	{"host", OPTION_HOST, 0, 0, NULL},
	{"hostaddr", OPTION_TEXT, 0, 0, NULL},
	{"port", OPTION_PORT, 1, 65535, NULL},
	{"dbname", OPTION_TEXT, 0, 0, NULL},
	{"user", OPTION_TEXT, 0, 0, NULL},
	{"password", OPTION_TEXT, 0, 0, NULL},
	{"connect_timeout", OPTION_INTEGER, 1, 3600, NULL},
	{"keepalives", OPTION_INTEGER, 0, 1, NULL},
	{"keepalives_idle", OPTION_INTEGER, 0, PG_INT32_MAX, NULL},
	{"keepalives_interval", OPTION_INTEGER, 0, PG_INT32_MAX, NULL},
	{"keepalives_count", OPTION_INTEGER, 0, PG_INT32_MAX, NULL},
	{"tcp_user_timeout", OPTION_INTEGER, 0, PG_INT32_MAX, NULL},
	{"sslmode", OPTION_CHOICE, 0, 0,
	"disable, allow, prefer, require, verify-ca, verify-full"},
	{"sslrootcert", OPTION_FILE, 0, 0, NULL},
	{"sslcrl", OPTION_FILE, 0, 0, NULL},
	{"sslcrldir", OPTION_FILE, 0, 0, NULL},
	{"sslcert", OPTION_FILE, 0, 0, NULL},
	{"sslkey", OPTION_FILE, 0, 0, NULL},
	{"sslpassword", OPTION_TEXT, 0, 0, NULL},
	{"sslsni", OPTION_INTEGER, 0, 1, NULL},
	{"sslcompression", OPTION_INTEGER, 0, 1, NULL},
	{"ssl_min_protocol_version", OPTION_CHOICE, 0, 0,
	"TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{"ssl_max_protocol_version", OPTION_CHOICE, 0, 0,
	"TLSv1, TLSv1.1, TLSv1.2, TLSv1.3"},
	{"channel_binding", OPTION_CHOICE, 0, 0, "disable, prefer, require"},
	{"requirepeer", OPTION_TEXT, 0, 0, NULL},
	{"gssencmode", OPTION_CHOICE, 0, 0, "disable, prefer, require"},
	{"krbsrvname", OPTION_TEXT, 0, 0, NULL},
	{"target_session_attrs", OPTION_CHOICE, 0, 0,
	"any, read-write, read-only, primary, standby, prefer-standby"},
};

/* Not libpq's: only this extension reads it, and only in user mappings. */
static const OptionRule password_required_rule =
{"password_required", OPTION_PASSWORD_REQUIRED, 0, 0, NULL};

static const OptionRule auth_server_rules[] = {
	{"api_url", OPTION_URL, 0, 0, NULL},
	{"project_id", OPTION_TOKEN, 0, 0, NULL},
	{"branch_id", OPTION_TOKEN, 0, 0, NULL},
};

static const OptionRule auth_mapping_rules[] = {
	{"secret_server_key", OPTION_TOKEN, 0, 0, NULL},
};

static const OptionRule *find_rule(const OptionRule *rules, int nrules,
								   const char *keyword);
static const PQconninfoOption *find_libpq_option(const char *keyword);
static void append_keyword(StringInfo keywords, const char *keyword);
pg_noreturn static void report_unknown_option(const char *keyword,
											  const char *detail,
											  const char *valid_keywords);
pg_noreturn static void report_bad_value(const char *keyword,
										 const char *detail);
static void check_value(const OptionRule *rule, DefElem *option);
static void check_superuser(const char *keyword, const char *detail);
static void check_hosts(const OptionRule *rule, const char *value);
static void check_ports(const OptionRule *rule, const char *value);
static void check_integer(const OptionRule *rule, const char *value);
static void check_choice(const OptionRule *rule, const char *value);
static const char *url_problem(const char *url);
static bool is_loopback(const char *host);

PG_FUNCTION_INFO_V1(ftm_source_validator);
PG_FUNCTION_INFO_V1(ftm_stack_auth_validator);

/*
 * ftm_source_validator(options text[], catalog oid)
 *
 * Credentials belong to user mappings, everything else to the server, and the
 * wrapper itself has no option.
 */
Datum
ftm_source_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	ListCell   *cell;

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);
		Oid			expected = ftm_validator_source_catalog(option->defname);
		const OptionRule *rule;

		if (!OidIsValid(expected) || expected != catalog)
		{
			StringInfoData valid;

			initStringInfo(&valid);
			for (int i = 0; i < (int) lengthof(libpq_rules); i++)
			{
				const char *keyword = libpq_rules[i].keyword;

				if (ftm_validator_source_catalog(keyword) == catalog)
					append_keyword(&valid, keyword);
			}
			if (catalog == UserMappingRelationId)
				append_keyword(&valid, password_required_rule.keyword);
			report_unknown_option(option->defname,
								  expected == UserMappingRelationId ?
								  "It is an option of user mappings." :
								  expected == ForeignServerRelationId ?
								  "It is an option of servers." : NULL,
								  valid.data);
		}

		rule = find_rule(libpq_rules, lengthof(libpq_rules), option->defname);
		check_value(rule != NULL ? rule : &password_required_rule, option);
	}
	PG_RETURN_VOID();
}

/*
 * ftm_stack_auth_validator(options text[], catalog oid)
 */
Datum
ftm_stack_auth_validator(PG_FUNCTION_ARGS)
{
	List	   *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid			catalog = PG_GETARG_OID(1);
	const OptionRule *rules = NULL;
	int			nrules = 0;
	ListCell   *cell;

	if (catalog == ForeignServerRelationId)
	{
		rules = auth_server_rules;
		nrules = lengthof(auth_server_rules);
	}
	else if (catalog == UserMappingRelationId)
	{
		rules = auth_mapping_rules;
		nrules = lengthof(auth_mapping_rules);
	}

	foreach(cell, options)
	{
		DefElem    *option = lfirst(cell);
		const OptionRule *rule = find_rule(rules, nrules, option->defname);

		if (rule == NULL)
		{
			StringInfoData valid;

			initStringInfo(&valid);
			for (int i = 0; i < nrules; i++)
				append_keyword(&valid, rules[i].keyword);
			report_unknown_option(option->defname, NULL, valid.data);
		}
		check_value(rule, option);
	}
	PG_RETURN_VOID();
}

bool
ftm_validator_is_libpq_option(const char *keyword)
{
	return find_rule(libpq_rules, lengthof(libpq_rules), keyword) != NULL &&
		find_libpq_option(keyword) != NULL;
}

/*
 * libpq itself says which of its options are secret: dispchar '*'.
 */
Oid
ftm_validator_source_catalog(const char *keyword)
{
	const PQconninfoOption *libpq_option;

	if (strcmp(keyword, password_required_rule.keyword) == 0)
		return UserMappingRelationId;
	if (find_rule(libpq_rules, lengthof(libpq_rules), keyword) == NULL)
		return InvalidOid;

	libpq_option = find_libpq_option(keyword);
	if (libpq_option == NULL)
		return InvalidOid;
	if (strcmp(keyword, "user") == 0 ||
		strchr(libpq_option->dispchar, '*') != NULL)
		return UserMappingRelationId;
	return ForeignServerRelationId;
}

static const OptionRule *
find_rule(const OptionRule *rules, int nrules, const char *keyword)
{
	for (int i = 0; i < nrules; i++)
	{
		if (strcmp(rules[i].keyword, keyword) == 0)
			return &rules[i];
	}
	return NULL;
}

/*
 * The option as the libpq in use knows it, or NULL.  Debug options do not
 * count.
 */
static const PQconninfoOption *
find_libpq_option(const char *keyword)
{
	/* malloc'd by libpq, kept as long as the process lives */
	static PQconninfoOption *libpq_options = NULL;

	if (libpq_options == NULL)
		libpq_options = PQconndefaults();
	if (libpq_options == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY),
				 errmsg("out of memory"),
				 errdetail("Could not get libpq's default connection options.")));

	for (PQconninfoOption *option = libpq_options; option->keyword; option++)
	{
		if (strcmp(option->keyword, keyword) == 0 &&
			strchr(option->dispchar, 'D') == NULL)
			return option;
	}
	return NULL;
}

static void
append_keyword(StringInfo keywords, const char *keyword)
{
	appendStringInfo(keywords, "%s%s", keywords->len > 0 ? ", " : "", keyword);
}

static void
report_unknown_option(const char *keyword, const char *detail,
					  const char *valid_keywords)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
			 errmsg("invalid option \"%s\"", keyword),
			 detail != NULL ? errdetail_internal("%s", detail) : 0,
			 valid_keywords[0] != '\0' ?
			 errhint("Valid options in this context are: %s.", valid_keywords) :
			 errhint("There are no valid options in this context.")));
}

static void
report_bad_value(const char *keyword, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for option \"%s\"", keyword),
			 errdetail_internal("%s", detail)));
}

static void
check_value(const OptionRule *rule, DefElem *option)
{
	const char *value = defGetString(option);
	const char *problem;

	switch (rule->kind)
	{
		case OPTION_TEXT:
			break;
		case OPTION_HOST:
			check_hosts(rule, value);
			break;
		case OPTION_PORT:
			check_ports(rule, value);
			break;
		case OPTION_INTEGER:
			check_integer(rule, value);
			break;
		case OPTION_CHOICE:
			check_choice(rule, value);
			break;
		case OPTION_FILE:
			check_superuser(rule->keyword,
							"It names a file of the database server.");
			break;
		case OPTION_PASSWORD_REQUIRED:
			if (!defGetBoolean(option))
				check_superuser(rule->keyword,
								"Without a password, the source would see the database server's own credentials.");
			break;
		case OPTION_URL:
			problem = url_problem(value);
			if (problem != NULL)
				report_bad_value(rule->keyword, problem);
			break;
		case OPTION_TOKEN:
			if (value[0] == '\0' ||
				strspn(value, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(value))
				report_bad_value(rule->keyword,
								 "It must consist of letters, digits, hyphens and underscores.");
			break;
	}
}

static void
check_superuser(const char *keyword, const char *detail)
{
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", keyword),
				 errdetail_internal("%s", detail),
				 errhint("Ask a superuser to create or alter the server or user mapping.")));
}

/*
 * A socket directory leads to servers on this machine, whose "peer" rules
 * trust the operating system user that runs us.
 */
static void
check_hosts(const OptionRule *rule, const char *value)
{
	for (const char *host = value; host != NULL;)
	{
		const char *comma = strchr(host, ',');

		if (host[0] == '/' || host[0] == '@')
			check_superuser(rule->keyword, "It names a socket directory.");
		host = comma != NULL ? comma + 1 : NULL;
	}
}

/*
 * libpq accepts a list, one port per host; an empty one is the default.
 */
static void
check_ports(const OptionRule *rule, const char *value)
{
	char	   *list = pstrdup(value);

	for (char *port = list; port != NULL;)
	{
		char	   *comma = strchr(port, ',');

		if (comma != NULL)
			*comma = '\0';
		if (port[0] != '\0')
			check_integer(rule, port);
		port = comma != NULL ? comma + 1 : NULL;
	}
}

static void
check_integer(const OptionRule *rule, const char *value)
{
	char	   *end;
	int			number;

	errno = 0;
	number = strtoint(value, &end, 10);
	if (end == value || *end != '\0' || errno != 0 ||
		number < rule->minimum || number > rule->maximum)
		report_bad_value(rule->keyword,
						 psprintf("It must be an integer from %d to %d.",
								  rule->minimum, rule->maximum));
}

static void
check_choice(const OptionRule *rule, const char *value)
{
	char	   *choices = pstrdup(rule->choices);
	char	   *rest = NULL;

	for (char *choice = strtok_r(choices, ", ", &rest); choice != NULL;
		 choice = strtok_r(NULL, ", ", &rest))
	{
		if (strcmp(choice, value) == 0)
			return;
	}
	report_bad_value(rule->keyword,
					 psprintf("It must be one of: %s.", rule->choices));
}

/*
 * What is wrong with the auth service's base URL, or NULL.  The secret key
 * goes there with every request, so plain http is for this machine only.
 */
static const char *
url_problem(const char *url)
{
	CURLU	   *parsed = curl_url();
	char	   *scheme = NULL;
	char	   *host = NULL;
	const char *problem = NULL;

	if (parsed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));

	/* No ereport() from here on: the handle is malloc'd. */
	if (strpbrk(url, "?#") != NULL)
		problem = "It must have no query and no fragment.";
	else if (curl_url_set(parsed, CURLUPART_URL, url,
						  CURLU_DISALLOW_USER) == CURLUE_USER_NOT_ALLOWED)
		problem = "It must hold no credentials.";
	else if (curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
			 curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
			 (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0))
		problem = "It must be a URL of the form https://host[:port][/path].";
	else if (strcmp(scheme, "http") == 0 && !is_loopback(host))
		problem = "It must begin with https://, unless the host is this machine (localhost, 127.0.0.1, [::1]).";

	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(parsed);
	return problem;
}

static bool
is_loopback(const char *host)
{
	struct in_addr address;

	if (inet_pton(AF_INET, host, &address) == 1)
		return (ntohl(address.s_addr) >> 24) == IN_LOOPBACKNET;
	return pg_strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0;
}
