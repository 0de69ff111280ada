-- ftm_verify(): a target that holds what the source holds is found right, and
-- every damage is found, in the right object.
--
-- The target is not loaded by the extension: it is a copy of the source, made
-- by the server, in which plain SQL has replaced the user ids.
\set VERBOSITY terse
SET client_min_messages = warning;
\set home :DBNAME
CREATE DATABASE regress_ftm_source;
\c regress_ftm_source
SET client_min_messages = warning;

-- ---------------------------------------------------------------------------
-- The source
-- ---------------------------------------------------------------------------
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
INSERT INTO auth.users SELECT md5('source ' || i)::uuid FROM generate_series(1, 10) i;

CREATE SCHEMA app;
CREATE TYPE app.state AS ENUM ('open', 'closed');
CREATE TYPE app.place AS (x float8, label text);
CREATE DOMAIN app.positive AS int4 CHECK (VALUE > 0);
CREATE TABLE app.items (
	id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	owner_id uuid REFERENCES auth.users,
	approved_by uuid,
	actor text,
	url text,
	data jsonb,
	raw json,
	readers uuid[],
	note text,
	code bpchar,
	big int8,
	amount numeric,
	ratio float8,
	at timestamptz,
	took interval,
	tags text[],
	state app.state,
	place app.place,
	span int4range,
	pieces app.positive,
	image bytea,
	twice numeric GENERATED ALWAYS AS (amount * 2) STORED,
	owner_key text GENERATED ALWAYS AS ('owner ' || owner_id::text) STORED
);
INSERT INTO app.items (owner_id, approved_by, actor, url, data, raw, readers, note, code, big,
		amount, ratio, at, took, tags, state, place, span, pieces, image)
	SELECT u, CASE WHEN i % 7 = 0 THEN md5('deleted ' || i)::uuid ELSE u END,
		   CASE i % 3 WHEN 0 THEN 'system' WHEN 1 THEN upper(u::text) ELSE u::text END,
		   '/avatars/' || u || '/a.png',
		   jsonb_build_object('by', u, u::text, jsonb_build_array(i, 1.0, NULL), md5('source ' || 1 + (i + 3) % 10)::uuid::text, i, 'z', '{"a": {"b": 1}}'::jsonb),
		   json_build_object('by', u), ARRAY[u, NULL, md5('deleted')::uuid],
		   CASE WHEN i % 2 = 0 THEN 'note ' || i END, 'c' || i || ' ', -1, 1.0, i / 3.0, '2026-01-01 00:00:00Z'::timestamptz + i * interval '1 us',
		   '1 month', ARRAY['a', 'b', i::text], 'open'::app.state, ROW(i / 3.0, 'here')::app.place, int4range(i, i + 1), i, '\x00ff'
	  FROM generate_series(1, 60) i, LATERAL (SELECT md5('source ' || 1 + i % 10)::uuid) x(u);
-- a user id that no program writes so, which stays as it is
UPDATE app.items SET url = 'by ' || initcap(md5('source 10')::uuid::text) WHERE id = 5;
CREATE TABLE app.children (
	id serial PRIMARY KEY,
	item_id int8 REFERENCES app.items
);
INSERT INTO app.children (item_id) SELECT i FROM generate_series(1, 20) i;
CREATE TABLE app."Odd ""Name"" é" ("Select" int4, "a.b" float4);
INSERT INTO app."Odd ""Name"" é" VALUES (1, 0), (1, 0), (2, 'NaN'), (NULL, NULL);
CREATE TABLE app.parts (id int4, at date NOT NULL, item_id int8 REFERENCES app.items) PARTITION BY RANGE (at);
CREATE TABLE app.parts_old PARTITION OF app.parts FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE app.parts_new PARTITION OF app.parts FOR VALUES FROM ('2026-01-01') TO (MAXVALUE);
INSERT INTO app.parts SELECT i, '2025-12-20'::date + i, i FROM generate_series(1, 20) i;
CREATE TABLE app.types (a int4, b varchar(10), c json, d app.state, e numeric(6,2), f int4[]);
INSERT INTO app.types VALUES (-1, 'x ', '{"b": 1, "a": 1.0, "b": 2}', 'open', 1.5, '{{1},{-1}}'), (NULL, '', NULL, NULL, 'NaN', '{}');
-- an expression that answers for whom it is evaluated: the table's owner
CREATE ROLE regress_ftm_owner;
CREATE FUNCTION app.who(int4) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN current_user; END';
CREATE TABLE app.owned (id int4, who text GENERATED ALWAYS AS (app.who(id)) STORED);
ALTER TABLE app.owned OWNER TO regress_ftm_owner;
GRANT USAGE ON SCHEMA app TO regress_ftm_owner;
SET ROLE regress_ftm_owner;
INSERT INTO app.owned VALUES (1);
RESET ROLE;
CREATE TABLE app.empty (id int4 PRIMARY KEY);
CREATE TABLE app.nothing ();
INSERT INTO app.nothing DEFAULT VALUES;
CREATE SEQUENCE app.counter START 100 INCREMENT -5 MINVALUE -1000 MAXVALUE 1000;

