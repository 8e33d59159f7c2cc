//go:build unix

package main

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner makes a file belong to the owner and the group of the one that it replaces.
func keepOwner(f *os.File, before fs.FileInfo) error {
	owner, ok := before.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
