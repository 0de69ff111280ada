
# A bad network between source and target: what is lost is fetched again, what
# is complete is kept, and a source that does not come back ends the run.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use SampledTest;
use TcpProxy;
use Test::More;
use Time::HiRes qw(time usleep);

my $rounds = $ENV{FTM_TEST_KILLS} || how_many(8, 60);

my $source = start_source(users => 100, readings => 60000);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);
my $proxy = TcpProxy->new($source->port);
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "');"
	  . "ALTER DATABASE postgres SET ftmigrate.retry_delay = '100ms'");
my $migrate = 'SELECT table_name, status FROM ftm_run_migration(users => false)';
my $latest  = '(SELECT max(run_id) FROM ftm_run)';
my $losses =
  "SELECT count(*) FROM ftm_log WHERE run_id = $latest AND message LIKE '%to go on in%'";
my $loading =
  q(SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker' AND query LIKE 'load%');

sub roll_back
{
	$target->sql("SELECT ftm_rollback(run_id) FROM ftm_run WHERE run_id = $latest AND status <> 'rolled back'");
	return;
}

# Connections that end anywhere in the run, in either way.
my $lost = 0;
foreach my $round (1 .. $rounds)
{
	my $how  = $round % 2 ? 'reset ' . int rand 12_000_000 : 'close';
	my $call = $target->start_sql($migrate);

	$target->wait_for("SELECT count(*) > 0 FROM ftm_run WHERE status = 'running'");
	usleep rand 1_000_000 if $how eq 'close';
	$proxy->command($how);
	my ($exit, $out, $err) = $call->finish;
	is($exit, 0, "$round, $how: the run goes on to its end") or diag $err;
	is_deeply([ compare_rows($source, $target) ], [], "$round, $how: target equals source");
	is($target->sql("SELECT status, calls FROM ftm_run WHERE run_id = $latest"),
		'verified|1', "$round, $how: it is the same run");
	$lost++ if $target->sql($losses) > 0;
	roll_back();
}
cmp_ok($lost, '>', $rounds / 3, 'connections were lost');

# Before a run has begun, and in ftm_verify(): a lost source is tried again
# there, too.  All that comes before the rows are some ten thousand bytes.
foreach my $bytes (1, 1000, 10_000, map { int rand 40_000 } 1 .. 4)
{
	$proxy->command("reset $bytes");
	my ($exit, $out, $err) = $target->start_sql($migrate)->finish;
	is($exit, 0, "cut after $bytes bytes: the run goes on to its end") or diag $err;
	like($err, qr/WARNING:  08006: .*attempt 1 of 5 to go on in/, "cut after $bytes bytes: the source was lost");
	is($target->sql($losses), '0', "cut after $bytes bytes: before there was a run") if $bytes < 10_000;
	is_deeply([ compare_rows($source, $target) ], [], "cut after $bytes bytes: target equals source");

	$proxy->command("reset $bytes");
	($exit, $out, $err) = $target->start_sql('SELECT count(*) FROM ftm_verify() WHERE NOT ok')->finish;
	is($exit, 0, "cut after $bytes bytes: ftm_verify() goes on to its end") or diag $err;
	is($out, "0\n", "cut after $bytes bytes: ftm_verify() finds nothing");
	like($err, qr/WARNING:  08006: .*attempt 1 of 5 to go on in/, "cut after $bytes bytes: ftm_verify() lost the source");
	roll_back();
}
$proxy->command('refuse');
my ($exit_code, undef, $stderr) = $target->start_sql(
	q(SET ftmigrate.retries = 2; SELECT ftm_verify()))->finish;
is($exit_code, 1, 'ftm_verify() ends if the source does not come back');
is(scalar(() = $stderr =~ /of 2 to go on/g), 2, 'after as many attempts as allowed');
$proxy->command('go');
is( $target->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')),
	'0', 'and leaves no worker');

# What is complete is compared with the new snapshot: kept, or loaded again if
# it has changed.
$target->sql(q(ALTER DATABASE postgres SET ftmigrate.retry_delay = '2s'));
my $holder = $target->start_sql(
	'BEGIN; LOCK TABLE public.sensor_readings IN ACCESS SHARE MODE; SELECT pg_sleep(600)');
$target->wait_for_pid(q(query LIKE '%pg_sleep%'));
my $call = $target->start_sql($migrate);
$target->wait_for("SELECT count(*) = count(*) FILTER (WHERE table_name ~ 'sensor_readings')"
	  . " FROM ftm_run_table WHERE run_id = $latest AND status <> 'loaded'");
$proxy->command('reset');
$holder->kill_kill;
$target->sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg\_sleep%' AND pid <> pg_backend_pid()));
$target->wait_for("SELECT ($losses) = 1");
$source->sql(q(SET session_replication_role = replica;
	UPDATE public.hubs SET serial_number = serial_number || ' moved' WHERE id = (SELECT id FROM public.hubs LIMIT 1)));
my ($exit, $out, $err) = $call->finish;
is($exit, 0, 'a change in between: the run goes on to its end') or diag $err;
like($err, qr/WARNING.*lost connection to source "supabase"; attempt 1 of 5/, 'with a warning');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source, the change included');
is($target->sql("SELECT table_name FROM ftm_log WHERE run_id = $latest AND message LIKE 'loaded again%'"),
	'public.hubs', 'the changed table is loaded again, and no other');
is(scalar(grep { /\|kept$/ } split /\n/, $out),
	scalar(keys %{ row_counts($source) }) - 2, 'the others are kept');
roll_back();

# A network that stands still, or is slow.
$call = $target->start_sql($migrate);
$target->wait_for($loading);
$proxy->command('stall');
usleep 1_500_000;
$proxy->command('go');
$proxy->command('delay 2');
($exit, $out, $err) = $call->finish;
$proxy->command('go');
is($exit, 0, 'a stalled and slow network: the run succeeds') or diag $err;
is($target->sql($losses), '0', 'without having lost the source');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');
roll_back();

# A cancel while the network stands still, and while it waits to try again.
$call = $target->start_sql($migrate);
$target->wait_for($loading);
$proxy->command('stall');
usleep 200_000;
my $begin = time;
$target->sql("SELECT ftm_cancel($latest)");
($exit, $out, $err) = $call->finish;
cmp_ok(time - $begin, '<', 2, 'a cancel ends a stalled run');
like($err, qr/ERROR:  57014/, 'as a cancel');
$proxy->command('go');

$target->sql(q(ALTER DATABASE postgres SET ftmigrate.retry_delay = '1min'));
$call = $target->start_sql($migrate);
$target->wait_for("SELECT status = 'running' FROM ftm_run WHERE run_id = $latest");
$target->wait_for($loading);
$proxy->command('refuse');
$target->wait_for("SELECT ($losses) = 1");
$begin = time;
$target->sql("SELECT ftm_cancel($latest)");
($exit, $out, $err) = $call->finish;
cmp_ok(time - $begin, '<', 2, 'a cancel ends the wait for the source');
is($target->sql("SELECT status, error_code FROM ftm_run WHERE run_id = $latest"),
	'failed|57014', 'and is recorded');

# A source that does not come back.
$proxy->command('go');
$target->sql(q(ALTER DATABASE postgres SET ftmigrate.retry_delay = '50ms';
	ALTER DATABASE postgres SET ftmigrate.retries = 3));
$call = $target->start_sql($migrate);
$target->wait_for("SELECT status = 'running' FROM ftm_run WHERE run_id = $latest");
$target->wait_for($loading);
$proxy->command('refuse');
($exit, $out, $err) = $call->finish;
is($exit, 1, 'a source that does not come back ends the run');
like($err, qr/ERROR:  08006: could not connect to source "supabase"/, 'with its error');
is($target->sql("$losses AND message LIKE '%of 3 to go on%'"), '3', 'after as many attempts as allowed');
is($target->sql("SELECT status, error_code FROM ftm_run WHERE run_id = $latest"),
	'failed|08006', 'and is recorded');
is( $target->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')),
	'0',
	'no worker is left');
$proxy->command('go');
$target->sql($migrate);
is_deeply([ compare_rows($source, $target) ], [], 'the next call finishes it');
is( $target->sql(
		q(SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated)),
	'0',
	'all foreign keys are valid');

done_testing();
