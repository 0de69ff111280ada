
# Users move to the auth service, in the same call that moves the rows: every
# kind of them, so that no row is left without its user.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use StackAuthStandIn;
use Test::More;

# What the passwords of test/fixtures/generate.sql are.
my %passwords = (
	'$2a$' => 'correct horse battery staple',
	'$2b$' => 'Pässwörd 2',
	'$2y$' => 'third password');

my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 50, readings => 100);
my $target = start_target($source);
decide_user_columns($target);

# Without an auth server, users are not the run's business.
my ($exit, $out, $err) =
  $target->start_sql('SELECT ftm_run_migration(dry_run => true)')->finish;
is($exit, 0, 'dry run succeeds');
is($target->sql('SELECT count(*) FROM ftm_user'), '0', 'and decides nothing');
fill_user_map($source, $target);
($exit, $out, $err) =
  $target->start_sql('SELECT ftm_run_migration()')->finish;
is($exit, 0, 'migration without an auth server succeeds') or diag $err;
like(
	$err,
	qr/users are not created: there is no auth server "stack_auth".*CREATE SERVER stack_auth .*CREATE USER MAPPING/s,
	'and says how to name one');
$target->sql('DELETE FROM ftm_user_map');

# The whole, in one call.  Of the 25 kinds of users in the fixture, 9 have a
# bcrypt hash and could sign in with it, and 3 have a hash of another kind.
$target->connect_auth_server($stack);
($exit, $out, $err) =
  $target->start_sql('SELECT ftm_run_migration(restart => true)')->finish;
is($exit, 0, 'migration succeeds') or diag $err;
like(
	$err,
	qr/users: 50 created, 0 matched, 0 skipped, 0 missing; 18 keep their password, 6 must reset it/,
	'it says how many users keep their password');
like($target->sql('SELECT message FROM ftm_log'),
	qr/^users: 50 created/m, 'and so does its log');

my @users = @{ $stack->test_call('GET', 'users')->{users} };
my %user = map { $_->{server_metadata}{ftmigrate}{supabase_user_id} => $_ } @users;
is(scalar @users, 50, 'every user is in the auth service');
is(scalar keys %user, 50, 'and knows whom it was made for');
is( $target->sql(
		'SELECT count(*), count(DISTINCT target_user_id) FROM ftm_user_map'),
	'50|50',
	'every user is in the map');
is_deeply(
	{ map { split /\|/ } split /\n/,
		$target->sql('SELECT source_user_id, target_user_id FROM ftm_user_map') },
	{ map { $_ => $user{$_}{id} } keys %user },
	'which says what the auth service says');
is( $target->sql(
		q(SELECT count(*) FROM profiles p WHERE NOT EXISTS
			(SELECT FROM ftm_user_map m WHERE m.target_user_id = p.user_id))),
	'0',
	'every profile has its user');
is( $target->sql(
		q(SELECT count(*) FROM ftm_user_map WHERE retain_until NOT BETWEEN
			now() + '89 days 23 hours' AND now() + '90 days')),
	'0',
	'the map is kept for 90 days');

# Hashes, byte for byte; and what the service does with them.
my $hashes = $source->sql(
	q(SELECT id, encrypted_password FROM auth.users
	  WHERE encrypted_password ~ '^\$2[aby]\$' AND email IS NOT NULL
		AND deleted_at IS NULL));
my $wrong = 0;
foreach (split /\n/, $hashes)
{
	my ($id, $hash) = split /\|/;
	$wrong++ if ($user{$id}{password_hash} // '') ne $hash;
}
is($wrong, 0, 'bcrypt hashes are what they were');
# Of those who could not sign in, too: banned and unconfirmed ones.
is(scalar(split /\n/, $hashes), 22, 'of 11 kinds of users');
is( scalar(grep { defined $_->{password_hash} } @users),
	scalar(split /\n/, $hashes),
	'nobody else has one');

# What the service has agrees with the source; some sign in.
my $accounts = $source->sql(<<'SQL');
SELECT min(email), left(encrypted_password, 4) FROM auth.users
WHERE encrypted_password ~ '^\$2[aby]\$' AND email_confirmed_at IS NOT NULL
	AND banned_until IS NULL
GROUP BY 2, role
SQL
$target->sql('CREATE UNLOGGED TABLE accounts (email text, password text)');
foreach (split /\n/, $accounts)
{
	my ($email, $kind) = split /\|/;
	$target->sql('INSERT INTO accounts VALUES ('
		  . $target->literal($email) . ', '
		  . $target->literal($passwords{$kind}) . ')');
}
($exit, $out, $err) = $target->start_sql(
	q(SELECT count(*) FROM ftm_verify_users(accounts => 'accounts') WHERE ok))->finish;
is($out, "50\n", 'ftm_verify_users() finds every user as it must be') or diag $err;
unlike($err, qr/WARNING/, 'and the accounts sign in');
is( $target->sql(q(SELECT source_rows, target_rows, ok FROM ftm_verify() WHERE kind = 'users')),
	'50|50|t',
	'ftm_verify() says so, too');

$target->sql(q(UPDATE accounts SET password = 'wrong' WHERE email = (SELECT min(email) FROM accounts)));

my ($banned) = map { $_->{id} } grep { $_->{restricted_by_admin} } @users;
$stack->api('PATCH', "/users/$banned", { restricted_by_admin => JSON::PP::false });
my ($gone) = map { $_->{id} } grep { !$_->{restricted_by_admin} } @users;
$stack->api('DELETE', "/users/$gone");
($exit, $out, $err) = $target->start_sql(
	q(SELECT difference FROM ftm_verify_users(accounts => 'accounts') WHERE NOT ok ORDER BY 1))->finish;
is($out, "Stack Auth user $gone does not exist\nnot restricted\n", 'ftm_verify_users() finds users who differ');
like($err, qr/WARNING.*account \S+: cannot sign in \(EMAIL_PASSWORD_MISMATCH\)/s, 'and a password that does not sign in');
unlike($err, qr/"?wrong"?\b/, 'which it does not tell');
is( $target->sql(q(SELECT ok FROM ftm_verify() WHERE kind = 'users')),
	'f', 'ftm_verify() fails');

# The way back: the users that the run made are deleted, no others.
$stack->api('POST', '/users', { primary_email => 'native@example.com' });
my $matched = $target->sql(q(UPDATE ftm_user SET status = 'matched' WHERE email = 'user4@example.com' RETURNING target_user_id));
($exit, $out, $err) = $target->start_sql(
	q(SELECT count(*) FROM ftm_rollback((SELECT max(run_id) FROM ftm_run), force => true, users => true)))->finish;
is($exit, 0, 'ftm_rollback() with users') or diag $err;
like($err, qr/48 users were deleted from the auth service/, 'deletes all but the one matched and the one gone');
is_deeply(
	[ sort map { $_->{primary_email} // $_->{contact_channels}[0]{value} } @{ $stack->test_call('GET', 'users')->{users} } ],
	[ 'native@example.com', 'user4@example.com' ],
	'and leaves users of others');
is($target->sql('SELECT target_user_id FROM ftm_user_map'), $matched, 'the map holds who is left');

$target->stop;
$source->stop;
done_testing();
