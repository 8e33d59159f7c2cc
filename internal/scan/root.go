package scan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// The names of files below a root, as buildkit (worker/runc, worker/containerd), the Docker
// Engine (daemon/internal/builder-next) and containerd (plugins/metadata) have them.
const (
	recordsFile       = "metadata_v2.db"
	contentFile       = "containerdmeta.db"
	containerdFile    = "io.containerd.metadata.v1.bolt/meta.db"
	engineBuilder     = "buildkit"
	engineContainerd  = "containerd/daemon"
	engineGraphDriver = "snapshots.db"
)

// ErrNoCache is that a directory is not what it was taken for: there is no build cache in it.
var ErrNoCache = errors.New("neither the root of a buildkitd nor the data root of a Docker Engine")

// worker is a worker of a root.
type worker struct {
	name string
	// records and content are the paths of its databases.
	records, content string
	// graphDriver tells that the worker is that of an engine which keeps its images with a
	// graph driver.
	graphDriver bool
}

// findWorkers finds the workers of a root. A worker of containerd keeps its layers there:
// containerd is the root of it, empty for the one that an engine has in its data root.
func findWorkers(root, containerd string) ([]worker, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a directory", root)
	}
	dirs, err := workerDirs(root)
	if err != nil {
		return nil, err
	}
	var workers []worker
	for _, dir := range dirs {
		w := worker{name: filepath.Base(dir), records: filepath.Join(dir, recordsFile), content: filepath.Join(dir, contentFile)}
		var own bool
		if own, err = exists(w.content); err == nil && !own {
			w.content, err = containerdContent(root, containerd, w.name)
		}
		if err == nil {
			w.graphDriver, err = exists(filepath.Join(dir, engineGraphDriver))
		}
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// workerDirs are the directories of the workers: those in the root, and those of the builder
// in the data root of an engine. The root may be a worker's own.
func workerDirs(root string) ([]string, error) {
	var dirs []string
	for _, parent := range []string{root, filepath.Join(root, engineBuilder)} {
		entries, err := os.ReadDir(parent)
		if missing(err) && parent != root {
			continue
		}
		if err != nil {
			return nil, err
		}
		candidates := []string{parent}
		for _, entry := range entries {
			candidates = append(candidates, filepath.Join(parent, entry.Name()))
		}
		for _, dir := range candidates {
			switch ok, err := exists(filepath.Join(dir, recordsFile)); {
			case err != nil:
				return nil, err
			case ok && !slices.Contains(dirs, dir):
				dirs = append(dirs, dir)
			}
		}
	}
	if len(dirs) == 0 {
		return nil, fmt.Errorf("%s is %w: no %s in it", root, ErrNoCache, recordsFile)
	}
	return dirs, nil
}

// containerdContent is the database of the containerd that a worker keeps its layers in.
func containerdContent(root, containerd, name string) (string, error) {
	if containerd == "" {
		path := filepath.Join(root, engineContainerd, containerdFile)
		ok, err := exists(path)
		if err == nil && !ok {
			err = fmt.Errorf("worker %s of %s has its layers in a containerd elsewhere: give the root of it with --containerd, often /var/lib/containerd", name, root)
		}
		return path, err
	}
	path := filepath.Join(containerd, containerdFile)
	ok, err := exists(path)
	if err == nil && !ok {
		err = fmt.Errorf("%s is not the root of a containerd: no %s in it", containerd, containerdFile)
	}
	return path, err
}

// exists reports whether there is a file.
func exists(path string) (bool, error) {
	_, err := os.Stat(path)
	if missing(err) {
		return false, nil
	}
	return err == nil, err
}

// missing reports whether an error is that there is no such file. What is no directory has
// none in it.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
