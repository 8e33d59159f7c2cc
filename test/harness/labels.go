package harness

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/containerd/v2/plugins/content/local"
	digest "github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"
)

// Labels are those of the blobs in a content store.
type Labels map[digest.Digest]map[string]string

// Labels returns the labels of all blobs. The daemon must be stopped.
func (d *Daemon) Labels(ctx context.Context) (Labels, error) {
	labels := Labels{}
	err := d.withContent(ctx, func(ctx context.Context, store content.Store) error {
		return store.Walk(ctx, func(info content.Info) error {
			labels[info.Digest] = info.Labels
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read the labels of blobs: %w", err)
	}
	return labels, nil
}

// SetLabels replaces all labels of the blobs given. The daemon must be stopped.
func (d *Daemon) SetLabels(ctx context.Context, labels Labels) error {
	err := d.withContent(ctx, func(ctx context.Context, store content.Store) error {
		for dgst, l := range labels {
			if _, err := store.Update(ctx, content.Info{Digest: dgst, Labels: l}, "labels"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("set the labels of blobs: %w", err)
	}
	return nil
}

// withContent opens the content store on the root of a daemon's own worker, as
// the daemon does (worker/runc/runc.go).
func (d *Daemon) withContent(ctx context.Context, use func(context.Context, content.Store) error) (err error) {
	root := filepath.Join(d.Root(), "runc-overlayfs")
	blobs, err := local.NewStore(filepath.Join(root, "content"))
	if err != nil {
		return err
	}
	db, err := bolt.Open(filepath.Join(root, "containerdmeta.db"), 0o644, &bolt.Options{Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	store := metadata.NewDB(db, blobs, nil)
	if err := store.Init(ctx); err != nil {
		return err
	}
	return use(namespaces.WithNamespace(ctx, "buildkit"), store.ContentStore())
}
