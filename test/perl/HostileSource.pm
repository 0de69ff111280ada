
=pod

=head1 NAME

HostileSource - a proxy that alters what a source answers

=head1 SYNOPSIS

  use HostileSource;

  my $proxy = HostileSource->new($source->port, $directory);
  # ... connect to 127.0.0.1, port $proxy->port, and run something
  my @queries = $proxy->queries;
  $proxy->alter(sql => $queries[0], how => 'null', column => 1);
  # ... run it again
  my $count = $proxy->altered;

=head1 DESCRIPTION

Every connection is relayed by a process of its own, which follows the
protocol: it knows which statement a message of the server answers.  What is to
be altered is in a file that is read when a connection is made.

alter() takes which statements: all with the text sql (see queries()), or all
that match the regular expression pattern; and how.  Several alterations are
given as references to hashes; the first that is meant for a statement counts.

  null            a null in column (a number, modulo the columns; undef: in all)
  value           the same with a value: the bytes in value, or, if there is
                  size, so many times value
  few, many       a column less or more, in description and rows
  short           a column less in the rows alone
  binary          columns said to be in binary format
  no_rows         without its rows
  rows            every row as often as times says
  rows_megabytes  the last row again until so many megabytes are sent
  row             the rows replaced by one with the values in the list values
  kind            instead of the answer, a message of type, with the bytes in body
  error           instead of the answer, an error with the fields in fields (a hash)
  messages        before the rows, times messages of type with the bytes in body;
                  "%d" in it is a running number
  field           the first row of a COPY in binary format replaced by one whose
                  first field has the bytes in body and is length bytes long, and
                  whose others are empty; it goes on with the letter B
  garble          a byte of each row changed, by a generator that begins with seed

=cut

package HostileSource;

use strict;
use warnings;

use Fcntl qw(:flock);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX ();

my $json  = JSON::PP->new->latin1->canonical;
my $piece = 256 * 1024;

sub new
{
	my ($class, $port, $directory) = @_;
	my $listener = IO::Socket::INET->new(
		Listen    => 20,
		LocalAddr => '127.0.0.1',
		ReuseAddr => 1,
		Proto     => 'tcp') or die "cannot listen: $!";
	my $self = bless {
		port => $listener->sockport,
		plan => "$directory/plan",
		log  => "$directory/log" }, $class;

	$self->relay;
	$self->{pid} = fork;
	die "cannot fork: $!" unless defined $self->{pid};
	if ($self->{pid} == 0)
	{
		$SIG{CHLD} = 'IGNORE';
		$SIG{PIPE} = 'IGNORE';
		while (my $client = $listener->accept)
		{
			my $child = fork;
			next if $child || !defined $child;
			$listener->close;
			eval { serve($self, $client, $port); };
			POSIX::_exit(0);
		}
		POSIX::_exit(0);
	}
	$listener->close;
	return $self;
}

sub port
{
	my ($self) = @_;

	return $self->{port};
}

sub write_plan
{
	my ($self, $plan) = @_;

	unlink $self->{log};
	open my $file, '>:raw', $self->{plan} or die "cannot write $self->{plan}: $!";
	print $file $json->encode($plan);
	close $file;
	return;
}

# Alter nothing, and forget what was seen.
sub relay
{
	my ($self) = @_;

	return $self->write_plan({});
}

sub alter
{
	my ($self, @plans) = @_;

	return $self->write_plan({ plans => ref $plans[0] ? \@plans : [ {@plans} ] });
}

sub seen
{
	my ($self) = @_;

	open my $file, '<:raw', $self->{log} or return ();
	my @seen = map { $json->decode($_) } <$file>;
	return @seen;
}

# The statements since alter() or relay(), each once, names of snapshots left out.
sub queries
{
	my ($self) = @_;
	my %known;

	return grep { !$known{$_}++ } map { $_->{sql} } $self->seen;
}

# How many answers were altered.
sub altered
{
	my ($self) = @_;

	return scalar grep { $_->{altered} } $self->seen;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	kill 'TERM', $self->{pid} or return;
	waitpid $self->{pid}, 0;
	return;
}

# Everything below is a process that relays one connection.

sub read_plan
{
	my ($self) = @_;

	open my $file, '<:raw', $self->{plan} or die "cannot read $self->{plan}: $!";
	local $/;
	my $plan = $json->decode(<$file>);
	foreach my $one (@{ $plan->{plans} })
	{
		$one->{regexp} = qr/$one->{pattern}/s if defined $one->{pattern};
	}
	return $plan->{plans} || [];
}

# As much as is there; false at the end of the connection.
sub take
{
	my ($socket, $buffer) = @_;

	return sysread $socket, $$buffer, $piece, length $$buffer;
}

sub put
{
	my ($socket, $data) = @_;
	my $done = 0;

	while ($done < length $data)
	{
		$done += syswrite($socket, $data, 1024 * 1024, $done)
		  || die "the connection is gone\n";
	}
	return;
}

