package harness

import (
	"context"
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

const (
	// settleDelay is how long memory or goroutines must stay the same until they
	// count: the runtime gives memory back in the background, connections close,
	// and a build is forgotten after ten seconds (solver/jobs.go).
	settleDelay = 5 * time.Second
	// settleBytes is how much memory more or less is still the same.
	settleBytes = 64 << 10
)

// Vitals waits until nothing goes on in the daemon, collects its garbage, and
// returns what it holds then.
func (d *Daemon) Vitals(ctx context.Context) (v Vitals, err error) {
	goroutines, err := settled(ctx, 0, func() (int64, error) {
		n, err := d.Goroutines(ctx)
		return int64(n), err
	})
	if err != nil {
		return Vitals{}, err
	}
	v.Goroutines = int(goroutines)
	if err := d.collect(ctx); err != nil {
		return Vitals{}, err
	}
	// The daemon is asked for nothing meanwhile: its answers take memory, too.
	if v.RSS, err = settled(ctx, settleBytes, d.resident); err != nil {
		return Vitals{}, err
	}
	if err := d.collect(ctx); err != nil {
		return Vitals{}, err
	}
	if v.Heap, err = d.heap(ctx); err != nil {
		return Vitals{}, err
	}
	files, err := os.ReadDir(proc(d.process.pid, "fd"))
	if err != nil {
		return Vitals{}, fmt.Errorf("count open files: %w", err)
	}
	v.Files = len(files)
	return v, nil
}

// settled returns a value of the daemon once it stays the same, give or take slack.
func settled(ctx context.Context, slack int64, value func() (int64, error)) (int64, error) {
	before, err := value()
	for err == nil {
		select {
		case <-time.After(settleDelay):
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the daemon to settle: %w", context.Cause(ctx))
		}
		var now int64
		if now, err = value(); err == nil && max(now-before, before-now) <= slack {
			return now, nil
		}
		before = now
	}
	return 0, err
}

// collect collects the garbage of the daemon. What has a cleanup, or is pooled, is
// gone after the second time.
func (d *Daemon) collect(ctx context.Context) error {
	for range 2 {
		if _, err := d.Debug(ctx, "/debug/gc"); err != nil {
			return err
		}
	}
	return nil
}

// heap is the memory of the daemon's objects, in bytes. The page of the profile has it, too,
// and /debug/vars would not do: a guarded daemon makes an inventory of its records for it,
// which is garbage by the time that the memory is read.
func (d *Daemon) heap(ctx context.Context) (int64, error) {
	page, err := d.Debug(ctx, "/debug/pprof/heap?debug=1")
	if err != nil {
		return 0, err
	}
	_, found, _ := strings.Cut(page, "\n# HeapAlloc = ")
	var bytes int64
	if _, err := fmt.Sscanf(found, "%d", &bytes); err != nil {
		return 0, fmt.Errorf("read the memory statistics: %w", err)
	}
	return bytes, nil
}

// Goroutines counts those of the daemon. The page without the single stacks takes
// little memory of it.
func (d *Daemon) Goroutines(ctx context.Context) (int, error) {
	page, err := d.Debug(ctx, "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return 0, err
	}
	var n int
	if _, err := fmt.Sscanf(page, "goroutine profile: total %d", &n); err != nil {
		return 0, fmt.Errorf("count goroutines: %w", err)
	}
	return n, nil
}

// peak is the most memory that the daemon has held since its exec, in bytes. It is
// false for a daemon that has ended.
func (d *Daemon) peak() (bytes int64, alive bool) {
	text, err := os.ReadFile(proc(d.process.pid, "status"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		var kib int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
			return kib << 10, true
		}
	}
	return 0, false // a zombie has no memory
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
