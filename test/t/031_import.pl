
# ftm_import(): the files of an export become what the direct path makes of the
# source; other layouts of the same JSON do, too; and bad files load nothing.

use strict;
use warnings;

use Digest::SHA;
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
my $path    = '"odd"."computed_path"."path"';

sub write_file
{
	my ($name, $bytes) = @_;

	open my $handle, '>:raw', $name or die "could not write $name: $!";
	print $handle $bytes or die;
	close $handle or die;
	return;
}

sub same_rows
{
	my ($node, $name) = @_;

	is_deeply([ compare_rows($source, $node, schemas => \@schemas, skip => { $path => 1 }) ],
		[], $name);
	return;
}

# The fixture and everything odd, user ids mapped
mkdir "$base/plain" or die;
$target->sql("SELECT ftm_export('$base/plain', $scope)");
fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);
my ($exit, $out, $err) = $target->start_sql(
	"SELECT DISTINCT status FROM ftm_import('$base/plain', $scope)")->finish;
is($exit, 0, 'an export can be imported') or diag $err;
is($out, "verified\n", 'and is verified');
same_rows($target, 'the rows are those of the source, user ids mapped');
is(sequence_positions($target, schemas => \@schemas), sequence_positions($source, schemas => \@schemas),
	'sequences');
is($target->sql("SELECT string_agg(object || ': ' || detail, E'\\n') FROM ftm_verify($scope) WHERE NOT ok"),
	'', 'ftm_verify() agrees');
is($target->sql("SELECT string_agg(DISTINCT kind, ',') || ' ' || count(*) FILTER (WHERE NOT ok) FROM ftm_verify_export('$base/plain', $scope)"),
	'export,file,foreign key,indexes and constraints,schema,sequence,table,user map 0', 'and so does ftm_verify_export()');
is($target->sql("SELECT count(*) FROM ftm_import('$base/plain', $scope) WHERE status <> 'verified'"),
	0, 'a second call does nothing');

# What becomes of it later
$source->sql("UPDATE public.sites SET name = name || '!' WHERE ctid = '(0,1)'");
$target->sql("UPDATE public.areas SET name = name || '!' WHERE ctid = '(0,1)'");
my $bytes = slurp_file("$base/plain/public.hubs.json");
write_file("$base/plain/public.hubs.json", "$bytes ");
is( $target->sql(
		"SELECT string_agg(kind || ' ' || object, ', ' ORDER BY kind) FROM ftm_verify_export('$base/plain', $scope) WHERE NOT ok"),
	'export public.sites, file public.hubs.json, table public.areas',
	'ftm_verify_export() tells what has changed where');
write_file("$base/plain/public.hubs.json", $bytes);

# Compressed, into another target, when the source is gone
my $other = start_target($source, name => 'other');
mkdir "$base/gzip" or die;
$other->sql("SELECT ftm_export('$base/gzip', $scope, compress => true)");
fill_user_map($source, $other);
$other->load('user_columns.sql');
decide_user_columns($other);
$source->stop('fast');
is($other->sql("SELECT string_agg(DISTINCT status, ',') FROM ftm_import('$base/gzip', $scope)"),
	'verified', 'from compressed files, without the source');
is($other->sql("SELECT count(*) FROM ftm_verify_export('$base/gzip', $scope, compare_source => false) WHERE NOT ok"),
	0, 'and ftm_verify_export() does without it, too');
is($other->sql("SELECT string_agg(object, ', ' ORDER BY object) FROM ftm_verify_export('$base/gzip', $scope, compare_source => false) WHERE detail LIKE '%compared with the rows of the file%'"),
	'odd.computed_path, odd.widened', 'where types differ, the rows of the file are compared');
my $damage = "UPDATE odd.widened SET limited_to_text = limited_to_text || '!' WHERE ctid = '(0,1)'";
$other->sql($damage);
is($other->sql("SELECT string_agg(object, ',') FROM ftm_verify_export('$base/gzip', $scope, compare_source => false) WHERE NOT ok AND kind = 'table'"),
	'odd.widened', 'and a difference is found');
$other->sql(q(UPDATE odd.widened SET limited_to_text = rtrim(limited_to_text, '!')));
$source->start;
same_rows($other, 'the rows are those of the source');

# Another table, another layout: the source's own answer is the expected one.
$source->sql(<<'SQL');
CREATE TABLE public.layout (id int PRIMARY KEY, big numeric, tags text[], pair odd.point3, doc jsonb,
	raw json, note text DEFAULT 'none');
INSERT INTO public.layout VALUES
	(1, 12345678901234567890.1234567890, '{a,"b c",NULL}', '(1.5,2,x)', '{"b": 1, "a": [1.10]}', '{"b": 1, "a": [1.10]}', 'none'),
	(2, 1e-30, '{}', NULL, '"text"', '7', E'tab\t\\ line\nend'),
	(3, NULL, NULL, '(,,)', NULL, NULL, NULL);
