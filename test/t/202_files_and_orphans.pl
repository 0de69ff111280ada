
# Paths of stored files are no ids of users; rows without parent that the source
# has as well, and a timeout of the caller's, are said to be that.

use strict;
use warnings;

use FtmigrateTest;
use Test::More;

my $source = start_node('source', superuser => 'supabase_admin');
my $target = start_node('target');
$source->load($_,
	app_role     => $FtmigrateTest::source_role,
	app_password => $FtmigrateTest::source_password)
  for qw(source_roles.sql source_auth.sql);
$source->sql('ALTER SCHEMA public OWNER TO postgres; GRANT CREATE ON DATABASE postgres TO postgres');
$target->sql('CREATE SCHEMA ftm; CREATE EXTENSION ftmigrate SCHEMA ftm;
	ALTER DATABASE postgres SET search_path = public, ftm');
$target->connect_source($source);
$source->sql("INSERT INTO auth.users (id, email) SELECT ('a' || n || '111111-1111-4111-8111-111111111111')::uuid, n || '\@example.com' FROM generate_series(1, 4) n");
$target->sql("INSERT INTO ftm_user_map (source_user_id, target_user_id) SELECT ('a' || n || '111111-1111-4111-8111-111111111111')::uuid, ('b' || n || '222222-2222-4222-8222-222222222222')::uuid FROM generate_series(1, 4) n");

#
# Paths
#

my $ddl = <<'SQL';
CREATE SCHEMA storage;
CREATE TABLE storage.buckets (id text PRIMARY KEY, owner uuid);
CREATE TABLE storage.objects (id uuid PRIMARY KEY, bucket_id text REFERENCES storage.buckets, name text, owner uuid, owner_id text,
	path_tokens text[] GENERATED ALWAYS AS (string_to_array(name, '/')) STORED, metadata jsonb);
CREATE TABLE profiles (id uuid PRIMARY KEY, avatar_url text, avatar_path text, avatar_file text, bucket_path text, signed_url text,
	images text[], doc jsonb, nested jsonb, folder text, odd_name text, odd_path text, note text, mail text, mixed text, or_id text, ids text[], plain jsonb);
SQL
$source->sql("SET ROLE postgres; $ddl
	ALTER TABLE profiles ADD FOREIGN KEY (id) REFERENCES auth.users");
$target->sql($ddl);
$source->sql(<<'SQL');
SET ROLE postgres;
INSERT INTO storage.buckets SELECT 'avatars', id FROM auth.users LIMIT 1;
INSERT INTO storage.objects (id, bucket_id, name, owner, owner_id, metadata)
	SELECT gen_random_uuid(), 'avatars', id || '/me.png', id, id, jsonb_build_object('by', id) FROM auth.users
	UNION ALL SELECT gen_random_uuid(), 'avatars', 'photo of ' || id, id, id, NULL FROM auth.users;
INSERT INTO profiles SELECT id,
	'https://x.supabase.co/storage/v1/object/public/avatars/' || id || '/me.png',
	id || '/me.png',
	id || '-0.4711.png',
	'avatars/' || id || '/me.JPEG',
	'/storage/v1/object/sign/avatars/' || id || '/me.png?token=x',
	ARRAY[id || '/1.png', id || '/2.jpg'],
	jsonb_build_object('path', id || '/cv.pdf'),
	jsonb_build_object('a', jsonb_build_array(jsonb_build_object('b', 'docs/' || id || '.docx'))),
	id || '/',
	'photo of ' || id,
	'avatars/photo of ' || id,
	'assigned to ' || id || '.',
	id || '@example.com',
	CASE WHEN email LIKE '1%' THEN id || '/me.png' ELSE 'by ' || id END,
	CASE WHEN email LIKE '1%' THEN id || '/me.png' ELSE id::text END,
	ARRAY[id::text, 'x'],
	jsonb_build_object('owner', id)
	FROM auth.users;
SQL
is($target->sql("SELECT column_name, suggestion, detail FROM ftm_scan_user_ids() WHERE table_name::text LIKE '%profiles' ORDER BY 1"), <<'EOT' =~ s/\n\z//r, 'paths are told from ids');
avatar_file|ignore|values with ids in paths or addresses of stored files: 4
avatar_path|ignore|values with ids in paths or addresses of stored files: 4
avatar_url|ignore|values with ids in paths or addresses of stored files: 4
bucket_path|ignore|values with ids in paths or addresses of stored files: 4
doc|ignore|values with ids in paths or addresses of stored files: 4
folder|ignore|values with ids in paths or addresses of stored files: 4
id|id|foreign key to auth.users
ids|embedded|
images|ignore|values with ids in paths or addresses of stored files: 4
mail|embedded|
mixed||values with ids in paths or addresses of stored files: 1; rewriting the other ids would rewrite those, too
nested|ignore|values with ids in paths or addresses of stored files: 4
note|embedded|
odd_name|ignore|values with ids in paths or addresses of stored files: 4
odd_path|ignore|values with ids in paths or addresses of stored files: 4
or_id|id|values with ids in paths or addresses of stored files: 1
plain|embedded|
signed_url|ignore|values with ids in paths or addresses of stored files: 4
EOT
is($target->sql("SELECT table_name, column_name, suggestion FROM ftm_scan_user_ids(schemas => '{storage}') WHERE known_ids > 0 ORDER BY 1, 2"), <<'EOT' =~ s/\n\z//r, 'objects keep their names');
storage.buckets|owner|id
storage.objects|metadata|embedded
storage.objects|name|ignore
storage.objects|owner|id
storage.objects|owner_id|id
EOT
$target->sql("SELECT * FROM ftm_accept_user_columns(mode => 'embedded')");
is($target->sql("SELECT string_agg(column_name, ',' ORDER BY column_name COLLATE \"C\") FROM ftm_user_column WHERE mode = 'ignore'"),
	'avatar_file,avatar_path,avatar_url,bucket_path,doc,folder,images,name,nested,odd_name,odd_path,signed_url',
	'a mode for all does not rewrite paths');
$target->sql("UPDATE ftm_user_column SET mode = 'id' WHERE column_name IN ('owner', 'owner_id', 'or_id')");
$target->sql("UPDATE ftm_user_column SET mode = 'ignore' WHERE column_name = 'mixed'");
$target->sql("SELECT * FROM ftm_run_migration(schemas => '{public,storage}', users => false)");
is($target->sql(q(SELECT count(*), count(*) FILTER (WHERE avatar_path LIKE 'a%/me.png' AND note LIKE '%b_222222%' AND ids[1] LIKE 'b%') FROM profiles)),
	'4|4', 'paths stay, ids do not');
is($target->sql(q(SELECT count(*) FROM profiles p JOIN storage.objects o ON o.name = p.avatar_path)), 4,
	'the application finds its files');
$target->sql('SELECT count(*) FROM ftm_rollback(1)');

#
# Rows without parent
#

$source->sql(<<'SQL');
SET ROLE postgres;
CREATE TABLE parent (id int PRIMARY KEY, a int, b text, UNIQUE (a, b));
CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent, a int, b text, FOREIGN KEY (a, b) REFERENCES parent (a, b));
INSERT INTO parent VALUES (1, 1, 'x');
INSERT INTO child VALUES (1, 1, 1, 'x'), (2, NULL, NULL, 'y');
RESET ROLE;
SET session_replication_role = replica;
INSERT INTO child VALUES (3, 7, 1, 'x'), (4, 8, 1, 'z');
SQL
$target->sql(<<'SQL');
CREATE TABLE parent (id int PRIMARY KEY, a int, b text, UNIQUE (a, b));
CREATE TABLE child (id int PRIMARY KEY, parent int CONSTRAINT to_parent REFERENCES parent, a int, b text, CONSTRAINT to_both FOREIGN KEY (a, b) REFERENCES parent (a, b));
SQL
my ($state, $error) = $target->sql_error("SELECT ftm_run_migration(include => '{parent,child}', users => false, undecided => 'keep')");
is($state, '23503', 'orphans');
like($error, qr/Rows without parent by foreign key "?to_both"? of table public\.child: 1; the source has 1 of them, too\./, 'of two columns');
like($error, qr/Rows without parent by foreign key "?to_parent"? of table public\.child: 2; the source has 2 of them, too\./, 'of one');
like($error, qr/HINT: .*The source has these rows, too.*NOT VALID/s, 'what to do about it');
# the remedy: as the hint says
$target->sql('ALTER TABLE child DROP CONSTRAINT to_parent, DROP CONSTRAINT to_both');
$target->sql("SELECT ftm_run_migration(include => '{parent,child}', users => false, undecided => 'keep')");
$target->sql('ALTER TABLE child ADD CONSTRAINT to_parent FOREIGN KEY (parent) REFERENCES parent NOT VALID');
is($target->sql('SELECT count(*) FROM child'), 4, 'the rows are accepted');

#
# The caller's timeout
#

$source->sql('SET ROLE postgres; CREATE TABLE slow (id int PRIMARY KEY)');
$target->sql('CREATE TABLE slow (id int PRIMARY KEY)');
my $holder = $target->start_sql('BEGIN; LOCK TABLE slow; SELECT pg_sleep(600)');
my $pid = $target->wait_for_pid(q(query LIKE '%pg_sleep%' AND wait_event = 'PgSleep'));
($state, $error) = $target->sql_error("SET statement_timeout = '3s'; SELECT ftm_run_migration(include => '{slow}', users => false)");
is($state, '57014', 'statement_timeout');
like($error, qr/HINT: .*SET statement_timeout = 0.*wait => false/, 'says what to do');
$target->sql("SELECT pg_terminate_backend($pid)");
$holder->finish;

done_testing();