-- Tables for damages that must be seen again and again
CREATE SCHEMA many;
DO $$
BEGIN
	FOR i IN 1 .. 1000 LOOP
		EXECUTE format('CREATE TABLE many.swap%s AS SELECT i AS id, i * 7 AS a, i %% 10 AS b, i * 0.5 AS c, md5(i::text) AS d
						  FROM generate_series(1, 20) i', i);
	END LOOP;
END
$$;

-- ---------------------------------------------------------------------------
-- The target: a copy with other user ids
-- ---------------------------------------------------------------------------
\c :home
SET client_min_messages = warning;
CREATE DATABASE regress_ftm_target TEMPLATE regress_ftm_source;
\c regress_ftm_target
SET client_min_messages = warning;
DROP SCHEMA auth CASCADE;
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
CREATE SERVER source FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'HOST', port :'PORT', dbname 'regress_ftm_source');
CREATE USER MAPPING FOR CURRENT_USER SERVER source OPTIONS (user :'USER');
INSERT INTO ftm.ftm_user_map (source_user_id, target_user_id)
	SELECT md5('source ' || i)::uuid, md5('target ' || i)::uuid FROM generate_series(1, 10) i;
INSERT INTO ftm.ftm_user_column (schema_name, table_name, column_name, mode, unmapped) VALUES
	('app', 'items', 'approved_by', 'id', 'keep'),
	('app', 'items', 'actor', 'id', 'keep'),
	('app', 'items', 'url', 'embedded', 'keep'),
	('app', 'items', 'data', 'embedded', 'keep'),
	('app', 'items', 'raw', 'embedded', 'keep'),
	('app', 'items', 'readers', 'embedded', 'keep');

-- Every user's id, by plain SQL
DO $$
DECLARE
	u record;
BEGIN
	FOR u IN SELECT source_user_id AS s, target_user_id AS t FROM ftm.ftm_user_map LOOP
		UPDATE app.items SET owner_id = u.t WHERE owner_id = u.s;
		UPDATE app.items SET approved_by = u.t WHERE approved_by = u.s;
		UPDATE app.items SET actor = replace(replace(actor, u.s::text, u.t::text), upper(u.s::text), upper(u.t::text)),
			url = replace(url, u.s::text, u.t::text),
			data = replace(data::text, u.s::text, u.t::text)::jsonb,
			raw = replace(raw::text, u.s::text, u.t::text)::json,
			readers = array_replace(readers, u.s, u.t);
	END LOOP;
END
$$;

-- Columns in another order and of wider types
ALTER TABLE app.types RENAME TO types_copy;
CREATE TABLE app.types (f int8[], e numeric, d text, c jsonb, b text, a int8);
INSERT INTO app.types SELECT f, e, d, c, b, a FROM app.types_copy;
DROP TABLE app.types_copy;

-- What is put back after each damage
CREATE SCHEMA kept;
CREATE TABLE kept.items AS TABLE app.items;
CREATE TABLE kept.children AS TABLE app.children;
CREATE TABLE kept.parts AS TABLE app.parts;
CREATE PROCEDURE kept.restore(name text) LANGUAGE plpgsql AS $$
DECLARE
	columns text;
BEGIN
	SELECT string_agg(quote_ident(attname), ', ') INTO columns
	  FROM pg_attribute
	 WHERE attrelid = ('app.' || name)::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped;
	EXECUTE format('DELETE FROM app.%I', name);
	EXECUTE format('INSERT INTO app.%I (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM kept.%I', name, columns, columns, name);
END
$$;

