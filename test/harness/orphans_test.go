package harness

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want status
	}{
		"running": {
			"8107 (go) R 7919 7917 7917 0 -1 4194304 3021",
			status{pid: 8107, parent: 7919, session: 7917, state: 'R'},
		},
		"name with blanks and brackets": {
			"12 (a) S (9 9 9) Z 1 2 3 0 -1",
			status{pid: 12, parent: 1, session: 3, state: 'Z'},
		},
		"nothing after the session": {
			"1 (init) S 0 1 1",
			status{pid: 1, session: 1, state: 'S'},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStatus(tc.line)
			require.NoError(t, err)
			assert.Equal(t, tc.want, got)
		})
	}
}

func TestParseStatusRefuses(t *testing.T) {
	for _, line := range []string{"", "7 (sh) S 1 2", "7 (sh) S one 2 3", "x (sh) S 1 2 3"} {
		_, err := parseStatus(line)
		require.Error(t, err, line)
	}
}

func TestProcessesHaveThisOne(t *testing.T) {
	all, err := processes()
	require.NoError(t, err)
	var own status
	for _, s := range all {
		if s.pid == os.Getpid() {
			own = s
		}
	}
	assert.Equal(t, os.Getppid(), own.parent)
}
