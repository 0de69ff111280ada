-- ftm_diff(): each damage is shown with its key, its column and both values,
-- and nothing else is.
--
-- The target is not loaded by the extension: it is a copy of the source, made
-- by the server, in which plain SQL has replaced the user ids.
\set VERBOSITY terse
SET client_min_messages = warning;
\set home :DBNAME
CREATE ROLE regress_ftm_differ;
CREATE DATABASE regress_ftm_diff_source;
\c regress_ftm_diff_source
SET client_min_messages = warning;

-- ---------------------------------------------------------------------------
-- The source
-- ---------------------------------------------------------------------------
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
INSERT INTO auth.users SELECT ('00000000-0000-0000-0000-00000000000' || i)::uuid FROM generate_series(1, 5) i;

CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('open', 'closed');
CREATE TYPE app.place AS (x float8, label text);
CREATE TABLE app.items (
	id int8 PRIMARY KEY,
	owner uuid REFERENCES auth.users,
	editor text,
	note text,
	code bpchar,
	at timestamptz,
	ratio float8,
	zero float8,
	amount numeric,
	data jsonb,
	tags text[],
	state app.state,
	place app.place,
	image bytea,
	twice numeric GENERATED ALWAYS AS (amount * 2) STORED,
	label text GENERATED ALWAYS AS ('of ' || owner::text) STORED
);
INSERT INTO app.items
	SELECT i, u, CASE WHEN i % 2 = 0 THEN u::text ELSE 'system' END,
		   CASE i WHEN 1 THEN NULL WHEN 2 THEN '' ELSE 'note ' || i END, 'c' || i,
		   '2026-01-01 00:00:00Z'::timestamptz + i * interval '1 us', 1 / 3::float8, 0, 1.0,
		   jsonb_build_object('by', u, 'deep', '{"a": [1, {"b": "c"}]}'::jsonb),
		   ARRAY['a', 'b'], 'open'::app.state, ROW(NULL, NULL)::app.place, '\x00ff'::bytea
	  FROM generate_series(1, 50) i, LATERAL (SELECT ('00000000-0000-0000-0000-00000000000' || 1 + i % 5)::uuid) x(u);

-- without a key, with rows that are there twice
CREATE TABLE app.log (at date, what text, n int4);
INSERT INTO app.log SELECT date '2026-01-01' + i % 7, 'event ' || i % 20, i % 20 FROM generate_series(1, 40) i;

-- a user id in the key; a key that is no primary key; a key of quoted names
CREATE TABLE app.members (team int4, member uuid REFERENCES auth.users, rank text, PRIMARY KEY (team, member));
INSERT INTO app.members SELECT t, u.id, 'guest' FROM generate_series(1, 3) t, auth.users u;
CREATE TABLE app.alt (maybe int4 UNIQUE, code text NOT NULL UNIQUE, value int4);
INSERT INTO app.alt SELECT NULLIF(i, 3), 'c' || i, i FROM generate_series(1, 10) i;
CREATE TABLE app."Odd ""Table"" é" ("Select" int4 PRIMARY KEY, "a ""b""" text);
INSERT INTO app."Odd ""Table"" é" SELECT i, 'v' || i FROM generate_series(1, 10) i;

CREATE TABLE app.parts (id int4, at date, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE app.parts_old PARTITION OF app.parts FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE app.parts_new PARTITION OF app.parts FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO app.parts SELECT i, date '2025-12-20' + i, 'v' || i FROM generate_series(1, 20) i;
CREATE TABLE app.types (id int4 PRIMARY KEY, a int4, b varchar(10), c json, d app.state, e numeric(6,2));
INSERT INTO app.types VALUES (1, -1, 'x ', '{"b": 1, "a": 1.0}', 'open', 1.5), (2, NULL, '', NULL, NULL, 'NaN');
CREATE TABLE app.many (id int4 PRIMARY KEY, v int4);
INSERT INTO app.many SELECT i, i FROM generate_series(1, 20000) i;
CREATE TABLE app.nothing ();
INSERT INTO app.nothing DEFAULT VALUES;
CREATE TABLE app.empty (id int4 PRIMARY KEY);
CREATE VIEW app.a_view AS SELECT 1 AS one;
ANALYZE;

-- ---------------------------------------------------------------------------
-- The target: a copy with other user ids
-- ---------------------------------------------------------------------------
\c :home
SET client_min_messages = warning;
CREATE DATABASE regress_ftm_diff_target TEMPLATE regress_ftm_diff_source;
\c regress_ftm_diff_target
SET client_min_messages = warning;
DROP SCHEMA auth CASCADE;
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'HOST', port :'PORT', dbname 'regress_ftm_diff_source');
CREATE USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (user :'USER');
INSERT INTO ftm.ftm_user_map (source_user_id, target_user_id)
	SELECT ('00000000-0000-0000-0000-00000000000' || i)::uuid, ('aaaaaaaa-0000-0000-0000-00000000000' || i)::uuid FROM generate_series(1, 5) i;
