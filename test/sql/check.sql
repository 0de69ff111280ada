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
CREATE ROLE regress_ftm_check_dba SUPERUSER;
SET ROLE regress_ftm_check_dba;
SELECT check_name, status, detail, hint FROM ftm_check() WHERE check_name <> 'worker slots';

SELECT current_setting('port') AS port,
	split_part(current_setting('unix_socket_directories'), ',', 1) AS host \gset
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'host', port :'port', dbname 'regress_ftm_check');
SELECT * FROM findings() LIMIT 1;
RESET ROLE;
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

SELECT table_name, column_name, known_ids FROM ftm_scan_user_ids();
DELETE FROM ftm_user_column WHERE column_name = 'owner';

-- All is well: each check has a row
SELECT check_name, status, detail, hint FROM ftm_check()
	WHERE check_name NOT IN ('connection', 'server version', 'connection limit', 'replication role', 'freeze', 'disk space', 'worker slots', 'encoding');
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

-- A table that another session has locked: the others are checked all the same.
-- (dblink is that session.)
SET client_min_messages = warning;
CREATE EXTENSION dblink;
RESET client_min_messages;
SELECT dblink_connect('other', format('dbname=%s host=%s port=%s', current_database(), :'host', :'port'));
SELECT dblink_exec('other', 'BEGIN'), dblink_exec('other', 'LOCK TABLE notes');
SET ftmigrate.lock_timeout = '100ms';
SELECT check_name, status, substring(detail FROM '^(?:Both databases|[^:.]*)') AS detail, hint FROM ftm_check()
	WHERE check_name IN ('schema', 'empty tables', 'encoding');
RESET ftmigrate.lock_timeout;
SELECT dblink_exec('other', 'ROLLBACK');

-- A cancel is none of the findings
SET statement_timeout = '500ms';
SELECT count(*) FROM ftm_check();
RESET statement_timeout;

--
-- What each check finds
--

SELECT dblink_disconnect('other');
SELECT dblink_connect('other', format('dbname=regress_ftm_check host=%s port=%s', :'host', :'port'));

-- definitions: verification would find them different; the hints are the remedy
SELECT dblink_exec('other', 'ALTER TABLE notes ALTER body SET NOT NULL, ALTER body SET DEFAULT ''a (1)'', ADD CHECK (body <> ''x'')');
ALTER TABLE notes ADD CONSTRAINT notes_body_check CHECK (body <> 'x') NOT VALID;
SELECT * FROM findings();
SELECT table_name, status FROM ftm_run_migration(users => false, include => '{notes}', dry_run => true);
SELECT substring(hint FROM '^Execute (.*)\.$') FROM findings() \gexec
SELECT * FROM findings();
SELECT dblink_exec('other', 'ALTER TABLE notes ALTER body DROP NOT NULL, ALTER body DROP DEFAULT, DROP CONSTRAINT notes_body_check');
ALTER TABLE notes ALTER body DROP NOT NULL, ALTER body DROP DEFAULT, DROP CONSTRAINT notes_body_check;

-- the freeze: somebody has written, and not committed yet
SELECT dblink_exec('other', 'BEGIN'), dblink_exec('other', 'UPDATE teams SET name = ''x''');
SELECT check_name, status, detail, hint FROM ftm_check() WHERE check_name = 'freeze';
SELECT dblink_exec('other', 'PREPARE TRANSACTION ''regress_ftm_check''');
SELECT check_name, status, detail FROM ftm_check() WHERE check_name = 'freeze';
SELECT dblink_exec('other', 'ROLLBACK PREPARED ''regress_ftm_check''');

-- tables that are not empty, or belong to somebody else, or have triggers
INSERT INTO teams (name) VALUES ('mine');
ALTER TABLE notes OWNER TO regress_ftm_check_owner;
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER shout BEFORE INSERT ON teams FOR EACH ROW EXECUTE FUNCTION shout();
ALTER TABLE teams ENABLE ALWAYS TRIGGER shout;
SELECT * FROM findings();
-- for a caller who is no superuser
GRANT USAGE ON SCHEMA ftm TO regress_ftm_check_owner, regress_ftm_check_reader;
GRANT EXECUTE ON FUNCTION ftm_check, findings TO regress_ftm_check_owner;
GRANT USAGE ON FOREIGN SERVER supabase TO regress_ftm_check_owner;
SELECT current_user AS me \gset
CREATE USER MAPPING FOR regress_ftm_check_owner SERVER supabase OPTIONS (user :'me', password_required 'false');
SET ROLE regress_ftm_check_owner;
SELECT * FROM findings();
RESET ROLE;
SET ROLE regress_ftm_check_reader;
SELECT * FROM ftm_check();
RESET ROLE;
ALTER TABLE notes OWNER TO CURRENT_USER;
DROP TRIGGER shout ON teams;
TRUNCATE teams, notes;

