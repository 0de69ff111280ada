-- What a migration would do (ftm_plan), and everything that can stand in its
-- way.  The source is a second database of this server.
\set SHOW_CONTEXT never
\pset format unaligned

CREATE ROLE regress_plan_reader LOGIN;
CREATE ROLE regress_plan_caller;
CREATE DATABASE regress_plan_source;
SELECT current_database() AS target \gset

--
-- Source
--
\c regress_plan_source
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text UNIQUE);

-- schema app: everything is as it should be
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'happy');
CREATE DOMAIN app.short AS varchar(10) CHECK (VALUE <> '');
CREATE TYPE app.pair AS (a int, b app.mood);
-- levels: org <- profile <- team <-> member (a cycle) <- note; tree refers to itself
CREATE TABLE app.org (id int PRIMARY KEY);
CREATE TABLE app.profile (id uuid PRIMARY KEY, org int REFERENCES app.org,
	user_id uuid UNIQUE REFERENCES auth.users, email text REFERENCES auth.users (email));
CREATE TABLE app.team (id int PRIMARY KEY, owner uuid REFERENCES app.profile (user_id), lead int);
CREATE TABLE app.member (id serial PRIMARY KEY, team int REFERENCES app.team,
	profile uuid REFERENCES app.profile, UNIQUE (id, team));
ALTER TABLE app.team ADD FOREIGN KEY (lead, id) REFERENCES app.member (id, team);
CREATE TABLE app.note (id bigint GENERATED ALWAYS AS IDENTITY, member int REFERENCES app.member,
	owner uuid, author uuid, editor uuid, other uuid, words text, word varchar(36), pad char(36), doc jsonb,
	tags uuid[], links text[], plain uuid,
	half int, double int GENERATED ALWAYS AS (half * 2) STORED);
CREATE TABLE app.tree (id int PRIMARY KEY, parent int REFERENCES app.tree);
INSERT INTO app.tree SELECT i, nullif(i / 2, 0) FROM generate_series(1, 2000) i;
-- a key of pairs passes a user id on, column by column
CREATE TABLE app.seat (room int, owner uuid REFERENCES auth.users, PRIMARY KEY (room, owner));
CREATE TABLE app.booking (r int, o uuid, note text, FOREIGN KEY (r, o) REFERENCES app.seat);
-- formats
CREATE TABLE app.forms (a int, b app.mood, c app.mood[], d app.short, e app.pair, f int4range,
	g numeric(5, 2), h json, i bytea, j oid);
CREATE TABLE app.regs (a regclass);
CREATE TABLE app.document (a xml);
CREATE TABLE app.nothing ();
-- partitions, inheritance
CREATE TABLE app.reading (day date, who uuid, n int) PARTITION BY RANGE (day);
CREATE TABLE app.reading_1 PARTITION OF app.reading FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE app.reading_2 PARTITION OF app.reading DEFAULT;
ALTER TABLE app.reading_2 ADD FOREIGN KEY (who) REFERENCES auth.users;
INSERT INTO app.reading SELECT '2020-06-01'::date + i, NULL, i FROM generate_series(1, 400) i;
CREATE TABLE app.animal (name text);
CREATE TABLE app.dog (bark int) INHERITS (app.animal);
-- names
CREATE TABLE app."Odd ""Name""" ("Select" int, "a b" text);
CREATE TABLE app.a_b (a int);
CREATE TABLE app.axb (a int);
CREATE SEQUENCE app.free;
SELECT setval('app.free', 42, false);
-- no tables of a plan
CREATE VIEW app.orgs AS SELECT * FROM app.org;
CREATE MATERIALIZED VIEW app.org_count AS SELECT count(*) FROM app.org;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE app.elsewhere (a int) SERVER nowhere;
ANALYZE;
-- A free space map and a visibility map, before autovacuum makes them
VACUUM app.tree, app.reading;
SELECT pg_table_size('app.tree') AS tree_size,
	pg_table_size('app.reading_1') + pg_table_size('app.reading_2') AS reading_size \gset

