#!/usr/bin/perl
# Makes the man pages of the C calls from the comments of their headers, so that there is one text, not two.
#
#   from-header.pl VERSION FOLDER HEADER...
#
# A page is what stands under a line "// ---- NAME: title ----" (in headers without one, the whole header, named after
# the calls in it). Every call becomes an alias of its page (.so). The rules of all calls, at the top of evthread.h,
# become evcorothread(3).
use strict;
use warnings;
use POSIX 'strftime';

my ($version, $folder, @headers) = @ARGV;
my (%pages, @order);
my $date = strftime('%Y-%m-%d', gmtime($ENV{SOURCE_DATE_EPOCH} // time));

sub page {
    my ($name, $title) = @_;
    push @order, $name unless $pages{$name};
    $pages{$name} //= {title => $title, blocks => []};
    return $pages{$name};
}

# Comments and declarations, in their order; a declaration belongs to the comment above it.
for my $header (@headers) {
    open my $in, '<', $header or die "$header: $!\n";
    my @lines = <$in>;
    close $in;
    chomp @lines;
    my $whole = grep { /^\/\/ ---- / } @lines;
    my $current = $header =~ /evthread\.h$/ ? page('evcorothread', 'coroutine threads, for C: network servers as plain straight-line code') : undef;
    if (!$current && $lines[0] =~ /: (EV[A-Z]+), (.*)$/) {
        my ($name, $rest) = ($1, $2);
        $rest = "$rest $1" if $lines[1] =~ /^\/\/ (.*)$/ && $rest !~ /\. /;
        $rest =~ s/\..*//;
        $current = page($name, $rest);
        @lines = @lines[2 .. $#lines];
    }
    my (@comment, $skip);
    for (my $i = 0; $i < @lines; ++$i) {
        my $line = $lines[$i];
        if ($line =~ /^\/\/ ---- ([A-Z_]+)(?:, [A-Z]+)*(?:[a-z_]+)?: (.*?) ----$/) {
            my ($heading, $title) = ($1, $2);
            $heading =~ s/_$//;
            # A part of a group's page, or a page of its own.
            if ($line =~ /---- EVCHANNEL_select/) { push @{$current->{blocks}}, {text => [@comment]} if @comment; @comment = (); next; }
            push @{$current->{blocks}}, {text => [@comment]} if @comment && $current;
            @comment = ();
            $current = page($heading, $title);
            next;
        }
        if ($line =~ /^\/\/ ---- (.*?) ----$/) { push @{$current->{blocks}}, {text => [@comment]} if @comment; @comment = (); next; }
        if ($line =~ /^\/\/ ?(.*)$/) { push @comment, $1; next; }
        if ($line =~ /^\s*$/) {
            push @{$current->{blocks}}, {text => [@comment]} if @comment && $current;
            @comment = ();
            next;
        }
        if ($line =~ /^#|^extern "C"|^\}$/) { @comment = () if $line =~ /^#ifdef/; next; }
        # A declaration: up to its semicolon, or the end of its braces.
        my $text = $line;
        my $depth = ($line =~ tr/{//) - ($line =~ tr/}//);
        while (($depth > 0 || $text !~ /[;}]\s*(\/\/.*)?$/) && $i + 1 < @lines) {
            $line = $lines[++$i];
            $depth += ($line =~ tr/{//) - ($line =~ tr/}//);
            $text .= "\n$line";
        }
        $text =~ s/ EVTHREAD_NOTHROW//g;
        $text =~ s/EVC_API //g;
        $text =~ s/^static inline (.*?\)) \{.*\}$/$1;/s;
        $text =~ s/(?<=,)\n +/ /g;
        my @calls = $text =~ /\b((?:EV[A-Z]+|STACKS|IPADDRESS|SOCKADDR|CTHREAD)_[a-z_]+)\(/ ? ($1) : ();
        my $last = $current->{blocks}[-1];
        # Calls that share a comment stand together.
        if (!@comment && $last && $last->{code} && $lines[$i - ($text =~ tr/\n//) - 1] !~ /^\s*$/) {
            $last->{code} .= "\n$text";
            push @{$last->{calls}}, @calls;
        } else {
            push @{$current->{blocks}}, {code => $text, calls => [@calls], text => [@comment]};
        }
        @comment = ();
    }
}

sub escape {
    my ($text) = @_;
    $text =~ s/\\/\\e/g;
    $text =~ s/^([.'])/\\&$1/gm;
    $text =~ s/-/\\-/g;
    return $text;
}

my $labels = join '|', qw(Owner Errors Before After Suspends Lifetime Thread Cost Units Returns Sharing Sizes Order Messages
    Failure Handles ABI Reaping Cancel Note Memory);

# A comment as roff: paragraphs, indented code, and labelled lists ("Errors:   EINVAL ...").
sub prose {
    my @lines = @_;
    my ($out, $state, $base) = ('', 'none', 0);
    my $leave = sub { $out .= ".EE\n.RE\n" if $state eq 'code'; $state = 'text'; };
    for my $line (@lines) {
        if ($line =~ /^\s*$/) {
            if ($state eq 'code') { $out .= "\n"; } else { $out .= ".PP\n" if $state eq 'text'; $state = 'none' if $state ne 'label'; }
            next;
        }
        my ($indent) = $line =~ /^( *)/;
        if ($line =~ /^($labels):\s+(\S.*)$/ || $line =~ /^(Errors of [^:]*):()$/) {
            my ($label, $text) = ($1, $2);
            $leave->();
            $out =~ s/\.PP\n\z//;
            $out .= ".TP\n.B " . escape($label) . "\n" . ($text eq '' ? '\\&' : escape($text)) . "\n";
            $state = 'label';
            $base = 3;
        } elsif ($state eq 'label' && length $indent >= 2) {
            # A name and what it means, in a list of errors.
            if ($line =~ /^\s+(E[A-Z]+|other|a \w+ \w+|SIG\w+(?:, SIG\w+)?|the \w+ \w+)\s{2,}(\S.*)$/) {
                my ($what, $text) = ($1, $2);
                $out .= ".br\n.B " . escape($what) . "\n" . escape($text) . "\n";
            } else {
                my $text = $line;
                $text =~ s/^\s+//;
                $out .= escape($text) . "\n";
            }
        } elsif (length $indent >= 2 && $state ne 'label') {
            if ($state ne 'code') { $out =~ s/\.PP\n\z//; $out .= ".PP\n.RS\n.EX\n"; $state = 'code'; }
            $out .= escape(substr $line, 2) . "\n";
        } else {
            if ($state eq 'label') { $out .= ".PP\n"; }
            $leave->();
            $out .= escape($line) . "\n";
        }
    }
    $leave->();
    $out =~ s/\n\n+(?=\.EE)/\n/g;
    $out =~ s/(\.PP\n)+/.PP\n/g;
    $out =~ s/(\.PP\n)+\z//;
    return $out;
}

mkdir $folder;
my %owner;
for my $name (@order) {
    my $page = $pages{$name};
    my @calls = map { @{$_->{calls} // []} } @{$page->{blocks}};
    my $listed = @calls ? join(', ', $name, @calls) : $name;
    my $out = sprintf ".\\\" Made from the headers of EVCOROTHREAD.\n.TH %s 3 %s \"evcorothread %s\" \"EVCOROTHREAD\"\n.nh\n.ad l\n", uc $name, $date, $version;
    my $title = $page->{title};
    $title =~ s/^([A-Z]{2,}[^:]*): //;
    $out .= ".SH NAME\n" . escape("$listed") . " \\- " . escape($title) . "\n";
    $out .= ".SH SYNOPSIS\n.nf\n.B #include <evcorothread/evthread.h>\n";
    for my $block (grep { $_->{code} } @{$page->{blocks}}) {
        $out .= ".PP\n" . join('', map { ".B " . roff_line($_) . "\n" } grep { /\S/ } split /\n/, $block->{code});
    }
    $out .= ".PP\nLink with \\fI\$(pkg\\-config \\-\\-libs evcorothread)\\fP.\n.fi\n.SH DESCRIPTION\n";
    my $shown = 0;
    for my $block (@{$page->{blocks}}) {
        my @text = @{$block->{text} // []};
        next unless @text;
        if (my @c = @{$block->{calls} // []}) {
            $out .= ".SS " . escape(join(', ', map { "$_()" } @c)) . "\n";
        } elsif ($shown) {
            $out .= ".PP\n";
        }
        $shown = 1;
        $out .= prose(@text);
    }
    $out .= ".SH RETURN VALUE\nUnless it says otherwise, 0, a number or a handle; on failure \\-1 or NULL, with\n.I errno\nset. The rules of all calls stand in\n.BR evcorothread (3).\n" unless $name eq 'evthread';
    my @others = grep { $_ ne $name } @order;
    $out .= ".SH SEE ALSO\n" . join(",\n", map { ".BR " . escape($_) . " (3)" } @others) . "\n";
    $out =~ s/ \(3\),\n/ (3),\n/g;
    # ".BR NAME (3)," wants the comma as an argument without a blank before it.
    $out =~ s/^\.PP\n(?=\.S[HS])//gm;
    $out =~ s/^(\.S[HS].*\n)\.PP\n/$1/gm;
    open my $file, '>', "$folder/$name.3" or die "$folder/$name.3: $!\n";
    print $file $out;
    close $file;
    for my $call (@calls) {
        next if $owner{$call}++;
        open my $alias, '>', "$folder/$call.3" or die "$folder/$call.3: $!\n";
        print $alias ".so man3/$name.3\n";
        close $alias;
    }
}

sub roff_line {
    my ($line) = @_;
    $line = escape($line);
    $line =~ s/"/\\(dq/g;
    return "\"$line\"";
}
