
=pod

=head1 NAME

StackAuthStandIn - test/stack_auth_server.py, started, asked and stopped

=head1 SYNOPSIS

  use StackAuthStandIn;

  my $server = StackAuthStandIn->start(
      config => { oauth_collision_seconds => 0 },
      faults => [ { kind => '500_after_commit', probability => 0.1 } ]);

  # What ftm_stack_auth's api_url has to be, with the keys it takes
  my $url = $server->url;
  my ($project, $key) =
    (StackAuthStandIn::TARGET_PROJECT, StackAuthStandIn::TARGET_KEY);

  # A call of the API, and one of the stand-in's own paths
  my $answer = $server->api('POST', '/users', { primary_email => 'a@b.c' });
  my $users = $server->test_call('GET', 'users')->{users};

  $server->set_faults();    # none any more
  $server->stop;

=head1 DESCRIPTION

An answer is HTTP::Tiny's, with the decoded body as {json} when it is JSON.
Status 599 is HTTP::Tiny's own: no whole answer came.

=cut

package StackAuthStandIn;

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use File::Temp;
use HTTP::Tiny;
use JSON::PP;
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

use constant {
	TARGET_PROJECT => '11111111-1111-4111-8111-111111111111',
	TARGET_KEY     => 'ssk_ftmigrate_target_local_only',
	STRICT_PROJECT => '22222222-2222-4222-8222-222222222222',
	STRICT_KEY     => 'ssk_ftmigrate_strict_local_only',
	START_SECONDS  => 60,
};

my $program =
  File::Spec->rel2abs(dirname(__FILE__) . '/../stack_auth_server.py');
my $json = JSON::PP->new->utf8->canonical;

# A proxy of the environment has no business between us and 127.0.0.1.
delete @ENV{
	qw(http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY)};

# Starts a server and waits until it listens.  Arguments: config (hash),
# faults (array), state_file (path), port, all optional.  Dies when it does not come
# up.  The server ends with this process at the latest.
sub start
{
	my ($class, %arg) = @_;
	my $dir = File::Temp->newdir();
	my $port_file = "$dir/port";
	my @command = (
		'python3', $program,
		'--port-file' => $port_file,
		'--parent-pid' => $$,
		'--config' => $json->encode($arg{config} // {}),
		'--faults' => $json->encode($arg{faults} // []));
	push @command, '--state-file' => $arg{state_file}
	  if defined $arg{state_file};
	push @command, '--port' => $arg{port} if defined $arg{port};

	my $pid = fork() // die "could not fork: $!";
	if ($pid == 0)
	{
		exec @command or POSIX::_exit(127);
	}
	my $give_up = time + START_SECONDS;
	until (-e $port_file)
	{
		die "stack_auth_server.py ended at once"
		  if waitpid($pid, WNOHANG) == $pid;
		die "stack_auth_server.py does not listen" if time > $give_up;
		sleep 0.05;
	}
	open my $file, '<', $port_file or die "could not open $port_file: $!";
	chomp(my $port = <$file>);
	close $file;
	my $http = HTTP::Tiny->new(timeout => 60, max_redirect => 0);
	return bless {
		pid => $pid, port => $port, url => "http://127.0.0.1:$port",
		http => $http, dir => $dir, owner => $$
	}, $class;
}

sub port { return $_[0]{port}; }
sub pid  { return $_[0]{pid}; }
sub url  { return $_[0]{url}; }

# Ends the server with the signal (default TERM); returns its wait status.
sub stop
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} // return;
	kill $signal // 'TERM', $pid;
	waitpid $pid, 0;
	return $?;
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->stop if $self->{owner} == $$;
	return;
}

# Sends one request as it is.  content: the body's text, undef for none.
# Returns HTTP::Tiny's answer, with {json} when the body is JSON.
sub request
{
	my ($self, $method, $path, $headers, $content) = @_;
	my %options = (headers => $headers // {});
	$options{content} = $content if defined $content;
	my $answer =
	  $self->{http}->request($method, "$self->{url}$path", \%options);
	$answer->{json} = $json->decode($answer->{content})
	  if ($answer->{headers}{'content-type'} // '') =~ m{^application/json}
	  && $answer->{content} =~ /^[\[{].*[\]}]$/s;
	return $answer;
}

# Headers of a call with the server key of the target, or another, project.
sub server_headers
{
	my ($self, $project, $key) = @_;
	return {
		'x-stack-access-type' => 'server',
		'x-stack-project-id' => $project // TARGET_PROJECT,
		'x-stack-secret-server-key' => $key // TARGET_KEY,
	};
}

# Calls /api/v1$path with the target project's server key and a JSON body.
sub api
{
	my ($self, $method, $path, $body, $project, $key) = @_;
	my $headers = $self->server_headers($project, $key);
	return $self->request($method, "/api/v1$path", $headers)
	  if !defined $body;
	$headers->{'content-type'} = 'application/json';
	return $self->request($method, "/api/v1$path", $headers,
		$json->encode($body));
}

# Calls /_test/$name; returns the decoded answer, dies on an error.
sub test_call
{
	my ($self, $method, $name, $body) = @_;
	my $answer = $self->request($method, "/_test/$name", {},
		defined $body ? $json->encode($body) : undef);
	die "$method /_test/$name: $answer->{status} $answer->{content}"
	  if !$answer->{success};
	return $answer->{json};
}

# Replaces the fault rules.
sub set_faults
{
	my ($self, @rules) = @_;
	return $self->test_call('PUT', 'faults', \@rules);
}

1;
