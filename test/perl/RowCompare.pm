
=pod

=head1 NAME

RowCompare - does the target hold the source's rows, by plain SQL?

=head1 SYNOPSIS

  use RowCompare;

  # One line per table that differs; none if all is well
  my @differences = compare_rows($source, $target, schemas => ['public']);

=head1 DESCRIPTION

Proves a migration without any of the extension's code.  User-id columns are
those that the source's foreign keys lead to auth.users, and those that the
target's ftm_user_column declares; there, and only there, the source's value is
replaced by what ftm_user_map says: by a join where the column is a uuid, by
replace() where ids are part of a text.  Then both ends write all rows as text,
and digests of the texts, in one order, are compared.

=cut

package RowCompare;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(compare_rows row_counts sequence_positions user_columns);

# What decides how values look as text.
my $settings = <<'SQL';
SET search_path = pg_catalog;
SET row_security = off;
SET statement_timeout = 0;
SET datestyle = 'ISO, YMD';
SET intervalstyle = postgres;
SET extra_float_digits = 3;
SET timezone = 'UTC';
SET bytea_output = hex;
SET jit = off;
SET work_mem = '64MB';
SQL

# Columns of the source that foreign keys lead to auth.users, directly or
# through other such columns.
my $user_columns_sql = <<'SQL';
WITH RECURSIVE user_column (relid, attnum) AS (
	SELECT conrelid, conkey[1] FROM pg_constraint
	WHERE contype = 'f' AND confrelid = 'auth.users'::regclass
	UNION
	SELECT c.conrelid, k.referencing
	FROM user_column u
	JOIN pg_constraint c ON c.contype = 'f' AND c.confrelid = u.relid,
	LATERAL unnest(c.conkey, c.confkey) AS k (referencing, referenced)
	WHERE k.referenced = u.attnum)
SELECT concat_ws(E'\t', n.nspname, r.relname, a.attname)
FROM user_column u
JOIN pg_class r ON r.oid = u.relid
JOIN pg_namespace n ON n.oid = r.relnamespace
JOIN pg_attribute a ON a.attrelid = u.relid AND a.attnum = u.attnum
WHERE n.nspname <> 'auth'
ORDER BY 1
SQL

# Tables (no partitions) and their columns, "-" for a table without any.
my $columns_sql = <<'SQL';
SELECT concat_ws(E'\t', n.nspname, c.relname, c.relkind,
	coalesce(a.attname, '-'),
	coalesce(format_type(a.atttypid, a.atttypmod), '-'))
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attribute a
	ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND n.nspname = ANY (string_to_array('SCHEMAS', ','))
ORDER BY n.nspname, c.relname, a.attname
SQL

# Every id in a text, in lower and in upper case.  Which ones may be there is seen
# by their form, unless two may overlap: then each of the map is looked for.
my $function_sql = <<'SQL';
CREATE FUNCTION pg_temp.map_text(value text) RETURNS text
LANGUAGE plpgsql STRICT AS $$
DECLARE
	form constant text := '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
	lowered constant text := lower(value);
	found uuid[];
	id record;
BEGIN
	IF lowered !~ form THEN
		RETURN value;
	END IF;
	IF lowered !~ (form || '-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}') THEN
		found := ARRAY(SELECT DISTINCT match[1]::uuid FROM regexp_matches(lowered, form, 'g') AS match);
	END IF;
	FOR id IN
		SELECT * FROM user_map
		WHERE (found IS NULL OR source = ANY (found)) AND strpos(lowered, source::text) > 0
	LOOP
		value := replace(value, id.source::text, id.target::text);
		value := replace(value, upper(id.source::text), upper(id.target::text));
	END LOOP;
	RETURN value;
END $$;
SQL

# What the DBA has declared, on the target.
my $declared_sql = <<'SQL';
SELECT concat_ws(E'\t', schema_name, table_name, column_name)
FROM ftm_user_column WHERE mode IN ('id', 'embedded')
SQL

sub quote_name
{
	my ($name) = @_;

	$name =~ s/"/""/g;
	return qq("$name");
}

sub read_columns
{
	my ($node, $schemas) = @_;
	my %tables;

	(my $sql = $columns_sql) =~ s/SCHEMAS/join ',', @$schemas/e;
	foreach my $line (split /\n/, $node->sql($settings . $sql))
	{
		my ($schema, $table, $kind, $column, $type) = split /\t/, $line;
		my $name = quote_name($schema) . '.' . quote_name($table);

		$tables{$name}{kind} = $kind;
		$tables{$name}{columns}{$column} = $type if $type ne '-';
	}
	return \%tables;
}

=pod

=head1 FUNCTIONS

=over

=item user_columns(SOURCE)

The user-id columns by foreign keys, as a list of ["schema"."table", "column"].

=cut

sub user_columns
{
	my ($source) = @_;

	return map {
		my ($schema, $table, $column) = split /\t/;
		[ quote_name($schema) . '.' . quote_name($table), quote_name($column) ]
	} split /\n/, $source->sql($settings . $user_columns_sql);
}

