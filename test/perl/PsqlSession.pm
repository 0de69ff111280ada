
=pod

=head1 NAME

PsqlSession - a psql that stays, for questions that are asked again and again

=head1 SYNOPSIS

  use PsqlSession;

  my $session = PsqlSession->new($node);
  my $answer  = $session->query('SELECT count(*) FROM pg_stat_activity');

=head1 DESCRIPTION

Starting psql and a server process for it costs ten times as much as a query.
Waiting tests ask the same one until the answer is the right one.

=cut

package PsqlSession;

use strict;
use warnings;

use IPC::Open3;

my $end = 'end of the answer';

=pod

=head1 METHODS

=over

=item new(NODE)

Starts psql, connected to the database postgres as the node's superuser.  Whether
that works shows when it is asked.

=cut

sub new
{
	my ($class, $node) = @_;
	my $self = bless {}, $class;

	local %ENV = $node->_get_env();
	$self->{pid} = open3(
		$self->{input}, $self->{output}, undef,
		$node->installed_command('psql'),
		'-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', '-');
	return $self;
}

=pod

=item $session->query(SQL)

What psql prints of it, and nothing if it or the connection fails; then the
session is over, and last_words() says why.

=cut

sub query
{
	my ($self, $sql) = @_;
	my $answer = '';

	local $SIG{PIPE} = 'IGNORE';
	print { $self->{input} } "$sql\n;\n\\echo $end\n";
	$self->{input}->flush;
	while (defined(my $line = readline $self->{output}))
	{
		if ($line eq "$end\n")
		{
			chomp $answer;
			return $answer;
		}
		$answer .= $line;
	}
	$self->{last_words} = $answer;
	return;
}

sub last_words
{
	my ($self) = @_;
	return $self->{last_words} // '';
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);

	local $SIG{PIPE} = 'IGNORE';
	close $self->{input};
	close $self->{output};
	waitpid $self->{pid}, 0;
	return;
}

=pod

=back

=cut

1;
