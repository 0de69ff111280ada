# What prove uses to run the tests: longest files first, so that no processor
# waits for one that was begun last; a line for each file when it is over, with
# how long it took; and a last line that says how many assertions passed, failed
# and were skipped, which script/test adds up.
#
#	FTM_TEST_VERBOSE=1         says when a file begins, too
#	FTM_TEST_DURATIONS=FILE    adds how long each file took to FILE; what
#	                           test/durations says is where the order is from
#	FTM_TEST_SAMPLE=MINUTES    runs only as many files as fit, in the order that
#	                           FTM_TEST_SEED gives

package FtmigrateHarness;

use strict;
use warnings;

use File::Basename;
use List::Util qw(shuffle);
use POSIX qw(strftime);

use parent 'TAP::Harness';

# How long a file is thought to take that nothing is known of, in seconds.
use constant UNKNOWN_SECONDS => 300;

# Files that take longest, to be named in the end.
use constant SLOWEST => 12;

sub new
{
	my ($class, $arguments) = @_;

	# The lines of prove do not tell how long a file took.
	$arguments->{verbosity} ||= -2;
	my $self = $class->SUPER::new($arguments);

	$self->callback(made_parser => sub { say_begin($_[1]) })
	  if $ENV{FTM_TEST_VERBOSE};
	$self->callback(after_test => sub { say_end(@_) });
	return $self;
}

# As test/durations has it: a file in its long kind is another one.
sub key
{
	my ($file) = @_;

	return basename($file, '.pl') . ($ENV{FTM_TEST_LONG} ? ' (long)' : '');
}

sub known_seconds
{
	my %seconds;

	open my $file, '<', dirname(__FILE__) . '/../durations' or return {};
	while (<$file>)
	{
		$seconds{$2} = $1 if /^ *(\d+) (.+)$/;
	}
	close $file;
	return \%seconds;
}

sub aggregate_tests
{
	my ($self, $aggregate, @tests) = @_;
	my $known   = known_seconds();
	my $key     = sub { key(ref $_[0] ? $_[0]->[0] : $_[0]) };
	my $seconds = sub { $known->{ $key->(@_) } // UNKNOWN_SECONDS };

	@tests = sample($self->jobs, $seconds, grep { $known->{ $key->($_) } } @tests)
	  if $ENV{FTM_TEST_SAMPLE};
	@tests = sort { $seconds->($b) <=> $seconds->($a) } @tests;
	return $self->SUPER::aggregate_tests($aggregate, @tests);
}

# Files that fit into the minutes, if one processor is there for two jobs; of those
# only that somebody has measured, since some take hours.
sub sample
{
	my ($jobs, $seconds, @tests) = @_;
	my $limit = 60 * $ENV{FTM_TEST_SAMPLE};
	my $sum   = 0;
	my @chosen;

	srand $ENV{FTM_TEST_SEED};
	foreach my $test (shuffle @tests)
	{
		my $needed = $seconds->($test);

		next if $needed > $limit || $sum + $needed > $limit * $jobs / 2;
		push @chosen, $test;
		$sum += $needed;
	}
	return @chosen;
}

sub say_line
{
	print strftime('[%H:%M:%S] ', localtime), @_, "\n";
	return;
}

sub say_begin
{
	my ($test) = @_;

	say_line('           ', $test->[1], ' begins');
	return;
}

sub say_end
{
	my ($test, $parser) = @_;
	my $seconds = $parser->end_time - $parser->start_time;
	my $failed  = scalar $parser->failed;
	my $result =
		$parser->has_problems     ? "FAILED ($failed of " . $parser->tests_run . ')'
	  : defined $parser->skip_all ? 'skipped: ' . $parser->skip_all
	  :                             $parser->tests_run . ' ok';

	say_line(sprintf('%7.1f s  ', $seconds), $test->[1], '  ', $result);
	if ($ENV{FTM_TEST_DURATIONS})
	{
		open my $file, '>>', $ENV{FTM_TEST_DURATIONS}
		  or die "$ENV{FTM_TEST_DURATIONS}: $!";
		printf $file "%5.0f %s\n", $seconds, key($test->[0]);
		close $file;
	}
	return;
}

sub summary
{
	my ($self, $aggregate, @more) = @_;
	my $failed  = 0;
	my $skipped = $aggregate->skipped;

	$self->SUPER::summary($aggregate, @more);

	foreach my $file ($aggregate->parsers)
	{
		# A file can fail as a whole, too: no plan, a signal
		$failed += $file->failed || 1 if $file->has_problems;
		$skipped++ if $file->skip_all;
	}
	say_slowest($aggregate) if $aggregate->descriptions > 1;
	printf "%d passed, %d failed, %d skipped\n",
	  $aggregate->passed - $aggregate->skipped, $failed, $skipped;
	return;
}

sub say_slowest
{
	my ($aggregate) = @_;
	my %seconds = map {
		my ($parser) = $aggregate->parsers($_);
		($_ => $parser->end_time - $parser->start_time)
	} $aggregate->descriptions;
	my @names = sort { $seconds{$b} <=> $seconds{$a} } keys %seconds;

	print "The slowest:\n";
	printf "%7.1f s  %s\n", $seconds{$_}, $_
	  foreach grep { defined } @names[ 0 .. SLOWEST - 1 ];
	return;
}

1;
