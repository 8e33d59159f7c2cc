package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// makeKeys makes the keys that some of upstream's tests sign with, by upstream's own
// scripts, and returns their directory; it is empty where the programs are missing, and
// then these tests say that they are skipped.
func (s source) makeKeys(ctx context.Context, dir string) (string, error) {
	for _, name := range []string{"gpg", "ssh-keygen"} {
		if _, err := exec.LookPath(name); err != nil {
			return "", nil
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", fmt.Errorf("make keys to sign with: %w", err)
	}
	for _, kind := range []string{"gpg", "ssh"} {
		for _, user := range []string{"user1", "user2"} {
			script := filepath.Join(s.dir, "hack", "fixtures", "gen_"+kind+"_test_env.sh")
			// The agent that gpg leaves behind ends with the namespace.
			_, err := command(ctx, dir, "unshare", "--pid", "--fork", "--kill-child",
				"env", "BUILDKIT_TEST_SIGN_FIXTURES="+dir, "sh", script, user)
			if err != nil {
				return "", fmt.Errorf("make keys to sign with: %w", err)
			}
		}
	}
	return dir, nil
}
