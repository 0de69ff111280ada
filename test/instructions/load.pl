
# What it costs to store a row, in instructions per row, from the stream's bytes
# to the table's page: within ftm_rows_write() and what it calls, the server's
# own insertion included, and the keys of indexes that are taken on the way.  The
# whole target runs under valgrind for that.
#
# See rewrite.pl about budgets.  These belong to a major version of the server,
# too, which does part of the work.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rows = 4000;

# Server and major version of gcc => table => instructions per row.
my %budgets = ('15, 12' => { reading => 2224, indexed => 2980, event => 4520 });

plan skip_all => 'valgrind is not installed'
  if system('valgrind --version >/dev/null 2>&1') != 0;

my $compiler = readpipe 'cc -dumpversion' || '';
$compiler =~ s/\..*//s;
chomp $compiler;

my $source = start_source(users => 2, readings => 10);
my $target = start_target($source);
fill_user_map($source, $target);

my ($server) = $target->sql('SHOW server_version_num') =~ /^(\d+)\d{4}$/;
my $known  = exists $budgets{"$server, $compiler"};
my $budget = $budgets{"$server, $compiler"} || $budgets{ (sort keys %budgets)[-1] };
my $spare  = $known ? 1.05 : 1.5;

diag "no budget for server $server and compiler $compiler: 50 % more than of another may be used"
  unless $known;

my $tables = <<'SQL';
CREATE SCHEMA cost;
CREATE TABLE cost.reading (
	id bigint NOT NULL, unit_id uuid NOT NULL, device_id uuid,
	temperature numeric(5, 2) NOT NULL, humidity numeric(5, 2),
	door_open boolean, battery_level int, signal_strength int,
	recorded_at timestamptz NOT NULL, received_at timestamptz NOT NULL,
	source text);
CREATE TABLE cost.event (
	id bigint NOT NULL, actor_id uuid, event_type text NOT NULL,
	event_data jsonb NOT NULL, created_at timestamptz NOT NULL);
CREATE TABLE cost.indexed (LIKE cost.reading);
CREATE UNIQUE INDEX ON cost.indexed (id);
CREATE INDEX ON cost.indexed (unit_id, recorded_at);
CREATE INDEX ON cost.indexed (device_id);
CREATE INDEX ON cost.indexed (recorded_at);
SQL
$target->sql($tables);
$source->sql($tables . <<SQL);
INSERT INTO cost.reading
SELECT n, md5('unit' || n % 997)::uuid, md5('device' || n % 4999)::uuid,
	(n % 6000) / 100.0 - 20, (n % 9000) / 100.0, n % 17 = 0, n % 101,
	-(n % 90), timestamptz '2025-01-01Z' + n * interval '7 seconds',
	timestamptz '2025-01-01Z' + n * interval '8 seconds',
	(ARRAY['lora', 'ble', 'manual'])[1 + n % 3]
FROM generate_series(1, $rows) n;
INSERT INTO cost.event
SELECT n, md5('actor' || n)::uuid, 'event.' || n % 40,
	jsonb_build_object('n', n, 'unit', md5('unit' || n % 997), 'changes',
		jsonb_build_object('from', n % 60, 'to', n % 59), 'note', repeat('x', n % 80)),
	timestamptz '2025-01-01Z' + n * interval '31 seconds'
FROM generate_series(1, $rows) n;
INSERT INTO cost.indexed SELECT * FROM cost.reading;
GRANT USAGE ON SCHEMA cost TO postgres;
GRANT SELECT ON ALL TABLES IN SCHEMA cost TO postgres;
SQL

# Each process writes what it counted when it ends.
my $counts = $target->basedir . '/callgrind';
mkdir $counts or die "could not make $counts: $!";
my $postgres = $target->config_data('--bindir') . '/postgres';
$target->stop;
my $log = '';
my $valgrind = IPC::Run::start(
	[
		'valgrind', '-q', '--tool=callgrind', "--callgrind-out-file=$counts/%p",
		$postgres, '-D', $target->data_dir ],
	'<', \undef, '>', \$log, '2>&1');
# psql may be gone before it has read anything.
my $attempts = 0;
until (eval { $target->sql('SELECT true') })
{
	die "the server does not start: $log\n" if $attempts++ > 1000;
	usleep 100_000;
}

# Usage: counted  Instructions of all processes that have ended since the last
# call.
sub counted
{
	my $sum = 0;
	foreach my $file (glob "$counts/*")
	{
		if (slurp_file($file) =~ /ftm_rows_write/)
		{
			my ($costs) = run_command(
				[ 'callgrind_annotate', '--inclusive=yes', '--threshold=100', $file ]);
			my ($count) = $costs =~ /^ *([\d,]+) .*:ftm_rows_write\b/m;
			$sum += $count =~ s/,//gr;
		}
		unlink $file;
	}
	return $sum;
}

my %per_row;
foreach my $table (sort keys %$budget)
{
	counted();
	is( $target->sql(
			"SELECT rows FROM ftm_run_migration(schemas => ARRAY['cost'], include => ARRAY['cost.$table'], users => false, undecided => 'keep', verify => false)"
		),
		$rows,
		"rows were stored: $table");
	$per_row{$table} = counted() / $rows;
	$target->sql('DELETE FROM ftm_run');
}
system_log('pg_ctl', '-D', $target->data_dir, '-m', 'fast', '-w', 'stop');
$valgrind->finish;

foreach my $table (sort keys %per_row)
{
	note sprintf '%s: %.1f instructions per row', $table, $per_row{$table};
	cmp_ok($per_row{$table}, '<=', $budget->{$table} * $spare,
		"instructions per row: $table");
	cmp_ok($per_row{$table}, '>=', $budget->{$table} * 0.8,
		"and not so few that the budget is out of date: $table")
	  if $known;
}

done_testing();
