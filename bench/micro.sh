#!/usr/bin/env bash
# Switching, spawning, channels, locks, memory and sleeping: ours beside raw jump_fcontext, Boost.Fiber and Go,
# several runs, medians.
#
#   bench/micro.sh [--quick] [--out FILE] [--runs N] [--core N]
#
# Each run is a fresh process pinned to one core in which everything takes turns, and is divided by the raw
# jump_fcontext ping-pong of that same run (×); the medians over all runs are printed as Markdown.
# FILE gets a copy. Go is left out where it is not installed.
# Before: `make bench` has been run; OUT names the folder with the programs (default out/release).
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out_dir=${OUT:-$root_dir/out/release}
report=
runs=7
core=1
min_time=0.1
repetitions=3
sleep_seconds=4
sleepers=100000
crowds="100000 1000000"

while [ $# -gt 0 ]; do
    case $1 in
    --quick) runs=3 min_time=0.03 sleep_seconds=2 && shift ;;
    --out) report=$2 && shift 2 ;;
    --runs) runs=$2 && shift 2 ;;
    --core) core=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

need taskset awk
need_program "$out_dir/bench/micro" "$out_dir/bench/memory" "$out_dir/bench/sleepers"
[ "$core" -lt "$(nproc)" ] || core=0

# One run of bench/micro: appends "name ns ratio" lines, medians of its repetitions, to $scratch/micro.
micro_run() {
    timeout 600 taskset -c "$core" "$out_dir/bench/micro" --benchmark_filter=-threads/ \
        --benchmark_format=csv --benchmark_min_time="$min_time" \
        --benchmark_repetitions="$repetitions" --benchmark_enable_random_interleaving=true \
        >"$scratch/csv" 2>"$scratch/csv.err" || { cat "$scratch/csv.err" >&2 && die "bench/micro failed"; }
    # Columns: name, iterations, real time, cpu time, unit, bytes/s, items/s, …
    tr -d '"' <"$scratch/csv" | awk -F, '$7 + 0 > 0 && $1 !~ /_(mean|median|stddev|cv)$/ { print $1, 1e9 / $7 }' |
        sort -k1,1 -k2,2g | awk '
            function flush() { if (n) { m[name] = (v[int((n + 1) / 2)] + v[int((n + 2) / 2)]) / 2 } n = 0 }
            $1 != name { flush(); name = $1 }
            { v[++n] = $2 }
            END { flush(); for (b in m) print b, m[b], m[b] / m["raw/ping_pong"] }' >>"$scratch/micro"
}

# Several OS threads: on all cores, wall-clock time. Appends "name ns" lines to $scratch/threads.
threads_run() {
    timeout 600 "$out_dir/bench/micro" --benchmark_filter=threads/ --benchmark_format=csv \
        --benchmark_min_time="$min_time" >"$scratch/csv" 2>"$scratch/csv.err" ||
        { cat "$scratch/csv.err" >&2 && die "bench/micro failed"; }
    tr -d '"' <"$scratch/csv" | awk -F, '$7 + 0 > 0 { print $1, 1e9 / $7 }' >>"$scratch/threads"
}

time_row() {  # time_row TITLE NANOSECONDS REACH
    local ns=$2 reached="-"
    [ -z "$3" ] || reached=$(verdict "$ns" "$3")
    printf '| %s | **%s** | %s | %s |\n' "$1" "$(rounded "$ns")" "$3" "$reached"
}

# Goroutines, right after micro_run and on the same core: appends "name ratio" lines to $scratch/go, in units of
# that run's raw ping-pong.
go_run() {
    [ -n "$go_program" ] || return 0
    timeout 600 taskset -c "$core" "$go_program" -time "${min_time}s" -repetitions "$repetitions" \
        >"$scratch/go.out" || { say "bench/go failed" && return 0; }
    awk 'FNR == NR { if ($1 == "raw/ping_pong") raw = $2; next } { print $1, $2 / raw }' \
        "$scratch/micro" "$scratch/go.out" >>"$scratch/go"
}

# Builds bench/go; its program is in $go_program, or nothing.
build_go() {
    go_program=
    command -v go >/dev/null || { say "no Go here: its column stays empty" && return 0; }
    mkdir -p "$out_dir/go-cache"
    if (cd "$root_dir/bench/go" && GOCACHE=$(realpath "$out_dir/go-cache") GOPROXY=off CGO_ENABLED=0 \
        go build -o "$(realpath "$out_dir/bench")/go_micro" .) >&2; then
        go_program=$out_dir/bench/go_micro
    else
        say "bench/go cannot be built: its column stays empty"
    fi
}

