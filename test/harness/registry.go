package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// startDelay is how long a server may take until it is ready.
const startDelay = time.Minute

// Registry is a running image registry on loopback with a storage of its own.
type Registry struct {
	// Host is the address and port, as it stands in image names.
	Host    string
	dir     string
	process *Process
}

// The kernel chooses the port; the registry logs which one.
const registryConfig = `version: 0.1
log:
  level: info
storage:
  filesystem:
    rootdirectory: %s
http:
  addr: 127.0.0.1:0
`

var registryAddress = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)`)

// StartRegistry starts the registry program and returns when it listens.
func StartRegistry(ctx context.Context, binary string) (*Registry, error) {
	dir, err := TempDir()
	if err != nil {
		return nil, err
	}
	r := &Registry{dir: dir}
	if err := r.start(ctx, binary); err != nil {
		text, _ := os.ReadFile(r.LogPath())
		return nil, errors.Join(fmt.Errorf("start the registry: %w", err), errors.New(string(text)), r.Stop(ctx), r.Remove())
	}
	return r, nil
}

func (r *Registry) start(ctx context.Context, binary string) error {
	config := filepath.Join(r.dir, "config.yml")
	text := fmt.Sprintf(registryConfig, filepath.Join(r.dir, "storage"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return err
	}
	log, err := os.Create(r.LogPath())
	if err != nil {
		return err
	}
	r.process, err = Start(Command{
		Path:   binary,
		Args:   []string{"serve", config},
		Env:    []string{"OTEL_TRACES_EXPORTER=none"},
		Output: log,
	})
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startDelay)
	defer cancel()
	return poll(ctx, "the registry's address", func() (bool, error) {
		select {
		case <-r.process.Done():
			return false, fmt.Errorf("it has ended: %v", r.process.State())
		default:
		}
		text, err := os.ReadFile(r.LogPath())
		if m := registryAddress.FindSubmatch(text); m != nil {
			r.Host = string(m[1])
		}
		return r.Host != "", err
	})
}

// LogPath is the file with all that the registry has written.
func (r *Registry) LogPath() string { return filepath.Join(r.dir, "registry.log") }

// Stop stops the registry.
func (r *Registry) Stop(ctx context.Context) error {
	if r.process == nil {
		return nil
	}
	return r.process.Stop(ctx)
}

// Remove removes the storage and the log. Call Stop first.
func (r *Registry) Remove() error {
	if err := os.RemoveAll(r.dir); err != nil {
		return fmt.Errorf("remove the registry's files: %w", err)
	}
	return nil
}
