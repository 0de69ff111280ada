
# A cancel at every moment: statement_timeout is swept over each function in
# steps of 3 ms, from its first to its last moment and beyond.  No process dies
# of a signal, nothing is left behind, and the next call finishes.
#
# FTM_TEST_LONG=1 makes several hundred calls of each function; without, it is a
# sample of them.  FTM_TEST_SEED repeats a sample.

use strict;
use warnings;

use FtmigrateTest;
use List::Util qw(max min shuffle);
use PostgreSQL::Test::Utils;
use RunGates;
use StackAuthStandIn;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = $ENV{FTM_TEST_SEED} || (time ^ $$);
srand $seed;
note "seed $seed";

my $step  = 3;
my $calls = $ENV{FTM_TEST_LONG} ? 240 : 10;

# How many calls are made before the next one that nothing interrupts.
my $batch = $ENV{FTM_TEST_LONG} ? 12 : 5;

my $stack  = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 12, readings => 10);
my $target = start_target($source);
$target->connect_auth_server($stack);
fill_user_map($source, $target);
my $directory = PostgreSQL::Test::Utils::tempdir;

# A few small tables of every kind, so that a call takes as little as can be.
foreach my $node ($source, $target)
{
	$node->sql(<<'SQL');
CREATE SCHEMA small;
CREATE TABLE small.parent (id serial PRIMARY KEY, user_id uuid NOT NULL, name text UNIQUE);
CREATE TABLE small.child (parent int REFERENCES small.parent, line text);
ALTER TABLE small.child ALTER line SET STORAGE EXTERNAL;
CREATE INDEX ON small.child (parent);
CREATE TABLE small.part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE small.part_1 PARTITION OF small.part FOR VALUES FROM (0) TO (500);
CREATE TABLE small.part_2 PARTITION OF small.part FOR VALUES FROM (500) TO (1000);
SQL
}
$source->sql(<<"SQL");
ALTER TABLE small.parent ADD FOREIGN KEY (user_id) REFERENCES auth.users;
INSERT INTO small.parent (user_id, name)
	SELECT id, 'name ' || n FROM auth.users, generate_series(1, 40) AS n
	ON CONFLICT DO NOTHING;
INSERT INTO small.child SELECT id, repeat(md5(id::text), id * 10) FROM small.parent;
INSERT INTO small.part SELECT generate_series(1, 999);
GRANT USAGE ON SCHEMA small TO $FtmigrateTest::source_role;
GRANT SELECT ON ALL TABLES IN SCHEMA small TO $FtmigrateTest::source_role;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA small TO $FtmigrateTest::source_role;
SQL
my $scope = q(schemas => '{small}');

# What a call must not leave.  The loaders are gone when the caller sees the
# error; the keeper may be writing down what became of the run.
$target->sql(<<'SQL');
CREATE SCHEMA sweep;
CREATE FUNCTION sweep.leftovers(directory text, at_once boolean = true) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	loaders bigint;
	give_up timestamptz := clock_timestamp() + '60 s';
