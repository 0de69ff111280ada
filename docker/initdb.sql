-- Run by the official image in the first database of a new cluster.
CREATE SCHEMA ftm;
CREATE EXTENSION ftmigrate SCHEMA ftm;
SELECT pg_catalog.format('ALTER DATABASE %I SET search_path = public, ftm',
	pg_catalog.current_database())
\gexec
