package test

import (
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/test/harness"
)

// matrixMemory is the limit of every daemon of the matrix. Stock needs more than
// ten times as much for 12 layers in four compressions.
const matrixMemory = 2 << 30

// matrixWorker is a daemon in a state, and what it takes to make another.
type matrixWorker struct {
	*matrix
	binary string
	state  workerState
	build  harness.Build

	// daemon is nil before the first use, and after it was killed.
	daemon *harness.Daemon
	layers imageLayers
}

func (w *matrixWorker) start(t *testing.T) *harness.Daemon {
	t.Helper()
	return startDaemon(t, harness.DaemonOptions{
		Binary:      w.binary,
		Registries:  []string{w.registry.Host},
		MemoryLimit: matrixMemory,
	})
}

// prepare makes sure that there is a daemon in the state.
func (w *matrixWorker) prepare(t *testing.T) {
	t.Helper()
	if w.daemon != nil {
		return
	}
	w.daemon = w.start(t)
	w.layers = nil
	w.buildImage(t, w.state.base)
	// A stage that is not in the image has no blobs before it is exported, and
	// the first export would choose their compression.
	build := w.build
	build.ExportCache = []string{w.backends["registry"].to(w.place()) + ",mode=max,compression=" + w.state.base.String()}
	_, err := w.daemon.Build(t.Context(), build)
	require.NoError(t, err)
	for _, other := range w.state.variants() {
		w.buildImage(t, other, "force-compression=true")
	}
}

// buildImage builds and pushes the image in a compression, and notes its blobs.
func (w *matrixWorker) buildImage(t *testing.T, in compression.Type, attributes ...string) {
	t.Helper()
	place := w.place()
	build := w.build
	build.Output = harness.PushOutput(imageAt(w.registry, place), append(attributes, "compression="+in.String())...)
	_, err := w.daemon.Build(t.Context(), build)
	require.NoError(t, err)
	m, err := w.backends["inline"].read(t.Context(), place)
	require.NoError(t, err)
	w.layers = w.layers.with(t, in, m.Blobs)
}

// export exports what a cell asks for to a place.
func (w *matrixWorker) export(t *testing.T, c cell, place string) error {
	t.Helper()
	build := w.build
	to := w.backends[c.exporter].to(place)
	if c.exporter == "inline" {
		build.Output = harness.PushOutput(imageAt(w.registry, place), "compression="+c.requested.String())
	} else {
		to += ",mode=" + c.mode + ",compression=" + c.requested.String()
	}
	build.ExportCache = []string{to}
	_, err := w.daemon.Build(t.Context(), build)
	return err
}

// cached imports a cache into a daemon that knows nothing else, and returns how
// many steps there are and how many were not executed. Then all layers are
// unpacked: a step is CACHED also by a layer that nobody has looked into.
func (w *matrixWorker) cached(t *testing.T, c cell, place string) (steps, cached int) {
	t.Helper()
	fresh := w.start(t)
	build := w.build
	build.ImportCache = []string{w.backends[c.exporter].from(place)}
	result, err := fresh.Build(t.Context(), build)
	require.NoError(t, err)
	build.Output = "type=local,dest=" + t.TempDir()
	_, err = fresh.Build(t.Context(), build)
	require.NoError(t, err, "unpack what was imported")
	_, err = fresh.Stop(t.Context())
	require.NoError(t, err)
	return result.Steps, result.Cached
}

// play exports and imports several times. A daemon that is killed for its
// memory is an outcome, and will be replaced by prepare.
func (w *matrixWorker) play(t *testing.T, c cell, rounds int) outcome {
	t.Helper()
	o := outcome{same: true}
	var last harness.CacheManifest
	for round := range rounds {
		place := w.place()
		if err := w.export(t, c, place); err != nil {
			exit, stopErr := w.daemon.Stop(t.Context())
			w.daemon = nil
			require.NoError(t, stopErr)
			require.True(t, exit.OOMKilled(), "the daemon has ended with %v: %v", exit, err)
			return outcome{killed: true}
		}
		m, err := w.backends[c.exporter].read(t.Context(), place)
		require.NoError(t, err)
		o.same = o.same && (round == 0 || m.Digest == last.Digest)
		last = m
		if inspected := w.backends[c.exporter].inspect; inspected != nil {
			for _, found := range inspected(t, place) {
				o.worth = max(o.worth, found.Worst())
			}
		}
		if round >= w.imports {
			continue
		}
		steps, cached := w.cached(t, c, place)
		if round == 0 || cached < o.cached {
			o.steps, o.cached = steps, cached
		}
	}
	o.blobs, o.layers = len(last.Blobs), w.layers.distinct(last.Blobs)
	// The image has its blobs already, inline cache has no choice.
	if c.exporter != "inline" {
		o.possible, o.requested = w.layers.share(last.Blobs, c.requested)
	}
	return o
}
