#!/usr/bin/env bash
# What an outsider sees: installs into folders of its own, builds programs outside of the tree with the link lines and
# tools that people use, and has each serve 200 clients at once while 100 stacks exist (crowd.c says what is asked of it).
#
#   test/consumers/run.sh [OUT]             OUT: what is installed, out/release unless told; about two minutes
#   test/consumers/run.sh --quick [OUT]     a case of each kind, and one client instead of 200; half a minute
#   test/consumers/run.sh --prefix PREFIX   the same cases against what is installed there: the packages' /usr, say
#
# One line a case, then "N passed, N failed". Leaves nothing behind.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../build/help.sh"

quick=false prefix=
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=true ;;
    --prefix) prefix=$2 && shift ;;
    *) break ;;
    esac
    shift
done

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(realpath -m "${1:-$root/out/release}")
work=$(mktemp -d)
server=
passed=0 failed=0

stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    server=
}
trap 'stop_server; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

good() { passed=$((passed + 1)); printf 'ok    %-52s %s\n' "$1" "${2:-}"; }
bad() { failed=$((failed + 1)); printf 'FAIL  %-52s %s\n' "$1" "${2:-}"; }

# try NAME COMMAND...: a step without which a case makes no sense; shows what the command said when it fails.
try() {
    local name=$1
    shift
    if declare -F "$1" >/dev/null; then
        "$@" >"$work/log" 2>&1 && return 0
    else
        timeout 300 "$@" >"$work/log" 2>&1 && return 0
    fi
    bad "$name" "$(tr '\n' ' ' <"$work/log" | cut -c -600)"
    return 1
}

# Starts $1, waits until it listens, and sets $server and $port.
start_server() {
    : >"$work/says"
    "$@" 0 >"$work/says" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        port=$(sed -nE 's/^listening at 127\.0\.0\.1:([0-9]+)$/\1/p' "$work/says")
        [ -n "$port" ] && return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    return 1
}

# needs PROGRAM: which of our libraries it loads when it runs: "static" for none.
needs() { readelf -d "$1" | grep -qE 'NEEDED.*lib(cutils|nutils|corothread|evcorothread|webby)\.so' && echo shared || echo static; }

# One client, which sends a line and wants it back.
one_client() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    echo "hello, $server" >&3
    read -r -t 10 line <&3
    exec 3>&-
    if [ "${line:-}" = "hello, $server" ]; then echo "1 client is answered"; else echo "no answer but: ${line:-}"; fi
}

# serves NAME static|shared COMMAND...: builds an echo server, $work/program (or the one that $built names), and sends it
# the crowd. Environment for running it, if any, in $run_env.
run_env=() built=
serves() {
    local name=$1 kind=$2 said program=${built:-$work/program}
    shift 2
    try "$name" "$@" || return 0
    [ "$(needs "$program")" = "$kind" ] || { bad "$name" "it is not linked as it should be"; return 0; }
    if ! start_server env "${run_env[@]}" "$program"; then
        bad "$name" "it does not start: $(tr '\n' ' ' <"$work/says" | cut -c -300)"
    elif $quick; then
        said=$(one_client)
        if [[ $said == "1 client is answered" ]]; then good "$name" "$said"; else bad "$name" "$said"; fi
    else
        said=$(timeout 90 "$work/crowd" "$port" "$server" 200 100)
        # A machine that is busy with something else gets a second chance.
        if [[ $said == "too slow"* ]]; then
            sleep 4
            said=$(timeout 90 "$work/crowd" "$port" "$server" 200 100)
        fi
        if [[ $said == 200\ clients* ]]; then good "$name" "$said"; else bad "$name" "${said:-no answer}"; fi
    fi
    stop_server
}
# compiles COMPILER ARGUMENT...: into $work/program.
compiles() { "$@" -o "$work/program"; }

# prints NAME EXPECTED COMPILER ARGUMENT...: builds a program and compares what it prints.
prints() {
    local name=$1 expected=$2 said
    shift 2
    try "$name" compiles "$@" || return 0
    said=$(timeout 20 "$work/program" 2>&1 | tr '\n' ' ')
    if [ "$said" = "$expected" ]; then good "$name" "prints $said"; else bad "$name" "prints $said"; fi
}

