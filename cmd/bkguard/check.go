package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/config"
)

const checkDescription = `Reads the [guard] table of every FILE as the daemon does, and prints the value
of each key with its source: the line that sets it, "default", or BKGUARD_MODE,
which wins over every mode of a file. A daemon starts with what it accepts.
Modes and preferences by type of exporter are shown where a file sets them.

A faulty file is told by file, line, key and what is allowed; the others are
still checked, and the exit code is 1.

A Docker Engine has the table in a file of its own, and no memoryLimit by default:
--docker reads each file as it does.

EXAMPLES:
   bkguard check /etc/buildkit/buildkitd.toml
   bkguard check --docker ` + config.EngineFile + `
   BKGUARD_MODE=single bkguard check buildkitd.toml
   bkguard --format json check *.toml`

func checkCommand(out *output) *cli.Command {
	return &cli.Command{
		Name:        "check",
		Usage:       "check configurations, and print what is in force",
		UsageText:   "bkguard check [options] FILE...",
		Description: checkDescription,
		Flags:       []cli.Flag{&cli.BoolFlag{Name: "docker", Usage: "each FILE is that of a Docker Engine, such as " + config.EngineFile}},
		Action: func(_ context.Context, c *cli.Command) error {
			if !c.Args().Present() {
				return errors.New("give a file to check (see bkguard check --help)")
			}
			override, err := modeOfEnvironment()
			if err != nil {
				return err
			}
			read := config.Settings
			if c.Bool("docker") {
				read = config.EngineSettings
			}
			var files []checkedFile
			var faults []error
			for _, path := range c.Args().Slice() {
				settings, err := readSettings(path, read, override)
				if err != nil {
					faults = append(faults, err)
					continue
				}
				files = append(files, checkedFile{path, settings})
			}
			if len(files) > 0 {
				if err := out.print(c.Root().Writer, files, func(w io.Writer) { checkedText(w, files) }); err != nil {
					return err
				}
			}
			return errors.Join(faults...)
		},
	}
}

// checkedFile is a file without a fault.
type checkedFile struct {
	File     string    `json:"file"`
	Settings []setting `json:"settings"`
}

// setting is the value of a key and where it comes from.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

// readSettings reads what a file sets, and the mode that wins over it.
func readSettings(path string, read func(string, []byte) ([]config.Setting, error), override config.Mode) ([]setting, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, err := read(path, data)
	if err != nil {
		return nil, err
	}
	var settings []setting
	for _, s := range found {
		source := "default"
		if s.Line > 0 {
			source = fmt.Sprintf("%s:%d", path, s.Line)
		}
		if override != "" && strings.HasSuffix(s.Key, ".mode") {
			s.Value, source = string(override), config.ModeVariable
		}
		settings = append(settings, setting{s.Key, s.Value, source})
	}
	return settings, nil
}

func checkedText(w io.Writer, files []checkedFile) {
	for n, f := range files {
		if n > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s is valid\n", f.File)
		rows := [][]string{{"KEY", "VALUE", "SOURCE"}}
		for _, s := range f.Settings {
			rows = append(rows, []string{s.Key, s.Value, s.Source})
		}
		table(w, rows)
	}
}
