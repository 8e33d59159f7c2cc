package main

import (
	"embed"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bkguard/bkguard/test/harness"
)

// s3 are the programs that take the place of MinIO's, with versitygw behind them.
//
//go:embed s3/silo s3/mc
var s3 embed.FS

// linkDaemons makes a directory for each daemon, with buildkitd in it and what is built
// with it.
func (b *bench) linkDaemons(programs harness.Binaries) error {
	for daemon, path := range map[string]string{stock: programs.Stock, guarded: programs.Guarded} {
		err := link(b.path(daemon), map[string]string{
			"buildkitd": path,
			"buildctl":  programs.Buildctl,
			"registry":  programs.Registry,
		})
		if err != nil {
			return fmt.Errorf("gather the programs: %w", err)
		}
	}
	return nil
}

// linkTools makes a directory with the programs that the tests of both daemons start.
func (b *bench) linkTools() error {
	programs := map[string]string{}
	for _, name := range []string{"containerd", "versitygw", "azurite"} {
		path, err := harness.FindTool(name)
		if err != nil {
			return err
		}
		programs[name] = path
	}
	programs["azurite-blob"] = filepath.Join(programs["azurite"], "node_modules", ".bin", "azurite-blob")
	delete(programs, "azurite")
	if err := link(b.tools(), programs); err != nil {
		return fmt.Errorf("gather the programs: %w", err)
	}
	for _, name := range []string{"silo", "mc"} {
		script, err := s3.ReadFile("s3/" + name)
		if err != nil {
			return fmt.Errorf("gather the programs: %w", err)
		}
		if err := os.WriteFile(filepath.Join(b.tools(), name), script, 0o755); err != nil {
			return fmt.Errorf("gather the programs: %w", err)
		}
	}
	return nil
}

// link makes a directory with links of the names to the programs.
func link(dir string, programs map[string]string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, program := range programs {
		if err := os.Symlink(program, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
