// Package config reads the [guard] table of buildkitd.toml.
//
// The table lives in the daemon's own file: upstream's buildkitd ignores tables
// that it does not know, and this package ignores every table but its own.
// Inside [guard] it is strict.
//
// [LoadFile] and [Parse] read the table; a program may as well fill in a [Config],
// whose zero value holds the defaults. buildkitd.example.toml has every key.
package config

// Defaults of the [guard] table.
const (
	DefaultMode       = ModeEnforce
	DefaultPrefer     = PreferRequested
	DefaultMaxRemotes = 256
)

// MaxRemotesLimit is the highest value that maxRemotes takes. A record that
// needs more is the one the guard exists for.
const MaxRemotesLimit = 1 << 20

// Config is the [guard] table. The zero value of a field means its default;
// Default has them filled in.
type Config struct {
	// Mode is how far the guard goes; the default is ModeEnforce.
	Mode Mode
	// MaxRemotes is how many remotes may be built for one cache record, the
	// main one included. Zero means 256; the highest is MaxRemotesLimit.
	MaxRemotes int
	// MaxMemory bounds what all exports of the process hold together: layers that
	// are compressed or sent wait for it, remotes that do not fit are not built.
	// Zero means 25% of the memory limit.
	MaxMemory Memory
	// MemoryLimit is what GOMEMLIMIT is set to when the daemon starts, unless
	// the environment sets it. Zero means 90% of the cgroup's limit.
	MemoryLimit Memory
	// SwitchFile is the path of the kill-switch, a file whose first word is the
	// mode. It wins over everything else. Empty means there is none.
	SwitchFile string
	// Override is a mode that wins over Mode and that of any exporter; empty
	// means there is none. It has no key: the daemon takes it from the
	// environment.
	Override Mode
	// Prefer says which blob of a layer an export writes; the default is
	// PreferRequested.
	Prefer Prefer
	// WarnImages lets the frontends of the daemon warn clients of base images
	// whose layers are there in many compressions. The default is false.
	WarnImages bool
	// Exporters holds what differs by type of cache exporter.
	Exporters map[string]Exporter
}

// Exporter is one [guard.exporter.<type>] table. A zero field takes the value
// of [guard].
type Exporter struct {
	Mode   Mode
	Prefer Prefer
}

// Default returns the configuration of an empty [guard] table.
func Default() Config {
	return Config{}.WithDefaults()
}

// WithDefaults returns c with its zero fields replaced by their defaults.
func (c Config) WithDefaults() Config {
	if c.Mode == "" {
		c.Mode = DefaultMode
	}
	if c.MaxRemotes == 0 {
		c.MaxRemotes = DefaultMaxRemotes
	}
	if c.MaxMemory == (Memory{}) {
		c.MaxMemory = Memory{Percent: 25}
	}
	if c.MemoryLimit == (Memory{}) {
		c.MemoryLimit = Memory{Percent: 90}
	}
	if c.Prefer == "" {
		c.Prefer = DefaultPrefer
	}
	return c
}

// PreferOf returns the preference for a type of cache exporter; an empty or
// unknown type gives that of [guard].
func (c Config) PreferOf(exporter string) Prefer {
	if p := c.Exporters[exporter].Prefer; p != "" {
		return p
	}
	return c.Prefer
}
