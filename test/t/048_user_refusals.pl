
# What the auth service would refuse is known beforehand, and goes by a policy;
# policies are remembered; users who come and go between the dry run and the
# night are told; a lost answer sends no second mail.  In both contracts.

use strict;
use warnings;

use FtmigrateTest;
use JSON::PP;
use StackAuthStandIn;
use StackAuthTest;
use Test::More;

my $stack  = StackAuthStandIn->start(config => { %quick, contract => 'hexclave' });
my $source = start_source(users => 25, readings => 0);
my $target = start_target($source);
decide_user_columns($target);
$target->connect_auth_server($stack);

sub users { return @{ $stack->test_call('GET', 'users')->{users} }; }

# As many users with a name as there are values of $column, made of the first.
sub add_user
{
	my ($name, $column, $value) = @_;

	$source->sql(<<"SQL");
INSERT INTO auth.users (id, aud, role, created_at, email, email_confirmed_at, encrypted_password, last_sign_in_at, $column)
SELECT gen_random_uuid(), aud, role, created_at, '$name\@example.com', created_at, encrypted_password, last_sign_in_at, $value
FROM auth.users ORDER BY created_at LIMIT 1;
SQL
	return;
}

# ---- values that users write themselves

my @good_urls = ('http://example.com', 'https://example.com:/a', 'https://example.com:0/a', 'https://a..b.c/',
	'https://-a-.de/a', 'https://example.com./a', 'https://1.2.3.4/a', 'https://0x7f.1/',
	'https://example.com/[a%zz', 'https://example.com:65535?a');
my @bad_urls = ('HTTPS://example.com/a', 'Http://example.com/a', 'https://example.com:65536/a', 'https://example.com:80:80/a',
	'https://256.256.256.256/a', 'https://1.2.3.4.5/a', 'https://4294967296/a', 'https://1.2.3.09/', 'https://0xg/',
	'https://xn--a/a', 'https://XN--99999999.de/a', 'https://example.com:8x/');
# The last part of this host is no number.
push @good_urls, splice @bad_urls, 8, 1;
add_user("good$_", 'raw_user_meta_data', "jsonb_build_object('avatar_url', " . $source->literal($good_urls[$_]) . ')') foreach 0 .. $#good_urls;
add_user("bad$_", 'raw_user_meta_data', "jsonb_build_object('avatar_url', " . $source->literal($bad_urls[$_]) . ')') foreach 0 .. $#bad_urls;
foreach my $levels (123, 124, 400)
{
	add_user("deep$levels", 'raw_user_meta_data', "(repeat('[', $levels) || repeat(']', $levels))::jsonb");
	add_user("app$levels", 'raw_app_meta_data', "(repeat('{\"a\":', $levels) || '1' || repeat('}', $levels))::jsonb");
}
my $all = $source->sql('SELECT count(*) FROM auth.users');

# ---- a dry run shows what is to be decided

my ($exit, $out, $err) = $target->start_sql(
	q(SELECT aspect, value, users FROM ftm_migrate_users(dry_run => true, refused_image => 'error', refused_metadata => 'error')))->finish;
is($exit, 0, 'a dry run with something undecided is no error') or diag $err;
my $undecided = @bad_urls + 4;
like($out, qr/^kind\|refused_image: error\|${\ scalar @bad_urls}$/m, 'its table shows the kind');
like($out, qr/^kind\|refused_metadata: error\|4$/m, 'each of them');
like($err, qr/WARNING.*$undecided users cannot be created as they are/s, 'and a warning says so');
is(scalar users(), 0, 'nobody is created');
my ($state) = $target->sql_error(q(SELECT ftm_run_migration()));
is($state, '55000', 'the run does not begin');

# ---- policies of a dry run hold, all of them

$stack->test_call('PATCH', 'projects/' . StackAuthStandIn::TARGET_PROJECT,
	{ enabled_oauth_providers => [ grep { $_ ne 'apple' } qw(google github microsoft discord apple) ] });
($exit, $out, $err) = $target->start_sql(
	q(SELECT count(*) FROM ftm_migrate_users(dry_run => true, missing_provider => 'drop', anonymous => 'restrict')))->finish;
like($err, qr/users: $all to be created, 0 created, 0 matched, 0 skipped, 0 undecided; (?!0)\d+ keep their password/,
	'it says how many will keep their password');
is($target->sql(q(SELECT status FROM ftm_check() WHERE check_name = 'auth server')), 'pass', 'the check knows the policies');

# ---- who comes and goes

