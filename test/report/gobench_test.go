package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseBench(t *testing.T) {
	found, err := parseBench(`goos: linux
pkg: example.com/guard
BenchmarkGetRemotes/layers=1/compressions=2/main-2         	  100	      2000 ns/op	      1.000 remotes	    2248 B/op	      18 allocs/op
BenchmarkGetRemotes/layers=1/compressions=2/main-2         	  100	      4000 ns/op	      1.000 remotes	    2248 B/op	      18 allocs/op
BenchmarkX-2	      5	         0 ns/op	   1.012 guarded-total-x
PASS
ok  	example.com/guard	3.1s
`)
	require.NoError(t, err)
	const name = "GetRemotes/layers=1/compressions=2/main"
	assert.Equal(t, benchmark{name, 1, "ns/op", 2000}, found[0])
	assert.Equal(t, benchmark{name, 2, "ns/op", 4000}, found[4])
	all := benchmarks(found)
	assert.Equal(t, "4µs", all.text(name, "ns/op", nanoseconds))
	assert.Equal(t, "1.01×", all.text("X", "guarded-total-x", ratio))
	assert.Empty(t, all.text("X", "remotes", plain))
}

func TestParseBenchRefuses(t *testing.T) {
	_, err := parseBench("PASS\n")
	require.ErrorContains(t, err, "no benchmark was run")
	_, err = parseBench("BenchmarkX-2 \t 1 \t time=now level=info 3 ns/op\n")
	require.Error(t, err)
}
