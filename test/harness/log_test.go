package harness

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseEntry(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want LogEntry
	}{
		"plain and quoted": {
			`time="2026-01-02T03:04:05Z" level=info msg="guard ready" budget=5 remotes="2^30 (1.07e9)"` + "\n",
			LogEntry{"time": "2026-01-02T03:04:05Z", "level": "info", "msg": "guard ready", "budget": "5", "remotes": "2^30 (1.07e9)"},
		},
		"quotes, signs and blanks in a value": {
			`msg="a \"b\" c=d\n" error= x=1`,
			LogEntry{"msg": "a \"b\" c=d\n", "error": "", "x": "1"},
		},
		"signs in a plain value": {
			"ref=host:1/a@b==c level=info",
			LogEntry{"ref": "host:1/a@b==c", "level": "info"},
		},
		"text":                {"panic: oh no", nil},
		"text with a sign":    {"goroutine 1 x=2", nil},
		"text after a field":  {"level=info and more", nil},
		"an unfinished quote": {`msg="a b`, nil},
		"nothing":             {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := parseEntry(tc.line)
			assert.Equal(t, tc.want != nil, ok)
			if ok {
				assert.Equal(t, tc.want, got)
			}
		})
	}
}
