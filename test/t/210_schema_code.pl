
# The schema's own code sees all rows: CHECK constraints, indexes, generated
# columns, domains, defaults and partition keys whose functions look into other
# tables are the same after a migration as if all rows had been there before.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_node('source', superuser => 'supabase_admin');
my $password = $source->literal($FtmigrateTest::source_password);
$source->sql("CREATE ROLE postgres LOGIN PASSWORD $password IN ROLE pg_read_all_data");
$source->sql('CREATE SCHEMA auth; CREATE TABLE auth.users (id uuid PRIMARY KEY)');

my $target = start_node('target', conf => "restart_after_crash = on\n");
$target->sql(<<'SQL');
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
ALTER DATABASE postgres SET search_path = public, ftm;
ALTER DATABASE postgres SET ftmigrate.workers = 1;
CREATE ROLE app;
GRANT CREATE ON SCHEMA public TO app;
SQL
$target->connect_source($source);

# On both ends.  Tables are loaded largest first, so that the one that is read
# comes last.
my $functions = <<'SQL';
CREATE TABLE z_rates (cur text PRIMARY KEY, rate numeric);
CREATE FUNCTION rate(text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN RETURN (SELECT r.rate FROM public.z_rates r WHERE cur = $1); END $$;
CREATE FUNCTION is_cur(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
	$$ SELECT EXISTS (SELECT FROM public.z_rates r WHERE cur = $1) $$;
CREATE DOMAIN currency AS text CHECK (is_cur(VALUE));
SQL
my $tables = <<'SQL';
CREATE TABLE orders (id int PRIMARY KEY, cur text, amount int);
CREATE INDEX orders_rate ON orders (rate(cur));
CREATE INDEX orders_partial ON orders (id) WHERE is_cur(cur);
CREATE UNIQUE INDEX orders_unique ON orders (id, (rate(cur) * 0));
CREATE STATISTICS orders_stat ON rate(cur), id FROM orders;
CREATE TABLE checked (id int PRIMARY KEY, cur text CHECK (is_cur(cur)), plain int CONSTRAINT plain CHECK (plain > 0));
CREATE TABLE old (id int PRIMARY KEY, amount int);
CREATE TABLE gen (id int PRIMARY KEY, cur text, amount int, eur numeric GENERATED ALWAYS AS (amount * rate(cur)) STORED);
CREATE TABLE money (id int PRIMARY KEY, cur currency, many currency[]);
CREATE TABLE part (id int, cur text CONSTRAINT part_cur CHECK (is_cur(cur))) PARTITION BY LIST (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_2 PARTITION OF part DEFAULT;
CREATE INDEX part_rate ON part (rate(cur));
CREATE TABLE own (id int PRIMARY KEY, cur text, extra int);
CREATE TABLE reads_gen (id int PRIMARY KEY, v text);
SQL
my $rows = <<'SQL';
INSERT INTO z_rates VALUES ('usd', 0.9), ('gbp', 1.2);
INSERT INTO orders SELECT n, CASE n % 2 WHEN 0 THEN 'usd' ELSE 'gbp' END, n FROM generate_series(1, 2000) n;
INSERT INTO checked SELECT id, cur, id FROM orders;
INSERT INTO old VALUES (1, 10), (2, -5), (3, 7);
ALTER TABLE old ADD CONSTRAINT positive CHECK (amount > 0) NOT VALID;
INSERT INTO gen SELECT id, cur, amount FROM orders;
INSERT INTO money SELECT id, cur, ARRAY[cur] FROM orders;
INSERT INTO part SELECT id % 5, cur FROM orders;
INSERT INTO own SELECT id, cur FROM orders;
ANALYZE;
SQL

sub states
{
	return $target->sql(<<'SQL');
SELECT 'check ' || conrelid::regclass || ' ' || conname || ' ' || convalidated FROM pg_constraint
WHERE contype = 'c' AND connamespace = 'public'::regnamespace AND conrelid <> 0
UNION ALL
SELECT 'index ' || indexrelid::regclass || ' ' || indisvalid || ' ' || CASE WHEN relkind = 'i' THEN indisready || ' ' || indislive ELSE 'partitioned' END
FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'checks of ' || oid::regclass || ': ' || relchecks FROM pg_class WHERE relkind IN ('r', 'p') AND relchecks > 0 AND relnamespace = 'public'::regnamespace
ORDER BY 1
SQL
}

# What an index of the table says, and what the table says.
sub index_agrees
{
	my ($table) = @_;
	my $sql = "SELECT count(*) FROM $table WHERE rate(cur) = 0.9";

	my $by_index = $target->sql("SET enable_seqscan = off; $sql");
	is($by_index, $target->sql("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; $sql"),
		"index of $table agrees");
	isnt($by_index, '0', "index of $table finds rows");
	return;
}

$source->sql("$functions $tables $rows");
$target->sql("$functions $tables");
$target->sql(<<'SQL');
ALTER TABLE old ADD CONSTRAINT positive CHECK (amount > 0);
ALTER TABLE own ADD COLUMN eur numeric DEFAULT rate('usd');
SQL
$target->sql('SELECT count(*) FROM ftm_scan_user_ids()');
my $before = states();

# In short, what must hold after a run.
sub all_rows_are_seen
{
	my ($what) = @_;

	index_agrees('orders');
	index_agrees('part');
	is($target->sql('SELECT count(*) FROM gen WHERE eur = amount * rate(cur)'), '2000', "$what: generated column");
	is($target->sql('SELECT count(*) FROM own WHERE eur = 0.9'), '2000', "$what: default");
	is($target->sql('SELECT count(*) FROM orders o JOIN money m USING (id) WHERE o.cur = m.cur'), '2000', "$what: domain");
	is(states(), $before =~ s/positive true/positive false/r, "$what: all valid, but for what the source has not validated");
	is($target->sql('SELECT string_agg(object || $$: $$ || detail, $$; $$) FROM ftm_verify() WHERE NOT ok'), '', "$what: verified");
	return;
}

is($target->sql("SELECT string_agg(status, ' ') FROM ftm_check() WHERE status = 'fail'"), '', 'preflight');
is($target->sql('SELECT DISTINCT status FROM ftm_run_migration()'), 'verified', 'run');
all_rows_are_seen('run');
is($target->sql('SELECT count(*) > 0 FROM pg_stats_ext_exprs WHERE statistics_name = $$orders_stat$$ AND n_distinct = 2'),
	't', 'statistics see all rows');
is($target->sql("SELECT count(*) FROM pg_stats WHERE tablename = 'orders_rate'"), '1', 'so do those of an index');
like($target->sql_error("INSERT INTO checked VALUES (0, 'none', 1)"), qr/checked_cur_check/, 'the constraint is enforced again');
like($target->sql_error("INSERT INTO checked VALUES (0, 'usd', 0)"), qr/plain/, 'and so is the other one');

# Rollback
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
is(states(), $before, 'rollback puts back what was');

# Killed before the end
$target->sql(<<'SQL');
CREATE OR REPLACE FUNCTION rate(text) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS
	$$ BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN (SELECT r.rate FROM public.z_rates r WHERE cur = $1); END $$;
SQL
# The worker waits at the second index of the first table.
my $half = $before =~ s/^(check \S+ (?:\S*cur\S*|positive)) true$/$1 false/mgr =~
  s/^(index (?:orders_(?!pkey|partial)\S*|part_rate)) true true/$1 false false/mgr =~
  s/^(index part_\d_rate_idx) true true/$1 false false/mgr =~
  s/^(index part_rate) true/$1 false/mr;

sub kill_before_end
{
	my ($victim) = @_;
	my $exclude = q(exclude => '{gen,own}');
	my $holder = $target->start_sql('SELECT pg_advisory_lock(7), pg_sleep(600)');
	$target->wait_for("SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND granted");
	my $call = $target->start_sql("SELECT DISTINCT status FROM ftm_run_migration($exclude)");

	my $worker = $target->wait_for_pid("backend_type = 'ftmigrate worker' AND wait_event_type = 'Lock'");
	if ($victim eq 'worker')
	{
		kill 'KILL', $worker;
	}
	else
	{
		$target->sql("SELECT pg_terminate_backend($worker)");
	}
	$call->finish;
	$holder->kill_kill;
	$target->wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'");
	eval { $target->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()") };
	is(states(), $half, "$victim is gone: what has not been looked at is not valid");
	is($target->sql('SELECT count(*) FROM orders'), '2000', "$victim is gone: rows are there");
	return $exclude;
}

my $exclude = kill_before_end('terminated worker');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
is(states(), $before, 'rollback of half a run puts back what was');

$exclude = kill_before_end('worker');
is($target->sql("SELECT count(*) FROM ftm_verify($exclude) WHERE kind = 'indexes and constraints' AND detail ~ 'index orders_rate is not valid' AND NOT ok"),
	'1', 'verification tells of an index that is not valid');
is($target->sql("SELECT string_agg(DISTINCT status, ' ') FROM ftm_run_migration($exclude)"), 'kept', 'the next call keeps the rows');
is(states(), $before =~ s/positive true/positive false/r, 'and finishes what was begun');
index_agrees('orders');
index_agrees('part');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');

# Import
my $path = PostgreSQL::Test::Utils::tempdir;
$target->sql("SELECT ftm_export('$path/')");
is($target->sql("SELECT DISTINCT status FROM ftm_import('$path/')"), 'verified', 'import');
all_rows_are_seen('import');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
is(states(), $before, 'rollback of an import');

# A function that says no now
$target->sql(<<'SQL');
CREATE OR REPLACE FUNCTION is_cur(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
	$$ SELECT EXISTS (SELECT FROM public.z_rates r WHERE cur = $1 AND rate < 1) $$;
SQL
my $error = $target->sql_error("SELECT ftm_run_migration(include => '{checked,z_rates}')");
like($error, qr/1 constraint is violated/, 'a violated constraint ends the run');
like($error, qr/Rows that violate constraint "checked_cur_check" of table public.checked: 1000\./, 'with the number of rows');
like(states(), qr/checked_cur_check false/, 'and is not valid');
$target->sql($functions =~ s/.*(CREATE FUNCTION is_cur.*?\$\$;).*/$1/sr =~ s/CREATE/CREATE OR REPLACE/r);
is($target->sql("SELECT string_agg(DISTINCT status, ' ') FROM ftm_run_migration(include => '{checked,z_rates}')"), 'kept', 'mended');
like(states(), qr/checked_cur_check true/, 'it is validated');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');

# Tables of the second wave that read each other, one way and both ways
foreach my $node ($source, $target)
{
	$node->sql(<<'SQL');
SET check_function_bodies = off;
CREATE FUNCTION a_rows(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT count(*) FROM public.wave_a $$;
CREATE FUNCTION b_rows(int) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT count(*) FROM public.wave_b $$;
SQL
}
$source->sql(<<'SQL');
CREATE TABLE wave_a (id int PRIMARY KEY, n bigint);
CREATE TABLE wave_b (id int PRIMARY KEY, n bigint);
INSERT INTO wave_a SELECT n FROM generate_series(1, 500) n;
INSERT INTO wave_b SELECT n FROM generate_series(1, 5) n;
ALTER TABLE wave_a DROP COLUMN n, ADD COLUMN n bigint GENERATED ALWAYS AS (b_rows(id)) STORED;
ALTER TABLE wave_b DROP COLUMN n, ADD COLUMN n bigint GENERATED ALWAYS AS (a_rows(id)) STORED;
ANALYZE;
SQL
$target->sql(<<'SQL');
CREATE TABLE wave_a (id int PRIMARY KEY);
CREATE TABLE wave_b (id int PRIMARY KEY);
ALTER TABLE wave_a ADD COLUMN n bigint GENERATED ALWAYS AS (b_rows(id)) STORED;
ALTER TABLE wave_b ADD COLUMN n bigint GENERATED ALWAYS AS (a_rows(id)) STORED;
SQL
is($target->sql("SELECT DISTINCT status FROM ftm_run_migration(include => '{wave_a,wave_b}')"), 'verified', 'tables that read each other');
is($target->sql('SELECT DISTINCT n FROM wave_a'), '5', 'the one that was too early is loaded again');
is($target->sql('SELECT DISTINCT n FROM wave_b'), '500', 'the other one');

done_testing();
