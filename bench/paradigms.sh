#!/usr/bin/env bash
# webby's three paradigms side by side: one application (bench/paradigms.cpp), three processes, the same loads.
#
#   bench/paradigms.sh [--quick] [--rounds N] [--seconds N] [--idle N] [--out FOLDER]
#                      [--loads "hello wait file tls idle"] [--server-core N] [--load-core N]
#
# Loads: hello, 256 connections; wait, 256 connections, each answer after 10 ms in which the server waits; file, 1 MiB
# to 8 connections; tls, hello on 100 connections; idle, hello on 256 connections while 10,000 others are silent.
# Writes FOLDER/paradigms.md (default: this folder) and the charts beside it, paradigms-*.svg. Only loopback and free
# ports; every process it starts is ended. Before: `make bench`; OUT names the folder with the programs
# (default out/release). About four minutes; --quick: one and a half.
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out_dir=${OUT:-$root_dir/out/release}
folder=$bench_dir
paradigms="thread coroutine event"
loads="hello wait file tls idle"
rounds=5
seconds=2
idle_connections=10000
server_core=0
load_core=1

while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=3 seconds=1 && shift ;;
    --rounds) rounds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --idle) idle_connections=$2 && shift 2 ;;
    --out) folder=$2 && shift 2 ;;
    --loads) loads=$2 && shift 2 ;;
    --server-core) server_core=$2 && shift 2 ;;
    --load-core) load_core=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

need wrk taskset awk openssl timeout
[ "$(nproc)" -ge 2 ] || die "needs two cores: one for the server, one for the load"
need_program "$out_dir/bench/paradigms" "$out_dir/bench/idle_clients"
ulimit -Sn "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt $((idle_connections + 1000)) ] ||
    die "$idle_connections idle connections need more descriptors: ulimit -n $((idle_connections + 2000))"
mkdir -p "$folder"

# --- the servers: all three are up all the time, and only one of them is asked ---

site=$scratch/site
mkdir -p "$site"
head -c 1048576 /dev/urandom >"$site/1m.bin"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$scratch/key.pem" -out "$scratch/cert.pem" \
    -days 2 -subj /CN=localhost 2>/dev/null

repeated=0
declare -A pid_of port_of tls_port_of result

port_after() { sed -n "s|.*$1://127\.0\.0\.1:\([0-9]*\)/.*|\1|p" "$2"; } # port_after SCHEME LOG

launch() { # launch PARADIGM
    local log=$scratch/$1.log i
    start "$log" taskset -c "$server_core" "$out_dir/bench/paradigms" --paradigm "$1" --root "$site" \
        --cert "$scratch/cert.pem" --key "$scratch/key.pem"
    pid_of[$1]=$started_pid
    for ((i = 0; i < 100; i++)); do
        port_of[$1]=$(port_after http "$log") tls_port_of[$1]=$(port_after https "$log")
        [ -z "${tls_port_of[$1]}" ] || return 0
        sleep 0.1
    done
    cat "$log" >&2
    die "the $1 paradigm does not serve"
}

# --- the loads ---

cat >"$scratch/figures.lua" <<'END'
function done(summary, latency)
    local e = summary.errors
    io.write(string.format("figures %d %d %d %d %d %d\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.status + e.timeout,
        latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
END

url_of() { # url_of LOAD PARADIGM
    case $1 in
    tls) echo "https://127.0.0.1:${tls_port_of[$2]}/hello" ;;
    wait) echo "http://127.0.0.1:${port_of[$2]}/wait" ;;
    file) echo "http://127.0.0.1:${port_of[$2]}/1m.bin" ;;
    *) echo "http://127.0.0.1:${port_of[$2]}/hello" ;;
    esac
}
declare -A clients=([hello]=256 [wait]=256 [file]=8 [tls]=100 [idle]=256)

# run LOAD PARADIGM SECONDS: sets $requests, $micros, $p50, $p99, $p999; ends everything when anything went wrong.
run() {
    local log=$scratch/wrk.txt errors
    start "$log" timeout $(($3 + 20)) taskset -c "$load_core" wrk -t1 -c "${clients[$1]}" -d "${3}s" \
        --timeout 10s -s "$scratch/figures.lua" "$(url_of "$1" "$2")"
    wait "$started_pid" || { cat "$log" >&2 && die "wrk failed: $1, $2"; }
    forget "$started_pid"
    read -r requests micros errors p50 p99 p999 < <(sed -n 's/^figures //p' "$log") ||
        { cat "$log" >&2 && die "no figures from wrk: $1, $2"; }
    [ "$errors" -eq 0 ] || { cat "$log" >&2 && die "wrk saw errors: $1, $2"; }
}