GRANT SELECT ON public.layout TO postgres;
SQL
$target->sql(<<'SQL');
CREATE TABLE public.layout (id int PRIMARY KEY, big numeric, tags text[], pair odd.point3, doc jsonb,
	raw json, note text DEFAULT 'none');
SQL
decide_user_columns($target, 'public');
mkdir "$base/layout" or die;
$target->sql("SELECT ftm_export('$base/layout', include => '{layout}')");
my $metadata = slurp_file("$base/layout/metadata.json");
my $file     = "$base/layout/public.layout.json";
my $good     = slurp_file($file);

sub put_rows
{
	my ($bytes) = @_;
	my $text = $metadata;
	my ($old) = $metadata =~ /"public.layout.json".*?"sha256": "([0-9a-f]{64})"/s;

	write_file($file, $bytes);
	my $new = Digest::SHA::sha256_hex($bytes);
	$text =~ s/$old/$new/;
	write_file("$base/layout/metadata.json", $text);
	return;
}
my $import = "SELECT ftm_import('$base/layout', include => '{layout}', restart => true)";
put_rows(<<'JSON');

 [ {
	"note" : "\u006eone" , "tags" : [ "a" , "b\u0020c" , null ] ,
	"big":12345678901234567890.1234567890,
	"pair" : { "y" : 2, "x" : 1.5, "label" : "x" },
	"doc" : { "b" : 1, "a" : [ 1.10 ] },
	"raw":{"b": 1, "a": [1.10]},
	"id" : 1
  } ,{"id":2,"big":1e-30,"tags":"{}","doc":"\"text\"","raw":7,
"note":"tab\t\\ line\nend"}
 ,
 {"id": "3", "pair": "(,,)", "note": null}]
JSON
$target->sql($import);
is( $target->sql('SELECT * FROM public.layout ORDER BY 1'),
	$source->sql('SELECT * FROM public.layout ORDER BY 1'),
	'layout, order of keys and missing keys');
$target->sql("SELECT ftm_rollback(max(run_id)) FROM ftm_run");

# What is no good
my $row  = '{"id":1}';
my $deep = '{"id":1,"doc":' . ('[' x 70000) . (']' x 70000) . '}';
foreach my $case (
	[ 'truncated',        "[\n$row,\n{\"id\":2",                    'At line 3, column 8: the file ends inside of an object.' ],
	[ 'array not closed', "[\n$row\n",                              'At line 3, column 1: the file ends before its array does.' ],
	[ 'no array',         $row,                                     'At line 1, column 1: expected an array of objects.' ],
	[ 'no object',        "[\n $row, 5]",                           'At line 2, column 12: expected an object.' ],
	[ 'trailing comma',   "[$row,]",                                'At line 1, column 11: expected an object.' ],
	[ 'no comma',         "[$row $row]",                            'At line 1, column 11: expected a comma or the end of the array.' ],
	[ 'garbage behind',   "[$row]\nx",                              'At line 2, column 1: expected nothing behind the array.' ],
	[ 'empty',            '',                                       'At line 1, column 1: the file ends before its array does.' ],
	[ 'unknown key',      "[$row,\n{\"id\":2,\"nonsense\":1}]",     'At line 2, column 9: table public.layout has no column "nonsense".' ],
	[ 'key twice',        '[{"id":1,"note":"a","i\u0064":2}]',      'At line 1, column 21: key "id" is there twice.' ],
	[ 'not UTF-8',        "[{\"id\":1,\"note\":\"\xff\"}]",         'At line 1, column 18: invalid byte sequence for encoding "UTF8".' ],
	[ 'NUL escape',       '[{"id":1,"note":"\u0000"}]',             'At line 1, column 17: \u0000 cannot be converted to text.' ],
	[ 'NUL byte',         "[{\"id\":1,\"note\":\"\0\"}]",           'At line 1, column 18: a string holds a control character or does not end.' ],
	[ 'half a surrogate', '[{"id":1,"note":"\ud800"}]',             'At line 1, column 17: Unicode low surrogate must follow a high surrogate.' ],
	[ 'behind characters', "[{\"note\":\"\xc3\xa4\xe2\x82\xac\",\n \"\xc3\xa4\":1}]", "At line 2, column 2: table public.layout has no column \"\xc3\xa4\"." ],
	[ 'syntax',           "[\n{\"id\":1 \"note\":2}]",              'At line 2, column 9: Expected "," or "}", but found ""note"".' ],
	[ 'no value',         '[{"id":}]',                              'At line 1, column 8: Expected JSON value, but found "}".' ],
	[ 'brackets',         '[{"id":1,"doc":[}]}]',                   'At line 1, column 17: the bracket closes one of the other kind.' ],
	[ 'too deep',         "[$deep]",                                'At line 1, column 65551: values are nested too deeply.' ],
	[ 'too large',        "[{\"id\":1},\n{\"id\":99999999999}]",    'value "99999999999" is out of range for type integer', 2, 1 ],
	[ 'no number',        '[{"id":"x"}]',                           'invalid input syntax for type integer: "x"', 1, 2 ],
	[ 'no json',          '[{"id":1,"doc":"text"}]',                'invalid input syntax for type json', 1, 2 ],
	[ 'NUL in json',      '[{"id":1,"doc":{"a":"\u0000"}}]',        'unsupported Unicode escape sequence', 1, 2 ],
	[ 'null',             '[{"note":"no id"}]',                     'null value in column "id" of relation "layout" violates not-null constraint', 1, 2 ],
	[ 'same id',          "[$row,$row]",                            'Key (id)=(1) is duplicated.' ],
	[ 'other rows',       "[$row]",                                 'row counts differ' ])
{
	my ($name, $bytes, $expected, $line, $column) = @$case;

	put_rows($bytes);
	my ($state, $message) = $target->sql_error($import);
	like($message, qr/\Q$expected\E/, $name);
	next if $name eq 'other rows';
	like($message,
		$expected =~ /^At line/ ? qr/file "\Q$file\E" is not what can be imported/
		: $line ? qr/file "\Q$file\E", object at line $line, column $column$/m
		: qr/file "\Q$file\E"$/m,
		"$name: names the file");
	is($target->sql('SELECT count(*) FROM public.layout'), 0, "$name: nothing is loaded");
}
$target->sql("SELECT ftm_rollback(max(run_id)) FROM ftm_run");

