#!/usr/bin/env bash
# Makes Debian packages of the tree as it is: libevcorothread0, libevcorothread-dev and webby, in out/deb/; and asks
# lintian about them. build/test-debs.sh tries them in a clean system.
#
#   build/package-deb.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
build/install-deps.sh --deb
version=$(sed -nE 's/^VERSION := //p' Makefile)
folder=out/deb tree=out/deb/evcorothread-$version
rm -rf "$folder"
mkdir -p "$tree"
say "copying the sources"
git ls-files -z --cached --others --exclude-standard | tar -c --null --files-from=- | tar -x -C "$tree"
cp -r build/debian "$tree/debian"
cat >"$tree/debian/changelog" <<END
evcorothread ($version) unstable; urgency=medium

  * Release $version: see CHANGELOG.md of the sources.

 -- $(sed -nE 's/^Maintainer: //p' build/debian/control)  $(date -R -u -d "@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}")
END
say "building the packages"
(cd "$tree" && DEB_BUILD_OPTIONS="parallel=$jobs noautodbgsym nocheck" dpkg-buildpackage --build=binary --no-sign -j"$jobs") \
    >"$folder/log" 2>&1 || { tail -n 30 "$folder/log"; exit 1; }
rm -rf "$tree"
say "lintian"
lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$folder"/*.changes
say "done"
ls -l "$folder"/*.deb
