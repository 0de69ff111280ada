
=pod

=head1 NAME

FtmigrateTest - a source, a target, and what tests do to them

=head1 SYNOPSIS

  use FtmigrateTest;

  # A database as Supabase has it, and an empty one with the same tables
  my $source = start_source(users => 5, readings => 100);
  my $target = start_target($source);
  fill_user_map($source, $target);
  decide_user_columns($target);

  # SQL and its result as text; dies on errors
  my $rows = $target->sql('SELECT * FROM ftm_run_migration(users => false)');

  # SQL that fails
  my ($state, $message) = $target->sql_error('SELECT ftm_verify()');

  # SQL in the background
  my $call = $target->start_sql('SELECT ftm_run_migration(users => false)');
  kill 'KILL', $target->wait_for_pid("backend_type LIKE 'ftmigrate%'");
  my ($exit_code, $stdout, $stderr) = $call->finish;

=head1 DESCRIPTION

Servers are PostgreSQL::Test::Cluster nodes whose connections come as the
superuser of that kind of server: supabase_admin on a source, postgres on a
target.  Those two connect over a Unix socket and are trusted; a target reaches
its source over TCP on 127.0.0.1 with a password, as in real life.

=cut

package FtmigrateTest;

use strict;
use warnings;

use Exporter 'import';
use File::Basename;
use File::Spec;
use NodeTemplate;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  decide_user_columns
  fill_user_map
  fixture
  start_node
  start_source
  start_target
);

my $fixtures = File::Spec->rel2abs(dirname(__FILE__) . '/../fixtures');

