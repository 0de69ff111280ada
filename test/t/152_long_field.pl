
# A field so long that a value's header would have no room for its length: once
# the length wrapped round, and the field's first bytes were taken for the next
# column, a pointer.

use strict;
use warnings;

use FtmigrateTest;
use HostileSource;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'takes some GB of memory: only with FTM_TEST_LONG=1'
  unless $ENV{FTM_TEST_LONG};

my $source = start_source(users => 1, readings => 0);
my $target = start_target($source, conf => "restart_after_crash = on\n");
my $proxy  = HostileSource->new($source->port, PostgreSQL::Test::Utils::tempdir());

$source->sql("CREATE TABLE public.long (a text, b text); INSERT INTO public.long VALUES ('a', 'b');"
	  . 'GRANT SELECT ON public.long TO PUBLIC');
$target->sql('CREATE TABLE public.long (a text, b text)');
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "')");

# An indirect pointer to 0x4141414141414141, if they were read as one.
foreach my $length (1073741824, 1073741820)
{
	$proxy->alter(
		pattern => '^COPY .*long',
		how     => 'field',
		length  => $length,
		body    => "\1\1" . 'A' x 8);
	my ($code, undef, $stderr) = $target->start_sql(
		q{SELECT ftm_run_migration(users => false, restart => true, include => '{public.long}', undecided => 'keep')})->finish;
	is($code, 1, "field of $length bytes: the call fails");
	like($stderr, qr/ERROR:  22P04: .*\nDETAIL: .*field length is $length/, "field of $length bytes: says why");
	is($proxy->altered, 1, "field of $length bytes: was sent");
}
unlike(slurp_file($target->logfile), qr/terminated by signal/, 'nobody dies');
is($target->sql('SELECT count(*) FROM public.long'), '0', 'nothing is loaded');

done_testing;
