
# The extension has the answers that were recorded from the real service, each
# to a request of its own, and understands it: what it does next is what the
# answer calls for.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use StackAuthTest;
use Test::More;

my $json  = JSON::PP->new->utf8;
my $stack = StackAuthStandIn->start(config => \%quick);
my $source = start_source(users => 1, readings => 0);
my $target = start_target($source);
$target->connect_auth_server($stack);
my $email = 'user1@example.com';

# A user of whom every step has something to do.
$source->sql(<<'SQL');
INSERT INTO auth.identities (user_id, provider, provider_id, identity_data)
SELECT id, 'email', 'further', '{"email": "further@example.com"}' FROM auth.users;
INSERT INTO auth.identities (user_id, provider, provider_id, identity_data)
SELECT id, 'google', n, '{}' FROM auth.users, unnest('{1001,1002}'::text[]) n;
INSERT INTO auth.mfa_factors (id, user_id, factor_type, status, created_at, updated_at, secret)
SELECT gen_random_uuid(), id, 'totp', 'verified', now(), now(), 'JBSWY3DPEHPK3PXP' FROM auth.users;
SQL

my %recorded = map { m{/(\d+)_[^/]*$} ? ($1 + 0 => $json->decode(slurp_file($_))) : () }
  glob fixture('stack_auth') . '/*.json';
my %answered;

# The nth recording, once, in place of what the stand-in would say.
sub answer_next
{
	my ($n, $method, $path) = @_;

	$answered{$n} = 1;
	return $stack->set_faults({ kind => 'recorded', method => $method, path => $path,
		first => 1, answer => $recorded{$n}{response} });
}

# What becomes of the user, or of the call.
sub outcome
{
	my ($call) = @_;
	my ($exit, $out, $err) = $target->start_sql($call)->finish;

	return "error $1" if $err =~ /ERROR: +(\w{5}):/;
	return $target->sql(q(SELECT concat_ws(' ', status, reason, nullif(array_to_string(not_carried, ','), '')) FROM ftm_user));
}

sub forget
{
	$stack->test_call('POST', 'reset');
	$target->sql('TRUNCATE ftm_user, ftm_user_map');
	return;
}

