package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/moby/client"
)

// EngineOptions says how to start a Docker Engine. Binary is required.
type EngineOptions struct {
	// Binary is the dockerd to run.
	Binary string
	// Config is the text of the guard's configuration file; empty means there is none.
	Config string
	// GraphDriver selects the image store that the engine had before containerd's.
	GraphDriver bool
	// Args are more flags.
	Args []string
	// Env is added to an otherwise nearly empty environment.
	Env []string
	// MemoryLimit in bytes makes the engine and its containerd run in a cgroup of their
	// own; zero means no limit. Containers are outside of it.
	MemoryLimit int64
}

// Engine is a Docker Engine with its containerd, data and socket in a directory of its own.
// Registries on loopback are spoken to by plain HTTP; it has no network of its own.
type Engine struct {
	// Client asks the API of the engine.
	Client *client.Client
	daemon *Daemon
	buildx string
}

// StartEngine starts an engine and returns when its API answers. The error is a *StartError
// when the engine ended by itself. Nothing is left of an engine that could not be started.
func StartEngine(ctx context.Context, o EngineOptions) (_ *Engine, err error) {
	buildx, err := FindTool("buildx")
	if err != nil {
		return nil, err
	}
	// The engine starts a containerd of its own, which finds its shim beside itself.
	containerd, err := FindTool("containerd")
	if err != nil {
		return nil, err
	}
	dir, err := TempDir()
	if err != nil {
		return nil, err
	}
	// The default file is the machine's.
	files := map[string]string{"daemon.json": "{}"}
	env := append([]string{"PATH=" + filepath.Dir(containerd) + ":" + os.Getenv("PATH")}, o.Env...)
	if o.Config != "" {
		files["bkguard.toml"] = o.Config
		env = append(env, "BKGUARD_CONFIG="+filepath.Join(dir, "bkguard.toml"))
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
	}
	d := &Daemon{dir: dir, options: DaemonOptions{Binary: o.Binary, Env: env, Args: o.args, MemoryLimit: o.MemoryLimit}}
	e := &Engine{daemon: d, buildx: buildx}
	d.answers = e.answers
	e.Client, err = client.New(client.WithHost(e.Address()))
	if err == nil {
		err = d.start(ctx)
	}
	if err != nil {
		_, stopErr := d.Stop(ctx)
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Binary, err), stopErr, d.Remove())
	}
	return e, nil
}

// args is the command line of the engine.
func (o EngineOptions) args(root, socket, containers string) []string {
	dir := filepath.Dir(root)
	args := []string{
		"--data-root", root,
		"--host", "unix://" + socket,
		"--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"),
		"--config-file", filepath.Join(dir, "daemon.json"),
		"--cgroup-parent", "/" + containers,
		"--iptables=false", "--ip6tables=false", "--bridge=none", "--userland-proxy=false",
		fmt.Sprintf("--feature=containerd-snapshotter=%t", !o.GraphDriver),
		"--feature=time-namespaces=false", // runc has them from 1.2 on
		"--debug",                         // serves the status, too
	}
	if o.GraphDriver {
		args = append(args, "--storage-driver", "overlay2")
	}
	return append(args, o.Args...)
}

// answers reports whether the API answers.
func (e *Engine) answers(ctx context.Context) bool {
	_, err := e.Client.Ping(ctx, client.PingOptions{})
	return err == nil
}

// Address is where the API and the status of the guard are, as clients take it.
func (e *Engine) Address() string { return e.daemon.Address() }

// Root is the data root of the engine.
func (e *Engine) Root() string { return e.daemon.Root() }

// Build builds with buildx and the builder of the engine. The error is a *BuildError when buildx reports
// a failure.
func (e *Engine) Build(ctx context.Context, b BuildxBuild) (BuildResult, error) {
	// The builder of DOCKER_HOST has this name.
	return b.run(ctx, e.buildx, "default", []string{"DOCKER_HOST=" + e.Address()})
}

// Log returns all that the engine has written so far.
func (e *Engine) Log() (string, error) { return e.daemon.Log() }

// LogPath is the file with all that the engine has written.
func (e *Engine) LogPath() string { return e.daemon.LogPath() }

// LogEntries are the lines of the log with a message.
func (e *Engine) LogEntries(message string) ([]LogEntry, error) { return e.daemon.LogEntries(message) }

// Stop stops the engine, if it still runs, and returns how it ended. Stopping twice returns
// the same.
func (e *Engine) Stop(ctx context.Context) (Exit, error) {
	return e.daemon.Stop(ctx)
}

// Remove removes all files of the engine. Call Stop first.
func (e *Engine) Remove() error { return errors.Join(e.Client.Close(), e.daemon.Remove()) }

// RemoveRoot removes what takes room and keeps the log. Call Stop first.
func (e *Engine) RemoveRoot() error { return errors.Join(e.Client.Close(), e.daemon.RemoveRoot()) }
