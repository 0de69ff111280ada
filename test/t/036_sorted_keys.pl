
# Indexes that are built from keys sorted as integers: whole and in order
# according to amcheck, for every type and order that qualifies, in any memory;
# as large as the server's own; and what does not qualify is left to the server.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 2, readings => 10);
my $target = start_target($source);
fill_user_map($source, $target);
$target->append_conf('postgresql.conf', <<'CONF');
maintenance_work_mem = 1MB
log_min_messages = debug1
CONF
$target->restart;

# Columns with and without nulls, with extremes, and with few values.
my $table = <<'SQL';
CREATE SCHEMA idx;
CREATE TABLE idx.keys (
	id bigint PRIMARY KEY,
	flag bool,
	kind "char",
	small int2,
	medium int4,
	large int8,
	object oid,
	day date,
	clock time,
	stamp timestamp,
	moment timestamptz,
	uuid uuid,
	owner uuid NOT NULL,
	code int4 NOT NULL,
	name text,
	amount numeric,
	ratio float8
);
CREATE TABLE idx.nothing (id uuid PRIMARY KEY, at timestamptz);
CREATE INDEX nothing_at ON idx.nothing (at);
CREATE TABLE idx.one (id uuid PRIMARY KEY, at timestamptz);
CREATE INDEX one_at ON idx.one (at);
SQL
$source->sql($table . <<'SQL');
INSERT INTO idx.keys
SELECT n, n % 3 = 0, chr(33 + n % 90)::"char", n * 7919 % 65536 - 32768,
	(n * 7919::bigint % 4294967296 - 2147483648)::int4,
	(n - 30000) * 307445734561825, (n * 40503::bigint % 4294967296)::oid,
	date '4000-01-01 BC' + n, time '00:00' + n % 86400 * interval '1 second',
	timestamp '2025-01-01' - n * interval '1 hour',
	timestamptz '2025-01-01Z' + n * 7919 % 5000 * interval '1 minute',
	md5(n::text)::uuid, md5((n % 50)::text)::uuid, n,
	md5(n::text), n / 7.0, n / 3.0
FROM generate_series(1, 60000) n;
UPDATE idx.keys SET flag = NULL, kind = NULL, small = NULL, medium = NULL,
	large = NULL, object = NULL, day = NULL, clock = NULL, stamp = NULL,
	moment = NULL, uuid = NULL
WHERE id % 11 = 0;
UPDATE idx.keys SET large = '-9223372036854775808', medium = '-2147483648',
	small = '-32768', day = '-infinity', stamp = '-infinity',
	moment = '-infinity', object = 0, clock = '00:00',
	uuid = '00000000-0000-0000-0000-000000000000'
WHERE id = 1;
UPDATE idx.keys SET large = 9223372036854775807, medium = 2147483647,
	small = 32767, day = 'infinity', stamp = 'infinity', moment = 'infinity',
	object = 4294967295, clock = '24:00', kind = '',
	uuid = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
WHERE id = 2;
INSERT INTO idx.one VALUES (md5('one')::uuid, NULL);
GRANT USAGE ON SCHEMA idx TO postgres;
GRANT SELECT ON ALL TABLES IN SCHEMA idx TO postgres;
SQL
$target->sql($table);
$target->sql('CREATE EXTENSION amcheck; CREATE EXTENSION pageinspect');

# Every qualifying type in all four orders, several columns, unique ones.
my @columns =
  qw(flag kind small medium large object day clock stamp moment uuid);
my %sorted = map {
	(   "keys_$_" => "($_)",
		"keys_${_}_desc" => "($_ DESC)",
		"keys_${_}_first" => "($_ NULLS FIRST)",
		"keys_${_}_last" => "($_ DESC NULLS LAST)")
} @columns;
$sorted{$_->[0]} = $_->[1]
  for (
	[ keys_owner_moment => '(owner, moment)' ],
	[ keys_mixed => '(flag, small DESC, owner, kind DESC NULLS LAST)' ],
	[ keys_wide => '(owner, uuid, large DESC)' ],
	[ keys_deep => '(uuid, id) WITH (fillfactor = 10)' ],
	[ keys_owner_loose => '(owner) WITH (fillfactor = 50)' ],
	[ keys_owner_plain => '(owner) WITH (deduplicate_items = off)' ]);
my %unique = (
	keys_code => '(code)',
	keys_uuid_unique => '(uuid)',
	keys_large_unique => '(large DESC, owner)');
