
# Exports and imports that end in the middle: no file looks complete that is
# not, a table is empty or complete, and the same call again finishes the work.

use strict;
use warnings;

use Digest::SHA;
use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use TcpProxy;
use Test::More;
use Time::HiRes qw(usleep);

my $source = start_source(users => 5, readings => 100);
my $target = start_target(undef, conf => "restart_after_crash = on\n");
my $proxy  = TcpProxy->new($source->port);

$target->connect_source($source);
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "')");

# "wide" is 8 MB of JSON, more than fits between the servers; a row of "slow" makes
# the target wait for a lock that the test holds: in C, since code in other
# languages is not called before all rows are there.
$source->sql(<<'SQL');
CREATE TABLE public.wide (id int PRIMARY KEY, note text);
INSERT INTO public.wide SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 8000) n;
CREATE TABLE public.slow (id int PRIMARY KEY, note text);
INSERT INTO public.slow SELECT n, md5(n::text) FROM generate_series(1, 1000) n;
GRANT SELECT ON public.wide, public.slow TO postgres;
ANALYZE public.wide, public.slow;
SQL
$target->sql(<<'SQL');
CREATE TABLE public.wide (id int PRIMARY KEY, note text);
CREATE FUNCTION public.waits(bigint) RETURNS int IMMUTABLE STRICT LANGUAGE internal AS 'pg_advisory_xact_lock_shared_int8';
CREATE TABLE public.slow (id int PRIMARY KEY CHECK (CASE WHEN id = 500 THEN public.waits(4711 + 0 * id) = 0 ELSE true END), note text);
SQL
decide_user_columns($target);
my $tables = "include => '{wide,slow}'";

# Files with final names that are not whole.
sub incomplete
{
	my ($directory) = @_;
	my %rows = ('public.wide.json' => 8000, 'public.slow.json' => 1000);
	my @wrong;

	foreach my $name (grep { !/^\.|\.partial$/ } slurp_dir($directory))
	{
		my $rows = eval { decode_json(slurp_file("$directory/$name")) };

		push @wrong, $name
		  if !$rows || ($rows{$name} && @$rows != $rows{$name});
	}
	return \@wrong;
}

# Files that are not what metadata.json says.
sub wrong
{
	my ($directory) = @_;
	my $metadata = decode_json(slurp_file("$directory/metadata.json"));

	return [
		grep { Digest::SHA::sha256_hex(slurp_file("$directory/$_->{file}")) ne $_->{sha256} }
		  @{ $metadata->{tables} } ];
}

sub wait_until
{
	my ($condition) = @_;
	my $attempts = 200 * $PostgreSQL::Test::Utils::timeout_default;

	for (1 .. $attempts)
	{
		return if $condition->();
		usleep 5000;
	}
	die "timed out\n";
}

sub pid_of
{
	my ($condition) = @_;

	return $target->sql("SELECT pid FROM pg_stat_activity WHERE ($condition) AND pid <> pg_backend_pid() LIMIT 1");
}

# Who is killed, and how: the worker that does the WORK, or the leader's CALL.
my $exporting = q(query LIKE '%public.wide%');
my $importing = q(pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted));
my @victims = (
	[ 'worker',           'KILL', "backend_type = 'ftmigrate worker' AND WORK" ],
	[ 'worker, politely', 'TERM', "backend_type = 'ftmigrate worker' AND WORK" ],
	[ 'leader',           'KILL', "query LIKE 'SELECT ftm_CALL%'" ],
	[ 'leader, politely', 'TERM', "query LIKE 'SELECT ftm_CALL%'" ],
	[ 'server', undef, undef ]);

sub end_victim
{
	my ($signal, $condition, $call, $work) = @_;

	if (!$signal)
	{
		$target->stop('immediate');
		$target->start;
		return;
	}
	$condition =~ s/CALL/$call/;
	$condition =~ s/WORK/$work/;
	my $pid = pid_of($condition) or die "nobody to kill: $condition";
	kill $signal, $pid or die "could not kill $pid: $!";
	return;
}