# --- what is installed: all that `make install` gives, the archives alone, the shared libraries alone

export MAKEFLAGS=
install_into() { make -s -C "$root" OUT="$out" PREFIX="$1" install; }
if [ -n "$prefix" ]; then
    both=$prefix static=$prefix shared=$prefix
else
    both=$work/both static=$work/static shared=$work/shared
    for kind in "$both" "$static" "$shared"; do
        try "make install" install_into "$kind" || { echo "0 passed, 1 failed"; exit 1; }
    done
    rm -f "$static"/lib/*.so* "$shared"/lib/*.a
fi
try "crowd.c" gcc -std=c11 -O2 -Wall -Wextra -o "$work/crowd" "$here/crowd.c" || { echo "0 passed, 1 failed"; exit 1; }

pkg() { PKG_CONFIG_PATH="$1/lib/pkgconfig" pkg-config "${@:2}"; }
flags_of() { pkg "$1" --cflags evcorothread; }

article=$root/tutorial/echo/echo_c.c
cxx_echo=$root/tutorial/echo/echo.cpp
ours='-lcutils -lbutils -lnutils -lcorothread -levcorothread -pthread'
ours_shared='-lcutilssh -lbutilssh -lnutilssh -lcorothreadsh -levcorothreadsh -pthread'
# As C++, where malloc(3) gives no char * without a cast: the program is kept as it was printed.
as_cxx=(g++ -fpermissive -w -x c++ "$article" -x none)
if [ "$("${CXX:-g++}" -dumpversion | cut -d. -f1)" -lt 11 ]; then cxx=(-std=c++2a); else cxx=(-std=c++20); fi

# The archives, though the shared libraries may lie beside them; what a static link needs from the system, as pkg-config
# names it, then follows.
only_archives=(-Wl,-Bstatic -Wl,--start-group -lwebby -levcorothread -lcorothread -lnutils -lcutils -Wl,--end-group -Wl,-Bdynamic)
system_libraries() {
    pkg "$1" --static --libs-only-l evcorothread | tr ' ' '\n' | grep -vE '^-l(cutils|nutils|corothread|evcorothread)$' | tr '\n' ' '
}
libraries_in() { pkg "$1" --libs-only-L --keep-system-libs evcorothread; }
# shellcheck disable=SC2046
statically() { echo $(flags_of "$1") $(libraries_in "$1") "${only_archives[@]}" -pthread $(system_libraries "$1"); }

# --- the installed tree

cases_of_the_tree() {
    local name="headers under one versioned folder, and nothing else"
    if [ "$(ls "$both/include")" = "$(basename "$both"/include/evcorothread-*)" ] &&
        [ -z "$(find "$both/include" -name '*_internal.h')" ]; then
        good "$name"
    else
        bad "$name" "$(ls "$both/include")"
    fi

    name="nothing installed knows where it was built"
    if grep -rlIF -e "$root" -e "$out" "$both/include" "$both/lib/pkgconfig" "$both/lib/cmake" "$both/share/man" >"$work/log"; then
        bad "$name" "$(tr '\n' ' ' <"$work/log")"
    else
        good "$name"
    fi

    name="DESTDIR is put in front, and in nothing that is installed"
    if try "$name" make -s -C "$root" OUT="$out" PREFIX=/usr DESTDIR="$work/staged" install; then
        if [ "$(ls "$work/staged")" = usr ] && ! grep -rqF "$work" "$work"/staged/usr/lib/{pkgconfig,cmake}; then
            good "$name"
        else
            bad "$name" "$(ls "$work/staged")"
        fi
    fi

    name="make uninstall takes what make install brought, and no more"
    install -D /dev/null "$work/staged/usr/lib/pkgconfig/another.pc"
    install -D /dev/null "$work/staged/usr/include/another.h"
    if try "$name" make -s -C "$root" OUT="$out" PREFIX=/usr DESTDIR="$work/staged" uninstall; then
        if [ "$(cd "$work/staged" && find . -not -type d | sort | tr '\n' ' ')" = "./usr/include/another.h ./usr/lib/pkgconfig/another.pc " ]; then
            good "$name"
        else
            bad "$name" "$(cd "$work/staged" && find . -not -type d | head -5 | tr '\n' ' ')"
        fi
    fi

    name="make uninstall leaves no folder that only we use"
    said=$(cd "$work/staged" && find . -type d -empty | sort | tr '\n' ' ')
    if [ "$said" = "./usr/bin ./usr/share/doc " ]; then good "$name"; else bad "$name" "$said"; fi

    name="a prefix may have a space in it, and a slash behind it"
    if try "$name" make -s -C "$root" OUT="$out" PREFIX="$work/with space/" install; then
        said=$(eval "printf '%s\n' $(pkg "$work/with space" --cflags evcorothread)")
        if [ -d "${said#-I}" ] && grep -qF 'libdir=${prefix}/lib' "$work/with space/lib/pkgconfig/webby.pc"; then
            good "$name"
        else
            bad "$name" "$(tr '\n' ' ' <<<"$said")"
        fi
    fi

    name="a relative prefix is one below the project's folder, and pkg-config knows where"
    if try "$name" make -s -C "$root" OUT="$out" PREFIX="$(realpath -m --relative-to="$root" "$work/relative")" install; then
        said=$(pkg "$work/relative" --variable=prefix evcorothread)
        if [ "$said" = "$work/relative" ]; then good "$name"; else bad "$name" "$said"; fi
    fi

    name="what the C++ and the C face export carries the version"
    nm -D --defined-only "$shared"/lib/lib{evcorothread,webby}.so | awk 'NF == 3 {print $3}' |
        grep -E '^(EV[A-Z]+_[a-z]|STACKS|_ZNK?(6cutils|6nutils|10corothread|12evcorothread|5webby))' >"$work/symbols"
    said=$(grep -vE '@@EVCOROTHREAD_[0-9]+\.[0-9]+$' "$work/symbols" | head -3 | tr '\n' ' ')
    if [ -z "$said" ] && grep -q '^EVLOOP_init@@' "$work/symbols"; then
        good "$name" "$(wc -l <"$work/symbols") symbols"
    else
        bad "$name" "$said"
    fi
}

# A man page for every call of the C face, which reads without a warning.
cases_of_the_pages() {
    local name="every call of the C face has a man page" call missing=
    for call in $(grep -ohE '\b(EV[A-Z]+|STACKS|IPADDRESS|SOCKADDR)_[a-z_]+\(' "$root"/evcorothread/evthread*.h | tr -d '(' | sort -u); do
        grep -qE "(EVC_API|static inline) .*\\b$call\\(" "$root"/evcorothread/evthread*.h || continue
        [ -e "$both/share/man/man3/$call.3" ] || [ -e "$both/share/man/man3/$call.3.gz" ] || missing+=" $call"
    done
    if [ -z "$missing" ]; then good "$name" "$(ls "$both/share/man/man3" | wc -l) pages"; else bad "$name" "not:$missing"; fi

    name="man pages are clean"
    if command -v mandoc >/dev/null; then
        (cd "$both/share/man" && mandoc -T lint -W warning man1/webby.1* $(grep -L '^\.so' man3/*.3)) >"$work/log" 2>&1
        if [ -s "$work/log" ]; then bad "$name" "$(head -3 "$work/log" | tr '\n' ' ')"; else good "$name"; fi
    fi

    name="webby(1) has every option of webby --help"
    missing=
    for call in $("$both/bin/webby" --help | grep -oE '^ +(-[a-z],)?--[a-z0-9-]+' | grep -oE -- '--[a-z0-9-]+'); do
        grep -qF -- "${call//-/\\-}" "$root/build/man/webby.1" || missing+=" $call"
    done
    if [ -z "$missing" ]; then good "$name"; else bad "$name" "not:$missing"; fi
}
if [ -z "$prefix" ]; then
    cases_of_the_tree
    cases_of_the_pages
fi

# --- the link lines of the article, by hand and in a Makefile

# shellcheck disable=SC2046,SC2086
lines_of_the_article() {
    local compiler
    for compiler in "$@"; do
        case $compiler in
        g++) compile=("${as_cxx[@]}") ;;
        *) compile=("$compiler" -std=c11 -w "$article") ;;
        esac
        serves "C, $compiler, static line, archives alone" static compiles "${compile[@]}" $(flags_of "$static") \
            -L"$static/lib" -Wl,--start-group $ours -Wl,--end-group $(system_libraries "$static")
        serves "C, $compiler, shared line alone, rpath" shared compiles "${compile[@]}" $(flags_of "$shared") \
            -L"$shared/lib" $ours_shared -Wl,-rpath,"$shared/lib"
    done
}
plain_makefile() {
    cp -r "$here/plain" "$work/plain" && cp "$article" "$work/plain/"
    for kind in static shared; do
        built=$work/plain/$kind
        serves "plain Makefile, $kind" $kind make -s -C "$work/plain" PREFIX="$both" $kind
    done
    built=
}
[ -n "$prefix" ] || { if $quick; then lines_of_the_article gcc; else lines_of_the_article gcc g++ clang; fi; }
[ -n "$prefix" ] || plain_makefile

# shellcheck disable=SC2046,SC2086
more_lines() {
    serves "C, gcc, static line, archives and shared installed" shared compiles gcc -std=c11 -w "$article" \
        $(flags_of "$both") -L"$both/lib" -Wl,--start-group $ours -Wl,--end-group $(system_libraries "$both") \
        -Wl,-rpath,"$both/lib"
    run_env=(LD_LIBRARY_PATH="$both/lib")
    serves "C, g++, shared line alone, LD_LIBRARY_PATH" shared compiles "${as_cxx[@]}" $(flags_of "$both") \
        -L"$both/lib" $ours_shared
    run_env=()
}
$quick || [ -n "$prefix" ] || more_lines

# --- pkg-config

rpath=()
[ -n "$prefix" ] || rpath=(-Wl,-rpath,"$shared/lib")
# shellcheck disable=SC2046,SC2086
with_pkg_config() {
    local compiler
    [ -n "$prefix" ] ||
        serves "C, gcc, pkg-config --static" static compiles gcc -std=c11 -w "$article" $(pkg "$static" --static --cflags --libs evcorothread)
    serves "C, gcc, pkg-config --static names what the archives need" static compiles gcc -std=c11 -w "$article" $(statically "$both")
    serves "C, gcc, pkg-config" shared compiles gcc -std=c11 -w "$article" $(pkg "$shared" --cflags --libs evcorothread) "${rpath[@]}"
    for compiler in "$@"; do
        [ -n "$prefix" ] ||
            serves "C++, $compiler, pkg-config --static" static compiles "$compiler" "${cxx[@]}" -Wall -Wextra -Werror "$cxx_echo" \
                $(pkg "$static" --static --cflags --libs evcorothread)
        serves "C++, $compiler, pkg-config" shared compiles "$compiler" "${cxx[@]}" -Wall -Wextra -Werror "$cxx_echo" \
            $(pkg "$shared" --cflags --libs evcorothread) "${rpath[@]}"
        $quick && continue
        prints "C++, $compiler, delay" "10 ms 20 ms 30 ms " "$compiler" "${cxx[@]}" -Wall -Wextra -Werror \
            "$root/tutorial/delay/delay.cpp" $(statically "$static")
        prints "C++, $compiler, a generator" "0 1 1 2 3 5 8 13 21 34 " "$compiler" "${cxx[@]}" -Wall -Wextra -Werror \
            "$root/tutorial/fibonacci/generator.cpp" $(pkg "$shared" --cflags --libs evcorothread) "${rpath[@]}"
    done
}
if $quick; then with_pkg_config clang++; else with_pkg_config g++ clang++; fi

# --- CMake: from a tree that was moved since it was installed, which must not matter

with_cmake() {
    local name="CMake, C and C++, shared and static" from=$both
    if [ -z "$prefix" ]; then
        from="$work/moved elsewhere"
        cp -a "$both" "$from"
    fi
    cp -r "$here/cmake" "$here/cmake_c" "$work/"
    cp "$article" "$cxx_echo" "$work/cmake/" && cp "$article" "$work/cmake_c/"
    cmake_builds() {
        cmake -S "$work/$1" -B "$work/$1/out" -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH="$from" ${2:+"$2"} &&
            cmake --build "$work/$1/out" -j 2
    }
    try "$name" cmake_builds cmake "-DCMAKE_C_FLAGS=-w" || return 0
    good "$name" "5 programs"
    for program in echo_shared echo_static echo_c_shared; do
        built=$work/cmake/out/$program
        kind=${program##*_}
        serves "CMake, $program" "$kind" true
    done
    built=
    for program in hello_shared hello_static; do
        said=$(timeout 20 "$work/cmake/out/$program" 2>&1)
        if [ "$said" = "Hello, world!" ]; then good "CMake, $program" "says $said"; else bad "CMake, $program" "$said"; fi
    done
    name="CMake, a project in C alone"
    try "$name" cmake_builds cmake_c "-DCMAKE_C_FLAGS=-w" || return 0
    good "$name" "2 programs"
    for program in echo_shared echo_static; do
        built=$work/cmake_c/out/$program
        serves "CMake, C alone, $program" "${program##*_}" true
    done
    built=
    name="CMake, a version that is not there is refused"
    sed 's/evcorothread 0.1/evcorothread 99.0/' "$here/cmake/CMakeLists.txt" >"$work/cmake/CMakeLists.txt"
    if cmake_builds cmake >"$work/log" 2>&1; then
        bad "$name" "99.0 is found"
    elif grep -q '99.0' "$work/log"; then
        good "$name"
    else
        bad "$name" "$(tail -3 "$work/log" | tr '\n' ' ')"
    fi
}
with_cmake

# --- without exceptions; two copies in one process

# shellcheck disable=SC2046
for compiler in g++ $($quick || echo clang++); do
    prints "C++ without exceptions, $compiler, the C face" "echoed " "$compiler" "${cxx[@]}" -fno-exceptions -fno-rtti -Wall \
        -Wextra -Werror "$here/no_exceptions/echo.cpp" $(pkg "$shared" --cflags --libs evcorothread) "${rpath[@]}"
done

# shellcheck disable=SC2046
three_copies() {
    local plugin
    for plugin in a b; do
        g++ "${cxx[@]}" -Wall -Wextra -Werror -fPIC -fvisibility=hidden -shared "$here/two_copies/plugin.cpp" -o "$work/$plugin.so" \
            -Wl,--version-script="$here/two_copies/plugin.map" $(statically "$static") || return 1
    done
    g++ "${cxx[@]}" -Wall -Wextra -Werror "$here/two_copies/host.cpp" -o "$work/host" \
        $(pkg "$shared" --cflags --libs evcorothread) "${rpath[@]}" -ldl
}
name="three copies of the library in one process"
if try "$name" three_copies; then
    said=$(timeout 30 "$work/host" "$work/a.so" "$work/b.so" 2>&1)
    if [ "$said" = "three copies" ]; then good "$name" "$said"; else bad "$name" "${said:-code $?}"; fi
fi
# A plugin shows nothing of its copy.
name="a plugin exports its own functions only"
said=$(nm -D --defined-only "$work/a.so" | awk '{print $3}' | sort | tr '\n' ' ')
if [ "$said" = "plugin_echoes plugin_identity plugin_is_in_a_coroutine " ]; then good "$name"; else bad "$name" "$said"; fi

# Two plugins for the webby that is installed; it greets, and goes.
# shellcheck disable=SC2046
webby_plugins() {
    local plugin
    for plugin in hello stamp; do
        "${CXX:-g++}" "${cxx[@]}" -Wall -Wextra -Werror -fPIC -shared $(pkg "$both" --cflags webby) \
            "$root/tutorial/plugins/$plugin.cpp" -o "$work/$plugin.so" || return 1
    done
}
name="plugins of webby, built outside of the tree"
if try "$name" webby_plugins; then
    "$both/bin/webby" --listen 127.0.0.1:0 --servlet "$work/hello.so" --filter "$work/stamp.so,text=x" >"$work/says" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        port=$(sed -nE 's/.*http:..127\.0\.0\.1:([0-9]+).*/\1/p' "$work/says")
        [ -z "$port" ] || break
        sleep 0.05
    done
    exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET /hello/world HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
    said=$(timeout 10 cat <&3 | tr -d '\r')
    exec 3>&-
    stop_server
    if [[ $said == *"X-Stamp: x"*"Hello, world!"* ]]; then good "$name" "says Hello, world!"; else bad "$name" "${said:-$(cat "$work/says")}"; fi
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
