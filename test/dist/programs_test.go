package dist

import (
	"context"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/guard"
	"github.com/bkguard/bkguard/test/harness"
)

// TestProgramsAreStatic holds that the programs run on any distribution.
func TestProgramsAreStatic(t *testing.T) {
	for _, name := range []string{"buildkitd", "buildctl", "bkguard"} {
		program, err := elf.Open(filepath.Join(aRelease(t).dir, "bin/release/linux-amd64", name))
		require.NoError(t, err)
		defer program.Close()
		for _, part := range program.Progs {
			assert.NotEqual(t, elf.PT_INTERP, part.Type, name)
		}
		libraries, err := program.ImportedLibraries()
		require.NoError(t, err)
		assert.Empty(t, libraries, name)
	}
}

// TestArchivesForWorkstations unpacks those that cannot be run here.
func TestArchivesForWorkstations(t *testing.T) {
	dir := t.TempDir()
	for _, name := range names("bkguard-VERSION-darwin-arm64.tar.gz", "bkguard-VERSION-windows-amd64.tar.gz") {
		unpack(t, aRelease(t).dist(name), dir)
	}
	mac, err := macho.Open(filepath.Join(dir, names("bkguard-VERSION-darwin-arm64/bin/bkguard")[0]))
	require.NoError(t, err)
	defer mac.Close()
	assert.Equal(t, macho.CpuArm64, mac.Cpu)
	windows, err := pe.Open(filepath.Join(dir, names("bkguard-VERSION-windows-amd64/bin/bkguard.exe")[0]))
	require.NoError(t, err)
	defer windows.Close()
	assert.EqualValues(t, pe.IMAGE_FILE_MACHINE_AMD64, windows.Machine)
}

// TestProgramsKnowTheirVersions runs what is below bin, installed and unpacked.
func TestProgramsKnowTheirVersions(t *testing.T) {
	archive := names("bkguard-VERSION-linux-amd64")[0]
	unpacked := t.TempDir()
	unpack(t, aRelease(t).dist(archive+".tar.gz"), unpacked)
	dirs := map[string]string{"archive": filepath.Join(unpacked, archive, "bin")}
	for installer := range packages() {
		dirs[installer] = filepath.Join(installed(t, installer), "usr/bin")
	}
	upstream := buildkitVersion(t) + " bkguard-" + guard.Version + "-" + revision + "\n"
	for from, dir := range dirs {
		t.Run(from, func(t *testing.T) {
			assert.Equal(t, "buildkitd github.com/moby/buildkit "+upstream, run(t, filepath.Join(dir, "buildkitd"), "--version"))
			assert.Equal(t, "buildctl github.com/moby/buildkit "+upstream, run(t, filepath.Join(dir, "buildctl"), "--version"))
			assert.Equal(t, "bkguard version "+guard.Version+", revision "+revision+"\n", run(t, filepath.Join(dir, "bkguard"), "--version"))
		})
	}
}

// TestInstalledDaemonBuilds starts the installed daemon with the installed configuration,
// and builds with the installed client.
func TestInstalledDaemonBuilds(t *testing.T) {
	dir := installed(t, "dpkg")
	bin := func(name string) string { return filepath.Join(dir, "usr/bin", name) }
	daemon, err := harness.StartDaemon(t.Context(), harness.DaemonOptions{
		Binary:     bin("buildkitd"),
		Buildctl:   bin("buildctl"),
		ConfigFile: filepath.Join(dir, "etc/buildkit/buildkitd.toml"),
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := daemon.Stop(context.Background())
		assert.NoError(t, err)
		assert.NoError(t, daemon.Remove())
	})
	lines, err := daemon.LogEntries("guard ready")
	require.NoError(t, err)
	require.Len(t, lines, 1)
	assert.Equal(t, guard.Version, lines[0]["guard"])
	assert.Equal(t, revision, lines[0]["revision"])

	_, err = daemon.Build(t.Context(), harness.Build{
		Dockerfile:  "FROM scratch\nCOPY file /\n",
		Files:       map[string]string{"file": "content"},
		ExportCache: []string{"type=local,mode=max,dest=" + t.TempDir()},
	})
	require.NoError(t, err)
	var status guard.Status
	require.NoError(t, json.Unmarshal([]byte(run(t, bin("bkguard"), "--format", "json", "status", "--debug-addr", daemon.DebugAddress())), &status))
	assert.Equal(t, guard.Version, status.Version)
	assert.Equal(t, revision, status.Revision)
	assert.Len(t, status.Decisions, 1, "the export of the build")
}