# No encryption, so that the proxy can read; then the client's first message.
sub relay_startup
{
	my ($client, $server) = @_;
	my $buffer = '';

	for (;;)
	{
		while (length $buffer < 8 || length $buffer < unpack 'N', $buffer)
		{
			take($client, \$buffer) or die "no startup\n";
		}
		my ($length, $code) = unpack 'NN', $buffer;
		my $message = substr $buffer, 0, $length, '';
		if ($code == 80877103 || $code == 80877104)
		{
			put($client, 'N');
			next;
		}
		put($server, $message);
		return $buffer;
	}
}

sub serve
{
	my ($self, $client, $port) = @_;
	my $server = IO::Socket::INET->new(
		PeerAddr => '127.0.0.1',
		PeerPort => $port,
		Proto    => 'tcp') or return;
	my %relay     = (plans => read_plan($self), log => $self->{log}, client => $client, queue => []);
	my $asked     = relay_startup($client, $server);
	my $answered  = '';
	my $select    = IO::Select->new($client, $server);

	for (;;)
	{
		pass_questions(\%relay, $server, \$asked);
		foreach my $end ($select->can_read)
		{
			take($end, $end == $client ? \$asked : \$answered) or return;
		}
		pass_questions(\%relay, $server, \$asked);
		pass_answers(\%relay, \$answered);
	}
	return;
}

# Statements are known by their text, names of snapshots left out.
sub pass_questions
{
	my ($relay, $server, $buffer) = @_;

	while (length $$buffer >= 5)
	{
		my ($type, $length) = unpack 'aN', $$buffer;

		last if length $$buffer < $length + 1;
		my $message = substr $$buffer, 0, $length + 1, '';
		if ($type eq 'P' || $type eq 'Q')
		{
			my $sql = (unpack $type eq 'P' ? 'x5 Z* Z*' : 'x5 Z*', $message)[-1];
			$sql =~ s/'[0-9A-F]+-[0-9A-F]+-[0-9]+'/'...'/;
			push @{ $relay->{queue} }, { sql => $sql, rows => 0 };
		}
		put($server, $message);
	}
	return;
}

sub pass_answers
{
	my ($relay, $buffer) = @_;
	my $out = '';

	while (length $$buffer >= 5)
	{
		my ($type, $length) = unpack 'aN', $$buffer;

		last if length $$buffer < $length + 1;
		my $message = substr $$buffer, 0, $length + 1, '';
		my $current = $relay->{queue}[0];
		if ($current && plan_for($relay, $current))
		{
			$out .= altered_message($relay, $current, $type, $message);
		}
		else
		{
			$out .= $message;
		}
		if ($type eq 'Z' && $current)
		{
			note_answer($relay, $current);
			shift @{ $relay->{queue} };
		}
		if (length $out > $piece)
		{
			put($relay->{client}, $out);
			$out = '';
		}
	}
	put($relay->{client}, $out);
	return;
}

sub note_answer
{
	my ($relay, $current) = @_;

	open my $file, '>>:raw', $relay->{log} or return;
	flock $file, LOCK_EX;
	syswrite $file, $json->encode({ sql => $current->{sql}, altered => $current->{altered} ? 1 : 0 }) . "\n";
	close $file;
	return;
}

# What is to be done with an answer; undef if nothing.
sub plan_for
{
	my ($relay, $current) = @_;

	return $current->{plan} if exists $current->{plan};
	($current->{plan}) =
	  grep { defined $_->{sql} ? $current->{sql} eq $_->{sql} : $current->{sql} =~ $_->{regexp} }
	  @{ $relay->{plans} };
	return $current->{plan};
}

sub message
{
	my ($type, $body) = @_;

	return pack('aN', $type, 4 + length $body) . $body;
}

