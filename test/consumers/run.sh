#!/usr/bin/env bash
# What an outsider sees: installs into folders of its own, builds programs against them with the link lines that people
# use, and has each serve 200 clients at once while 100 stacks exist (crowd.c says what is asked of it).
#
#   test/consumers/run.sh [OUT]     OUT: what is installed, out/release unless told; about a minute
#
# One line a case, then "N passed, N failed". Leaves nothing behind.
set -uo pipefail

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
    timeout 300 "$@" >"$work/log" 2>&1 && return 0
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
needs() { readelf -d "$1" | grep -qE 'NEEDED.*lib(cutils|nutils|corothread|evcorothread)\.so' && echo shared || echo static; }

# serves NAME static|shared COMPILER ARGUMENT...: builds an echo server and sends it the crowd. Environment for running
# it, if any, in $run_env.
run_env=()
serves() {
    local name=$1 kind=$2 said
    shift 2
    try "$name" "$@" -o "$work/program" || return 0
    [ "$(needs "$work/program")" = "$kind" ] || { bad "$name" "it is not linked as it should be"; return 0; }
    if ! start_server env "${run_env[@]}" "$work/program"; then
        bad "$name" "it does not start: $(tr '\n' ' ' <"$work/says" | cut -c -300)"
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

# prints NAME EXPECTED COMPILER ARGUMENT...: builds a program and compares what it prints.
prints() {
    local name=$1 expected=$2 said
    shift 2
    try "$name" "$@" -o "$work/program" || return 0
    said=$(timeout 20 "$work/program" 2>&1 | tr '\n' ' ')
    if [ "$said" = "$expected" ]; then good "$name" "prints $said"; else bad "$name" "prints $said"; fi
}

# --- three prefixes: all that `make install` gives, the archives alone, the shared libraries alone

export MAKEFLAGS=
for kind in both static shared; do
    try "make install" make -s -C "$root" OUT="$out" PREFIX="$work/$kind" install || { echo "0 passed, 1 failed"; exit 1; }
done
rm -f "$work"/static/lib/*.so* "$work"/shared/lib/*.a
try "crowd.c" gcc -std=c11 -O2 -Wall -Wextra -o "$work/crowd" "$here/crowd.c" || { echo "0 passed, 1 failed"; exit 1; }

pkg() { PKG_CONFIG_PATH="$work/$1/lib/pkgconfig" pkg-config "${@:2}"; }
flags_of() { pkg "$1" --cflags evcorothread; }

article=$root/tutorial/echo/echo_c.c
cxx_echo=$root/tutorial/echo/echo.cpp
ours='-lcutils -lbutils -lnutils -lcorothread -levcorothread -pthread'
ours_shared='-lcutilssh -lbutilssh -lnutilssh -lcorothreadsh -levcorothreadsh -pthread'
# As C++, where malloc(3) gives no char * without a cast: the program is kept as it was printed.
as_cxx=(g++ -fpermissive -w -x c++ "$article" -x none)
if [ "$("${CXX:-g++}" -dumpversion | cut -d. -f1)" -lt 11 ]; then cxx=(-std=c++2a); else cxx=(-std=c++20); fi

# What a static link needs from the system, as pkg-config names it.
system_libraries() {
    pkg "$1" --static --libs-only-l evcorothread | tr ' ' '\n' | grep -vE '^-l(cutils|nutils|corothread|evcorothread)$' | tr '\n' ' '
}

# --- the installed tree

name="headers under one versioned folder, and nothing else"
if [ "$(ls "$work/both/include")" = "$(basename "$work"/both/include/evcorothread-*)" ] &&
    [ -z "$(find "$work/both/include" -name '*_internal.h')" ]; then
    good "$name"
else
    bad "$name" "$(ls "$work/both/include")"
fi

name="nothing installed knows where it was built"
if grep -rlIF -e "$root" -e "$out" "$work/both/include" "$work/both/lib/pkgconfig" >"$work/log"; then
    bad "$name" "$(tr '\n' ' ' <"$work/log")"
else
    good "$name"
fi

name="DESTDIR is put in front, and in nothing that is installed"
if try "$name" make -s -C "$root" OUT="$out" PREFIX=/usr DESTDIR="$work/staged" install; then
    if [ "$(ls "$work/staged")" = usr ] && ! grep -rqF "$work" "$work/staged/usr/lib/pkgconfig"; then
        good "$name"
    else
        bad "$name" "$(ls "$work/staged")"
    fi
fi

# --- the C program

for compiler in gcc g++ clang; do
    case $compiler in
    g++) compile=("${as_cxx[@]}") ;;
    *) compile=("$compiler" -std=c11 -w "$article") ;;
    esac
    # shellcheck disable=SC2046,SC2086
    {
        serves "C, $compiler, static line, archives alone" static "${compile[@]}" $(flags_of static) \
            -L"$work/static/lib" -Wl,--start-group $ours -Wl,--end-group $(system_libraries static)
        serves "C, $compiler, shared line alone, rpath" shared "${compile[@]}" $(flags_of shared) \
            -L"$work/shared/lib" $ours_shared -Wl,-rpath,"$work/shared/lib"
    }
done
# shellcheck disable=SC2046,SC2086
{
    serves "C, gcc, static line, archives and shared installed" shared gcc -std=c11 -w "$article" $(flags_of both) \
        -L"$work/both/lib" -Wl,--start-group $ours -Wl,--end-group $(system_libraries both) -Wl,-rpath,"$work/both/lib"
    run_env=(LD_LIBRARY_PATH="$work/both/lib")
    serves "C, g++, shared line alone, LD_LIBRARY_PATH" shared "${as_cxx[@]}" $(flags_of both) -L"$work/both/lib" \
        $ours_shared
    run_env=()
    serves "C, gcc, pkg-config --static" static gcc -std=c11 -w "$article" \
        $(pkg static --static --cflags --libs evcorothread)
    serves "C, gcc, pkg-config" shared gcc -std=c11 -w "$article" $(pkg shared --cflags --libs evcorothread) \
        -Wl,-rpath,"$work/shared/lib"
}

# --- programs in C++

# shellcheck disable=SC2046,SC2086
for compiler in g++ clang++; do
    serves "C++, $compiler, pkg-config --static" static "$compiler" "${cxx[@]}" -Wall -Wextra -Werror "$cxx_echo" \
        $(pkg static --static --cflags --libs evcorothread)
    serves "C++, $compiler, pkg-config" shared "$compiler" "${cxx[@]}" -Wall -Wextra -Werror "$cxx_echo" \
        $(pkg shared --cflags --libs evcorothread) -Wl,-rpath,"$work/shared/lib"
    prints "C++, $compiler, delay" "10 ms 20 ms 30 ms " "$compiler" "${cxx[@]}" -Wall -Wextra -Werror \
        "$root/tutorial/delay/delay.cpp" $(pkg static --static --cflags --libs evcorothread)
    prints "C++, $compiler, a generator" "0 1 1 2 3 5 8 13 21 34 " "$compiler" "${cxx[@]}" -Wall -Wextra -Werror \
        "$root/tutorial/fibonacci/generator.cpp" $(pkg shared --cflags --libs evcorothread) \
        -Wl,-rpath,"$work/shared/lib"
done

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
