package main

import (
	"os"
	"path/filepath"
	"regexp"
)

// lastRun is what a page says of the command that has written it: the day, and the guarded
// daemon.
var lastRun = regexp.MustCompile(`Last run on (\d{4}-\d{2}-\d{2})\s+with (bkguard-\S+?)[.,]?\s`)

// lastRuns reads the pages of a directory.
func lastRuns(docs string) (map[string]string, error) {
	pages, err := filepath.Glob(filepath.Join(docs, "*.md"))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		if m := lastRun.FindSubmatch(text); m != nil {
			found[filepath.Base(page)] = string(m[1]) + ", " + string(m[2])
		}
	}
	return found, nil
}
