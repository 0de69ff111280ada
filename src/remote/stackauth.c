/*-------------------------------------------------------------------------
 *
 * stackauth.c
 *		Stack Auth's REST API, as far as a migration needs it.
 *
 * Stack Auth is called Hexclave now, and some answers have changed with the
 * name; what is asked for and understood here is right for both.  Whether a
 * service heeds idempotency keys is not known, so a request whose answer was
 * lost may have been executed.  Answers are therefore told apart by what is
 * known afterwards (see StackVerdict), and an answer that is not what the API
 * documents counts as lost.
 *
 * Errors come as JSON with a code, or as plain text without one; the header
 * x-stack-known-error has the code as well.
 *
 * A content type without a body is refused, by DELETE for one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <curl/curl.h>
#include <json-c/json.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "remote/http.h"
#include "remote/stackauth.h"

/* Answers echo metadata, which may be nested as deeply as that. */
#define MAX_JSON_DEPTH	1024

/* Longest text of an error that is kept. */
#define MESSAGE_SIZE	200

/* What an answer's body is to be. */
typedef enum AnswerKind
{
	ANSWER_PROJECT,
	ANSWER_USER,
	ANSWER_PAGE,
	ANSWER_OBJECT				/* of which only the status matters */
} AnswerKind;

struct StackAuth
{
	MemoryContext context;
	HttpClient *http;
	char	   *name;			/* of the foreign server */
	char	   *base;			/* URL up to "/api/v1" */
};

/* A request in flight. */
typedef struct StackRequest
{
	AnswerKind	kind;
	int			expected_status;
	void	   *arg;
} StackRequest;

/* Codes that mean that no request of ours would be accepted. */
static const char *const configuration_codes[] = {
	"ACCESS_TYPE_REQUIRED",
	"ACCESS_TYPE_WITHOUT_PROJECT_ID",
	"BRANCH_DOES_NOT_EXIST",
	"CURRENT_PROJECT_NOT_FOUND",
	"INSUFFICIENT_ACCESS_TYPE",
	"INVALID_ACCESS_TYPE",
	"INVALID_SECRET_SERVER_KEY",
	"PASSWORD_AUTHENTICATION_NOT_ENABLED",
	"PROJECT_KEY_WITHOUT_ACCESS_TYPE",
	"REDIRECT_URL_NOT_WHITELISTED",
	"SERVER_AUTHENTICATION_REQUIRED",
};

static void start(StackAuth *stack, AnswerKind kind, int expected_status,
				  const char *method, const char *path, const char *body,
				  bool once, const char *key, void *arg);
static StackAnswer *interpret(HttpAnswer *http);
static void read_error(StackAnswer *answer, const HttpAnswer *http);
static StackVerdict refusal(const StackAnswer *answer);
static bool read_body(StackAnswer *answer, AnswerKind kind,
					  const HttpAnswer *http);
static json_object *parse(const HttpAnswer *http);
static bool read_object(StackAnswer *answer, AnswerKind kind,
						json_object *root);

StackAuth *
ftm_stackauth_create(MemoryContext context, const AuthServer *server,
					 int timeout, int connect_timeout)
{
	StackAuth  *stack = MemoryContextAllocZero(context, sizeof(StackAuth));
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *headers;

	stack->context = context;
	stack->name = pstrdup(server->name);
	stack->base = psprintf("%s/api/v1", server->api_url);
	headers = list_make4(psprintf("x-stack-project-id: %s",
								  server->project_id),
						 psprintf("x-stack-secret-server-key: %s",
								  server->secret_server_key),
						 "x-stack-access-type: server",
						 "accept: application/json");
	headers = lappend(headers, "Expect:");	/* don't wait for a 100 */
	if (server->branch_id != NULL)
		headers = lappend(headers, psprintf("x-stack-branch-id: %s",
											server->branch_id));
	stack->http = ftm_http_create(context, headers, timeout, connect_timeout);
	MemoryContextSwitchTo(old);
	return stack;
}

