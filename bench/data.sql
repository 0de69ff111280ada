--
-- The benchmark's source: psql -v readings=4000000 -v events=1000000 -v users=10000
--
-- Sensor readings with a primary key and three indexes, event logs with a
-- document and the id of a user, and the users.  Same sizes, same data.
--

\set ON_ERROR_STOP on
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';

CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text);
INSERT INTO auth.users
SELECT md5('user' || n)::uuid, 'user' || n || '@example.com'
FROM generate_series(1, :users) AS n;

CREATE TABLE public.sensor_readings (
	id bigint NOT NULL,
	unit_id uuid NOT NULL,
	device_id uuid,
	temperature numeric(5, 2) NOT NULL,
	humidity numeric(5, 2),
	door_open boolean,
	battery_level int,
	signal_strength int,
	recorded_at timestamptz NOT NULL,
	received_at timestamptz NOT NULL,
	source text
);
INSERT INTO public.sensor_readings
SELECT n, md5('unit' || n % 997)::uuid, md5('device' || n % 4999)::uuid,
	(n % 6000) / 100.0 - 20, (n % 9000) / 100.0, n % 17 = 0, n % 101,
	-(n % 90), timestamptz '2025-01-01 00:00:00Z' + n * interval '7 seconds',
	timestamptz '2025-01-01 00:00:02Z' + n * interval '7 seconds',
	(ARRAY['lora', 'ble', 'manual'])[1 + n % 3]
FROM generate_series(1, :readings) AS n;
ALTER TABLE public.sensor_readings ADD PRIMARY KEY (id);
CREATE INDEX readings_unit ON public.sensor_readings (unit_id, recorded_at);
CREATE INDEX readings_device ON public.sensor_readings (device_id);
CREATE INDEX readings_recorded ON public.sensor_readings (recorded_at);

CREATE TABLE public.event_logs (
	id bigint NOT NULL,
	actor_id uuid REFERENCES auth.users,
	event_type text NOT NULL,
	event_data jsonb NOT NULL,
	created_at timestamptz NOT NULL
);
INSERT INTO public.event_logs
SELECT n, md5('user' || 1 + n % :users)::uuid, 'event.' || n % 40,
	jsonb_build_object('n', n, 'unit', md5('unit' || n % 997), 'changes',
		jsonb_build_object('from', n % 60, 'to', n % 59), 'note', repeat('x', n % 80)),
	timestamptz '2025-01-01 00:00:00Z' + n * interval '31 seconds'
FROM generate_series(1, :events) AS n;
ALTER TABLE public.event_logs ADD PRIMARY KEY (id);
CREATE INDEX event_logs_actor ON public.event_logs (actor_id);
VACUUM (FREEZE, ANALYZE) public.sensor_readings, public.event_logs, auth.users;
