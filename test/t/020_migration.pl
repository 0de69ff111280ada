
# A whole migration of the FreshTrack fixture, proven by plain SQL.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my $source = start_source(users => 2000, readings => 200000);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);

my $counts = row_counts($source);

# The call in psql's two spellings; the second finds the run complete.
my $rows = $target->sql(
	q(SELECT table_name, rows, status FROM ftm_run_migration(users => false)));
my %migrated = map { my ($name, $count, $status) = split /\|/; $name => $count }
  split /\n/, $rows;
is(scalar keys %migrated, scalar keys %$counts, 'one row per table');
is($migrated{'public.sensor_readings'}, 200000, 'row count is reported');
unlike($rows, qr/\|(?!verified$)\w+$/m, 'every table is verified');

is_deeply([ compare_rows($source, $target) ],
	[], 'target equals source, user ids mapped');

# Joins by hand, for those who do not trust the comparison: every user-id
# column holds ids of the map's right side, and none of its left.
foreach (user_columns($source))
{
	my ($table, $column) = @$_;

	is( $target->sql(
			"SELECT count(*) FROM $table t WHERE $column IS NOT NULL AND NOT EXISTS"
			  . " (SELECT FROM ftm_user_map m WHERE m.target_user_id = t.$column)"
		),
		'0',
		"$table.$column holds mapped ids only");
}

is( $target->sql(
		q(SELECT status, calls FROM ftm_run)),
	'verified|1',
	'run is recorded');
is( $target->sql(
		q(SELECT count(*) FROM ftm_run_table WHERE status = 'loaded' AND verified)),
	scalar keys %$counts,
	'tables are recorded');

# Nothing of the tables' own was lost on the way.
is( $target->sql(
		'SELECT count(*) FROM pg_index WHERE NOT (indisvalid AND indisready AND indislive)'
	),
	'0',
	'all indexes are valid');
is( $target->sql(
		q(SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated)
	),
	'0',
	'all foreign keys are valid');
is( $target->sql(
		q(SELECT count(*) FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relhastriggers <> EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid))
	),
	'0',
	'triggers are back');
is( $target->sql(
		q(SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = 'sensor_readings' AND attname = 'unit_id')
	),
	'1',
	'statistics are there');

# Since 16 a table grows by several pages at a time, and the last stay empty.
$target->sql('CREATE EXTENSION pg_visibility');
is( $target->sql(
		q(SELECT count(*) FROM pg_visibility_map('public.sensor_readings') WHERE NOT all_frozen AND blkno <= (SELECT max((ctid::text::point)[0]) FROM public.sensor_readings))
	),
	'0',
	'all pages are frozen');

# A complete run is left alone.
my ($exit, $out, $err) =
  $target->start_sql(q(SELECT ftm_run_migration(users => false)))->finish;
is($exit, 0, 'second call succeeds');
like($err, qr/run 1 is complete, and verified anew/, 'and says why');
is(scalar(split /\n/, $out), scalar keys %$counts, 'it answers with the tables');
is($target->sql('SELECT count(*) FROM ftm_run'), '1', 'no other run');

# Verification on its own.
is( $target->sql(q(SELECT count(*) FROM ftm_verify() WHERE ok IS NOT TRUE)),
	'0', 'ftm_verify() finds nothing');
is( $target->sql(
		q(SELECT count(*) FROM ftm_verify() WHERE kind = 'table')),
	scalar keys %$counts,
	'and has looked at every table');

# A damage is found by both.
$target->sql(
	q(SET session_replication_role = replica;
	  UPDATE public.sensor_readings SET humidity = 1.11
	  WHERE id = (SELECT min(id::text)::uuid FROM public.sensor_readings)));
is( $target->sql(q(SELECT object FROM ftm_verify() WHERE NOT ok)),
	'public.sensor_readings', 'ftm_verify() names the damaged table');

# Starting over: what was written since the load is not lost in silence.
my ($state, $message) =
  $target->sql_error(q(SELECT ftm_run_migration(users => false, restart => true)));
is($state, '55000', 'restart refuses to lose a change');
like($message, qr/Table public\.sensor_readings: rows inserted or updated: 1/, 'and names the table');
like($message, qr/ftm_rollback\(1, force => true\)/, 'and the remedy');
$target->sql(q(SELECT ftm_rollback(1, force => true)));
$target->sql(q(SELECT ftm_run_migration(users => false, restart => true)));
is_deeply([ compare_rows($source, $target) ],
	[], 'target equals source after a restart');
is( $target->sql(q(SELECT string_agg(status, ' ' ORDER BY run_id) FROM ftm_run)),
	'rolled back verified',
	'the first run is rolled back');

# Nobody is left behind.
is( $target->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')
	),
	'0',
	'no worker is left');
is( $source->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ftmigrate')
	),
	'0',
	'no connection is left');

done_testing();
