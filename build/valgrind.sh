#!/usr/bin/env bash
# Runs the tests under valgrind's memcheck, group by group: nothing is used that was never written or is no more, nothing
# is lost, in the tests, in their children, and in the programs that they start. Without suppressions. See test/README.md.
#
#   build/valgrind.sh                           all six test programs
#   build/valgrind.sh evcorothread webby        these test programs
#   build/valgrind.sh --only Channel,Select     these groups
#   build/valgrind.sh --jobs 2 --limit 900      so many groups at a time (1); seconds that a group may take (1800)
#
# One line for each group that failed, with its log, and one for each program; ends with "N passed, N failed": groups.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
shopt -s nullglob

at_a_time=1 limit=1800 only='' programs=()
while [ $# -gt 0 ]; do
    case $1 in
    --jobs) at_a_time=${2:?} && shift ;;
    --limit) limit=${2:?} && shift ;;
    --only) only=${2:?} && shift ;;
    -*) echo "valgrind.sh: what is $1? See build/valgrind.sh --help" >&2 && exit 2 ;;
    *) programs+=("$(basename "${1#test_}" | sed 's/^test_//')") ;;
    esac
    shift
done
[ ${#programs[@]} -gt 0 ] || programs=(cutils nutils corothread evcorothread webby tutorial)
for program in "${programs[@]}"; do
    [ -d "test/$program" ] || { echo "valgrind.sh: there are no tests of $program" >&2 && exit 2; }
done

# Tests that are left out: PROGRAM GROUP.TEST, and why. test/README.md has them, too.
left_out=(
    # valgrind runs vfork as fork: a child cannot tell its parent why it did not become the program.
    'evcorothread ChildProcesses.AProgramThatIsNotThereIsAnError'
    'evcorothread ChildProcesses.AFileThatCannotBeExecutedIsAnError'
    'evcorothread ChildProcesses.ADirectoryThatIsNotThereIsAnErrorThatNamesIt'
    # valgrind's logs are open in what a child becomes.
    'evcorothread ChildProcesses.NoDescriptorOfOursIsThere'
    # valgrind 3.19 does not know pidfds: the loop takes SIGCHLD for itself instead.
    'evcorothread ChildProcesses.SigchldStaysTheApplications'
    # The limit of descriptors is valgrind's as well: it keeps ours to itself, and opens some of its own in each child.
    'evcorothread Descriptors.TheRealLimitIsMetAndHeals'
    'tutorial TutorialServers.ForkingWaitsWhenOutOfDescriptors'
    'tutorial TutorialServers.PreforkedWaitsWhenOutOfDescriptors'
    # Nor openat2, without which no link is followed.
    'webby FileOptions.AListHasFoldersAndFilesInOrderAndNoHiddenOnes'
    'webby StaticFiles.LinksThatStayInsideAreFollowed'
)

build/install-deps.sh
# Its header tells valgrind of stacks: what was built before there was one is built again.
built() { make -s -j"$jobs" all tutorial out/release/test/test_corothread "${programs[@]/#/out/release/test/test_}" "$@"; }
built
[[ $(out/release/test/test_corothread -ln) = *WithoutValgrind* ]] ||
    built -W corothread/sanitizer_internal.h -W test/support/sanitizers.h

logs=out/valgrind
options=(
    # Who dies in a test has OS threads, of which glibc holds no pointer to the begin: what is "possibly" lost is an error
    # of the test program itself only.
    --leak-check=full --show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect
    --error-exitcode=99 --fair-sched=try
    # The tests' operator new can be made to fail; it calls malloc, which is watched.
    --soname-synonyms=somalloc=nouserintercepts
    # Our programs, and no shell, curl or openssl.
    --trace-children=yes "--trace-children-skip=/bin/*,/usr/bin/*"
)

# errors_in LOG STARTER: how many a process's log has. Who is killed has no time for a summary.
errors_in() {
    awk -v starter="$2" '/Parent PID: [0-9]+$/ { own = $NF == starter }
        /ERROR SUMMARY: [0-9]+ errors/ { summary = 1; errors += $4 }
        / are possibly lost in loss record / { possible++ }
        /^==[0-9]+==    at 0x/ { traces++ }
        END { print (summary ? errors : traces) + (own ? possible : 0) }' "$1"
}

one() { # one PROGRAM GROUP: says what went wrong, and puts a line into $logs/PROGRAM/results: what went wrong, tests, seconds
    local program=$1 group=$2 folder=$logs/$1/$2 code=0 errors=0 tests=() test log ran bad='' started=$SECONDS
    # CppUTest can leave out no more than one: where one is, the others are named.
    if [[ ${left_out[*]} = *"$program $group."* ]]; then
        for test in $("out/release/test/test_$program" -ln | tr ' ' '\n' | grep "^$group\."); do
            [[ " ${left_out[*]} " = *" $test "* ]] || tests+=(-sn "${test#*.}")
        done
    fi
    rm -rf "$folder" "$folder.log"
    mkdir -p "$folder"
    timeout --kill-after=10 "$limit" valgrind "${options[@]}" --log-file="$folder/%p.log" \
        "out/release/test/test_$program" -v -sg "$group" "${tests[@]}" >"$folder/tests" 2>&1 &
    trap 'kill $!; exit 1' TERM
    wait $! 2>/dev/null || code=$? # of whom dies by a signal, bash would have a word
    ran=$(sed -nE 's/^(OK|Errors) \(.*[ (]([0-9]+) ran,.*/\2/p' "$folder/tests" | tail -n 1)
    for log in "$folder"/*.log; do errors=$((errors + $(errors_in "$log" $!))); done
    if [ $code -eq 124 ] || [ $code -eq 137 ]; then
        bad="not done after $limit s"
    elif [ "$errors" -gt 0 ]; then
        bad="errors: $errors"
    elif [ $code -ne 0 ]; then
        bad="ended with code $code"
    elif ! grep -qE '^OK \(' "$folder/tests"; then
        bad='ended before its last test'
    fi
    # What the tests say, then what valgrind says of each process in which it saw an error.
    {
        echo "again: valgrind ${options[*]} out/release/test/test_$program -v -sg $group ${tests[*]}"
        cat "$folder/tests"
        for log in "$folder"/*.log; do [ "$(errors_in "$log" $!)" -eq 0 ] || cat "$log"; done
    } >"$folder.log"
    rm -rf "$folder"
    [ -z "$bad" ] || echo "test_$program $group: $bad; see $folder.log"
    echo "${bad:-ok}|${ran:-0}|$((SECONDS - started))" >>"$logs/$program/results"
}

trap 'kill $(jobs -p) 2>/dev/null; exit 1' INT TERM
passed=0 failed=0
for program in "${programs[@]}"; do
    rm -rf "${logs:?}/$program"
    mkdir -p "$logs/$program"
    : >"$logs/$program/results"
    for group in $("out/release/test/test_$program" -lg | tr ' ' '\n' | sort -u); do
        [ -z "$only" ] || [[ ,$only, = *",$group,"* ]] || continue
        while [ "$(jobs -rp | wc -l)" -ge "$at_a_time" ]; do wait -n || true; done
        one "$program" "$group" &
    done
    wait
    read -r good bad tests < <(awk -F'|' '$1 == "ok" { good++ } { bad += $1 != "ok"; tests += $2 }
        END { print good + 0, bad + 0, tests + 0 }' "$logs/$program/results")
    printf '%-20s %4d groups passed %4d failed   (%d tests)\n' "test_$program" "$good" "$bad" "$tests"
    passed=$((passed + good)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