# All rows of a table in one text, as a digest and a count.
sub digest_sql
{
	my ($table, $kind, $expressions) = @_;
	my $only = $kind eq 'p' ? '' : 'ONLY ';
	my $row  = 'ROW(' . join(', ', @$expressions) . ')::text';

	return <<SQL;
SELECT count(*) || ' ' ||
	coalesce(md5(string_agg(digest, '' ORDER BY digest COLLATE "C")), '-')
FROM (SELECT md5($row) AS digest FROM $only$table AS t) AS rows;
SQL
}

# The source's value with user ids replaced.
sub mapped
{
	my ($value, $type) = @_;

	return "coalesce((SELECT m.target FROM user_map m WHERE m.source = $value), $value)"
	  if $type eq 'uuid';
	return "pg_temp.map_text($value\::text COLLATE \"C\")::$type";
}

=pod

=item compare_rows(SOURCE, TARGET, schemas => [...], exclude => {...}, skip => {...})

Texts that say what differs.  exclude names tables as "schema"."table", skip
columns as "schema"."table"."column".

=cut

sub compare_rows
{
	my ($source, $target, %params) = @_;
	my $schemas = $params{schemas} || ['public'];
	my $exclude = $params{exclude} || {};
	my $skip    = $params{skip}    || {};
	my $source_tables = read_columns($source, $schemas);
	my $target_tables = read_columns($target, $schemas);
	my %is_user_column =
	  map { ("$_->[0].$_->[1]" => 1) } user_columns($source);
	$is_user_column{ join '.', map { quote_name($_) } split /\t/ } = 1
	  foreach split /\n/, $target->sql($declared_sql);
	my (@names, @differences);
	my $map = $target->sql(
		'SELECT source_user_id, target_user_id FROM ftm_user_map',
		extra_params => [ '-F', "\t" ]);
	my $source_sql =
	  $settings
	  . "CREATE TEMP TABLE user_map (source uuid PRIMARY KEY, target uuid);\n"
	  . "COPY user_map FROM STDIN;\n$map\n\\.\n"
	  . $function_sql;
	my $target_sql = $settings;

	foreach my $name (sort keys %$source_tables)
	{
		next if $exclude->{$name};
		my $there = $target_tables->{$name};
		if (!$there)
		{
			push @differences, "$name is missing";
			next;
		}
		my $columns = $source_tables->{$name}{columns};
		my (@source_expressions, @target_expressions);
		foreach my $column (sort keys %$columns)
		{
			my $quoted = quote_name($column);
			next if $skip->{"$name.$quoted"};
			my $type   = $there->{columns}{$column};
			if (!defined $type)
			{
				push @differences, "$name.$quoted is missing";
				next;
			}
			my $expression = "t.$quoted";
			$expression = mapped($expression, $columns->{$column})
			  if $is_user_column{"$name.$quoted"};
			$expression = "($expression)::$type"
			  if $type ne $columns->{$column};
			push @source_expressions, $expression;
			push @target_expressions, "t.$quoted";
		}
		push @names, $name;
		$source_sql .= digest_sql($name, $source_tables->{$name}{kind},
			\@source_expressions);
		$target_sql .=
		  digest_sql($name, $there->{kind}, \@target_expressions);
	}

	my @source_digests = split /\n/, $source->sql($source_sql);
	my @target_digests = split /\n/, $target->sql($target_sql);
	die "rows of a table are missing" if @source_digests != @names;
	foreach my $i (0 .. $#names)
	{
		next if $source_digests[$i] eq $target_digests[$i];
		push @differences,
		  "$names[$i]: $source_digests[$i] in the source, "
		  . "$target_digests[$i] in the target";
	}
	return @differences;
}

=pod

=item row_counts(NODE, schemas => [...])

A hash of "schema"."table" to its number of rows.

=cut

sub row_counts
{
	my ($node, %params) = @_;
	my $tables = read_columns($node, $params{schemas} || ['public']);
	my @names  = sort keys %$tables;
	my $sql    = join '', map {
		my $only = $tables->{$_}{kind} eq 'p' ? '' : 'ONLY ';
		"SELECT count(*) FROM $only$_;\n"
	} @names;
	my @counts = split /\n/, $node->sql($settings . $sql);
	my %result;

	@result{@names} = @counts;
	return \%result;
}

=pod

=item sequence_positions(NODE, schemas => [...])

Where sequences are, the extension's own apart, and whether they were called:
a line of text for each.

=cut

sub sequence_positions
{
	my ($node, %params) = @_;
	my $schemas = join ',', @{ $params{schemas} || ['public'] };

	return $node->sql($settings . <<SQL);
SELECT format('SELECT ''%1\$I.%2\$I'', last_value, is_called FROM %1\$I.%2\$I', schemaname, sequencename)
FROM pg_sequences
WHERE schemaname = ANY (string_to_array('$schemas', ',')) AND sequencename NOT LIKE 'ftm\\_%'
ORDER BY schemaname, sequencename
\\gexec
SQL
}

=pod

=back

=cut

1;
