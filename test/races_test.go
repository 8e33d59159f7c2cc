package test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// upstreamRaces are functions of upstream that access the same without a common lock
// (docs/upstream.md). The guard may be among their callers, as the worker is decorated.
var upstreamRaces = []string{
	"github.com/moby/buildkit/cache.(*cacheRecord).finalize()",
	"github.com/moby/buildkit/cache.(*cacheRecord).isDead()",
	"github.com/moby/buildkit/util/pull.(*Puller).tryLocalResolve()",
	"github.com/moby/buildkit/util/pull.(*provider).ReaderAt()",
}

// guardRaces returns the race detector's reports in which the guard is. Upstream has
// races of its own, which are not ours to fail on.
func guardRaces(log string) []string {
	var races []string
	for report := range strings.SplitSeq(log, "==================") {
		accesses, _, _ := strings.Cut(report, "\nGoroutine ")
		if !strings.Contains(accesses, "WARNING: DATA RACE") || !strings.Contains(accesses, "github.com/bkguard/") {
			continue
		}
		functions := accessing(accesses)
		if len(functions) == 0 || slices.ContainsFunc(functions, func(f string) bool { return !slices.Contains(upstreamRaces, f) }) {
			races = append(races, report)
		}
	}
	return races
}

// accessing are the functions in which the accesses of a report are.
func accessing(accesses string) []string {
	var functions []string
	lines := strings.Split(accesses, "\n")
	for n, line := range lines[:len(lines)-1] {
		if strings.Contains(line, " by goroutine ") || strings.Contains(line, " by main goroutine") {
			functions = append(functions, strings.TrimSpace(lines[n+1]))
		}
	}
	return functions
}

func TestGuardRaces(t *testing.T) {
	t.Parallel()
	report := func(writes, reads, caller string) string {
		return "time=now msg=before\n==================\nWARNING: DATA RACE\n" +
			"Write at 0x00c000361b30 by goroutine 1390:\n  " + writes + "\n      file.go:1 +0x1\n  " + caller + "\n      file.go:2 +0x1\n\n" +
			"Previous read at 0x00c000361b30 by main goroutine:\n  " + reads + "\n      file.go:3 +0x1\n  " + caller + "\n      file.go:4 +0x1\n\n" +
			"Goroutine 1390 (running) created at:\n  github.com/bkguard/bkguard/guard.(*export).close()\n      file.go:5 +0x1\n==================\n"
	}
	const (
		isDead   = "github.com/moby/buildkit/cache.(*cacheRecord).isDead()"
		guard    = "github.com/bkguard/bkguard/guard.(*guardedWorker).LoadRef()"
		upstream = "github.com/moby/buildkit/worker.(*WorkerRef).GetRemotes()"
		finalize = "github.com/moby/buildkit/cache.(*cacheRecord).finalize()"
	)
	assert.Len(t, guardRaces(report(guard, upstream, upstream)), 1, "by the guard")
	assert.Len(t, guardRaces(report(finalize, upstream, guard)), 1, "with what the guard hands out")
	assert.Len(t, guardRaces(report(upstream, guard, upstream)+report(guard, guard, guard)), 2, "each report counts")
	assert.Len(t, guardRaces(report(guard, isDead, upstream)), 1, "by the guard and one that races with upstream, too")
	assert.Empty(t, guardRaces(report(finalize, isDead, guard)), "upstream's own, called by the guard")
	assert.Len(t, guardRaces("==================\nWARNING: DATA RACE\n"+guard), 1, "of a form that is not known")
	assert.Empty(t, guardRaces(report(upstream, upstream, upstream)), "without the guard, but where a goroutine began")
	assert.Empty(t, guardRaces("msg=\"nothing to report\""))
}
