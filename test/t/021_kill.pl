
# Whatever is killed (kill -9), in whatever step of a run or of a rollback:
# each table is empty or complete, a repeated call finishes what was begun, and
# then the target equals the source by plain SQL.
#
# FTM_TEST_KILLS: how many kills, 100 with FTM_TEST_LONG.  FTM_TEST_SEED: repeats
# what another run did, as far as the servers' timing allows.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use RunGates;
use SampledTest;
use StackAuthStandIn;
use Test::More;
use Time::HiRes qw(time usleep);

my $kills = $ENV{FTM_TEST_KILLS} || how_many(21, 100);
my $users = 25;

my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => $users, readings => 500,
	conf => "restart_after_crash = on\n");
my $target = start_target($source, conf => "restart_after_crash = on\n");
decide_user_columns($target);
$target->connect_auth_server($stack);
$target->sql(q(ALTER DATABASE postgres SET ftmigrate.retry_delay = '100ms';
	ALTER DATABASE postgres SET ftmigrate.retries = 8;
	ALTER DATABASE postgres SET ftmigrate.auth_settle_time = '200ms'));
my $gates  = RunGates->new($target);
my $counts = row_counts($source);
my $before = state_of_target();

my @steps = ('create users', 'load table', 'rebuild indexes',
	'check foreign key', 'verify', 'roll back run', 'delete users');
my %is_of_rollback = ('roll back run' => 1, 'delete users' => 1);
my @own_victims = ('worker', 'leader', 'target');
my @victims = (@own_victims, 'connection to the source', 'source');

# What a rollback must bring back.
sub state_of_target
{
	return join "\n", sequence_positions($target), $target->sql(<<'SQL');
SELECT conrelid::regclass, conname, convalidated FROM pg_constraint
WHERE contype = 'f' ORDER BY conrelid::regclass::text, conname
SQL
}

# kill -9 one process of which the condition is true; false if there is none.
sub kill_one
{
	my ($node, $condition) = @_;
	my $pid = $node->sql(<<SQL);
SELECT pid FROM pg_stat_activity
WHERE ($condition) AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1
SQL
	return $pid && kill('KILL', $pid);
}

# A server whose postmaster is gone can start when its children are, too.
sub restart_killed
{
	my ($node) = @_;

	for (1 .. 200)
	{
		return if $node->start(fail_ok => 1);
		$node->{_pid} = undef;
		usleep 50_000;
	}
	die 'server does not come back';
}

my %kill = (
	'worker' => sub {
		return kill_one($target, "backend_type = 'ftmigrate worker'");
	},
	'leader' => sub {
		return kill_one($target,
			"backend_type = 'ftmigrate leader' OR (backend_type = 'client backend'"
			  . " AND state = 'active' AND query ~ '^SELECT ftm_(run_migration|rollback)')");
	},
	'target' => sub {
		$target->kill9;
		restart_killed($target);
		return 1;
	},
	'connection to the source' => sub {
		return kill_one($source, "application_name = 'ftmigrate'");
	},
	'source' => sub {
		$source->kill9;
		restart_killed($source);
		return 1;
	});

# Servers that restart by themselves, and what is on its way out.
sub wait_until_quiet
{
	foreach ([ $target, "backend_type LIKE 'ftmigrate%'" ],
		[ $source, "application_name = 'ftmigrate'" ])
	{
		my ($node, $condition) = @$_;
		my $attempts = 0;

		until (eval {
				$node->sql("SELECT count(*) FROM pg_stat_activity WHERE $condition") eq '0'
			})
		{
			die 'servers do not come to rest' if $attempts++ > 1000;
			usleep 20_000;
		}
	}
	return;
}

my (%killed, %killed_at_gate, %victims_killed, %resumed, %went_on, %visits);

# Kill somebody when the call has come to a step: by turns while it waits at the
# gate, and a moment after it was let through.
sub kill_at
{
	my ($step, $victim) = @_;
	my $at_gate = $visits{$step}++ % 2 == 0;

	$gates->reach($step);
	usleep rand 20_000;
	if (!$at_gate)
	{
		$gates->open;
		usleep rand 30_000;
	}
	my $hit = eval { $kill{$victim}->() };
	$gates->open;
	return if !$hit;
	$killed{$step}++;
	$killed_at_gate{$step}++ if $at_gate;
	$victims_killed{$victim}++;
	return;
}

