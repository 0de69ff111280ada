-- The user map applied backwards, as ftm_verify() does it.  Expected values are
-- what map_back.c promises, worked out by hand: the map below pairs ids that are
-- recognised at a glance.
CREATE EXTENSION ftmigrate;
INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES
	('aaaaaaaa-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000001'),
	('aaaaaaaa-0000-4000-8000-000000000002', 'bbbbbbbb-0000-4000-8000-000000000002'),
	('cccccccc-0000-4000-8000-000000000003', 'cccccccc-0000-4000-8000-000000000003');

-- One id: a target id, a source id left over (flipped bits), a user whose id
-- stays the same, an id that the map lacks, NULL.
SELECT id, ftm_source_user_id(id), ftm_leftover_user_ids(id), ftm_kept_user_ids(id)
  FROM (VALUES
	(1, 'bbbbbbbb-0000-4000-8000-000000000001'::uuid),
	(2, 'aaaaaaaa-0000-4000-8000-000000000002'),
	(3, 'cccccccc-0000-4000-8000-000000000003'),
	(4, 'dddddddd-0000-4000-8000-000000000004'),
	(5, NULL)) v (n, id)
 ORDER BY n;

-- Ids inside a text.
SELECT value, ftm_source_user_ids(value) AS mapped_back,
	   ftm_leftover_user_ids(value) AS leftover,
	   ftm_kept_user_ids(value) AS kept,
	   ftm_mixed_case_user_ids(value) AS mixed
  FROM (VALUES
	(1, ''),
	(2, 'system'),
	(3, 'bbbbbbbb-0000-4000-8000-000000000001'),
	(4, 'BBBBBBBB-0000-4000-8000-000000000001'),
	(5, 'Bbbbbbbb-0000-4000-8000-000000000001'),
	(6, 'Aaaaaaaa-0000-4000-8000-000000000001'),
	(7, 'aaaaaaaa-0000-4000-8000-000000000001'),
	(8, 'AAAAAAAA-0000-4000-8000-000000000001'),
	(9, '/avatars/bbbbbbbb-0000-4000-8000-000000000001/bbbbbbbb-0000-4000-8000-000000000002.png'),
	(10, 'bbbbbbbb-0000-4000-8000-000000000001bbbbbbbb-0000-4000-8000-000000000002'),
	(11, '--------bbbbbbbb-0000-4000-8000-000000000001--------'),
	(12, 'fbbbbbbbb-0000-4000-8000-000000000001f'),
	(13, 'bbbbbbbb-0000-4000-8000-00000000000'),
	(14, 'bbbbbbbb00004000800000000000000001'),
	(15, 'bbbbbbbb-0000-4000-8000-00000000000g'),
	(16, 'dddddddd-0000-4000-8000-000000000004 cccccccc-0000-4000-8000-000000000003'),
	(17, 'éééé bbbbbbbb-0000-4000-8000-000000000002 ü'),
	(18, NULL)) v (n, value)
 ORDER BY n;

-- A text of more than a page, stored out of line.
CREATE TEMP TABLE long_text AS
	SELECT string_agg(md5(i::text), '') || 'bbbbbbbb-0000-4000-8000-000000000001' AS value
	  FROM generate_series(1, 1000) i;
SELECT right(ftm_source_user_ids(value), 40), length(value) = length(ftm_source_user_ids(value)) AS same_length
  FROM long_text;

-- A change of the map is seen by the next query, in the same transaction too.
BEGIN;
SELECT ftm_source_user_id('eeeeeeee-0000-4000-8000-000000000005');
INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES
	('aaaaaaaa-0000-4000-8000-000000000005', 'eeeeeeee-0000-4000-8000-000000000005');
SELECT ftm_source_user_id('eeeeeeee-0000-4000-8000-000000000005');
ROLLBACK;
SELECT ftm_source_user_id('eeeeeeee-0000-4000-8000-000000000005');

-- Thirty thousand users, forwards by SQL and back by the functions.
BEGIN;
INSERT INTO ftm_user_map (source_user_id, target_user_id)
	SELECT md5('source' || i)::uuid, md5('target' || i)::uuid FROM generate_series(1, 30000) i;
SELECT count(*),
	   count(*) FILTER (WHERE ftm_source_user_id(target_user_id) <> source_user_id) AS wrong,
	   count(*) FILTER (WHERE ftm_source_user_ids('{"' || target_user_id || '": 1}')
								 <> '{"' || source_user_id || '": 1}') AS wrong_in_text
  FROM ftm_user_map;
ROLLBACK;

-- A map in which an id is one user's target and another user's source is
-- refused, and so are two users who swap their ids.
BEGIN;
INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES
	('bbbbbbbb-0000-4000-8000-000000000001', 'ffffffff-0000-4000-8000-000000000006');
SELECT ftm_source_user_id('bbbbbbbb-0000-4000-8000-000000000001');
ROLLBACK;
BEGIN;
DELETE FROM ftm_user_map;
INSERT INTO ftm_user_map (source_user_id, target_user_id) VALUES
	('ffffffff-0000-4000-8000-000000000006', 'ffffffff-0000-4000-8000-000000000007'),
	('ffffffff-0000-4000-8000-000000000007', 'ffffffff-0000-4000-8000-000000000006');
DO $$
BEGIN
	PERFORM ftm_source_user_id('bbbbbbbb-0000-4000-8000-000000000001');
EXCEPTION WHEN object_not_in_prerequisite_state THEN
	RAISE NOTICE '%', SQLERRM;
END
$$;
ROLLBACK;

-- The functions tell an id's other half: nobody gets them by default.
SELECT p.proname, p.provolatile, p.proparallel, has_function_privilege('pg_monitor', p.oid, 'EXECUTE')
  FROM pg_proc p
 WHERE p.proname ~ '^ftm_(source|leftover|kept|mixed_case)_user_ids?$'
 ORDER BY p.oid::regprocedure::text;

-- With a grant, a role without any right on the table can use them.
CREATE ROLE regress_ftm_reader;
GRANT EXECUTE ON FUNCTION ftm_source_user_id(uuid) TO regress_ftm_reader;
SET ROLE regress_ftm_reader;
SELECT ftm_source_user_id('bbbbbbbb-0000-4000-8000-000000000001');
SELECT count(*) FROM ftm_user_map;
RESET ROLE;
REVOKE ALL ON FUNCTION ftm_source_user_id(uuid) FROM regress_ftm_reader;
DROP ROLE regress_ftm_reader;
DROP EXTENSION ftmigrate;
