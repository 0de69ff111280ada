# What prove uses to run the tests, so that the last line it prints says how
# many assertions passed, failed and were skipped: script/test adds them up.

package FtmigrateHarness;

use strict;
use warnings;

use parent 'TAP::Harness';

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
	printf "%d passed, %d failed, %d skipped\n",
	  $aggregate->passed - $aggregate->skipped, $failed, $skipped;
	return;
}

1;
