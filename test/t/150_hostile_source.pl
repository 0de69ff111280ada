
# A source that answers what no PostgreSQL would: every query of every function,
# each answered wrongly in every way.  Nobody crashes, nobody waits for ever, and
# what the caller sees is a clean error or a right result.
#
# Queries that differ in names and numbers only are taken for one, and one that
# several functions send is altered in all ways for the first of them only.  That
# takes hours (FTM_TEST_LONG=1); otherwise there is a sample, of each function
# as much as of any other.

use strict;
use warnings;

use FtmigrateTest;
use HostileSource;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;
use Time::HiRes qw(time);

my $seed  = $ENV{FTM_TEST_SEED} || (time ^ $$);
my $shots = $ENV{FTM_TEST_SHOTS} || 33;
srand $seed;
note "seed $seed";

my $directory = PostgreSQL::Test::Utils::tempdir();
mkdir "$directory/export" or die "cannot make a directory: $!";
my $source    = start_source(users => 5, readings => 100);
my $target    = start_target($source, conf => "restart_after_crash = on\nmax_worker_processes = 16\n");
my $stack     = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
my $proxy     = HostileSource->new($source->port, $directory);

fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);
$target->connect_auth_server($stack);
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "');"
	  . "ALTER DATABASE postgres SET ftmigrate.retries = 0;"
	  . "ALTER DATABASE postgres SET ftmigrate.workers = 2;"
	  . "ALTER DATABASE postgres SET statement_timeout = '60s'");

my @calls = (
	[ ftm_run_migration => q{ftm_run_migration(users => false, existing => 'truncate', restart => true)} ],
	[ ftm_check         => q{ftm_check()} ],
	[ ftm_plan          => q{ftm_plan()} ],
	[ ftm_scan_user_ids => q{ftm_scan_user_ids()} ],
	[ ftm_verify        => q{ftm_verify()} ],
	[ ftm_diff          => q{ftm_diff('public.profiles')} ],
	[ ftm_export        => qq{ftm_export('$directory/export', overwrite => true)} ],
	[ ftm_verify_export => qq{ftm_verify_export('$directory/export')} ],
	[ ftm_migrate_users => q{ftm_migrate_users(dry_run => true)} ],
	[ ftm_match_users   => q{ftm_match_users()} ],
	[ ftm_verify_users  => q{ftm_verify_users()} ]);

# Ways to alter an answer, each a list of arguments of alter().
my @numbers = ('0', '-1', '2147483648', '9223372036854775807', '18446744073709551616', '1e400', '', 'x', '{', '{"a');
my @ways    = (
	[ how => 'null' ],
	(map { [ how => 'null', column => int rand 1000 ] } 1 .. 6),
	(map { [ how => 'value', value => $_ ] } @numbers),
	(map { [ how => 'value', value => $_, column => int rand 1000 ] } @numbers, @numbers, @numbers),
	[ how => 'value', value => "\xf0\x9f\x20\xff" ],
	[ how => 'value', value => "\xf0\x9f\x20\xff", column => 1 ],
	[ how => 'value', value => 'A', size => 30_000_000 ],
	[ how => 'few' ],
	[ how => 'many' ],
	[ how => 'short' ],
	[ how => 'binary' ],
	[ how => 'no_rows' ],
	[ how => 'rows', times => 3 ],
	[ how => 'garble', seed => int rand 1 << 30 ],
	(map { [ how => 'kind', type => $_, body => "\0\0\0" ] } qw(G W H d)),
	(map { [ how => 'kind', type => $_, body => '' ] } qw(I n s c ?)),
	[ how => 'kind', type => 'C', body => "SELECT 0\0" ],
	[ how => 'error', fields => {} ],
	[ how => 'error', fields => { S => 'ERROR', C => '00000', M => 'none' } ],
	[ how => 'error', fields => { S => 'ERROR', C => "XX\xff", M => "\xf0\x9f\x20\xff" } ],
	[ how => 'error', fields => { S => 'ERROR', C => '22023', M => "\xff" x 1_000_000, D => "\xff" } ],
	[ how => 'error', fields => { S => 'FATAL', C => '57P01', M => 'terminating' } ],
	[ how => 'messages', type => 'A', times => 2000, body => "\0\0\0\1channel\0payload %d\0" ],
	[ how => 'messages', type => 'N', times => 2000, body => "SNOTICE\0C00000\0Mnotice \xff %d\0\0" ],
	[ how => 'messages', type => 'S', times => 2000, body => "setting%d\0value\0" ]);