my $migrate = 'SELECT ftm_migrate_users()';
my $done = 'created';
my $post = [ 'POST', '/api/v1/users' ];
my $patch = [ 'PATCH', '.*' ];
my $list = [ 'GET', '/api/v1/users' ];
my $project = [ 'GET', '.*/current' ];
my $channel = [ 'POST', '.*/contact-channels' ];
my $account = [ 'POST', '.*/oauth-providers' ];
my $hash = q(failed Invalid password hash. Make sure it's a supported algorithm in Modular Crypt Format.);
my @outcomes = (
	[ 1, $post, qr/^failed the service did not store server_metadata/ ],
	[ 4, $post, qr/^conflict the e-mail is a further one/ ],
	[ 26, $post, qr/^conflict the e-mail is a further one/ ],
	[ 5, $post, qr/^failed Request validation failed/ ],
	[ 6, $post, qr/^\Q$hash\E/ ],
	[ 7, $post, qr/^failed OAuth provider/ ],
	[ 8, $post, qr/^created$/ ],
	[ 29, $post, qr/^created$/ ],
	[ 9, $post, qr/^error 28000/ ],
	[ 10, $post, qr/^error HV000/ ],
	[ 11, $post, qr/^error 28000/ ],
	[ 12, $post, qr/^failed Password auth not enabled/ ],
	[ 13, $post, qr/^failed the service did not store server_metadata/ ],
	[ 30, $post, qr/^failed Invalid profile image URL/ ],
	[ 31, $post, qr/^failed Request validation failed/ ],
	[ 18, $patch, qr/^created$/ ],
	[ 40, $patch, qr/^failed the TOTP secret was not accepted/ ],
	[ 41, $patch, qr/^failed the TOTP secret was not accepted/ ],
	[ 14, $list, qr/^created$/ ],
	[ 15, $list, qr/^created$/ ],
	[ 32, $list, qr/^created$/ ],
	[ 33, $list, qr/^created$/ ],
	[ 34, $list, qr/^error HV000/ ],
	[ 46, $list, qr/^error HV000/ ],
	[ 47, $project, qr/^error HV000/ ],
	[ 24, $project, qr/^created$/ ],
	[ 20, $channel, qr/^created$/ ],
	[ 49, $channel, qr/^created second e-mail$/ ],
	[ 50, $channel, qr/^created$/ ],
	[ 21, $account, qr/^created$/ ],
	[ 48, $account, qr/^created second account of google$/ ]);
foreach (@outcomes)
{
	my ($n, $request, $expected) = @$_;
	forget();
	answer_next($n, @$request);
	like(outcome($migrate), $expected, "$n: $recorded{$n}{name}");
	is($stack->test_call('GET', 'faults')->{faults}[0]{fired}, 1, "$n: it was the answer");
}

# A user who was made before, and is there or not.
foreach ([ 16, qr/^failed the service did not store server_metadata/ ], [ 17, qr/^created$/ ])
{
	my ($n, $expected) = @$_;
	forget();
	$target->sql('SELECT ftm_migrate_users(dry_run => true)');
	$target->sql(q(UPDATE ftm_user SET status = 'sending', sent_at = now(), target_user_id = gen_random_uuid()));
	answer_next($n, 'GET', '/api/v1/users/.*');
	like(outcome($migrate), $expected, "$n: $recorded{$n}{name}");
}

# Who signs in, and as whom.
forget();
$stack->set_faults();
is(outcome($migrate), 'created', 'a user who signs in');
$target->sql("CREATE UNLOGGED TABLE accounts AS SELECT '$email' AS email, 'x' AS password");
my %sign_in = (
	2 => qr/signs in as a user whom the map does not know/, 38 => qr/signs in as a user whom the map does not know/,
	3 => qr/cannot sign in \(EMAIL_PASSWORD_MISMATCH\)/, 37 => qr/cannot sign in \(EMAIL_PASSWORD_MISMATCH\)/,
	45 => qr/cannot sign in \(SCHEMA_ERROR\)/, 19 => qr/^$/);
foreach my $n (sort { $a <=> $b } keys %sign_in)
{
	answer_next($n, 'POST', '.*/sign-in');
	my ($exit, $out, $err) = $target->start_sql(q(SELECT count(*) FROM ftm_verify_users(accounts => 'accounts')))->finish;
	like($err, $sign_in{$n}, "$n: $recorded{$n}{name}");
}

# Mails.
$target->sql('UPDATE ftm_user SET must_reset_password = true');
my $reset = q(SELECT ftm_send_password_resets('https://app.example.com/'));
answer_next(23, 'POST', '.*/send-reset-code');
my ($state) = $target->sql_error($reset);
is($state, 'HV000', '23: a callback that is not trusted');
is($target->sql('SELECT reset_sent_at IS NULL FROM ftm_user'), 't', 'no mail is on its way');
answer_next(22, 'POST', '.*/send-reset-code');
is($target->sql($reset), '1', '22: a mail is sent');

# Deletion.
foreach ([ 27, 'HV000' ], [ 28, undef ], [ 25, undef ])
{
	my ($n, $expected) = @$_;
	$target->sql(q(DELETE FROM ftm_run; INSERT INTO ftm_run (source, status, options)
		SELECT 'supabase', 'rolled back', '{}'; UPDATE ftm_user_map SET run_id = (SELECT run_id FROM ftm_run);
		UPDATE ftm_user SET run_id = (SELECT run_id FROM ftm_run))) if $n != 25;
	answer_next($n, 'DELETE', '.*');
	my $call = 'SELECT ftm_rollback(run_id, users => true) FROM ftm_run';
	if ($expected)
	{
		($state) = $target->sql_error($call);
		is($state, $expected, "$n: $recorded{$n}{name}");
		is(user_count($stack), 1, "$n: nobody is deleted");
	}
	else
	{
		$target->sql($call);
		pass("$n: $recorded{$n}{name}");
	}
}
is($target->sql('SELECT count(*) FROM ftm_user_map'), '0', 'the user is forgotten');

is(join(' ', grep { !$answered{$_} } sort { $a <=> $b } keys %recorded),
	'35 36 39 42 43 44', 'of what is never asked for there are recordings, too');

$target->stop;
$source->stop;
done_testing();
