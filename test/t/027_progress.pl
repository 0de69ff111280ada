
# What can be seen of a run while it goes on, and what the log file says of it.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 200, readings => 100000);
$source->sql('ANALYZE');
my $target = start_target($source,
	conf => "ftmigrate.progress_interval = 50ms\nftmigrate.lock_timeout = '5min'\n");
my $log_file = $target->basedir . '/ftmigrate.log';
$target->sql("LOAD 'ftmigrate'; ALTER DATABASE postgres SET ftmigrate.log_file = '$log_file'");
fill_user_map($source, $target);
decide_user_columns($target);
$target->sql(<<'SQL');
CREATE ROLE watcher LOGIN;
GRANT pg_read_all_stats TO watcher;
GRANT SELECT ON ftm_progress TO watcher;
SQL

my $readings = 'public.sensor_readings';

# As somebody who may look, but is not a superuser.
sub progress
{
	my ($columns, $condition) = @_;
	return $target->sql(
		"SET ROLE watcher; SELECT $columns FROM ftm_progress WHERE $condition");
}

is(progress('count(*)', 'true'), '0', 'there is nothing before the first run');

# A table that somebody uses: its load has to wait.
my $other = $target->background_psql('postgres');
$other->set_query_timer_restart;
$other->query_safe("BEGIN; LOCK TABLE $readings IN ACCESS SHARE MODE");
my $holder = $other->query_safe('SELECT pg_backend_pid()');
my $run = $target->start_sql('SELECT ftm_run_migration(users => false)');
$target->wait_for(
	"SELECT count(*) = 1 FROM ftm_progress WHERE waiting_for = 'Lock: relation, held by $holder'");
is( progress('status, step, estimated_rows, worker_pid IS NOT NULL', "table_name = '$readings'"),
	'loading|load|100000|t',
	'a waiting worker is seen, and whom it waits for');
