
# Files are UTF-8, whatever the encodings of the two databases.

use strict;
use warnings;

use Digest::SHA;
use Encode;
use FtmigrateTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 5, readings => 100);
my $target = start_target($source);
my $base   = PostgreSQL::Test::Utils::tempdir;
my $password = $target->literal($FtmigrateTest::source_password);
my $port     = $source->port;

# "name" has characters of LATIN1 whose bytes look like parts of characters to UTF-8.
my $ddl = qq(CREATE TABLE public.maße (id int PRIMARY KEY, größe text, doc jsonb););
my $rows = qq(INSERT INTO public.maße VALUES (1, '¡é£', '{"ä": "ö"}'), (2, 'plain', NULL), (3, 'ÿ', '["ü"]'););

foreach my $node ($source, $target)
{
	foreach my $encoding (qw(LATIN1 UTF8))
	{
		$node->sql("CREATE DATABASE in_$encoding ENCODING '$encoding' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
		in_database($node, "in_\L$encoding", $ddl);
	}
}

sub in_database
{
	my ($node, $database, $sql) = @_;

	return $node->safe_psql($database, "SET client_encoding = 'UTF8'; SET client_min_messages = error; $sql",
		extra_params => [ '-q', '-U', $node->{_superuser} ]);
}

foreach my $encoding (qw(LATIN1 UTF8))
{
	in_database($source, "in_\L$encoding", "$rows GRANT SELECT ON public.maße TO postgres;");
	in_database($target, "in_\L$encoding", <<SQL);
CREATE EXTENSION ftmigrate;
CREATE SERVER latin1 FOREIGN DATA WRAPPER ftm_source OPTIONS (host '127.0.0.1', port '$port', dbname 'in_latin1');
CREATE SERVER utf8 FOREIGN DATA WRAPPER ftm_source OPTIONS (host '127.0.0.1', port '$port', dbname 'in_utf8');
CREATE USER MAPPING FOR CURRENT_USER SERVER latin1 OPTIONS (user 'postgres', password $password);
CREATE USER MAPPING FOR CURRENT_USER SERVER utf8 OPTIONS (user 'postgres', password $password);
SQL
}

my $content  = 'SELECT string_agg(t::text, E\'\n\' ORDER BY id) FROM public.maße t';
my $expected = in_database($source, 'in_utf8', $content);

foreach my $case (
	[ 'latin1', 'latin1', 1 ],
	[ 'utf8',   'utf8',   1 ],
	[ 'latin1', 'utf8',   0 ],
	[ 'utf8',   'latin1', 0 ])
{
	my ($from, $to, $verifies) = @$case;
	my $directory = "$base/$from-$to";
	my $import    = "SELECT ftm_import('$directory', '$from'";

	mkdir $directory or die;
	in_database($target, "in_$to", "SELECT ftm_export('$directory', '$from')");
	my $metadata = decode_json(slurp_file("$directory/metadata.json"));
	my $objects  = decode_json(slurp_file("$directory/" . encode_utf8($metadata->{tables}[0]{file})));
	is($objects->[0]{"gr\xf6\xdfe"}, "\xa1\xe9\xa3", "$from to $to: the file is UTF-8");
	is_deeply($objects->[0]{doc}, { "\xe4" => "\xf6" }, "$from to $to: in documents, too");
	if (!$verifies)
	{
		my ($code, $out, $err) = $target->psql("in_$to", "$import)");
		like($err, qr/verification would find every text different/,
			"$from to $to: what could not be verified is refused");
		in_database($target, "in_$to", "$import, verify => false)");
	}
	else
	{
		in_database($target, "in_$to", "$import)");
	}
	is(in_database($target, "in_$to", $content), $expected, "$from to $to: rows are equal");
	in_database($target, "in_$to", 'SELECT ftm_rollback(max(run_id)) FROM ftm_run');
}

# What the target's encoding does not have; and where an error is, in characters.
my $directory = "$base/latin1-latin1";
my $metadata  = slurp_file("$directory/metadata.json");
my $file      = "$directory/public.ma\xc3\x9fe.json";
foreach my $case (
	[ qq([{"id":1},\n{"id":2,"größe":"€"}]), qr/has no equivalent in encoding "LATIN1".*object at line 2, column 1/s ],
	[ qq([{"größe":"£é","x":1}]), qr/At line 1, column 16: table public\."ma.*has no column "x"/ ])
{
	my ($bytes, $message) = @$case;
	my $digest = Digest::SHA::sha256_hex($bytes);

	open my $handle, '>:raw', $file or die "could not write $file: $!";
	print $handle $bytes;
	close $handle;
	open $handle, '>:raw', "$directory/metadata.json" or die;
	print $handle $metadata =~ s/"sha256": "[0-9a-f]{64}"/"sha256": "$digest"/r;
	close $handle;
	my ($code, $out, $err) = $target->psql('in_latin1',
		"SELECT ftm_import('$directory', 'latin1', restart => true)");
	like($err, $message, 'an error names the place');
}

done_testing();
