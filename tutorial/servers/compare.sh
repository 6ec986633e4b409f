#!/usr/bin/env bash
# The servers of this folder side by side: answers a second, latency, memory and CPU time against the number of clients.
# The server has one core, the load another.
#
#   tutorial/servers/compare.sh [--quick] [--rounds N] [--seconds N] [--clients "1 10 100 1000"]
#                               [--servers "iterative … coroutines"] [--out FOLDER] [--server-core N] [--load-core N]
#
# Prints tables; leaves them in FOLDER (default out/release/tutorial/servers) as compare.md, the chart as
# compare.svg, and the medians as compare.tsv. Every server is started afresh for every run, and ended by its own
# process id. About eight minutes; --quick: two. Before: `make tutorial`; OUT names the folder with the programs
# (default out/release).
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/bench/lib.sh"

programs=${OUT:-$root_dir/out/release}/tutorial/servers
rounds=5
seconds=3
clients="1 10 100 1000"
servers="iterative forking preforked threaded polling callbacks coroutines"
folder=
# The first two cores that we may use.
read -r server_core load_core _ < <(awk '/^Cpus_allowed_list:/ {
    for (n = split($2, ranges, ","); i++ < n;) {
        split(ranges[i], ends, "-")
        for (core = ends[1] + 0; core <= (ends[2] == "" ? ends[1] : ends[2]) + 0; core++) printf "%d ", core
    }
    print "- -" }' /proc/self/status)

while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=3 seconds=1 && shift ;;
    --rounds) rounds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --clients) clients=$2 && shift 2 ;;
    --servers) servers=$2 && shift 2 ;;
    --out) folder=$2 && shift 2 ;;
    --server-core) server_core=$2 && shift 2 ;;
    --load-core) load_core=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done
folder=${folder:-$programs}

need taskset awk timeout
[ "$load_core" != - ] || die "needs two cores: one for the server, one for the load"
for program in load chart $servers; do
    [ -x "$programs/$program" ] || die "$programs/$program is not there; build it with: make -C $root_dir tutorial"
done
ulimit -Sn "$(ulimit -Hn)"
for n in $clients; do
    [ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt $((n + 100)) ] ||
        die "$n clients need more descriptors: ulimit -n $((n + 1000))"
done
mkdir -p "$folder"

# launch SERVER: sets $server_pid and $address.
launch() {
    local log=$scratch/$1.log i
    start "$log" taskset -c "$server_core" "$programs/$1" 127.0.0.1:0
    server_pid=$started_pid
    for ((i = 0; i < 100; i++)); do
        address=$(sed -n 's/^.*: listening on //p' "$log")
        [ -z "$address" ] || return 0
        sleep 0.05
    done
    cat "$log" >&2
    die "$1 does not listen"
}

# end_server SERVER: it has to end by itself when asked to, and well.
end_server() {
    local i code=0
    kill -TERM "$server_pid"
    for ((i = 0; i < 200; i++)); do
        kill -0 "$server_pid" 2>/dev/null || break
        sleep 0.05
    done
    ! kill -0 "$server_pid" 2>/dev/null || die "$1 does not end"
    wait "$server_pid" || code=$?
    forget "$server_pid"
    [ "$code" -eq 0 ] || die "$1 ended with code $code: $(cat "$scratch/$1.log")"
}

# measure SERVER CLIENTS: a run; what it gives goes to $scratch/SERVER.CLIENTS.KEY, a line each.
measure() {
    local server=$1 n=$2 pair log=$scratch/load.log
    launch "$server"
    start "$log" timeout -k 5 $((${seconds%.*} + 30)) \
        taskset -c "$load_core" "$programs/load" "$address" "$n" "$seconds" "$server_pid"
    wait "$started_pid" || { cat "$log" >&2 && die "the load failed: $server, $n clients"; }
    forget "$started_pid"
    for pair in $(cat "$log"); do
        [ "${pair#*=}" = - ] || echo "${pair#*=}" >>"$scratch/$server.$n.${pair%%=*}"
    done
    end_server "$server"
}

value() { # value SERVER CLIENTS KEY: the median of all rounds
    [ -f "$scratch/$1.$2.$3" ] && median <"$scratch/$1.$2.$3" || echo -
}

for ((round = 1; round <= rounds; round++)); do
    for n in $clients; do
        for server in $servers; do measure "$server" "$n"; done
    done
    say "round $round of $rounds"
done

for server in $servers; do
    for n in $clients; do
        printf '%s\t%s' "$server" "$n"
        for key in served per_second p99_us memory_kib cpu_us; do printf '\t%s' "$(value "$server" "$n" "$key")"; done
        printf '\n'
    done
done >"$folder/compare.tsv"
"$programs/chart" <"$folder/compare.tsv" >"$folder/compare.svg"

table() { # table TITLE COLUMN DIVISOR FORMAT: of compare.tsv; where not all were served, how many were
    printf '| %s |' "$1"
    printf ' %s |' $clients
    printf '\n|---|'
    printf '%.0s---:|' $clients
    printf '\n'
    awk -F '\t' -v column="$2" -v divisor="$3" -v format="$4" '
        $1 != last { if (NR > 1) print ""; printf "| %s |", $1; last = $1 }
        $3 < $2 { printf " %d of %d served |", $3, $2; next }
        { printf " " format " |", $column / divisor }
        END { print "\n" }' "$folder/compare.tsv"
}

{
    echo "# One echo, side by side"
    echo
    echo "$(date -u +%F), $(machine). Server on core $server_core, load on core $load_core; medians of $rounds" \
        "alternating runs of $seconds s, each with a fresh server. Every client sends a line of 64 bytes as soon as" \
        "the last one has come back. On loopback much of the time is the kernel's TCP, the same for everybody."
    echo
    table "answers a second, by clients" 4 1 "%.0f"
    table "latency, 99th percentile, µs" 5 1 "%.0f"
    table "memory (PSS of all processes), KiB" 6 1 "%.0f"
    table "CPU time of an answer, µs" 7 1 "%.1f"
} | tee "$folder/compare.md"
say "the chart is $folder/compare.svg"
