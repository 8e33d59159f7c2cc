package upstream

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/moby/buildkit/util/bklog"
	"github.com/sirupsen/logrus"
)

// checkTimeout bounds a check, which otherwise waits for the disk.
const checkTimeout = 10 * time.Second

// Check plays all defects in a temporary directory and returns those that are
// there. The error says why that cannot be told; it is never a reason to stop
// what is being started. Check returns within ten seconds also if the disk does
// not answer, and removes the directory when it does.
func Check(ctx context.Context) ([]Defect, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTimeout, fmt.Errorf("no answer in %v", checkTimeout))
	defer cancel()
	type outcome struct {
		defects []Defect
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		defects, err := check(ctx)
		done <- outcome{defects, err}
	}()
	select {
	case o := <-done:
		return o.defects, o.err
	case <-ctx.Done():
		return nil, fmt.Errorf("check upstream: %w", context.Cause(ctx))
	}
}

func check(ctx context.Context) (defects []Defect, err error) {
	// Databases are mapped into memory: a disk that is full may be a fault.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
		if err != nil {
			defects, err = nil, fmt.Errorf("check upstream: %w", err)
		}
	}()
	root, err := os.MkdirTemp("", "bkguard-check-")
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, os.RemoveAll(root)) }()
	// Upstream's lines would be taken for those of the daemon.
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	ctx = bklog.WithLogger(ctx, logrus.NewEntry(silent))
	ctx, c, err := openCache(ctx, root)
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, c.close()) }()
	for _, r := range reproductions {
		there, err := r.reproduction(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.Defect, err)
		}
		if there {
			defects = append(defects, r.Defect)
		}
	}
	return defects, nil
}
