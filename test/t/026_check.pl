
# What ftm_check() says, as far as it takes servers of its own.

use strict;
use warnings;

use File::Basename;
use FtmigrateTest;
use IO::Socket::INET;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 5, readings => 100);
my $target = start_target($source);
fill_user_map($source, $target);

# Rows of one check, or of all: "status|detail|hint"
sub findings
{
	my ($check, $call) = @_;

	return $target->sql(q(SELECT check_name || '|' || status || '|' || detail || '|' || coalesce(hint, ''))
		  . ' FROM ' . ($call // 'ftm_check()')
		  . (defined $check ? " WHERE check_name = '$check'" : ''));
}

sub set_server
{
	my ($options) = @_;

	$target->sql("ALTER SERVER supabase OPTIONS ($options)");
	return;
}

# Everything in order, once the application's columns without foreign keys have
# been looked at.
my $all = findings();
like($all, qr/^user columns\|fail\|Columns in which nobody has looked.*\|Look into them with SELECT \* FROM public\.ftm_scan_user_ids\(\)/m,
	'a scan is missed');
is(scalar(() = $all =~ /\|fail\|/g), 1, 'nothing else fails');
decide_user_columns($target);
$all = findings();
unlike($all, qr/\|fail\|/, 'nothing fails');
is(scalar(() = $target->sql('SELECT DISTINCT check_name FROM ftm_check()') =~ /^.+$/mg),
	28, 'each check has a row');

#
# Connections
#

# One connection is all there is.
$source->sql('ALTER ROLE postgres CONNECTION LIMIT 1');
$all = findings();
like($all, qr/^connection\|pass/m, 'one connection: made');
like($all, qr/^connection limit\|fail\|.*too many connections for role "postgres".*\|Lower the number of workers/m,
	'one connection: no second one');
like($all, qr/^pooler mode\|fail\|This was not checked, because there is no second connection.*\|Do first .*"connection limit"/m,
	'one connection: pooler mode is not checked');
like($all, qr/^snapshot\|fail\|A snapshot was exported, but not imported/m,
	'one connection: the snapshot is not imported');
like($all, qr/^schema\|pass/m, 'one connection: what is possible is checked');

# Not enough of them.
$source->sql('ALTER ROLE postgres CONNECTION LIMIT 2');
like(findings('connection limit'),
	qr/\|fail\|Free connections to the source: 2, because of the connection limit of the role; a run with 2 workers needs 3\.\|Set ftmigrate\.workers to 1/,
	'two connections are too few for two workers');
$target->sql('ALTER DATABASE postgres SET ftmigrate.workers = 1');
like(findings('connection limit'), qr/\|pass\|/, '... but enough for one');
$target->sql('ALTER DATABASE postgres RESET ftmigrate.workers');
$source->sql('ALTER ROLE postgres CONNECTION LIMIT -1; ALTER DATABASE postgres CONNECTION LIMIT 2');
like(findings('connection limit'), qr/\|fail\|.*because of the connection limit of the database/,
	'the limit of the database');
$source->sql('ALTER DATABASE postgres CONNECTION LIMIT -1');

# Poolers
for my $mode (qw(transaction session))
{
	my ($in, $out) = ('', '');
	my $pooler = IPC::Run::start(
		[
			'python3', dirname(__FILE__) . '/../pooler.py', $mode,
			$source->host . '/.s.PGSQL.' . $source->port, 'postgres', 'postgres'
		],
		'<', \$in, '>', \$out, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$pooler->pump until $out =~ /(\d+)\n/;
	set_server("SET port '$1'");
	like(
		findings('pooler mode'),
		$mode eq 'transaction' ?
		  qr/\|fail\|The source's process changed .*transaction mode.*\|Use the direct connection/ :
		  qr/\|pass\|The connection goes through a pooler, which keeps the session/,
		"pooler in $mode mode");
	$pooler->kill_kill;
}
set_server("SET port '" . $source->port . "'");

#
# Rights and rows
#

$source->sql(<<'SQL');
CREATE ROLE reader LOGIN PASSWORD 'r';
GRANT USAGE ON SCHEMA public, auth TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA public, auth TO reader;
REVOKE SELECT ON public.hubs FROM reader;
SQL
my $password = $target->literal($FtmigrateTest::source_password);
$target->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (SET user 'reader', SET password 'r')");
$all = findings('source tables');
is( scalar(() = $all =~ /Row-level security hides rows of table/g),
	$source->sql(q(SELECT count(*) FROM pg_class WHERE relrowsecurity AND relnamespace = 'public'::regnamespace)),
	'a reader without BYPASSRLS: each table is named');
like($all, qr/\|fail\|Table public\.hubs of the source cannot be read/, 'and one without SELECT');
my $other = $source->start_sql(
	'BEGIN; UPDATE public.units SET name = name; SELECT pg_sleep(600)');
$source->wait_for_pid(q(query LIKE '%pg_sleep%' AND backend_xid IS NOT NULL));
like(findings('freeze'), qr/\|warn\|.*by transactions that are open: public\.units\./,
	'what others write is not hidden from a reader');
$other->kill_kill;
$target->sql("ALTER USER MAPPING FOR CURRENT_USER SERVER supabase OPTIONS (SET user 'postgres', SET password $password)");

# A caller who owns everything but may not switch triggers off
$target->sql(<<"SQL");
CREATE ROLE app LOGIN;
GRANT USAGE ON FOREIGN SERVER supabase TO app;
GRANT EXECUTE ON FUNCTION ftm_check, ftm_run_migration TO app;
CREATE USER MAPPING FOR app SERVER supabase OPTIONS (user 'postgres', password $password);
DO \$\$ DECLARE t text; BEGIN
	FOR t IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace
		AND relkind IN ('r', 'p') AND relname NOT LIKE 'ftm%' LOOP
		EXECUTE format('ALTER TABLE %s OWNER TO app', t);
	END LOOP;
END \$\$;
SQL
my ($state, $stderr) =
  $target->sql_error('SET ROLE app; SELECT ftm_run_migration(users => false)');
is($state, '42501', 'a run without the right to switch triggers off');
like($stderr, qr/cannot run because of 1 problem.*GRANT SET ON PARAMETER session_replication_role TO app/s,
	'names the remedy');
like($target->sql(q(SET ROLE app; SELECT status FROM ftm_check() WHERE check_name = 'replication role')),
	qr/^fail$/, 'so does the check');
$target->sql('GRANT SET ON PARAMETER session_replication_role TO app');
is($target->sql(q(SET ROLE app; SELECT DISTINCT status FROM ftm_check() WHERE check_name IN ('replication role', 'target tables', 'empty tables'))),
	'pass', 'the remedy helps');

#
# Writers
#

# The source's sessions report what they have written once a second, at most.
my $script = PostgreSQL::Test::Utils::tempdir() . '/writer.sql';
append_to_file($script, "UPDATE public.sites SET name = name;\n");
my $writer = IPC::Run::start(
	[
		'pgbench', '-n', '-T', $PostgreSQL::Test::Utils::timeout_default,
		'-f', $script, $source->connstr('postgres')
	],
	'>', \my $writer_out, '2>', \my $writer_err);
ok($target->poll_query_until('postgres', <<'SQL'), 'a live writer is seen') or diag findings('freeze');
SELECT EXISTS (SELECT FROM ftm_check() WHERE check_name = 'freeze' AND status = 'warn'
	AND detail ~ 'being written to, .*within the last second: public\.sites' AND hint ~ '^Stop the application')
SQL
$writer->kill_kill;
ok($target->poll_query_until('postgres', <<'SQL'), 'and that it has stopped') or diag findings('freeze');
SELECT EXISTS (SELECT FROM ftm_check() WHERE check_name = 'freeze' AND status = 'pass')
SQL

#
# The target's server
#

# The source's size is that of its files, which may have holes.
SKIP:
{
	$source->sql('CREATE TABLE huge ()');
	$target->sql('CREATE TABLE huge ()');
	my $file = $source->data_dir . '/' . $source->sql("SELECT pg_relation_filepath('huge')") . '.1';
	append_to_file($file, '');
	skip 'the file system takes no file of 8 TB', 1 if !truncate($file, 1 << 43);
	like(findings('disk space'), qr/\|fail\|Tables and indexes take about 8\d{3} GB.*\|Make room for 16 TB/,
		'too little disk space');
}
$source->sql('DROP TABLE huge');
$target->sql('DROP TABLE huge');
like(findings('disk space'), qr/\|pass\|/, 'enough disk space');

#
# The target's server
#

# The source's size is that of its files, which may have holes.
$source->sql('CREATE TABLE huge ()');
$target->sql('CREATE TABLE huge ()');
my $file = $source->data_dir . '/' . $source->sql("SELECT pg_relation_filepath('huge')");
truncate($file, 1 << 43) or die "cannot make $file larger: $!";
like(findings('disk space'), qr/\|fail\|Tables and indexes take about 8\d{3} GB.*\|Make room for 16 TB/,
	'too little disk space');
truncate($file, 0) or die "cannot make $file smaller: $!";
like(findings('disk space'), qr/\|pass\|/, 'enough disk space');

$target->append_conf('postgresql.conf', "max_worker_processes = 3\n");
$target->restart;
like(findings('worker slots'), qr/\|warn\|.*: 1 of 3; a run with 2 workers needs 3\.\|Raise max_worker_processes to 4 or more/,
	'few worker slots');
$target->append_conf('postgresql.conf', "max_worker_processes = 2\n");
$target->restart;
like(findings('worker slots'), qr/\|fail\|/, 'too few worker slots');

#
# Encryption
#

# An address of this machine that is not loopback; nothing is sent.
my $probe = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '192.0.2.1', PeerPort => 9);
my $address = defined $probe ? $probe->sockhost : undef;

SKIP:
{
	skip 'this machine has the address 127.0.0.1 only', 4
	  if !defined $address || $address =~ /^127\./;

	my $dir = $source->data_dir;
	system_or_bail('openssl', 'req', '-new', '-x509', '-days', '2', '-nodes',
		'-newkey', 'rsa:2048', '-subj', '/CN=source.test',
		'-addext', "subjectAltName = DNS:source.test",
		'-out', "$dir/server.crt", '-keyout', "$dir/server.key");
	chmod 0600, "$dir/server.key";
	$source->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1,$address'\n");
	$source->append_conf('pg_hba.conf', "host all all $address/32 scram-sha-256\n");
	$source->restart;

	set_server("SET host 'source.test', ADD hostaddr '$address'");
	like(findings('encryption'), qr/\|warn\|The connection is not encrypted.*\|Execute ALTER SERVER supabase OPTIONS \(ADD sslmode 'verify-full'\)/,
		'not encrypted');
	$source->append_conf('postgresql.conf', "ssl = on\n");
	$source->restart;
	set_server("ADD sslmode 'require'");
	like(findings('encryption'), qr/\|warn\|The connection is encrypted, but nobody has checked.*\(SET sslmode/,
		'encrypted, not verified');
	set_server("SET sslmode 'verify-full', ADD sslrootcert '$dir/server.crt'");
	like(findings('encryption'), qr/\|pass\|The connection is encrypted, and the source has proven/,
		'verified');
	set_server("SET host 'other.test'");
	like(findings('connection'), qr/\|fail\|.*does not match host name "other\.test"/,
		'the wrong name');
}

done_testing();
