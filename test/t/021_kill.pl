
# Whatever is killed, whenever: each table is empty or complete, and a second
# call finishes the run.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;
use Time::HiRes qw(time usleep);

my $seed   = $ENV{FTM_TEST_SEED}  || (time ^ $$);
my $rounds = $ENV{FTM_TEST_KILLS} || 15;
srand $seed;
note "seed $seed, $rounds kills";

my $source = start_source(users => 100, readings => 30000);
my $target = start_target($source, conf => "restart_after_crash = on\n");
fill_user_map($source, $target);
my $expected = row_counts($source);

my %victims = (
	'worker' => sub {
		kill_process($target, "backend_type = 'ftmigrate worker'", 'KILL');
	},
	'worker, politely' => sub {
		kill_process($target, "backend_type = 'ftmigrate worker'", 'TERM');
	},
	'keeper' => sub {
		kill_process($target, "backend_type = 'ftmigrate keeper'", 'TERM');
	},
	'leader' => sub {
		kill_process($target, "query LIKE '%ftm_run_migration%'", 'KILL');
	},
	'leader, politely' => sub {
		kill_process($target, "query LIKE '%ftm_run_migration%'", 'TERM');
	},
	'statement' => sub {
		kill_process($target, "query LIKE '%ftm_run_migration%'", 'INT');
	},
	'source connection' => sub {
		kill_process($source, "application_name = 'ftmigrate'", 'TERM');
	},
	'source' => sub { $source->stop('immediate'); $source->start; },
	'target' => sub { $target->stop('immediate'); $target->start; });
my @names = sort keys %victims;

# Kill the first process of which the condition is true; false if none is.
sub kill_process
{
	my ($node, $condition, $signal) = @_;
	my $pids = $node->sql(
		"SELECT pid FROM pg_stat_activity WHERE ($condition) AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1"
	);

	return $pids && kill $signal, $pids;
}

# After a crash the server needs a moment until it answers again.
sub wait_until_up
{
	my ($node) = @_;

	$node->poll_query_until('postgres', 'SELECT true')
	  or die 'server does not come back';
	return;
}

# How long a run takes here: kills come at any moment of it.
my $started = time;
$target->sql('SELECT ftm_run_migration(users => false)');
my $duration = time - $started;
note "a run takes $duration s";

my $interrupted = 0;
my $complete    = 1;
foreach my $round (1 .. $rounds)
{
	my $victim = $names[ ($round - 1) % @names ];
	my $call   = $target->start_sql(
		'SELECT ftm_run_migration(users => false, restart => '
		  . ($complete || rand() < 0.3 ? 'true' : 'false')
		  . ')');
	my $delay = int rand 1_000_000 * $duration;

	usleep $delay;
	eval { $victims{$victim}->() };
	my ($exit) = $call->finish;
	wait_until_up($_) foreach $source, $target;
	$complete = $exit == 0;
	$interrupted++ unless $complete;

	# Workers that outlive their leader are on their way out.
	$target->wait_for(
		q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')
	);
	$source->wait_for(
		q(SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'ftmigrate')
	);
	my $found = row_counts($target);
	my @partial =
	  grep { $found->{$_} != 0 && $found->{$_} != $expected->{$_} }
	  sort keys %$expected;
	is_deeply(\@partial, [],
		"$round: $victim killed after $delay us (psql: $exit): no table is partial");
	is( $target->sql(
			q(SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready))
		),
		'0',
		"$round: all indexes are valid");
	is( $target->sql(
			q(SELECT count(*) FROM ftm_run_table t JOIN pg_class c ON c.oid = t.relid
			  WHERE t.run_id = (SELECT max(run_id) FROM ftm_run)
				AND t.status = 'loaded' AND t.rows <> (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ONLY ' || t.table_name, false, true, '')))[1]::text::int)
		),
		'0',
		"$round: what is recorded as loaded is there");
}
note "$interrupted of $rounds calls were interrupted";

$target->sql('SELECT ftm_run_migration(users => false)');
is_deeply([ compare_rows($source, $target) ],
	[], 'the last call finishes: target equals source');
is( $target->sql(
		q(SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated)
	),
	'0',
	'all foreign keys are valid');
cmp_ok($interrupted, '>=', $rounds / 3, 'kills have hit');

done_testing();
