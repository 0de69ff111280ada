
# Rows as they are stored by a fast load: every type, in every position, null
# and not, byte for byte as COPY stores them; constraints and broken values are
# found as COPY finds them, and are said in its words.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 2, readings => 10);
my $target = start_target($source);
fill_user_map($source, $target);

# What psql prints of a query, with whom the values have to be the same.
sub same_rows
{
	my ($table, $columns, $name) = @_;
	my $sql = "SET extra_float_digits = 3; SET timezone = 'UTC'; SELECT $columns FROM $table ORDER BY id";

	ok($target->sql($sql) eq $source->sql($sql), $name);
	return;
}

# Run a migration of one schema; its tables must all be verified.
sub migrate
{
	my ($schema) = @_;
	return $target->sql(
		"SELECT table_name, status, rows FROM ftm_run_migration(schemas => ARRAY['$schema'], users => false, undecided => 'keep') ORDER BY 1");
}

sub on_both
{
	my ($sql) = @_;
	$_->sql($sql) foreach $source, $target;
	return;
}

sub grant
{
	my ($schema) = @_;
	$source->sql("GRANT USAGE ON SCHEMA $schema TO postgres; GRANT SELECT ON ALL TABLES IN SCHEMA $schema TO postgres");
	return;
}

# Name, type and values of a column.
my $long    = q(repeat('long ', 300));
my $between = join ',', map { "repeat('x', $_)" } 0, 1, 6, 7, 8, 9, 15, 16, 17, 122 .. 130;
my @columns = (
	[ b        => 'bool',        'true, false' ],
	[ i2       => 'int2',        '-32768, 32767, 0, -1' ],
	[ i4       => 'int4',        '-2147483648, 2147483647, 0, -1' ],
	[ one      => '"char"',      q('a', '', '\\001') ],
	[ i8       => 'int8',        '-9223372036854775808, 9223372036854775807, 0, -1' ],
	[ o        => 'oid',         '0, 4294967295, 2147483648' ],
	[ f4       => 'float4',      q('NaN', '-Infinity', '-0', 3.4e38, 1e-45) ],
	[ t        => 'text',        "'', 'a', 'ä€𝄞', $long, 'ÿ' || $long, $between" ],
	[ f8       => 'float8',      q('NaN', 'Infinity', '-0', 1.7e308, 5e-324, 0.1) ],
	[ d        => 'date',        q('infinity', '-infinity', '4714-11-24 BC', '5874897-12-31', '2000-01-01', '0001-12-31 BC') ],
	[ v        => 'varchar',     "'', 'ä', $between" ],
	[ ts       => 'timestamp',   q('infinity', '-infinity', '4714-11-24 00:00:00 BC', '294276-12-31 23:59:59.999999', '1999-12-31 23:59:59.000001') ],
	[ v7       => 'varchar(7)',  q('', 'a', 'äöüäöüä', '1234567', 'a  ') ],
	[ tz       => 'timestamptz', q('infinity', '-infinity', '4714-11-24 00:00:00+00 BC', '294276-12-31 23:59:59.999999Z', '2000-01-01Z') ],
	[ c5       => 'char(5)',     q('', 'abc', 'äöüäö') ],
	[ u        => 'uuid',        q('00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff') ],
	[ ts2      => 'timestamp(2)', q('2000-01-01 00:00:00.12', 'infinity') ],
	[ by       => 'bytea',       q('', '\\x00', '\\xff00ff', decode(repeat('00ff', 60), 'hex'), decode(repeat('00ff', 64), 'hex')) ],
	[ n        => 'numeric',     q('NaN', 'Infinity', '-Infinity', 0, 1.50, -1e100, 1e-100, 1e-64, -0.0001, 10000, 99990000.0001, 0.00, 0.50, -100.010, 1e255, 12345678901234567890.12345) ],
	[ n103     => 'numeric(10,3)', q(0, 1.5, -9999999.999, 0.001, 1234567, -99.99, 'NaN') ],
	[ pt       => 'point',       q('(1,2)', '(-1.5,Infinity)') ],
	[ m        => 'macaddr',     q('08:00:2b:01:02:03') ],
	[ ttz      => 'timetz',      q('00:00:00+15:59', '24:00:00-15:59') ],
	[ tm       => 'time',        q('00:00', '24:00:00', '12:34:56.789012') ],
	[ iv       => 'interval',    q('1 mon -1 day 00:00:00.000001', '-178000000 years') ],
	[ js       => 'json',        q('{"a" : 1}', 'null', '""') ],
	[ jb       => 'jsonb',       "'{}', 'null', '{\"a\": [1, 2.50, \"ä\"]}', jsonb_build_object('l', $long)" ],
	[ e        => 'stored.mood', q('sad', 'glad') ],
	[ es       => 'stored.moods', q('{sad,glad}', '{}', '{NULL}') ],
	[ ar       => 'stored.ints', q('{}', '{1,2,NULL}', '[0:1]={3,4}', '{{1,2},{3,4}}') ],
	[ pr       => 'stored.pair', q(ROW(1, 'ä'), ROW(NULL, NULL), ROW(-1, repeat('p', 200))) ],
	[ dm       => 'stored.short', q('', 'four') ],
	[ r        => 'int4range',   q{'empty', '[1,5)', '(,)'} ],
	[ nm       => 'name',        q('', 'a name') ],
	[ ip       => 'inet',        q('10.0.0.1/8', '::1') ],
	[ bt       => 'varbit',      q('', '101', repeat('1', 77)::varbit) ],
	[ plain    => 'text',        q('', 'plain', repeat('plain', 30)) ],
	[ external => 'bytea',       q('', decode(repeat('abcd', 700), 'hex')) ],
);