# What is sent instead of one message of the server's.
sub altered_message
{
	my ($relay, $current, $type, $message) = @_;
	my $plan = $current->{plan};
	my $how  = $plan->{how};

	if ($how eq 'kind' || $how eq 'error')
	{
		return $message if $type eq 'Z';
		return '' if $type =~ /[12]/ || $current->{altered}++;
		return message($plan->{type}, $plan->{body} // '') if $how eq 'kind';
		return message('E',
			join('', map { "$_$plan->{fields}{$_}\0" } sort keys %{ $plan->{fields} }) . "\0");
	}
	if ($how eq 'messages' && !$current->{altered} && $type =~ /[TDHdCEn]/)
	{
		$current->{altered} = 1;
		send_messages($relay, $plan);
		return $message;
	}
	return $message if $how eq 'messages';
	return altered_description($plan, $current, substr $message, 5) if $type eq 'T';
	return altered_rows($relay, $current, $type, substr $message, 5) if $type eq 'D' || $type eq 'd';
	if ($type eq 'C' && $how eq 'rows_megabytes' && defined $current->{row})
	{
		my $rows = $current->{row} x (1 + int($piece / length $current->{row}));
		put($relay->{client}, $rows) for 1 .. 1 + $plan->{megabytes} * 1024 * 1024 / length $rows;
		$current->{altered} = 1;
	}
	return $message;
}

sub send_messages
{
	my ($relay, $plan) = @_;
	my $out = '';

	for my $number (1 .. $plan->{times})
	{
		(my $body = $plan->{body}) =~ s/%d/$number/;
		$out .= message($plan->{type}, $body);
		next if length $out < $piece;
		put($relay->{client}, $out);
		$out = '';
	}
	put($relay->{client}, $out);
	return;
}

sub altered_description
{
	my ($plan, $current, $body) = @_;
	my $how   = $plan->{how};
	my $count = unpack 'n', $body;
	my @columns;

	$body = substr $body, 2;
	for (1 .. $count)
	{
		my $name = unpack 'Z*', $body;
		push @columns, substr $body, 0, length($name) + 1 + 18, '';
	}
	if ($how eq 'few' && @columns)
	{
		pop @columns;
		$current->{altered} = 1;
	}
	if ($how eq 'many')
	{
		push @columns, "more\0" . pack 'NnNnNn', 0, 0, 25, 65535, 4294967295, 0;
		$current->{altered} = 1;
	}
	if ($how eq 'binary')
	{
		substr($_, -1) = "\1" foreach @columns;
		$current->{altered} = 1;
	}
	return message('T', pack('n', scalar @columns) . join '', @columns);
}

# A row of an answer, or one message of a COPY in text format.
sub altered_rows
{
	my ($relay, $current, $type, $body) = @_;
	my $plan = $current->{plan};
	my $how  = $plan->{how};
	my @values;

	return long_field($plan, $current, $body) if $how eq 'field' && $type eq 'd' && !$current->{altered};

	if ($how eq 'garble')
	{
		srand($plan->{seed}) unless $current->{altered}++;
		substr($body, int rand length $body, 1) = chr int rand 256 if length $body;
		return message($type, $body);
	}
	return message($type, $body) if $type eq 'd' && $body =~ /^PGCOPY|\0/;
	@values = $type eq 'D' ? read_row($body) : read_line($body);
	if ($how eq 'no_rows')
	{
		$current->{altered} = 1;
		return '';
	}
	if ($how eq 'row')
	{
		return '' if $current->{altered}++;
		@values = @{ $plan->{values} };
	}
	alter_values($plan, $current, \@values);
	my $row = message($type, $type eq 'D' ? write_row(@values) : write_line(@values));
	$current->{row} = $row;
	if ($how eq 'rows')
	{
		$current->{altered} = 1;
		return $row x $plan->{times};
	}
	return $row;
}

# The stream's header, if it is there, and the row.
sub long_field
{
	my ($plan, $current, $body) = @_;
	my $header = $body =~ /^PGCOPY/ ? substr $body, 0, 19, '' : '';
	my $count  = unpack 'n', $body;

	return message('d', "$header$body") if length $body < 2 || $count == 65535;
	$current->{altered} = 1;
	return message('d',
			$header
		  . pack('nN', $count, $plan->{length})
		  . $plan->{body}
		  . "B" x ($plan->{length} - length $plan->{body})
		  . "\0\0\0\0" x ($count - 1));
}

sub alter_values
{
	my ($plan, $current, $values) = @_;
	my $how = $plan->{how};

	if ($how eq 'null' || $how eq 'value')
	{
		my $value = $how eq 'null' ? undef : $plan->{value} x ($plan->{size} // 1);
		my @columns =
		  defined $plan->{column} && @$values ? ($plan->{column} % @$values) : (0 .. $#$values);

		$values->[$_] = $value foreach @columns;
		$current->{altered} = 1;
	}
	if ($how eq 'few' || $how eq 'short')
	{
		pop @$values;
		$current->{altered} = 1;
	}
	if ($how eq 'many')
	{
		push @$values, 'more';
		$current->{altered} = 1;
	}
	return;
}

sub read_row
{
	my ($body) = @_;
	my $count = unpack 'n', $body;
	my $at    = 2;
	my @values;

	for (1 .. $count)
	{
		my $length = unpack 'N', substr $body, $at, 4;

		$at += 4;
		push @values, undef;
		next if $length == 4294967295;
		$values[-1] = substr $body, $at, $length;
		$at += $length;
	}
	return @values;
}

sub write_row
{
	my (@values) = @_;

	return pack('n', scalar @values) . join '',
	  map { defined $_ ? pack('N', length $_) . $_ : "\xff\xff\xff\xff" } @values;
}

sub read_line
{
	my ($body) = @_;

	chomp $body;
	return map { $_ eq '\\N' ? undef : $_ } split /\t/, $body, -1;
}

sub write_line
{
	my (@values) = @_;

	return join("\t", map { $_ // '\\N' } @values) . "\n";
}

1;
