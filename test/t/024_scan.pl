
# The scan for user ids finds all columns that hold them, and no other; its
# suggestions, accepted, make a migration that is right, in both wire formats.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my @schemas = ('public', 'odd', 'Odd Schema');
my $source  = start_source(users => 50, readings => 1000);
my $target  = start_target($source);
fill_user_map($source, $target);

# Name, suggestion, decision and numbers of the columns that have ids, or for
# which something is decided.
sub scan
{
	my ($scope) = @_;
	my %found;

	my $rows = $target->sql(<<SQL);
SELECT format('"%s"."%s"."%s"', (parse_ident(table_name))[1],
		(parse_ident(table_name))[2], column_name),
	coalesce(mode, '-'), coalesce(suggestion, '-'), known_ids, unknown_ids,
	coalesce(detail, '-')
FROM ftm_scan_user_ids($scope) WHERE known_ids > 0 OR mode IS NOT NULL
SQL
	foreach (split /\n/, $rows)
	{
		my ($column, @rest) = split /\|/;
		my %row;
		@row{qw(mode suggestion known unknown detail)} = @rest;
		$found{$column} = \%row;
	}
	return \%found;
}

# The truth: what foreign keys say, and what selfcheck.sql proves by value.
$target->sql(<<'SQL');
CREATE TABLE truth (schema_name name, table_name name, column_name name,
	mode text, unmapped text);
SQL
$target->load('user_columns.sql', column_table => 'truth');
my %truth = map { my ($column, $mode) = split /\|/; ($column => $mode) }
  split /\n/, $target->sql(<<'SQL');
SELECT format('"%s"."%s"."%s"', schema_name, table_name, column_name), mode
FROM truth
SQL
my %partition = map { ($_ => 1) } split /\n/, $source->sql(<<'SQL');
SELECT format('"%s"."%s"', relnamespace::regnamespace, relname)
FROM pg_class WHERE relispartition
SQL
my %by_key = map { ("$_->[0].$_->[1]" => 'id') }
  grep { !$partition{ $_->[0] } } user_columns($source);

my $scope = q(schemas => ARRAY['public', 'odd', 'Odd Schema']);
my $found = scan($scope);
is_deeply(
	[ sort grep { $found->{$_}{known} > 0 } keys %$found ],
	[ sort keys %truth, keys %by_key ],
	'all columns with user ids are found, and no other');
is_deeply(
	{ map { $_ => $found->{$_}{mode} } grep { $found->{$_}{mode} ne '-' } keys %$found },
	\%by_key,
	'those with a foreign key are decided');

# A text whose values are ids, or else hold none, is no less right as 'id'; and
# what the DBA of user_columns.sql ignores because of its mixed case has an
# id in lower case as well.
my %expected = (
	%truth,
	'"public"."event_logs"."actor_label"'                => 'id',
	'"public"."notification_deliveries"."recipient_ref"' => 'id',
	'"odd"."user_spellings"."note"'                      => 'embedded');
is_deeply({ map { $_ => $found->{$_}{suggestion} } keys %truth },
	\%expected, 'suggestions');
like(
	$found->{'"public"."profiles"."avatar_url"'}{detail},
	qr/^values with ids in paths or addresses of stored files: \d+$/,
	'addresses of stored files are pointed out');
is( $found->{'"odd"."user_spellings"."note"'}{detail},
	'values with ids in mixed case or without hyphens, which are never rewritten: 3',
	'odd spellings are pointed out');

# Numbers, by plain SQL.
is( "$found->{'\"odd\".\"user_forms\".\"in_jsonb\"'}{known} $found->{'\"odd\".\"user_forms\".\"in_url\"'}{unknown}",
	$source->sql(
		q(SELECT count(in_jsonb) || ' ' || count(in_url) FROM odd.user_forms)),
	'values are counted');

# What a migration says while nothing is decided.
my ($state, $message) =
  $target->sql_error("SELECT ftm_run_migration($scope, users => false)");
is($state, '55000', 'undecided uuid columns stop a migration');
my @stopping = sort $message =~ /^(?:DETAIL: +)?Column (\S+) holds \d+ user ids/mg;
my @undecided = split /\n/, $target->sql(<<'SQL');
SELECT format('%s.%s.%s', schema_name, table_name, column_name)
FROM truth JOIN pg_attribute ON attname = column_name
	AND attrelid = format('%I.%I', schema_name, table_name)::regclass
WHERE mode = 'id' AND atttypid IN ('uuid'::regtype, 'odd.user_ref'::regtype)
SQL
is_deeply(\@stopping, [ sort @undecided ], 'each is named');