thread_time() { awk -v b="threads/$1/real_time" '$1 == b { print $2 }' "$scratch/threads" | median; }
nanoseconds() { awk -v b="$1" '$1 == b { print $2 }' "$scratch/micro" | median; }
go_times_raw() { [ ! -f "$scratch/go" ] || awk -v b="$1" '$1 == b { print $2 }' "$scratch/go" | median; }
times_raw() { awk -v b="$1" '$1 == b { print $3 }' "$scratch/micro" | median; }

# field FILE KEY: the median of key=… in the lines of FILE.
field() { sed -n "s/.*\b$2=\([-0-9.]*\).*/\1/p" "$1" 2>/dev/null | median; }

switch_row() {  # switch_row TITLE BENCHMARK RAW-BENCHMARK REACH STRETCH [BENCHMARK-OF-GO]
    local ns ours raw="-" boost go reached="-"
    ns=$(nanoseconds "ours/$2")
    ours=$(times_raw "ours/$2")
    [ -z "$3" ] || raw=$(times_raw "raw/$3")
    boost=$(times_raw "boost_fiber/$2")
    go=$(go_times_raw "${6:-$2}")
    [ -z "$4" ] || reached=$(verdict "$ours" "$4")
    printf '| %s | %s | **%s** | %s | %s | %s | %s | %s | %s |\n' "$1" "$(rounded "$ns" %.1f)" "$(rounded "$ours" %.2f)" \
        "$(rounded "$raw" %.2f)" "$(rounded "$boost" %.2f)" "$(rounded "$go" %.1f)" "${4:+≤ $4 ×}" "${5:+$5 ×}" "$reached"
}

memory_row() {  # memory_row TITLE FIELD FORMAT COUNT LIMIT STRETCH
    local ours reached="-"
    ours=$(field "$scratch/memory.ours.$4" "$2")
    [ -z "$5" ] || reached=$(verdict "$ours" "$5")
    printf '| %s | **%s** | %s | %s | %s | %s |\n' "$1" "$(rounded "$ours" "$3")" \
        "$(rounded "$(field "$scratch/memory.boost_fiber.$4" "$2")" "$3")" "${5:+≤ $5}" "$6" "$reached"
}

sleep_row() {  # sleep_row TITLE FIELD LIMIT STRETCH
    local ours reached="-"
    ours=$(field "$scratch/sleepers.ours" "$2")
    [ -z "$3" ] || reached=$(verdict "$ours" "$3")
    printf '| %s | **%s** | %s | %s | %s | %s |\n' "$1" "$(rounded "$ours")" \
        "$(rounded "$(field "$scratch/sleepers.boost_fiber" "$2")")" "${3:+≤ $3}" "$4" "$reached"
}

