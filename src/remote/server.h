/*-------------------------------------------------------------------------
 *
 * server.h
 *		Foreign servers and user mappings: where the source and the new auth
 *		service are, and with which credentials.
 *
 * Credentials stay in user mappings.  Nothing read here may reach a log, an
 * error message, a process title or shared memory: workers get the server's
 * OID and look the rest up for themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FTM_SERVER_H
#define FTM_SERVER_H

/* Connection parameters of one source, ready for PQconnectStartParams(). */
typedef struct SourceServer
{
	Oid			serverid;
	char	   *name;			/* of the foreign server */
	char	   *host;			/* for messages; may be NULL (default socket) */
	char	   *port;			/* for messages; may be NULL */
	int			connect_timeout;	/* seconds: the server's option of this
									 * name, else ftmigrate.connect_timeout */
	const char **keywords;		/* NULL-terminated */
	const char **values;
	bool		require_password;	/* caller is not a superuser: libpq must
									 * have used the mapping's password */
} SourceServer;

/*
 * Look up a foreign server of ftm_source, postgres_fdw or dblink_fdw by name
 * and combine its options with the current user's mapping.  Checks USAGE on
 * the server and the password rule.  Errors: no such server (with the hint to
 * call ftm_create_source), wrong wrapper, no user mapping, transaction-mode
 * pooler (port 6543).  Result in the current memory context.
 */
extern SourceServer *ftm_options_source_server(const char *name);

/*
 * Error if host and port (either may be NULL) are Supabase's pooler in
 * transaction mode, which cannot keep a session, let alone a snapshot.
 */
extern void ftm_options_refuse_transaction_pooler(const char *host,
												  const char *port);

/* What SQL functions have as default of parameter auth_server. */
#define DEFAULT_AUTH_SERVER	"stack_auth"

/* Connection parameters of a Stack Auth server. */
typedef struct AuthServer
{
	Oid			serverid;
	char	   *name;
	char	   *api_url;		/* no trailing slash */
	char	   *project_id;
	char	   *branch_id;		/* may be NULL */
	char	   *secret_server_key;
} AuthServer;

/*
 * The same for a server of ftm_stack_auth; missing_ok: return NULL if no
 * server of that name exists.
 */
extern AuthServer *ftm_options_auth_server(const char *name, bool missing_ok);

#endif							/* FTM_SERVER_H */
