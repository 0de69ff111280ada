# Who may connect to the source, and with whose credentials.  A role that is
# not a superuser must use a password from its user mapping; otherwise it would
# act on the source with what the target's server has: its environment, its
# files, its operating system user.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_node('source', conf => 'log_connections = on');
$source->sql(<<'SQL');
CREATE ROLE trusted LOGIN;
CREATE ROLE reader LOGIN PASSWORD 'Zw9xK3';
SQL
unlink $source->data_dir . '/pg_hba.conf';
$source->append_conf('pg_hba.conf', <<'HBA');
local all postgres trust
host all trusted 127.0.0.1/32 trust
host all reader 127.0.0.1/32 scram-sha-256
HBA
$source->reload;

# The target's server has a password of its own in its environment
my $target;
{
	local $ENV{PGPASSWORD} = 'Zw9xK3';
	$target = start_node('target');
}
my $port = $source->port;
$target->sql(<<SQL);
CREATE EXTENSION ftmigrate;
CREATE ROLE plain LOGIN;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO plain;
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host '127.0.0.1', port '$port', dbname 'postgres');
GRANT USAGE ON FOREIGN SERVER supabase TO plain;
SQL

# Plans a migration as this role, with these options in its user mapping.
# Returns the SQLSTATE and message of the error, if any, and what the source's
# log says about connections meanwhile.
sub plan_as
{
	my ($role, $options) = @_;
	my $offset = -s $source->logfile;
	my $stderr;

	$target->sql(<<SQL);
DROP USER MAPPING IF EXISTS FOR $role SERVER supabase;
CREATE USER MAPPING FOR $role SERVER supabase OPTIONS ($options);
SQL
	$target->psql(
		'postgres', "SET ROLE $role; SELECT FROM ftm_plan('supabase')",
		stderr       => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	my ($state) = $stderr =~ /ERROR: +([0-9A-Z]{5}): /;
	return ($state // '', $stderr, slurp_file($source->logfile, $offset));
}

my ($state, $message, $log);

# A superuser connects with whatever works
($state, $message, $log) = plan_as('postgres', "user 'trusted'");
like($log, qr/connection authorized: user=trusted/,
	'superuser without a password');
($state, $message, $log) = plan_as('postgres', "user 'reader'");
like($log, qr/identity="reader" method=scram-sha-256/,
	'superuser with the password of the environment');

# Others with the password of their mapping
($state, $message, $log) =
  plan_as('plain', "user 'reader', password 'Zw9xK3'");
like($log, qr/identity="reader" method=scram-sha-256/,
	'role with the password of its mapping');
($state, $message, $log) = plan_as('plain', "user 'reader'");
is($state, '2F003', 'role without a password');
is($log, '', 'is refused before it connects');
($state, $message, $log) = plan_as('plain', "user 'reader', password ''");
is($state, '2F003', 'role with an empty password');
is($log, '', 'is refused before it connects');

# A password that the source does not ask for proves nothing
($state, $message) = plan_as('plain', "user 'trusted', password 'any'");
is($state, '2F003', 'role that the source trusts');
like($message, qr/does not request a password/, 'is told why');

# unless a superuser says that none is needed
($state, $message, $log) =
  plan_as('plain', "user 'trusted', password_required 'false'");
isnt($state, '2F003', 'role that needs no password');
like($log, qr/connection authorized: user=trusted/, 'connects');

# A wrong password
my $offset = -s $target->logfile;
($state, $message) = plan_as('plain', "user 'reader', password 'Yq8vJ2'");
is($state, '28P01', 'wrong password');
like($message, qr/HINT: .*ALTER USER MAPPING/, 'hint names the remedy');
unlike($message . slurp_file($target->logfile, $offset),
	qr/Yq8vJ2/, 'password is not shown');

$target->stop;
$source->stop;
done_testing();
