# What docs/install.md says about installation, done in a clean Debian: build the
# package, install it, migrate, remove it; build from source; and the steps of
# Dockerfile and compose.yaml, which need a clean Debian with PostgreSQL, too.
#
# FTM_DEBIAN='trixie 17' does the same on another Debian for another PostgreSQL.

use strict;
use warnings;

use CleanDebian;
use Dockerfile;
use IO::Socket::INET;
use JSON::PP;
use RowCompare;
use Test::More;

my ($suite, $major) = split ' ', $ENV{FTM_DEBIAN} || 'bookworm 15';

my $work = CleanDebian::isolate();
if (my $obstacle = CleanDebian::obstacle($suite))
{
	diag "NEITHER PACKAGE NOR DOCKERFILE WERE TESTED: $obstacle";
	plan skip_all => $obstacle;
}

sub slurp
{
	my ($path) = @_;

	open my $file, '<', $path or die "$path: $!";
	local $/ = undef;
	return scalar <$file>;
}

# Commands of docs/install.md, by its headings; sudo is not needed.
my %section = ('', split /^## (.*)\n/m, slurp('docs/install.md'));

sub commands
{
	my ($heading, $language) = @_;
	my $commands = join "\n", $section{$heading} =~ /^```$language\n(.*?)^```/msg;

	$commands =~ s/^sudo //mg;
	$commands =~ s/\b15\b/$major/g;
	isnt($commands, '', "docs/install.md has commands in $language under '$heading'");
	return $commands;
}

# Runs a script; its output is shown if it fails.
sub succeeds
{
	my ($debian, $name, @script) = @_;
	my ($ok, $output) = $debian->sh(@script);

	ok($ok, $name) or diag $output;
	return $output;
}

# What a script says.
sub output
{
	my ($debian, @script) = @_;

	return ($debian->sh(@script))[1];
}

my $clean = CleanDebian->new("$work/clean", $suite);
my $build = $clean->copy("$work/build");

# The first stage of the Dockerfile builds the package.
my %image = (PG_MAJOR => $major);
my @stages =
  Dockerfile::stages(slurp('Dockerfile'), PG_MAJOR => $major, DEBIAN => $suite);
is_deeply(
	[ map { $_->{from} } @stages ],
	[ ("postgres:$major-$suite") x 2 ],
	'the Dockerfile has two stages');
my $ignore = slurp('.dockerignore');

sub run_stage
{
	my ($debian, $stage) = @_;
	my $folder = '/';

	foreach my $step (@{ $stage->{steps} })
	{
		my ($instruction, $arguments) = @$step;

		if ($instruction eq 'RUN')
		{
			succeeds($debian, "RUN $arguments", "cd $folder; $arguments", %image);
			next;
		}
		if ($instruction eq 'WORKDIR')
		{
			$folder = $arguments;
			$debian->sh("mkdir -p $folder");
			next;
		}

		# COPY: a folder is copied with what is in it
		my ($options, $from, $to) = $arguments =~ /^(--from=package )?(\S+) (\S+)$/
		  or die "COPY $arguments\n";
		my @from =
			$options     ? $build->path($from)
		  : $from eq '.' ? grep { !Dockerfile::ignored($ignore, $_) } glob '* .[!.]*'
		  :                $from;
		$to = $folder . ($to =~ s/^\.//r) if $to !~ m{^/};
		$to =~ s{/?$}{/} if $from eq '.';
		$debian->sh("mkdir -p " . ($to =~ s{[^/]*$}{}r));
		@from = map { "$_." } @from if $from =~ m{/$};
		is(system('cp', '-r', @from, $debian->path($to)), 0, "COPY $arguments");
	}
	return;
}

run_stage($build, $stages[0]);
my ($package) = map { s{.*/}{}r } glob $build->path("/src/dist/postgresql-$major-ftmigrate_*.deb");
ok($package, 'there is a package') or BAIL_OUT('nothing to install');
my ($version) = slurp('ftmigrate.control') =~ /^default_version = '(.*)'/m;
like($package, qr/_\Q$version\E_/, 'its version is the extension\'s');

# In the background: an ordinary user builds it once more, from the whole
# checkout, and somebody builds from source.
succeeds($build, 'an ordinary user', 'useradd -m dba');
my $checkout = $build->path('/home/dba/ftmigrate');
my $of_tests = join ' ', map { "--exclude=./$_" } qw(build log output_iso results tmp_check tmp_install);
is(system("mkdir $checkout && tar -c --exclude-vcs --exclude-vcs-ignores $of_tests . | tar -x -C $checkout"),
	0, 'and a checkout');
my ($build_command, $install_command) = split /\n/, commands('Debian package', 'sh');
my $source_command = commands('From source', 'sh');
my $rebuild = $build->start_sh(<<SH, MAKEFLAGS => '-j2');
chown -R dba: /home/dba
su dba -c 'cd ~/ftmigrate && $build_command'
cd /home/dba/ftmigrate
PATH=/usr/lib/postgresql/$major/bin:\$PATH
$source_command
SH

# Installed, with what it depends on.
mkdir $clean->path('/root/dist') or die $!;
is(system('cp', $build->path("/src/dist/$package"), $clean->path('/root/dist')),
	0, 'the package goes to a clean Debian');
succeeds($clean, $install_command, "apt-get update; cd; $install_command");
is(output($clean, "dpkg-query -W -f '\${Package}\\n' | grep -E -e '-dev\$' -e clang || true"),
	'', 'no development package comes along');
my $files = output($clean, "dpkg -L postgresql-$major-ftmigrate");
like($files, qr{/usr/lib/postgresql/$major/lib/ftmigrate\.so$}m, 'files are installed');

# A migration between two servers.
package Node;

sub new
{
	my ($class, $debian, %params) = @_;
	return bless { debian => $debian, %params }, $class;
}

# As PostgreSQL::Test::Cluster's safe_psql(), with the statements in a file.
sub sql
{
	my ($self, $sql, %params) = @_;
	my $options = join ' ', map { "'$_'" } @{ $params{extra_params} || [] };

	$self->{debian}->write('/tmp/statements.sql', $sql);
	my ($ok, $output) = $self->psql("-At $options -f /tmp/statements.sql");
	die "$sql\n$output" if !$ok;
	chomp $output;
	return $output;
}

sub psql
{
	my ($self, $options) = @_;

	return $self->{debian}->sh(
		"su postgres -c \"psql -Xq -v ON_ERROR_STOP=1 $options\"",
		PGHOST     => $self->{socket},
		PGUSER     => $self->{user},
		PGDATABASE => $self->{database} || 'postgres',
		PGOPTIONS  => '-c search_path=pg_catalog,ftm -c client_min_messages=error');
}

package main;

my $bindir = "/usr/lib/postgresql/$major/bin";
my $source_folder = '/var/lib/postgresql/source';
is(system('cp', '-r', 'test/fixtures', $clean->path('/tmp/fixtures')), 0, 'the fixture');
succeeds($clean, 'a source is started', <<SH);
install -d -o postgres $source_folder
su postgres -c '$bindir/initdb -D $source_folder/data -U supabase_admin -A trust -N'
su postgres -c '$bindir/pg_ctl start -w -D $source_folder/data -l $source_folder/log -o "-k $source_folder -c listen_addresses= -c fsync=off"'
SH
succeeds($clean, 'the cluster that came with the server is started', <<SH);
pg_conftool $major main set listen_addresses ''
pg_ctlcluster $major main start
SH
my $source = Node->new($clean, socket => $source_folder, user => 'supabase_admin');
my $target = Node->new($clean, socket => '/var/run/postgresql', user => 'postgres');
my $create = commands('In the database', 'sql');
$source->psql('-v users=25 -v readings=500 -f /tmp/fixtures/source.sql');
$target->psql('-f /tmp/fixtures/target.sql');
is($target->sql($create), '', 'CREATE EXTENSION');
$target->psql('-v users=25 -f /tmp/fixtures/user_map.sql');
$target->sql(<<SQL);
CREATE SERVER supabase FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host '$source_folder', dbname 'postgres');
CREATE USER MAPPING FOR CURRENT_USER SERVER supabase
	OPTIONS (user 'postgres', password 'not asked for');
SELECT FROM ftm_scan_user_ids();
SELECT FROM ftm_accept_user_columns();
SQL
my $counts = row_counts($source);
is( $target->sql(q(SELECT count(*), sum(rows) FROM ftm_run_migration(users => false) WHERE status = 'verified')),
	join('|', scalar keys %$counts, eval { my $sum = 0; $sum += $_ foreach values %$counts; $sum }),
	'all tables are migrated and verified');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');

# Removed: the server stays, of the package nothing does.
succeeds($clean, 'servers are stopped', <<SH);
su postgres -c '$bindir/pg_ctl stop -w -D $source_folder/data'
pg_ctlcluster $major main stop
rm -rf /root/dist /tmp/fixtures /tmp/statements.sql
SH
succeeds($clean, 'the package is removed', "apt-get purge postgresql-$major-ftmigrate");
is(output($clean, 'find / -xdev -name "*ftmigrate*"'), '', 'nothing of it remains');
is(output($clean, "dpkg-query -W '*ftmigrate*' 2>/dev/null || true"), '', 'dpkg does not know it');
is(join(' ', grep { -f $clean->path($_) } split /\n/, $files), '', 'all its files are gone');
is(output($clean, 'dpkg --audit; dpkg --verify'), '', 'nothing else is missing');

# What was begun in the background.
my ($ok, $output) = $rebuild->();
ok($ok, 'an ordinary user builds the package, and from source') or diag $output;
my $contents = 'dpkg-deb -I dist/postgresql-*-ftmigrate_*.deb md5sums';
like(output($build, "cd /src; $contents"), qr{^[0-9a-f]{32}  .*/ftmigrate\.so$}m,
	'the digests of the files that are in the package');
is(output($build, "cd /home/dba/ftmigrate; $contents"),
	output($build, "cd /src; $contents"),
	'are the same in both builds');
ok(-e $build->path("$bindir/../lib/ftmigrate.so"), 'installed from source');

# The second stage of the Dockerfile, which begins with PostgreSQL alone.
run_stage($clean, $stages[1]);

# compose.yaml, and what the official image would do for it.
my $compose = eval { decode_json(
	`python3 -c 'import json, sys, yaml; json.dump(yaml.safe_load(open("compose.yaml")), sys.stdout)'`) };
is($@, '', 'compose.yaml can be read');
my $service  = $compose->{services}{target};
my $settings = $service->{environment};
is_deeply(
	[ sort keys %{ $compose->{secrets} } ],
	[ sort @{ $service->{secrets} } ],
	'secrets are defined');
is($settings->{POSTGRES_PASSWORD_FILE}, "/run/secrets/$service->{secrets}[0]",
	'and the password is one of them');
is($compose->{secrets}{ $service->{secrets}[0] }{file} =~ s{^\./}{}r, 'postgres_password',
	'from the file that docs/install.md has made');
ok(Dockerfile::ignored($ignore, 'postgres_password'), 'which stays out of the image');
is_deeply([ map { /^(\w+):/ ? $1 : () } @{ $service->{volumes} } ],
	[ keys %{ $compose->{volumes} } ], 'volumes are defined');
my %arguments = %{ $service->{build}{args} };
is_deeply(
	[ map { $_->{from} } Dockerfile::stages(slurp('Dockerfile')) ],
	[ map { $_->{from} } Dockerfile::stages(slurp('Dockerfile'), %arguments) ],
	'it builds what the Dockerfile builds by default');

my ($server, @options) = @{ $service->{command} };
my ($kind, @healthcheck) = @{ $service->{healthcheck}{test} };
is("$server $kind", 'postgres CMD', 'it starts a server; the health check needs no shell');

# The image initializes a cluster with a server that has Unix sockets only, and
# starts another one then.
my $database = $settings->{POSTGRES_DB};
my $data     = '/var/lib/postgresql/docker';
my $port     = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1')->sockport;
my $start    = "su postgres -c \"$bindir/pg_ctl start -w -D $data -l $data.log -o '-p $port -k /tmp @options";
my $healthy  = "PGPORT=$port @healthcheck";

succeeds($clean, 'a cluster is initialized', <<SH);
su postgres -c '$bindir/initdb -D $data -A trust -N'
$start -c listen_addresses='"
su postgres -c 'createdb -h /tmp -p $port $database'
for file in /docker-entrypoint-initdb.d/*; do
	su postgres -c "psql -v ON_ERROR_STOP=1 -h /tmp -p $port -d $database -f \$file"
done
SH
ok(!($clean->sh($healthy))[0], 'which is not healthy yet');
succeeds($clean, 'the server is started', <<SH);
su postgres -c '$bindir/pg_ctl stop -w -D $data'
$start -c listen_addresses=127.0.0.1'"
SH
succeeds($clean, 'it is healthy', $healthy);
is( output($clean, <<SH), "ftm|t\n", 'the extension is in its schema, and that in the search_path');
psql -XAt -h /tmp -p $port -U postgres -d $database \\
	-c "SELECT extnamespace::regnamespace, count(ftm_user_map) = 0
		FROM pg_extension LEFT JOIN ftm_user_map ON true
		WHERE extname = 'ftmigrate' GROUP BY 1"
SH
succeeds($clean, 'it stops', "su postgres -c '$bindir/pg_ctl stop -w -D $data'");

# Where there is a container engine, it says the same.
SKIP:
{
	skip 'no container engine at hand', 4 if system('docker info >/dev/null 2>&1') != 0;

	my $name = 'ftmigrate-test-' . lc($work =~ s/\W//gr);
	my $said = `docker build -t $name --build-arg PG_MAJOR=$major --build-arg DEBIAN=$suite . 2>&1`;
	is($?, 0, 'docker build') or diag $said;
	$said = `docker run -d --name $name -e POSTGRES_DB=$database -e POSTGRES_PASSWORD=secret $name @{ $service->{command} } 2>&1`;
	is($?, 0, 'docker run') or diag $said;
	for (1 .. 60)
	{
		last if system("docker exec $name @healthcheck") == 0;
		sleep 1;
	}
	is(system("docker exec $name @healthcheck"), 0, 'it is healthy');
	is( `docker exec $name psql -XAt -U postgres -d $database -c "SELECT extnamespace::regnamespace FROM pg_extension WHERE extname = 'ftmigrate'" 2>&1`,
		"ftm\n", 'the extension is there');
	system("(docker rm -fv $name; docker rmi $name) >/dev/null 2>&1");
}

done_testing();
