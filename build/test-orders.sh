#!/usr/bin/env bash
# Runs the tests of evcorothread with the ready coroutines in shuffled orders: what they claim must hold in any.
#
#   build/test-orders.sh [COUNT=200] [FIRST=1]    under the seeds FIRST, FIRST + 1, …
#
# Shows what failed and how to replay it, and ends with one line: N orders passed, N failed. JOBS=4 runs so many at a time.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
count=${1:-200} first=${2:-1}
program=${PROGRAM:-out/release/test/test_evcorothread}
[ -x "$program" ] || make -s -j"$jobs" "$program"
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

one() { # one SEED: its log stays when it fails
    local log="$logs/$1.log" code=0
    EVC_SHUFFLE_SEED=$1 timeout --kill-after=10 300 "$program" >"$log" 2>&1 || code=$?
    if [ $code -eq 0 ] && grep -qE '^OK \([0-9]+ tests, [1-9]' "$log"; then
        rm -f "$log"
    else
        echo "ended with code $code" >>"$log"
    fi
}
export -f one
export logs program
seq "$first" $((first + count - 1)) | xargs -P "${JOBS:-2}" -I{} bash -c 'one {}'

failed=0
for log in "$logs"/*.log; do
    [ -e "$log" ] || continue
    failed=$((failed + 1))
    echo "seed $(basename "$log" .log):"
    grep -vE '^[.!]+$' "$log" | tail -n 40
    echo "replay: EVC_SHUFFLE_SEED=$(basename "$log" .log) $program -v"
done
echo "$((count - failed)) orders passed, $failed failed"
[ $failed -eq 0 ]
