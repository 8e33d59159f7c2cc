package config

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSettingsSayWhereTheyAreWritten(t *testing.T) {
	settings, err := Settings("buildkitd.toml", []byte(`root = "/elsewhere"
[guard]
  exporter.s3 = { mode = "off" }
  maxRemotes = 16
  maxMemory = "1GB"

[[worker.oci.gcpolicy]]
  exporter.inline.prefer = "not the guard's"

  [guard.exporter.inline]
    prefer = "main"
`))
	require.NoError(t, err)
	assert.Equal(t, []Setting{
		{"guard.mode", "enforce", 0},
		{"guard.maxRemotes", "16", 4},
		{"guard.maxMemory", "1GiB", 5},
		{"guard.memoryLimit", "90%", 0},
		{"guard.switchFile", "", 0},
		{"guard.prefer", "requested", 0},
		{"guard.warnImages", "false", 0},
		{"guard.exporter.inline.prefer", "main", 11},
		{"guard.exporter.s3.mode", "off", 3},
	}, settings)
}

func TestSettingsOfTheExampleAreAllWritten(t *testing.T) {
	data, err := os.ReadFile("buildkitd.example.toml")
	require.NoError(t, err)
	settings, err := Settings("buildkitd.example.toml", data)
	require.NoError(t, err)
	for _, s := range settings {
		if s.Key != "guard.switchFile" {
			assert.NotZero(t, s.Line, s.Key)
		}
	}
}

func TestSettingsRefuseWhatParseRefuses(t *testing.T) {
	for _, text := range []string{"[guard]\nmode = \"of\"\n", "[guard]\nmodes = \"off\"\n", "[guard"} {
		_, want := Parse("buildkitd.toml", []byte(text))
		require.Error(t, want)
		_, err := Settings("buildkitd.toml", []byte(text))
		assert.Equal(t, want, err)
	}
}
