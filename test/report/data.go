package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jszwec/csvutil"
)

// data is all that was measured. What was not is empty.
type data struct {
	Measured                         []measured
	Conversions, Levels              []conversion
	Uploads                          []upload
	Layers, Compressions, Concurrent []export
	Crowd, Engines                   []export
	Records                          []records
	Imports                          []imported
	Identity                         []rebuilt
	Overhead                         []overhead
	Guard                            benchmarks
	Soak                             []soaked
	// Floor is text that is written by hand.
	Floor string
	// LastRuns says when the commands of pages were last run, and with what, by the names of
	// the pages. It has those that say so.
	LastRuns map[string]string
}

// soaked is what a daemon held after so many exports, as make soak writes it.
type soaked struct {
	Daemon     string `csv:"daemon"`
	Export     int    `csv:"export"`
	RSS        int64  `csv:"rss_bytes"`
	Heap       int64  `csv:"heap_bytes"`
	Goroutines int    `csv:"goroutines"`
	Files      int    `csv:"files"`
}

// soakOf is what one daemon held, in order.
func (d *data) soakOf(daemon string) []soaked {
	var of []soaked
	for _, s := range d.Soak {
		if s.Daemon == daemon {
			of = append(of, s)
		}
	}
	return of
}

// load reads all files of a directory, and from the pages beside it when they were made.
func load(dir string) (*data, error) {
	d := &data{}
	var err error
	if d.LastRuns, err = lastRuns(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	floor, err := os.ReadFile(filepath.Join(dir, "floor.md"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d.Floor = string(bytes.TrimSpace(floor))
	return d, errors.Join(
		loadInto(dir, "measured", &d.Measured),
		loadInto(dir, "conversions", &d.Conversions),
		loadInto(dir, "levels", &d.Levels),
		loadInto(dir, "uploads", &d.Uploads),
		loadInto(dir, "layers", &d.Layers),
		loadInto(dir, "compressions", &d.Compressions),
		loadInto(dir, "concurrent", &d.Concurrent),
		loadInto(dir, "crowd", &d.Crowd),
		loadInto(dir, "records", &d.Records),
		loadInto(dir, "engines", &d.Engines),
		loadInto(dir, "imports", &d.Imports),
		loadInto(dir, "identity", &d.Identity),
		loadInto(dir, "overhead", &d.Overhead),
		loadInto(dir, "guard", &d.Guard),
		loadInto(dir, "soak", &d.Soak),
	)
}

func loadInto[T any, S ~[]T](dir, name string, rows *S) (err error) {
	*rows, err = readRows[T](filepath.Join(dir, name+".csv"))
	return err
}

// readRows reads a CSV file whose columns are the fields of T. A missing file
// has no rows.
func readRows[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	decoder, err := csvutil.NewDecoder(csv.NewReader(bytes.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	decoder.DisallowMissingColumns = true
	var rows []T
	if err := decoder.Decode(&rows); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return rows, nil
}

// writeRows writes a slice of structs as a CSV file.
func writeRows(path string, rows any) error {
	text, err := csvutil.Marshal(rows)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
