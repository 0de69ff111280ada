
=pod

=head1 NAME

RunGates - hold a run at a step, for as long as a test wants

=head1 SYNOPSIS

  use RunGates;

  my $gates = RunGates->new($target);
  $gates->close_before('verify');
  my $call = $target->start_sql('SELECT ftm_run_migration()');
  $gates->reach('verify');
  # ... a worker waits in that step
  $gates->open;
  $call->finish;

=head1 DESCRIPTION

Steps are over in milliseconds, so a test that wants to meet a run in one of
them closes a gate: a lock of another session that a worker of this step has to
wait for, and none of an earlier one.  Where an earlier step needs the same
lock, reach() goes from gate to gate, and takes a lock when the run waits at the
gate before.

  create users          ftm_user_map cannot be written
  load table            somebody reads table hubs
  rebuild indexes       an index of table hubs calls a function that waits (in
                        C: others would be called at the end only)
  check foreign key     table gate, which the run does not know, is locked
  analyze table         the same index's function, which ANALYZE calls, waits
  verify                nobody can read table gate
  roll back run         somebody reads table hubs
  delete users          ftm_user_map cannot be written

Tables are analyzed in passing while others are loaded, except the last one that
is loaded: so the run is held at table hubs's index until that is hubs.

new() adds table gate, with a foreign key to organizations, and the index to
the target, and raises ftmigrate.lock_timeout.

=cut

package RunGates;

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

# Locks that close the gates.
my $number = 0x67617465;
my %lock = (
	'create users'      => 'LOCK TABLE public.ftm_user_map IN SHARE MODE',
	'load table'        => 'LOCK TABLE public.hubs IN ACCESS SHARE MODE',
	'rebuild indexes'   => "SELECT pg_advisory_lock($number)",
	'check foreign key' => 'LOCK TABLE public.gate IN SHARE UPDATE EXCLUSIVE MODE',
	'analyze table'     => "SELECT pg_advisory_lock($number)",
	'verify'            => 'LOCK TABLE public.gate IN ACCESS EXCLUSIVE MODE',
	'roll back run'     => 'LOCK TABLE public.hubs IN ACCESS SHARE MODE',
	'delete users'      => 'LOCK TABLE public.ftm_user_map IN SHARE MODE');

# The gate that the run must wait at before this one can be closed.
my %before = (
	'check foreign key' => 'rebuild indexes',
	'analyze table'     => 'check foreign key',
	'verify'            => 'analyze table');

my $others_are_loaded = <<'SQL';
SELECT count(*) = 1 FROM ftm_progress
WHERE table_name IS NOT NULL AND status IN ('pending', 'loading')
SQL

my $holders = 0;

sub new
{
	my ($class, $target) = @_;

	$target->sql(<<SQL);
CREATE TABLE public.gate (organization uuid
	CONSTRAINT gate_key REFERENCES public.organizations);
CREATE FUNCTION public.pass_gate(bigint) RETURNS int
IMMUTABLE STRICT LANGUAGE internal AS 'pg_advisory_xact_lock_shared_int8';
CREATE INDEX gate_index ON public.hubs
	(public.pass_gate($number + 0 * uuid_hash(id)::bigint));
ALTER DATABASE postgres SET ftmigrate.lock_timeout = '10min';
SQL
	return bless { target => $target, closed => {} }, $class;
}

# Close a gate: start a session that has the lock and sleeps.
sub hold
{
	my ($self, $step) = @_;
	my $mark = 'holder ' . ++$holders;

	$self->{closed}{$step} = {
		mark => $mark,
		call => $self->{target}->start_sql(
			"BEGIN; $lock{$step}; SELECT pg_sleep(3600) /* $mark */")
	};
	$self->{target}->wait_for_pid(
		"query LIKE '%/* $mark */' AND wait_event = 'PgSleep'");
	return;
}

sub release
{
	my ($self, $step) = @_;
	my $holder = delete $self->{closed}{$step};

	# A server that has crashed has released it.
	eval {
		$self->{target}->sql(
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
			  . " WHERE query LIKE '%/* $holder->{mark} */' AND pid <> pg_backend_pid()"
		);
	};
	$holder->{call}->kill_kill;
	return;
}

# All gates that a run must go through to wait at this one.
sub way_to
{
	my ($step) = @_;

	return $before{$step} ? (way_to($before{$step}), $step) : ($step);
}

=pod

=over

=item $gates->close_before(STEP)

To be called before the run begins.

=item $gates->reach(STEP)

Waits until a worker of the run waits at this gate.  Dies if none comes.

=item $gates->open()

Lets everybody through.

=back

=cut

sub close_before
{
	my ($self, $step) = @_;
	my ($first) = way_to($step);

	$self->hold($first);
	return;
}

sub reach
{
	my ($self, $step) = @_;
	my ($gate, @next) = way_to($step);

	$self->wait_at($gate);
	foreach my $next (@next)
	{
		$self->{target}->wait_for($others_are_loaded) if $gate eq 'rebuild indexes';
		$self->hold($next);
		$self->release($gate);
		$self->wait_at($next);
		$gate = $next;
	}
	return;
}

sub wait_at
{
	my ($self, $step) = @_;

	$self->{target}->wait_for_pid(
		"backend_type = 'ftmigrate worker' AND query LIKE '$step%' AND wait_event_type = 'Lock'"
	);
	return;
}

sub open
{
	my ($self) = @_;

	$self->release($_) foreach keys %{ $self->{closed} };
	return;
}

1;
