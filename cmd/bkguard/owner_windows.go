package main

import (
	"io/fs"
	"os"
)

// keepOwner does nothing: a file of Windows belongs to whom its directory says.
func keepOwner(*os.File, fs.FileInfo) error { return nil }