# Who reads the source: not a superuser, as on Supabase.  The password needs
# quoting in SQL, in a connection string and in a URI.
our $source_role     = 'postgres';
our $source_password = q(pass'word "1" \2 %3 @4 /5);

=pod

=head1 FUNCTIONS

=over

=item fixture(NAME)

Path of a file in test/fixtures.

=cut

sub fixture
{
	my ($name) = @_;
	return "$fixtures/$name";
}

=pod

=item start_node(NAME, superuser => ROLE, conf => TEXT, bindir => PATH)

A running server without anything in it.  conf goes to postgresql.conf; apart
from that and from what test/server.conf says it has the defaults of
PostgreSQL, wal_level included.  bindir has the programs of another PostgreSQL.

=cut

sub start_node
{
	my ($name, %params) = @_;
	return start_prepared($name, %params);
}

# A running server, a copy of one that was prepared once for all test files that
# ask for the same: that is far less work than to do it again.  If there is
# contents, a text that tells it from others, it is what prepare->(NODE) makes of
# a server that is empty; conf is not in force then, only afterwards.
sub start_prepared
{
	my ($name, %params) = @_;
	my $superuser = $params{superuser} || 'postgres';
	my @kind      = ($superuser, $params{bindir} // ());
	my $new       = sub {
		my ($node_name) = @_;
		my $node = FtmigrateTest::Node->new($node_name,
			$params{bindir} ? (install_path => dirname($params{bindir})) : ());
		$node->{_superuser} = $superuser;
		return $node;
	};

	my $template = NodeTemplate::folder(
		[@kind],
		sub {
			my $node = $new->("empty_$name");
			$node->init_empty;
			return $node->data_dir;
		});
	if ($params{contents})
	{
		my $empty = $template;
		$template = NodeTemplate::folder(
			[ @kind, $params{contents} ],
			sub {
				my $node = $new->("template_$name");
				$node->init_copy($empty);
				$node->start;
				$params{prepare}->($node);
				$node->stop;
				return $node->data_dir;
			});
	}

	my $node = $new->($name);
	$node->init_copy($template);
	$node->append_conf('postgresql.conf', $params{conf}) if $params{conf};
	$node->start;
	return $node;
}

=pod

=item start_source(users => 5, readings => 100, name => 'source', conf => TEXT,
bindir => PATH)

A server that holds the Supabase-shaped source, of the given size.

=cut

sub start_source
{
	my (%params) = @_;
	my $users    = $params{users}    // 5;
	my $readings = $params{readings} // 100;

	my $node = start_prepared(
		$params{name} || 'source',
		superuser => 'supabase_admin',
		bindir    => $params{bindir},
		conf      => $params{conf},
		contents  => "source of $users users and $readings readings",
		prepare   => sub {
			$_[0]->load(
				'source.sql',
				users        => $users,
				readings     => $readings,
				app_role     => $source_role,
				app_password => $source_password);
		});
	$node->{_users} = $users;
	return $node;
}

=pod

=item start_target(SOURCE, name => 'target', schema => 'public', conf => TEXT)

A server that holds the application's empty tables, the extension, in the given
schema, and the connection to SOURCE under its default name, supabase, for the
superuser.  The extension's schema is in the search_path.  Without a SOURCE
there is no connection.  If that is of another version, the tables do without
what it lacks.

=cut

sub start_target
{
	my ($source, %params) = @_;
	my $schema = $params{schema} || 'public';
	my $version =
	  $source && defined $source->install_path ? $source->sql('SHOW server_version_num') : undef;

	my $node = start_prepared(
		$params{name} || 'target',
		conf     => $params{conf},
		contents => "target with the extension in $schema" . ($version ? " for $version" : ''),
		prepare  => sub {
			$_[0]->load('target.sql', $version ? (source_version => $version) : ());
			$_[0]->sql(<<SQL);
CREATE SCHEMA IF NOT EXISTS $schema;
CREATE EXTENSION ftmigrate SCHEMA $schema;
ALTER DATABASE postgres SET search_path = public, $schema;
SQL
		});
	$node->connect_source($source) if $source;
	return $node;
}

=pod

=item fill_user_map(SOURCE, TARGET)

Gives every user of SOURCE a new id in TARGET's ftm_user_map: the one that
test/fixtures/user_map.sql says.  Columns that hold user ids without a foreign
key are another matter: $target->load('user_columns.sql'), decide_user_columns().

=cut

sub fill_user_map
{
	my ($source, $target) = @_;

	$target->load('user_map.sql', users => $source->{_users});
	return;
}

=pod

=item decide_user_columns(TARGET, SCHEMA, ...)

Has TARGET look for user ids in all columns of its source, in these schemas or
in those of the fixture, and decides about those that are not yet decided as
the scan suggests.

=cut

sub decide_user_columns
{
	my ($target, @schemas) = @_;
	my $schemas = join ', ',
	  map { $target->literal($_) } @schemas ? @schemas : ('public', 'odd', 'Odd Schema');

	$target->sql(<<SQL);
SELECT FROM ftm_scan_user_ids(schemas => ARRAY[$schemas]);
SELECT FROM ftm_accept_user_columns();
SQL
	return;
}

=pod

=back

=head1 METHODS OF A NODE

In addition to those of PostgreSQL::Test::Cluster; all use the database
postgres.

=over

=cut

package FtmigrateTest::Node;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes;

use parent -norequire, 'PostgreSQL::Test::Cluster';

# Every connection of PostgreSQL::Test::Cluster is made from this.
sub connstr
{
	my ($self, @params) = @_;
	my $superuser = $self->{_superuser} // 'postgres';

	return $self->SUPER::connstr(@params) . " user=$superuser";
}

# Makes the files of a server that nothing is in: all that start_node() says.
sub init_empty
{
	my ($self) = @_;

	$self->init(extra => [ '-U', $self->{_superuser} ]);
	$self->append_conf('postgresql.conf', <<CONF);
listen_addresses = '127.0.0.1'
wal_level = replica
CONF

	unlink $self->data_dir . '/pg_hba.conf';
	$self->append_conf('pg_hba.conf', <<HBA);
local all all trust
host all all 127.0.0.1/32 scram-sha-256
HBA
	return;
}

# Makes them by copying those of another one, which is not running.
sub init_copy
{
	my ($self, $folder) = @_;
	my $port = $self->port;
	my $host = $self->host;

	mkdir $self->backup_dir;
	mkdir $self->archive_dir;
	PostgreSQL::Test::Utils::system_or_bail('cp', '-a', $folder, $self->data_dir);
	$self->append_conf('postgresql.conf', <<CONF);
port = $port
unix_socket_directories = '$host'
CONF
	return;
}

=pod

=item $node->sql(SQL)

Runs statements, dies if one fails, returns what psql prints, unaligned.

=cut

sub sql
{
	my ($self, $sql, %params) = @_;
	return $self->safe_psql('postgres', $sql, %params);
}

=pod

=item $node->ask(SQL)

The same in a session that stays, for what is asked again and again.  Settings
and transactions stay, too; an error ends it.

=cut

sub ask
{
	my ($self, $sql) = @_;
	my $session = ($self->{session} //= PsqlSession->new($self));
	my $answer  = $session->query($sql);

	if (!defined $answer)
	{
		delete $self->{session};
		die "$sql\n" . $session->last_words;
	}
	return $answer;
}

=pod

=item $node->sql_error(SQL)

Runs statements of which one must fail; returns its SQLSTATE and everything
psql printed to stderr (message, detail, hint).

=cut

sub sql_error
{
	my ($self, $sql, %params) = @_;
	my $stderr = '';

	my $exit_code = $self->psql(
		'postgres', $sql, %params,
		stderr       => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);
	die "statement did not fail: $sql\n" if $exit_code != 3;
	$stderr =~ /(?:ERROR|FATAL): +([0-9A-Z]{5}): /
	  or die "no SQLSTATE in: $stderr\n";
	return ($1, $stderr);
}

=pod

=item $node->load(FILE, NAME => VALUE, ...)

Runs a file of test/fixtures with psql variables set.

=cut

sub load
{
	my ($self, $file, %variables) = @_;
	my @set = map { ('-v', "$_=$variables{$_}") } sort keys %variables;

	local %ENV = $self->_get_env();
	PostgreSQL::Test::Utils::system_or_bail(
		$self->installed_command('psql'),
		'-Xq', '-o', File::Spec->devnull,
		'-v', 'ON_ERROR_STOP=1',
		'-d', $self->connstr('postgres'),
		@set, '-f', FtmigrateTest::fixture($file));
	return;
}

=pod

=item $node->literal(TEXT)

TEXT as an SQL string.

=cut

sub literal
{
	my ($self, $text) = @_;
	my $escape = $text =~ /\\/ ? 'E' : '';

	$text =~ s/(['\\])/$1$1/g;
	return "$escape'$text'";
}

=pod

=item $node->uri()

How a target reaches this server if it is a source: over TCP, as the role that
reads it, with its password.

=cut

sub uri
{
	my ($self) = @_;
	my $password = $FtmigrateTest::source_password;

	$password =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ge;
	return "postgresql://$FtmigrateTest::source_role:$password\@127.0.0.1:"
	  . $self->port
	  . '/postgres';
}

=pod

=item $node->connect_source(SOURCE, name => 'supabase', for => 'CURRENT_USER')

Creates the foreign server and the user mapping that lead to SOURCE.

=cut

sub connect_source
{
	my ($self, $source, %params) = @_;
	my $name     = $params{name} || 'supabase';
	my $for      = $params{for}  || 'CURRENT_USER';
	my $port     = $source->port;
	my $password = $self->literal($FtmigrateTest::source_password);

	$self->sql(<<SQL);
CREATE SERVER $name FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host '127.0.0.1', port '$port', dbname 'postgres');
CREATE USER MAPPING FOR $for SERVER $name
	OPTIONS (user '$FtmigrateTest::source_role', password $password);
SQL
	return;
}

=pod

=item $node->connect_auth_server(STACK, name => 'stack_auth', key => KEY)

Creates the foreign server and the user mapping that lead to STACK, a
StackAuthStandIn.  The settings of the database make lost requests settle and
waits end soon.

=cut

sub connect_auth_server
{
	my ($self, $stack, %params) = @_;
	my $name    = $params{name}    || 'stack_auth';
	my $project = $params{project} || $stack->TARGET_PROJECT;
	my $key     = $params{key}     || $stack->TARGET_KEY;
	my $url     = $stack->url;

	$self->sql(<<SQL);
CREATE SERVER $name FOREIGN DATA WRAPPER ftm_stack_auth
	OPTIONS (api_url '$url', project_id '$project');
CREATE USER MAPPING FOR CURRENT_USER SERVER $name
	OPTIONS (secret_server_key '$key');
LOAD 'ftmigrate';
ALTER DATABASE postgres SET ftmigrate.auth_settle_time = '1s';
ALTER DATABASE postgres SET ftmigrate.auth_max_delay = '50ms';
SQL
	return;
}

=pod

=item $node->start_sql(SQL)

Starts psql with these statements and returns at once.  The result's method
finish() waits and returns psql's exit code, stdout and stderr; kill_kill()
ends psql.

=cut

sub start_sql
{
	my ($self, $sql) = @_;
	my $call = bless { stdout => '', stderr => '' }, 'FtmigrateTest::Call';

	local %ENV = $self->_get_env();
	$call->{run} = IPC::Run::start(
		[
			$self->installed_command('psql'),
			'-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose',
			'-d', $self->connstr('postgres'), '-c', $sql
		],
		'<', \undef, '>', \$call->{stdout}, '2>', \$call->{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return $call;
}

=pod

=item $node->wait_for(QUERY)

Waits until QUERY returns true; dies if it does not in time.

=cut

sub wait_for
{
	my ($self, $query) = @_;

	$self->wait_for_answer($query, sub { $_[0] eq 't' });
	return;
}

# Asks until is_it->(ANSWER), and returns that answer.  A server that is down may
# come back.
sub wait_for_answer
{
	my ($self, $query, $is_it) = @_;
	my $give_up = Time::HiRes::time() + $PostgreSQL::Test::Utils::timeout_default;
	my $pause   = 5_000;
	my $session;

	while (Time::HiRes::time() < $give_up)
	{
		$session //= PsqlSession->new($self);
		my $answer = $session->query($query);

		return $answer if defined $answer && $is_it->($answer);
		if (!defined $answer)
		{
			note $session->last_words;
			$session = undef;
		}
		Time::HiRes::usleep($pause);
		$pause = 50_000 if ($pause *= 1.2) > 50_000;
	}
	die "timed out waiting for: $query\n";
}

=pod

=item $node->wait_for_pid(CONDITION)

Waits for a process of which the CONDITION on pg_stat_activity is true, and
returns its process id.

=cut

sub wait_for_pid
{
	my ($self, $condition) = @_;

	return $self->wait_for_answer(<<SQL, sub { $_[0] ne '' });
SELECT pid FROM pg_stat_activity
WHERE ($condition) AND pid <> pg_backend_pid() LIMIT 1
SQL
}

=pod

=back

=cut

package FtmigrateTest::Call;

use strict;
use warnings;

sub finish
{
	my ($self) = @_;

	$self->{run}->finish;
	return ($self->{run}->result(0), $self->{stdout}, $self->{stderr});
}

sub kill_kill
{
	my ($self) = @_;

	$self->{run}->kill_kill;
	return;
}

1;
