package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMemoryOf(t *testing.T) {
	for text, want := range map[string]uint64{
		"512MB":  512 << 20, // units are binary
		"1GiB":   1 << 30,
		"100":    100,
		"5%":     50,
		"0.5%":   5,
		"100%":   1000,
		" 5.0 %": 50,
	} {
		m, err := ParseMemory(text)
		require.NoError(t, err, text)
		require.Equal(t, want, m.Of(1000), text)
	}
	require.Zero(t, Memory{Off: true}.Of(1000))
}

func TestParseMemoryRefuses(t *testing.T) {
	for _, text := range []string{"", "0", "-1", "0%", "101%", "NaN%", "-5%", "x%", "5%%", "9999999999GB"} {
		_, err := ParseMemory(text)
		require.Error(t, err, text)
	}
}

func TestMemoryStringReadsBack(t *testing.T) {
	for _, m := range []Memory{{Bytes: 512 << 20}, {Percent: 2.5}} {
		got, err := ParseMemory(m.String())
		require.NoError(t, err)
		require.Equal(t, m, got)
	}
}
