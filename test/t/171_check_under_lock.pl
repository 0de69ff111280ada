
# What decides whether rows may be replaced is looked at when nobody else can
# write any more: the rows of a session that has not committed yet, in a table
# or straight in one of its partitions; foreign tables among the partitions; and
# rows of tables outside the run that refer to what is replaced.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $source = start_source(users => 1, readings => 1);
my $target = start_target($source, conf => "ftmigrate.lock_timeout = '5min'\n");
my $role   = $FtmigrateTest::source_role;
my $scope  = q(schemas => '{locked}', users => false, undecided => 'keep');

$_->sql(<<'SQL') foreach $source, $target;
CREATE SCHEMA locked;
CREATE TABLE locked.plain (id int PRIMARY KEY, line text);
CREATE TABLE locked.part (id int) PARTITION BY RANGE (id);
CREATE TABLE locked.part_1 PARTITION OF locked.part FOR VALUES FROM (0) TO (1000)
	PARTITION BY RANGE (id);
CREATE TABLE locked.part_1_1 PARTITION OF locked.part_1 FOR VALUES FROM (0) TO (1000);
SQL
$source->sql(<<"SQL");
INSERT INTO locked.plain SELECT n, 'source' FROM generate_series(1, 5) AS n;
INSERT INTO locked.part SELECT generate_series(1, 5);
GRANT USAGE ON SCHEMA locked TO $role;
GRANT SELECT ON ALL TABLES IN SCHEMA locked TO $role;
SQL

my $worker_waits = q(SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE NOT l.granted AND a.backend_type = 'ftmigrate worker');

# A session that has written and commits when a worker waits for its lock.
my $other = $target->background_psql('postgres');

sub call_beside
{
	my ($write, $call) = @_;

	# The first row by way of a partition locks the partitioned table, too.
	$other->query_safe($write);
	$other->query_safe($write =~ s/^INSERT INTO (\S+).*/DELETE FROM $1/r);
	$other->query_safe("BEGIN; $write");
	my $run = $target->start_sql($call);
	$target->wait_for($worker_waits);
	$other->query_safe('COMMIT');
	return $run->finish;
}

# A row in a partition, with existing => 'error'
foreach my $table ('locked.part_1_1', 'locked.plain')
{
	my ($exit, $out, $err) = call_beside("INSERT INTO $table (id) VALUES (999)",
		"SELECT ftm_run_migration($scope)");
	isnt($exit, 0, "$table: a row that was committed meanwhile stops the run");
	like($err, qr/table locked\.\w+ already contains rows/, "$table: it says so");
	is($target->sql("SELECT id FROM $table"), '999', "$table: the row is still there");
	$target->sql("DELETE FROM $table; SELECT ftm_rollback(max(run_id)) FROM ftm_run");
}
$target->sql("SELECT ftm_run_migration($scope)");

# A rollback, of a table and of partitions
foreach my $table ('locked.plain', 'locked.part_1_1')
{
	my $run = $target->sql("SELECT max(run_id) FROM ftm_run");

	# Not by call_beside(): what it does first would be a change.
	$other->query_safe("BEGIN; INSERT INTO $table (id) VALUES (999)");
	my $call = $target->start_sql("SELECT ftm_rollback($run)");
	$target->wait_for($worker_waits);
	$other->query_safe('COMMIT');
	my ($exit, $out, $err) = $call->finish;
	isnt($exit, 0, "$table: a row that was committed meanwhile stops the rollback");
	like($err, qr/rows inserted or updated: 1/, "$table: it says so");
	is($target->sql("SELECT count(*), max(id) FROM $table"), '6|999', "$table: all rows are still there");
	$target->sql("DELETE FROM $table WHERE id = 999");
}

