
=pod

=head1 NAME

StackAuthTest - what tests of the stand-in for Stack Auth have in common

=head1 SYNOPSIS

  use StackAuthStandIn;
  use StackAuthTest;

  my $server = StackAuthStandIn->start(config => \%quick);
  my $user = create($server, primary_email => 'a@b.c');
  is_known($server->api('GET', '/users/nonsense'),
      400, 'SCHEMA_ERROR', 'an id that is none');

=head1 DESCRIPTION

is_known(), is_text() and is_opaque() tell the three kinds of refusal apart;
each takes the answer first and the test's name last.

=cut

package StackAuthTest;

use strict;
use warnings;

use Digest::SHA qw(hmac_sha1);
use Exporter 'import';
use Test::More;

our @EXPORT = qw(is_known is_text is_opaque create sign_in kept user_count totp
  $uuid %quick $vector_hash $vector_password);

our $uuid = qr/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

# Settings of a server that does not make its tests wait for long.
our %quick = (oauth_collision_seconds => 0.3, unknown_email_seconds => 0.3);

# bcrypt's test vector of the Openwall crypt_blowfish package.
our $vector_hash = '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW';
our $vector_password = 'U*U';

# An answer is a known error: status, code in body and header.
sub is_known
{
	my ($answer, $status, $code, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is( join(' ',
			$answer->{status},
			$answer->{json}{code} // '(no code)',
			$answer->{headers}{'x-stack-known-error'} // '(no header)'),
		"$status $code $code",
		$what);
	return;
}

# An answer is a bare text without a code.
sub is_text
{
	my ($answer, $status, $text, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{status}, $status, "$what: status");
	is($answer->{headers}{'content-type'},
		'text/plain; charset=utf-8', "$what: content type");
	ok(!exists $answer->{headers}{'x-stack-known-error'}, "$what: no code");
	like($answer->{content}, ref $text ? $text : qr/^\Q$text\E$/, "$what: text");
	return;
}

sub is_opaque
{
	my ($answer, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_text($answer, 500, qr/^Something went wrong\. .*\n\nRequest ID: /s, $what);
	return;
}

# Creates a user and returns it as the answer shows it.
sub create
{
	my ($server, %body) = @_;
	my $answer = $server->api('POST', '/users', \%body);
	die "could not create: $answer->{content}" if $answer->{status} != 201;
	return $answer->{json};
}

sub sign_in
{
	my ($server, $email, $password) = @_;
	return $server->api('POST', '/auth/password/sign-in',
		{ email => $email, password => $password });
}

# The users as the server keeps them, by id.
sub kept
{
	my ($server) = @_;
	return { map { $_->{id} => $_ }
		  @{ $server->test_call('GET', 'users')->{users} } };
}

sub user_count
{
	my ($server) = @_;
	return $server->test_call('GET', 'counters')->{users};
}

# RFC 6238's code of now, by RFC 4226's truncation.
sub totp
{
	my ($secret) = @_;
	my @digest = unpack 'C*', hmac_sha1(pack('Q>', int(time / 30)), $secret);
	my $offset = $digest[19] & 15;
	my $number = unpack 'N', pack 'C4', @digest[ $offset .. $offset + 3 ];
	return sprintf '%06d', ($number & 0x7fffffff) % 1_000_000;
}

1;
