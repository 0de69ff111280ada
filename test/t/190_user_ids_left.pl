
# No known user's id stays behind in silence: not without a scan, not in a column
# that held none on the day of the scan, not in an import, and in no type that a
# scan reads.  What is in the tables is counted here by plain SQL.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use RowCompare;
use Test::More;

my $source = start_source(users => 5, readings => 50);
my $target = start_target($source);
my $other  = start_target(undef, name => 'other');
fill_user_map($source, $target);
fill_user_map($source, $other);

sub number_of { $target->sql("SELECT count(*) FROM $_[0]") }

# A known user, as the source has it, and one without a mapping.
my $user = $source->sql('SELECT id FROM auth.users ORDER BY id LIMIT 1');
(my $bare = $user) =~ s/-//g;
my $mixed = $user =~ s/([a-f])(.*)/uc($1) . lc($2)/er;

#
# Nobody has looked: neither a run, nor a rehearsal, nor an import begins.
#
my $run = 'SELECT DISTINCT status FROM ftm_run_migration(users => false';
my $unread = qr/Columns in which nobody has looked for user ids: \d+, such as public\./;

foreach my $options ('', ', dry_run => true', ', verify => false')
{
	my ($state, $message) = $target->sql_error("$run$options)");
	is($state, '55000', "a run without a scan$options");
	like($message, $unread, 'says so');
}
is( $target->sql(q(SELECT status FROM ftm_check() WHERE check_name = 'user columns' AND detail ~ 'nobody has looked')),
	'fail',
	'the check fails');
is(number_of('ftm_run') . number_of('profiles'), '00', 'nothing was begun');

my $directory = PostgreSQL::Test::Utils::tempdir . '/undecided';
mkdir $directory;
$target->sql("SELECT ftm_export('$directory')");
my ($state, $message) = $other->sql_error("SELECT ftm_import('$directory')");
is($state, '55000', 'an import of files without decisions');
like($message, $unread, 'says so');

# Said on purpose: what stays is counted, as plain SQL counts it.
my ($exit, $out, $err) =
  $target->start_sql("$run, undecided => 'keep')")->finish;
is($exit, 0, 'a run that keeps ids ends well') or diag $err;
my $expected = $source->sql(<<'SQL');
SELECT sum(n) FROM (
	SELECT (count(a.created_by) FILTER (WHERE a.created_by IN (SELECT id FROM auth.users)))
		+ (count(a.deleted_by) FILTER (WHERE a.deleted_by IN (SELECT id FROM auth.users))) FROM public.areas a
	UNION ALL
	SELECT (count(s.updated_by) FILTER (WHERE s.updated_by IN (SELECT id FROM auth.users)))
		+ (count(s.deleted_by) FILTER (WHERE s.deleted_by IN (SELECT id FROM auth.users)))
		+ (count(*) FILTER (WHERE s.manager_ids && ARRAY(SELECT id FROM auth.users))) FROM public.sites s) AS c (n)
SQL
cmp_ok($expected, '>', 0, 'there are some in areas and sites');
is( $target->sql(q(SELECT sum(ids_undecided) FROM ftm_run_table WHERE table_name IN ('public.areas', 'public.sites'))),
	$expected, "$expected ids were counted while the rows were loaded");
my $all = $target->sql('SELECT sum(ids_undecided) FROM ftm_run_table');
like($err, qr/WARNING: .*kept in columns that nobody has decided about: $all\n/,
	'the call says how many there are');
is( $target->sql(
		q(SELECT count(*) FROM ftm_wait() WHERE (status = 'verified') <> (table_name IN (SELECT table_name FROM ftm_run_table WHERE ids_undecided = 0)))),
	'0', 'no table with such ids is plainly verified');
is( $target->sql(
		q(SELECT sum(substring(detail FROM 'decided: (\d+);')::int) FROM ftm_verify(include => '{areas,sites}') WHERE kind = 'user ids left' AND NOT ok)
	),
	$expected,
	'verification counts them again, and is not content');
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');

