
# However a run is stopped: everything is gone within a second, on both sides,
# and the next call finishes it.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed = $ENV{FTM_TEST_SEED} || (time ^ $$);
srand $seed;
note "seed $seed";

# Shared memory segments as files of this server alone.
my $source = start_source(users => 200, readings => 150000);
my $target = start_target($source,
	conf => "dynamic_shared_memory_type = mmap\nlog_temp_files = 0\n");
fill_user_map($source, $target);

# What a run leaves while it goes on, and must not leave afterwards.
sub leftovers
{
	my @segments = glob $target->data_dir . '/pg_dynshmem/mmap.*';
	my @files    = glob $target->data_dir . '/base/pgsql_tmp/*';
	my ($backends, $objects, $locks) = split /\|/, $target->sql(<<'SQL');
SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'
		OR (query LIKE '%ftm\_run\_migration%' AND state <> 'idle' AND pid <> pg_backend_pid())),
	(SELECT count(*) FROM pg_class WHERE relpersistence = 't'),
	(SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')
SQL
	my $connections = $source->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ftmigrate'));

	return join ', ', grep { !/^0/ }
	  scalar @segments . ' segments', scalar @files . ' files',
	  "$backends backends", "$objects temporary objects", "$locks locks",
	  "$connections connections to the source";
}

sub signal_process
{
	my ($signal, $condition) = @_;

	kill $signal, $target->wait_for_pid($condition);
	return;
}

my $leader = q(query LIKE 'SELECT ftm\_run\_migration%' AND state = 'active');
my %ways   = (
	'ftm_cancel()' => sub {
		is($target->sql('SELECT ftm_cancel(max(run_id)) FROM ftm_run'), 't', 'ftm_cancel() says so');
	},
	'Ctrl-C'           => sub { $_[0]->{run}->signal('INT'); },
	'lost terminal'    => sub { $_[0]->{run}->signal('KILL');
		$target->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $leader"); },
	'leader terminated' => sub { signal_process('TERM', $leader); },
	'worker terminated' => sub { signal_process('TERM', q(backend_type = 'ftmigrate worker')); },
	'worker cancelled'  => sub { signal_process('INT', q(backend_type = 'ftmigrate worker')); });

# A reader keeps the last table from being loaded, so that no run is over
# before it is stopped.
my $reader = $target->background_psql('postgres');
$reader->query_safe('BEGIN; LOCK TABLE public.ttn_connections IN ACCESS SHARE MODE');

# The server has segments of its own.
my $before = leftovers();
unlike($before, qr/backend|lock|connection|file/, 'nothing is there before');
my @seconds;
foreach my $way ((sort keys %ways) x 2)
{
	my $call = $target->start_sql('SELECT ftm_run_migration(users => false)');

	# Somewhere in the middle of the loads.
	$target->wait_for(
		q(SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker' AND query LIKE 'load%'));
	usleep rand 600_000;
	my $begin = time;
	$ways{$way}->($call);
	my $left;
	while (($left = leftovers()) ne $before && time - $begin < 10)
	{
		usleep 10_000;
	}
	push @seconds, time - $begin;
	is($left, $before, sprintf '%s: all is gone after %.2f s', $way, $seconds[-1]);
	my ($exit) = $call->finish;
	isnt($exit, 0, "$way: the call fails") if $way ne 'lost terminal';
	is( $target->sql(q(SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1)),
		'failed',
		"$way: and the run is marked");
}

# The time includes two calls of psql; a busy machine gets some more.
cmp_ok((sort { $a <=> $b } @seconds)[ @seconds / 2 ],
	'<', 1, 'stopping takes less than a second');

# statement_timeout.
my ($state) = $target->sql_error(
	q(SET statement_timeout = '700ms'; SELECT ftm_run_migration(users => false)));
is($state, '57014', 'statement_timeout ends a run');
$target->wait_for(
	q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'));
usleep 1_000_000;
is(leftovers(), $before, 'and leaves nothing');

# Nothing to stop.
my ($exit, $out, $err) = $target->start_sql('SELECT ftm_cancel(1)')->finish;
is($out, "f\n", 'ftm_cancel() of a run that is over');
like($err, qr/run 1 is not in progress/, 'says so');
($state) = $target->sql_error('SELECT ftm_cancel(99)');
is($state, '42704', 'ftm_cancel() of no run');

# Who may not.
$target->sql(<<'SQL');
CREATE ROLE somebody LOGIN;
CREATE ROLE signaller LOGIN IN ROLE pg_signal_backend;
GRANT EXECUTE ON FUNCTION ftm_cancel TO somebody, signaller;
SQL
my $call = $target->start_sql('SELECT ftm_run_migration(users => false)');
$target->wait_for(
	q(SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker' AND query LIKE 'load%'));
foreach my $role ('somebody', 'signaller')
{
	($state) = $target->sql_error(
		"SET ROLE $role; SELECT ftm_cancel(1)");
	is($state, '42501', "$role may not cancel a superuser's run");
}
$reader->query_safe('COMMIT');
$reader->quit;
($exit, $out, $err) = $call->finish;
is($exit, 0, 'the run goes on') or diag $err;
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');
is(leftovers(), $before, 'a complete run leaves nothing either');

done_testing();