-- ---------------------------------------------------------------------------
-- Equal, whatever the settings are, of the caller or of the databases
-- ---------------------------------------------------------------------------
ALTER DATABASE regress_ftm_source SET TimeZone = 'America/St_Johns';
ALTER DATABASE regress_ftm_source SET extra_float_digits = 0;
ALTER DATABASE regress_ftm_target SET TimeZone = 'Asia/Kathmandu';
ALTER DATABASE regress_ftm_target SET DateStyle = 'German, DMY';
ALTER DATABASE regress_ftm_target SET IntervalStyle = 'sql_standard';
ALTER DATABASE regress_ftm_target SET extra_float_digits = -10;
ALTER DATABASE regress_ftm_target SET bytea_output = 'escape';
ALTER DATABASE regress_ftm_target SET search_path = app, ftm;
-- (the plan's warnings about differing types are none of this test's business)
SET client_min_messages = error;
SET TimeZone = 'Pacific/Apia';
SET DateStyle = 'SQL, MDY';
SET search_path = app, pg_temp, pg_catalog;
SELECT kind, object, source_rows, target_rows, source_checksum = target_checksum AS same, ok, detail
  FROM ftm.ftm_verify('source', '{app}')
 ORDER BY kind, object COLLATE "C";
SELECT count(*), bool_and(ok) AS ok, count(DISTINCT source_checksum)
  FROM ftm.ftm_verify('source', '{many}') WHERE kind = 'table';
RESET ALL;
SET client_min_messages = error;

