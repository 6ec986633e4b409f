#!/usr/bin/env bash
# Builds libwebby, static and shared, and the libraries below it. MODE=debug|asan|tsan for other modes.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
say "building libwebby, MODE=${MODE:-release}"
make -j"$jobs" MODE="${MODE:-release}" lib-webby programs
say "done: out/${MODE:-release}/lib/libwebby.a and libwebby.so"
