
# Answers of a hostile source that once did harm: indexes and counts that were
# believed, nulls, nested types, floods, bytes in no encoding.  And what they
# cost in memory.

use strict;
use warnings;

use FtmigrateTest;
use HostileSource;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;
use Time::HiRes qw(usleep);

my $directory = PostgreSQL::Test::Utils::tempdir();
my $source    = start_source(users => 5, readings => 100);
my $target    = start_target($source, conf => "restart_after_crash = on\n");
my $stack     = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $proxy     = HostileSource->new($source->port, $directory);
my $migrate   = q{ftm_run_migration(users => false, existing => 'truncate', restart => true)};

fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);
$target->connect_auth_server($stack);
$target->sql("SELECT count(*) FROM $migrate");
$target->sql("UPDATE public.profiles SET created_at = 'epoch'");
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "');"
	  . "ALTER DATABASE postgres SET ftmigrate.retries = 0;"
	  . "ALTER DATABASE postgres SET ftmigrate.workers = 1;"
	  . "ALTER DATABASE postgres SET statement_timeout = '120s'");

# The most memory that a process of the target has of its own, in MB.
sub memory
{
	my ($postmaster) = @_;
	my $most = 0;

	foreach my $status (glob '/proc/[0-9]*/status')
	{
		open my $file, '<', $status or next;
		my %field = map { /^(\w+):\s+(\d+)/ ? ($1 => $2) : () } <$file>;
		next unless ($field{PPid} // 0) == $postmaster;
		$most = $field{RssAnon} if ($field{RssAnon} // 0) > $most;
	}
	return $most / 1024;
}

# Runs the call, and returns how it has ended, stderr, and the memory it took.
sub outcome
{
	my ($call)     = @_;
	my $postmaster = $target->data_dir . '/postmaster.pid';
	my ($pid)      = slurp_file($postmaster) =~ /^(\d+)/;
	my $run        = $target->start_sql("SELECT * FROM $call");
	my $most       = 0;

	while ($run->{run}->pumpable)
	{
		my $memory = memory($pid);

		$most = $memory if $memory > $most;
		$run->{run}->pump_nb;
		usleep 20_000;
	}
	my ($code, $out, $err) = $run->finish;
	my ($state) = $err =~ /(?:ERROR|FATAL): +([0-9A-Z]{5}): /;
	return ($code == 0 ? '' : $state // "psql $code", "$out$err", $most);
}

my $log_position = -s $target->logfile;

# The call ends so, with such a message, nobody dies, and memory is bounded.
sub ends
{
	my ($what, $call, $expected, $message, $megabytes) = @_;
	my ($state, $text, $memory) = outcome($call);
	my $log = slurp_file($target->logfile, $log_position);
	local $Test::Builder::Level = $Test::Builder::Level + 1;

	$log_position = -s $target->logfile;
	is($state, $expected, "$what: ends as it should") or diag substr $text, 0, 2000;
	like($text, $message, "$what: says what is wrong");
	unlike($log, qr/terminated by signal/, "$what: nobody dies")
	  or $target->poll_query_until('postgres', 'SELECT true');
	cmp_ok($memory, '<', $megabytes, sprintf "$what: takes %d MB", $memory);
	return $text;
}

my $broken = qr/ERROR:  08P01: unexpected answer from source "supabase"/;

# A place in a list, which numbers are written through.
$proxy->alter(
	pattern => 'SELECT masks\.n',
	how     => 'row',
	values  => [ 9000, ('1311768467463790320') x 6 ]);
ends('index from the wire', 'ftm_scan_user_ids()', '08P01', $broken, 200);
$proxy->alter(pattern => 'SELECT masks\.n', how => 'value', column => 0, value => '-1');
ends('negative index', 'ftm_scan_user_ids()', '08P01', $broken, 200);

# A count that was multiplied: 2^59 + 1 entries of 32 bytes.
$proxy->alter(
	{
		pattern => 'AS bucket',
		how     => 'value',
		column  => 1,
		value   => '576460752303423489'
	},
	{ pattern => 'tableoid, ctid .*int8', how => 'rows', times => 200_000 });
my ($state, $text, $memory) = outcome(q{ftm_diff('public.profiles')});
like($state, qr/^(?:|08P01)$/, 'count of 2^59 + 1: ends cleanly');
cmp_ok($memory, '<', 300, 'count of 2^59 + 1: memory');
$proxy->alter(pattern => 'tableoid, ctid .*int8', how => 'rows', times => 1000);
ends('more rows than were counted', q{ftm_diff('public.profiles')}, '08P01', $broken, 200);

# Nulls and columns that are not there.
foreach (
	[ $migrate, 'current_user, pg_catalog', 'null', 0 ],
	[ 'ftm_verify()', '^SELECT pg_catalog.count\(\*\), COALESCE', 'null', 1 ],
	[ $migrate, 'pg_snapshot_xmin', 'null', 0 ],
	[ $migrate, 'pg_export_snapshot', 'null', 0 ],
	[ q{ftm_diff('public.profiles')}, '^SELECT tableoid, ctid, ARRAY', 'few', undef ],
	[ q{ftm_diff('public.profiles')}, '^SELECT k.names', 'null', 0 ])
{
	my ($call, $pattern, $how, $column) = @$_;

	$proxy->alter(pattern => $pattern, how => $how, defined $column ? (column => $column) : ());
	ends("$how in $pattern", $call, '08P01', $broken, 200);
}

# In ftm_check() it is a row of the result.
foreach (
	[ 'connection', 'current_user, pg_catalog', 0 ],
	[ 'freeze', 'pg_snapshot_xmin', 0 ],
	[ 'freeze', 'pg_is_in_recovery\(\),', 1 ],
	[ 'pooler mode', 'pg_backend_pid', 0 ])
{
	my ($check, $pattern, $column) = @$_;

	$proxy->alter(pattern => $pattern, how => 'null', column => $column);
	ends("null in $pattern", 'ftm_check()', '', qr/unexpected answer from source "supabase"/, 200);
	is($target->sql("SELECT 1"), '1', "null in $pattern: the server is there");
}

# The end of a COPY that never was, and then nothing.
$proxy->alter(pattern => 'current_user, pg_catalog', how => 'kind', type => 'c', body => '');
ends('end without a beginning', $migrate, '08P01', $broken, 200);

# Types that consist of types: 8^6 of them, if each was spelled out.
my $nested = 'CREATE TYPE public.nested0 AS (a int);';
foreach my $level (1 .. 6)
{
	my $parts = join ', ', map { "a$_ public.nested" . ($level - 1) } 1 .. 8;
	$nested .= "CREATE TYPE public.nested$level AS ($parts);";
}
$proxy->relay;
$_->sql("$nested CREATE TABLE public.nested (id int PRIMARY KEY, n public.nested6); GRANT SELECT ON public.nested TO PUBLIC") foreach $source, $target;
ends('nested types', 'ftm_check()', '', qr/definitions/, 200);
ends('nested types', 'ftm_plan()', '', qr/public\.nested/, 200);
ends('nested types', "ftm_run_migration(users => false, include => '{public.nested}', undecided => 'keep')", '', qr/verified/, 200);
$_->sql('DROP TABLE public.nested; DROP TYPE ' . join ', ', map { "public.nested$_" } 0 .. 6) foreach $source, $target;

# A type that consists of itself: the base of each domain is the domain.
$source->sql('CREATE DOMAIN public.loop AS int; CREATE TABLE public.looping (a public.loop)');
$target->sql('CREATE DOMAIN public.loop AS int; CREATE TABLE public.looping (a public.loop)');
my $loop = $source->sql("SELECT 'public.loop'::regtype::oid");
$proxy->alter(
	pattern => '^SELECT t\.oid, n\.nspname, t\.typname',
	how     => 'value',
	column  => 5,
	value   => $loop);
ends('type of itself', "ftm_plan(include => '{public.looping}')", '42P17', qr/consists of itself/, 200);
$_->sql('DROP TABLE public.looping; DROP DOMAIN public.loop') foreach $source, $target;

# What a chatty server may say is passed over; floods, of some hundred megabytes
# each, are refused.
my $copy = '^COPY .*sensor_readings';
my $readings =
  "ftm_run_migration(users => false, existing => 'truncate', restart => true, include => '{public.sensor_readings}')";
$proxy->alter(pattern => $copy, how => 'messages', type => 'A', times => 10_000,
	body => "\0\0\0\1channel\0" . 'x' x 1000 . "\0");
ends('some notifications', $readings, '', qr/verified/, 200);
$proxy->alter(pattern => $copy, how => 'messages', type => 'N', times => 10_000,
	body => "SNOTICE\0C00000\0M" . 'x' x 1000 . "\0\0");
ends('some notices', $readings, '', qr/verified/, 200);
$proxy->alter(pattern => $copy, how => 'messages', type => 'A', times => 2_000_000,
	body => "\0\0\0\1channel\0" . 'x' x 1000 . "\0");
ends('notifications', $readings, '08P01', $broken, 200);
$proxy->alter(pattern => $copy, how => 'messages', type => 'N', times => 2_000_000,
	body => "SNOTICE\0C00000\0M" . 'x' x 1000 . "\0\0");
ends('notices', $readings, '08P01', $broken, 200);
$proxy->alter(pattern => 'a\.attrelid, a\.attnum, a\.attname', how => 'rows_megabytes', megabytes => 1000);
ends('rows of the catalog', 'ftm_plan()', '08P01', $broken, 700);
$proxy->alter(pattern => 'current_user, pg_catalog', how => 'rows_megabytes', megabytes => 1000);
ends('rows where one is expected', $migrate, '08P01', $broken, 200);
$proxy->alter(pattern => 'current_user, pg_catalog', how => 'value', column => 0, value => 'x', size => 100_000_000);
ends('a value of 100 MB', $migrate, '08P01', $broken, 400);
$proxy->alter(pattern => 'current_user, pg_catalog', how => 'messages', type => 'S', times => 5_000,
	body => 'setting%d' . "\0" . 'x' x 29_000 . "\0");
ends('settings that nobody asked for', $migrate, '08P01', $broken, 400);

# Bytes that are in no encoding, in errors and in values.
$proxy->alter(pattern => $copy, how => 'error',
	fields => { S => 'ERROR', C => '22P05', M => "a\xf0\x9f\x20b\xff", D => "\xff\xfe" });
ends('error in no encoding', $readings, '22P05', qr/a\\xf0\\x9f b\\xff/, 200);
is( $target->sql(
		q{SELECT count(*), bool_and(convert_from(textsend(error), 'UTF8') LIKE '%a\\\\xf0\\\\x9f b\\\\xff%') FROM ftm_run WHERE error LIKE '%xf0%'}),
	'1|t', 'it is stored as valid text');
is($target->sql(q{SELECT count(convert_from(textsend(message), 'UTF8')) > 0 FROM ftm_log}),
	't', 'so is the log');
like($target->sql('SELECT ftm_report()'), qr/<html/, 'the report can be made');
command_ok([ 'pg_dump', '-d', $target->connstr('postgres'), '-f', "$directory/dump.sql" ],
	'and the database be dumped');
$proxy->alter(pattern => 'c\.oid, n\.nspname, c\.relname, c\.relkind', how => 'value', column => 2, value => "\xf0\x9f\x20\xff");
ends('name in no encoding', 'ftm_plan()', '08P01', qr/not valid in encoding "UTF8"/, 200);

# Metadata that would add members to a request.
$proxy->alter(pattern => 'raw_user_meta_data', how => 'value', column => 14, value => '{}, "is_admin": true');
ends('metadata with members', 'ftm_migrate_users(dry_run => true)', '08P01', qr/Value 15 of the answer about users is not JSON/, 200);

# And a user that was not asked for.
$proxy->alter(pattern => 'raw_user_meta_data', how => 'value', column => 0, value => '00000000-0000-4000-8000-000000000000');
ends('user not asked for', 'ftm_migrate_users(dry_run => true)', '08P01', qr/A user was not asked for/, 200);

$proxy->relay;
($state, $text) = outcome($readings);
is($state, '', 'the source as it is') or diag $text;
done_testing;
