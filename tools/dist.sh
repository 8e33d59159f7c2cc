#!/bin/sh
# Makes a release of the programs under bin/release, in dist: archives, packages, the modules
# in every program, and checksums.
#
#   tools/dist.sh VERSION BUILDKIT_VERSION PLATFORM...
#
# A commit always gives the same bytes: every file is of SOURCE_DATE_EPOCH, its owner is root.
set -eu
umask 022
cd "$(dirname "$0")/.."
VERSION=$1 BUILDKIT_VERSION=$2
shift 2
export VERSION SOURCE_DATE_EPOCH
release=bin/release

# Packages are below /usr, archives below /usr/local, as the unit in deploy/systemd is.
sed 's|/usr/local/bin/|/usr/bin/|' deploy/systemd/buildkit.service >$release/buildkit.service
# Every key is there, and none is set: what holds are the defaults of the release.
sed -E 's/^( *)([A-Za-z]+ = |\[guard\.)/\1# \2/' config/buildkitd.example.toml >$release/buildkitd.toml
gzip -nc deploy/man/bkguard.1 >$release/bkguard.1.gz

# put MODE FILE DESTINATION adds a file to the archive.
put() {
	mkdir -p "$(dirname "$root/$3")"
	install -m "$1" "$2" "$root/$3"
}

# modules PLATFORM lists the modules in each program, whose version is that of its source.
modules() {
	for program in "$release/$1"/*; do
		case $program in
		*/bkguard) version=v$VERSION ;;
		*) version=$BUILDKIT_VERSION ;;
		esac
		bin/tools/cyclonedx-gomod bin -json -noserial -notimestamp -std -version "$version" \
			-output "dist/$(basename "$program")-$VERSION-$1.cdx.json" "$program"
	done
}

# archive PLATFORM packs what unpacks below /usr/local.
archive() {
	name=bkguard-$VERSION-$1
	root=$release/$name
	rm -rf "$root"
	case $1 in
	linux-*)
		for program in buildkitd buildctl bkguard; do
			put 755 "$release/$1/$program" "bin/$program"
		done
		put 644 deploy/systemd/buildkit.service lib/systemd/system/buildkit.service
		put 644 deploy/systemd/buildkit.socket lib/systemd/system/buildkit.socket
		put 644 $release/buildkitd.toml share/doc/bkguard/buildkitd.toml
		put 644 deploy/man/bkguard.1 share/man/man1/bkguard.1
		;;
	windows-*) put 755 "$release/$1/bkguard" bin/bkguard.exe ;;
	*)
		put 755 "$release/$1/bkguard" bin/bkguard
		put 644 deploy/man/bkguard.1 share/man/man1/bkguard.1
		;;
	esac
	put 644 LICENSE share/doc/bkguard/LICENSE
	tar --format=gnu --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
		-C $release -cf "$release/$name.tar" "$name"
	gzip -nc "$release/$name.tar" >"dist/$name.tar.gz"
	rm -rf "$root" "$release/$name.tar"
}

rm -rf dist
mkdir dist
for platform; do
	echo "packing $platform"
	archive "$platform"
	modules "$platform"
	case $platform in
	linux-*)
		for package in bkguard bkguard-buildkit; do
			for packager in deb rpm apk; do
				ARCH=${platform#linux-} bin/tools/nfpm package --config deploy/package/$package.yaml --packager $packager --target dist/
			done
		done
		;;
	esac
done
cd dist
sha256sum -- * >../$release/SHA256SUMS
mv ../$release/SHA256SUMS .
