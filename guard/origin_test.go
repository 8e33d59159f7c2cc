package guard

import (
	"testing"

	"github.com/moby/buildkit/session"
	"github.com/stretchr/testify/assert"
)

func TestWhereAnExportGoes(t *testing.T) {
	for want, attrs := range map[string]map[string]string{
		"":                     nil,
		"registry/cache:tag":   {"ref": "registry/cache:tag", "mode": "max"},
		"/srv/cache":           {"dest": "/srv/cache", "name": "other"},
		"main":                 {"scope": "main"},
		"bucket":               {"bucket": "bucket"},
		"bucket/some/dir/name": {"bucket": "bucket", "prefix": "/some/dir/", "name": "name"},
		"container/name":       {"container": "container", "prefix": "/", "name": "name"},
	} {
		assert.Equal(t, want, cacheOf(attrs))
	}
}

func TestWhoExports(t *testing.T) {
	assert.Empty(t, sessionOf(nil))
	assert.Equal(t, "one", sessionOf(session.NewGroup("one", "two")))
}
