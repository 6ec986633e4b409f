#!/usr/bin/env bash
# What `make install` puts where, and what `make uninstall` takes away again: one list, two verbs.
#
#   build/install-files.sh install|uninstall     with OUT, VERSION, SOVERSION, PREFIX, LIBDIR, DESTDIR, LIBRARIES, TLS, COMPRESSION
#
# Uninstalling removes exactly these files, and those folders of ours that are empty then.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
verb=$1
# What is installed says where it is, to whoever looks from anywhere: so a relative prefix, which is one below this
# folder, becomes absolute.
for place in PREFIX LIBDIR; do
    printf -v "$place" %s "$(realpath -ms "${!place}")"
done
libdir=$DESTDIR$LIBDIR
includedir=$PREFIX/include/evcorothread-$VERSION
docdir=$DESTDIR$PREFIX/share/doc/evcorothread
mandir=$DESTDIR$PREFIX/share/man
gdbdir=$DESTDIR$PREFIX/share/gdb/auto-load

put() { # put MODE FILE TARGET
    if [ "$verb" = install ]; then install -D -m "$1" "$2" "$3"; else rm -f "$3"; fi
}
fill() { # fill TEMPLATE TARGET: with the names between @ replaced
    local text
    if [ "$verb" = uninstall ]; then
        rm -f "$2"
        return
    fi
    text=$(sed -e "s|@PREFIX@|$(in_pc "$PREFIX")|; s|@LIBDIR@|$(in_pc "$pc_libdir")|" \
        -e "s|@INCLUDEDIR@|$(in_pc "$pc_includedir")|; s|@VERSION@|$VERSION|; s|@TLS@|$TLS|" \
        -e "s|@SOVERSION@|$SOVERSION|; s|@UP@|$(in_sed "$up")|; s|@LIBDIR_BELOW@|$(in_sed "$libdir_below")|" "$1")
    if [ "$COMPRESSION" = 1 ]; then
        text=${text//@COMPRESSION_LIBS@/-lz -lbrotlienc -lzstd} text=${text//@COMPRESSION@/1}
    else
        text=${text//@COMPRESSION_LIBS@/} text=${text//@COMPRESSION@/0}
    fi
    [ "$TLS" = 1 ] || text=$(sed 's|, *libssl, libcrypto||' <<<"$text")
    install -d "$(dirname "$2")"
    printf '%s\n' "$text" >"$2"
    chmod 644 "$2"
}
link() { # link TEXT TARGET: a symbolic link
    if [ "$verb" = install ]; then ln -sfn "$1" "$2"; else rm -f "$2"; fi
}
empty() { # empty FOLDER...: removes them when nothing is left in them
    local folder
    [ "$verb" = uninstall ] || return 0
    for folder in "$@"; do rmdir "$folder" 2>/dev/null || true; done
}
empty_up_to() { # empty_up_to TOP FOLDER: FOLDER, and those above it, up to TOP
    local folder=$2
    while [[ $folder == "$1"/* ]]; do
        empty "$folder"
        folder=$(dirname "$folder")
    done
    empty "$1"
}
in_sed() { sed 's/[&|\\]/\\&/g' <<<"$1"; } # for the right side of s|…|…|
# pkg-config passes a space on to the shell, which takes it for the end of a word.
in_pc() { in_sed "${1// /\\ }"; }

# Relative to the prefix where they lie below it, so that a tree that was moved can say --define-prefix.
pc_libdir=${LIBDIR/#"$PREFIX"\//'${prefix}/'}
pc_includedir=${includedir/#"$PREFIX"\//'${prefix}/'}
# From the CMake package to the prefix and from there to the libraries.
up=$(realpath -m --relative-to="$LIBDIR/cmake/evcorothread" "$PREFIX")
libdir_below=$(realpath -m --relative-to="$PREFIX" "$LIBDIR")

for library in $LIBRARIES; do
    for header in "$library"/*.h; do
        [[ $header == *_internal.h ]] || put 644 "$header" "$DESTDIR$includedir/$header"
    done
done
put 644 evcorothread/compat/corothread/evthread.h "$DESTDIR$includedir/corothread/evthread.h"
for library in $LIBRARIES; do empty "$DESTDIR$includedir/$library"; done
empty "$DESTDIR$includedir"

for library in $LIBRARIES butils; do
    put 644 "$OUT/lib/lib$library.a" "$libdir/lib$library.a"
    put 755 "$OUT/lib/lib$library.so.$VERSION" "$libdir/lib$library.so.$VERSION"
    link "lib$library.so.$VERSION" "$libdir/lib$library.so.$SOVERSION"
    link "lib$library.so.$SOVERSION" "$libdir/lib$library.so"
    link "lib$library.so.$SOVERSION" "$libdir/lib${library}sh.so"
done
put 644 "$OUT/lib/libevclockcheck.a" "$libdir/libevclockcheck.a"
put 755 "$OUT/lib/libevclockcheck.so" "$libdir/libevclockcheck.so"
put 755 "$OUT/bin/webby" "$DESTDIR$PREFIX/bin/webby"

for name in evcorothread webby; do fill "build/$name.pc.in" "$libdir/pkgconfig/$name.pc"; done
for name in evcorothread-config.cmake evcorothread-config-version.cmake; do
    fill "build/$name.in" "$libdir/cmake/evcorothread/$name"
done
empty "$libdir/pkgconfig" "$libdir/cmake/evcorothread" "$libdir/cmake"

for page in "$OUT"/man/*.[0-9]; do put 644 "$page" "$mandir/man${page##*.}/$(basename "$page")"; done
empty "$mandir"/man{1,3,7} "$mandir"
# gdb loads by itself what is named after the library; for other prefixes than its own, and for programs that hold the
# archive, it is there to be sourced.
script=evcorothread/gdb/evcorothread-gdb.py
if [ -e "$script" ]; then
    put 644 "$script" "$DESTDIR$PREFIX/share/evcorothread/gdb/evcorothread-gdb.py"
    put 644 "$script" "$gdbdir$LIBDIR/libevcorothread.so.$VERSION-gdb.py"
fi
empty_up_to "$DESTDIR$PREFIX/share/gdb" "$gdbdir$LIBDIR"
empty "$DESTDIR$PREFIX/share/evcorothread/gdb" "$DESTDIR$PREFIX/share/evcorothread"
for text in README.md CHANGELOG.md LICENSE; do put 644 "$text" "$docdir/$text"; done
for guide in docs/*.md; do
    [ ! -e "$guide" ] || put 644 "$guide" "$docdir/docs/$(basename "$guide")"
done
empty "$docdir/docs" "$docdir"

# The loader looks into a folder like /usr/local/lib through its cache, which must be told.
PATH=$PATH:/usr/sbin:/sbin
if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && ldconfig -N -X -v 2>/dev/null | grep "^$LIBDIR:" >/dev/null; then ldconfig; fi
