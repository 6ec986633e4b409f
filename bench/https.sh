#!/usr/bin/env bash
# webby beside nginx (and h2o, where it is installed) over TLS 1.3, one cipher for all: requests a CPU second on
# keep-alive connections, full handshakes a CPU second (ECDSA P-256), memory of an idle connection. The server has one
# core, the load another.
#
#   bench/https.sh [--quick] [--out FILE] [--rounds N] [--seconds N] [--servers "webby nginx h2o"]
#                  [--server-core N] [--load-core N] [--idle N]
#
# Writes a Markdown report to stdout and to FILE. Only loopback and free ports; every process it starts is ended.
# Before: `make bench all` has been run; OUT names the folder with the programs (default out/release).
set -euo pipefail
# shellcheck source=bench/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out_dir=${OUT:-$root_dir/out/release}
report=
rounds=7
seconds=4
connections=100
handshaking=32
idle_connections=8000
servers="webby nginx"
! command -v h2o >/dev/null || servers+=" h2o"
server_core=0
load_core=1
cipher=TLS_AES_128_GCM_SHA256

while [ $# -gt 0 ]; do
    case $1 in
    --quick) rounds=3 seconds=2 && shift ;;
    --out) report=$2 && shift 2 ;;
    --rounds) rounds=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --servers) servers=$2 && shift 2 ;;
    --server-core) server_core=$2 && shift 2 ;;
    --load-core) load_core=$2 && shift 2 ;;
    --idle) idle_connections=$2 && shift 2 ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2 && exit 2 ;;
    esac
done

need wrk nginx taskset awk curl openssl
[ "$(nproc)" -ge 2 ] || die "needs two cores: one for the server, one for the load"
out_dir=$(realpath -m "$out_dir")
need_program "$out_dir/bench/hello" "$out_dir/bench/tls_clients"
ulimit -Sn "$(ulimit -Hn)"
[ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -gt $((idle_connections + 200)) ] ||
    die "$idle_connections idle connections need more descriptors: ulimit -n $((idle_connections + 1000))"

# --- the servers ---

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$scratch/key.pem" -out "$scratch/cert.pem" \
    -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
chmod 644 "$scratch/key.pem"  # for servers that drop root

# The loads offer one cipher and one version: all servers speak the same.
cat >"$scratch/openssl.cnf" <<EOF
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = $cipher
EOF

free_port() {  # below the range the kernel hands out for outgoing connections
    local port
    while :; do
        port=$((20000 + RANDOM % 10000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port" && return; }
    done
}

write_nginx_config() {
    local user=
    [ "$(id -u)" -ne 0 ] || user="user $(id -un);"
    cat >"$scratch/nginx.conf" <<EOF
$user
worker_processes 1;
daemon off;
pid $scratch/nginx.pid;
error_log $scratch/nginx-error.log crit;
worker_rlimit_nofile $((idle_connections + 4000));
events { worker_connections $((idle_connections + 2000)); use epoll; multi_accept on; }
http {
    access_log off;
    tcp_nodelay on;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    client_body_temp_path $scratch/nginx-body;
    proxy_temp_path $scratch/nginx-proxy;
    fastcgi_temp_path $scratch/nginx-fastcgi;
    uwsgi_temp_path $scratch/nginx-uwsgi;
    scgi_temp_path $scratch/nginx-scgi;
    server {
        listen 127.0.0.1:$1 ssl backlog=4096;
        ssl_certificate $scratch/cert.pem;
        ssl_certificate_key $scratch/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        location = /hello { default_type text/plain; return 200 "Hello, world!\n"; }
    }
}
EOF
}

# h2o has no fixed answers without its scripting language: it serves a file of the same 14 bytes.
write_h2o_config() {
    mkdir -p "$scratch/h2o-site"
    printf 'Hello, world!\n' >"$scratch/h2o-site/hello"
    cat >"$scratch/h2o.conf" <<EOF
num-threads: 1
max-connections: $((idle_connections + 2000))
http1-request-timeout: 600
user: $(id -un)
listen:
  host: 127.0.0.1
  port: $1
  ssl:
    certificate-file: $scratch/cert.pem
    key-file: $scratch/key.pem
hosts:
  default:
    paths:
      /:
        file.dir: $scratch/h2o-site
EOF
}

declare -A label=([webby]="webby" [nginx]="nginx $(nginx -v 2>&1 | sed 's|.*/||')" [h2o]="h2o (a file)")

wait_for_answer() {
    local i
    for ((i = 0; i < 100; i++)); do
        ! curl -s --cacert "$scratch/cert.pem" "https://127.0.0.1:$1/hello" | grep -q Hello || return 0
        sleep 0.1
    done
    say "no answer from $2; its output:" && cat "$scratch/$2.log" >&2
    return 1
}

# launch SERVER: starts it on the server's core; sets $server_pid (what to end), $worker_pid (whose CPU and memory count)
# and $port.
launch() {
    local server=$1 log="$scratch/$1.log"
    port=$(free_port)
    case $server in
    webby)
        start "$log" taskset -c "$server_core" "$out_dir/bench/hello" --listen "127.0.0.1:$port" \
            --cert "$scratch/cert.pem" --key "$scratch/key.pem"
        ;;
    nginx)
        write_nginx_config "$port"
        start "$log" taskset -c "$server_core" nginx -e stderr -p "$scratch" -c "$scratch/nginx.conf"
        ;;
    h2o)
        write_h2o_config "$port"
        start "$log" taskset -c "$server_core" h2o -m worker -c "$scratch/h2o.conf"
        ;;
    esac
    server_pid=$started_pid
    worker_pid=$server_pid
    wait_for_answer "$port" "$server"
    [ "$server" != nginx ] || worker_pid=$(awk '{ print $1 }' "/proc/$server_pid/task/$server_pid/children")
}

