package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// mark is part of the name of every directory and cgroup that this process
// makes, so that they are told apart from those of others.
func mark() string {
	return fmt.Sprintf("bkguard-%d-", os.Getpid())
}

// TempDir makes a directory with a path that is short enough for a socket. The
// caller removes it.
func TempDir() (string, error) {
	dir, err := os.MkdirTemp("", mark())
	if err != nil {
		return "", fmt.Errorf("make a temporary directory: %w", err)
	}
	return dir, nil
}

// withTempDir runs f with a directory that is removed afterwards.
func withTempDir(f func(dir string) error) error {
	dir, err := TempDir()
	if err != nil {
		return err
	}
	return errors.Join(f(dir), os.RemoveAll(dir))
}

// CheckClean returns an error that names every process, mount and cgroup that
// was made through this package and is still there. Call it when all is stopped.
func CheckClean() error {
	left, err := leftovers()
	if err != nil {
		return fmt.Errorf("look for leftovers: %w", err)
	}
	if len(left) > 0 {
		return fmt.Errorf("left behind: %q", left)
	}
	return nil
}

func leftovers() ([]string, error) {
	var left []string
	all, err := processes()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.pid == os.Getpid() {
			continue
		}
		if s.parent == os.Getpid() || mentions(s.pid, "cmdline", mark()) || mentions(s.pid, "mountinfo", mark()) {
			name, _ := os.ReadFile(proc(s.pid, "comm"))
			left = append(left, fmt.Sprintf("process %d %s (%c)", s.pid, strings.TrimSpace(string(name)), s.state))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, mark()) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	cgroups, err := topCgroups(mark() + "*")
	if err != nil {
		return nil, err
	}
	h, err := findHierarchy("/proc/self")
	if err != nil && !errors.Is(err, ErrNoMemoryController) {
		return nil, err
	}
	if err == nil {
		limited, err := filepath.Glob(filepath.Join(h.parent, mark()+"*"))
		if err != nil {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		cgroups = append(cgroups, limited...)
	}
	for _, dir := range cgroups {
		left = append(left, "cgroup "+dir)
	}
	return left, nil
}
