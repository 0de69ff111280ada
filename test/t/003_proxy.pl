
# The proxy that other tests break networks with: an end meant for some
# connections must not meet those that are made after it.

use strict;
use warnings;

use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use TcpProxy;
use Test::More;

my $timeout  = $PostgreSQL::Test::Utils::timeout_default;
my $listener = IO::Socket::INET->new(
	Listen    => 5,
	LocalAddr => '127.0.0.1',
	Proto     => 'tcp') or die "cannot listen: $!";
my $proxy = TcpProxy->new($listener->sockport);

# Both ends of a new connection through the proxy.
sub connection
{
	my $client = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $proxy->port,
		Proto    => 'tcp') or die "cannot connect: $!";

	return ($client, scalar $listener->accept);
}

# What arrives next, or how the connection ended.
sub arrives
{
	my ($end) = @_;
	my $data;

	vec(my $ready = '', $end->fileno, 1) = 1;
	return 'nothing' unless select $ready, undef, undef, $timeout;
	my $count = sysread $end, $data, 1000;
	return $!{ECONNRESET} ? 'reset' : "error: $!" unless defined $count;
	return $count ? $data : 'end';
}

my ($client, $server) = connection();
syswrite $client, 'question';
is(arrives($server), 'question', 'what the client says arrives');
syswrite $server, 'answer';
is(arrives($client), 'answer', 'and the answer');

foreach my $case ([ 'reset', 'reset' ], [ 'close', 'end' ])
{
	my ($command, $how) = @$case;

	$proxy->command($command);
	is(arrives($client), $how, "$command: the client's side ends");
	is(arrives($server), $how, "$command: and the server's");
	($client, $server) = connection();
	syswrite $client, 'again';
	is(arrives($server), 'again', "$command: a new connection is none of those");
}

$proxy->command('reset 3');
syswrite $client, 'ab';
is(arrives($server), 'ab', 'reset 3: two bytes are relayed');
syswrite $client, 'c';
is(arrives($client), 'reset', 'reset 3: and the third one ends it');
($client, $server) = connection();
syswrite $client, 'again';
is(arrives($server), 'again', 'reset 3: once');

# The client has what the kernel took, whether or not it was relayed.
$proxy->command('stall');
syswrite $client, 'late';
$proxy->command('reset');
is(arrives($client), 'reset', 'stall, reset: ends at once');
$proxy->command('go');
($client, $server) = connection();
syswrite $client, 'again';
is(arrives($server), 'again', 'stall, reset, go: a new connection is none of those');

$proxy->command('refuse');
is(arrives($client), 'reset', 'refuse: connections end');
$client = IO::Socket::INET->new(
	PeerAddr => '127.0.0.1',
	PeerPort => $proxy->port,
	Proto    => 'tcp') or die "cannot connect: $!";
is(arrives($client), 'end', 'refuse: new ones, too');

done_testing();
