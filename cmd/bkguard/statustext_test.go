package main

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/guard"
)

// FuzzStatusText shows what any daemon may answer.
func FuzzStatusText(f *testing.F) {
	for _, text := range []string{
		`{}`, `null`, `{"switch": {}}`, `{"switch": {"file": "/x", "mode": "off"}}`, `{"switch": {"file": "/x", "invalid": "no\nmode"}}`,
		`{"version": "0.2.0", "modes": {"s3": {"mode": "off", "source": "guard"}, "gha": {"mode": "block", "source": "switchFile"}, "local": {"mode": "off", "source": "guard"}}}`,
		`{"exports": {"spared": 3, "plain": -1}, "avoided": 18446744073709551615, "memory": {"budget": 1, "held": 2, "converting": -1}}`,
		`{"decisions": [{"time": "2026-01-02T03:04:05Z", "exporter": "s3", "mode": "off", "outcome": "spared", "records": 1, "layers": 2, "remotes": "2^60", "avoided": 5, "seconds": 1e300}, {}]}`,
		`{"variants": {}}`, `{"variants": {"layers": -1, "surplus": 7, "largest": {"remotes": "2^60", "stockBytes": 0}, "error": "no\nstore"}}`,
		`{"decisions": [{"exporter": "\u001b[2J\t"}]}`,
	} {
		f.Add(text, 10)
	}
	f.Fuzz(func(t *testing.T, text string, decisions int) {
		var s guard.Status
		if json.Unmarshal([]byte(text), &s) != nil {
			return
		}
		show := func() string {
			var out strings.Builder
			require.NoError(t, (&output{format: formatTable}).print(&out, s, func(w io.Writer) { statusText(w, "host:1", s, decisions) }))
			return out.String()
		}
		shown := show()
		require.Equal(t, shown, show())
		require.True(t, strings.HasPrefix(shown, "guard "), "%q", shown)
	})
}
