
# ftm_report(): a page that is whole, tells the truth and gives nothing away.

use strict;
use warnings;

use Compress::Zlib;
use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 60, readings => 30000);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);
my ($state, $message) = $target->sql_error('SELECT ftm_report()');
like($message, qr/there is no run/, 'no run, no report');

# A table with a hostile name, a column that is not ASCII, and an error that
# names an e-mail address.
my $hostile = q("<script>alert('x')</script> & ""sons"" é");
$_->sql(qq(CREATE TABLE public.$hostile (id int)))  foreach $source, $target;
$source->sql(qq(ALTER TABLE public.$hostile OWNER TO postgres; INSERT INTO public.$hostile VALUES (1)));
$_->sql(q(CREATE TABLE public."it's" (n serial)))  foreach $source, $target;
$source->sql(q(ALTER TABLE public."it's" OWNER TO postgres));
$target->sql(qq(ALTER TABLE public.$hostile ADD CONSTRAINT "no mallory\@example.com" CHECK (false)));
$target->sql_error('SELECT ftm_run_migration(users => false)');

my $failed = $target->sql('SELECT ftm_report()');
like($failed, qr/<header class="bad">\n<p class="kicker">[^<]*<\/p>\n<h1>Failed/,
	'the verdict comes first');
like($failed, qr/violates check constraint/, 'with its reason');
unlike($failed, qr/mallory/,  'an e-mail address in a message is left out');
unlike($failed, qr/<script/i, 'a hostile name is only text');
like($failed, qr/&lt;script&gt;alert\(&#39;x&#39;\)/, 'which can be read');
like($target->sql('SELECT ftm_report(emails => true)'),
	qr/no mallory\@example\.com/, 'unless asked for');

# What can be in a table name and not in XML.
$target->sql(qq(UPDATE ftm_log SET message = E'bell \\x07, \x{c3}\x{a9}, \x{f0}\x{9f}\x{98}\x{80}, \x{ef}\x{bf}\x{bf}' WHERE level = 'ERROR'));
like($target->sql('SELECT ftm_report()'),
	qr/bell &#xFFFD;, &#xE9;, &#x1F600;, &#xFFFD;/, 'characters of all kinds');

$target->sql(qq(ALTER TABLE public.$hostile DROP CONSTRAINT "no mallory\@example.com"));
$target->sql('SELECT ftm_run_migration(users => false, workers => 3)');
$target->sql(<<'SQL');
INSERT INTO ftm_user (source_user_id, email, status, treatment, reason)
SELECT source_user_id, 'user' || n || '@example.com', CASE WHEN n <= 2 THEN 'conflict' ELSE 'created' END,
	'create', CASE WHEN n <= 2 THEN 'user' || n || '@example.com is taken' END
FROM (SELECT source_user_id, row_number() OVER (ORDER BY source_user_id) AS n FROM ftm_user_map) m
SQL

my $report = $target->sql('SELECT ftm_report(1)');
like($report, qr/<header class="good">/, 'the run has succeeded by now');
is( $target->sql(q(SELECT xmlparse(DOCUMENT ftm_report(1)) IS DOCUMENT)),
	't',
	'the page is well-formed');
unlike($report, qr/[^\n\t -~]/, 'and plain ASCII');
unlike($report, qr/example\.com/, 'no e-mail address');
unlike($report, qr/(?:src|href)=|url\(|\@import|<link|<script/i, 'nothing from elsewhere');
unlike($report, qr/pass'word|pass&#39;word/, 'no password');

# Its numbers are those of the tables, read from the page by an XML parser.
my $xml = q(xmlparse(DOCUMENT ftm_report(1)));
my $ns  = q(ARRAY[ARRAY['h', 'http://www.w3.org/1999/xhtml']]);
sub xpath
{
	my ($path) = @_;
	return $target->sql(qq(SELECT unnest(xpath('$path', $xml, $ns))::text));
}
is( xpath(q(//h:td[. = "public.sensor_readings"][1]/following-sibling::h:td[1][../h:td[9]]/text())),
	'30,000', 'rows of a table');
is( xpath(q(//h:td[. = "public.sensor_readings"]/following-sibling::h:td[7]/text())),
	$target->sql(q(SELECT target_checksum FROM ftm_run_table WHERE table_name = 'public.sensor_readings')),
	'its checksum');
is( xpath(q(//h:td[. = "public.sensor_readings"]/following-sibling::h:td[8]/text())),
	'verified', 'its result');
is( scalar(split /\n/, xpath(q(//h:h2[. = "Tables"]/following-sibling::h:div[1]//h:tbody/h:tr/h:td[1]/text()))),
	$target->sql('SELECT count(*) FROM ftm_run_table'),
	'every table is there');
is( xpath(q(//h:h2[starts-with(., "Keys, sequences")]/following-sibling::h:div[1]//h:tbody/h:tr[h:td[1] = "foreign key" and h:td[3] = "verified"]/h:td[2]/text())),
	$target->sql(q(SELECT format('%I on %s', conname, conrelid::regclass) FROM (
		SELECT conname, conrelid FROM pg_constraint WHERE contype = 'f' AND conparentid = 0
			AND (conrelid IN (SELECT relid FROM ftm_run_table WHERE run_id = 1)
				OR confrelid IN (SELECT relid FROM ftm_run_table WHERE run_id = 1))) k
		ORDER BY 1)) =~ s/ on / on public./gr,
	'every foreign key is there');
is( xpath(q(//h:h2[starts-with(., "Keys, sequences")]/following-sibling::h:div[1]//h:tbody/h:tr[h:td[1] = "sequence"]/h:td[2]/text())),
	qq(public."it's_n_seq"),
	'and every sequence');
is( xpath(q(//h:td[. = "PostgreSQL of the target"]/following-sibling::h:td/text())),
	$target->sql(q(SELECT split_part(current_setting('server_version'), ' ', 1))),
	'version of the target');
is(xpath(q(//h:td[. = "conflict"]/following-sibling::h:td[2]/text())),
	'2', 'users by outcome');

($state, $message) = $target->sql_error('SELECT ftm_report(99)');
is($state, '42704', 'no such run');
$target->sql('CREATE ROLE nobody LOGIN');
($state) = $target->sql_error('SET ROLE nobody; SELECT ftm_report(1)');
is($state, '42501', 'not for everybody');

# The colour of a picture's first pixel.  Whatever the filter of the first row
# is, that pixel has no neighbours to be subtracted.
sub first_pixel
{
	my $png = slurp_file($_[0]);
	my $data = '';

	for (my $at = 8; $at < length $png;)
	{
		my ($length, $type) = unpack 'N a4', substr $png, $at, 8;

		$data .= substr $png, $at + 8, $length if $type eq 'IDAT';
		$at += 12 + $length;
	}
	return '#' . unpack 'H6', substr Compress::Zlib::uncompress($data), 1, 3;
}

# What a browser makes of it: two pictures, light and dark, and paper.
my ($browser) = grep { -x $_ } map { ("$_/chromium", "$_/chromium-browser", "$_/google-chrome") } split /:/, $ENV{PATH};
SKIP:
{
	skip 'THERE IS NO CHROMIUM: the page is not rendered', 3 if !$browser;

	my $folder = PostgreSQL::Test::Utils::tempdir;
	append_to_file("$folder/report.html", $target->sql('SELECT ftm_report(1)'));
	foreach my $scheme ('light', 'dark')
	{
		my $picture = "$folder/$scheme.png";

		run_log(
			[
				$browser, '--headless', '--no-sandbox', '--disable-gpu',
				'--disable-dev-shm-usage', "--user-data-dir=$folder/$scheme",
				'--blink-settings=preferredColorScheme=' . ($scheme eq 'dark' ? 0 : 1),
				'--host-resolver-rules=MAP * ~NOTFOUND',
				'--hide-scrollbars', '--window-size=1200,1600',
				"--screenshot=$picture", "file://$folder/report.html"
			]);
		is(first_pixel($picture), $scheme eq 'dark' ? '#14181f' : '#ffffff', "rendered, $scheme");
	}
	run_log(
		[
			$browser, '--headless', '--no-sandbox', '--disable-gpu',
			'--disable-dev-shm-usage', "--user-data-dir=$folder/paper",
			'--host-resolver-rules=MAP * ~NOTFOUND',
			"--print-to-pdf=$folder/report.pdf", "file://$folder/report.html"
		]);
	like(slurp_file("$folder/report.pdf"), qr/^%PDF.*%%EOF\s*$/s, 'printed');
}

done_testing();
