package config

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEngineHasNoMemoryLimitByDefault(t *testing.T) {
	for text, want := range map[string]Memory{
		"":                                 {Off: true},
		"[guard]":                          {Off: true},
		"[guard]\n  memoryLimit = \"90%\"": {Percent: 90},
		"[guard]\n  memoryLimit = \"1GB\"": {Bytes: 1 << 30},
	} {
		c, err := ParseEngine("bkguard.toml", []byte(text))
		require.NoError(t, err, text)
		assert.Equal(t, want, c.MemoryLimit, text)
		c.MemoryLimit = Memory{}
		assert.Equal(t, Default(), c.WithDefaults(), text)
	}
}

func TestEngineFileIsStrict(t *testing.T) {
	for text, want := range map[string]string{
		"[guards]\n  mode = \"off\"":    `bkguard.toml:1: guards: unknown table "guards", did you mean "guard"? (allowed: guard)`,
		"debug = true":                  `bkguard.toml:1: debug: unknown table "debug" (allowed: guard)`,
		"[guard]\n  mode = \"enforec\"": `bkguard.toml:2: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`,
		"[guard]\n  moed = \"off\"":     `bkguard.toml:2: guard.moed: unknown key "moed", did you mean "mode"? (allowed: mode, maxRemotes, maxMemory, memoryLimit, switchFile, prefer, warnImages, exporter)`,
		"[guard":                        `bkguard.toml:1: expected ']' to close table name`,
	} {
		_, err := ParseEngine("bkguard.toml", []byte(text))
		assert.EqualError(t, err, want)
		_, err = EngineSettings("bkguard.toml", []byte(text))
		assert.EqualError(t, err, want)
	}
}

func TestLoadEngine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bkguard.toml")
	t.Setenv(EngineFileVariable, path)
	_, err := LoadEngine()
	require.EqualError(t, err, path+": cannot read the configuration: no such file or directory")

	require.NoError(t, os.WriteFile(path, []byte("[guard]\n  mode = \"observe\"\n"), 0o600))
	c, err := LoadEngine()
	require.NoError(t, err)
	assert.Equal(t, ModeObserve, c.Mode)
}
