package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/bkguard/bkguard/test/harness"
)

// crowdLayers is how many layers the chains of a crowd have.
const crowdLayers = overheadBase + overheadSteps

// crowdSettings are numbers of exports at once, and the limit of the daemon.
var crowdSettings = []setting{
	{Exports: 1, Limit: limit},
	{Exports: 4, Limit: limit},
	{Exports: 16, Limit: limit},
	{Exports: 50, Limit: 4 * limit},
}

// measureCrowd exports the cache of the overhead to more and more places at once, from
// stock daemons with each layer in one compression and in two, and from guarded ones with
// each in two.
func measureCrowd(ctx context.Context, b *bench) (any, error) {
	base, err := b.base(ctx, harness.Base{Layers: overheadBase, LayerSize: layerSize})
	if err != nil {
		return nil, err
	}
	var all []export
	for _, s := range crowdSettings {
		for _, kind := range crowdKinds {
			e := export{setting: kind.of(s), Round: 1}
			if err := b.step(e.String(), func() error { return b.crowd(ctx, base, &e) }); err != nil {
				return nil, fmt.Errorf("%v: %w", e.setting, err)
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// crowdKind is a daemon, and how many compressions it holds each layer in.
type crowdKind struct {
	daemon       string
	compressions int
}

// of is a setting of this kind.
func (k crowdKind) of(s setting) setting {
	s.Layers, s.Daemon, s.Compressions = crowdLayers, k.daemon, k.compressions
	return s
}

var crowdKinds = []crowdKind{{stock, 1}, {stock, 2}, {guarded, 2}}

// crowd fills in e with a daemon of its own.
func (b *bench) crowd(ctx context.Context, base string, e *export) (err error) {
	d := &overheadDaemon{kind: e.Daemon, limit: e.Limit, compressions: e.Compressions}
	defer func() { err = errors.Join(err, stop(ctx, d.Daemon)) }()
	d.build.Dockerfile = manyStages(base)
	began := time.Now()
	if err := d.prepare(ctx, b); err != nil {
		if d.Daemon != nil {
			e.outcome, err = ending(ctx, d.Daemon, began, err)
		}
		return err
	}
	var exports []harness.Build
	for range e.Exports {
		export := d.build
		export.ExportCache = []string{"type=registry,mode=max,ref=" + b.place()}
		exports = append(exports, export)
	}
	e.outcome, err = exportsAtOnce(ctx, d.Daemon, exports)
	return err
}

// CrowdTable has a row for each number of exports at once.
func (d *data) CrowdTable() string {
	head := []string{"exports at once", "limit"}
	for _, kind := range crowdKinds {
		head = append(head, fmt.Sprintf("%s, compressions: %d", kind.daemon, kind.compressions))
	}
	rows := [][]string{head}
	summaries := summarize(d.Crowd)
	for _, s := range crowdSettings {
		row := []string{strconv.Itoa(s.Exports), size(s.Limit)}
		var measured bool
		for _, kind := range crowdKinds {
			var text string
			for _, found := range summaries {
				if found.setting == kind.of(s) {
					text, measured = found.text(), true
				}
			}
			row = append(row, text)
		}
		if measured {
			rows = append(rows, row)
		}
	}
	return tableIfAny(rows)
}