-- schema pairs: types that differ
CREATE SCHEMA pairs;
CREATE EXTENSION citext SCHEMA pairs;
CREATE TYPE pairs.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN pairs.positive AS int4 CHECK (VALUE > 0);
CREATE TABLE pairs.good (
	varchar_text varchar(10), varchar_wider varchar(10), text_varchar text,
	int2_int4 int2, int2_int8 int2, int4_int8 int4,
	int4_numeric int4, int8_numeric int8, int8_array int4[],
	numeric_wider numeric(5, 2), numeric_free numeric(5, 2), timestamp_wider timestamp(3), time_wider time(0),
	json_jsonb json, json_list json[], citext_text pairs.citext, domain_base pairs.positive,
	enum_text pairs.mood, enum_more pairs.mood, varbit_wider varbit(3));
CREATE TYPE pairs.fewer AS ENUM ('a', 'b', 'c');
CREATE TYPE pairs.reordered AS ENUM ('a', 'b');
CREATE TYPE pairs.coin AS (side text, worth int);
CREATE TYPE pairs.span AS RANGE (SUBTYPE = int4);
CREATE TABLE pairs.bad (
	text_shorter text, varchar_narrower varchar(20), char_text char(5), char_wider char(5),
	int8_int4 int8, int4_numeric int4, int8_numeric int8, float4_float8 float4, numeric_free numeric,
	numeric_narrower numeric(6, 2), numeric_scale numeric(6, 1), timestamp_narrower timestamp,
	timestamp_timestamptz timestamp, jsonb_json jsonb, text_uuid text, base_domain int4,
	enum_fewer pairs.fewer, enum_reordered pairs.reordered, enum_array pairs.fewer[],
	composite pairs.coin, range pairs.span, int4_array int4, other_enum pairs.fewer);

-- schema bad: everything else that stops a migration
CREATE SCHEMA bad;
CREATE TABLE bad.missing (a int);
CREATE TABLE bad.is_view (a int);
CREATE TABLE bad.is_matview (a int);
CREATE TABLE bad.is_foreign (a int);
CREATE TABLE bad.is_partition (a int);
CREATE TABLE bad.columns (a int, gone int, computed int, computed_otherwise int GENERATED ALWAYS AS (a + 1) STORED,
	computed_alike int GENERATED ALWAYS AS (a * 2) STORED, no_longer int GENERATED ALWAYS AS (a) STORED);
CREATE TABLE bad.no_columns ();
CREATE TABLE bad.sequenced (a serial, b smallserial, c int GENERATED BY DEFAULT AS IDENTITY);
SELECT setval('bad.sequenced_b_seq', 1000);
CREATE SEQUENCE bad.lonely;
CREATE TABLE bad.triggers (a int);
CREATE TABLE bad.triggers_of_partition (a int);
CREATE TABLE bad.published (a int);
CREATE TABLE bad.ref (id uuid PRIMARY KEY);
CREATE TABLE bad.half_source (ref uuid REFERENCES bad.ref);
CREATE TABLE bad.half_target (ref uuid, free uuid);
CREATE TABLE bad.users (b uuid, c int, d uuid, e uuid, f point);

-- what a reader without rights sees of it
GRANT USAGE ON SCHEMA app, bad, pairs TO regress_plan_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA pairs, bad TO regress_plan_reader;
REVOKE SELECT ON bad.published FROM regress_plan_reader;
GRANT SELECT ON bad.sequenced_a_seq, bad.sequenced_b_seq TO regress_plan_reader;
CREATE SCHEMA secret;
GRANT USAGE ON SCHEMA secret TO regress_plan_reader;
CREATE TABLE secret.hidden (id serial);
ALTER TABLE secret.hidden ENABLE ROW LEVEL SECURITY;
CREATE TABLE secret.denied (a int);
GRANT SELECT ON secret.hidden TO regress_plan_reader;

