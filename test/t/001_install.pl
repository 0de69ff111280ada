# Creating and dropping the extension: where its objects go, who may use them,
# whether all of them are documented, and that nothing stays behind.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

# Functions that any role may call, as they tell and change nothing.
my %harmless = ();

my $node = start_node('install');

# Members of the extension as pg_describe_object() has them, in order.
my $members = <<'SQL';
SELECT pg_describe_object(classid, objid, 0)
FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
ORDER BY 1
SQL

# Everything in the database that is not built in.
my $objects = <<'SQL';
SELECT 'pg_class', oid::regclass::text FROM pg_class WHERE oid >= 16384
UNION ALL
SELECT 'pg_proc', oid::regprocedure::text FROM pg_proc WHERE oid >= 16384
UNION ALL
SELECT 'pg_type', oid::regtype::text FROM pg_type WHERE oid >= 16384
UNION ALL
SELECT 'pg_namespace', nspname FROM pg_namespace WHERE oid >= 16384
UNION ALL
SELECT 'pg_foreign_data_wrapper', fdwname FROM pg_foreign_data_wrapper
UNION ALL
SELECT 'pg_foreign_server', srvname FROM pg_foreign_server
UNION ALL
SELECT 'pg_roles', rolname FROM pg_roles WHERE oid >= 16384
ORDER BY 1, 2
SQL

my $before = $node->sql($objects);

# In a schema of the DBA's choice, whatever its name
$node->sql('CREATE SCHEMA "My Ext"; CREATE EXTENSION ftmigrate SCHEMA "My Ext"');
is( $node->sql(
		q(SELECT extnamespace::regnamespace FROM pg_extension
		WHERE extname = 'ftmigrate')),
	'"My Ext"',
	'extension is in the chosen schema');
is( $node->sql(<<'SQL'), '', 'so are all its tables and functions');
SELECT pg_describe_object(classid, objid, 0)
FROM pg_depend d
LEFT JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid
LEFT JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND coalesce(relnamespace, pronamespace) <> '"My Ext"'::regnamespace
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
SQL
my $members_there = $node->sql($members);
cmp_ok(scalar(split /\n/, $members_there), '>=', 5, 'it has objects');

my ($state, $message) =
  $node->sql_error('ALTER EXTENSION ftmigrate SET SCHEMA public');
is($state, '0A000', 'extension is not relocatable');

# Nothing is left behind
$node->sql('DROP EXTENSION ftmigrate; DROP SCHEMA "My Ext"');
is($node->sql($objects), $before, 'dropping the extension leaves nothing');

# Again, in the default schema
$node->sql('CREATE EXTENSION ftmigrate');
(my $expected = $members_there) =~ s/"My Ext"\.//g;
is($node->sql($members), $expected, 'same objects in schema public');

# Its script is no script for psql
my $script = $node->config_data('--sharedir') . '/extension/ftmigrate--1.0.sql';
my ($stdout, $stderr) =
  run_command([ 'psql', '-X', '-d', $node->connstr('postgres'), '-f', $script ]);
is( $stdout . $stderr,
	'Use "CREATE EXTENSION ftmigrate" to load this file.',
	'install script refuses psql');

# Who may use what
my @public = grep { $_ } split /\n/, $node->sql(<<'SQL');
SELECT p.proname
FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid
WHERE d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
	AND d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
	AND EXISTS (
		SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner)))
		WHERE grantee = 0 AND privilege_type = 'EXECUTE')
ORDER BY 1
SQL
is(join(' ', grep { !$harmless{$_} } @public),
	'', 'PUBLIC may call none of the functions');
is( $node->sql(<<'SQL'), '', 'PUBLIC may read and write none of the tables');
SELECT c.oid::regclass, privilege_type
FROM pg_class c JOIN pg_depend d ON d.objid = c.oid
	CROSS JOIN aclexplode(relacl)
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'
	AND d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
	AND grantee = 0
SQL
$node->sql('CREATE ROLE anybody LOGIN');
is( $node->sql(<<'SQL'), '', 'nor has any other role a privilege on them');
SELECT c.oid::regclass
FROM pg_class c JOIN pg_depend d ON d.objid = c.oid
WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e'
	AND d.refclassid = 'pg_extension'::regclass
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
	AND relkind <> 'S'
	AND has_table_privilege('anybody', c.oid,
		'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
SQL

# Whatever a DBA may use is explained in the database and in docs/
is( $node->sql(<<'SQL'), '', 'all objects have comments');
SELECT pg_describe_object(classid, objid, 0)
FROM pg_depend
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
	AND classid IN ('pg_class'::regclass, 'pg_proc'::regclass,
		'pg_foreign_data_wrapper'::regclass)
	AND NOT EXISTS (SELECT FROM pg_class WHERE oid = objid AND relkind = 'S')
	AND obj_description(objid, classid::regclass::name) IS NULL
SQL
my $manual = join "\n", map { slurp_file($_) } 'README.md', glob 'docs/*.md';
my @names = split /\n/, $node->sql(<<'SQL');
LOAD 'ftmigrate';
SELECT DISTINCT coalesce(relname, proname, fdwname)
FROM pg_depend
LEFT JOIN pg_class c ON classid = 'pg_class'::regclass AND c.oid = objid
LEFT JOIN pg_proc p ON classid = 'pg_proc'::regclass AND p.oid = objid
LEFT JOIN pg_foreign_data_wrapper w
	ON classid = 'pg_foreign_data_wrapper'::regclass AND w.oid = objid
WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'ftmigrate')
	AND coalesce(relname, proname, fdwname) LIKE 'ftm%'
	AND coalesce(relkind, 'f') <> 'S'
	AND NOT EXISTS (
		SELECT FROM pg_foreign_data_wrapper WHERE fdwvalidator = p.oid)
	AND obj_description(objid, classid::regclass::name) NOT LIKE 'internal: %'
UNION
SELECT name FROM pg_settings WHERE name LIKE 'ftmigrate.%'
ORDER BY 1
SQL
is(join(' ', grep { $manual !~ /\b\Q$_\E\b/ } @names),
	'', 'all objects and settings are in the manual');
ok((grep { $_ eq 'ftmigrate.workers' } @names), 'settings among them');

# A database with rows in the extension's tables can be dumped and restored
$node->sql(<<'SQL');
INSERT INTO ftm_user_map (source_user_id, target_user_id)
VALUES ('00000000-0000-0000-0000-000000000001',
	'00000000-0000-0000-0000-000000000002');
CREATE DATABASE restored;
SQL
my $dump = $node->data_dir . '/../dump.sql';
command_ok(
	[ 'pg_dump', '-d', $node->connstr('postgres'), '-f', $dump ],
	'pg_dump');
command_ok(
	[
		'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d',
		$node->connstr('restored'), '-f', $dump
	],
	'and restore');
is( $node->safe_psql('restored', 'SELECT target_user_id FROM ftm_user_map'),
	'00000000-0000-0000-0000-000000000002',
	'keep the user map');

$node->stop;
done_testing();