# Until the server has started again, and nobody works any more.
sub settle
{
	$target->wait_for(q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'));
	return;
}

# Exports end while the file of "wide" is being written.
foreach my $victim (@victims)
{
	my ($name, $signal, $condition) = @$victim;
	my $directory = PostgreSQL::Test::Utils::tempdir;
	my $export    = "SELECT ftm_export('$directory', $tables, overwrite => true)";

	$proxy->command('delay 20');
	my $call = $target->start_sql($export);
	wait_until(sub { grep { /^public\.wide\..*partial$/ } slurp_dir($directory) });
	$proxy->command('stall');
	end_victim($signal, $condition, 'export', $exporting);
	my ($exit) = $call->finish;
	isnt($exit, 0, "$name: the export fails");
	settle();
	is_deeply(incomplete($directory), [], "$name: no file looks complete");
	ok(!grep({ /metadata/ } slurp_dir($directory)), "$name: nor does the directory");
	my ($state) = $target->sql_error("SELECT ftm_import('$directory', $tables)");
	is($state, '58P01', "$name: it cannot be imported");
	$proxy->command('reset');
	$proxy->command('go');
	$target->sql($export);
	is_deeply(wrong($directory), [], "$name: the next export is right");
	is_deeply([ grep { /partial/ } slurp_dir($directory) ], [], "$name: and cleans up");
}

# A file that does not fit: the limit is the process's, not the disk's, but the
# way of the error is the same.
my $directory = PostgreSQL::Test::Utils::tempdir;
my $postmaster = (split /\n/, slurp_file($target->data_dir . '/postmaster.pid'))[0];
$source->sql(<<'SQL');
CREATE TABLE public.huge (id int PRIMARY KEY, note text);
INSERT INTO public.huge SELECT n, repeat('x', 6000000) FROM generate_series(1, 5) n;
GRANT SELECT ON public.huge TO postgres;
SQL
system('prlimit', "--pid=$postmaster", '--fsize=20000000:unlimited') == 0 or die;
my ($state, $message) = $target->sql_error("SELECT ftm_export('$directory', include => '{huge}')");
system('prlimit', "--pid=$postmaster", '--fsize=unlimited:unlimited') == 0 or die;
like($message, qr/could not write file "\Q$directory\E\/public\.huge\.json\.\d+\.partial": File too large/,
	'a file that does not fit: the error names it');
is_deeply([ grep { /huge|metadata/ } slurp_dir($directory) ], [], 'and nothing of it remains');
$target->sql("SELECT ftm_export('$directory', include => '{huge}', overwrite => true)");
is_deeply(wrong($directory), [], 'the next export is right');
$source->sql('DROP TABLE public.huge');

# Imports end while "slow" is being loaded and "wide" is complete.  The source is
# not needed.
$directory = PostgreSQL::Test::Utils::tempdir;
$target->sql("SELECT ftm_export('$directory', $tables)");
$proxy->command('refuse');
my $rows     = q(SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM public.TABLE t);
my %expected = map { $_ => $source->sql($rows =~ s/TABLE/$_/r) } qw(wide slow);
my $storage  = q(SELECT pg_relation_filenode('public.wide'));
foreach my $victim (@victims)
{
	my ($name, $signal, $condition) = @$victim;
	my $import = "SELECT ftm_import('$directory', $tables)";
	my $holder = $target->start_sql('SELECT pg_advisory_lock(4711), pg_sleep(600)');

	$target->wait_for(q(SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND mode = 'ExclusiveLock' AND granted));
	my $call = $target->start_sql($import);
	$target->wait_for(q(SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted));
	$target->wait_for(q(SELECT count(*) > 0 FROM ftm_run_table WHERE table_name = 'public.wide' AND status = 'loaded' AND run_id = (SELECT max(run_id) FROM ftm_run)));
	my $before = $target->sql($storage);
	end_victim($signal, $condition, 'import', $importing);
	my ($exit) = $call->finish;
	isnt($exit, 0, "$name: the import fails");
	settle();
	is($target->sql('SELECT count(*) FROM public.slow'), 0, "$name: the table is empty");
	is($target->sql($rows =~ s/TABLE/wide/r), $expected{wide}, "$name: the other is complete");
	$holder->kill_kill;
	$target->sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)' AND pid <> pg_backend_pid()));
	is($target->sql("SELECT string_agg(table_name || ' ' || status, ', ' ORDER BY table_name) FROM ftm_import('$directory', $tables)"),
		'public.slow verified, public.wide kept', "$name: the next import goes on");
	is($target->sql($storage), $before, "$name: the complete table is not loaded again");
	is($target->sql($rows =~ s/TABLE/slow/r), $expected{slow}, "$name: and loads the other");
	$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
}

done_testing();
