--
-- ftm_run_migration() and ftm_verify(): the whole way on a small application,
-- and what a bad call gets.  The source is another database of this server.
--
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
CREATE ROLE regress_ftm_reader LOGIN;
CREATE ROLE regress_ftm_nobody;
CREATE ROLE regress_ftm_admin SUPERUSER;
CREATE ROLE regress_ftm_owner;
CREATE DATABASE regress_ftm_run;
RESET client_min_messages;

-- The source: users, teams with an owner, notes with RLS.
\set target :DBNAME
\c regress_ftm_run
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
CREATE TABLE teams (id int PRIMARY KEY, owner uuid REFERENCES auth.users, name text);
CREATE TABLE notes (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	team int REFERENCES teams,
	body text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
INSERT INTO auth.users
	SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, 'u' || n || '@example.com'
	FROM generate_series(1, 3) n;
INSERT INTO teams VALUES
	(1, '00000000-0000-0000-0000-000000000001', 'red'),
	(2, '00000000-0000-0000-0000-000000000002', 'green'),
	(3, NULL, '');
INSERT INTO notes (team, body) SELECT 1 + n % 3, 'note ' || n FROM generate_series(1, 100) n;
GRANT USAGE ON SCHEMA public, auth TO regress_ftm_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public, auth TO regress_ftm_reader;

-- The target.
\c :target
SET search_path = public, ftm;
CREATE TABLE teams (id int PRIMARY KEY, owner uuid, name text);
CREATE TABLE notes (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	team int REFERENCES teams,
	body text);
CREATE INDEX ON notes (body);

-- No server, a server of something else, no user mapping.
SELECT ftm_run_migration();
SELECT current_setting('port') AS port,
	split_part(current_setting('unix_socket_directories'), ',', 1) AS host \gset
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'host', port :'port', dbname 'regress_ftm_run');
SET ROLE regress_ftm_admin;
SELECT ftm_run_migration();
RESET ROLE;
CREATE USER MAPPING FOR CURRENT_USER SERVER supabase;

-- Arguments.
SELECT ftm_run_migration(existing => 'append');
SELECT ftm_run_migration(unmapped => 'guess');
SELECT ftm_run_migration(workers => 0);
SELECT ftm_run_migration(workers => 65);
SELECT ftm_run_migration(schemas => NULL);
SELECT ftm_run_migration(schemas => '{}');
SELECT ftm_run_migration(schemas => '{auth}');
SELECT ftm_run_migration(include => '{nothing%}');
SELECT ftm_run_migration(exclude => ARRAY[NULL]);
SELECT ftm_run_migration(verify => NULL);
SELECT ftm_run_migration(no_such_option => true);

-- Inside a transaction block, and in a read-only one.
BEGIN;
SELECT ftm_run_migration();
ROLLBACK;
SET default_transaction_read_only = on;
SELECT ftm_run_migration();
RESET default_transaction_read_only;

-- Nobody has looked for user ids.
SELECT ftm_run_migration(undecided => 'guess');
SELECT ftm_run_migration(ids => 'guess');
SELECT ftm_run_migration(users => false);
SELECT table_name, column_name, known_ids, mode FROM ftm_scan_user_ids();
SELECT table_name, column_name, known_ids, unknown_ids FROM ftm_scanned_column ORDER BY 1, 2;

-- Holding a lock on a table of the plan.
SELECT count(*) FROM teams, ftm_run_migration(users => false);

-- A caller who may not.
GRANT USAGE ON SCHEMA ftm TO regress_ftm_nobody;
SET ROLE regress_ftm_nobody;
SELECT ftm_run_migration();
SELECT ftm_verify();
SELECT * FROM ftm_user_map;
RESET ROLE;

-- No map: the id is named, nothing is changed, and the failure is recorded.
SELECT ftm_run_migration(users => false, workers => 1);
SELECT count(*) FROM teams;
SELECT run_id, status, calls, error_code, error FROM ftm_run;
SELECT table_name, status, error_code, error FROM ftm_run_table ORDER BY 1;

-- A row that does not fit: recorded by the same run.
INSERT INTO ftm_user_map (source_user_id, target_user_id)
	SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid,
		('aaaaaaaa-0000-0000-0000-00000000000' || n)::uuid
	FROM generate_series(1, 3) n;
ALTER TABLE teams ADD CONSTRAINT not_red CHECK (name <> 'red');
SELECT ftm_run_migration(users => false, workers => 1);
ALTER TABLE teams DROP CONSTRAINT not_red;
SELECT run_id, status, calls, error_code, error FROM ftm_run;

-- A table with rows: nothing is begun.
INSERT INTO teams VALUES (9, NULL, 'mine');
SELECT ftm_run_migration(users => false, workers => 1);
SELECT * FROM teams;
SELECT run_id, status, calls, error FROM ftm_run;

-- Another scope while it is unfinished.
SELECT ftm_run_migration(users => false, include => '{notes}');

-- A table and a column that the target lacks, both named at once.
ALTER TABLE teams RENAME COLUMN name TO title;
ALTER TABLE notes RENAME TO remarks;
SELECT ftm_run_migration(users => false);
ALTER TABLE teams RENAME COLUMN title TO name;
ALTER TABLE remarks RENAME TO notes;

