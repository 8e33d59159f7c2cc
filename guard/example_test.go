package guard_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/cache/remotecache/inline"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/worker"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

// The guard takes part twice: when a worker is added to its controller, and when
// the controller of the daemon is made. This daemon has no workers yet.
func Example() {
	g, err := guard.New(config.Default())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer g.Close()

	workers := &worker.Controller{}
	for _, w := range []worker.Worker{} {
		if err := workers.Add(g.Worker(w)); err != nil {
			fmt.Println(err)
			return
		}
	}
	opt := g.Control(control.Opt{
		WorkerController: workers,
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"inline": inline.ResolveCacheExporterFunc(),
		},
	})
	// control.NewController(opt) is next.

	fmt.Println(len(opt.ResolveCacheExporterFuncs), "cache exporter")
	mode, source := g.Mode("inline")
	fmt.Println("mode", mode, "set by", source)
	// Output:
	// 1 cache exporter
	// mode enforce set by guard
}

// An image of 61 layers that a worker holds in gzip and in zstd.
func ExampleNewEstimate() {
	blobs := make([]int, 61)
	for i := range blobs {
		blobs[i] = 2
	}
	e := guard.NewEstimate(blobs)
	fmt.Println(e.Layers, "layers in", e.Compressions, "compressions:", e.Combinations(), "combinations")
	fmt.Println("refused:", e.Refused(config.ModeEnforce, config.DefaultMaxRemotes, 64<<20))

	small := guard.NewEstimate(blobs[:5])
	fmt.Println(small.Combinations(), "combinations take", small.Bytes(), "bytes, upstream", small.UpstreamBytes())
	fmt.Println("refused:", small.Refused(config.ModeEnforce, config.DefaultMaxRemotes, 64<<20))
	// Output:
	// 61 layers in 2 compressions: 2^60 combinations
	// refused: true
	// 16 combinations take 10240 bytes, upstream 19200
	// refused: false
}

// A daemon that does not use upstream's controller decorates its exporters by
// their type. A build may ask for a stricter mode, and for no laxer one.
func ExampleGuard_CacheExporters() {
	g, err := guard.New(config.Config{Exporters: map[string]config.Exporter{"mine": {Mode: config.ModeSingle}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	resolve := g.CacheExporters(map[string]remotecache.ResolveCacheExporterFunc{
		"mine": inline.ResolveCacheExporterFunc(),
	})["mine"]

	exporter, err := resolve(context.Background(), nil, map[string]string{guard.ModeAttribute: "block"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(exporter.Name())

	_, err = resolve(context.Background(), nil, map[string]string{guard.ModeAttribute: "off"})
	fmt.Println(err)
	// Output:
	// exporting inline cache
	// guard-mode "off" is laxer than "single", which is set by exporter (allowed: single, block)
}

// A nil guard leaves everything as it is, so that a daemon can do without one.
func ExampleGuard_Control() {
	var g *guard.Guard
	opt := g.Control(control.Opt{Entitlements: []string{"network.host"}})
	mode, _ := g.Mode("registry")
	fmt.Println(opt.Entitlements, mode)
	// Output: [network.host] off
}

func ExampleReadSwitchFile() {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mode")
	for _, text := range []string{"block  # registry is down, 14:20\n", "# nothing set\n", "blokc\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			fmt.Println(err)
			return
		}
		mode, err := guard.ReadSwitchFile(path)
		fmt.Printf("%q %t\n", mode, err == nil)
	}
	// Output:
	// "block" true
	// "" true
	// "" false
}
