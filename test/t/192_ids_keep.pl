
# Users who keep their ids: nothing is rewritten, no scan is asked for, and every
# later function follows what the run has said.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use StackAuthStandIn;
use Test::More;

my $source = start_source(users => 6, readings => 50);
my $target = start_target($source);
my $other  = start_target($source, name => 'other');

my $keep = "ftm_run_migration(users => false, ids => 'keep')";

# All rows of both ends as they are, whatever the order of their columns.
my %columns;

sub rows_of
{
	my ($node) = @_;

	%columns = map { split /\|/ } split /\n/, $source->sql(<<'SQL') if !%columns;
SELECT attrelid::regclass, string_agg(quote_ident(attname), ', ' ORDER BY attname)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
	AND attnum > 0 AND NOT attisdropped
GROUP BY 1
SQL
	return {
		map { $_ => $node->sql("SET extra_float_digits = 3; SELECT count(*), md5(string_agg(t, E'\\n' ORDER BY t)) FROM (SELECT ROW($columns{$_})::text COLLATE \"C\" FROM $_) AS r (t)") }
		  keys %columns
	};
}

# Two rows of users who are gone, by a key that the source does not enforce.
my $gone = $source->sql('SELECT gen_random_uuid()');
$source->sql(<<SQL);
CREATE TABLE public.visits (id int PRIMARY KEY, who uuid REFERENCES auth.users, note text);
GRANT SELECT ON public.visits TO postgres;
INSERT INTO public.visits SELECT row_number() OVER (ORDER BY id), id, 'by ' || id FROM auth.users;
SET session_replication_role = replica;
INSERT INTO public.visits VALUES (100, '$gone', 'x'), (101, '$gone', 'y'), (102, NULL, NULL);
SQL
$_->sql('CREATE TABLE public.visits (id int PRIMARY KEY, who uuid, note text)') foreach $target, $other;

#
# What stands against it
#
my ($state, $message);
my $user = $source->sql('SELECT id FROM auth.users ORDER BY id LIMIT 1');
$target->sql("INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES ('$user', gen_random_uuid())");
($state, $message) = $target->sql_error("SELECT $keep");
is($state, '55000', 'refused where the user map has another id');
like($message, qr/DETAIL: +User $user becomes /, 'which is named');
$target->sql('UPDATE ftm_user_map SET target_user_id = source_user_id');

my $stack = StackAuthStandIn->start(config => { oauth_collision_seconds => 0 });
$target->connect_auth_server($stack);
($state, $message) = $target->sql_error("SELECT ftm_run_migration(ids => 'keep')");
is($state, '0A000', 'refused with a service that chooses ids');
like($message, qr/HINT: .*users => false/, 'with what to do');
is($target->sql('SELECT count(*) FROM ftm_run'), '0', 'no run has begun');
$target->sql('DROP SERVER stack_auth CASCADE');
($state, $message) = $target->sql_error("SELECT ftm_run_migration(ids => 'both')");
is($state, '22023', 'there are two ways only');

#
# The run: without a scan, without a user map
#
my ($exit, $out, $err) =
  $target->start_sql("SELECT table_name, status, ids_mapped, ids_kept FROM ftm_run_migration(ids => 'keep', dry_run => true)")->finish;
is($exit, 0, 'a dry run asks for no scan') or diag $err;
($exit, $out, $err) =
  $target->start_sql(q(SELECT table_name, status, ids_mapped, ids_kept FROM ftm_run_migration(ids => 'keep')))->finish;
is($exit, 0, 'a run asks for no scan') or diag $err;
like($err, qr/NOTICE: .*users are not moved/, 'it says that no users are moved');
like($out, qr/^public\.visits\|verified\|0\|2$/m, 'rows whose user is gone are counted');
like($err, qr/WARNING: .*table public\.visits refers to users who are gone: who \(2\), the last of them $gone/, 'and named');
is($target->sql('SELECT sum(ids_mapped) FROM ftm_run_table'), '0', 'nothing was rewritten');
is_deeply(rows_of($target), rows_of($source), 'all rows are what they were');
is($target->sql(q(SELECT options ->> 'ids' FROM ftm_run)), 'keep', 'the run has it among its options');