static void
start(StackAuth *stack, AnswerKind kind, int expected_status,
	  const char *method, const char *path, const char *body, bool once,
	  const char *key, void *arg)
{
	StackRequest *request = MemoryContextAlloc(stack->context,
											   sizeof(StackRequest));
	char	   *url = psprintf("%s%s", stack->base, path);
	char	   *utf8 = NULL;
	List	   *headers = NIL;

	request->kind = kind;
	request->expected_status = expected_status;
	request->arg = arg;
	if (body != NULL)
	{
		headers = lappend(headers, "content-type: application/json");
		utf8 = pg_server_to_any(body, strlen(body), PG_UTF8);
	}
	if (key != NULL)
		headers = lappend(headers,
						  psprintf("x-hexclave-idempotency-key: %s", key));
	ftm_http_start(stack->http, method, url, headers, utf8, once, request);
	list_free(headers);
	pfree(url);
	if (utf8 != NULL && utf8 != body)
		pfree(utf8);
}

void
ftm_stackauth_get_project(StackAuth *stack, void *arg)
{
	start(stack, ANSWER_PROJECT, 200, "GET", "/projects/current", NULL, false,
		  NULL, arg);
}

void
ftm_stackauth_get_user(StackAuth *stack, const char *id, void *arg)
{
	start(stack, ANSWER_USER, 200, "GET", psprintf("/users/%s", id), NULL,
		  false, NULL, arg);
}

void
ftm_stackauth_create_user(StackAuth *stack, const char *body, bool unique,
						  const char *key, void *arg)
{
	start(stack, ANSWER_USER, 201, "POST", "/users", body, !unique, key, arg);
}

void
ftm_stackauth_update_user(StackAuth *stack, const char *id,
						  const char *body, void *arg)
{
	start(stack, ANSWER_USER, 200, "PATCH", psprintf("/users/%s", id), body,
		  false, NULL, arg);
}

void
ftm_stackauth_delete_user(StackAuth *stack, const char *id, void *arg)
{
	start(stack, ANSWER_OBJECT, 200, "DELETE", psprintf("/users/%s", id), NULL,
		  false, NULL, arg);
}

void
ftm_stackauth_add_provider(StackAuth *stack, const char *body, void *arg)
{
	start(stack, ANSWER_OBJECT, 201, "POST", "/oauth-providers", body, true,
		  NULL, arg);
}

void
ftm_stackauth_add_email(StackAuth *stack, const char *body, void *arg)
{
	start(stack, ANSWER_OBJECT, 201, "POST", "/contact-channels", body, true,
		  NULL, arg);
}

void
ftm_stackauth_send_reset(StackAuth *stack, const char *body, const char *key,
						 void *arg)
{
	start(stack, ANSWER_OBJECT, 200, "POST", "/auth/password/send-reset-code",
		  body, true, key, arg);
}

void
ftm_stackauth_sign_in(StackAuth *stack, const char *body, void *arg)
{
	start(stack, ANSWER_OBJECT, 200, "POST", "/auth/password/sign-in", body,
		  false, NULL, arg);
}

