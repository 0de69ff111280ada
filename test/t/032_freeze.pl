
# Writes to the source during a migration: what is lost is said, by table, and
# what is not lost is no alarm.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my $source = start_source(users => 20, readings => 500);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);
my $migrate = q(SELECT count(*) FROM ftm_run_migration(users => false));

# Runs a migration that waits before it loads $table, with the snapshot taken,
# while $sql is executed on the source; returns as finish() does.
sub migrate_while
{
	my ($table, $sql) = @_;
	my $lock = $target->start_sql(
		"BEGIN; LOCK TABLE $table; SELECT pg_sleep(600)");
	my $locker = $target->wait_for_pid("wait_event = 'PgSleep'");
	my $run    = $target->start_sql($migrate);

	$target->wait_for(
		"SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND relation = '$table'::regclass"
	);
	$source->sql($sql);
	$target->sql("SELECT pg_terminate_backend($locker)");
	$lock->kill_kill;
	return $run->finish;
}

# Empties the target again, whatever it holds by now.
sub roll_back
{
	$target->sql('SELECT ftm_rollback(max(run_id), force => true) FROM ftm_run');
	return;
}

# A committed write
my ($exit, $out, $err) = migrate_while('organizations',
	"UPDATE sites SET name = 'late' WHERE id = (SELECT min(id::text)::uuid FROM sites)"
);
is($exit, 1, 'a run fails if the source is written to');
like($err, qr/XX001: verification found 1 difference/, 'with its SQLSTATE');
like(
	$err,
	qr/freeze supabase: written to since the snapshot: public\.sites; migrate again/,
	'and names the table');
is( $target->sql(
		"SELECT (source_at_end -> 'tables' -> 'public.sites' ->> 'writes')::int"
		  . " - (source_at_snapshot -> 'tables' -> 'public.sites' ->> 'writes')::int FROM ftm_run"
	),
	'1',
	'the counters are recorded');

# A second call would load the table again, and what was written to it since
# would be lost
$target->sql(<<SQL);
SET session_replication_role = replica;
INSERT INTO sites SELECT * FROM jsonb_populate_record(
	(SELECT s FROM sites s LIMIT 1), '{"id": "11111111-1111-1111-1111-111111111111", "name": "new"}');
SQL
my ($state, $message) = $target->sql_error($migrate);
is($state, '55000', 'what was written to the target since is not overwritten');
like(
	$message,
	qr/table public\.sites differs from the source, but has been written to since run \d+ loaded it.*rows inserted or updated: 1, loaded rows updated or deleted: 0\..*existing => 'truncate'/s,
	'and the table is named');
$target->sql(
	"DELETE FROM sites WHERE id = '11111111-1111-1111-1111-111111111111'");

# A second call loads what is new, and that only
my $status = $target->sql(
	q(SELECT status, count(*), min(table_name) FILTER (WHERE status = 'verified')
		FROM ftm_run_migration(users => false) GROUP BY 1 ORDER BY 1));
like($status, qr/^kept\|22\|\nverified\|1\|public\.sites$/,
	'the next call loads that table again');
is_deeply([ compare_rows($source, $target) ], [], 'and the target is right');
is( $target->sql(
		q(SELECT ok, detail FROM ftm_verify() WHERE kind = 'freeze')),
	't|not written to since the migration',
	'ftm_verify() compares with the run');

# Later writes: found by ftm_verify(), listed by ftm_diff(), taken over by hand
my $site = $source->sql('SELECT min(id::text) FROM sites');
$source->sql("UPDATE sites SET name = 'later' WHERE id = '$site'");
is( $target->sql(
		q(SELECT kind, object, detail FROM ftm_verify() WHERE NOT ok AND kind = 'freeze')
	),
	'freeze|supabase|written to since the migration: public.sites',
	'ftm_verify() says what was written to later');
is( $target->sql(
		q(SELECT key ->> 'id', column_name, source_value, target_value FROM ftm_diff('sites') WHERE column_name = 'name')
	),
	"$site|name|later|late",
	'ftm_diff() lists it');
$target->sql(<<SQL);
SET session_replication_role = replica;
UPDATE sites SET name = 'later' WHERE id = '$site';
SQL
my $updated =
  $source->sql("SET timezone = 'UTC'; SELECT updated_at FROM sites WHERE id = '$site'");
$target->sql(
	"SET session_replication_role = replica; UPDATE sites SET updated_at = '$updated' WHERE id = '$site'"
);
is( $target->sql(
		q(SELECT ok, detail FROM ftm_verify() WHERE kind = 'freeze')),
	't|written to since the migration, and the target has it: public.sites',
	'what was taken over is no difference');

roll_back();
# Counters that move without effect: a transaction rolled back
($exit, $out, $err) = migrate_while('organizations',
	"BEGIN; UPDATE sites SET name = name || ' never'; DELETE FROM event_logs; ROLLBACK");
is($exit, 0, 'what is rolled back is no alarm') or diag $err;
roll_back();

# A transaction that is open when the snapshot is taken, and when the run ends
my $open = $source->start_sql(
	"BEGIN; UPDATE sites SET name = 'open' WHERE id = '$site'; SELECT pg_sleep(600)"
);
my $writer = $source->wait_for_pid("wait_event = 'PgSleep'");
($exit, $out, $err) = $target->start_sql($migrate)->finish;
is($exit, 1, 'a run fails if a transaction is open that has written');
like(
	$err,
	qr/freeze supabase: written to by transactions that are still open: public\.sites/,
	'and names the table');
is( $target->sql(
		qq(SELECT count(*) FROM ftm_run, jsonb_array_elements(source_at_snapshot -> 'open_transactions') t
			WHERE status = 'failed' AND (t ->> 'pid')::int = $writer)
	),
	'1',
	'its process is recorded');
$source->sql("SELECT pg_terminate_backend($writer)");
$open->kill_kill;
roll_back();

# TRUNCATE empties a table even for the snapshot: nothing else would see it
cmp_ok($source->sql('SELECT count(*) FROM pairing_sessions'),
	'>', 0, 'there is something to truncate');
($exit, $out, $err) = migrate_while('pairing_sessions',
	"SET lock_timeout = '10s'; TRUNCATE pairing_sessions");
is($exit, 1, 'a run fails if a table is truncated');
like(
	$err,
	qr/found 1 difference.*freeze supabase: emptied or rewritten since the snapshot: public\.pairing_sessions/s,
	'and names the table');

# Without verification there is a warning
roll_back();
$migrate =
  q(SELECT count(*) FROM ftm_run_migration(users => false, verify => false));
($exit, $out, $err) = migrate_while('organizations',
	"UPDATE sites SET name = 'unseen' WHERE id = '$site'");
is($exit, 0, 'a run without verification succeeds');
like(
	$err,
	qr/WARNING: .*the source was not frozen\n.*perhaps written to since the snapshot: public\.sites/,
	'and warns');

done_testing();
