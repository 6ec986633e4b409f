#!/usr/bin/perl
# Reads a header (or a Markdown file) for Doxygen: the comments of ours are ordinary ones. Keeps the lines' numbers.
#
# "// text" above a declaration becomes "/// text", behind one "///< text". Indented by two blanks or more and after an
# empty line, it is code; labels ("Errors:", "Owner:") begin paragraphs. What Markdown or Doxygen would take for a command
# of theirs is text.
use strict;
use warnings;

my $file = $ARGV[0];
open my $in, '<', $file or die "$file: $!\n";
if ($file =~ /\.md$/) {
    my $code = 0;
    while (<$in>) {
        $code = !$code if /^```/;
        s/^(# .*)$/$1 {#mainpage}/ if $. == 1 && $file =~ m{^(.*/)?README\.md$} && -e ($1 // '') . 'Makefile';
        s/^```cpp run$|^```sh run$/```/;
        s/^```(\w+) run/```$1/;
        $_ = "\n" if /^<!-- docs: given/ .. /^-->/;
        s/^<!-- docs: .*-->$//;
        # Pages link to pages; a source file is only named.
        s/\[([^\]]*)\]\(([^)]*)\)/my ($text, $to) = ($1, $2); $to =~ s{#.*}{}; $to =~ m{\.md$} ? "[$text]($to)" : $text/ge unless $code;
        print;
    }
    exit;
}
my ($code, $label, $blank, $special) = (0, 0, 1, 0);
sub text {
    my ($line) = @_;
    $line =~ s/([<>#\\@&])/\\$1/g;
    $line =~ s/\*/\\*/g;
    $line =~ s/^\./&#46;/;
    $line =~ s/(?<![\w>])::/&#58;&#58;/g;
    return $line;
}
while (my $line = <$in>) {
    chomp $line;
    if ($line =~ /^(\s*)\/\/(?!\/)(?: (.*)|)$/) {
        my ($indent, $rest) = ($1, $2 // '');
        if ($rest =~ /^\s*$/) { print "$indent///\n"; $blank = 1; $label = 0 unless $code; next; }
        if ($rest =~ /^\s{2,}/ && ($blank || $code) && !$label) {
            print "$indent///      $rest\n";
            $code = 1;
        } elsif ($rest =~ /^[A-Z][A-Za-z ,]{2,20}:\s/) {
            my ($name, $about) = $rest =~ /^([^:]*):\s+(.*)$/;
            print "$indent/// <br><b>$name:</b> ", text($about), "\n";
            $label = 1;
            $code = 0;
        } else {
            $rest =~ s/^\s+// if $label;
            print "$indent/// ", text($rest), "\n";
            $code = 0;
            $label = 0 if $rest !~ /^\s/ && !$label;
        }
        $blank = 0;
        next;
    }
    ($code, $label, $blank) = (0, 0, 1);
    # Specializations of the standard library's templates are of no interest.
    if ($special || $line =~ /^template <>\s*$/) {
        $special = $line !~ /\};$/;
        print "\n";
        next;
    }
    # Behind a declaration, but not in a string.
    $line =~ s/^([^"]*\S)\s+\/\/ (.*)$/"$1  \/\/\/< " . text($2)/e;
    print "$line\n";
}
