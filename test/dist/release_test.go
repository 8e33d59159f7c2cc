package dist

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

// root is the directory of the module.
const root = "../.."

// revision and epoch are those of the commit that is released here.
const (
	revision = "0123456789ab"
	epoch    = "1600000000"
)

// platforms are those whose programs have most of their packages in common with the tests,
// and one of each system that has no daemon of its own.
var platforms = []string{"linux-amd64", "darwin-arm64", "windows-amd64"}

// release is a copy of the sources in a directory of its own, in which a release was made.
type release struct {
	dir string
}

// dist is the path of a file of the release.
func (r *release) dist(name string) string { return filepath.Join(r.dir, "dist", name) }

var (
	// once makes the release that most tests look at.
	once = sync.OnceValues(func() (*release, error) { return newRelease(root, nil) })
	// releases are all that were made.
	releases []*release
)

// aRelease is the release that most tests look at.
func aRelease(t *testing.T) *release {
	t.Helper()
	r, err := once()
	require.NoError(t, err)
	return r
}

// newRelease copies the sources from a directory, and makes a release with more variables in
// the environment.
func newRelease(from string, env []string) (*release, error) {
	dir, err := harness.TempDir()
	if err != nil {
		return nil, err
	}
	r := &release{dir: dir}
	releases = append(releases, r)
	if err := r.copySources(from); err != nil {
		return nil, err
	}
	cmd := exec.Command("make", "dist", "PLATFORMS="+strings.Join(platforms, " "), "REVISION="+revision, "SOURCE_DATE_EPOCH="+epoch)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(err, errors.New(out.String()))
	}
	return r, nil
}

// copySources copies what belongs to the sources, and the tools that were built from them.
func (r *release) copySources(from string) error {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	list.Dir = root
	files, err := list.Output()
	if err != nil {
		return err
	}
	for _, name := range append(strings.Split(strings.Trim(string(files), "\x00"), "\x00"), "bin/tools/nfpm", "bin/tools/cyclonedx-gomod") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file with its permissions and its time. One that was removed since is
// left out.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return errors.Join(
		os.MkdirAll(filepath.Dir(to), 0o755),
		os.WriteFile(to, content, info.Mode().Perm()),
		os.Chtimes(to, info.ModTime(), info.ModTime()),
	)
}

// removeReleases removes what newRelease has made.
func removeReleases() error {
	var failures []error
	for _, r := range releases {
		failures = append(failures, os.RemoveAll(r.dir))
	}
	return errors.Join(failures...)
}

// buildkitVersion is the release that the daemon is built from.
func buildkitVersion(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-C", filepath.Join(root, "daemon"), "-mod=mod", "-m", "-f", "{{.Version}}", "github.com/moby/buildkit").Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// names replaces VERSION in the names of files.
func names(files ...string) []string {
	named := make([]string, len(files))
	for i, file := range files {
		named[i] = strings.ReplaceAll(file, "VERSION", guard.Version)
	}
	return named
}
