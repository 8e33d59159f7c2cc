package test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/bkguard/bkguard/test/harness"
)

// conversionRow is a conversion with its outcomes. Stock is nil if it was not asked.
type conversionRow struct {
	conversion
	guarded converted
	stock   *converted
}

const conversionsHead = `# Every conversion, guarded beside stock

` + "`make conversions`" + ` has written this page; it takes most of an hour. ` + "`make test`" + ` does a
part of it. %s.

A daemon that has nothing builds %d RUN steps on a base image and exports what the
row says, in the compression of the row: with ` + "`force-compression=true`" + `, so that every
layer of the base is converted. A fresh daemon builds again with nothing but the
cache. The rows "steps" have one layer in the base and %d RUN steps, each of which
writes as much as a layer of the base: they get their first blob in the cache export,
` + "`mode=max`" + `, without force. The rows "rewritten" are of an image with
` + "`rewrite-timestamp=true`" + `.

The base is in zstd where the target is gzip, else in gzip. Stock converts the layers of an
image at the same time, and those of a cache one after the other if they have a blob
already. The number is the peak of the daemon's own memory; *killed* is what the kernel did
at the limit. All steps were cached on the fresh daemon unless the row says how many were.

| limit | layers | export | to | guarded | stock |
| --- | --- | --- | --- | --- | --- |
`

// conversionsPage is all rows as a page.
func conversionsPage(t *testing.T, rows []conversionRow) []byte {
	t.Helper()
	var page strings.Builder
	fmt.Fprintf(&page, conversionsHead, lastRun(t), steps, manySteps)
	for _, r := range rows {
		layers := fmt.Sprintf("%d of %d MiB", r.layers, r.layerSize)
		if r.export == "steps" {
			layers = fmt.Sprintf("%d of %d MiB", manySteps, r.layerSize)
		}
		harness.TableRow(&page, strconv.FormatInt(r.memory()/mebibyte, 10)+" MiB", layers, r.export, r.target(), (&r.guarded).String(), r.stock.String())
	}
	return []byte(page.String())
}