-- ---------------------------------------------------------------------------
-- Damages, one at a time
-- ---------------------------------------------------------------------------
-- (what the detail says of all rows of a table is left out)
\set differences 'SELECT kind, object, source_rows - target_rows AS rows_missing, regexp_replace(detail, ''(; )?[0-9]+ of [0-9]+ columns hashed.*'', '''') FROM ftm.ftm_verify(\'source\', \'{app}\') WHERE NOT ok ORDER BY kind, object COLLATE "C";'
\set restore 'CALL kept.restore(\'items\');'
\pset format unaligned
\pset tuples_only on
SET session_replication_role = replica;

-- NULL and the empty string
UPDATE app.items SET note = '' WHERE id = 1;
:differences
:restore
UPDATE app.items SET note = NULL WHERE id = 2;
:differences
:restore
-- two rows' values swapped in one column
UPDATE app.items SET note = 'note ' || 6 - id WHERE id IN (2, 4);
:differences
:restore
-- one row twice and another missing
DELETE FROM app.children WHERE id = 7;
INSERT INTO app.children VALUES (107, 8);
:differences
CALL kept.restore('children');
-- the last row lost
DELETE FROM app.items WHERE id = 60;
:differences
:restore
-- a microsecond
UPDATE app.items SET at = at + interval '1 us' WHERE id = 3;
:differences
:restore
-- 30 days for a month, which are equal
UPDATE app.items SET took = '30 days' WHERE id = 3;
:differences
:restore
-- the last bit of a float8
UPDATE app.items SET ratio = '0.33333333333333337' WHERE id = 1;
:differences
:restore
-- -0 for 0, NaN stays NaN
UPDATE app."Odd ""Name"" é" SET "a.b" = '-0' WHERE ctid = '(0,1)';
:differences
UPDATE app."Odd ""Name"" é" SET "a.b" = 0 WHERE "Select" = 1;
-- one row twice and another missing where no key forbids it
UPDATE app."Odd ""Name"" é" SET "Select" = 1, "a.b" = 0 WHERE "Select" = 2;
:differences
UPDATE app."Odd ""Name"" é" SET "Select" = 2, "a.b" = 'NaN' WHERE ctid = (SELECT max(ctid) FROM app."Odd ""Name"" é" WHERE "Select" = 1);
-- 1.00 for 1.0
UPDATE app.items SET amount = 1.00 WHERE id = 1;
:differences
:restore
-- 4294967295 for -1 in bigint, which hash alike
UPDATE app.items SET big = 4294967295 WHERE id = 1;
:differences
:restore
-- a trailing space in text and in char(n), which are equal there
UPDATE app.items SET note = note || ' ' WHERE id = 2;
:differences
:restore
UPDATE app.items SET code = 'c2  '::bpchar WHERE id = 2;
:differences
:restore
-- deep inside of jsonb: a scalar, and a scale that equality ignores
UPDATE app.items SET data = jsonb_set(data, '{z,a,b}', '2') WHERE id = 1;
:differences
:restore
UPDATE app.items SET data = jsonb_set(data, '{z,a,b}', '1.0') WHERE id = 1;
:differences
:restore
-- an array with other bounds, and with other dimensions
UPDATE app.items SET tags = '[0:2]={a,b,1}' WHERE id = 1;
:differences
:restore
UPDATE app.items SET tags = '{{a,b,1}}' WHERE id = 1;
:differences
:restore
-- an enum label, a composite's field, a range's bound, a byte
UPDATE app.items SET state = 'closed' WHERE id = 1;
:differences
:restore
UPDATE app.items SET place.x = '0.33333333333333337' WHERE id = 1;
:differences
:restore
UPDATE app.items SET span = 'empty' WHERE id = 1;
:differences
:restore
UPDATE app.items SET image = '\x00fe' WHERE id = 1;
:differences
:restore
UPDATE app.items SET pieces = 61 WHERE id = 1;
:differences
:restore
-- another user's id, an id that nobody has, a source id left over
UPDATE app.items SET owner_id = md5('target 9')::uuid WHERE id = 1;
:differences
:restore
UPDATE app.items SET owner_id = md5('nobody')::uuid WHERE id = 1;
:differences
:restore
UPDATE app.items SET owner_id = md5('source 2')::uuid WHERE id = 1;
:differences
:restore
UPDATE app.items SET actor = upper(md5('source 2')::uuid::text) WHERE id = 1;
:differences
:restore
-- left over in a key of a json object, in a text, in an array of uuids
UPDATE app.items SET data = replace(data::text, '"' || md5('target 2')::uuid || '": [', '"' || md5('source 2')::uuid || '": [')::jsonb WHERE id = 1;
:differences
:restore
UPDATE app.items SET url = '/avatars/' || md5('source 2')::uuid || '/a.png' WHERE id = 1;
:differences
:restore
UPDATE app.items SET readers[1] = md5('source 2')::uuid WHERE id = 1;
:differences
:restore
-- json keeps its blanks
UPDATE app.items SET raw = (raw::text || ' ')::json WHERE id = 1;
:differences
:restore
-- in columns of a wider type
UPDATE app.types SET a = 4294967295 WHERE a = -1;
:differences
UPDATE app.types SET a = -1 WHERE a > 0;
UPDATE app.types SET c = '{"a": 1, "b": 2}' WHERE a = -1;
:differences
UPDATE app.types SET c = '{"a": 1.0, "b": 2}' WHERE a = -1;
UPDATE app.types SET e = 1.5 WHERE a = -1;
:differences
UPDATE app.types SET e = 1.50 WHERE a = -1;
-- a column dropped
ALTER TABLE app.types DROP COLUMN e;
:differences
ALTER TABLE app.types ADD COLUMN e numeric;
UPDATE app.types SET e = CASE WHEN a = -1 THEN 1.50 ELSE 'NaN' END;
-- a row without columns, a row in a table that was empty, a partition's row
INSERT INTO app.nothing DEFAULT VALUES;
:differences
DELETE FROM app.nothing WHERE ctid = '(0,2)';
INSERT INTO app.empty VALUES (1);
:differences
DELETE FROM app.empty;
UPDATE app.parts_new SET id = 0 WHERE id = 20;
:differences
UPDATE app.parts_new SET id = 20 WHERE id = 0;
-- sequences: one behind the source, one not called yet, one ahead
SELECT setval('app.items_id_seq', 59) \g /dev/null
:differences
SELECT setval('app.items_id_seq', 60, false) \g /dev/null
:differences
SELECT setval('app.items_id_seq', 60) \g /dev/null
SELECT nextval('app.counter') \g /dev/null
:differences
SELECT setval('app.counter', 100, false) \g /dev/null
-- orphans, of a plain table and of a partition; a key marked not valid
INSERT INTO app.children VALUES (21, 999);
:differences
SELECT * FROM ftm.ftm_diff('app.children', 'source');
CALL kept.restore('children');
UPDATE app.parts_old SET item_id = 999 WHERE id = 1;
:differences
SELECT * FROM ftm.ftm_diff('app.parts', 'source');
UPDATE app.parts_old SET item_id = 1 WHERE id = 1;
ALTER TABLE app.children DROP CONSTRAINT children_item_id_fkey;
ALTER TABLE app.children ADD CONSTRAINT children_item_id_fkey FOREIGN KEY (item_id) REFERENCES app.items NOT VALID;
:differences
ALTER TABLE app.children VALIDATE CONSTRAINT children_item_id_fkey;
-- a generated column with another expression: of the same values, of others,
-- and of one that reads a user id and so is compared with its expression only
ALTER TABLE app.items DROP COLUMN twice, ADD COLUMN twice numeric GENERATED ALWAYS AS (amount + amount) STORED;
:differences
ALTER TABLE app.items DROP COLUMN twice, ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 3) STORED;
:differences
ALTER TABLE app.items DROP COLUMN twice, ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED;
:differences
ALTER TABLE app.items DROP COLUMN owner_key, ADD COLUMN owner_key text GENERATED ALWAYS AS ('user ' || owner_id::text) STORED;
:differences
ALTER TABLE app.items DROP COLUMN owner_key, ADD COLUMN owner_key text GENERATED ALWAYS AS ('owner ' || owner_id::text) STORED;
-- a generated column whose function answers otherwise than when it was stored
CREATE FUNCTION app.half(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 2';
ALTER TABLE app.items ADD COLUMN half numeric GENERATED ALWAYS AS (app.half(amount)) STORED;
:differences
CREATE OR REPLACE FUNCTION app.half(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS 'SELECT $1 / 3';
:differences
ALTER TABLE app.items DROP COLUMN half;
-- all is well again
:differences

-- ---------------------------------------------------------------------------
-- Swaps: in each of a thousand tables two rows, by chance, swap their values of a
-- column, and the sums of all columns stay what they were
-- ---------------------------------------------------------------------------
\pset format aligned
\pset tuples_only off
SELECT setseed(0.5) \g /dev/null
DO $$
DECLARE
	one int;
	other int;
	name text;
BEGIN
	FOR i IN 1 .. 1000 LOOP
		one := 1 + floor(random() * 20);
		other := 1 + (one + floor(random() * 19)::int) % 20;
		name := (ARRAY['a', 'c', 'd'])[1 + floor(random() * 3)::int];
		-- in the last one a whole column is permuted
		EXECUTE format('UPDATE many.swap%s s SET %I = o.%2$I FROM many.swap%1$s o WHERE %3$s',
					   i, name,
					   CASE WHEN i < 1000 THEN format('s.id IN (%s, %s) AND o.id IN (%1$s, %2$s) AND o.id <> s.id', one, other)
					   ELSE 'o.id = 1 + (s.id + 6) % 20' END);
	END LOOP;
END
$$;
SELECT detail, count(*), count(*) FILTER (WHERE ok) AS overlooked
  FROM ftm.ftm_verify('source', '{many}') WHERE kind = 'table'
 GROUP BY detail;

-- ---------------------------------------------------------------------------
-- A cast somebody made is not called
-- ---------------------------------------------------------------------------
CREATE FUNCTION app.hostile(app.place) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'hostile code runs as %', current_user;
END
$$;
CREATE CAST (app.place AS text) WITH FUNCTION app.hostile(app.place);
SELECT object, ok FROM ftm.ftm_verify('source', '{app}', include => '{items}') WHERE kind = 'table';
DROP CAST (app.place AS text);

-- ---------------------------------------------------------------------------
-- The user map
-- ---------------------------------------------------------------------------
SELECT kind, object, target_rows, ok, detail
  FROM ftm.ftm_verify('source', '{app}', include => '{empty}') WHERE kind = 'user map';

-- ---------------------------------------------------------------------------
-- A reader that row-level security filters, on either end
-- ---------------------------------------------------------------------------
\c regress_ftm_source
CREATE ROLE regress_ftm_reader LOGIN;
GRANT USAGE ON SCHEMA app, auth TO regress_ftm_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA app, auth TO regress_ftm_reader;
ALTER TABLE app.children ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON app.children USING (id % 2 = 0);
\c regress_ftm_target
SET client_min_messages = error;
DELETE FROM app.children WHERE id % 2 = 1;
ALTER USER MAPPING FOR CURRENT_USER SERVER source OPTIONS (SET user 'regress_ftm_reader');
SELECT kind, object, ok, detail FROM ftm.ftm_verify('source', '{app}', include => '{children}');
ALTER USER MAPPING FOR CURRENT_USER SERVER source OPTIONS (SET user :'USER');
CALL kept.restore('children');
INSERT INTO app.children VALUES (21, 1);
ALTER TABLE app.children ENABLE ROW LEVEL SECURITY;
CREATE POLICY half ON app.children USING (id <= 20);
GRANT USAGE ON SCHEMA app, ftm TO regress_ftm_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA app TO regress_ftm_reader;
GRANT EXECUTE ON FUNCTION ftm.ftm_verify TO regress_ftm_reader;
GRANT USAGE ON FOREIGN SERVER source TO regress_ftm_reader;
CREATE USER MAPPING FOR regress_ftm_reader SERVER source OPTIONS (user :'USER', password_required 'false');
SET ROLE regress_ftm_reader;
SELECT kind, object, ok, detail FROM ftm.ftm_verify('source', '{app}', include => '{children}');
RESET ROLE;

\c :home
DROP DATABASE regress_ftm_target;
DROP DATABASE regress_ftm_source;
DROP ROLE regress_ftm_owner, regress_ftm_reader;
