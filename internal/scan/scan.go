// Package scan reads what a buildkitd or a Docker Engine holds from the files below its
// root, whether it runs or not, and changes nothing there.
package scan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/bkguard/bkguard/internal/inventory"
)

// Worker is a worker of a root, and what it holds.
type Worker struct {
	// Name is that of its directory, such as "runc-overlayfs".
	Name string `json:"name"`
	// GraphDriver tells that a Docker Engine keeps the images of this worker with a graph
	// driver, which has no layers in compressions.
	GraphDriver bool `json:"graphDriver,omitempty"`
	*inventory.Inventory
}

// Root reads the workers of a root: that of a buildkitd, the data root of a Docker Engine,
// or the directory of one worker. containerd is the root of the containerd that workers keep
// their layers in; empty means the one that an engine has of its own.
//
// The databases are copied to a directory for temporary files first. The error names the
// file that cannot be read, or wraps [ErrNoCache].
func Root(ctx context.Context, root, containerd string) (_ []Worker, err error) {
	found, err := findWorkers(root, containerd)
	if err != nil {
		return nil, err
	}
	var workers []Worker
	for _, w := range found {
		i, err := w.inventory(ctx)
		if err != nil {
			return nil, err
		}
		workers = append(workers, Worker{Name: w.name, GraphDriver: w.graphDriver, Inventory: i})
	}
	return workers, nil
}

// inventory makes the inventory of a worker from copies of its databases.
func (w worker) inventory(ctx context.Context) (_ *inventory.Inventory, err error) {
	dir, err := os.MkdirTemp("", "bkguard-scan-")
	if err != nil {
		return nil, fmt.Errorf("make room for copies: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copies, err := copyDatabases(ctx, dir, w.records, w.content)
	if err != nil {
		return nil, err
	}
	records, err := readRecords(copies[0])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", w.records, err)
	}
	stored, err := readContent(ctx, copies[1])
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", w.content, err)
	}
	return inventory.New(ctx, records, ofWorker(records, stored))
}

// ofWorker is the content of the namespace that has the most blobs of the records: a
// containerd may have others beside it, and no file of a worker tells which is its own.
func ofWorker(records []inventory.Record, stored map[string]inventory.Content) inventory.Content {
	var best inventory.Content
	most := -1
	for _, name := range slices.Sorted(maps.Keys(stored)) {
		n := 0
		for i := range records {
			if records[i].In(stored[name]) {
				n++
			}
		}
		if n > most {
			best, most = stored[name], n
		}
	}
	return best
}