note() { echo "$2" >>"$scratch/$1"; } # note LOAD.PARADIGM.METRIC VALUE

measure() { # measure LOAD: the paradigms in turns; the medians go to result[]
    local load=$1 paradigm round before after requests micros p50 p99 p999 metric
    for paradigm in $paradigms; do run "$load" "$paradigm" 1; done
    for ((round = 1; round <= rounds; round++)); do
        for paradigm in $paradigms; do
            before=$(cpu_seconds "${pid_of[$paradigm]}")
            run "$load" "$paradigm" "$seconds"
            if [ "$requests" -eq 0 ]; then  # somebody else had the machine: not a figure, but worth a word
                repeated=$((repeated + 1))
                [ "$repeated" -le 3 ] || die "runs without a single answer: $load, $paradigm"
                before=$(cpu_seconds "${pid_of[$paradigm]}")
                run "$load" "$paradigm" "$seconds"
                [ "$requests" -gt 0 ] || die "no answer twice: $load, $paradigm"
            fi
            after=$(cpu_seconds "${pid_of[$paradigm]}")
            note "$load.$paradigm.rate" "$(awk -v n="$requests" -v t="$micros" 'BEGIN { print n / t * 1e6 }')"
            note "$load.$paradigm.cpu" \
                "$(awk -v n="$requests" -v a="$before" -v b="$after" 'BEGIN { print (b - a) / n * 1e6 }')"
            note "$load.$paradigm.p50" "$p50"
            note "$load.$paradigm.p99" "$p99"
            note "$load.$paradigm.p999" "$p999"
        done
    done
    for paradigm in $paradigms; do
        for metric in rate cpu p50 p99 p999; do
            result[$load.$paradigm.$metric]=$(median <"$scratch/$load.$paradigm.$metric")
        done
        result[$load.$paradigm.rss]=$(resident_kilobytes "${pid_of[$paradigm]}")
    done
    say "$load: done"
}

# Opens the silent connections to a server that has served nothing yet but one request.
fall_silent() { # fall_silent PARADIGM
    local paradigm=$1 log=$scratch/idle.$1.txt hold=$scratch/hold.$1 before i
    "$out_dir/bench/idle_clients" "${port_of[$paradigm]}" 1 </dev/null >/dev/null || die "$paradigm does not answer"
    before=$(resident_kilobytes "${pid_of[$paradigm]}")
    mkfifo "$hold"
    : >"$log"
    # For reading and writing: opening it must not wait for the other side, and it never ends.
    taskset -c "$load_core" "$out_dir/bench/idle_clients" "${port_of[$paradigm]}" "$idle_connections" \
        <>"$hold" >"$log" 2>&1 &
    started+=("$!")
    for ((i = 0; i < 900; i++)); do
        ! grep -q open "$log" || break
        kill -0 "$!" 2>/dev/null || break
        sleep 0.1
    done
    grep -q open "$log" || { cat "$log" >&2 && die "$paradigm: not all became idle"; }
    result[$paradigm.fresh]=$before
    result[$paradigm.silent]=$(resident_kilobytes "${pid_of[$paradigm]}")
    result[$paradigm.each]=$(awk -v a="$before" -v b="${result[$paradigm.silent]}" -v n="$idle_connections" \
        'BEGIN { printf "%.0f", (b - a) * 1024 / n }')
}

# --- the report ---

declare -A title=([hello]="hello" [wait]="10 ms of waiting" [file]="1 MiB file" [tls]="hello over TLS"
    [idle]="hello, $idle_connections others idle")

table() { # table HEAD METRIC FORMAT DIVISOR
    local load paradigm line
    line="| $1 |"
    for paradigm in $paradigms; do line+=" $paradigm |"; done
    printf '%s\n|---|---:|---:|---:|\n' "$line"
    for load in $loads; do
        line="| ${title[$load]} |"
        for paradigm in $paradigms; do
            line+=" $(awk -v v="${result[$load.$paradigm.$2]}" -v d="$4" "BEGIN { printf \"$3\", v / d }") |"
        done
        echo "$line"
    done
    echo
}

rows() { # rows METRIC FORMAT DIVISOR [SUFFIX]: lines for chart(): GROUP, PARADIGM, VALUE, LABEL
    local load paradigm
    for load in $loads; do
        for paradigm in $paradigms; do
            printf '%s\t%s\t%s\t' "${title[$load]}${4:-}" "$paradigm" "${result[$load.$paradigm.$1]}"
            awk -v v="${result[$load.$paradigm.$1]}" -v d="$3" "BEGIN { printf \"$2\n\", v / d }"
        done
    done
}

