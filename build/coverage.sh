#!/usr/bin/env bash
# Which lines and branches the tests run, by layer: `make coverage`. Writes OUT/coverage.info and OUT/html/index.html.
# Needs lcov: build/install-deps.sh --coverage.
#
#   build/coverage.sh out/coverage [LAYER...]      after `make MODE=coverage tests`; only these layers' tests
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/help.sh"
cd "$(dirname "$0")/.."
out=$1
shift
layers=("$@")
[ ${#layers[@]} -gt 0 ] || layers=(cutils nutils corothread evcorothread webby)
command -v lcov >/dev/null || {
    echo "coverage.sh: lcov is missing: build/install-deps.sh --coverage" >&2
    exit 1
}

# What an earlier run counted is forgotten.
find "$out/obj" -name '*.gcda' -delete
failed=0
for layer in "${layers[@]}"; do
    echo "coverage.sh: test_$layer"
    timeout "${TEST_TIMEOUT:-1800}" "$out/test/test_$layer" >"$out/test_$layer.log" 2>&1 || {
        echo "coverage.sh: test_$layer failed: $out/test_$layer.log" >&2
        failed=1
    }
done

# Branches that only an exception takes are the compiler's; they are not counted.
lcov=(lcov --quiet --rc lcov_branch_coverage=1 --rc geninfo_no_exception_branch=1)
objects=()
for layer in cutils nutils corothread evcorothread webby; do
    # What headers have inline is counted in the tests' objects, too.
    for folder in "$out/obj/$layer" "$out/obj/test/$layer"; do
        [ -d "$folder" ] && objects+=(--directory "$folder")
    done
done
[ -d "$out/obj/test/support" ] && objects+=(--directory "$out/obj/test/support")
here=$PWD
# lcov says much about itself.
said=$out/lcov.log
: >"$said"
run() {
    "$@" 2>>"$said" || { echo "coverage.sh: $1 failed: $said" >&2; exit 1; }
}
run "${lcov[@]}" --capture --initial "${objects[@]}" --base-directory "$here" --no-external --output-file "$out/none.info"
run "${lcov[@]}" --capture "${objects[@]}" --base-directory "$here" --no-external --output-file "$out/run.info"
run "${lcov[@]}" --add-tracefile "$out/none.info" --add-tracefile "$out/run.info" --output-file "$out/all.info"
# The libraries' own files; not the tests, the programs, or what lies outside.
run "${lcov[@]}" --extract "$out/all.info" "$here/cutils/*" "$here/nutils/*" "$here/corothread/*" \
    "$here/evcorothread/*" "$here/webby/*" --output-file "$out/coverage.info"
run genhtml --quiet --branch-coverage --prefix "$here" --output-directory "$out/html" "$out/coverage.info"

awk -F'[:,]' -v here="$here/" '
    /^SF:/  { file = substr($0, 4); sub(here, "", file); split(file, part, "/"); layer = part[1] }
    /^LF:/  { lines[layer] += $2 }
    /^LH:/  { hit[layer] += $2 }
    /^BRF:/ { branches[layer] += $2 }
    /^BRH:/ { taken[layer] += $2 }
    function row(name, lh, lf, bh, bf) {
        printf "%-14s %6d of %6d  %5.1f %%   %6d of %6d  %5.1f %%\n", name, lh, lf, lf ? 100 * lh / lf : 0,
            bh, bf, bf ? 100 * bh / bf : 0
    }
    END {
        printf "%-14s %25s   %25s\n", "layer", "lines", "branches"
        count = split("cutils nutils corothread evcorothread webby", order, " ")
        for (i = 1; i <= count; ++i) {
            l = order[i]
            row(l, hit[l], lines[l], taken[l], branches[l])
            lh += hit[l]; lf += lines[l]; bh += taken[l]; bf += branches[l]
        }
        row("all", lh, lf, bh, bf)
    }' "$out/coverage.info"
echo "coverage.sh: $out/html/index.html"
exit $failed
