package harness

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Binaries holds the paths of the programs that make builds.
type Binaries struct {
	// Guarded is buildkitd with the guard in it, Stock is the same release
	// without it.
	Guarded, Stock string
	// Buildctl is the client.
	Buildctl string
	// Registry is the distribution registry.
	Registry string
}

// FindBinaries returns the programs under bin/ of the module that the working
// directory is in. The error names the missing ones and how to build them.
func FindBinaries() (Binaries, error) {
	root, err := moduleRoot()
	if err != nil {
		return Binaries{}, err
	}
	bin := filepath.Join(root, "bin")
	b := Binaries{
		Guarded:  filepath.Join(bin, "buildkitd"),
		Stock:    filepath.Join(bin, "buildkitd-stock"),
		Buildctl: filepath.Join(bin, "buildctl"),
		Registry: filepath.Join(bin, "tools", "registry"),
	}
	var missing []error
	for _, path := range []string{b.Guarded, b.Stock, b.Buildctl, b.Registry} {
		if _, err := os.Stat(path); err != nil {
			missing = append(missing, err)
		}
	}
	if err := errors.Join(missing...); err != nil {
		return Binaries{}, fmt.Errorf("run make first: %w", err)
	}
	return b, nil
}

// FindEngines returns dockerd with the guard in it, and the same release without it. The
// error says how to build them.
func FindEngines() (guarded, stock string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return "", "", err
	}
	guarded, stock = filepath.Join(root, "bin", "dockerd"), filepath.Join(root, "bin", "dockerd-stock")
	for _, path := range []string{guarded, stock} {
		if _, err := os.Stat(path); err != nil {
			return "", "", fmt.Errorf("run make bin/%s first: %w", filepath.Base(path), err)
		}
	}
	return guarded, stock, nil
}

// FindTool returns the path of a program under bin/tools that only some tests
// need. The error says how to build it.
func FindTool(name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, "bin", "tools", name)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("run make bin/tools/%s first: %w", name, err)
	}
	return path, nil
}

// moduleRoot returns the nearest directory with a go.mod, upwards from the
// working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the module root: %w", err)
	}
	for {
		_, err := os.Stat(filepath.Join(dir, "go.mod"))
		if err == nil {
			return dir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("find the module root: %w", err)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find the module root: no go.mod above the working directory")
		}
		dir = parent
	}
}
