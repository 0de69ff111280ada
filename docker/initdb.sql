-- Run by the official image in the first database of a new cluster.
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
-- No schema in which others may create functions that would be called instead.
SELECT pg_catalog.format('ALTER ROLE CURRENT_USER IN DATABASE %I SET search_path = pg_catalog, ftm',
	pg_catalog.current_database())
\gexec
