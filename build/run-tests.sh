#!/usr/bin/env bash
# Runs every test program under OUT/test, shows what failed, and ends with one line: N passed, N failed.
#   build/run-tests.sh out/release [more output folders]
# Then, for out/release, the gdb script and the lock check (test/gdb, test/lockcheck).
# ORDERS=5: runs the released tests of evcorothread in so many shuffled orders, too; each counts as one.
# CONSUMERS=1, DOCS=1: also test/consumers/run.sh --quick and build/check-docs.sh, for out/release; their cases count.
set -uo pipefail
passed=0 failed=0

# What mostly compiles goes on beside the tests, which mostly use one core. Its output is looked at in the end.
sides=$(mktemp -d)
trap 'kill "$side" 2>/dev/null; rm -rf "$sides"' EXIT
trap 'exit 1' INT TERM
(
    [ "${CONSUMERS:-0}" -eq 0 ] || timeout 1500 test/consumers/run.sh --quick out/release >"$sides/consumers" 2>&1
    [ "${DOCS:-0}" -eq 0 ] || timeout 1500 build/check-docs.sh out/release >"$sides/docs" 2>&1
) &
side=$!

for out in "$@"; do
    for program in "$out"/test/test_*; do
        [ -x "$program" ] || continue
        log=$(mktemp)
        timeout --kill-after=10 600 "$program" -v >"$log" 2>&1
        code=$?
        # CppUTest: OK (3 tests, 3 ran, …) or Errors (1 failures, 3 tests, 3 ran, …).
        summary=$(grep -E '^(OK|Errors) \(' "$log" | tail -n 1)
        ran=$(sed -nE 's/.*[(, ]([0-9]+) ran,.*/\1/p' <<<"$summary")
        bad=$(sed -nE 's/.*\(([0-9]+) failures?,.*/\1/p' <<<"$summary")
        ran=${ran:-0} bad=${bad:-0}
        if [ $code -ne 0 ] && [ "$bad" -eq 0 ]; then
            bad=1
            echo "$program: ended with code $code after:"
            tail -n 40 "$log"
        elif [ "$bad" -gt 0 ]; then
            grep -vE '^TEST\(.* - [0-9]+ ms$' "$log"
        elif [ "$ran" -eq 0 ]; then
            bad=1
            echo "$program: ran no test"
        fi
        good=$((ran > bad ? ran - bad : 0))
        printf '%-40s %5d passed %5d failed\n' "$program" "$good" "$bad"
        passed=$((passed + good)) failed=$((failed + bad))
        rm -f "$log"
    done
done
if [ "${ORDERS:-0}" -gt 0 ] && [ -x out/release/test/test_evcorothread ]; then
    log=$(mktemp)
    build/test-orders.sh "$ORDERS" >"$log" 2>&1
    read -r good bad < <(sed -nE 's/^([0-9]+) orders passed, ([0-9]+) failed$/\1 \2/p' "$log")
    [ -n "${bad:-}" ] || { good=0 bad=1; }
    [ "$bad" -eq 0 ] || cat "$log"
    printf '%-40s %5d passed %5d failed\n' "shuffled orders of test_evcorothread" "$good" "$bad"
    passed=$((passed + good)) failed=$((failed + bad))
    rm -f "$log"
fi

# count NAME COMMAND...: something that ends with a line "N passed, N failed"; shows what it said when it failed.
count() {
    local name=$1 log good='' bad=''
    shift
    log=$(mktemp)
    "$@" >"$log" 2>&1
    read -r good bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log" | tail -n 1)
    [ -n "${bad:-}" ] || { good=0 bad=1; }
    [ "$bad" -eq 0 ] || grep -v '^ok ' "$log" | tail -n 60
    printf '%-40s %5d passed %5d failed\n' "$name" "$good" "$bad"
    passed=$((passed + good)) failed=$((failed + bad))
    rm -f "$log"
}
# With the released libraries, once the shared ones are there too.
if [ "${1:-}" = out/release ] && [ -e out/release/lib/libevcorothread.so ]; then
    command -v gdb >/dev/null && count test/gdb/run.sh test/gdb/run.sh out/release
    count test/lockcheck/run.sh test/lockcheck/run.sh out/release
fi
wait "$side"
[ "${CONSUMERS:-0}" -eq 0 ] || count "test/consumers/run.sh --quick" cat "$sides/consumers"
[ "${DOCS:-0}" -eq 0 ] || count "build/check-docs.sh" cat "$sides/docs"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
