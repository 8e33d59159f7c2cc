package config

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
)

// Validate checks a configuration that was not read by Parse, which makes only
// valid ones. Zero fields are valid. The error names the key and says what is
// allowed. Exporters may have any type: an embedder has types of its own.
func (c Config) Validate() error {
	if err := check(Modes(), c.Mode, "guard.mode", "mode"); err != nil {
		return err
	}
	if err := check(Modes(), c.Override, "Override", "mode"); err != nil {
		return err
	}
	if c.MaxRemotes != 0 {
		if err := checkMaxRemotes(int64(c.MaxRemotes)); err != nil {
			return fmt.Errorf("guard.maxRemotes: %w", err)
		}
	}
	if c.MaxMemory.Off {
		return errors.New("guard.maxMemory: \"off\" is not an amount (allowed: a size or a percentage; mode = \"single\" never builds more than one chain)")
	}
	if err := c.MaxMemory.validate(); err != nil {
		return fmt.Errorf("guard.maxMemory: %w", err)
	}
	if err := c.MemoryLimit.validate(); err != nil {
		return fmt.Errorf("guard.memoryLimit: %w", err)
	}
	if err := check(Preferences(), c.Prefer, "guard.prefer", "prefer"); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Exporters)) {
		key := "guard.exporter." + name
		if err := check(Modes(), c.Exporters[name].Mode, key+".mode", "mode"); err != nil {
			return err
		}
		if err := check(Preferences(), c.Exporters[name].Prefer, key+".prefer", "prefer"); err != nil {
			return err
		}
	}
	return nil
}

// check is oneOf for a word that may be missing.
func check[T ~string](allowed []T, word T, key, what string) error {
	if word == "" {
		return nil
	}
	if _, err := oneOf(allowed, what, string(word)); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (m Memory) validate() error {
	if m.Bytes < 0 {
		return fmt.Errorf("%d bytes are less than none", m.Bytes)
	}
	if math.IsNaN(m.Percent) || m.Percent < 0 || m.Percent > 100 {
		return fmt.Errorf("%v%% is not a percentage above 0%% and up to 100%%", m.Percent)
	}
	return nil
}