#
# Columns of all types that a scan reads: empty when it reads them.
#
my @columns = (
	[ 'by_uuid',      'uuid',             "'$user'" ],
	[ 'by_domain',    'kinds.user_ref',   "'$user'" ],
	[ 'by_text',      'text',             "'by $user!'" ],
	[ 'by_upper',     'text',             "upper('$user')" ],
	[ 'by_mixed',     'text',             "'($mixed)'" ],
	[ 'by_bare',      'text',             "'urn:$bare:x'" ],
	[ 'by_varchar',   'varchar(60)',      "'$user'" ],
	[ 'by_char',      'char(40)',         "'$user'" ],
	[ 'by_name',      'name',             "'$user'" ],
	[ 'by_json',      'json',             qq('{"$user": 1}') ],
	[ 'by_jsonb',     'jsonb',            qq('["a", {"b": "$user"}]') ],
	[ 'by_uuids',     'uuid[]',           "ARRAY[NULL, gen_random_uuid(), '$user']" ],
	[ 'by_texts',     'text[]',           "ARRAY['x', '$user']" ],
	[ 'by_bares',     'text[]',           "ARRAY['$bare, and sixteen more', 'x']" ],
	[ 'by_jsonbs',    'jsonb[]',          qq(ARRAY['{"a": "$user"}'::jsonb]) ],
	[ 'by_pair',      'kinds.pair',       "ROW('$user', 'x')" ],
	[ 'by_pair_text', 'kinds.pair',       "ROW(NULL, 'by $user')" ],
	[ 'by_pairs',     'kinds.pair[]',     "ARRAY[ROW('$user', 'x')::kinds.pair]" ],
	[ 'by_range',     'kinds.text_range', "kinds.text_range('$user', 'z')" ],
	[ 'by_xml',       'xml',              "'<a>$user</a>'" ],
	[ 'by_citext',    'extensions.citext',     "'$user'" ]);
my @names = map { $_->[0] } @columns;

# xml and citext are not sent in binary.
my %tables = (
	as_text   => [ map { "$_->[0] $_->[1]" } @columns ],
	as_binary => [ map { "$_->[0] $_->[1]" } grep { $_->[0] !~ /xml|citext/ } @columns ]);
my $ddl = <<'SQL';
CREATE SCHEMA kinds;
CREATE DOMAIN kinds.user_ref AS uuid;
CREATE TYPE kinds.pair AS (who uuid, what text);
CREATE TYPE kinds.text_range AS RANGE (subtype = text);
SQL
foreach my $table (sort keys %tables)
{
	$ddl .= "CREATE TABLE kinds.$table (id int PRIMARY KEY, "
	  . join(', ', @{ $tables{$table} }) . ");\n";
}
$_->sql($ddl) foreach $source, $target;
$source->sql(<<'SQL');
GRANT USAGE ON SCHEMA kinds TO postgres;
GRANT SELECT ON ALL TABLES IN SCHEMA kinds TO postgres;
SQL
decide_user_columns($target, 'kinds');
is( $target->sql(q(SELECT count(*), sum(known_ids) FROM ftm_scanned_column WHERE schema_name = 'kinds')),
	(@columns + @columns - 2) . '|0',
	'the scan has read all columns, and found nothing');

