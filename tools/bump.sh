#!/bin/sh
# Moves this checkout to another release of buildkit, as far as that is
# mechanical:
#
#	tools/bump.sh v0.34.2
set -eu
cd "$(dirname "$0")/.."

module=github.com/moby/buildkit
# Where the release in use is named. What was measured keeps the release that it
# was measured with.
mentions='README.md docs/operating.md docs/embedding.md deploy examples test/start_test.go'

stop() {
	echo "bump: $*" >&2
	exit 1
}

old=$(go list -mod=readonly -m -f '{{.Version}}' $module)
new=${1:-}
echo "$new" | grep -Eqx 'v[0-9]+\.[0-9]+\.[0-9]+(-rc[0-9]+)?' ||
	stop "BUILDKIT=\"$new\" is not a release of buildkit (allowed: one such as $old)"
found=$(go list -mod=readonly -m $module@"$new" 2>&1) || stop $found

# Tidying would take the woven main for one of the daemon's own packages.
rm -rf daemon/overlay
# The other modules get buildkit by way of the root.
for mod in go.mod $(git ls-files '*/go.mod'); do
	grep -Eq "[[:space:]]$module v[^ ]+\$" "$mod" || continue # or it is somebody else's
	echo "$mod"
	(cd "$(dirname "$mod")" && go get $module@"$new" && go mod tidy) ||
		stop "$mod cannot require $new; git checkout -- '*go.mod' '*go.sum' goes back"
done

named=$(git grep -lF "$old" -- $mentions) || true
for file in $named; do
	echo "$file"
	sed -i "s/$(echo "$old" | sed 's/\./\\./g')/$new/g" "$file"
done

# The image is built by the Go that the modules ask for.
sed -i "s/^FROM golang:[^ ]*/FROM golang:$(sed -n 's/^go //p' go.mod)/" deploy/image/Dockerfile

cat <<END

$old is now $new. Go on as docs/upgrading.md says:
  make compat    # with $new in test/compat/releases.go
  make test
END
measured=$(git grep -lF "$old" -- '*.md') || true
[ -z "$measured" ] || echo "Measured with $old, to be measured again:" $measured
