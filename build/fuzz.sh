#!/usr/bin/env bash
# Builds the fuzz targets of test/fuzz with clang (libFuzzer, AddressSanitizer, UBSan) and runs each, two at a time.
# Fails on a crash, a leak, a timeout or too much memory, and leaves the input in out/fuzz/found/.
#
#   build/fuzz.sh                    each target for a minute
#   build/fuzz.sh 10 engine uri      these two for ten seconds
#   FUZZ_SECONDS=10 build/fuzz.sh    the same time for all
#   build/fuzz.sh 0                  only builds them
#   FUZZ_SEED=1 build/fuzz.sh        the same inputs each time, as far as it gets
#
# What a run found interesting stays in out/fuzz/corpus/ and is where the next one begins; the seeds, which we made,
# stand in test/fuzz/corpus/. To try one input again: out/fuzz/fuzz/NAME FILE.
seconds=${FUZZ_SECONDS:-60}
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
fi
if ! command -v clang++ >/dev/null || ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
    clang++ -fsanitize=fuzzer -x c++ - -o /dev/null 2>/dev/null; then
    say "fuzzing is left out: there is no clang++ with libFuzzer (Debian: clang libclang-rt-14-dev)"
    exit 0
fi

mapfile -t all < <(cd test/fuzz && ls -- *_fuzz.cpp | sed 's/_fuzz\.cpp$//')
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
for target in "${targets[@]}"; do
    [[ " ${all[*]} " == *" $target "* ]] || { echo "fuzz.sh: no target $target; there are: ${all[*]}" >&2; exit 2; }
done
say "building ${#targets[@]} fuzz targets"
make -s -j"$jobs" CXX=clang++ CC=clang MODE=fuzz "${targets[@]/#/out/fuzz/fuzz/}"
[ "$seconds" -gt 0 ] || exit 0

mkdir -p out/fuzz/found out/fuzz/logs
run() { # run TARGET
    local target=$1 log=out/fuzz/logs/$1.log words=()
    local seeds=test/fuzz/corpus/$target
    mkdir -p "out/fuzz/corpus/$target"
    [ -d "$seeds" ] || seeds=
    [ -f "test/fuzz/$target.dict" ] && words=("-dict=test/fuzz/$target.dict")
    # The limit of time is libFuzzer's; the other one is for a target that does not even come back to it.
    local status=0
    timeout -k 10 $((seconds + 60)) "out/fuzz/fuzz/$target" -seed="${FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
        -max_len=4096 -print_final_stats=1 -artifact_prefix="out/fuzz/found/$target-" "${words[@]}" \
        "out/fuzz/corpus/$target" $seeds >"$log" 2>&1 || status=$?
    local executions coverage
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1 || true)
    if [ $status -eq 0 ]; then
        printf '   %-12s %10s executions, %s\n' "$target" "${executions:-?}" "${coverage:-nothing covered}"
        return 0
    fi
    printf '   %-12s FAILED (%s), see %s\n' "$target" "$status" "$log"
    grep -E 'this must hold|ERROR|SUMMARY|runtime error|Test unit written' "$log" | sed 's/^/      /' | head -n 8 || true
    return 1
}
say "running each for $seconds s, two at a time"
bad=0 running=0
for target in "${targets[@]}"; do
    if [ $running -eq 2 ]; then
        wait -n || bad=$((bad + 1))
        running=$((running - 1))
    fi
    run "$target" &
    running=$((running + 1))
done
while [ $running -gt 0 ]; do
    wait -n || bad=$((bad + 1))
    running=$((running - 1))
done
[ $bad -eq 0 ] && say "no target found anything" || say "something was found: see out/fuzz/found/"
echo "$((${#targets[@]} - bad)) passed, $bad failed"
[ $bad -eq 0 ]
