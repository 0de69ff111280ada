
# However a call is stopped, in whatever step: everything is gone within a
# second, on both sides, and the next call finishes the run.

use strict;
use warnings;

use FtmigrateTest;
use File::Find;
use RowCompare;
use RunGates;
use SampledTest;
use StackAuthStandIn;
use TcpProxy;
use Test::More;
use Time::HiRes qw(time usleep);

# Shared memory segments as files of this server alone.
my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 100, readings => 30000);
my $target = start_target($source,
	conf => "dynamic_shared_memory_type = mmap\n");
decide_user_columns($target);
$target->connect_auth_server($stack);
my $gates     = RunGates->new($target);
my $directory = $target->basedir . '/export';
mkdir $directory or die "could not make $directory: $!";

my $function = 'ftm_(run_migration|rollback|verify|export|import)';
my $leader =
  "backend_type = 'client backend' AND state = 'active' AND query ~ '^SELECT .*$function'";
my $run_count  = 'SELECT count(*) FROM ftm_run';
my $run_status = 'SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1';

# What a call leaves while it goes on, and must not leave afterwards.
sub leftovers
{
	my @segments = glob $target->data_dir . '/pg_dynshmem/mmap.*';
	my @files;
	find(sub { push @files, $_ if -f && /^pgsql_tmp|\.partial$|^t\d+_\d+/ },
		$target->data_dir, $directory);
	my ($backends, $objects, $locks, $storage) = split /\|/, $target->ask(<<SQL);
SELECT (SELECT count(*) FROM pg_stat_activity
		WHERE pid <> pg_backend_pid() AND (backend_type LIKE 'ftmigrate%' OR ($leader))),
	(SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
	(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' OR mode = 'AccessExclusiveLock'),
	(SELECT count(*) FROM pg_database d, pg_ls_dir('base/' || d.oid) AS file
	 WHERE d.datname = current_database() AND file ~ '^[0-9]+\$'
		AND (pg_stat_file('base/' || d.oid || '/' || file, true)).size > 0
		AND NOT EXISTS (SELECT FROM pg_class WHERE pg_relation_filenode(oid)::text = file))
SQL
	my $connections = $source->ask(
		q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ftmigrate'));

	return join ', ', grep { !/^0/ }
	  scalar @segments . ' segments', scalar @files . " temporary files @files",
	  "$backends backends", "$objects temporary objects", "$locks locks",
	  "$storage files of no table", "$connections connections to the source";
}

sub signal_process
{
	my ($signal, $condition) = @_;

	kill $signal, $target->wait_for_pid($condition);
	return;
}

my %ways = (
	'Ctrl-C'        => sub { $_[0]->{run}->signal('INT'); },
	'lost terminal' => sub { $_[0]->{run}->signal('KILL');
		$target->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $leader"); },
	'leader terminated' => sub { signal_process('TERM', $leader); },
	'worker terminated' => sub { signal_process('TERM', q(backend_type = 'ftmigrate worker')); },
	'worker cancelled'  => sub { signal_process('INT', q(backend_type = 'ftmigrate worker')); },

	# The call ends by itself, before its gate or at it.
	'statement_timeout' => sub { },
	'ftm_cancel()' => sub {
		is($target->sql('SELECT ftm_cancel(max(run_id)) FROM ftm_run'), 't', 'ftm_cancel() says so');
	});
my @ways_of_all = grep { $_ ne 'ftm_cancel()' } sort keys %ways;

# The server has segments of its own.
my $before = leftovers();
unlike($before, qr/backend|lock|connection|file/, 'nothing is there before');
my @seconds;
my $statement_timeout = 1500;

sub start_call
{
	my ($sql, $way) = @_;

	local $ENV{PGOPTIONS} =
	  $way eq 'statement_timeout' ? "-c statement_timeout=$statement_timeout" : '';
	return $target->start_sql($sql);
}

sub roll_back
{
	$target->sql(q(SELECT ftm_rollback(max(run_id), users => true) FROM ftm_run HAVING max(run_id) IS NOT NULL));
	return;
}

# Stop a call, and see that all is gone soon.
sub stop_call
{
	my ($call, $way, $what) = @_;
	my $begin = time;

	$ways{$way}->($call);
	if ($way eq 'statement_timeout')
	{
		my ($exit, $out, $err) = $call->finish;
		like($err, qr/ERROR:  57014/, "$what: ends the call");
		$begin = time;
	}

	# Statements that take no time, so that the time is the call's.
	until ($target->ask("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%' OR ($leader)") eq '0'
		&& $source->ask(q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ftmigrate')) eq '0')
	{
		last if time - $begin > 10;
		usleep 5_000;
	}
	push @seconds, time - $begin;
	$gates->open;
	is(leftovers(), $before, sprintf '%s: all is gone after %.2f s', $what, $seconds[-1]);
	if ($way ne 'statement_timeout')
	{
		my ($exit) = $call->finish;
		isnt($exit, 0, "$what: the call fails") if $way ne 'lost terminal';
	}
	return;
}

# Runs: each way in three steps, each step in three ways at least.
my @steps = ('create users', 'load table', 'rebuild indexes',
	'check foreign key', 'analyze table', 'verify');
my $turn = 0;
foreach my $way (sort keys %ways)
{
	foreach my $step (@steps)
	{
		next if ($turn++ + int($turn / @steps)) % 2 && !is_long();
		my $what = "$way, $step";

		my $runs = $target->sql($run_count);
		$gates->close_before($step);
		my $call = start_call('SELECT ftm_run_migration()', $way);
		$gates->reach($step) if $way ne 'statement_timeout';
		stop_call($call, $way, $what);

		# On a busy machine time may be up before there is a run.
		while ($way eq 'statement_timeout' && $statement_timeout < 60_000
			&& $target->sql($run_count) eq $runs
			&& $target->sql($run_status) ne 'failed')
		{
			$statement_timeout *= 2;
			$gates->close_before($step);
			stop_call(start_call('SELECT ftm_run_migration()', $way), $way, "$what, later");
		}
		is($target->sql($run_status), 'failed', "$what: the run is marked");
		roll_back() if $step ne 'create users';
	}
}

# Anywhere in the middle of loads, whatever the workers are at.
foreach my $way (grep { $_ ne 'statement_timeout' } sort keys %ways)
{
	$gates->close_before('load table');
	my $call = start_call('SELECT ftm_run_migration()', $way);

	$target->wait_for_pid(q(backend_type = 'ftmigrate worker' AND query LIKE 'load%'));
	usleep rand 300_000;
	stop_call($call, $way, "$way, loads");
	roll_back();
}
$target->sql('SELECT ftm_run_migration()');
is_deeply([ compare_rows($source, $target) ], [], 'the next call finishes the run');

# Verification alone.
foreach my $way (@ways_of_all)
{
	$gates->hold('verify');
	my $call = start_call('SELECT ftm_verify()', $way);
	$gates->wait_at('verify') if $way ne 'statement_timeout';
	stop_call($call, $way, "$way, ftm_verify()");
}

# A rollback, and the deletion of users behind it.
foreach my $step ('roll back run', 'delete users')
{
	foreach my $way (@ways_of_all)
	{
		next if $turn++ % 2 && !is_long();
		$gates->close_before($step);
		my $call = start_call('SELECT ftm_rollback(max(run_id), users => true) FROM ftm_run', $way);
		$gates->reach($step) if $way ne 'statement_timeout';
		stop_call($call, $way, "$way, $step");
		is($target->sql($run_status), $step eq 'delete users' ? 'rolled back' : 'verified',
			"$way, $step: the run is what it was before the step");
	}
}
roll_back();
is(scalar @{ $stack->test_call('GET', 'users')->{users} }, 0, 'the next call finishes the rollback');

# An export, over a network that makes it slow, and an import.
my $proxy = TcpProxy->new($source->port);
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "')");
foreach my $way (@ways_of_all)
{
	my $what = "$way, ftm_export()";

	$proxy->command('delay 50');
	my $call = start_call("SELECT ftm_export('$directory')", $way);
	my $attempts = 0;
	until ($way eq 'statement_timeout' || glob "$directory/*.partial")
	{
		die "$what: no file is begun" if $attempts++ > 3000;
		usleep 10_000;
	}
	stop_call($call, $way, $what);
	ok(!-e "$directory/metadata.json", "$what: no export is left");
	unlink glob "$directory/*.json";
}
$proxy->command('go');
fill_user_map($source, $target);
decide_user_columns($target);
$target->sql("SELECT ftm_export('$directory')");
foreach my $way (sort keys %ways)
{
	$gates->close_before('load table');
	my $call = start_call("SELECT ftm_import('$directory')", $way);
	$gates->reach('load table') if $way ne 'statement_timeout';
	stop_call($call, $way, "$way, ftm_import()");
}
$target->sql("SELECT ftm_import('$directory')");
is_deeply([ compare_rows($source, $target) ], [], 'the next call finishes the import');
is(leftovers(), $before, 'what is complete leaves nothing either');

# A busy machine gets some more.
my @sorted = sort { $a <=> $b } @seconds;
note sprintf '%d calls were stopped, in %.2f s on average, %.2f s at most',
  scalar @sorted, $sorted[ @sorted / 2 ], $sorted[-1];
cmp_ok($sorted[ @sorted / 2 ], '<', 1, 'stopping takes less than a second');

# Nothing to stop.
my ($exit, $out, $err) = $target->start_sql('SELECT ftm_cancel(1)')->finish;
is($out, "f\n", 'ftm_cancel() of a run that is over');
like($err, qr/run 1 is not in progress/, 'says so');
my ($state) = $target->sql_error('SELECT ftm_cancel(99)');
is($state, '42704', 'ftm_cancel() of no run');

# Who may not.
$target->sql(<<'SQL');
CREATE ROLE somebody LOGIN;
CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend;
GRANT EXECUTE ON FUNCTION ftm_cancel TO somebody, signaller;
SELECT ftm_rollback(max(run_id)) FROM ftm_run;
SQL
$gates->close_before('load table');
my $call = $target->start_sql('SELECT ftm_run_migration(users => false)');
$gates->reach('load table');
foreach my $role ('somebody', 'signaller')
{
	($state) = $target->sql_error(
		"SET ROLE $role; SELECT ftm_cancel(max(run_id)) FROM ftm_run");
	is($state, '42501', "$role may not cancel a superuser's run");
}
$gates->open;
($exit, $out, $err) = $call->finish;
is($exit, 0, 'the run goes on') or diag $err;
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');

done_testing();