my ($gone) = split /\n/, $source->sql(q(DELETE FROM auth.users WHERE email = 'good0@example.com' RETURNING id));
add_user('late', 'raw_user_meta_data', q('{"avatar_url": "ftp://x/"}'));
($exit, $out, $err) = $target->start_sql('SELECT count(*) FROM ftm_run_migration()')->finish;
is($exit, 0, 'the run') or diag $err;
like($err, qr/1 user has signed up since.*User \S+ \(late\@example\.com\)\./s, 'who has signed up is named');
like($err, qr/1 user is not in the source any more/, 'who has gone is counted');
is($target->sql("SELECT status FROM ftm_user WHERE source_user_id = '$gone'"), 'gone', 'and has a status');
like($err, qr/users: $all created, 0 matched, 0 skipped, 0 missing/, 'nobody is missing');
is($target->sql(q(SELECT count(*) FROM ftm_verify_users() WHERE NOT ok)), '0', 'nor different');
my %status = %{ $stack->test_call('GET', 'counters')->{totals} };
is(join(' ', sort grep { m{/users 4\d\d|/users 5} } keys %status), '', 'the service has refused nothing');
my %image = map { ($_->{contact_channels}[0]{value} // '') => $_->{profile_image_url} } users();
is_deeply([ map { $image{"good$_\@example.com"} } 1 .. $#good_urls ], [ @good_urls[ 1 .. $#good_urls ] ], 'images that it takes are there');
is($target->sql(q(SELECT count(*) FROM ftm_user WHERE 'avatar' = ANY (not_carried))), @bad_urls + 1, 'others are named as not carried');
is( $target->sql(q(SELECT email, not_carried FROM ftm_user WHERE email ~ '^(deep|app)' ORDER BY email)),
	join("\n", map { my ($kind, $name) = @$_; ("${kind}123\@example.com|{}",
		map { qq($kind$_\@example.com|{"$name metadata (nested too deeply)"}) } 124, 400) } [ 'app', 'app' ], [ 'deep', 'user' ]),
	'so is metadata that is nested too deeply');

# ---- and survive a rollback

$target->sql('SELECT ftm_rollback(max(run_id), users => true) FROM ftm_run');
is(scalar users(), 0, 'the rehearsal is rolled back');
is($target->sql(q(SELECT status FROM ftm_check() WHERE check_name = 'auth server')), 'pass', 'the policies are not');
is($target->sql(q(SELECT treatment FROM ftm_user_policy WHERE policy = 'missing_provider')), 'drop', 'the last one either');

# ---- mails, with answers lost

($exit, $out, $err) = $target->start_sql(q(SELECT count(*) FROM ftm_migrate_users(missing_provider => 'drop')))->finish;
is($exit, 0, 'users are created') or diag $err;
$target->sql(q(UPDATE ftm_user SET must_reset_password = coalesce(email, '') ~ '^(bad|good)' AND status = 'created'));
my $recipients = $target->sql('SELECT count(*) FROM ftm_user WHERE must_reset_password');
$stack->set_faults(
	{ kind => 'reset_after_commit', path => '.*reset-code', every => 3 },
	{ kind => 'half_answer', path => '.*reset-code', every => 7 },
	{ kind => '429', path => '.*reset-code', every => 4 });
my $send = q(SELECT ftm_send_password_resets('https://app.example.com/', mails_per_hour => 1000000));
($exit, $out, $err) = $target->start_sql($send)->finish;
is($exit, 0, 'mails are sent') or diag $err;
like($err, qr/WARNING.*\d+ password resets may have been sent or not/s, 'some of them nobody knows of');
my $doubtful = $target->sql('SELECT count(*) FROM ftm_user WHERE reset_in_doubt');
is($out + $doubtful, $recipients, 'which are marked');
$stack->set_faults();
is($target->sql($send), '0', 'none is sent again');
my %mails;
$mails{ $_->{email} }++ foreach @{ $stack->test_call('GET', 'mails')->{mails} };
is(scalar keys %mails, $recipients, 'everybody has one');
is(scalar(grep { $_ > 1 } values %mails), 0, 'nobody has two');

# ---- texts of the service

$source->sql(q(UPDATE auth.users SET encrypted_password = NULL, raw_user_meta_data = NULL WHERE email = 'late@example.com'));
$target->sql(q(DELETE FROM ftm_user_map WHERE email = 'late@example.com'; DELETE FROM ftm_user WHERE email = 'late@example.com'));
$stack->api('DELETE', "/users/$_->{id}") foreach grep { ($_->{contact_channels}[0]{value} // '') eq 'late@example.com' } users();
$stack->set_faults({ kind => 'recorded', method => 'POST', answer => {
	status => 400, headers => { 'content-type' => 'text/plain; charset=utf-8' }, body => "nicht erlaubt: \x{fc} \x{2014} \x{202e}" } });
$target->sql(q(SELECT ftm_migrate_users(missing_provider => 'drop')));
is($target->sql(q(SELECT reason FROM ftm_user WHERE email = 'late@example.com')), "nicht erlaubt: \xc3\xbc \xe2\x80\x94 ?", 'are told as they are');
$stack->set_faults();

# ---- a source that lies

$source->sql(<<'SQL');
CREATE FUNCTION public.forge(jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
	$$ SELECT '{"a": 1}, "restricted_by_admin": true, "display_name": "forged"' $$;
CREATE CAST (jsonb AS text) WITH FUNCTION public.forge(jsonb);
SQL
my $message;
($state, $message) = $target->sql_error(q(SELECT ftm_migrate_users(missing_provider => 'drop')));
like($message, qr/answer about users is not JSON/, 'metadata that is no JSON is refused');
is(scalar(grep { ($_->{contact_channels}[0]{value} // '') eq 'late@example.com' } users()), 0, 'and adds no members to a request');

$target->stop;
$source->stop;
done_testing();
