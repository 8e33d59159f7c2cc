package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/bkguard/bkguard/test/harness"
)

// measured says when a section was measured, where and with what.
type measured struct {
	Section string `csv:"section"`
	Date    string `csv:"date"`
	machine
}

// machine is where and with what something was measured.
type machine struct {
	CPU    string `csv:"cpu"`
	Cores  int    `csv:"cores"`
	Memory int64  `csv:"memory_bytes"`
	Kernel string `csv:"kernel"`
	// Stock and Guarded are what the daemons say of their version, Go is what
	// they were built with.
	Stock   string `csv:"stock"`
	Guarded string `csv:"guarded"`
	Go      string `csv:"go"`
}

// thisMachine describes the machine and the daemons.
func thisMachine(ctx context.Context, programs harness.Binaries) (m machine, err error) {
	m.Cores = runtime.NumCPU()
	if m.CPU, m.Memory, err = hardware(); err != nil {
		return machine{}, fmt.Errorf("describe the machine: %w", err)
	}
	if m.Kernel, err = kernel(); err != nil {
		return machine{}, fmt.Errorf("describe the machine: %w", err)
	}
	if m.Stock, err = version(ctx, programs.Stock); err != nil {
		return machine{}, err
	}
	if m.Guarded, err = version(ctx, programs.Guarded); err != nil {
		return machine{}, err
	}
	info, err := buildinfo.ReadFile(programs.Guarded)
	if err != nil {
		return machine{}, err
	}
	m.Go = info.GoVersion
	return m, nil
}

// hardware returns the model of the processor, and the memory in bytes.
func hardware() (cpu string, memory int64, err error) {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		return "", 0, err
	}
	cpus, err := proc.CPUInfo()
	if err != nil {
		return "", 0, err
	}
	mem, err := proc.Meminfo()
	if err != nil {
		return "", 0, err
	}
	cpu = runtime.GOARCH
	// Not every architecture has a model there.
	if len(cpus) > 0 && cpus[0].ModelName != "" {
		cpu = cpus[0].ModelName
	}
	if mem.MemTotalBytes != nil {
		memory = int64(*mem.MemTotalBytes)
	}
	return cpu, memory, nil
}

// kernel returns its release without what the builder has added.
func kernel() (string, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "", err
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(name.Release[:]), "-")
	return unix.ByteSliceToString(name.Sysname[:]) + " " + release, nil
}

// version returns what a daemon says of its version and revision.
func version(ctx context.Context, daemon string) (string, error) {
	release, revision, err := harness.Version(ctx, daemon)
	return strings.TrimSpace(release + " " + revision), err
}

// note writes down that a section was measured here.
func (b *bench) note(section string) error {
	path := filepath.Join(dataDir, "measured.csv")
	all, err := readRows[measured](path)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m measured) bool { return m.Section == section })
	all = append(all, measured{section, time.Now().UTC().Format(time.DateOnly), b.machine})
	slices.SortFunc(all, func(x, y measured) int { return place(x.Section) - place(y.Section) })
	return writeRows(path, all)
}

// place is that of a section in the report.
func place(name string) int {
	return slices.IndexFunc(sections, func(s section) bool { return s.name == name })
}
