package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/moby/buildkit/util/bklog"

	"github.com/bkguard/bkguard/config"
)

const (
	// switchInterval is how often the switch file is looked at without being
	// told of a change, and how long it must be empty or missing to lift a mode.
	switchInterval = 250 * time.Millisecond
	// switchMaxBytes is how much of the switch file is read.
	switchMaxBytes = 4096
)

// modeSwitch is the kill-switch: a file whose first word is the mode. Garbage in
// it leaves the mode that is in force alone. It is safe for concurrent use.
type modeSwitch struct {
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

// newSwitch reads the file and watches it until close is called. The function is
// called whenever the mode has changed.
func newSwitch(path string, changed func()) *modeSwitch {
	ctx, stop := context.WithCancel(context.Background())
	s := &modeSwitch{path: path, changed: changed, stop: stop, done: make(chan struct{})}
	s.look(ctx, time.Now())
	go s.watch(ctx)
	return s
}

// close stops watching and waits for that. A nil switch has nothing to stop.
func (s *modeSwitch) close() {
	if s == nil {
		return
	}
	s.stop()
	<-s.done
}

// current returns the mode that the file asks for, empty if it asks for none,
// and what is wrong with its content. A nil switch asks for nothing.
func (s *modeSwitch) current() (mode config.Mode, invalid string, faults int64) {
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
func (s *modeSwitch) watch(ctx context.Context) {
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
	ticker := time.NewTicker(switchInterval)
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
func (s *modeSwitch) look(ctx context.Context, now time.Time) {
	if s.take(ctx, now) {
		s.changed()
	}
}

// take reads the file and reports whether the mode has changed.
func (s *modeSwitch) take(ctx context.Context, now time.Time) bool {
	mode, err := ReadSwitchFile(s.path)
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
	case now.Sub(s.emptySince) < switchInterval:
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

// ReadSwitchFile returns the mode that a switch file asks for: its first word,
// and none if the file is missing or has no word. "#" begins a comment. The
// error says why a guard ignores the file.
func ReadSwitchFile(path string) (config.Mode, error) {
	// A named pipe without a writer would block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the switch file: %w", err)
	}
	defer f.Close()
	// One word is all that is needed, however much is there.
	data, err := io.ReadAll(io.LimitReader(f, switchMaxBytes))
	if err != nil {
		return "", fmt.Errorf("read the switch file: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			word := words[0]
			mode, err := config.ParseMode("mode", word[:min(len(word), 40)])
			if err != nil {
				return "", fmt.Errorf("switch file %s: %w", path, err)
			}
			return mode, nil
		}
	}
	if len(data) == switchMaxBytes {
		return "", fmt.Errorf("switch file %s: no mode in its first %d bytes", path, switchMaxBytes)
	}
	return "", nil
}
