#!/usr/bin/env bash
# The gdb script, as people meet it: carried by the library, loaded by gdb itself, on a live process, on core files that
# gdb and the kernel have written, with the archives and with the shared libraries.
#
#   test/gdb/run.sh [OUT]     OUT: where the libraries are, out/release unless told; ten seconds
#
# One line a case, then "N passed, N failed". Leaves nothing behind.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../build/help.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(realpath -m "${1:-$root/out/release}")
work=$(mktemp -d)
process=
passed=0 failed=0

stop_process() {
    [ -n "$process" ] || return 0
    kill "$process" 2>/dev/null
    wait "$process" 2>/dev/null
    process=
}
trap 'stop_process; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# says NAME PATTERN: does $work/log have a line like that?
says() {
    if grep -qE -- "$2" "$work/log"; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$1"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s: no line like %s\n' "$1" "$2"
        tail -n 25 "$work/log"
    fi
}
# says_not NAME PATTERN
says_not() {
    if grep -qE -- "$2" "$work/log"; then
        failed=$((failed + 1))
        printf 'FAIL  %s: %s\n' "$1" "$(grep -m1 -E -- "$2" "$work/log")"
    else
        passed=$((passed + 1))
        printf 'ok    %s\n' "$1"
    fi
}

in_gdb() { timeout 60 gdb -nx -batch -iex "set auto-load safe-path /" -iex "set debuginfod enabled off" "$@" >"$work/log" 2>&1; }
start() {
    "$@" >"$work/says" &
    process=$!
    for _ in $(seq 100); do
        [ -s "$work/says" ] && return 0
        sleep 0.05
    done
}

look=(-ex "evthreads" -ex "evthread 1 bt" -ex "evthread 3" -ex up -ex "evthread off" -ex bt)
check() { # check NAME: what the crowd looks like
    says "$1: who reads, from which descriptor, and where" '1 +parked +"client"  recv \(descriptor [0-9]+\)  in .*read_order at .*crowd.cpp:[0-9]+'
    says "$1: who waits for whose mutex" '3 +parked +"updater"  stock \(held by 2 "holder"\)'
    says "$1: who is canceled" '5 +parked, canceled +"canceled"  delay'
    says "$1: who runs, and in which function" '\* 6 +running +"busy"  in .*crowd.cpp'
    says "$1: who has not begun" '7 +ready +"early" .*has not begun'
    says "$1: a backtrace with arguments" '^#[0-9]+ .*read_order \(socket=..., order=(order@entry=)?4711\) at '
    says "$1: a backtrace ends where the coroutine begins" '^#[0-9]+ .*ThreadCore::entry'
    says_not "$1: and not behind it" '0x0+ in \?\?|Backtrace stopped'
    says "$1: one is selected" 'Coroutine 3 "updater" parked stock'
}

libraries="cutils nutils corothread evcorothread"
compile=(g++ -std=c++20 -O1 -g "-I$root" "$here/crowd.cpp" -pthread)
# shellcheck disable=SC2046
"${compile[@]}" -o "$work/static" "$out"/lib/lib{evcorothread,corothread,nutils,cutils}.a -lboost_context -levent_core \
    -levent_pthreads $(pkg-config --libs openssl 2>/dev/null) || exit 1
# shellcheck disable=SC2046
"${compile[@]}" -o "$work/shared" -L"$out/lib" $(printf -- '-l:lib%s.so ' $libraries) -Wl,-rpath,"$out/lib" || exit 1

for kind in static shared; do
    start "$work/$kind" wait
    in_gdb -p "$process" "${look[@]}" -ex "generate-core-file $work/core"
    if grep -q 'ptrace: Operation not permitted' "$work/log"; then
        echo "skip  $kind, live, and gdb's core: gdb may not look at processes here (ptrace_scope, a container)"
        stop_process
        continue
    fi
    check "$kind, live"
    in_gdb -p "$process" -ex "python slots = number(all_loops()[0].core + Layout().loop_slots)" \
        -ex "python damaged = slots + 8 * [number(slots + 8 * i) != 0 for i in range(100)].index(True)" \
        -ex "python gdb.selected_inferior().write_memory(damaged, (8).to_bytes(8, 'little'))" -ex evthreads \
        -ex "python gdb.selected_inferior().write_memory(slots, bytes(8 * 9))" \
        -ex "python first = all_loops()[0].core" \
        -ex "python gdb.selected_inferior().write_memory(first + Layout().loop_next, first.to_bytes(8, 'little'))" \
        -ex "evthread all bt"
    says "$kind: what is damaged is counted" '  and 1 whose memory is damaged'
    says "$kind: and the others are listed" '(ready|parked) .* in '
    says "$kind: a list of loops without an end is noticed" 'the list of loops is damaged'
    says_not "$kind: there is no traceback" 'Traceback'
    stop_process
    in_gdb "$work/$kind" "$work/core" "${look[@]}"
    check "$kind, gdb's core"
    in_gdb "$work/$kind" "$work/core" -ex "evthread 1 bt 2" -ex "evthread 1 bt nonsense"
    says "$kind: a backtrace of so many frames has them" '^#1 '
    says_not "$kind: and no more" '^#2 '
    says "$kind: what backtrace does not know is said" 'nonsense'
    says_not "$kind: without a traceback" 'Traceback|Python Exception'
    rm -f "$work/core"
done
# The kernel's, where it leaves them in the folder of the process.
if [ "$(cat /proc/sys/kernel/core_pattern)" = core ] && [ "$(ulimit -Hc)" = unlimited ]; then
    { (cd "$work" && ulimit -c unlimited && exec ./static crash >/dev/null); } 2>/dev/null
    core=$(ls "$work"/core* 2>/dev/null | head -n 1)
    in_gdb "$work/static" "$core" "${look[@]}"
    check "static, the kernel's core"
else
    echo "skip  the kernel's core: it does not leave one here (core_pattern, ulimit -c)"
fi

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
