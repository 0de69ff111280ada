
# 24 sessions at once that call things they may not, or the same thing: each
# gets its answer or a clean error, and nothing is harmed.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use RunGates;
use Test::More;

my $sessions = 24;
my $source   = start_source(users => 25, readings => 500);

# Enough slots that a run never lacks them, and verifications may.
my $target = start_target($source,
	conf => "max_connections = 100\nmax_worker_processes = 40\n");
fill_user_map($source, $target);
decide_user_columns($target);
my $gates     = RunGates->new($target);
my $directory = $target->basedir . '/export';
mkdir $directory or die "could not make $directory: $!";
my $counts = row_counts($source);

$target->sql(<<'SQL');
CREATE ROLE nobody LOGIN;
CREATE ROLE somebody LOGIN;
GRANT EXECUTE ON FUNCTION ftm_run_migration, ftm_import, ftm_export, ftm_rollback,
	ftm_cancel, ftm_verify, ftm_wait, ftm_diff, ftm_check, ftm_scan_user_ids TO somebody;
GRANT USAGE ON FOREIGN SERVER supabase TO somebody;
CREATE USER MAPPING FOR somebody SERVER supabase OPTIONS (user 'postgres', password 'wrong');
SQL

# Start all statements at once, each alone or with options of its session, and
# wait for them; a list of SQLSTATEs, '' for success.
sub states_of
{
	my @calls;

	foreach my $statement (@_)
	{
		my ($sql, $options) = ref $statement ? @$statement : ($statement);
		local $ENV{PGOPTIONS} = $options // '';

		push @calls, $target->start_sql($sql);
	}
	return map { state_of_call($_) } @calls;
}

sub state_of_call
{
	my ($call) = @_;
	my ($exit, $out, $err) = $call->finish;
	my ($state) = $err =~ /(?:ERROR|FATAL): +([0-9A-Z]{5}): /;

	return '' if $exit == 0;
	$state //= "psql: $err";
	diag $err if $state =~ /^XX|psql/;
	return $state;
}

sub tally
{
	my %count;

	$count{$_}++ foreach @_;
	return \%count;
}

# The same run, 24 times: one does it, the others are told.
$gates->close_before('load table');
my @calls = map {
	my $wait = $_ % 2 ? 'true' : 'false';
	$target->start_sql("SELECT ftm_run_migration(users => false, wait => $wait)")
} 1 .. $sessions;
$gates->reach('load table');

# What may not be done beside it, and what may.  Verification waits for the lock
# on the table that is loaded.
my $as_nobody   = '-c role=nobody';
my $as_somebody = '-c role=somebody';
my %beside = (
	'a rollback'             => [ '55006', 'SELECT ftm_rollback(1)' ],
	'a run of one table'     => [ '55006', q(SELECT ftm_run_migration(users => false, include => '{hubs}')) ],
	'matching users'         => [ '55006', 'SELECT ftm_match_users()' ],
	'a verification'         => [ '55P03', 'SELECT ftm_verify()', '-c ftmigrate.lock_timeout=200ms' ],
	'a run of nobody'        => [ '42501', 'SELECT ftm_run_migration()', $as_nobody ],
	'a cancel of nobody'     => [ '42501', 'SELECT ftm_cancel(1)', $as_nobody ],
	'a cancel of somebody'   => [ '42501', 'SELECT ftm_cancel(1)', $as_somebody ],
	'a rollback of somebody' => [ '55006', 'SELECT ftm_rollback(1)', $as_somebody ],
	'an export of somebody'  => [ '42501', "SELECT ftm_export('$directory')", $as_somebody ],
	'an import of somebody'  => [ '42501', "SELECT ftm_import('$directory')", $as_somebody ],
	'a run of somebody'      => [ '55006', 'SELECT ftm_run_migration(users => false)', $as_somebody ],
	'a verification of somebody' => [ '28P01', 'SELECT ftm_verify()', $as_somebody ],
	'the state by nobody'    => [ '42501', 'SELECT * FROM ftm_run', $as_nobody ],
	'a change of the state'  => [ '42501', 'DELETE FROM ftm_user_map', $as_somebody ],
	'the progress by nobody' => [ '42501', 'SELECT * FROM ftm_progress', $as_nobody ],
	'an import of nothing'   => [ '58P01', "SELECT ftm_import('$directory')" ],
	'a run in a transaction' => [ '25001', 'BEGIN; SELECT ftm_run_migration()' ],
	'dropping the source'    => [ '42501', 'DROP SERVER supabase CASCADE', $as_somebody ],
	'the progress'           => [ '', 'SELECT * FROM ftm_progress' ],
	'a plan'                 => [ '55P03', 'SELECT ftm_plan()', '-c ftmigrate.lock_timeout=200ms' ],
	'a report'               => [ '', 'SELECT ftm_report(1)' ],
	'a wait that ends'       => [ '57014', 'SELECT ftm_wait(1)', '-c statement_timeout=200ms' ],
	'the log'                => [ '', 'SELECT * FROM ftm_log' ],
	'a look-up'              => [ '', q(SELECT * FROM ftm_lookup_user('nobody@example.com')) ]);
my @names = sort keys %beside;
is(scalar @names, $sessions, "$sessions different calls");
my @states = states_of(map { [ @{ $beside{$_} }[ 1, 2 ] ] } @names);
is($states[$_], $beside{ $names[$_] }[0], "beside a run: $names[$_]") foreach 0 .. $#names;

