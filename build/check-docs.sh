#!/usr/bin/env bash
# What the README and the guides say compiles, runs, and is so: every snippet is taken out, built against an installed
# library, and, where it is a program, run. docs/README.md says how snippets are marked.
#
#   build/check-docs.sh [OUT]     OUT: what is installed, out/release unless told
#
# One line a case that fails, then "N passed, N failed".
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${1:-out/release}
root=$PWD
work=$(realpath -m "$out")/docs-check
rm -rf "$work" && mkdir -p "$work/site"  # a folder that the guides' servers serve
passed=0 failed=0
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

good() { passed=$((passed + ${1:-1})); }
bad() { failed=$((failed + 1)); printf 'FAIL  %s: %s\n' "$1" "$2"; }

MAKEFLAGS='' make -s OUT="$out" PREFIX="$work/prefix" install >"$work/log" 2>&1 || {
    bad "make install" "$(tail -3 "$work/log" | tr '\n' ' ')"
    echo "$passed passed, $failed failed"
    exit 1
}
export PKG_CONFIG_PATH=$work/prefix/lib/pkgconfig LD_LIBRARY_PATH=$work/prefix/lib PATH=$work/prefix/bin:$PATH
export CMAKE_PREFIX_PATH=$work/prefix
flags=$(pkg-config --cflags --libs webby)
warnings=(-Wall -Wextra -Werror -Wno-unused-variable -Wno-unused-but-set-variable -Wno-unused-parameter -Wno-unused-function)

# compile KIND FILE ARGUMENT...
compile() {
    local kind=$1 file=$2
    shift 2
    case $kind in
    cpp) ${CXX:-g++} -std=c++20 "${warnings[@]}" -I"$root" "$file" "$@" ;;
    c) ${CC:-gcc} -std=gnu11 "${warnings[@]}" -I"$root" "$file" "$@" ;;
    esac
}
errors_of() { grep -E 'error|undefined' "$work/log" | head -4 | sed "s|$root/||g" | tr '\n' '|'; }

free_port() { perl -MSocket -e 'socket S, PF_INET, SOCK_STREAM, 0; bind S, sockaddr_in(0, INADDR_LOOPBACK); print +(sockaddr_in(getsockname S))[0]'; }

# A server must listen, and end when it is asked to.
serves() { # serves PROGRAM PORT
    local code
    (cd "$work" && exec "$1") >"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do
        (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null && break
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    (exec 3<>"/dev/tcp/127.0.0.1/$2") 2>/dev/null || { server=; return 1; }
    kill "$server"
    wait "$server" 2>/dev/null
    code=$?
    server=
    [ $code -eq 0 ] || [ $code -eq 143 ]
}

program() { # program KIND FILE WHERE runs|serves|builds
    local kind=$1 file=$work/$2 where=$3 how=$4 port=
    if [ "$how" = serves ]; then
        port=$(free_port)
        sed -i "s/DOCS_PORT/$port/g" "$file"
    fi
    # shellcheck disable=SC2086
    if ! compile "$kind" "$file" -o "$file.program" $flags >"$work/log" 2>&1; then
        bad "$where" "$(errors_of)"
        return
    fi
    case $how in
    serves) serves "$file.program" "$port" || { bad "$where" "does not serve: $(head -3 "$work/log" | tr '\n' ' ')"; return; } ;;
    runs)
        if ! (cd "$work" && timeout 20 "$file.program") >"$work/said" 2>"$work/log"; then
            bad "$where" "ends with an error: $(head -3 "$work/log" | tr '\n' ' ')"
            return
        fi
        if [ -e "$file.expected" ] && ! diff "$file.expected" "$work/said" >"$work/log"; then
            bad "$where" "prints something else: $(head -5 "$work/log" | tr '\n' '|')"
            return
        fi
        ;;
    esac
    good
}

while read -r case a b c d; do
    case $case in
    program) program "$a" "$b" "$c" "$d" ;;
    fragments)
        if compile "$a" "$work/$b" -fsyntax-only -Wno-return-type >"$work/log" 2>&1; then
            good "$d"
        else
            bad "$c" "$(errors_of)"
        fi
        ;;
    syntax)
        if ! bash -n "$work/$a" 2>"$work/log"; then
            bad "$b" "$(head -1 "$work/log")"
        else
            missing=
            for script in $(grep -oE '(^|[ (])(\./)?build/[a-z-]+\.sh' "$work/$a" | grep -oE 'build/.*'); do
                [ -x "$script" ] || missing+=" $script"
            done
            if [ -z "$missing" ]; then good; else bad "$b" "there is no$missing"; fi
        fi
        ;;
    run)
        if (cd "$work" && timeout 60 bash -euo pipefail "./$a") >"$work/log" 2>&1; then good; else bad "$b" "$(tail -4 "$work/log" | tr '\n' '|')"; fi
        ;;
    limits)
        # shellcheck disable=SC2086
        if ! compile cpp "$work/$a" -o "$work/limits" $flags >"$work/log" 2>&1; then
            bad "$b" "$(errors_of)"
        elif ! "$work/limits" >"$work/log"; then
            bad "$b" "$(tr '\n' '|' <"$work/log")"
        else
            good "$c"
        fi
        ;;
    wrong) bad "$a" "$b $c $d" ;;
    esac
done < <(perl build/docs-snippets.pl "$work" README.md $(ls docs/*.md 2>/dev/null))

# What is linked is there.
for guide in README.md ARCHITECTURE.md $(ls docs/*.md) tutorial/*.md; do
    folder=$(dirname "$guide") missing=
    for link in $(awk '/^```/ {code = !code} !code' "$guide" | sed 's/`[^`]*`//g' | grep -oE '\]\([^)#: ]+(#[^)]*)?\)' | sed -E 's/^\]\(//; s/[#)].*//' | sort -u); do
        [ -e "$folder/$link" ] || missing+=" $link"
    done
    if [ -z "$missing" ]; then good; else bad "$guide" "links to what is not there:$missing"; fi
done

echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
