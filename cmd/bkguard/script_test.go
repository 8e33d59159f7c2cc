package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/moby/buildkit/util/compression"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"github.com/moby/buildkit/util/attestation"

	"github.com/bkguard/bkguard/internal/cachetest"
	"github.com/bkguard/bkguard/test/harness"
)

var update = flag.Bool("update", false, "rewrite what the scripts compare with")

// What a script waits for in the background takes waitFor at most, tick is the
// pause between two looks.
const (
	waitFor = 30 * time.Second
	tick    = 50 * time.Millisecond
)

// runScripts runs the scripts of a directory with an environment and files.
func runScripts(t *testing.T, dir string, env, files map[string]string) {
	t.Helper()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", dir),
		RequireExplicitExec: true,
		UpdateScripts:       *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":      exits,
			"eventually": eventually,
		},
		Setup: func(e *testscript.Env) error {
			// The race detector would let every program wait a second at its end.
			e.Setenv("GORACE", "atexit_sleep_ms=0")
			for key, value := range env {
				e.Setenv(key, value)
			}
			for file, text := range files {
				if err := os.WriteFile(filepath.Join(e.WorkDir, file), []byte(text), 0o600); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// eventually runs "eventually COUNT TEXT FILE": it waits until a file holds a
// text so many times.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	end := time.NewTimer(waitFor)
	defer end.Stop()
	for {
		if text, _ := os.ReadFile(ts.MkAbs(args[2])); strings.Count(string(text), args[1]) >= want {
			return
		}
		select {
		case <-end.C:
			ts.Fatalf("%s does not hold %q %d times", args[2], args[1], want)
		case <-ticker.C:
		}
	}
}

// exits runs "exits CODE PROGRAM ARGUMENT...".
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit := new(exec.ExitError)
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d instead of %d", code, want)
	}
}

func TestScripts(t *testing.T) {
	runScripts(t, "plain", nil, nil)
}

// TestScanScripts has a cache with layers in two compressions, and one with layers in one.
func TestScanScripts(t *testing.T) {
	affected, clean := cachetest.New(t), cachetest.New(t)
	affected.Chain(t, 12, compression.Zstd)
	clean.Chain(t, 3)
	both := t.TempDir()
	for name, c := range map[string]*cachetest.Cache{"runc-native": affected, "runc-overlayfs": clean} {
		require.NoError(t, os.Symlink(c.Root, filepath.Join(both, name)))
	}
	runScripts(t, "scan", map[string]string{"AFFECTED": affected.Root, "CLEAN": clean.Root, "BOTH": both}, nil)
}

// TestRegistryScripts has a registry with images in gzip and in zstd, and with
// an index for two platforms that has an attestation too. The index is in an OCI
// layout as well.
func TestRegistryScripts(t *testing.T) {
	registry := startRegistry(t)
	gzip, err := registry.PushBase(t.Context(), harness.Base{Layers: 20})
	require.NoError(t, err)
	zstd, err := registry.PushBase(t.Context(), harness.Base{Layers: 6, Zstd: true})
	require.NoError(t, err)

	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for platform, image := range map[string]string{"amd64": gzip, "arm64": zstd} {
		index = mutate.AppendManifests(index, mutate.IndexAddendum{
			Add:        pull(t, image),
			Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: platform}},
		})
	}
	index = mutate.AppendManifests(index, mutate.IndexAddendum{
		Add: pull(t, zstd),
		Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{attestation.DockerAnnotationReferenceType: "attestation-manifest"},
		},
	})
	ref, err := name.NewTag(registry.Host + "/both:latest")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(ref, index))
	dir := filepath.Join(t.TempDir(), "image")
	_, err = layout.Write(dir, index)
	require.NoError(t, err)

	runScripts(t, "registry", map[string]string{
		"GZIP": gzip, "ZSTD": zstd, "BOTH": ref.Name(), "HOST": registry.Host, "LAYOUT": dir,
	}, nil)
}

