package killswitch

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/bkguard/bkguard/config"
)

// maxBytes is how much of the file is read.
const maxBytes = 4096

// Read returns the mode that a switch file asks for: its first word, and none if the
// file is missing or has no word. "#" begins a comment. The error names the file and says
// why it is ignored.
func Read(path string) (config.Mode, error) {
	// A named pipe without a writer would block.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the switch file: %w", err)
	}
	defer f.Close()
	// One word is all that is needed, however much is there.
	data, err := io.ReadAll(io.LimitReader(f, maxBytes))
	if err != nil {
		return "", fmt.Errorf("read the switch file: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		if words := strings.Fields(line); len(words) > 0 {
			word := words[0]
			mode, err := config.ParseMode("mode", word[:min(len(word), 40)])
			if err != nil {
				return "", fmt.Errorf("switch file %s: %w", path, err)
			}
			return mode, nil
		}
	}
	if len(data) == maxBytes {
		return "", fmt.Errorf("switch file %s: no mode in its first %d bytes", path, maxBytes)
	}
	return "", nil
}
