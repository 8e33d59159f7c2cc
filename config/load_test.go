package config

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"github.com/stretchr/testify/require"
)

func TestExampleIsTheDefault(t *testing.T) {
	c, err := LoadFile("buildkitd.example.toml")
	require.NoError(t, err)
	want := Default()
	want.Exporters = map[string]Exporter{"registry": {Mode: ModeEnforce, Prefer: PreferRequested}}
	require.Equal(t, want, c)
}

func TestMissingFileIsTheDefault(t *testing.T) {
	c, err := LoadFile(filepath.Join(t.TempDir(), "none.toml"))
	require.NoError(t, err)
	require.Equal(t, Default(), c)
}

func TestEveryKeyIsRead(t *testing.T) {
	c, err := Parse("f", []byte(`[guard]
mode = "single"
maxRemotes = 1
maxMemory = "1GB"
memoryLimit = "off"
switchFile = "/run/mode"
prefer = "main"
warnImages = true
exporter.s3 = { mode = "off", prefer = "smallest" }
`))
	require.NoError(t, err)
	require.Equal(t, Config{
		Mode: ModeSingle, MaxRemotes: 1, MaxMemory: Memory{Bytes: 1 << 30}, MemoryLimit: Memory{Off: true},
		SwitchFile: "/run/mode", Prefer: PreferMain, WarnImages: true,
		Exporters: map[string]Exporter{"s3": {Mode: ModeOff, Prefer: PreferSmallest}},
	}, c)
}

func TestOtherTablesAreIgnored(t *testing.T) {
	c, err := Parse("f", []byte("root = \"/x\"\n[worker.oci]\nenabled = 1\n[nobody.knows]\nx = 1\n[guard]\nmaxRemotes = 7\n"))
	require.NoError(t, err)
	require.Equal(t, 7, c.MaxRemotes)
}

func TestExporterOverridesGuard(t *testing.T) {
	c, err := Parse("f", []byte("[guard]\nmode = \"single\"\nprefer = \"main\"\n[guard.exporter.s3]\nmode = \"off\"\n"))
	require.NoError(t, err)
	require.Equal(t, ModeSingle, c.Mode)
	require.Equal(t, map[string]Exporter{"s3": {Mode: ModeOff}}, c.Exporters)
	require.Equal(t, PreferMain, c.PreferOf("s3"))
}

