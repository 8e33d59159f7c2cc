package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// DaemonOptions says how to start a buildkitd. Binary and Buildctl are
// required.
type DaemonOptions struct {
	// Binary is the buildkitd to run, Buildctl the client that asks whether it
	// is ready.
	Binary, Buildctl string
	// Containerd is what the daemon works with, and nobody else; nil means a
	// worker of the daemon's own.
	Containerd *Containerd
	// Config is the text of its configuration file, to which the registries
	// are added. Keys of the worker must be written with its prefix, such as
	// worker.oci, as the table is begun already.
	Config string
	// ConfigFile, if set, is used as it is, instead of Config.
	ConfigFile string
	// Registries are hosts that are spoken to by plain HTTP.
	Registries []string
	// Env is added to an otherwise nearly empty environment, that of clients too.
	Env []string
	// Args returns the command line of a daemon that has flags of its own, for a
	// root, a socket and a cgroup for its containers; nil means the flags of
	// buildkitd.
	Args func(root, socket, containers string) []string
	// CollectGarbage lets the worker collect what its policies want.
	CollectGarbage bool
	// MemoryLimit in bytes makes the daemon run in a cgroup of its own; zero
	// means no limit.
	MemoryLimit int64
	// RootSize in bytes makes the root a tmpfs of that size, which ends with the
	// daemon; zero means a directory.
	RootSize int64
}

// Exit is how a daemon has ended.
type Exit struct {
	// Code is the exit status, -1 when a signal ended the daemon.
	Code int
	// Signal ended the daemon; zero when it exited by itself.
	Signal syscall.Signal
	// PeakRSS is the most memory that the daemon itself has held, in bytes. It
	// leaves out the page cache.
	PeakRSS int64
	// Usage is that of the cgroup; zero without a memory limit.
	Usage MemoryUsage
}

// OOMKilled tells whether the kernel has killed the daemon for its memory.
func (e Exit) OOMKilled() bool {
	return e.Signal == syscall.SIGKILL && e.Usage.OOMKills > 0
}

// String describes the end in a few words.
func (e Exit) String() string {
	switch {
	case e.OOMKilled():
		return "killed: out of memory"
	case e.Signal != 0:
		return "killed: " + e.Signal.String()
	}
	return fmt.Sprintf("exit status %d", e.Code)
}

// StartError is returned for a daemon that ended instead of becoming ready.
type StartError struct {
	Exit Exit
	// Log is all that the daemon has written.
	Log string
	// RootMade and SocketMade tell what it had made by then.
	RootMade, SocketMade bool
}

// Error returns how the daemon ended, and its log.
func (e *StartError) Error() string {
	return fmt.Sprintf("the daemon ended before it was ready: %v: %s", e.Exit, e.Log)
}

// Daemon is a buildkitd with its root, socket and log in a directory of its
// own.
type Daemon struct {
	dir     string
	options DaemonOptions
	cgroup  *Cgroup
	process *Process
	exit    *Exit
	// answers reports whether the daemon is ready once its socket is there; nil means that
	// buildctl must find its workers.
	answers func(context.Context) bool
}

// StartDaemon starts a buildkitd and returns when it has a worker that is
// ready. The error is a *StartError when the daemon ended by itself. Nothing
// is left of a daemon that could not be started.
func StartDaemon(ctx context.Context, o DaemonOptions) (*Daemon, error) {
	dir, err := TempDir()
	if err != nil {
		return nil, err
	}
	d := &Daemon{dir: dir, options: o}
	if err := d.start(ctx); err != nil {
		_, stopErr := d.Stop(ctx)
		return nil, errors.Join(fmt.Errorf("start %s: %w", o.Binary, err), stopErr, d.Remove())
	}
	return d, nil
}

// Kill ends the daemon with SIGKILL, in the middle of whatever it does.
func (d *Daemon) Kill(ctx context.Context) (Exit, error) {
	if err := d.process.Kill(ctx); err != nil {
		return Exit{}, err
	}
	return d.Stop(ctx)
}

