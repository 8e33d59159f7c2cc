package main

import "slices"

// release is a release of buildkit or of the Docker Engine.
type release struct {
	version string
	// promised tells that the guard is to work with it.
	promised bool
}

// releases are what is tried, newest first: the newest patch of each minor
// release. `go list -m -versions github.com/moby/buildkit github.com/moby/moby/v2` has
// them all.
var releases = []release{
	{"v0.34.2", true},
	{"v0.33.1", true},
	{"v0.32.2", true},
	{"v0.31.2", true},
	{"v0.30.0", false},
	{"v0.29.0", false},
}

// engines are those of the engine's module: its releases have other numbers.
var engines = []release{
	{"v2.0.0-beta.24", true},
	{"v2.0.0-beta.23", false},
}

// withPinned is the list with a release that the checkout requires, which is
// promised to work.
func withPinned(list []release, version string) []release {
	if slices.ContainsFunc(list, func(r release) bool { return r.version == version }) {
		return list
	}
	return append([]release{{version, true}}, list...)
}
