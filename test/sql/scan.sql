-- Columns that hold user ids: found by value (ftm_scan_user_ids), decided
-- (ftm_user_column, ftm_accept_user_columns), and what a plan says about them.
-- The source is a second database of this server.
\set SHOW_CONTEXT never
\pset format unaligned

CREATE ROLE regress_scan_reader LOGIN;
CREATE ROLE regress_scan_caller;
CREATE DATABASE regress_scan_source;
SELECT current_database() AS target \gset

--
-- Source.  Known users end in 01 to 04, of whom 04 is in the map only; nobody
-- has an id that begins with f.
--
\c regress_scan_source
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
INSERT INTO auth.users SELECT ('a0000000-0000-4000-8000-0000000000' || lpad(n::text, 2, '0'))::uuid
	FROM generate_series(1, 3) n;

CREATE SCHEMA app;
CREATE TABLE app.keys (user_id uuid UNIQUE REFERENCES auth.users, other_id uuid);
INSERT INTO app.keys VALUES ('a0000000-0000-4000-8000-000000000001', 'f0000000-0000-4000-8000-000000000001'),
	('a0000000-0000-4000-8000-000000000002', NULL);
CREATE TABLE app.keys_of_keys (owner uuid REFERENCES app.keys (user_id), friend uuid);
INSERT INTO app.keys_of_keys VALUES (NULL, 'a0000000-0000-4000-8000-000000000004'),
	('a0000000-0000-4000-8000-000000000001', 'f0000000-0000-4000-8000-000000000004'),
	(NULL, 'a0000000-0000-4000-8000-000000000003');

-- one value of each kind
CREATE TABLE app.texts (what text, value text);
INSERT INTO app.texts VALUES
	('whole', 'a0000000-0000-4000-8000-000000000001'),
	('whole, upper case', 'A0000000-0000-4000-8000-000000000001'),
	('whole, map only', 'a0000000-0000-4000-8000-000000000004'),
	('whole, unknown', 'f0000000-0000-4000-8000-000000000001'),
	('inside', 'by a0000000-0000-4000-8000-000000000001'),
	('inside, upper case', 'by A0000000-0000-4000-8000-000000000001!'),
	('inside, hexadecimal neighbours', 'fa0000000-0000-4000-8000-000000000001f'),
	('inside, two', 'a0000000-0000-4000-8000-000000000001a0000000-0000-4000-8000-000000000002'),
	('inside, behind an unknown one', 'f0000000-0000-4000-8000-000000000001/a0000000-0000-4000-8000-000000000002'),
	('inside, unknown', 'by f0000000-0000-4000-8000-000000000001'),
	('inside, not ASCII', 'für a0000000-0000-4000-8000-000000000003 ü'),
	('file', 'https://abc.supabase.co/storage/v1/object/public/x/a0000000-0000-4000-8000-000000000001.png'),
	('odd: mixed case', 'A0000000-0000-4000-8000-00000000000a'),
	('odd: mixed case, known', 'b0000000-0000-4000-B000-000000000003'),
	('odd: without hyphens', 'a0000000000040008000000000000001'),
	('odd: without hyphens, inside', '{A0000000000040008000000000000001}'),
	('odd: without hyphens, second', 'f0000000000040008000000000000001 a0000000000040008000000000000001'),
	('none: without hyphens, unknown', 'f0000000000040008000000000000001'),
	('none: part of a hash', 'a0000000000040008000000000000001a0000000000040008000000000000001'),
	('none: too short', 'a0000000-0000-4000-8000-00000000001'),
	('none: not hexadecimal', 'g0000000-0000-4000-8000-000000000001'),
	('none: hyphens elsewhere', 'a000000-00000-4000-8000-000000000001'),
	('none: hyphens within', 'a-------0000-4000-8000-000000000001'),
	('none: umlaut', 'ü0000000-0000-4000-8000-000000000001'),
	('none: null', NULL), ('none: empty', '');
INSERT INTO auth.users VALUES ('b0000000-0000-4000-b000-000000000003');
-- the same, one table each: nothing of its neighbours hides a value
DO $$
DECLARE
	t record;
