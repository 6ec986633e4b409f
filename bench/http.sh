#!/usr/bin/env bash
# webby beside nginx, h2o and a raw libevent responder: requests a second, requests a CPU second, system calls and user
# instructions a request, memory of an idle connection; and its paradigms beside each other and beside the thread
# pools of cpp-httplib and libmicrohttpd. The server has one core, the load (wrk) another.
#
#   bench/http.sh [--quick] [--out FILE] [--rounds N] [--seconds N] [--servers "webby nginx h2o raw"]
#                 [--parts "hello static calls instructions idle open pipeline close paradigms threads"]
#                 [--server-core N] [--load-core N]
#
# Parts: open, 10,000 busy connections against 100; pipeline, 16 requests at a time on 64 connections; close, a
# connection a request, also with accepting deferred until there is one; paradigms, coroutine against event, and what an
# idle connection takes in each; threads, the thread paradigm against the others' pools. Default: all of them, with what
# is installed.
#
# Writes a Markdown report to stdout and to FILE. Only loopback and free ports; every process it starts is ended.
# Before: `make bench all` has been run; OUT names the folder with the programs (default out/release).
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out_dir=${OUT:-$root_dir/out/release}
report=
rounds=5
seconds=5
connections=256
idle_connections=8000
counted_requests=200000
servers="webby nginx raw"
! command -v h2o >/dev/null || servers="webby nginx h2o raw"
parts="hello static calls instructions idle open pipeline close paradigms threads"
server_core=0
load_core=1

while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=3 seconds=2 counted_requests=100000 && shift ;;
    --out) report=$2 && shift 2 ;;
    --rounds) rounds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --servers) servers=$2 && shift 2 ;;
    --parts) parts=$2 && shift 2 ;;
    --server-core) server_core=$2 && shift 2 ;;
    --load-core) load_core=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

has() { case " $parts " in *" $1 "*) return 0 ;; *) return 1 ;; esac }
need wrk nginx taskset awk curl
! has instructions || need valgrind
[ "$(nproc)" -ge 2 ] || die "needs two cores: one for the server, one for the load"
out_dir=$(realpath -m "$out_dir")
need_program "$out_dir/bench/idle_clients"
case $servers in *raw*) need_program "$out_dir/bench/raw_libevent" ;; esac
if has paradigms || has threads; then need_program "$out_dir/bench/paradigms"; fi
case $servers in *webby*) need_program "$out_dir/bench/hello" ;; esac
ulimit -Sn "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt $((idle_connections + 200)) ] ||
    die "$idle_connections idle connections need more descriptors: ulimit -n $((idle_connections + 1000))"

# What counts system calls and instructions here.
syscall_counter=none
if command -v perf >/dev/null && perf stat -e raw_syscalls:sys_enter true 2>&1 | grep -q '[0-9] *raw_syscalls'; then
    syscall_counter=perf
    perf list 'syscalls:sys_enter_*' 2>/dev/null | sed -n 's/^ *syscalls:sys_enter_\([a-z0-9_]*\).*/\1/p' \
        >"$scratch/tracepoints"
elif command -v strace >/dev/null && strace -c -o /dev/null true 2>/dev/null; then
    syscall_counter=strace
    need h2load
fi
instruction_counter=cachegrind
if command -v perf >/dev/null && perf stat -x, -e instructions:u true 2>&1 | grep -q '^[0-9]'; then
    instruction_counter=perf
fi

# --- the servers ---

site=$scratch/site
mkdir -p "$site"
printf 'Hello, world!\n' >"$site/hello.txt"
head -c 1024 /dev/urandom >"$site/1k.bin"
head -c 65536 /dev/urandom >"$site/64k.bin"
head -c 10485760 /dev/urandom >"$site/10m.bin"