-- A published table.
SET client_min_messages = error;
CREATE PUBLICATION regress_ftm_pub FOR TABLE teams;
RESET client_min_messages;
SELECT ftm_run_migration(users => false);
DROP PUBLICATION regress_ftm_pub;

-- A trigger that would fire even so.
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
CREATE TRIGGER shout BEFORE INSERT ON teams FOR EACH ROW EXECUTE FUNCTION shout();
ALTER TABLE teams ENABLE ALWAYS TRIGGER shout;
SELECT ftm_run_migration(users => false);
ALTER TABLE teams ENABLE TRIGGER shout;

-- A plan without a run.
SELECT table_name, ids_mapped, ids_kept, status FROM ftm_run_migration(users => false, dry_run => true) ORDER BY 1;
SELECT status FROM ftm_run;

-- At last.
SELECT table_name, rows, ids_mapped, ids_kept, status
	FROM ftm_run_migration(users => false, existing => 'truncate', workers => 1) ORDER BY 1;
SELECT * FROM teams ORDER BY id;
SELECT count(*), min(body), max(body) FROM notes;
INSERT INTO notes (team, body) VALUES (1, 'next') RETURNING id;
DELETE FROM notes WHERE body = 'next';
SELECT setval('notes_id_seq', 100);
SELECT run_id, status, calls, error FROM ftm_run;
SELECT kind, object, source_rows, target_rows, ok, detail FROM ftm_verify() ORDER BY 1, 2;

-- What would stand in the way of a load is no difference after it.
SET client_min_messages = error;
CREATE PUBLICATION regress_ftm_pub FOR TABLE teams;
RESET client_min_messages;
SELECT count(*) FROM ftm_verify() WHERE NOT ok;
DROP PUBLICATION regress_ftm_pub;

-- Once more: nothing is done.
SELECT table_name, rows, ids_mapped, ids_kept, seconds, status
	FROM ftm_run_migration(users => false) ORDER BY 1;
SELECT count(*) FROM ftm_run;

-- Damage: the call ends with an error, and the verdict stays.
UPDATE teams SET owner = '00000000-0000-0000-0000-000000000002' WHERE id = 2;
SELECT kind, object, ok, detail FROM ftm_verify() WHERE NOT ok;

-- Starting over: not as long as changes would be lost.
SELECT ftm_run_migration(users => false, restart => true);
SELECT * FROM ftm_rollback(1);
SELECT * FROM ftm_rollback(1, force => true) ORDER BY 1;
SELECT count(*) FROM teams;
SELECT ftm_rollback(1);
SELECT ftm_rollback(99);
BEGIN;
SELECT ftm_rollback(1);
ROLLBACK;
SELECT table_name, rows, status FROM ftm_run_migration(users => false, restart => true) ORDER BY 1;
SELECT run_id, status FROM ftm_run ORDER BY 1;
SELECT owner FROM teams ORDER BY id;

-- Something else changed since the complete run.
ALTER TABLE teams ADD COLUMN added text;
\c regress_ftm_run
ALTER TABLE teams ADD COLUMN added text;
\c :target
SET search_path = public, ftm;
SELECT count(*) FROM ftm_scan_user_ids();
SELECT ftm_run_migration(users => false);

-- A role that row-level security filters.
ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (ADD user 'regress_ftm_reader');
SELECT ftm_run_migration(users => false, restart => true);

-- A caller who owns the tables, but may not switch triggers off.
GRANT USAGE ON SCHEMA ftm TO regress_ftm_owner;
GRANT EXECUTE ON FUNCTION ftm_run_migration TO regress_ftm_owner;
GRANT USAGE ON FOREIGN SERVER supabase TO regress_ftm_owner;
CREATE USER MAPPING FOR regress_ftm_owner SERVER supabase;
ALTER TABLE teams OWNER TO regress_ftm_owner;
ALTER TABLE notes OWNER TO regress_ftm_owner;
SET ROLE regress_ftm_owner;
SELECT ftm_run_migration(users => false);
RESET ROLE;

-- The source is no Supabase database: fine, as long as no column asks for it.
-- Ids that the user map knows are found all the same.
\c regress_ftm_run
ALTER TABLE teams DROP CONSTRAINT teams_owner_fkey;
DROP SCHEMA auth CASCADE;
\c :target
SET search_path = public, ftm;
SET client_min_messages = warning;
ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (DROP user);
DELETE FROM ftm_user_column;
SELECT ftm_run_migration(users => false, restart => true);
SELECT table_name, rows, ids_mapped, status
	FROM ftm_run_migration(users => false, restart => true, undecided => 'keep') ORDER BY 1;
SELECT table_name, ids_undecided, verified FROM ftm_run_table
	WHERE run_id = (SELECT max(run_id) FROM ftm_run) ORDER BY 1;
SELECT kind, object, ok, detail FROM ftm_verify() WHERE NOT ok;

-- Clean up.
DROP TABLE notes, teams;
DROP FUNCTION shout();
DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA ftm;
DROP DATABASE regress_ftm_run;
DROP OWNED BY regress_ftm_owner;
DROP OWNED BY regress_ftm_nobody;
DROP ROLE regress_ftm_reader, regress_ftm_nobody, regress_ftm_owner, regress_ftm_admin;
