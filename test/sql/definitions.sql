-- Constraints, indexes and partitions of both ends are compared by definition:
-- what ftm_check() and ftm_verify() say when they are the same in other words,
-- and when they are not.  The source is another database of this server.
\set VERBOSITY terse
\set SHOW_CONTEXT never
SET client_min_messages = warning;
\set home :DBNAME
CREATE DATABASE regress_ftm_source;
CREATE DATABASE regress_ftm_target;
SELECT current_setting('port') AS port,
	split_part(current_setting('unix_socket_directories'), ',', 1) AS host \gset

\c regress_ftm_source
SET client_min_messages = warning;
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
CREATE SCHEMA app;
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE TABLE app.parent (id int PRIMARY KEY, other int UNIQUE, code text, UNIQUE (code, other));
CREATE TABLE app.same (
	id int PRIMARY KEY,
	owner uuid REFERENCES auth.users ON DELETE CASCADE,
	"Odd ""name""" text,
	a int CHECK (a > 0),
	b int,
	c text,
	r int4range,
	amount numeric CHECK (amount >= 0::numeric),
	kind text CHECK (kind IN ('x', 'y')),
	p int REFERENCES app.parent ON UPDATE SET NULL ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	p_code text,
	value app.positive,
	EXCLUDE USING gist (r WITH &&) WHERE (b > 1),
	FOREIGN KEY (p_code, b) REFERENCES app.parent (code, other) MATCH FULL
);
CREATE INDEX ON app.same ("Odd ""name""" DESC NULLS LAST, lower(c) COLLATE "C" text_pattern_ops) INCLUDE (a, b) WHERE a > 10;
CREATE UNIQUE INDEX ON app.same (a, b) NULLS NOT DISTINCT;
ALTER TABLE app.same ADD CONSTRAINT code_key UNIQUE (c, a);
CREATE INDEX ON app.same USING hash (b);
CREATE INDEX ON app.same USING brin (a int4_minmax_multi_ops (values_per_range = 16));
CREATE TABLE app.part (id int, at date, CHECK (id > 0)) PARTITION BY RANGE (at);
CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.part_2 PARTITION OF app.part FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON app.part (at);
CREATE INDEX only_here ON app.part_1 (id);
CREATE TABLE app.defaults (
	id int,
	tags text[] DEFAULT ARRAY[]::text[],
	price numeric(10,2) DEFAULT 0.00,
	at timestamptz DEFAULT '2025-01-01 00:00:00+00',
	doc jsonb DEFAULT '{"a": 1, "b": 2}',
	on_off boolean DEFAULT 'on'::boolean,
	temperature int DEFAULT -1,
	span interval DEFAULT '1 day',
	numbers int[] DEFAULT ARRAY[1, -2, 3]
);

\c regress_ftm_target
SET client_min_messages = warning;
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'host', port :'port', dbname 'regress_ftm_source');
CREATE USER MAPPING FOR CURRENT_USER SERVER supabase;
CREATE SCHEMA app;
CREATE DOMAIN app.positive AS int CHECK (VALUE > 0);
CREATE TABLE app.parent (other int, id int, code text);
-- The same by somebody else's hand: other names, another order, unique indexes
-- for UNIQUE and the reverse, constants and expressions in other words
ALTER TABLE app.parent ADD CONSTRAINT mine PRIMARY KEY (id);
CREATE UNIQUE INDEX parent_other ON app.parent (other);
CREATE UNIQUE INDEX parent_code ON app.parent (code, other);
CREATE TABLE app.same (
	value app.positive,
	p_code text,
	p int CONSTRAINT to_parent REFERENCES app.parent (id) ON UPDATE SET NULL ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
	kind text CONSTRAINT kinds CHECK (kind = ANY (ARRAY['x'::text, 'y'])),
	amount numeric CHECK (amount >= 0),
	r int4range,
	c text,
	b int,
	a int CHECK ((a) > 0),
	"Odd ""name""" text,
	owner uuid,
	id int PRIMARY KEY,
	CONSTRAINT both_columns FOREIGN KEY (b, p_code) REFERENCES app.parent (other, code) MATCH FULL,
	CONSTRAINT no_overlap EXCLUDE USING gist (r WITH &&) WHERE (b > 1)
);
CREATE INDEX i1 ON app.same USING btree ("Odd ""name""" DESC NULLS LAST, lower((c)) COLLATE "C" text_pattern_ops) INCLUDE (b, a) WHERE (a) > 10;
ALTER TABLE app.same ADD CONSTRAINT a_b UNIQUE NULLS NOT DISTINCT (a, b);
CREATE UNIQUE INDEX i2 ON app.same (c, a);
CREATE INDEX i3 ON app.same USING hash (b);
CREATE INDEX i4 ON app.same USING brin (a int4_minmax_multi_ops (values_per_range = 16));
CREATE TABLE app.part (id int, at date, CONSTRAINT id_positive CHECK (id > 0)) PARTITION BY RANGE (at);
CREATE TABLE app.p1 PARTITION OF app.part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.part_1 PARTITION OF app.part FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE INDEX ON app.part_1 (id);
CREATE INDEX part_at ON app.part (at);
CREATE TABLE app.defaults (
	id int,
	tags text[] DEFAULT '{}'::text[],
	price numeric(10,2) DEFAULT 0,
	at timestamptz DEFAULT '2025-01-01 02:00:00+02',
	doc jsonb DEFAULT '{"b": 2, "a": 1}',
	on_off boolean DEFAULT true,
	temperature int DEFAULT '-1',
	span interval DEFAULT '24 hours',
	numbers int[] DEFAULT '{1,-2,3}'
);
SET client_min_messages = error;