write_report() {
    local count
    echo "# Switching, spawning, channels, locks, memory, sleeping"
    echo
    echo "$(date -u +%F), $(machine). Medians of $runs runs; × is raw \`jump_fcontext\` ping-pong in the same run," \
        "$(rounded "$(nanoseconds raw/ping_pong)" %.2f) ns here."
    echo
    echo "| per switch, or per coroutine | ours, ns | ours, × | raw fcontext, × | Boost.Fiber, × | Go, × | reach | stretch | reached |"
    echo "|---|---:|---:|---:|---:|---:|---|---|---|"
    switch_row "yield, 2 coroutines" yield/2 yield/2 1.4 1.2
    switch_row "yield, 1,000" yield/1000 yield/1000 1.6 1.4
    switch_row "yield, 10,000" yield/10000 yield/10000 "" ""
    switch_row "yield, 2, four calls deep" yield_deep/2 yield_deep/2 "" ""
    switch_row "yield, 1,000, four calls deep" yield_deep/1000 yield_deep/1000 1.8 1.5
    switch_row "yield, 10,000, four calls deep" yield_deep/10000 yield_deep/10000 "" ""
    switch_row "four calls and returns without a switch" "" calls_alone "" ""
    switch_row "spawn + finish + join, one at a time" spawn_join/1 "" 5 3.5
    switch_row "spawn + finish + join, batches of 1,000" spawn_join/1000 "" 5 3.5
    switch_row "spawn + finish in a bundle + wait, one at a time" bundle_spawn_wait/1 "" 5 "" spawn_join/1
    switch_row "spawn + finish in a bundle + wait, batches of 1,000" bundle_spawn_wait/1000 "" 5 "" spawn_join/1000
    switch_row "stack taken and given back (raw: malloc + free)" stack_take_give stack_malloc "" ""
    switch_row "… (raw: mmap + first page + munmap)" stack_take_give stack_mmap "" ""
    switch_row "unbuffered channel, ping-pong, a message" channel_ping_pong "" 2 ""
    switch_row "… each side with code of its own" channel_ping_pong_two "" "" "" channel_ping_pong
    switch_row "channel of 128, one sender, one receiver, a message" channel_buffered "" 0.8 ""
    switch_row "mutex, nobody else wants it: lock + unlock" mutex_uncontended "" 0.5 ""
    switch_row "mutex, handed over from one to another" mutex_hand_over/2 "" 2.5 ""
    switch_row "mutex, held across a yield, and a yield in between; 2 coroutines" mutex_contended/2 "" "" ""
    switch_row "… 100 coroutines" mutex_contended/100 "" "" ""
    switch_row "semaphore, nobody else wants it: acquire + release" semaphore_uncontended "" "" ""
    switch_row "condition, ping-pong, a wait" condition_ping_pong "" "" ""
    switch_row "coroutine-local value, a use" coroutine_local "" "" ""
    echo
    echo "| a crowd | ours, ns each | reach | reached |"
    echo "|---|---:|---|---|"
    time_row "100,000 parked children of a bundle: cancel, and wait for all" \
        "$(nanoseconds ours/bundle_cancel_parked/100000/manual_time)" "≤ 100"
    echo
    echo "| between OS threads, all cores | ours, ns | reach | reached |"
    echo "|---|---:|---|---|"
    time_row "offload, round trip to an idle pool" "$(thread_time offload_round_trip)" "≤ 10000"
    time_row "post from another OS thread, batches of 1,000, run included" "$(thread_time post_batched/1000)" "≤ 150"
    time_row "… of 10,000" "$(thread_time post_batched/10000)" "≤ 150"
    time_row "shared channel of 128, OS thread to coroutine, a message" "$(thread_time shared_channel)" ""
    echo
    for count in $crowds; do
        echo "| $count parked coroutines | ours | Boost.Fiber | reach | stretch | reached |"
        echo "|---|---:|---:|---|---|---|"
        if [ "$count" -ge 1000000 ]; then
            memory_row "resident bytes each" bytes_each %.0f "$count" 4400 4200
            memory_row "mappings" mappings %.0f "$count" 10 ""
            memory_row "making the pool, ms" pool_ms %.0f "$count" 300 ""
        else
            memory_row "resident bytes each" bytes_each %.0f "$count" "" ""
            memory_row "mappings" mappings %.0f "$count" "" ""
            memory_row "making the pool, ms" pool_ms %.1f "$count" "" ""
        fi
        memory_row "page tables, bytes each (not in resident)" page_table_bytes_each %.0f "$count" "" ""
        memory_row "stacks that are guarded" guarded %.0f "$count" "" ""
        memory_row "starting and parking all, ms" start_ms %.0f "$count" "" ""
        echo
    done
    echo "| $sleepers coroutines asleep for 0–2 s, again and again | ours | Boost.Fiber | reach | stretch | reached |"
    echo "|---|---:|---:|---|---|---|"
    sleep_row "CPU a sleep, ns" cpu_ns_each 1300 "1000"
    sleep_row "woken early" early 0 ""
    sleep_row "late, median, µs" late_p50_us "" ""
    sleep_row "late, 99th percentile, µs" late_p99_us 1200 ""
    sleep_row "late, worst, µs" late_max_us "" ""
    sleep_row "times somebody else was given the core" preempted "" ""
}

build_go
say "$runs runs on core $core"
for ((run = 1; run <= runs; run++)); do
    micro_run
    go_run
    threads_run
    say "switching and spawning: run $run of $runs"
done
for ((run = 1; run <= (runs + 1) / 2; run++)); do
    for engine in ours boost_fiber; do
        for count in $crowds; do
            timeout 120 taskset -c "$core" "$out_dir/bench/memory" "$engine" "$count" \
                >>"$scratch/memory.$engine.$count" || say "bench/memory $engine $count failed"
        done
        timeout 120 taskset -c "$core" "$out_dir/bench/sleepers" "$engine" "$sleepers" "$sleep_seconds" \
            >>"$scratch/sleepers.$engine" || say "bench/sleepers $engine failed"
    done
    say "memory and sleepers: run $run of $(((runs + 1) / 2))"
done
write_report >"$scratch/report.md"
cat "$scratch/report.md"
[ -z "$report" ] || cp "$scratch/report.md" "$report"
