-- What CREATE SERVER and CREATE USER MAPPING accept for ftm_source and
-- ftm_stack_auth, and what ftm_create_source() makes of a connection string
\set SHOW_CONTEXT never
\pset format unaligned

CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;

-- What happens to a statement; it is undone if undo says so
CREATE FUNCTION attempt(command text, undo bool DEFAULT true,
	OUT state text, OUT message text, OUT detail text) LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE command;
	IF undo THEN
		RAISE 'accepted' USING ERRCODE = '00001';
	END IF;
	state := '00000';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE,
		message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
END
$$;
CREATE FUNCTION attempt_option(wrapper text, option text, value text,
	OUT state text, OUT message text, OUT detail text)
BEGIN ATOMIC
	SELECT * FROM attempt(format(
		'CREATE SERVER attempt FOREIGN DATA WRAPPER %I OPTIONS (%I %L)', wrapper, option, value));
END;
CREATE FUNCTION attempt_mapping(server text, option text, value text,
	OUT state text, OUT message text, OUT detail text)
BEGIN ATOMIC
	SELECT * FROM attempt(format(
		'CREATE USER MAPPING FOR CURRENT_USER SERVER %I OPTIONS (%I %L)', server, option, value));
END;

-- Neither wrapper has options of its own
ALTER FOREIGN DATA WRAPPER ftm_source OPTIONS (host 'h');
ALTER FOREIGN DATA WRAPPER ftm_stack_auth OPTIONS (api_url 'https://h');

--
-- Servers and user mappings of ftm_source
--
CREATE SERVER everything FOREIGN DATA WRAPPER ftm_source OPTIONS (
	host 'db.abc.supabase.co,10.0.0.1', hostaddr '10.0.0.2,10.0.0.1', port '5432,5433',
	dbname 'postgres', connect_timeout '5',
	keepalives '1', keepalives_idle '60', keepalives_interval '5', keepalives_count '2',
	tcp_user_timeout '30000',
	sslmode 'verify-full', sslrootcert '/etc/ssl/ca.crt', sslcrl 'a', sslcrldir 'b',
	sslcert 'c', sslkey 'd', sslsni '1', sslcompression '0',
	ssl_min_protocol_version 'TLSv1.2', ssl_max_protocol_version 'TLSv1.3',
	channel_binding 'prefer', requirepeer 'postgres', gssencmode 'disable',
	krbsrvname 'postgres', target_session_attrs 'any');
CREATE USER MAPPING FOR CURRENT_USER SERVER everything OPTIONS (
	user 'postgres', password 'p', sslpassword 'q', password_required 'false');
CREATE SERVER nothing FOREIGN DATA WRAPPER ftm_source;
CREATE USER MAPPING FOR PUBLIC SERVER nothing;

-- An unknown option, and one in the wrong place
CREATE SERVER bad FOREIGN DATA WRAPPER ftm_source OPTIONS (hots 'h');
CREATE SERVER bad FOREIGN DATA WRAPPER ftm_source OPTIONS (password 'p');
CREATE USER MAPPING FOR CURRENT_USER SERVER nothing OPTIONS (port '5432');

-- More of them: unknown, set by the extension itself, or leading to files
-- with further parameters
SELECT option, a.*
FROM unnest('{Host, fetch_size, options, application_name,
	fallback_application_name, client_encoding, replication, service, passfile,
	user, sslpassword, password_required}'::text[]) AS option,
	attempt_option('ftm_source', option, 'v') AS a;
SELECT option, a.*
FROM unnest('{host, sslcert, sslkey, passfile, service}'::text[]) AS option,
	attempt_mapping('nothing', option, 'v') AS a;

-- Values; none is repeated in a message
SELECT option, value, a.*
FROM (VALUES
	('port', '1'), ('port', '65535'), ('port', ''), ('port', '5432,'), ('port', ',5433'),
	('port', '0'), ('port', '65536'), ('port', '-1'), ('port', '5432x'), ('port', ' '),
	('port', '5432;5433'), ('port', '5432,0'), ('port', '99999999999999999999'),
	('connect_timeout', '1'), ('connect_timeout', '0'), ('connect_timeout', '1.5'),
	('connect_timeout', '10s'), ('connect_timeout', ''),
	('keepalives', '2'), ('keepalives', 'on'), ('keepalives_idle', '-1'),
	('tcp_user_timeout', '2147483648'), ('sslsni', 'x'),
	('sslmode', 'verify-ca'), ('sslmode', 'required'), ('sslmode', ''), ('sslmode', 'REQUIRE'),
	('sslmode', 'verify'), ('sslmode', 'disable, allow'), ('sslmode', ','),
	('ssl_min_protocol_version', 'TLSv1.4'), ('channel_binding', 'yes'),
	('gssencmode', 'yes'), ('target_session_attrs', 'writable')
) AS v (option, value),
	attempt_option('ftm_source', option, value) AS a;
