package guard

import (
	"context"
	"testing"

	"github.com/moby/buildkit/cache/remotecache"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/session"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

func TestNewFillsInDefaults(t *testing.T) {
	g, err := New(config.Config{})
	require.NoError(t, err)
	assert.Equal(t, config.Default(), g.Config())
	limit, err := processLimit()
	require.NoError(t, err)
	assert.Equal(t, limit*5/100, g.Budget())

	g, err = New(config.Config{MaxMemory: config.Memory{Bytes: 7}})
	require.NoError(t, err)
	assert.EqualValues(t, 7, g.Budget())
}

func TestWorkersAreDecoratedOnce(t *testing.T) {
	g := newTestGuard(t, config.Config{})
	assert.Nil(t, g.Worker(nil))
	w := g.Worker(&storeWorker{})
	assert.Same(t, w, g.Worker(w))
	assert.Same(t, w, newTestGuard(t, config.Config{}).Worker(w), "by whichever guard came first")
}

func TestControlLeavesItsOptionsAlone(t *testing.T) {
	funcs := map[string]remotecache.ResolveCacheExporterFunc{
		"s3": func(context.Context, session.Group, map[string]string) (remotecache.Exporter, error) { return nil, nil },
	}
	opt := newTestGuard(t, config.Config{}).Control(control.Opt{ProxyNetwork: true, ResolveCacheExporterFuncs: funcs})
	assert.True(t, opt.ProxyNetwork)
	assert.Len(t, opt.ResolveCacheExporterFuncs, 1)
	funcs["s3"] = nil
	assert.NotNil(t, opt.ResolveCacheExporterFuncs["s3"])
	assert.Nil(t, newTestGuard(t, config.Config{}).Control(control.Opt{}).ResolveCacheExporterFuncs["s3"])
}
