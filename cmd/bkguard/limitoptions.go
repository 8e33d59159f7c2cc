package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/config"
)

// limitOptions are the flags that say which limits hold.
type limitOptions struct {
	config   string
	exporter string
	memory   string
}

func (o *limitOptions) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "the `FILE` with the limits, a buildkitd.toml", Destination: &o.config, TakesFile: true},
		&cli.StringFlag{Name: "exporter", Usage: "take the mode for this `TYPE` of cache exporter", Destination: &o.exporter, Validator: checkExporter},
		&cli.StringFlag{Name: "memory", Usage: "the memory limit of the daemon as a `SIZE`, that of this machine by default", Destination: &o.memory},
	}
}

func checkExporter(word string) error {
	for _, known := range config.ExporterTypes() {
		if word == known {
			return nil
		}
	}
	return fmt.Errorf("unknown cache exporter (allowed: %s)", strings.Join(config.ExporterTypes(), ", "))
}

// find finds the limits.
func (o *limitOptions) find() (limits, error) {
	c := config.Default()
	var err error
	if o.config != "" {
		if c, err = readConfig(o.config); err != nil {
			return limits{}, err
		}
	}
	if c.Override, err = modeOfEnvironment(); err != nil {
		return limits{}, err
	}
	var memory config.Memory
	if o.memory != "" {
		if memory, err = config.ParseMemory(o.memory); err == nil && memory.Percent > 0 {
			err = fmt.Errorf("%q is not a size such as \"512MB\"", o.memory)
		}
		if err != nil {
			return limits{}, fmt.Errorf("--memory: %w", err)
		}
	}
	return newLimits(c, o.exporter, memory.Bytes)
}