INSERT INTO ftm.ftm_user_column (schema_name, table_name, column_name, mode, unmapped) VALUES
	('app', 'items', 'editor', 'id', 'keep'),
	('app', 'items', 'data', 'embedded', 'keep');
UPDATE app.items SET owner = replace(owner::text, '00000000-', 'aaaaaaaa-')::uuid,
	editor = replace(editor, '00000000-', 'aaaaaaaa-'),
	data = replace(data::text, '00000000-', 'aaaaaaaa-')::jsonb;
UPDATE app.members SET member = replace(member::text, '00000000-', 'aaaaaaaa-')::uuid;
-- columns in another order and of wider types, and one that the source lacks
ALTER TABLE app.types RENAME TO types_copy;
CREATE TABLE app.types (e numeric, d text, c jsonb, b text, a int8, id int8 PRIMARY KEY, more int4 DEFAULT 7);
INSERT INTO app.types SELECT e, d, c, b, a, id FROM app.types_copy;
DROP TABLE app.types_copy;
VACUUM FULL;

SET search_path = app, ftm;
-- (the caller's settings are none of its business)
SET TimeZone = 'Asia/Kathmandu';
SET DateStyle = 'German, DMY';
SET extra_float_digits = -10;
SET bytea_output = 'escape';
RESET client_min_messages;

-- ---------------------------------------------------------------------------
-- Equal
-- ---------------------------------------------------------------------------
SELECT * FROM ftm_diff('items');
SELECT * FROM ftm_diff('log');
SELECT * FROM ftm_diff('members');
SELECT * FROM ftm_diff('alt');
SELECT * FROM ftm_diff('"Odd ""Table"" é"');
SELECT * FROM ftm_diff('parts');
SELECT * FROM ftm_diff('types');
SELECT * FROM ftm_diff('many');
SELECT * FROM ftm_diff('nothing');
SELECT * FROM ftm_diff('empty');

-- ---------------------------------------------------------------------------
-- Damages
-- ---------------------------------------------------------------------------
SET client_min_messages = warning;
\pset null NULL
\pset format unaligned
\pset tuples_only on
\pset fieldsep ' | '
\set diff 'SELECT key, change, column_name, source_value, target_value FROM ftm_diff(:table) ORDER BY key, column_name, change, source_value;'
\set table '\'items\''
SET session_replication_role = replica;
BEGIN;
SAVEPOINT s;
-- '' for NULL and NULL for ''
UPDATE items SET note = '' WHERE id = 1;
UPDATE items SET note = NULL WHERE id = 2;
:diff
ROLLBACK TO s;
-- two rows' values swapped in one column
UPDATE items SET note = 'note ' || 10 - id WHERE id IN (4, 6);
:diff
ROLLBACK TO s;
-- the last row lost, one too many, and a key changed
DELETE FROM items WHERE id = 50;
INSERT INTO items (id, note, zero) VALUES (51, 'new "quoted" \', '-0');
UPDATE items SET id = 100, note = E'a\tb\nc' WHERE id = 3;
:diff
ROLLBACK TO s;
-- a microsecond; the last bit of a float8; -0 for 0; 1.00 for 1.0, also in the
-- generated column
UPDATE items SET at = at + interval '1 us' WHERE id = 1;
UPDATE items SET ratio = '0.33333333333333337' WHERE id = 2;
UPDATE items SET zero = '-0' WHERE id = 3;
UPDATE items SET amount = 1.00 WHERE id = 4;
:diff
ROLLBACK TO s;
-- a trailing blank in text and in char(n)
UPDATE items SET note = note || ' ' WHERE id = 5;
UPDATE items SET code = 'c6 '::bpchar WHERE id = 6;
:diff
ROLLBACK TO s;
-- deep inside of jsonb: a scalar, and a scale that equality ignores
UPDATE items SET data = jsonb_set(data, '{deep,a,1,b}', '"d"') WHERE id = 1;
UPDATE items SET data = jsonb_set(data, '{deep,a,0}', '1.0') WHERE id = 2;
:diff
ROLLBACK TO s;
-- an array of other dimensions, of other bounds; an enum label; a composite of
-- nulls that becomes null; a byte
UPDATE items SET tags = ARRAY[ARRAY['a', 'b']] WHERE id = 1;
UPDATE items SET tags = '[0:1]={a,b}' WHERE id = 2;
UPDATE items SET state = 'closed' WHERE id = 3;
UPDATE items SET place = NULL WHERE id = 4;
UPDATE items SET image = '\x00fe' WHERE id = 5;
:diff
ROLLBACK TO s;
-- user ids: another user's, nobody's, the source's left over; inside of text,
-- inside of jsonb
UPDATE items SET owner = 'aaaaaaaa-0000-0000-0000-000000000005' WHERE id = 1;
UPDATE items SET owner = 'bbbbbbbb-0000-0000-0000-000000000000' WHERE id = 2;
UPDATE items SET owner = '00000000-0000-0000-0000-000000000004' WHERE id = 3;
UPDATE items SET editor = '00000000-0000-0000-0000-000000000005' WHERE id = 4;
UPDATE items SET data = replace(data::text, 'aaaaaaaa-', '00000000-')::jsonb WHERE id = 5;
UPDATE items SET owner = NULL WHERE id = 6;
:diff
ROLLBACK TO s;
-- a generated column with another expression
ALTER TABLE items DROP COLUMN twice, ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 3) STORED;
SELECT change, column_name, source_value, target_value, count(*), count(DISTINCT key) FROM ftm_diff('items') GROUP BY 1, 2, 3, 4;
ROLLBACK TO s;
-- several columns of one row
UPDATE items SET note = NULL, state = 'closed', ratio = 'NaN' WHERE id = 10;
:diff
ROLLBACK TO s;

-- without a key: one row twice and another missing, a value changed, a row
-- there three times too often
\set table '\'log\''
DELETE FROM log WHERE ctid = (SELECT min(ctid) FROM log WHERE n = 3);
INSERT INTO log SELECT * FROM log WHERE n = 4 LIMIT 1;
:diff
ROLLBACK TO s;
UPDATE log SET what = NULL WHERE ctid = (SELECT min(ctid) FROM log WHERE n = 5);
:diff
ROLLBACK TO s;
INSERT INTO log SELECT '2026-05-05', 'new', g FROM generate_series(1, 3) g, generate_series(1, 3) WHERE g = 2;
:diff
ROLLBACK TO s;

-- a user id in the key: a row changed, one lost, one not rewritten
\set table '\'members\''
UPDATE members SET rank = 'host' WHERE team = 1 AND member = 'aaaaaaaa-0000-0000-0000-000000000001';
DELETE FROM members WHERE team = 2 AND member = 'aaaaaaaa-0000-0000-0000-000000000002';
UPDATE members SET member = '00000000-0000-0000-0000-000000000003' WHERE team = 3 AND member = 'aaaaaaaa-0000-0000-0000-000000000003';
:diff
ROLLBACK TO s;

-- a key that is no primary key; names in need of quotes; partitions, of which
-- two hold different rows in the same place; other types
\set table '\'alt\''
UPDATE alt SET value = 0 WHERE code IN ('c3', 'c4');
:diff
ROLLBACK TO s;
\set table '\'"Odd ""Table"" é"\''
UPDATE "Odd ""Table"" é" SET "a ""b""" = NULL WHERE "Select" = 7;
:diff
ROLLBACK TO s;
\set table '\'parts\''
UPDATE parts SET v = 'old' WHERE id = 1;
UPDATE parts SET v = 'new' WHERE id = 20;
:diff
ROLLBACK TO s;
UPDATE parts SET at = '2026-06-06' WHERE id = 2;
:diff
ROLLBACK TO s;
\set table '\'types\''
UPDATE types SET a = 4294967295 WHERE id = 1;
UPDATE types SET c = '{"a": 1, "b": 1}' WHERE id = 1;
UPDATE types SET d = 'ajar' WHERE id = 1;
UPDATE types SET e = 0 WHERE id = 2;
:diff
ROLLBACK TO s;

-- no columns, no rows
\set table '\'nothing\''
INSERT INTO nothing DEFAULT VALUES;
:diff
ROLLBACK TO s;
\set table '\'empty\''
INSERT INTO empty VALUES (1);
:diff
ROLLBACK TO s;

-- ---------------------------------------------------------------------------
-- Many differences
-- ---------------------------------------------------------------------------
COMMIT;
RESET client_min_messages;
BEGIN;
SAVEPOINT s;
\pset format aligned
\pset tuples_only off
\pset fieldsep '|'
-- five in a large table
UPDATE many SET v = -v WHERE id IN (7, 7777);
DELETE FROM many WHERE id IN (20000, 1);
INSERT INTO many VALUES (0, 0);
SELECT * FROM ftm_diff('many') ORDER BY (key -> 'id')::int;
-- just as many as are asked for, one more
SELECT count(*) FROM ftm_diff('many', max_rows => 5);
SELECT count(*) FROM ftm_diff('many', max_rows => 4);
ROLLBACK TO s;
-- all rows: as many as asked for, and all of them, in any number of groups
UPDATE many SET v = v + 1;
SELECT count(*), count(DISTINCT key), bool_and(target_value::int = source_value::int + 1 AND (key ->> 'id') = source_value) AS correct
  FROM ftm_diff('many');
SET work_mem = '64kB';
SELECT count(*), count(DISTINCT key), bool_and(target_value::int = source_value::int + 1 AND (key ->> 'id') = source_value) AS correct
  FROM ftm_diff('many', max_rows => NULL);
RESET work_mem;
ROLLBACK TO s;
-- the whole target lost, in groups, too
DELETE FROM many;
SELECT change, count(*), count(DISTINCT key), count(column_name) FROM ftm_diff('many', 'supabase', 100000) GROUP BY 1;
ROLLBACK TO s;
-- estimates that are far off decide nothing but the number of buckets
\c regress_ftm_diff_source
TRUNCATE app.many;
VACUUM ANALYZE app.many;
ALTER TABLE app.many SET (autovacuum_enabled = off);
INSERT INTO app.many SELECT i, i FROM generate_series(1, 20000) i;
\c regress_ftm_diff_target
SET search_path = app, ftm;
UPDATE many SET v = -1 WHERE id = 500;
SELECT * FROM ftm_diff('many');

-- ---------------------------------------------------------------------------
-- What is not compared is said; what cannot be is an error
-- ---------------------------------------------------------------------------
ALTER TABLE alt DROP COLUMN value;
SELECT * FROM ftm_diff('alt');
SELECT ftm_diff(NULL);
SELECT ftm_diff('alt', NULL);
SELECT ftm_diff('alt', max_rows => 0);
SELECT ftm_diff('alt', 'nowhere');
SELECT ftm_diff('a_view');
SELECT ftm_diff('parts_old');
SELECT ftm_diff('alt_code_key');
CREATE TABLE here_only (id int4);
SELECT ftm_diff('here_only');
CREATE TEMPORARY TABLE temporary (id int4);
SELECT ftm_diff('pg_temp.temporary');
SELECT ftm_diff('pg_class');

-- a cast somebody made is not called, by neither end
CREATE FUNCTION hostile(place) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'hostile code runs as %', current_user;
END
$$;
CREATE CAST (place AS text) WITH FUNCTION hostile(place);
UPDATE items SET place = ROW(1, 'here') WHERE id = 1;
SELECT * FROM ftm_diff('items');
DROP CAST (place AS text);

-- rights: to call it, to read the table, to read all of its rows
GRANT USAGE ON SCHEMA app, ftm TO regress_ftm_differ;
GRANT USAGE ON FOREIGN SERVER supabase TO regress_ftm_differ;
SET ROLE regress_ftm_differ;
SELECT ftm_diff('log');
RESET ROLE;
GRANT EXECUTE ON FUNCTION ftm_diff TO regress_ftm_differ;
CREATE USER MAPPING FOR regress_ftm_differ SERVER supabase OPTIONS (user :'USER', password_required 'false');
SET ROLE regress_ftm_differ;
SELECT ftm_diff('log');
RESET ROLE;
GRANT SELECT ON log TO regress_ftm_differ;
SET ROLE regress_ftm_differ;
SELECT * FROM ftm_diff('log');
RESET ROLE;
ALTER TABLE log ENABLE ROW LEVEL SECURITY;
SET ROLE regress_ftm_differ;
SELECT ftm_diff('log');
RESET ROLE;

\c :home
DROP DATABASE regress_ftm_diff_target;
DROP DATABASE regress_ftm_diff_source;
DROP ROLE regress_ftm_differ;
