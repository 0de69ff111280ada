
# A complete run that is called again verifies anew, loads again what differs,
# and loses nothing that was written to the target since.  Foreign keys to an
# empty auth.users of the target are found before the first row is loaded.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use Test::More;

my $source = start_source(users => 5, readings => 50);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);

# A table that cannot hold ids, and so needs no scan.
$_->sql('CREATE TABLE public.counted (id serial PRIMARY KEY, n int)') foreach $source, $target;
$source->sql('GRANT SELECT ON public.counted, public.counted_id_seq TO postgres; INSERT INTO public.counted (n) SELECT generate_series(1, 10)');

my $run = 'SELECT table_name, status FROM ftm_run_migration(users => false)';
my $state_of_run = 'SELECT run_id, status, calls FROM ftm_run';

sub loaded_again
{
	my ($out) = @_;
	return join ' ', sort map { /^(.*)\|verified$/ ? $1 : () } split /\n/, $out;
}

# What cannot hold a different row: counts, xmin and storage of each table.
my $storage = <<'SQL';
SELECT string_agg(oid::regclass || ' ' || relfilenode, ', ' ORDER BY oid::regclass::text) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname !~ '^ftm_'
SQL

$target->sql($run);
my $before = $target->sql($storage);
my ($exit, $out, $err) = $target->start_sql($run)->finish;
is($exit, 0, 'a complete run can be called again');
like($err, qr/NOTICE: .*run 1 is complete, and verified anew: there is nothing to do/, 'nothing to do');
is($target->sql($storage),      $before,         'nothing was done');
is($target->sql($state_of_run), '1|verified|1', 'nothing was recorded');

# The source lives on: two tables, and a sequence.
$source->sql(<<'SQL');
UPDATE public.alerts SET title = title || '!' WHERE id = (SELECT min(id::text)::uuid FROM public.alerts);
UPDATE public.areas SET name = name || '!' WHERE id = (SELECT min(id::text)::uuid FROM public.areas);
SQL
is($target->sql(q(SELECT count(*) FROM ftm_verify() WHERE NOT ok AND kind = 'table')), '2', 'two tables differ');
($exit, $out, $err) = $target->start_sql($run)->finish;
is($exit, 0, 'called again after the source was written to') or diag $err;
is(loaded_again($out), 'public.alerts public.areas', 'these tables are loaded again');
is($target->sql($state_of_run), '1|verified|2', 'under the number of the run');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');

# The target lives on as well: nothing is emptied, not even what nobody wrote to.
$source->sql(<<'SQL');
UPDATE public.alerts SET title = title || '?' WHERE id = (SELECT min(id::text)::uuid FROM public.alerts);
UPDATE public.areas SET name = name || '?' WHERE id = (SELECT min(id::text)::uuid FROM public.areas);
SQL
$target->sql(q(UPDATE public.areas SET description = 'written here' WHERE id = (SELECT max(id::text)::uuid FROM public.areas)));
$before = $target->sql($storage);
my $rows = $target->sql('SELECT count(*) || md5(string_agg(t::text, E\'\n\' ORDER BY id)) FROM public.areas t');
my ($state, $message) = $target->sql_error($run);
is($state, '55000', 'refused after the target was written to');
like($message, qr/run 1 is complete, and the target has been written to since/, 'with the number of the run');
like($message, qr/Table public\.areas: rows inserted or updated: 1, loaded rows updated or deleted: 1\./, 'the table is named');
unlike($message, qr/Table public\.alerts/, 'the other is not');
is($target->sql($storage), $before, 'no table was emptied');
is( $target->sql('SELECT count(*) || md5(string_agg(t::text, E\'\n\' ORDER BY id)) FROM public.areas t'),
	$rows, 'no row was touched');
is($target->sql($state_of_run), '1|verified|2', 'the run stays complete');

# A sequence that the application has used is not set back.
$target->sql("SELECT ftm_rollback(1, force => true)");
$target->sql($run);
my $sequence = 'public.counted_id_seq';
$target->sql("SELECT nextval('$sequence')");
($state, $message) = $target->sql_error($run);
like($message, qr/the target has been written to since.*Sequence \Q$sequence\E: moved to/s, 'a sequence that was used is named');

# What is to be lost is lost if the call says so.
$source->sql(q(UPDATE public.areas SET name = name || '.' WHERE id = (SELECT min(id::text)::uuid FROM public.areas)));
$target->sql(q(DELETE FROM public.areas WHERE id = (SELECT max(id::text)::uuid FROM public.areas)));
$target->sql(q(SELECT ftm_run_migration(users => false, existing => 'truncate')));
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');
is($target->sql('SELECT run_id, status FROM ftm_run ORDER BY run_id DESC LIMIT 1'), '2|verified', 'it is the same run');
$target->sql("SELECT ftm_rollback(2)");

#
# Foreign keys to auth.users, as a dump of the whole schema has them.
#
$target->sql(<<'SQL');
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY);
ALTER TABLE public.profiles ADD CONSTRAINT profiles_user_fkey FOREIGN KEY (user_id) REFERENCES auth.users;
ALTER TABLE public.areas ADD CONSTRAINT "areas ""by""" FOREIGN KEY (created_by) REFERENCES auth.users;
SQL
($state, $message) = $target->sql_error($run);
is($state, '55000', 'foreign keys to an empty auth.users stop the run');
is( $target->sql('SELECT status, count(*) FROM ftm_run WHERE run_id > 2 GROUP BY 1'), '', 'before it begins');
my ($statements) = $message =~ /Table auth\.users of the target is empty.*Fill it, or execute (ALTER TABLE.*)\.\n/;
is_deeply(
	[ sort split /; /, $statements // '' ],
	[ sort 'ALTER TABLE public.areas DROP CONSTRAINT "areas ""by"""', 'ALTER TABLE public.profiles DROP CONSTRAINT profiles_user_fkey' ],
	'with the statements that drop them');
is($target->sql(q(SELECT count(*) FROM ftm_check() WHERE status = 'fail' AND detail ~ 'auth.users')), '1', 'the check says so in one row');
$target->sql($statements);
$target->sql($run);
is_deeply([ compare_rows($source, $target) ], [], 'without them the run ends well');

done_testing();
