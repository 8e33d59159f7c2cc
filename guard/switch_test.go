package guard

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bkguard/bkguard/config"
)

// switchedGuard is a guard with a switch file, in a directory that may be
// missing.
func switchedGuard(t *testing.T, path string) *Guard {
	t.Helper()
	g := newTestGuard(t, config.Config{SwitchFile: path})
	t.Cleanup(func() { require.NoError(t, g.Close()) })
	return g
}

// becomes waits until a mode is in force.
func becomes(t *testing.T, g *Guard, want config.Mode) {
	t.Helper()
	require.Eventually(t, func() bool {
		mode, _ := g.Mode("registry")
		return mode == want
	}, waitFor, tick, "mode %s", want)
}

// ignored waits until a content of the switch file was found wrong and holds
// that mode single is still in force.
func ignored(t *testing.T, g *Guard, invalid string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, is, _ := g.modeSwitch.current()
		return strings.Contains(is, invalid)
	}, waitFor, tick, "%s", invalid)
	mode, _ := g.Mode("registry")
	assert.Equal(t, config.ModeSingle, mode)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// replace puts a file in place by an atomic rename.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	require.NoError(t, os.Rename(path+".new", path))
}

func TestSwitchFileIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "later", "mode")
	g := switchedGuard(t, path)
	mode, source := g.Mode("registry")
	assert.Equal(t, config.ModeEnforce, mode)
	assert.Equal(t, ModeFromGuard, source)

	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	write(t, path, "block\n")
	becomes(t, g, config.ModeBlock)
	_, source = g.Mode("registry")
	assert.Equal(t, ModeFromSwitch, source)

	for text, want := range map[string]config.Mode{
		"off":                         config.ModeOff,
		"# incident 12\n\n  single\n": config.ModeSingle,
		"observe # for an hour":       config.ModeObserve,
		"block by the night shift":    config.ModeBlock,
	} {
		replace(t, path, text)
		becomes(t, g, want)
	}
	for _, text := range []string{"", "\n\n", "# nothing\n#off"} {
		write(t, path, "off")
		becomes(t, g, config.ModeOff)
		write(t, path, text)
		becomes(t, g, config.ModeEnforce)
	}
	write(t, path, "off")
	becomes(t, g, config.ModeOff)
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	becomes(t, g, config.ModeEnforce)
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	write(t, path, "single")
	becomes(t, g, config.ModeSingle)
}

func TestGarbageInTheSwitchFileChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "single")
	g := switchedGuard(t, path)
	mode, _ := g.Mode("registry")
	require.Equal(t, config.ModeSingle, mode, "the file counts from the start")
	_, _, before := g.modeSwitch.current()
	replace(t, path, "blok")
	ignored(t, g, `unknown mode "blok", did you mean "block"?`)
	replace(t, path, strings.Repeat("\x00garbage", 1<<17))
	ignored(t, g, `unknown mode "\x00garbage`)
	replace(t, path, strings.Repeat("# why\n", switchMaxBytes))
	ignored(t, g, "no mode in its first 4096 bytes")
	link := func(target string) {
		require.NoError(t, os.Symlink(target, path+".new"))
		require.NoError(t, os.Rename(path+".new", path))
	}
	link(t.TempDir())
	ignored(t, g, "is a directory")
	link("mode")
	ignored(t, g, "too many levels of symbolic links")
	_, _, faults := g.modeSwitch.current()
	assert.GreaterOrEqual(t, faults, before+5)

	require.NoError(t, os.Remove(path))
	write(t, path, "off")
	becomes(t, g, config.ModeOff)
	_, invalid, _ := g.modeSwitch.current()
	assert.Empty(t, invalid)
}

func TestSwitchFileThatCannotBeReadDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	g := switchedGuard(t, path)
	mode, _ := g.Mode("registry")
	assert.Equal(t, config.ModeEnforce, mode)
}

