package dist

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// packages are the files that are installed together, by the program that installs them.
func packages() map[string][]string {
	return map[string][]string{
		"dpkg": names("bkguard_VERSION-1_amd64.deb", "bkguard-buildkit_VERSION-1_amd64.deb"),
		"rpm":  names("bkguard-VERSION-1.x86_64.rpm", "bkguard-buildkit-VERSION-1.x86_64.rpm"),
		"apk":  names("bkguard_VERSION-r1_x86_64.apk", "bkguard-buildkit_VERSION-r1_x86_64.apk"),
	}
}

// installed returns a directory in which all packages of a kind are installed. It is that of
// all tests that change nothing in it.
func installed(t *testing.T, installer string) string {
	t.Helper()
	dir := filepath.Join(aRelease(t).dir, "installed", installer)
	if _, err := os.Stat(dir); err != nil {
		install(t, dir, installer, packages()[installer]...)
	}
	return dir
}

// install installs packages into a directory.
func install(t *testing.T, dir, installer string, files ...string) {
	t.Helper()
	r := aRelease(t)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	var paths []string
	for _, file := range files {
		paths = append(paths, r.dist(file))
	}
	switch installer {
	case "dpkg":
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "var/lib/dpkg/info"), 0o755))
		require.NoError(t, os.Mkdir(filepath.Join(dir, "var/lib/dpkg/updates"), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "var/lib/dpkg/status"), nil, 0o644))
		run(t, "dpkg", append(dpkgArgs(dir), append([]string{"--install"}, paths...)...)...)
	case "rpm":
		// Its scripts would need a shell in there.
		run(t, "rpm", append([]string{"--root", dir, "--dbpath", "/var/lib/rpm", "--nodeps", "--noscripts", "--nosignature", "--install"}, paths...)...)
	case "apk":
		for _, path := range paths {
			unpack(t, path, dir)
		}
	}
}

// dpkgArgs let dpkg work in a directory that has nothing else, not even a shell.
func dpkgArgs(dir string) []string {
	return []string{"--root=" + dir, "--force-script-chrootless", "--force-architecture", "--force-unsafe-io", "--log=" + filepath.Join(dir, "dpkg.log")}
}

// run runs a program that must succeed and returns what it has written.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", program, strings.Join(args, " "), out)
	return string(out)
}

// unpack unpacks a compressed archive, which an apk is, too.
func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	plain, err := gzip.NewReader(f)
	require.NoError(t, err)
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		to := filepath.Join(dir, filepath.Clean("/"+header.Name))
		if header.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(to, 0o755))
			continue
		}
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(to), 0o755))
		require.NoError(t, os.WriteFile(to, content, header.FileInfo().Mode().Perm()))
	}
}

// TestPackagesInstallTheirFiles looks at what is there after all packages of a kind were
// installed.
func TestPackagesInstallTheirFiles(t *testing.T) {
	programs := map[string]os.FileMode{"usr/bin/bkguard": 0o755, "usr/bin/buildkitd": 0o755, "usr/bin/buildctl": 0o755}
	text := []string{"etc/buildkit/buildkitd.toml", "usr/share/man/man1/bkguard.1.gz"}
	units := []string{"usr/lib/systemd/system/buildkit.service", "usr/lib/systemd/system/buildkit.socket"}
	more := map[string][]string{
		"dpkg": append(units, "usr/share/doc/bkguard/copyright", "usr/share/doc/bkguard-buildkit/copyright"),
		"rpm":  append(units, "usr/share/licenses/bkguard/LICENSE", "usr/share/licenses/bkguard-buildkit/LICENSE"),
		"apk":  {"usr/share/licenses/bkguard/LICENSE", "usr/share/licenses/bkguard-buildkit/LICENSE"},
	}
	for installer := range packages() {
		t.Run(installer, func(t *testing.T) {
			dir := installed(t, installer)
			want := make(map[string]os.FileMode)
			for name, mode := range programs {
				want[name] = mode
			}
			for _, name := range append(text, more[installer]...) {
				want[name] = 0o644
			}
			found := make(map[string]os.FileMode)
			require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
				name, _ := filepath.Rel(dir, path)
				if err != nil || d.IsDir() || strings.HasPrefix(name, "var/") || name == "dpkg.log" || name == ".PKGINFO" {
					return err
				}
				info, err := d.Info()
				found[name] = info.Mode().Perm()
				return err
			}))
			assert.Equal(t, want, found)
		})
	}
}

// TestPackagesKeepTheConfiguration installs the package again over a changed file, and
// removes it.
func TestPackagesKeepTheConfiguration(t *testing.T) {
	file := names("bkguard-buildkit_VERSION-1_amd64.deb")[0]
	dir := t.TempDir()
	install(t, dir, "dpkg", file)
	config := filepath.Join(dir, "etc/buildkit/buildkitd.toml")
	require.NoError(t, os.WriteFile(config, []byte("[guard]\n  mode = \"single\"\n"), 0o644))
	run(t, "dpkg", append(dpkgArgs(dir), "--install", aRelease(t).dist(file))...)
	content, err := os.ReadFile(config)
	require.NoError(t, err)
	assert.Equal(t, "[guard]\n  mode = \"single\"\n", string(content))
	run(t, "dpkg", append(dpkgArgs(dir), "--remove", "bkguard-buildkit")...)
	assert.FileExists(t, config)
	assert.NoFileExists(t, filepath.Join(dir, "usr/bin/buildkitd"))

	assert.Contains(t, strings.Fields(run(t, "rpm", "--nosignature", "--query", "--configfiles", "--package",
		aRelease(t).dist(names("bkguard-buildkit-VERSION-1.x86_64.rpm")[0]))), "/etc/buildkit/buildkitd.toml")
}

// TestPackagesTakeThePlaceOfUpstreams holds that a package named buildkit cannot be there as
// well, and that builds find a runc.
func TestPackagesTakeThePlaceOfUpstreams(t *testing.T) {
	r := aRelease(t)
	deb := r.dist(names("bkguard-buildkit_VERSION-1_amd64.deb")[0])
	for _, field := range []string{"Provides", "Conflicts", "Replaces"} {
		assert.Equal(t, "buildkit\n", run(t, "dpkg-deb", "--field", deb, field), field)
	}
	assert.Equal(t, "runc, bkguard\n", run(t, "dpkg-deb", "--field", deb, "Recommends"))
	rpm := r.dist(names("bkguard-buildkit-VERSION-1.x86_64.rpm")[0])
	for query, want := range map[string]string{"--provides": "buildkit", "--conflicts": "buildkit", "--recommends": "runc"} {
		assert.Contains(t, strings.Split(run(t, "rpm", "--nosignature", "--query", query, "--package", rpm), "\n"), want, query)
	}
	info, err := os.ReadFile(filepath.Join(installed(t, "apk"), ".PKGINFO")) // of the last one
	require.NoError(t, err)
	for _, line := range []string{"provides = buildkit", "replaces = buildkit", "depend = runc"} {
		assert.Contains(t, strings.Split(string(info), "\n"), line)
	}
	for line := range strings.Lines(strings.TrimSpace(string(info))) {
		assert.Contains(t, line, " = ", "apk has one line for each field")
	}
}
