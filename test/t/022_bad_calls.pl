
# What a bad call gets, as far as it takes servers of its own: connections that
# fail, and worker slots that are taken.

use strict;
use warnings;

use FtmigrateTest;
use IO::Socket::INET;
use PostgreSQL::Test::Cluster;
use RowCompare;
use Test::More;

my $source = start_source(users => 50, readings => 500);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);
my $call = 'SELECT ftm_run_migration(users => false)';

sub fails_with
{
	my ($what, $state, $message, $hint) = @_;
	my ($found_state, $stderr) = $target->sql_error($call);

	is($found_state, $state, "$what: SQLSTATE");
	like($stderr, $message, "$what: message");
	like($stderr, $hint,    "$what: hint");
	unlike($stderr, qr/pass'word/, "$what: no password");
	return;
}

sub set_server
{
	my (%options) = @_;

	$target->sql("ALTER SERVER supabase OPTIONS ("
		  . join(', ', map { "$_ " . $target->literal($options{$_}) } sort keys %options)
		  . ')');
	return;
}

sub log_in_as
{
	my ($user, $password) = map { $target->literal($_) } @_;

	$target->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER supabase"
		  . " OPTIONS (SET user $user, SET password $password)");
	return;
}

# A port on which nobody listens.
my $free_port = PostgreSQL::Test::Cluster::get_free_port();
set_server('SET port' => $free_port);
fails_with(
	'nobody listens', '08001',
	qr/could not connect to source "supabase"/,
	qr/HINT: .*host and port/);

# connect() to this address fails at once, without a packet.
set_server(
	'SET port'     => $source->port,
	'SET host'     => 'db.abcdefghijklmnop.supabase.co',
	'ADD hostaddr' => '255.255.255.255');
fails_with(
	'network unreachable', '08001',
	qr/Network is unreachable/,
	qr/HINT: .*IPv6.*session pooler/);
$target->sql(q(ALTER SERVER supabase OPTIONS (DROP hostaddr, SET host '127.0.0.1')));

# A listener that never answers: connect_timeout ends it.
my $silent = IO::Socket::INET->new(
	Listen    => 5,
	LocalAddr => '127.0.0.1',
	Proto     => 'tcp') or die "cannot listen: $!";
set_server('SET port' => $silent->sockport);
$target->sql(q(ALTER SERVER supabase OPTIONS (ADD connect_timeout '1')));
fails_with(
	'no answer', '08001',
	qr/not established within 1 seconds/,
	qr/HINT: .*connect_timeout/);

# ... and so does a cancel, at once.
$target->sql(q(ALTER SERVER supabase OPTIONS (SET connect_timeout '600')));
my ($state) = $target->sql_error("SET statement_timeout = '200ms'; $call");
is($state, '57014', 'statement_timeout ends a connection attempt');
$silent->close;
$target->sql(q(ALTER SERVER supabase OPTIONS (DROP connect_timeout)));
set_server('SET port' => $source->port);

# Wrong password.
log_in_as('postgres', 'wrong');
fails_with(
	'wrong password', '28P01',
	qr/password authentication failed/,
	qr/HINT: .*ALTER USER MAPPING/);
log_in_as('postgres', $FtmigrateTest::source_password);

# A role that row-level security filters.
$source->sql(q(CREATE ROLE reader LOGIN PASSWORD 'r'; GRANT USAGE ON SCHEMA public, auth TO reader;
	GRANT SELECT ON ALL TABLES IN SCHEMA public, auth TO reader;
	GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO reader));
log_in_as('reader', 'r');
fails_with(
	'role without BYPASSRLS', '55000',
	qr/Row-level security hides rows of table public\.sites/,
	qr/Connect as a role with BYPASSRLS/);
log_in_as('postgres', $FtmigrateTest::source_password);

# Nothing was changed by all that.
is($target->sql('SELECT count(*) FROM ftm_run'), '0', 'no run was begun');
my $found = row_counts($target);
is_deeply([ grep { $found->{$_} } keys %{ row_counts($source) } ],
	[], 'no row was loaded');

# All worker slots are taken.
$target->append_conf('postgresql.conf', "max_worker_processes = 1\n");
$target->restart;
fails_with(
	'no worker slots', '53000',
	qr/could not start background workers/,
	qr/HINT: .*max_worker_processes/);

# Two of four: it runs with what there is.
$target->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$target->restart;
my ($exit, $out, $err) =
  $target->start_sql('SELECT ftm_run_migration(users => false, workers => 8)')->finish;
is($exit, 0, 'few worker slots: the run succeeds');
like($err, qr/running with 1 workers? instead of 8|running with 1 worker/, 'and says so');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');

done_testing();