// Restart starts a daemon that was stopped or killed once more, on the same
// root, and returns when it is ready.
func (d *Daemon) Restart(ctx context.Context) error {
	d.exit = nil
	if err := d.start(ctx); err != nil {
		return fmt.Errorf("start %s again: %w", d.options.Binary, err)
	}
	return nil
}

// Replace stops the daemon and starts another program in its place, on the same
// root, with other variables in its environment.
func (d *Daemon) Replace(ctx context.Context, binary string, env ...string) error {
	if _, err := d.Stop(ctx); err != nil {
		return err
	}
	d.options.Binary, d.options.Env = binary, env
	return d.Restart(ctx)
}

func (d *Daemon) start(ctx context.Context) error {
	o := d.options
	config := o.ConfigFile
	if config == "" {
		config = filepath.Join(d.dir, "buildkitd.toml")
		text := fmt.Sprintf("worker.%s.defaultCgroupParent = %q\n", o.worker(), d.containers()) + o.Config + insecure(o.Registries)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			return err
		}
	}
	tmp := filepath.Join(d.dir, "tmp")
	if err := os.MkdirAll(tmp, 0o700); err != nil {
		return err
	}
	if o.MemoryLimit > 0 {
		var err error
		if d.cgroup, err = NewCgroup(o.MemoryLimit); err != nil {
			return err
		}
		if err := cacheOutside(o.Binary); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(d.LogPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	command := Command{
		Path:          o.Binary,
		Args:          d.args(o, config),
		Env:           append([]string{"HOME=" + d.dir, "TMPDIR=" + tmp}, o.Env...),
		Output:        log,
		Cgroup:        d.cgroup,
		PrivateMounts: true,
	}
	if o.Containerd != nil {
		command = o.Containerd.serve(command)
	}
	if o.RootSize > 0 {
		command = onTmpfs(command, d.Root(), o.RootSize)
	}
	d.process, err = Start(command)
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	return d.ready(ctx)
}

// args is the command line of the daemon for a configuration file.
func (d *Daemon) args(o DaemonOptions, config string) []string {
	if o.Args != nil {
		return o.Args(d.Root(), d.socket(), d.containers())
	}
	return []string{
		"--config", config,
		"--root", d.Root(),
		"--addr", d.Address(),
		"--otel-socket-path", filepath.Join(d.dir, "otel"),
		"--debugaddr", "unix://" + d.debugSocket(),
		fmt.Sprintf("--oci-worker=%t", o.Containerd == nil),
		fmt.Sprintf("--containerd-worker=%t", o.Containerd != nil),
		fmt.Sprintf("--%s-worker-net", o.worker()), "host",
		fmt.Sprintf("--%s-worker-snapshotter", o.worker()), "overlayfs",
		fmt.Sprintf("--%s-worker-gc=%t", o.worker(), o.CollectGarbage),
	}
}

// worker is the kind of worker, as flags and configuration name it.
func (o DaemonOptions) worker() string {
	if o.Containerd != nil {
		return "containerd"
	}
	return "oci"
}

// cacheOutside reads a program into the page cache, which is charged to the
// group that reads a page first. If that is the limited group, the kernel makes
// room at the limit by dropping the daemon's own code, page by page for minutes,
// and kills nothing.
func cacheOutside(program string) error {
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, f)
	return errors.Join(err, f.Close())
}

// insecure returns configuration that lets registries be used without TLS.
func insecure(registries []string) string {
	var text string
	for _, host := range registries {
		text += fmt.Sprintf("\n[registry.%q]\n  http = true\n  insecure = true\n", host)
	}
	return text
}

func (d *Daemon) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startDelay)
	defer cancel()
	return poll(ctx, "a ready worker", func() (bool, error) {
		select {
		case <-d.process.Done():
			return false, d.startError(ctx)
		default:
		}
		if !exists(d.socket()) {
			return false, nil
		}
		if d.answers != nil {
			return d.answers(ctx), nil
		}
		_, err := d.Buildctl(ctx, "debug", "workers")
		return err == nil, nil
	})
}

