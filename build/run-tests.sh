#!/usr/bin/env bash
# Runs every test program under OUT/test, shows what failed, and ends with one line: N passed, N failed.
#   build/run-tests.sh out/release [more output folders]
# With out/release, the gdb script, the lock check and failing system calls, too (test/gdb, test/lockcheck, test/faults).
# ORDERS=5: runs the released tests of evcorothread in so many shuffled orders, too; each counts as one.
# CONSUMERS=1, DOCS=1: also test/consumers/run.sh --quick and build/check-docs.sh, for out/release; their cases count.
# FUZZ=1: also each fuzz target for a minute, or for as long as there is time until 18 minutes after STARTED.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/help.sh"
passed=0 failed=0
work=$(mktemp -d)
side=''
trap 'kill $side 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
log=$work/log

# count NAME PASSED FAILED
count() {
    printf '%-40s %5d passed %5d failed\n' "$@"
    passed=$((passed + $2)) failed=$((failed + $3))
}

# A CppUTest program. Its summary: OK (3 tests, 3 ran, …) or Errors (1 failures, 3 tests, 3 ran, …).
run_program() {
    local code=0 summary ran bad
    timeout --kill-after=10 600 "$1" -v >"$log" 2>&1 || code=$?
    summary=$(grep -E '^(OK|Errors) \(' "$log" | tail -n 1)
    ran=$(sed -nE 's/.*[(, ]([0-9]+) ran,.*/\1/p' <<<"$summary")
    bad=$(sed -nE 's/.*\(([0-9]+) failures?,.*/\1/p' <<<"$summary")
    ran=${ran:-0} bad=${bad:-0}
    if [ $code -ne 0 ] && [ "$bad" -eq 0 ]; then
        bad=1
        echo "$1: ended with code $code after:"
        tail -n 40 "$log"
    elif [ "$bad" -gt 0 ]; then
        grep -vE '^TEST\(.* - [0-9]+ ms$' "$log"
    elif [ "$ran" -eq 0 ]; then
        bad=1
        echo "$1: ran no test"
    fi
    count "$1" $((ran > bad ? ran - bad : 0)) "$bad"
}

# run_script NAME COMMAND...: something that ends with a line "N passed, N failed", or "N orders passed, N failed".
run_script() {
    local name=$1 good='' bad=''
    shift
    "$@" >"$log" 2>&1
    read -r good bad < <(sed -nE 's/^([0-9]+) (orders )?passed, ([0-9]+) failed$/\1 \3/p' "$log" | tail -n 1)
    [ -n "${bad:-}" ] || { good=0 bad=1; }
    [ "$bad" -eq 0 ] || grep -v '^ok ' "$log" | tail -n 60
    count "$name" "$good" "$bad"
}

# While somebody still builds it (build/test.sh), his process id stands in OUT/building.
wait_until_built() {
    while kill -0 "$(cat "$1/building" 2>/dev/null)" 2>/dev/null; do sleep 0.5; done
}

# Every test program of an output folder; with the released libraries, what goes on from them.
run_all_of() {
    wait_until_built "$1"
    if [ -e "$1/build.failed" ]; then
        tail -n 100 "$1/build.log"
        count "the build of $1" 0 1
        return
    fi
    for program in "$1"/test/test_*; do
        [ ! -x "$program" ] || run_program "$program"
    done
    [ "$1" = out/release ] || return
    if [ "${ORDERS:-0}" -gt 0 ] && [ -x out/release/test/test_evcorothread ]; then
        run_script "shuffled orders of test_evcorothread" build/test-orders.sh "$ORDERS"
    fi
    if [ -e out/release/lib/libevcorothread.so ]; then
        ! command -v gdb >/dev/null || run_script test/gdb/run.sh test/gdb/run.sh out/release
        run_script test/lockcheck/run.sh test/lockcheck/run.sh out/release
    fi
    [ ! -x out/release/test/scenario ] || run_script "test/faults/run.sh --quick" test/faults/run.sh --quick --quiet
}

# Each fuzz target for a minute, or for as long as there is time.
run_fuzz_targets() {
    local targets each
    wait_until_built out/fuzz
    if [ -e out/fuzz/no-time ]; then
        echo "build/fuzz.sh is left out: this machine took too long for all else. By hand: build/fuzz.sh"
        return
    fi
    targets=$(find test/fuzz -name '*_fuzz.cpp' | wc -l)
    each=$(((STARTED + 18 * 60 - $(date +%s)) / ((targets + 1) / 2)))
    each=$((each > 60 ? 60 : each < 1 ? 1 : each))
    FUZZ_SEED=1 run_script "build/fuzz.sh $each (seconds for each)" build/fuzz.sh "$each"
}

# What mostly compiles goes on beside the tests, which mostly use one core, as soon as nothing else is compiled. Its
# output is looked at in the end.
(
    for out in "$@"; do wait_until_built "$out"; done
    [ "${CONSUMERS:-0}" -eq 0 ] || timeout 1500 test/consumers/run.sh --quick out/release >"$work/consumers" 2>&1
    [ "${DOCS:-0}" -eq 0 ] || timeout 1500 build/check-docs.sh out/release >"$work/docs" 2>&1
) &
side=$!

for out in "$@"; do run_all_of "$out"; done
wait "$side"
[ "${CONSUMERS:-0}" -eq 0 ] || run_script "test/consumers/run.sh --quick" cat "$work/consumers"
[ "${DOCS:-0}" -eq 0 ] || run_script "build/check-docs.sh" cat "$work/docs"
[ "${FUZZ:-0}" -eq 0 ] || run_fuzz_targets
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