# A string of 200 MB passes.
put_rows('[{"id":1,"note":"' . ('x' x 200_000_000) . '"}]');
$target->sql("SELECT ftm_import('$base/layout', include => '{layout}', restart => true, verify => false)");
is($target->sql('SELECT length(note) FROM public.layout'), 200_000_000, 'a string of 200 MB');
$target->sql("SELECT ftm_rollback(max(run_id)) FROM ftm_run");

# Digest, metadata, rights
write_file("$base/layout/metadata.json", $metadata);
my ($state, $message) = $target->sql_error($import);
like($message, qr/is not the one that metadata.json describes/, 'another SHA-256');
write_file($file, $good);
unlink "$base/layout/metadata.json";
($state, $message) = $target->sql_error($import);
is($state, '58P01', 'a directory without metadata');
write_file("$base/layout/metadata.json", substr $metadata, 0, -10);
($state) = $target->sql_error($import);
is($state, '22P02', 'damaged metadata');
for my $question (qw(version tables columns types schemas))
{
	for my $length (0, 1)
	{
		my $damaged = decode_json($metadata);
		my $rows    = $damaged->{catalog}{$question};

		# No row at all, or one value of each.
		next if $length && @{ $rows->[0] } == 1;
		$damaged->{catalog}{$question} = $length ? [ map { [ $_->[0] ] } @$rows ] : [];
		write_file("$base/layout/metadata.json", encode_json($damaged));
		($state, $message) = $target->sql_error($import);
		like($state, qr/^(22P02|22023|XX000|0A000|42P01|3F000|55000)$/, "an answer without " . ($length ? 'values' : 'rows') . ": $question")
		  or diag "$state $message";
	}
}
# No value is missed so badly that the server crashes.
my $log_end = -s $target->logfile;
my @crashed;
for my $question (sort keys %{ decode_json($metadata)->{catalog} })
{
	my $width = @{ decode_json($metadata)->{catalog}{$question}[0] // [] };
	for my $column (0 .. $width - 1)
	{
		my $damaged = decode_json($metadata);
		$_->[$column] = undef for @{ $damaged->{catalog}{$question} };
		write_file("$base/layout/metadata.json", encode_json($damaged));
		$target->psql('postgres', $import);
		push @crashed, "$question $column"
		  if slurp_file($target->logfile, $log_end) =~ /was terminated by signal/;
		$log_end = -s $target->logfile;
		$target->poll_query_until('postgres', 'SELECT true') or die if @crashed;
	}
}
is("@crashed", '', 'nulls in an answer are errors, or do no harm');

# A type whose element (column 4) is missing
my $incomplete = decode_json($metadata);
$incomplete->{catalog}{types}[0][4] = '99999';
write_file("$base/layout/metadata.json", encode_json($incomplete));
($state, $message) = $target->sql_error("SET statement_timeout = '30s'; $import");
is($state, '22P02', 'an answer without a type');
like($message, qr/does not say what type 99999 is/, 'and it is named');
write_file("$base/layout/metadata.json", $metadata);
($state, $message) = $target->sql_error("SELECT ftm_import('$base/layout', include => '{layout,sites}', existing => 'truncate')");
like($message, qr/directory "\Q$base\E\/layout" has no file for table public.sites/, 'a table without file');
rename $file, "$base/elsewhere" or die;
symlink "$base/elsewhere", $file or die;
($state, $message) = $target->sql_error($import);
like($message, qr/could not open file/, 'a symbolic link');
$target->sql(<<SQL);
CREATE ROLE clerk;
GRANT EXECUTE ON FUNCTION ftm_import TO clerk;
SQL
($state, $message) = $target->sql_error("SET ROLE clerk; $import");
is($state, '42501', 'files are not for everybody');
like($message, qr/pg_read_server_files/, 'and the role is named');

done_testing();
