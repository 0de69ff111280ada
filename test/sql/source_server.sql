-- Which server a source name leads to, and what is asked of it before anything
-- is connected.  Port 1 of this machine refuses connections: an error from
-- there means that the server was accepted.
\set SHOW_CONTEXT never

CREATE SCHEMA "My Ext";
CREATE EXTENSION ftmigrate SCHEMA "My Ext";
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION dblink;
CREATE EXTENSION file_fdw;
SET search_path = "My Ext", public;

-- No server
SELECT FROM ftm_plan();
SELECT FROM ftm_plan('O''Reilly');

-- No user mapping
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host '127.0.0.1', port '1');
CREATE ROLE "regress ftm dba" LOGIN SUPERUSER;
SET ROLE "regress ftm dba";
SELECT FROM ftm_plan();
-- that of PUBLIC will do
CREATE USER MAPPING FOR PUBLIC SERVER supabase OPTIONS (user 'u', password 'secret');
SELECT FROM ftm_plan();
RESET ROLE;

-- Wrappers: of all that know a PostgreSQL database, options that are not
-- libpq's are passed over
CREATE SERVER of_postgres_fdw FOREIGN DATA WRAPPER postgres_fdw OPTIONS (
	host '127.0.0.1', port '1', fetch_size '1000', use_remote_estimate 'true',
	extensions 'file_fdw', async_capable 'true', keep_connections 'off',
	application_name 'a', options '-c work_mem=1MB');
CREATE USER MAPPING FOR PUBLIC SERVER of_postgres_fdw
	OPTIONS (user 'u', password 'secret', sslcert 'c', sslkey 'k', password_required 'false');
SELECT FROM ftm_plan('of_postgres_fdw');
CREATE SERVER of_dblink_fdw FOREIGN DATA WRAPPER dblink_fdw OPTIONS (
	host '127.0.0.1', port '1');
CREATE USER MAPPING FOR PUBLIC SERVER of_dblink_fdw OPTIONS (user 'u', password 'secret');
SELECT FROM ftm_plan('of_dblink_fdw');
CREATE SERVER of_file_fdw FOREIGN DATA WRAPPER file_fdw;
SELECT FROM ftm_plan('of_file_fdw');
CREATE SERVER of_stack_auth FOREIGN DATA WRAPPER ftm_stack_auth;
SELECT FROM ftm_plan('of_stack_auth');

-- Options that lead to files with further parameters are not passed over
ALTER SERVER of_dblink_fdw OPTIONS (ADD passfile '/nowhere');
SELECT FROM ftm_plan('of_dblink_fdw');
ALTER SERVER of_dblink_fdw OPTIONS (DROP passfile, ADD service 'nowhere');
SELECT FROM ftm_plan('of_dblink_fdw');

-- Poolers in transaction mode, whatever the wrapper
ALTER SERVER of_postgres_fdw OPTIONS (SET port '6543');
SELECT FROM ftm_plan('of_postgres_fdw');
ALTER SERVER supabase OPTIONS (SET port '6543');
SELECT FROM ftm_plan();
\set VERBOSITY terse
ALTER SERVER supabase OPTIONS (SET host 'aws-0-eu-central-1.pooler.supabase.com', SET port '5433');
SELECT FROM ftm_plan();
\set VERBOSITY default
-- Any other port of another host is as good as 5432
ALTER SERVER supabase OPTIONS (SET host '127.0.0.1', SET port '2');
SELECT FROM ftm_plan();

--
-- Roles that are no superusers
--
CREATE ROLE regress_ftm_user;
GRANT USAGE ON SCHEMA "My Ext" TO regress_ftm_user;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA "My Ext" TO regress_ftm_user;
GRANT USAGE ON FOREIGN DATA WRAPPER ftm_source TO regress_ftm_user;
SET ROLE regress_ftm_user;
-- USAGE on the server
SELECT FROM ftm_plan();
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER supabase TO regress_ftm_user;
SET ROLE regress_ftm_user;
SELECT FROM ftm_plan();
RESET ROLE;
-- a password in the mapping, and not an empty one
CREATE USER MAPPING FOR regress_ftm_user SERVER supabase OPTIONS (user 'u');
SET ROLE regress_ftm_user;
SELECT FROM ftm_plan();
ALTER USER MAPPING FOR regress_ftm_user SERVER supabase OPTIONS (ADD password '');
SELECT FROM ftm_plan();
RESET ROLE;
-- unless a superuser says that none is needed
ALTER USER MAPPING FOR regress_ftm_user SERVER supabase OPTIONS (ADD password_required 'false');
SET ROLE regress_ftm_user;
SELECT FROM ftm_plan();
-- a host, lest libpq take a socket of this machine
CREATE SERVER hostless FOREIGN DATA WRAPPER ftm_source;
CREATE USER MAPPING FOR CURRENT_USER SERVER hostless OPTIONS (user 'u', password 'secret');
SELECT FROM ftm_plan('hostless');
ALTER SERVER hostless OPTIONS (ADD hostaddr '127.0.0.1', ADD port '3');
SELECT FROM ftm_plan('hostless');
RESET ROLE;

SET client_min_messages = warning;
DROP OWNED BY regress_ftm_user, "regress ftm dba" CASCADE;
DROP ROLE regress_ftm_user, "regress ftm dba";
DROP EXTENSION ftmigrate, postgres_fdw, dblink, file_fdw CASCADE;
DROP SCHEMA "My Ext";
