package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// How often databases are copied that change meanwhile, and the pause before another try.
const (
	copyTries = 200
	copyPause = 25 * time.Millisecond
	copyChunk = 16 << 20
)

// errTorn is why a copy cannot be used: the database has changed while it was made.
var errTorn = errors.New("it changes faster than it can be copied; try again when the daemon has less to do")

// copyDatabases copies bolt databases to a directory, as they are at one moment, and returns
// the paths of the copies. A daemon may go on to write: its lock is neither needed nor
// waited for.
//
// A transaction touches no page of the state before it, but the next one may. So a copy is
// whole if no transaction has ended while it was made, and is made again otherwise.
func copyDatabases(ctx context.Context, dir string, paths ...string) ([]string, error) {
	for try := 1; ; try++ {
		copies, err := copyOnce(ctx, dir, paths)
		if !errors.Is(err, errTorn) || try == copyTries {
			return copies, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(copyPause):
		}
	}
}

// copyOnce copies the databases once. The error wraps errTorn if one of them has changed.
func copyOnce(ctx context.Context, dir string, paths []string) ([]string, error) {
	var (
		copies []string
		files  []*os.File
		metas  []meta
	)
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	for _, path := range paths {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
		m, err := readMeta(file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		metas = append(metas, m)
	}
	for i, file := range files {
		target := filepath.Join(dir, strconv.Itoa(i)+".db")
		if err := copyPages(ctx, target, file, metas[i]); err != nil {
			return nil, fmt.Errorf("copy %s: %w", paths[i], err)
		}
		copies = append(copies, target)
	}
	for i, file := range files {
		now, err := readMeta(file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", paths[i], err)
		}
		if now != metas[i] {
			return nil, fmt.Errorf("copy %s: %w", paths[i], errTorn)
		}
	}
	for i, path := range copies {
		if err := checkFile(path); err != nil {
			return nil, fmt.Errorf("%s is damaged: %w", paths[i], err)
		}
	}
	return copies, nil
}

// copyPages copies the pages of a database that are in use.
func copyPages(ctx context.Context, target string, file *os.File, m meta) (err error) {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	// A damaged meta may name more pages than there are.
	rest := info.Size()
	if m.pages < uint64(rest/m.pageSize) {
		rest = int64(m.pages) * m.pageSize
	}
	made, err := os.Create(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, made.Close()) }()
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for rest > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.CopyN(made, file, min(rest, copyChunk))
		if errors.Is(err, io.EOF) {
			return nil // the check finds out whether something is missing
		}
		if err != nil {
			return err
		}
		rest -= n
	}
	return nil
}

// checkFile checks the pages of a copy.
func checkFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	m, err := readMeta(file)
	if err != nil {
		return err
	}
	return checkPages(file, m)
}
