package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// maxOutput is how much of what a test writes is kept: what it has failed of comes
// before the logs of its daemon.
const maxOutput = 64 << 10

// event is a line of go tool test2json.
type event struct {
	Action string
	Test   string
	Output string
}

// ofWorker tells whether a test runs against a daemon: upstream names the worker in it
// (util/testutil/integration/run.go).
func ofWorker(test string) bool { return strings.Contains(test, "/worker=") }

// readEvents reads the outcomes of the tests that run against a daemon. It calls done
// for each, as soon as it is known.
func readEvents(r io.Reader, done func(test string, v verdict)) (outcomes, error) {
	var (
		all    = outcomes{}
		output = map[string]*strings.Builder{}
		lines  = bufio.NewReader(r)
	)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return all, nil
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read the events of the tests: %w", err)
		}
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("read the events of the tests: %.100q: %w", line, err)
		}
		if !ofWorker(e.Test) {
			continue
		}
		switch e.Action {
		case "run":
			all[e.Test] = outcome{verdict: missing}
			output[e.Test] = &strings.Builder{}
		case "output":
			if text := output[e.Test]; text != nil && text.Len() < maxOutput {
				text.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			out := outcome{verdict: verdict(e.Action)}
			if text := output[e.Test]; text != nil && out.verdict != pass {
				out.output = text.String()
			}
			all[e.Test] = out
			delete(output, e.Test)
			done(e.Test, out.verdict)
		}
	}
}
