package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// Containerd is a running containerd with root, state and socket in a directory
// of its own, never the default socket: daemons look for that one by themselves.
type Containerd struct {
	*server
	socket string
}

// What is disabled would write outside of the directory, or is for Kubernetes.
const containerdConfig = `version = 4
root = %[1]q
state = %[2]q
disabled_plugins = [
  "io.containerd.cri.v1.images",
  "io.containerd.cri.v1.runtime",
  "io.containerd.grpc.v1.cri",
  "io.containerd.image-verifier.v1.bindir",
  "io.containerd.internal.v1.opt",
  "io.containerd.nri.v1.nri",
  "io.containerd.podsandbox.controller.v1.podsandbox",
]

[plugins."io.containerd.server.v1.grpc"]
  address = %[3]q

[plugins."io.containerd.server.v1.ttrpc"]
  address = "%[3]s.ttrpc"
`

var containerdAddress = regexp.MustCompile(`msg=serving\.\.\. address=(\S+/sock)\s`)

// StartContainerd starts the containerd program, which must have its shim beside
// it, and returns when it serves.
func StartContainerd(ctx context.Context, binary string) (*Containerd, error) {
	s, socket, err := startServer(ctx, "containerd", containerdAddress, func(dir string) (Command, error) {
		config := filepath.Join(dir, "containerd.toml")
		text := fmt.Sprintf(containerdConfig, filepath.Join(dir, "root"), filepath.Join(dir, "state"), filepath.Join(dir, "sock"))
		return Command{
			Path:          binary,
			Args:          []string{"--config", config},
			Env:           []string{"PATH=" + filepath.Dir(binary) + ":" + os.Getenv("PATH")},
			PrivateMounts: true,
		}, os.WriteFile(config, []byte(text), 0o600)
	})
	if err != nil {
		return nil, err
	}
	return &Containerd{server: s, socket: socket}, nil
}

// Root is the directory that containerd keeps its state in.
func (c *Containerd) Root() string { return filepath.Join(c.dir, "root") }

// serve returns the command of a daemon that works with containerd. The two must
// have the same mounts: a daemon mounts the root of a container.
func (c *Containerd) serve(daemon Command) Command {
	daemon.Args = slices.Concat(
		[]string{"--mount=" + proc(c.process.pid, "ns/mnt"), "--", daemon.Path},
		daemon.Args,
		[]string{"--containerd-worker-addr", c.socket},
	)
	daemon.Path = "nsenter"
	daemon.PrivateMounts = false
	return daemon
}

// Stop stops containerd and the shims that it has started, which outlive it.
func (c *Containerd) Stop(ctx context.Context) error {
	err := c.server.Stop(ctx)
	return errors.Join(err, killAll(ctx, func(s status) bool {
		return mentions(s.pid, "cmdline", c.dir) || mentions(s.pid, "mountinfo", c.dir)
	}))
}