--
-- Target
--
\c :target
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
SELECT format('CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source OPTIONS (host %L, port %L, dbname %L)',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), 'regress_plan_source') AS create_server,
	format('CREATE USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (user %L)', current_user) AS create_mapping \gset
:create_server;
:create_mapping;

CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'happy');
CREATE DOMAIN app.short AS varchar(10) CHECK (VALUE <> '');
CREATE TYPE app.pair AS (a int, b app.mood);
CREATE TABLE app.org (id int PRIMARY KEY);
-- other order of columns, one more of them
CREATE TABLE app.profile (email text, more text, even_more int NOT NULL DEFAULT 0, user_id uuid UNIQUE, org int,
	id uuid PRIMARY KEY);
CREATE TABLE app.team (id int PRIMARY KEY, owner uuid REFERENCES app.profile (user_id), lead int);
CREATE TABLE app.member (id serial PRIMARY KEY, team int REFERENCES app.team,
	profile uuid REFERENCES app.profile, UNIQUE (id, team));
CREATE TABLE app.note (id bigint GENERATED ALWAYS AS IDENTITY, member int REFERENCES app.member,
	owner uuid, author uuid, editor uuid, other uuid, words text, word varchar(36), pad char(36), doc jsonb,
	tags uuid[], links text[], plain uuid,
	half int, double int GENERATED ALWAYS AS (half   *   2) STORED);
CREATE TABLE app.tree (id int PRIMARY KEY, parent int REFERENCES app.tree);
CREATE TABLE app.seat (room int, owner uuid, PRIMARY KEY (room, owner));
CREATE TABLE app.booking (r int, o uuid, note text, FOREIGN KEY (r, o) REFERENCES app.seat);
CREATE TABLE app.forms (a int, b app.mood, c app.mood[], d app.short, e app.pair, f int4range,
	g numeric(5, 2), h json, i bytea, j oid);
CREATE TABLE app.regs (a regclass);
CREATE TABLE app.document (a xml);
CREATE TABLE app.nothing ();
-- partitioned by something else
CREATE TABLE app.reading (day date, who uuid, n int) PARTITION BY HASH (who);
CREATE TABLE app.reading_0 PARTITION OF app.reading FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE app.animal (name text);
CREATE TABLE app.dog (name text, bark int);
CREATE TABLE app."Odd ""Name""" ("Select" int, "a b" text);
CREATE TABLE app.a_b (a int);
CREATE TABLE app.axb (a int);
CREATE SEQUENCE app.free;
CREATE TABLE app.target_only (a int NOT NULL);

-- What is to be rewritten without a foreign key, and what is not although
-- there is one
INSERT INTO ftm.ftm_user_column (schema_name, table_name, column_name, mode, unmapped, origin, known_ids) VALUES
	('app', 'profile', 'user_id', 'id', 'keep', 'manual', NULL),
	('app', 'note', 'owner', 'id', NULL, 'manual', NULL),
	('app', 'note', 'author', 'id', 'error', 'values', 5),
	('app', 'note', 'other', 'ignore', NULL, 'values', 5),
	('app', 'note', 'editor', NULL, NULL, 'values', 0),
	('app', 'note', 'plain', NULL, NULL, 'manual', NULL),
	('app', 'note', 'words', 'embedded', NULL, 'values', 3),
	('app', 'note', 'word', 'id', NULL, 'manual', NULL),
	('app', 'note', 'pad', 'id', NULL, 'manual', NULL),
	('app', 'note', 'doc', 'embedded', NULL, 'manual', NULL),
	('app', 'note', 'tags', 'embedded', NULL, 'manual', NULL),
	('app', 'note', 'links', 'embedded', NULL, 'manual', NULL);