my %server = (
	keys_too_wide => '(owner, uuid, large, stamp)',
	keys_name => '(name)',
	keys_amount => '(amount)',
	keys_ratio => '(ratio)',
	keys_include => '(code) INCLUDE (owner)',
	keys_lower => '(lower(name))',
	keys_some => '(code) WHERE flag',
	keys_pattern => '(name text_pattern_ops)');
my $create = '';
$create .= "CREATE INDEX $_ ON idx.keys $sorted{$_};\n" for sort keys %sorted;
$create .= "CREATE INDEX $_ ON idx.keys $server{$_};\n" for sort keys %server;
$create .= "CREATE UNIQUE INDEX $_ ON idx.keys $unique{$_};\n" for sort keys %unique;
$target->sql($create);

my $call =
  "SELECT table_name, status, rows FROM ftm_run_migration(schemas => ARRAY['idx'], users => false, undecided => 'keep') ORDER BY 1";
my $expected = "idx.keys|verified|60000\nidx.nothing|verified|0\nidx.one|verified|1";
my $again = $call =~ s/users => false, undecided => 'keep'/users => false, undecided => 'keep', existing => 'truncate'/r;

# Of all b-trees: does each row have its entry, in order, found from the root?
my $amcheck = <<'SQL';
SELECT count(bt_index_parent_check(indexrelid, true, true)::text) FROM pg_index
WHERE indrelid::regclass::text LIKE 'idx.%'
SQL
my $all = 1 + 2 + 2 + keys(%sorted) + keys(%unique) + keys(%server);

# Usage: built_by_keys OFFSET, ORIGIN  Indexes whose keys the log says were
# sorted, and had come from there.
sub built_by_keys
{
	my ($offset, $origin) = @_;
	my $log = slurp_file($target->logfile, $offset);
	my %names = map { $_ => 1 }
	  $log =~ /sorting the keys of index "(keys_\w+)" on table "keys" $origin/g;
	return join ' ', sort keys %names;
}
my $qualifying = join ' ', sort 'keys_pkey', keys %sorted, keys %unique;

# Usage: temporary_files  Those of the target.
sub temporary_files
{
	my $folder = $target->data_dir . '/base/pgsql_tmp';
	return join ' ', -d $folder ? grep { !/^\.\.?$/ } slurp_dir($folder) : ();
}

my $offset = -s $target->logfile;
is($target->sql($call), $expected, 'loaded with little memory');
is(built_by_keys($offset, 'taken from its rows'),
	$qualifying, 'keys of the indexes that qualify were taken and sorted');
is(built_by_keys($offset, 'read from it'), '', 'and none was read again');
is(temporary_files(), '', 'no file is left');
is($target->sql($amcheck), $all, 'b-trees are whole and in order');

# What an index holds and how it is packed, as the server would have it.
my $shape = <<'SQL';
SELECT i::text, s.level, m.allequalimage,
	pg_relation_size(i) / current_setting('block_size')::int
FROM pg_index, LATERAL (SELECT indexrelid::regclass) AS n (i),
	LATERAL bt_metap(i::text) m,
	LATERAL (SELECT level FROM bt_metap(i::text)) s
WHERE indrelid::regclass::text LIKE 'idx.%' ORDER BY 1
SQL
my @ours = map { [ split /\|/ ] } split /\n/, $target->sql($shape);
$target->sql('REINDEX TABLE idx.keys; REINDEX TABLE idx.nothing; REINDEX TABLE idx.one');
my @servers = map { [ split /\|/ ] } split /\n/, $target->sql($shape);
is(scalar @ours, $all, 'all indexes are compared');
is_deeply(
	[ map { [ @$_[ 0 .. 2 ] ] } @ours ],
	[ map { [ @$_[ 0 .. 2 ] ] } @servers ],
	'levels and flags are those of the server');
my @larger =
  grep { $ours[$_][3] > $servers[$_][3] * 1.02 + 1 ||
		  $ours[$_][3] < $servers[$_][3] * 0.98 - 1 } 0 .. $#ours;
is_deeply([ map { "$ours[$_][0]: $ours[$_][3] pages, not $servers[$_][3]" } @larger ],
	[], 'and so are sizes');

