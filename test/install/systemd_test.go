package install

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// onOtherMachine makes what is installed come to nothing: /etc and /usr/local are seen as they
// are, and changes to them end with the shell.
const onOtherMachine = `
mount -t tmpfs tmpfs "$SCRATCH"
for dir in /etc /usr/local; do
	mkdir -p "$SCRATCH$dir/upper" "$SCRATCH$dir/work"
	mount -t overlay overlay -o "lowerdir=$dir,upperdir=$SCRATCH$dir/upper,workdir=$SCRATCH$dir/work" "$dir"
done
`

// installed runs a block on what looks like another machine, after what is there before, and
// returns what systemd says of a unit there.
func installed(t *testing.T, before, block, unit string) string {
	t.Helper()
	_, err := exec.LookPath("systemd-analyze")
	require.NoError(t, err, "run make systemd-analyze first")
	script := onOtherMachine + before + block + "systemd-analyze verify --man=no /etc/systemd/system/" + unit + " > " + "\"$SAID\" 2>&1\n"
	said := filepath.Join(t.TempDir(), "said")
	run(t, harness.Command{
		Path: "/bin/sh", Args: []string{"-euxc", script}, Dir: absolute(t, "."), PrivateMounts: true,
		Env: []string{"SCRATCH=" + t.TempDir(), "SAID=" + said},
	})
	return read(t, said)
}

// testSystemd installs the daemon. systemd ignores what it does not understand, so that nothing at
// all may be printed.
func (p *page) testSystemd(t *testing.T) {
	assert.Empty(t, installed(t, "", p.block(t, "systemd"), "buildkit.service"))
	file := filepath.Join(t.TempDir(), "buildkitd.toml")
	write(t, file, p.block(t, "systemd-config"))
	checkConfig(t, file)
}

// testEngine installs the engine beside the units of the released one.
func (p *page) testEngine(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/moby/moby/v2")
	list.Dir = absolute(t, "tools/dockerd")
	module, err := list.Output()
	require.NoError(t, err)
	units := filepath.Join(strings.TrimSpace(string(module)), "contrib/init/systemd")
	packaged := "cp " + units + "/docker.service " + units + "/docker.socket /etc/systemd/system/\n"
	assert.Empty(t, installed(t, packaged, p.block(t, "engine"), "docker.service"))
	file := filepath.Join(t.TempDir(), "bkguard.toml")
	write(t, file, p.block(t, "engine-config"))
	checkConfig(t, file, "--docker")
}
