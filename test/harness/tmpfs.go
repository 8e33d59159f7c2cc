package harness

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// onTmpfs returns a command that first mounts a tmpfs on its root. Only the
// daemon sees it: a mount that all processes see would make every one of them a
// user of the daemon's directory.
func onTmpfs(c Command, root string, size int64) Command {
	c.Args = append([]string{
		"-c", `mkdir -p "$0" && mount -t tmpfs -o size="$1" tmpfs "$0" && shift && exec "$@"`,
		root, strconv.FormatInt(size, 10), c.Path,
	}, c.Args...)
	c.Path = "/bin/sh"
	return c
}

// inRoot is a path below the root of a daemon that runs, as it sees it.
func (d *Daemon) inRoot(path string) string {
	return proc(d.process.pid, filepath.Join("root", d.Root(), path))
}

// ballast is the file that fills a root.
func (d *Daemon) ballast() string { return d.inRoot("ballast") }

// Ingests are the files by which containerd knows the blobs that a daemon with a worker of its
// own is writing. A daemon that is killed while it removes a blob's directory, stock too, can
// leave other files in it, which containerd never finds again
// (plugins/content/local/store.go, WalkStatusRefs).
func (d *Daemon) Ingests() ([]string, error) {
	return filepath.Glob(d.inRoot("runc-overlayfs/content/ingest/*/ref"))
}

// Fill leaves so many bytes of the root free; it must be a tmpfs.
func (d *Daemon) Fill(free int64) error {
	if d.options.RootSize == 0 {
		return errors.New("fill the daemon's root: it has no size")
	}
	f, err := os.OpenFile(d.ballast(), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("fill the daemon's root: %w", err)
	}
	written, err := io.Copy(f, zeros{})
	if errors.Is(err, syscall.ENOSPC) {
		err = f.Truncate(max(0, written-free))
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("fill the daemon's root: %w", err)
	}
	return nil
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Free takes back what Fill has done.
func (d *Daemon) Free() error {
	if err := os.Remove(d.ballast()); err != nil {
		return fmt.Errorf("free the daemon's root: %w", err)
	}
	return nil
}
