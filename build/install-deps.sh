#!/usr/bin/env bash
# Installs what building, testing and serving needs, from Debian's packages: the one list of dependencies.
# Run as root or with sudo available; says nothing when everything is there already.
#
#   build/install-deps.sh           what the libraries, webby and the tests need
#   build/install-deps.sh --bench   also what bench/ compares with
#   build/install-deps.sh --deb     also what build/package-deb.sh and build/test-debs.sh need
#   build/install-deps.sh --docs    also what `make docs` needs
#   build/install-deps.sh --abi     also what build/check-abi.sh needs
#   build/install-deps.sh --coverage   also what `make coverage` needs
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/help.sh"

packages=(
    g++ clang make pkg-config git ca-certificates
    libevent-dev                              # readiness, signals, wake-ups
    libboost1.81-dev libboost-context1.81-dev # Beast's HTTP grammar; the switch
    libssl-dev openssl                        # TLS (optional: make TLS=0); its program, in tests
    zlib1g-dev libbrotli-dev libzstd-dev      # compression (optional: make COMPRESSION=0)
    libdw-dev                                 # lines in reports of stalls (optional)
    libcpputest-dev                           # tests
    libcli11-dev                              # webby's command line
    libclang-rt-14-dev                        # sanitizer runtimes of clang
    clang-format                              # build/check.sh
    curl procps                               # the end-to-end tests
    gdb                                       # the tests of its script
    strace                                    # test/faults: system calls that fail
    valgrind                                  # its header, so that it knows our stacks; build/valgrind.sh
    cmake mandoc                              # test/consumers: find_package, man pages without warnings
)
bench_packages=(golang-go libbenchmark-dev libst-dev libboost-fiber1.81-dev nginx-light h2o wrk libcpp-httplib-dev libmicrohttpd-dev nghttp2-client linux-perf util-linux)
deb_packages=(debhelper dpkg-dev lintian debootstrap)

case ${1:-} in
--bench) packages+=("${bench_packages[@]}") ;;
--deb) packages+=("${deb_packages[@]}") ;;
--docs) packages+=(doxygen) ;;
--abi) packages+=(abigail-tools) ;;
--coverage) packages+=(lcov) ;;
esac

missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
        echo "install-deps.sh: missing packages: ${missing[*]}" >&2
        echo "install-deps.sh: run this script as root, or install sudo" >&2
        exit 1
    }
    sudo=(sudo)
fi
echo "install-deps.sh: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${sudo[@]}" apt-get update -q
# Packages that bring a service (nginx) must not start it.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod +x "$policy"
    trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}"
