package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/util/compression"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/guard"
)

// estimateReport is what estimate prints.
type estimateReport struct {
	limits
	Estimates []estimate `json:"estimates"`
}

// estimate is one image, or one stage of a Dockerfile, and what becomes of an
// export of it.
type estimate struct {
	Stage    string `json:"stage,omitempty"`
	Image    string `json:"image,omitempty"`
	Platform string `json:"platform,omitempty"`
	// MediaTypes counts the layers of the image, Steps those of the Dockerfile.
	MediaTypes map[string]int `json:"mediaTypes,omitempty"`
	Steps      int            `json:"steps,omitempty"`
	product
}

// addImages adds an estimate for each image at the bottom of a stage.
func (r *estimateReport) addImages(ctx context.Context, source *imageSource, s stage, compressions int) error {
	bases := []image{{name: scratch}}
	if s.base != scratch {
		var err error
		if bases, err = source.images(ctx, s.base, s.platform); err != nil {
			return err
		}
	}
	for _, base := range bases {
		r.add(s.name, base, s.steps, compressions)
	}
	return nil
}

// add adds an estimate for an image with so many layers more.
func (r *estimateReport) add(stageName string, base image, steps, compressions int) {
	types := make(map[string]int)
	for _, mediaType := range base.mediaTypes {
		types[mediaType]++
	}
	layers := len(base.mediaTypes) + steps
	if base.name == "" {
		steps = 0 // there is no image that they are put on
	}
	e := guard.NewEstimate(slices.Repeat([]int{compressions}, layers))
	r.Estimates = append(r.Estimates, estimate{
		Stage:      stageName,
		Image:      base.name,
		Platform:   base.platform,
		MediaTypes: types,
		Steps:      steps,
		product:    r.product(e),
	})
}

// beyond counts the estimates that do not fit.
func (r *estimateReport) beyond() int {
	n := 0
	for _, e := range r.Estimates {
		if e.Verdict != verdictFits {
			n++
		}
	}
	return n
}

func (r *estimateReport) text(w io.Writer) {
	rows := [][]string{{"STAGE", "IMAGE", "PLATFORM", "TYPES", "LAYERS", "COMPRESSIONS", "REMOTES", "STOCK NEEDS", "VERDICT"}}
	for _, e := range r.Estimates {
		rows = append(rows, []string{
			e.Stage, e.Image, e.Platform, e.types(), fmt.Sprint(e.Layers), fmt.Sprint(e.Compressions),
			e.Remotes, cost.Size(e.StockBytes), string(e.Verdict),
		})
	}
	table(w, rows)
	r.limits.text(w)
}

// types says what the layers of an image and the steps on it are.
func (e *estimate) types() string {
	if e.Image == "" {
		return ""
	}
	counts := make(map[string]int)
	for mediaType, n := range e.MediaTypes {
		name := mediaType
		if t, err := compression.FromMediaType(mediaType); err == nil {
			name = t.String()
		}
		counts[name] += n
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		words = append(words, fmt.Sprintf("%d %s", counts[name], name))
	}
	if e.Steps > 0 {
		words = append(words, fmt.Sprintf("%d built", e.Steps))
	}
	return strings.Join(words, ", ")
}
