
# The source is another version of PostgreSQL, newer or older than the target:
# each that npm has, and the one whose programs are in the folder that
# FTM_TEST_OTHER_BINDIR names.

use strict;
use warnings;

use FtmigrateTest;
use OtherVersions;
use PostgreSQL::Test::Utils;
use RowCompare;
use Test::More;

my @schemas = ('public', 'odd', 'Odd Schema');
my $scope   = q(schemas => ARRAY['public', 'odd', 'Odd Schema']);

sub differences
{
	my ($source, $target) = @_;

	# A generated column that reads a user id cannot be what the source has.
	return compare_rows(
		$source, $target,
		schemas => \@schemas,
		skip    => { '"odd"."computed_path"."path"' => 1 });
}

# Everything that reads the source, from a source with these programs.
sub test_source
{
	my ($label, $bindir) = @_;
	my $source = start_source(
		name     => "source_$label",
		users    => 20,
		readings => 500,
		bindir   => $bindir);
	my $target = start_target($source, name => "target_$label");

	note 'source: ', $source->sql('SHOW server_version'), ', target: ',
	  $target->sql('SHOW server_version');
	fill_user_map($source, $target);
	$target->load('user_columns.sql');
	decide_user_columns($target);

	my ($exit, $stdout, $stderr) = $target->start_sql(
		"SELECT ftm_run_migration($scope, users => false)")->finish;
	is($exit, 0, 'the migration succeeds, its verification included')
	  or diag $stderr;

	is_deeply([ differences($source, $target) ], [], 'target equals source, user ids mapped');
	my $counts = row_counts($source, schemas => \@schemas);
	is( sequence_positions($target, schemas => \@schemas),
		sequence_positions($source, schemas => \@schemas),
		'sequences are where they were');
	is( $target->sql(
			"SELECT string_agg(concat_ws(' ', kind, object, detail), E'\\n') FROM ftm_verify($scope) WHERE ok IS NOT TRUE"),
		'',
		'verification finds everything the same');

	# The files hold all rows, and the target takes them.
	my $directory = PostgreSQL::Test::Utils::tempdir;
	my $rows = eval { my $sum = 0; $sum += $_ foreach values %$counts; $sum };
	is( $target->sql(
			"SELECT sum(rows) FROM ftm_export('$directory', $scope) WHERE table_name IS DISTINCT FROM 'auth.users'"),
		$rows,
		'the export has as many rows');
	is( $target->sql(
			"SELECT count(*) FROM ftm_import('$directory', $scope, existing => 'truncate') WHERE status <> 'verified'"),
		'0',
		'and is imported');
	is_deeply([ differences($source, $target) ], [], 'target equals source once more');

	# One changed value is seen.
	$target->sql(
		q(SET session_replication_role = 'replica'; UPDATE public.sensor_readings SET temperature = temperature + 1 WHERE ctid = (SELECT min(ctid) FROM public.sensor_readings))
	);
	is( $target->sql(
			q(SELECT string_agg(object, ' ') FROM ftm_verify() WHERE kind = 'table' AND NOT ok)
		),
		'public.sensor_readings',
		'verification finds a changed value');
	is( $target->sql(
			q(SELECT count(*) FROM ftm_diff('public.sensor_readings'))),
		'1',
		'and the diff its row');
	$source->stop;
	$target->stop;
	return;
}

subtest 'FTM_TEST_OTHER_BINDIR' => sub {
	my $bindir = $ENV{FTM_TEST_OTHER_BINDIR};

	plan skip_all => 'FTM_TEST_OTHER_BINDIR does not say where' if !$bindir;
	test_source('other', $bindir);
	done_testing();
};

foreach my $major (OtherVersions::majors())
{
	subtest "PostgreSQL $major" => sub {
		my ($bindir, $obstacle) = OtherVersions::fetch($major);

		if (!$bindir)
		{
			diag "NOTHING WAS TESTED WITH POSTGRESQL $major AS SOURCE: $obstacle";
			plan skip_all => $obstacle;
		}
		test_source($major, $bindir);
		done_testing();
	};
}

done_testing();
