#!/usr/bin/env bash
# Builds and runs the benchmarks, and prints their reports as Markdown; they are kept in out/release/bench/ too.
#
#   build/bench.sh            a quarter of an hour
#   build/bench.sh --quick    about five minutes, with less to rely on
#
# bench/micro.sh: switching, spawning, memory, sleeping, beside raw jump_fcontext and Boost.Fiber.
# bench/http.sh:  webby beside nginx, h2o, a raw libevent responder, and others' thread pools. bench/README.md says how
#                 to read both.
# bench/paradigms.sh: webby's paradigms beside each other.
# bench/https.sh: the same over TLS, full handshakes, idle TLS connections; beside nginx and h2o.
# bench/echo.sh:  a TCP echo beside raw libevent, State Threads and Boost.Asio.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
options=()
case ${1:-} in
"") ;;
--quick) options=(--quick) ;;
*) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" && exit 2 ;;
esac

"$root/build/install-deps.sh" --bench
echo "bench.sh: building" >&2
make -s -C "$root" -j"$(nproc)" MODE=release all bench tutorial
reports=$root/out/release/bench
export OUT=$root/out/release
"$root/bench/micro.sh" "${options[@]}" --out "$reports/micro.md"
echo
"$root/bench/http.sh" "${options[@]}" --out "$reports/http.md"
echo
"$root/bench/paradigms.sh" "${options[@]}" --out "$reports"
echo
"$root/bench/https.sh" "${options[@]}" --out "$reports/https.md"
echo
"$root/bench/echo.sh" "${options[@]}" --out "$reports/echo.md"
echo "bench.sh: the reports are in $reports: micro.md, http.md, paradigms.md, https.md, echo.md" >&2
