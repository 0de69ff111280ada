# The fixture itself: is the source as README.md in test/fixtures says, does the
# same call give the same data, and would its traps snap?

use strict;
use warnings;

use File::Spec;
use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 50, readings => 1000);

# Rows of a database, whatever partition or database they are in
sub rows
{
	my ($node, $database) = @_;
	my ($stdout) = run_command(
		[
			'pg_dump', '--data-only', '--load-via-partition-root',
			'-d', $node->connstr($database)
		]);
	return [ sort grep { !/^\\(?:un)?restrict / } split /\n/, $stdout ];
}

# selfcheck.sql raises what it finds, and a failed file ends the test
$source->load('selfcheck.sql');
pass('source is what it should be');

my $target = start_node('target');
$target->load('target.sql');
$target->load('selfcheck.sql', target => 1);
pass('target is what it should be');

$source->sql('CREATE DATABASE again');
command_ok(
	[
		'psql', '-Xq', '-o', File::Spec->devnull,
		'-d', $source->connstr('again'),
		'-v', 'users=50', '-v', 'readings=1000',
		'-f', fixture('source.sql')
	],
	'roles may be there already');
my $rows = rows($source, 'postgres');
cmp_ok(scalar @$rows, '>', 3000, 'rows were dumped');
is_deeply(rows($source, 'again'), $rows, 'same parameters give the same data');

# The self-check notices what it is for
$source->sql('UPDATE public.lora_sensors SET dev_eui = (SELECT min(id::text) FROM auth.users)
	WHERE id = (SELECT min(id::text)::uuid FROM public.lora_sensors)');
command_fails_like(
	[
		'psql', '-Xq', '-d', $source->connstr('postgres'),
		'-f', fixture('selfcheck.sql')
	],
	qr/public\.lora_sensors\.dev_eui holds user ids: t, is listed: f/,
	'a user id in a column that is not listed is noticed');

my ($state, $message);

# Row level security
is($source->sql('SET ROLE authenticated; SELECT count(*) FROM public.profiles'),
	'0', 'a role under row level security reads nothing');
($state, $message) = $source->sql_error(
	'SET ROLE authenticated; SET row_security = off; SELECT FROM public.profiles');
is($state, '42501', 'unless it asks to be told');
is( $source->sql(
		'SET ROLE postgres; SET row_security = off; SELECT count(*) FROM public.profiles'),
	'50', 'the role of the DBA reads everything');
is($source->sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'"),
	'f', 'and is no superuser');

# Triggers of the target fire when nobody keeps them from it
($state, $message) = $target->sql_error(
	"INSERT INTO public.organizations (name, slug) VALUES ('a', 'a')");
like($message, qr/INSERT on table "subscriptions" is not allowed/,
	'a trigger of the target raises');
is( $target->sql(
		"INSERT INTO odd.no_key VALUES (1); SELECT count(*) FROM odd.no_key"),
	'0', 'another one drops rows');
is( $target->sql(
		"SET session_replication_role = replica;
		INSERT INTO odd.no_key VALUES (1); SELECT count(*) FROM odd.no_key"),
	'1', 'but not under session_replication_role = replica');

# The user map: one to one, and both ways of asking for it agree
my $create = 'CREATE TABLE public.%s (source_user_id uuid PRIMARY KEY,
	target_user_id uuid NOT NULL UNIQUE)';
for my $table (qw(by_number by_id))
{
	$target->sql(sprintf $create, $table);
}
$target->load('user_map.sql', users => 50, map_table => 'public.by_number');
$target->load(
	'user_map.sql',
	ids       => $source->sql('SELECT id FROM auth.users'),
	map_table => 'public.by_id');
is($target->sql('SELECT count(*) FROM public.by_number NATURAL JOIN public.by_id'),
	'50', 'user_map.sql maps every user');
is( $target->sql(
		'SELECT count(*) FROM public.by_id AS a JOIN public.by_id AS b
		ON a.source_user_id = b.target_user_id'),
	'0', 'no target id is a source id');

done_testing();
