package guard

import (
	"cmp"
	"strings"

	"github.com/moby/buildkit/session"
)

// sessionOf is the first session of a group, empty if there is none.
func sessionOf(g session.Group) string {
	if g == nil {
		return ""
	}
	return g.SessionIterator().NextSession()
}

// cacheOf says where a cache export goes, by the attributes that name it for each type
// of exporter: a reference (registry), a directory (local), a bucket or container with
// a name (s3, azblob), or a scope (gha). It is empty for an inline cache.
func cacheOf(attrs map[string]string) string {
	if where := cmp.Or(attrs["ref"], attrs["dest"], attrs["scope"]); where != "" {
		return where
	}
	var parts []string
	for _, key := range []string{"bucket", "container", "prefix", "name"} {
		if part := strings.Trim(attrs[key], "/"); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}
