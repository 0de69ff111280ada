
# docs/runbook.md: every block of it is run, in its order, against a
# source, a target and an auth service, and each step leaves behind what it is
# meant to.  A block without a place to run, or that is not run, is a failure.

use strict;
use warnings;

use FtmigrateTest;
use IPC::Run;
use PostgreSQL::Test::Utils;
use RowCompare;
use StackAuthStandIn;
use Test::More;

my $rehearsal_project = '33333333-3333-4333-8333-333333333333';
my $rehearsal_key     = 'ssk_ftmigrate_rehearsal_local_only';
my $stack             = StackAuthStandIn->start(
	config => {
		oauth_collision_seconds => 0,
		projects => { $rehearsal_project => { server_key => $rehearsal_key } }
	});
my $project = StackAuthStandIn::TARGET_PROJECT;
my $key     = StackAuthStandIn::TARGET_KEY;

my $source = start_source(users => 50, readings => 300);
my $target = start_node('target',
	conf => "shared_preload_libraries = 'pg_stat_statements'\n");
$target->load('target.sql');
$target->sql(<<'SQL');
CREATE EXTENSION pg_stat_statements;
CREATE MATERIALIZED VIEW public.readings_per_unit AS
	SELECT unit_id, count(*) AS readings FROM public.sensor_readings GROUP BY 1 WITH NO DATA;
SQL
my $copy;    # of the target before the cut-over, to be rolled back
my $home = PostgreSQL::Test::Utils::tempdir;

# What stands in the runbook, and what stands for it here.
my $source_port  = $source->port;
my %replacements = (
	'<database>' => 'postgres',
	# The source is on this machine, and without TLS.
	q(host 'db.<ref>.supabase.co', port '5432') => "host '127.0.0.1', port '$source_port'",
	q(, sslmode 'verify-full', sslrootcert '<prod-ca.crt>') => '',
	'https://api.stack-auth.com' => $stack->url,
	'<rehearsal project id>' => $rehearsal_project,
	'<project id>' => $project,
	# These mailboxes need not be spared.
	q('<https://app.example.com/handler/password-reset>') => q('https://app.example.com/handler/password-reset', mails_per_hour => 1000000),
	'<alice@example.com>' => 'user4@example.com',
	# Once is enough.
	'\watch 1' => '\g');

# What is typed into the shell that asks.
my $typed = join "\n", $FtmigrateTest::source_password, $rehearsal_key, $key, '';

# ---------------------------------------------------------------------------
# The blocks
# ---------------------------------------------------------------------------

my $runbook = slurp_file(FtmigrateTest::fixture('../../docs/runbook.md'));