BEGIN
	CREATE SCHEMA single;
	FOR t IN SELECT row_number() OVER () AS n, * FROM app.texts LOOP
		EXECUTE format('CREATE TABLE single.%I AS SELECT %L::text AS value', lpad(t.n::text, 2, '0') || ' ' || t.what, t.value);
	END LOOP;
END $$;

-- types
CREATE DOMAIN app.user_ref AS uuid;
CREATE DOMAIN app.user_refs AS app.user_ref[];
CREATE DOMAIN app.words AS varchar(50);
CREATE TYPE app.pair AS (id uuid, n int);
CREATE TYPE app.span AS RANGE (SUBTYPE = uuid);
CREATE TABLE app.types (a uuid, b text, c varchar(40), d char(36), e char(40), f name, g json, h jsonb, i xml, j uuid[],
	k text[], l varchar(40)[], m jsonb[], n app.user_ref, o app.user_refs, p app.words, q app.pair, r app.pair[], s app.span,
	no_1 int, no_2 bytea, no_3 date, no_4 int[], no_5 int4range, no_6 tsvector, no_7 inet);
INSERT INTO app.types SELECT u, u, u, u, u, u, to_json(u), to_jsonb(u), ('<a>' || u || '</a>')::xml, ARRAY[u], ARRAY[u], ARRAY[u],
	ARRAY[to_jsonb(u)], u, ARRAY[u], u, (u, 1)::app.pair, ARRAY[(u, 1)::app.pair], app.span(u, u, '[]'), 1, 'x', now(), '{1}', '[1,2)', 'a', '::1'
	FROM (SELECT 'a0000000-0000-4000-8000-000000000001'::uuid) AS x (u);
INSERT INTO app.types DEFAULT VALUES;

-- partitions are read through their root, other tables with ONLY
CREATE TABLE app.parted (day date, who uuid) PARTITION BY RANGE (day);
CREATE TABLE app.parted_1 PARTITION OF app.parted FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE app.parted_2 PARTITION OF app.parted DEFAULT;
INSERT INTO app.parted SELECT d, 'a0000000-0000-4000-8000-000000000001' FROM unnest('{2020-05-05,2022-02-02}'::date[]) d;
CREATE TABLE app.parent (who uuid);
CREATE TABLE app.child () INHERITS (app.parent);
INSERT INTO app.child VALUES ('a0000000-0000-4000-8000-000000000001');

-- names, no columns, computed columns, an audit trail
CREATE TABLE app."Odd ""Name""" ("scanned" uuid, "a ""b" text, "value" text);
INSERT INTO app."Odd ""Name""" SELECT u, u, u FROM (VALUES ('a0000000-0000-4000-8000-000000000001'::uuid)) x (u);
CREATE TABLE app.nothing ();
CREATE TABLE app.computed (who uuid, both_ends text GENERATED ALWAYS AS (uuid_send(who)::text) STORED,
	source_only uuid GENERATED ALWAYS AS (who) STORED, target_only uuid);
INSERT INTO app.computed (who, target_only) SELECT u, u FROM (VALUES ('a0000000-0000-4000-8000-000000000001'::uuid)) x (u);
CREATE TABLE app.audit (who uuid REFERENCES auth.users, previous_hash text, hash bytea, password_hash text, hashed text, e_signature varchar(9));
CREATE TABLE app.audit_without_ids (hash text);

-- casts of its own must never be called
CREATE FUNCTION app.cast_called() RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a cast was called'; END $$;
DO $$
DECLARE
	type text;
BEGIN
	FOREACH type IN ARRAY '{json,jsonb,uuid,uuid[],text[],jsonb[],app.pair,app.span}'::text[] LOOP
		EXECUTE format('CREATE FUNCTION app.to_text(%s) RETURNS text LANGUAGE sql AS $f$ SELECT app.cast_called()::text $f$', type);
		EXECUTE format('CREATE CAST (%s AS text) WITH FUNCTION app.to_text(%1$s) AS IMPLICIT', type);
	END LOOP;
	CREATE FUNCTION app.to_uuid(text) RETURNS uuid LANGUAGE plpgsql AS $f$ BEGIN PERFORM app.cast_called(); END $f$;
	CREATE CAST (text AS uuid) WITH FUNCTION app.to_uuid(text) AS IMPLICIT;
