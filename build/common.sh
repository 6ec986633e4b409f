# Sourced by the scripts of this folder: goes to the project's root, and says what is done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=$(nproc 2>/dev/null || echo 2)
say() { printf '== %s\n' "$*"; }
