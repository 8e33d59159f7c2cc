package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// Registry is a running image registry on loopback with a storage of its own.
type Registry struct {
	*server
	// Host is the address and port, as it stands in image names.
	Host string
}

const registryConfig = `version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: %[1]s/storage
http:
  addr: 127.0.0.1:0
`

const privateConfig = `auth:
  htpasswd:
    realm: test
    path: %[1]s/passwords
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

// startRegistry starts the registry program with a configuration in which %[1]s
// is a directory of its own.
func startRegistry(ctx context.Context, binary, format string) (*Registry, error) {
	s, host, err := startServer(ctx, "registry", registryAddress, func(dir string) (Command, error) {
		config := filepath.Join(dir, "config.yml")
		text := fmt.Sprintf(format, dir)
		return Command{
			Path: binary,
			Args: []string{"serve", config},
			Env:  []string{"OTEL_TRACES_EXPORTER=none"},
		}, os.WriteFile(config, []byte(text), 0o600)
	})
	if err != nil {
		return nil, err
	}
	return &Registry{server: s, Host: host}, nil
}
