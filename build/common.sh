# Sourced by the scripts of this folder: goes to the project's root, and says what is done.
set -euo pipefail
# run.sh hands its arguments to webby, which has help of its own.
[ "${0##*/}" = run.sh ] || . "$(dirname "${BASH_SOURCE[0]}")/help.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=$(nproc 2>/dev/null || echo 2)
say() { printf '== %s\n' "$*"; }
