package scan

import (
	"context"
	"encoding/json"
	"fmt"

	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/moby/buildkit/cache/metadata"
	bolt "go.etcd.io/bbolt"

	"github.com/bkguard/bkguard/internal/inventory"
)

// recordsBucket has a bucket for each record (cache/metadata/metadata.go, mainBucket).
const recordsBucket = "_main"

// view reads a copy of a database. Copies are checked before: bolt panics at a damaged one.
func view(path string, read func(*bolt.Tx) error) error {
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(read)
}

// readRecords reads the records of a worker from a copy.
func readRecords(path string) ([]inventory.Record, error) {
	var records []inventory.Record
	err := view(path, func(tx *bolt.Tx) error {
		all := tx.Bucket([]byte(recordsBucket))
		if all == nil {
			return nil
		}
		return all.ForEachBucket(func(id []byte) error {
			values := all.Bucket(id)
			r, ok := inventory.NewRecord(string(id), func(key string) *metadata.Value {
				var v metadata.Value
				if json.Unmarshal(values.Get([]byte(key)), &v) != nil {
					return nil
				}
				return &v
			})
			if ok {
				records = append(records, r)
			}
			return nil
		})
	})
	return records, err
}

// readContent reads what a copy of containerd's database says of the content of each of its
// namespaces.
func readContent(ctx context.Context, path string) (map[string]inventory.Content, error) {
	all := make(map[string]inventory.Content)
	db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer db.Close()
	var names []string
	if err := db.View(func(tx *bolt.Tx) (err error) {
		names, err = ctdmetadata.NewNamespaceStore(tx).List(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	store := ctdmetadata.NewDB(db, nil, nil).ContentStore()
	for _, name := range names {
		if all[name], err = inventory.ReadContent(namespaces.WithNamespace(ctx, name), store); err != nil {
			return nil, fmt.Errorf("namespace %s: %w", name, err)
		}
	}
	return all, nil
}
