package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bkguard/bkguard/test/harness"
)

// dataDir is where the data and the plots are in the project.
const dataDir = "docs/benchmarks"

// section is a part of the report that is measured on its own.
type section struct {
	// name is also that of the file with what was measured.
	name string
	// measure returns a slice of rows for that file.
	measure func(context.Context, *bench) (any, error)
}

// sections are all of them, in the order of the page.
var sections = []section{
	{"conversions", measureConversions},
	{"levels", measureLevels},
	{"uploads", measureUploads},
	{"layers", measureLayers},
	{"compressions", measureCompressions},
	{"concurrent", measureConcurrent},
	{"crowd", measureCrowd},
	{"records", measureRecords},
	{"engines", measureEngines},
	{"imports", measureImports},
	{"overhead", measureOverhead},
	{"guard", measureGuard},
}

// measure measures sections and writes the file of each as soon as it is done.
func measure(ctx context.Context, chosen []section, progress *harness.Progress) (err error) {
	b, err := newBench(ctx, progress)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx)) }()
	for _, s := range chosen {
		b.section = s.name
		rows, err := s.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("section %s: %w", s.name, err)
		}
		if err := writeRows(filepath.Join(dataDir, s.name+".csv"), rows); err != nil {
			return err
		}
		if err := b.note(s.name); err != nil {
			return err
		}
	}
	return nil
}