# --- loads ---

# run_requests PORT SECONDS, run_handshakes PORT SECONDS: set $done_count and $elapsed.
run_requests() {
    local log=$scratch/wrk.txt
    start "$log" env OPENSSL_CONF="$scratch/openssl.cnf" timeout $(($2 + 20)) taskset -c "$load_core" \
        wrk -t1 -c "$connections" -d "${2}s" "https://127.0.0.1:$1/hello"
    wait "$started_pid" || { cat "$log" >&2 && die "wrk failed"; }
    forget "$started_pid"
    ! grep -q -e 'Socket errors' -e 'Non-2xx' "$log" || { cat "$log" >&2 && die "wrk saw errors"; }
    read -r done_count elapsed < <(sed -n 's/^ *\([0-9]*\) requests in \([0-9.]*\)s,.*/\1 \2/p' "$log") ||
        { cat "$log" >&2 && die "no figures from wrk"; }
}

run_handshakes() {
    local log=$scratch/handshakes.txt
    start "$log" env OPENSSL_CONF="$scratch/openssl.cnf" timeout $(($2 + 20)) taskset -c "$load_core" \
        "$out_dir/bench/tls_clients" handshakes "$1" "$2" "$handshaking"
    wait "$started_pid" || { cat "$log" >&2 && die "tls_clients failed"; }
    forget "$started_pid"
    read -r done_count elapsed agreed < <(
        sed -n 's/^tls_clients: \([0-9]*\) handshakes in \([0-9.]*\) s, /\1 \2 /p' "$log") ||
        { cat "$log" >&2 && die "no figures from tls_clients"; }
}

declare -A worker_of port_of pid_of result

# spread FILE: smallest – largest.
spread() { sort -g "$1" | awk -v f="$2" 'NR == 1 { a = $1 } { b = $1 } END { printf f " – " f, a, b }'; }

# compare NAME LOAD: alternates between the servers, all of them up; medians into result[].
compare() {
    local name=$1 load=$2 server round before after done_count elapsed
    for server in $servers; do "$load" "${port_of[$server]}" 1; done
    for ((round = 1; round <= rounds; round++)); do
        for server in $servers; do
            before=$(cpu_seconds "${worker_of[$server]}")
            "$load" "${port_of[$server]}" "$seconds"
            after=$(cpu_seconds "${worker_of[$server]}")
            awk -v n="$done_count" -v t="$elapsed" 'BEGIN { print n / t }' >>"$scratch/$name.$server.ps"
            awk -v n="$done_count" -v c="$before" -v d="$after" 'BEGIN { print n / (d - c) }' \
                >>"$scratch/$name.$server.pcs"
        done
        say "$name: round $round of $rounds"
    done
    for server in $servers; do
        for what in ps pcs; do result[$name.$server.$what]=$(median <"$scratch/$name.$server.$what"); done
        result[$name.$server.range]=$(spread "$scratch/$name.$server.pcs" %.0f)
        [ -z "${worker_of[nginx]:-}" ] || {
            paste "$scratch/$name.$server.pcs" "$scratch/$name.nginx.pcs" | awk '{ print $1 / $2 }' \
                >"$scratch/$name.$server.ratio"
            result[$name.$server.ratio]=$(median <"$scratch/$name.$server.ratio")
            result[$name.$server.ratios]=$(spread "$scratch/$name.$server.ratio" %.2f)
        }
    done
}

