
# What the DBA and support do with the map afterwards: password resets, who is
# who, dump and load, pg_dump, the end after 90 days.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;

my $stack = StackAuthStandIn->start();
my $source = start_source(users => 50, readings => 0);
my $target = start_target($source);
$target->connect_auth_server($stack);
$target->sql(q(SET ftmigrate.retention_days = 30; SELECT ftm_migrate_users()));
is( $target->sql(
		q(SELECT count(*) FROM ftm_user_map WHERE retain_until NOT BETWEEN
			now() + '29 days 23 hours' AND now() + '30 days')),
	'0',
	'the map is kept as long as the session says');

# Resets go to those who lost their password, and to nobody else.
my $callback = 'https://app.example.com/handler/password-reset';
my ($state, $message) = $target->sql_error(
	q(SELECT ftm_send_password_resets('https://evil.example.org/x')));
like($message, qr/REDIRECT_URL_NOT_WHITELISTED.*trusted domains/s, 'callback must be on a trusted domain');
my $send = "SELECT ftm_send_password_resets('$callback', mails_per_hour => 360000";
is($target->sql("$send, max_mails => 2)"), '2', 'some mails');
$stack->set_faults({ kind => '429', first => 1 });
is($target->sql("$send)"), '4', 'the rest, after the service was busy');
is($target->sql("$send)"), '0', 'nobody gets another one');
my $recipients = $source->sql(<<'SQL');
SELECT email FROM auth.users
WHERE encrypted_password <> '' AND encrypted_password !~ '^\$2'
	AND deleted_at IS NULL
ORDER BY 1
SQL
is( join("\n", sort map { $_->{to} // $_->{email} } @{ $stack->test_call('GET', 'mails')->{mails} }),
	$recipients,
	'those whose hash could not be carried got one each');
is( $target->sql('SELECT email FROM ftm_user WHERE must_reset_password ORDER BY 1'),
	$recipients,
	'ftm_user has the list');

# Who is who
my ($old, $new, $email) = split /\|/, $target->sql(
	q(SELECT source_user_id, target_user_id, email FROM ftm_user WHERE email = 'user4@example.com'));
foreach ($old, uc $new, " $email ", uc $email)
{
	is( $target->sql('SELECT source_user_id, target_user_id, email, status FROM ftm_lookup_user('
			  . $target->literal($_) . ')'),
		"$old|$new|$email|created",
		"ftm_lookup_user('$_')");
}
is($target->sql(q(SELECT count(*) FROM ftm_lookup_user('nobody'))), '0', 'nobody');
is($target->sql(q(SELECT count(*) FROM ftm_lookup_user('user1@example.com'))),
	'2', 'an e-mail that two have');

# Dump and load
my $dump = $target->sql('SELECT ftm_dump_user_map()');
my $map = decode_json($dump);
is_deeply([ sort keys %$map ], [qw(generatedAt mappings retainUntil)], 'form of the dump');
is(scalar @{ $map->{mappings} }, 50, 'all mappings are in it');
is_deeply(
	[ sort keys %{ $map->{mappings}[0] } ],
	[qw(email migratedAt stackAuthUserId supabaseUserId)],
	'form of a mapping');
my $before = $target->sql('SELECT source_user_id, target_user_id, email, created_at, retain_until FROM ftm_user_map ORDER BY 1');
my $load = 'SELECT ftm_load_user_map(' . $target->literal($dump) . ')';
is($target->sql($load), '0', 'nothing new in it');
$target->sql(q(DELETE FROM ftm_user_map WHERE email LIKE 'user1%'));
is($target->sql($load), $target->sql(q(SELECT count(*) FROM ftm_user WHERE email LIKE 'user1%')), 'loaded what was missing');
is( $target->sql('SELECT source_user_id, target_user_id, email FROM ftm_user_map ORDER BY 1'),
	$before =~ s/(\|[^|]*){2}$//mgr, 'the map is what it was');
($state) = $target->sql_error(
	"SELECT ftm_load_user_map('{\"mappings\": [{\"supabaseUserId\": \"$old\", \"stackAuthUserId\": \"$old\"}]}')");
is($state, '23505', 'another target id is refused');
($state, $message) = $target->sql_error(q(SELECT ftm_load_user_map('{}')));
is($state, '22023', 'so is what is no map');

# pg_dump keeps map and state
$target->sql('CREATE DATABASE restored');
my $sql = $target->data_dir . '/../dump.sql';
command_ok([ 'pg_dump', '-d', $target->connstr('postgres'), '-t', 'ftm_*', '-e', 'ftmigrate', '-f', $sql ], 'pg_dump');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('restored'), '-f', $sql ], 'restore');
is( $target->safe_psql('restored', 'SELECT count(*) FROM ftm_user_map JOIN ftm_user USING (source_user_id, target_user_id)'),
	'50', 'map and state are there');

# A state that was lost is found again: nobody is made twice.
$target->sql('TRUNCATE ftm_user, ftm_user_map');
$target->sql('SELECT ftm_migrate_users()');
is(scalar @{ $stack->test_call('GET', 'users')->{users} }, 50, 'users are recognized in the service');
is( $target->sql('SELECT source_user_id, target_user_id FROM ftm_user_map ORDER BY 1'),
	$before =~ s/(\|[^|]*){3}$//mgr, 'the map is found again');

# Another project's users are not these.
my $other = $stack->STRICT_PROJECT;
$target->sql("ALTER SERVER stack_auth OPTIONS (SET project_id '$other');"
	  . " ALTER USER MAPPING FOR CURRENT_USER SERVER stack_auth OPTIONS (SET secret_server_key '${\ $stack->STRICT_KEY}')");
($state, $message) = $target->sql_error('SELECT ftm_migrate_users()');
like($message, qr/users were moved to another Stack Auth project before/, 'project cannot change');

# The end
($state, $message) = $target->sql_error('SELECT ftm_purge_user_map()');
is($state, '55000', 'no entry may be removed yet');
like($message, qr/is kept until \d{4}-/, 'it says until when');
$target->sql(q(UPDATE ftm_user_map SET retain_until = now() - interval '1 second' WHERE email LIKE 'user1%'));
my $due = $target->sql(q(SELECT count(*) FROM ftm_user_map WHERE email LIKE 'user1%'));
is($target->sql('SELECT ftm_purge_user_map()'), $due, 'entries whose time is over are removed');
is($target->sql('SELECT count(*) FROM ftm_user_map'), 50 - $due, 'all others are not');
is($target->sql('SELECT count(*) FROM ftm_user'), 50 - $due, 'nor is what is known of them');

$target->stop;
$source->stop;
done_testing();
