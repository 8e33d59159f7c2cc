package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// topCgroups returns the groups with a name at the top of every hierarchy,
// which is where runc puts those of containers. The name is a pattern as in
// filepath.Glob.
func topCgroups(name string) ([]string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list cgroups: %w", err)
	}
	var groups []string
	for line := range strings.Lines(string(mounts)) {
		m, ok := parseMount(line)
		if !ok || (m.kind != "cgroup" && m.kind != "cgroup2") {
			continue
		}
		found, err := filepath.Glob(filepath.Join(m.point, name))
		if err != nil {
			return nil, fmt.Errorf("list cgroups: %w", err)
		}
		groups = append(groups, found...)
	}
	return groups, nil
}

// removeTopCgroups removes the groups with a name from every hierarchy.
func removeTopCgroups(ctx context.Context, name string) error {
	groups, err := topCgroups(name)
	if err != nil {
		return err
	}
	for _, dir := range groups {
		if err := removeCgroup(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}
