
# No secret gets where it can be read: the server log at its most talkative,
# pg_stat_activity, the extension's tables, messages.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;
use Time::HiRes qw(sleep);

my $key = 'ssk_' . 'S3cretOfThisTest' x 2;
my $stack = StackAuthStandIn->start(
	config => {
		oauth_collision_seconds => 0,
		projects => { StackAuthStandIn::TARGET_PROJECT() => { server_key => $key } }
	},
	# Errors on the way may tell more than success.
	faults => [
		{ kind => '500_after_commit', path => '/users$', every => 3, seed => 1 },
		{ kind => 'garbage_body', path => '/users', every => 7, seed => 1 },
		{ kind => 'slow', every => 2, seconds => 0.1, seed => 1 } ]);
my $source = start_source(users => 25, readings => 0);
my $target = start_target($source);
decide_user_columns($target);
$target->connect_auth_server($stack, key => $key);
$target->connect_auth_server($stack, name => 'wrong', key => "${key}x");
$target->sql(<<'SQL');
ALTER DATABASE postgres SET log_min_messages = debug5;
ALTER DATABASE postgres SET log_error_verbosity = verbose;
ALTER DATABASE postgres SET log_statement = 'all';
ALTER DATABASE postgres SET log_parameter_max_length_on_error = -1;
ALTER DATABASE postgres SET debug_print_plan = on;
CREATE UNLOGGED TABLE accounts (email text, password text);
SQL

# The only passwords in the clear, put where no log sees them.
my $password = 'correct horse battery staple';
my $file = $target->data_dir . '/../accounts.txt';
append_to_file($file, "user1\@example.com\t$password\n");
chmod 0644, $file;
$target->sql("COPY accounts FROM '$file'");

my $watched = '';
foreach my $call (
	'SELECT ftm_run_migration()',
	q(SELECT ftm_verify_users(accounts => 'accounts')),
	q(SELECT ftm_send_password_resets('https://app.example.com/handler/x', mails_per_hour => 360000)),
	q(SELECT ftm_migrate_users(auth_server => 'wrong')))
{
	my $session = $target->start_sql($call);
	for (1 .. 300)
	{
		$watched .= $target->sql('SELECT * FROM pg_stat_activity');
		last unless $session->{run}->pumpable && $session->{run}->pump_nb;
		sleep 0.02;
	}
	my ($exit, $out, $err) = $session->finish;
	$watched .= $out . $err;
	is($exit, $call =~ /wrong/ ? 1 : 0, $call) or diag $err;
}
like($watched, qr/create users: \d+ of 25/, 'pg_stat_activity was looked at in time');
like($watched, qr/could not .* in auth server "wrong"/, 'and errors were');

# What is secret: the key, hashes, TOTP secrets in both spellings, passwords.
my %secrets = map { $_ => 1 } split /\n/, $source->sql(<<'SQL');
SELECT encrypted_password FROM auth.users WHERE encrypted_password <> ''
UNION SELECT secret FROM auth.mfa_factors WHERE secret IS NOT NULL
UNION SELECT confirmation_token FROM auth.users WHERE confirmation_token <> ''
UNION SELECT recovery_token FROM auth.users WHERE recovery_token <> ''
SQL
$secrets{$_} = 1
  foreach $key, $password, map { $_->{totp_secret_base64} // () }
  @{ $stack->test_call('GET', 'users')->{users} };
cmp_ok(scalar keys %secrets, '>', 10, 'there are secrets to look for');

my $log = slurp_file($target->logfile);
cmp_ok(length $log, '>', 1_000_000, 'the log is talkative');
my $tables = join "\n", map { $target->sql("SELECT * FROM $_") }
  qw(ftm_run ftm_run_table ftm_log ftm_user ftm_user_map);
foreach my $secret (sort keys %secrets)
{
	my $found = join ' ', grep { $_ }
	  index($log,     $secret) >= 0 && 'log',
	  index($watched, $secret) >= 0 && 'activity',
	  index($tables,  $secret) >= 0 && 'tables';
	is($found, '', 'secret ' . substr($secret, 0, 8) . '... is nowhere');
}

$target->stop;
$source->stop;
done_testing();
