
# What the schema's own code needs is known before the load: rights of the tables'
# owners, and a search_path; and a table that cannot be verified is one row.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $source = start_node('source', superuser => 'supabase_admin');
my $password = $source->literal($FtmigrateTest::source_password);
$source->sql("CREATE ROLE postgres LOGIN PASSWORD $password IN ROLE pg_read_all_data");
$source->sql('CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY)');

my $target = start_node('target');
$target->sql(<<'SQL');
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
ALTER DATABASE postgres SET search_path = public, extensions, ftm;
CREATE ROLE app_owner;
SQL
$target->connect_source($source);

foreach my $node ($source, $target)
{
	$node->sql(<<'SQL');
CREATE SCHEMA extensions;
CREATE FUNCTION extensions.plain(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
SET search_path = public, extensions;
CREATE FUNCTION public.slug(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS
	$$ BEGIN RETURN lower(plain(v)); END $$;
CREATE FUNCTION public.settled(v text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = extensions AS
	$$ BEGIN RETURN lower(plain(v)); END $$;
CREATE TABLE public.a (id int PRIMARY KEY, v text);
CREATE TABLE public.c (id int PRIMARY KEY, d int GENERATED ALWAYS AS (id * 2) STORED);
CREATE TABLE public.pages (id int PRIMARY KEY, title text, slug text GENERATED ALWAYS AS (slug(title)) STORED);
CREATE TABLE public.others (id int PRIMARY KEY, title text, CHECK (settled(title) <> ''));
SQL
}
$source->sql(<<'SQL');
SET search_path = public, extensions;
INSERT INTO a SELECT n, 'v' || n FROM generate_series(1, 100) n;
INSERT INTO c SELECT n FROM generate_series(1, 100) n;
INSERT INTO pages VALUES (1, 'A');
INSERT INTO others VALUES (1, 'A');
ANALYZE;
SQL

$target->sql('SELECT count(*) FROM ftm_scan_user_ids()');

sub findings
{
	my ($status, $scope) = @_;

	return $target->sql("SELECT detail || '  ' || hint FROM ftm_check($scope) WHERE check_name = 'target tables' AND status = '$status' ORDER BY 1");
}

# A search_path
is(findings('warn', "include => '{pages,others}'"),
	'Function public.slug(v text), which expressions of the target\'s tables call, has no search_path of its own, and finds by name nothing but what is in pg_catalog while a migration runs.'
	  . '  Unless all names in it are qualified, execute ALTER FUNCTION public.slug(v text) SET search_path = public, extensions, ftm.',
	'a function without a search_path is named');
like($target->sql_error("SELECT ftm_run_migration(include => '{pages,others}')"),
	qr/function plain\(text\) does not exist/, 'it would fail');
$target->sql('ALTER FUNCTION public.slug(v text) SET search_path = public, extensions, ftm');
is(findings('warn', "include => '{pages,others}'"), '', 'mended');
is($target->sql("SELECT string_agg(status, ' ' ORDER BY status) FROM ftm_run_migration(include => '{pages,others}')"), 'kept verified', 'it goes on');

# Rights of owners
$target->sql(<<'SQL');
ALTER TABLE a OWNER TO app_owner;
ALTER TABLE c OWNER TO app_owner;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
SQL
is(findings('fail', "include => '{a}'"), '', 'a plain table needs nothing');
is(findings('fail', "include => '{a,c}'"),
	'Role app_owner, the owner of table public.c of the target, has no USAGE on schema public, in which the table or what its expressions call is.'
	  . '  Execute GRANT USAGE ON SCHEMA public TO app_owner.',
	'USAGE is missing');
like($target->sql_error("SELECT ftm_run_migration(include => '{a,c}')"), qr/has no USAGE on schema public/, 'a run ends before the load');
is($target->sql('SELECT count(*) FROM a'), '0', 'indeed');
$target->sql('GRANT USAGE ON SCHEMA public TO app_owner');
is($target->sql("SELECT DISTINCT status FROM ftm_run_migration(include => '{a,c}')"), 'verified', 'mended');

$target->sql('REVOKE USAGE ON SCHEMA public FROM app_owner');
is($target->sql("SELECT object, ok, detail FROM ftm_verify(include => '{a,c}') WHERE kind = 'table' ORDER BY 1"),
	"public.a|t|2 of 2 columns hashed\npublic.c|f|not checked: permission denied for schema public",
	'a table that cannot be verified is one row');
$target->sql('GRANT USAGE ON SCHEMA public TO app_owner');

# EXECUTE
$target->sql(<<'SQL');
SELECT ftm_rollback(max(run_id)) FROM ftm_run;
ALTER TABLE others OWNER TO app_owner;
REVOKE ALL ON FUNCTION settled FROM PUBLIC;
TRUNCATE others, pages;
SQL
is(findings('fail', "include => '{others}'"),
	'Role app_owner, the owner of table public.others of the target, may not execute function public.settled(text), which the table\'s expressions call.'
	  . '  Execute GRANT EXECUTE ON FUNCTION public.settled(text) TO app_owner.',
	'EXECUTE is missing');
$target->sql('GRANT EXECUTE ON FUNCTION settled TO app_owner');
is(findings('fail', "include => '{others}'"), '', 'mended');

# Rows that need rows of tables that come no earlier
foreach my $node ($source, $target)
{
	$node->sql(<<'SQL');
SET check_function_bodies = off;
CREATE FUNCTION a_rows(int) RETURNS bigint LANGUAGE sql IMMUTABLE SET search_path = public AS $$ SELECT count(*) FROM public.wave_a $$;
CREATE FUNCTION b_rows(int) RETURNS bigint LANGUAGE sql IMMUTABLE SET search_path = public AS $$ SELECT count(*) FROM public.wave_b $$;
CREATE TABLE wave_a (id int PRIMARY KEY, n bigint GENERATED ALWAYS AS (b_rows(id)) STORED);
CREATE TABLE wave_b (id int PRIMARY KEY, n bigint GENERATED ALWAYS AS (a_rows(id)) STORED);
SQL
}
is($target->sql("SELECT detail FROM ftm_check(include => '{wave_a,wave_b}') WHERE check_name = 'target tables' AND status = 'warn' ORDER BY 1"),
	"Rows of table public.wave_a seem to need rows of table public.wave_b, and both are loaded after the others.\n"
	  . 'Rows of table public.wave_b seem to need rows of table public.wave_a, and both are loaded after the others.',
	'tables of the second wave that read each other');
is($target->sql("SELECT detail FROM ftm_check(include => '{wave_a}') WHERE check_name = 'target tables' AND status = 'warn'"),
	'Rows of table public.wave_a seem to need rows of table public.wave_b, which is not in the plan.',
	'a table that is not in the plan');

done_testing();