func pull(t *testing.T, image string) v1.Image {
	t.Helper()
	ref, err := name.ParseReference(image)
	require.NoError(t, err)
	found, err := remote.Image(ref)
	require.NoError(t, err)
	return found
}

// TestDaemonScripts has a daemon under a memory limit that has spared the combinations of an
// export, one with a switch file, and one without a guard, which has exported a small cache.
func TestDaemonScripts(t *testing.T) {
	b := binaries(t)
	registry := startRegistry(t)
	base, err := registry.PushBase(t.Context(), harness.Base{Layers: 10})
	require.NoError(t, err)
	exported := startDaemon(t, harness.DaemonOptions{
		Binary:      b.Guarded,
		Registries:  []string{registry.Host},
		MemoryLimit: 512 << 20,
	})
	dockerfile := harness.RunSteps(base, 3)
	require.NoError(t, exported.MixCompressions(t.Context(), dockerfile, registry.Host+"/image"))
	_, err = exported.Build(t.Context(), harness.Build{
		Dockerfile:  dockerfile,
		ExportCache: []string{"type=local,mode=max,dest=" + t.TempDir()},
	})
	require.NoError(t, err)

	switchFile := filepath.Join(t.TempDir(), "guard", "mode")
	switched := startDaemon(t, harness.DaemonOptions{
		Binary: b.Guarded,
		Config: "guard.switchFile = " + strconv.Quote(switchFile) + "\n",
	})
	stock := startDaemon(t, harness.DaemonOptions{Binary: b.Stock, Registries: []string{registry.Host}})
	cache, inline, local := registry.Host+"/cache:latest", registry.Host+"/inline:latest", filepath.Join(t.TempDir(), "cache")
	for _, build := range []harness.Build{
		{Dockerfile: dockerfile, ExportCache: []string{"type=registry,mode=max,ref=" + cache}},
		{Dockerfile: dockerfile, ExportCache: []string{"type=local,mode=max,dest=" + local}},
		{Dockerfile: dockerfile, ExportCache: []string{"type=inline"}, Output: harness.PushOutput(inline)},
		{Dockerfile: harness.RunSteps(base, 2), ExportCache: []string{"type=registry,mode=max,ref=" + cache + "-less"}},
	} {
		_, err := stock.Build(t.Context(), build)
		require.NoError(t, err)
	}
	runScripts(t, "daemon", map[string]string{
		"CACHE": cache, "INLINE": inline, "LOCAL": local, "BASE": base,
		"EXPORTED_ROOT": exported.Root(), "EXPORTED": exported.DebugAddress(), "SWITCHED": switched.DebugAddress(), "STOCK": stock.DebugAddress(),
		"SWITCH_FILE": switchFile,
	}, map[string]string{
		"Dockerfile":     dockerfile,
		"buildkitd.toml": fmt.Sprintf("[grpc]\n  debugAddress = %q\n", exported.DebugAddress()),
		"switched.toml":  fmt.Sprintf("[grpc]\n  debugAddress = %q\n[guard]\n  switchFile = %q\n", switched.DebugAddress(), switchFile),
	})
}

func binaries(t *testing.T) harness.Binaries {
	t.Helper()
	b, err := harness.FindBinaries()
	require.NoError(t, err)
	return b
}

// startRegistry starts a registry that is stopped and removed with the test.
func startRegistry(t *testing.T) *harness.Registry {
	t.Helper()
	r, err := harness.StartRegistry(t.Context(), binaries(t).Registry)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, errors.Join(r.Stop(context.Background()), r.Remove()))
	})
	return r
}

// startDaemon starts a daemon that is stopped and removed with the test.
func startDaemon(t *testing.T, o harness.DaemonOptions) *harness.Daemon {
	t.Helper()
	o.Buildctl = binaries(t).Buildctl
	d, err := harness.StartDaemon(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := d.Stop(context.Background())
		require.NoError(t, errors.Join(err, d.Remove()))
	})
	return d
}
