
# Runs whose leader is a background worker.

use strict;
use warnings;

use FtmigrateTest;
use IO::Socket::INET;
use RowCompare;
use Test::More;

my $source = start_source(users => 100, readings => 60000);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);
my $start = 'SELECT table_name, rows, status FROM ftm_run_migration(users => false, wait => false';
my $nobody =
  q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%');

# It returns at once, with the id, and the session may end.
my ($exit, $out, $err) = $target->start_sql("$start)")->finish;
is($exit, 0, 'a background run is started') or diag $err;
is($out, "run 1||running\n", 'and answers with its id');
like($err, qr/run 1 goes on in the background/, 'and a notice');
is($target->sql(q(SELECT status FROM ftm_run)), 'running', 'it is running');
is($target->sql(q(SELECT count(*) FROM pg_stat_activity a JOIN ftm_run r ON a.pid = r.leader_pid
	WHERE backend_type = 'ftmigrate leader' AND backend_start = leader_started)),
	'1', 'its leader is a background worker');

# Only one at a time.
my ($state) = $target->sql_error("$start)");
is($state, '55006', 'no second run in the background');
($state) = $target->sql_error('SELECT ftm_run_migration(users => false)');
is($state, '55006', 'nor in the foreground');
($state) = $target->sql_error('SELECT ftm_rollback(1)');
is($state, '55006', 'nor a rollback');

# ftm_wait() answers as ftm_run_migration() does.
my $counts = row_counts($source);
is($target->sql(q(SELECT count(*), sum(rows) FROM ftm_wait(1) WHERE status = 'verified')),
	scalar(keys %$counts) . '|' . eval { my $n = 0; $n += $_ foreach values %$counts; $n },
	'ftm_wait() answers with the tables');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');
is($target->sql('SELECT count(*) FROM ftm_wait()'), scalar keys %$counts,
	'ftm_wait() knows the latest run, and that it is over');
$target->wait_for($nobody);
($state) = $target->sql_error('SELECT ftm_wait(99)');
is($state, '42704', 'ftm_wait() for no run');
($state) = $target->sql_error(
	q(BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT ftm_wait(1)));
is($state, '25001', 'ftm_wait() in a transaction that would not see the end');

# A complete run: nothing to do, in the background as well.
($exit, $out, $err) = $target->start_sql("$start)")->finish;
is($out, "run 1||running\n", 'a complete run is answered for');
$target->wait_for($nobody);
is($target->sql('SELECT status, calls FROM ftm_run'), 'verified|1', 'and left alone');

# Cancelled from elsewhere, and its leader terminated; who waits is told.
# A reader keeps the last table from being loaded, so that no run is over
# before it is stopped.
$target->sql('SELECT ftm_rollback(1)');
my $reader = $target->background_psql('postgres');
$reader->query_safe('BEGIN; LOCK TABLE public.ttn_connections IN ACCESS SHARE MODE');
my %ways = (
	'cancelled'  => [ 'SELECT ftm_cancel(max(run_id)) FROM ftm_run', '57014' ],
	'terminated' => [
		q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'ftmigrate leader'),
		'57P01'
	]);
foreach my $way (sort keys %ways)
{
	my ($sql, $code) = @{ $ways{$way} };

	$target->sql("$start)");
	my $wait = $target->start_sql('SELECT ftm_wait()');
	$target->wait_for(
		q(SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker' AND query LIKE 'load%'));
	is($target->sql($sql), 't', "$way: done");
	($exit, $out, $err) = $wait->finish;
	is($exit, 1, "$way: ftm_wait() fails");
	like($err, qr/ERROR:  $code: .*run 2/s, "$way: with the run's error");
	$target->wait_for($nobody);
	is($target->sql('SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1'),
		'failed', "$way: the run is marked");
}

# A run in the foreground can be waited for, too; waiting can be cancelled.
my $call = $target->start_sql('SELECT ftm_run_migration(users => false)');
$target->wait_for(q(SELECT status = 'running' FROM ftm_run ORDER BY run_id DESC LIMIT 1));
($state) = $target->sql_error(q(SET statement_timeout = '50ms'; SELECT ftm_wait()));
is($state, '57014', 'waiting is interruptible');
$reader->query_safe('COMMIT');
$reader->quit;
$target->sql('SELECT ftm_wait()');
($exit) = $call->finish;
is($exit, 0, 'which does no harm');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');

# What fails before the run has begun is raised by the call, and no run begins.
$target->sql(q(ALTER TABLE hubs RENAME TO nodes));
($state, $err) = $target->sql_error("$start)");
is($state, '55000', 'a problem of the plan is raised by the call');
like($err, qr/public\.hubs/, 'as it is');
$target->sql(q(ALTER TABLE nodes RENAME TO hubs));

# A caller who gives up takes the leader along.
my $silent = IO::Socket::INET->new(
	Listen    => 5,
	LocalAddr => '127.0.0.1',
	Proto     => 'tcp') or die "cannot listen: $!";
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $silent->sockport . "')");
($state) = $target->sql_error("SET ftmigrate.connect_timeout = '1h'; SET statement_timeout = '500ms'; $start)");
is($state, '57014', 'a caller gives up while the leader connects');
$target->wait_for($nobody);

# Settings go along: this one ends the attempt.
($state, $err) = $target->sql_error("SET ftmigrate.connect_timeout = '1s'; $start)");
is($state, '08001', 'settings of the session go along');
like($err, qr/not established within 1 seconds/, 'as they are');
$silent->close;
is($target->sql('SELECT count(*) FROM ftm_run'), '2', 'no run was begun by all that');
$target->wait_for($nobody);

# A keeper that notices late that its leader is gone does not mark the run that
# the next call is at work on.
$target->sql('ALTER SERVER supabase OPTIONS (SET port \'' . $source->port . '\')');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
$reader = $target->background_psql('postgres');
$reader->query_safe('BEGIN; LOCK TABLE public.ttn_connections IN ACCESS SHARE MODE');
$target->sql("$start)");
my $keeper = $target->wait_for_pid(q(backend_type = 'ftmigrate keeper' AND state = 'idle'));
kill 'STOP', $keeper;
$target->sql(q(SELECT pg_terminate_backend(leader_pid, 60000) FROM ftm_run ORDER BY run_id DESC LIMIT 1));
$target->wait_for(q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker'));
$target->sql("$start)");
kill 'CONT', $keeper;
$target->wait_for("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $keeper");
is($target->sql('SELECT status, calls, error FROM ftm_run ORDER BY run_id DESC LIMIT 1'),
	'running|2|', 'a late keeper leaves the run to its new leader');
$reader->query_safe('COMMIT');
$reader->quit;
$target->sql('SELECT ftm_wait()');
is_deeply([ compare_rows($source, $target) ], [], 'which ends it');
$target->wait_for($nobody);

# No free slot.
$target->append_conf('postgresql.conf', "max_worker_processes = 0\n");
$target->restart;
($state) = $target->sql_error("$start)");
is($state, '53000', 'no worker slot');

done_testing();
