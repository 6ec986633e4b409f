#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test: as released, under AddressSanitizer and UBSan, and, where
# threads meet, under ThreadSanitizer. Ends with one line over all of them: N passed, N failed.
#
#   build/test.sh            all of it, and each fuzz target for a minute (less on a slow machine: 18 minutes in all)
#   build/test.sh release    only the named modes (release asan tsan)
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export STARTED=${STARTED:-$(date +%s)}
build/install-deps.sh
modes=("$@")
[ ${#modes[@]} -gt 0 ] || { modes=(release asan tsan) && export FUZZ=${FUZZ:-1}; }

# Fuzz targets are built when there is time to run them.
build_fuzz() {
    rm -f out/fuzz/no-time
    if [ $(($(date +%s) - STARTED)) -lt $((10 * 60)) ]; then build/fuzz.sh 0; else touch out/fuzz/no-time; fi
}
build() {
    [ "$1" != fuzz ] || { build_fuzz; return; }
    local targets=(all tests tutorial)
    [ "$1" = release ] && targets+=(scenario)
    if [ "$1" = tsan ]; then
        targets=(out/tsan/test/test_{cutils,corothread,evcorothread})
        # As the fuzz targets: when there is time.
        [ $(($(date +%s) - STARTED)) -ge $((5 * 60)) ] || targets+=(out/tsan/test/test_webby)
    fi
    make -s -j"$jobs" MODE="$1" "${targets[@]}"
}
say "building the tests, MODE=${modes[0]}"
build "${modes[0]}"

# The other modes are built, with less priority, while the tests of the first run. run-tests.sh waits for each until
# out/MODE/building is gone; out/MODE/build.failed then says that there is nothing to run.
others=("${modes[@]:1}")
[ "${FUZZ:-0}" -eq 0 ] || others+=(fuzz)
for mode in "${others[@]}"; do
    mkdir -p "out/$mode"
    rm -f "out/$mode/build.failed"
    echo $$ >"out/$mode/building"
done
(
    renice -n 10 "$BASHPID" >/dev/null
    for mode in "${others[@]}"; do
        build "$mode" >"out/$mode/build.log" 2>&1 || touch "out/$mode/build.failed"
        rm "out/$mode/building"
    done
) &
say "running the tests"
# What the tests claim holds in any order of the ready coroutines: a few orders each time, and build/test-orders.sh.
# What is installed and what the documents say is about the released build.
case " ${modes[*]} " in *" release "*) export ORDERS=${ORDERS:-5} CONSUMERS=${CONSUMERS:-1} DOCS=${DOCS:-1} ;; esac
exec build/run-tests.sh "${modes[@]/#/out/}"
