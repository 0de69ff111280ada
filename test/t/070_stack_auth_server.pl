# The stand-in for Stack Auth against the answers of the real server, and what
# it is beside its API: HTTP, faults, and the tests' own paths.
#
# What a recording expects is the recording; the rules that no recording shows
# are in 071_stack_auth_users.pl.

use strict;
use warnings;

use Errno;
use File::Temp;
use FindBin;
use HTTP::Tiny;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use POSIX ();
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use StackAuthTest;
use Test::More;
use Time::HiRes qw(time sleep);

my $fixtures = "$FindBin::RealBin/../fixtures/stack_auth";
my $json = JSON::PP->new->utf8->canonical->pretty;
my $compact = JSON::PP->new->utf8->canonical;

# ---- the recordings

# What no two servers have in common.  Ids of created things are compared
# through %$ids (recorded -> here), times only as being times.
sub normalised
{
	my ($value, $name) = @_;
	if (ref $value eq 'HASH')
	{
		return { map { $_ => normalised($value->{$_}, $_) } keys %$value };
	}
	return [ map { normalised($_, '') } @$value ] if ref $value eq 'ARRAY';
	return '<redacted>' if $value && $name =~ /^(access|refresh)_token$/;
	return '<millis>' if $name =~ /_millis$/ && ($value // '') =~ /^1\d{12}$/;
	return '<code>'
	  if $name eq 'attempt_code' && $value =~ /^[0-9a-hj-km-np-tv-z]{45}$/;
	return $value;
}

sub translated
{
	my ($text, $ids) = @_;
	$text =~ s/($uuid)/$ids->{$1} \/\/ $1/ge;
	return $text;
}

sub expected_text
{
	my ($response, $ids, $request_id) = @_;
	my $body = $response->{body};
	if (!ref $body)
	{
		my $recorded_id = $response->{headers}{'x-stack-request-id'};
		$body =~ s/\Q$recorded_id\E/$request_id/ if defined $recorded_id;
		return $body;
	}
	return translated($json->encode(normalised($body, '')), $ids);
}

sub replay
{
	my ($server, $pair, $ids, $codes) = @_;
	my ($request, $response) = @$pair{qw(request response)};
	my $name = $pair->{name};
	foreach my $secret (grep { ref $request->{body} } keys %{ $codes // {} })
	{
		$request->{body}{$secret} = $codes->{$secret}
		  if exists $request->{body}{$secret};
	}
	$request->{headers}{'x-stack-access-token'} = $codes->{token}
	  if exists $request->{headers}{'x-stack-access-token'};
	my $content =
	  defined $request->{body}
	  ? translated($compact->encode($request->{body}), $ids)
	  : undef;
	my $answer = $server->request($request->{method},
		translated($request->{path}, $ids),
		$request->{headers}, $content);

	is($answer->{status}, $response->{status}, "$name: status");
	foreach my $header (qw(content-type x-stack-known-error cache-control))
	{
		is( $answer->{headers}{$header},
			$response->{headers}{$header},
			"$name: $header");
	}
	my $request_id = $answer->{headers}{'x-stack-request-id'};
	like($request_id // 'none',
		$response->{headers}{'x-stack-request-id'}
		? qr/^[0-9a-hj-km-np-tv-z]{16}$/
		: qr/^none$/,
		"$name: request id");
	is($answer->{headers}{location}, $response->{headers}{location},
		"$name: location");

	# Something was created: from now on its recorded id means ours.
	if ($response->{status} == 201)
	{
		my $id = $answer->{json}{id} // '';
		like($id, qr/^$uuid$/, "$name: id");
		$ids->{ $response->{body}{id} } = $id;
	}
	my $got =
	  ref $response->{body}
	  ? $json->encode(normalised($answer->{json} // {}, ''))
	  : $answer->{content};
	my $want = expected_text($response, $ids, $request_id);
	# The text that it names no path by is nobody's contract.
	($got, $want) = map { /^404/ ? '404' : $_ } $got, $want
	  if $response->{status} == 404 && !ref $response->{body};
	is($got, $want, "$name: body");
	return $answer;
}

# The recordings of numbers from $first to $last, by number.
sub recordings
{
	my ($first, $last) = @_;
	my %pairs = map { m{/(\d+)_[^/]*$} ? ($1 + 0 => $json->decode(slurp_file($_))) : () }
	  glob "$fixtures/*.json";
	is(scalar keys %pairs, 50, 'all recordings are there');
	return map { $pairs{$_} } $first .. $last;
}

sub test_recordings
{
	my $server = StackAuthStandIn->start(config => \%quick);
	my %ids;
	replay($server, $_, \%ids) foreach recordings(1, 25);
	return;
}

# Recorded from a server with the new contract's taken e-mails and lists, but
# without its further keys; with users that were there before, or were changed
# in between.
sub test_new_recordings
{
	my $server = StackAuthStandIn->start(
		config => { %quick, contract => 'hexclave', unrecorded => JSON::PP::false });
	my (%ids, %codes);
	my $make = sub {
		my ($recorded, %body) = @_;
		my $user = create($server, %body);
		$ids{$recorded} = $user->{id};
		sleep 0.005;
		return $user->{id};
	};
	my %can_sign_in = (
		primary_email_verified => JSON::PP::true,
		primary_email_auth_enabled => JSON::PP::true,
		password => 'correct horse');
	my $banned;
	my %before = (
		26 => sub {
			$make->('fee7ff9d-7c9c-452c-97b2-e5b06d0d1020',
				%can_sign_in, primary_email => 'bob@example.com');
		},
		27 => sub { $make->('c0de5629-2768-4128-b695-535ce73a8618'); },
		32 => sub {
			my @recorded = qw(9ee6514b-c7b7-4f41-b57f-7a952fb340e8
			  a00c3863-1afe-4843-98af-176620138d59
			  53f84161-5682-4013-a6e4-66b5b64efd2f);
			$make->($recorded[$_], display_name => "list $_") foreach 0 .. 2;
		},
		35 => sub {
			my $secret = '12345678901234567890';
			my $id = $make->('3b2688dc-10b8-46e1-b6ec-08ae8b3ae6a4',
				%can_sign_in, primary_email => 'totp@example.com');
			$server->api('PATCH', "/users/$id",
				{ totp_secret_base64 => encode_base64($secret, '') });
			$codes{code} = sign_in($server, 'totp@example.com', 'correct horse')
			  ->{json}{details}{attempt_code};
			$codes{totp} = totp($secret) eq '000000' ? '000001' : '000000';
		},
		36 => sub { $codes{totp} = totp('12345678901234567890'); },
		37 => sub {
			$banned = $make->('36b97b9b-1b25-44f9-9e19-d81bd91d5d40',
				%can_sign_in,
				primary_email => 'banned@example.com',
				primary_email_auth_enabled => JSON::PP::false,
				restricted_by_admin => JSON::PP::true);
		},
		38 => sub {
			$server->api('PATCH', "/users/$banned",
				{ primary_email_auth_enabled => JSON::PP::true });
		},
		40 => sub {
			$server->api('PATCH', "/users/$banned",
				{ primary_email_auth_enabled => JSON::PP::false });
		},
		41 => sub { $make->('2aabf2ee-05d5-44e0-b260-760c8305de82'); },
		42 => sub {
			$server->api('POST', '/auth/password/send-reset-code', {
				email => 'bob@example.com',
				callback_url => 'https://app.example.com/' });
			$codes{code} =
			  $server->test_call('GET', 'mails')->{mails}[0]{code};
		},
		48 => sub {
			create($server, oauth_providers =>
				  [ { id => 'google', account_id => '1000' } ]);
		});
	my $number = 26;
	foreach my $pair (recordings(26, 50))
	{
		$before{$number}->() if $before{$number};
		my $answer = replay($server, $pair, \%ids, \%codes);
		$codes{token} = $answer->{json}{access_token} if $number == 38;
		$number++;
	}
	return;
}

# What both contracts say of a taken e-mail and of pages, and the new one's
# names and keys.
sub test_new_contract
{
	my $server = StackAuthStandIn->start(
		config => { %quick, contract => 'hexclave', idempotency_keys => JSON::PP::true });
	my $old = $server->server_headers;
	my %new = map { s/^x-stack-/x-hexclave-/r => $old->{$_} } keys %$old;
	my $answer = $server->request('GET', '/api/v1/projects/current', \%new);
	is($answer->{status}, 200, 'headers under their new name');
	ok(exists $answer->{json}{config_warnings}, 'new keys of a project');
	is($answer->{headers}{'x-hexclave-request-id'},
		$answer->{headers}{'x-stack-request-id'}, 'the request id has both names');
	$answer = $server->request('GET', '/api/v1/users',
		{ %$old, 'x-hexclave-secret-server-key' => 'ssk_wrong' });
	is("$answer->{status} $answer->{headers}{'x-hexclave-known-error'} $answer->{headers}{'x-stack-known-error'}",
		'401 INVALID_SECRET_SERVER_KEY INVALID_SECRET_SERVER_KEY',
		'the new name wins, and errors have both');
	like($server->api('GET', '/nothing')->{headers}{'content-type'},
		qr{^text/html}, 'an unknown path');

	my $post = sub {
		my ($key, $body) = @_;
		return $server->request('POST', '/api/v1/users',
			{ %$old, 'content-type' => 'application/json',
				'x-hexclave-idempotency-key' => $key }, $body);
	};
	my $first = $post->('k', '{}');
	is($first->{status}, 201, 'a request with an idempotency key');
	ok(exists $first->{json}{external_auth_providers}, 'new keys of a user');
	is($post->('k', '{}')->{json}{id}, $first->{json}{id}, 'again: the first answer');
	is_text($post->('k', '{"display_name":"x"}'), 400, qr/./, 'another body: refused');
	isnt($post->('l', '{}')->{json}{id}, $first->{json}{id}, 'another key: another user');
	is(user_count($server), 2, 'two users');
	is_text($post->('', '{}'), 400, qr/./, 'an empty key');
	return;
}

# ---- headers, paths, bodies

sub test_access
{
	my ($server) = @_;
	my %good = %{ $server->server_headers };
	my $ask = sub {
		my (%change) = @_;
		my %headers = (%good, %change);
		delete @headers{ grep { !defined $headers{$_} } keys %headers };
		return $server->request('GET', '/api/v1/users', \%headers);
	};
	is($ask->()->{status}, 200, 'the server key is enough');
	is_known($ask->('x-stack-access-type' => undef),
		400, 'PROJECT_KEY_WITHOUT_ACCESS_TYPE', 'no access type');
	is_known($ask->('x-stack-access-type' => 'root'),
		400, 'INVALID_ACCESS_TYPE', 'invalid access type');
	is_known($ask->('x-stack-project-id' => undef),
		400, 'ACCESS_TYPE_WITHOUT_PROJECT_ID', 'no project');
	is_known($ask->('x-stack-project-id' => 'nonsense'),
		400, 'CURRENT_PROJECT_NOT_FOUND', 'malformed project id');
	is_known($ask->('x-stack-secret-server-key' => undef),
		401, 'SERVER_AUTHENTICATION_REQUIRED', 'no key');
	is_known(
		$ask->('x-stack-secret-server-key' => StackAuthStandIn::STRICT_KEY),
		401, 'INVALID_SECRET_SERVER_KEY', 'key of another project');
	is_known($ask->('x-stack-branch-id' => 'dev'),
		400, 'BRANCH_DOES_NOT_EXIST', 'unknown branch');
	is($ask->('x-stack-branch-id' => 'main')->{status}, 200, 'branch main');
	is_known($server->request('GET', '/api/v1/users'),
		400, 'ACCESS_TYPE_REQUIRED', 'no header at all');

	my $overridden = $ask->(
		'x-stack-branch-id' => 'dev',
		'x-stack-override-error-status' => 'true');
	is( "$overridden->{status} $overridden->{headers}{'x-stack-actual-status'}",
		'200 400', 'a status that is overridden');
	return;
}

sub test_paths_and_bodies
{
	my ($server) = @_;
	my $post = sub {
		my ($content, $type) = @_;
		my $headers = $server->server_headers;
		$headers->{'content-type'} = $type if defined $type;
		return $server->request('POST', '/api/v1/users', $headers, $content);
	};
	is_text($server->api('GET', '/nothing/here'), 404, qr/./, 'unknown path');
	is($server->request('GET', '/api/v2/users')->{status}, 404, 'no v2');
	my $answer = $server->api('PUT', '/users');
	is($answer->{status}, 405, 'wrong method');
	is($answer->{content}, '', 'wrong method: no body');
	ok(!exists $answer->{headers}{'content-type'}, 'wrong method: no type');

	is_known($post->('{', 'application/json'),
		400, 'BODY_PARSING_ERROR', 'cut JSON');
	is_known($post->('{}', 'application/xml'),
		400, 'BODY_PARSING_ERROR', 'a type other than JSON');

	my $raw = raw_post($server, "{}", 'x-nothing: 1');
	like($raw, qr/^HTTP\/1\.1 400 .*body must be defined/s, 'no content type');
	$raw = raw_post($server, "2\r\n{}\r\n0\r\n\r\n",
		"content-type: application/json\r\ntransfer-encoding: chunked");
	like($raw, qr/^HTTP\/1\.1 201 /, 'a chunked request');

	my $before = user_count($server);
	cut_post($server);
	is(user_count($server), $before, 'half a request is not executed');

	is($post->("{\"display_name\":\"a\xff\"}", 'application/json')
		  ->{json}{display_name},
		"a\x{fffd}", 'bytes that are not UTF-8 are replaced');
	is_opaque($post->('{"display_name":"a\\u0000"}', 'application/json'),
		'a NUL character');
	is_opaque($post->('{"server_metadata":["\\ud800"]}', 'application/json'),
		'half a surrogate pair');
	my $deep = '[' x 600 . ']' x 600;
	is_opaque($post->("{\"server_metadata\":$deep}", 'application/json'),
		'deep JSON');
	foreach my $field (qw(client client_read_only server))
	{
		my %nested = map { $_ => '[' x $_ . ']' x $_ } 123, 124;
		is($post->("{\"${field}_metadata\":$nested{123}}", 'application/json')->{status},
			201, "$field metadata of 123 levels");
		is_opaque($post->("{\"${field}_metadata\":$nested{124}}", 'application/json'),
			"$field metadata of 124 levels");
	}
	like(
		$post->('{"server_metadata":{"n":9007199254740993,"__proto__":1}}',
			'application/json')->{content},
		qr/"server_metadata":\{"n":9007199254740992\}/,
		'JavaScript\'s integers and prototypes');

	my $long = 'a' x (9000 * 1024);
	is($post->("{\"server_metadata\":\"$long\"}", 'application/json')->{status},
		201, '9000 KiB are accepted');
	$long = 'a' x (12000 * 1024);
	is_known($post->("{\"server_metadata\":\"$long\"}", 'application/json'),
		400, 'BODY_PARSING_ERROR', '12000 KiB are not');
	# Nobody needs that one again.
	$server->test_call('POST', 'reset');
	return;
}

# One POST to /users on a connection of its own; returns all that comes back.
sub raw_post
{
	my ($server, $content, $headers) = @_;
	my $socket = IO::Socket::INET->new("127.0.0.1:" . $server->port)
	  or die "could not connect: $!";
	my $length =
	  $headers =~ /chunked/ ? '' : "content-length: " . length($content) . "\r\n";
	my $auth = $server->server_headers;
	print $socket "POST /api/v1/users HTTP/1.1\r\nhost: x\r\n$length",
	  map({ "$_: $auth->{$_}\r\n" } keys %$auth),
	  "connection: close\r\n$headers\r\n\r\n$content";
	local $/ = undef;
	return scalar <$socket>;
}

# A POST whose sender goes away within the body; returns when the server has
# noticed.
sub cut_post
{
	my ($server) = @_;
	my $socket = IO::Socket::INET->new("127.0.0.1:" . $server->port)
	  or die "could not connect: $!";
	my $auth = $server->server_headers;
	print $socket "POST /api/v1/users HTTP/1.1\r\nhost: x\r\n",
	  map({ "$_: $auth->{$_}\r\n" } keys %$auth),
	  "content-type: application/json\r\ncontent-length: 9\r\n\r\n{}";
	$socket->shutdown(1);
	sysread $socket, my $nothing, 1;
	return;
}

# ---- faults

sub test_faults
{
	my ($server) = @_;
	my $post = sub { return $server->api('POST', '/users', {}); };

	# kind, status (599: the client's own), was the user created
	my @cases = (
		[ '429_retry_after', 429, 0 ],
		[ '429', 429, 0 ],
		[ '500_before_commit', 500, 0 ],
		[ '500_after_commit', 500, 1 ],
		[ 'reset_before_commit', 599, 0 ],
		[ 'reset_after_commit', 599, 1 ],
		[ 'half_answer', 599, 1 ],
		[ 'garbage_body', 201, 1 ],
		[ 'wrong_content_type', 201, 1 ],
		[ 'slow', 201, 1 ]);
	my %answer;
	foreach my $case (@cases)
	{
		my ($kind, $status, $created) = @$case;
		my $before = user_count($server);
		$server->set_faults({ kind => $kind, method => 'POST', seconds => 0.4 });
		my $start = time;
		$answer{$kind} = $post->();
		$answer{$kind}{seconds} = time - $start;
		$server->set_faults();
		is($answer{$kind}{status}, $status, "$kind: status");
		is(user_count($server) - $before, $created, "$kind: users created");
	}
	is($answer{'429_retry_after'}{headers}{'retry-after'}, 1, 'Retry-After');
	ok(!exists $answer{429}{headers}{'retry-after'}, 'no Retry-After');
	is_opaque($answer{"500_${_}_commit"}, "500 $_ commit")
	  foreach qw(before after);
	ok(!eval { $json->decode($answer{garbage_body}{content}); 1 },
		'garbage is not JSON');
	like($answer{wrong_content_type}{headers}{'content-type'},
		qr{^text/html}, 'wrong content type');
	cmp_ok($answer{slow}{seconds}, '>=', 0.4, 'slow is slow');

	$server->set_faults({ kind => 'reset_before_commit', path => '/api/.*' });
	my $socket = IO::Socket::INET->new("127.0.0.1:" . $server->port)
	  or die "could not connect: $!";
	print $socket "GET /api/v1/users HTTP/1.1\r\nhost: x\r\n\r\n";
	ok(!defined sysread($socket, my $byte, 1) && $!{ECONNRESET},
		'a reset is one, not an orderly end');
	$server->set_faults();
	return;
}

# Those that need a client which gives up.
sub test_endless_faults
{
	my ($server) = @_;
	my $patient = $server->{http};
	my $before = user_count($server);
	$server->{http} = HTTP::Tiny->new(timeout => 0.5);
	$server->set_faults({ kind => 'never_answer', method => 'POST' });
	is($server->api('POST', '/users', {})->{status}, 599, 'never an answer');
	$server->{http} = HTTP::Tiny->new(max_size => 1_000_000, timeout => 30);
	$server->set_faults({ kind => 'huge_answer', method => 'POST' });
	my $huge = $server->api('POST', '/users', {});
	like($huge->{content}, qr/exceeds/, 'a huge answer is over the limit');
	$server->{http} = $patient;
	$server->set_faults(
		{ kind => 'huge_answer', method => 'GET', bytes => 3_000_001 });
	is(length $server->api('GET', '/users')->{content},
		3_000_001, 'as huge as it was asked for');
	$server->set_faults();
	is(user_count($server) - $before, 2, 'both requests were executed');
	return;
}

# Which of so many requests fail.
sub failing
{
	my ($server, $count, @rules) = @_;
	$server->set_faults(@rules);
	my @failed = grep
	{
		$server->api('GET', '/projects/current')->{status} == 429
	} 1 .. $count;
	return join ' ', @failed;
}

sub test_fault_forms
{
	my ($server) = @_;
	my %rule = (kind => '429');
	is(failing($server, 5, { %rule, first => 2 }), '1 2', 'the first N');
	is(failing($server, 7, { %rule, every => 3 }), '3 6', 'every Nth');
	is(failing($server, 6, { %rule, skip => 2, first => 2 }),
		'3 4', 'the first N after some');
	is(failing($server, 3, { %rule, method => 'POST' }), '', 'another method');
	is(failing($server, 3, { %rule, path => '/api/v1/users.*' }),
		'', 'another path');
	is(failing($server, 2, { %rule, path => '/api/v1/projects/.*' }),
		'1 2', 'this path');
	is(failing($server, 2, { kind => 'slow', seconds => 0, first => 1 }, \%rule),
		'2', 'the first rule that fires decides');

	my %often = (%rule, probability => 0.5, seed => 7);
	my $once = failing($server, 40, \%often);
	my $number = () = $once =~ /\d+/g;
	cmp_ok($number, '>', 5, 'by chance: some');
	cmp_ok($number, '<', 35, 'by chance: not all');
	is(failing($server, 40, \%often), $once, 'the same seed, the same run');
	isnt(failing($server, 40, { %often, seed => 8 }),
		$once, 'another seed, another run');

	my $faults = $server->test_call('GET', 'faults')->{faults};
	is($faults->[0]{matched}, 40, 'a rule counts its requests');
	foreach my $bad (
		{ kind => 'nonsense' },
		{ kind => '429', evry => 2 },
		{ kind => '429', path => '(' },
		{ kind => '429', every => 0 },
		{ kind => '429', when => 'after' })
	{
		ok(!eval { $server->set_faults($bad); 1 },
			'refused: ' . $compact->encode($bad));
	}
	is(scalar @{ $server->test_call('GET', 'faults')->{faults} },
		1, 'a refused list changes nothing');
	$server->test_call('DELETE', 'faults');
	is(failing($server, 3), '', 'no rules, no faults');
	return;
}

# ---- what the tests may ask

sub test_admin
{
	my $server = StackAuthStandIn->start(
		config => \%quick,
		faults => [ { kind => '500_after_commit', first => 1 } ]);
	my %body = (
		primary_email => 'seen@example.com',
		primary_email_auth_enabled => JSON::PP::true,
		password_hash => $vector_hash);
	is($server->api('POST', '/users', \%body)->{status},
		500, 'faults of the command line');
	is_known($server->api('POST', '/users', \%body),
		409, 'USER_EMAIL_ALREADY_EXISTS', 'the first one was committed');
	my ($user) = values %{ kept($server) };
	is($user->{password_hash}, $vector_hash, 'the hash, byte for byte');

	my $log = $server->test_call('GET', 'requests')->{requests};
	is( join(' ', map { "$_->{method} $_->{status} " . ($_->{fault} // '-') }
			  @$log),
		'POST 500 500_after_commit POST 409 -',
		'the log of requests');
	is_deeply($json->decode($log->[0]{body}), \%body, 'with their bodies');
	unlike($json->encode($log), qr/ssk_/, 'without their keys');
	is( scalar @{ $server->test_call('GET',
				"requests?since=$log->[0]{number}")->{requests} },
		1, 'the log since a request');
	my $counters = $server->test_call('GET', 'counters');
	is($counters->{totals}{'POST /api/v1/users 409'}, 1, 'counted by status');
	is($counters->{totals}{'fault 500_after_commit'}, 1, 'counted by fault');
	is($counters->{peak_in_flight}, 1, 'one at a time');

	$server->test_call('POST', 'reset');
	is(user_count($server), 0, 'reset');
	is($server->api('POST', '/users', \%body)->{status},
		201, 'the e-mail is free after a reset');
	return;
}

sub test_state_file
{
	my $dir = File::Temp->newdir();
	my @with = (config => \%quick, state_file => "$dir/state");
	my $server = StackAuthStandIn->start(@with);
	my %body = (
		primary_email => 'kept@example.com',
		primary_email_auth_enabled => JSON::PP::true,
		password_hash => $vector_hash,
		oauth_providers => [ { id => 'google', account_id => '1' } ]);
	my $user = create($server, %body);
	my $gone = create($server);
	$server->api('DELETE', "/users/$gone->{id}");
	$server->api(
		'POST',
		'/auth/password/send-reset-code',
		{
			email => 'kept@example.com',
			callback_url => 'https://app.example.com/'
		});
	my $before = kept($server);
	$server->stop('KILL');

	$server = StackAuthStandIn->start(@with);
	is_deeply(kept($server), $before, 'users outlive a killed server');
	is_known($server->api('POST', '/users', \%body),
		409, 'USER_EMAIL_ALREADY_EXISTS', 'e-mails stay unique');
	is_opaque(
		$server->api('POST', '/users',
			{ oauth_providers => $body{oauth_providers} }),
		'OAuth accounts stay unique');
	is(scalar @{ $server->test_call('GET', 'mails')->{mails} },
		1, 'mails outlive it');
	is($server->stop, 0, 'SIGTERM ends the server in peace');
	return;
}

# The server must not survive a test that was killed.
sub test_parent
{
	my $dir = File::Temp->newdir();
	my $report = "$dir/port";
	my $parent = fork() // die "could not fork: $!";
	if ($parent == 0)
	{
		my $server = StackAuthStandIn->start();
		open my $file, '>', "$report.new" or POSIX::_exit(1);
		print $file $server->port;
		close $file;
		rename "$report.new", $report;
		sleep 60;
		POSIX::_exit(1);
	}
	for (1 .. 600)
	{
		last if -e $report;
		sleep 0.1;
	}
	open my $file, '<', $report or die "could not open $report: $!";
	my $port = <$file>;
	close $file;
	my $connect = sub { return IO::Socket::INET->new("127.0.0.1:$port"); };
	ok($connect->(), 'a server of a process');
	kill 'KILL', $parent;
	waitpid $parent, 0;
	my $alive = 1;
	for (1 .. 100)
	{
		$alive = $connect->() or last;
		sleep 0.1;
	}
	ok(!$alive, 'ends with the process');
	return;
}

sub test_keep_alive
{
	my $server =
	  StackAuthStandIn->start(config => { keep_alive_seconds => 1 });
	my $socket = IO::Socket::INET->new("127.0.0.1:" . $server->port)
	  or die "could not connect: $!";
	my $select = IO::Select->new($socket);
	for my $round (1 .. 2)
	{
		print $socket "GET /_test/mails HTTP/1.1\r\nhost: x\r\n\r\n";
		my $answer = '';
		while ($answer !~ /\r\n0\r\n\r\n$/ && $select->can_read(10))
		{
			sysread($socket, $answer, 4096, length $answer) or last;
		}
		like($answer, qr/^HTTP\/1\.1 200 .*keep-alive: timeout=1\r\n/s,
			"request $round on a connection");
	}
	my $rest;
	ok($select->can_read(10) && sysread($socket, $rest, 1) == 0,
		'an idle connection is closed');
	return;
}

test_recordings();

test_recordings();
test_new_recordings();
test_new_contract();

my $server = StackAuthStandIn->start(config => \%quick);
test_access($server);
test_paths_and_bodies($server);
test_faults($server);
test_endless_faults($server);
test_fault_forms($server);
is($server->stop, 0, 'the server ends well');

test_admin();
test_state_file();
test_keep_alive();
test_parent();

done_testing();
