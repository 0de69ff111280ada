-- Tables whose storage another extension manages are refused: a load would put
-- their rows where nobody looks for them.  managed_storage plays the extension.
\set SHOW_CONTEXT never
\pset format unaligned
\getenv srcdir PG_ABS_SRCDIR
\set module :srcdir '/modules/managed_storage/managed_storage'
LOAD :'module';

CREATE DATABASE regress_storage_source;
SELECT current_database() AS target \gset
\c regress_storage_source
CREATE TABLE plain (id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (2) STORED);
CREATE TABLE managed (id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (2) STORED);
CREATE TABLE ruled (a int);
CREATE TABLE root (a int NOT NULL) PARTITION BY LIST (a);
CREATE TABLE no_columns ();
CREATE DOMAIN never_null AS int NOT NULL CHECK (VALUE IS NOT NULL);
CREATE TABLE domains (a never_null);
\c :target
LOAD :'module';
SET client_min_messages = warning;

CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
SELECT format('CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source OPTIONS (host %L, port %L, dbname %L)',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), 'regress_storage_source') AS create_server,
	format('CREATE USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (user %L)', current_user) AS create_mapping \gset
:create_server;
:create_mapping;

CREATE TABLE plain (id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (2) STORED);
CREATE TABLE managed (id int GENERATED ALWAYS AS IDENTITY, twice int GENERATED ALWAYS AS (2) STORED);
CREATE TABLE ruled (a int);
CREATE RULE elsewhere AS ON INSERT TO ruled DO INSTEAD INSERT INTO plain DEFAULT VALUES;
CREATE TABLE root (a int NOT NULL) PARTITION BY LIST (a);
CREATE TABLE leaf PARTITION OF root DEFAULT;
CREATE TABLE no_columns ();
CREATE DOMAIN never_null AS int NOT NULL CHECK (VALUE IS NOT NULL);
CREATE TABLE domains (a never_null);

-- Without the extension at work
SELECT table_name, method FROM ftm.ftm_plan() ORDER BY table_name;

-- With a plan of its own, or none
SET managed_storage.relation = 'public.managed';
SELECT table_name, method FROM ftm.ftm_plan() ORDER BY table_name;
SET managed_storage.refuse = on;
SELECT table_name, method FROM ftm.ftm_plan(include => '{plain,managed}') ORDER BY table_name;
SET managed_storage.relation = 'public.root';
SELECT table_name, method FROM ftm.ftm_plan(include => '{plain,root}') ORDER BY table_name;
SET managed_storage.relation = 'public.no_columns';
SELECT table_name, method FROM ftm.ftm_plan(include => '{no_columns}') ORDER BY table_name;
RESET managed_storage.relation;

-- Planning an INSERT leaves no lock
BEGIN;
SELECT count(*) FROM ftm.ftm_plan();
SELECT c.relname, l.mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace;
ROLLBACK;

DROP TABLE plain, managed, ruled, root, no_columns, domains;
DROP DOMAIN never_null;
DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA ftm;
DROP DATABASE regress_storage_source;