# A foreign table among the partitions, however deep, and in another schema
$target->sql(<<'SQL');
SELECT ftm_rollback(max(run_id)) FROM ftm_run;
CREATE EXTENSION postgres_fdw;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw;
CREATE SCHEMA far;
SQL
my $attach = q(CREATE FOREIGN TABLE far.part_2 PARTITION OF locked.part FOR VALUES FROM (1000) TO (2000) SERVER elsewhere);
$target->sql($attach);
is( $target->sql(q(SELECT status, detail, hint FROM ftm_check(schemas => '{locked}') WHERE check_name = 'target tables')),
	'fail|Partition far.part_2 of table locked.part of the target is a foreign table, whose rows can be neither replaced nor taken back.|'
	  . 'Detach it, or leave the table out with exclude.',
	'ftm_check() names a foreign partition and the remedy');
foreach my $existing ('error', 'truncate')
{
	my ($state, $message) =
	  $target->sql_error("SELECT ftm_run_migration($scope, existing => '$existing')");
	like($message, qr/Partition far\.part_2 of table locked\.part of the target is a foreign table/,
		"existing => '$existing' refuses it");
}
is($target->sql('SELECT count(*) FROM ftm_run_table WHERE status = $$loaded$$'), '0', 'nothing was loaded');
$target->sql('DROP FOREIGN TABLE far.part_2');
$target->sql("SELECT ftm_run_migration($scope)");
$target->sql($attach);
foreach my $force ('false', 'true')
{
	my ($state, $message) =
	  $target->sql_error("SELECT ftm_rollback(max(run_id), force => $force) FROM ftm_run");
	is($state, '42809', "rollback with force => $force refuses it");
	like($message, qr/partition far\.part_2 of table locked\.part is a foreign table.*HINT:  Detach the partition/s,
		'and names it');
}
is($target->sql('SELECT count(*) FROM locked.part_1'), '5', 'no row is gone');
$target->sql('DROP FOREIGN TABLE far.part_2');

# An ALWAYS trigger of a partition, made after the plan
my $made = $target->background_psql('postgres');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
$target->sql('CREATE FUNCTION locked.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$');
$made->query_safe('BEGIN; LOCK TABLE ONLY locked.part IN ROW EXCLUSIVE MODE');
my $run = $target->start_sql("SELECT ftm_run_migration($scope, workers => 1)");
$target->wait_for($worker_waits);
$made->query_safe(<<'SQL');
CREATE TRIGGER fire AFTER INSERT ON locked.part_1_1 FOR EACH ROW EXECUTE FUNCTION locked.fire();
ALTER TABLE locked.part_1_1 ENABLE ALWAYS TRIGGER fire;
COMMIT;
SQL
my ($exit, $out, $err) = $run->finish;
like($err, qr/trigger "fire" of table locked\.part_1_1 would fire during the load/,
	'a trigger of a partition that would fire is seen under the lock');
$target->sql('DROP FUNCTION locked.fire CASCADE');
$target->sql("SELECT ftm_run_migration($scope)");

# A foreign key that is validated when the run looks at it: a rollback must know
# that it was valid.
$_->sql(<<'SQL') foreach $source, $target;
CREATE TABLE locked.refers (plain int CONSTRAINT refers_plain REFERENCES locked.plain);
SQL
$source->sql("GRANT SELECT ON locked.refers TO $role");
$target->sql(<<'SQL');
SELECT ftm_rollback(max(run_id)) FROM ftm_run;
ALTER TABLE locked.refers DROP CONSTRAINT refers_plain;
ALTER TABLE locked.refers ADD CONSTRAINT refers_plain FOREIGN KEY (plain) REFERENCES locked.plain NOT VALID;
SQL
$made->query_safe('BEGIN; ALTER TABLE locked.refers VALIDATE CONSTRAINT refers_plain');
$run = $target->start_sql("SELECT ftm_run_migration($scope)");
$target->wait_for($worker_waits);
$made->query_safe('COMMIT');
($exit, $out, $err) = $run->finish;
is($exit, 0, 'the run goes on when the key is validated') or diag $err;
is($target->sql(q(SELECT valid FROM ftm_run_key WHERE key_name = 'refers_plain' ORDER BY run_id DESC LIMIT 1)), 't',
	'and knows that it was');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run; DROP TABLE locked.refers');
