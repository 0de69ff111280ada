# The password of a connection string reaches neither the server log nor the
# client when ftm_create_source() gets it, whether the call succeeds or fails.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Everything that writes statements into the log by itself
my $node = start_node('secrets', conf => <<'CONF');
shared_preload_libraries = 'auto_explain'
auto_explain.log_min_duration = 0
auto_explain.log_nested_statements = on
auto_explain.log_analyze = on
log_min_error_statement = error
log_error_verbosity = verbose
CONF
$node->sql('CREATE EXTENSION ftmigrate');

# What the log holds of what was logged since offset
sub logged
{
	my ($offset) = @_;
	return slurp_file($node->logfile, $offset);
}

my $secret = 'Zw9xK3';

# Statements that fail, whose text holds the password.  A statement is logged
# with its error, unless the function prevents it.
my %failures = (
	'malformed'    => "postgresql://u:$secret%\@h",
	'not encoded'  => "postgresql://u:$secret\@$secret\@h",
	'slash'        => "postgresql://u:12/$secret\@h",
	'bad port'     => "postgresql://u:$secret\@h:x",
	'bad value'    => "postgresql://u:$secret\@h?sslmode=$secret",
	'bad option'   => "postgresql://u:$secret\@h?application_name=$secret",
	'pooler'       => "postgresql://u:$secret\@h:6543",
	'bad encoding' => "postgresql://u:$secret%FF\@h");
foreach my $name (sort keys %failures)
{
	my $call   = "SELECT ftm_create_source('$failures{$name}')";
	my $offset = -s $node->logfile;
	my ($state, $message) = $node->sql_error($call);
	my $log = logged($offset);

	like($log, qr/ERROR:  $state: /, "$name: error is logged");
	unlike($log, qr/$secret/, "$name: password is not");
	# psql shows the statement that it sent itself
	unlike($message =~ s/^LINE .*//mr, qr/$secret/,
		"$name: nor is it in the message");

	$offset = -s $node->logfile;
	$node->sql_error(
		"DO \$\$BEGIN PERFORM ftm_create_source('$failures{$name}'); END\$\$");
	$log = logged($offset);
	like($log, qr/ERROR:  $state: /, "$name in PL/pgSQL: error is logged");
	unlike($log, qr/$secret/, "$name in PL/pgSQL: password is not");
}

# A control: other functions' errors do log the statement
my $offset = -s $node->logfile;
$node->sql_error("SELECT 1 / 0, '$secret'");
like(logged($offset), qr/STATEMENT: .*$secret/, 'log would show a statement');

# The server exists already, found out before anything is made
$node->sql('CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source');
$offset = -s $node->logfile;
my ($state) =
  $node->sql_error("SELECT ftm_create_source('postgresql://u:$secret\@h')");
is($state, '42710', 'duplicate server');
unlike(logged($offset), qr/$secret/, 'password is not logged');

# Success.  The string comes from a table, so that all the statements that are
# logged are the server's own.
$node->sql("CREATE TABLE uris AS SELECT 'postgresql://u:$secret\@h'::text AS uri");
$offset = -s $node->logfile;
$node->sql(<<'SQL');
SET log_statement = 'all';
SET log_duration = on;
SET log_min_duration_statement = 0;
SET debug_print_plan = on;
SELECT ftm_create_source(uri, 'made') FROM uris;
SQL
my $log = logged($offset);
like($log, qr/Query Text: SELECT ftm_create_source/, 'the call is logged');
unlike($log, qr/$secret/, 'password is not');
is($node->sql(q(SELECT umoptions FROM pg_user_mappings WHERE srvname = 'made')),
	"{user=u,password=$secret}", 'it is in the user mapping');

$node->stop;
done_testing();