# idle_memory SERVER: a fresh process, one request, then thousands of connections that were answered and fell silent.
idle_memory() {
    local server=$1 before after clients i
    launch "$server"
    "$out_dir/bench/tls_clients" idle "$port" 1 </dev/null >/dev/null || die "${label[$server]} does not answer"
    before=$(resident_kilobytes "$worker_pid")
    mkfifo "$scratch/hold"
    : >"$scratch/idle.txt"
    exec 9<>"$scratch/hold"  # both ends: opening it must not wait for the other side
    OPENSSL_CONF="$scratch/openssl.cnf" "$out_dir/bench/tls_clients" idle "$port" "$idle_connections" \
        <"$scratch/hold" >"$scratch/idle.txt" 2>&1 9>&- &
    clients=$!
    started+=("$clients")
    for ((i = 0; i < 1200; i++)); do
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
}

# --- the report ---

row() {  # row TITLE KEY FORMAT [MORE-CELLS...]: % in KEY stands for the server
    local server cell value line="| $1 |"
    for server in $servers; do
        value=${result[${2//%/$server}]:--}
        [ "$3" = text ] || value=$(rounded "$value" "$3")
        line+=" $value |"
    done
    shift 3
    for cell in "" ""; do line+=" ${1:-$cell} |" && shift || true; done
    echo "$line"
}

write_report() {
    local server line="| |" rule="|---|" limit
    echo "# HTTPS: webby, nginx, h2o"
    echo
    echo "$(date -u +%F), $(machine), $(openssl version | cut -d' ' -f1-2), $agreed, ECDSA P-256." \
        "Server on core $server_core, load on core $load_core; medians of $rounds alternating runs of $seconds s:" \
        "wrk with $connections keep-alive connections, tls_clients with $handshaking at a time."
    echo
    for server in $servers; do line+=" ${label[$server]} |" rule+="---:|"; done
    printf '%s reach | reached |\n%s---|---|\n' "$line" "$rule"
    row "GET /hello, keep-alive: requests / s" hello.%.ps %.0f
    row "requests / CPU second" hello.%.pcs %.0f
    row "… smallest – largest" hello.%.range text
    row "… against nginx" hello.%.ratio %.2f "≥ 1.2 ×" "$(verdict "${result[hello.webby.ratio]:--}" "≥ 1.2 ×")"
    row "… smallest – largest" hello.%.ratios text
    row "full handshakes, with one request each: / s" shake.%.ps %.0f
    row "handshakes / CPU second" shake.%.pcs %.0f
    row "… smallest – largest" shake.%.range text
    row "… against nginx" shake.%.ratio %.2f "≥ 0.95 ×" "$(verdict "${result[shake.webby.ratio]:--}" "≥ 0.95 ×")"
    row "… smallest – largest" shake.%.ratios text
    limit="≤ ${result[nginx.idle]:--}"
    row "bytes of server memory / idle connection ($idle_connections of them)" %.idle %.0f "$limit" \
        "$(verdict "${result[webby.idle]:--}" "$limit")"
}

# --- the run ---

say "server on core $server_core, load on core $load_core, $rounds rounds of $seconds s"
agreed=
for server in $servers; do
    launch "$server"
    pid_of[$server]=$server_pid worker_of[$server]=$worker_pid port_of[$server]=$port
done
compare hello run_requests
compare shake run_handshakes
for server in $servers; do stop "${pid_of[$server]}"; done
for server in $servers; do
    say "${label[$server]}: $idle_connections idle connections"
    idle_memory "$server"
done
write_report >"$scratch/report.md"
cat "$scratch/report.md"
[ -z "$report" ] || cp "$scratch/report.md" "$report"
