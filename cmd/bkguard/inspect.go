package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	digest "github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/inspect"
)

// errBroken and errDifferent end inspect with exit codes of their own.
var (
	errBroken    = errors.New("broken")
	errDifferent = errors.New("the caches differ")
)

const inspectDescription = `Reads a build cache as an importing daemon does, without a daemon, and says what
it is worth. REF is in a registry: a cache of type registry, or an image with
inline cache, of which each platform has one. DIR has an OCI layout: a cache of
type local, or an image of type oci with tar=false. Caches of type s3, azblob and
gha are not read.

Nothing is downloaded but manifests and configs; every blob is looked up.

VERDICTS:
   fine      an import has all that the cache says
   wasteful  the same, and layers are there in more than one blob
   broken    an import fails, or loses steps

   broken is a manifest or config beyond the 1MiB that daemons import, or one that
   they refuse; blobs that are missing; results whose layers the manifest does
   not name, or that lack the bottom layers; an image whose top layers belong to
   no result; and a cache without any result.

A record is a step's cache key. One without a result only leads to others, as most
do in a cache with mode=min: a cache cannot tell which of them should have one.

With A and B, it is also told whether both have the same records, results and
layers, and in what they differ; when they were written does not count.

EXAMPLES:
   bkguard inspect registry.example.com/app:cache
   bkguard inspect ./cache
   bkguard --format json inspect registry.example.com/app:latest
   bkguard inspect registry.example.com/app:cache ./cache

The exit code is 4 if a cache is broken, and otherwise 5 if A and B differ.`

func inspectCommand(out *output) *cli.Command {
	var insecure bool
	return &cli.Command{
		Name:        "inspect",
		Usage:       "tell what a build cache is worth, and in what two differ",
		UsageText:   "bkguard inspect [options] REF|DIR [REF|DIR]",
		Description: inspectDescription,
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "insecure", Usage: "speak plain HTTP with registries", Destination: &insecure}},
		Action: func(ctx context.Context, c *cli.Command) error {
			names := c.Args().Slice()
			if len(names) != 1 && len(names) != 2 {
				return errors.New("give one cache, or two to compare (see bkguard inspect --help)")
			}
			var report inspectReport
			var places [][]*inspect.Cache
			for _, name := range names {
				found, err := readCaches(ctx, name, insecure)
				if err != nil {
					return fmt.Errorf("read %s: %w", name, err)
				}
				places = append(places, found)
				for _, cache := range found {
					report.Caches = append(report.Caches, inspected{cache, cache.Worst()})
				}
			}
			var incomparable error
			if len(places) == 2 {
				var difference inspect.Difference
				if difference, incomparable = inspect.Compare(places[0], places[1]); incomparable == nil {
					report.Difference = &difference
				}
			}
			if err := out.print(c.Root().Writer, report, report.text); err != nil {
				return err
			}
			return errors.Join(incomparable, report.failure())
		},
	}
}

// readCaches reads the caches under a name, which is that of a directory with an OCI
// layout or a reference.
func readCaches(ctx context.Context, name string, insecure bool) ([]*inspect.Cache, error) {
	var place inspect.Place = inspect.Directory(name)
	if !inspect.IsDirectory(name) && !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, ".") {
		source := imageSource{insecure: insecure}
		ref, err := source.parse(name)
		if err != nil {
			return nil, err
		}
		if place, err = inspect.NewRegistry(ref, remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return nil, err
		}
	}
	found, err := inspect.Read(ctx, place)
	if err == nil && len(found) == 0 {
		err = errors.New("there is no cache and no image")
	}
	return found, err
}

// inspected is a cache with its verdict.
type inspected struct {
	*inspect.Cache
	Severity inspect.Severity `json:"verdict"`
}

// inspectReport is what inspect prints.
type inspectReport struct {
	Caches []inspected `json:"caches"`
	// Difference is nil for a cache alone, and if the two cannot be compared.
	Difference *inspect.Difference `json:"difference,omitempty"`
}

// failure is the error that the command ends with, or nil.
func (r inspectReport) failure() error {
	broken := 0
	for _, c := range r.Caches {
		if c.Severity == inspect.Broken {
			broken++
		}
	}
	switch {
	case broken > 0:
		return fmt.Errorf("%d of %d %w", broken, len(r.Caches), errBroken)
	case r.Difference != nil && !r.Difference.Same():
		return errDifferent
	}
	return nil
}

func (r inspectReport) text(w io.Writer) {
	rows := [][]string{{"CACHE", "FORM", "PLATFORM", "RECORDS", "RESULTS", "LAYERS", "BLOBS", "BYTES", "COMPRESSIONS", "MANIFEST", "CONFIG"}}
	for _, c := range r.Caches {
		rows = append(rows, []string{
			c.Name, c.Form, c.Platform, fmt.Sprint(c.Records), fmt.Sprint(c.Results), fmt.Sprint(c.Layers), fmt.Sprint(c.Blobs),
			size(c.Bytes), compressionsText(c.Compressions), size(c.ManifestSize), size(c.ConfigSize),
		})
	}
	table(w, rows)
	fmt.Fprintln(w)
	for _, c := range r.Caches {
		if len(c.Findings) == 1 {
			continue // the verdict says it
		}
		for _, f := range c.Findings {
			fmt.Fprintf(w, "%s: %s: %s\n", c.Title(), f.Severity, f.Text)
		}
	}
	if r.Difference != nil {
		differenceText(w, *r.Difference)
	}
	for _, c := range r.Caches {
		about := ""
		if len(r.Caches) > 1 {
			about = " of " + c.Title()
		}
		fmt.Fprintf(w, "verdict%s: %s\n", about, c.Verdict())
	}
}

// size is a size that a cache claims, for people.
func size(bytes int64) string { return cost.Size(uint64(max(bytes, 0))) }

// compressionsText counts blobs, such as "18 gzip, 10 zstd".
func compressionsText(counts map[string]int) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[name], name))
	}
	return strings.Join(words, ", ")
}

// differenceText says in what caches differ, with the first of everything.
func differenceText(w io.Writer, d inspect.Difference) {
	if d.Same() {
		fmt.Fprintln(w, "A and B have the same records, results and layers")
	}
	for _, part := range []struct {
		digests []digest.Digest
		what    string
	}{
		{d.RecordsOnlyInA, "record%s only in A"},
		{d.RecordsOnlyInB, "record%s only in B"},
		{d.Results, "record%s with other results"},
		{d.LayersOnlyInA, "layer%s only in A"},
		{d.LayersOnlyInB, "layer%s only in B"},
		{d.Blobs, "layer%s in other blobs"},
	} {
		if n := len(part.digests); n > 0 {
			plural := ""
			if n > 1 {
				plural = "s"
			}
			fmt.Fprintf(w, "%d "+part.what+", such as %s\n", n, plural, part.digests[0])
		}
	}
}