# Types that the fixture lacks.  Tables a and b are the same, but a needs text
# format; path is computed in the source only.
sub schema_more
{
	my ($id_of_a, $computed) = @_;
	my $columns = <<'SQL';
	name_id name, padded char(40), spoken text COLLATE more.blind,
	several more.several, document more.document, keys jsonb,
	"List ""x""" more.texts, documents jsonb[], upper_id varchar(50),
	mixed text, bare text
SQL

	return <<SQL;
CREATE SCHEMA more;
CREATE DOMAIN more.user_ref AS uuid;
CREATE DOMAIN more.several AS uuid[];
CREATE DOMAIN more.document AS jsonb;
CREATE DOMAIN more.texts AS text[];
CREATE COLLATION more.blind
	(provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TYPE more.pair AS (who uuid, n int);
CREATE TABLE more.a (id $id_of_a PRIMARY KEY, $columns);
CREATE TABLE more.b (id int PRIMARY KEY, $columns);
CREATE TABLE more.refs (id int PRIMARY KEY, refs more.user_ref[]);
CREATE TABLE more.pairs (id int PRIMARY KEY, pair more.pair, hash text,
	upload text, mentioned uuid[], path text $computed);
SQL
}
$target->sql(schema_more('int8', ''));
$source->sql(
	schema_more('int', q(GENERATED ALWAYS AS ('/u' || upload) STORED))
	  . <<"SQL");
CREATE TEMP TABLE ids AS
SELECT row_number() OVER (ORDER BY id)::int AS n, id AS u,
	lead(id, 1, id) OVER (ORDER BY id) AS v, gen_random_uuid() AS nobody
FROM auth.users;
INSERT INTO more.a
SELECT n, u, u::text, 'by ' || upper(u::text) || ' for ' || v,
	ARRAY[u, NULL, nobody, v], jsonb_build_object('u', u),
	jsonb_build_object(u, v, v, jsonb_build_object(upper(u::text), 1.50, 'z', 'by ' || v)),
	ARRAY[u::text, NULL, 'to ' || v || ',' || nobody],
	ARRAY[to_jsonb(u), jsonb_build_object(v, nobody)], upper(u::text),
	upper(left(u::text, 18)) || right(u::text, 18)
	|| CASE n % 2 WHEN 0 THEN ' ' || v ELSE '' END,
	replace(u::text, '-', '')
FROM ids;
INSERT INTO more.a (id) VALUES (0);
INSERT INTO more.b SELECT * FROM more.a;
INSERT INTO more.refs
SELECT n, CASE n % 3 WHEN 0 THEN ARRAY[u, NULL, nobody, v]
	WHEN 1 THEN ARRAY[[u], [v]] ELSE '{}' END
FROM ids;
INSERT INTO more.pairs (id, pair, hash, upload, mentioned)
SELECT n, (u, n)::more.pair, md5(u::text) || md5(v::text),
	'/storage/v1/object/sign/b/' || u || '/' || v, ARRAY[v]
FROM ids;
GRANT USAGE ON SCHEMA more TO $FtmigrateTest::source_role;
GRANT SELECT ON ALL TABLES IN SCHEMA more TO $FtmigrateTest::source_role;
SQL

push @schemas, 'more';
$scope = q(schemas => ARRAY['public', 'odd', 'Odd Schema', 'more']);
$found = scan($scope);
my %more = map { $_ => "$found->{$_}{suggestion} $found->{$_}{known}" }
  grep { s/^"more"\.//r ne $_ } keys %$found;
is_deeply(
	\%more,
	{
		(
			map {
				("\"more\".\"$_\".\"name_id\""      => 'id 50',
				 "\"more\".\"$_\".\"padded\""       => 'embedded 50',
				 "\"more\".\"$_\".\"spoken\""       => 'embedded 50',
				 "\"more\".\"$_\".\"several\""      => 'embedded 50',
				 "\"more\".\"$_\".\"document\""     => 'embedded 50',
				 "\"more\".\"$_\".\"keys\""         => 'embedded 50',
				 "\"more\".\"$_\".\"List \"x\"\""   => 'embedded 50',
				 "\"more\".\"$_\".\"documents\""    => 'embedded 50',
				 "\"more\".\"$_\".\"upper_id\""     => 'id 50',
				 "\"more\".\"$_\".\"mixed\""        => 'embedded 50',
				 "\"more\".\"$_\".\"bare\""         => 'ignore 50')
			} qw(a b)),
		'"more"."refs"."refs"'       => 'embedded 33',
		'"more"."pairs"."pair"'      => 'ignore 50',
		'"more"."pairs"."upload"'    => 'ignore 50',
		'"more"."pairs"."path"'      => 'ignore 50',
		'"more"."pairs"."mentioned"' => 'embedded 50',
	},
	'in every type');
is( $found->{'"more"."pairs"."pair"'}{detail},
	'ids in this type cannot be rewritten',
	'what cannot be rewritten is pointed out');

# All suggestions, but for one that the DBA knows better.
$target->sql(<<'SQL');
UPDATE ftm_user_column SET mode = 'ignore'
WHERE table_name = 'user_spellings' AND column_name = 'note'
SQL
my $accepted = $target->sql('SELECT count(*) FROM ftm_accept_user_columns()');
is( $accepted,
	scalar(grep { $found->{$_}{mode} eq '-' } keys %$found) - 1,
	'all that was undecided is accepted');
is($target->sql('SELECT count(*) FROM ftm_accept_user_columns()'),
	'0', 'and nothing is left');

my ($exit, $plan, $warnings) = $target->start_sql(<<SQL)->finish;
SELECT table_name, format, rewritten, notes FROM ftm_plan($scope)
SQL
is($exit, 0, 'the plan is made');
like($plan, qr/^more\.a\|text\|.*upper_id: id \(ftm_user_column, origin values, unmapped keep\)/m,
	'ids in all forms, in text format');
like($plan, qr/^more\.b\|binary\|.*keys: embedded \(ftm_user_column, origin values\)/m,
	'and in binary format');
like($plan, qr/^more\.refs\|text\|.*text format: refs is an array of a domain/m,
	'an array of a domain over uuid goes as text');
like($plan, qr/^public\.sites\|.*created_by: id \(foreign key to auth\.users, unmapped error\)/m,
	'a recorded foreign key is a foreign key');
like($warnings, qr/^(?:DETAIL: +)?Table public\.event_logs has hashes \((?:\w+, )*previous_hash, event_hash\) beside user ids that are rewritten \(.*actor_id.*\), and those that include the ids will not match any more\./m,
	'the plan warns of broken hash chains');
like($warnings, qr/^(?:DETAIL: +)?Table more\.pairs has hashes \(hash\)/m, 'by column names');

my ($exit_code, $out, $err) = $target->start_sql(
	"SELECT table_name, status FROM ftm_run_migration($scope, users => false)")
  ->finish;
is($exit_code, 0, 'the migration succeeds') or diag $err;
is_deeply(
	[
		compare_rows(
			$source, $target,
			schemas => \@schemas,
			skip    => { '"odd"."computed_path"."path"' => 1 })
	],
	[],
	'target equals source, user ids mapped');
is($target->sql("SELECT object, detail FROM ftm_verify($scope) WHERE ok IS NOT TRUE"),
	'', 'the verification agrees');
like($target->sql("SELECT detail FROM ftm_verify($scope) WHERE object = 'more.b'"),
	qr/mixed case/, 'and tells of ids in mixed case');

# Scanned once more: decisions stand.
my $before = $target->sql('TABLE ftm_user_column ORDER BY 1, 2, 3');
scan($scope);
is($target->sql('TABLE ftm_user_column ORDER BY 1, 2, 3'), $before, 'a second scan changes nothing');

# Cancelled while both its connections wait: it ends at once, on both servers.
# (With an empty map, the scans are the first to touch auth.users.)
$target->sql('TRUNCATE ftm_user_map');
my $lock = $source->start_sql(
	'BEGIN; LOCK TABLE auth.users; SELECT pg_sleep(1000); COMMIT');
$source->wait_for(
	q(SELECT EXISTS (SELECT FROM pg_locks WHERE granted AND relation = 'auth.users'::regclass AND mode = 'AccessExclusiveLock'))
);
my $call = $target->start_sql("SELECT ftm_scan_user_ids($scope)");
my $ours = q(FROM pg_stat_activity WHERE application_name = 'ftmigrate');
$source->wait_for("SELECT count(*) = 2 $ours AND wait_event_type = 'Lock'");
$target->sql(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT ftm_scan%'));
($exit, $out, $err) = $call->finish;
like($err, qr/57014: canceling statement due to user request/,
	'a scan can be cancelled');
$source->wait_for("SELECT count(*) = 0 $ours");
pass('and leaves no query behind');
$lock->kill_kill;

done_testing();
