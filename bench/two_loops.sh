#!/usr/bin/env bash
# Two loops on two cores against one: GET /hello, keep-alive connections, spread by a LoopGroup.
#
#   bench/two_loops.sh [--quick] [--out FILE] [--rounds N] [--seconds N]
#
# What is measured. A machine of two cores has none left for the load generator, so requests a second would say
# what is left over after it. Instead: requests per second of CPU time that the loops have used, as the scheduler
# counts it (/proc/PID/task/TID/schedstat), with wrk on the same cores, times the number of loops: what they could
# answer if each had its core to itself. The two loops run at the same time, pinned to a core each, so whatever they
# take from one another (locks, cache lines, wake-ups) is in it. The accepting thread and wrk are in neither.
# What is not in it: an uneven spread of connections (it is exact: see the tests of LoopGroup), and cache and memory
# bandwidth that wrk would not take if it ran elsewhere (it takes them from both alike).
# Before: `make bench` has been run; OUT names the folder with the programs (default out/release).
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out_dir=${OUT:-$root_dir/out/release}
report=
rounds=7
seconds=3
connections=256
goal="≥ 1.8"

while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=3 seconds=1 && shift ;;
    --out) report=$2 && shift 2 ;;
    --rounds) rounds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

need wrk awk
need_program "$out_dir/bench/hello"
[ "$(nproc)" -ge 2 ] || die "needs two cores: one for each loop"

declare -A pid_of port_of

launch() {  # launch WORKERS
    local log=$scratch/hello.$1 i
    start "$log" "$out_dir/bench/hello" --workers "$1"
    pid_of[$1]=$started_pid
    for ((i = 0; i < 100; i++)); do
        port_of[$1]=$(sed -n 's|.*127\.0\.0\.1:\([0-9]*\).*|\1|p' "$log")
        [ -z "${port_of[$1]}" ] || return 0
        sleep 0.1
    done
    die "no answer from a server: $(cat "$log")"
}

# Nanoseconds of CPU time of each loop so far, in the order of their names.
loop_times() {  # loop_times PID
    local task
    for task in "/proc/$1/task/"*; do
        case $(cat "$task/comm") in loop-[0-9]*) echo "$(cat "$task/comm") $(cut -d ' ' -f 1 "$task/schedstat")" ;; esac
    done | sort | awk '{ printf "%s ", $2 }'
}

# One run: appends "requests / CPU second of all loops, the least busy loop's share of it" to $scratch/WORKERS.
run() {  # run WORKERS SECONDS
    local before after requests
    before=$(loop_times "${pid_of[$1]}")
    timeout $(($2 + 20)) wrk -t2 -c "$connections" -d "${2}s" "http://127.0.0.1:${port_of[$1]}/hello" \
        >"$scratch/wrk" 2>&1 || die "wrk failed: $(cat "$scratch/wrk")"
    ! grep -q -e 'Socket errors' -e 'Non-2xx' "$scratch/wrk" || die "wrk saw errors: $(cat "$scratch/wrk")"
    after=$(loop_times "${pid_of[$1]}")
    requests=$(sed -n 's/^ *\([0-9]*\) requests in .*/\1/p' "$scratch/wrk")
    awk -v n="$requests" -v before="$before" -v after="$after" 'BEGIN {
        loops = split(before, b, " ")
        split(after, a, " ")
        for (i = 1; i <= loops; i++) {
            t = (a[i] - b[i]) / 1e9
            all += t
            if (i == 1 || t < least) least = t
        }
        print n / all, 100 * least / all }' >>"$scratch/$1"
}

launch 1
launch 2
for workers in 1 2; do run "$workers" 1; done  # warm up
rm "$scratch/1" "$scratch/2"
for ((round = 1; round <= rounds; round++)); do
    for workers in 1 2; do run "$workers" "$seconds"; done
    say "round $round of $rounds"
done
for workers in 1 2; do stop "${pid_of[$workers]}"; done

of() { awk -v column="$2" '{ print $column }' "$scratch/$1" | median; }  # of WORKERS COLUMN
gain=$(paste "$scratch/1" "$scratch/2" | awk '{ print 2 * $3 / $1 }' | median)
{
    echo "# Two loops against one"
    echo
    echo "$(date -u +%F), $(machine). Medians of $rounds alternating runs of $seconds s with wrk, $connections keep-alive" \
        "connections, GET /hello. Capacity: loops × requests per CPU second of theirs; see bench/two_loops.sh."
    echo
    echo "| | 1 loop | 2 loops | gain | reach | reached |"
    echo "|---|---:|---:|---:|---|---|"
    echo "| requests / CPU second | $(rounded "$(of 1 1)") | $(rounded "$(of 2 1)") | | | |"
    echo "| capacity, requests / s | $(rounded "$(of 1 1)") | $(awk -v r="$(of 2 1)" 'BEGIN { printf "%.0f", 2 * r }') |" \
        "**$(rounded "$gain" %.2f) ×** | $goal × | $(verdict "$gain" "$goal") |"
    echo "| the less busy loop's share of the CPU time, % | | $(rounded "$(of 2 2)" %.1f) | | | |"
} >"$scratch/report.md"
cat "$scratch/report.md"
[ -z "$report" ] || cp "$scratch/report.md" "$report"
