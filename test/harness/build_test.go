package harness

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseProgress(t *testing.T) {
	for name, tc := range map[string]struct {
		out           string
		steps, cached int
	}{
		"executed": {
			"#5 [1/3] FROM 127.0.0.1:5000/base\n#6 [2/3] RUN a\n#6 0.21 text\n#6 DONE 0.3s\n#7 [3/3] COPY a b\n#7 DONE 0.0s\n",
			2, 0,
		},
		"cached, announced together": {
			"#6 [2/3] RUN a\n#7 [stage-1 3/3] ADD a b\n#7 CACHED\n\n#6 [2/3] RUN a\n#6 CACHED\n",
			2, 2,
		},
		"a cached base is no step": {
			"#5 [1/2] FROM 127.0.0.1:5000/base\n#5 CACHED\n#6 [2/2] RUN a\n#6 DONE 0.3s\n",
			1, 0,
		},
		"output of a step is no announcement": {
			"#6 [2/2] RUN a\n#6 0.1 #7 [2/2] RUN b\n#6 0.2 #6 CACHED\n#6 DONE 0.3s\n",
			1, 0,
		},
		"platform in the brackets": {
			"#6 [linux/amd64 build 2/2] RUN a\n#6 CACHED\n",
			1, 1,
		},
		"cached, and pulled at once": {
			"#6 [2/2] COPY a b\n#6 sha256:" + strings.Repeat("ab", 32) + " 1.02kB / 1.02kB done\n#6 DONE 0.0s\n",
			1, 1,
		},
		"a pulled base is no step": {
			"#5 [1/2] FROM 127.0.0.1:5000/base\n#5 sha256:" + strings.Repeat("ab", 32) + " 0B / 1kB\n#6 [2/2] RUN a\n#6 DONE 0.3s\n",
			1, 0,
		},
		"nothing": {},
	} {
		t.Run(name, func(t *testing.T) {
			want := BuildResult{Output: tc.out, Steps: tc.steps, Cached: tc.cached}
			assert.Equal(t, want, parseProgress(tc.out))
		})
	}
}

func TestBuildErrorShowsWhereTheClientSaysWhy(t *testing.T) {
	err := &BuildError{Err: assert.AnError, Output: "#1 DONE\n------\n > exporting:\n------\nerror: Unavailable\n"}
	require.EqualError(t, err, "build: "+assert.AnError.Error()+":  > exporting:; ------; error: Unavailable")
	require.ErrorIs(t, err, assert.AnError)
}
