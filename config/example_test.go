package config_test

import (
	"errors"
	"fmt"

	"github.com/bkguard/bkguard/config"
)

func ExampleParse() {
	c, err := config.Parse("buildkitd.toml", []byte(`
root = "/var/lib/buildkit"

[guard]
  maxRemotes = 64
  maxMemory = "2.5%"
  [guard.exporter.inline]
    mode = "single"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Mode, c.MaxRemotes, c.MaxMemory, c.Exporters["inline"].Mode)
	fmt.Println(c.MaxMemory.Of(1<<30), "bytes of 1 GiB")
	// Output:
	// enforce 64 2.5% single
	// 26843545 bytes of 1 GiB
}

// A fault is one line that says where it is, what is wrong and what is allowed.
func ExampleParse_fault() {
	_, err := config.Parse("buildkitd.toml", []byte("[guard]\n  mode = \"enforec\"\n"))
	fmt.Println(err)
	var fault *config.Error
	if errors.As(err, &fault) {
		fmt.Println(fault.Line, fault.Key)
	}
	// Output:
	// buildkitd.toml:2: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)
	// 2 guard.mode
}

// A configuration made in Go is checked by guard.New, too.
func ExampleConfig_Validate() {
	fmt.Println(config.Config{}.Validate())
	fmt.Println(config.Config{Prefer: "small"}.Validate())
	// Output:
	// <nil>
	// guard.prefer: unknown prefer "small" (allowed: requested, smallest, main)
}

func ExampleParseMemory() {
	for _, text := range []string{"512MB", "5%", "plenty"} {
		m, err := config.ParseMemory(text)
		fmt.Println(m.Of(1000), err)
	}
	// Output:
	// 536870912 <nil>
	// 50 <nil>
	// 0 "plenty" is neither a size above zero such as "512MB" nor a percentage such as "5%"
}

func ExampleStricter() {
	fmt.Println(config.Stricter(config.ModeObserve, config.ModeSingle))
	// Output: single
}
