
# jsonb as it is stored by a fast load: byte for byte as jsonb_recv() makes it,
# of what a source sends, of what ids replaced on the way make of that, and of
# anything else that arrives; and the errors are those of COPY.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use SampledTest;
use Test::More;

# Another seed, other documents; the same seed, the same.  A sample is always the
# same one.
my $seed      = is_long() || $ENV{FTM_TEST_SEED} ? seed() : 20240229;
my $documents = how_many(6000, 30000);

my $source = start_source(users => 20, readings => 10);
my $target = start_target($source);
my $file   = $target->basedir . '/documents';
fill_user_map($source, $target);
$target->sql('CREATE EXTENSION pageinspect');

sub on_both
{
	my ($sql) = @_;
	$_->sql($sql) foreach $source, $target;
	return;
}

sub migrate
{
	my ($schema, $options) = @_;

	$source->sql("GRANT USAGE ON SCHEMA $schema TO postgres; GRANT SELECT ON ALL TABLES IN SCHEMA $schema TO postgres");
	return $target->sql("SELECT table_name, status, rows FROM ftm_run_migration(schemas => ARRAY['$schema'], users => false, undecided => 'keep'"
		  . ($options // '') . ') ORDER BY 1');
}

# What is in the tuples themselves, and what they stand for: there is nothing
# that could be seen of a jsonb that its bytes do not say.
sub tuples
{
	my ($table) = @_;
	return <<SQL;
SELECT block, lp, t_infomask, t_hoff, t_bits, CASE WHEN t_infomask & 4 = 0 THEN t_data END
FROM generate_series(0, pg_relation_size('$table') / 8192 - 1) AS block,
	heap_page_items(get_raw_page('$table', block::int)) ORDER BY block, lp
SQL
}

sub differing
{
	my ($table, $copy, @columns) = @_;
	my $differ = join ' OR ', map { "m.$_\::bytea IS DISTINCT FROM c.$_\::bytea" } @columns;

	return $target->sql("SELECT id, " . join(', ', map { "left(c.$_\::text, 200), left(encode(m.$_\::bytea, 'hex'), 200), left(encode(c.$_\::bytea, 'hex'), 200)" } @columns)
		  . " FROM $table m FULL JOIN $copy c USING (id) WHERE $differ ORDER BY id LIMIT 3");
}

# Copy a table as COPY does and compare.
sub same_as_copy
{
	my ($table, $list, @columns) = @_;
	my $copy = "${table}_copied";

	$source->sql("\\copy $table ($list) TO '$file' (FORMAT binary)");
	$target->sql("BEGIN;\nCREATE TABLE $copy (LIKE $table INCLUDING STORAGE);\n\\copy $copy ($list) FROM '$file' (FORMAT binary, FREEZE)\nCOMMIT");
	is(differing($table, $copy, @columns), '', "values of $table are those of COPY");
	ok($target->sql(tuples($table)) eq $target->sql(tuples($copy)), "tuples of $table are, too");
	return;
}

$target->sql('CREATE CAST (jsonb AS bytea) WITHOUT FUNCTION');
$source->sql('CREATE CAST (bytea AS jsonb) WITHOUT FUNCTION');

# ------------------------------------------------------------------------
# What a source sends
# ------------------------------------------------------------------------

sub list_of { return '[' . join(', ', @_) . ']'; }

sub object_of
{
	my (%pairs) = @_;
	return '{' . join(', ', map { qq("$_": $pairs{$_}) } sort keys %pairs) . '}';
}

my @numbers = qw(0 -0 1 -1 9 10 9999 10000 10001 99990000 100000000 1.0 1.10 -1.10 0.0 0.00 -0.0 0.1 0.0001
  0.00001 0.00010 0.00010000 1000.0001 12345.6789 -5e-324 1e63 1e64 1e-62 1e-63 1e-64 1e255 1e256 -1e300 1e400
  1.5e10 2E-3 123456789012345678901234567890.123456789 12345678 123456789 9223372036854775807);
push @numbers, '9' x 256, '1' . '0' x 255, '9' x 257, '0.' . '0' x 62 . '1', '0.' . '0' x 63 . '1', '1' x 256 . '.' . '2' x 63,
  '1.' . '0' x 63, '1.' . '0' x 64;
my @strings = ('""', '"a"', '"äöü€𝄞"', '"\\""', '"\\\\"', '"\\/"', '"\\b\\f\\n\\r\\t"', '"\\u0001\\u000b\\u001f\\u007f"', '"\\u00e4\\u20ac"',
	'"\\ud834\\udd1e"', '"\\\\u0000"', '"\\\\n\\n\\\\"', '"12345678"', '"1234567\\n"', '"12345678\\n"', '"ends with \\\\"');
my @edges = (
	'{}', '[]', 'null', 'true', 'false', '[{}]', '[[]]', '{"": {}}', '{"a": []}', '{"a": [], "b": [[], {}]}', @numbers, @strings,
	list_of(@numbers), list_of(@strings), list_of(map { ($_, '"x"') } @numbers), list_of(map { (qw("" "a" "ab" "abc")[ $_ % 4 ], '[1]', 'null') } 0 .. 40),
	'{"": 1}', '{"": "", "a": ""}', '{"aa": 1, "ab": 2, "b": 3, "B": 4, "ä": 5, "": 6}', '{"a\\nb": 1, "c": 2}', '{"\\\\": 1, "\\"": 2}',
	(map { ('[' x $_ . ']' x $_, '{"a": ' x $_ . '1.5' . '}' x $_, '[1, {"abc": ' x ($_ / 2) . 'null' . '}, true]' x ($_ / 2)) } 2, 60, 62 .. 66, 100, 1000),
	(map { my $n = $_; (
			list_of(1 .. $n), list_of(map { "\"$_\"" } 1 .. $n), list_of(('true') x $n), list_of(('[]', '"abc"') x $n),
			object_of(map { ("k$_" => $_) } 1 .. $n), object_of(map { (sprintf('%03d', $_) => '{"n": 1}') } 1 .. $n),
			object_of(map { ('k' x $_ => 'null') } 1 .. $n)) } 15 .. 17, 31 .. 33, 63 .. 65, 100),
	(map { '"' . 'x' x $_ . '"' } 110 .. 130, 2000, 3000, 70000),
	list_of(('"a long one, that compresses"') x 1000), '"' . '\\n' x 5000 . '"');

my @words = ('a' .. 'e', 'ab', 'id', 'name', 'ä', '€uro', '𝄞', '\\"', '\\\\', '\\n', '\\u001f', ' ', '/', "\x7f", '{', '}', '[', ']', ',', ':', ', ', ': ', '0');

sub one_of { return $_[ int rand @_ ]; }

sub random_text { return join '', map { one_of(@words) } 1 .. one_of(0, 1, 1, 2, 3, 5, 12); }

sub random_number
{
	my $number = one_of('', '', '-') . one_of(0, 1 + int rand 9, 1 + int rand 99999, (1 + int rand 99) . '0' x rand 20);

	$number .= '.' . join '', map { one_of(0, 0, 0, 1, 9) } 0 .. one_of(0, 1, 3, 4, 8, 20) if rand() < 0.4;
	return $number;
}

sub random_value
{
	my ($depth) = @_;
	my $kind  = int rand($depth < 5 ? 9 : 6);
	my $count = $depth == 0 ? one_of(1 .. 5, 31 .. 33, 70) : int rand 6;

	return '"' . random_text() . '"' if $kind < 2;
	return random_number() if $kind < 4;
	return one_of('true', 'false', 'null') if $kind < 6;
	return list_of(map { random_value($depth + 1) } 1 .. $count) if $kind < 7;
	return object_of(map { (random_text() => random_value($depth + 1)) } 1 .. $count);
}

note "seed $seed, $documents documents";
srand($seed);
my @random = map { random_value(int rand 3) } 1 .. $documents;

my $tables = <<'SQL';
CREATE SCHEMA documents;
CREATE DOMAIN documents.document AS jsonb CHECK (VALUE IS NOT NULL);
CREATE TABLE documents.alone (id int8 PRIMARY KEY, doc jsonb);
SQL
$source->sql($tables . <<'SQL');
CREATE TABLE documents.among (id int8 PRIMARY KEY, a jsonb, t text, b jsonb NOT NULL, c documents.document, d jsonb, e jsonb);
CREATE TABLE documents.large (id int8 PRIMARY KEY, a jsonb, b jsonb);
SQL
$target->sql($tables . <<'SQL');
CREATE TABLE documents.among (e jsonb, c documents.document, id int8 PRIMARY KEY, b jsonb NOT NULL, t text, d jsonb, a jsonb);
ALTER TABLE documents.among ALTER d SET STORAGE EXTERNAL;
CREATE TABLE documents.large (id int8 PRIMARY KEY, b jsonb, a jsonb);
SQL

# Escapes are for JSON: COPY would take its own from a text, so they are doubled.
# Keys may repeat until the source has sorted them.
my $texts_file = "$file.texts";
open my $texts, '>', $texts_file or die "$texts_file: $!";
foreach my $text (@edges, @random)
{
	$text =~ s/\\/\\\\/g;
	print $texts "$text\n";
}
close $texts or die $!;
on_both("CREATE TABLE texts (id int8 GENERATED ALWAYS AS IDENTITY, t text);\n\\copy texts (t) FROM '$texts_file'");
$source->sql(<<'SQL');
INSERT INTO documents.alone SELECT id, t::jsonb FROM texts;
INSERT INTO documents.among
SELECT id, lead(doc) OVER w, left(doc::text, 20), doc, lead(doc, 2, 'null') OVER w,
	CASE WHEN length(doc::text) < 1000 THEN lag(doc) OVER w END, jsonb_build_array(id, doc)
FROM documents.alone WINDOW w AS (ORDER BY id);
INSERT INTO documents.large VALUES
	(1, to_jsonb(repeat('large ', 300000)), '1'),
	(2, (SELECT jsonb_agg(n) FROM generate_series(1, 70000) n), (SELECT jsonb_agg(md5(n::text)) FROM generate_series(1, 70000) n)),
	(3, '{"small": true}', '[]'),
	(4, (SELECT jsonb_object_agg(md5(n::text), n / 16.0) FROM generate_series(1, 30000) n), jsonb_build_object('t', repeat('ä', 600000))),
	(5, (SELECT jsonb_agg(true) FROM generate_series(1, 1100000) n), '[1]'),
	(6, '"small"', (SELECT jsonb_agg(jsonb_build_object('n', n, 'md5', md5(n::text))) FROM generate_series(1, 20000) n));
SQL
my $count = @edges + @random;
is(migrate('documents'), "documents.alone|verified|$count\ndocuments.among|verified|$count\ndocuments.large|verified|6", 'all documents are loaded');
same_as_copy('documents.alone', 'id, doc', 'doc');
same_as_copy('documents.among', 'id, a, t, b, c, d, e', qw(a b c d e));
same_as_copy('documents.large', 'id, a, b', qw(a b));

# The texts, and not what the source made of them.
is( $target->sql('SELECT id, left(t, 100) FROM texts t FULL JOIN documents.alone USING (id) WHERE doc::bytea IS DISTINCT FROM t::jsonb::bytea LIMIT 3'),
	'', 'values are those of the texts');

# ------------------------------------------------------------------------
# What becomes of ids on the way
# ------------------------------------------------------------------------

my $map = $target->sql(q(SELECT string_agg(format('(%L::uuid, %L::uuid)', source_user_id, target_user_id), ', ') FROM ftm_user_map));
on_both('CREATE SCHEMA ids; CREATE TABLE ids.documents (id int4 PRIMARY KEY, doc jsonb)');
$source->sql(<<SQL);
CREATE TABLE map (source, target) AS VALUES $map;
INSERT INTO ids.documents
SELECT 1, jsonb_object_agg(source, target) FROM map
UNION ALL SELECT 2, jsonb_build_object('members', jsonb_object_agg(source, jsonb_build_array(1.50, source)), 'a', 1) FROM map
UNION ALL SELECT 3, jsonb_object_agg(source, 'source') || jsonb_object_agg(target, 'target') FROM map
UNION ALL SELECT 3 + row_number() OVER (), to_jsonb(source) FROM map
UNION ALL SELECT 100 + row_number() OVER (), jsonb_build_object(source, 1, coalesce((lead(source) OVER ())::text, 'last'), 2, 'key', source) FROM map;
SQL
$target->sql(q(INSERT INTO ftm_user_column (schema_name, table_name, column_name, mode) VALUES ('ids', 'documents', 'doc', 'embedded')));
is($source->sql('SELECT count(*) FROM ids.documents'), '43', 'documents with ids');

# A key that becomes one that is there already is lost, which would be told.
is(migrate('ids', ', verify => false'), 'ids.documents|loaded|43', 'are loaded');

# The same by means of SQL, from the texts.
$source->sql("\\copy ids.documents TO '$file'");
$target->sql("CREATE TABLE ids.texts (id int4, t text);\n\\copy ids.texts FROM '$file'");
$target->sql(<<'SQL');
CREATE FUNCTION replaced(t text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(coalesce(target_user_id::text, part), '' ORDER BY n)
	FROM regexp_split_to_table(regexp_replace(t, '([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})', '|\1|', 'g'), '\|') WITH ORDINALITY AS p (part, n)
	LEFT JOIN ftm_user_map ON source_user_id::text = part
$$;
CREATE TABLE ids.expected AS SELECT id, replaced(t)::jsonb AS doc FROM ids.texts;
SQL
isnt($target->sql('SELECT count(*) FROM ids.texts JOIN ids.expected USING (id) WHERE replaced(t) <> doc::text'), '0', 'keys are in another order');
is(differing('ids.documents', 'ids.expected', 'doc'), '', 'values are those of the replaced texts');

# ------------------------------------------------------------------------
# What no source sends
# ------------------------------------------------------------------------

# A jsonb that is sent as it is stored, which is anything.
on_both('CREATE SCHEMA strange; CREATE TABLE strange.taken (id int4, doc jsonb)');
my @taken = (
	'{"b":1,"a":2}', '{"b": 1, "a": 2}', '{"aa": 1, "b": 2}', '{"a": 1, "a": 2}', '{"a": {"b": 1, "b": 2}}', '{"a": 1,  "b": 2}', ' 1', '1 ', "\n[]\n",
	'[1,2]', '[ ]', '{ }', '{"a":1}', '{"a" : 1}', '-0', '-0.00', '1e5', '1E+2', '1.5e-3', '[1e400]', '[0e1]', '"\\u0041"', '"\\u00e4"', '"\\u20ac"', '"\\/"',
	'"\\u001F"', '"\\u001f"', '"\\u0008"', "\"\x7f\"", '"\\ud834\\udd1e"', '{"\\u0061": 1, "b": 2}', '{"\\n": 1, "\\t": 2}', '{"\\t": 1, "\\n": 2}',
	'[true,false]', "[true,\tnull]", '1' . '0' x 300, '0.' . '0' x 70);
my $bytes = sub { return "decode('" . unpack('H*', $_[0]) . "', 'hex')::jsonb"; };
my $number = 0;
$source->sql('ALTER TABLE strange.taken SET (autovacuum_enabled = false); INSERT INTO strange.taken VALUES '
	  . join(', ', map { '(' . ++$number . ', ' . $bytes->("\x01$_") . ')' } @taken));

my @refused = (
	'', '1', "\x01", "\x02{}", "\x00{}", "\x01 ", "\x01{}{}", "\x01{} 1", "\x01[1, 2", "\x01[1, ]", "\x01[, 1]", "\x01[1 2]", "\x01{\"a\"}",
	"\x01{\"a\": }", "\x01{\"a\": 1, }", "\x01{a: 1}", "\x01{1: 1}", "\x01{\"a\": 1", "\x01{\"a\"", "\x01{\"a", "\x01[1}", "\x01{\"a\": 1]", "\x01\"", "\x01\"a",
	"\x01\"a\n\"", "\x01\"\x1f\"", "\x01\"1234567\t12345678\"", "\x01\"\\", "\x01\"\\\"", "\x01\"\\u", "\x01\"\\u001\"", "\x01\"\\u0000\"", "\x01\"\\u000g\"",
	"\x01\"\\x\"", "\x01\"\\ud834\"", "\x01\"\\udd1e\"", "\x01\"\xff\"", "\x01\"12345678\xc3\"", "\x01\"\xc3", "\x01\"a\x00b\"", "\x01{}\x00", "\x01\x00",
	"\x01tru", "\x01truex", "\x01nul", "\x01Null", "\x01fals", "\x01-", "\x0101", "\x01-01", "\x011.", "\x01.5", "\x01+1", "\x011e", "\x01[1.]", "\x010x1", "\x01NaN",
	"\x01--1", "\x011.5.5", "\x011e200000", "\x01" . '[' x 10);
on_both(join '', map { "CREATE TABLE strange.refused$_ (id int4, doc jsonb);" } 1 .. @refused);
$source->sql(join '', map { "ALTER TABLE strange.refused$_ SET (autovacuum_enabled = false); INSERT INTO strange.refused$_ VALUES ($_, "
	  . $bytes->($refused[ $_ - 1 ]) . ');' } 1 .. @refused);
$source->sql(q(UPDATE pg_type SET typsend = 'byteasend'::regproc WHERE typname = 'jsonb'));
$count = @taken;
$target->sql('DELETE FROM ftm_run');
is(migrate('strange', ", verify => false, include => ARRAY['strange.taken']"), "strange.taken|loaded|$count", 'odd spellings are loaded');
same_as_copy('strange.taken', 'id, doc', 'doc');

# What an error says, but not where.
sub message
{
	my ($state, $stderr) = @_;
	return join "\n", $state, $stderr =~ /^.*(?:ERROR|DETAIL|CONTEXT):  (.*)$/mg;
}

$source->sql(join '', map { "\\copy strange.refused$_ TO '$file.$_' (FORMAT binary)\n" } 1 .. @refused);
$number = 0;
foreach my $value (@refused)
{
	my $table    = 'strange.refused' . ++$number;
	my $copied   = message($target->sql_error("\\copy $table FROM '$file.$number' (FORMAT binary)"));
	my $migrated = message($target->sql_error("DELETE FROM ftm_run; SELECT ftm_run_migration(schemas => ARRAY['strange'], include => ARRAY['$table'], users => false, undecided => 'keep', verify => false)"));
	is($migrated, $copied, 'refused: ' . ($value =~ s/([^ -~])/sprintf '<%02x>', ord $1/ger));
}

done_testing();
