-- ftm_verify(): every type that a column can have.
--
-- Two values whose text or binary form differs must give two checksums.  Each
-- value below is the only row of a table of its own, on both ends; the
-- checksums of one type's tables must be as many as its values, and source and
-- target must agree on each.
SET client_min_messages = warning;
\set home :DBNAME
CREATE DATABASE regress_ftm_source;
\c regress_ftm_source
SET client_min_messages = warning;
CREATE SCHEMA app;
CREATE TYPE app.label AS ENUM ('a', 'b', '');
CREATE TYPE app.pair AS (a int8, b text);
CREATE TYPE app.scale AS RANGE (subtype = numeric);
CREATE DOMAIN app.amount AS numeric;
CREATE DOMAIN app.words AS text[];
CREATE DOMAIN app.id AS app.amount;

-- Type and values, as an array of texts that the type's input function reads.
-- Among them are pairs that are equal, or have the same hash.
CREATE TABLE public.samples (type text, vals text[]);
INSERT INTO public.samples VALUES
	('bool', '{t,f}'),
	('bytea', '{"",\\x00,\\x0000,\\xff}'),
	('"char"', '{"",a,b}'),
	('name', '{"",a,b,"a "}'),
	('int8', '{0,-1,4294967295,4294967296,1,-4294967296,9223372036854775807,-9223372036854775808}'),
	('int2', '{0,-1,32767,-32768}'),
	('int2vector', '{"",0,"0 0",1}'),
	('int4', '{0,-1,2147483647,-2147483648}'),
	('regproc', '{-,pg_catalog.now,pg_catalog.version}'),
	('text', '{"",a,"a "," a",A,NULL,"(a)","\"a\"",ä,"a\u0308"}'),
	('oid', '{0,1,4294967295}'),
	('tid', '{"(0,1)","(1,0)","(0,2)"}'),
	('xid', '{0,1,4294967295}'),
	('cid', '{0,1,4294967295}'),
	('oidvector', '{"",0,"0 0",1}'),
	('json', '{"{}","{ }","{\"a\":1}","{\"a\":1.0}","null",NULL,"\"\""}'),
	('xml', '{<a/>,<a></a>,<b/>,""}'),
	('point', '{"(0,0)","(-0,0)","(0,-0)","(1,0)"}'),
	('lseg', '{"[(0,0),(1,1)]","[(1,1),(0,0)]","[(-0,0),(1,1)]"}'),
	('path', '{"((0,0),(1,1))","[(0,0),(1,1)]","[(0,0),(1,1),(0,0)]"}'),
	('box', '{"(1,1),(0,0)","(1,1),(-0,0)","(2,0.5),(0,0)"}'),
	('polygon', '{"((0,0),(1,1))","((1,1),(0,0))","((0,0),(1,1),(1,1))"}'),
	('line', '{"{1,2,3}","{2,4,6}","{-1,-2,-3}"}'),
	('circle', '{"<(0,0),1>","<(1,0),1>","<(-0,0),1>"}'),
	('float4', '{0,-0,NaN,Infinity,-Infinity,1,1.0000001,1e-45}'),
	('float8', '{0,-0,NaN,Infinity,-Infinity,1,1.0000000000000002,5e-324,0.1,0.30000000000000004,0.3}'),
	('money', '{0,1.00,-1.00,42949672.96}'),
	('macaddr', '{00:00:00:00:00:00,00:00:00:00:00:01}'),
	('macaddr8', '{00:00:00:00:00:00:00:00,00:00:00:ff:fe:00:00:00}'),
	('inet', '{10.0.0.1,10.0.0.1/8,10.0.0.0/8,::1,::,0.0.0.0}'),
	('cidr', '{10.0.0.0/8,10.0.0.0/16,::/0,0.0.0.0/0}'),
	('aclitem', '{=r/pg_monitor,=rw/pg_monitor,=/pg_monitor}'),
	('bpchar', '{"",a,"a ","a  "}'),
	('varchar', '{"",a,"a ",A}'),
	('date', '{2000-01-01,2000-01-02,infinity,-infinity}'),
	('time', '{00:00,24:00,00:00:00.000001,01:11:34.967295,01:11:34.967296}'),
	('timetz', '{00:00+00,01:00+01,00:00:00.000001+00}'),
	('timestamp', '{2000-01-01,"2000-01-01 00:00:00.000001","1999-12-31 23:59:59.999999","2000-01-01 01:11:34.967295",infinity,-infinity}'),
	('timestamptz', '{2000-01-01Z,"2000-01-01 00:00:00.000001Z","1999-12-31 23:59:59.999999Z","2000-01-01 01:11:34.967295Z",infinity,-infinity}'),
	('interval', '{0,"1 mon","30 days","720:00","1 day",24:00}'),
	('bit(3)', '{000,001,100}'),
	('varbit', '{"",0,00,1}'),
	('numeric', '{0,0.0,0.00,1,1.0,1.00,-1,1e10,10000000000.0,NaN,Infinity,-Infinity,1e-20}'),
	('refcursor', '{"",a,b}'),
	('regprocedure', '{-,pg_catalog.now(),pg_catalog.version()}'),
	('regoper', '{0,pg_catalog.||/,pg_catalog.|/}'),
	('regoperator', '{0,"pg_catalog.+(int4,int4)","pg_catalog.+(int8,int8)"}'),
	('regclass', '{-,pg_catalog.pg_class,pg_catalog.pg_proc}'),
	('regcollation', '{-,"pg_catalog.\"C\"","pg_catalog.\"POSIX\""}'),
	('regtype', '{-,int4,int8}'),
	('regrole', '{-,pg_monitor,pg_signal_backend}'),
	('regnamespace', '{-,pg_catalog,public}'),
	('regconfig', '{-,pg_catalog.simple,pg_catalog.english}'),
	('regdictionary', '{-,pg_catalog.simple,pg_catalog.english_stem}'),
	('uuid', '{00000000-0000-0000-0000-000000000000,00000000-0000-0000-0000-000000000001}'),
	('pg_lsn', '{0/0,0/1,1/0,FFFFFFFF/FFFFFFFF}'),
	('tsvector', '{"",a,a:1,a:1A,"a b"}'),
	('tsquery', '{"",a,a:A,a:*,"a & b","b & a"}'),
	('jsonb', '{"{}","[]","{\"a\": 1}","{\"a\": 1.0}",1,1.0,"\"1\"","null",NULL,"\"\""}'),
	('jsonpath', '{$,$.a,"strict $"}'),
	('txid_snapshot', '{1:1:,1:2:,1:2:1}'),
	('pg_snapshot', '{1:1:,1:2:,1:2:1}'),
	('xid8', '{0,1,4294967295,4294967296}'),
	('int4range', '{empty,"[1,2)","[1,3)","(,)","[1,)"}'),
	('numrange', '{empty,"[1,2)","[1.0,2)","[1,2]","(1,2)"}'),
	('tsrange', '{empty,"[2000-01-01,2000-01-02)","[2000-01-01,2000-01-02]"}'),
	('tstzrange', '{empty,"[2000-01-01Z,2000-01-02Z)","[2000-01-01Z,2000-01-02Z]"}'),
	('daterange', '{empty,"[2000-01-01,2000-01-02)","[2000-01-01,2000-01-03)"}'),
	('int8range', '{empty,"[-1,0)","[4294967295,4294967296)"}'),
	('int4multirange', '{"{}","{[1,2)}","{[1,2),[3,4)}"}'),
	('nummultirange', '{"{}","{[1,2)}","{[1.0,2)}"}'),
	('tsmultirange', '{"{}","{[2000-01-01,2000-01-02)}","{[2000-01-01,2000-01-02]}"}'),
	('tstzmultirange', '{"{}","{[2000-01-01Z,2000-01-02Z)}","{[2000-01-01Z,2000-01-02Z]}"}'),
	('datemultirange', '{"{}","{[2000-01-01,2000-01-02)}","{[2000-01-01,2000-01-03)}"}'),
	('int8multirange', '{"{}","{[-1,0)}","{[4294967295,4294967296)}"}'),
	('app.label', '{a,b,""}'),
	('app.pair', '{"(,)","(0,)","(,\"\")","(0,\"\")","(-1,a)","(4294967295,a)"}'),
	('app.scale', '{"[1,2]","[1.0,2]","[1,2)"}'),
	('app.amount', '{1,1.0,NULL,NaN}'),
	('app.id', '{1,1.0,NULL,NaN}'),
	('app.words', '{"{}","{a}","{{a}}","[0:0]={a}","{\"\"}","{NULL}","{\"NULL\"}"}'),
	('app.pair[]', '{"{}","{\"(1,a)\"}","{{\"(1,a)\"}}"}'),
	('app.amount[]', '{"{}","{1}","{1.0}"}');

