package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bkguard/bkguard/config"
)

// writeSwitchFile replaces a switch file in one step, so that a daemon never
// reads half of it. Permissions and owner stay; a new file is readable by
// everybody, as a rootless daemon is not the one who writes it. Its directory is
// made if it is missing.
func writeSwitchFile(path string, mode config.Mode) error {
	if err := replace(path, []byte(mode+"\n")); err != nil {
		return fmt.Errorf("write the switch file: %w", err)
	}
	return nil
}

func replace(path string, content []byte) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if info != nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := errors.Join(fill(f, content, info), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// fill writes the content of a file and makes it belong to whom the one that it
// replaces belongs to.
func fill(f *os.File, content []byte, before fs.FileInfo) error {
	if _, err := f.Write(content); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if before != nil {
		perm = before.Mode().Perm()
		if err := keepOwner(f, before); err != nil {
			return err
		}
	}
	if err := f.Chmod(perm); err != nil {
		return err
	}
	return f.Sync()
}

// clearSwitchFile removes a switch file; there may be none.
func clearSwitchFile(path string) error {
	// A directory stays, also an empty one.
	if err := syscall.Unlink(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the switch file %s: %w", path, err)
	}
	return nil
}