# int4[] as a domain and mood[] as one, so that arrays of values can be written.
on_both(<<'SQL');
CREATE SCHEMA stored;
CREATE TYPE stored.mood AS ENUM ('sad', 'glad');
CREATE DOMAIN stored.moods AS stored.mood[];
CREATE DOMAIN stored.ints AS int4[];
CREATE TYPE stored.pair AS (a int, b text);
CREATE DOMAIN stored.short AS text CHECK (length(VALUE) < 5);
CREATE DOMAIN stored.needed AS int4 NOT NULL CHECK (VALUE > 0);
SQL

# A value for each row, the last in turn being null; the second row has none
# that is not, the first one none that is.
sub value_of
{
	my ($column, $position) = @_;
	my ($name, $type, $values) = @$column;
	my $step = 1 + $position % 11;

	return "(SELECT CASE n WHEN 1 THEN v[1] WHEN 2 THEN NULL ELSE v[1 + (n / $step) % (cardinality(v) + 1)] END"
	  . " FROM (SELECT CAST(ARRAY[$values] AS $type\[]) AS v) AS s)";
}

my $names = join ', ', map { $_->[0] } @columns;
my $position = 0;
my $values = join ",\n", map { value_of($_, $position++) } @columns;
$source->sql("CREATE TABLE stored.kinds (id int8 PRIMARY KEY, needed stored.needed, "
	  . join(', ', map { "$_->[0] $_->[1]" } @columns)
	  . ', last stored.short);'
	  . 'ALTER TABLE stored.kinds ALTER plain SET STORAGE PLAIN, ALTER external SET STORAGE EXTERNAL;'
	  . "INSERT INTO stored.kinds SELECT n, n, $values, 'last' FROM generate_series(1, 5000) n;");