-- tables that an earlier call loaded may have rows
SELECT table_name, status FROM ftm_run_migration(users => false) ORDER BY 1;
SELECT status, detail FROM ftm_check() WHERE check_name IN ('empty tables', 'disk space');
SELECT count(*) FROM ftm_rollback(1);

-- users: one that nothing refers to, one that a row must have
DELETE FROM ftm_user_map WHERE source_user_id = '00000000-0000-0000-0000-000000000003';
-- columns that are undecided
UPDATE ftm_user_column SET mode = NULL, origin = 'values', known_ids = 7;
SELECT * FROM findings();
DELETE FROM ftm_user_map;
SELECT * FROM findings();
-- unless that is allowed there
INSERT INTO ftm_user_column VALUES ('public', 'teams', 'owner', 'id', 'keep');
SELECT * FROM findings();
DELETE FROM ftm_user_column WHERE column_name = 'owner';
-- or the run creates them
CREATE SERVER stack_auth FOREIGN DATA WRAPPER ftm_stack_auth OPTIONS (api_url 'http://127.0.0.1:1', project_id 'p');
CREATE USER MAPPING FOR CURRENT_USER SERVER stack_auth OPTIONS (secret_server_key 'k');
SELECT status, detail FROM ftm_check() WHERE check_name = 'user map';
SET client_min_messages = warning;
DROP SERVER stack_auth CASCADE;
RESET client_min_messages;
-- a map that cannot be applied backwards; columns that nobody has looked for
DELETE FROM ftm_user_column;
DELETE FROM ftm_scanned_column;
INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES
	('00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002'),
	('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000004'),
	('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000005');
SELECT * FROM findings();
UPDATE ftm_user_map SET target_user_id = ('aaaaaaaa' || substr(source_user_id::text, 9))::uuid;

-- a source that does not give everything away, and more of it than before
\c regress_ftm_check
SET client_min_messages = warning;
CREATE EXTENSION citext;
CREATE TABLE parts (id int, name text COLLATE "C", other text COLLATE "POSIX") PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TABLE words (word citext, same citext);
CREATE TABLE hidden (a int);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
CREATE TABLE denied (a int);
GRANT USAGE ON SCHEMA public TO regress_ftm_check_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO regress_ftm_check_reader;
REVOKE SELECT ON denied FROM regress_ftm_check_reader;
\c :target
SET search_path = public, ftm;
CREATE TABLE parts (id int, name text, other text COLLATE "POSIX") PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1);
CREATE TRIGGER shout BEFORE INSERT ON part_1 FOR EACH ROW EXECUTE FUNCTION shout();
ALTER TABLE part_1 ENABLE REPLICA TRIGGER shout;
CREATE TABLE words (same text);
CREATE TABLE hidden (a int);
CREATE TABLE denied (a int);
ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (ADD user 'regress_ftm_check_reader');
SELECT * FROM findings() WHERE check_name <> 'user columns';
-- a partition of somebody else's
ALTER TABLE parts OWNER TO regress_ftm_check_owner;
SET ROLE regress_ftm_check_owner;
SELECT check_name, status, detail, hint FROM findings() WHERE check_name = 'target tables' AND detail LIKE '%parts%';
RESET ROLE;

-- another encoding and collation; no users at all
ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (DROP user);
CREATE DATABASE regress_ftm_check_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'POSIX';
\c regress_ftm_check_latin1
CREATE TABLE denied (a int, owner uuid);
\c :target
SET search_path = public, ftm;
ALTER TABLE denied ADD owner uuid;
INSERT INTO ftm_user_column (schema_name, table_name, column_name, mode) VALUES ('public', 'denied', 'owner', 'id');
ALTER SERVER supabase OPTIONS (SET dbname 'regress_ftm_check_latin1');
SELECT check_name, status,
	regexp_replace(regexp_replace(detail, 'and ".*" in the target', 'and ... in the target'), 'target has \w+', 'target has ...') AS detail, hint
	FROM findings(include => '{denied}') WHERE check_name <> 'user columns';
SELECT table_name, status FROM ftm_run_migration(users => false, include => '{denied}', dry_run => true, verify => false);
ALTER SERVER supabase OPTIONS (SET dbname 'regress_ftm_check');
DELETE FROM ftm_user_column;

-- What a run says of all that, in one go
INSERT INTO teams (name) VALUES ('mine');
SELECT ftm_run_migration(users => false);

-- Clean up
DROP FUNCTION findings;
DROP TABLE notes, teams, parts, words, hidden, denied;
DROP FUNCTION shout;
SET client_min_messages = warning;
DROP EXTENSION dblink;
DROP OWNED BY regress_ftm_check_owner, regress_ftm_check_reader;
DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA ftm;
DROP DATABASE regress_ftm_check;
DROP DATABASE regress_ftm_check_latin1;
DROP ROLE regress_ftm_check_reader, regress_ftm_check_owner, regress_ftm_check_dba;
