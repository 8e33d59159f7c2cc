package uploads

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkUploadBytes measures by how much the process grows while an exporter of
// upstream sends one layer, by the size of the layer: held-B/op with the garbage there
// is, live-B/op without. The costs of internal/uploads are made of its figures. What
// the SDK for azblob holds is mapped beside the heap.
//
// The server does not read until the exporter holds all that it ever does.
func BenchmarkUploadBytes(b *testing.B) {
	for _, exporterType := range exporterTypes {
		for _, mib := range []int64{1, 8, 15, 16, 32, 64, 200} {
			b.Run(fmt.Sprintf("%s/layer=%dMiB", exporterType, mib), func(b *testing.B) {
				measure(b, exporterType, 1) // what the SDK makes once
				for b.Loop() {
					held, live := measure(b, exporterType, mib<<20)
					b.ReportMetric(float64(held), "held-B/op")
					b.ReportMetric(float64(live), "live-B/op")
				}
			})
		}
	}
}

// measure sends one layer.
func measure(b *testing.B, exporterType string, size int64) (held, live int64) {
	b.Helper()
	s := newServer(b)
	e := newExporter(b, exporterType, s)
	z := &zeros{}
	z.add(b, e, size)
	debug.FreeOSMemory()
	before := resident(b)
	failed := make(chan error)
	go func() {
		_, err := e.Finalize(b.Context())
		failed <- err
	}()
	// Nothing tells that the exporter has come as far as it can: it has if it reads no
	// more for a while.
	for last := int64(-1); s.sending.Load() == 0 || z.read.Load() != last; {
		last = z.read.Load()
		time.Sleep(200 * time.Millisecond)
	}
	held = resident(b) - before
	debug.FreeOSMemory()
	live = resident(b) - before
	s.goOn()
	require.NoError(b, <-failed)
	s.Close()
	return held, live
}

// resident is the memory of the process.
func resident(tb testing.TB) int64 {
	tb.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(tb, err)
	pages, err := strconv.ParseInt(string(bytes.Fields(statm)[1]), 10, 64)
	require.NoError(tb, err)
	return pages * int64(os.Getpagesize())
}