is( progress(
		'count(*)',
		q(worker_pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker'))
	) > 0,
	1,
	'worker_pid joins with pg_stat_activity');
$target->wait_for(
	q(SELECT count(*) > 0 FROM pg_stat_user_tables WHERE schemaname = 'public' AND last_analyze IS NOT NULL));
is(progress('status, step, tasks_done < tasks', 'table_name IS NULL'),
	'running|load tables|t', 'the run has a row of its own, and others are analyzed in passing');

my $wait = $target->start_sql('SELECT ftm_wait()');
# Long enough for it to look more than once.
$target->wait_for(
	q(SELECT count(*) > 0 FROM pg_stat_activity
	  WHERE query = 'SELECT ftm_wait()' AND query_start < clock_timestamp() - interval '1 s'));

# The source stops sending: what has arrived is seen.
$other->query_safe('ROLLBACK');
my $sender = $source->wait_for_pid(q(query LIKE 'COPY %sensor_readings%' AND state = 'active'));
my $rows;
foreach (1 .. 200)
{
	$rows = progress('rows', "table_name = '$readings' AND status = 'loading' AND step = 'load'");
	last if $rows;
}
kill 'STOP', $sender;
my $now = progress('rows > 0, rows <= 100000, bytes > 0, bytes_per_second > 0, percent BETWEEN 0 AND 100, eta >= interval \'0\', worker_pid IN (SELECT pid FROM pg_stat_progress_copy)',
	"table_name = '$readings' AND step = 'load' AND status = 'loading'");
kill 'CONT', $sender;
SKIP:
{
	skip 'the rows were loaded too fast to be seen', 1 if $now eq '';
	is($now, 't|t|t|t|t|t|t', 'rows are seen while they arrive');
}

my ($exit, $stdout, $stderr) = $wait->finish;
like($stderr, qr/NOTICE: .* load tables: \d+ of \d+ tables, /,
	'who waits for the run sees the same');
like($stderr, qr/NOTICE: .* table $readings: 100000 rows, /, 'a line for each finished table included');
($exit, $stdout, $stderr) = $run->finish;
is($exit, 0, 'the run succeeds');
like($stderr, qr/NOTICE: .* table $readings: 100000 rows, \d+ \w+ in [\d.]+ s, \d+ \w+\/s/,
	'a line for a finished table');
like($stderr, qr/NOTICE: .* load tables: \d+ of \d+ tables, \d+ rows, \d+ \w+/,
	'a line now and then');

is( $target->sql(q(SELECT message FROM ftm_log WHERE level = 'WARNING' ORDER BY log_id)),
	join("\n", $stderr =~ /WARNING: +\w{5}: (.*)/g),
	'the log has the warnings that the caller got');

is( progress('status, step, percent, eta', 'table_name IS NULL'),
	'verified||100.0|',
	'the last run remains to be seen');
is( progress('rows, status, worker_pid, waiting_for', "table_name = '$readings'"),
	'100000|verified||',
	'and its tables');
is( progress('count(*)', 'table_name IS NOT NULL'),
	$target->sql('SELECT count(*) FROM ftm_run_table'),
	'one row per table');

# Who wants to hear nothing hears nothing.
$target->sql(q(SELECT ftm_rollback(1)));
$target->sql(q(ALTER DATABASE postgres SET client_min_messages = warning));
($exit, $stdout, $stderr) =
  $target->start_sql(q(SELECT ftm_run_migration(users => false)))->finish;
$target->sql(q(ALTER DATABASE postgres RESET client_min_messages));
is($exit, 0, 'the run succeeds again');
unlike($stderr, qr/NOTICE/, 'client_min_messages silences it');

# ---------------------------------------------------------------------------
# The log file
# ---------------------------------------------------------------------------

sub log_lines
{
	return map { decode_json($_) } split /\n/, slurp_file($log_file);
}

is(sprintf('%o', (stat $log_file)[2] & 0777), '600', 'nobody else reads the log file');
my @lines = log_lines();
my $query = q(SELECT run_id, level, table_name, message, figures::text,
	to_char(logged_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
	FROM ftm_log);
my @in_table = sort split /\n/, $target->sql($query);
my @in_file  = sort map {
	join '|', $_->{run}, $_->{level}, $_->{table} // '', $_->{message},
	  (%{ $_->{figures} } ? figures($_->{figures}) : ''), $_->{time}
} @lines;

# As jsonb prints it: shorter keys first.
sub figures
{
	my ($figures) = @_;
	return '{'
	  . join(', ',
		map { qq("$_": ) . ($_ eq 'step' ? qq("$figures->{$_}") : $_ eq 'seconds' ? sprintf('%.3f', $figures->{$_}) : $figures->{$_}) }
		  sort { length $a <=> length $b || $a cmp $b } keys %$figures)
	  . '}';
}
is_deeply(\@in_file, \@in_table, 'ftm_log and the log file say the same');
my ($loaded) = grep { ($_->{table} // '') eq $readings && $_->{run} == 1 && $_->{message} =~ /^loaded/ } @lines;
is($loaded->{figures}{rows}, 100000, 'figures of a load');

# A file that was moved away is made again.
my $before = @lines;
rename $log_file, "$log_file.1" or die;
$target->sql(q(SELECT ftm_rollback(2)));
is_deeply([ map { $_->{message} } log_lines() ], ['run rolled back'], 'reopened after rotation');

# An error is logged as one; what was rolled back is not.
$target->sql('ALTER TABLE public.sensor_readings ADD CONSTRAINT fails CHECK (false) NOT VALID');
my ($state) = $target->sql_error('SELECT ftm_run_migration(users => false)');
@lines = log_lines();
is( scalar(grep { $_->{level} eq 'ERROR' && ($_->{table} // '') eq $readings } @lines),
	1,
	'a failure is logged');
is( scalar(grep { ($_->{table} // '') eq $readings && $_->{message} =~ /^loaded/ } @lines),
	0,
	'a load that was rolled back is not');
$target->sql('ALTER TABLE public.sensor_readings DROP CONSTRAINT fails');

# What cannot be written is no reason to stop.
foreach my $case ([ 'in a missing folder', '/nonexistent/x.log' ],
	[ 'behind a symbolic link', $target->basedir . '/link.log' ],
	[ 'that nobody reads', $target->basedir . '/fifo.log' ])
{
	my ($name, $path) = @$case;

	symlink "$log_file.2", $path if $path =~ /link/;
	system('mkfifo', $path) if $path =~ /fifo/;
	$target->sql(qq(LOAD 'ftmigrate'; ALTER DATABASE postgres SET ftmigrate.log_file = '$path'));
	($exit, $stdout, $stderr) = $target->start_sql(
		q(SELECT ftm_run_migration(users => false, restart => true)))->finish;
	is($exit, 0, "a run with a log file $name succeeds");
	like($stderr, qr/WARNING: .* could not open log file "\Q$path\E"/, 'and says so');
}
ok(!-e "$log_file.2", 'the link was not followed');

($state) = $target->sql_error(q(LOAD 'ftmigrate'; SET ftmigrate.log_file = 'relative.log'));
is($state, '22023', 'a relative path is refused');
($state) = $target->sql_error(q(LOAD 'ftmigrate'; SET ROLE watcher; SET ftmigrate.log_file = '/tmp/x'));
is($state, '42501', 'the log file is for superusers to decide');

# ---------------------------------------------------------------------------
# The steps after the load
# ---------------------------------------------------------------------------

# Locks are granted in the order in which they were asked for.  So a table that
# nothing refers to can be withheld from each step that needs it, one by one.
# Its generated column waits for a lock of its own, and so does its index: in C,
# since code in other languages is not called before all rows are there.
$_->sql(<<'SQL') foreach $source, $target;
CREATE FUNCTION public.waits(bigint) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'pg_advisory_xact_lock_shared_int8';
CREATE TABLE public.alone (id int PRIMARY KEY, waited int GENERATED ALWAYS AS (public.waits(42 + 0 * id)) STORED);
CREATE INDEX alone_index ON public.alone (public.waits(43 + 0 * id));
SQL
$source->sql('ALTER TABLE public.alone OWNER TO postgres; INSERT INTO public.alone VALUES (1)');
$target->sql(q(ALTER DATABASE postgres RESET ftmigrate.log_file; SELECT ftm_rollback(max(run_id)) FROM ftm_run));

# Asks for the table, and waits until the request is queued (or granted; then
# the preflight can still read it).
sub withhold
{
	my ($granted) = @_;
	my $mode = $granted ? 'ACCESS SHARE' : 'ACCESS EXCLUSIVE';
	my $call = $target->start_sql("BEGIN; LOCK TABLE public.alone IN $mode MODE; SELECT pg_sleep(600)");
	my $condition = $granted ? q(wait_event = 'PgSleep') : q(wait_event_type = 'Lock' AND query LIKE 'BEGIN; LOCK%');

	return [ $call, $target->wait_for_pid("$condition AND backend_type = 'client backend'") ];
}

sub let_go
{
	my ($call, $pid) = @{ $_[0] };

	$target->sql("SELECT pg_terminate_backend($pid)");
	$call->finish;
	return;
}

# Waits until everything but that table is done in a step.
sub wait_for_step
{
	my ($step, $run_id) = @_;

	$target->wait_for(
		"SELECT count(*) = 1 FROM ftm_progress WHERE table_name IS NULL AND step = '$step' AND tasks_done = tasks - 1 AND run_id IS NOT DISTINCT FROM $run_id");
	return;
}

my $holder_of_load = withhold(1);
$run = $target->start_sql('SELECT ftm_run_migration(users => false)');
$target->wait_for(
	q(SELECT count(*) = 1 FROM ftm_progress WHERE table_name = 'public.alone' AND waiting_for LIKE 'Lock:%'));
my $holder_of_analyze = withhold(0);
$other->query_safe('BEGIN; SELECT pg_advisory_xact_lock(43)');
let_go($holder_of_load);
$target->wait_for(
	"SELECT count(*) = 1 FROM ftm_progress WHERE waiting_for = 'Lock: advisory, held by $holder'");
is( progress('step, status, rows, worker_pid IN (SELECT pid FROM pg_stat_progress_create_index)', q(table_name = 'public.alone')),
	'rebuild index alone_index|loading|1|t', 'an index that is being rebuilt');
$other->query_safe('COMMIT');
my $run_id = $target->sql('SELECT max(run_id) FROM ftm_run');
wait_for_step('analyze tables', $run_id);
is( progress('step, status, tasks_done', q(table_name = 'public.alone')),
	'analyze|loaded|', 'a table that is being analyzed');
# ANALYZE asks more than once.
my $holder_of_verify = $holder_of_analyze;
foreach (1 .. 10)
{
	my $next = withhold(0);

	let_go($holder_of_verify);
	$holder_of_verify = $next;
	$target->wait_for(
		"SELECT count(*) = 1 FROM ftm_progress WHERE waiting_for = 'Lock: relation, held by $next->[1]'");
	last if progress('step', q(table_name = 'public.alone')) eq 'verify';
}
wait_for_step('verify', $run_id);
my $leader = $target->sql(q(SELECT leader_pid FROM ftm_run WHERE status = 'running'));
is( progress(qq(step, status, worker_pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'ftmigrate for PID $leader'), waiting_for LIKE 'Lock: relation, held by %'),
		q(table_name = 'public.alone')),
	'verify|loaded|t|t', 'a table that is being verified, and by whom');
is( progress('count(*)', q(table_name <> 'public.alone' AND status <> 'verified')),
	'0', 'the others are verified');
is( progress('percent', 'table_name IS NULL'),
	$target->sql(q(SELECT round(100 * sum(estimated_bytes) FILTER (WHERE table_name <> 'public.alone') / sum(estimated_bytes), 1)
		FROM ftm_run_table WHERE run_id = ) . $run_id),
	'how much is verified');
let_go($holder_of_verify);
($exit, $stdout, $stderr) = $run->finish;
is($exit, 0, 'the run succeeds once more') or diag $stderr;
like($stderr, qr/NOTICE: +\w+: +analyze tables: \d+ of \d+\n/, 'it has told about its last steps');
like($stderr, qr/NOTICE: +\w+: +verify: \d+ of \d+, [\d:]+ left\n/, 'and how long they would take');
is( $target->sql("SELECT kind, ok, count(*) > 1 FROM ftm_run_verdict WHERE run_id = $run_id GROUP BY 1, 2 ORDER BY 1"),
	"foreign key|t|t\nfreeze|t|f\nindexes and constraints|t|t\nschema|t|t\nuser map|t|f",
	'what was verified beside the tables remains');

# A verification that is no run.
$other->query_safe('BEGIN; SELECT pg_advisory_xact_lock(42)');
my $verify = $target->start_sql(q(SELECT bool_and(ok) FROM ftm_verify(include => '{alone,devices}')));
wait_for_step('verify', 'NULL::bigint');
is( progress(q(table_name, step, waiting_for, (SELECT count(*) FROM pg_stat_activity a WHERE a.pid = worker_pid)), 'run_id IS NULL AND table_name IS NOT NULL'),
	"public.alone|verify|Lock: advisory, held by $holder|1",
	'ftm_verify() is seen, too');
is( progress('worker_pid', 'run_id IS NULL AND table_name IS NULL'),
	$target->sql(q(SELECT pid FROM pg_stat_activity WHERE query LIKE '%bool\_and(ok) FROM ftm\_verify%' AND pid <> pg_backend_pid())),
	'and who has called it');
$target->wait_for(
	q(SELECT count(*) > 0 FROM pg_stat_activity
	  WHERE query LIKE 'SELECT bool\_and(ok)%' AND query_start < clock_timestamp() - interval '1 s'));
$other->query_safe('COMMIT');
($exit, $stdout, $stderr) = $verify->finish;
is($stdout, "t\n", 'it finds no difference');
like($stderr, qr/NOTICE: +\w+: +verify: \d+ of \d+, now public\.alone/, 'and says what it is doing');

done_testing();