END $$;
SELECT a::text FROM app.types;

GRANT USAGE ON SCHEMA app, auth TO regress_scan_reader;
GRANT SELECT ON auth.users, app.keys TO regress_scan_reader;

--
-- Target
--
\c :target
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
SELECT format('CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source OPTIONS (host %L, port %L, dbname %L)',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), 'regress_scan_source') AS create_server,
	format('CREATE USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (user %L)', current_user) AS create_mapping \gset
:create_server;
:create_mapping;
INSERT INTO ftm.ftm_user_map (source_user_id, target_user_id) VALUES
	('a0000000-0000-4000-8000-000000000001', 'c0000000-0000-4000-8000-000000000001'),
	('a0000000-0000-4000-8000-000000000004', 'c0000000-0000-4000-8000-000000000004');

-- Each kind of value: what it counts as.  Nothing stays of it.
BEGIN;
SELECT table_name, known_ids, unknown_ids, suggestion, detail FROM ftm.ftm_scan_user_ids(schemas => '{single}');
ROLLBACK;
SELECT count(*) FROM ftm.ftm_user_column;

-- Every type, and how tables are read.
CREATE SCHEMA app;
CREATE TABLE app.computed (who uuid, both_ends text GENERATED ALWAYS AS (uuid_send(who)::text) STORED,
	source_only uuid, target_only uuid GENERATED ALWAYS AS (who) STORED);
SELECT * FROM ftm.ftm_scan_user_ids(schemas => '{app}');
SELECT * FROM ftm.ftm_user_column ORDER BY 1, 2, 3;

-- The source of this scan had casts that would have raised an error.
\c regress_scan_source
SELECT a::text FROM app.types;
\c :target
SET search_path = ftm, public;

--
-- Decisions
--

-- A decision stands, whatever is found later; numbers and suggestions follow.
UPDATE ftm_user_column SET mode = 'ignore', origin = 'manual' WHERE (table_name, column_name) = ('parted', 'who');
UPDATE ftm_user_column SET mode = 'ignore' WHERE (table_name, column_name) = ('keys', 'user_id');
INSERT INTO ftm_user_column (schema_name, table_name, column_name) VALUES ('app', 'texts', 'what');
INSERT INTO ftm_user_column (schema_name, table_name, column_name, mode) VALUES ('app', 'texts', 'value', 'embedded')
	ON CONFLICT (schema_name, table_name, column_name) DO UPDATE SET mode = excluded.mode, origin = excluded.origin;
\c regress_scan_source
INSERT INTO app.parted VALUES ('2020-07-07', 'a0000000-0000-4000-8000-000000000002'), ('2020-07-07', 'f0000000-0000-4000-8000-000000000002');
DELETE FROM app.child;
\c :target
SET search_path = ftm, public;
SELECT table_name, column_name, known_ids, unknown_ids, mode, suggestion FROM ftm_scan_user_ids(schemas => '{app}', include => '{parted,child,keys,keys_of_keys,texts}');
SELECT * FROM ftm_user_column WHERE table_name IN ('parted', 'child', 'keys', 'keys_of_keys', 'texts') ORDER BY 1, 2, 3;

-- A transaction that is rolled back leaves nothing; a read-only one is refused.
BEGIN;
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{single}');
SELECT count(*) FROM ftm_user_column WHERE schema_name = 'single';
ROLLBACK;
SELECT count(*) FROM ftm_user_column WHERE schema_name = 'single';
BEGIN READ ONLY;
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{app}');
ROLLBACK;

-- Arguments
SELECT ftm_accept_user_columns(mode => 'ids');
SELECT ftm_accept_user_columns(unmapped => 'drop');

