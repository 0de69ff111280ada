
# ftm_export(): what is in the files, and that they lose nothing.  The files are
# read back with plain SQL, and by programs that know nothing of PostgreSQL.

use strict;
use warnings;

use Digest::SHA;
use Encode;
use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use RowCompare;
use Test::More;

my @schemas = ('public', 'odd', 'Odd Schema');
my $scope   = q(schemas => ARRAY['public', 'odd', 'Odd Schema']);
my $source  = start_source(users => 50, readings => 1000);
my $target  = start_target($source);
my $base    = PostgreSQL::Test::Utils::tempdir;

# Import by plain SQL: one INSERT per table, of the columns that its first row has.
my $insert_sql = <<'SQL';
SELECT format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM json_array_elements(pg_read_file(%L)::json) AS o, json_populate_record(NULL::%s, o) AS p',
	c.oid::regclass,
	string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum),
	string_agg(CASE WHEN a.atttypid IN ('json'::regtype, 'jsonb'::regtype)
		THEN format('(o->>%L)::%s', a.attname, a.atttypid::regtype)
		ELSE format('(p).%I', a.attname) END, ', ' ORDER BY a.attnum),
	'DIRECTORY/' || (f->>'file'), c.oid::regclass)
FROM json_array_elements(pg_read_file('DIRECTORY/metadata.json')::json->'tables') AS f
JOIN pg_namespace n ON n.nspname = f->>'schema'
JOIN pg_class c ON c.relname = f->>'table' AND c.relnamespace = n.oid
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
	AND NOT a.attisdropped AND a.attgenerated = ''
WHERE pg_read_file('DIRECTORY/' || (f->>'file'))::json->0->a.attname IS NOT NULL
GROUP BY c.oid, f->>'file' \gexec
SQL

# Every table, under one snapshot
my $directory = PostgreSQL::Test::Utils::tempdir;
my $answer    = $target->sql(
	"SELECT table_name, file, rows FROM ftm_export('$directory', $scope) ORDER BY 1");
my $counts = row_counts($source, schemas => \@schemas);
is(scalar(split /\n/, $answer), keys(%$counts) + 1,
	'one file per table, and one of users');
is_deeply([ grep { /partial/ } slurp_dir($directory) ], [], 'no partial files');

my $metadata = decode_json(slurp_file("$directory/metadata.json"));
my (%rows, @wrong);
foreach my $file (@{ $metadata->{tables} }, $metadata->{users})
{
	my $bytes = slurp_file("$directory/$file->{file}");
	my @lines = split /\n/, $bytes;

	push @wrong, "$file->{file}: size"   if length $bytes != $file->{bytes};
	push @wrong, "$file->{file}: digest" if Digest::SHA::sha256_hex($bytes) ne $file->{sha256};
	push @wrong, "$file->{file}: lines"  if @lines != $file->{rows} + 2;
	push @wrong, "$file->{file}: JSON"   if @{ decode_json($bytes) } != $file->{rows};
	next if !$file->{table};
	my $table = $file->{table} =~ s/"/""/gr;
	$rows{ encode_utf8(qq("$file->{schema}"."$table")) } = "$file->{rows}";
}
is_deeply(\@wrong, [], 'files are what metadata.json says');
is_deeply(\%rows, $counts, 'with all rows of all tables');
is(Digest::SHA::sha256_hex(slurp_file("$directory/user-mapping.json")),
	$metadata->{userMap}{sha256}, 'so is user-mapping.json');
is( scalar(grep { $_->{sequence} eq 'free_seq' && $_->{lastValue} == 4711 && $_->{isCalled} }
		  @{ $metadata->{sequences} }),
	1, 'sequences are in it');

# Checksums are those of ftm_verify().
my %checksums = map { ("$_->{schema}.$_->{table}" => $_->{checksum}) } @{ $metadata->{tables} };
my %expected  = map { split /\|/ } split /\n/, $target->sql(<<SQL);
SELECT object, source_checksum FROM ftm_verify()
WHERE kind = 'table' AND source_checksum IS NOT NULL
SQL
is_deeply({ map { $_ => $checksums{$_} } keys %expected }, \%expected, 'checksums');

# Nothing is lost on the way through a file.  User ids stay what they were: the
# map, which must not be empty for the comparison, maps nobody who is there.
my $nobody = '00000000-0000-0000-0000-000000000001';
$target->sql("INSERT INTO ftm_user_map VALUES ('$nobody', '$nobody')");
$target->sql("SET session_replication_role = replica;\n"
	  . ($insert_sql =~ s/DIRECTORY/$directory/gr));
my $path = '"odd"."no_columns"';
is_deeply(
	[ compare_rows($source, $target, schemas => \@schemas, exclude => { $path => 1 }) ],
	[], 'files hold the rows of the source');