free_port() {  # below the range the kernel hands out for outgoing connections
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

write_nginx_config() {  # write_nginx_config FILE PORT PROCESSES
    local user=
    [ "$(id -u)" -ne 0 ] || user="user $(id -un);"
    cat >"$1" <<EOF
$user
worker_processes 1;
$3
pid $scratch/nginx.pid;
error_log $scratch/nginx-error.log crit;
worker_rlimit_nofile $((idle_connections + 4000));
events { worker_connections $((idle_connections + 4000)); use epoll; multi_accept on; }
http {
    access_log off;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    open_file_cache max=1000 inactive=60s;
    open_file_cache_valid 60s;
    default_type application/octet-stream;
    client_body_temp_path $scratch/nginx-body;
    proxy_temp_path $scratch/nginx-proxy;
    fastcgi_temp_path $scratch/nginx-fastcgi;
    uwsgi_temp_path $scratch/nginx-uwsgi;
    scgi_temp_path $scratch/nginx-scgi;
    server {
        listen 127.0.0.1:$2 backlog=4096$([ "$defer" = 0 ] || echo " deferred");
        root $site;
        location = /hello { default_type text/plain; return 200 "Hello, world!\n"; }
    }
}
EOF
}

# h2o has no fixed answers without its scripting language: it serves a file of the same 14 bytes.
write_h2o_config() {  # write_h2o_config FILE PORT
    cp "$site/hello.txt" "$site/hello"
    cat >"$1" <<EOF
num-threads: 1
max-connections: $((idle_connections + 4000))
http1-request-timeout: 600
user: $(id -un)
listen:
  host: 127.0.0.1
  port: $2
hosts:
  default:
    paths:
      /:
        file.dir: $site
EOF
}

declare -A label=([webby]="webby" [nginx]="nginx $(nginx -v 2>&1 | sed 's|.*/||')" [raw]="raw libevent"
    [h2o]="h2o (a file)" [coroutine]="coroutine" [event]="event" [thread]="thread paradigm" [httplib]="cpp-httplib"
    [microhttpd]="libmicrohttpd")
defer=0   # 1: accepting is deferred until the client has sent something, by webby and nginx
pool=256  # threads of those that have a pool: cpp-httplib serves no more clients than it has threads

# wait_for_port LOG: the port that a program of ours says it serves.
wait_for_port() {
    local i port
    for ((i = 0; i < 100; i++)); do
        port=$(sed -n 's|.*127\.0\.0\.1:\([0-9]*\).*|\1|p' "$1" | head -n 1)
        [ -z "$port" ] || { echo "$port" && return; }
        sleep 0.1
    done
    say "no answer from a server; its output:" && cat "$1" >&2
    return 1
}

wait_for_answer() {  # wait_for_answer PORT SERVER
    local i
    for ((i = 0; i < 100; i++)); do
        curl -s -o /dev/null "http://127.0.0.1:$1/hello" && return
        sleep 0.1
    done
    say "$2 does not answer; its log:" && cat "$scratch/$2"*.log >&2
    return 1
}

# launch SERVER [WRAPPER...]: starts it on the server's core; sets $server_pid (what to end), $worker_pid (whose
# CPU, calls and memory count) and $port.
launch() {
    local server=$1 log="$scratch/$1.log" processes="daemon off;"
    shift
    case $server in
    webby) start "$log" taskset -c "$server_core" "$@" "$out_dir/bench/hello" --root "$site" --defer-accept "$defer" ;;
    filtered) start "$log" taskset -c "$server_core" "$@" "$out_dir/bench/hello" --filters 1 ;;
    raw) start "$log" taskset -c "$server_core" "$@" "$out_dir/bench/raw_libevent" ;;
    nginx)
        [ $# -eq 0 ] || processes="daemon off; master_process off;"  # one process for a wrapper to look into
        port=$(free_port)
        write_nginx_config "$scratch/nginx.conf" "$port" "$processes"
        start "$log" taskset -c "$server_core" "$@" nginx -e stderr -p "$scratch" -c "$scratch/nginx.conf"
        ;;
    h2o)
        port=$(free_port)
        write_h2o_config "$scratch/h2o.conf" "$port"
        start "$log" taskset -c "$server_core" "$@" h2o -m worker -c "$scratch/h2o.conf"
        ;;
    coroutine | event | thread)
        start "$log" taskset -c "$server_core" "$@" "$out_dir/bench/paradigms" --paradigm "$server" --root "$site"
        ;;
    httplib | microhttpd)
        start "$log" taskset -c "$server_core" "$@" "$out_dir/bench/hello_$server" "$pool"
        ;;
    esac
    server_pid=$started_pid
    worker_pid=$server_pid
    case $server in
    nginx)
        wait_for_answer "$port" nginx
        [ $# -gt 0 ] || worker_pid=$(awk '{ print $1 }' "/proc/$server_pid/task/$server_pid/children")
        ;;
    h2o) wait_for_answer "$port" h2o ;;
    *) port=$(wait_for_port "$log") ;;
    esac
}

