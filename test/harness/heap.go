package harness

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/google/pprof/profile"
)

// HeapOf is how much of the daemon's live memory was allocated by functions whose names
// begin with one of the prefixes, or by what these called, in bytes.
func (d *Daemon) HeapOf(ctx context.Context, prefixes ...string) (int64, error) {
	page, err := d.Debug(ctx, "/debug/pprof/heap")
	if err != nil {
		return 0, err
	}
	heap, err := profile.ParseData([]byte(page))
	if err != nil {
		return 0, fmt.Errorf("read a heap profile: %w", err)
	}
	inUse := -1
	for n, kind := range heap.SampleType {
		if kind.Type == "inuse_space" {
			inUse = n
		}
	}
	if inUse < 0 {
		return 0, errors.New("the heap profile does not tell what is in use")
	}
	var bytes int64
	for _, sample := range heap.Sample {
		if calls(sample, prefixes) {
			bytes += sample.Value[inUse]
		}
	}
	return bytes, nil
}

// calls reports whether one of the functions on the stack of a sample has a prefix.
func calls(sample *profile.Sample, prefixes []string) bool {
	for _, location := range sample.Location {
		for _, line := range location.Line {
			for _, prefix := range prefixes {
				if line.Function != nil && strings.HasPrefix(line.Function.Name, prefix) {
					return true
				}
			}
		}
	}
	return false
}
