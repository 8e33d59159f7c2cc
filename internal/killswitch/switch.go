// Package killswitch follows a file whose first word is the mode of a guard.
package killswitch

import (
	"context"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/moby/buildkit/util/bklog"

	"github.com/bkguard/bkguard/config"
)

// interval is how often the file is looked at without being told of a change, and how
// long it must be empty or missing to lift a mode.
const interval = 250 * time.Millisecond

// Switch is a file that sets the mode. Garbage in it leaves the mode that is in force
// alone. Switches are made by New. It is safe for concurrent use.
type Switch struct {
	path string
	// changed is called after the mode has changed.
	changed func()

	mu sync.Mutex
	// mode is empty without an override, protected by mu.
	mode config.Mode
	// invalid says what is wrong with the file, empty if nothing is; protected
	// by mu.
	invalid string
	// faults counts the changes to an invalid content, protected by mu.
	faults int64
	// emptySince is when the file was first found without a mode, zero if it has
	// one; protected by mu.
	emptySince time.Time

	stop context.CancelFunc
	done chan struct{}
}

// New reads the file and watches it until Close. The function is called whenever the mode
// has changed; the calls do not overlap.
func New(path string, changed func()) *Switch {
	ctx, stop := context.WithCancel(context.Background())
	s := &Switch{path: path, changed: changed, stop: stop, done: make(chan struct{})}
	s.look(ctx, time.Now())
	go s.watch(ctx)
	return s
}

// Close stops watching and waits for that; the mode stays as it is. A nil switch has
// nothing to stop.
func (s *Switch) Close() {
	if s == nil {
		return
	}
	s.stop()
	<-s.done
}

// Current returns the mode that the file asks for, empty if it asks for none; what is
// wrong with its content, empty if nothing is; and how often it has become wrong. A nil
// switch asks for nothing.
func (s *Switch) Current() (mode config.Mode, invalid string, faults int64) {
	if s == nil {
		return "", "", 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mode, s.invalid, s.faults
}

// watch looks at the file whenever something happens in its directory, and
// regularly: notifications fail for directories that are made later, and on
// some file systems. The directory is watched rather than the file because
// editors and Kubernetes replace the file, or a link on the way to it.
func (s *Switch) watch(ctx context.Context) {
	defer close(s.done)
	var (
		events   chan fsnotify.Event
		failures chan error
	)
	watcher, err := fsnotify.NewWatcher()
	if err == nil {
		defer watcher.Close()
		events, failures = watcher.Events, watcher.Errors
	} else {
		bklog.G(ctx).WithError(err).WithField("file", s.path).Warn("switch file is polled only")
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	dir := filepath.Dir(s.path)
	for {
		if watcher != nil && len(watcher.WatchList()) == 0 {
			_ = watcher.Add(dir) // tried again with the next look
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-events:
		case err := <-failures:
			bklog.G(ctx).WithError(err).WithField("file", s.path).Debug("watch the switch file")
		}
		s.look(ctx, time.Now())
	}
}

// look reads the file and takes over what it says.
func (s *Switch) look(ctx context.Context, now time.Time) {
	if s.take(ctx, now) {
		s.changed()
	}
}

// take reads the file and reports whether the mode has changed.
func (s *Switch) take(ctx context.Context, now time.Time) bool {
	mode, err := Read(s.path)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.emptySince = time.Time{}
		if s.invalid != err.Error() {
			s.invalid = err.Error()
			s.faults++
			bklog.G(ctx).WithError(err).WithField("mode", s.mode).Warn("switch file ignored, mode unchanged")
		}
		return false
	}
	// A file is missing or empty for a moment while it is written, too.
	switch {
	case mode != "":
		s.emptySince = time.Time{}
	case s.emptySince.IsZero():
		s.emptySince = now
		return false
	case now.Sub(s.emptySince) < interval:
		return false
	}
	s.invalid = ""
	if mode == s.mode {
		return false
	}
	bklog.G(ctx).WithField("file", s.path).WithField("mode", mode).WithField("before", s.mode).Info("mode switched")
	s.mode = mode
	return true
}
