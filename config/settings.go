package config

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Setting is the value of one key of the [guard] table.
type Setting struct {
	// Key is the full key, such as "guard.maxRemotes".
	Key string
	// Value is in the form in which it is written, without quotes.
	Value string
	// Line is where it is written, counted from 1; 0 for a default.
	Line int
}

// Settings reads the [guard] table out of the text of a buildkitd.toml like
// Parse, and returns the value of every key. Those of a type of exporter are
// there if they are written.
func Settings(file string, data []byte) ([]Setting, error) {
	c, err := Parse(file, data)
	if err != nil {
		return nil, err
	}
	return settings(file, data, c)
}

// EngineSettings is Settings for the file of a Docker Engine, see ParseEngine.
func EngineSettings(file string, data []byte) ([]Setting, error) {
	c, err := ParseEngine(file, data)
	if err != nil {
		return nil, err
	}
	return settings(file, data, c)
}

// settings are those of a configuration that was read from a file.
func settings(file string, data []byte, c Config) ([]Setting, error) {
	t, err := decode(file, data, false)
	if err != nil {
		return nil, err
	}
	var settings []Setting
	add := func(value string, written bool, key ...string) {
		s := Setting{Key: strings.Join(key, "."), Value: value}
		if written {
			s.Line = lineOf(data, key)
		}
		settings = append(settings, s)
	}
	add(string(c.Mode), t.Mode != nil, "guard", "mode")
	add(strconv.Itoa(c.MaxRemotes), t.MaxRemotes != nil, "guard", "maxRemotes")
	add(c.MaxMemory.String(), t.MaxMemory != nil, "guard", "maxMemory")
	add(c.MemoryLimit.String(), t.MemoryLimit != nil, "guard", "memoryLimit")
	add(c.SwitchFile, t.SwitchFile != nil, "guard", "switchFile")
	add(string(c.Prefer), t.Prefer != nil, "guard", "prefer")
	add(strconv.FormatBool(c.WarnImages), t.WarnImages != nil, "guard", "warnImages")
	for _, name := range slices.Sorted(maps.Keys(t.Exporter)) {
		exporter := t.Exporter[name]
		if exporter.Mode != nil {
			add(*exporter.Mode, true, "guard", "exporter", name, "mode")
		}
		if exporter.Prefer != nil {
			add(*exporter.Prefer, true, "guard", "exporter", name, "prefer")
		}
	}
	return settings, nil
}
