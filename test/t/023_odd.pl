
# Everything that FreshTrack lacks: types at their edges, partitions, odd names,
# generated columns, ids inside texts and documents; in both wire formats.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my @schemas = ('public', 'odd', 'Odd Schema');
my $source  = start_source(users => 50, readings => 1000);
my $target  = start_target($source);
fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);

my $scope = q(schemas => ARRAY['public', 'odd', 'Odd Schema']);
my ($exit, $out, $err) = $target->start_sql(
	"SELECT table_name, status FROM ftm_run_migration($scope, users => false)")
  ->finish;
is($exit, 0, 'the migration succeeds') or diag $err;

# A generated column that reads a user id cannot be what the source has.
my $path = '"odd"."computed_path"."path"';
is_deeply(
	[
		compare_rows(
			$source, $target,
			schemas => \@schemas,
			skip    => { $path => 1 })
	],
	[],
	'target equals source, user ids mapped');
is( $target->sql(
		q(SELECT count(*), bool_and(path = '/u/' || user_id) FROM odd.computed_path)
	),
	'20|t',
	'and is computed from the new id instead');

# Every table of the source is there, rows in inheritance parents and children,
# partitions and all.
my $expected = row_counts($source, schemas => \@schemas);
my $found    = row_counts($target, schemas => \@schemas);
is_deeply({ map { $_ => $found->{$_} } keys %$expected },
	$expected, 'row counts');

# The other settings that a caller may have change nothing.
my $wrong = $target->sql(<<SQL);
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET quote_all_identifiers = on;
SELECT object, detail FROM ftm_verify($scope) WHERE ok IS NOT TRUE;
SQL
is($wrong, '', 'verification is not led astray by settings');

is(sequence_positions($target, schemas => \@schemas), sequence_positions($source, schemas => \@schemas),
	'sequences are where they were');

done_testing();
