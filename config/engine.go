package config

import (
	"errors"
	"io/fs"
	"os"
)

const (
	// EngineFile is where a Docker Engine finds its [guard] table: it has no file in TOML
	// that the table could live in.
	EngineFile = "/etc/docker/bkguard.toml"
	// EngineFileVariable names another file in the environment of the engine.
	EngineFileVariable = "BKGUARD_CONFIG"
)

// LoadEngine reads the configuration of the guard of a Docker Engine, from EngineFile or the
// file that the environment names. EngineFile need not exist, a file that is named must.
// Every error is an *Error.
func LoadEngine() (Config, error) {
	path := os.Getenv(EngineFileVariable)
	if path == "" {
		if _, err := os.Stat(EngineFile); errors.Is(err, fs.ErrNotExist) {
			return ParseEngine(EngineFile, nil)
		}
		path = EngineFile
	}
	data, err := readFile(path)
	if err != nil {
		return Config{}, err
	}
	return ParseEngine(path, data)
}

// ParseEngine reads the text of a Docker Engine's file, which holds the [guard] table and
// nothing else; file names it in errors. Without memoryLimit the Go runtime has none: an
// engine shares its cgroup with containerd and whatever else the service runs, so the
// cgroup's limit says little about the engine. Every error is an *Error.
func ParseEngine(file string, data []byte) (Config, error) {
	c, err := parse(file, data, true)
	if err != nil {
		return Config{}, err
	}
	if c.MemoryLimit == (Memory{}) {
		c.MemoryLimit = Memory{Off: true}
	}
	return c.WithDefaults(), nil
}