-- Nothing stands in the way
SET client_min_messages = warning;
SELECT table_name, level, format, method, notes FROM ftm.ftm_plan(schemas => '{app}') ORDER BY level, table_name COLLATE "C";
SELECT table_name, unnest(rewritten) AS rewritten FROM ftm.ftm_plan(schemas => '{app}', exclude => '{org_count,elsewhere}') ORDER BY table_name COLLATE "C";
SELECT table_name, rows, bytes = CASE table_name WHEN 'app.tree' THEN :tree_size ELSE :reading_size END AS bytes_right,
	seconds > 0 AS has_seconds
FROM ftm.ftm_plan(schemas => '{app}', include => '{tree,reading}', exclude => '{nothing}');

-- Largest first
SELECT bool_and(bytes <= before) AS ordered, count(*)
FROM (SELECT bytes, lag(bytes) OVER () AS before FROM ftm.ftm_plan(schemas => '{app}', exclude => '{org_count,elsewhere}')) AS p;

-- Totals
SET client_min_messages = notice;
SELECT count(*) FROM ftm.ftm_plan(schemas => '{app}', include => '{nothing}');
SET client_min_messages = warning;

-- Nothing is locked afterwards
BEGIN;
SELECT count(*) FROM ftm.ftm_plan(schemas => '{app}', exclude => '{org_count,elsewhere}');
SELECT c.relname, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
	JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind IN ('r', 'p', 'i') AND n.nspname = 'app';
ROLLBACK;

-- A table that another session has locked is not waited for for ever
CREATE EXTENSION dblink;
SELECT dblink_connect('other', format('host=%s port=%s dbname=%s user=%s',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'),
	current_database(), current_user));
SELECT dblink_exec('other', 'BEGIN');
SELECT dblink_exec('other', 'LOCK TABLE app.tree');
SET ftmigrate.lock_timeout = '50ms';
SELECT table_name FROM ftm.ftm_plan(schemas => '{app}', include => '{tree}');
SELECT table_name FROM ftm.ftm_plan(schemas => '{app}', include => '{org}');
SELECT dblink_disconnect('other');
SELECT count(*) FROM ftm.ftm_plan(schemas => '{app}', exclude => '{org_count,elsewhere}');
SHOW lock_timeout;
DROP EXTENSION dblink;

--
-- include and exclude
--
\set names 'SELECT string_agg(table_name, \' \' ORDER BY table_name COLLATE "C") FROM ftm.ftm_plan'
:names (schemas => '{app}', include => '{a_b}');
:names (schemas => '{app}', include => '{a_%}');
:names (schemas => '{app}', include => '{%.d%}');
:names (schemas => '{app}', include => '{app.a_b,app.d%}');
:names (schemas => '{app}', include => '{"app.\"Odd \"\"Name\"\"\""}');
:names (schemas => '{app}', include => '{"Odd \"Name\""}');
:names (schemas => '{app}', include => '{a%}', exclude => '{app.an%}');
:names (schemas => '{app}', include => '{team}');
:names (schemas => '{app}', include => '{org,nowhere}');
:names (schemas => '{app}', exclude => '{"nowhere%"}');
:names (schemas => '{app}', exclude => '{reading_1}');
:names (schemas => '{app}', include => '{orgs}');
:names (schemas => '{app}', include => '{org}', exclude => '{org}');
:names (schemas => '{app}', include => '{NULL}');
:names (schemas => '{app}', exclude => '{""}');
:names (schemas => NULL);
:names (schemas => '{}');
:names (schemas => '{app,nowhere}');
:names (schemas => '{app,pairs,app}');
:names (schemas => '{auth}');
:names (schemas => '{pg_catalog}');
:names (schemas => '{information_schema}');
:names (source => NULL);
:names (source => 'nowhere');

