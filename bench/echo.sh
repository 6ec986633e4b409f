#!/usr/bin/env bash
# TCP echo, lines of 64 bytes, 100 connections: ours beside libevent written by hand, State Threads and Boost.Asio.
# Requests a CPU second, requests a second, latency. The server has one core, the load another.
#
#   bench/echo.sh [--quick] [--out FILE] [--rounds N] [--seconds N] [--connections N] [--servers "ours libevent st asio"]
#                 [--server-core N] [--load-core N]
#
# Writes a Markdown report to stdout and to FILE. Only loopback and free ports; every process it starts is ended.
# Before: `make tutorial bench` has been run; OUT names the folder with the programs (default out/release).
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out_dir=${OUT:-$root_dir/out/release}
report=
rounds=9
seconds=3
connections=100
servers="ours libevent st asio"
server_core=0
load_core=1

while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=5 seconds=2 && shift ;;
    --out) report=$2 && shift 2 ;;
    --rounds) rounds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --connections) connections=$2 && shift 2 ;;
    --servers) servers=$2 && shift 2 ;;
    --server-core) server_core=$2 && shift 2 ;;
    --load-core) load_core=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

need taskset awk
[ "$(nproc)" -ge 2 ] || die "needs two cores: one for the server, one for the load"
# Ours is the program that the tutorial shows, with a deadline on every call.
declare -A program=([ours]=tutorial/servers/coroutines [libevent]=bench/echo_libevent [st]=bench/echo_st [asio]=bench/echo_asio)
declare -A label=([ours]="ours" [libevent]="raw libevent" [st]="State Threads" [asio]="Boost.Asio")
load=$out_dir/tutorial/servers/load
[ -x "$load" ] || die "$load is not there; build it with: make -C $root_dir tutorial"
for server in $servers; do
    [ -n "${program[$server]:-}" ] || die "no server is called '$server'"
    need_program "$out_dir/${program[$server]}"
done
ulimit -Sn "$(ulimit -Hn)"

declare -A pid_of address_of result
for server in $servers; do
    arguments=()
    [ "$server" != ours ] || arguments=(127.0.0.1:0)
    start "$scratch/$server.log" taskset -c "$server_core" "$out_dir/${program[$server]}" "${arguments[@]}"
    pid_of[$server]=$started_pid
    for ((i = 0; i < 100; i++)); do
        address_of[$server]=$(sed -n 's/^.*: listening on //p' "$scratch/$server.log")
        [ -z "${address_of[$server]}" ] || break
        sleep 0.05
    done
    [ -n "${address_of[$server]}" ] || die "${label[$server]} does not listen: $(cat "$scratch/$server.log")"
done

# One after the other, and round again: what disturbs the machine disturbs neighbours alike.
for ((round = 1; round <= rounds; round++)); do
    for server in $servers; do
        start "$scratch/load.log" timeout -k 5 $((${seconds%.*} + 20)) taskset -c "$load_core" \
            "$load" "${address_of[$server]}" "$connections" "$seconds" "${pid_of[$server]}"
        wait "$started_pid" || { cat "$scratch/load.log" >&2 && die "the load failed on ${label[$server]}"; }
        forget "$started_pid"
        grep -q "served=$connections " "$scratch/load.log" || die "${label[$server]} did not serve all"
        sed 's/.* cpu_us=\([0-9.]*\).*/\1/' "$scratch/load.log" | awk '{ print 1e6 / $1 }' >>"$scratch/$server.rpcs"
        sed 's/.* per_second=\([0-9.]*\).*/\1/' "$scratch/load.log" >>"$scratch/$server.rps"
        sed 's/.* p99_us=\([0-9.]*\).*/\1/' "$scratch/load.log" >>"$scratch/$server.p99"
    done
    say "round $round of $rounds"
done
for server in $servers; do
    for key in rpcs rps p99; do result[$server.$key]=$(median <"$scratch/$server.$key"); done
    # The ratio of each round, then the median.
    [ ! -f "$scratch/libevent.rpcs" ] ||
        result[$server.ratio]=$(paste "$scratch/$server.rpcs" "$scratch/libevent.rpcs" | awk '{ print $1 / $2 }' | median)
done

write_report() {
    echo "# TCP echo: ours, raw libevent, State Threads, Boost.Asio"
    echo
    echo "$(date -u +%F), $(machine). $connections connections, lines of 64 bytes. Server on core $server_core, load on" \
        "core $load_core; medians of $rounds alternating runs of $seconds s. Ratios are taken round by round."
    echo
    echo "| | requests / CPU second | ÷ raw libevent | requests / s | p99, µs | reach | reached |"
    echo "|---|---:|---:|---:|---:|---|---|"
    local server reach reached
    for server in $servers; do
        reach="" reached=""
        [ "$server" != ours ] || { reach="≥ 0.95 × raw libevent" && reached=$(verdict "${result[ours.ratio]:--}" "≥ 0.95"); }
        printf '| %s | %s | %s | %s | %s | %s | %s |\n' "${label[$server]}" "$(rounded "${result[$server.rpcs]}")" \
            "$(rounded "${result[$server.ratio]:--}" %.3f)" "$(rounded "${result[$server.rps]}")" \
            "$(rounded "${result[$server.p99]}")" "$reach" "$reached"
    done
}
if [ -n "$report" ]; then
    mkdir -p "$(dirname "$report")"
    write_report | tee "$report"
else
    write_report
fi