-- As suggested; as said; a column without a suggestion is left, and named.
BEGIN;
SELECT table_name, column_name, mode, unmapped, suggestion FROM ftm_accept_user_columns();
SELECT table_name, column_name FROM ftm_user_column WHERE mode IS NULL ORDER BY 1, 2;
SELECT table_name, column_name, mode, unmapped FROM ftm_accept_user_columns('ignore', 'keep');
SELECT count(*) FROM ftm_accept_user_columns('id');
ROLLBACK;
BEGIN;
SELECT mode, unmapped, count(*) FROM ftm_accept_user_columns(mode => 'embedded', unmapped => 'error') GROUP BY 1, 2;
ROLLBACK;

--
-- What a plan says (but its estimates)
--
SET client_min_messages = warning;
CREATE TABLE app.keys (user_id uuid UNIQUE, other_id uuid);
CREATE TABLE app.keys_of_keys (owner uuid REFERENCES app.keys (user_id), friend uuid);
CREATE TABLE app.audit (who uuid, previous_hash text, hash bytea, password_hash text, hashed text, e_signature varchar(9));
CREATE TABLE app.audit_without_ids (hash text);
CREATE TABLE app.texts (what text, value text);
UPDATE ftm_user_column SET mode = NULL WHERE table_name = 'texts';
SELECT table_name, rewritten FROM ftm_plan(schemas => '{app}', include => '{keys,keys_of_keys,audit,audit_without_ids,texts}');
-- decided
UPDATE ftm_user_column SET mode = 'id' WHERE table_name = 'keys';
SELECT count(*) FROM ftm_accept_user_columns('ignore');
SELECT table_name, rewritten FROM ftm_plan(schemas => '{app}', include => '{keys,keys_of_keys,audit,audit_without_ids,texts}');
-- the foreign key is gone, what was recorded stays
\c regress_scan_source
ALTER TABLE app.keys DROP CONSTRAINT keys_user_id_fkey;
\c :target
SET search_path = ftm, public;
SET client_min_messages = warning;
SELECT table_name, rewritten FROM ftm_plan(schemas => '{app}', include => '{keys}');

RESET client_min_messages;

--
-- Rights: those of EXECUTE and of the server, none on the tables
--
GRANT USAGE ON SCHEMA ftm TO regress_scan_caller;
SET ROLE regress_scan_caller;
SELECT * FROM ftm_scan_user_ids();
SELECT * FROM ftm_accept_user_columns();
RESET ROLE;
GRANT EXECUTE ON FUNCTION ftm_scan_user_ids, ftm_accept_user_columns TO regress_scan_caller;
SET ROLE regress_scan_caller;
SELECT * FROM ftm_scan_user_ids();
SELECT count(*) FROM ftm_accept_user_columns();
RESET ROLE;

-- what the connection's role cannot read is an error
ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (SET user 'regress_scan_reader');
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{app}', include => '{keys}');
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{app}', include => '{keys,audit}');
\c regress_scan_source
ALTER TABLE app.keys ENABLE ROW LEVEL SECURITY;
\c :target
SET search_path = ftm, public;
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{app}', include => '{keys}');

-- no such thing
SELECT count(*) FROM ftm_scan_user_ids(source => 'nowhere');
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{nowhere}');
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{app}', include => '{nowhere}');

-- not a Supabase database: the map's users are known all the same
\c regress_scan_source
ALTER TABLE app.keys DISABLE ROW LEVEL SECURITY;
ALTER SCHEMA auth RENAME TO something_else;
\c :target
SET search_path = ftm, public;
SELECT column_name, known_ids, unknown_ids, mode FROM ftm_scan_user_ids(schemas => '{app}', include => '{keys}');
TRUNCATE ftm_user_map;
SELECT count(*) FROM ftm_scan_user_ids(schemas => '{app}', include => '{keys}');

-- Clean up
DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA ftm;
DROP SCHEMA app CASCADE;
DROP DATABASE regress_scan_source;
DROP ROLE regress_scan_reader, regress_scan_caller;
