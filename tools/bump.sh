#!/bin/sh
# Moves this checkout to another release of buildkit, as far as that is
# mechanical:
#
#	tools/bump.sh v0.34.2
#	tools/bump.sh engine v2.0.0-beta.24    # the Docker Engine's module, and its buildkit
set -eu
cd "$(dirname "$0")/.."

module=github.com/moby/buildkit
# Where the release in use is named. What was measured keeps the release that it
# was measured with.
mentions='README.md docs/install.md docs/operating.md docs/embedding.md deploy examples test/start_test.go'

stop() {
	echo "bump: $*" >&2
	exit 1
}

# engine moves the Docker Engine to a release, and to the buildkit that it is made for.
engine() {
	engine=github.com/moby/moby/v2
	old=$(cd engine && go list -mod=readonly -m -f '{{.Version}}' $engine)
	echo "$1" | grep -Eqx 'v2\.[0-9]+\.[0-9]+(-[a-z]+\.[0-9]+)?' ||
		stop "ENGINE=\"$1\" is not a release of the engine's module (allowed: one such as $old)"
	found=$(go list -mod=readonly -m $engine@"$1" 2>&1) || stop $found
	rm -rf engine/overlay
	for dir in engine tools/dockerd; do
		echo "$dir/go.mod"
		(cd $dir && go mod edit -require $engine@"$1" && go mod tidy) ||
			stop "$dir/go.mod cannot require $1; git checkout -- '*go.mod' '*go.sum' goes back"
	done
	# The stock engine has the buildkit of its own.
	buildkit=$(cd tools/dockerd && go list -mod=readonly -m -f '{{.Version}}' $module)
	(cd engine && go mod edit -replace $module=$module@"$buildkit" && go mod tidy) ||
		stop "engine/go.mod cannot require buildkit $buildkit; git checkout -- '*go.mod' '*go.sum' goes back"
	cat <<-END

	$old is now $1, with buildkit $buildkit. Go on as docs/upgrading.md says:
	  make compat    # with $1 in test/compat/releases.go
	  make test-docker
	Named in docs/docker.md and test/compat, to be changed by hand: $old
	END
}

if [ "${1:-}" = engine ]; then
	engine "${2:-}"
	exit
fi

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
	case $mod in
	tools/dockerd/*) continue ;; # has the engine's
	engine/*) get=true ;;        # has the engine's in place of what the root requires
	*) get="go get $module@$new" ;;
	esac
	echo "$mod"
	(cd "$(dirname "$mod")" && $get && go mod tidy) ||
		stop "$mod cannot require $new; git checkout -- '*go.mod' '*go.sum' goes back"
done

tools/align.sh || stop "a tool cannot have what $new has; git checkout -- '*go.mod' '*go.sum' goes back"

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