-- The array of every type here that has one: two elements, with another lower
-- bound, with another dimension, and the other way round
INSERT INTO public.samples
	SELECT format_type(t.typarray, -1),
		   ARRAY['{}', a, '[0:1]=' || a, '{' || a || '}',
				 (SELECT array_agg(v ORDER BY i DESC)::text FROM unnest(s.vals[1:2]) WITH ORDINALITY x(v, i))]
	  FROM public.samples s JOIN pg_type t ON t.oid = s.type::regtype,
		   LATERAL (SELECT s.vals[1:2]::text) x(a)
	 WHERE t.typtype <> 'd' AND t.typarray <> 0 AND s.type NOT IN ('bit(3)', 'app.pair', '"char"', 'int2vector', 'oidvector', 'box');

-- No value can be written for these: their input functions refuse all, or (of
-- gtsvector) their output tells nothing.
SELECT t.oid::regtype AS not_tested
  FROM pg_type t
 WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typtype IN ('b', 'e', 'r', 'm')
   AND t.typelem = 0
   AND NOT EXISTS (SELECT FROM public.samples s WHERE s.type::regtype = t.oid)
 ORDER BY t.oid::regtype::text;

CREATE FUNCTION public.make_tables() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	s record;
	n bigint := 0;
BEGIN
	FOR s IN SELECT row_number() OVER (ORDER BY type) AS i, type, vals FROM public.samples LOOP
		FOR v IN 1 .. cardinality(s.vals) LOOP
			EXECUTE format('CREATE TABLE app.t%s_%s (v %s)', s.i, v, s.type);
			EXECUTE format('INSERT INTO app.t%s_%s VALUES (%L)', s.i, v, s.vals[v]);
			EXECUTE format('COMMENT ON TABLE app.t%s_%s IS %L', s.i, v, s.type);
			n := n + 1;
		END LOOP;
	END LOOP;
	RETURN n;
