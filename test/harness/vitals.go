package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Vitals are what a daemon holds.
type Vitals struct {
	// RSS is its resident memory without mapped files, Heap the live objects in
	// it, in bytes.
	RSS, Heap int64
	// Goroutines and Files count what is running and what is open.
	Goroutines, Files int
}

// settleDelay is how long memory and goroutines must stay the same until they
// count: the runtime gives memory back in the background, connections close, and
// a build is forgotten after ten seconds (solver/jobs.go).
const settleDelay = 5 * time.Second

// Vitals collects the daemon's garbage, waits until it holds the same for a
// while, and returns what that is.
func (d *Daemon) Vitals(ctx context.Context) (Vitals, error) {
	// What has a cleanup, or is pooled, is gone after the second collection.
	for range 2 {
		if _, err := d.Debug(ctx, "/debug/gc"); err != nil {
			return Vitals{}, err
		}
	}
	v, err := d.settled(ctx)
	if err != nil {
		return Vitals{}, err
	}
	text, err := d.Debug(ctx, "/debug/vars")
	if err != nil {
		return Vitals{}, err
	}
	var vars struct {
		Memstats struct{ HeapAlloc int64 } `json:"memstats"`
	}
	if err := json.Unmarshal([]byte(text), &vars); err != nil {
		return Vitals{}, fmt.Errorf("read the memory statistics: %w", err)
	}
	v.Heap = vars.Memstats.HeapAlloc
	files, err := os.ReadDir(proc(d.process.pid, "fd"))
	if err != nil {
		return Vitals{}, fmt.Errorf("count open files: %w", err)
	}
	v.Files = len(files)
	return v, nil
}

// settled returns memory and goroutines once they stay the same. Some pages more
// or less are not worth the wait.
func (d *Daemon) settled(ctx context.Context) (v Vitals, err error) {
	for before := (Vitals{RSS: -1}); before.RSS>>16 != v.RSS>>16 || before.Goroutines != v.Goroutines; {
		before = v
		select {
		case <-time.After(settleDelay):
		case <-ctx.Done():
			return Vitals{}, fmt.Errorf("wait for the daemon to settle: %w", context.Cause(ctx))
		}
		if v.RSS, err = d.resident(); err != nil {
			return Vitals{}, err
		}
		if v.Goroutines, err = d.Goroutines(ctx); err != nil {
			return Vitals{}, err
		}
	}
	return v, nil
}

// Goroutines counts those of the daemon.
func (d *Daemon) Goroutines(ctx context.Context) (int, error) {
	stacks, err := d.Debug(ctx, "/debug/pprof/goroutine?debug=2")
	return strings.Count("\n"+stacks, "\ngoroutine "), err
}

// resident is the memory that the daemon holds, in bytes. It leaves out what is
// mapped from files, the program and upstream's databases: that is page cache,
// which the kernel takes back, and databases are as large as their records.
func (d *Daemon) resident() (int64, error) {
	text, err := os.ReadFile(proc(d.process.pid, "status"))
	if err != nil {
		return 0, fmt.Errorf("read the resident memory: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kib); err == nil {
			return kib << 10, nil
		}
	}
	return 0, errors.New("read the resident memory: the kernel does not tell")
}
