
=pod

=head1 NAME

TcpProxy - a bad network between two servers

=head1 SYNOPSIS

  use TcpProxy;

  my $proxy = TcpProxy->new($source->port);
  # ... connect to 127.0.0.1, port $proxy->port
  $proxy->command('reset');

=head1 DESCRIPTION

A process of its own relays every connection to its port of 127.0.0.1 to
another one, until it is told something else:

  reset      end all connections at once, as a lost network does
  close      end all connections in order
  refuse     end all connections, and new ones as soon as they are made
  reset N    the same as reset, after N more bytes have been relayed
  stall      relay nothing, but keep the connections
  delay MS   wait so many milliseconds before each piece
  go         relay again: takes back refuse, stall and delay
  count MS   count from now on how often each connection waits for an answer; one
             is relayed when the client has been silent for so many milliseconds,
             so that all that it sends without waiting is one request
  counts     the result: a number for each connection since then, in order

=cut

package TcpProxy;

use strict;
use warnings;

use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use Socket;
use Time::HiRes qw(time usleep);

# Bytes read at a time; also how much may wait to be written to a peer.
my $piece = 64 * 1024;

sub new
{
	my ($class, $port) = @_;
	my $listener = IO::Socket::INET->new(
		Listen    => 20,
		LocalAddr => '127.0.0.1',
		ReuseAddr => 1,
		Proto     => 'tcp') or die "cannot listen: $!";
	my $self = bless { port => $listener->sockport }, $class;
	my $theirs;

	socketpair($self->{control}, $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC)
	  or die "cannot make a socket pair: $!";
	$self->{pid} = fork;
	die "cannot fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		close $self->{control};
		$SIG{PIPE} = 'IGNORE';
		eval { relay($port, $listener, $theirs); };
		warn $@ if $@;

		# Not exit(): what the test has registered for its end is not ours.
		require POSIX;
		POSIX::_exit(0);
	}
	$listener->close;
	close $theirs;
	$self->{control}->autoflush(1);
	return $self;
}

sub port
{
	my ($self) = @_;

	return $self->{port};
}

# Tell the process something, and wait until it knows; returns its answer.
sub command
{
	my ($self, $command) = @_;

	print { $self->{control} } "$command\n";
	my $answer = readline $self->{control};
	die "the proxy is gone\n" unless defined $answer;
	chomp $answer;
	return $answer;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	close $self->{control};
	waitpid $self->{pid}, 0;
	return;
}

# Everything below is the other process.

my %peer;       # socket -> the other side's
my %waiting;    # socket -> bytes to be written to it
my %socket;     # name -> socket
my %state = (refuse => 0, stall => 0, delay => 0, bytes_left => undef, silence => 0);
my %number;     # client's socket -> which of the connections that are counted
my %asked_at;   # client's socket -> when it asked what has not been answered
my @counts;     # answers waited for, by number

sub end_connection
{
	my ($one, $hard) = @_;
	my @ends = ($one, $peer{$one});

	foreach my $end (@ends)
	{
		setsockopt $end, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0) if $hard;
		delete $peer{$end};
		delete $waiting{$end};
		delete $socket{$end};
		delete $number{$end};
		delete $asked_at{$end};
		close $end;
	}
	return;
}

sub end_all
{
	my ($hard) = @_;

	while (my ($one) = values %socket)
	{
		end_connection($one, $hard);
	}
	$state{bytes_left} = undef;
	return;
}

# Returns the answer.
sub obey
{
	my ($command, $number) = @_;

	return join ' ', @counts if $command eq 'counts';
	if    ($command eq 'go') { @state{qw(refuse stall delay)} = (0, 0, 0); }
	elsif ($command eq 'stall')  { $state{stall} = 1; }
	elsif ($command eq 'delay')  { $state{delay} = $number; }
	elsif ($command eq 'refuse') { $state{refuse} = 1; end_all(1); }
	elsif ($command eq 'close')  { end_all(0); }
	elsif ($command eq 'count')
	{
		$state{silence} = $number / 1000;
		@counts = ();
	}
	elsif ($command ne 'reset')  { die "unknown command: $command\n"; }
	elsif (defined $number)      { $state{bytes_left} = $number; }
	else                         { end_all(1); }
	return 'done';
}

sub accept_connection
{
	my ($listener, $port) = @_;
	my $client = $listener->accept or return;
	my $server = $state{refuse} ? undef :
	  IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Proto => 'tcp');

	if (!$server)
	{
		close $client;
		return;
	}
	foreach my $end ($client, $server)
	{
		$end->blocking(0);
		$waiting{$end} = '';
		$socket{$end}  = $end;
	}
	$peer{$client} = $server;
	$peer{$server} = $client;
	if ($state{silence})
	{
		push @counts, 0;
		$number{$client} = $#counts;
	}
	return;
}

sub read_from
{
	my ($end) = @_;
	my $peer = $peer{$end} or return;
	my $data;
	my $count = sysread $end, $data, $piece;

	return if !defined $count && ($!{EAGAIN} || $!{EINTR});
	if (!$count)
	{
		# What is on its way to the other side arrives first.
		$peer->blocking(1);
		syswrite $peer, $waiting{$peer} if $waiting{$peer} ne '';
		end_connection($end, 0);
		return;
	}
	usleep 1000 * $state{delay} if $state{delay};
	$asked_at{$end} = time if defined $number{$end};
	$waiting{$peer} .= $data;
	if (defined $state{bytes_left})
	{
		$state{bytes_left} -= $count;
		end_all(1) if $state{bytes_left} <= 0;
	}
	return;
}

sub write_to
{
	my ($end) = @_;
	return unless $peer{$end} && $waiting{$end} ne '';
	my $count = syswrite $end, $waiting{$end};

	$counts[ $number{$end} ]++ if delete $asked_at{$end};
	if (defined $count)
	{
		substr($waiting{$end}, 0, $count) = '';
	}
	elsif (!$!{EAGAIN} && !$!{EINTR})
	{
		end_connection($end, 0);
	}
	return;
}

sub relay
{
	my ($port, $listener, $control) = @_;

	$control->autoflush(1);
	for (;;)
	{
		my @ends     = $state{stall} ? () : values %socket;
		my @readable = grep { length $waiting{ $peer{$_} } < $piece } @ends;
		my @pending  = grep { $waiting{$_} ne '' } @ends;
		my @writable = grep { !$asked_at{$_} || time - $asked_at{$_} >= $state{silence} } @pending;
		my ($reads, $writes) = IO::Select->select(
			IO::Select->new($control, $listener, @readable),
			IO::Select->new(@writable),
			undef, @pending > @writable ? 0.01 : 1);

		foreach my $end (@{ $reads || [] })
		{
			if ($end == $control)
			{
				my $command;

				return if !sysread $control, $command, 1000;
				syswrite $control, obey($command =~ /\S+/g) . "\n";
				last;
			}
			elsif ($end == $listener) { accept_connection($listener, $port); }
			elsif ($socket{$end})     { read_from($end); }
		}
		write_to($_) foreach grep { $socket{$_} } @{ $writes || [] };
	}
}

1;