END
$$;
SELECT count(DISTINCT type) >= 130 AS types, public.make_tables() >= 600 AS tables FROM public.samples;

\c :home
SET client_min_messages = warning;
CREATE DATABASE regress_ftm_target TEMPLATE regress_ftm_source;
\c regress_ftm_target
SET client_min_messages = warning;
CREATE EXTENSION ftmigrate;
CREATE SERVER source FOREIGN DATA WRAPPER ftm_source
	OPTIONS (host :'HOST', port :'PORT', dbname 'regress_ftm_source');
CREATE USER MAPPING FOR CURRENT_USER SERVER source OPTIONS (user :'USER');

CREATE TEMP TABLE verdict AS SELECT * FROM ftm_verify('source', '{app}');
SELECT kind, count(*) > 0 AS some, bool_and(ok) AS ok, bool_and(source_checksum = target_checksum) AS same
  FROM verdict GROUP BY kind ORDER BY kind;

-- Values that gave the same checksum as another one of their type: none
SELECT obj_description(v.object::regclass) AS type, count(*) AS values, count(DISTINCT v.source_checksum) AS checksums
  FROM verdict v
 WHERE v.kind = 'table'
 GROUP BY 1
HAVING count(*) <> count(DISTINCT v.source_checksum)
 ORDER BY 1;

\c :home
DROP DATABASE regress_ftm_target;
DROP DATABASE regress_ftm_source;
