package harness

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	digest "github.com/opencontainers/go-digest"
)

// Tree is what a directory holds: mode and digest of each file by its path.
type Tree map[string]string

// ReadTree reads a directory, such as the output of a build.
func ReadTree(dir string) (Tree, error) {
	tree := Tree{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		tree[name] = info.Mode().String()
		if entry.Type().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			tree[name] += " " + digest.FromBytes(content).String()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree of %s: %w", dir, err)
	}
	return tree, nil
}
