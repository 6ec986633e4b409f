#!/usr/bin/env bash
# Builds everything: libraries, webby, tests, tutorial. MODE=debug|asan|tsan build/build-all.sh for other modes.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
say "building everything, MODE=${MODE:-release}"
make -j"$jobs" MODE="${MODE:-release}" all tests tutorial
say "done: libraries in out/${MODE:-release}/lib, programs in out/${MODE:-release}/bin"
