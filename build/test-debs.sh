#!/usr/bin/env bash
# Tries the packages of build/package-deb.sh in a clean Debian: installs, runs and builds with them, removes them, and
# looks for what is left.
#
#   build/test-debs.sh [FOLDER]     FOLDER: of the packages, out/deb unless told; needs root, for debootstrap and chroot
#
# The Debian is made from the mirror that this machine's apt uses. Ends with one line: N passed, N failed.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
debs=$(realpath "${1:-out/deb}")
[ "$(id -u)" -eq 0 ] || { echo "test-debs.sh: debootstrap and chroot need root" >&2; exit 2; }
build/install-deps.sh --deb
system=${CHROOT:-$debs/chroot}
if [ ! -e "$system/etc/debian_version" ]; then
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
    # shellcheck disable=SC1091
    say "a clean $(. /etc/os-release && echo "$VERSION_CODENAME") in $system"
    debootstrap --variant=minbase "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$system" "$mirror" >"$debs/debootstrap.log" 2>&1 ||
        { tail -n 5 "$debs/debootstrap.log"; exit 1; }
fi
cp /etc/resolv.conf "$system/etc/"
cp -r /etc/apt/apt.conf.d/. "$system/etc/apt/apt.conf.d/"
echo force-unsafe-io >"$system/etc/dpkg/dpkg.cfg.d/unsafe-io"  # nobody misses it when the machine crashes
rm -rf "$system/root/try" && mkdir -p "$system/root/try/test" "$system/root/try/build"
cp "$debs"/*.deb "$system/root/try/"
cp -r test/consumers "$system/root/try/test/"
cp build/help.sh "$system/root/try/build/"
cp -r tutorial "$system/root/try/"

cat >"$system/root/try/inside.sh" <<'END'
set -uo pipefail
cd /root/try
export DEBIAN_FRONTEND=noninteractive HOME=/root LC_ALL=C.UTF-8
passed=0 failed=0
check() { # check NAME COMMAND...
    local name=$1
    shift
    if "$@" >log 2>&1; then
        passed=$((passed + 1)) && echo "ok    $name"
    else
        failed=$((failed + 1)) && echo "FAIL  $name: $(tail -n 5 log | tr '\n' '|')"
    fi
}
files() { find / -xdev \( -path /proc -o -path /sys -o -path /root -o -path /tmp -o -path /var/cache -o -path /var/log -o -path /var/lib/apt -o -path /var/lib/dpkg -o -path /dev \) -prune -o -print | sort; }
install() { apt-get install -y -q --no-install-recommends "$@"; }
grep -q localhost /etc/hosts 2>/dev/null || printf '127.0.0.1 localhost\n::1 localhost\n' >>/etc/hosts

apt-get update -q >/dev/null 2>&1
# What the packages need, so that the comparison afterwards sees only them.
install g++ clang make cmake pkg-config mandoc libevent-dev libssl-dev libboost-context1.81-dev \
    libbrotli-dev libzstd-dev zlib1g-dev >log 2>&1 || { tail log; exit 1; }
files >before

check "the library and webby install" install ./libevcorothread0_*.deb ./webby_*.deb
serves() {
    local answer
    webby --listen 127.0.0.1:18080 --root /usr/share/webby/site >said 2>&1 &
    local pid=$!
    for _ in $(seq 50); do (exec 3<>/dev/tcp/127.0.0.1/18080) 2>/dev/null && break; sleep 0.1; done
    exec 3<>/dev/tcp/127.0.0.1/18080
    printf 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' >&3
    answer=$(head -n 1 <&3)
    kill $pid
    wait $pid || return 1
    [[ $answer == "HTTP/1.1 200 OK"* ]]
}
check "webby serves its site, and ends when asked to" serves
not_enabled() { [ -e /lib/systemd/system/webby.service ] && [ -z "$(find /etc/systemd -name 'webby*')" ]; }
check "its unit is there, and not enabled" not_enabled
check "the development package installs" install ./libevcorothread-dev_*.deb
check "every page of the C calls is found" mandoc -T lint -W error /usr/share/man/man3/EVSOCKET.3.gz
consumers() { bash test/consumers/run.sh --quick --prefix /usr >consumers.log 2>&1; }
consumers
grep -E '^(ok|FAIL) ' consumers.log
read -r good bad < <(sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' consumers.log)
[ -n "${bad:-}" ] || { good=0 bad=1 && tail consumers.log; }
passed=$((passed + good)) failed=$((failed + bad))
check "they can be installed anew" install --reinstall ./libevcorothread0_*.deb ./webby_*.deb ./libevcorothread-dev_*.deb
check "they are purged" apt-get purge -y -q libevcorothread-dev webby libevcorothread0
files >after
nothing_left() { diff <(grep -v '/ld.so.cache\|/aux-cache' before) <(grep -v '/ld.so.cache\|/aux-cache' after); }
check "and nothing is left, nothing else is gone" nothing_left
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
END
# Mounts that end with the shell; nothing of this machine is seen but its devices.
exec unshare --mount --propagation private bash -c '
    mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/tmp" &&
        exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root bash /root/try/inside.sh' "$system"