SELECT value, a.*
FROM unnest('{true, off, 1, perhaps}'::text[]) AS value,
	attempt_mapping('nothing', 'password_required', value) AS a;

--
-- Servers and user mappings of ftm_stack_auth
--
CREATE SERVER stack_auth FOREIGN DATA WRAPPER ftm_stack_auth OPTIONS (
	api_url 'https://api.stack-auth.com/', project_id '6fbbf22e-f4b2-4c6e-95a1-beab6fa41063',
	branch_id 'main');
CREATE USER MAPPING FOR PUBLIC SERVER stack_auth OPTIONS (secret_server_key 'ssk_Aa0-_');
CREATE SERVER bad FOREIGN DATA WRAPPER ftm_stack_auth OPTIONS (secret_server_key 's');
CREATE USER MAPPING FOR CURRENT_USER SERVER stack_auth OPTIONS (api_url 'https://h');

SELECT value, a.*
FROM unnest(ARRAY[
	'https://api.stack-auth.com', 'HTTPS://h', 'https://h:8102/base/', 'https://10.0.0.1', 'https://[fe80::1]:1',
	'http://localhost:8102', 'http://LOCALHOST', 'http://127.0.0.1:8102/', 'http://127.255.0.1', 'http://[::1]:8102',
	'http://h', 'http://128.0.0.1', 'http://10.0.0.1', 'http://[::2]', 'http://localhost.example.com',
	'http://127.0.0.1.example.com', 'http://localhost@example.com', 'http://127.0.0.1:80@example.com',
	'https://user@h', 'https://user:secret@h', 'https://h?a=b', 'https://h/#a', 'https://h?',
	'ftp://localhost', 'file:///etc/passwd', 'h', '//h', 'https://', 'https:///', '', 'https://h h', E'https://h\r\nX: y'
]) AS value,
	attempt_option('ftm_stack_auth', 'api_url', value) AS a;
SELECT option, value, a.*
FROM (VALUES
	('project_id', 'internal'), ('project_id', ''), ('project_id', E'a\r\nX-Evil: b'),
	('branch_id', 'main'), ('branch_id', 'a b')
) AS v (option, value),
	attempt_option('ftm_stack_auth', option, value) AS a;
SELECT a.*
FROM unnest(ARRAY['', 'ssk_$', 'ssk_secret ', E'ssk_secret\n']) AS value,
	attempt_mapping('stack_auth', 'secret_server_key', value) AS a;

--
-- ftm_create_source()
--
CREATE VIEW connections AS
SELECT s.srvname, fdwname, array_to_string(srvoptions, ' ') AS server_options,
	usename, array_to_string(umoptions, ' ') AS mapping_options
FROM pg_foreign_server s
	JOIN pg_foreign_data_wrapper w ON w.oid = srvfdw
	LEFT JOIN pg_user_mappings m ON m.srvid = s.oid;

SELECT ftm.ftm_create_source('postgresql://postgres:p%40s%2Fs%3Aw%20rd@db.abc.supabase.co:5432/postgres');
SELECT ftm.ftm_create_source(
	'postgres://postgres.abc:pw@aws-0-eu-central-1.pooler.supabase.com:5432/postgres?sslmode=verify-ca&connect_timeout=7',
	'session pooler');
SELECT ftm.ftm_create_source('host=10.0.0.1 user=reader password=''p w'' dbname=app', 'key value');
SELECT ftm.ftm_create_source('postgresql://[::1]', server_name => 'no_user');
SELECT srvname, fdwname, server_options, usename = current_user AS for_me, mapping_options
FROM connections WHERE mapping_options ~ 'pw|w rd|p w' OR srvname = 'no_user' ORDER BY 1;

-- A server of this name exists
SELECT ftm.ftm_create_source('postgresql://u:secret@h', 'session pooler');
-- The pooler in transaction mode
SELECT ftm.ftm_create_source('postgresql://postgres:secret@db.abc.supabase.co:6543/postgres', 'bad');
-- What does not parse is not shown
SELECT ftm.ftm_create_source('postgresql://postgres:sec%ret@db.abc.supabase.co/postgres', 'bad');
-- As the dashboard shows it
SELECT ftm.ftm_create_source('postgresql://postgres:[YOUR-PASSWORD]@db.abc.supabase.co:5432/postgres', 'bad');

