# The stand-in for Stack Auth against the rules about users that no recording
# shows.
#
# What a test expects is written here from the API's contract.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP;
use MIME::Base64;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use StackAuthTest;
use Test::More;
use Time::HiRes qw(time sleep);

# ---- fields of a user

# What is wrong with one field is said with its name, and nothing is created.
sub test_refused_fields
{
	my ($server) = @_;
	my @refused = (
		[ primary_email => '' ],
		[ primary_email => 'no-at-sign' ],
		[ primary_email => ' a@example.com' ],
		[ primary_email => '"quoted local"@example.com' ],
		[ primary_email => "a\@m\x{fc}nchen.example" ],
		[ primary_email => 'a@-x.com' ],
		[ primary_email => 'a@' . 'x' x 64 . '.com' ],
		[ password_hash => undef ],
		[ password_hash => '' ],
		[ password => 'x' x 71 ],
		[ display_name => 'x' x 257 ],
		[ display_name => "\x{1F600}" x 129 ],
		[ display_name => {} ],
		[ profile_image_url => '' ],
		[ profile_image_url => '/relative.png' ],
		[ profile_image_url => 'https://example.com/a b.png' ],
		map({ [ profile_image_url => $_ ] } 'https://example.com:65536/a',
			'https://example.com:80:80/a', 'https://256.256.256.256/a',
			'https://1.2.3.4.5/a', 'https://4294967296/a', 'https://1.2.3.09/',
			'https://xn--/a', 'https://exa<mple.com/a', 'http://[::1/a'),
		[ totp_secret_base64 => 'MTIz!' ],
		[ totp_secret_base64 => 'MTIzNA' ],
		[ primary_email_verified => 'yes' ],
		[ country_code => 'DEU' ],
		[ restricted_by_admin_reason => 'because' ],
		[ oauth_providers => [ { id => 'google' } ] ],
		[ oauth_providers =>
			  [ { id => 'google', account_id => '1', name => 'x' } ] ],
		[ risk_scores =>
			  { sign_up => { bot => 101, free_trial_abuse => 0 } } ],
		[ id => '5c9cbd0c-6a71-4a53-b5c4-0c9a5f4b1d4e' ],
		[ signed_up_at_millis => 1 ],
		[ phone => '+491701234567' ],
		[ selected_team_id => undef ]);
	my $before = user_count($server);
	foreach my $case (@refused)
	{
		my ($field, $value) = @$case;
		my $answer = $server->api('POST', '/users', { $field => $value });
		my $what = "$field " . JSON::PP->new->ascii->allow_nonref->encode($value);
		is_known($answer, 400, 'SCHEMA_ERROR', "refused: $what");
		like($answer->{json}{details}{message},
			qr/\Q$field\E/, "names the field: $what");
	}
	is(user_count($server), $before, 'what was refused is not there');
	return;
}