BEGIN
	PERFORM pg_stat_clear_snapshot();
	SELECT count(*) INTO loaders FROM pg_stat_activity
	 WHERE at_once AND backend_type IN ('ftmigrate worker', 'ftmigrate leader');
	WHILE clock_timestamp() < give_up
		AND (EXISTS (SELECT FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')
			OR EXISTS (SELECT FROM public.ftm_run WHERE status = 'running'))
	LOOP
		PERFORM pg_sleep(0.005), pg_stat_clear_snapshot();
	END LOOP;
	RETURN (SELECT concat_ws(', ',
		CASE WHEN loaders > 0 THEN loaders || ' loaders that nobody waited for' END,
		(SELECT string_agg(backend_type, ', ') FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'),
		(SELECT 'run ' || max(run_id) || ' still running' FROM public.ftm_run WHERE status = 'running' HAVING count(*) > 0),
		(SELECT string_agg('lock ' || locktype, ', ') FROM pg_locks
		  WHERE pid = pg_backend_pid() AND locktype NOT IN ('relation', 'virtualxid', 'transactionid')),
		(SELECT string_agg('file ' || name, ', ') FROM pg_ls_tmpdir()),
		(SELECT string_agg('file ' || name, ', ') FROM pg_ls_dir(directory) AS name WHERE name LIKE '%.partial'),
		(SELECT string_agg('storage of no table: ' || name, ', ')
		   FROM pg_database d, pg_ls_dir('base/' || d.oid) AS name
		  WHERE d.datname = current_database() AND name ~ '^[0-9]+$'
			AND (pg_stat_file('base/' || d.oid || '/' || name, true)).size > 0
			AND NOT EXISTS (SELECT FROM pg_class WHERE pg_relation_filenode(oid)::text = name)),
		(SELECT 'temporary objects' FROM pg_class WHERE relpersistence = 't' HAVING count(*) > 0)));
END $$;
SQL

# call: what is interrupted.  before: what makes it have something to do.  done:
# the next call, which nothing interrupts, and whether it did all of it.
my $run = "SELECT count(*) FROM ftm_run_migration($scope, users => false, undecided => 'keep')";
my $verified =
  "SELECT bool_and(status IN ('verified', 'kept')) FROM ftm_run_migration($scope, users => false, undecided => 'keep')";
my $export = "ftm_export('$directory', $scope, overwrite => true)";
my @functions = (
	{   name => 'run',
		call => "SELECT ftm_run_migration($scope, users => false, undecided => 'keep', restart => true)",
		done => $verified
	},
	{   name => 'run in the background',
		call => "SELECT ftm_run_migration($scope, users => false, undecided => 'keep', restart => true, wait => false)",
		then => 'SELECT ftm_wait()',
		done => $verified
	},
	{   name   => 'rollback',
		before => $run,
		call   => 'SELECT ftm_rollback(max(run_id)) FROM ftm_run',
		done   => $verified
	},
	{   name => 'verify',
		call => "SELECT ftm_verify($scope)",
		done => "SELECT bool_and(ok) FROM ftm_verify($scope)"
	},
	{   name => 'check',
		call => "SELECT ftm_check($scope)",
		done => "SELECT count(*) > 10 FROM ftm_check($scope)"
	},
	{   name => 'scan',
		call => "SELECT ftm_scan_user_ids($scope)",
		done => "SELECT count(*) > 0 FROM ftm_scan_user_ids($scope)"
	},
	{   name => 'diff',
		call => q(SELECT ftm_diff('small.parent')),
		done => q(SELECT count(*) = 0 FROM ftm_diff('small.parent'))
	},
	{   name => 'export',
		call => "SELECT $export",
		done => "SELECT count(*) = 4 FROM $export"
	},
	{   name => 'verify_export',
		call => "SELECT ftm_verify_export('$directory', $scope)",
		done => "SELECT bool_and(ok) FROM ftm_verify_export('$directory', $scope)"
	},
	{   name    => 'import',
		prepare => sub { $target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run') },
		call    => "SELECT ftm_import('$directory', $scope, undecided => 'keep', restart => true)",
		done    => "SELECT bool_and(status IN ('verified', 'kept')) FROM ftm_import('$directory', $scope, undecided => 'keep')"
	},
	{   name    => 'users',
		prepare => sub { forget_users() },
		again   => sub { forget_users() },
		call    => 'SELECT ftm_migrate_users()',
		done    => q(SELECT bool_and(ok) FROM (SELECT r.users = 12 FROM ftm_migrate_users() r
			WHERE aspect = 'status' AND value IN ('created', 'matched')) AS r (ok))
	});

sub forget_users
{
	$stack->test_call('POST', 'reset');
	$target->sql('DELETE FROM ftm_user; DELETE FROM ftm_user_map');
	return;
}

# Statements of psql: one call that is interrupted after so many milliseconds.
sub interrupted
{
	my ($function, $timeout) = @_;

	# It may take longer than the timeout to put that back.
	my $reset = "RESET statement_timeout;\n" x 3;

	# A run in the background that was waited for has ended, its leader ends.
	my $at_once = $function->{then} ? 'false' : 'true';
	return join '', "\\echo call $timeout\n\\o /dev/null\n",
	  $function->{before} ? "$function->{before};\n" : '',
	  "SET statement_timeout = $timeout;\n$function->{call};\n$reset",
	  $function->{then} ? "$function->{then};\n" : '',
	  "\\o\nSELECT 'left ' || sweep.leftovers('$directory', $at_once);\n";
}

my ($total, $cancelled) = (0, 0);
foreach my $function (@functions)
{
	my $name = $function->{name};
	my %count = (calls => 0, cancelled => 0);
	my @wrong;

	# How long it takes, when all is in memory.
	$function->{prepare}->() if $function->{prepare};
	$target->sql("$function->{done}");
	$function->{again}->() if $function->{again};
	$target->sql($function->{before}) if $function->{before};
	my $begin = time;
	$target->sql($function->{call});
	my $limit = 1000 * (time - $begin) * 1.1 + 30;
	$target->sql("$function->{then}") if $function->{then};

	# Rounds of steps, until there are enough; the last is not cut, but thinned.
	my @timeouts;
	for (my $round = 0; @timeouts < $calls; $round++)
	{
		for (my $t = $step + $round % $step; $t < $limit; $t += $step)
		{
			push @timeouts, $t;
		}
	}
	@timeouts = (shuffle @timeouts)[ 0 .. $calls - 1 ]
	  if @timeouts > 1.5 * $calls;
	@timeouts = shuffle @timeouts;

	while (my @part = splice @timeouts, 0, $batch)
	{
		my ($out, $err) = ('', '');
		my $script = join '', map { interrupted($function, $_) } @part;
		my $result = $target->psql(
			'postgres', $script . "SELECT 'done ' || ($function->{done});\n",
			stdout        => \$out,
			stderr        => \$err,
			on_error_stop => 0);

		my @left = $out =~ /^left (.*)$/mg;
		$count{calls} += @part;
		$count{cancelled} += () = $err =~ /canceling statement due to statement timeout/g;
		push @wrong, "left behind: $_" foreach grep { $_ ne '' } @left;
		push @wrong, $_ foreach grep { !/canceling statement|run \d+ was rolled back|the session that called ftm_run_migration\(\) ended/ } $err =~ /^.*ERROR: .*$/mg;
		push @wrong, "psql ended with $result: $err" if $result != 0 || @left != @part;
		push @wrong, "next call: $out" if $out !~ /^done true$/m;
		last if @wrong;
		$function->{again}->() if $function->{again};
	}
	is_deeply(\@wrong, [], "$name: nothing is left, the next call finishes");
	note sprintf '%s: %d calls within %d ms, %d of them cancelled',
	  $name, $count{calls}, $limit, $count{cancelled};
	cmp_ok($count{cancelled}, '>', 0, "$name: some calls were cancelled");
	$total     += $count{calls};
	$cancelled += $count{cancelled};
}
note "$total calls, $cancelled of them cancelled";

# The moment that a sweep may miss: all is done and written down, and the call
# waits for its workers to end.  One of them is stopped, so that it takes long.
my $gates = RunGates->new($target);
forget_users();
fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
foreach my $way ('call', 'run in the background')
{
	my $options = 'workers => 2, users => false, restart => true, '
	  . ($way eq 'call' ? 'wait => true' : 'wait => false');
	my $leader = $way eq 'call' ? q(backend_type = 'client backend' AND state = 'active' AND query LIKE 'SELECT ftm_run_migration%')
	  : q(backend_type = 'ftmigrate leader');

	$gates->close_before('verify');
	my $call = $target->start_sql("SELECT ftm_run_migration($options)");
	$gates->reach('verify');

	# Between two tasks it is idle, too, but not for long.
	my $idle = $target->wait_for_pid(q(backend_type = 'ftmigrate worker' AND state = 'idle'
		AND state_change < clock_timestamp() - interval '3 s'));
	kill 'STOP', $idle;
	$gates->open;
	my $pid = $target->wait_for_pid("$leader AND wait_event ILIKE 'BgWorkerShutdown'");
	is($target->sql('SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1'), 'verified',
		"$way: the run has ended, the call has not");
	$target->sql("SELECT pg_cancel_backend($pid)");
	usleep 300_000;
	kill 'CONT', $idle;
	my ($exit, $out, $err) = $call->finish;
	like($err, qr/57014/, "$way: is cancelled") if $way eq 'call';
	is($target->sql("SELECT sweep.leftovers('$directory')"), '', "$way: nothing is left");
	is($target->sql('SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1'), 'verified',
		"$way: the run is what it was");
}

$source->wait_for(q(SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'ftmigrate'));
my $log = slurp_file($target->logfile);
unlike($log, qr/terminated by signal/, 'no process died of a signal');
unlike($log, qr/TRAP:|PANIC/, 'no assertion failed');
unlike($log, qr/reinitializing/, 'the server did not restart');

done_testing();
