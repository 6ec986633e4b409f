#!/usr/bin/env bash
# The main job: installs what is missing, builds, and serves the tutorial site with coroutines.
#
#   build/run.sh                            at http://127.0.0.1:8080/
#   build/run.sh --listen 127.0.0.1:9000    any options of webby: see build/run.sh --help
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh
say "building (make); the first time takes a minute"
make -s -j"$jobs" libraries programs
say "webby --root tutorial/site $*   (Ctrl-C ends it)"
exec out/release/bin/webby --root tutorial/site "$@"
