package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// The values of --format.
const (
	formatTable = "table"
	formatJSON  = "json"
)

func checkFormat(format string) error {
	if format != formatTable && format != formatJSON {
		return fmt.Errorf("unknown format (allowed: %s, %s)", formatTable, formatJSON)
	}
	return nil
}

// output prints what a command has found, in the form that --format asks for.
type output struct {
	format string
}

// print writes a value as JSON, or lets text write it for people: tabs separate
// columns.
func (o *output) print(w io.Writer, value any, text func(w io.Writer)) error {
	if o.format == formatJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(value)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	text(table)
	return table.Flush()
}

// table writes rows below a header, without the columns that are empty.
func table(w io.Writer, rows [][]string) {
	var columns []int
	for column := range rows[0] {
		if slices.ContainsFunc(rows[1:], func(r []string) bool { return r[column] != "" }) {
			columns = append(columns, column)
		}
	}
	for _, r := range rows {
		cells := make([]string, len(columns))
		for i, column := range columns {
			if cells[i] = r[column]; cells[i] == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
}