# --- loads ---

# Every 16 requests in one send; wrk counts the answers.
cat >"$scratch/pipeline.lua" <<'EOF'
init = function(args)
    local all = {}
    for i = 1, 16 do all[i] = wrk.format("GET", "/hello") end
    burst = table.concat(all)
end
request = function() return burst end
EOF
wrk_options=(--timeout 20s)  # and what a part adds

# run_wrk PORT PATH SECONDS [WRAPPER...]: sets $requests and $elapsed; ends everything when anything went wrong.
run_wrk() {
    local port=$1 path=$2 seconds=$3 log=$scratch/wrk.txt
    shift 3
    start "$log" timeout $((seconds + 60)) "$@" taskset -c "$load_core" \
        wrk -t1 -c "$connections" -d "${seconds}s" "${wrk_options[@]}" "http://127.0.0.1:$port$path"
    wait "$started_pid" || { cat "$log" >&2 && die "wrk failed on $path"; }
    forget "$started_pid"
    ! grep -q -e 'Socket errors' -e 'Non-2xx' "$log" || { cat "$log" >&2 && die "wrk saw errors on $path"; }
    read -r requests elapsed < <(sed -n 's/^ *\([0-9]*\) requests in \([0-9.]*\)s,.*/\1 \2/p' "$log") ||
        { cat "$log" >&2 && die "no figures from wrk"; }
}

# run_h2load PORT PATH N: exactly N requests, over the same number of connections.
run_h2load() {
    local log=$scratch/h2load.txt
    start "$log" timeout 300 taskset -c "$load_core" \
        h2load --h1 -t1 -m1 -c "$connections" -n "$3" "http://127.0.0.1:$1$2"
    wait "$started_pid" || { cat "$log" >&2 && die "h2load failed"; }
    forget "$started_pid"
    grep -q " $3 succeeded" "$log" || { cat "$log" >&2 && die "h2load saw errors"; }
    requests=$3
}

declare -A pid_of worker_of port_of result

# throughput NAME PATH SERVER...: alternates between the servers, all of them up; medians into result[].
throughput() {
    local name=$1 path=$2 server round before after requests elapsed
    shift 2
    for server in "$@"; do run_wrk "${port_of[$server]}" "$path" 1; done
    for ((round = 1; round <= rounds; round++)); do
        for server in "$@"; do
            before=$(cpu_seconds "${worker_of[$server]}")
            run_wrk "${port_of[$server]}" "$path" "$seconds"
            after=$(cpu_seconds "${worker_of[$server]}")
            awk -v n="$requests" -v t="$elapsed" 'BEGIN { print n / t }' >>"$scratch/$name.$server.rps"
            awk -v n="$requests" -v c="$before" -v d="$after" 'BEGIN { print n / (d - c) }' \
                >>"$scratch/$name.$server.rpcs"
            awk -v t="$elapsed" -v c="$before" -v d="$after" 'BEGIN { print 100 * (d - c) / t }' \
                >>"$scratch/$name.$server.busy"
        done
        say "$name: round $round of $rounds"
    done
    for server in "$@"; do
        for what in rps rpcs busy; do result[$name.$server.$what]=$(median <"$scratch/$name.$server.$what"); done
        # The ratio of each round, then the median: what disturbs the machine disturbs neighbours alike.
        result[$name.$server.ratio]=$(by_round "$name.$server.rpcs" "$name.nginx.rpcs")
    done
}

# by_round A B: the ratio of each round, then the median; "-" when either was not measured.
by_round() {
    [ -e "$scratch/$1" ] && [ -e "$scratch/$2" ] || { echo - && return; }
    paste "$scratch/$1" "$scratch/$2" | awk '{ print $1 / $2 }' | median
}

