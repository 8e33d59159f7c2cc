package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
)

// Registry is a running image registry on loopback with a storage of its own.
type Registry struct {
	*server
	// Host is the address and port, as it stands in image names.
	Host string
	// binary is the program, format its configuration, in which %[1]s is a
	// directory and %[2]s the address.
	binary, format string

	mu     sync.Mutex
	pushed map[Base]string // names of base images, protected by mu
}

const registryConfig = `version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: %[1]s/storage
http:
  addr: %[2]s
`

const privateConfig = `auth:
  htpasswd:
    realm: test
    path: %[1]s/passwords
`

const foreignConfig = `validation:
  manifests:
    urls:
      allow: ['.*']
`

var registryAddress = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// StartRegistry starts the registry program and returns when it listens.
func StartRegistry(ctx context.Context, binary string) (*Registry, error) {
	return startRegistry(ctx, binary, registryConfig)
}

// StartPrivateRegistry starts a registry that asks for a password, which it has
// made up.
func StartPrivateRegistry(ctx context.Context, binary string) (*Registry, error) {
	return startRegistry(ctx, binary, registryConfig+privateConfig)
}

// StartForeignRegistry starts a registry that takes images with layers that are elsewhere,
// too, at any URL.
func StartForeignRegistry(ctx context.Context, binary string) (*Registry, error) {
	return startRegistry(ctx, binary, registryConfig+foreignConfig)
}

func startRegistry(ctx context.Context, binary, format string) (_ *Registry, err error) {
	r := &Registry{Host: "127.0.0.1:0", binary: binary, format: format, pushed: map[Base]string{}}
	if r.server, r.Host, err = startServer(ctx, "registry", registryAddress, r.command); err != nil {
		return nil, err
	}
	return r, nil
}

// command makes the command for a directory of its own.
func (r *Registry) command(dir string) (Command, error) {
	config := filepath.Join(dir, "config.yml")
	return Command{
		Path: r.binary,
		Args: []string{"serve", config},
		Env:  []string{"OTEL_TRACES_EXPORTER=none"},
	}, os.WriteFile(config, fmt.Appendf(nil, r.format, dir, r.Host), 0o600)
}

// Storage is the directory with all that the registry has, for another one to serve.
func (r *Registry) Storage() string { return filepath.Join(r.dir, "storage") }

// Kill ends the registry with SIGKILL, in the middle of whatever it does.
func (r *Registry) Kill(ctx context.Context) error { return r.process.Kill(ctx) }

// Restart starts a registry that was killed once more, on the same address and
// storage, and returns when it listens.
func (r *Registry) Restart(ctx context.Context) error {
	if _, err := r.start(ctx, registryAddress, r.command); err != nil {
		return fmt.Errorf("start the registry again: %w", err)
	}
	return nil
}