--
-- Types
--
CREATE SCHEMA pairs;
CREATE EXTENSION citext SCHEMA pairs;
CREATE TYPE pairs.mood AS ENUM ('angry', 'sad', 'ok', 'glad', 'happy');
CREATE TABLE pairs.good (
	varchar_text text, varchar_wider varchar(11), text_varchar varchar,
	int2_int4 int4, int2_int8 int8, int4_int8 int8,
	int4_numeric numeric, int8_numeric numeric(19), int8_array int8[],
	numeric_wider numeric(6, 2), numeric_free numeric, timestamp_wider timestamp(6), time_wider time,
	json_jsonb jsonb, json_list jsonb[], citext_text text, domain_base int4,
	enum_text text, enum_more pairs.mood, varbit_wider varbit);
CREATE TYPE pairs.fewer AS ENUM ('a', 'c');
CREATE TYPE pairs.reordered AS ENUM ('b', 'a');
CREATE TYPE pairs.coin AS (side text, value int);
CREATE TYPE pairs.span AS RANGE (SUBTYPE = int8);
CREATE DOMAIN pairs.positive AS int4 CHECK (VALUE > 0);
CREATE TYPE pairs.other AS ENUM ('a', 'b', 'c');
CREATE TABLE pairs.bad (
	text_shorter varchar(20), varchar_narrower varchar(10), char_text text, char_wider char(6),
	int8_int4 int4, int4_numeric numeric(9), int8_numeric numeric(19, 2), float4_float8 float8, numeric_free numeric(20, 2),
	numeric_narrower numeric(5, 2), numeric_scale numeric(6, 2), timestamp_narrower timestamp(3),
	timestamp_timestamptz timestamptz, jsonb_json json, text_uuid uuid, base_domain pairs.positive,
	enum_fewer pairs.fewer, enum_reordered pairs.reordered, enum_array pairs.fewer[],
	composite pairs.coin, range pairs.span, int4_array int4[][], other_enum pairs.other);
SELECT table_name, format, notes FROM ftm.ftm_plan(schemas => '{pairs}', include => '{good}');
SELECT table_name FROM ftm.ftm_plan(schemas => '{pairs}', include => '{bad}');

