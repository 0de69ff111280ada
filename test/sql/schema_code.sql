-- Which code in SQL or a procedural language does the schema run by itself?  One
-- table for each way to reach a function; ftm_plan() says what it has found.
-- The source is a second database of this server.
\set SHOW_CONTEXT never
\set VERBOSITY terse

SELECT current_database() AS target \gset
CREATE DATABASE regress_code_source;
\c regress_code_source

-- Everything on both ends is the same.
SELECT $schema$
CREATE SCHEMA code;
SET search_path = code;
CREATE FUNCTION f(anyelement) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN true; END';
CREATE FUNCTION g(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 = $2; END';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, PROCEDURE = same, COMMUTATOR = ===);
CREATE DOMAIN checked AS int CHECK (f(VALUE));
CREATE DOMAIN of_checked AS checked;
CREATE DOMAIN plain AS int CHECK (VALUE > 0);
CREATE DOMAIN defaulted AS int DEFAULT code.g(1);
CREATE TYPE pair AS (a int, b of_checked);
CREATE TYPE span AS RANGE (SUBTYPE = int);
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE FUNCTION to_mood(int) RETURNS mood LANGUAGE sql IMMUTABLE AS $$ SELECT 'sad'::code.mood $$;
CREATE CAST (int AS mood) WITH FUNCTION to_mood(int) AS ASSIGNMENT;
CREATE TYPE coin AS (n int);
CREATE FUNCTION coin_lt(coin, coin) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.n < $2.n';
CREATE FUNCTION coin_le(coin, coin) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.n <= $2.n';
CREATE FUNCTION coin_eq(coin, coin) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.n = $2.n';
CREATE FUNCTION coin_ge(coin, coin) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.n >= $2.n';
CREATE FUNCTION coin_gt(coin, coin) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.n > $2.n';
CREATE FUNCTION coin_cmp(coin, coin) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1.n - $2.n';
CREATE OPERATOR < (LEFTARG = coin, RIGHTARG = coin, PROCEDURE = coin_lt);
CREATE OPERATOR <= (LEFTARG = coin, RIGHTARG = coin, PROCEDURE = coin_le);
CREATE OPERATOR = (LEFTARG = coin, RIGHTARG = coin, PROCEDURE = coin_eq);
CREATE OPERATOR >= (LEFTARG = coin, RIGHTARG = coin, PROCEDURE = coin_ge);
CREATE OPERATOR > (LEFTARG = coin, RIGHTARG = coin, PROCEDURE = coin_gt);
CREATE OPERATOR CLASS coin_ops DEFAULT FOR TYPE coin USING btree AS
	OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 coin_cmp(coin, coin);

-- nothing to be found: the server's own code, some of it in SQL
CREATE TABLE none (a int CHECK (a > 0), b text CHECK (lpad(b, 3) <> ''), c int GENERATED ALWAYS AS (a * 2) STORED,
	d plain, e mood, f int4range, g int[], h timestamptz DEFAULT now(), i jsonb, EXCLUDE USING gist (f WITH &&));
CREATE INDEX ON none (lower(b)) WHERE a > 1;
CREATE STATISTICS ON lower(b), a FROM none;

-- CHECK
CREATE TABLE check_call (a int CONSTRAINT k CHECK (f(a)));
CREATE TABLE check_operator (a int CONSTRAINT k CHECK (a === 1));
CREATE TABLE check_any (a int CONSTRAINT k CHECK (a OPERATOR(code.===) ANY (ARRAY[1, 2])));
CREATE TABLE check_cast (a int CONSTRAINT k CHECK (a::mood = 'sad'));
CREATE TABLE check_domain (a int CONSTRAINT k CHECK (a::of_checked > 0));
CREATE TABLE check_domain_array (a int[] CONSTRAINT k CHECK (a::checked[] IS NOT NULL));
CREATE TABLE check_io (a text CONSTRAINT k CHECK ((a::pair).a > 0));
CREATE TABLE check_populate (a json CONSTRAINT k CHECK (json_populate_record(NULL::pair, a) IS NOT NULL));
CREATE TABLE check_row (a coin CONSTRAINT k CHECK (ROW(a, 1) < ROW(a, 2)));
CREATE TABLE check_array (a coin[] CONSTRAINT k CHECK (a <> '{}'));
CREATE TABLE check_greatest (a coin CONSTRAINT k CHECK (greatest(a, a) IS NOT NULL));
CREATE TABLE check_case (a int CONSTRAINT k CHECK (CASE WHEN a > 0 THEN coalesce(NULL, g(a)) END > 0));
CREATE TABLE check_xml (a int CONSTRAINT k CHECK (query_to_xml('SELECT 1', false, false, '') IS NOT NULL));

-- indexes
CREATE TABLE index_expression (a int);
CREATE INDEX i_expression ON index_expression (g(a));
CREATE TABLE index_predicate (a int);
CREATE INDEX i_predicate ON index_predicate (a) WHERE f(a);
CREATE TABLE index_class (a coin);
CREATE INDEX i_class ON index_class (a);
CREATE TABLE index_array (a coin[]);
CREATE INDEX i_array ON index_array (a);
CREATE TABLE index_exclude (a int, CONSTRAINT i_exclude EXCLUDE USING btree (g(a) WITH =));
CREATE TABLE index_part (a int) PARTITION BY LIST (a);
CREATE TABLE index_part_1 PARTITION OF index_part DEFAULT;
CREATE INDEX i_part ON index_part (g(a));
CREATE TABLE statistics (a int);
CREATE STATISTICS st ON g(a), a FROM statistics;

-- values
CREATE TABLE value_generated (a int, b int GENERATED ALWAYS AS (g(a)) STORED);
CREATE TABLE value_domain (a of_checked);
CREATE TABLE value_array (a checked[]);
CREATE TABLE value_composite (a pair[]);
CREATE TABLE value_default (a int DEFAULT g(1));
CREATE TABLE value_partition (a int) PARTITION BY LIST (g(a));
CREATE TABLE value_partition_1 PARTITION OF value_partition DEFAULT;
CREATE TABLE value_in_partition (a int) PARTITION BY LIST (a);
CREATE TABLE value_in_partition_1 PARTITION OF value_in_partition DEFAULT;

-- not valid
CREATE TABLE not_valid (a int, b int, CONSTRAINT yes CHECK (b > 0));
ALTER TABLE not_valid ADD CONSTRAINT no CHECK (a > 0) NOT VALID;
CREATE TABLE not_valid_part (a int) PARTITION BY LIST (a);
CREATE TABLE not_valid_part_1 PARTITION OF not_valid_part DEFAULT;
ALTER TABLE not_valid_part_1 ADD CONSTRAINT of_part CHECK (a > 0) NOT VALID;
RESET search_path;
$schema$ AS schema \gset
:schema

\c :target
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
:schema
-- and what only the target has
ALTER TABLE code.value_default ADD COLUMN b int DEFAULT code.g(1), ADD COLUMN c code.defaulted;
ALTER TABLE code.not_valid VALIDATE CONSTRAINT no;

SELECT format('CREATE SERVER regress_code FOREIGN DATA WRAPPER ftm_source OPTIONS (host %L, port %L, dbname %L)',
	split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), 'regress_code_source') AS create_server,
	format('CREATE USER MAPPING FOR CURRENT_USER SERVER regress_code OPTIONS (user %L)', current_user) AS create_mapping \gset
:create_server;
:create_mapping;
SET client_min_messages = error;
SELECT split_part(table_name, '.', 2) AS "table", note
FROM ftm.ftm_plan('regress_code', schemas => '{code}') p LEFT JOIN LATERAL unnest(notes) note ON note ~ 'reach|not valid'
ORDER BY table_name COLLATE "C", note COLLATE "C";

DROP SERVER regress_code CASCADE;
DROP SCHEMA code CASCADE;
DROP EXTENSION ftmigrate;
DROP SCHEMA ftm;
DROP DATABASE regress_code_source;