func (d *Daemon) startError(ctx context.Context) error {
	e := &StartError{RootMade: exists(d.Root()), SocketMade: exists(d.socket())}
	var err error
	if e.Log, err = d.Log(); err != nil {
		return err
	}
	if e.Exit, err = d.Stop(ctx); err != nil {
		return err
	}
	return e
}

// Buildctl runs the client against the daemon and returns what it has written.
func (d *Daemon) Buildctl(ctx context.Context, args ...string) (string, error) {
	return Run(ctx, d.buildctl(args...))
}

func (d *Daemon) buildctl(args ...string) Command {
	return Command{
		Path: d.options.Buildctl,
		Args: append([]string{"--addr", d.Address()}, args...),
		Env:  append([]string{"HOME=" + d.dir}, d.options.Env...),
	}
}

// Address is where the daemon listens, as clients take it.
func (d *Daemon) Address() string { return "unix://" + d.socket() }

// LogPath is the file with all that the daemon has written.
func (d *Daemon) LogPath() string { return filepath.Join(d.dir, "buildkitd.log") }

// Log returns all that the daemon has written so far.
func (d *Daemon) Log() (string, error) {
	text, err := os.ReadFile(d.LogPath())
	if err != nil {
		return "", fmt.Errorf("read the daemon's log: %w", err)
	}
	return string(text), nil
}

// Stop stops the daemon, if it still runs, and the containers it has started,
// and returns how it ended. Stopping twice returns the same.
func (d *Daemon) Stop(ctx context.Context) (Exit, error) {
	if d.exit != nil {
		return *d.exit, nil
	}
	var exit Exit
	if d.process != nil {
		peak, alive := d.peak()
		if err := d.process.Stop(ctx); err != nil {
			return Exit{}, err
		}
		if err := killUsers(ctx, d.dir); err != nil {
			return Exit{}, err
		}
		exit = exitOf(d.process.State())
		if alive {
			exit.PeakRSS = peak
		}
	}
	// Also when ctx has ended, the groups must go.
	removal, cancel := context.WithTimeout(context.WithoutCancel(ctx), killDelay)
	defer cancel()
	if err := removeTopCgroups(removal, d.containers()); err != nil {
		return Exit{}, err
	}
	if d.cgroup != nil {
		var err error
		if exit.Usage, err = d.cgroup.Usage(); err != nil {
			return Exit{}, err
		}
		if err := d.cgroup.Remove(removal); err != nil {
			return Exit{}, err
		}
	}
	d.exit = &exit
	return exit, nil
}

func exitOf(state *os.ProcessState) Exit {
	exit := Exit{Code: state.ExitCode()}
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		exit.Signal = s.Signal()
	}
	// The kernel counts in KiB, and from before the exec: never less than the most
	// that this process has held, which is much with the race detector.
	if u, ok := state.SysUsage().(*syscall.Rusage); ok {
		exit.PeakRSS = u.Maxrss * 1024
	}
	return exit
}

// Remove removes all files of the daemon. Call Stop first.
func (d *Daemon) Remove() error {
	if err := os.RemoveAll(d.dir); err != nil {
		return fmt.Errorf("remove the daemon's files: %w", err)
	}
	return nil
}

// RemoveRoot removes what takes room and keeps the log. Call Stop first.
func (d *Daemon) RemoveRoot() error {
	if err := os.RemoveAll(d.Root()); err != nil {
		return fmt.Errorf("remove the daemon's root: %w", err)
	}
	return nil
}

// containers is the name of the cgroups for the containers of the daemon; the
// default is shared by all daemons of the machine.
func (d *Daemon) containers() string { return filepath.Base(d.dir) }

// Root is the directory that the daemon keeps its state in.
func (d *Daemon) Root() string { return filepath.Join(d.dir, "root") }

func (d *Daemon) socket() string { return filepath.Join(d.dir, "sock") }

func (d *Daemon) debugSocket() string { return filepath.Join(d.dir, "debug") }

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
