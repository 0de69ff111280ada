
# What rewriting costs, in instructions per row, within ftm_rewrite() and what it
# calls.  Unlike seconds they are the same on every machine and in every run.
#
# They differ from compiler to compiler, so a budget belongs to one: it is what
# was counted, and 5 % more may be used.  For a compiler that is not here, the
# largest budget holds, and half of it more.  When the rewriter does more for a
# good reason, or there is a new compiler, put the numbers in that this test
# prints, and say why in the commit.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 2000;

# Major version of gcc => kind of row => instructions per row.
my %budgets = (
	12 => {
		'event'         => 262,
		'reading'       => 363,
		'embedded'      => 962,
		'embedded-text' => 1856,
		'counted-uuid'  => 464,
		'counted-text'  => 1243
	},
	14 => {
		'event'         => 265,
		'reading'       => 366,
		'embedded'      => 975,
		'embedded-text' => 1878,
		'counted-uuid'  => 470,
		'counted-text'  => 1258
	});

plan skip_all => 'valgrind is not installed'
  if system('valgrind --version >/dev/null 2>&1') != 0;

my $compiler = readpipe 'cc -dumpversion' || '';
$compiler =~ s/\..*//s;
chomp $compiler;
my $known  = exists $budgets{$compiler};
my $budget = $budgets{$compiler} || $budgets{ (sort keys %budgets)[-1] };
my $spare  = $known ? 1.05 : 1.5;

diag "no budget for version $compiler of the compiler: 50 % more than of another may be used"
  unless $known;

foreach my $kind (sort keys %$budget)
{
	my ($stdout, $stderr) = run_command([
		'valgrind', '--tool=callgrind', '--toggle-collect=ftm_rewrite',
		'--callgrind-out-file=/dev/null',
		"$ENV{TESTDIR}/build/unit/rewrite_instructions", $kind, $rows ]);
	my ($count) = $stderr =~ /Collected : (\d+)/;

	ok($count, "rows were rewritten: $kind") or diag $stderr;
	my $per_row = ($count || 0) / $rows;
	note sprintf '%s: %.1f instructions per row', $kind, $per_row;
	cmp_ok($per_row, '<=', $budget->{$kind} * $spare,
		"instructions per row: $kind");

	# A budget that is far too large guards nothing.
	cmp_ok($per_row, '>=', $budget->{$kind} * 0.8,
		"and not so few that the budget is out of date: $kind")
	  if $known;
}

done_testing();
