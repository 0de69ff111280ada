
# The documents: is README.md short, does every link lead somewhere, has every
# function its heading?  None of it needs a server.

use strict;
use warnings;

use File::Basename;
use File::Spec;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = dirname(__FILE__) . '/../..';
my @pages = sort map { File::Spec->abs2rel($_, $root) }
  glob "$root/*.md $root/*/*.md $root/*/*/*.md";

# A page without its blocks of code.
sub prose
{
	my ($text) = @_;

	return $text =~ s/^( *)```.*?^\1```$//msgr;
}

# What GitHub and others make of a heading; further ones of the same text get
# a number.
sub anchors
{
	my ($text) = @_;
	my (%anchors, %seen);

	foreach my $heading (prose($text) =~ /^#+ (.*)$/mg)
	{
		my $anchor = lc $heading;

		$anchor =~ s/[^\w\- ]//g;
		$anchor =~ s/ /-/g;
		my $number = $seen{$anchor}++;
		$anchors{ $number ? "$anchor-$number" : $anchor } = 1;
	}
	return %anchors;
}

my %text = map { $_ => slurp_file("$root/$_") } @pages;
my %anchors = map { $_ => { anchors($text{$_}) } } @pages;
my $count = 0;
my @dead;
foreach my $page (@pages)
{
	foreach my $link (prose($text{$page}) =~ /\]\(([^()\s]+)\)/g)
	{
		next if $link =~ /^https?:/;
		my ($path, $anchor) = split /#/, $link, 2;
		my $file = $path eq '' ? $page : File::Spec->canonpath(dirname($page) . "/$path");

		1 while $file =~ s{(?:^|(?<=/))(?!\.\./)[^/]+/\.\./}{};
		$count++;
		push @dead, "$page: $link"
		  unless -e "$root/$file"
		  && (!defined $anchor || $anchors{$file} && $anchors{$file}{$anchor});
	}
}
cmp_ok($count, '>', 80, 'there are links');
is(join("\n", @dead), '', 'and each leads to a file and a heading');

cmp_ok(scalar(() = $text{'README.md'} =~ /\n/g), '<=', 200, 'README.md can be read in ten minutes');
is(join(' ', grep { $text{'README.md'} !~ m{\(\Q$_\E\)} } grep { m{^docs/} } @pages),
	'', 'and leads to every page of docs');

# Every function that is not internal has a heading, and a line in README.md.
my $script = slurp_file("$root/sql/ftmigrate--1.0.sql");
my %functions = map { $_ => 1 } $script =~ /^CREATE (?:OR REPLACE )?FUNCTION \@extschema\@\.(ftm_\w+)/mg;
my %internal = map { $_ => 1 }
  $script =~ /^COMMENT ON FUNCTION \@extschema\@\.(ftm_\w+)(?:\([^)]*\))?\s+IS\s+'internal:/mg;
my @public = grep { !$internal{$_} && !/_validator$/ } sort keys %functions;
cmp_ok(scalar @public, '>=', 24, 'there are functions');
is(join(' ', grep { !$anchors{'docs/functions.md'}{$_} } @public), '', 'each has a heading in docs/functions.md');
is(join(' ', grep { index($text{'README.md'}, "(docs/functions.md#$_)") < 0 } @public), '', 'and a line in README.md');
is(join(' ', grep { /^ftm_/ && !$functions{$_} } keys %{ $anchors{'docs/functions.md'} }), '', 'and no heading is without function');

done_testing();
