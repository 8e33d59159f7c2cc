package main

import (
	"context"
	"expvar"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
	"github.com/bkguard/bkguard/guard"
)

func TestDebugAddresses(t *testing.T) {
	for address, want := range map[string]daemon{
		"unix:///run/debug.sock": {network: "unix", host: "/run/debug.sock"},
		"10.0.0.7:6060":          {network: "tcp", host: "10.0.0.7:6060"},
		"tcp://0.0.0.0:6060":     {network: "tcp", host: "0.0.0.0:6060"},
		"http://host:6060/":      {network: "tcp", host: "host:6060"},
		"[::1]:6060":             {network: "tcp", host: "[::1]:6060"},
	} {
		want.address = address
		d, err := newDaemon(address)
		require.NoError(t, err)
		assert.Equal(t, want, d)
	}
	for _, address := range []string{"", "host", "host:", "unix://", "/run/debug.sock", "https://host:1", "tcp://host", "http://host:1/debug/vars"} {
		_, err := newDaemon(address)
		assert.Error(t, err, address)
	}
}

// served is a server with the debug page of a guard in this process. It answers
// with a failure while broken is set.
func served(t *testing.T, broken *atomic.Bool) daemon {
	t.Helper()
	g, err := guard.New(config.Config{Mode: config.ModeSingle})
	require.NoError(t, err)
	if expvar.Get("bkguard") == nil {
		expvar.Publish("bkguard", expvar.Func(func() any { return g.Status() }))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if broken.Load() {
			http.Error(w, "broken", http.StatusServiceUnavailable)
			return
		}
		expvar.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	d, err := newDaemon(server.URL)
	require.NoError(t, err)
	return d
}

func TestStatusOverTCP(t *testing.T) {
	var broken atomic.Bool
	d := served(t, &broken)
	s, err := d.status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, config.ModeSingle, s.Modes["s3"].Mode)
	broken.Store(true)
	_, err = d.status(t.Context())
	assert.EqualError(t, err, "daemon at "+d.address+": no debug pages: 503 Service Unavailable")
}

// TestWatchWaitsForADaemonThatIsAway breaks the server after the first picture,
// repairs it after the first failure, and ends with the next picture.
func TestWatchWaitsForADaemonThatIsAway(t *testing.T) {
	var broken atomic.Bool
	d := served(t, &broken)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var seen []string
	err := watch(ctx, writerFunc(func(picture string) {
		seen = append(seen, picture)
		switch len(seen) {
		case 1:
			broken.Store(true)
		case 2:
			broken.Store(false)
		default:
			cancel()
		}
	}), d, func(w io.Writer, s guard.Status) error {
		_, err := fmt.Fprintln(w, s.Version)
		return err
	})
	require.NoError(t, err)
	require.Len(t, seen, 3)
	assert.Equal(t, guard.Version+"\n", seen[0])
	assert.True(t, strings.HasPrefix(seen[1], "daemon at "), seen[1])
	assert.Equal(t, seen[0], seen[2])
}

// writerFunc is called with what is written at once.
type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

// TestInterruptedWatchSaysNothing interrupts a question to the daemon.
func TestInterruptedWatchSaysNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	d, err := newDaemon(server.URL)
	require.NoError(t, err)
	require.NoError(t, watch(ctx, writerFunc(func(picture string) { t.Error(picture) }), d, nil))
}