#
# Everything that comes later
#
is($target->sql('SELECT count(*) FROM ftm_verify() WHERE NOT ok'), '0', 'ftm_verify() follows');
is($target->sql(q(SELECT count(*) FROM ftm_diff('visits'))), '0', 'ftm_diff() follows');
is($target->sql(q(SELECT count(*) FROM ftm_plan() WHERE rewritten <> '{}')), '0', 'ftm_plan() follows');
like($target->sql(q(SELECT status || ' ' || detail FROM ftm_check() WHERE check_name = 'user columns')),
	qr/^pass User ids stay as they are/, 'ftm_check() follows');
(undef, undef, $err) = $target->start_sql('SELECT count(*) FROM ftm_scan_user_ids()')->finish;
like($err, qr/NOTICE: .*stay as they are: no column has to be decided about/, 'ftm_scan_user_ids() follows');
is($target->sql('SELECT count(*) FROM ftm_verify() WHERE NOT ok'), '0', 'also after a scan, which declares columns');

# A difference is still one.
$target->sql("UPDATE public.visits SET who = '$gone' WHERE id = 1");
is($target->sql('SELECT object FROM ftm_verify() WHERE NOT ok'), 'public.visits', 'a changed id is found');
is($target->sql(q(SELECT column_name || ' ' || source_value FROM ftm_diff('visits'))), "who $user", 'and shown');
$target->sql("UPDATE public.visits SET who = '$user' WHERE id = 1");

# Another value: neither to go on, nor for another part.
foreach my $call ('ftm_run_migration(users => false)',
	q(ftm_run_migration(users => false, include => '{areas}', undecided => 'keep')))
{
	($state, $message) = $target->sql_error("SELECT $call");
	is($state, '55000', "refused: $call");
	like($message, qr/run 1 from source "supabase" has ids => 'keep'/, 'with the run that says otherwise');
}

# To go on with an unfinished run, with the same value.
$target->sql('SELECT ftm_rollback(1, force => true)');
$target->sql('ALTER TABLE public.visits ADD CONSTRAINT not_now CHECK (id < 100)');
($state) = $target->sql_error("SELECT $keep");
is($state, '23514', 'a run that fails');
$target->sql('ALTER TABLE public.visits DROP CONSTRAINT not_now');
($state, $message) = $target->sql_error("SELECT ftm_run_migration(users => false, undecided => 'keep')");
like($message, qr/has ids => 'keep'/, 'is not continued with another value');
is($target->sql("SELECT DISTINCT status IN ('verified', 'kept') FROM $keep"), 't', 'but with the same');
is_deeply(rows_of($target), rows_of($source), 'and has all rows');

# On demand, users who are gone are an error.
($state, $message) =
  $target->sql_error(q(SELECT ftm_run_migration(users => false, ids => 'keep', unmapped => 'error', restart => true)));
is($state, '23503', 'unmapped => error');
like($message, qr/refers to users who are gone: who \(2\)/, 'names them');
is($target->sql('SELECT count(*) FROM public.visits'), '0', 'and loads none');
$target->sql("SELECT count(*) FROM $keep");

#
# Files
#
my $directory = PostgreSQL::Test::Utils::tempdir . '/kept';
mkdir $directory;
$target->sql("SELECT ftm_export('$directory')");
($state, $message) = $other->sql_error("SELECT ftm_import('$directory')");
is($state, '55000', 'an import that maps ids of an export that keeps them');
like($message, qr/The export says ids => 'keep', the call says ids => 'map'/, 'names both');
($exit, $out, $err) =
  $other->start_sql("SELECT DISTINCT status FROM ftm_import('$directory', ids => 'keep')")->finish;
is("$exit $out", "0 verified\n", 'an import keeps ids') or diag $err;
like($err, qr/table public\.visits refers to users who are gone: who \(2\)/, 'and names users who are gone, by the export');
is_deeply(rows_of($other), rows_of($source), 'all rows are what they were');

# After a rollback nothing is remembered.
$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
$target->sql('DELETE FROM ftm_scanned_column');
($state, $message) = $target->sql_error('SELECT ftm_run_migration(users => false)');
like($message, qr/nobody has looked for user ids/, 'after a rollback, ids are mapped again unless the call says otherwise');

done_testing();
