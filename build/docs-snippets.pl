#!/usr/bin/perl
# Takes the snippets out of Markdown files, for build/check-docs.sh.
#
#   docs-snippets.pl FOLDER FILE...
#
# Writes what is to be compiled into FOLDER and prints a line a case:
#
#   program KIND FILE GUIDE:LINE MARKS      a snippet with a main
#   fragments KIND FILE GUIDE COUNT         all others of a guide, in one file
#   syntax FILE GUIDE:LINE                  a shell snippet that is only read
#   run FILE GUIDE:LINE                     a shell snippet that is run
#   limits FILE GUIDE COUNT                 the rows of a table of defaults
#   wrong GUIDE:LINE TEXT                   a fence without a language, an ellipsis in code
use strict;
use warnings;

my ($folder, @guides) = @ARGV;

sub write_file {
    my ($name, $text) = @_;
    open my $file, '>', "$folder/$name" or die "$folder/$name: $!\n";
    print $file $text;
    close $file;
}

for my $guide (@guides) {
    open my $in, '<', $guide or die "$guide: $!\n";
    my @lines = <$in>;
    close $in;
    (my $stem = $guide) =~ s/\.md$//;
    $stem =~ s/\W/_/g;
    my %fragments = (cpp => [], c => []);
    my (@marks, @given, @rows, $last_program);
    for (my $i = 0; $i < @lines; ++$i) {
        my $line = $lines[$i];
        if ($line =~ /^<!-- docs: (.*?)(-->)?\s*$/) {
            my ($mark, $closed) = ($1, $2);
            $mark =~ s/\s+$//;
            if ($mark eq 'given') {
                my $first = $i + 2;
                my $text = '';
                $text .= $lines[$i] while $lines[++$i] !~ /^-->/;
                push @given, "#line $first \"$guide\"\n$text";
            } else {
                push @marks, $mark;
            }
            next;
        }
        if ($line =~ /^\| `([A-Z][A-Za-z]+)::([a-z_.]+)` \| `([^`]+)` \|/) {
            push @rows, {line => $i + 1, type => $1, member => $2, value => $3};
            next;
        }
        next unless $line =~ /^```(\S*)(?: (.*?))?\s*$/;
        my ($language, $info) = ($1, $2 // '');
        my $first = $i + 2;
        my $text = '';
        while (++$i < @lines && $lines[$i] !~ /^```\s*$/) { $text .= $lines[$i]; }
        my $where = "$guide:" . ($first - 1);
        my @mine = @marks;
        my ($given, $includes) = (join('', @given), '');
        $includes .= "$1\n" while $given =~ s/^(#include .*)$//m;
        @marks = @given = ();
        if ($language eq '') { print "wrong $where a fence without a language\n"; next; }
        if ($language eq 'text' && grep { $_ eq 'prints' } @mine) {
            if ($last_program) { write_file("$last_program.expected", $text); }
            else { print "wrong $where printed by nothing\n"; }
            next;
        }
        if ($language eq 'sh') {
            my $name = "${stem}_$first.sh";
            write_file($name, $text);
            print $info eq 'run' ? 'run' : 'syntax', " $name $where\n";
            next;
        }
        next unless $language eq 'cpp' || $language eq 'c';
        print "wrong $where an ellipsis in code\n" if $text =~ /\xe2\x80\xa6/;
        if ($text =~ /^int main\(/m) {
            my ($named) = map { /^file (\S+)/ ? $1 : () } @mine;
            my $name = $named // "${stem}_$first.$language";
            my ($port) = map { /^serves (\d+)/ ? $1 : () } @mine;
            # The text itself, for the shell snippets of the guide; and with its lines named, and a port that is free.
            write_file($name, $text) if $named;
            my $source = "program_${stem}_$first.$language";
            (my $ported = $text) =~ s/\b$port\b/DOCS_PORT/g if $port;
            write_file($source, "#line $first \"$guide\"\n" . ($port ? $ported : $text));
            print "program $language $source $where ", $port ? 'serves' : (grep { $_ eq 'builds' } @mine) ? 'builds' : 'runs', "\n";
            $last_program = $source;
            next;
        }
        $includes .= "$1\n" while $text =~ s/^(#include .*)$//m;
        (my $head = $text) =~ s/^(\s|\/\/.*\n)*//;
        my $outside = (grep { $_ eq 'outside' } @mine) ||
            $head =~ /^(static|struct|class|void|int|bool|template|constexpr|enum|using|std::\S+ \w+\(.*\{|cutils::\S+ \w+\(.*\{)/ && $head !~ /^using .*;\n[a-z]/;
        push @{$fragments{$language}}, {line => $first, text => $text, given => $given, includes => $includes, outside => $outside};
    }
    for my $language ('cpp', 'c') {
        my @all = @{$fragments{$language}} or next;
        my $out = "#include \"docs/check/prelude.$language.h\"\n";
        $out .= $_->{includes} for @all;
        for my $one (@all) {
            my $body = "$one->{given}#line $one->{line} \"$guide\"\n";
            if ($language eq 'cpp') {
                $out .= "namespace snippet_$one->{line} {\nusing given::loop, given::socket, given::stacks;\n";
                $out .= $one->{outside} ? "$body$one->{text}" : "$one->{given}void snippet() {\n#line $one->{line} \"$guide\"\n$one->{text}\n}\n";
                $out .= "}\n";
            } else {
                $out .= $one->{outside} ? "$body$one->{text}" : "$one->{given}void snippet_$one->{line}(void) {\n#line $one->{line} \"$guide\"\n$one->{text}\n}\n";
            }
        }
        write_file("fragments_$stem.$language", $out);
        print "fragments $language fragments_$stem.$language $guide ", scalar(@all), "\n";
    }
    if (@rows) {
        my $out = "#include \"docs/check/prelude.cpp.h\"\n#include <cstdio>\nint main() {\n    int wrong = 0;\n";
        for my $row (@rows) {
            $out .= "#line $row->{line} \"$guide\"\n    if (!($row->{type}\{}.$row->{member} == ($row->{value}))) { ++wrong; std::printf(\"$guide:$row->{line}: $row->{type}::$row->{member} is not $row->{value}\\n\"); }\n";
        }
        write_file("limits_$stem.cpp", $out . "    return wrong;\n}\n");
        print "limits limits_$stem.cpp $guide ", scalar(@rows), "\n";
    }
}
