
=pod

=head1 NAME

NodeTemplate - data directories that are made once and copied

=head1 SYNOPSIS

  use NodeTemplate;

  my $folder = NodeTemplate::folder([ 'source', 50, 1000 ], sub {
	  # ... make a server, fill it, stop it
	  return $node->data_dir;
  });

=head1 DESCRIPTION

They are in tmp_check/templates, which make removes before tests are run, so
they are as old as the tests and no older.  Test files that run at the same time
share them: who comes first makes one, the others wait for it.

=cut

package NodeTemplate;

use strict;
use warnings;

use Fcntl qw(:flock);
use PostgreSQL::Test::Utils;

=pod

=head1 FUNCTIONS

=over

=item folder(KEY, MAKE)

The path of a stopped server's data directory, to copy from.  KEY is a list of
texts that says what is in it.  If there is none yet, MAKE->() makes it somewhere
in tmp_check and returns where; it is moved away from there.

=cut

sub folder
{
	my ($key, $make) = @_;
	my $templates = "$PostgreSQL::Test::Utils::tmp_check/templates";
	my $path      = "$templates/" . join(' ', @$key) =~ s/[^\w ]/_/gr =~ s/ /-/gr;

	mkdir $templates;
	open my $lock, '>', "$path.lock" or die "could not create $path.lock: $!";
	flock $lock, LOCK_EX or die "could not lock $path.lock: $!";
	if (!-d $path)
	{
		my $made = $make->();
		rename $made, $path or die "could not rename $made: $!";
	}
	close $lock;
	return $path;
}

=pod

=back

=cut

1;
