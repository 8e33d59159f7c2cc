package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptOrphans makes this process the parent of descendants whose own parent
// has died, such as the containers of a killed daemon. Otherwise they would go
// to process 1, which in a container may never wait for them.
var adoptOrphans = sync.OnceValue(func() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the parent of orphans: %w", err)
	}
	return nil
})

// status is what /proc/PID/stat says of a process.
type status struct {
	pid, parent, session int
	state                byte
}

// processes returns all processes. Those that end meanwhile are left out.
func processes() ([]status, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var all []status
	for _, dir := range dirs {
		text, err := os.ReadFile(filepath.Join(dir, "stat"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		s, err := parseStatus(string(text))
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// parseStatus reads the first fields of a stat line:
// "7 (name) S parent group session ...". The name may hold anything.
func parseStatus(line string) (status, error) {
	pid, _, _ := strings.Cut(line, " ")
	fields := strings.Fields(line[strings.LastIndexByte(line, ')')+1:])
	if len(fields) < 4 {
		return status{}, fmt.Errorf("stat line %q is too short", line)
	}
	s := status{state: fields[0][0]}
	for _, f := range []struct {
		text string
		to   *int
	}{{pid, &s.pid}, {fields[1], &s.parent}, {fields[3], &s.session}} {
		n, err := strconv.Atoi(f.text)
		if err != nil {
			return status{}, fmt.Errorf("stat line %q: %w", line, err)
		}
		*f.to = n
	}
	return s, nil
}

// reap waits for the orphans that have ended. Children that other code of this
// process has started share its session and are left to that code.
func reap() error {
	own, err := unix.Getsid(0)
	if err != nil {
		return fmt.Errorf("reap: %w", err)
	}
	children.Lock()
	defer children.Unlock()
	all, err := processes()
	if err != nil {
		return fmt.Errorf("reap: %w", err)
	}
	for _, s := range all {
		if s.parent != os.Getpid() || s.state != 'Z' || s.session == own || children.pids[s.pid] {
			continue
		}
		if _, err := syscall.Wait4(s.pid, nil, syscall.WNOHANG, nil); err != nil && !errors.Is(err, syscall.ECHILD) {
			return fmt.Errorf("reap process %d: %w", s.pid, err)
		}
	}
	return nil
}

// killUsers kills the processes that see a mount under dir: as daemons have
// private mounts, these are a daemon and the containers that it has started.
func killUsers(ctx context.Context, dir string) error {
	return killAll(ctx, func(s status) bool {
		return mentions(s.pid, "mountinfo", dir)
	})
}

// mentions tells whether a file of a process, such as its command line, holds
// the text. A process that has ended holds none.
func mentions(pid int, file, text string) bool {
	content, err := os.ReadFile(proc(pid, file))
	return err == nil && bytes.Contains(content, []byte(text))
}
