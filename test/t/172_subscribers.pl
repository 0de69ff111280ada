
# Who listens to the target by logical replication hears all that happens to it:
# a subscriber holds what the target holds after a run, a rollback, another run
# and one that replaces rows; and a slot that belongs to no publication sees each
# row once, and each time that a table is emptied.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $logical = "wal_level = logical\nmax_wal_senders = 5\n";
my $source  = start_source(users => 1, readings => 1);
my $target  = start_target($source, conf => $logical);
my $subscriber = start_node('subscriber', conf => $logical);
my $role    = $FtmigrateTest::source_role;
my $scope   = q(schemas => '{heard}', users => false, undecided => 'keep');

# Tables whose rows are written in all ways: fast, with indexes and long values;
# by COPY, into partitions; in text format; with identities of all kinds.
my $tables = <<'SQL';
CREATE SCHEMA heard;
CREATE TABLE heard.parent (id int PRIMARY KEY, line text UNIQUE);
CREATE TABLE heard.child (parent int REFERENCES heard.parent, long text, also text);
ALTER TABLE heard.child ALTER long SET STORAGE EXTERNAL;
ALTER TABLE heard.child REPLICA IDENTITY FULL;
CREATE TABLE heard.part (id int PRIMARY KEY, line text) PARTITION BY RANGE (id);
CREATE TABLE heard.part_1 PARTITION OF heard.part FOR VALUES FROM (0) TO (500);
CREATE TABLE heard.part_2 PARTITION OF heard.part FOR VALUES FROM (500) TO (10000);
CREATE TABLE heard.textual (id int PRIMARY KEY, what regclass, x xml);
CREATE TABLE heard.nothing (id int, line text);
ALTER TABLE heard.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE heard.empty (id int PRIMARY KEY);
SQL
$_->sql($tables) foreach $source, $target, $subscriber;
$source->sql(<<"SQL");
INSERT INTO heard.parent SELECT n, 'line ' || n FROM generate_series(1, 1000) AS n;
INSERT INTO heard.child SELECT n, repeat(md5(n::text), n * 3), repeat('a', n)
	FROM generate_series(1, 300) AS n;
INSERT INTO heard.part SELECT n, 'line ' || n FROM generate_series(1, 999) AS n;
INSERT INTO heard.textual SELECT n, 'pg_class', '<a/>' FROM generate_series(1, 50) AS n;
INSERT INTO heard.nothing SELECT n, 'line' FROM generate_series(1, 50) AS n;
ANALYZE heard.parent, heard.child, heard.part, heard.textual, heard.nothing, heard.empty;
GRANT USAGE ON SCHEMA heard TO $role;
GRANT SELECT ON ALL TABLES IN SCHEMA heard TO $role;
SQL

