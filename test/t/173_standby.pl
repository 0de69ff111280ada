
# On a standby no background worker starts, and nothing can be written: whatever
# needs either says so at once, and what only reads works.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_source(users => 5, readings => 20);
my $target = start_target($source, conf => "max_wal_senders = 5\nhot_standby = on\n");
fill_user_map($source, $target);
$target->load('user_columns.sql');
decide_user_columns($target);
$target->sql('SELECT ftm_run_migration(users => false)');
$target->sql(<<'SQL');
CREATE SERVER stack_auth FOREIGN DATA WRAPPER ftm_stack_auth
	OPTIONS (api_url 'http://127.0.0.1:1', project_id '11111111-1111-4111-8111-111111111111');
CREATE USER MAPPING FOR CURRENT_USER SERVER stack_auth OPTIONS (secret_server_key 'key');
SQL

$target->append_conf('pg_hba.conf', "local replication all trust\n");
$target->reload;
my $standby = FtmigrateTest::Node->new('standby');
$target->backup('base');
$standby->init_from_backup($target, 'base', has_streaming => 1);
$standby->start;
$target->wait_for_catchup($standby, 'replay', $target->lsn('insert'));
is($standby->sql('SELECT pg_is_in_recovery()'), 't', 'there is a standby');

my $directory = PostgreSQL::Test::Utils::tempdir;
my %refused   = (
	'ftm_run_migration'        => "ftm_run_migration(users => false)",
	'ftm_run_migration, dry'   => "ftm_run_migration(dry_run => true)",
	'ftm_run_migration, background' => "ftm_run_migration(wait => false)",
	'ftm_verify'               => "ftm_verify()",
	'ftm_rollback'             => "ftm_rollback(1)",
	'ftm_wait'                 => "ftm_wait()",
	'ftm_cancel'               => "ftm_cancel(1)",
	'ftm_plan'                 => "ftm_plan()",
	'ftm_check'                => "ftm_check()",
	'ftm_scan_user_ids'        => "ftm_scan_user_ids()",
	'ftm_accept_user_columns'  => "ftm_accept_user_columns()",
	'ftm_export'               => "ftm_export('$directory')",
	'ftm_import'               => "ftm_import('$directory')",
	'ftm_verify_export'        => "ftm_verify_export('$directory')",
	'ftm_migrate_users'        => "ftm_migrate_users()",
	'ftm_migrate_users, dry'   => "ftm_migrate_users(dry_run => true)",
	'ftm_match_users'          => "ftm_match_users()",
	'ftm_verify_users'         => "ftm_verify_users()",
	'ftm_send_password_resets' => "ftm_send_password_resets('https://app.example')",
	'ftm_load_user_map'        => q(ftm_load_user_map('{"mappings": []}')),
	'ftm_purge_user_map'       => "ftm_purge_user_map()",
	'ftm_create_source'        => "ftm_create_source('host=127.0.0.1 dbname=postgres user=a password=b')");
foreach my $what (sort keys %refused)
{
	my ($function) = $what =~ /^(\w+)/;
	my ($state, $message) =
	  $standby->sql_error("SET statement_timeout = '60s'; SELECT $refused{$what}");

	is($state, '25006', "$what: is refused");
	like($message,
		qr/cannot execute $function\(\) during recovery.*HINT:  This server is a standby\.  Call the function on its primary/s,
		"$what: with its name and a hint");
}

# All functions of the extension are either above or here.
my %works = (
	'ftm_diff'           => q(SELECT count(*) FROM ftm_diff('public.profiles')),
	'ftm_report'         => q(SELECT length(ftm_report(1)) > 0),
	'ftm_dump_user_map'  => q(SELECT ftm_dump_user_map() ->> 'mappings' IS NOT NULL),
	'ftm_lookup_user'    => q(SELECT count(*) FROM ftm_user_map m, ftm_lookup_user(m.source_user_id::text)),
	'ftm_schema_user_ids' => q(SELECT count(*) FROM ftm_schema_user_ids()),
	'ftm_source_user_id' => q(SELECT count(ftm_source_user_id(target_user_id)) FROM ftm_user_map),
	'ftm_progress'       => q(SELECT count(*) >= 0 FROM ftm_progress),
	'ftm_run'            => q(SELECT status FROM ftm_run));
foreach my $what (sort keys %works)
{
	is($standby->sql($works{$what}), $target->sql($works{$what}), "$what: works as on the primary");
}
my $others = $target->sql(<<'SQL');
SELECT string_agg(DISTINCT proname, ' ' ORDER BY proname) FROM pg_depend
JOIN pg_proc p ON p.oid = objid JOIN pg_extension e ON e.oid = refobjid
WHERE classid = 'pg_proc'::regclass AND extname = 'ftmigrate' AND prosecdef IS NOT NULL
SQL
my %known = map { /^(\w+)/ => 1 } keys %refused, keys %works;
is( join(' ', grep { !$known{$_} } split / /, $others),
	'ftm_kept_user_ids ftm_leftover_user_ids ftm_mixed_case_user_ids ftm_source_user_ids ftm_source_validator ftm_stack_auth_validator ftm_values_with_user_ids',
	'there is no other function but those of verification and the validators');

is($standby->sql(q(SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'ftmigrate%')), '0',
	'no worker was asked for');

# After a promotion, everything works.
$standby->promote;
is($standby->sql('SELECT bool_and(ok) FROM ftm_verify()'), 't', 'a promoted standby verifies');

done_testing();