sub test_accepted_fields
{
	my ($server) = @_;
	my $user = create(
		$server,
		primary_email => 'Root@LOCALHOST',
		primary_email_verified => 'true',
		display_name => '',
		country_code => 'de',
		client_metadata => [ 1, 'two' ],
		server_metadata => 'text',
		passkey_auth_enabled => JSON::PP::true,
		oauth_providers => [ { id => 'x', account_id => 77 } ],
		restricted_by_admin => JSON::PP::true,
		restricted_by_admin_reason => 'banned',
		restricted_by_admin_private_details => 'until tomorrow');
	my %got = map { $_ => $user->{$_} } qw(primary_email primary_email_verified
	  primary_email_auth_enabled display_name country_code client_metadata
	  server_metadata passkey_auth_enabled oauth_providers is_restricted
	  restricted_by_admin restricted_by_admin_reason);
	is_deeply(
		\%got,
		{
			primary_email => 'root@localhost',
			primary_email_verified => JSON::PP::true,
			primary_email_auth_enabled => JSON::PP::false,
			display_name => undef,
			country_code => 'DE',
			client_metadata => [ 1, 'two' ],
			server_metadata => 'text',
			passkey_auth_enabled => JSON::PP::false,
			oauth_providers =>
			  [ { id => 'x', account_id => '77', email => undef } ],
			is_restricted => JSON::PP::true,
			restricted_by_admin => JSON::PP::true,
			restricted_by_admin_reason => 'banned',
		},
		'values are normalised and coerced');
	like($user->{id}, qr/^$uuid$/, 'an id of the server\'s own');
	create($server, primary_email => $_)
	  foreach ('a..b@x.com', 'l' x 300 . '@x.com');
	is($server->api('POST', '/users', {})->{status}, 201, 'an empty user');
	create($server, display_name => "\x{1F600}" x 128);
	create($server, profile_image_url => $_)
	  foreach ('http://example.com/a.png', 'https://example.com:/a',
		'https://example.com:0/a', 'https://a..b/', 'https://-a-.de/',
		'https://example.com./', 'https://example.com/[a%zz\'"\\',
		'http://[::1]:65535/', 'https://1.2.3.4/',
		'https://example.com/' . 'a' x 4096);
	pass('long and odd values are accepted');
	return;
}

