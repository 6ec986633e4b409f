# shellcheck shell=bash
# Shared by the runners of bench/: what is missing, medians, processes that end. Sourced, not run.

bench_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root_dir=$(dirname "$bench_dir")
me=$(basename "$0")

say() { printf '%s: %s\n' "$me" "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# need COMMAND...: ends the run when one is not there.
need() {
    local command
    for command in "$@"; do
        command -v "$command" >/dev/null ||
            die "'$command' is not installed; build/install-deps.sh --bench brings it"
    done
}

# need_program FILE...: ends the run when a program has not been built.
need_program() {
    local file
    for file in "$@"; do
        [ -x "$file" ] || die "$file is not there; build it with: make -C $root_dir bench"
    done
}

# Prints the median of the numbers on standard input, one a line; "-" when there is none.
median() {
    sort -g | awk '{ v[NR] = $1 }
        END { if (NR == 0) print "-"; else print (NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2) }'
}

# ratio A B [FORMAT]: A divided by B; "-" when either was not measured.
ratio() {
    awk -v a="$1" -v b="$2" -v format="${3:-%.2f}" \
        'BEGIN { if (a + 0 == 0 || b + 0 == 0) print "-"; else printf format, a / b }'
}

# rounded X [FORMAT]: X, or "-" when it was not measured.
rounded() {
    awk -v x="$1" -v format="${2:-%.0f}" 'BEGIN { if (x == "" || x == "-") print "-"; else printf format, x }'
}

# verdict X "≤ LIMIT" or "≥ LIMIT": does what was measured reach the goal?
verdict() {
    awk -v x="$1" -v goal="$2" 'BEGIN {
        limit = goal
        gsub(/[^0-9.]/, "", limit)
        if (x == "" || x == "-" || limit == "") print "-"
        else if (goal ~ /≥/) print (x + 0 >= limit + 0 ? "yes" : "no")
        else print (x + 0 <= limit + 0 ? "yes" : "no")
    }'
}

# --- processes: every one that start() started is ended, by its own id, whatever happens ---

scratch=$(mktemp -d "${TMPDIR:-/tmp}/evc-bench.XXXXXX")
chmod 755 "$scratch"
started=()

start() {  # start LOG COMMAND...: in the background; its id is in $started_pid
    local log=$1
    shift
    : >"$log"  # now: nobody must read what an earlier program said
    "$@" >"$log" 2>&1 </dev/null &
    started_pid=$!
    started+=("$started_pid")
}

forget() {  # forget PID: it has ended by itself
    local pid left=()
    for pid in "${started[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
    started=("${left[@]}")
}

stop() {  # stop PID: asks, waits up to fifteen seconds, insists
    local pid=$1 i
    kill -TERM "$pid" 2>/dev/null || true
    for ((i = 0; i < 150; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
    forget "$pid"
}

finish() {
    local pid
    for pid in "${started[@]}"; do stop "$pid"; done
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# User and system time of a process so far, in seconds; the kernel counts in hundredths, or whatever its tick is.
cpu_seconds() {
    local ticks
    ticks=$(sed 's/.*) //' "/proc/$1/stat" | awk '{ print $12 + $13 }')
    awk -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" 'BEGIN { printf "%.3f", ticks / hz }'
}

resident_kilobytes() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$1/status"; }

# The machine in a line, for the head of a report.
machine() {
    local model
    model=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
    printf '%s, %s cores, Linux %s' "${model:-$(uname -m)}" "$(nproc)" "$(uname -r)"
}