my $kinds = "schemas => '{kinds}'";
foreach my $table (sort keys %tables)
{
	my @here = grep { my $name = $_; grep { /^$name / } @{ $tables{$table} } } @names;
	my %value = map { $_->[0] => $_->[2] } @columns;

	$source->sql("INSERT INTO kinds.$table (id, "
		  . join(', ', @here)
		  . ') VALUES (1, '
		  . join(', ', map { $value{$_} } @here)
		  . '), (2, '
		  . join(', ', map { 'NULL' } @here) . ')');
	is( $target->sql("SELECT format FROM ftm_plan($kinds, include => '{$table}')"),
		$table =~ s/as_//r, "$table: wire format");

	# A table alone, so that all of its columns are named.
	($state, $message) =
	  $target->sql_error("$run, $kinds, include => '{$table}')");
	is($state, '55000', "$table: ids are an error");
	my ($named) = $message =~ /how many values with such ids each has: (.*)\.\n/;
	is_deeply([ sort split /, /, $named ], [ sort map { "$_ (1)" } @here ],
		"$table: all columns are named");
	is(number_of("kinds.$table"), '0', "$table: the load was not committed");

	# The verification counts by itself.
	is( $target->sql("$run, $kinds, include => '{$table}', undecided => 'keep')"),
		'verified, ' . @here . ' ids kept in undecided columns',
		"$table: kept on purpose");
	is_deeply(
		[ sort split /\n/, $target->sql(<<SQL) ],
SELECT replace(object, 'kinds.$table.', '') FROM ftm_verify($kinds, include => '{$table}')
WHERE NOT ok AND kind = 'user ids left' AND detail ~ 'decided: 1;'
SQL
		[ sort @here ],
		"$table: verification names all columns");

	# To go on with that run is no way to get rid of the error.
	($state, $message) =
	  $target->sql_error("$run, $kinds, include => '{$table}', restart => true)");
	is($state, '55000', "$table: and again an error without keep");

	my ($statement) = $message =~ /HINT:  Execute (INSERT .*); or with 'ignore'/;
	$target->sql($statement);
	is( $target->sql("$run, $kinds, include => '{$table}')"),
		'verified', "$table: decided by the statement of the hint");
	is( $target->sql("SELECT count(*) FROM ftm_verify($kinds, include => '{$table}') WHERE NOT ok"),
		'0', "$table: nothing is left");
}

# Written to in the target, afterwards: found by verification alone.
$target->sql(<<SQL);
DELETE FROM ftm_user_column WHERE schema_name = 'kinds' AND column_name = 'by_uuid';
UPDATE kinds.as_binary SET by_uuid = '$user';
SQL
like(
	$target->sql("SELECT object, ok FROM ftm_verify($kinds, include => '{as_binary}') WHERE kind = 'user ids left'"),
	qr/^kinds.as_binary.by_uuid\|f$/,
	'verification looks at what is stored');

# Nobody's ids are no user's.
$source->sql('CREATE TABLE kinds.strange (id uuid PRIMARY KEY, note text); GRANT SELECT ON kinds.strange TO postgres; INSERT INTO kinds.strange SELECT gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 1000)');
$target->sql('CREATE TABLE kinds.strange (id uuid PRIMARY KEY, note text)');
decide_user_columns($target, 'kinds');
is($target->sql("$run, $kinds, include => '{strange}')"), 'verified', 'other ids are nobody\'s business');

#
# A user who came after the map was made, and whose id is in a column without a
# decision.
#
my $late = $source->sql('SELECT gen_random_uuid()');
$source->sql(<<SQL);
INSERT INTO auth.users (id, email) VALUES ('$late', 'late\@example.com');
INSERT INTO kinds.strange VALUES ('$late', 'x');
SQL
my $call = $target->start_sql("$run, $kinds, include => '{strange}', restart => true)");
(undef, undef, $err) = $call->finish;
like($err, qr/WARNING: .*users of the source that the user map lacks: 1 of \d+, such as $late/, 'the user is named');
like($err, qr/ERROR:  55000: table kinds.strange holds ids of known users.*id \(1\)/s, 'and so is the column');
$source->sql("DELETE FROM kinds.strange WHERE id = '$late'; DELETE FROM auth.users WHERE id = '$late'");

#
# Exports carry what was decided.
#
decide_user_columns($target);
mkdir "$directory.decided";
$target->sql("SELECT ftm_export('$directory.decided')");
$other->sql(q(INSERT INTO ftm_user_column (schema_name, table_name, column_name, mode) VALUES ('public', 'areas', 'created_by', 'ignore')));
($state, $message) = $other->sql_error("SELECT ftm_import('$directory.decided')");
is($state, '55000', 'another decision is an error');
like($message, qr/decide differently about column public\.areas\.created_by.*The export says mode 'id'.*ftm_user_column says mode 'ignore'/s,
	'which names both');
$other->sql('DELETE FROM ftm_user_column');
($exit, $out, $err) =
  $other->start_sql("SELECT DISTINCT status FROM ftm_import('$directory.decided')")->finish;
is("$exit $out", "0 verified\n", 'decisions come with the files') or diag $err;
like($err, qr/NOTICE: .*decisions about columns with user ids taken from the export: \d+/, 'and a notice says so');
is( $other->sql('SELECT schema_name, table_name, column_name, mode, unmapped, origin FROM ftm_user_column ORDER BY 1, 2, 3'),
	$target->sql(q(SELECT schema_name, table_name, column_name, mode, unmapped, origin FROM ftm_user_column WHERE schema_name = 'public' ORDER BY 1, 2, 3)),
	'they are those of the exporting database');
is_deeply([ compare_rows($source, $other, schemas => ['public']) ], [], 'the import equals the source');

# A column that nobody has decided about, in files: users are those of the export.
$source->sql('CREATE TABLE public.later (id int PRIMARY KEY, note text); GRANT SELECT ON public.later TO postgres');
$_->sql('CREATE TABLE public.later (id int PRIMARY KEY, note text)') foreach $target, $other;
decide_user_columns($target, 'public');
$source->sql("INSERT INTO auth.users (id, email) VALUES ('$late', 'late\@example.com'); INSERT INTO public.later VALUES (1, 'by $late'), (2, 'by $user'), (3, 'by nobody')");
foreach my $compress ('false', 'true')
{
	mkdir "$directory.$compress";
	$target->sql("SELECT ftm_export('$directory.$compress', include => '{later}', compress => $compress)");
	($state, $message) = $other->sql_error("SELECT ftm_import('$directory.$compress', include => '{later}', restart => true)");
	like($message, qr/table public\.later holds ids of known users.*note \(2\)/s, "an import counts, compressed $compress");
}
is($other->sql('SELECT count(*) FROM public.later'), '0', 'and commits nothing');

# Files of another form.
my $metadata = slurp_file("$directory.false/metadata.json");
$metadata =~ s/"format": 2/"format": 1/;
open my $file, '>', "$directory.false/metadata.json" or die;
print $file $metadata;
close $file;
($state, $message) = $other->sql_error("SELECT ftm_import('$directory.false')");
like($message, qr/was not written by this version.*format is 1, expected 2.*Export again/s, 'an old export is a clean error');

done_testing();