\pset format unaligned
\pset tuples_only on
\set check 'SELECT status, detail, hint FROM ftm.ftm_check(schemas => ''{app}'') WHERE check_name = ''definitions'';'
\set verify 'SELECT kind, object, ok, detail FROM ftm.ftm_verify(schemas => ''{app}'') WHERE kind IN (''schema'', ''indexes and constraints'') AND (NOT ok OR detail !~ ''as defined on the source'' AND kind <> ''schema'') ORDER BY 1, 2;'
-- A span of a day is not one of 24 hours; all else is the same
:check
:verify
ALTER TABLE app.defaults ALTER span SET DEFAULT '1 day';
:check
SELECT object, ok, detail FROM ftm.ftm_verify(schemas => '{app}') WHERE kind = 'indexes and constraints' ORDER BY 1;

-- Defaults that are not the same constant, or no constant
ALTER TABLE app.defaults ALTER tags SET DEFAULT '{""}', ALTER price SET DEFAULT 0.01, ALTER doc SET DEFAULT '{"a": 1}',
	ALTER temperature SET DEFAULT length('x'), ALTER numbers SET DEFAULT '{1,2,3}';
SELECT detail FROM ftm.ftm_check(schemas => '{app}') WHERE check_name = 'definitions';
ALTER TABLE app.defaults ALTER tags SET DEFAULT '{}', ALTER price SET DEFAULT 0, ALTER doc SET DEFAULT '{"a": 1, "b": 2}',
	ALTER temperature SET DEFAULT -1, ALTER numbers SET DEFAULT '{1,-2,3}';

