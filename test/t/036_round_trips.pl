
# A source that is far away: how often a run waits for an answer, connection by
# connection.  Whoever needs one more has to say so here.

use strict;
use warnings;

use FtmigrateTest;
use RowCompare;
use TcpProxy;
use Test::More;

my $source = start_source(users => 20, readings => 100);
my $target = start_target($source);
fill_user_map($source, $target);
decide_user_columns($target);
my $proxy = TcpProxy->new($source->port);
$target->sql("ALTER SERVER supabase OPTIONS (SET port '" . $proxy->port . "')");

# Encryption refused, the password's two answers, the server's greeting.
my $connect = 4;
my $tables  = keys %{ row_counts($source) };

$proxy->command('count 200');
$target->sql('SELECT ftm_run_migration(users => false, verify => false, workers => 2)');
is_deeply([ compare_rows($source, $target) ], [], 'target equals source');
my ($leader, @workers) = split ' ', $proxy->command('counts');
note "leader $leader, workers @workers, tables $tables";
is(scalar @workers, 2, 'a connection for the leader, and one for each worker');

# Settings, snapshot and catalog; types; types of types; definitions; what is
# left behind; freeze.
cmp_ok($leader, '<=', $connect + 6, 'the leader does not wait more often than it has to');

# Settings and snapshot; each table.
cmp_ok($workers[0] + $workers[1], '<=', 2 * ($connect + 1) + $tables,
	'nor do the workers');

done_testing();