void
ftm_stackauth_list_users(StackAuth *stack, int limit, bool newest_first,
						 const char *query, const char *cursor, void *arg)
{
	StringInfoData path;

	initStringInfo(&path);
	appendStringInfo(&path, "/users?include_anonymous=true&limit=%d", limit);
	if (newest_first)
		appendStringInfoString(&path, "&desc=true");
	if (cursor != NULL)
		appendStringInfo(&path, "&cursor=%s", cursor);
	if (query != NULL)
	{
		char	   *utf8 = pg_server_to_any(query, strlen(query), PG_UTF8);
		char	   *escaped = curl_easy_escape(NULL, utf8, 0);

		if (escaped == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		/* curl_free() must not be missed, so no palloc before it. */
		enlargeStringInfo(&path, (int) (3 * strlen(utf8) + 8));
		appendStringInfo(&path, "&query=%s", escaped);
		curl_free(escaped);
	}
	start(stack, ANSWER_PAGE, 200, "GET", path.data, NULL, false, NULL,
		  arg);
	pfree(path.data);
}

void
ftm_stackauth_renew_key(char *key, const StackAnswer *answer)
{
	bool		lost = answer != NULL && answer->verdict == STACK_IN_DOUBT &&
		answer->status < 300;
	uint8		random[(STACK_KEY_SIZE - 1) / 2];

	if (key[0] != '\0' && lost)
		return;
	if (!pg_strong_random(random, sizeof(random)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random values")));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(key + 2 * i, 3, "%02x", random[i]);
}

StackAnswer *
ftm_stackauth_wait(StackAuth *stack, long timeout)
{
	HttpAnswer *http = ftm_http_wait(stack->http, timeout);
	StackAnswer *answer;

	if (http == NULL)
		return NULL;
	answer = interpret(http);
	pfree(http->arg);
	if (http->body != NULL)
		pfree(http->body);
	return answer;
}

static StackAnswer *
interpret(HttpAnswer *http)
{
	StackRequest *request = http->arg;
	StackAnswer *answer = palloc0(sizeof(StackAnswer));

	answer->arg = request->arg;
	answer->status = http->status;
	answer->code = http->known_error;
	answer->request_id = http->request_id;
	answer->message = "";
	answer->retry_after = (int) Min(http->retry_after, 86400) * 1000;
	answer->elapsed = http->elapsed;

	if (http->outcome != HTTP_ANSWERED)
	{
		answer->verdict = http->outcome == HTTP_NOT_SENT ?
			STACK_NOT_SENT : STACK_IN_DOUBT;
		answer->code = http->outcome == HTTP_NOT_SENT ?
			"not sent" : "no answer";
		answer->message = pstrdup(http->error);
	}
	else if (http->status == request->expected_status)
	{
		answer->verdict = STACK_DONE;
		if (!read_body(answer, request->kind, http))
		{
			answer->verdict = STACK_IN_DOUBT;
			answer->code = "no answer";
			answer->message = "the answer is not what the API documents";
		}
	}
	else
	{
		read_error(answer, http);
		answer->verdict = refusal(answer);
		answer->email_is_taken = answer->verdict == STACK_REFUSED &&
			answer->status == 409;
		answer->user_is_missing = answer->verdict == STACK_REFUSED &&
			strcmp(answer->code, "USER_NOT_FOUND") == 0;
	}
	return answer;
}

/*
 * Code and text of an error.  Its JSON, if it is any, adds nothing to the
 * header but the text.
 */
static void
read_error(StackAnswer *answer, const HttpAnswer *http)
{
	const char *text = http->body;
	json_object *root = NULL;
	json_object *error;

	if (strcmp(http->content_type, "application/json") == 0)
	{
		root = parse(http);
		text = "";
		if (root != NULL && json_object_is_type(root, json_type_object) &&
			json_object_object_get_ex(root, "error", &error) &&
			json_object_is_type(error, json_type_string))
			text = json_object_get_string(error);
	}
	else if (strcmp(http->content_type, "text/plain") != 0)
		text = "";
	answer->message = ftm_http_clean_text(text, MESSAGE_SIZE);
	json_object_put(root);
}

/*
 * What a status other than the expected one says.  Below 500 the request was
 * looked at and not executed; 408 and whatever is not documented tells
 * nothing.  Nor does 409 without a code: the same request is being executed.
 */
static StackVerdict
refusal(const StackAnswer *answer)
{
	if (answer->status == 429 || answer->status == 425)
		return STACK_BUSY;
	/* The API does not redirect: this is something else. */
	if (answer->status >= 300 && answer->status < 400)
		return STACK_MISCONFIGURED;
	if (answer->status < 400 || answer->status >= 500 ||
		answer->status == 408 ||
		(answer->status == 409 && answer->code[0] == '\0'))
		return STACK_IN_DOUBT;
	for (int i = 0; i < (int) lengthof(configuration_codes); i++)
	{
		if (strcmp(answer->code, configuration_codes[i]) == 0)
			return STACK_MISCONFIGURED;
	}
	if (answer->status == 401 || answer->status == 403)
		return STACK_MISCONFIGURED;
	return STACK_REFUSED;
}

/*
 * Read what was asked for; false if the body is something else.
 */
static bool
read_body(StackAnswer *answer, AnswerKind kind, const HttpAnswer *http)
{
	json_object *root;
	volatile bool understood = false;

	if (strcmp(http->content_type, "application/json") != 0)
		return false;
	root = parse(http);
	if (root == NULL)
		return false;

	PG_TRY();
	{
		understood = read_object(answer, kind, root);
	}
	PG_FINALLY();
	{
		json_object_put(root);
	}
	PG_END_TRY();
	return understood;
}

/*
 * The body as an object of json-c's, or NULL if it is no JSON.  To be released
 * with json_object_put().
 */
static json_object *
parse(const HttpAnswer *http)
{
	json_tokener *tokener;
	json_object *root;

	if (http->length == 0 || http->length > PG_INT32_MAX)
		return NULL;
	tokener = json_tokener_new_ex(MAX_JSON_DEPTH);
	if (tokener == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	root = json_tokener_parse_ex(tokener, http->body, (int) http->length);
	if (json_tokener_get_error(tokener) != json_tokener_success)
	{
		json_object_put(root);
		root = NULL;
	}
	json_tokener_free(tokener);
	return root;
}

/*
 * Member of an object, of the given type; NULL if there is none.
 */
static json_object *
member(json_object *object, const char *key, json_type type)
{
	json_object *value;

	if (!json_object_is_type(object, json_type_object) ||
		!json_object_object_get_ex(object, key, &value) ||
		!json_object_is_type(value, type))
		return NULL;
	return value;
}

/*
 * A string member in the database's encoding, palloc'd; NULL if there is none.
 * In a database that is not UTF8, all but ASCII becomes question marks.
 */
static char *
string_member(json_object *object, const char *key)
{
	json_object *value = member(object, key, json_type_string);
	const char *text;

	if (value == NULL)
		return NULL;
	text = json_object_get_string(value);
	if (GetDatabaseEncoding() == PG_UTF8 &&
		pg_verify_mbstr(PG_UTF8, text, strlen(text), true))
		return pstrdup(text);
	return ftm_http_clean_text(text, strlen(text));
}

static bool
bool_member(json_object *object, const char *key)
{
	json_object *value = member(object, key, json_type_boolean);

	return value != NULL && json_object_get_boolean(value);
}

/*
 * A string member that is a uuid, as uuid_out() prints it; else NULL.
 */
static char *
uuid_member(json_object *object, const char *key)
{
	json_object *value = member(object, key, json_type_string);
	char	   *uuid;

	if (value == NULL || strlen(json_object_get_string(value)) != 36)
		return NULL;
	uuid = pstrdup(json_object_get_string(value));
	for (int i = 0; i < 36; i++)
	{
		uuid[i] = pg_ascii_tolower((unsigned char) uuid[i]);
		if (i == 8 || i == 13 || i == 18 || i == 23 ? uuid[i] != '-' :
			strchr("0123456789abcdef", uuid[i]) == NULL)
			return NULL;
	}
	return uuid;
}

static List *
read_providers(json_object *object)
{
	json_object *array = member(object, "oauth_providers", json_type_array);
	List	   *providers = NIL;

	for (size_t i = 0; array != NULL && i < json_object_array_length(array); i++)
	{
		json_object *item = json_object_array_get_idx(array, i);
		StackProvider *provider = palloc0(sizeof(StackProvider));

		provider->id = string_member(item, "id");
		provider->account_id = string_member(item, "account_id");
		if (provider->id != NULL && provider->account_id != NULL)
			providers = lappend(providers, provider);
	}
	return providers;
}

static StackUser *
read_user(json_object *object)
{
	StackUser  *user = palloc0(sizeof(StackUser));
	json_object *metadata;
	json_object *millis;

	user->id = uuid_member(object, "id");
	if (user->id == NULL)
		return NULL;
	user->email = string_member(object, "primary_email");
	user->email_verified = bool_member(object, "primary_email_verified");
	user->email_auth_enabled = bool_member(object,
										   "primary_email_auth_enabled");
	user->has_password = bool_member(object, "has_password");
	user->requires_totp = bool_member(object, "requires_totp_mfa");
	user->is_anonymous = bool_member(object, "is_anonymous");
	user->restricted_by_admin = bool_member(object, "restricted_by_admin");
	user->providers = read_providers(object);
	millis = member(object, "signed_up_at_millis", json_type_int);
	if (millis != NULL)
		user->signed_up_millis = json_object_get_int64(millis);
	metadata = member(object, "server_metadata", json_type_object);
	if (metadata != NULL)
		metadata = member(metadata, "ftmigrate", json_type_object);
	if (metadata != NULL)
	{
		json_object *run = member(metadata, "run", json_type_int);

		user->source_id = uuid_member(metadata, "supabase_user_id");
		user->run_id = run != NULL ? json_object_get_int64(run) : 0;
	}
	return user;
}

static StackUserPage *
read_page(json_object *object)
{
	StackUserPage *page = palloc0(sizeof(StackUserPage));
	json_object *items = member(object, "items", json_type_array);
	json_object *pagination = member(object, "pagination", json_type_object);

	if (items == NULL || pagination == NULL)
		return NULL;
	for (size_t i = 0; i < json_object_array_length(items); i++)
	{
		StackUser  *user = read_user(json_object_array_get_idx(items, i));

		if (user == NULL)
			return NULL;
		page->users = lappend(page->users, user);
	}
	page->next_cursor = string_member(pagination, "next_cursor");
	return page;
}

static StackProject *
read_project(json_object *object)
{
	StackProject *project = palloc0(sizeof(StackProject));
	json_object *config = member(object, "config", json_type_object);
	json_object *providers;

	if (config == NULL)
		return NULL;
	project->display_name = string_member(object, "display_name");
	project->credential_enabled = bool_member(config, "credential_enabled");
	project->magic_link_enabled = bool_member(config, "magic_link_enabled");
	providers = member(config, "enabled_oauth_providers", json_type_array);
	for (size_t i = 0;
		 providers != NULL && i < json_object_array_length(providers); i++)
	{
		char	   *id = string_member(json_object_array_get_idx(providers, i),
									   "id");

		if (id != NULL)
			project->providers = lappend(project->providers, id);
	}
	return project;
}

static bool
read_object(StackAnswer *answer, AnswerKind kind, json_object *root)
{
	switch (kind)
	{
		case ANSWER_PROJECT:
			answer->project = read_project(root);
			return answer->project != NULL;
		case ANSWER_USER:
			answer->user = read_user(root);
			return answer->user != NULL;
		case ANSWER_PAGE:
			answer->page = read_page(root);
			return answer->page != NULL;
		case ANSWER_OBJECT:
			answer->user_id = uuid_member(root, "user_id");
			break;
	}
	return json_object_is_type(root, json_type_object);
}

/*
 * The remedy for an answer, if there is a known one.
 */
static const char *
report_hint(const StackAnswer *answer)
{
	if (strcmp(answer->code, "CURRENT_PROJECT_NOT_FOUND") == 0)
		return "Correct the option project_id with ALTER SERVER.";
	if (strcmp(answer->code, "BRANCH_DOES_NOT_EXIST") == 0)
		return "Correct the option branch_id with ALTER SERVER.";
	if (strcmp(answer->code, "REDIRECT_URL_NOT_WHITELISTED") == 0)
		return "Add the domain of the callback URL to the trusted domains of the Stack Auth project.";
	if (strcmp(answer->code, "PASSWORD_AUTHENTICATION_NOT_ENABLED") == 0)
		return "Enable password authentication in the Stack Auth project.";
	if (answer->status == 401 || answer->status == 403)
		return "Correct the option secret_server_key with ALTER USER MAPPING; the key must be a server key of this project.";
	if (answer->verdict == STACK_NOT_SENT || answer->status == 404 ||
		(answer->status > 0 && answer->status < 400))
		return "Check the option api_url and the network of the target server.";
	return "Call the function again: what is complete is kept.";
}

void
ftm_stackauth_report(const StackAuth *stack, const StackAnswer *answer,
					 const char *action)
{
	int			sqlstate = ERRCODE_FDW_ERROR;
	StringInfoData detail;

	initStringInfo(&detail);
	if (answer->status != 0)
		appendStringInfo(&detail, "HTTP status %d", answer->status);
	else
		appendStringInfoString(&detail, "No answer");
	if (answer->code[0] != '\0' && answer->status != 0)
		appendStringInfo(&detail, ", code %s", answer->code);
	if (answer->message[0] != '\0')
		appendStringInfo(&detail, ": %s", answer->message);
	if (answer->request_id[0] != '\0')
		appendStringInfo(&detail, " (request %s)", answer->request_id);

	if (answer->verdict == STACK_NOT_SENT)
		sqlstate = ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION;
	else if (answer->status == 401 || answer->status == 403)
		sqlstate = ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION;
	ereport(ERROR,
			(errcode(sqlstate),
			 errmsg("could not %s in auth server \"%s\"", action, stack->name),
			 errdetail_internal("%s", detail.data),
			 errhint("%s", report_hint(answer))));
}
