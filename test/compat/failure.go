package main

import (
	"regexp"
	"strings"
)

// failure is how a program has failed.
type failure struct {
	err    error
	output string
}

// telling are the lines that say most, best first: a place in the source, a test
// that has failed, and what a command says of itself.
var telling = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^\S+\.go:\d+.*$`),
	regexp.MustCompile(`(?m)^--- FAIL: \S+`),
	regexp.MustCompile(`(?m)^(?:go|weave): .*$`),
}

// Error is the line of the output that says most.
func (f *failure) Error() string {
	for _, pattern := range telling {
		if line := pattern.FindString(f.output); line != "" {
			return line
		}
	}
	lines := strings.Split(f.output, "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return f.err.Error()
}

// Unwrap returns how the program has ended.
func (f *failure) Unwrap() error { return f.err }

// logged is a line that a test had in the log of the daemon's parts.
var logged = regexp.MustCompile(`(?m)^time="\S+ level=.*\n?`)

// withoutLog is the output without log lines.
func (f *failure) withoutLog() string { return logged.ReplaceAllString(f.output, "") }
