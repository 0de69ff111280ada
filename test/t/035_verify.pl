
# ftm_verify() on a clean target of some size: no false alarm, whatever the
# settings are and in whichever format the rows came, and no more memory than
# for a small one.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

# Memory is measured below; what is shared is not to be much of it.
my $conf   = "shared_buffers = 4MB\nmax_parallel_workers_per_gather = 0\n";
my $source = start_source(users => 100, readings => 200000, conf => $conf);
my $target = start_target($source, conf => $conf);
fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);

# A table whose verification waits for a lock, and is the last.
for my $node ($source, $target)
{
	my $body = $node == $source ? '' : 'PERFORM pg_advisory_xact_lock_shared(42);';
	$node->sql(<<SQL);
CREATE FUNCTION pause(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN $body RETURN \$1; END';
CREATE TABLE pauses (id int PRIMARY KEY, at int GENERATED ALWAYS AS (pause(id)) STORED);
SQL
}
$source->sql('INSERT INTO pauses VALUES (1)');
$source->sql('GRANT SELECT ON pauses TO postgres');

# Under settings of the caller's and the databases' that none of it may hear of
sub alarms
{
	return $target->sql(<<SQL);
SET client_min_messages = error;
SET TimeZone = 'Pacific/Apia';
SET DateStyle = 'SQL, MDY';
SET extra_float_digits = -15;
SET search_path = pg_temp, public, pg_catalog;
SELECT kind, object, detail FROM public.ftm_verify() WHERE NOT ok
	OR kind = 'table' AND detail !~ '(^|; )([0-9]+) of \\2 columns hashed';
SQL
}

$source->sql(<<SQL);
ALTER DATABASE postgres SET TimeZone = 'America/St_Johns';
ALTER DATABASE postgres SET DateStyle = 'German, DMY';
ALTER DATABASE postgres SET extra_float_digits = 0;
ALTER DATABASE postgres SET search_path = auth, public;
SQL
$target->sql(<<SQL);
ALTER DATABASE postgres SET TimeZone = 'Asia/Kathmandu';
ALTER DATABASE postgres SET DateStyle = 'Postgres, DMY';
ALTER DATABASE postgres SET IntervalStyle = 'sql_standard';
ALTER DATABASE postgres SET extra_float_digits = -10;
ALTER DATABASE postgres SET bytea_output = 'escape';
SQL
my $migrate = 'SELECT count(*) FROM ftm_run_migration(users => false, verify => false)';
my $format  = q(SELECT format FROM ftm_plan() WHERE table_name = 'public.sensor_readings');
is($target->sql($format), 'binary', 'rows come in binary format');
$target->sql($migrate);
is($target->sql('SELECT count(*) FROM sensor_readings'),
	'200000', 'there are 200000 readings');
is(alarms(), '', 'no false alarm');

# Peaks of both processes that have hashed a table, in kB, as the kernel says.
sub peak_memory
{
	my ($table) = @_;
	my $lock = $target->start_sql('SELECT pg_advisory_lock(42); SELECT pg_sleep(600)');
	my $locker = $target->wait_for_pid("wait_event = 'PgSleep'");
	my $call = $target->start_sql(
		"SET ftmigrate.workers = 1; SELECT bool_and(ok) FROM ftm_verify(include => '{$table,pauses}')");
	my $worker = $target->wait_for_pid(
		"backend_type = 'ftmigrate worker' AND wait_event = 'advisory'");
	my @readers = split /\n/, $source->sql(
		"SELECT pid FROM pg_stat_activity WHERE application_name = 'ftmigrate'");
	my %peak;
	for my $pid ($worker, @readers)
	{
		my $status = PostgreSQL::Test::Utils::slurp_file("/proc/$pid/status");
		my $end = $pid == $worker ? 'target' : 'source';
		my ($kb) = $status =~ /^VmHWM:\s+(\d+)/m;
		$peak{$end} = $kb if $kb > ($peak{$end} // 0);
	}
	$target->sql("SELECT pg_terminate_backend($locker)");
	$lock->kill_kill;
	my ($exit, $out, $err) = $call->finish;
	like($out, qr/^t$/m, "$table is verified") or diag $err;
	return %peak;
}
my %small = peak_memory('organizations');
my %large = peak_memory('sensor_readings');
for my $end (qw(source target))
{
	note "$end: peak $small{$end} kB for a small table, $large{$end} kB for a large one";
	cmp_ok($large{$end} - $small{$end}, '<', 4096, "memory of the $end does not grow with the table");
}

# The same in text format: one type that differs is enough.
$target->sql('SELECT ftm_rollback(max(run_id), force => true) FROM ftm_run');
$target->sql('ALTER TABLE sensor_readings ALTER battery_level TYPE int');
is($target->sql($format), 'text', 'rows come in text format');
$target->sql($migrate);
is(alarms(), '', 'no false alarm then, either');

done_testing();
