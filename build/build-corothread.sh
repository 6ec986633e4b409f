#!/usr/bin/env bash
# Builds libcorothread, static and shared, and the libraries below it. MODE=debug|asan|tsan for other modes.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
say "building libcorothread, MODE=${MODE:-release}"
make -j"$jobs" MODE="${MODE:-release}" lib-corothread
say "done: out/${MODE:-release}/lib/libcorothread.a and libcorothread.so"
