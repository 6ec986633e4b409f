#!/usr/bin/env bash
# Builds libevcorothread, static and shared, and the libraries below it. MODE=debug|asan|tsan for other modes.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
say "building libevcorothread, MODE=${MODE:-release}"
make -j"$jobs" MODE="${MODE:-release}" lib-evcorothread
say "done: out/${MODE:-release}/lib/libevcorothread.a and libevcorothread.so"
