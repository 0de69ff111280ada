
=pod

=head1 NAME

Dockerfile - the steps of a Dockerfile, for those who have no Docker

=head1 SYNOPSIS

  use Dockerfile;

  foreach my $stage (Dockerfile::stages($text))
  {
	  # $stage->{from}, $stage->{name}
	  foreach my $step (@{ $stage->{steps} })
	  {
		  my ($instruction, $arguments) = @$step;
	  }
  }

=head1 DESCRIPTION

Knows comments, continued lines, and the instructions that ours is made of; dies
of any other, so that nothing is left out in silence.

=cut

package Dockerfile;

use strict;
use warnings;

=pod

=head1 FUNCTIONS

=over

=item stages(TEXT, NAME => VALUE, ...)

The stages in order: what each is made from, its name, and its steps RUN, COPY
and WORKDIR with their arguments.  The names and values are build arguments.

=cut

sub stages
{
	my ($text, %given) = @_;
	my (%arguments, @stages);

	$text =~ s/^\s*#.*\n//mg;
	$text =~ s/\\\n\s*/ /g;
	foreach my $line (grep { /\S/ } split /\n/, $text)
	{
		my ($instruction, $rest) = $line =~ /^([A-Z]+)\s+(.*?)\s*$/
		  or die "not a step of a Dockerfile: $line\n";

		if ($instruction eq 'ARG' && !@stages)
		{
			my ($name, $default) = $rest =~ /^(\w+)=(\S*)$/ or die "$line\n";
			$arguments{$name} = $given{$name} // $default;
		}
		elsif ($instruction eq 'FROM')
		{
			$rest =~ s/\$\{(\w+)\}/$arguments{$1} \/\/ die "no $1: $line\n"/eg;
			my ($from, $name) = $rest =~ /^(\S+)(?: AS (\S+))?$/ or die "$line\n";
			push @stages, { from => $from, name => $name, steps => [] };
		}
		elsif ($instruction =~ /^(?:RUN|COPY|WORKDIR)$/ && @stages)
		{
			push @{ $stages[-1]{steps} }, [ $instruction, $rest ];
		}
		else
		{
			die "unknown step: $line\n";
		}
	}
	return @stages;
}

=pod

=item ignored(TEXT, NAME)

Whether a file at the top of the checkout is left out of the build by a
.dockerignore that begins with * and then names exceptions.

=cut

sub ignored
{
	my ($text, $name) = @_;
	my @lines = grep { /^[^#]/ } split /\n/, $text;

	die "not a list of exceptions\n" if $lines[0] ne '*' || grep { !/^![\w.]+$/ } @lines[ 1 .. $#lines ];
	return !grep { $_ eq "!$name" } @lines;
}

=pod

=back

=cut

1;
