\echo Use "CREATE EXTENSION ftmigrate" to load this file. \quit

-- ---------------------------------------------------------------------------
-- Connections: where the source and the new auth service are (validator.c, create_source.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_source_validator(pg_catalog.text[], pg_catalog.oid)
	RETURNS pg_catalog.void
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION @extschema@.ftm_source_validator(pg_catalog.text[], pg_catalog.oid) IS
	'checks the options of servers and user mappings of ftm_source';

CREATE FOREIGN DATA WRAPPER ftm_source
	VALIDATOR @extschema@.ftm_source_validator NO HANDLER;
COMMENT ON FOREIGN DATA WRAPPER ftm_source IS
	'source databases of migrations: where they are and how to log in';

CREATE FUNCTION @extschema@.ftm_stack_auth_validator(pg_catalog.text[], pg_catalog.oid)
	RETURNS pg_catalog.void
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION @extschema@.ftm_stack_auth_validator(pg_catalog.text[], pg_catalog.oid) IS
	'checks the options of servers and user mappings of ftm_stack_auth';

CREATE FOREIGN DATA WRAPPER ftm_stack_auth
	VALIDATOR @extschema@.ftm_stack_auth_validator NO HANDLER;
COMMENT ON FOREIGN DATA WRAPPER ftm_stack_auth IS
	'Stack Auth projects that users move to: where they are and with which key';

CREATE FUNCTION @extschema@.ftm_create_source(uri pg_catalog.text, server_name pg_catalog.name DEFAULT 'supabase')
	RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME' LANGUAGE C STRICT;
COMMENT ON FUNCTION @extschema@.ftm_create_source(pg_catalog.text, pg_catalog.name) IS
	'creates server and user mapping of a source from its connection string';

REVOKE ALL ON FUNCTION @extschema@.ftm_source_validator(pg_catalog.text[], pg_catalog.oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.ftm_stack_auth_validator(pg_catalog.text[], pg_catalog.oid) FROM PUBLIC;
REVOKE ALL ON FUNCTION @extschema@.ftm_create_source(pg_catalog.text, pg_catalog.name) FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- State: runs, their tables and their log (state.c)
-- ---------------------------------------------------------------------------

CREATE TABLE @extschema@.ftm_run (
	run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	source pg_catalog.name NOT NULL,
	status pg_catalog.text NOT NULL,
	options pg_catalog.jsonb NOT NULL,
	started_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	finished_at pg_catalog.timestamptz,
	calls pg_catalog.int4 NOT NULL DEFAULT 1,
	call_started_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	source_version pg_catalog.int4,
	target_version pg_catalog.int4,
	extension_version pg_catalog.text,
	snapshot pg_catalog.text,
	source_at_snapshot pg_catalog.jsonb,
	source_at_end pg_catalog.jsonb,
	error pg_catalog.text,
	error_code pg_catalog.text,
	leader_pid pg_catalog.int4,
	leader_started pg_catalog.timestamptz,
	CHECK (status IN ('running', 'failed', 'loaded', 'verified', 'rolled back'))
);
COMMENT ON TABLE @extschema@.ftm_run IS 'migrations, one row each';

CREATE TABLE @extschema@.ftm_run_table (
	run_id pg_catalog.int8 NOT NULL REFERENCES @extschema@.ftm_run ON DELETE CASCADE,
	table_name pg_catalog.text NOT NULL,
	status pg_catalog.text NOT NULL,
	relid pg_catalog.oid NOT NULL,
	rows pg_catalog.int8,
	bytes pg_catalog.int8,
	ids_mapped pg_catalog.int8,
	ids_kept pg_catalog.int8,
	ids_undecided pg_catalog.int8,
	started_at pg_catalog.timestamptz,
	finished_at pg_catalog.timestamptz,
	error pg_catalog.text,
	error_code pg_catalog.text,
	fingerprint pg_catalog.int8,
	user_map_digest pg_catalog.int8,
	source_checksum pg_catalog.numeric,
	target_checksum pg_catalog.numeric,
	verified pg_catalog.bool,
	detail pg_catalog.text,
	load_xid pg_catalog.xid8,
	estimated_rows pg_catalog.int8,
	estimated_bytes pg_catalog.int8,
	worker_pid pg_catalog.int4,
	rows_replaced pg_catalog.bool NOT NULL DEFAULT false,
	PRIMARY KEY (run_id, table_name),
	CHECK (status IN ('pending', 'loading', 'loaded', 'failed', 'rolled back',
		'replaced'))
);
COMMENT ON TABLE @extschema@.ftm_run_table IS 'tables of a migration, one row each';

CREATE TABLE @extschema@.ftm_run_sequence (
	run_id pg_catalog.int8 NOT NULL REFERENCES @extschema@.ftm_run ON DELETE CASCADE,
	sequence_name pg_catalog.text NOT NULL,
	relid pg_catalog.oid NOT NULL,
	last_value pg_catalog.int8 NOT NULL,
	is_called pg_catalog.bool NOT NULL,
	set_last_value pg_catalog.int8 NOT NULL,
	set_is_called pg_catalog.bool NOT NULL,
	PRIMARY KEY (run_id, sequence_name)
);
COMMENT ON TABLE @extschema@.ftm_run_sequence IS
	'sequences of a migration: where each was before, and where the migration set it';

CREATE TABLE @extschema@.ftm_run_key (
	run_id pg_catalog.int8 NOT NULL REFERENCES @extschema@.ftm_run ON DELETE CASCADE,
	table_name pg_catalog.text NOT NULL,
	key_name pg_catalog.name NOT NULL,
	valid pg_catalog.bool NOT NULL,
	PRIMARY KEY (run_id, table_name, key_name)
);
COMMENT ON TABLE @extschema@.ftm_run_key IS
	'foreign keys of a migration: was each valid before';

CREATE TABLE @extschema@.ftm_run_postponed (
	run_id pg_catalog.int8 NOT NULL REFERENCES @extschema@.ftm_run ON DELETE CASCADE,
	table_name pg_catalog.text NOT NULL,
	relid pg_catalog.oid NOT NULL,
	is_index pg_catalog.bool NOT NULL,
	name pg_catalog.name NOT NULL,
	valid pg_catalog.bool NOT NULL,
	PRIMARY KEY (run_id, relid, is_index, name)
);
COMMENT ON TABLE @extschema@.ftm_run_postponed IS
	'CHECK constraints and indexes that a migration leaves to its end: was each valid before';

CREATE TABLE @extschema@.ftm_run_verdict (
	run_id pg_catalog.int8 NOT NULL REFERENCES @extschema@.ftm_run ON DELETE CASCADE,
	kind pg_catalog.text NOT NULL,
	object pg_catalog.text NOT NULL,
	ok pg_catalog.bool NOT NULL,
	detail pg_catalog.text
);
COMMENT ON TABLE @extschema@.ftm_run_verdict IS
	'what the verification of a migration says of everything but tables, one row each';

CREATE TABLE @extschema@.ftm_log (
	log_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	run_id pg_catalog.int8 REFERENCES @extschema@.ftm_run ON DELETE CASCADE,
	logged_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	level pg_catalog.text NOT NULL,
	table_name pg_catalog.text,
	message pg_catalog.text NOT NULL,
	figures pg_catalog.jsonb
);
COMMENT ON TABLE @extschema@.ftm_log IS 'what happened in each migration, in order';

-- ---------------------------------------------------------------------------
-- Users: the map, and which columns hold user ids (user_map.c, plan.c)
-- ---------------------------------------------------------------------------

CREATE TABLE @extschema@.ftm_user_map (
	source_user_id pg_catalog.uuid PRIMARY KEY,
	target_user_id pg_catalog.uuid NOT NULL UNIQUE,
	email pg_catalog.text,
	run_id pg_catalog.int8,
	created_at pg_catalog.timestamptz DEFAULT pg_catalog.clock_timestamp(),
	retain_until pg_catalog.timestamptz
);
COMMENT ON TABLE @extschema@.ftm_user_map IS 'source user id to target user id, one to one';

CREATE TABLE @extschema@.ftm_user_policy (
	source pg_catalog.name NOT NULL,
	policy pg_catalog.text NOT NULL,
	treatment pg_catalog.text NOT NULL,
	PRIMARY KEY (source, policy)
);
COMMENT ON TABLE @extschema@.ftm_user_policy IS
	'what the latest ftm_migrate_users() said about users of special kinds: every later call does so';

CREATE TABLE @extschema@.ftm_user (
	source_user_id pg_catalog.uuid PRIMARY KEY,
	source pg_catalog.name,
	email pg_catalog.text,
	user_created_at pg_catalog.timestamptz,
	status pg_catalog.text NOT NULL,
	reason pg_catalog.text,
	kind pg_catalog.text,
	treatment pg_catalog.text NOT NULL,
	target_user_id pg_catalog.uuid UNIQUE,
	keeps_password pg_catalog.bool NOT NULL DEFAULT false,
	must_reset_password pg_catalog.bool NOT NULL DEFAULT false,
	unreachable pg_catalog.bool NOT NULL DEFAULT false,
	loses_mfa pg_catalog.bool NOT NULL DEFAULT false,
	lost_providers pg_catalog.text[] NOT NULL DEFAULT '{}',
	not_carried pg_catalog.text[] NOT NULL DEFAULT '{}',
	attempts pg_catalog.int4 NOT NULL DEFAULT 0,
	sent_at pg_catalog.timestamptz,
	http_status pg_catalog.int4,
	error_code pg_catalog.text,
	request_id pg_catalog.text,
	run_id pg_catalog.int8,
	auth_server pg_catalog.name,
	project_id pg_catalog.text,
	updated_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	reset_sent_at pg_catalog.timestamptz,
	reset_in_doubt pg_catalog.bool NOT NULL DEFAULT false,
	verified pg_catalog.bool,
	verified_at pg_catalog.timestamptz,
	difference pg_catalog.text,
	CHECK (status IN ('pending', 'sending', 'created', 'matched', 'conflict',
		'in_doubt', 'failed', 'skipped', 'gone')),
	CHECK (treatment IN ('create', 'drop', 'restrict', 'disable', 'skip', 'error'))
);
COMMENT ON TABLE @extschema@.ftm_user IS
	'users of the source: where each stands on the way to the auth service, and what it loses';

CREATE TABLE @extschema@.ftm_user_column (
	schema_name pg_catalog.name NOT NULL,
	table_name pg_catalog.name NOT NULL,
	column_name pg_catalog.name NOT NULL,
	mode pg_catalog.text,
	unmapped pg_catalog.text,
	origin pg_catalog.text NOT NULL DEFAULT 'manual',
	known_ids pg_catalog.int8,
	unknown_ids pg_catalog.int8,
	suggestion pg_catalog.text,
	PRIMARY KEY (schema_name, table_name, column_name),
	CHECK (mode IN ('id', 'embedded', 'ignore')),
	CHECK (suggestion IN ('id', 'embedded', 'ignore')),
	CHECK (unmapped IN ('error', 'keep')),
	CHECK (origin IN ('foreign key', 'values', 'manual'))
);
COMMENT ON TABLE @extschema@.ftm_user_column IS
	'columns that hold user ids, beyond those that foreign keys tell; mode NULL: not decided yet';

CREATE TABLE @extschema@.ftm_scanned_column (
	schema_name pg_catalog.name NOT NULL,
	table_name pg_catalog.name NOT NULL,
	column_name pg_catalog.name NOT NULL,
	scanned_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	known_ids pg_catalog.int8 NOT NULL,
	unknown_ids pg_catalog.int8 NOT NULL,
	PRIMARY KEY (schema_name, table_name, column_name)
);
COMMENT ON TABLE @extschema@.ftm_scanned_column IS
	'columns in which user ids were looked for, found or not';

CREATE FUNCTION @extschema@.ftm_scan_user_ids(
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL)
	RETURNS TABLE (table_name pg_catalog.text, column_name pg_catalog.text,
		type pg_catalog.text, known_ids pg_catalog.int8,
		unknown_ids pg_catalog.int8, mode pg_catalog.text,
		suggestion pg_catalog.text, detail pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_scan_user_ids IS
	'looks for user ids in the source, and records the columns that hold them';
REVOKE ALL ON FUNCTION @extschema@.ftm_scan_user_ids FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_accept_user_columns(
		mode pg_catalog.text DEFAULT NULL,
		unmapped pg_catalog.text DEFAULT NULL)
	RETURNS SETOF @extschema@.ftm_user_column
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_accept_user_columns IS
	'decides all undecided columns with user ids, as suggested or as said';
REVOKE ALL ON FUNCTION @extschema@.ftm_accept_user_columns FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Users in the auth service (user_functions.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_migrate_users(
		source pg_catalog.name DEFAULT 'supabase',
		auth_server pg_catalog.name DEFAULT 'stack_auth',
		unconfirmed pg_catalog.text DEFAULT 'disable',
		anonymous pg_catalog.text DEFAULT 'create',
		phone_only pg_catalog.text DEFAULT 'create',
		sso pg_catalog.text DEFAULT 'create',
		banned pg_catalog.text DEFAULT 'disable',
		soft_deleted pg_catalog.text DEFAULT 'disable',
		refused_email pg_catalog.text DEFAULT 'error',
		refused_hash pg_catalog.text DEFAULT 'drop',
		lost_mfa pg_catalog.text DEFAULT 'restrict',
		missing_provider pg_catalog.text DEFAULT 'error',
		refused_metadata pg_catalog.text DEFAULT 'drop',
		refused_image pg_catalog.text DEFAULT 'drop',
		dry_run pg_catalog.bool DEFAULT false)
	RETURNS TABLE (aspect pg_catalog.text, value pg_catalog.text,
		users pg_catalog.int8)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_migrate_users IS
	'creates the source''s users in the auth service, each once, and reports about them';
REVOKE ALL ON FUNCTION @extschema@.ftm_migrate_users FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_match_users(
		source pg_catalog.name DEFAULT 'supabase',
		auth_server pg_catalog.name DEFAULT 'stack_auth')
	RETURNS TABLE (source_user_id pg_catalog.uuid, email pg_catalog.text,
		target_user_id pg_catalog.uuid, status pg_catalog.text,
		reason pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_match_users IS
	'maps users who are in the auth service already, by verified e-mail';
REVOKE ALL ON FUNCTION @extschema@.ftm_match_users FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_verify_users(
		source pg_catalog.name DEFAULT 'supabase',
		auth_server pg_catalog.name DEFAULT 'stack_auth',
		accounts pg_catalog.regclass DEFAULT NULL)
	RETURNS TABLE (source_user_id pg_catalog.uuid, email pg_catalog.text,
		target_user_id pg_catalog.uuid, ok pg_catalog.bool,
		difference pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_verify_users IS
	'compares the users in the auth service with the source and the user map';
REVOKE ALL ON FUNCTION @extschema@.ftm_verify_users FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_send_password_resets(
		callback_url pg_catalog.text,
		auth_server pg_catalog.name DEFAULT 'stack_auth',
		max_mails pg_catalog.int4 DEFAULT NULL,
		mails_per_hour pg_catalog.int4 DEFAULT 200)
	RETURNS pg_catalog.int4
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_send_password_resets IS
	'has the auth service send password resets to those who need one';
REVOKE ALL ON FUNCTION @extschema@.ftm_send_password_resets FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_lookup_user(what pg_catalog.text)
	RETURNS TABLE (source_user_id pg_catalog.uuid,
		target_user_id pg_catalog.uuid, email pg_catalog.text,
		status pg_catalog.text, migrated_at pg_catalog.timestamptz,
		retain_until pg_catalog.timestamptz)
	LANGUAGE sql STABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
	SELECT coalesce(m.source_user_id, u.source_user_id),
		   coalesce(m.target_user_id, u.target_user_id),
		   coalesce(m.email, u.email), u.status, m.created_at, m.retain_until
	FROM @extschema@.ftm_user_map AS m
		FULL JOIN @extschema@.ftm_user AS u
			ON u.source_user_id OPERATOR(pg_catalog.=) m.source_user_id
	WHERE pg_catalog.lower(pg_catalog.btrim(what)) OPERATOR(pg_catalog.=)
		ANY (ARRAY[m.source_user_id::pg_catalog.text,
				   u.source_user_id::pg_catalog.text,
				   m.target_user_id::pg_catalog.text,
				   u.target_user_id::pg_catalog.text,
				   pg_catalog.lower(m.email), pg_catalog.lower(u.email)]);
END;
COMMENT ON FUNCTION @extschema@.ftm_lookup_user(pg_catalog.text) IS
	'finds a user by old id, new id or e-mail';
REVOKE ALL ON FUNCTION @extschema@.ftm_lookup_user(pg_catalog.text) FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_dump_user_map()
	RETURNS pg_catalog.jsonb
	LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
	SELECT pg_catalog.jsonb_build_object(
		'generatedAt', pg_catalog.clock_timestamp(),
		'retainUntil', pg_catalog.max(retain_until),
		'mappings', coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
				'supabaseUserId', source_user_id,
				'stackAuthUserId', target_user_id,
				'email', email,
				'migratedAt', created_at)
			ORDER BY created_at, source_user_id), '[]'))
	FROM @extschema@.ftm_user_map;
END;
COMMENT ON FUNCTION @extschema@.ftm_dump_user_map() IS
	'the user map as JSON, for ftm_load_user_map() and for support';
REVOKE ALL ON FUNCTION @extschema@.ftm_dump_user_map() FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_load_user_map(map pg_catalog.jsonb)
	RETURNS pg_catalog.int8
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_load_user_map(pg_catalog.jsonb) IS
	'adds the mappings of a dumped user map; returns how many were new';
REVOKE ALL ON FUNCTION @extschema@.ftm_load_user_map(pg_catalog.jsonb) FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_purge_user_map()
	RETURNS pg_catalog.int8
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_purge_user_map() IS
	'removes entries of the user map whose time is over; returns how many';
REVOKE ALL ON FUNCTION @extschema@.ftm_purge_user_map() FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Plan (plan.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_plan(
	source pg_catalog.name DEFAULT 'supabase',
	schemas pg_catalog.text[] DEFAULT '{public}',
	include pg_catalog.text[] DEFAULT NULL,
	exclude pg_catalog.text[] DEFAULT NULL,
	OUT table_name pg_catalog.text,
	OUT level pg_catalog.int4,
	OUT rows pg_catalog.int8,
	OUT bytes pg_catalog.int8,
	OUT seconds pg_catalog.numeric,
	OUT rewritten pg_catalog.text[],
	OUT format pg_catalog.text,
	OUT method pg_catalog.text,
	OUT notes pg_catalog.text[])
	RETURNS SETOF pg_catalog.record
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_plan(pg_catalog.name, pg_catalog.text[], pg_catalog.text[], pg_catalog.text[]) IS
	'what a migration would do, table by table, and what stands in its way';
REVOKE ALL ON FUNCTION @extschema@.ftm_plan(pg_catalog.name, pg_catalog.text[], pg_catalog.text[], pg_catalog.text[]) FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Preflight (check.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_check(
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL)
	RETURNS TABLE (check_name pg_catalog.text, status pg_catalog.text,
		detail pg_catalog.text, hint pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_check IS
	'what would stop a migration, or spoil it, and what to do about it';
REVOKE ALL ON FUNCTION @extschema@.ftm_check FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- User ids in the schema itself (schema_ids.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_schema_user_ids(
		source pg_catalog.name DEFAULT 'supabase')
	RETURNS TABLE (object_type pg_catalog.text, object pg_catalog.text,
		source_user_id pg_catalog.uuid, target_user_id pg_catalog.uuid,
		statement pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_schema_user_ids IS
	'ids of the source''s users in definitions of the target''s schema, and the statements that put the new ones there';
REVOKE ALL ON FUNCTION @extschema@.ftm_schema_user_ids FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Runs (run.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_run_migration(
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL,
		workers pg_catalog.int4 DEFAULT NULL,
		unmapped pg_catalog.text DEFAULT NULL,
		existing pg_catalog.text DEFAULT 'error',
		users pg_catalog.bool DEFAULT true,
		auth_server pg_catalog.name DEFAULT 'stack_auth',
		verify pg_catalog.bool DEFAULT true,
		dry_run pg_catalog.bool DEFAULT false,
		restart pg_catalog.bool DEFAULT false,
		wait pg_catalog.bool DEFAULT true,
		undecided pg_catalog.text DEFAULT 'error',
		ids pg_catalog.text DEFAULT 'map')
	RETURNS TABLE (table_name pg_catalog.text, rows pg_catalog.int8,
		bytes pg_catalog.int8, ids_mapped pg_catalog.int8,
		ids_kept pg_catalog.int8, seconds pg_catalog.numeric,
		status pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_run_migration IS
	'runs the whole migration, or continues an unfinished one';
REVOKE ALL ON FUNCTION @extschema@.ftm_run_migration FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- What can be done to a run from outside (control.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_rollback(
		run_id pg_catalog.int8,
		force pg_catalog.bool DEFAULT false,
		users pg_catalog.bool DEFAULT false)
	RETURNS TABLE (table_name pg_catalog.text, rows pg_catalog.int8)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_rollback IS
	'empties what a run loaded and puts sequences and foreign keys back';
REVOKE ALL ON FUNCTION @extschema@.ftm_rollback FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_cancel(run_id pg_catalog.int8)
	RETURNS pg_catalog.bool
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_cancel IS
	'stops a run, whichever session leads it';
REVOKE ALL ON FUNCTION @extschema@.ftm_cancel FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_wait(run_id pg_catalog.int8 DEFAULT NULL)
	RETURNS TABLE (table_name pg_catalog.text, rows pg_catalog.int8,
		bytes pg_catalog.int8, ids_mapped pg_catalog.int8,
		ids_kept pg_catalog.int8, seconds pg_catalog.numeric,
		status pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_wait IS
	'waits for the end of a run, whichever session leads it';
REVOKE ALL ON FUNCTION @extschema@.ftm_wait FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Verification (run.c, source_activity.c, diff.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_verify(
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL)
	RETURNS TABLE (kind pg_catalog.text, object pg_catalog.text,
		source_rows pg_catalog.int8, target_rows pg_catalog.int8,
		source_checksum pg_catalog.numeric, target_checksum pg_catalog.numeric,
		ok pg_catalog.bool, detail pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_verify IS
	'compares target and source by checksums, user ids mapped back';
REVOKE ALL ON FUNCTION @extschema@.ftm_verify FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_diff(
		table_name pg_catalog.regclass,
		source pg_catalog.name DEFAULT 'supabase',
		max_rows pg_catalog.int8 DEFAULT 1000)
	RETURNS TABLE (key pg_catalog.jsonb, change pg_catalog.text,
		column_name pg_catalog.text, source_value pg_catalog.text,
		target_value pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_diff IS
	'the rows of a table that differ between source and target, column by column';
REVOKE ALL ON FUNCTION @extschema@.ftm_diff FROM PUBLIC;

-- What the target's half of a checksum maps ids back with (map_back.c).  They
-- read the user map, whatever the caller may do with it: not for PUBLIC.

CREATE FUNCTION @extschema@.ftm_source_user_id(value pg_catalog.uuid)
RETURNS pg_catalog.uuid
AS 'MODULE_PATHNAME', 'ftm_source_user_id'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_source_user_id(pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_source_user_id(pg_catalog.uuid) IS
	'internal: a user id of the target mapped back to the source''s';

CREATE FUNCTION @extschema@.ftm_source_user_ids(value pg_catalog.text)
RETURNS pg_catalog.text
AS 'MODULE_PATHNAME', 'ftm_source_user_ids'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_source_user_ids(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_source_user_ids(pg_catalog.text) IS
	'internal: a text with every user id of the target in it mapped back';

CREATE FUNCTION @extschema@.ftm_leftover_user_ids(value pg_catalog.uuid)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'ftm_leftover_user_ids_uuid'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_leftover_user_ids(pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_leftover_user_ids(pg_catalog.uuid) IS
	'internal: 1 if the value is a user id that should have been rewritten, else 0';

CREATE FUNCTION @extschema@.ftm_leftover_user_ids(value pg_catalog.text)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'ftm_leftover_user_ids_text'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_leftover_user_ids(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_leftover_user_ids(pg_catalog.text) IS
	'internal: number of user ids in the text that should have been rewritten';

CREATE FUNCTION @extschema@.ftm_kept_user_ids(value pg_catalog.uuid)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'ftm_kept_user_ids_uuid'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_kept_user_ids(pg_catalog.uuid) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_kept_user_ids(pg_catalog.uuid) IS
	'internal: 1 if the user map lacks the value on either side, else 0';

CREATE FUNCTION @extschema@.ftm_kept_user_ids(value pg_catalog.text)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'ftm_kept_user_ids_text'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_kept_user_ids(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_kept_user_ids(pg_catalog.text) IS
	'internal: number of uuids in the text that the user map lacks on either side';

CREATE FUNCTION @extschema@.ftm_mixed_case_user_ids(value pg_catalog.text)
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'ftm_mixed_case_user_ids'
LANGUAGE C STABLE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_mixed_case_user_ids(pg_catalog.text) FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_mixed_case_user_ids(pg_catalog.text) IS
	'internal: number of user ids in the text that were not rewritten because of their mixed case';

CREATE FUNCTION @extschema@.ftm_values_with_user_ids(VARIADIC "any")
RETURNS pg_catalog.int8
AS 'MODULE_PATHNAME', 'ftm_values_with_user_ids'
LANGUAGE C STABLE PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION @extschema@.ftm_values_with_user_ids(VARIADIC "any") FROM PUBLIC;
COMMENT ON FUNCTION @extschema@.ftm_values_with_user_ids(VARIADIC "any") IS
	'internal: how many of the values, each a uuid or a text, have a known user''s id in them that was not rewritten';

-- ---------------------------------------------------------------------------
-- JSON files (export.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_export(
		directory pg_catalog.text,
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL,
		compress pg_catalog.bool DEFAULT false,
		overwrite pg_catalog.bool DEFAULT false,
		password_hashes pg_catalog.bool DEFAULT false)
	RETURNS TABLE (table_name pg_catalog.text, file pg_catalog.text,
		rows pg_catalog.int8, bytes pg_catalog.int8,
		seconds pg_catalog.numeric)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_export IS
	'writes the source''s tables and users as JSON files, one per table';
REVOKE ALL ON FUNCTION @extschema@.ftm_export FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_import(
		directory pg_catalog.text,
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL,
		existing pg_catalog.text DEFAULT 'error',
		unmapped pg_catalog.text DEFAULT NULL,
		verify pg_catalog.bool DEFAULT true,
		restart pg_catalog.bool DEFAULT false,
		undecided pg_catalog.text DEFAULT 'error',
		ids pg_catalog.text DEFAULT 'map')
	RETURNS TABLE (table_name pg_catalog.text, rows pg_catalog.int8,
		bytes pg_catalog.int8, ids_mapped pg_catalog.int8,
		ids_kept pg_catalog.int8, seconds pg_catalog.numeric,
		status pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_import IS
	'loads the files of an export, user ids mapped, and verifies them';
REVOKE ALL ON FUNCTION @extschema@.ftm_import FROM PUBLIC;

CREATE FUNCTION @extschema@.ftm_verify_export(
		directory pg_catalog.text,
		source pg_catalog.name DEFAULT 'supabase',
		schemas pg_catalog.text[] DEFAULT '{public}',
		include pg_catalog.text[] DEFAULT NULL,
		exclude pg_catalog.text[] DEFAULT NULL,
		compare_source pg_catalog.bool DEFAULT true)
	RETURNS TABLE (kind pg_catalog.text, object pg_catalog.text,
		source_rows pg_catalog.int8, target_rows pg_catalog.int8,
		source_checksum pg_catalog.numeric, target_checksum pg_catalog.numeric,
		ok pg_catalog.bool, detail pg_catalog.text)
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_verify_export IS
	'compares an export with its files, the source and the target';
REVOKE ALL ON FUNCTION @extschema@.ftm_verify_export FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Progress (progress.c)
-- ---------------------------------------------------------------------------

-- So that every operator of the view is pg_catalog's; until the end of the script.
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

CREATE VIEW @extschema@.ftm_progress AS
WITH run AS (
	SELECT *
	FROM @extschema@.ftm_run
	WHERE status = 'running'
		OR run_id = (SELECT run_id FROM @extschema@.ftm_run
					 ORDER BY status = 'running' DESC, call_started_at DESC LIMIT 1)
), said AS (
	-- What each worker says it does, or has done, which of how many tasks that
	-- is, and what the server says about it.
	SELECT a.pid, a.state, substring(a.application_name FROM '\d+$')::int AS leader_pid,
		regexp_replace(a.query, ': \d+ of \d+$', '') AS query,
		substring(a.query FROM ': (\d+) of \d+$')::int AS task,
		substring(a.query FROM ': \d+ of (\d+)$')::int AS tasks,
		a.wait_event_type,
		CASE WHEN a.wait_event_type = 'Lock'
			THEN 'Lock: ' || a.wait_event || ', held by ' || array_to_string(pg_blocking_pids(a.pid), ', ')
			WHEN a.wait_event IS NOT NULL THEN a.wait_event_type || ': ' || a.wait_event
		END AS waiting_for,
		c.tuples_processed, c.bytes_processed, i.index_relid,
		CASE WHEN i.tuples_total > 0 THEN 100.0 * i.tuples_done / i.tuples_total
			WHEN i.blocks_total > 0 THEN 100.0 * i.blocks_done / i.blocks_total
		END AS index_percent
	FROM pg_stat_activity a
		LEFT JOIN pg_stat_progress_copy c ON c.pid = a.pid
		LEFT JOIN pg_stat_progress_create_index i ON i.pid = a.pid
	WHERE a.backend_type = 'ftmigrate worker'
		AND a.datname = current_database()
), worker AS (
	SELECT * FROM said WHERE state = 'active'
), leader AS (
	-- Tasks are begun in order, and all of a step begin with the same word; of
	-- users the number is that of those done.  What is done in passing, such as
	-- ANALYZE while other tables are still loaded, has no number.
	SELECT w.leader_pid, w.step, max(s.tasks) AS tasks,
		max(s.task) - count(s.task) FILTER (WHERE s.state = 'active' AND s.query NOT LIKE 'create users%') AS tasks_done
	FROM (SELECT leader_pid,
				coalesce(min(substring(query FROM '^[a-z]+')) FILTER (WHERE tasks IS NOT NULL),
						 min(substring(query FROM '^[a-z]+'))) AS step
		  FROM worker GROUP BY leader_pid) w
		JOIN said s ON s.leader_pid = w.leader_pid
			AND (s.query || ' ') LIKE w.step || ' %'
	GROUP BY w.leader_pid, w.step
), step AS (
	-- The one that each run is in.
	SELECT DISTINCT ON (r.run_id) r.run_id, l.figures ->> 'step' AS step, l.logged_at
	FROM run r JOIN @extschema@.ftm_log l ON l.run_id = r.run_id
	WHERE r.status = 'running' AND l.figures ? 'step'
		AND l.logged_at >= r.call_started_at
	ORDER BY r.run_id, l.log_id DESC
), loaded AS (
	SELECT r.run_id, r.call_started_at, t.table_name, t.estimated_rows,
		t.estimated_bytes, t.started_at, t.finished_at,
		CASE WHEN t.status <> 'loaded' OR t.verified IS NULL THEN t.status
			WHEN t.verified THEN 'verified' ELSE 'different' END AS status,
		t.status = 'loaded' AS is_loaded, t.verified IS NOT NULL AS is_verified, w.*,
		CASE WHEN t.status = 'loaded' THEN t.rows
			ELSE coalesce(substring(w.query FROM 'rebuild indexes after (\d+) rows')::bigint,
						  w.tuples_processed)
		END AS rows,
		CASE WHEN t.status = 'loaded' THEN t.bytes
			ELSE coalesce(substring(w.query FROM 'rebuild indexes after \d+ rows, (\d+) bytes')::bigint,
						  w.bytes_processed)
		END AS bytes,
		w.query LIKE 'rebuild indexes after %' AS rebuilds
	FROM run r
		JOIN @extschema@.ftm_run_table t ON t.run_id = r.run_id
		-- Several workers may check foreign keys of one table.
		LEFT JOIN LATERAL (
			SELECT *, left(w.query, length(w.query) - length('table ' || t.table_name)) AS activity
			FROM worker w
			WHERE r.status = 'running' AND w.leader_pid = r.leader_pid
				AND right(w.query, length('table ' || t.table_name)) = 'table ' || t.table_name
			ORDER BY w.pid LIMIT 1) w ON true
), measured AS (
	SELECT *,
		extract(epoch FROM CASE WHEN is_loaded THEN finished_at
			WHEN status = 'loading' THEN clock_timestamp() END - started_at) AS seconds,
		CASE WHEN is_loaded THEN 1.0
			WHEN rows >= estimated_rows THEN 1.0
			WHEN estimated_rows > 0 THEN coalesce(rows, 0)::numeric / estimated_rows
			ELSE 0.0 END AS share
	FROM loaded
), total AS (
	SELECT run_id, sum(rows)::bigint AS rows,
		sum(CASE WHEN is_loaded THEN rows ELSE greatest(estimated_rows, rows) END)::bigint AS estimated_rows,
		sum(bytes)::bigint AS bytes,
		bool_and(is_loaded) AS is_loaded,
		-- Of this call only: what an earlier one did says nothing about speed.
		sum(bytes) FILTER (WHERE started_at >= call_started_at) AS call_bytes,
		sum(share * estimated_bytes) FILTER (WHERE started_at >= call_started_at) AS call_weight,
		sum((1 - share) * estimated_bytes) AS weight_left,
		sum(estimated_bytes) FILTER (WHERE is_verified)
			/ nullif(sum(estimated_bytes), 0) AS verified_share,
		extract(epoch FROM CASE WHEN bool_and(is_loaded) THEN max(finished_at) ELSE clock_timestamp() END
			- min(started_at) FILTER (WHERE started_at >= call_started_at)) AS seconds
	FROM measured
	GROUP BY run_id
)
SELECT r.run_id, NULL::text AS table_name, r.status, s.step,
	l.tasks_done, l.tasks, t.rows, t.estimated_rows,
	CASE WHEN s.step = 'verify' THEN round(100 * coalesce(t.verified_share, 0), 1)
		WHEN t.is_loaded AND l.tasks > 0 THEN round(100.0 * l.tasks_done / l.tasks, 1)
		WHEN t.call_weight + t.weight_left > 0 THEN
		round(100 * (1 - t.weight_left / (SELECT sum(m.estimated_bytes) FROM measured m
										 WHERE m.run_id = r.run_id)), 1)
		WHEN t.is_loaded THEN 100.0 END AS percent,
	t.bytes,
	CASE WHEN t.seconds > 0 THEN (t.call_bytes / t.seconds)::bigint END AS bytes_per_second,
	CASE WHEN s.step = 'verify' AND t.verified_share > 0
		THEN make_interval(secs => round(extract(epoch FROM clock_timestamp() - s.logged_at)
										 * (1 / t.verified_share - 1), 1)::float8)
		WHEN r.status = 'running' AND t.call_weight > 0 AND NOT t.is_loaded
		THEN make_interval(secs => round(t.seconds * t.weight_left / t.call_weight, 1)::float8)
	END AS eta,
	NULL::int AS worker_pid, NULL::text AS waiting_for
FROM run r LEFT JOIN total t ON t.run_id = r.run_id
	LEFT JOIN step s ON s.run_id = r.run_id
	LEFT JOIN leader l ON l.leader_pid = r.leader_pid AND r.status = 'running'
UNION ALL
SELECT run_id, table_name, status,
	CASE WHEN rebuilds AND index_relid IS NOT NULL
		THEN 'rebuild index ' || coalesce((SELECT quote_ident(relname) FROM pg_class WHERE oid = index_relid),
										  index_relid::text)
		WHEN rebuilds THEN 'rebuild indexes'
		ELSE regexp_replace(activity, '( of)? $', '') END,
	NULL, NULL, rows, estimated_rows,
	CASE WHEN rebuilds THEN round(index_percent::numeric, 1)
		WHEN is_loaded OR rows IS NOT NULL THEN round(100 * share, 1) END,
	bytes,
	CASE WHEN seconds > 0 THEN (bytes / seconds)::bigint END,
	CASE WHEN NOT is_loaded AND NOT rebuilds AND rows > 0 AND estimated_rows >= rows
		THEN make_interval(secs => round(seconds * (estimated_rows - rows) / rows, 1)::float8) END,
	pid, waiting_for
FROM measured
UNION ALL
-- Calls that are no runs, such as ftm_verify(), and what their workers do.
SELECT NULL, NULL, 'running', l.step, l.tasks_done, l.tasks, NULL, NULL,
	round(100.0 * l.tasks_done / l.tasks, 1), NULL, NULL, NULL, l.leader_pid, NULL
FROM leader l
WHERE NOT EXISTS (SELECT FROM run r WHERE r.status = 'running' AND r.leader_pid = l.leader_pid)
UNION ALL
SELECT NULL, substring(w.query FROM ' table (.*)$'), 'running',
	regexp_replace(w.query, '( of)? table .*$', ''),
	NULL, NULL, w.tuples_processed, NULL, NULL, w.bytes_processed, NULL, NULL,
	w.pid, w.waiting_for
FROM worker w
WHERE NOT EXISTS (SELECT FROM run r WHERE r.status = 'running' AND r.leader_pid = w.leader_pid);
COMMENT ON VIEW @extschema@.ftm_progress IS
	'how far the running migration, or the last one, is: one row for the run, one per table; and what other calls do';

-- ---------------------------------------------------------------------------
-- Report (report.c)
-- ---------------------------------------------------------------------------

CREATE FUNCTION @extschema@.ftm_report(
		run_id pg_catalog.int8 DEFAULT NULL,
		emails pg_catalog.bool DEFAULT false)
	RETURNS pg_catalog.text
	AS 'MODULE_PATHNAME' LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION @extschema@.ftm_report IS
	'a run as one self-contained HTML page';
REVOKE ALL ON FUNCTION @extschema@.ftm_report FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Dump the state with the database
-- ---------------------------------------------------------------------------

SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_run', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_run_table', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_run_sequence', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_run_key', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_run_postponed', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_run_verdict', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_log', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_user_map', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_user', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_user_policy', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_user_column', '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.ftm_scanned_column', '');