# In memory, by several processes at once, with WAL, and with checkpoints
# meanwhile: pages are written past the buffers, and must be there after a crash
# as well as in a standby, which knows them from the WAL alone.
$target->append_conf('postgresql.conf', <<'CONF');
maintenance_work_mem = 128MB
max_parallel_maintenance_workers = 3
min_parallel_table_scan_size = 0
max_wal_senders = 2
wal_keep_size = 1GB
CONF
$target->append_conf('pg_hba.conf', "local replication all trust\n");
$target->restart;
$target->backup('before');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($target, 'before', has_streaming => 1);
$standby->start;
$target->sql('DELETE FROM ftm_run');
my $running = $target->start_sql($again);
my $checkpoints = 0;
until ($target->sql(q(SELECT count(*) FROM ftm_run WHERE status IN ('verified', 'failed'))))
{
	$target->sql('CHECKPOINT');
	$checkpoints++;
}
my ($status, $output) = $running->finish;
is($output, "$expected\n", 'loaded with enough memory');
is(temporary_files(), '', 'and no file of those that were shared is left');
cmp_ok($checkpoints, '>', 0, 'while there were checkpoints');
is($target->sql($amcheck), $all, 'b-trees are whole and in order again');

$target->wait_for_catchup($standby);
$target->stop('immediate');
$target->start;
is($target->sql($amcheck), $all, 'so they are after a crash');
$standby->promote;
is($standby->safe_psql('postgres', $amcheck), $all, 'and in a standby');

# Duplicates are found, and nulls are none, unless the index says so.
$target->sql('DROP TABLE idx.nothing, idx.one');
$source->sql('DROP TABLE idx.nothing, idx.one');
$target->sql('DELETE FROM ftm_run; DROP INDEX idx.keys_uuid_unique');
$target->sql('CREATE UNIQUE INDEX keys_none ON idx.keys (id, uuid) NULLS NOT DISTINCT');
is($target->sql($again), 'idx.keys|verified|60000', 'nulls in different keys');
$target->sql('DELETE FROM ftm_run; DROP INDEX idx.keys_none');
$target->sql('TRUNCATE idx.keys');
$target->sql('CREATE UNIQUE INDEX keys_uuid_unique ON idx.keys (uuid) NULLS NOT DISTINCT');
for ([ 'NULL', '\(null\)' ], [ 'md5($$77$$)::uuid', '28dd2c79-55cf-81b4-3dc0-0f5e73a4d0c9|[-0-9a-f]{36}' ])
{
	my ($value, $shown) = @$_;
	$source->sql("UPDATE idx.keys SET uuid = $value WHERE id IN (78, 59999)");
	my ($state, $message) = $target->sql_error($again);
	is($state, '23505', "a duplicate of $value");
	like($message, qr/could not create unique index "keys_uuid_unique"/, 'is named');
	like($message, qr/Key \(uuid\)=\((?:$shown|null)\) is duplicated\./, 'with its key');
	is(temporary_files(), '', 'and no file is left behind the error');
	$source->sql('UPDATE idx.keys SET uuid = gen_random_uuid() WHERE uuid IS NULL');
	$target->sql('DELETE FROM ftm_run');
}

# All indexes at once may need more disk than one after the other; and rows that
# COPY stores are not seen.
$amcheck .= " AND indrelid::regclass::text LIKE '%keys'";
$target->sql('DROP INDEX idx.keys_uuid_unique');
$all = $target->sql($amcheck =~ s/bt_index_parent_check.*?\)::text/*/r);
$target->append_conf('postgresql.conf', 'temp_file_limit = 1GB');
$target->reload;
$offset = -s $target->logfile;
is($target->sql($again), 'idx.keys|verified|60000', 'loaded with a limit of files');
$qualifying =~ s/ keys_uuid_unique//;
is(built_by_keys($offset, 'read from it'), $qualifying, 'keys were read from the table');
is(built_by_keys($offset, 'taken from its rows'), '', 'and not taken from rows');
is($target->sql($amcheck), $all, 'b-trees are whole and in order with it');

$target->append_conf('postgresql.conf', 'temp_file_limit = -1');
$target->reload;
$target->sql(<<'SQL');
DELETE FROM ftm_run;
ALTER TABLE idx.keys ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED;
CREATE INDEX keys_twice ON idx.keys (twice);
SQL
$source->sql('ALTER TABLE idx.keys ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED');
$offset = -s $target->logfile;
is($target->sql($again), 'idx.keys|verified|60000', 'loaded with a generated column');
is( built_by_keys($offset, 'read from it'),
	join(' ', sort 'keys_twice', split / /, $qualifying),
	'whose keys are read from the table');
is($target->sql($amcheck), $all + 1, 'b-trees are whole and in order in the end');

done_testing();
