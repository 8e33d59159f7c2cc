package harness

import (
	"strconv"
	"strings"
)

// LogEntry is a line of the daemon's log: field to value.
type LogEntry map[string]string

// LogEntries returns the lines of the log that have a message.
func (d *Daemon) LogEntries(message string) ([]LogEntry, error) {
	text, err := d.Log()
	if err != nil {
		return nil, err
	}
	var found []LogEntry
	for line := range strings.Lines(text) {
		if entry, ok := parseEntry(line); ok && entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found, nil
}

// parseEntry reads a line of the form that logrus writes: fields as key=value,
// quoted where it must be. Other text has no fields.
func parseEntry(line string) (LogEntry, bool) {
	entry := LogEntry{}
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		key, after, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(key, ` "`) {
			return nil, false
		}
		if quoted, err := strconv.QuotedPrefix(after); err == nil {
			if entry[key], err = strconv.Unquote(quoted); err != nil {
				return nil, false
			}
			rest = after[len(quoted):]
			continue
		}
		entry[key], rest, _ = strings.Cut(after, " ")
	}
	return entry, len(entry) > 0
}
