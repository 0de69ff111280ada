
# The indexes of a loaded table: built by several processes at once or by the
# server, whole and in order according to amcheck; and duplicates are seen,
# whoever builds.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 2, readings => 10);
my $target = start_target($source);
fill_user_map($source, $target);
$target->append_conf('postgresql.conf', <<'CONF');
min_parallel_table_scan_size = 0
max_parallel_maintenance_workers = 2
maintenance_work_mem = 96MB
max_prepared_transactions = 1
log_min_messages = debug1
CONF
$target->restart;

# What is built concurrently, and what the server builds: it says so.
my @together = qw(kinds_pkey kinds_name kinds_pair kinds_empty);
my @alone = qw(kinds_lower kinds_part kinds_hash kinds_tags kinds_excl);
my $table    = <<'SQL';
CREATE SCHEMA idx;
CREATE TABLE idx.kinds (
	id bigint PRIMARY KEY,
	name text,
	at timestamptz,
	tags text[],
	span int4range,
	nothing int,
	wide text
);
SQL
my $indexes = <<'SQL';
CREATE UNIQUE INDEX kinds_name ON idx.kinds (name);
CREATE INDEX kinds_pair ON idx.kinds (at DESC NULLS LAST, name) INCLUDE (id);
CREATE INDEX kinds_empty ON idx.kinds (nothing);
CREATE INDEX kinds_lower ON idx.kinds (lower(name));
CREATE INDEX kinds_part ON idx.kinds (at) WHERE id % 2 = 0;
CREATE INDEX kinds_hash ON idx.kinds USING hash (name);
CREATE INDEX kinds_tags ON idx.kinds USING gin (tags);
ALTER TABLE idx.kinds ADD CONSTRAINT kinds_excl EXCLUDE USING gist (span WITH &&);
SQL
$source->sql($table . <<'SQL');
INSERT INTO idx.kinds
SELECT n, md5(n::text), timestamptz '2025-01-01Z' + n % 977 * interval '1 hour',
	ARRAY['t' || n % 7, 't' || n % 3], int4range(n * 10, n * 10 + 5)
FROM generate_series(1, 20000) n;
GRANT USAGE ON SCHEMA idx TO postgres;
GRANT SELECT ON idx.kinds TO postgres;
SQL
$target->sql($table . $indexes);
$target->sql('CREATE EXTENSION amcheck');

# A REINDEX CONCURRENTLY that failed leaves an invalid index of the TOAST table,
# which cannot be rebuilt, only dropped.
$target->sql(<<'SQL');
ALTER TABLE idx.kinds ALTER wide SET STORAGE EXTERNAL;
BEGIN;
INSERT INTO idx.kinds (id, wide) VALUES (0, repeat('w', 10000));
PREPARE TRANSACTION 'writer';
SQL
my ($timeout) = $target->sql_error("SET lock_timeout = '10ms'; "
	  . $target->sql(<<'SQL'));
SELECT 'REINDEX TABLE CONCURRENTLY ' || reltoastrelid::regclass FROM pg_class WHERE oid = 'idx.kinds'::regclass
SQL
is($timeout, '55P03', 'a REINDEX that fails');
$target->sql(q(ROLLBACK PREPARED 'writer'));
my $leftover = <<'SQL';
SELECT count(*) FROM pg_index i JOIN pg_class c ON c.reltoastrelid = i.indrelid
WHERE c.oid = 'idx.kinds'::regclass AND NOT i.indisvalid
SQL
is($target->sql($leftover), '1', 'leaves an index');

my $check = <<'SQL';
SELECT count(bt_index_parent_check(indexrelid, true)::text) FROM pg_index
JOIN pg_class ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam
WHERE indrelid = 'idx.kinds'::regclass AND amname = 'btree'
SQL

my $offset = -s $target->logfile;
my $call =
  "SELECT table_name, status, rows FROM ftm_run_migration(schemas => ARRAY['idx'], users => false, undecided => 'keep')";