sub test_text_errors
{
	my ($server) = @_;
	my $hash = $vector_hash;
	my $bad_hash = "Invalid password hash. Make sure it's a supported "
	  . 'algorithm in Modular Crypt Format.';
	my %bad = (
		'$2x$' => $hash =~ s/2a/2x/r,
		'cost 3' => $hash =~ s/\$05\$/\$03\$/r,
		'cost 17' => $hash =~ s/\$05\$/\$17\$/r,
		'a newline' => "$hash\n",
		'a byte less' => substr($hash, 0, 59),
		'a foreign letter' => $hash =~ s/W$/!/r,
		'fbscrypt' => '$fbscrypt$v=1,n=14,r=8,p=1$c2FsdA$aGFzaA',
		'plain text' => 'secret');
	is_text($server->api('POST', '/users', { password_hash => $bad{$_} }),
		400, $bad_hash, "hash: $_")
	  foreach sort keys %bad;
	is($server->api('POST', '/users', { password_hash => $_ })->{status},
		201, "hash accepted: $_")
	  foreach map { $hash =~ s/^\$2a\$05/$_/r }
	  ('$2a$04', '$2b$05', '$2y$10', '$2a$16');

	is_text(
		$server->api('POST', '/users',
			{ password => 'abc', password_hash => $hash }),
		400,
		'Cannot set both password and password_hash at the same time.',
		'password and hash');
	foreach my $field (qw(primary_email_verified primary_email_auth_enabled))
	{
		is_text($server->api('POST', '/users', { $field => JSON::PP::true }),
			400, "$field cannot be true without primary_email", $field);
	}
	is_text(
		$server->api('POST', '/users', { profile_image_url => 'ftp://x/a' }),
		400, 'Invalid profile image URL', 'ftp image');
	is_text(
		$server->api('POST', '/users', { profile_image_url => $_ }),
		400, 'Invalid profile image URL', "image of $_")
	  foreach qw(HTTPS://example.com/a Http://example.com/a);
	is_opaque(
		$server->api('POST', '/users',
			{ profile_image_url => 'data:image/png;base64,AAAA' }),
		'an image that needs S3');
	my @strict = (StackAuthStandIn::STRICT_PROJECT, StackAuthStandIn::STRICT_KEY);
	is_text(
		$server->api('POST', '/users', { otp_auth_enabled => JSON::PP::true },
			@strict),
		400, 'OTP auth not enabled in the project', 'OTP off');
	is_text(
		$server->api('POST', '/users',
			{ oauth_providers => [ { id => 'google', account_id => '1' } ] },
			@strict),
		400, 'OAuth provider google not found', 'provider off');
	return;
}

# ---- uniqueness

sub test_unique_email
{
	my ($server) = @_;
	my $before = user_count($server);
	my @ids = map { create($server, primary_email => 'twice@example.com')->{id} }
	  1 .. 2;
	isnt($ids[0], $ids[1], 'an e-mail without auth may be there twice');
	my %auth = (
		primary_email => 'Twice@example.com',
		primary_email_auth_enabled => JSON::PP::true);
	my $owner = create($server, %auth);
	is_known($server->api('POST', '/users', \%auth),
		409, 'USER_EMAIL_ALREADY_EXISTS', 'with auth it may not');
	is_known(
		$server->api('PATCH', "/users/$ids[0]",
			{ primary_email_auth_enabled => JSON::PP::true }),
		409, 'USER_EMAIL_ALREADY_EXISTS', 'nor by PATCH');
	is(user_count($server), $before + 3, 'refused users are not there');
	is( $server->api('POST', '/users', { primary_email => 'twice@example.com' })
		  ->{status},
		201, 'without auth it may be there beside one with auth');
	is( $server->api('POST', '/users', \%auth, StackAuthStandIn::STRICT_PROJECT,
			StackAuthStandIn::STRICT_KEY)->{status},
		201, 'another project is another matter');

	# A further address counts as soon as one may sign in with it.
	my $channel = $server->api(
		'POST',
		'/contact-channels',
		{
			user_id => $owner->{id}, type => 'email',
			value => ' Second@Example.com ' =~ s/ //gr,
			used_for_auth => JSON::PP::true
		});
	is($channel->{json}{value}, 'second@example.com', 'channel in lower case');
	$auth{primary_email} = 'second@example.com';
	is_known($server->api('POST', '/users', \%auth),
		409, 'USER_EMAIL_ALREADY_EXISTS', 'a further address is taken');
	$server->api('DELETE', "/users/$owner->{id}");
	is($server->api('POST', '/users', \%auth)->{status},
		201, 'free again after its owner is gone');
	return;
}

sub test_parallel_creation
{
	my ($server) = @_;
	my $body = JSON::PP->new->utf8->encode(
		{
			primary_email => 'parallel@example.com',
			primary_email_auth_enabled => JSON::PP::true
		});
	my $auth = $server->server_headers;
	my @sockets;
	foreach (1 .. 6)
	{
		my $socket = IO::Socket::INET->new("127.0.0.1:" . $server->port)
		  or die "could not connect: $!";
		push @sockets, $socket;
	}
	foreach my $socket (@sockets)
	{
		print $socket "POST /api/v1/users HTTP/1.1\r\nhost: x\r\n",
		  map({ "$_: $auth->{$_}\r\n" } keys %$auth),
		  "content-type: application/json\r\nconnection: close\r\n",
		  "content-length: " . length($body) . "\r\n\r\n$body";
		$socket->flush;
	}
	my @statuses = map { (split / /, <$_>)[1] } @sockets;
	is(join(' ', sort @statuses),
		'201 409 409 409 409 409', 'six at once: one wins');
	return;
}

sub test_unique_oauth
{
	my ($server) = @_;
	my $one = create($server,
		oauth_providers => [ { id => 'github', account_id => '4711' } ]);
	my $two = create($server,
		oauth_providers => [ { id => 'gitlab', account_id => '4711' } ]);
	my $before = user_count($server);
	my $start = time;
	is_opaque(
		$server->api(
			'POST',
			'/users',
			{
				oauth_providers => [
					{ id => 'google', account_id => 'a' },
					{ id => 'google', account_id => 'b' }
				]
			}),
		'the same provider twice');
	cmp_ok(time - $start, '>=', 0.3, 'a collision takes its time');
	is(user_count($server), $before, 'a collision creates nobody');

	my $add = sub {
		my ($user, $provider, $account, $sign_in) = @_;
		return $server->api(
			'POST',
			'/oauth-providers',
			{
				user_id => $user->{id},
				provider_config_id => $provider,
				account_id => $account,
				allow_sign_in => $sign_in ? JSON::PP::true : JSON::PP::false,
				allow_connected_accounts => JSON::PP::true
			});
	};
	is_text($add->($one, 'slack', '1', 1), 404,
		'OAuth provider slack not found', 'adding an unknown provider');
	is_text($add->($one, 'github', '1', 1), 400, qr/./, 'the same provider');
	is_known($add->($one, 'discord', '4711', 1), 400,
		'OAUTH_PROVIDER_ACCOUNT_ID_ALREADY_USED_FOR_SIGN_IN',
		'the same account id of any provider');
	is($add->($one, 'github', '4712', 0)->{status},
		201, 'a second account without sign-in');
	my $listed =
	  $server->api('GET', "/oauth-providers?user_id=$one->{id}")->{json}{items};
	is(join(' ', map { "$_->{provider_config_id}/$_->{account_id}" } @$listed),
		'github/4711 github/4712', 'both are listed');
	is_known(
		$server->api('POST', '/oauth-providers', { user_id => $two->{id} }),
		400, 'SCHEMA_ERROR', 'fields that are required');
	return;
}

# ---- reading and changing

sub test_update
{
	my ($server) = @_;
	my $user = create(
		$server,
		primary_email => 'update@example.com',
		primary_email_auth_enabled => JSON::PP::true,
		client_metadata => { a => 1, b => 2 },
		server_metadata => { keep => 1 },
		is_anonymous => JSON::PP::true);
	my $path = "/users/$user->{id}";
	my $patch = sub { return $server->api('PATCH', $path, {@_}); };

	is_deeply($patch->()->{json}, $user, 'an empty PATCH changes nothing');
	my $changed = $patch->(client_metadata => { c => 3 })->{json};
	is_deeply(
		[ @$changed{qw(client_metadata server_metadata)} ],
		[ { c => 3 }, { keep => 1 } ],
		'metadata is replaced, other metadata stays');
	is_known($patch->(oauth_providers => []),
		400, 'SCHEMA_ERROR', 'no OAuth by PATCH');
	is_known($patch->(is_anonymous => JSON::PP::true),
		400, 'SCHEMA_ERROR', 'nobody becomes anonymous');
	ok(!$patch->(is_anonymous => JSON::PP::false)->{json}{is_restricted},
		'but a real user');

	ok($patch->(password_hash => $vector_hash)->{json}{has_password},
		'a hash by PATCH');
	is(sign_in($server, 'update@example.com', $vector_password)->{status},
		200, 'it is the one that was given');
	ok(!$patch->(password => undef)->{json}{has_password}, 'password removed');

	is($patch->(primary_email => undef)->{json}{primary_email},
		undef, 'no primary e-mail');
	my $channels =
	  $server->api('GET', "/contact-channels?user_id=$user->{id}")->{json};
	is(join(' ', map { "$_->{value} $_->{is_primary}" } @{ $channels->{items} }),
		'update@example.com 0', 'the address stays as a further one');
	is_opaque($patch->(password_hash => $vector_hash), 'hash without e-mail');

	is_known($server->api('GET', '/users/nonsense'),
		400, 'SCHEMA_ERROR', 'an id that is none');
	is($server->api('DELETE', $path)->{status}, 200, 'deleted');
	is_known($server->api($_, $path, $_ eq 'PATCH' ? {} : undef),
		404, 'USER_NOT_FOUND', "$_ of a deleted user")
	  foreach qw(GET PATCH DELETE);
	return;
}

sub test_channels
{
	my ($server) = @_;
	my $user = create($server, primary_email => 'channel@example.com');
	my $other = create(
		$server,
		primary_email => 'channel-other@example.com',
		primary_email_auth_enabled => JSON::PP::true);
	my $add = sub {
		my (%change) = @_;
		return $server->api(
			'POST',
			'/contact-channels',
			{
				user_id => $user->{id}, type => 'email',
				value => 'further@example.com',
				used_for_auth => JSON::PP::false, %change
			});
	};
	my $further = $add->()->{json};
	is_text($add->(), 400, 'Contact channel already exists', 'twice the same');
	is_known($add->(type => 'phone', value => '+4917012345'),
		400, 'SCHEMA_ERROR', 'no phone');
	is_known(
		$add->(
			value => 'channel-other@example.com',
			used_for_auth => JSON::PP::true),
		409,
		'CONTACT_CHANNEL_ALREADY_USED_FOR_AUTH_BY_SOMEONE_ELSE',
		'taken by somebody');
	is_opaque($add->(user_id => '5c9cbd0c-6a71-4a53-b5c4-0c9a5f4b1d4e'),
		'channel of nobody');

	my $path = "/contact-channels/$user->{id}/$further->{id}";
	is_known($server->api('PATCH', $path, { verified => JSON::PP::true }),
		400, 'SCHEMA_ERROR', 'unknown field of a channel');
	$server->api('PATCH', $path, { is_primary => JSON::PP::true });
	is($server->api('GET', "/users/$user->{id}")->{json}{primary_email},
		'further@example.com', 'another primary address');
	is($server->api('DELETE', $path)->{status}, 200, 'channel deleted');
	is($server->api('GET', "/users/$user->{id}")->{json}{primary_email},
		undef, 'and gone');
	return;
}

# ---- lists

sub ids_of
{
	my ($server, $query) = @_;
	my $answer = $server->api('GET', "/users?$query");
	die "could not list: $answer->{content}" if $answer->{status} != 200;
	return map { $_->{id} } @{ $answer->{json}{items} };
}

sub test_list
{
	my $server = StackAuthStandIn->start(config => \%quick);
	my %id;
	foreach my $name (qw(a_b axb plain))
	{
		$id{$name} = create($server, primary_email => "$name\@example.com",
			display_name => "Mr $name")->{id};
		sleep 0.005;
	}
	$id{anonymous} = create($server, is_anonymous => JSON::PP::true)->{id};
	sleep 0.005;
	$id{banned} = create($server, restricted_by_admin => JSON::PP::true)->{id};
	my %name = reverse %id;
	my $list = sub { return join ' ', map { $name{$_} } ids_of($server, @_); };

	is($list->(''), 'a_b axb plain', 'anonymous and banned are hidden');
	is($list->('include_restricted=true'),
		'a_b axb plain banned', 'restricted ones asked for');
	is($list->('include_anonymous=true&desc=true'),
		'banned anonymous plain axb a_b', 'anonymous implies restricted');
	is($list->('include_anonymous=true&only_anonymous=true'),
		'anonymous', 'only anonymous');

	is($list->('query=a_b@example.com'), 'a_b axb', '_ is a wildcard');
	is($list->('query=a%25b@'), 'a_b axb', '% is a wildcard');
	is($list->('query=MR%20PLAIN'), 'plain', 'display name, in any case');
	is($list->('query=lain@exam'), 'plain', 'a substring');
	is($list->("query=$id{axb}"), 'axb', 'an id');
	is($list->('query=' . substr($id{axb}, 0, 30)), '', 'not part of an id');

	my @pages;
	my $cursor = '';
	for (my $more = 1; $more;)
	{
		my $answer = $server->api('GET',
			"/users?include_anonymous=true&limit=2$cursor")->{json};
		push @pages, join '+', map { $name{ $_->{id} } } @{ $answer->{items} };
		my $next = $answer->{pagination}{next_cursor};
		$more = defined $next && @pages < 9;
		$cursor = "&cursor=$next" if $more;
	}
	is(join(' ', @pages),
		'a_b+axb plain+anonymous banned', 'the cursor is the next page\'s first');
	is($list->("cursor=$id{axb}"), 'axb plain', 'it is inclusive');
	is($list->("cursor=$id{axb}&desc=true"), 'axb a_b', 'in both directions');
	$server->api('DELETE', "/users/$id{axb}");
	my $lost = $server->api('GET', "/users?cursor=$id{axb}");
	is_deeply(
		$lost->{json},
		{
			items => [], is_paginated => JSON::PP::true,
			pagination => { next_cursor => undef }
		},
		'a deleted user as cursor: an empty last page');

	is_known($server->api('GET', "/users?$_"), 400, 'SCHEMA_ERROR', $_)
	  foreach qw(limit=0 limit=x desc=1 order_by=email offset=3
	  include_everyone=true only_anonymous=true);
	return;
}

# ---- signing in

sub test_sign_in
{
	my ($server) = @_;
	foreach my $kind (qw(2a 2b 2y))
	{
		create(
			$server,
			primary_email => "$kind\@example.com",
			primary_email_auth_enabled => JSON::PP::true,
			password_hash => $vector_hash =~ s/2a/$kind/r);
		is(sign_in($server, uc "$kind\@example.com", $vector_password)->{status},
			200, "\$$kind\$ signs in");
		is_known(sign_in($server, "$kind\@example.com", 'U*U*'),
			400, 'EMAIL_PASSWORD_MISMATCH', "\$$kind\$ with another password");
	}
	create($server, primary_email => 'off@example.com',
		password_hash => $vector_hash);
	is_known(sign_in($server, $_, $vector_password),
		400, 'EMAIL_PASSWORD_MISMATCH', "no sign-in: $_")
	  foreach qw(off@example.com nobody@example.com);
	is_known(sign_in($server, '2a@example.com', 'x' x 71),
		400, 'SCHEMA_ERROR', 'a password that is too long');
	create(
		$server,
		primary_email => 'plain@example.com',
		primary_email_auth_enabled => JSON::PP::true,
		password => "p\x{e4}ssword");
	is(sign_in($server, 'plain@example.com', "p\x{e4}ssword")->{status},
		200, 'a password that came in plain text');

	my $banned = create(
		$server,
		primary_email => 'banned@example.com',
		primary_email_auth_enabled => JSON::PP::true,
		restricted_by_admin => JSON::PP::true,
		password_hash => $vector_hash);
	is(sign_in($server, 'banned@example.com', $vector_password)->{json}{user_id},
		$banned->{id}, 'who is restricted still signs in');

	is_known(
		$server->api(
			'POST', '/auth/password/sign-in',
			{ email => '2a@example.com', password => 'x' },
			StackAuthStandIn::STRICT_PROJECT,
			StackAuthStandIn::STRICT_KEY),
		400, 'PASSWORD_AUTHENTICATION_NOT_ENABLED', 'password sign-in off');
	is_known(
		$server->api('POST', '/auth/sessions',
			{ user_id => '5c9cbd0c-6a71-4a53-b5c4-0c9a5f4b1d4e' }),
		400, 'USER_ID_DOES_NOT_EXIST', 'a session for nobody');
	is( join(' ', sort keys %{ $server->api('POST', '/auth/sessions',
					{ user_id => $banned->{id} })->{json} }),
		'access_token refresh_token', 'a session');
	return;
}

sub test_totp
{
	my ($server) = @_;
	my $secret = '12345678901234567890';
	my $encoded = encode_base64($secret, '');
	my $user = create(
		$server,
		primary_email => 'totp@example.com',
		primary_email_auth_enabled => JSON::PP::true,
		password_hash => $vector_hash,
		totp_secret_base64 => $encoded);
	my $kept = kept($server)->{ $user->{id} };
	is($kept->{totp_secret_base64}, $encoded, 'TOTP in POST is stored');
	ok(!$user->{requires_totp_mfa}, 'but not required');
	is(sign_in($server, 'totp@example.com', $vector_password)->{status},
		200, 'and not asked for');

	$server->api('PATCH', "/users/$user->{id}",
		{ totp_secret_base64 => $encoded });
	is_known(sign_in($server, 'totp@example.com', 'wrong'),
		400, 'EMAIL_PASSWORD_MISMATCH', 'the password is asked first');
	my $stopped = sign_in($server, 'totp@example.com', $vector_password);
	is_known($stopped, 400, 'MULTI_FACTOR_AUTHENTICATION_REQUIRED',
		'TOTP by PATCH is asked for');
	my $attempt = $stopped->{json}{details}{attempt_code};
	my $answer = sub {
		my ($code) = @_;
		return $server->api('POST', '/auth/mfa/sign-in',
			{ type => 'totp', totp => $code, code => $attempt });
	};
	is_known($answer->('abcdef'), 400, 'INVALID_TOTP_CODE', 'a wrong code');
	is($answer->(totp($secret))->{json}{user_id},
		$user->{id}, 'the right code signs in');
	is($answer->(totp($secret))->{status}, 404, 'an attempt is used once');

	$server->api('PATCH', "/users/$user->{id}", { totp_secret_base64 => undef });
	is(sign_in($server, 'totp@example.com', $vector_password)->{status},
		200, 'removed, it is asked for no more');
	return;
}

sub test_reset_mails
{
	my ($server) = @_;
	my $trusted = 'https://app.example.com/handler/password-reset';
	my $send = sub {
		my ($email, $url) = @_;
		return $server->api('POST', '/auth/password/send-reset-code',
			{ email => $email, callback_url => $url // $trusted });
	};
	my $user = create(
		$server,
		primary_email => 'reset@example.com',
		primary_email_auth_enabled => JSON::PP::true);
	is($send->('Reset@example.com')->{status}, 200, 'reset without a password');
	is_known($send->('reset@example.com', $_),
		400, 'REDIRECT_URL_NOT_WHITELISTED', "not trusted: $_")
	  foreach qw(http://app.example.com/ https://app.example.com:444/
	  https://app.example.com.evil.example/ http://localhost/);
	my $start = time;
	is($send->('nobody-here@example.com', 'https://evil.example/')->{status},
		200, 'nobody: nothing is said');
	cmp_ok(time - $start, '>=', 0.3, 'but it takes longer');

	my $mails = $server->test_call('GET', 'mails')->{mails};
	is(join(' ', map { "$_->{user_id} $_->{email} $_->{callback_url}" } @$mails),
		"$user->{id} reset\@example.com $trusted", 'one mail was sent');

	my $project = 'projects/' . StackAuthStandIn::TARGET_PROJECT;
	$server->test_call('PATCH', $project,
		{ credential_enabled => JSON::PP::false });
	is_known($send->('reset@example.com'),
		400, 'PASSWORD_AUTHENTICATION_NOT_ENABLED', 'password sign-in off');
	is($server->api('GET', '/projects/current')
		  ->{json}{config}{credential_enabled} ? 1 : 0,
		0, 'the project says so');
	$server->test_call('PATCH', $project,
		{ credential_enabled => JSON::PP::true });
	return;
}

sub test_email_verification
{
	my $server = StackAuthStandIn->start(
		config => {
			framing => 'length',
			projects => {
				StackAuthStandIn::TARGET_PROJECT,
				{ require_email_verification => JSON::PP::true }
			}
		});
	my $answer = $server->api('POST', '/users',
		{ primary_email => 'unverified@example.com' });
	is_deeply($answer->{json}{restricted_reason},
		{ type => 'email_not_verified' },
		'verification required: restricted');
	is($answer->{headers}{'content-length'},
		length $answer->{content}, 'framed by length when configured');
	return;
}

my $server = StackAuthStandIn->start(config => \%quick);
test_refused_fields($server);
test_accepted_fields($server);
test_text_errors($server);
test_unique_email($server);
test_parallel_creation($server);
test_unique_oauth($server);
test_update($server);
test_channels($server);
test_sign_in($server);
test_totp($server);
test_reset_mails($server);
is($server->stop, 0, 'the server ends well');

test_list();
test_email_verification();

done_testing();
