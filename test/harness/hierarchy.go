package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// ErrNoMemoryController is returned for a machine on which no memory limit can
// be set, neither by cgroup v1 nor by v2.
var ErrNoMemoryController = errors.New("no cgroup memory controller")

// layout names the files of a memory cgroup.
type layout struct {
	limit, swap, events string
	// swapIncludesMemory tells that the swap file limits the sum of both.
	swapIncludesMemory bool
	// startInside tells that the kernel can start a process in a group.
	startInside bool
}

var (
	layoutV1 = layout{
		limit:              "memory.limit_in_bytes",
		swap:               "memory.memsw.limit_in_bytes",
		events:             "memory.oom_control",
		swapIncludesMemory: true,
	}
	layoutV2 = layout{
		limit:       "memory.max",
		swap:        "memory.swap.max",
		events:      "memory.events",
		startInside: true,
	}
)

// hierarchy is where memory cgroups can be made.
type hierarchy struct {
	parent string
	layout layout
}

// findHierarchy finds the memory controller that a process is under; process
// is its directory in /proc.
func findHierarchy(process string) (hierarchy, error) {
	mounts, err := os.ReadFile(filepath.Join(process, "mountinfo"))
	if err != nil {
		return hierarchy{}, fmt.Errorf("find the memory controller: %w", err)
	}
	groups, err := os.ReadFile(filepath.Join(process, "cgroup"))
	if err != nil {
		return hierarchy{}, fmt.Errorf("find the memory controller: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		m, ok := parseMount(line)
		switch {
		case !ok:
		case m.kind == "cgroup" && slices.Contains(m.options, "memory"):
			return hierarchy{parent: m.group(string(groups), "memory"), layout: layoutV1}, nil
		case m.kind == "cgroup2" && hasMemory(m.point, "cgroup.controllers"):
			parent, err := delegating(m.point, m.group(string(groups), ""))
			return hierarchy{parent: parent, layout: layoutV2}, err
		}
	}
	return hierarchy{}, ErrNoMemoryController
}

// mount is a line of /proc/PID/mountinfo.
type mount struct {
	root, point, kind string
	options           []string // of the file system
}

func parseMount(line string) (mount, bool) {
	before, after, ok := strings.Cut(line, " - ")
	left, right := strings.Fields(before), strings.Fields(after)
	if !ok || len(left) < 5 || len(right) < 3 {
		return mount{}, false
	}
	return mount{
		root:    left[3],
		point:   left[4],
		kind:    right[0],
		options: strings.Split(right[2], ","),
	}, true
}

// group returns the directory of the process's own group, or the mount point
// when that group is not below it. groups is the text of /proc/PID/cgroup, and
// controller is empty for v2.
func (m mount) group(groups, controller string) string {
	for line := range strings.Lines(groups) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 || !slices.Contains(strings.Split(fields[1], ","), controller) {
			continue
		}
		below, err := filepath.Rel(m.root, fields[2])
		if err != nil || !filepath.IsLocal(below) {
			break
		}
		dir := filepath.Join(m.point, below)
		if _, err := os.Stat(dir); err == nil {
			return dir
		}
	}
	return m.point
}

// delegating returns the nearest group, from dir upwards, that hands the
// memory controller on to its children. A v2 group that holds processes cannot
// be made to; only the mount point is tried, as it may be the root group.
func delegating(point, dir string) (string, error) {
	for ; dir != point; dir = filepath.Dir(dir) {
		if hasMemory(dir, "cgroup.subtree_control") {
			return dir, nil
		}
	}
	if !hasMemory(point, "cgroup.subtree_control") {
		control := filepath.Join(point, "cgroup.subtree_control")
		if err := os.WriteFile(control, []byte("+memory"), 0); err != nil {
			return "", fmt.Errorf("%w for children of %s: move its processes into a child group and write +memory to cgroup.subtree_control: %w",
				ErrNoMemoryController, point, err)
		}
	}
	return point, nil
}

func hasMemory(dir, file string) bool {
	text, err := os.ReadFile(filepath.Join(dir, file))
	return err == nil && slices.Contains(strings.Fields(string(text)), "memory")
}
