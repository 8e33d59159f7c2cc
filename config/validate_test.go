package config

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestValidate(t *testing.T) {
	for want, c := range map[string]Config{
		`guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`:    {Mode: "enforec"},
		`Override: unknown mode "on", did you mean "off"? (allowed: off, observe, enforce, single, block)`:               {Override: "on"},
		`guard.maxRemotes: -1 is out of range (allowed: 1 to 1048576; mode = "single" never builds more than one chain)`: {MaxRemotes: -1},
		`guard.maxMemory: "off" is not an amount (allowed: a size or a percentage; mode = "single" never builds more than one chain)`: {
			MaxMemory: Memory{Off: true},
		},
		`guard.maxMemory: -1 bytes are less than none`:                        {MaxMemory: Memory{Bytes: -1}},
		`guard.maxMemory: NaN% is not a percentage above 0% and up to 100%`:   {MaxMemory: Memory{Percent: math.NaN()}},
		`guard.maxMemory: -1% is not a percentage above 0% and up to 100%`:    {MaxMemory: Memory{Percent: -1}},
		`guard.memoryLimit: 101% is not a percentage above 0% and up to 100%`: {MemoryLimit: Memory{Percent: 101}},
		`guard.prefer: unknown prefer "big" (allowed: requested, smallest, main)`: {
			Prefer: "big",
		},
		`guard.exporter.mine.mode: unknown mode "stop" (allowed: off, observe, enforce, single, block)`: {
			Exporters: map[string]Exporter{"mine": {Mode: "stop"}},
		},
		`guard.exporter.mine.prefer: unknown prefer "mian", did you mean "main"? (allowed: requested, smallest, main)`: {
			Exporters: map[string]Exporter{"mine": {Prefer: "mian"}},
		},
	} {
		assert.EqualError(t, c.Validate(), want)
	}
	for _, c := range []Config{
		{},
		Default(),
		{MemoryLimit: Memory{Off: true}},
		{MemoryLimit: Memory{Percent: 100}},
		{MaxRemotes: MaxRemotesLimit, Exporters: map[string]Exporter{"mine": {Mode: ModeOff}}},
	} {
		assert.NoError(t, c.Validate())
	}
}