# chart TITLE SUBTITLE: bars, three to a group; every group has its own scale, the values stand beside the bars. As wide
# as a phone; nothing from elsewhere; colours follow the reader's light or dark mode.
chart() {
    awk -F '\t' -v title="$1" -v subtitle="$2" '
        $1 != group { groups++; group = $1; name[groups] = $1 }
        { n++; of[n] = groups; who[n] = $2; value[n] = $3 + 0; label[n] = $4
          if (value[n] > most[groups]) most[groups] = value[n] }
        END {
            height = 70 + groups * 24 + n * 18 + 8
            printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 420 %d\" width=\"100%%\" ", height
            printf "style=\"max-width:640px\" role=\"img\" aria-label=\"%s\">\n<style>\n", title
            print ":root{color-scheme:light dark}"
            print "text{font-family:system-ui,sans-serif;font-size:12px;fill:#222}"
            print ".head{font-size:16px;font-weight:600}.small{fill:#555}.group{font-weight:600}.paper{fill:#fff}"
            print ".thread{fill:#d55e00}.coroutine{fill:#2458c5}.event{fill:#0a8f6a}"
            print "@media(prefers-color-scheme:dark){.paper{fill:#16181c}text{fill:#e8e8e8}.small{fill:#a8a8a8}"
            print ".coroutine{fill:#7ea6ff}.event{fill:#3fbf97}.thread{fill:#f08a3c}}"
            printf "</style>\n<rect class=\"paper\" width=\"420\" height=\"%d\"/>\n", height
            printf "<text class=\"head\" x=\"8\" y=\"24\">%s</text>\n", title
            printf "<text class=\"small\" x=\"8\" y=\"42\">%s</text>\n", subtitle
            y = 58
            for (i = 1; i <= n; i++) {
                if (of[i] != of[i - 1]) {
                    y += 24
                    printf "<text class=\"group\" x=\"8\" y=\"%d\">%s</text>\n", y - 6, name[of[i]]
                }
                wide = most[of[i]] > 0 ? 240 * value[i] / most[of[i]] : 0
                printf "<text class=\"small\" x=\"8\" y=\"%d\">%s</text>", y + 11, who[i]
                printf "<rect class=\"%s\" x=\"76\" y=\"%d\" width=\"%.1f\" height=\"13\" rx=\"2\"/>", who[i], y, wide + 1
                printf "<text x=\"%.1f\" y=\"%d\">%s</text>\n", 76 + wide + 7, y + 11, label[i]
                y += 18
            }
            print "</svg>"
        }'
}

memory_rows() { # memory_rows: resident with the silent connections, and what each takes
    local paradigm
    for paradigm in $paradigms; do
        printf 'fresh, after one request\t%s\t%s\t' "$paradigm" "${result[$paradigm.fresh]}"
        awk -v v="${result[$paradigm.fresh]}" 'BEGIN { printf "%.1f MiB\n", v / 1024 }'
    done
    for paradigm in $paradigms; do
        printf 'with %s idle connections\t%s\t%s\t' "$idle_connections" "$paradigm" "${result[$paradigm.silent]}"
        awk -v v="${result[$paradigm.silent]}" 'BEGIN { printf "%.1f MiB\n", v / 1024 }'
    done
    for paradigm in $paradigms; do
        printf 'then under load: 256 connections beside them\t%s\t%s\t' "$paradigm" "${result[idle.$paradigm.rss]}"
        awk -v v="${result[idle.$paradigm.rss]}" 'BEGIN { printf "%.1f MiB\n", v / 1024 }'
    done
}

against() { # against LOAD METRIC A B: A by B, as text
    ratio "${result[$1.$3.$2]}" "${result[$1.$4.$2]}"
}

# less X: how X, a cost by the cost of the coroutine paradigm, reads.
less() {
    awk -v x="$1" 'BEGIN {
        if (x >= 0.95 && x <= 1.05) print "as much as"
        else printf "%.2f × as much as", x }'
}

