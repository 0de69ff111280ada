
# ftm_rollback(): the target is as it was before the run, or nothing happens.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my $source = start_source(users => 50, readings => 2000);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);

# A table that the run does not know, with a key to one that it loads, and
# sequences that have moved before.
$target->sql(<<'SQL');
CREATE TABLE public.outside (organization uuid);
ALTER TABLE public.outside ADD CONSTRAINT outside_key
	FOREIGN KEY (organization) REFERENCES public.organizations;
CREATE SEQUENCE public.spare START 5 INCREMENT 5;
SELECT nextval('public.spare');
SQL
$source->sql(<<'SQL');
CREATE SEQUENCE public.spare START 5 INCREMENT 5;
SELECT setval('public.spare', 1000);
GRANT SELECT ON SEQUENCE public.spare TO postgres;
SQL

# What a rollback must bring back.
sub state_of_target
{
	my $sequences = sequence_positions($target);
	my $keys = $target->sql(<<'SQL');
SELECT conrelid::regclass, conname, convalidated FROM pg_constraint
WHERE contype = 'f' ORDER BY conrelid::regclass::text, conname
SQL
	my $indexes = $target->sql(
		'SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)');

	return { sequences => $sequences, keys => $keys, invalid_indexes => $indexes };
}

sub migrate
{
	my ($options) = @_;

	$target->sql("SELECT ftm_run_migration(users => false" . ($options // '') . ')');
	return $target->sql('SELECT max(run_id) FROM ftm_run');
}

sub rows_left
{
	my $found = row_counts($target);

	return [ grep { $found->{$_} } sort keys %{ row_counts($source) } ];
}

sub refuses
{
	my ($run, $state, $message, $what) = @_;
	my ($found, $stderr) = $target->sql_error("SELECT ftm_rollback($run)");

	is($found, $state, "$what: refused");
	like($stderr, $message, "$what: named");
	return;
}

my $before = state_of_target();
my $run    = migrate();
isnt(state_of_target()->{sequences}, $before->{sequences}, 'sequences are set by the run');

# Freezing and rewriting do not count as a change.
$target->sql($_) foreach 'VACUUM (FREEZE) public.sensor_readings',
  'VACUUM FULL public.event_logs';
my $tables = $target->sql("SELECT count(*), sum(rows) FROM ftm_rollback($run)");
my $counts = row_counts($source);
my $sum    = 0;
$sum += $_ foreach values %$counts;
is($tables, scalar(keys %$counts) . "|$sum", 'rolled back: one row per table');
is_deeply(rows_left(), [], 'all tables are empty');
is_deeply(state_of_target(), $before, 'sequences and keys are what they were');
is($target->sql("SELECT status FROM ftm_run WHERE run_id = $run"),
	'rolled back', 'the run is marked');
refuses($run, '55000', qr/is rolled back already/, 'twice');
refuses(99, '42704', qr/there is no run 99/, 'no such run');

# Changes since the load, one at a time; each is found, and nothing is done.
$run = migrate();
my %changes = (
	'update' => [
		q(UPDATE public.organizations SET name = name WHERE id = (SELECT id FROM public.organizations LIMIT 1)),
		qr/Table public\.organizations: rows inserted or updated: 1, loaded rows updated or deleted: 1\./
	],
	'insert' => [
		q(INSERT INTO public.organizations (name, slug) VALUES ('new', 'new')),
		qr/Table public\.organizations: rows inserted or updated: 1, loaded rows updated or deleted: 0\./
	],
	'delete' => [
		q(DELETE FROM public.sensor_readings WHERE id = (SELECT id FROM public.sensor_readings LIMIT 1)),
		qr/Table public\.sensor_readings: rows inserted or updated: 0, loaded rows updated or deleted: 1\./
	],
	'sequence' =>
	  [ q(SELECT nextval('public.spare')), qr/Sequence public\.spare: moved to 1005\./ ],
	'reference from outside' => [
		q(INSERT INTO public.outside SELECT id FROM public.organizations LIMIT 1),
		qr/Foreign key outside_key of table public\.outside: 1\./
	]);
foreach my $change (sort keys %changes)
{
	my ($sql, $message) = @{ $changes{$change} };

	$target->sql("SET session_replication_role = replica; $sql");
	my ($state, $stderr) = $target->sql_error("SELECT ftm_rollback($run)");
	is($state, $change eq 'reference from outside' ? '23503' : '55000', "$change: refused");
	like($stderr, $message, "$change: named");
	cmp_ok($target->sql('SELECT count(*) FROM public.sensor_readings'), '>=', 1999,
		"$change: nothing is done");
	is($target->sql("SELECT status FROM ftm_run WHERE run_id = $run"),
		'verified', "$change: the run is what it was");

	# By force; what refers to rows that are gone is left not valid.
	my ($exit, undef, $err) =
	  $target->start_sql("SELECT ftm_rollback($run, force => true)")->finish;
	is($exit, 0, "$change: done by force");
	like($err, qr/WARNING.*$message/s, "$change: with a warning");
	is_deeply(rows_left(), [], "$change: all tables are empty");
	is($target->sql('SELECT convalidated FROM pg_constraint WHERE conname = \'outside_key\''),
		$change eq 'reference from outside' ? 'f' : 't', "$change: key from outside");
	$target->sql(
		'DELETE FROM public.outside; ALTER TABLE public.outside VALIDATE CONSTRAINT outside_key');
	is_deeply(state_of_target(), $before, "$change: all else is what it was");
	$run = migrate();
}

# A table that another run has loaded since is not this run's.
$target->sql('SET session_replication_role = replica; TRUNCATE public.event_logs');
my $second = migrate(q(, include => '{event_logs}'));
refuses($run, '23503', qr/event_logs_organization_id_fkey of table public\.event_logs: \d/,
	'rows of a later run refer to the first');
is($target->sql("SELECT table_name FROM ftm_rollback($second)"),
	'public.event_logs', 'the later run is rolled back alone');
is_deeply([ sort(@{ rows_left() }, '"public"."event_logs"') ],
	[ sort keys %$counts ], 'the other tables keep their rows');
is($target->sql("SELECT count(*) FROM ftm_rollback($run)"),
	scalar(keys %$counts) - 1, 'then the first');
is_deeply(rows_left(), [], 'all tables are empty');

# Rows that a run has replaced are gone.
$target->sql(
	q(SET session_replication_role = replica; INSERT INTO public.organizations (name, slug) VALUES ('old', 'old')));
$run = migrate(q(, existing => 'truncate'));
refuses($run, '55000', qr/Table public\.organizations held rows before the run\./,
	'replaced rows');
is($target->sql("SELECT count(*) FROM ftm_rollback($run, force => true)"),
	scalar keys %$counts, 'replaced rows: done by force');
is_deeply(rows_left(), [], 'and the tables are left empty');

# An unfinished run, too.
$target->sql('ALTER TABLE public.event_logs ADD CONSTRAINT nothing CHECK (false)');
$target->sql_error('SELECT ftm_run_migration(users => false)');
$target->sql('ALTER TABLE public.event_logs DROP CONSTRAINT nothing');
$run = $target->sql(q(SELECT max(run_id) FROM ftm_run WHERE status = 'failed'));
isnt($run, '', 'a run fails');
$target->sql(
	q(SET session_replication_role = replica; INSERT INTO public.event_logs (event_type) VALUES ('mine')));
$target->sql("SELECT ftm_rollback($run)");
is_deeply(rows_left(), ['"public"."event_logs"'], 'rolled back, but not the rows that are not the run\'s');
is_deeply(state_of_target(), $before, 'all else is what it was');

# Who may not: a role that does not own the tables.
$target->sql('SET session_replication_role = replica; TRUNCATE public.event_logs');
$run = migrate();
$target->sql(<<'SQL');
CREATE ROLE somebody LOGIN;
GRANT EXECUTE ON FUNCTION ftm_rollback TO somebody;
SQL
my ($state, $stderr) =
  $target->sql_error("SET ROLE somebody; SELECT ftm_rollback($run)");
is($state, '42501', 'a role that owns nothing: refused');
is_deeply([ compare_rows($source, $target) ], [], 'and nothing is done');

# A lock that somebody holds ends it; as does a crash in the middle.
my $holder = $target->start_sql(
	'BEGIN; SELECT count(*) FROM public.hubs; SELECT pg_sleep(600)');
$target->wait_for_pid(q(query LIKE '%pg_sleep%'));
($state) = $target->sql_error("SET ftmigrate.lock_timeout = '100ms'; SELECT ftm_rollback($run)");
is($state, '55P03', 'a locked table: refused');
my $call = $target->start_sql("SELECT ftm_rollback($run)");
$target->wait_for(
	q(SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker' AND wait_event_type = 'Lock'));
$target->stop('immediate');
$call->finish;
$target->start;
$holder->kill_kill;
is_deeply([ compare_rows($source, $target) ], [], 'a crash in the middle: nothing is done');
$target->sql("SELECT ftm_rollback($run)");
is_deeply(rows_left(), [], 'the next call does it');
is_deeply(state_of_target(), $before, 'all of it');

done_testing();
