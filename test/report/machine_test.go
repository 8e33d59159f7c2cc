package main

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMachineIsDescribed(t *testing.T) {
	cpu, memory, err := hardware()
	require.NoError(t, err)
	assert.NotEmpty(t, cpu)
	assert.Positive(t, memory)
	release, err := kernel()
	require.NoError(t, err)
	assert.Regexp(t, `^Linux [0-9.]+$`, release)
}