my $log_position = 0;

# What the postmaster says about processes that have died since the last call.
sub deaths
{
	my $log = slurp_file($target->logfile, $log_position);

	$log_position = -s $target->logfile;
	return join "\n", $log =~ /^.*(?:terminated by signal|PANIC).*$/mg;
}

# Returns how the call has ended: "" or an SQLSTATE, and stderr.
sub outcome
{
	my ($call) = @_;
	my $stderr = '';
	my $code   = $target->psql(
		'postgres', "SELECT count(*) FROM $call",
		stderr       => \$stderr,
		extra_params => [ '-v', 'VERBOSITY=verbose' ]);

	return ('', $stderr) if $code == 0;
	return ($1, $stderr) if $stderr =~ /(?:ERROR|FATAL): +([0-9A-Z]{5}): /;
	return ("psql $code", $stderr);
}

# As a test's name says it.
sub described
{
	my (@way) = @_;
	my %way = @way;
	my $text =
	  join ' ', map { "$_ " . (ref $way{$_} ? join '', sort %{ $way{$_} } : $way{$_}) } sort keys %way;

	$text =~ s/([^ -~])/sprintf '\\x%02x', ord $1/ge;
	return length $text > 100 ? substr($text, 0, 100) . '...' : $text;
}

# The query without names, numbers and lists.
sub shape_of
{
	my ($query) = @_;

	$query =~ s/"(?:[^"]|"")*"/x/g;
	$query =~ s/\d+/0/g;
	$query =~ s/\b(?:public|x)\.\w+/x/g;
	return substr($query, 0, 40) . ' ' . substr $query, -40;
}

my (@shots, %known);
foreach (@calls)
{
	my ($name, $call) = @$_;

	$proxy->relay;
	my ($state, $stderr) = outcome($call);
	is($state, '', "$name: works while nothing is altered") or diag $stderr;
	my @queries = $proxy->queries;
	cmp_ok(scalar @queries, '>', 2, "$name: sends queries");
	note "$name: ", scalar @queries, ' queries';
	my %queries;
	push @{ $queries{ shape_of($_) } }, $_ foreach @queries;
	foreach my $shape (sort keys %queries)
	{
		my $query = $queries{$shape}[ rand @{ $queries{$shape} } ];
		my @some  = map { $ways[ rand @ways ] } 1 .. 5;

		push @shots, map { [ $name, $call, $query, @$_ ] } $known{$shape}++ ? @some : @ways;
	}
}
note scalar @shots, ' alterations of ', scalar keys %known, ' kinds of queries';

unless ($ENV{FTM_TEST_LONG})
{
	# As many of each function as of any other.
	my %of;
	push @{ $of{ $_->[0] } }, $_ foreach @shots;
	@shots = map { $of{ $calls[ $_ % @calls ][0] }[ rand @{ $of{ $calls[ $_ % @calls ][0] } } ] } 0 .. $shots - 1;
}

my %states;
my $altered = 0;
foreach (@shots)
{
	my ($name, $call, $query, @way) = @$_;
	my $what = "$name: " . described(@way) . ' in ' . substr $query, 0, 60;

	$proxy->alter(sql => $query, @way);
	my ($state, $stderr) = outcome($call);
	my $dead = deaths();
	$states{ $state || 'none' }++;
	$altered++ if $proxy->altered;
	ok($state eq '' || $state =~ /^(?!XX000|57014)[0-9A-Z]{5}$/, "$what: ends cleanly")
	  or diag "$state $stderr";
	is($dead, '', "$what: nobody dies") or $target->poll_query_until('postgres', 'SELECT true');
}
cmp_ok($altered, '>', @shots / 4, "answers were altered ($altered of " . scalar(@shots) . ')');
note join ', ', map { "$_: $states{$_}" } sort keys %states;

$proxy->relay;
foreach (@calls)
{
	my ($state, $stderr) = outcome($_->[1]);
	is($state, '', "$_->[0]: works afterwards") or diag $stderr;
}

done_testing;
