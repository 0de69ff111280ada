
# What is sent for each kind of user, request by request, compared with
# test/fixtures/user_requests.json.  That file follows from Stack Auth's API
# and the rules in docs/users.md; it is not what the program happened to
# send.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;

# In the order of test/fixtures/generate.sql.
my @kinds = (
	'password', 'password 2b', 'password 2y', 'magic link', 'google',
	'argon2', 'firebase', 'unconfirmed', 'phone', 'anonymous',
	'sso', 'banned', 'ban over', 'soft deleted', 'google and email',
	'two google', 'azure', 'apple', 'totp', 'totp unverified',
	'unicode', 'invited', 'github', 'super admin', 'encrypted');

my $json  = JSON::PP->new->utf8->canonical->pretty;
my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 25, readings => 0);
my $target = start_target($source);
$target->connect_auth_server($stack);

my %kind;
@kind{ split /\n/, $source->sql('SELECT id FROM auth.users ORDER BY created_at') } =
  @kinds;

# Kinds that are too rare for the fixture.  Each is made of the first user.
sub add_user
{
	my ($n, $kind, $columns, @more) = @_;
	my $id = sprintf '00000000-0000-4000-8000-%012d', $n;

	$kind{$id} = $kind;
	$source->sql(<<"SQL");
INSERT INTO auth.users (id, aud, role, created_at, email, email_confirmed_at,
	encrypted_password, last_sign_in_at, raw_user_meta_data)
SELECT '$id', aud, role, created_at + interval '10 years', 'extra$n\@example.com',
	created_at, encrypted_password, last_sign_in_at, '{}'
FROM auth.users ORDER BY created_at LIMIT 1;
UPDATE auth.users SET $columns WHERE id = '$id';
SQL
	foreach (@more)
	{
		my ($provider, $provider_id, $data) = @$_;
		$source->sql(
			"INSERT INTO auth.identities (user_id, provider, provider_id, identity_data)"
			  . " VALUES ('$id', '$provider', '$provider_id', '$data')");
	}
	return;
}

add_user(1, 'second e-mail', 'is_super_admin = false',
	[ 'email', 'a', '{"email": "Other.Address@example.com"}' ]);
add_user(2, 'twitter', 'encrypted_password = NULL',
	[ 'twitter', '7001', '{"email": "extra2@example.com"}' ]);
add_user(3, 'linkedin', q(encrypted_password = ''),
	[ 'linkedin_oidc', 'Ab_c-9', '{}' ]);
add_user(4, 'personal azure', 'encrypted_password = NULL',
	[ 'azure', 'pairwise',
		'{"custom_claims": {"oid": "00000000-0000-0000-aaaa-bbbbccccdddd", "tid": "9188040d-6c67-4c5b-b112-36a304b66dad"}}' ]);
add_user(5, 'kakao', 'encrypted_password = NULL', [ 'kakao', '555', '{}' ]);
add_user(6, 'metadata that numbers break',
	q(raw_user_meta_data = '{"id": 12345678901234567890, "price": 10.50, "__proto__": 1, "name": {"first": "A"}, "avatar_url": "javascript:alert(1)"}'));
add_user(7, 'metadata too deep',
	q(raw_user_meta_data = (repeat('[', 500) || repeat(']', 500))::jsonb));
add_user(8, 'name of emoji',
	q(raw_user_meta_data = jsonb_build_object('full_name', '', 'name', 'a' || repeat('😀', 200))));
add_user(9, 'cost too high',
	q(encrypted_password = overlay(encrypted_password placing '17' from 5)));

my ($exit, $out, $err) = $target->start_sql(
	'SELECT count(*) FROM ftm_migrate_users()')->finish;
is($exit, 0, 'users are created') or diag $err;

# Requests by kind, with the ids that the service chose taken out.
my %stack_id = map { split /\|/ } split /\n/,
  $target->sql('SELECT target_user_id, source_user_id FROM ftm_user_map');
my %requests;
foreach (@{ $stack->test_call('GET', 'requests')->{requests} })
{
	next if $_->{method} eq 'GET';
	my $body = JSON::PP->new->decode($_->{body});
	my $path = $_->{path};
	my $id;

	$id = $body->{server_metadata}{ftmigrate}{supabase_user_id}
	  if exists $body->{server_metadata};
	$id //= $stack_id{ $body->{user_id} } if defined $body->{user_id};
	$id //= $stack_id{$1} if $path =~ s{/([0-9a-f-]{36})$}{/<id>};
	$body->{user_id} = '<id>' if defined $body->{user_id};
	push @{ $requests{ $kind{$id} } },
	  { request => "$_->{method} $path", body => $body };
}

my $expected = $json->decode(slurp_file(fixture('user_requests.json')));
foreach (sort { $kind{$a} cmp $kind{$b} } keys %kind)
{
	is( $json->encode($requests{ $kind{$_} } // []),
		$json->encode($expected->{ $kind{$_} } // ['nothing expected']),
		"requests for a user of kind '$kind{$_}'");
}
is_deeply([ sort keys %$expected ], [ sort values %kind ], 'no kind is left out');

$target->stop;
$source->stop;
done_testing();