# The target's columns are in another order, with columns between them that are
# gone, or that only the target has.
my @order = sort { $a->[0] cmp $b->[0] } @columns;
my $layout = sub {
	my ($table) = @_;
	my $number = 0;

	return "CREATE TABLE $table (gone0 int8, last stored.short CHECK (last IS NOT NULL), "
	  . join(', ', map { $number++ % 8 ? "$_->[0] $_->[1]" : "$_->[0] $_->[1], only$number int2, gone$number text" } @order)
	  . ", id int8 NOT NULL, needed stored.needed, gone_last bool);"
	  . join('', map { "ALTER TABLE $table DROP COLUMN gone$_;" } 0, (map { $_ * 8 + 1 } 0 .. ($number - 1) / 8), '_last')
	  . "ALTER TABLE $table ALTER plain SET STORAGE PLAIN, ALTER external SET STORAGE EXTERNAL;";
};
$target->sql($layout->('stored.kinds'));
$target->sql('ALTER TABLE stored.kinds ADD PRIMARY KEY (id)');

# The same once more in order, and without anything that could be checked.
$source->sql("CREATE TABLE stored.plain AS SELECT id, $names FROM stored.kinds");
$target->sql("CREATE TABLE stored.plain (id int8, " . join(', ', map { "$_->[0] $_->[1]" } @columns) . ')');

# Large values, alone and among others; rows that fill a batch by themselves.
on_both('CREATE TABLE stored.large (id int4 PRIMARY KEY, t text, by bytea, jb jsonb, plain text)');
$source->sql(<<'SQL');
INSERT INTO stored.large
SELECT n, CASE n % 5 WHEN 0 THEN repeat(md5(n::text), 50) WHEN 1 THEN
		(SELECT string_agg(md5((n * m)::text), 'ä') FROM generate_series(1, 60000) m WHERE n < 40) WHEN 2 THEN '' END,
	CASE n % 7 WHEN 0 THEN (SELECT string_agg(sha256(int4send(m * n)), '') FROM generate_series(1, 40000) m WHERE n < 60) ELSE int4send(n) END,
	CASE WHEN n % 11 = 0 THEN jsonb_build_object('n', repeat(md5(n::text), 3000)) END, repeat('p', n)
FROM generate_series(1, 300) n;
SQL

# No columns, no rows, many rows of nothing.
on_both('CREATE TABLE stored.bare (); CREATE TABLE stored.empty (id int4, t text); CREATE TABLE stored.nulls (id int4, t text)');
$source->sql('INSERT INTO stored.bare SELECT FROM generate_series(1, 2500); INSERT INTO stored.nulls SELECT FROM generate_series(1, 2500)');

# A partitioned table is filled by COPY itself.
on_both('CREATE TABLE stored.parts (id int4, t text) PARTITION BY RANGE (id); CREATE TABLE stored.part PARTITION OF stored.parts FOR VALUES FROM (1) TO (1000)');
$source->sql(q(INSERT INTO stored.parts SELECT n, 'part' FROM generate_series(1, 999) n));

# What only the target computes
$source->sql('CREATE TABLE stored.computed (id int4); INSERT INTO stored.computed SELECT generate_series(1, 100)');
$target->sql(<<'SQL');
CREATE DOMAIN stored.five AS int4 DEFAULT 5;
CREATE TABLE stored.computed (id int4, twice int4 GENERATED ALWAYS AS (id * 2) STORED, seven int4 DEFAULT 7, five stored.five, number int4 GENERATED ALWAYS AS IDENTITY);
SQL