func TestFaultsNameFileLineKeyAndWhatIsAllowed(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"malformed": {
			"[guard\n", "f.toml:1: ",
		},
		"malformed elsewhere": {
			"[guard]\n[worker]\nx = \n", "f.toml:3: ",
		},
		"unknown key": {
			"[guard]\nmode = \"off\"\nmaxRemote = 1\n",
			`f.toml:3: guard.maxRemote: unknown key "maxRemote", did you mean "maxRemotes"? (allowed: mode, maxRemotes, maxMemory, memoryLimit, switchFile, prefer, warnImages, exporter)`,
		},
		"unknown exporter key": {
			"[guard.exporter.s3]\nmod = \"off\"\n",
			`f.toml:2: guard.exporter.s3.mod: unknown key "mod", did you mean "mode"? (allowed: mode, prefer)`,
		},
		"unknown table in a table": {
			"[guard.limits.s3]\nmode = \"off\"\n",
			`f.toml:1: guard.limits.s3: unknown key "s3" (allowed: mode, maxRemotes, `,
		},
		"unknown exporter": {
			"[guard]\n[guard.exporter.regsitry]\nmode = \"off\"\n",
			`f.toml:2: guard.exporter.regsitry: unknown cache exporter "regsitry", did you mean "registry"? (allowed: azblob, gha, inline, local, registry, s3)`,
		},
		"negative cap": {
			"[guard]\n\nmaxRemotes = -1\n",
			`f.toml:3: guard.maxRemotes: -1 is out of range (allowed: 1 to 1048576; mode = "single" never builds more than one chain)`,
		},
		"zero cap in an inline table": {
			"guard = { maxRemotes = 0 }\n", "f.toml:1: guard.maxRemotes: 0 is out of range",
		},
		"dotted key": {
			"x = 1\nguard.maxRemotes = 0\n", "f.toml:2: guard.maxRemotes: 0 is out of range",
		},
		"too much": {
			"[guard]\nmaxMemory = \"200%\"\n",
			`f.toml:2: guard.maxMemory: "200%" is not a percentage above 0% and up to 100%`,
		},
		"off is no amount": {
			"[guard]\nmaxMemory = \"off\"\n", `f.toml:2: guard.maxMemory: "off" is neither a size above zero such as "512MB" nor a percentage such as "5%"`,
		},
		"no size": {
			"[guard]\nmaxMemory = \"lots\"\n", `f.toml:2: guard.maxMemory: "lots" is neither a size above zero such as "512MB" nor a percentage such as "5%"`,
		},
		"no limit": {
			"[guard]\nmemoryLimit = \"of\"\n", `f.toml:2: guard.memoryLimit: "of" is neither a size above zero such as "512MB" nor a percentage such as "5%", nor "off"`,
		},
		"near word": {
			"[guard]\nmode = \"enforec\"\n",
			`f.toml:2: guard.mode: unknown mode "enforec", did you mean "enforce"? (allowed: off, observe, enforce, single, block)`,
		},
		"empty word": {
			"[guard]\nprefer = \"\"\n", `f.toml:2: guard.prefer: unknown prefer "" (allowed: requested, smallest, main)`,
		},
		"wrong type": {
			"[guard]\nmaxRemotes = \"many\"\n", "f.toml:2: guard.maxRemotes: ",
		},
		"a word for a switch": {
			"[guard]\nwarnImages = \"yes\"\n", "f.toml:2: guard.warnImages: ",
		},
		"guard is no table": {
			"guard = 3\n", "f.toml:1: guard: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f.toml", []byte(tc.text))
			require.ErrorContains(t, err, tc.want)
			var fault *Error
			require.ErrorAs(t, err, &fault)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestDirectoryAsConfig(t *testing.T) {
	dir := t.TempDir()
	_, err := LoadFile(dir)
	require.EqualError(t, err, dir+": cannot read the configuration: is a directory")
}

func TestUnreadableFileIsAnError(t *testing.T) {
	// A loop of links cannot be read by anybody, root included.
	path := filepath.Join(t.TempDir(), "loop.toml")
	require.NoError(t, os.Symlink(path, path))
	_, err := LoadFile(path)
	require.ErrorContains(t, err, path+": cannot read the configuration: too many levels of symbolic links")
}

// FuzzParse holds what everybody relies on: a fault can be found by its line and
// key, and a table without a fault has values that make sense.
func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("buildkitd.example.toml")
	require.NoError(f, err)
	f.Add(string(example))
	for _, text := range []string{
		"[guard]\nmaxRemotes = 1\n",
		"[guard]\nmaxRemotes = 1048577\n",
		"[guard]\nmaxMemory = \"1.5GB\"\nmemoryLimit = \"off\"\nprefer = \"smallest\"\nswitchFile = '/x'\n",
		"[guard]\nmaxMemory = \"0.1%\"\nmemoryLimit = \"101%\"\n",
		"guard.exporter.s3 = { mode = \"off\" }\n",
		"guard = { exporter = { inline = { mode = \"block\", prefer = \"main\" } } }\n",
		"[guard.exporter.nobody]\n",
		"[guard.exporter.s3]\nmode = \"\"\n[guard]\nmode = \"single\"\n",
		"[guard]\nwarnImages = true\n",
		"[guard]\nwarnImages = \"yes\"\n",
		"[guard]\nmods = 1\n",
		"[guard]\n\"a\\nb\" = 1\n",
		"[guard.exporter.\"a\\nb\"]\n",
		"[Guard]\nmods = 1\n",
		"[GUARD]\nMaxRemotes = 0\n",
		"[[guard]]\n",
		"guard = [1]\n",
		"[guard\n", "[other]\n[other]\n",
		"[worker.oci]\nenabled = 1\n[guard]\r\nmode = 'off' # comment\r\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Parse("f.toml", []byte(text))
		settings, settingsErr := Settings("f.toml", []byte(text))
		require.Equal(t, err, settingsErr)
		lines := strings.Count(text, "\n") + 1
		if err != nil {
			var fault *Error
			require.ErrorAs(t, err, &fault)
			require.True(t, strings.HasPrefix(err.Error(), "f.toml:"), err)
			require.NotContains(t, err.Error(), "\n")
			require.Positive(t, fault.Line, err)
			require.LessOrEqual(t, fault.Line, lines, err)
			if toml.Unmarshal([]byte(text), &map[string]any{}) == nil {
				require.Regexp(t, `^(?i:guard\b)`, fault.Key, "what is outside of the table is upstream's affair")
			}
			return
		}

		require.Contains(t, Modes(), c.Mode)
		require.Contains(t, Preferences(), c.Prefer)
		require.Positive(t, c.MaxRemotes)
		require.LessOrEqual(t, c.MaxRemotes, MaxRemotesLimit)
		require.False(t, c.MaxMemory.Off, "there is no word for it")
		require.Empty(t, c.Override, "it has no key")
		for _, m := range []Memory{c.MaxMemory, c.MemoryLimit} {
			require.LessOrEqual(t, m.Percent, 100.0)
			kinds := 0
			for _, is := range []bool{m.Off, m.Percent > 0, m.Bytes > 0} {
				if is {
					kinds++
				}
			}
			require.Equal(t, 1, kinds, "%+v", m)
		}
		want := map[string]string{
			"guard.mode": string(c.Mode), "guard.maxRemotes": strconv.Itoa(c.MaxRemotes), "guard.maxMemory": c.MaxMemory.String(),
			"guard.memoryLimit": c.MemoryLimit.String(), "guard.switchFile": c.SwitchFile, "guard.prefer": string(c.Prefer),
			"guard.warnImages": strconv.FormatBool(c.WarnImages),
		}
		for name, e := range c.Exporters {
			require.Contains(t, ExporterTypes(), name)
			if e.Mode != "" {
				require.Contains(t, Modes(), e.Mode)
				want["guard.exporter."+name+".mode"] = string(e.Mode)
			}
			if e.Prefer != "" {
				require.Contains(t, Preferences(), e.Prefer)
				want["guard.exporter."+name+".prefer"] = string(e.Prefer)
			}
		}
		got := make(map[string]string)
		for _, s := range settings {
			got[s.Key] = s.Value
			require.LessOrEqual(t, s.Line, lines, s.Key)
			if s.Line == 0 {
				require.NotContains(t, s.Key, "exporter", "these are there if they are written")
			}
		}
		require.Len(t, settings, len(want))
		require.Equal(t, want, got)
	})
}
