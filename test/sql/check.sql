--
-- ftm_check(): the preflight.  The source is another database of this server.
--
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
CREATE ROLE regress_ftm_check_reader LOGIN;
CREATE ROLE regress_ftm_check_owner;
CREATE DATABASE regress_ftm_check;
RESET client_min_messages;
SET search_path = public, ftm;

-- Everything that is not pass, but for what depends on other sessions
CREATE FUNCTION findings(schemas text[] DEFAULT '{public}', include text[] DEFAULT NULL)
	RETURNS TABLE (check_name text, status text, detail text, hint text)
	LANGUAGE sql AS $$
	SELECT * FROM ftm.ftm_check(schemas => schemas, include => include) c
	WHERE c.status <> 'pass' AND c.check_name NOT IN ('freeze', 'disk space')
$$;

-- No server: nothing that needs the source passes
SELECT check_name, status, detail, hint FROM ftm_check() WHERE check_name <> 'worker slots';

SELECT current_setting('port') AS port,
	split_part(current_setting('unix_socket_directories'), ',', 1) AS host \gset
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'host', port :'port', dbname 'regress_ftm_check');
SELECT * FROM findings() LIMIT 1;
CREATE USER MAPPING FOR CURRENT_USER SERVER supabase;
ALTER SERVER supabase OPTIONS (SET port '6543');
SELECT * FROM findings() LIMIT 1;
ALTER SERVER supabase OPTIONS (SET port :'port', SET dbname 'regress_ftm_nowhere');
SELECT status, count(*), min(detail), min(hint) FROM findings() WHERE check_name <> 'connection' GROUP BY 1 ORDER BY 1;
ALTER SERVER supabase OPTIONS (SET dbname 'regress_ftm_check');

-- The source
\set target :DBNAME
\c regress_ftm_check
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
CREATE TABLE teams (id serial PRIMARY KEY, owner uuid REFERENCES auth.users, name text);
CREATE TABLE notes (id int PRIMARY KEY, team int REFERENCES teams, body text);
INSERT INTO auth.users SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid
	FROM generate_series(1, 3) n;
INSERT INTO teams (owner) VALUES ('00000000-0000-0000-0000-000000000001');
ANALYZE;

-- The target
\c :target
SET search_path = public, ftm;
CREATE TABLE teams (id serial PRIMARY KEY, owner uuid, name text);
CREATE TABLE notes (id int PRIMARY KEY, team int REFERENCES teams, body text);
INSERT INTO ftm_user_map (source_user_id, target_user_id)
	SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid,
		('aaaaaaaa-0000-0000-0000-00000000000' || n)::uuid
	FROM generate_series(1, 3) n;
INSERT INTO ftm_user_column (schema_name, table_name, column_name, mode, known_ids)
	VALUES ('public', 'notes', 'body', 'ignore', 0);

-- All is well: each check has a row
SELECT check_name, status, detail, hint FROM ftm_check()
	WHERE check_name NOT IN ('connection', 'server version', 'connection limit', 'freeze', 'disk space', 'worker slots', 'encoding');
SELECT DISTINCT check_name, status FROM ftm_check() WHERE check_name <> 'freeze' ORDER BY 1;

-- In a transaction block, even a read-only or a serializable one; it leaves
-- nothing behind
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT * FROM findings();
SELECT relation::regclass, mode FROM pg_locks
	WHERE pid = pg_backend_pid() AND relation IN ('teams'::regclass, 'notes'::regclass);
SHOW search_path;
COMMIT;

-- Wrong arguments are errors
SELECT * FROM ftm_check(schemas => '{}');
SELECT * FROM findings(include => '{nothing}');
SELECT * FROM findings('{nowhere}');

-- Clean up
DROP FUNCTION findings;
DROP TABLE notes, teams;
SET client_min_messages = warning;
DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA ftm;
DROP DATABASE regress_ftm_check;
DROP ROLE regress_ftm_check_reader, regress_ftm_check_owner;
