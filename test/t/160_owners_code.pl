
# The code of tables' owners never runs with the rights of who migrates.  An
# ordinary role owns tables, types and functions of the target; whatever it puts
# into them, it does not become superuser, and what of it runs runs as itself.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_node('source', superuser => 'supabase_admin');
my $password = $source->literal($FtmigrateTest::source_password);
$source->sql("CREATE ROLE postgres LOGIN PASSWORD $password IN ROLE pg_read_all_data");

# Parallel workers must not write, not even what they have seen.
my $target = start_node('target', conf => "max_parallel_maintenance_workers = 0\nmax_parallel_workers_per_gather = 0\n");
$target->sql(<<'SQL');
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
ALTER DATABASE postgres SET search_path = public, ftm;
ALTER DATABASE postgres SET ftmigrate.workers = 1;
CREATE ROLE app LOGIN;
CREATE ROLE other LOGIN;
GRANT CREATE ON SCHEMA public TO app, other;
CREATE SCHEMA log AUTHORIZATION app;
GRANT USAGE ON SCHEMA log TO PUBLIC;
SQL
$target->connect_source($source);

# What an attacker would do: take the rights that there are to be had, and say
# who had them.
$target->sql(<<'SQL');
SET ROLE app;
CREATE TABLE log.seen (who name);
GRANT INSERT ON log.seen TO PUBLIC;
CREATE FUNCTION public.evil() RETURNS int LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log.seen VALUES (current_user);
	IF (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
		EXECUTE 'ALTER ROLE app SUPERUSER';
	END IF;
	RETURN 1;
END $$;
CREATE FUNCTION public.constant(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
	RETURN public.evil() * $1;
END $$;
SQL

sub as_app
{
	my ($sql) = @_;

	return $target->sql("SET ROLE app; $sql");
}

# Nobody has become superuser.  who: as whom the code has run; none of it need
# have if that is ''.
sub nobody_is_let_in
{
	my ($what, $who) = @_;

	is($target->sql(q(SELECT rolsuper FROM pg_roles WHERE rolname = 'app')), 'f', "$what: app is no superuser");
	is($target->sql(q(SELECT string_agg(DISTINCT who::text, ' ') FROM log.seen)), $who,
		"$what: its code has run as " . ($who || 'nobody'));
	$target->sql('ALTER ROLE app NOSUPERUSER; TRUNCATE log.seen');
	return;
}

# Tables of the same name and columns on both ends; app's on the target.
sub create_tables
{
	my ($sql) = @_;

	$source->sql($sql);
	as_app($sql);
	$target->sql('TRUNCATE log.seen');
	return;
}

sub start_over
{
	foreach my $node ($source, $target)
	{
		$node->sql(<<'SQL');
SET client_min_messages = warning;
DO $$ DECLARE object text; BEGIN
	FOR object IN SELECT format('%s %s', CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END,
			oid::regclass) FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
			AND NOT relispartition LOOP
		BEGIN
			EXECUTE 'DROP ' || object || ' CASCADE';
		EXCEPTION WHEN undefined_table THEN
		END;
	END LOOP;
END $$;
SQL
	}
	return;
}

my $run = 'SELECT table_name, rows, status FROM ftm_run_migration(users => false, restart => true)';

#
# A sequence that a view owns
#
create_tables('CREATE TABLE public.t (id int); CREATE SEQUENCE public.s');
$source->sql(q(SELECT setval('s', 7)));
as_app(<<'SQL');
CREATE VIEW public.v AS SELECT public.evil() AS id;
ALTER SEQUENCE public.s OWNED BY public.v.id;
SQL
is($target->sql($run), 'public.t|0|verified', 'a run with a sequence that belongs to a view');
is($target->sql(q(SELECT ok FROM ftm_verify() WHERE kind = 'sequence')), 't', 'is verified');
nobody_is_let_in('sequence of a view', '');

#
# A view in the place of what was planned
#

# The run waits while it builds the index of table held, which is the last one.
my $gate = 0x67617465;
sub hold_run
{
	my ($swap) = @_;
	my $holder = $target->background_psql('postgres');

	$target->sql('TRUNCATE public.held');
	$holder->query_safe("SELECT pg_advisory_lock($gate)");
	my $call = $target->start_sql($run);
	$target->wait_for_pid("backend_type = 'ftmigrate worker' AND wait_event_type = 'Lock' AND wait_event = 'advisory'");
	as_app($swap);
	$holder->query_safe("SELECT pg_advisory_unlock($gate)");
	$holder->quit;
	return $call->finish;
}

start_over();
create_tables('CREATE TABLE public.a (id int); CREATE TABLE public.held (id int); CREATE SEQUENCE public.s');
$source->sql('INSERT INTO public.a SELECT generate_series(1, 5000); INSERT INTO public.held VALUES (1)');
as_app(<<SQL);
CREATE FUNCTION public.pass(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS \$\$
BEGIN
	PERFORM pg_advisory_xact_lock_shared($gate);
	RETURN \$1;
END \$\$;
CREATE INDEX ON public.held (public.pass(id));
SQL
my ($exit, $out, $err) = hold_run(<<'SQL');
ALTER TABLE public.a RENAME TO a_old;
CREATE VIEW public.a AS SELECT public.evil() AS id;
SQL
isnt($exit, 0, 'a run whose table is renamed fails');
like($err, qr/55000: relation public\.a is not the one that was planned\n.*name is public\.a_old now/s, 'and names it');
nobody_is_let_in('view in the place of a table', '');

as_app('DROP VIEW public.a; ALTER TABLE public.a_old RENAME TO a');
($exit, $out, $err) = hold_run(<<'SQL');
ALTER SEQUENCE public.s RENAME TO s_old;
CREATE VIEW public.s AS SELECT public.evil() AS last_value, true AS is_called;
SQL
isnt($exit, 0, 'a run whose sequence is renamed fails');
like($err, qr/55000: relation public\.s is not the one that was planned/, 'and names it');
nobody_is_let_in('view in the place of a sequence', '');

as_app('DROP VIEW public.s; ALTER SEQUENCE public.s_old RENAME TO s');
($exit, $out, $err) = hold_run('SELECT 1');
is($exit, 0, 'it succeeds when they are back') or diag $err;

# The next run finds both by OID again, and a rollback.
as_app('ALTER SEQUENCE public.s RENAME TO s_old; CREATE VIEW public.s AS SELECT public.evil() AS last_value, true AS is_called');
my ($last) = $target->sql('SELECT max(run_id) FROM ftm_run');
is($target->sql("SELECT count(*) FROM ftm_rollback($last)"), '2', 'a rollback finds a renamed sequence');
nobody_is_let_in('rollback', '');

#
# A cast in a foreign key
#
sub create_key_tables
{
	start_over();
	$_->sql('DROP TYPE IF EXISTS public.kind CASCADE') foreach $source, $target;
	create_tables(<<'SQL');
CREATE TYPE public.kind AS ENUM ('one', 'two');
CREATE FUNCTION public.kind_number(public.kind) RETURNS int LANGUAGE plpgsql STABLE AS $$
BEGIN RETURN CASE $1::text WHEN 'one' THEN 1 ELSE 2 END; END $$;
CREATE CAST (public.kind AS int) WITH FUNCTION public.kind_number(public.kind) AS IMPLICIT;
CREATE TABLE public.p (id int PRIMARY KEY);
CREATE TABLE public.f (k public.kind REFERENCES public.p);
SQL
	$source->sql(q(INSERT INTO public.p VALUES (1), (2); INSERT INTO public.f VALUES ('one'), ('two'), ('one')));
	as_app(<<'SQL');
CREATE OR REPLACE FUNCTION public.kind_number(public.kind) RETURNS int LANGUAGE plpgsql AS $$
BEGIN PERFORM public.evil(); RETURN CASE $1::text WHEN 'one' THEN 1 ELSE 2 END; END $$;
SQL
	return;
}

create_key_tables();
is($target->sql("$run ORDER BY 1"), "public.f|3|verified\npublic.p|2|verified", 'a key with a cast of the owner');
is($target->sql(q(SELECT ok FROM ftm_verify() WHERE kind = 'foreign key')), 't', 'is verified');
nobody_is_let_in('cast in a foreign key', 'app');

foreach my $table ('p', 'f')
{
	create_key_tables();
	$target->sql("ALTER TABLE public.$table OWNER TO postgres");
	is($target->sql("$run ORDER BY 1"), "public.f|3|verified\npublic.p|2|verified", "table $table is a superuser's");
	nobody_is_let_in("cast, table $table is a superuser's", 'app');
}

#
# Settings that one table's code leaves to the next one's
#
start_over();
create_tables('CREATE TABLE public.a (id int); CREATE TABLE public.b (t text)');
$source->sql(q(INSERT INTO public.a SELECT generate_series(1, 5000); INSERT INTO public.b VALUES ('x')));
$target->sql(<<'SQL');
CREATE SCHEMA app AUTHORIZATION app;
SET ROLE app;
CREATE FUNCTION public.sets(int) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('search_path', 'app, pg_catalog', false);
	PERFORM set_config('datestyle', 'German', false);
	RETURN true;
END $$;
ALTER TABLE public.a ADD CHECK (public.sets(id));
CREATE FUNCTION app.lower(text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM public.evil(); RETURN pg_catalog.lower($1); END $$;
RESET ROLE;
ALTER TABLE public.b OWNER TO postgres;
CREATE FUNCTION public.good(text) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO log.settings VALUES (current_setting('search_path'), current_setting('datestyle'), lower($1));
	RETURN true;
END $$;
ALTER TABLE public.b ADD CHECK (public.good(t));
CREATE TABLE log.settings (path text, style text, t text);
SQL
is( $target->sql(q(SELECT table_name, status FROM ftm_run_migration(users => false, restart => true) ORDER BY 1)),
	"public.a|verified\npublic.b|verified", 'tables whose code sets and uses settings');
is($target->sql('SELECT DISTINCT * FROM log.settings'), 'pg_catalog, pg_temp|ISO, YMD|x',
	'what the first has set is gone');
nobody_is_let_in('settings that survive', '');

#
# Triggers that would fire at the commit
#
start_over();
create_tables('CREATE TABLE public.a (id int)');
$source->sql('INSERT INTO public.a VALUES (1)');
as_app(<<'SQL');
CREATE TABLE public.later (id int);
CREATE FUNCTION public.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON public.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.fire();
ALTER TABLE public.later ENABLE ALWAYS TRIGGER fire;
CREATE FUNCTION public.queue(int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.later VALUES ($1); RETURN true; END $$;
ALTER TABLE public.a ADD CHECK (public.queue(id));
SQL
my ($state) = $target->sql_error(q(SELECT ftm_run_migration(users => false, restart => true, include => '{public.a}')));
is($state, '42501', 'a deferred trigger is not left to the commit');
nobody_is_let_in('deferred trigger', '');

#
# An import's staging table
#
start_over();
create_tables(<<'SQL');
CREATE FUNCTION public.ok(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN public.zip AS text CHECK (public.ok(VALUE));
CREATE TYPE public.addr AS (street text, zip public.zip);
CREATE TABLE public.c (id int, addr public.addr, more public.addr[]);
SQL
$source->sql(q(INSERT INTO public.c VALUES (1, '(Main,12345)', '{"(Side,54321)"}')));
as_app(<<'SQL');
ALTER TABLE public.c ALTER id TYPE bigint;
CREATE OR REPLACE FUNCTION public.ok(text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM public.evil(); RETURN true; END $$;
SQL
my $directory = PostgreSQL::Test::Utils::tempdir;
$target->sql("SELECT ftm_export('$directory')");
is($target->sql(qq(SELECT table_name, status FROM ftm_import('$directory', restart => true))),
	'public.c|verified', 'an import of values whose domains have code');
is($target->sql(qq(SELECT bool_and(ok) FROM ftm_verify_export('$directory'))), 't', 'is verified');
nobody_is_let_in('staging table', 'app');

#
# Code that the planner evaluates, for any query on the table
#
start_over();
create_tables('CREATE TABLE public.t (id int PRIMARY KEY, v int); CREATE TABLE public.r (id int REFERENCES public.t)');
$source->sql('INSERT INTO public.t VALUES (1, 1), (2, 2); INSERT INTO public.r VALUES (1)');
as_app(<<'SQL');
CREATE INDEX ON public.t ((v + public.constant(1)));
CREATE INDEX ON public.t (v) WHERE v > public.constant(-1);
CREATE INDEX ON public.r (id) WHERE id > public.constant(-1);
TRUNCATE log.seen;
SQL
foreach my $call (
	'ftm_check()',
	q(ftm_run_migration(users => false, restart => true)),
	q(ftm_verify()),
	q(ftm_diff('public.t')),
	q(ftm_rollback((SELECT max(run_id) FROM ftm_run)))
  )
{
	$target->sql("SELECT count(*) FROM $call");

	# A check takes back what it does, what the code has done included.
	nobody_is_let_in("planning, $call", $call =~ /check/ ? '' : 'app');
}

#
# Partitions of somebody else
#
start_over();
create_tables(<<'SQL');
CREATE TABLE public.t (id int, v int) PARTITION BY LIST (id);
CREATE TABLE public.t1 PARTITION OF public.t FOR VALUES IN (1);
SQL
$source->sql('INSERT INTO public.t VALUES (1, 1)');
as_app('CREATE INDEX ON public.t1 ((v + public.constant(1))); ALTER TABLE public.t1 ADD CHECK (public.evil() = 1)');
$target->sql('ALTER TABLE ONLY public.t OWNER TO postgres; TRUNCATE log.seen');
is($target->sql($run), 'public.t|1|verified', "a superuser's table with somebody's partition");
nobody_is_let_in('partition', 'app');
$target->sql(q(SELECT ftm_rollback((SELECT max(run_id) FROM ftm_run)); ALTER TABLE ONLY public.t OWNER TO other));
my $message;
($state, $message) = $target->sql_error($run);
is($state, '42501', 'partitions of roles that have nothing in common');
like($message, qr/table public\.t and its partitions belong to roles that have nothing in common.*OWNER TO/s,
	'are refused, with the remedy');
nobody_is_let_in('partitions of several roles', 'app');

#
# Functions in a schema that others may create in, called by who follows the manual
#
start_over();
my ($path) = slurp_file(FtmigrateTest::fixture('../../docs/runbook.md')) =~
  /CREATE EXTENSION ftmigrate SCHEMA ftm;\n\s*ALTER ROLE CURRENT_USER IN DATABASE <database> (SET search_path = [^;]*;)/;
ok($path, 'the manual says what to search');
as_app(<<'SQL');
CREATE FUNCTION public.ftm_check() RETURNS TABLE (check_name text, status text) LANGUAGE sql AS $$ SELECT 'x', public.evil()::text $$;
CREATE FUNCTION public.ftm_cancel(run_id int) RETURNS int LANGUAGE sql AS $$ SELECT public.evil() $$;
CREATE FUNCTION public.ftm_wait(run_id text) RETURNS int LANGUAGE sql AS $$ SELECT public.evil() $$;
CREATE FUNCTION public.ftm_lookup_user(what varchar) RETURNS int LANGUAGE sql AS $$ SELECT public.evil() $$;
SQL
$target->sql("$path SELECT * FROM ftm_check()");
foreach my $call ('ftm_cancel(1)', q(ftm_wait('1')), q(ftm_lookup_user('a@example.com'::varchar)))
{
	$target->psql('postgres', "$path SELECT $call");
}
nobody_is_let_in('search_path of the manual', '');

#
# Settings of the database that would change values
#
$target->sql(<<'SQL');
SET ROLE app;
DROP FUNCTION public.ftm_check(), public.ftm_cancel(int), public.ftm_wait(text), public.ftm_lookup_user(varchar);
RESET ROLE;
ALTER DATABASE postgres SET array_nulls = off;
ALTER DATABASE postgres SET standard_conforming_strings = off;
ALTER DATABASE postgres SET transform_null_equals = on;
ALTER DATABASE postgres SET backslash_quote = off;
SQL
create_tables(q(CREATE TABLE public.arrays (id int, a text[], "b\\'c" text)));
$source->sql(q(INSERT INTO public.arrays VALUES (1, '{a,NULL,b}', 'back\\slash')));
as_app('ALTER TABLE public.arrays ALTER id TYPE bigint');    # so that it is loaded as text
is($target->sql($run), 'public.arrays|1|verified', 'a run under odd settings');
is($target->sql('SELECT a[2] IS NULL FROM public.arrays'), 't', 'a null in an array stays null');
is($target->sql(q(SELECT count(*) FROM ftm_diff('public.arrays'))), '0', 'nothing differs');
$directory = PostgreSQL::Test::Utils::tempdir;
$target->sql("SELECT ftm_export('$directory')");
is($target->sql(qq(SELECT table_name, status FROM ftm_import('$directory', existing => 'truncate', restart => true))),
	'public.arrays|verified', 'nor after an import');
is($target->sql('SELECT a[2] IS NULL FROM public.arrays'), 't', 'which leaves it null, too');

#
# What is handed out
#
$target->sql(<<"SQL");
GRANT USAGE ON SCHEMA ftm TO app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ftm TO app;
GRANT USAGE ON FOREIGN SERVER supabase TO app;
GRANT pg_write_server_files TO app;
CREATE USER MAPPING FOR app SERVER supabase OPTIONS (user 'postgres', password $password);
INSERT INTO ftm.ftm_user_map (source_user_id, target_user_id)
VALUES ('11111111-1111-4111-8111-111111111111', '22222222-2222-4222-8222-222222222222');
SQL
$source->sql(q(ALTER SYSTEM SET log_statement = 'all'; ALTER SYSTEM SET log_parameter_max_length = -1; SELECT pg_reload_conf()));
foreach my $call ('ftm_scan_user_ids()', "ftm_export('$directory', overwrite => true)", 'ftm_report(emails => true)')
{
	($state, $message) = $target->sql_error("SET ROLE app; SELECT * FROM $call");
	is($state, '42501', "$call takes SELECT on the table that it hands out");
	like($message, qr/permission denied for table ftm_user(_map)?\n.*GRANT SELECT ON ftm\.ftm_user/s, 'and says so');
}
unlike(slurp_file($source->logfile), qr/11111111-1111-4111-8111/, 'the source has not seen the user map');
$target->sql('GRANT SELECT ON ftm.ftm_user_map, ftm.ftm_user TO app');
is($target->sql('SET ROLE app; SELECT count(*) > 0 FROM ftm_scan_user_ids()'), 't', 'with it the scan works');
like(slurp_file($source->logfile), qr/11111111-1111-4111-8111/, 'and sends the ids');

done_testing();