$source->sql('DROP TABLE locked.refers');
$target->sql("SELECT ftm_run_migration($scope)");

# A session has drawn from a sequence, and may do so again until it ends.
$_->sql('CREATE SEQUENCE locked.counter') foreach $source, $target;
$source->sql("SELECT setval('locked.counter', 1000); GRANT SELECT ON SEQUENCE locked.counter TO $role");
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
$made->query_safe(q(BEGIN; SELECT nextval('locked.counter')));
$run = $target->start_sql("SELECT ftm_run_migration($scope)");
$target->wait_for($worker_waits);
$made->query_safe(q(SELECT nextval('locked.counter'); COMMIT));
($exit, $out, $err) = $run->finish;
is($exit, 0, 'the run waits until nobody draws from a sequence') or diag $err;
is($target->sql('SELECT last_value FROM locked.counter'), '1000', 'then it is set');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
is($target->sql('SELECT last_value FROM locked.counter'), '2', 'and a rollback knows where it was');
$_->sql('DROP SEQUENCE locked.counter') foreach $source, $target;
$target->sql("SELECT ftm_run_migration($scope)");

# Rows of a table outside the run refer to what is replaced.
$target->sql(<<'SQL');
SELECT ftm_rollback(max(run_id)) FROM ftm_run;
INSERT INTO locked.plain VALUES (1, 'target'), (9, 'entered by hand');
CREATE TABLE public.feature (id int PRIMARY KEY, plain int CONSTRAINT feature_plain REFERENCES locked.plain ON DELETE CASCADE);
INSERT INTO public.feature VALUES (1, 1), (2, 9), (3, NULL);
SQL
is( $target->sql(q(SELECT status, detail FROM ftm_check(schemas => '{locked}') WHERE check_name = 'empty tables' AND detail ~ 'feature')),
	'warn|Rows of table public.feature, which is not in the plan, refer to rows of table locked.plain by foreign key feature_plain.',
	'ftm_check() names a table outside the plan that refers to one of it');
($exit, $out, $err) = $target->start_sql("SELECT ftm_run_migration($scope, existing => 'truncate')")->finish;
isnt($exit, 0, 'rows that others refer to and the source lacks are not replaced');
like($err, qr/WARNING: .*Rows of table public\.feature, which is not in the plan/, 'a run warns of it');
like($err, qr/ERROR:  23503: .*refer to rows of table locked\.plain that the source does not have.*table public\.feature, by foreign key feature_plain: 1, the first of them with \(9\)/s,
	'the error names table, key and row');
is($target->sql('SELECT id, line FROM locked.plain ORDER BY id'), "1|target\n9|entered by hand",
	'the rows are still there');

# Without such a row, the others find what they refer to.
$target->sql('DELETE FROM public.feature WHERE plain = 9');
$target->sql("SELECT ftm_run_migration($scope, existing => 'truncate')");
is($target->sql('SELECT count(*), min(line) FROM locked.plain'), '5|source', 'then they are replaced');
is($target->sql('SELECT id, plain FROM public.feature ORDER BY id'), "1|1\n3|", 'and who refers to them is as before');
is($target->sql(q(SELECT convalidated FROM pg_constraint WHERE conname = 'feature_plain')), 't',
	'by a valid foreign key');

# A table that has nothing to refer with is nobody's concern.
$target->sql('DELETE FROM public.feature WHERE plain IS NOT NULL');
is($target->sql(q(SELECT count(*) FROM ftm_check(schemas => '{locked}') WHERE detail ~ 'feature')), '0',
	'no warning without rows that refer');

$other->quit;
$made->quit;
done_testing();