# The kinds that perf is asked for; strace tells of all.
calls=(recvfrom recvmsg read readv pread64 sendto sendmsg write writev sendfile64 epoll_wait epoll_pwait epoll_pwait2
    epoll_ctl accept4 accept setsockopt close openat openat2 newfstat newfstatat statx futex clock_nanosleep
    timerfd_settime madvise mmap)

# syscalls SERVER NAME PATH: system calls a request, by kind, into $scratch/NAME.SERVER.calls. Opening the connections is
# in it: a few calls each, among hundreds of thousands. perf counts under wrk at full speed; strace slows the server
# down, so it gets a fixed number of requests.
syscalls() {
    local server=$1 name=$2 path=$3 pid=${worker_of[$1]} call events=raw_syscalls:sys_enter requests elapsed tracer
    local counts=$scratch/$name.$server.counts
    case $syscall_counter in
    perf)
        for call in "${calls[@]}"; do
            ! grep -qx "$call" "$scratch/tracepoints" || events+=",syscalls:sys_enter_$call"
        done
        run_wrk "${port_of[$server]}" "$path" $((seconds + 1)) \
            perf stat -x, -o "$scratch/perf.txt" -e "$events" -p "$pid" --
        awk -F, '$3 ~ /sys_enter/ { sub(/.*sys_enter_?/, "", $3); print ($3 == "" ? "all" : $3), $1 }' \
            "$scratch/perf.txt" >"$counts"
        ;;
    strace)
        start "$scratch/strace.log" strace -c -f -U name,calls -p "$pid" -o "$scratch/strace.txt"
        tracer=$started_pid
        sleep 1
        run_h2load "${port_of[$server]}" "$path" "$counted_requests"
        kill -INT "$tracer"
        stop "$tracer"
        awk '$2 ~ /^[0-9]+$/ { print ($1 == "total" ? "all" : $1), $2 }' "$scratch/strace.txt" >"$counts"
        ;;
    *) return 0 ;;
    esac
    awk -v n="$requests" '$2 / n >= 0.00005 { print $1, $2 / n }' "$counts" >"$scratch/$name.$server.calls"
    result[$name.$server.calls]=$(awk '$1 == "all" { print $2 }' "$scratch/$name.$server.calls")
}

# instructions SERVER: user-space instructions a request. cachegrind counts a process from its start to its end: two runs
# that differ only in length, so that starting, connecting and ending cancel out.
instructions() {
    local server=$1 length before=0 counts=() requests elapsed
    if [ "$instruction_counter" = perf ]; then
        run_wrk "${port_of[$server]}" /hello "$seconds" \
            perf stat -x, -o "$scratch/perf.txt" -e instructions:u -p "${worker_of[$server]}" --
        result[$server.instructions]=$(
            awk -F, -v n="$requests" '$3 ~ /instructions/ { print $1 / n }' "$scratch/perf.txt")
        return
    fi
    for length in 1 $((seconds + 1)); do
        launch "$server" valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null
        run_wrk "$port" /hello "$length"
        [ "$before" -gt 0 ] || before=$requests
        stop "$server_pid"
        counts+=("$(sed -n 's/.*I *refs: *\([0-9,]*\).*/\1/p' "$scratch/$server.log" | tr -d , | tail -n 1)")
    done
    if [ -z "${counts[0]}" ] || [ -z "${counts[1]}" ]; then
        say "${label[$server]}: valgrind gave no count"
        return
    fi
    result[$server.instructions]=$(((counts[1] - counts[0]) / (requests - before)))
}

