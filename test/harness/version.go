package harness

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// Version is what a buildkitd says of its release and of its revision, which is empty for a
// stock one and names the guard otherwise, such as "bkguard-0.2.0-5333c4e10bdc".
func Version(ctx context.Context, daemon string) (release, revision string, err error) {
	out, err := Run(ctx, Command{Path: daemon, Args: []string{"--version"}})
	if err != nil {
		return "", "", err
	}
	words := strings.Fields(out)
	if len(words) < 3 {
		return "", "", fmt.Errorf("%s --version says %q", daemon, out)
	}
	return words[2], strings.Join(words[3:], " "), nil
}

// Commit is that of a checkout, with ".m" behind it if files are not as they are there: as in
// the revision of a daemon that is built from it.
func Commit(ctx context.Context, dir string) (string, error) {
	out, err := Run(ctx, Command{
		Path: "git", Args: []string{"describe", "--always", "--abbrev=12", "--dirty=.m", "--exclude=*"},
		Dir: dir, Env: os.Environ(),
	})
	if err != nil {
		return "", fmt.Errorf("find the commit: %w", err)
	}
	return strings.TrimSpace(out), nil
}

// LastRun says in a page when the command that writes it was run, and with which revision of
// the guard. The page of proofs reads it there (test/report/lastrun.go).
func LastRun(revision string) string {
	return "Last run on " + time.Now().UTC().Format(time.DateOnly) + " with " + revision
}
