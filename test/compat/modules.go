package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/modfile"
)

// require makes the modules of a copy require a release of buildkit. With the one
// that the checkout requires, they stay as they are.
func (w workspace) require(ctx context.Context) error {
	if version, err := required(ctx, w.daemon(), buildkit); err != nil || version == w.release {
		return err
	}
	upstream, err := w.upstreamMod(ctx, buildkit)
	if err != nil {
		return err
	}
	for _, dir := range []string{w.dir, w.daemon()} {
		// A package that the release does not have is found when it is compiled.
		if err := w.retarget(ctx, dir, buildkit, upstream, "-e"); err != nil {
			return err
		}
		version, err := required(ctx, dir, buildkit)
		if err != nil {
			return err
		}
		if version != w.release {
			return fmt.Errorf("a dependency requires %s", version)
		}
	}
	return nil
}

// retarget makes the module in a directory of a copy require the release of an upstream
// module, and tidies it with flags.
func (w workspace) retarget(ctx context.Context, dir, module string, upstream []byte, flags ...string) error {
	path := filepath.Join(dir, "go.mod")
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if text, err = retarget(text, module, w.release, upstream); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	_, err = command(ctx, dir, "go", append([]string{"mod", "tidy"}, flags...)...)
	return err
}

// upstreamMod is the go.mod of the release of a module.
func (w workspace) upstreamMod(ctx context.Context, module string) ([]byte, error) {
	text, err := command(ctx, w.dir, "go", "mod", "download", "-json", module+"@"+w.release)
	if err != nil {
		return nil, err
	}
	var downloaded struct{ GoMod string }
	if err := json.Unmarshal([]byte(text), &downloaded); err != nil {
		return nil, fmt.Errorf("read what was downloaded: %w", err)
	}
	return os.ReadFile(downloaded.GoMod)
}

// parser reads the [guard] table. Versions before ours say neither key nor line
// of some faults, and whoever requires the guard gets ours at least.
const parser = "github.com/pelletier/go-toml/v2"

// retarget returns a go.mod that requires a release of an upstream module and leaves to
// it the versions of all that it requires itself, as in upstream's own daemon, but
// for the parser. What the guard requires besides stays as it is.
func retarget(ours []byte, module, version string, upstream []byte) ([]byte, error) {
	file, err := modfile.Parse("go.mod", ours, nil)
	if err != nil {
		return nil, err
	}
	theirs, err := modfile.ParseLax(module+"/go.mod", upstream, nil)
	if err != nil {
		return nil, err
	}
	left := map[string]bool{}
	for _, r := range theirs.Require {
		left[r.Mod.Path] = true
	}
	for _, r := range file.Require {
		if r.Indirect || (left[r.Mod.Path] && r.Mod.Path != parser) {
			if err := file.DropRequire(r.Mod.Path); err != nil {
				return nil, err
			}
		}
	}
	if err := file.AddRequire(module, version); err != nil {
		return nil, err
	}
	file.Cleanup()
	return file.Format()
}
