#!/usr/bin/env bash
# Runs every test program under OUT/test, shows what failed, and ends with one line: N passed, N failed.
#   build/run-tests.sh out/release [more output folders]
# Then, for out/release, the gdb script and the lock check (test/gdb, test/lockcheck).
# ORDERS=5: runs the released tests of evcorothread in so many shuffled orders, too; each counts as one.
set -uo pipefail
passed=0 failed=0
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
# With the released libraries, once the shared ones are there too: the gdb script, and the lock check.
if [ "${1:-}" = out/release ] && [ -e out/release/lib/libevcorothread.so ]; then
    for script in test/gdb/run.sh test/lockcheck/run.sh; do
        [ $script = test/gdb/run.sh ] && ! command -v gdb >/dev/null && continue
        log=$(mktemp)
        "$script" out/release >"$log" 2>&1
        read -r good bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log")
        [ -n "${bad:-}" ] || { good=0 bad=1; }
        [ "$bad" -eq 0 ] || cat "$log"
        printf '%-40s %5d passed %5d failed\n' "$script" "$good" "$bad"
        passed=$((passed + good)) failed=$((failed + bad))
        rm -f "$log"
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