# A block is a hash: name ("3 Rehearsal, block 2"), language, text.
my @blocks;
my $number;
my $section = '';
while ($runbook =~ /^(?:## ([^\n]*)|( *)```(\w*)\n(.*?)^\2```)$/msg)
{
	my ($heading, $indent, $language, $text) = ($1, $2, $3, $4);

	if (defined $heading)
	{
		($section, $number) = ($heading, 0);
		next;
	}
	$text =~ s/^$indent//mg;
	push @blocks,
	  {
		name     => $section . ', block ' . ++$number,
		language => $language,
		text     => $text
	  };
}
is(scalar(@blocks) * 2, scalar(() = $runbook =~ /^\s*```/mg), 'every fence of the runbook belongs to a block');

# Runs a program; returns its exit code, what it printed, and its messages.
sub run_program
{
	my ($command, $stdin, %env) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (%ENV, HOME => $home, %env);
	IPC::Run::run($command, '<', \$stdin, '>', \$out, '2>', \$err,
		IPC::Run::timeout(2 * $PostgreSQL::Test::Utils::timeout_default));
	return ($? >> 8, $out, $err);
}

# Where and how a block is run, by its first line.
sub run_block
{
	my ($block) = @_;
	my $on   = $block->{name} =~ /Roll back/ ? $copy : $target;
	my $text = $block->{text};
	my $bin  = $target->config_data('--bindir');

	foreach my $placeholder (sort { length $b <=> length $a } keys %replacements)
	{
		$text =~ s/\Q$placeholder\E/$replacements{$placeholder}/g;
	}
	my @psql = ("$bin/psql", '-XAtq', '-v', 'ON_ERROR_STOP=1', '-f', '-', '-d');
	my ($place) = $text =~ /^(?:--|#) (.*)\n/;
	my $how = "$block->{language} $place";

	return run_program([ @psql, $on->connstr('postgres') ], $text)
	  if $how eq 'sql on the target';
	return run_program([ @psql, $source->uri ], $text)
	  if $how eq 'sql on Supabase';
	return run_program([ 'bash', '-euc', $text ], $text =~ /\bread / ? $typed : '',
		PATH => "$bin:$ENV{PATH}", PGHOST => $on->host, PGPORT => $on->port, PGUSER => 'postgres')
	  if $how eq 'sh in a shell';
	die "no place to run: $how";
}

# ---------------------------------------------------------------------------
# What happens between the blocks, and what each must have led to
# ---------------------------------------------------------------------------

sub users_of
{
	my ($project) = @_;
	return scalar grep { $_->{project_id} eq $project }
	  @{ $stack->test_call('GET', 'users')->{users} };
}

# Tables of the application that hold rows.
sub filled_tables
{
	my ($node) = @_;
	return join ',', grep { $node->sql("SELECT EXISTS (SELECT FROM $_)") eq 't' }
	  sort keys %{ row_counts($source) };
}

# Is a write to the source refused, by whoever makes it?
sub source_is_frozen
{
	my ($refused, $tried) = (0, 0);
	foreach my $role ('supabase_admin', 'postgres', 'service_role')
	{
		foreach my $write ('UPDATE public.sites SET name = name',
			'TRUNCATE public.pairing_sessions',
			'DELETE FROM public.sensor_readings WHERE false')
		{
			my $err = '';
			$source->psql('postgres', "SET ROLE $role; BEGIN READ WRITE; $write; ROLLBACK",
				stderr => \$err, extra_params => [ '-v', 'VERBOSITY=verbose' ]);
			$tried++;
			$refused++ if $err =~ /25006|42501/;
		}
	}
	return $refused == $tried;
}

my $run_id;
my %before = (
	'3 Rehearsal, block 4' => sub {
		is(users_of($rehearsal_project), 50, 'the rehearsal has created the users in its project');
		is_deeply([ compare_rows($source, $target) ], [], 'and has moved the rows');
		$target->sql(q(UPDATE public.sites SET name = 'tried ' || id));
	},
	'5 Freeze, block 1' => sub {
		ok(!source_is_frozen(), 'the source takes writes');
	},
	'8 Verify, block 2' => sub {
		my $email = $source->sql(<<'SQL');
SELECT min(email) FROM auth.users WHERE encrypted_password LIKE '$2a$10%'
	AND email_confirmed_at IS NOT NULL AND banned_until IS NULL
SQL
		append_to_file("$home/ftmigrate/accounts.txt", "$email\tcorrect horse battery staple\n");
	},
	'10 Cut-over, block 1' => sub {
		$run_id = $target->sql('SELECT max(run_id) FROM ftm_run');
		$target->stop;
		$target->backup_fs_cold('before_cut_over');
		$target->start;
		$copy = FtmigrateTest::Node->new('copy');
		$copy->init_from_backup($target, 'before_cut_over');
		$copy->start;
	},
	'12 Reconciliation, block 1' => sub {
		ok(source_is_frozen(), 'the source is still frozen');
		$target->sql(<<'SQL');
UPDATE public.sites SET name = 'after' WHERE id = (SELECT min(id::text)::uuid FROM public.sites);
SQL
	},
	'15 After 90 days, block 1' => sub {
		my ($state) = $target->sql_error('SELECT ftm_purge_user_map()');
		is($state, '55000', 'the map cannot be purged earlier');
		$target->sql(q(UPDATE ftm_user_map SET retain_until = retain_until - interval '91 days'));
	});

# What is printed, as a regular expression; and more.
my $nothing = qr/^$/;
my %after   = (
	'1 Prerequisites, block 1' => qr/^15\|t\|\d+\|replica$/,
	'1 Prerequisites, block 3' => sub {
		is(slurp_file("$home/ftmigrate/supabase.password"), $FtmigrateTest::source_password, 'the password is in its file');
		is(sprintf('%o', (stat "$home/ftmigrate/supabase.password")[2] & 0777), '600', 'which nobody else can read');
	},
	'1 Prerequisites, block 4' => sub {
		unlike(slurp_file($target->logfile), qr/pass'word|pass''word|local_only/, 'no secret is in the log');
	},
	'2 Preflight, block 1' => qr/^public\.event_logs\|event_data\|jsonb\|\d+\|\d+\|embedded$/m,
	'2 Preflight, block 2' => qr/^event_logs\|event_data\|embedded$/m,
	'2 Preflight, block 3' => qr/\A(?:(?!.*\|fail\|).*\n)*\z/,
	'2 Preflight, block 4' => qr/^public\.sensor_readings\|300\|/m,
	'3 Rehearsal, block 1' => qr/\A(?:.*\|verified\n){23}\z/,
	'3 Rehearsal, block 2' => qr/^1\|verified\|00:0\d:\d\d$/,
	'3 Rehearsal, block 3' => sub {
		like(slurp_file("$home/ftmigrate/rehearsal.html"), qr/<h1>Verified/, 'the report of the rehearsal');
	},
	'3 Rehearsal, block 4' => sub {
		is(filled_tables($target), '', 'the target is empty again');
		is(users_of($rehearsal_project), 0, 'and so is the project of the rehearsal');
		is($target->sql('SELECT count(*) FROM ftm_user_map'), '0', 'and the user map');
	},
	'3 Rehearsal, block 5' => qr/^pass\|/,
	'4 Notice to users, block 1' => qr/^users\|all\|50$/m,
	'4 Notice to users, block 2' => sub {
		my @lines = split /\n/, slurp_file("$home/ftmigrate/notice.csv");
		is(scalar(@lines) - 1,
			$source->sql('SELECT count(*) FROM auth.users WHERE email IS NOT NULL'),
			'everybody with an e-mail is written to');
		is(users_of($project), 0, 'and nobody is created yet');
	},
	'5 Freeze, block 1' => sub { ok(source_is_frozen(), 'the source is frozen'); },
	'5 Freeze, block 2' => qr/^0$/,
	'5 Freeze, block 3' => qr/^pass\|/,
	'6 Users, block 1'  => qr/\Ausers\|all\|50\n(?!.*fail)(?!.*: error)/s,
	'7 Run, block 1'    => qr/^run 2\|.*\|running$/,
	'7 Run, block 2'    => qr/\A(?:\|.*\n|public\..*\n)*\z/,
	'7 Run, block 3'    => qr/\A(?:.*\|(?:verified|kept)\n){23}\z/,
	'8 Verify, block 1' => sub {
		my ($out) = @_;
		is($out, '', 'nothing differs');
		is_deeply([ compare_rows($source, $target) ], [], 'by plain SQL, too');
		is(users_of($project), 50, 'the users are in the project');
		is($target->sql(q(SELECT count(*) FROM public.profiles p JOIN ftm_user_map m ON m.target_user_id = p.user_id)),
			$source->sql('SELECT count(*) FROM public.profiles'), 'and profiles are theirs');
	},
	'8 Verify, block 2' => sub {
		my ($out, $err) = @_;
		is($out, '', 'no user differs');
		unlike($err, qr/WARNING/, 'and the account signs in');
		is($target->sql(q(SELECT to_regclass('ftm.accounts'))), '', 'the passwords are gone');
	},
	'9 Success criteria, block 1' => qr/^2\|verified\|0\|0\|0\|0$/,
	'10 Cut-over, block 1' => sub {
		is($target->sql('SELECT sum(readings) FROM public.readings_per_unit'), '300', 'the materialized view is filled');
	},
	'10 Cut-over, block 2' => sub {
		my ($out) = @_;
		my $off = $target->sql(q(SELECT tgrelid::regclass || '|' || tgname FROM pg_trigger WHERE tgenabled = 'D' AND NOT tgisinternal));
		is_deeply([ sort grep { $_ !~ /^odd|^"Odd/ } split /\n/, $out ], [ sort grep { $_ !~ /^odd|^"Odd/ } split /\n/, $off ],
			'keys are valid, and triggers that are off are listed');
	},
	'10 Cut-over, block 3' => sub {
		my $restored = `pg_restore -f - $home/ftmigrate/after-migration.dump`;
		like($restored, qr/COPY public\.sensor_readings/, 'the dump has the rows');
		unlike($restored, qr/local_only|USER MAPPING/, 'and no secret');
		like(scalar `pg_dump -s -d "@{[ $target->connstr('postgres') ]}"`, qr/USER MAPPING.*?\Q$key\E/s,
			'which a dump of the database does have');
		like(slurp_file("$home/ftmigrate/user-mapping.json"), qr/"supabaseUserId"/, 'a copy of the map');
		my $wrote = $target->sql(<<'SQL');
INSERT INTO public.sensor_readings (unit_id, temperature, recorded_at)
SELECT min(unit_id::text)::uuid, 4.2, now() FROM public.sensor_readings RETURNING temperature;
SQL
		is($wrote, '4.20', 'the application writes to the target');
	},
	'11 The first 48 hours, block 1' => sub { is($_[0], '', 'the database is in order'); },
	'11 The first 48 hours, block 2' => qr/^public\.sensor_readings\|\d+\|\d+\|\d+$|^sensor_readings\|\d+\|\d+\|\d+$/m,
	'11 The first 48 hours, block 3' => sub {
		my ($out) = @_;
		is($out + 0, scalar @{ $stack->test_call('GET', 'mails')->{mails} }, 'password resets are sent');
		is($out + 0, $target->sql('SELECT count(*) FROM ftm_user WHERE must_reset_password'), 'to those who need one');
	},
	'11 The first 48 hours, block 4' => sub {
		is((split /\|/, $_[0])[1], $target->sql(q(SELECT target_user_id FROM ftm_user_map WHERE email = 'user4@example.com')), 'a user is found');
	},
	'12 Reconciliation, block 1' => sub {
		like($_[0], qr/^public\.sensor_readings\|extra\|1$/m, 'a row that only the target has');
		like($_[0], qr/^public\.sites\|changed\|1$/m, 'a row that was changed there');
	},
	'12 Reconciliation, block 2' => sub {
		like(slurp_file("$home/ftmigrate/differences.csv"), qr/^public\.sites,.*,changed,name,.*,after$/m, 'the rows themselves');
	},
	'13 Roll back, block 1' => sub {
		is(filled_tables($copy), '', 'the target is empty');
		is(users_of($project), 0, 'the users are deleted from the project');
		is($copy->sql("SELECT status FROM ftm_run WHERE run_id = $run_id"), 'rolled back', 'the run says so');
	},
	'13 Roll back, block 2' => sub {
		ok(!source_is_frozen(), 'the source takes writes again');
		is($source->sql(q(SELECT count(*) FROM pg_trigger WHERE tgname = 'ftmigrate_frozen')), '0', 'nothing remains of the freeze');
	},
	'14 Passwords, block 1' => sub {
		is($_[0], '', 'no login is left');
		unlike(scalar `pg_dump -d "@{[ $target->connstr('postgres') ]}"`, qr/local_only|pass''word/, 'nor a secret in a dump');
	},
	'14 Passwords, block 2' => sub {
		is(join(' ', grep { /password|key|accounts/ } glob "$home/ftmigrate/*"), '', 'nor one in a file');
	},
	'15 After 90 days, block 1' => qr/^50\|.*\|t$/,
	'15 After 90 days, block 2' => sub {
		is($target->sql('SELECT count(*) FROM ftm_user_map'), '0', 'the map is gone');
	},
	'15 After 90 days, block 4' => sub {
		is($target->sql(q(SELECT count(*) FROM pg_extension WHERE extname = 'ftmigrate')), '0', 'nothing of ftmigrate is left');
		is($target->sql('SELECT count(*) FROM public.sensor_readings'), '301', 'but the rows');
	});

# ---------------------------------------------------------------------------
# The night
# ---------------------------------------------------------------------------

my $executed = 0;
foreach my $block (@blocks)
{
	my $name = $block->{name};

	(delete $before{$name})->() if $before{$name};
	my ($status, $out, $err) = run_block($block);
	is($status, 0, "$name succeeds") or diag $block->{text}, $out, $err;
	$executed++;
	my $expected = delete $after{$name} // next;
	if (ref $expected eq 'CODE')
	{
		$expected->($out, $err);
	}
	else
	{
		like($out, $expected, "$name shows what it should");
	}
}
is($executed, scalar @blocks, 'every block was run');
is(join(', ', sort(keys %before, keys %after)), '', 'and every expectation was met by one');

# ---------------------------------------------------------------------------
# What is not a block
# ---------------------------------------------------------------------------

# Messages that the runbook quotes, against the string literals of the source:
# "..." there is a format here.
my %literals;
foreach my $file (glob FtmigrateTest::fixture('../../src/{,*/}*.c'))
{
	my $text = slurp_file($file);

	$text =~ s{/\*.*?\*/}{}gs;
	while ($text =~ /((?:"(?:[^"\\]|\\.)*"|\s|U?INT64_FORMAT)+)/g)
	{
		my $literal = join '', map { /FORMAT/ ? '%d' : eval $_ } $1 =~ /"(?:[^"\\\$\@]|\\.)*"|U?INT64_FORMAT/g;
		$literal =~ s/%[-+ 0#]*[\d.]*[a-z]/.../g;
		$literals{$literal} = 1;
	}
}
my ($table) = $runbook =~ /^## Troubleshooting\n(.*)\z/ms;
my @messages = $table =~ /^\| `(.*?)` \|/mg;
cmp_ok(scalar @messages, '>', 20, 'messages are explained');
# Those are the server's own.
my %servers = ('canceling statement due to lock timeout' => 1);
is(join("\n", grep { !$literals{$_} && !$servers{$_} } @messages), '', 'and each of them exists');

$copy->stop if $copy;
$target->stop;
$source->stop;
done_testing();
