
# A large table read over several connections: the same rows, in one
# transaction, in both wire formats, roughly in the source's order.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my $source = start_source(users => 20, readings => 10);
my $target = start_target($source);
fill_user_map($source, $target);

# 10 MB each: some ranges per connection.  as_text needs the text format, since
# its column's type differs; holes has ranges without a row, first and last;
# parts is partitioned, and read as a whole.
my $table = <<'SQL';
CREATE SCHEMA big;
CREATE TABLE big.readings (id bigint PRIMARY KEY, user_id uuid, note text, at timestamptz);
CREATE TABLE big.holes (id bigint PRIMARY KEY, note text);
CREATE TABLE big.empty (id bigint PRIMARY KEY, note text);
CREATE TABLE big.parts (id bigint, note text) PARTITION BY RANGE (id);
CREATE TABLE big.parts_1 PARTITION OF big.parts FOR VALUES FROM (0) TO (50000);
CREATE TABLE big.parts_2 PARTITION OF big.parts DEFAULT;
SQL
$source->sql($table . <<'SQL');
CREATE TABLE big.as_text (id int, n int, note text);
INSERT INTO big.readings
SELECT n, (SELECT id FROM auth.users OFFSET n % 20 LIMIT 1), repeat('n' || n, 12), '2025-01-01Z'::timestamptz + n * interval '1 s'
FROM generate_series(1, 90000) n;
INSERT INTO big.as_text SELECT n, n % 77, E'tab\t\\.\n' || repeat('x', n % 190) FROM generate_series(1, 90000) n;
INSERT INTO big.holes SELECT n, repeat('h', 100) FROM generate_series(1, 90000) n;
DELETE FROM big.holes WHERE id < 20000 OR id > 60000;
INSERT INTO big.empty SELECT n, repeat('h', 100) FROM generate_series(1, 90000) n;
DELETE FROM big.empty;
INSERT INTO big.parts SELECT n, repeat('p', 100) FROM generate_series(1, 90000) n;
GRANT USAGE ON SCHEMA big TO postgres;
GRANT SELECT ON ALL TABLES IN SCHEMA big TO postgres;
SQL
$target->sql($table . <<'SQL');
CREATE TABLE big.as_text (id int, n bigint, note text);
SQL
$target->sql(
	q(INSERT INTO ftm_user_column (schema_name, table_name, column_name, mode, unmapped) VALUES ('big', 'readings', 'user_id', 'id', 'error'))
);

# Who reads what: the source logs it.
$source->append_conf('postgresql.conf', 'log_statement = all');
$source->reload;

my $call = q{SELECT table_name, status, rows
	FROM ftm_run_migration(schemas => ARRAY['big'], users => false, undecided => 'keep') ORDER BY 1};
is($target->sql("SET ftmigrate.streams = 3; $call"),
	"big.as_text|verified|90000\nbig.empty|verified|0\nbig.holes|verified|40001\nbig.parts|verified|90000\nbig.readings|verified|90000",
	'all rows are there, says verification');
is_deeply([ compare_rows($source, $target, schemas => ['big']) ],
	[], 'and plain SQL');

my %readers;
for (split /\n/, PostgreSQL::Test::Utils::slurp_file($source->logfile))
{
	$readers{$2}{$1}++ if /\[(\d+)\].*statement: COPY \(SELECT .* FROM (?:ONLY )?"?big"?\."?(\w+)"?/;
}
for my $name (qw(readings as_text holes empty))
{
	is(scalar(keys %{ $readers{$name} }), 3, "$name is read over 3 connections");
}
is(scalar(keys %{ $readers{parts} }), 1, 'a partitioned table over one');

# Rows are where they were, but for what fits between two ranges.
my $correlation = q(SELECT correlation > 0.95 FROM pg_stats
	WHERE schemaname = 'big' AND tablename = 'readings' AND attname = 'id');
is($target->sql($correlation), 't', 'rows are clustered as before');
is($target->sql(
		q(SELECT count(DISTINCT xmin::text) FROM big.readings)),
	'1', 'one transaction has stored them');

# Twice, once with an identifier that nobody has: the error ends all streams.
$target->sql('DELETE FROM ftm_run');
$source->sql(
	q(UPDATE big.readings SET user_id = '00000000-0000-4000-8000-00000000dead' WHERE id = 89999)
);
my ($state, $message) = $target->sql_error(
	"SET ftmigrate.streams = 3; " . $call =~ s/users => false, undecided => 'keep'/users => false, undecided => 'keep', existing => 'truncate'/r);
is($state, '23503', 'an unmapped id is an error');
like($message, qr/00000000-0000-4000-8000-00000000dead in column "user_id"/, 'and named');
is($target->sql('SELECT count(*) FROM big.readings'), '90000', 'the old rows are there');
$source->poll_query_until('postgres',
	q(SELECT count(*) = 0 FROM pg_stat_activity WHERE usename = 'postgres'))
  or die 'connections are left on the source';

# Few connections: the preflight says so.
$source->sql('ALTER ROLE postgres CONNECTION LIMIT 4');
is($target->sql(<<'SQL'), "fail|Lower ftmigrate.workers or ftmigrate.streams, close other connections, or raise that limit.", 'connections are counted');
SET ftmigrate.streams = 3;
SELECT status, hint FROM ftm_check(schemas => ARRAY['big']) WHERE check_name = 'connection limit';
SQL

done_testing();