$target->sql('CREATE PUBLICATION everything FOR TABLES IN SCHEMA heard');
my $connection = $target->connstr('postgres') =~ s/'/''/gr;
$subscriber->sql("CREATE SUBSCRIPTION everything CONNECTION '$connection' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($target, 'everything');
my $has_test_decoding = -e $target->config_data('--pkglibdir') . '/test_decoding.so';
my $plugin = $has_test_decoding ? 'test_decoding' : 'pgoutput';
$target->sql("SELECT pg_create_logical_replication_slot('bare', '$plugin')");

my $rows = <<'SQL';
SELECT 'parent', count(*), md5(string_agg(p::text, ' ' ORDER BY p::text)) FROM heard.parent p
UNION ALL SELECT 'child', count(*), md5(string_agg(p::text, ' ' ORDER BY p::text)) FROM heard.child p
UNION ALL SELECT 'part_1', count(*), md5(string_agg(p::text, ' ' ORDER BY p::text)) FROM heard.part_1 p
UNION ALL SELECT 'part_2', count(*), md5(string_agg(p::text, ' ' ORDER BY p::text)) FROM heard.part_2 p
UNION ALL SELECT 'textual', count(*), md5(string_agg(p::text, ' ' ORDER BY p::text)) FROM heard.textual p
UNION ALL SELECT 'nothing', count(*), md5(string_agg(p::text, ' ' ORDER BY p::text)) FROM heard.nothing p
SQL

# How often which table was told of, since the last time.
sub heard
{
	return $target->sql(<<'SQL');
SELECT split_part(data, ':', 1) || ' ' || substring(data FROM 'TRUNCATE|INSERT|UPDATE|DELETE'), count(*)
  FROM pg_logical_slot_get_changes('bare', NULL, NULL)
 WHERE data LIKE 'table heard.%' GROUP BY 1 ORDER BY 1
SQL
}

sub subscriber_equals_target
{
	my ($what) = @_;

	$target->wait_for_catchup('everything');
	is($subscriber->sql($rows), $target->sql($rows), "$what: the subscriber equals the target");
	return;
}

my $loaded = <<'HEARD' =~ s/\n\z//r;
table heard.child INSERT|300
table heard.nothing INSERT|50
table heard.parent INSERT|1000
table heard.part_1 INSERT|499
table heard.part_2 INSERT|500
table heard.textual INSERT|50
HEARD

# Beforehand, both are told of, with figures.
my $warning = $target->sql(q(SELECT detail FROM ftm_check(schemas => '{heard}') WHERE check_name = 'target tables' AND status = 'warn'));
like($warning, qr/^Logical replication carries what is loaded into tables of the target: 6 \(heard\.\w+, .*about 2399 rows, \d+ kB; replication slots in this database: bare \(\w+\), everything \(pgoutput\)\.$/,
	'ftm_check() says what is carried, and who gets it');
my ($exit, $out, $err) = $target->start_sql("SELECT ftm_run_migration($scope)")->finish;
is($exit, 0, 'published tables are loaded') or diag $err;
like($err, qr/WARNING: .*Logical replication carries/, 'with a warning');

# Tables that were empty are not emptied: a subscriber with foreign keys could
# not truncate them one by one.
is($target->sql('SELECT count(*) FROM heard.parent'), '1000', 'the target has its rows');
subscriber_equals_target('run');
is(heard(), $loaded, 'run: each row is heard of once') if $has_test_decoding;

# A row of somebody's own goes with the rest of a rollback by force.
$target->sql(q(INSERT INTO heard.parent VALUES (5000, 'own')));
$target->sql('SELECT ftm_rollback(max(run_id), force => true) FROM ftm_run');
is($target->sql('SELECT count(*) FROM heard.parent'), '0', 'the target is empty');
subscriber_equals_target('rollback');
$target->sql(q(INSERT INTO heard.parent VALUES (1, 'own')));
subscriber_equals_target('a row after it');
if ($has_test_decoding)
{
	my $told = heard();
	like($told, qr/^table heard\.\w+(, heard\.\w+)* TRUNCATE\|1$/m, 'rollback: one truncation is heard of');
	like($told, qr/(heard\.(child|nothing|parent|part|part_1|part_2|textual)\b.*){7}TRUNCATE/,
		'of all tables and partitions that held rows');
	unlike($told, qr/heard\.empty/, 'and of no other');
}
$target->sql('DELETE FROM heard.parent');
heard();

$target->sql("SELECT ftm_run_migration($scope)");
subscriber_equals_target('another run');
is(heard(), $loaded, 'another run: each row is heard of once') if $has_test_decoding;

# Rows that are replaced: the target's own, in tables that a subscriber may
# truncate one by one, since there no foreign key refers to them.
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
heard();
$subscriber->sql('ALTER TABLE heard.child DROP CONSTRAINT child_parent_fkey');
$target->sql(<<'SQL');
INSERT INTO heard.parent VALUES (1, 'own 1'), (7000, 'own 2');
INSERT INTO heard.child VALUES (7000, 'own', 'own');
INSERT INTO heard.part VALUES (1, 'own'), (7000, 'own');
SQL
heard();
$target->sql("SELECT ftm_run_migration($scope, existing => 'truncate')");
is($target->sql('SELECT count(*), max(id) FROM heard.part'), '999|999', 'rows are replaced');
subscriber_equals_target(q(existing => 'truncate'));
if ($has_test_decoding)
{
	my $replaced = heard();
	is(join("\n", grep { /INSERT/ } split /\n/, $replaced), $loaded,
		q(existing => 'truncate': each row is heard of once));
	is(scalar(grep { /TRUNCATE/ } split /\n/, $replaced), 3, 'and so is each emptying');
}

# A table that a run has loaded and loads again, since its plan has changed.
$source->sql('DELETE FROM heard.part WHERE id > 900');
$target->sql('UPDATE ftm_run SET status = $$failed$$; UPDATE ftm_run_table SET fingerprint = 0 WHERE table_name = $$heard.part$$');
$target->sql("SELECT ftm_run_migration($scope)");
is($target->sql('SELECT count(*) FROM heard.part'), '900', 'a table is loaded again');
subscriber_equals_target('load again');

# Later changes arrive as well: rows that a load has written have their identity.
$target->sql(<<'SQL');
UPDATE heard.parent SET line = 'changed' WHERE id = 500;
UPDATE heard.child SET also = 'changed' WHERE parent = 300;
DELETE FROM heard.part WHERE id BETWEEN 10 AND 700;
SQL
subscriber_equals_target('later changes');
is($subscriber->sql('SELECT count(*) FROM pg_stat_subscription WHERE pid IS NOT NULL'), '1',
	'the subscription is alive');

$subscriber->sql('DROP SUBSCRIPTION everything');
done_testing();