is($target->sql($call), 'idx.kinds|verified|20000', 'the table is loaded');

my $log = slurp_file($target->logfile, $offset);
for my $name (@together, @alone)
{
	my $by_server = $log =~ /building index "$name" on table/ ? 1 : 0;
	is( $by_server,
		(grep { $_ eq $name } @alone) ? 1 : 0,
		"$name is built " . ($by_server ? 'by the server' : 'with others'));
}

is($target->sql($leftover), '1', 'an invalid index of the TOAST table is left alone');
is($target->sql(<<'SQL'), '9|9|9', 'all indexes are usable');
SELECT count(*), count(*) FILTER (WHERE indisvalid AND indisready AND indislive AND NOT indcheckxmin),
	count(*) FILTER (WHERE pg_relation_size(indexrelid) > 0)
FROM pg_index WHERE indrelid = 'idx.kinds'::regclass
SQL
is($target->sql($check), '6', 'b-trees hold every row, in order');
for my $query (
	'name = md5($$77$$)', "at = '2025-01-03Z'", 'lower(name) = md5($$78$$)',
	q(tags @> '{t3,t2}'), 'span && int4range(7, 33)')
{
	my $count = "SELECT count(*), sum(id) FROM idx.kinds WHERE $query";
	is( $target->sql("SET enable_seqscan = off; $count"),
		$source->sql($count), "answers by index: $query");
}

# Figures for the planner, without ANALYZE.
is( $target->sql(
		q(SELECT reltuples FROM pg_class WHERE oid = 'idx.kinds_pair'::regclass)),
	'20000',
	'the number of entries is known');

# A duplicate stops the load, whoever finds it, and nothing is changed.
$source->sql('UPDATE idx.kinds SET name = $$twice$$ WHERE id IN (5, 15000)');
$target->sql('DELETE FROM ftm_run');
my $before = $target->sql('SELECT md5(string_agg(k::text, $$,$$ ORDER BY id)) FROM idx.kinds k');
my ($state, $message) =
  $target->sql_error($call =~ s/users => false, undecided => 'keep'/users => false, undecided => 'keep', existing => 'truncate'/r);
is($state, '23505', 'a duplicate is an error');
like($message, qr/could not create unique index "kinds_name"/, 'and named');
is($target->sql('SELECT md5(string_agg(k::text, $$,$$ ORDER BY id)) FROM idx.kinds k'),
	$before, 'the old rows are there');
is($target->sql(<<'SQL'), '9', 'and their indexes');
SELECT count(*) FROM pg_index WHERE indrelid = 'idx.kinds'::regclass AND indisvalid AND indisready
SQL
is( $target->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'parallel worker')
	),
	'0',
	'no worker is left');

# Without a slot for a worker the loader builds all of them.
$source->sql('UPDATE idx.kinds SET name = $$once$$ WHERE id = 5');
$target->append_conf('postgresql.conf', "max_parallel_workers = 0\n");
$target->reload;
$target->sql('DELETE FROM ftm_run');
is( $target->sql(
		$call =~ s/users => false, undecided => 'keep'/users => false, undecided => 'keep', existing => 'truncate'/r),
	'idx.kinds|verified|20000',
	'loaded without parallel workers');
is($target->sql($check), '6', 'b-trees are whole again');

# Under wal_level = minimal nothing is logged: what workers have written must be
# in the files when the load commits.
$target->append_conf('postgresql.conf', <<'CONF');
wal_level = minimal
max_wal_senders = 0
archive_mode = off
wal_skip_threshold = 0
max_parallel_workers = 8
CONF
$target->restart;
$target->sql('DELETE FROM ftm_run');
is( $target->sql(
		$call =~ s/users => false, undecided => 'keep'/users => false, undecided => 'keep', existing => 'truncate'/r),
	'idx.kinds|verified|20000',
	'loaded without WAL');
$target->stop('immediate');
$target->start;
is($target->sql($check), '6', 'b-trees are whole after a crash');

done_testing();
