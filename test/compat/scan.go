package main

import (
	"context"
	"os"
	"path/filepath"
)

// scan plays bkguard scan on the root of upstream's own daemon of the release, which the guard need not
// work with.
func (w workspace) scan(ctx context.Context) error {
	return w.scanRoot(ctx, "buildkitd-stock", "./test", "buildkitd")
}

// scanEngine does the same with the Docker Engine.
func (w workspace) scanEngine(ctx context.Context) error {
	return w.scanRoot(ctx, "dockerd-stock", "./test/docker", "buildkitd", "buildkitd-stock", "dockerd")
}

// scanRoot builds a stock daemon of the release. The tests, bkguard and the other programs that are
// named are those of the checkout, which compile with its own release alone.
func (w workspace) scanRoot(ctx context.Context, stock, tests string, programs ...string) error {
	stock = filepath.Join("bin", stock)
	if _, err := command(ctx, w.dir, "make", stock); err != nil {
		return err
	}
	dir := filepath.Join(w.dir, "checkout")
	if err := w.source.copyTo(ctx, dir); err != nil {
		return err
	}
	if err := w.link(dir, append(programs, "bkguard", "buildctl", "tools")...); err != nil {
		return err
	}
	if err := symlink(filepath.Join(w.dir, stock), filepath.Join(dir, stock)); err != nil {
		return err
	}
	return play(ctx, dir, tests, "TestScanFindsVariants/stock")
}

// symlink makes a link, and the directory that it is in.
func symlink(old, name string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.Symlink(old, name)
}
