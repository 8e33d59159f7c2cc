package main

import (
	"fmt"
	"os"
	"path/filepath"

	buildkitd "github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/util/appdefaults"
	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/config"
)

// configFlag is --config, with the daemon's own default.
func configFlag(path *string, use string) cli.Flag {
	return &cli.StringFlag{
		Name:        "config",
		Usage:       "the `FILE` of the daemon's configuration, for " + use,
		Value:       filepath.Join(appdefaults.ConfigDir, "buildkitd.toml"),
		Destination: path,
		TakesFile:   true,
	}
}

// readConfig reads the [guard] table of a buildkitd.toml, which must exist.
func readConfig(path string) (config.Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return config.Config{}, fmt.Errorf("read the configuration: %w", err)
	}
	return config.Parse(path, data)
}

// modeOfEnvironment is empty if the environment sets no mode.
func modeOfEnvironment() (config.Mode, error) {
	return config.ParseOverride(os.Getenv(config.ModeVariable))
}

// debugAddressOf is the debug address that a buildkitd.toml sets.
func debugAddressOf(path string) (string, error) {
	c, err := buildkitd.LoadFile(path)
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if c.GRPC.DebugAddress == "" {
		return "", fmt.Errorf("no debug address: give --debug-addr, or set debugAddress in [grpc] of %s", path)
	}
	return c.GRPC.DebugAddress, nil
}
