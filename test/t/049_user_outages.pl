
# Outages, lost answers and kills while users are created, in both contracts:
# nobody is made twice, and nobody who exists has failed.
#
# FTM_TEST_LONG=1: all outages and many kills; else a sample.  FTM_TEST_SEED
# repeats it.

use strict;
use warnings;

use File::Temp;
use FtmigrateTest;
use JSON::PP;
use StackAuthStandIn;
use StackAuthTest;
use Test::More;
use Time::HiRes qw(sleep time);

my $long = $ENV{FTM_TEST_LONG};
my $seed = $ENV{FTM_TEST_SEED} || (time ^ $$);
srand $seed;
note "seed $seed";

my $users  = $long ? 370 : 60;
my $source = start_source(users => $users, readings => 0);
my $target = start_target($source, conf => "restart_after_crash = on\n");
my $dir = File::Temp->newdir();
my $stack;
my @with;
my $port;
my $call = 'SELECT count(*) FROM ftm_migrate_users()';

# A service with nobody in it; each user takes it some time, so that an outage
# falls among them.
sub start_service
{
	my ($contract, @faults) = @_;
	my $state = "$dir/$contract" . int(rand 1e9);

	@with = (state_file => $state, config => {
		%quick, contract => $contract, busy_seconds => 0.01,
		idempotency_keys => $contract eq 'hexclave' ? JSON::PP::true : JSON::PP::false });
	$stack = StackAuthStandIn->start(@with, faults => \@faults);
	$port = $stack->port;
	$target->sql('DROP USER MAPPING IF EXISTS FOR CURRENT_USER SERVER stack_auth; DROP SERVER stack_auth') if $target->{_has_service}++;
	$target->connect_auth_server($stack);
	$target->sql(q(TRUNCATE ftm_user, ftm_user_map;
		ALTER DATABASE postgres SET ftmigrate.auth_max_delay = '400ms';
		ALTER DATABASE postgres SET ftmigrate.auth_outage_timeout = '60s'));
	return;
}

# From the service's own view, and by plain SQL.
sub check_users
{
	my ($what) = @_;
	my %made;

	$stack->set_faults();
	$made{ $_->{server_metadata}{ftmigrate}{supabase_user_id} // '' }++
	  foreach @{ $stack->test_call('GET', 'users')->{users} };
	is(scalar(grep { $_ != 1 } values %made), 0, "$what: nobody is there twice");
	my @failed = grep { $made{$_} } split /\n/,
	  $target->sql(q(SELECT source_user_id FROM ftm_user WHERE status NOT IN ('created', 'matched')));
	is("@failed", '', "$what: who is there has not failed");
	is($target->sql('SELECT status, count(*) FROM ftm_user GROUP BY 1'), "created|$users", "$what: all are there");
	is(scalar keys %made, $users, "$what: in the service, too");
	return;
}

# The service is gone for so long, and comes back at the same address.
sub outage
{
	my ($contract, $seconds) = @_;

	start_service($contract);
	my $session = $target->start_sql($call);
	my $give_up = time + 60;
	sleep 0.02 until time > $give_up
	  || ($stack->test_call('GET', 'counters')->{totals}{'POST /api/v1/users 201'} // 0) > 3;
	$stack->stop('KILL');
	sleep $seconds;
	$stack = StackAuthStandIn->start(@with, port => $port);
	my ($exit, $out, $err) = $session->finish;
	is($exit, 0, "$contract, outage of $seconds s: the call goes on") or diag $err;
	like($err, qr/auth server "stack_auth" does not answer: waiting for it.*answers again after/s, 'and says so');
	check_users("$contract, outage of $seconds s");
	return;
}

sub lost_answers
{
	my ($contract) = @_;

	start_service($contract,
		{ kind => 'reset_after_commit', method => 'POST|PATCH', probability => 0.15, seed => int(rand 1e6) },
		{ kind => 'reset_before_commit', method => 'POST|PATCH', probability => 0.1, seed => int(rand 1e6) },
		{ kind => 'half_answer', method => 'POST|PATCH', probability => 0.1, seed => int(rand 1e6) });
	my ($exit, $out, $err) = $target->start_sql($call)->finish;
	is($exit, 0, "$contract, lost answers: the call ends well") or diag $err;
	check_users("$contract, 30 % of answers lost");
	return;
}

# kill -9 of the worker, which takes the server down with it.
sub kills
{
	my ($contract, $kills) = @_;
	my $killed = 0;

	start_service($contract, { kind => 'reset_after_commit', method => 'POST', probability => 0.1, seed => int(rand 1e6) });
	while ($killed < $kills)
	{
		my $session = $target->start_sql($call);
		sleep 0.3 + rand 0.7;
		my $pid;
		$killed++
		  if $target->psql('postgres', q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker'), stdout => \$pid) == 0
		  && $pid && kill 'KILL', $pid;
		eval { $session->finish };
		for (1 .. 300)
		{
			last if $target->psql('postgres', 'SELECT 1', timeout => 10) == 0;
			sleep 0.1;
		}
		last if $target->sql(q(SELECT count(*) FROM ftm_user WHERE status = 'created')) == $users;
	}
	my ($exit, $out, $err) = $target->start_sql($call)->finish;
	is($exit, 0, "$contract, $killed kills: the last call ends well") or diag $err;
	check_users("$contract, $killed kills");
	return;
}

my @contracts = qw(stack_auth hexclave);
my @outages = $long ? (0.3, 1, 3, 8) : (0.3);
foreach my $contract (@contracts)
{
	outage($contract, $_) foreach @outages;
	lost_answers($contract);
}
kills($_, $long ? 8 : 2) foreach $long ? @contracts : $contracts[ rand @contracts ];

# An outage that lasts longer than the settings allow ends the call, and the
# next one goes on.
start_service('hexclave');
$target->sql(q(ALTER DATABASE postgres SET ftmigrate.auth_outage_timeout = '500ms'));
my $session = $target->start_sql($call);
my $give_up = time + 60;
sleep 0.02 until time > $give_up
  || ($stack->test_call('GET', 'counters')->{totals}{'POST /api/v1/users 201'} // 0) > 3;
$stack->stop('KILL');
my ($exit, $out, $err) = $session->finish;
isnt($exit, 0, 'a long outage ends the call');
like($err, qr/ERROR.*could not create users in auth server/s, 'and says why');
$stack = StackAuthStandIn->start(@with, port => $port);
$target->sql($call);
check_users('after a long outage');

# One user's failures are that user's: others are created meanwhile.
start_service('stack_auth');
my $id = $target->sql(q(SELECT 1)) && $source->sql('SELECT id FROM auth.users WHERE email IS NOT NULL ORDER BY created_at LIMIT 1');
$stack->set_faults({ kind => '500_before_commit', method => 'POST', body => $id });
($exit, $out, $err) = $target->start_sql($call)->finish;
is($exit, 0, 'a user whom the service trips over does not stop the others') or diag $err;
is($target->sql("SELECT source_user_id, status FROM ftm_user WHERE status <> 'created'"), "$id|in_doubt", 'and is the only one who is missing');
$stack->set_faults();
$target->sql($call);
check_users('when it does so no more');

# As many requests at a time as one thread can take, whatever the bound.
my $peak = $stack->test_call('GET', 'counters')->{peak_in_flight};
cmp_ok($peak, '>', 1, 'several requests at a time');
cmp_ok($peak, '<=', 16, 'but not more than the setting says');

$target->stop;
$source->stop;
done_testing();
