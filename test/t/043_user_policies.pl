
# What stops the creation of users before it begins; what the DBA decides; and
# what comes of users whom the auth service will not take.

use strict;
use warnings;

use FtmigrateTest;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;

my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0.1 });
my $source = start_source(users => 25, readings => 0);
my $target = start_target($source);
decide_user_columns($target);
$target->connect_auth_server($stack);
$target->connect_auth_server($stack, name => 'bad_key', key => 'ssk_no_such_key');
$target->connect_auth_server($stack,
	name => 'no_project', project => '99999999-9999-4999-8999-999999999999');
$target->connect_auth_server($stack,
	name    => 'strict',
	project => $stack->STRICT_PROJECT,
	key     => $stack->STRICT_KEY);
$target->sql(<<'SQL');
CREATE SERVER nobody FOREIGN DATA WRAPPER ftm_stack_auth
	OPTIONS (api_url 'http://127.0.0.1:1', project_id 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER nobody OPTIONS (secret_server_key 'y');
SQL

# Something that redirects, and counts who follows.
my $listener = IO::Socket::INET->new(
	Listen => 10, LocalAddr => '127.0.0.1', ReuseAddr => 1) or die $!;
my $redirecting = 'http://127.0.0.1:' . $listener->sockport;
my $followed = $target->data_dir . '/../followed';
my $redirector = fork() // die $!;
if ($redirector == 0)
{
	while (my $client = $listener->accept)
	{
		my $line = <$client>;
		append_to_file($followed, $line) if $line =~ m{ /elsewhere};
		while (<$client> =~ /\S/) { }
		print $client "HTTP/1.1 307 Temporary Redirect\r\nLocation: $redirecting/elsewhere\r\n"
		  . "Content-Length: 0\r\nConnection: close\r\n\r\n";
		close $client;
	}
	POSIX::_exit(0);
}
$target->sql(<<"SQL");
CREATE SERVER redirecting FOREIGN DATA WRAPPER ftm_stack_auth
	OPTIONS (api_url '$redirecting', project_id 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER redirecting OPTIONS (secret_server_key 'y');
SQL

sub made { return scalar @{ $stack->test_call('GET', 'users')->{users} }; }

# Before anything is written: neither a run nor a user.
my %wrong = (
	bad_key => [ '28000', qr/INVALID_SECRET_SERVER_KEY.*secret_server_key with ALTER USER MAPPING/s ],
	no_project => [ 'HV000', qr/CURRENT_PROJECT_NOT_FOUND.*project_id with ALTER SERVER/s ],
	redirecting => [ 'HV000', qr/HTTP status 307.*Check the option api_url/s ],
	nobody => [ 'HV00N', qr/No answer: .*Check the option api_url/s ],
	strict => [ '55000', qr/11 users have a password, but the project does not allow.*3 users sign in through OAuth provider "google", .*Enable password authentication/s ]);
foreach my $server (sort keys %wrong)
{
	foreach my $call ("ftm_run_migration(auth_server => '$server')",
		"ftm_migrate_users(auth_server => '$server')")
	{
		my ($state, $message) = $target->sql_error("SELECT $call");
		is($state, $wrong{$server}[0], "$call: SQLSTATE");
		like($message, $wrong{$server}[1], "$call: message");
		unlike($message, qr/ssk_/, "$call: no key");
	}
}
is($target->sql('SELECT count(*) FROM ftm_run'),  '0', 'no run began');
is($target->sql('SELECT count(*) FROM ftm_user'), '0', 'nothing was recorded');
is(made(), 0, 'no user was made');
kill 'TERM', $redirector;
waitpid $redirector, 0;
ok(!-e $followed, 'the key follows no redirect');

my ($state, $message) =
  $target->sql_error(q(SELECT ftm_migrate_users(banned => 'error')));
is($state, '22023', 'a policy has its values');
like($message, qr/Available values: "create", "restrict", "disable", "skip"/, 'which are named');
($state) = $target->sql_error('BEGIN; SELECT ftm_migrate_users(); COMMIT');
is($state, '25001', 'no transaction block');

is( $target->sql(q(SELECT status FROM ftm_check() WHERE check_name = 'auth server')),
	'pass', 'nothing is wrong with the right server');

# Users whom no default covers are named.
$source->sql(<<'SQL');
UPDATE auth.users SET email = 'jürgen@example.com' WHERE email = 'user2@example.com';
SQL
($state, $message) = $target->sql_error('SELECT ftm_run_migration()');
is($state, '55000', 'an e-mail that is not accepted');
like($message, qr/1 user cannot be created as it is:\nUser \S+ \(jürgen\@example.com\): refused_email\./, 'is named');
is( $target->sql(q(SELECT status, detail LIKE '%(jürgen@example.com): refused_email.', hint LIKE '%ftm_migrate_users()%' FROM ftm_check() WHERE check_name = 'auth server')),
	'fail|t|t', 'ftm_check() names it, too');
is(made(), 0, 'and nobody is created');

# Decisions, looked at before they are carried out.
my $dry = $target->sql(<<'SQL');
SELECT aspect, value, users FROM ftm_migrate_users(dry_run => true,
	refused_email => 'drop', anonymous => 'skip', banned => 'restrict',
	refused_hash => 'drop', lost_mfa => 'create')
SQL
is(made(), 0, 'a dry run creates nobody');
like($dry, qr/^users\|all\|25$/m, 'it reports about all users');
like($dry, qr/^status\|pending\|24$/m, 'who would be created');
like($dry, qr/^status\|skipped: anonymous\|1$/m, 'and who would not');
like($dry, qr/^password\|must be reset\|3$/m, 'who must reset the password');
like($dry, qr/^lost provider\|sso:\S+\|1$/m, 'who loses a provider');
my $lists = q(SELECT string_agg(kind || ':' || treatment, ' ' ORDER BY kind, treatment)
	FROM ftm_user WHERE kind IS NOT NULL);
is( $target->sql($lists),
	'anonymous:skip banned:restrict banned:restrict lost_mfa:create lost_mfa:create'
	  . ' phone_only:create refused_email:create refused_hash:create refused_hash:create refused_hash:create'
	  . ' soft_deleted:disable sso:create unconfirmed:disable unconfirmed:disable',
	'decisions are recorded');

# A user of the service has an e-mail already: verified, and not.
my %taken;
foreach (
	[ 'user1@example.com', 1 ], [ 'user3@example.com', 0 ])
{
	my ($email, $verified) = @$_;
	$taken{$email} = $stack->api('POST', '/users', {
		primary_email => $email, primary_email_auth_enabled => JSON::PP::true,
		primary_email_verified => $verified ? JSON::PP::true : JSON::PP::false })->{json}{id};
}
# And somebody has one's Google account, which ends in a server error.
my $google = $source->sql(q(SELECT provider_id FROM auth.identities JOIN auth.users u ON u.id = user_id WHERE u.email = 'user5@example.com'));
$stack->api('POST', '/users', { oauth_providers => [ { id => 'google', account_id => $google } ] });

# The run holds on to what was decided, and stops at the conflicts.
($state, $message) = $target->sql_error('SELECT ftm_run_migration()');
is($state, '55000', 'conflicts stop the run');
like($message, qr/2 users could not be created in auth server "stack_auth"/, 'it counts them');
like($message, qr/\(user1\@example.com\) is conflict: the e-mail belongs to Stack Auth user $taken{'user1@example.com'}\./, 'and names them');
is( $target->sql('SELECT status, count(*) FROM ftm_user GROUP BY 1 ORDER BY 1'),
	"conflict|2\ncreated|22\nskipped|1",
	'all others are created');
is($target->sql($lists =~ s/kind IS NOT NULL/status = 'created' AND $&/r),
	'banned:restrict banned:restrict lost_mfa:create lost_mfa:create'
	  . ' phone_only:create refused_email:create refused_hash:create refused_hash:create refused_hash:create'
	  . ' soft_deleted:disable sso:create unconfirmed:disable unconfirmed:disable',
	'as was decided');
is( $target->sql(q(SELECT not_carried FROM ftm_user WHERE email = 'user5@example.com')),
	'{"sign-in account of google"}',
	'an OAuth account in use is lost, the user is not');
is(made(), 25, 'nobody is made twice');

# Those who exist are matched if both sides have verified the e-mail.
is( $target->sql('SELECT email, target_user_id, status FROM ftm_match_users()'),
	"user1\@example.com|$taken{'user1@example.com'}|matched",
	'a user is matched by e-mail');
is( $target->sql(q(SELECT status FROM ftm_user WHERE email = 'user3@example.com')),
	'pending', 'one whose e-mail is not verified there is not');
$stack->api('PATCH', "/users/$taken{'user3@example.com'}", { primary_email_verified => JSON::PP::true });
$target->sql('SELECT ftm_match_users()');
is( $target->sql(q(SELECT target_user_id FROM ftm_user_map WHERE email = 'user3@example.com')),
	$taken{'user3@example.com'}, 'now it is');

# The anonymous user was skipped by decision; its profile would have no user.
($state, $message) = $target->sql_error('SELECT ftm_run_migration()');
like($message, qr/ftm_user_map|user map/, 'a row without its user stops the run');
my ($exit, $out, $err) = $target->start_sql(
	q(SELECT count(*) FROM ftm_migrate_users(refused_email => 'drop')))->finish;
like($err, qr/users: 23 created, 2 matched, 0 skipped, 0 missing/, 'the decision is taken back') or diag $err;
$target->sql('SELECT ftm_run_migration()');
is( $target->sql(q(SELECT status FROM ftm_run)), 'verified', 'the run is finished');

# Two users of the source with the e-mail of one user of the service
$target->sql(q(DELETE FROM ftm_user_map WHERE source_user_id IN (SELECT source_user_id FROM ftm_user WHERE email = 'user1@example.com');
	DELETE FROM ftm_user WHERE email = 'user1@example.com'));
is( $target->sql(q(SELECT status, count(*) FROM ftm_match_users() WHERE email = 'user1@example.com' GROUP BY 1)),
	'conflict|2', 'two that would match one user are named');

$target->stop;
$source->stop;
done_testing();
