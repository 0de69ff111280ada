
# Nobody holds up a run by a lock that any role can take, nor by what he puts in
# place of a file: a FIFO, a device or a directory is refused at once.

use strict;
use warnings;

use Fcntl;
use File::Copy;
use FtmigrateTest;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use RunGates;
use StackAuthStandIn;
use Test::More;

my $stack  = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $source = start_source(users => 3, readings => 10);
my $target = start_target($source);
$target->connect_auth_server($stack);
$target->load('user_columns.sql');
decide_user_columns($target);
my $directory = PostgreSQL::Test::Utils::tempdir;

# Everything that SQL can lock, as far as it is known which numbers are meant:
# locks of one and two numbers with the numbers of every lock that a run and an
# export hold.
my $gates = RunGates->new($target);
$target->sql('CREATE ROLE somebody LOGIN');
$gates->close_before('load table');
my $run = $target->start_sql('SELECT ftm_run_migration()');
$gates->reach('load table');
my $held = "SELECT DISTINCT database, classid, objid, objsubid FROM pg_locks WHERE locktype = 'advisory' AND pid IN
	(SELECT pid FROM pg_stat_activity WHERE query ~ '^SELECT ftm_' AND pid <> pg_backend_pid() OR backend_type LIKE 'ftmigrate%')";
my $locks = $target->sql($held);
isnt($locks, '', 'a run holds a lock');
my ($state, $message) = $target->sql_error('SELECT ftm_run_migration()');
is($state, '55006', 'another run is refused');
my $leader = $target->wait_for_pid("query ~ '^SELECT ftm_run_migration' AND backend_type = 'client backend'");
like($message, qr/DETAIL:  It is held by process $leader, role postgres, since \d{4}-/, 'and is told by whom');
$gates->open;
my ($exit, $out, $err) = $run->finish;
is($exit, 0, 'the run goes on') or diag $err;

my $somebody = $target->background_psql('postgres', extra_params => [ '-U', 'somebody' ]);
foreach my $lock (split /\n/, $locks)
{
	my ($database, $class, $object, $kind) = split /\|/, $lock;

	cmp_ok($kind, '>', 2, "lock $lock is of a kind that SQL does not have");
	$somebody->query_safe("SELECT pg_advisory_lock((${class}::bigint << 32) | $object)");
	$somebody->query_safe("SELECT pg_advisory_lock(${class}::bit(32)::int, ${object}::bit(32)::int)")
	  if $class < 2**31 && $object < 2**31;
}

# What runs of earlier versions took.
$somebody->query_safe("SELECT pg_advisory_lock(x'66746d31'::int, hashtext('supabase'))");
$target->sql("SELECT ftm_run_migration(restart => true)");
pass('a run is possible while another role holds locks of the same numbers');
$somebody->quit;

# Two exports at once
my $call = $target->start_sql("BEGIN; SELECT ftm_export('$directory'); SELECT pg_sleep(600)");
my $exporter = $target->wait_for_pid("query ~ 'pg_sleep' AND wait_event = 'PgSleep'");
($state, $message) = $target->sql_error("SELECT ftm_export('$directory', overwrite => true)");
like($message, qr/is in use by an export.*DETAIL:  It is held by process $exporter, role postgres/s,
	'an export is told who uses the directory');
$target->sql("SELECT pg_terminate_backend($exporter)");
$call->kill_kill;
$target->wait_for(q(SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'));

# In place of each file that is read; in place of one that is written.
my @kinds = (
	[ 'FIFO'      => sub { system('mkfifo', $_[0]) == 0 or die 'mkfifo failed'; } ],
	[ 'directory' => sub { mkdir $_[0] or die "mkdir failed: $!"; } ],
	[ 'socket'    => sub { IO::Socket::UNIX->new(Local => 's', Listen => 1) or die "socket failed: $!";
			rename 's', $_[0] or die "could not rename: $!"; } ]);
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
foreach my $kind (@kinds)
{
	my ($name, $make) = @$kind;

	foreach my $file ('metadata.json', 'public.profiles.json')
	{
		my $path = "$directory/$file";

		move($path, "$directory.kept") or die "could not move: $!";
		$make->($path);
		foreach my $function ("ftm_import('$directory', restart => true)", "ftm_verify_export('$directory')")
		{
			($state, $message) = $target->sql_error("SET statement_timeout = '60s'; SELECT $function");
			like($message, $name eq 'socket' ? qr/could not open file "\Q$path\E"/ :
				  qr/"\Q$path\E" is not a regular file/,
				"$function: a $name in place of $file is refused");
		}
		($state, $message) = $target->sql_error(
			"SET statement_timeout = '60s'; SELECT ftm_export('$directory', overwrite => true)");
		like($message, qr/"\Q$path\E" exists and is not a regular file/, "ftm_export(): likewise");
		$name eq 'directory' ? rmdir $path : unlink $path;
		move("$directory.kept", $path) or die "could not move: $!";
	}
}
is($target->sql("SELECT bool_and(status = 'verified') FROM ftm_import('$directory', restart => true)"), 't',
	'with all files in place, the import is right');

# A log that somebody reads, who may stop reading, and one that nobody keeps
foreach my $log ($target->basedir . '/read.log', '/dev/full')
{
	my $reader;

	if ($log =~ /read/)
	{
		system('mkfifo', $log) == 0 or die 'mkfifo failed';
		sysopen($reader, $log, Fcntl::O_RDONLY() | Fcntl::O_NONBLOCK()) or die "could not open: $!";
	}
	$target->sql(qq(LOAD 'ftmigrate'; ALTER DATABASE postgres SET ftmigrate.log_file = '$log'));
	($exit, $out, $err) = $target->start_sql("SELECT ftm_import('$directory', restart => true)")->finish;
	is($exit, 0, "a run with log file $log succeeds");
	like($err, qr/WARNING: .*could not open log file "\Q$log\E"/, 'and says that it is not written');
}

done_testing();
