
=pod

=head1 NAME

SampledTest - tests with more cases than there is time for

=head1 SYNOPSIS

  use SampledTest;

  my $kills = how_many(20, 100);
  foreach my $case (some_of(5, @cases)) { ... }

=head1 DESCRIPTION

script/test takes a sample of the cases, script/test long all of them: it sets
FTM_TEST_LONG=1, and runs the files that use this module, or this variable.  What
is in the sample, and everything else that a test does at random, follows from a
seed, which is printed; FTM_TEST_SEED repeats it.

=cut

package SampledTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use List::Util qw(shuffle);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(how_many is_long seed some_of);

my $seed = $ENV{FTM_TEST_SEED} || (int(1000 * time) ^ $$) % 2**31;
srand $seed;
diag basename($0) . ": FTM_TEST_SEED=$seed" . (is_long() ? ', long' : '');

=pod

=head1 FUNCTIONS

=over

=item seed()

The seed; perl's own generator has been given it.

=item is_long()

Whether all cases are wanted.

=cut

sub seed
{
	return $seed;
}

sub is_long
{
	return ($ENV{FTM_TEST_LONG} // '') eq '1';
}

=pod

=item how_many(SHORT, LONG)

How often something is done: SHORT times in a sample, LONG times in all.

=cut

sub how_many
{
	my ($short, $long) = @_;
	return is_long() ? $long : $short;
}

=pod

=item some_of(NUMBER, CASES...)

All cases, or so many of them in a sample; in their order in either case.

=cut

sub some_of
{
	my ($number, @cases) = @_;

	return @cases if is_long() || $number >= @cases;
	my @chosen = (shuffle 0 .. $#cases)[ 0 .. $number - 1 ];
	return @cases[ sort { $a <=> $b } @chosen ];
}

=pod

=back

=cut

1;