-- More of them: in each case a piece of the word "secret" would be in sight.
-- Nothing is created.
SELECT uri, state, message, detail, message || detail ~ 'sec|ret' AS leaks
FROM unnest(ARRAY[
	'postgresql://postgres:secret@aws-0-eu-central-1.pooler.supabase.com:6543/postgres',
	'postgresql://postgres.abc:secret@AWS-0-EU-CENTRAL-1.POOLER.SUPABASE.COM:5433/postgres',
	'host=h1,h2 port=5432,6543 password=secret',
	'postgresql://postgres:sec@ret@h:5432/postgres',
	'postgresql://postgres:sec/ret@h:5432/postgres',
	'postgresql://postgres:54/secret@h:5432/postgres',
	'postgresql://postgres:secret@h/postgres?pgbouncer=true',
	'postgresql://postgres:secret@h/postgres?application_name=secret',
	'postgresql://postgres:secret@h/postgres?options=-crole%3Dsecret',
	'postgresql://postgres:secret@h:port/postgres',
	'postgresql://postgres:secret@h/postgres?sslmode=secret',
	'postgresql+psycopg://postgres:secret@h/postgres',
	'postgresql://postgres:secret@',
	'postgresql:///postgres?password=secret',
	'password=secret',
	'secret',
	'host=h password=''secret',
	'postgresql://postgres:secret%FF@h/postgres',
	'postgresql://postgres:secret%00@h/postgres',
	''
]) AS uri, attempt(format('SELECT ftm.ftm_create_source(%L, %L)', uri, 'bad'), undo => false);
SELECT count(*) FROM pg_foreign_server WHERE srvname = 'bad';

-- It is DDL like any other
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE NOTICE '%', tg_tag;
END
$$;
CREATE EVENT TRIGGER tell ON ddl_command_end EXECUTE FUNCTION tell();
SELECT ftm.ftm_create_source('postgresql://u:secret@h', 'with trigger');
DROP EVENT TRIGGER tell;
DROP FUNCTION tell;
BEGIN READ ONLY;
SELECT ftm.ftm_create_source('postgresql://u:secret@h', 'bad');
ROLLBACK;

-- NULL gives NULL
SELECT ftm.ftm_create_source(NULL) IS NULL;

--
-- Roles
--
CREATE ROLE regress_ftm_reader;
GRANT USAGE ON SCHEMA ftm TO regress_ftm_reader;
GRANT SELECT ON connections TO regress_ftm_reader;
SET ROLE regress_ftm_reader;
SELECT ftm.ftm_create_source('postgresql://u:p@h', 'mine');
RESET ROLE;
GRANT EXECUTE ON FUNCTION ftm.ftm_create_source TO regress_ftm_reader;
SET ROLE regress_ftm_reader;
SELECT ftm.ftm_create_source('postgresql://u:p@h', 'mine');
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER ftm_source TO regress_ftm_reader;
SET ROLE regress_ftm_reader;
SELECT ftm.ftm_create_source('postgresql://u:p@h', 'mine');
SELECT srvname, usename, mapping_options FROM connections WHERE srvname = 'mine';

-- Files and sockets of this machine are for superusers
CREATE SERVER bad FOREIGN DATA WRAPPER ftm_source OPTIONS (sslrootcert '/etc/passwd');
CREATE SERVER bad FOREIGN DATA WRAPPER ftm_source OPTIONS (host 'h,/tmp');
ALTER USER MAPPING FOR CURRENT_USER SERVER mine OPTIONS (ADD password_required 'false');
SELECT option, value, a.*
FROM (VALUES
	('sslcert', 'c'), ('sslkey', 'k'), ('sslcrl', 'c'), ('sslcrldir', 'd'),
	('host', '/var/run/postgresql'), ('host', '@abstract'), ('host', 'a/b')
) AS v (option, value),
	attempt_option('ftm_source', option, value) AS a;
ALTER USER MAPPING FOR CURRENT_USER SERVER mine OPTIONS (ADD password_required 'true');
SELECT state, message FROM attempt($$SELECT ftm.ftm_create_source('host=/tmp', 'bad')$$);
RESET ROLE;
-- A superuser may
CREATE SERVER socket FOREIGN DATA WRAPPER ftm_source OPTIONS (host '/tmp');

SET client_min_messages = warning;
DROP OWNED BY regress_ftm_reader CASCADE;
DROP ROLE regress_ftm_reader;
DROP EXTENSION ftmigrate CASCADE;
DROP SCHEMA ftm;
DROP VIEW connections;
DROP FUNCTION attempt, attempt_option, attempt_mapping;
