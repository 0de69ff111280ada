
# What happens while a run waits for a lock of somebody else.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $source = start_source(users => 50, readings => 500);
my $target = start_target($source,
	conf => "ftmigrate.lock_timeout = '5min'\n");
fill_user_map($source, $target);
decide_user_columns($target);
$_->sql('CREATE TABLE public.scratch (id int PRIMARY KEY)') foreach $source, $target;
$source->sql('ALTER TABLE public.scratch OWNER TO postgres; INSERT INTO public.scratch VALUES (1)');

my $call = 'SELECT ftm_run_migration(users => false)';
my $run_waits = q(SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
	WHERE NOT l.granted AND a.backend_type = 'ftmigrate worker');

# A writer is first: its row is not in the plan, but it is seen under the lock.
my $other = $target->background_psql('postgres');
$other->query_safe('BEGIN; INSERT INTO public.scratch VALUES (99)');
my $run = $target->start_sql($call);
$target->wait_for($run_waits);
$other->query_safe('COMMIT');
my ($exit, $out, $err) = $run->finish;
isnt($exit, 0, 'rows that came after the plan stop the run');
like($err, qr/table public\.scratch already contains rows/, 'and are named');
is($target->sql('SELECT id FROM public.scratch'), '99', 'and still there');
$target->sql('TRUNCATE public.scratch');

# A writer who changes his mind.
$other->query_safe('BEGIN; INSERT INTO public.scratch VALUES (99)');
$run = $target->start_sql($call);
$target->wait_for($run_waits);

# Meanwhile nobody else runs a migration from this source ...
my ($state, $message) = $target->sql_error($call);
is($state, '55006', 'a second call is refused');
like($message, qr/in progress in another session/, 'and says why');

# ... and the leader itself holds no lock that could stop anybody.
is( $target->sql(
		q(SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		  JOIN pg_class c ON c.oid = l.relation
		  WHERE a.query LIKE '%ftm_run_migration%' AND a.backend_type = 'client backend'
			AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
			AND c.relname NOT LIKE 'ftm%' AND a.pid <> pg_backend_pid())
	),
	'0',
	'the leader holds no lock on a table of the plan');
$other->query_safe('ROLLBACK');
($exit) = $run->finish;
is($exit, 0, 'the run goes on when the lock is gone');
is($target->sql('SELECT id FROM public.scratch'), '1', 'and loads the table');

# Giving up names the table and the remedy.
$target->sql('CREATE TABLE public.scratch2 (id int)');
$source->sql('CREATE TABLE public.scratch2 (id int); ALTER TABLE public.scratch2 OWNER TO postgres');
$other->query_safe('BEGIN; SELECT count(*) FROM public.scratch2');
($state, $message) = $target->sql_error(
	q(SET ftmigrate.lock_timeout = '100ms'; SELECT ftm_run_migration(users => false, include => '{scratch2}'))
);
is($state, '55P03', 'lock_timeout ends the wait');
like($message, qr/HINT: .*ftmigrate\.lock_timeout/, 'hint');
like($message, qr/loading table public\.scratch2/,  'context');
$other->query_safe('ROLLBACK');

# Cancelling a run that waits ends it at once, workers and all.
$other->query_safe('BEGIN; SELECT count(*) FROM public.scratch2');
$run = $target->start_sql(
	q(SELECT ftm_run_migration(users => false, include => '{scratch2}'))
);
$target->wait_for($run_waits);
$target->sql(q(SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT ftm_run_migration%scratch2%'));
($exit, $out, $err) = $run->finish;
like($err, qr/57014/, 'a run that waits can be cancelled');
is( $target->sql(
		q(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'ftmigrate worker')
	),
	'0',
	'its workers are gone before the caller hears of it');
$other->quit;

done_testing();
