package killswitch

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitFor bounds the wait for what happens in the background, tick is the pause
// between two looks.
const (
	waitFor = 30 * time.Second
	tick    = 10 * time.Millisecond
)

// none is the mode of a file that asks for none.
const none config.Mode = ""

// follow follows a file, in a directory that may be missing.
func follow(t *testing.T, path string) *Switch {
	t.Helper()
	s := New(path, func() {})
	t.Cleanup(s.Close)
	return s
}

func modeOf(s *Switch) config.Mode {
	mode, _, _ := s.Current()
	return mode
}

// becomes waits until a file asks for a mode.
func becomes(t *testing.T, s *Switch, want config.Mode) {
	t.Helper()
	require.Eventually(t, func() bool { return modeOf(s) == want }, waitFor, tick, "mode %q", want)
}

// ignored waits until a content of the file was found wrong and holds that mode single
// is still in force.
func ignored(t *testing.T, s *Switch, invalid string) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, is, _ := s.Current()
		return strings.Contains(is, invalid)
	}, waitFor, tick, "%s", invalid)
	assert.Equal(t, config.ModeSingle, modeOf(s))
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
	s := follow(t, path)
	assert.Equal(t, none, modeOf(s))

	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	write(t, path, "block\n")
	becomes(t, s, config.ModeBlock)

	for text, want := range map[string]config.Mode{
		"off":                         config.ModeOff,
		"# incident 12\n\n  single\n": config.ModeSingle,
		"observe # for an hour":       config.ModeObserve,
		"block by the night shift":    config.ModeBlock,
	} {
		replace(t, path, text)
		becomes(t, s, want)
	}
	for _, text := range []string{"", "\n\n", "# nothing\n#off"} {
		write(t, path, "off")
		becomes(t, s, config.ModeOff)
		write(t, path, text)
		becomes(t, s, none)
	}
	write(t, path, "off")
	becomes(t, s, config.ModeOff)
	require.NoError(t, os.RemoveAll(filepath.Dir(path)))
	becomes(t, s, none)
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	write(t, path, "single")
	becomes(t, s, config.ModeSingle)
}

func TestGarbageInTheSwitchFileChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "single")
	s := follow(t, path)
	require.Equal(t, config.ModeSingle, modeOf(s), "the file counts from the start")
	_, _, before := s.Current()
	replace(t, path, "blok")
	ignored(t, s, `unknown mode "blok", did you mean "block"?`)
	replace(t, path, strings.Repeat("\x00garbage", 1<<17))
	ignored(t, s, `unknown mode "\x00garbage`)
	replace(t, path, strings.Repeat("# why\n", maxBytes))
	ignored(t, s, "no mode in its first 4096 bytes")
	link := func(target string) {
		require.NoError(t, os.Symlink(target, path+".new"))
		require.NoError(t, os.Rename(path+".new", path))
	}
	link(t.TempDir())
	ignored(t, s, "is a directory")
	link("mode")
	ignored(t, s, "too many levels of symbolic links")
	_, _, faults := s.Current()
	assert.GreaterOrEqual(t, faults, before+5)

	require.NoError(t, os.Remove(path))
	write(t, path, "off")
	becomes(t, s, config.ModeOff)
	_, invalid, _ := s.Current()
	assert.Empty(t, invalid)
}

func TestSwitchFileThatCannotBeReadDoesNotBlock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	assert.Equal(t, none, modeOf(follow(t, path)))
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
	s := follow(t, filepath.Join(dir, "mode"))
	becomes(t, s, config.ModeObserve)
	publish("..2", "block")
	becomes(t, s, config.ModeBlock)
}

// TestMomentOfAnEmptyFileIsNoSwitch rewrites the file in place, which leaves it
// empty or half written for a moment.
func TestMomentOfAnEmptyFileIsNoSwitch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	changes := 0
	s := &Switch{path: path, changed: func() { changes++ }}
	now := time.Now()
	var before config.Mode
	told := 0
	for _, step := range []struct {
		text  string
		after time.Duration
		want  config.Mode
	}{
		{"off", 0, config.ModeOff},
		{"off", 0, config.ModeOff},
		{"", 0, config.ModeOff},
		{"", interval - 1, config.ModeOff},
		{"of", time.Hour, config.ModeOff},
		{"", 0, config.ModeOff},
		{"block", time.Hour, config.ModeBlock},
		{"", 0, config.ModeBlock},
		{"garbage", 0, config.ModeBlock},
		{"", time.Hour, config.ModeBlock},
		{"", interval - 1, config.ModeBlock},
		{"", 1, ""}, // what stays is meant
	} {
		write(t, path, step.text)
		now = now.Add(step.after)
		s.look(t.Context(), now)
		mode, _, _ := s.Current()
		assert.Equal(t, step.want, mode, "%q after %s", step.text, step.after)
		if mode != before {
			told++
		}
		assert.Equal(t, told, changes, "changes that were told")
		before = mode
	}
}

// FuzzRead reads what anybody may have written there. What is a word
// and what a comment is told by a regular expression.
func FuzzRead(f *testing.F) {
	for _, text := range []string{
		"", "off", "\n\n  single\r\n", "# off\nobserve # on", "block#", "#", "#\x17", "enforce off", "\x00off", "off\x00", "\u00a0block\u2028single",
		"Off", "\xff\xfe", "of\nf", "\ufeffoff",
		strings.Repeat(" ", maxBytes-1) + "off", strings.Repeat("\n", maxBytes-3) + "off", strings.Repeat("\n", maxBytes-2) + "off",
		strings.Repeat("#", 2*maxBytes) + "\noff", strings.Repeat("o", 2*maxBytes), "off #" + strings.Repeat("-", maxBytes),
	} {
		f.Add([]byte(text))
	}
	firstWord := regexp.MustCompile(`\A(?:[\s\v\x{85}\p{Z}]|#[^\n]*(?:\n|\z))*([^\s\v\x{85}\p{Z}#]+)`)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "mode") // to replace the file would wait for the disk
		require.NoError(t, os.WriteFile(path, data, 0o600))
		mode, err := Read(path)
		word := ""
		read := data[:min(len(data), maxBytes)]
		if found := firstWord.FindSubmatch(read); found != nil {
			word = string(found[1])
		}
		if word == "" && len(read) == maxBytes {
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

// TestCloseWaitsForWhoIsTold closes the switch while somebody is told of a change.
func TestCloseWaitsForWhoIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	entered := make(chan struct{})
	var returned atomic.Bool
	s := New(path, func() {
		close(entered)
		time.Sleep(50 * time.Millisecond)
		returned.Store(true)
	})
	write(t, path, "off")
	<-entered
	s.Close()
	assert.True(t, returned.Load())
}

// TestFileIsClosed reads a file more often than it may stay open.
func TestFileIsClosed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mode")
	write(t, path, "off")
	// A collection would close what was forgotten.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	_, err := Read(path)
	require.NoError(t, err)
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range open {
		name, _ := os.Readlink("/proc/self/fd/" + fd.Name()) // that of the directory is gone
		assert.NotEqual(t, path, name)
	}
}