has() { case " $loads " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

advice() {
    echo "## When to choose which"
    echo
    echo "By these figures (CPU time of the server for a request, beside the coroutine paradigm):"
    echo
    ! has hello || echo "* A request that is answered at once costs the event paradigm $(less "$(against hello cpu event coroutine)")" \
        "the coroutine paradigm, and the thread paradigm $(less "$(against hello cpu thread coroutine)") it. What a" \
        "coroutine adds to a callback is a switch there and back."
    ! has wait || echo "* One that waits 10 ms for somebody else: event $(less "$(against wait cpu event coroutine)") a coroutine," \
        "thread $(less "$(against wait cpu thread coroutine)") one; and each that waits holds a stack (coroutine), an OS" \
        "thread (thread), or a small object (event)."
    ! has file || echo "* For a file of 1 MiB the kernel works and the paradigm hardly matters: event" \
        "$(less "$(against file cpu event coroutine)"), thread $(less "$(against file cpu thread coroutine)") coroutine."
    ! has tls || echo "* Over TLS: event $(less "$(against tls cpu event coroutine)"), thread" \
        "$(less "$(against tls cpu thread coroutine)") coroutine."
    ! has idle || echo "* An idle connection takes ${result[thread.each]} bytes (thread), ${result[coroutine.each]}" \
        "(coroutine), ${result[event.each]} (event): in none of them a stack or a thread, so the number of idle clients" \
        "does not decide."
    echo
    echo "So: **coroutine** unless there is a reason: the servlet is written as if it blocked, and pays what stands" \
        "above for it. **event** where servlets never wait, or where very many wait at a time and what a stack takes is" \
        "too much; its price is that waiting is written as callbacks. **thread** where servlets call what blocks" \
        "an OS thread (a database's own client library, a slow disk), and the requests in progress are few enough to have" \
        "a thread each; or let just those servlets have one, with \`Blocking::offload\`, and stay with coroutines."
}

write_report() {
    echo "# Thread, coroutine, event: one application, three paradigms"
    echo
    echo "$(date -u +%F), $(machine). Written by \`bench/paradigms.sh\`: server on core $server_core, load (wrk) on core" \
        "$load_core; medians of $rounds alternating runs of $seconds s. Load average of the machine before:" \
        "$load_before, and after: $(cut -d' ' -f1 /proc/loadavg). Runs without a single answer, which were repeated: $repeated. ${NOTE:-}"
    echo
    echo "The application is \`bench/paradigms.cpp\`. hello, and waiting: 256 connections; the file: 8; TLS: 100," \
        "ECDSA P-256. On loopback most of a small request is the kernel's TCP, the same for all three. Where requests a" \
        "second are alike and CPU is not, the load's core was the limit: CPU time is the figure to compare."
    echo
    table "requests / s" rate "%.0f" 1
    echo "![requests a second](paradigms-throughput.svg)"
    echo
    table "CPU of the server / request, µs" cpu "%.2f" 1
    echo "![CPU a request](paradigms-cpu.svg)"
    echo
    table "latency p50, ms" p50 "%.2f" 1000
    table "latency p99, ms" p99 "%.2f" 1000
    table "latency p99.9, ms" p999 "%.2f" 1000
    echo "![latency](paradigms-latency.svg)"
    echo
    echo "Latency is that of as many clients as there are, each asking again at once: a server that is never idle. It" \
        "compares how evenly the three treat them, and is no promise for a server with room."
    echo
    table "resident after the load, MiB (one process through all, in this order)" rss "%.1f" 1024
    if has idle; then
        echo "| idle connections | thread | coroutine | event |"
        echo "|---|---:|---:|---:|"
        echo "| bytes of server memory each ($idle_connections of them) | ${result[thread.each]} |" \
            "${result[coroutine.each]} | ${result[event.each]} |"
        echo
        echo "![memory](paradigms-memory.svg)"
        echo
        echo "The kernel's socket buffers are not in it. For the idle connections each server is a fresh process."
        echo
    fi
    advice
}

# --- the run ---

load_before=$(cut -d' ' -f1 /proc/loadavg)
say "server on core $server_core, load on core $load_core, $rounds rounds of $seconds s; load average $load_before"
for paradigm in $paradigms; do launch "$paradigm"; done
for load in $loads; do
    if [ "$load" = idle ]; then
        for paradigm in $paradigms; do
            stop "${pid_of[$paradigm]}"
            launch "$paradigm"
            fall_silent "$paradigm"
            say "$paradigm: $idle_connections idle, ${result[$paradigm.each]} bytes each"
        done
    fi
    measure "$load"
done

write_report >"$scratch/report.md"
rows rate %.0f 1 | chart "Requests a second" "longer is better; each group has its own scale" \
    >"$folder/paradigms-throughput.svg"
rows cpu "%.1f µs" 1 | chart "CPU time of the server for a request" "shorter is better; each group has its own scale" \
    >"$folder/paradigms-cpu.svg"
{
    rows p50 "%.2f ms" 1000 ", p50"
    rows p99 "%.2f ms" 1000 ", p99"
    rows p999 "%.2f ms" 1000 ", p99.9"
} | chart "Latency" "shorter is better; each group has its own scale" >"$folder/paradigms-latency.svg"
! has idle || memory_rows | chart "Resident memory of the server" "shorter is better; each group has its own scale" \
    >"$folder/paradigms-memory.svg"
cp "$scratch/report.md" "$folder/paradigms.md"
cat "$folder/paradigms.md"
