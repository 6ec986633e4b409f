#!/usr/bin/env bash
# What must hold before a change goes in: the look, the layers, headers that compile alone, no warning from either
# compiler, and the tests. Names what is wrong; exits non-zero when anything is.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
bad=0

say "format (clang-format)"
mapfile -t sources < <(git ls-files '*.h' '*.cpp' '*.c')
if ! clang-format --dry-run --Werror "${sources[@]}" 2> >(grep -E 'error:' | cut -d: -f1 | sort -u >&2); then
    echo "   run: clang-format -i on the files above"
    bad=1
fi

say "layers: a lower floor never includes a higher one"
declare -A below=(
    [cutils]="cutils"
    [nutils]="cutils nutils"
    [corothread]="cutils corothread"
    [evcorothread]="cutils nutils corothread evcorothread"
    [webby]="cutils nutils corothread evcorothread webby"
)
for layer in cutils nutils corothread evcorothread webby; do
    while IFS=: read -r file line include; do
        folder=$(sed -nE 's/.*#include "([a-z]+)\/.*/\1/p' <<<"$include")
        [[ " ${below[$layer]} " == *" $folder "* ]] || { echo "   $file:$line: $include"; bad=1; }
    done < <(grep -nHE '^#include "[a-z]+/' "$layer"/*.h "$layer"/*.cpp)
done
# What we build on shows in few rooms.
deny() { # deny PATTERN ALLOWED-FILES-REGEX
    local found
    found=$(grep -lE "$1" {cutils,nutils,corothread,evcorothread,webby}/*.{h,cpp} 2>/dev/null | grep -vE "$2" || true)
    [ -z "$found" ] || { echo "   $1 is included in: $found"; bad=1; }
}
deny '#include <(event2/|event\.h)' '^evcorothread/[a-z_0-9]+\.cpp$'
deny '#include <openssl/' '^evcorothread/tls_[a-z_0-9]+\.cpp$'
deny '#include <boost/context' '^corothread/[a-z_0-9]+\.cpp$'
deny '#include <elfutils/' '^corothread/source_lines\.cpp$'
deny '#include <(zlib\.h|zstd\.h|brotli/)' '^webby/compression_[a-z_]+\.cpp$'
deny '#include <boost/beast' '^webby/[a-z_0-9]+\.cpp$'

say "every header compiles alone, with g++ and clang++"
for header in {cutils,nutils,corothread,evcorothread,webby}/*.h; do
    for compiler in g++ clang++; do
        "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wshadow -Wconversion -I. -D_GNU_SOURCE \
            -DCOROTHREAD_NO_RED_ZONE=1 -x c++ -include "$header" /dev/null || { echo "   $header ($compiler)"; bad=1; }
    done
done

say "no warning from clang++"
make -s -j"$jobs" CXX=clang++ CC=clang OUT=out/clang CXXFLAGS=-Werror CFLAGS=-Werror libraries programs || bad=1

build/test.sh "$@" || bad=1
[ $bad -eq 0 ] && say "all is well" || say "something is wrong: see above"
exit $bad
