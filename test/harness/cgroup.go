package harness

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// Cgroup is a control group with a memory limit and without swap.
type Cgroup struct {
	dir    string
	layout layout
}

// MemoryUsage is what a cgroup has counted.
type MemoryUsage struct {
	// OOMKills is the number of processes that the kernel has killed for
	// memory in the group.
	OOMKills int64
}

// cgroups numbers the groups of this process.
var cgroups atomic.Int64

// NewCgroup makes a group that limits memory to so many bytes. The error is
// ErrNoMemoryController when the machine has no memory controller.
func NewCgroup(limit int64) (*Cgroup, error) {
	h, err := findHierarchy("/proc/self")
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(h.parent, mark()+strconv.FormatInt(cgroups.Add(1), 10))
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a cgroup: %w", err)
	}
	c := &Cgroup{dir: dir, layout: h.layout}
	if err := c.setLimit(limit); err != nil {
		return nil, errors.Join(err, os.Remove(dir))
	}
	return c, nil
}

// CheckLimits returns an error that says why no daemon can be run with a memory
// limit on this machine; nil if it can.
func CheckLimits(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("must be run as root: buildkitd mounts overlayfs and is put into a cgroup")
	}
	group, err := NewCgroup(1 << 30)
	if errors.Is(err, ErrNoMemoryController) {
		return fmt.Errorf("a memory limit cannot be set on this machine: %w", err)
	}
	if err != nil {
		return err
	}
	return group.Remove(ctx)
}

func (c *Cgroup) setLimit(limit int64) error {
	if err := c.write(c.layout.limit, strconv.FormatInt(limit, 10)); err != nil {
		return err
	}
	swap := "0"
	if c.layout.swapIncludesMemory {
		swap = strconv.FormatInt(limit, 10)
	}
	// The file is missing where the kernel does not account swap.
	if err := c.write(c.layout.swap, swap); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (c *Cgroup) write(name, value string) error {
	f, err := os.OpenFile(filepath.Join(c.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("set a memory limit: %w", err)
	}
	_, err = f.WriteString(value)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("set a memory limit: %w", err)
	}
	return nil
}

// enter makes cmd start inside the group, so that nothing it allocates escapes
// the count. release is called after the start.
func (c *Cgroup) enter(cmd *exec.Cmd) (release func(), err error) {
	if !c.layout.startInside {
		path := cmd.Path
		cmd.Path = "/bin/sh"
		cmd.Args = append([]string{
			"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(c.dir, "cgroup.procs"), path,
		}, cmd.Args[1:]...)
		return func() {}, nil
	}
	dir, err := os.Open(c.dir)
	if err != nil {
		return nil, fmt.Errorf("enter a cgroup: %w", err)
	}
	cmd.SysProcAttr.UseCgroupFD = true
	cmd.SysProcAttr.CgroupFD = int(dir.Fd())
	return func() { _ = dir.Close() }, nil
}

// Usage returns what the group has counted so far.
func (c *Cgroup) Usage() (MemoryUsage, error) {
	kills, err := c.oomKills()
	if err != nil {
		return MemoryUsage{}, fmt.Errorf("read the events of a cgroup: %w", err)
	}
	return MemoryUsage{OOMKills: kills}, nil
}

func (c *Cgroup) oomKills() (int64, error) {
	text, err := os.ReadFile(filepath.Join(c.dir, c.layout.events))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			return strconv.ParseInt(n, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no oom_kill", c.layout.events)
}

// Remove removes the group, once its last process is gone.
func (c *Cgroup) Remove(ctx context.Context) error {
	return removeCgroup(ctx, c.dir)
}

// removeCgroup removes a group and those below it, once their last processes
// are gone.
func removeCgroup(ctx context.Context, dir string) error {
	return poll(ctx, "empty cgroup "+dir, func() (bool, error) {
		groups, err := subgroups(dir)
		if err != nil {
			return false, err
		}
		for _, group := range slices.Backward(groups) {
			err := os.Remove(group)
			if errors.Is(err, syscall.EBUSY) {
				return false, nil
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return false, err
			}
		}
		return true, nil
	})
}

// subgroups returns a group and all groups below it, parents first; none when
// it is gone.
func subgroups(dir string) ([]string, error) {
	var groups []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		return err
	})
	return groups, err
}
