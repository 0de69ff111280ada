
# Users move to the auth service in the same call that moves the rows.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use StackAuthStandIn;
use Test::More;

my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 50, readings => 100);
my $target = start_target($source);

$target->connect_auth_server($stack);

my ($exit, $out, $err) = $target->start_sql(
	q(SELECT table_name, status FROM ftm_run_migration()))->finish;
is($exit, 0, 'migration succeeds') or diag $err;
like($err, qr/users: 50 created/, 'it says how many users were created') or diag $err;
is( $target->sql(q(SELECT count(*) FROM ftm_user_map)),
	'50', 'every user is in the map');
is(scalar @{ $stack->test_call('GET', 'users')->{users} },
	50, 'and in the auth service');

done_testing();
