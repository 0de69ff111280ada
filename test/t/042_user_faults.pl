
# Whatever goes wrong on the way to the auth service, and whoever is killed
# meanwhile: each user is created once, and the map tells the truth.

use strict;
use warnings;

use FtmigrateTest;
use SampledTest;
use StackAuthStandIn;
use Test::More;
use Time::HiRes qw(sleep time);

my $kills = $ENV{FTM_TEST_KILLS} || how_many(10, 60);
my $users = 2000;

# A request that is slow is executed when the client has given it up already;
# the time to settle is longer than that.
my $stack = StackAuthStandIn->start(
	config => { oauth_collision_seconds => 0 },
	faults => [
		map { { seed => int(rand(1 << 30)), %$_ } } (
			{ kind => '429_retry_after', probability => 0.01 },
			{ kind => '429', probability => 0.03 },
			{ kind => '500_before_commit', probability => 0.03 },
			{ kind => '500_after_commit', probability => 0.03 },
			{ kind => 'reset_before_commit', probability => 0.03 },
			{ kind => 'reset_after_commit', probability => 0.03 },
			{ kind => 'half_answer', probability => 0.02 },
			{ kind => 'garbage_body', probability => 0.02 },
			{ kind => 'wrong_content_type', probability => 0.02 },
			{ kind => 'huge_answer', every => 700, bytes => 70_000_000 },
			{ kind => 'slow', probability => 0.01, seconds => 2 },
			{ kind => 'never_answer', every => 150 })
	]);
my $source = start_source(users => $users, readings => 0);
my $target = start_target($source, conf => "restart_after_crash = on\n");
$target->connect_auth_server($stack);
$target->sql(<<'SQL');
ALTER DATABASE postgres SET ftmigrate.auth_concurrency = 8;
ALTER DATABASE postgres SET ftmigrate.auth_timeout = '1s';
ALTER DATABASE postgres SET ftmigrate.auth_settle_time = '3s';
SQL

# After a crash the server needs a moment until it answers again.
sub answers
{
	for (1 .. 600)
	{
		return 1
		  if $target->psql('postgres', 'SELECT 1', timeout => 10) == 0;
		sleep 0.1;
	}
	die 'the target does not come back';
}

my $call = 'SELECT count(*) FROM ftm_migrate_users()';
my $killed = 0;
while ($killed < $kills)
{
	my $session = $target->start_sql($call);
	my $wait    = 0.2 + rand 1;

	sleep $wait;
	my ($exit_code, $pid);
	$exit_code = $target->psql('postgres',
		q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker'),
		stdout => \$pid);
	if ($exit_code == 0 && $pid)
	{
		my $signal = rand() < 0.3 ? 'KILL' : 'TERM';
		$killed++ if kill $signal, $pid;
	}
	eval { $session->finish };
	answers();
	last if $target->sql(q(SELECT count(*) FROM ftm_user WHERE status = 'created')) == $users;
}
note "$killed killed, "
  . $target->sql(q(SELECT count(*) FROM ftm_user WHERE status = 'created'))
  . ' users created by then';
cmp_ok($killed, '>', 0, 'workers were killed');

# The call is repeated until all is done.
my $calls = 0;
while ($calls++ < 10)
{
	my ($exit, $out, $err) = $target->start_sql($call)->finish;
	note $err if $err;
	last if $target->sql(q(SELECT count(*) FROM ftm_user WHERE status <> 'created')) == 0;
}
is( $target->sql('SELECT status, count(*) FROM ftm_user GROUP BY 1'),
	"created|$users", 'every user is created');

my @unused = map { $_->{kind} }
  grep { !$_->{fired} } @{ $stack->test_call('GET', 'faults')->{faults} };
is("@unused", '', 'every kind of fault has happened');
$stack->set_faults();
my @created = @{ $stack->test_call('GET', 'users')->{users} };
my %made;
push @{ $made{ $_->{server_metadata}{ftmigrate}{supabase_user_id} } }, $_
  foreach @created;
is(scalar @created, $users, 'as many users are in the auth service');
is(scalar(grep { @$_ != 1 } values %made), 0, 'none of them twice');
is_deeply(
	{ map { split /\|/ } split /\n/,
		$target->sql('SELECT source_user_id, target_user_id FROM ftm_user_map') },
	{ map { $_ => $made{$_}[0]{id} } keys %made },
	'the map is complete and true');
my ($hashes, $wrong) = (0, 0);
foreach (split /\n/, $source->sql(
		q(SELECT id, encrypted_password FROM auth.users
		  WHERE encrypted_password ~ '^\$2[aby]\$' AND email IS NOT NULL)))
{
	my ($id, $hash) = split /\|/;
	$hashes++;
	$wrong++ if ($made{$id}[0]{password_hash} // '') ne $hash;
}
is($hashes, 11 * $users / 25, 'users with a bcrypt hash');
is($wrong, 0, 'have that very hash');
is( $target->sql(q(SELECT difference, count(*) FROM ftm_verify_users() WHERE NOT ok GROUP BY 1)),
	'', 'ftm_verify_users() finds nothing');
note join ', ', map { "$_: " . $stack->test_call('GET', 'counters')->{totals}{$_} }
  grep { /^fault/ } sort keys %{ $stack->test_call('GET', 'counters')->{totals} };

$target->stop;
$source->stop;
done_testing();
