#!/usr/bin/env bash
# Three webbies behind HAProxy, restarted one after the other under load: no request may fail.
#
#   test/webby/haproxy.sh [PARADIGM...] [-- WEBBY-OPTION...]      all three paradigms, if none is named
#   PROXY=1 test/webby/haproxy.sh                  HAProxy says by PROXY protocol v2 who the client is
#
# Needs haproxy, wrk and curl, and out/release/bin/webby (WEBBY=FILE for another). Takes 15 seconds a paradigm. Everything listens on free ports
# of 127.0.0.1 and is ended by its own id.
set -u
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
webby=${WEBBY:-$root/out/release/bin/webby}
paradigms=() options=()
while [ $# -gt 0 ]; do
    [ "$1" = -- ] && { shift; options=("$@"); break; }
    paradigms+=("$1")
    shift
done
[ ${#paradigms[@]} -gt 0 ] || paradigms=(coroutine thread event)
for need in haproxy wrk curl "$webby"; do
    command -v "$need" >/dev/null || { echo "haproxy.sh: $need is not there"; exit 1; }
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/evc-haproxy.XXXXXX")
mkdir "$scratch/site"
echo "hello" >"$scratch/site/hello"
pids=("" "" "") ports=("" "" "") balancer=""
finish() {
    local pid
    for pid in "${pids[@]}" $balancer; do [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    rm -rf "$scratch"
}
trap finish EXIT
trap 'exit 130' INT TERM

# begin NUMBER PORT: 0 takes a free one, which is in ports[NUMBER] then.
begin() {
    local i
    "$webby" --paradigm "$paradigm" --root "$scratch/site" --listen "127.0.0.1:$2" "${options[@]}" \
        >"$scratch/out$1" 2>"$scratch/err$1" </dev/null &
    pids[$1]=$!
    for ((i = 0; i < 100; i++)); do
        ports[$1]=$(sed -n 's|.*http://127.0.0.1:\([0-9]*\)/.*|\1|p' "$scratch/out$1")
        [ -n "${ports[$1]}" ] && return 0
        sleep 0.05
    done
    echo "haproxy.sh: webby did not start: $(cat "$scratch/err$1")"
    return 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

configuration() {
    local i send=""
    [ -n "${PROXY:-}" ] && send="send-proxy-v2 check-send-proxy"
    cat <<END
global
    stats socket $scratch/stats.sock mode 600 level admin
defaults
    mode http
    timeout connect 2s
    timeout client 20s
    timeout server 20s
    retries 3
    option redispatch 1
    retry-on conn-failure empty-response
    option httpchk GET /hello
listen web
    bind 127.0.0.1:$front
    balance roundrobin
END
    for i in 0 1 2; do echo "    server w$i 127.0.0.1:${ports[$i]} check inter 100ms rise 2 fall 1 $send"; done
}

# restart NUMBER: ends it as an operator would, and waits until the balancer knows of the new one.
restart() {
    local i code
    kill -TERM "${pids[$1]}"
    wait "${pids[$1]}"
    code=$?
    [ $code -eq 0 ] || { echo "haproxy.sh: webby ended with $code"; return 1; }
    sleep 0.5
    begin "$1" "${ports[$1]}" || return 1
    sleep 1.5
}

failures=0
for paradigm in "${paradigms[@]}"; do
    for i in 0 1 2; do begin $i 0 || exit 1; done
    front=$(free_port)
    configuration >"$scratch/haproxy.cfg"
    haproxy -db -q -f "$scratch/haproxy.cfg" >"$scratch/haproxy.log" 2>&1 </dev/null &
    balancer=$!
    up=0
    for ((i = 0; i < 100; i++)); do
        [ "$(curl -s -m 1 -o /dev/null -w '%{http_code}' "http://127.0.0.1:$front/hello")" = 200 ] && { up=1; break; }
        sleep 0.1
    done
    [ $up = 1 ] || { echo "haproxy.sh: nothing answers behind haproxy: $(tail -n 3 "$scratch/haproxy.log")"; exit 1; }
    sleep 1
    wrk -t1 -c32 -d9s "http://127.0.0.1:$front/hello" >"$scratch/wrk" 2>&1 &
    load=$!
    sleep 1
    restarted=0
    for i in 0 1 2; do restart $i && restarted=$((restarted + 1)); done
    wait $load
    requests=$(sed -n 's/ *\([0-9]*\) requests in.*/\1/p' "$scratch/wrk")
    bad=$(grep -E 'Socket errors|Non-2xx' "$scratch/wrk" | tr -s ' \n' ' ')
    echo "$paradigm: $restarted restarts, ${requests:-0} requests, ${bad:-none failed}"
    if [ "$restarted" != 3 ] || [ -n "$bad" ] || [ "${requests:-0}" -lt 100 ]; then failures=$((failures + 1)); fi
    for i in 0 1 2; do
        kill -TERM "${pids[$i]}"
        wait "${pids[$i]}"
        pids[$i]=""
    done
    kill "$balancer"
    wait "$balancer" 2>/dev/null
    balancer=""
done
[ $failures -eq 0 ]
