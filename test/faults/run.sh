#!/usr/bin/env bash
# Every scenario, again and again, each time with one system call failing: the k-th of its name in each of the
# scenario's threads and processes, counted from its begin. What must come of it: it works all the same, or says why
# not; never a signal, a hang, a wrong answer, anything left.
#
#   test/faults/run.sh                        some occurrences of each call: the first ones, some later, the last
#   test/faults/run.sh --quick                of those an even sample, half a minute
#   test/faults/run.sh --all                  each occurrence: hours
#   test/faults/run.sh --only tcp,tls         these scenarios; --call accept4,mmap: these calls
#   test/faults/run.sh --out out/asan         the program of that build; out/release unless told
#   test/faults/run.sh --jobs 2               so many at a time; as many as CPUs unless told, --quick: 1
#
# Which errors: errors.txt. What does not fail: excluded.txt, with the reasons. One line a run (--quiet: only those
# that failed, with the command that repeats it), then "N passed, N failed".
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../build/help.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.." || exit 1
out=out/release sample=some only='' calls='' jobs=$(nproc) quiet=''
while [ $# -gt 0 ]; do
    case $1 in
    --quick) sample=quick jobs=1 ;;
    --all) sample=all ;;
    --quiet) quiet=1 ;;
    --only) only=$2 && shift ;;
    --call) calls=$2 && shift ;;
    --out) out=$2 && shift ;;
    --jobs) jobs=$2 && shift ;;
    *) echo "run.sh: what is $1? See the head of this file" >&2 && exit 2 ;;
    esac
    shift
done
program=$out/test/scenario
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

exec 3>&1
give_up() {
    printf 'FAIL  %s\n0 passed, 1 failed\n' "$*" >&3
    exit 1
}
[ -x "$program" ] || give_up "there is no $program: make scenario"
command -v strace >/dev/null || give_up "there is no strace: build/install-deps.sh"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/server.key" -out "$work/server.pem" 2>"$work/openssl" ||
    give_up "openssl made no certificate: $(tail -n 1 "$work/openssl")"
export FAULTS_CERTIFICATE=$work/server

# Which occurrences of each call, counted in each thread or process for itself, can be made to fail: CALL K K K... What
# another program does that was started (execve) is not ours, and what excluded.txt names by its arguments is not meant.
calls_of() { # calls_of LOG
    sed -nE 's/^([a-z_0-9]+)\(([^)]*)\) .*/\1 \2/p' "$here/excluded.txt" |
        awk 'NR == FNR { call = $1; sub(/^[^ ]+ /, ""); pattern[call] = pattern[call] "|" $0; next }
             /execve resumed>.*= 0$|execve\(.*= 0$/ { other[$1] = 1; next }
             other[$1] || $2 !~ /^[a-z_0-9]+\(/ { next }
             { call = $2; sub(/\(.*/, "", call)
               k = ++count[$1 " " call]; if (k > most[call]) most[call] = k
               if (call in pattern && $0 ~ substr(pattern[call], 2)) bad[call, k] = 1 }
             END { for (call in most) { line = call
                       for (k = 1; k <= most[call]; ++k) if (!((call, k) in bad)) line = line " " k
                       print line } }' - "$1" | sort
}

# Of these all, or some.
occurrences() {
    local n=$# i
    if [ "$sample" = all ]; then
        printf '%d\n' "$@"
        return
    fi
    for i in 1 2 3 $((n / 4)) $((n / 2)) $((n * 3 / 4)) $((n - 1)) "$n"; do
        [ "$i" -lt 1 ] || [ "$i" -gt "$n" ] || echo "${!i}"
    done | sort -nu
}

wanted() { [ -z "$1" ] || [[ ",$1," == *",$2,"* ]]; }

# All runs: SCENARIO CALL ERROR WHEN.
for scenario in $("$program"); do
    wanted "$only" "$scenario" || continue
    timeout -k 5 60 "$program" "$scenario" -yy -o "$work/calls" >"$work/says" 2>&1
    case $? in
    0) ;;
    77) give_up "no system call can be made to fail here: $(tail -n 1 "$work/says")" ;;
    *) cat "$work/says" >&3 && give_up "$scenario fails although nothing does: $program $scenario" ;;
    esac
    while read -r call which; do
        wanted "$calls" "$call" || continue
        errors=$(sed -nE "s/^$call +([A-Z].*)/\1/p" "$here/errors.txt")
        if [ -z "$errors" ]; then
            grep -qE "^$call " "$here/excluded.txt" || echo "UNKNOWN $call"
            continue
        fi
        for error in $errors; do
            for when in $(occurrences $which); do echo "$scenario $call $error $when"; done
        done
    done < <(calls_of "$work/calls")
done >"$work/runs"
unknown=$(sed -n 's/^UNKNOWN //p' "$work/runs" | sort -u)
sed -i '/^UNKNOWN /d' "$work/runs"
if [ "$sample" = quick ]; then
    # A prime number of them: an even step would meet the same calls in each scenario.
    awk -v all="$(wc -l <"$work/runs")" -v some=127 'int(NR * some / all) > int((NR - 1) * some / all)' "$work/runs" >"$work/few"
    mv "$work/few" "$work/runs"
fi

# Did the fault meet what does not fail so? See the second part of excluded.txt.
is_excluded() { # is_excluded LOG CALL
    local target
    while read -r target; do
        grep -qE "$2\\(.*$target.*INJECTED" "$1" && return 0
    done < <(sed -nE "s/^$2\\(([^)]*)\\) .*/\\1/p" "$HERE/excluded.txt")
    return 1
}
one_run() { # one_run SCENARIO CALL ERROR WHEN
    local inject="inject=$2:error=$3:when=$4" said log status=0
    log=$(mktemp -p "$WORK")
    said=$(timeout -k 5 120 "$PROGRAM" "$1" -e trace="$2" -e "$inject" -yy -o "$log" 2>&1) || status=$?
    if is_excluded "$log" "$2"; then
        echo "skip  $*: what it met does not fail so"
    elif [ $status -eq 0 ]; then
        echo "ok    $*: $(head -n 1 <<<"${said:-works}" | cut -c1-150)"
    else
        printf 'FAIL  %s %s %s %s\n      again: %s %s -e trace=%s -e %s\n%s\n' "$@" "$PROGRAM" "$1" "$2" "$inject" \
            "$( (grep -h INJECTED "$log" | head -n 5; head -n 30 <<<"$said") | sed 's/^/      /')"
    fi
    rm -f "$log"
}
export -f one_run is_excluded
export PROGRAM=$program HERE=$here WORK=$work
xargs -r -P "$jobs" -L 1 bash -c 'one_run "$@"' one_run <"$work/runs" >"$work/log"
[ -z "$unknown" ] || echo "FAIL  neither in errors.txt nor in excluded.txt: ${unknown//$'\n'/ }" >>"$work/log"
if [ -n "$quiet" ]; then grep -vE '^(ok|skip) ' "$work/log"; else cat "$work/log"; fi
passed=$(grep -c '^ok ' "$work/log")
failed=$(grep -c '^FAIL ' "$work/log")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
