-- Sorts of index entries: in order, none lost, none made up, in memory and in
-- runs.  What there are of the latter follows from the memory: 16 kB for each of
-- 512 sorts, that is 1024 entries of 16 bytes; after every 128 runs they are
-- twice as long, up to maintenance_work_mem / 512.
\set SHOW_CONTEXT never
\pset format unaligned
\getenv srcdir PG_ABS_SRCDIR
\set module :srcdir '/modules/sorted_entries/sorted_entries'
CREATE FUNCTION sort_entries(entries bigint, ordering text, words int DEFAULT 2, sorts int DEFAULT 512)
RETURNS bigint STRICT LANGUAGE c AS :'module';
CREATE FUNCTION sort_entries_in_runs(entries bigint, ordering text, words int DEFAULT 2, sorts int DEFAULT 512)
RETURNS bigint[] STRICT LANGUAGE c AS :'module';
SET maintenance_work_mem = '64MB';

-- Any length of entry, any number around what the memory takes
SELECT entries, ordering, array_agg(words ORDER BY words) AS words
  FROM unnest('{0,1,2,1023,1024,1025,2048,2049,10000}'::bigint[]) AS entries,
	unnest('{ascending,descending,any}'::text[]) AS ordering, generate_series(2, 6) AS words
 WHERE sort_entries(entries, ordering, words) = entries
	AND coalesce((SELECT sum(length) FROM unnest(sort_entries_in_runs(entries, ordering, words)) AS length), 0) = entries
 GROUP BY entries, ordering ORDER BY entries, ordering;

-- Few runs
SELECT length, count(*) FROM unnest(sort_entries_in_runs(10000, 'any')) AS length
 GROUP BY length ORDER BY min(length) DESC;
SELECT sort_entries_in_runs(10000, 'ascending') AS one_run;
SELECT length, count(*) FROM unnest(sort_entries_in_runs(10000, 'descending')) AS length
 GROUP BY length ORDER BY min(length) DESC;

-- Many runs
SELECT length, count(*) FROM unnest(sort_entries_in_runs(2500000, 'any')) AS length
 GROUP BY length ORDER BY min(length) DESC;
SELECT sort_entries(2500000, 'any');
SELECT sort_entries_in_runs(2500000, 'ascending') AS one_run;
SET maintenance_work_mem = '1MB';
SELECT length, count(*) FROM unnest(sort_entries_in_runs(400000, 'any')) AS length
 GROUP BY length ORDER BY min(length) DESC;

-- An error leaves no file; 53400 says that a limit is exceeded
SET temp_file_limit = '100kB';
\set VERBOSITY sqlstate
SELECT sort_entries(100000, 'any');
SELECT sort_entries_in_runs(100000, 'any');
SELECT count(*) AS files FROM pg_ls_dir('base/pgsql_tmp', true, false);
RESET temp_file_limit;
\set VERBOSITY default
SELECT sort_entries(10000, 'any', 7);

DROP FUNCTION sort_entries, sort_entries_in_runs;