$gates->open;
is_deeply(tally(map { state_of_call($_) } @calls), { '' => 1, '55006' => $sessions - 1 },
	'the same run at once: one does it');
$target->sql('SELECT ftm_wait()');
is($target->sql('SELECT run_id, status, calls FROM ftm_run'), '1|verified|1', 'there is one run');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');

# The same reading call at once: all get their answer, unless there are no
# workers left for them.
foreach my $sql (
	'SELECT ftm_verify()', 'SELECT ftm_check()',
	q(SELECT ftm_diff('public.hubs')), 'SELECT ftm_scan_user_ids()',
	q(SELECT ftm_accept_user_columns()), 'SELECT ftm_plan()')
{
	my $tally = tally(states_of(($sql) x $sessions));
	my $done  = delete $tally->{''};

	cmp_ok($done // 0, '>', 0, "$sql at once: done");
	delete $tally->{'53000'} if $sql =~ /verify/;
	is_deeply($tally, {}, "$sql at once: no other error");
}
is($target->sql('SELECT count(*) FROM ftm_user_column'),
	$target->sql('SELECT count(DISTINCT (schema_name, table_name, column_name)) FROM ftm_user_column'),
	'every column is found once');

# A run that is complete, again: nothing is loaded by anybody.
my $xmin = $target->sql('SELECT max(xmin::text::bigint) FROM public.sensor_readings');
my $tally = tally(states_of(('SELECT ftm_run_migration(users => false)') x $sessions));
cmp_ok(delete $tally->{''} // 0, '>', 0, 'a complete run at once: nothing to do');
delete $tally->{'55006'};
is_deeply($tally, {}, 'or not now');
is($target->sql('SELECT max(xmin::text::bigint) FROM public.sensor_readings'),
	$xmin, 'and nothing is done');

# The same directory.  Who is first writes it, or finds it written.
$tally = tally(states_of(("SELECT ftm_export('$directory')") x $sessions));
is(delete $tally->{''}, 1, 'exports into one directory: one writes it');
is(join(' ', grep { !/^(55006|58P02)$/ } sort keys %$tally), '', 'the others are told');
is($target->sql("SELECT kind, object, detail FROM ftm_verify_export('$directory') WHERE NOT ok"),
	'', 'it is complete');
$tally = tally(states_of(
	("SELECT ftm_export('$directory', overwrite => true)") x 8,
	("SELECT ftm_verify_export('$directory')") x 8,
	("SELECT ftm_import('$directory')") x 8));
is(join(' ', grep { !/^(|55006|53000|55000)$/ } sort keys %$tally), '',
	'writing and reading one directory: done, or told') or diag explain $tally;
is($target->sql("SELECT kind, object, detail FROM ftm_verify_export('$directory') WHERE NOT ok LIMIT 5"),
	'', 'it is complete');
is_deeply([ glob "$directory/*.partial" ], [], 'and nothing else is in it');

# The same rollback.
$gates->close_before('roll back run');
@calls = map { $target->start_sql('SELECT ftm_rollback(1)') } 1 .. $sessions;
$gates->reach('roll back run');
@states = states_of('SELECT ftm_run_migration(users => false)', 'SELECT ftm_rollback(1)');
is_deeply(\@states, [ '55006', '55006' ], 'beside a rollback');
$gates->open;
$tally = tally(map { state_of_call($_) } @calls);
is(delete $tally->{''}, 1, 'the same rollback at once: one does it');
is(join(' ', grep { !/^(55006|55000)$/ } sort keys %$tally), '', 'the others are told');
my $left = row_counts($target);
is_deeply([ grep { $left->{$_} } sort keys %$counts ], [], 'all tables are empty');

# Cancelling one run from everywhere at once.
$gates->close_before('load table');
my $run = $target->start_sql('SELECT ftm_run_migration(users => false)');
$gates->reach('load table');
$tally = tally(states_of(('SELECT ftm_cancel(max(run_id)) FROM ftm_run') x $sessions));
is_deeply($tally, { '' => $sessions }, 'cancels of one run: none fails');
my ($exit, $out, $err) = $run->finish;
like($err, qr/ERROR:  57014/, 'and it is cancelled');
$gates->open;

# Two sources with the same tables: the second finds them filled, or locked.
$target->connect_source($source, name => 'other');
$tally = tally(states_of(
	map { "SELECT ftm_run_migration('" . ($_ % 2 ? 'supabase' : 'other') . "', users => false)" } 1 .. $sessions));
is(join(' ', grep { !/^(|55006|55000|55P03|40P01|23503)$/ } sort keys %$tally), '',
	'runs from two sources at once') or diag explain $tally;
foreach my $server ('supabase', 'other')
{
	$target->sql("SELECT ftm_rollback(run_id) FROM ftm_run WHERE source = '$server' AND status <> 'rolled back'");
}
$target->sql('SELECT ftm_run_migration(users => false)');
is_deeply([ compare_rows($source, $target) ], [], 'nothing is harmed: target equals source');
is( $target->sql(
		q(SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated)),
	'0', 'all foreign keys are valid');
is( $target->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')),
	'0', 'no worker is left');

# Nothing of it surprised the servers.
foreach my $node ($source, $target)
{
	unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile),
		qr/PANIC|TRAP|terminated by signal|ERROR:  (cache lookup|tuple concurrently|could not open relation|unexpected)/,
		'the log of the ' . $node->name . ' is clean');
}

done_testing();
