
# What stays behind, or will go wrong, is named before the load; and what the
# target's server says during the load comes with a remedy.

use strict;
use warnings;

use FtmigrateTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = start_node('source', superuser => 'supabase_admin');
my $target = start_node('target', conf => "ftmigrate.lock_timeout = '2s'\n");
$source->load($_,
	app_role     => $FtmigrateTest::source_role,
	app_password => $FtmigrateTest::source_password)
  for qw(source_roles.sql source_auth.sql);
$source->sql('ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON DATABASE postgres TO postgres');
$target->sql('CREATE SCHEMA ftm; CREATE EXTENSION ftmigrate SCHEMA ftm;
	ALTER DATABASE postgres SET search_path = public, ftm');
$target->connect_source($source);

my ($old1, $old2, $new1) = ('a1111111-1111-4111-8111-111111111111',
	'a2111111-1111-4111-8111-111111111111', 'b1222222-2222-4222-8222-222222222222');
$source->sql("INSERT INTO auth.users (id, email) VALUES ('$old1', 'a\@example.com'), ('$old2', 'b\@example.com')");

# Rows of a check: "status|detail|hint"
sub finding
{
	my ($check, $arguments) = @_;

	return $target->sql("SELECT status || '|' || detail || '|' || coalesce(hint, '') FROM ftm_check("
		  . ($arguments // '') . ") WHERE check_name = '$check'");
}

# Drop all tables of the test on both ends
sub start_over
{
	$target->sql('SELECT ftm_rollback(max(run_id), force => true) FROM ftm_run HAVING max(run_id) IS NOT NULL')
	  if $target->sql(q(SELECT status FROM ftm_run ORDER BY run_id DESC LIMIT 1)) !~ /^(rolled back)?$/;
	$_->sql('DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC')
	  for $source, $target;
	$source->sql('ALTER SCHEMA public OWNER TO postgres');
	$target->sql('DELETE FROM ftm_user_column; DELETE FROM ftm_scanned_column');
	return;
}

#
# Left behind
#

my $ddl = <<'SQL';
CREATE TABLE files (id int PRIMARY KEY, content oid, raster lo);
CREATE TABLE parent (id int);
SQL
$source->sql("CREATE EXTENSION lo SCHEMA public; SET ROLE postgres; $ddl");
$target->sql("CREATE EXTENSION lo SCHEMA public; $ddl");
like(finding('left behind'), qr/^pass\|.*no large objects behind/, 'nothing is left behind');
$source->sql(<<'SQL');
SET ROLE postgres;
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.child () INHERITS (parent);
INSERT INTO files SELECT n, lo_from_bytea(0, decode(md5(n::text), 'hex')), lo_from_bytea(0, '\x00') FROM generate_series(1, 3) n;
INSERT INTO files VALUES (4, (SELECT content FROM files LIMIT 1), 1), (5, NULL, NULL);
SELECT lo_from_bytea(0, 'of nobody');
SQL
$target->sql('CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.child () INHERITS (parent)');
my $left = finding('left behind');
like($left, qr/^warn\|The source has large objects \(7\).*refer to 6 of them: public\.files\.content \(3\), public\.files\.raster \(3\)\.\|Copy them/m,
	'large objects');
like($left, qr/^warn\|Table elsewhere\.child of the source inherits from table public\.parent, but is not in the plan/m,
	'a child in another schema');
unlike(finding('left behind', "schemas => '{public,elsewhere}'"), qr/inherits/, 'which may be in the plan');
my $warnings;
$target->psql('postgres', 'SELECT count(*) FROM ftm_run_migration(users => false)', stderr => \$warnings);
like($warnings, qr/WARNING:  The source has large objects \(7\)/, 'a run says it, too');
# the remedy, as the hint says it
$left =~ /by (pg_dump .*?) from the source/ or die $left;
my @dump = map { s/^'|'$//gr } split ' ', $1;
my $dump = PostgreSQL::Test::Utils::tempdir() . '/large_objects.sql';
command_ok([ @dump, '-d', $source->connstr('postgres'), '-f', $dump ], 'the remedy dumps');
command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $target->connstr('postgres'), '-f', $dump ], 'and restores');
is($target->sql('SELECT id, lo_get(content), lo_get(raster) FROM files WHERE id < 4 ORDER BY 1'),
	$source->sql('SELECT id, lo_get(content), lo_get(raster) FROM files WHERE id < 4 ORDER BY 1'),
	'all large objects are there under their OIDs');
my $export = PostgreSQL::Test::Utils::tempdir();
$target->sql("SELECT count(*) FROM ftm_export('$export')");
$target->sql('SELECT ftm_rollback(max(run_id), force => true) FROM ftm_run');
$target->psql('postgres', "SELECT count(*) FROM ftm_import('$export')", stderr => \$warnings);
like($warnings, qr/WARNING:  An export contains no large objects.*: public\.files\.content, public\.files\.raster\./,
	'an import does not claim to know');
$source->sql('SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata; DROP SCHEMA elsewhere CASCADE');
$target->sql('SELECT count(lo_unlink(oid)) FROM pg_largeobject_metadata; DROP SCHEMA elsewhere CASCADE');
start_over();

#
# Ids of users in the schema
#

my $schema = <<"SQL";
CREATE TABLE d (id int PRIMARY KEY, owner uuid DEFAULT '$old1', v text);
CREATE TABLE c (id int PRIMARY KEY, owner uuid, kind text, CONSTRAINT admin CHECK (kind <> 'admin' OR owner = '$old1'));
CREATE TABLE p (id int, owner uuid NOT NULL, v text) PARTITION BY LIST (owner);
CREATE TABLE p_1 PARTITION OF p FOR VALUES IN ('$old1');
CREATE TABLE p_rest PARTITION OF p DEFAULT;
CREATE TABLE ix (id int PRIMARY KEY, owner uuid);
CREATE UNIQUE INDEX ix_owner ON ix (owner) WHERE owner <> '$old1';
CREATE INDEX ix_plain ON ix (id) WHERE owner = '$old1';
CREATE TABLE g (id int PRIMARY KEY, owner uuid, mine boolean GENERATED ALWAYS AS (owner = '$old1') STORED);
CREATE POLICY own ON d USING (owner = '$old1') WITH CHECK (owner = upper('$old1')::uuid);
CREATE FUNCTION is_admin(uuid) RETURNS boolean LANGUAGE sql AS \$\$ SELECT \$1 = '\U$old1\E'::uuid \$\$;
CREATE VIEW admins AS SELECT * FROM d WHERE owner = '$old1';
CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN RETURN NEW; END \$\$;
CREATE TRIGGER log BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION noop('$old1');
CREATE DOMAIN not_admin AS uuid CHECK (VALUE <> '$old1');
COMMENT ON TABLE d IS 'of $old1';
CREATE TABLE others (id int PRIMARY KEY, owner uuid DEFAULT 'ffffffff-1111-4111-8111-111111111111');
SQL
$source->sql("SET ROLE postgres; $schema
	ALTER TABLE d ADD FOREIGN KEY (owner) REFERENCES auth.users; ALTER TABLE c ADD FOREIGN KEY (owner) REFERENCES auth.users;
	ALTER TABLE p ADD FOREIGN KEY (owner) REFERENCES auth.users; ALTER TABLE ix ADD FOREIGN KEY (owner) REFERENCES auth.users;
	ALTER TABLE g ADD FOREIGN KEY (owner) REFERENCES auth.users;
	INSERT INTO d (id, v) VALUES (1, 'x');
	INSERT INTO c VALUES (1, '$old1', 'admin'), (2, '$old2', 'user');
	INSERT INTO p VALUES (1, '$old1', 'x'), (2, '$old2', 'y');
	INSERT INTO ix VALUES (1, '$old1'), (2, '$old1'), (3, '$old2');
	INSERT INTO g VALUES (1, '$old1'), (2, '$old2');");
$target->sql($schema);
decide_user_columns($target, 'public');

# before the users are there
like(finding('schema ids'), qr/\|Have the users created first/, 'users without new ids');
is($target->sql('SELECT count(*), count(target_user_id), count(statement) FROM ftm_schema_user_ids()'), '11|0|0',
	'all are found all the same');
$target->sql("INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES ('$old1', '$new1'), ('$old2', '$old2')");

my $ids = finding('schema ids');
like($ids, qr/^fail\|Ids of the source's users in the target's schema that rows with the new ids would not fit: 4, such as in constraint admin on public\.c, generated column public\.g\.mine, index public\.ix_owner\.\|/m,
	'what would end the load, or spoil it');
like($ids, qr/^warn\|Ids of the source's users in the target's schema: 7, such as in default public\.d\.owner, domain public\.not_admin, function public\.is_admin\(uuid\)\.\|SELECT \* FROM "?ftm"?\.ftm_schema_user_ids\(\)/m,
	'what would go stale');
my ($state, $error) = $target->sql_error('SELECT ftm_run_migration(users => false)');
like($error, qr/cannot run because of 1 problem.*Ids of the source's users.*ALTER TABLE public\.c DROP CONSTRAINT admin, ADD CONSTRAINT admin CHECK .*$new1/s,
	'a run refuses, and says what to do');
is($target->sql('SELECT object_type FROM ftm_schema_user_ids()'), <<'EOT' =~ s/\n\z//r, 'one row for each');
constraint
default
domain
function
generated column
index
index
partition
policy
trigger
view
EOT

# the statements mend all of it
$target->sql(q(SELECT statement FROM ftm_schema_user_ids() \gexec));
is($target->sql('SELECT * FROM ftm_schema_user_ids()'), '', 'the statements are the remedy');
like(finding('schema ids'), qr/^pass\|/, 'the check passes');
like(finding('definitions'), qr/^pass\|/, 'the definitions are the same, but for the ids');
$target->sql('SELECT * FROM ftm_run_migration(users => false)');
is($target->sql('SELECT kind, object, detail FROM ftm_verify() WHERE NOT ok'), '', 'all is verified');
is($target->sql(<<"SQL"), "$new1|t|1|t|1", 'each object means the new user');
SELECT (SELECT owner FROM d), (SELECT mine FROM g WHERE id = 1), (SELECT count(*) FROM p_1), is_admin('$new1'), (SELECT count(*) FROM admins)
SQL
start_over();

#
# Errors of the target's server
#

my @errors = (
	[ 'uq', 'id int PRIMARY KEY, v text', 'ADD UNIQUE (v)', "(1, 'a'), (2, 'a')", '23505', qr/HINT: .*unique index/, 'definitions' ],
	[ 'ck', 'id int PRIMARY KEY, v int', 'ADD CHECK (v > 0)', '(1, -1)', '23514', qr/HINT: .*this constraint/, 'definitions' ],
	[ 'ex', 'id int PRIMARY KEY, v int4range', 'ADD EXCLUDE USING gist (v WITH &&)', "(1, '[1,5)'), (2, '[3,7)')", '23P01', qr/HINT: .*exclusion constraint/, 'definitions' ],
	[ 'nn', 'id int PRIMARY KEY, v int', 'ALTER v SET NOT NULL', '(1, NULL)', '23502', qr/HINT: .*nulls in this column/, 'schema' ],
	[ 'js', 'id int PRIMARY KEY, v json', 'ALTER v TYPE jsonb', q((1, '{"a": "\u0000"}')), '22P05', qr/HINT: .*jsonb knows no/, 'schema' ],
);
for (@errors)
{
	my ($table, $columns, $stricter, $rows, $sqlstate, $hint, $check) = @$_;

	$source->sql("SET ROLE postgres; CREATE TABLE $table ($columns); INSERT INTO $table VALUES $rows");
	$target->sql("CREATE TABLE $table ($columns); ALTER TABLE $table $stricter");
	like(finding($check, "include => '{$table}'"), qr/^warn\|.*public\.$table/m, "$table: warned of");
	my ($got, $text) = $target->sql_error("SELECT ftm_run_migration(users => false, include => '{$table}', undecided => 'keep')");
	is($got, $sqlstate, "$table: SQLSTATE");
	like($text, $hint, "$table: hint");
	$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
}
$source->sql('SET ROLE postgres; CREATE DOMAIN pos AS int; CREATE TABLE dm (id int PRIMARY KEY, v pos); INSERT INTO dm VALUES (1, -1);
	CREATE TABLE m (id int, at date) PARTITION BY RANGE (at);
	CREATE TABLE m_2024 PARTITION OF m FOR VALUES FROM (\'2024-01-01\') TO (\'2025-01-01\');
	CREATE TABLE m_2025 PARTITION OF m FOR VALUES FROM (\'2025-01-01\') TO (\'2026-01-01\');
	INSERT INTO m VALUES (1, \'2025-02-01\')');
$target->sql('CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE dm (id int PRIMARY KEY, v pos);
	CREATE TABLE m (id int, at date) PARTITION BY RANGE (at);
	CREATE TABLE m_2024 PARTITION OF m FOR VALUES FROM (\'2024-01-01\') TO (\'2025-01-01\')');
for ([ 'dm', qr/domain public\.pos/, qr/HINT: .*the domain of the target/ ],
	[ 'm', qr/no partition of the target is that of public\.m_2025/, qr/HINT: .*Create a partition/ ])
{
	my ($table, $detail, $hint) = @$_;

	like(finding('definitions', "include => '{$table}'"), qr/^warn\|.*$detail/m, "$table: warned of");
	my ($got, $text) = $target->sql_error("SELECT ftm_run_migration(users => false, include => '{$table}', undecided => 'keep')");
	is($got, '23514', "$table: SQLSTATE");
	like($text, $hint, "$table: hint");
	$target->sql('SELECT ftm_rollback(max(run_id)) FROM ftm_run');
}
start_over();

#
# What an export has written, an import reads
#

my $deep = ('[' x 3000) . (']' x 3000);
$source->sql("SET ROLE postgres; CREATE TABLE docs (id int PRIMARY KEY, doc json, docb jsonb);
	INSERT INTO docs VALUES (1, '$deep', '$deep')");
$target->sql('CREATE TABLE docs (id int PRIMARY KEY, doc json, docb jsonb)');
my $directory = PostgreSQL::Test::Utils::tempdir();
$target->sql("SELECT * FROM ftm_export('$directory')");
$target->sql("SELECT * FROM ftm_import('$directory', undecided => 'keep')");
is($target->sql('SELECT doc, docb FROM docs'), "$deep|$deep", 'a document of 3000 levels');
start_over();

#
# Timeouts of the calling session
#

like(finding('session settings'), qr/^pass\|/, 'no timeout');
$target->sql("ALTER DATABASE postgres SET statement_timeout = '200s'");
like(finding('session settings'), qr/^warn\|.*statement_timeout of this session is 200s.*\|.*SET statement_timeout = 0/,
	'a timeout of the calling session is warned of');
$target->sql('ALTER DATABASE postgres RESET statement_timeout');

#
# A table of the source that somebody has locked
#

$source->sql('SET ROLE postgres; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)');
$target->sql('CREATE TABLE t (id int PRIMARY KEY)');
like(finding('source locks'), qr/^pass\|/, 'no lock');
my $holder = $source->start_sql('BEGIN; LOCK TABLE t; SELECT pg_sleep(600)');
my $pid = $source->wait_for_pid(q(query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'));
my $locked = $target->sql(q(SELECT check_name || '|' || status || '|' || detail || '|' || coalesce(hint, '') FROM ftm_check()));
like($locked, qr/^source locks\|fail\|Table public\.t of the source is locked by process $pid \(.*\).*\|.*pg_terminate_backend\($pid\)/m,
	'who has locked what');
like($locked, qr/^schema\|fail\|/m, 'other checks end');
like($locked, qr/^worker slots\|pass\|/m, 'and are made if they can be');
for my $call ('ftm_plan()', 'ftm_run_migration(users => false)', 'ftm_scan_user_ids()')
{
	($state, $error) = $target->sql_error("SELECT * FROM $call");
	is($state, '55P03', "$call gives up");
	like($error, qr/HINT: .*ftm_check\(\)/, 'with a hint');
}
$source->sql("SELECT pg_terminate_backend($pid)");
$holder->finish;
$target->sql('SELECT * FROM ftm_run_migration(users => false)');
is($target->sql('SELECT count(*) FROM t'), 1, 'the lock is gone, all is well');

done_testing();