// TestConfigMapIsFollowed changes the file as a kubelet does: through a link to
// a directory of which a new one takes the place.
func TestConfigMapIsFollowed(t *testing.T) {
	dir := t.TempDir()
	publish := func(version, text string) {
		require.NoError(t, os.Mkdir(filepath.Join(dir, version), 0o700))
		write(t, filepath.Join(dir, version, "mode"), text)
		require.NoError(t, os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		require.NoError(t, os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")))
	}
	publish("..1", "observe")
	require.NoError(t, os.Symlink(filepath.Join("..data", "mode"), filepath.Join(dir, "mode")))
	g := switchedGuard(t, filepath.Join(dir, "mode"))
	becomes(t, g, config.ModeObserve)
	publish("..2", "block")
	becomes(t, g, config.ModeBlock)
}

// TestMomentOfAnEmptyFileIsNoSwitch rewrites the file in place, which leaves it
// empty or half written for a moment.
func TestMomentOfAnEmptyFileIsNoSwitch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	s := &modeSwitch{path: path, changed: func() {}}
	now := time.Now()
	for _, step := range []struct {
		text  string
		after time.Duration
		want  config.Mode
	}{
		{"off", 0, config.ModeOff},
		{"", 0, config.ModeOff},
		{"", switchInterval - 1, config.ModeOff},
		{"of", time.Hour, config.ModeOff},
		{"", 0, config.ModeOff},
		{"block", time.Hour, config.ModeBlock},
		{"", 0, config.ModeBlock},
		{"garbage", 0, config.ModeBlock},
		{"", time.Hour, config.ModeBlock},
		{"", switchInterval - 1, config.ModeBlock},
		{"", 1, ""}, // what stays is meant
	} {
		write(t, path, step.text)
		now = now.Add(step.after)
		s.look(t.Context(), now)
		mode, _, _ := s.current()
		assert.Equal(t, step.want, mode, "%q after %s", step.text, step.after)
	}
}

func TestCloseStopsWatching(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "single")
	g := newTestGuard(t, config.Config{SwitchFile: path})
	require.NoError(t, g.Close())
	require.NoError(t, g.Close())
	mode, _ := g.Mode("registry")
	assert.Equal(t, config.ModeSingle, mode)
	require.NoError(t, newTestGuard(t, config.Config{}).Close())
}

// FuzzReadSwitchFile reads what anybody may have written there. What is a word
// and what a comment is told by a regular expression.
func FuzzReadSwitchFile(f *testing.F) {
	for _, text := range []string{
		"", "off", "\n\n  single\r\n", "# off\nobserve # on", "block#", "#", "#\x17", "enforce off", "\x00off", "off\x00", "\u00a0block\u2028single",
		"Off", "\xff\xfe", "of\nf", "\ufeffoff",
		strings.Repeat(" ", switchMaxBytes-1) + "off", strings.Repeat("\n", switchMaxBytes-3) + "off", strings.Repeat("\n", switchMaxBytes-2) + "off",
		strings.Repeat("#", 2*switchMaxBytes) + "\noff", strings.Repeat("o", 2*switchMaxBytes), "off #" + strings.Repeat("-", switchMaxBytes),
	} {
		f.Add([]byte(text))
	}
	firstWord := regexp.MustCompile(`\A(?:[\s\v\x{85}\p{Z}]|#[^\n]*(?:\n|\z))*([^\s\v\x{85}\p{Z}#]+)`)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "mode") // to replace the file would wait for the disk
		require.NoError(t, os.WriteFile(path, data, 0o600))
		mode, err := ReadSwitchFile(path)
		word := ""
		read := data[:min(len(data), switchMaxBytes)]
		if found := firstWord.FindSubmatch(read); found != nil {
			word = string(found[1])
		}
		if word == "" && len(read) == switchMaxBytes {
			require.ErrorContains(t, err, "no mode in its first")
		}
		if err != nil {
			require.Empty(t, mode)
			require.ErrorContains(t, err, path)
			require.Less(t, len(err.Error()), 400)
			require.False(t, strings.ContainsFunc(err.Error(), unicode.IsControl), "%q", err)
			require.NotContains(t, config.Modes(), config.Mode(word))
			return
		}
		require.Equal(t, word, string(mode))
		if mode != "" {
			require.Contains(t, config.Modes(), mode)
		}
	})
}

// TestOnModeFollowsTheSwitch is told at once, and of each change.
func TestOnModeFollowsTheSwitch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	g := newTestGuard(t, config.Config{Mode: config.ModeSingle, SwitchFile: path})
	told := make(chan config.Mode, 10)
	g.OnMode(func(m config.Mode) { told <- m })
	assert.Equal(t, config.ModeSingle, <-told)
	for _, mode := range []config.Mode{config.ModeOff, config.ModeEnforce} {
		write(t, path, string(mode))
		assert.Equal(t, mode, <-told)
	}
	require.NoError(t, g.Close())
	write(t, path, "block")
	assert.Empty(t, told, "not after Close")

	(*Guard)(nil).OnMode(func(m config.Mode) { told <- m })
	assert.Equal(t, config.ModeOff, <-told)
}
