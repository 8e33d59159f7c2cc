package harness

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// compiled holds what Compile has made, by program. The lock is also held while a program is
// compiled: tests that begin at the same time want the same one.
var compiled = struct {
	sync.Mutex
	binaries map[string][]byte
}{binaries: map[string][]byte{}}

// Compile compiles a program of this module, which is given as go build takes
// it, once in this process. It is static, so an image needs no system around it.
// The binary must not be changed.
func Compile(ctx context.Context, program string) (binary []byte, err error) {
	compiled.Lock()
	defer compiled.Unlock()
	if binary, ok := compiled.binaries[program]; ok {
		return binary, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	err = withTempDir(func(dir string) error {
		path := filepath.Join(dir, "program")
		out, err := Run(ctx, Command{
			Path: "go",
			Args: []string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", path, program},
			Dir:  root,
			Env:  append(os.Environ(), "CGO_ENABLED=0"),
		})
		if err != nil {
			return fmt.Errorf("compile %s: %w: %s", program, err, out)
		}
		binary, err = os.ReadFile(path)
		return err
	})
	if err == nil {
		compiled.binaries[program] = binary
	}
	return binary, err
}