grant('stored');
is(migrate('stored'), <<'OUT' =~ s/\n$//r, 'all tables are loaded');
stored.bare|verified|2500
stored.computed|verified|100
stored.empty|verified|0
stored.kinds|verified|5000
stored.large|verified|300
stored.nulls|verified|2500
stored.parts|verified|999
stored.plain|verified|5000
OUT

same_rows('stored.kinds', "id, needed, last, $names", 'types in another order');
same_rows('stored.plain', "id, $names", 'types in order');
same_rows('stored.large', 'id, length(t), md5(t), md5(by), md5(jb::text), md5(plain)', 'large values');
same_rows('stored.parts', 'id, t', 'partitions');
is($target->sql('SELECT count(*), count(id), count(t) FROM stored.nulls'), '2500|0|0', 'nulls');
is( $target->sql('SELECT count(*), sum(twice), sum(seven), sum(five), count(DISTINCT number) FROM stored.computed'),
	'100|10100|700|500|100',
	'computed columns');

# Byte for byte what COPY stores: everything but what is outside of the tuple.
$target->sql('CREATE EXTENSION pageinspect; CREATE EXTENSION pg_visibility');
my $file = $target->basedir . '/rows';
my @copied = (
	[ 'stored.kinds', $layout->('stored.copied_kinds'), 'stored.copied_kinds', "id, needed, $names, last" ],
	[ 'stored.plain', 'CREATE TABLE stored.copied_plain (LIKE stored.plain)', 'stored.copied_plain', "id, $names" ],
	[ 'stored.large', 'CREATE TABLE stored.copied_large (LIKE stored.large)', 'stored.copied_large', 'id, t, by, jb, plain' ],
	[ 'stored.nulls', 'CREATE TABLE stored.copied_nulls (LIKE stored.nulls)', 'stored.copied_nulls', 'id, t' ],
	[ 'stored.bare',  'CREATE TABLE stored.copied_bare ()', 'stored.copied_bare', '' ]);
foreach my $case (@copied)
{
	my ($table, $create, $copy, $columns) = @$case;
	my $list = $columns eq '' ? '' : "($columns)";
	my $tuples = sub {
		my ($name) = @_;
		return <<SQL;
SELECT t_infomask, t_infomask2, t_hoff, t_bits, t_infomask & 4 <> 0 OR length(t_data) = lp_len - t_hoff,
	CASE WHEN t_infomask & 4 = 0 THEN t_data END
FROM generate_series(0, pg_relation_size('$name') / 8192 - 1) AS block,
	heap_page_items(get_raw_page('$name', block::int)) ORDER BY block, lp
SQL
	};

	$source->sql("\\copy $table $list TO '$file' (FORMAT binary)");
	$target->sql("BEGIN;\n$create;\n\\copy $copy $list FROM '$file' (FORMAT binary, FREEZE)\nCOMMIT");
	my $found = $target->sql($tuples->($table));
	isnt($found, '', "$table has tuples");
	ok($found eq $target->sql($tuples->($copy)), "tuples of $table are those of COPY");
	is( $target->sql("SELECT count(*) FROM pg_visibility_map('$table') WHERE NOT all_visible OR NOT all_frozen"),
		'0', "pages of $table are frozen");
	is($target->sql("SELECT count(*) FROM pg_check_frozen('$table')"), '0', 'and rightly so');
}

# Errors: what the source has and the target does not take, and the message.
on_both('CREATE SCHEMA faults; CREATE DOMAIN faults.positive AS int4; CREATE DOMAIN faults.given AS int4');
$target->sql('ALTER DOMAIN faults.positive ADD CHECK (VALUE > 0); ALTER DOMAIN faults.given SET NOT NULL');
$source->sql(<<'SQL');
CREATE CAST (bytea AS text) WITHOUT FUNCTION;
CREATE CAST (bytea AS varchar) WITHOUT FUNCTION;
CREATE CAST (int4 AS date) WITHOUT FUNCTION;
CREATE CAST (int8 AS timestamp) WITHOUT FUNCTION;
CREATE CAST (int8 AS timestamptz) WITHOUT FUNCTION;
SQL
my @faults = (
	[ 'nothing', 'int4', 'v int4 NOT NULL', 'CASE WHEN n <> 30 THEN n END',
		'23502', qr/null value in column "v" of relation "nothing" violates not-null constraint\nDETAIL:  Failing row contains \(30, null\).*\nHINT:  The source has nulls in this column.*\nCONTEXT:  COPY nothing, line 30\n/ ],
	[ 'small', 'int4', 'v int4 CHECK (v < 1500)', 'n',
		'23514', qr/new row for relation "small" violates check constraint "small_v_check"\nDETAIL:  Failing row contains \(1500, 1500\).*\nHINT:  The source has rows that this constraint.*\nCONTEXT:  COPY small, line 1500\n/ ],
	[ 'domain', 'faults.positive', 'v faults.positive', '5 - n',
		'23514', qr/value for domain faults.positive violates check constraint "positive_check".*\nCONTEXT:  COPY domain, line 5, column v\n/s ],
	[ 'needed', 'faults.given', 'v faults.given', 'CASE WHEN n <> 7 THEN n END',
		'23502', qr/domain faults.given does not allow null values.*\nCONTEXT:  COPY needed, line 7, column v\n/s ],
	[ 'encoding', 'text', 'v text', q('\\x61ff'::bytea::text),
		'22021', qr/invalid byte sequence for encoding "UTF8": 0xff.*\nCONTEXT:  COPY encoding, line 1, column v\n/s ],
	[ 'zero', 'text', 'v text', q('\\x6162636465666768006a'::bytea::text),
		'22021', qr/invalid byte sequence for encoding "UTF8": 0x00.*\nCONTEXT:  COPY zero, line 1, column v\n/s ],
	[ 'zero_tail', 'varchar(20)', 'v varchar(20)', q('\\x61626364656667686900'::bytea::varchar),
		'22021', qr/invalid byte sequence for encoding "UTF8": 0x00.*\nCONTEXT:  COPY zero_tail, line 1, column v\n/s ],
	[ 'late_date', 'date', 'v date', '2147483646::date', '22008', qr/date out of range.*\nCONTEXT:  COPY late_date, line 1, column v\n/s ],
	[ 'early_date', 'date', 'v date', '(-2451546)::date', '22008', qr/date out of range.*\nCONTEXT:  COPY early_date, line 1, column v\n/s ],
	[ 'late', 'timestamp', 'v timestamp', '9223371331200000000::timestamp', '22008', qr/timestamp out of range.*\nCONTEXT:  COPY late, line 1, column v\n/s ],
	[ 'early', 'timestamptz', 'v timestamptz', '(-211813488000000001)::timestamptz', '22008', qr/timestamp out of range.*\nCONTEXT:  COPY early, line 1, column v\n/s ],
	[ 'wide', 'text[]', 'v text[]', q(CASE n WHEN 50 THEN array_fill(repeat('w', 300), ARRAY[50]) END),
		'54000', qr/row is too big: size \d+, maximum size \d+.*\nCONTEXT:  COPY wide, line \d+\n/s ],
	[ 'short', 'float4', 'v float4', 'n', '08P01', qr/insufficient data left in message.*\nCONTEXT:  COPY short, line 1, column v\n/s, 'int2send' ],
	[ 'long', 'float4', 'v float4', 'n', '22P03', qr/incorrect binary data format.*\nCONTEXT:  COPY long, line 1, column v\n/s, 'int8send' ],
	[ 'long_array', 'float4[]', 'v float4[]', 'ARRAY[n]', '22P03', qr/improper binary format in array element 1.*\nCONTEXT:  COPY long_array, line 1, column v\n/s, 'int8send' ],
);
foreach my $fault (@faults)
{
	my ($name, $type, $columns, $value) = @$fault;

	$source->sql("CREATE TABLE faults.$name (id int4, v $type);"
		  . "INSERT INTO faults.$name SELECT n, $value FROM generate_series(1, 2000) n");
	$target->sql("CREATE TABLE faults.$name (id int4, $columns)");
}
$target->sql('ALTER TABLE faults.wide ALTER v SET STORAGE PLAIN');
grant('faults');
foreach my $fault (@faults)
{
	my ($name, undef, undef, undef, $state, $message, $send) = @$fault;

	$source->sql("UPDATE pg_type SET typsend = '$send'::regproc WHERE typname = 'float4'") if $send;
	my ($found, $stderr) = $target->sql_error(
		"SELECT ftm_run_migration(schemas => ARRAY['faults'], include => ARRAY['faults.$name'], users => false, undecided => 'keep')");
	is($found, $state, "$name: SQLSTATE");
	like($stderr, $message, "$name: message");
	is($target->sql("SELECT count(*) FROM faults.$name"), '0', "$name: nothing is stored");
	$target->sql('DELETE FROM ftm_run');
}

done_testing();
