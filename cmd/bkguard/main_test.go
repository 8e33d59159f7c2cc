package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/bkguard/bkguard/test/harness"
)

// checked runs the tests and looks for what they have left behind.
type checked struct{ *testing.M }

func (m checked) Run() int {
	code := m.M.Run()
	if err := errors.Join(harness.CheckClean(), goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func TestFailureIsOneLine(t *testing.T) {
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"bkguard", "check", "no\nfile"}, strings.NewReader(""), &stdout, &stderr)
	assert.Equal(t, exitError, code)
	assert.Empty(t, stdout.String())
	assert.Equal(t, "bkguard: open no; file: no such file or directory\n", stderr.String())
}

func TestMain(m *testing.M) {
	testscript.Main(checked{m}, map[string]func(){"bkguard": main})
}
