#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: as released, under AddressSanitizer and UBSan, and, where
# threads meet, under ThreadSanitizer. Ends with one line over all of them: N passed, N failed.
#
#   build/test.sh            all of it
#   build/test.sh release    only the named modes (release asan tsan)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
modes=("$@")
[ ${#modes[@]} -gt 0 ] || modes=(release asan tsan)
outputs=()
for mode in "${modes[@]}"; do
    say "building the tests, MODE=$mode"
    targets=(all tests tutorial)
    [ "$mode" = tsan ] && targets=(out/tsan/test/test_cutils out/tsan/test/test_corothread out/tsan/test/test_evcorothread)
    make -s -j"$jobs" MODE="$mode" "${targets[@]}"
    outputs+=("out/$mode")
done
say "running the tests"
# What the tests claim holds in any order of the ready coroutines: a few orders each time, and build/test-orders.sh.
# What is installed and what the documents say is about the released build.
case " ${modes[*]} " in *" release "*) export ORDERS=${ORDERS:-5} CONSUMERS=${CONSUMERS:-1} DOCS=${DOCS:-1} ;; esac
exec build/run-tests.sh "${outputs[@]}"