# After a kill: does anything lie?
sub check_tables
{
	my ($what) = @_;
	my $found   = row_counts($target);
	my @partial = grep { $found->{$_} != 0 && $found->{$_} != $counts->{$_} }
	  sort keys %$counts;

	is_deeply(\@partial, [], "$what: no table is partial");
	is($target->sql(<<'SQL'), '0|0', "$what: indexes are valid, what is recorded as loaded is there");
SELECT (SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready)),
	(SELECT count(*) FROM ftm_run_table t JOIN ftm_run r USING (run_id)
	 WHERE t.status = 'loaded' AND r.status <> 'rolled back'
		AND t.rows <> (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ONLY ' || t.table_name, false, true, '')))[1]::text::int)
SQL
	return $found;
}

# Users who are in the auth service, by the id they had in the source.
sub users_by_source
{
	return map { ($_->{server_metadata}{ftmigrate}{supabase_user_id} => $_->{id}) }
	  @{ $stack->test_call('GET', 'users')->{users} };
}

sub run_with_kill
{
	my ($step, $victim, $round) = @_;
	my $background = $round % 2;
	my $sql        = 'SELECT ftm_run_migration(wait => '
	  . ($background ? 'false' : 'true') . ')';
	my $what = "$round: $victim killed at $step"
	  . ($background ? ', in the background' : '');

	$gates->close_before($step);
	my $call = $target->start_sql($sql);
	kill_at($step, $victim);
	$call->finish;
	wait_until_quiet();

	check_tables($what);
	my $status = $target->sql('SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1');
	if ($status eq 'verified')
	{
		$went_on{$step}++;
	}
	else
	{
		my ($exit, $out, $err) =
		  $target->start_sql('SELECT ftm_run_migration()')->finish;
		is($exit, 0, "$what: the repeated call succeeds") or diag $err;
		$resumed{$step}++ if $err =~ /NOTICE:.*continuing run/;
	}
	is_deeply([ compare_rows($source, $target) ], [], "$what: target equals source");
	my %made = users_by_source();
	is_deeply(
		{ map { split /\|/ } split /\n/,
			$target->sql('SELECT source_user_id, target_user_id FROM ftm_user_map') },
		\%made, "$what: the map is true");
	is(scalar @{ $stack->test_call('GET', 'users')->{users} },
		$users, "$what: every user exists once");
	is( $target->sql(
			q(SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated)),
		'0', "$what: all foreign keys are valid");
	return;
}

sub roll_back
{
	my ($step, $victim, $round) = @_;
	my $run = $target->sql('SELECT max(run_id) FROM ftm_run');
	my $sql = "SELECT ftm_rollback($run, users => true)";
	my $what = "$round: rollback";

	if ($step)
	{
		$what = "$round: $victim killed at $step";
		$gates->close_before($step);
		my $call = $target->start_sql($sql);
		kill_at($step, $victim);
		$call->finish;
		wait_until_quiet();

		my $found = check_tables($what);
		my $rows  = grep { $found->{$_} != 0 } keys %$counts;
		my $full  = grep { $counts->{$_} != 0 } keys %$counts;
		ok($rows == 0 || $rows == $full, "$what: all tables are empty, or none");
		$resumed{$step}++
		  if $target->sql('SELECT count(*) FROM ftm_user_map') ne '0';
	}
	my ($exit, $out, $err) = $target->start_sql($sql)->finish;
	is($exit, 0, "$what: done") or diag $err;
	my $found = row_counts($target);
	is_deeply([ grep { $found->{$_} } sort keys %$counts ], [], "$what: all tables are empty");
	is(state_of_target(), $before, "$what: sequences and keys are what they were");
	is(scalar @{ $stack->test_call('GET', 'users')->{users} }, 0, "$what: the users are gone");
	is($target->sql('SELECT count(*) FROM ftm_user_map'), '0', "$what: and forgotten");
	return;
}

# Every step with every victim in turn: 5 runs and 2 rollbacks make 7 kills.
my @run_steps      = grep { !$is_of_rollback{$_} } @steps;
my @rollback_steps = grep { $is_of_rollback{$_} } @steps;
my $total          = 0;
for (my $round = 0; $total < $kills; $round++)
{
	my $cycle = int($round / @run_steps);
	my $place = $round % @run_steps;

	run_with_kill($run_steps[$place], $victims[ ($place + $cycle) % @victims ], $round);

	my $step = $place % 2 ? $rollback_steps[ $place > 2 ] : undef;
	roll_back($step, $own_victims[ ($cycle + $place) % @own_victims ], $round);
	$total = 0;
	$total += $_ foreach values %killed;
}

# "went on": the run has survived the loss of its source.
note sprintf '%-20s %6s %8s %8s %8s', 'step', 'kills', 'at gate', 'resumed', 'went on';
foreach my $step (@steps)
{
	note sprintf '%-20s %6d %8d %8d %8d', $step,
	  map { $_->{$step} // 0 } \(%killed, %killed_at_gate, %resumed, %went_on);
	cmp_ok($killed_at_gate{$step} // 0, '>', 0, "somebody was killed at: $step");
}
note "$_: $victims_killed{$_} kills" foreach sort keys %victims_killed;
is_deeply([ sort keys %victims_killed ], [ sort @victims ], 'everybody was killed');

$target->stop;
$source->stop;
done_testing();