-- What differs, one at a time: of each pair the first statement makes a
-- difference, which has to be seen, and the second mends it
CREATE TABLE damage (n int, damage text, mend text);
INSERT INTO damage VALUES
	(1, 'ALTER TABLE app.same DROP CONSTRAINT same_pkey', 'ALTER TABLE app.same ADD PRIMARY KEY (id)'),
	(2, 'ALTER TABLE app.same DROP CONSTRAINT same_pkey, ALTER b SET NOT NULL, ADD CONSTRAINT same_pkey PRIMARY KEY (b)', 'ALTER TABLE app.same DROP CONSTRAINT same_pkey, ALTER b DROP NOT NULL, ADD PRIMARY KEY (id)'),
	(3, 'ALTER TABLE app.same DROP CONSTRAINT same_pkey, ADD CONSTRAINT same_pkey PRIMARY KEY (id) INCLUDE (c)', 'ALTER TABLE app.same DROP CONSTRAINT same_pkey, ADD PRIMARY KEY (id)'),
	(4, 'ALTER TABLE app.same DROP CONSTRAINT a_b, ADD CONSTRAINT a_b UNIQUE (a, b)', 'ALTER TABLE app.same DROP CONSTRAINT a_b, ADD CONSTRAINT a_b UNIQUE NULLS NOT DISTINCT (a, b)'),
	(5, 'ALTER TABLE app.same DROP CONSTRAINT a_b, ADD CONSTRAINT a_b UNIQUE NULLS NOT DISTINCT (a, b) DEFERRABLE', 'ALTER TABLE app.same DROP CONSTRAINT a_b, ADD CONSTRAINT a_b UNIQUE NULLS NOT DISTINCT (a, b)'),
	(6, 'ALTER TABLE app.same DROP CONSTRAINT same_a_check, ADD CONSTRAINT same_a_check CHECK (a > -100)', 'ALTER TABLE app.same DROP CONSTRAINT same_a_check, ADD CONSTRAINT same_a_check CHECK (a > 0)'),
	(7, 'ALTER TABLE app.same DROP CONSTRAINT same_a_check, ADD CONSTRAINT same_a_check CHECK (a > 0) NO INHERIT', 'ALTER TABLE app.same DROP CONSTRAINT same_a_check, ADD CONSTRAINT same_a_check CHECK (a > 0)'),
	(8, 'ALTER TABLE app.same DROP CONSTRAINT to_parent, ADD CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES app.parent ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED', 'ALTER TABLE app.same DROP CONSTRAINT to_parent, ADD CONSTRAINT to_parent FOREIGN KEY (p) REFERENCES app.parent ON UPDATE SET NULL ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED'),
	(9, 'ALTER TABLE app.same ALTER CONSTRAINT to_parent NOT DEFERRABLE', 'ALTER TABLE app.same ALTER CONSTRAINT to_parent DEFERRABLE INITIALLY DEFERRED'),
	(10, 'ALTER TABLE app.same DROP CONSTRAINT both_columns, ADD CONSTRAINT both_columns FOREIGN KEY (b, p_code) REFERENCES app.parent (other, code)', 'ALTER TABLE app.same DROP CONSTRAINT both_columns, ADD CONSTRAINT both_columns FOREIGN KEY (b, p_code) REFERENCES app.parent (other, code) MATCH FULL'),
	(11, 'ALTER TABLE app.same DROP CONSTRAINT no_overlap, ADD CONSTRAINT no_overlap EXCLUDE USING gist (r WITH =) WHERE (b > 1)', 'ALTER TABLE app.same DROP CONSTRAINT no_overlap, ADD CONSTRAINT no_overlap EXCLUDE USING gist (r WITH &&) WHERE (b > 1)'),
	(12, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC NULLS LAST, lower(c) COLLATE "C" text_pattern_ops) INCLUDE (a, b) WHERE a > 11', NULL),
	(13, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC, lower(c) COLLATE "C" text_pattern_ops) INCLUDE (a, b) WHERE a > 10', NULL),
	(14, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC NULLS LAST, lower(c) text_pattern_ops) INCLUDE (a, b) WHERE a > 10', NULL),
	(15, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC NULLS LAST, lower(c) COLLATE "C") INCLUDE (a, b) WHERE a > 10', NULL),
	(16, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC NULLS LAST, upper(c) COLLATE "C" text_pattern_ops) INCLUDE (a, b) WHERE a > 10', NULL),
	(17, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC NULLS LAST, lower(c) COLLATE "C" text_pattern_ops) INCLUDE (a) WHERE a > 10', NULL),
	(18, 'DROP INDEX app.i1; CREATE INDEX i1 ON app.same ("Odd ""name""" DESC NULLS LAST, lower(c) COLLATE "C" text_pattern_ops) INCLUDE (a, b) WHERE a > 10', NULL),
	(19, 'DROP INDEX app.i3; CREATE INDEX i3 ON app.same (b)', 'DROP INDEX app.i3; CREATE INDEX i3 ON app.same USING hash (b)'),
	(20, 'DROP INDEX app.i4; CREATE INDEX i4 ON app.same USING brin (a int4_minmax_multi_ops)', 'DROP INDEX app.i4; CREATE INDEX i4 ON app.same USING brin (a int4_minmax_multi_ops (values_per_range = 16))'),
	(21, 'DROP INDEX app.i2; CREATE INDEX i2 ON app.same (c, a)', 'DROP INDEX app.i2; CREATE UNIQUE INDEX i2 ON app.same (c, a)'),
	(22, 'CREATE UNIQUE INDEX stricter ON app.same (c)', 'DROP INDEX app.stricter'),
	(23, 'CREATE INDEX more ON app.same (c)', 'DROP INDEX app.more'),
	(24, 'ALTER TABLE app.same ADD CONSTRAINT stricter CHECK (a < 5)', 'ALTER TABLE app.same DROP CONSTRAINT stricter'),
	(25, 'ALTER TABLE app.same ADD CONSTRAINT stricter FOREIGN KEY (b) REFERENCES app.parent', 'ALTER TABLE app.same DROP CONSTRAINT stricter'),
	(26, 'ALTER TABLE app.part DROP CONSTRAINT id_positive', 'ALTER TABLE app.part ADD CONSTRAINT id_positive CHECK (id > 0)'),
	(27, 'ALTER TABLE app.part_1 ADD CONSTRAINT stricter CHECK (id < 7)', 'ALTER TABLE app.part_1 DROP CONSTRAINT stricter'),
	(28, 'DROP INDEX app.part_1_id_idx', 'CREATE INDEX ON app.part_1 (id)'),
	(29, 'DROP INDEX app.part_at', 'CREATE INDEX part_at ON app.part (at)'),
	(30, 'ALTER TABLE app.part DETACH PARTITION app.p1', 'ALTER TABLE app.part ATTACH PARTITION app.p1 FOR VALUES FROM (''2024-01-01'') TO (''2025-01-01'')'),
	(31, 'ALTER DOMAIN app.positive ADD CONSTRAINT small CHECK (VALUE < 10)', 'ALTER DOMAIN app.positive DROP CONSTRAINT small');
-- In separate transactions, so that the next one sees what is there; \gexec
-- prints each statement, and what the check says of it follows
SELECT s FROM damage, LATERAL (VALUES (1, damage),
	(2, $$SELECT concat_ws(' -> ', detail, hint) FROM ftm.ftm_check(schemas => '{app}') WHERE check_name = 'definitions' LIMIT 1$$),
	(3, mend)) x(i, s) WHERE s IS NOT NULL ORDER BY n, i \gexec
DROP TABLE damage;
-- all is well again
:check

-- A constraint that the source has not validated may not hold for its rows
\c regress_ftm_source
ALTER TABLE app.same DROP CONSTRAINT same_a_check;
ALTER TABLE app.same ADD CONSTRAINT same_a_check CHECK (a > 0) NOT VALID;
\c regress_ftm_target
SET client_min_messages = error;
:check
\c :home
DROP DATABASE regress_ftm_target;
DROP DATABASE regress_ftm_source;
