
# ftm_rollback(users => true) can be interrupted and repeated; it finds users of
# whom the run has not heard any more, and touches nobody else's.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use RunGates;
use StackAuthStandIn;
use Test::More;

my $stack  = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 50, readings => 100);
my $target = start_target($source);
decide_user_columns($target);
$target->connect_auth_server($stack);
my $gates = RunGates->new($target);
my $call  = 'SELECT ftm_run_migration()';

sub users
{
	return scalar @{ $stack->test_call('GET', 'users')->{users} };
}

# What the service refuses is known before the rows are gone.
$target->sql($call);
my $rows = $target->sql('SELECT count(*) FROM profiles');
$stack->set_faults({ kind => 'recorded', method => 'DELETE', answer => {
	status => 400, headers => { 'x-stack-known-error' => 'BODY_PARSING_ERROR' },
	body => { code => 'BODY_PARSING_ERROR', error => 'Invalid JSON in request body' } } });
my ($refused, $refusal) = $target->sql_error('SELECT ftm_rollback(1, users => true)');
is($refused, 'HV000', 'the service refuses to delete users');
like($refusal, qr/could not delete users .*BODY_PARSING_ERROR/s, 'and says why');
is($target->sql('SELECT count(*) FROM profiles'), $rows, 'the rows are still there');
is($target->sql('SELECT status FROM ftm_run'), 'verified', 'and so is the run');
$stack->set_faults();
$target->sql('SELECT ftm_rollback(1, users => true)');
is(users(), 0, 'when it does not, all is gone');
unlike(join(' ', map { $_->{headers}{'content-type'} // () } grep { $_->{method} =~ /GET|DELETE/ }
	@{ $stack->test_call('GET', 'requests')->{requests} }), qr/./, 'without a body there is no content type');
cmp_ok($stack->test_call('GET', 'counters')->{peak_in_flight}, '>', 1, 'several requests at a time');
$target->sql('DELETE FROM ftm_run; ALTER TABLE ftm_run ALTER run_id RESTART');

# Interrupted between the rows and the users: the next call goes on.
$target->sql($call);
is(users(), 50, 'a run makes users');
$gates->close_before('delete users');
my $rollback = $target->start_sql('SELECT count(*) FROM ftm_rollback(1, users => true)');
$gates->reach('delete users');
$target->sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT count.*ftm_rollback'));
my ($exit, $out, $err) = $rollback->finish;
is($exit, 2, 'a rollback is interrupted');
$target->wait_for(q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'));
$gates->open;
is($target->sql('SELECT status FROM ftm_run'), 'rolled back', 'the rows are gone');
cmp_ok(users(), '>', 40, 'most users are not');
my ($state) = $target->sql_error('SELECT ftm_rollback(1)');
is($state, '55000', 'the rows again: refused');
($exit, $out, $err) = $target->start_sql('SELECT count(*) FROM ftm_rollback(1, users => true)')->finish;
is($exit, 0, 'the users again: done') or diag $err;
is($out, "0\n", 'no table is emptied');
is(users(), 0, 'the users are gone');
is($target->sql('SELECT count(*) FROM ftm_user_map'), '0', 'and so is the map');
is($target->sql('SELECT count(*) FROM ftm_rollback(1, users => true)'), '0', 'once more: nothing to do');

# Killed while answers were on their way: these users were made, and the run has
# not heard of them.  Somebody else's users carry another run's number, or none.
$gates->close_before('create users');
my $run = $target->start_sql($call);
$gates->reach('create users');
$target->sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker'));
$run->finish;
$gates->open;
my $id = $target->sql('SELECT max(run_id) FROM ftm_run');
cmp_ok(users(), '>', 0, 'users were made');
cmp_ok($target->sql(q(SELECT count(*) FROM ftm_user WHERE status = 'sending')), '>', 0, 'and not heard of');
my @strangers = map { $target->sql(
		"SELECT source_user_id FROM ftm_user WHERE status = 'pending' ORDER BY 1 OFFSET $_ LIMIT 1") } 0, 1;
$stack->api('POST', '/users', {
	primary_email => 'other@example.com',
	server_metadata => { ftmigrate => { supabase_user_id => $strangers[0], run => $id + 100 } } });
$stack->api('POST', '/users', {
	primary_email => 'native@example.com',
	server_metadata => { ftmigrate => { supabase_user_id => $strangers[1] } } });
$target->sql("UPDATE ftm_user SET status = 'sending', sent_at = clock_timestamp(), run_id = $id WHERE source_user_id IN ('$strangers[0]', '$strangers[1]')");
$target->sql("SELECT ftm_rollback($id, users => true)");
is_deeply([ sort map { $_->{primary_email} // $_->{contact_channels}[0]{value} } @{ $stack->test_call('GET', 'users')->{users} } ],
	[ 'native@example.com', 'other@example.com' ], 'users of whom nobody has heard are deleted, others are not');
is($target->sql(q(SELECT count(*) FROM ftm_user WHERE status <> 'pending')), '0', 'no user is in doubt any more');
$stack->api('DELETE', "/users/$_->{id}") foreach @{ $stack->test_call('GET', 'users')->{users} };

# Users whom another run's rows belong to stay, unless forced.
$target->sql(q(SELECT ftm_run_migration(include => '{organizations}')));
$id = $target->sql('SELECT max(run_id) FROM ftm_run');
$target->sql(q(SELECT ftm_run_migration(exclude => '{organizations}')));
($state, $err) = $target->sql_error("SELECT ftm_rollback($id, users => true)");
is($state, '55000', 'users of another run\'s rows: refused');
like($err, qr/rows that run \d+ loaded may belong to users that run $id created/, 'named');
is(users(), 50, 'and nothing is done');
is($target->sql("SELECT status FROM ftm_run WHERE run_id = $id"), 'verified', 'nor rolled back');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
$target->sql("SELECT ftm_rollback($id, users => true)");
is(users(), 0, 'after that run was rolled back: done');

$target->stop;
$source->stop;
done_testing();
