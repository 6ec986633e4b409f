#!/usr/bin/env bash
# The lock check, preloaded and linked: names a mutex that is held across a switch, where it was locked and where its
# holder waits; and is silent otherwise.
#
#   test/lockcheck/run.sh [OUT]     OUT: where the libraries are, out/release unless told
#
# One line a case, then "N passed, N failed". Leaves nothing behind.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../build/help.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$(realpath -m "${1:-$root/out/release}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

is() { # is NAME COMMAND...
    local name=$1
    shift
    if "$@"; then
        passed=$((passed + 1))
        printf 'ok    %s\n' "$name"
    else
        failed=$((failed + 1))
        printf 'FAIL  %s\n' "$name"
        cat "$work/said"
    fi
}
run() { timeout 20 env "$@" >"$work/said" 2>&1; }
said() { grep -qE -- "$1" "$work/said"; }
silent() { [ "$(cat "$work/said")" = done ]; }

compile=(g++ -std=c++20 -O1 -g "-I$root" "$here/holder.cpp" -pthread)
# shellcheck disable=SC2046
"${compile[@]}" -o "$work/static" -Wl,--whole-archive "$out/lib/libevclockcheck.a" -Wl,--no-whole-archive \
    "$out"/lib/lib{evcorothread,corothread,nutils,cutils}.a -lboost_context -levent_core -levent_pthreads \
    $(pkg-config --libs openssl 2>/dev/null) || exit 1
"${compile[@]}" -o "$work/shared" -L"$out/lib" -l:libevcorothread.so -l:libcorothread.so -l:libnutils.so -l:libcutils.so \
    -Wl,-rpath,"$out/lib" || exit 1

for kind in static shared; do
    with=()
    [ $kind = shared ] && with=("LD_PRELOAD=$out/lib/libevclockcheck.so")
    run "${with[@]}" "$work/$kind" hold
    is "$kind: a mutex held across a switch is found" said 'held across a switch by coroutine 1; it was locked here'
    is "$kind: where it was locked" said 'refresh_cache_and_wait'
    is "$kind: where its holder waits" said '1 "refresher" parked in delay'
    is "$kind: once" test "$(grep -c 'held across' "$work/said")" = 1
    run "${with[@]}" "$work/$kind" let-go
    is "$kind: one that was let go is not" silent
    run "${with[@]}" "$work/$kind" forget
    is "$kind: one whose holder has ended is found" said 'locked here'
    is "$kind: and that it has ended" said 'it has ended'
    is "$kind: and that is all" said '^done$'
    run "${with[@]}" EVCOROTHREAD_LOCKCHECK=abort "$work/$kind" hold
    code=$?
    is "$kind: it ends the process when asked to" test $code = 134
done

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
