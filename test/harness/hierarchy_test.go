package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Recorded mountinfo lines. The tree of cgroups is at ROOT.
const (
	mountV1 = `23 1 254:0 / / rw,relatime - ext4 /dev/root rw
34 31 0:31 / ROOT/cpuset rw,relatime - cgroup cgroup rw,cpuset
35 31 0:32 / ROOT/memory rw,nosuid shared:9 - cgroup cgroup rw,memory
41 31 0:38 / ROOT/unified rw,relatime - cgroup2 cgroup2 rw
`
	mountV1Container = "35 31 0:32 /docker/abc ROOT/memory ro,nosuid master:16 - cgroup cgroup rw,memory\n"
	mountV2          = "29 23 0:26 / ROOT rw,nosuid,nodev shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountNone        = "23 1 254:0 / / rw,relatime - ext4 /dev/root rw\n"
)

func TestFindHierarchy(t *testing.T) {
	for name, tc := range map[string]struct {
		mounts, groups string
		tree           map[string]string // a file below ROOT to its content
		parent         string            // below ROOT
		layout         layout
	}{
		"v1 makes groups below its own": {
			mounts: mountV1,
			groups: "4:memory:/user/shell\n3:cpuset:/\n0::/\n",
			tree:   map[string]string{"memory/user/shell/tasks": ""},
			parent: "memory/user/shell", layout: layoutV1,
		},
		"v1 shares a line with other controllers": {
			mounts: mountV1,
			groups: "4:cpu,memory:/a:b\n",
			tree:   map[string]string{"memory/a:b/tasks": ""},
			parent: "memory/a:b", layout: layoutV1,
		},
		"v1 group that is not mounted gives the mount point": {
			mounts: mountV1,
			groups: "4:memory:/gone\n",
			parent: "memory", layout: layoutV1,
		},
		"v1 in a container is relative to the mount's root": {
			mounts: mountV1Container,
			groups: "4:memory:/docker/abc/inner\n",
			tree:   map[string]string{"memory/inner/tasks": ""},
			parent: "memory/inner", layout: layoutV1,
		},
		"v1 group outside of the mount gives the mount point": {
			mounts: mountV1Container,
			groups: "4:memory:/elsewhere\n",
			tree:   map[string]string{"elsewhere/tasks": ""},
			parent: "memory", layout: layoutV1,
		},
		"v2 uses the nearest group that delegates": {
			mounts: mountV2,
			groups: "0::/user.slice/shell.scope\n",
			tree: map[string]string{
				"cgroup.controllers":                                "cpu memory pids",
				"cgroup.subtree_control":                            "cpu memory",
				"user.slice/cgroup.subtree_control":                 "memory pids",
				"user.slice/shell.scope/cgroup.subtree_control":     "",
				"user.slice/shell.scope/sub/cgroup.subtree_control": "memory",
			},
			parent: "user.slice", layout: layoutV2,
		},
		"v2 root is made to delegate": {
			mounts: mountV2,
			groups: "0::/\n",
			tree: map[string]string{
				"cgroup.controllers":     "memory",
				"cgroup.subtree_control": "",
			},
			layout: layoutV2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, content := range tc.tree {
				writeFile(t, filepath.Join(root, path), content)
			}
			got, err := findHierarchy(processIn(t, root, tc.mounts, tc.groups))
			require.NoError(t, err)
			assert.Equal(t, hierarchy{parent: filepath.Join(root, tc.parent), layout: tc.layout}, got)
		})
	}
}

func TestFindHierarchyWithoutMemoryController(t *testing.T) {
	for name, mounts := range map[string]string{
		"no cgroups":            mountNone,
		"v2 without the memory": mountV2,
		"not a mountinfo line":  "35 31 cgroup memory\n - \n",
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			writeFile(t, filepath.Join(root, "cgroup.controllers"), "cpu pids")
			_, err := findHierarchy(processIn(t, root, mounts, "0::/\n"))
			require.ErrorIs(t, err, ErrNoMemoryController)
		})
	}
}

// processIn makes a /proc/PID directory out of recorded text.
func processIn(t *testing.T, root, mounts, groups string) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "mountinfo"), strings.ReplaceAll(mounts, "ROOT", root))
	writeFile(t, filepath.Join(dir, "cgroup"), groups)
	return dir
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
}