# idle_memory SERVER: a fresh process, one request, then thousands of connections that were answered and fell silent.
idle_memory() {
    local server=$1 before after clients i
    launch "$server"
    "$out_dir/bench/idle_clients" "$port" 1 </dev/null >/dev/null || die "${label[$server]} does not answer"
    before=$(resident_kilobytes "$worker_pid")
    mkfifo "$scratch/hold"
    : >"$scratch/idle.txt"
    exec 9<>"$scratch/hold"  # both ends: opening it must not wait for the other side
    "$out_dir/bench/idle_clients" "$port" "$idle_connections" <"$scratch/hold" >"$scratch/idle.txt" 2>&1 9>&- &
    clients=$!
    started+=("$clients")
    for ((i = 0; i < 600; i++)); do
        ! grep -q open "$scratch/idle.txt" || break
        kill -0 "$clients" 2>/dev/null || break
        sleep 0.1
    done
    grep -q open "$scratch/idle.txt" || {
        cat "$scratch/idle.txt" >&2
        die "${label[$server]}: not all became idle"
    }
    after=$(resident_kilobytes "$worker_pid")
    exec 9>&-
    stop "$clients"
    rm "$scratch/hold"
    stop "$server_pid"
    result[$server.idle]=$(awk -v a="$before" -v b="$after" -v n="$idle_connections" \
        'BEGIN { printf "%.0f", (b - a) * 1024 / n }')
    result[$server.resident]=$(awk -v b="$after" 'BEGIN { printf "%.1f", b / 1024 }')
}

# --- the report ---

