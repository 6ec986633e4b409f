#!/usr/bin/env bash
# What has changed for programs that were built against an earlier release: compares the shared libraries with those of
# REF, by abidiff, looking at what public headers show.
#
#   build/check-abi.sh [REF]     REF: the last tag unless told
#
# Within one symbol version (EVCOROTHREAD_0.1) nothing may go or change; things may be added. Exit code 1 when it does.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
ref=${1:-$(git describe --tags --abbrev=0 2>/dev/null || true)}
if [ -z "$ref" ]; then
    say "there is no tag yet, so there is nothing to be compatible with (build/check-abi.sh REF compares with any commit)"
    exit 0
fi
build/install-deps.sh --abi
work=$(mktemp -d)
trap 'git worktree remove --force "$work/old" 2>/dev/null; rm -rf "$work"' EXIT
say "building $ref"
git worktree add -q --detach "$work/old" "$ref"
make -s -C "$work/old" -j"$jobs" libraries >"$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }
say "building this tree"
make -s -j"$jobs" libraries
# Of two trees, only public headers count.
for tree in old new; do
    [ $tree = old ] && from=$work/old || from=.
    for layer in cutils nutils corothread evcorothread webby; do
        install -d "$work/headers-$tree/$layer"
        for header in "$from/$layer"/*.h; do
            [[ $header == *_internal.h ]] || cp "$header" "$work/headers-$tree/$layer/"
        done
    done
done
# What the compiler makes of the standard library's templates comes and goes with the compiler.
cat >"$work/suppress" <<'END'
[suppress_function]
  symbol_name_regexp = ^_Z(N|NK)?(St|9__gnu_cxx)
[suppress_variable]
  symbol_name_regexp = ^_ZT.*(St|9__gnu_cxx)
[suppress_function]
  symbol_name_regexp = ^_Z.*IN?(Z|.*Impl).*
END
node_of() { readelf -W --version-info "$1" | grep -oE 'EVCOROTHREAD_[0-9.]+' | head -n 1; }
symbols_of() { nm -D --defined-only "$1" | awk '{print $3}' | grep '@@EVCOROTHREAD' | sort -u; }
bad=0
for library in cutils nutils corothread evcorothread webby; do
    old=$work/old/out/release/lib/lib$library.so new=out/release/lib/lib$library.so
    [ -e "$old" ] || { say "lib$library is new"; continue; }
    code=0
    # A type that changes breaks programs as surely as a function that goes; only what is added does not.
    abidiff --no-added-syms --drop-private-types --headers-dir1 "$work/headers-old" --headers-dir2 "$work/headers-new" \
        --suppressions "$work/suppress" "$old" "$new" >"$work/report" 2>&1 || code=$?
    # Bits: 1, 2 it could not be compared; 4 something changed; 8 programs break.
    if [ $((code & 3)) -ne 0 ]; then
        tail -n 5 "$work/report"
        bad=1
    elif [ $code -eq 0 ]; then
        added=$(comm -13 <(symbols_of "$old") <(symbols_of "$new") | wc -l)
        say "lib$library: the same$([ "$added" -eq 0 ] || echo ", and $added symbols more")"
    elif [ "$(node_of "$old")" = "$(node_of "$new")" ]; then
        cat "$work/report"
        say "lib$library: programs built against $ref may break, and the symbol version is the same: raise VERSION's minor number"
        bad=1
    else
        say "lib$library: incompatible, and says so: $(node_of "$old") is now $(node_of "$new")"
    fi
done
exit $bad
