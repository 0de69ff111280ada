
=pod

=head1 NAME

CleanDebian - a folder with a minimal Debian, to install things in

=head1 SYNOPSIS

  use CleanDebian;

  my $work     = CleanDebian::isolate();
  my $obstacle = CleanDebian::obstacle('bookworm');
  plan skip_all => $obstacle if $obstacle;

  my $debian = CleanDebian->new("$work/one", 'bookworm');
  my $copy   = $debian->copy("$work/another");
  my ($ok, $output) = $copy->sh('apt-get install hello && hello');

=head1 DESCRIPTION

Made by debootstrap from the mirror that /etc/apt names, with everything that
belongs to the suite's archive as a source of packages.  Commands run in it as
root, by chroot, in mount and process namespaces that end with the test, so
that whatever they mount and start is gone then.  Nothing is written outside of
the folder.

=cut

package CleanDebian;

use strict;
use warnings;

use File::Temp;
use IPC::Run;

# Runs a command; true if it succeeds, and everything it says.
sub _run
{
	my (@command) = @_;
	my $output = '';
	my $ok = eval { IPC::Run::run(\@command, '<', \undef, '>&', \$output) };

	return ($ok, $output . ($@ || ''));
}

# The same, and dies if it fails.
sub _must
{
	my ($ok, $output) = _run(@_);

	die "@_\n$output" if !$ok;
	return $output;
}

# What /etc/apt has of Debian's archive, main only: [ URI, SUITE ], ...
sub _archive
{
	my ($suite) = @_;
	my ($codename) = _must('cat', '/etc/os-release') =~ /^VERSION_CODENAME=(\w+)/m;
	my @targets = split /\n/,
	  _must('apt-get', 'indextargets', '--format',
		'$(REPO_URI) $(RELEASE) $(COMPONENT)', 'Created-By: Packages');

	return map { m{^(\S+?)/* \Q$codename\E(|-updates|-security) main$} ? [ $1, $suite . $2 ] : () }
	  @targets;
}

=pod

=head1 FUNCTIONS AND METHODS

=over

=item isolate()

Runs the calling program once more in namespaces of its own, and returns only
there: a folder for everything, which goes away when the namespaces are gone.
Their first process has to wait for orphans; that is what the shell is for.
Where that is not possible, returns nothing, and obstacle() says why.

=cut

my @namespaces = qw(unshare --mount --pid --fork --kill-child --mount-proc);

sub isolate
{
	return $ENV{FTM_ISOLATED} if $ENV{FTM_ISOLATED};
	return if $> != 0 || !(_run(@namespaces, 'true'))[0];

	my $folder = File::Temp->newdir;
	chmod 0755, $folder or die "$folder: $!";
	$ENV{FTM_ISOLATED} = $folder;
	system @namespaces, 'sh', '-c', '"$@"; exit $?', 'sh', $^X,
	  (map { "-I$_" } @INC), $0, @ARGV;
	exit($? & 127 ? 1 : $? >> 8);
}

=pod

=item obstacle(SUITE)

Why there can be no clean Debian here; nothing if there can be one.

=cut

sub obstacle
{
	my ($suite) = @_;
	my $folder = File::Temp->newdir;

	return 'not run as root' if $> != 0;
	return 'no right to unshare and to mount' if !$ENV{FTM_ISOLATED};
	return 'no debootstrap' if !(_run('debootstrap', '--version'))[0];

	my ($main) = _archive($suite);
	return 'no Debian mirror in /etc/apt' if !$main;
	return "no answer from the mirror, $$main[0]"
	  if !(
		_run(
			'/usr/lib/apt/apt-helper', 'download-file',
			"$$main[0]/dists/$suite/InRelease", "$folder/InRelease"))[0];
	return;
}

=pod

=item new(FOLDER, SUITE)

A minimal Debian of this suite in a new folder.

=cut

sub new
{
	my ($class, $folder, $suite) = @_;
	my @archive = _archive($suite);

	# A release that debootstrap is too old for is made as unstable is.
	_must('debootstrap', '--variant=minbase', $suite, $folder, $archive[0][0],
		-e "/usr/share/debootstrap/scripts/$suite" ? () : 'sid');

	my $self = $class->_enter($folder);
	$self->write('/etc/apt/sources.list',
		join('', map { "deb $$_[0] $$_[1] main\n" } @archive));
	# As if somebody had answered yes
	$self->write('/etc/apt/apt.conf.d/90test',
		qq(APT::Get::Assume-Yes "true";\nAcquire::Languages "none";\n));
	# What this machine thinks of the age of the mirror's lists
	$self->write('/etc/apt/apt.conf.d/91test',
		_must(qw(apt-config dump --no-empty --format), '%f "%v";%n',
			qw(Acquire::Check-Valid-Until Acquire::Check-Date)));
	# No service starts by itself: ports are the host's.
	$self->write('/usr/sbin/policy-rc.d', "#!/bin/sh\nexit 101\n");
	chmod 0755, "$folder/usr/sbin/policy-rc.d" or die "chmod: $!";
	# All of it is thrown away.
	$self->write('/etc/dpkg/dpkg.cfg.d/90test', "force-unsafe-io\n");
	return $self;
}

sub _enter
{
	my ($class, $folder) = @_;

	_must('mount', '-t', 'proc', 'proc', "$folder/proc");
	_must('mount', '-t', 'tmpfs', '-o', 'mode=1777', 'tmpfs', "$folder/dev/shm");
	return bless { folder => $folder }, $class;
}

=pod

=item $debian->copy(FOLDER)

The same once more, in another folder.

=cut

sub copy
{
	my ($self, $folder) = @_;

	_must('cp', '-a', '--one-file-system', $self->{folder}, $folder);
	return CleanDebian->_enter($folder);
}

=pod

=item $debian->path(PATH)

Where a file is for those outside.

=cut

sub path
{
	my ($self, $path) = @_;
	return "$self->{folder}$path";
}

=pod

=item $debian->write(PATH, TEXT)

Writes a file.

=cut

sub write
{
	my ($self, $path, $text) = @_;

	open my $file, '>', $self->path($path) or die "$path: $!";
	print $file $text;
	close $file or die "$path: $!";
	return;
}

=pod

=item $debian->sh(SCRIPT, NAME => VALUE, ...)

Runs a shell script, with these environment variables.  Returns whether it
succeeded, and everything it said.

=cut

sub sh
{
	my ($self, @script) = @_;

	return _run($self->_command(@script));
}

sub _command
{
	my ($self, $script, %environment) = @_;
	my %all = (
		PATH            => '/usr/sbin:/usr/bin:/sbin:/bin',
		HOME            => '/root',
		LANG            => 'C.UTF-8',
		DEBIAN_FRONTEND => 'noninteractive',
		(map { $ENV{$_} ? ($_ => $ENV{$_}) : () } qw(http_proxy https_proxy no_proxy)),
		%environment);

	return ('chroot', $self->{folder}, 'env', '-i',
		(map { "$_=$all{$_}" } sort keys %all),
		'sh', '-e', '-c', $script);
}

=pod

=item $debian->start_sh(SCRIPT, NAME => VALUE, ...)

Starts a shell script and returns at once.  Calling what it returns waits, and
gives what sh() gives.

=cut

sub start_sh
{
	my ($self, @script) = @_;
	my $output = '';
	my $run = IPC::Run::start([ $self->_command(@script) ],
		'<', \undef, '>&', \$output);

	return sub { return (scalar $run->finish, $output) };
}

=pod

=back

=cut

1;