# Users: no secrets unless asked for
my $users = slurp_file("$directory/auth_users.json");
is(@{ decode_json($users) }, 50, 'users');
unlike($users, qr/encrypted_password|_token"/, 'without hashes and tokens');
$directory = PostgreSQL::Test::Utils::tempdir;
$target->sql("SELECT ftm_export('$directory', include => '{sites}', password_hashes => true)");
$users = slurp_file("$directory/auth_users.json");
like($users, qr/"encrypted_password": ?"\$2/, 'hashes on request');
unlike($users, qr/_token"/, 'but no tokens');

# Compressed
my $plain = slurp_file("$directory/public.sites.json");
$directory = PostgreSQL::Test::Utils::tempdir;
$target->sql("SELECT ftm_export('$directory', $scope, compress => true)");
$metadata = decode_json(slurp_file("$directory/metadata.json"));
@wrong = ();
foreach my $file (@{ $metadata->{tables} })
{
	my $path  = "$directory/$file->{file}";
	my $bytes = slurp_file($path);

	push @wrong, "$path: name"   if $path !~ /\.json\.gz$/;
	push @wrong, "$path: digest" if Digest::SHA::sha256_hex($bytes) ne $file->{sha256};
	system('gzip', '-d', $path) == 0 or push @wrong, "$path: gzip";
	$path =~ s/\.gz$//;
	push @wrong, "$path: JSON" if @{ decode_json(slurp_file($path)) } != $file->{rows};
}
is_deeply(\@wrong, [], 'compressed files');
is(slurp_file("$directory/public.sites.json"), $plain, 'hold the same');

# What is there stays there
my ($state, $message) = $target->sql_error("SELECT ftm_export('$directory', include => '{sites}')");
is($state, '58P02', 'existing files are refused');
like($message, qr/exists already.*overwrite => true/s, 'and the remedy is named');
$target->sql("SELECT ftm_export('$directory', include => '{sites}', overwrite => true)");
is(decode_json(slurp_file("$directory/metadata.json"))->{tables}[0]{rows},
	$counts->{'"public"."sites"'}, 'unless they may be replaced');

# Where files may not be
my $elsewhere = PostgreSQL::Test::Utils::tempdir;
my $data      = $target->data_dir;
symlink $elsewhere, "$base/link" or die;
foreach my $case (
	[ 'relative', '42602', qr/not an absolute path/ ],
	[ "$base/none", '58P01', qr/could not access directory/ ],
	[ "$base/link", '42602', qr/symbolic link/ ],
	[ $data, '42501', qr/data directory/ ],
	[ "$data/base", '42501', qr/data directory/ ],
	[ "$directory/public.sites.json", '42809', qr/not a directory/ ])
{
	my ($name, $expected_state, $expected_message) = @$case;
	($state, $message) = $target->sql_error("SELECT ftm_export('$name')");
	is($state, $expected_state, "refused: $name");
	like($message, $expected_message, 'and says why');
}
is_deeply([ grep { !/^\./ } slurp_dir($elsewhere) ], [], 'nothing was written there');
symlink "$base/outside", "$elsewhere/public.sites.json" or die;
($state, $message) = $target->sql_error(
	"SELECT ftm_export('$elsewhere', include => '{sites}', overwrite => true)");
is($state, '42809', 'a symbolic link in place of a file is refused');
ok(!-e "$base/outside", 'and not followed');

# Who may not
$target->sql(<<SQL);
CREATE ROLE clerk LOGIN;
GRANT USAGE ON FOREIGN SERVER supabase TO clerk;
SQL
($state) = $target->sql_error("SET ROLE clerk; SELECT ftm_export('$elsewhere')");
is($state, '42501', 'EXECUTE is not for everybody');
$target->sql('GRANT EXECUTE ON FUNCTION ftm_export TO clerk');
($state, $message) = $target->sql_error("SET ROLE clerk; SELECT ftm_export('$elsewhere')");
is($state, '42501', 'nor are files');
like($message, qr/pg_write_server_files/, 'and the role is named');

# An export that fails leaves nothing that looks complete.
$directory = PostgreSQL::Test::Utils::tempdir;
$source->sql('CREATE TABLE public.broken (id int); REVOKE ALL ON public.broken FROM postgres');
($state, $message) = $target->sql_error("SELECT ftm_export('$directory')");
is($state, '42501', 'a table that cannot be read in full');
is_deeply([ grep { !/^\./ } slurp_dir($directory) ], [], 'stops the export before the first file');
$source->sql('DROP TABLE public.broken');

$source->sql('CREATE TABLE public.blocked (id int); GRANT SELECT ON public.blocked TO postgres');
my $blocker = $source->start_sql(
	'BEGIN; LOCK TABLE public.blocked; SELECT pg_sleep(600)');
$source->wait_for(
	q(SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.blocked'::regclass AND mode = 'AccessExclusiveLock'));
my $call = $target->start_sql("SELECT ftm_export('$directory')");
$source->wait_for(
	q(SELECT count(*) > 0 FROM pg_locks WHERE relation = 'public.blocked'::regclass AND NOT granted));
my $pid = $target->wait_for_pid(q(query LIKE 'SELECT ftm_export%'));
$target->sql("SELECT pg_cancel_backend($pid)");
my ($exit_code) = $call->finish;
isnt($exit_code, 0, 'a cancelled export fails');
$target->wait_for(q(SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%'));
is_deeply([ grep { /partial|metadata|blocked/ } slurp_dir($directory) ], [],
	'and leaves neither half a file nor metadata');
$blocker->kill_kill;
$source->sql(q(SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()));

done_testing();