--
-- Everything else that stops a migration, all of it named at once
--
CREATE SCHEMA bad;
CREATE VIEW bad.is_view AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW bad.is_matview AS SELECT 1 AS a;
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE bad.is_foreign (a int) SERVER nowhere;
CREATE TABLE bad.is_root (a int) PARTITION BY LIST (a);
CREATE TABLE bad.is_partition PARTITION OF bad.is_root DEFAULT;
CREATE TABLE bad.columns (a int NOT NULL, computed int GENERATED ALWAYS AS (a) STORED,
	computed_otherwise int GENERATED ALWAYS AS (a + 2) STORED, computed_alike int GENERATED ALWAYS AS (a * 2) STORED,
	no_longer int, needed int NOT NULL, numbered int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE bad.no_columns (surprise int);
CREATE TABLE bad.sequenced (a int, b smallserial, c int GENERATED BY DEFAULT AS IDENTITY (MAXVALUE 1000));
ALTER SEQUENCE bad.sequenced_b_seq MAXVALUE 999;
CREATE TABLE bad.triggers (a int);
CREATE TABLE bad.triggers_of_partition (a int) PARTITION BY LIST (a);
CREATE TABLE bad.leaf PARTITION OF bad.triggers_of_partition DEFAULT;
CREATE FUNCTION bad.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER harmless BEFORE INSERT ON bad.triggers FOR EACH ROW EXECUTE FUNCTION bad.fire();
CREATE TRIGGER "Always" BEFORE INSERT ON bad.triggers FOR EACH ROW EXECUTE FUNCTION bad.fire();
CREATE TRIGGER copied AFTER INSERT ON bad.triggers FOR EACH ROW EXECUTE FUNCTION bad.fire();
CREATE TRIGGER of_leaf BEFORE INSERT ON bad.leaf FOR EACH ROW EXECUTE FUNCTION bad.fire();
ALTER TABLE bad.triggers ENABLE ALWAYS TRIGGER "Always", ENABLE REPLICA TRIGGER copied;
ALTER TABLE bad.leaf ENABLE ALWAYS TRIGGER of_leaf;
CREATE TABLE bad.published (a int);
SET client_min_messages = error;
CREATE PUBLICATION regress_plan FOR TABLE bad.published;
SET client_min_messages = warning;
CREATE TABLE bad.ref (id uuid PRIMARY KEY);
CREATE TABLE bad.half_source (ref uuid);
CREATE TABLE bad.half_target (ref uuid REFERENCES bad.ref, free uuid);
CREATE TABLE bad.users (b uuid, c int, d uuid, e uuid, f point);
INSERT INTO ftm.ftm_user_column (schema_name, table_name, column_name, mode, origin, known_ids) VALUES
	('bad', 'half_source', 'ref', 'id', 'manual', NULL),
	('bad', 'ref', 'id', 'ignore', 'manual', NULL),
	('bad', 'half_target', 'ref', 'id', 'manual', NULL),
	('bad', 'users', 'b', NULL, 'values', 7),
	('bad', 'users', 'c', 'id', 'manual', NULL),
	('bad', 'users', 'd', 'embedded', 'manual', NULL),
	('bad', 'users', 'f', 'embedded', 'manual', NULL),
	('bad', 'users', 'nowhere', 'id', 'manual', NULL),
	('bad', 'nowhere', 'a', 'id', 'manual', NULL),
	('other schema', 'nowhere', 'a', 'id', 'manual', NULL);
SELECT table_name FROM ftm.ftm_plan(schemas => '{bad}') ORDER BY 1;

-- Left out by name, they are in nobody's way
SELECT table_name FROM ftm.ftm_plan(schemas => '{bad}',
	exclude => '{missing,is_%,columns,no_columns,sequenced,lonely,triggers%,published,half_%,ref,users}');

-- A partition whose root is not in the scope
\c regress_plan_source
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.part PARTITION OF app.reading FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
\c :target
SET client_min_messages = warning;
SELECT table_name FROM ftm.ftm_plan(schemas => '{elsewhere}');
SELECT table_name FROM ftm.ftm_plan(schemas => '{elsewhere}', exclude => '{part}');
SELECT table_name, rows FROM ftm.ftm_plan(schemas => '{elsewhere,app}', include => '{reading}');

-- A source without auth.users
\c regress_plan_source
SET client_min_messages = warning;
DROP SCHEMA auth CASCADE;
\c :target
SET client_min_messages = warning;
SELECT table_name, rewritten FROM ftm.ftm_plan(schemas => '{app}', include => '{org,seat}');

--
-- Who may do what
--
GRANT USAGE ON SCHEMA ftm TO regress_plan_caller;
SET ROLE regress_plan_caller;
SELECT table_name FROM ftm.ftm_plan(schemas => '{app}', include => '{org}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION ftm.ftm_plan TO regress_plan_caller;
GRANT USAGE ON FOREIGN SERVER supabase TO regress_plan_caller;
CREATE USER MAPPING FOR regress_plan_caller SERVER supabase OPTIONS (user 'regress_plan_reader', password_required 'false');
CREATE SCHEMA secret AUTHORIZATION regress_plan_caller;
CREATE TABLE secret.denied (a int);
SET ROLE regress_plan_caller;
CREATE TABLE secret.hidden (id serial);
ALTER TABLE secret.hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
SELECT table_name FROM ftm.ftm_plan(schemas => '{secret}') ORDER BY 1;
RESET ROLE;

DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA app, pairs, bad, secret, ftm CASCADE;
DROP FOREIGN DATA WRAPPER nowhere CASCADE;
DROP DATABASE regress_plan_source;
DROP ROLE regress_plan_reader, regress_plan_caller;
