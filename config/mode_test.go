package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestOverride(t *testing.T) {
	for word, want := range map[string]Mode{"": "", "off": ModeOff, "block": ModeBlock} {
		mode, err := ParseOverride(word)
		require.NoError(t, err, word)
		assert.Equal(t, want, mode, word)
	}
	_, err := ParseOverride("blcok")
	assert.EqualError(t, err, `unknown BKGUARD_MODE "blcok", did you mean "block"? (allowed: off, observe, enforce, single, block)`)
}
