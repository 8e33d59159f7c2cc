package main

import (
	"fmt"
	"slices"
)

// ClaimsTable is what the page says in short; empty if one of the sections it comes
// from was not measured.
func (d *data) ClaimsTable() string {
	if rows := d.claims(); rows != nil {
		return table(rows...)
	}
	return ""
}

// claims are the rows of the table; nil if one of the sections they come from was not
// measured.
func (d *data) claims() [][]string {
	if len(d.Conversions) == 0 || len(d.Layers) == 0 || len(d.Concurrent) == 0 || len(d.Imports) == 0 || len(d.Overhead) == 0 {
		return nil
	}
	rows := [][]string{{"limit " + size(limit), stock, guarded}, d.conversionClaim(64), d.conversionClaim(127)}
	for _, layers := range []int{16, 20, 64} {
		rows = append(rows, exportClaim(fmt.Sprintf("cache export, %d layers in gzip and zstd", layers), d.Layers, limit, layers))
	}
	for _, layers := range []int{16, 64} {
		rows = append(rows, exportClaim(fmt.Sprintf("8 such exports at once, %d layers", layers), d.Concurrent, limit, layers))
	}
	_, stockTotal := d.overheadOf(stock, 1)
	_, total := d.overheadOf(guarded, 1)
	inline, registry := way{"inline", "gzip"}, way{"registry", "gzip"}
	return append(rows,
		[]string{"inline cache, steps cached on a fresh daemon", cached(d.imported(stock, inline)), cached(d.imported(guarded, inline))},
		[]string{fmt.Sprintf("registry cache of %d layers, blobs", d.imported(guarded, registry).Layers), blobs(d.imported(stock, registry)), blobs(d.imported(guarded, registry))},
		[]string{"layers in gzip alone, 200 records: time of an export", duration(stockTotal), duration(total) + ", " + ratio(total/stockTotal)},
	)
}

// exportClaim is what became of an export on both daemons.
func exportClaim(what string, all []export, limit int64, layers int) []string {
	row := []string{what, "", ""}
	for _, s := range summarize(all) {
		if s.Limit == limit && s.Layers == layers {
			row[1+slices.Index([]string{stock, guarded}, s.Daemon)] = s.text()
		}
	}
	return row
}

func blobs(i imported) string { return fmt.Sprintf("%d, %s", i.Blobs, size(i.Bytes)) }
