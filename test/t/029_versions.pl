
# The source is another version of PostgreSQL: newer or older than the target.
#
#	FTM_TEST_OTHER_BINDIR=/usr/lib/postgresql/17/bin script/test tap 029_versions

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $bindir = $ENV{FTM_TEST_OTHER_BINDIR};

plan skip_all =>
  'FTM_TEST_OTHER_BINDIR does not say where another version of PostgreSQL is'
  unless $bindir;

my $source =
  start_source(users => 20, readings => 2000, bindir => $bindir);
my $target = start_target($source);
note 'source: ', $source->sql('SHOW server_version'), ', target: ',
  $target->sql('SHOW server_version');
fill_user_map($source, $target);
$target->load('user_columns.sql');

my ($exit, $stdout, $stderr) =
  $target->start_sql('SELECT ftm_run_migration(users => false)')->finish;
is($exit, 0, 'the migration succeeds, its verification included')
  or diag $stderr;
is($target->sql('SELECT count(*) FROM ftm_verify() WHERE NOT ok'),
	'0', 'everything is the same');
is( $target->sql('SELECT count(*) FROM public.sensor_readings'),
	$source->sql('SELECT count(*) FROM public.sensor_readings'),
	'and there');

# One changed value is seen between versions, too.
$target->sql(
	q(SET session_replication_role = 'replica'; UPDATE public.sensor_readings SET temperature = temperature + 1 WHERE ctid = (SELECT min(ctid) FROM public.sensor_readings))
);
is( $target->sql(
		q(SELECT string_agg(object, ' ') FROM ftm_verify() WHERE kind = 'table' AND NOT ok)
	),
	'public.sensor_readings',
	'a changed value is found');

done_testing();
