package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/urfave/cli/v3"

	"github.com/bkguard/bkguard/guard"
)

// TestManualIsTheHelp holds that the manual page is made from the commands as they are:
// go test ./cmd/bkguard -run TestManualIsTheHelp -update writes it.
func TestManualIsTheHelp(t *testing.T) {
	const file = "../../deploy/man/bkguard.1"
	page := md2man.Render([]byte(manual(rootCommand())))
	if *update {
		require.NoError(t, os.WriteFile(file, page, 0o644))
	}
	is, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(page), string(is))
}

// manual is the manual page of a program in Markdown.
func manual(root *cli.Command) string {
	var page strings.Builder
	fmt.Fprintf(&page, "%% %s 1 \"\" \"%s %s\"\n\n", strings.ToUpper(root.Name), root.Name, guard.Version)
	fmt.Fprintf(&page, "# NAME\n\n%s - %s\n\n", root.Name, root.Usage)
	fmt.Fprintf(&page, "# SYNOPSIS\n\n    %s [global options] command [options] [arguments]\n\n", root.Name)
	fmt.Fprintf(&page, "# DESCRIPTION\n\n%s\n\n", paragraphs(root.Description))
	fmt.Fprintf(&page, "# GLOBAL OPTIONS\n\n%s\n# COMMANDS\n\n", options(root))
	commands(&page, root.Name, root.VisibleCommands())
	return page.String()
}

// commands writes a section for each command, and for those below it.
func commands(page *strings.Builder, above string, all []*cli.Command) {
	for _, c := range all {
		name := above + " " + c.Name
		fmt.Fprintf(page, "## %s\n\n%s\n\n", name, c.Usage)
		if c.UsageText != "" {
			fmt.Fprintf(page, "%s\n\n", paragraphs("   "+strings.ReplaceAll(c.UsageText, "\n", "\n   ")))
		}
		fmt.Fprintf(page, "%s\n\n%s\n", paragraphs(c.Description), options(c))
		commands(page, name, c.VisibleCommands())
	}
}

// paragraphs are those of a description, in which the lines with space before them stay as
// they are.
func paragraphs(description string) string {
	var text strings.Builder
	verbatim := false
	for line := range strings.Lines(description) {
		if indented := strings.HasPrefix(line, "   "); indented != verbatim && strings.TrimSpace(line) != "" {
			verbatim = indented
			text.WriteString("\n")
		}
		if verbatim {
			text.WriteString(" ") // three of its own, four are code
		}
		text.WriteString(line)
	}
	return text.String()
}

// options are the flags of a command, each with what its help says.
func options(c *cli.Command) string {
	var list strings.Builder
	for _, flag := range c.VisibleFlags() {
		name, usage, _ := strings.Cut(flag.String(), "\t")
		fmt.Fprintf(&list, "**%s**\n: %s\n\n", strings.TrimSpace(name), usage)
	}
	return list.String()
}
