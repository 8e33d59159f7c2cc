#!/bin/sh
# Gives the tools what the daemon has of a module where theirs is older: what is of the same
# version is compiled once, for the daemon and for all tools.
#
#	tools/align.sh    # after one of them was moved; make bump does it, too
set -eu
cd "$(dirname "$0")/.."

# required lists the modules that a go.mod requires, and their versions.
required() {
	sed -n 's/^require //; s/^\t*\([^ ]*\.[^ ]*\) \(v[^ ]*\).*/\1 \2/p' "$1" | sort
}

daemon=$(mktemp)
trap 'rm -f "$daemon"' EXIT
required daemon/go.mod >"$daemon"

for mod in tools/*/go.mod; do
	dir=$(dirname "$mod")
	[ "$dir" != tools/dockerd ] || continue # is what Docker makes of it
	newer=$(required "$mod" | join - "$daemon" | while read -r path old new; do
		[ "$old" = "$new" ] || ! printf '%s\n' "$old" "$new" | sort -VC || echo "-require=$path@$new"
	done)
	[ -n "$newer" ] || continue
	echo "$mod"
	(cd "$dir" && go mod edit $newer && go mod tidy)
done
