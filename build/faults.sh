#!/usr/bin/env bash
# Builds the scenarios of test/faults and runs them with system calls that fail, by strace: does every part of the toolkit
# go on, or say why not, whatever the kernel refuses? See test/README.md.
#
#   build/faults.sh                      some occurrences of each call in each scenario: about ten minutes
#   build/faults.sh --quick              an even sample of those: half a minute; build/test.sh runs it, too
#   build/faults.sh --all                each occurrence: hours
#   build/faults.sh --only tls,program   these scenarios; --call mmap,openat: these calls
#
# What runs well is not shown; ends with "N passed, N failed". A failing line has the command that repeats it.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
make -s -j"$jobs" scenario
exec test/faults/run.sh --quiet "$@"
