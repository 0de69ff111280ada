
# ftm_diff() on a table of some size: what it finds, what it costs, and what it
# is good for after the cut-over.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $source = start_source(
	users    => 100,
	readings => 200000,
	conf     => "shared_preload_libraries = 'pg_stat_statements'\n");
# Memory is measured below; what is shared is not to be much of it.
my $target = start_target($source, conf => "shared_buffers = 4MB\n");
fill_user_map($source, $target);
decide_user_columns($target);
$target->sql('SELECT ftm_run_migration(users => false)');
$source->sql('CREATE EXTENSION pg_stat_statements');

# Five damages, by plain SQL.
my @ids = split /\n/,
  $target->sql('SELECT id FROM sensor_readings ORDER BY md5(id::text) LIMIT 5');
my $lost = $target->sql(
	"SELECT count(*) FROM sensor_readings WHERE id = '$ids[4]'");
is($lost, '1', 'ids are unique');
my ($temperature, $humidity) = map {
	$target->sql("SELECT $$_[0] FROM sensor_readings WHERE id = '$$_[1]'")
} ([ 'temperature', $ids[0] ], [ 'humidity', $ids[1] ]);
my $recorded = $target->sql(
	"SET timezone = 'UTC'; SELECT recorded_at FROM sensor_readings WHERE id = '$ids[2]'"
);
$target->sql(<<SQL);
SET session_replication_role = replica;
UPDATE sensor_readings SET temperature = temperature + 0.01 WHERE id = '$ids[0]';
UPDATE sensor_readings SET humidity = NULL WHERE id = '$ids[1]';
UPDATE sensor_readings SET recorded_at = recorded_at + interval '1 us' WHERE id = '$ids[2]';
UPDATE sensor_readings SET id = '00000000-0000-0000-0000-000000000000' WHERE id = '$ids[3]';
DELETE FROM sensor_readings WHERE id = '$ids[4]';
SQL

# The session's memory before and after, as the kernel says.
my $memory = q{SELECT substring(pg_read_file('/proc/self/status', 0, 8192) FROM 'VmHWM:\s+(\d+)')};
$source->sql('SELECT pg_stat_statements_reset()');
my @answer = split /\n/, $target->sql(<<SQL);
SET max_parallel_workers_per_gather = 0;
SELECT count(*) FROM ftm_diff('sites');
SELECT sum(hashtextextended(r::text, 0)) IS NULL FROM sensor_readings r;
$memory;
SELECT 'difference', key ->> 'id', change, column_name, source_value IS NULL, target_value IS NULL
	FROM ftm_diff('sensor_readings') ORDER BY 2;
$memory;
SQL
my @found = grep { /^difference/ } @answer;
my $before = $answer[2];
my $after  = $answer[-1];
my @expected = sort map { join '|', 'difference', @$_ } (
	[ $ids[0], 'changed', 'temperature', 'f', 'f' ],
	[ $ids[1], 'changed', 'humidity',    'f', 't' ],
	[ $ids[2], 'changed', 'recorded_at', 'f', 'f' ],
	[ $ids[3], 'missing', '',            'f', 't' ],
	[ $ids[4], 'missing', '',            'f', 't' ],
	[ '00000000-0000-0000-0000-000000000000', 'extra', '', 't', 'f' ]);
is_deeply([ sort @found ], \@expected,
	'five damages: each row and column, and nothing else');

is( $target->sql(
		"SELECT source_value FROM ftm_diff('sensor_readings') WHERE key ->> 'id' = '$ids[0]'"
	),
	$temperature,
	'the source value is shown');
is( $target->sql(
		"SELECT source_value FROM ftm_diff('sensor_readings') WHERE column_name = 'recorded_at'"
	),
	$recorded,
	'times are shown in UTC, to the microsecond');

note "VmHWM: $before kB before, $after kB after";
cmp_ok($after - $before, '<', 4096, 'memory stays small');

# 1024 buckets, six rows' buckets of some 200 rows each, six rows.
my $rows = $source->sql(<<SQL);
SELECT max(rows / calls) FROM pg_stat_statements WHERE query LIKE '%sensor_readings%'
SQL
note "at most $rows rows per statement";
cmp_ok($rows, '>', 100,  'statements are seen');
cmp_ok($rows, '<', 4000, 'few rows are sent');

# Everything differs: it stops at max_rows, and memory still does not grow.
@answer = split /\n/, $target->sql(<<SQL);
SET max_parallel_workers_per_gather = 0;
SET session_replication_role = replica;
BEGIN;
UPDATE sensor_readings SET humidity = coalesce(humidity, 0) + 1;
SELECT count(*) FROM ftm_diff('sites');
SELECT sum(hashtextextended(r::text, 0)) IS NULL FROM sensor_readings r;
$memory;
SELECT count(DISTINCT key) FROM ftm_diff('sensor_readings', max_rows => 100);
$memory;
ROLLBACK;
SQL
is($answer[3], '100', 'no more rows than asked for');
note "VmHWM: $answer[2] kB before, $answer[4] kB after";
cmp_ok($answer[4] - $answer[2], '<', 8192, 'memory stays small then, too');

# Restore, and go on after the cut-over: both ends are written to, and what
# was written since is listed, whichever end it was.
$target->sql('SELECT ftm_rollback(max(run_id), force => true) FROM ftm_run');
$target->sql('SELECT ftm_run_migration(users => false)');
is($target->sql("SELECT count(*) FROM ftm_diff('sites')"),
	'0', 'nothing differs after the migration');
my $site = $source->sql('SELECT id FROM sites ORDER BY id LIMIT 1');
$source->sql("UPDATE sites SET name = 'late' WHERE id = '$site'");
$source->sql(<<SQL);
SET session_replication_role = replica;
INSERT INTO sensor_readings SELECT * FROM jsonb_populate_record(
	(SELECT r FROM sensor_readings r LIMIT 1),
	'{"id": "11111111-1111-1111-1111-111111111111"}');
SQL
$target->sql(<<SQL);
SET session_replication_role = replica;
INSERT INTO sensor_readings SELECT * FROM jsonb_populate_record(
	(SELECT r FROM sensor_readings r LIMIT 1),
	'{"id": "22222222-2222-2222-2222-222222222222"}');
SQL
is( $target->sql(
		"SELECT key ->> 'id', change, column_name, source_value FROM ftm_diff('sites') WHERE column_name = 'name'"
	),
	"$site|changed|name|late",
	'a row changed on the source since the migration');
is( $target->sql(
		"SELECT key ->> 'id', change, (source_value::json ->> 'id') FROM ftm_diff('sensor_readings') ORDER BY 1"
	),
	"11111111-1111-1111-1111-111111111111|missing|11111111-1111-1111-1111-111111111111\n"
	  . "22222222-2222-2222-2222-222222222222|extra|",
	'a row written on either side since');

# Ctrl-C, while the source is at work.
my $call = $target->start_sql(
	"SET statement_timeout = '50ms'; SELECT count(*) FROM ftm_diff('sensor_readings')");
my ($exit, $out, $err) = $call->finish;
isnt($exit, 0, 'statement_timeout ends it');
like($err, qr/57014/, 'with its own error');
$source->wait_for(
	"SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'ftmigrate'"
);

done_testing();
