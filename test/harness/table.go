package harness

import (
	"slices"
	"strings"
)

// TableHead writes the head of a table in Markdown.
func TableHead(page *strings.Builder, columns ...string) {
	TableRow(page, columns...)
	TableRow(page, slices.Repeat([]string{"---"}, len(columns))...)
}

// TableRow writes a row of a table in Markdown.
func TableRow(page *strings.Builder, columns ...string) {
	page.WriteString("| " + strings.Join(columns, " | ") + " |\n")
}