row() {  # row TITLE KEY FORMAT [MORE-CELLS...]: % in KEY stands for the server
    local server cell line="| $1 |"
    for server in $servers; do line+=" $(rounded "${result[${2//%/$server}]:--}" "$3") |"; done
    shift 3
    for cell in "$@"; do line+=" $cell |"; done
    echo "$line"
}

goal_row() {  # goal_row TITLE KEY FORMAT REACH STRETCH
    row "$@" "$(verdict "${result[${2//%/webby}]:--}" "$4")"
}

head_row() {  # head_row TITLE [MORE-COLUMNS...]
    local server line="| $1 |" rule="|---|" column
    shift
    for server in $servers; do line+=" ${label[$server]} |" rule+="---:|"; done
    for column in "$@"; do line+=" $column |" rule+="---|"; done
    printf '%s\n%s\n' "$line" "$rule"
}

calls_table() {  # calls_table NAME TITLE: what syscalls() has counted
    local call server line files=()
    [ "$syscall_counter" != none ] || return 0
    for server in $servers; do files+=("$scratch/$1.$server.calls"); done
    head_row "$2"
    awk '$1 != "all" { n[$1] += $2 } END { for (call in n) print n[call], call }' "${files[@]}" | sort -rn |
        while read -r _ call; do
            line="| \`$call\` |"
            for server in $servers; do
                line+=" $(awk -v call="$call" '$1 == call { printf "%.4f", $2 }' "$scratch/$1.$server.calls") |"
            done
            echo "$line"
        done
    echo
}

beside_nginx() {  # beside_nginx NAME TITLE REACH
    goal_row "$2: requests / CPU second" "$1.%.rpcs" %.0f "" ""
    goal_row "… against nginx" "$1.%.ratio" %.2f "$3" ""
}

write_loads() {  # GET /hello, and the ways of connecting
    head_row "GET /hello" reach stretch reached
    if has hello; then
        goal_row "requests / s (the load's core may be the limit)" hello.%.rps %.0f "" ""
        goal_row "server's core busy, %" hello.%.busy %.0f "" ""
        goal_row "requests / CPU second" hello.%.rpcs %.0f "" ""
        goal_row "… against nginx" hello.%.ratio %.2f "≥ 1.3 ×" "1.5 ×"
        [ -z "${worker_of[h2o]:-}" ] || goal_row "… against h2o" hello.%.by_h2o %.2f "≥ 1.1 ×" ""
    fi
    ! has calls || goal_row "system calls / request" hello.%.calls %.3f "≤ 2.02" ""
    if has instructions; then
        goal_row "user instructions / request" %.instructions %.0f "≤ 2,000" "1,600"
        goal_row "… with a filter" %.filtered %.0f "≤ 2,500" ""
    fi
    if has idle; then
        goal_row "bytes of server memory / idle connection ($idle_connections of them)" %.idle %.0f "≤ 1,024" "600"
        goal_row "MiB resident with them" %.resident %.1f "" ""
    fi
    if has open; then
        goal_row "100 connections: requests / CPU second" open100.%.rpcs %.0f "" ""
        goal_row "10,000 connections: requests / CPU second" open10k.%.rpcs %.0f "" ""
        goal_row "… against 100" open.%.ratio %.2f "≥ 0.75 ×" ""
    fi
    ! has pipeline || beside_nginx pipeline "pipelined by 16, 64 connections" "≥ 3 ×"
    if has close; then
        beside_nginx close "a connection a request" "≥ 1.0 ×"
        row "… both with accepting deferred" "deferred.%.rpcs" %.0f "" ""
        row "… against nginx" "deferred.%.ratio" %.2f "" ""
    fi
    echo
}

write_static() {
    local servers=$static_servers size goal
    head_row "static files" reach stretch reached
    for size in 1k 64k; do
        goal="≥ 1.2 ×"
        [ "$size" = 1k ] || goal="≥ 1.0 ×"
        goal_row "${size%k} KiB: requests / s" "$size.%.rps" %.0f "" ""
        goal_row "${size%k} KiB: requests / CPU second" "$size.%.rpcs" %.0f "" ""
        goal_row "${size%k} KiB: … against nginx" "$size.%.ratio" %.2f "$goal" ""
    done
    ! has calls || goal_row "1 KiB: system calls / request" "1k.%.calls" %.3f "" ""
    goal_row "10 MiB: requests / s" "10m.%.rps" %.1f "" ""
    goal_row "10 MiB: requests / CPU second" "10m.%.rpcs" %.1f "" ""
    goal_row "10 MiB: … against nginx" "10m.%.ratio" %.2f "≥ 1.0 ×" ""
    echo
}

write_paradigms() {
    local servers="coroutine event thread" most=0 server
    for server in $servers; do
        [ "${result[$server.idle]}" -le "$most" ] || most=${result[$server.idle]}
    done
    head_row "paradigms, GET /hello" reach reached
    row "requests / CPU second" paradigms.%.rpcs %.0f "" ""
    row "bytes of server memory / idle connection" %.idle %.0f "≤ 1,024" "$(verdict "$most" "≤ 1,024")"
    echo
    echo "CPU a request, coroutine against event: $(rounded "${result[paradigms.cost]}" %.3f) × (reach ≤ 1.10 ×):" \
        "$(verdict "${result[paradigms.cost]}" "≤ 1.10 ×")."
    echo
}

write_threads() {
    local servers=$pools server line="| thread paradigm against it, by requests / CPU second (reach: ≥ 2 ×) |"
    head_row "thread pools, $connections connections, GET /hello"
    row "requests / s" threads.%.rps %.0f
    row "requests / CPU second" threads.%.rpcs %.0f
    for server in $servers; do line+=" $(rounded "${result[threads.$server.by]}" %.2f) |"; done
    echo "$line"
    echo
    echo "$pool threads in the others' pools, 1,000 at most in ours, all on the server's core."
    echo
}

write_report() {
    echo "# HTTP: webby beside others, and its paradigms"
    echo
    echo "$(date -u +%F), $(machine), TCP congestion control $(cat /proc/sys/net/ipv4/tcp_congestion_control)." \
        "Server on core $server_core, load on core $load_core; medians of $rounds alternating runs of $seconds s" \
        "with wrk, $connections keep-alive connections where nothing else is said. System calls counted with" \
        "$syscall_counter, instructions of GET /hello with $instruction_counter. Load average before: $load_before."
    echo
    ! wants_servers || write_loads
    ! has calls || calls_table hello "system calls a request, GET /hello"
    if has static && [ -n "$static_servers" ]; then
        write_static
        ! has calls || servers=$static_servers calls_table 1k "system calls a request, 1 KiB file"
    fi
    ! has paradigms || write_paradigms
    ! has threads || write_threads
}

# --- the run ---

wants_servers() {
    local part
    for part in hello static calls instructions idle open pipeline close; do ! has $part || return 0; done
    return 1
}

launch_all() {  # launch_all SERVER...: all of them stand side by side
    local server
    for server in "$@"; do
        launch "$server"
        pid_of[$server]=$server_pid worker_of[$server]=$worker_pid port_of[$server]=$port
    done
}

stop_all() {
    local server
    for server in "$@"; do stop "${pid_of[$server]}"; done
}

# The lists of servers are words.
# shellcheck disable=SC2086
compare_keep_alive() {
    local size server
    if has static && [ -n "$static_servers" ]; then
        for size in 1k 64k; do throughput "$size" "/$size.bin" $static_servers; done
        # Few connections: what is on its way when a run ends must not matter.
        connections=8 throughput 10m /10m.bin $static_servers
    fi
    if has hello; then
        throughput hello /hello $servers
        for server in $servers; do
            result[hello.$server.by_h2o]=$(by_round "hello.$server.rpcs" hello.h2o.rpcs)
        done
    fi
    if has open; then
        connections=100 throughput open100 /hello $servers
        connections=10000 throughput open10k /hello $servers
        for server in $servers; do
            result[open.$server.ratio]=$(by_round "open10k.$server.rpcs" "open100.$server.rpcs")
        done
    fi
}

# shellcheck disable=SC2086
compare_other_ways() {
    if has pipeline; then
        wrk_options+=(-s "$scratch/pipeline.lua")
        connections=64 throughput pipeline /hello $static_servers
        wrk_options=(--timeout 20s)
    fi
    if has close; then
        wrk_options+=(-H "Connection: close")
        throughput close /hello $static_servers
        wrk_options=(--timeout 20s)
    fi
}

compare_deferred() {
    [[ " $servers " = *" nginx "* && " $servers " = *" webby "* ]] || return 0
    defer=1
    launch_all webby nginx
    wrk_options+=(-H "Connection: close")
    throughput deferred /hello webby nginx
    wrk_options=(--timeout 20s)
    stop_all webby nginx
    defer=0
}

count_calls() {
    local server
    for server in $servers; do
        say "${label[$server]}: system calls ($syscall_counter)"
        syscalls "$server" hello /hello
        [ "$server" = raw ] || ! has static || syscalls "$server" 1k /1k.bin
    done
}

count_instructions() {
    local server
    for server in $servers; do
        say "${label[$server]}: instructions ($instruction_counter)"
        instructions "$server"
    done
    case $servers in *webby*)
        say "webby with a filter: instructions ($instruction_counter)"
        [ "$instruction_counter" = cachegrind ] || launch filtered
        instructions filtered
        result[webby.filtered]=${result[filtered.instructions]:-}
        ;;
    esac
}

count_idle() {  # count_idle SERVER...
    local server
    for server in "$@"; do
        say "${label[$server]}: $idle_connections idle connections"
        idle_memory "$server"
    done
}

# shellcheck disable=SC2086
compare_servers() {
    launch_all $servers
    compare_keep_alive
    compare_other_ways
    ! has calls || count_calls
    [ "$instruction_counter" != perf ] || ! has instructions || count_instructions
    stop_all $servers
    ! has close || compare_deferred
    [ "$instruction_counter" = perf ] || ! has instructions || count_instructions
    ! has idle || count_idle $servers
}

compare_paradigms() {
    launch_all coroutine event thread
    throughput paradigms /hello coroutine event thread
    # A request's CPU time is the inverse of requests / CPU second.
    result[paradigms.cost]=$(by_round paradigms.event.rpcs paradigms.coroutine.rpcs)
    stop_all coroutine event thread
    count_idle coroutine event thread
}

# shellcheck disable=SC2086
compare_threads() {
    local server
    launch_all $pools
    throughput threads /hello $pools
    stop_all $pools
    for server in $pools; do
        result[threads.$server.by]=$(by_round threads.thread.rpcs "threads.$server.rpcs")
    done
}

load_before=$(cut -d' ' -f1 /proc/loadavg)
say "server on core $server_core, load on core $load_core, $rounds rounds of $seconds s; parts: $parts"
static_servers=  # those that serve more than one fixed answer
for server in $servers; do [ "$server" = raw ] || static_servers+="$server "; done
pools=thread
for server in httplib microhttpd; do
    if [ -x "$out_dir/bench/hello_$server" ]; then
        pools+=" $server"
    elif has threads; then
        say "no hello_$server: its library was not installed when the benchmarks were built"
    fi
done
! wants_servers || compare_servers
! has paradigms || compare_paradigms
! has threads || compare_threads
write_report >"$scratch/report.md"
cat "$scratch/report.md"
[ -z "$report" ] || cp "$scratch/report.md" "$report"
