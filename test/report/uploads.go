package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/bkguard/bkguard/test/harness"
)

// uploadBase is the image whose layers are sent.
var uploadBase = harness.Base{Layers: 8, LayerSize: 200_000_000}

// upload is how a daemon fared that sends large layers, once.
type upload struct {
	Daemon   string `csv:"daemon"`
	Limit    int64  `csv:"limit_bytes"` // 0 is none
	Exporter string `csv:"exporter"`
	Exports  int    `csv:"exports"`
	Round    int    `csv:"round"`
	outcome
}

func (u upload) String() string {
	return fmt.Sprintf("%v, %d exports to %s", column{u.Daemon, u.Limit}, u.Exports, u.Exporter)
}

// uploadServer is where layers are sent.
type uploadServer interface {
	Attributes(name string) string
	Stop(context.Context) error
	Remove() error
}

// startUploadServer starts what an exporter sends to.
func startUploadServer(ctx context.Context, exporter string) (uploadServer, error) {
	if exporter == "s3" {
		tool, err := harness.FindTool("versitygw")
		if err != nil {
			return nil, err
		}
		return harness.StartS3(ctx, tool)
	}
	tool, err := harness.FindTool("azurite")
	if err != nil {
		return nil, err
	}
	return harness.StartAzureBlob(ctx, tool)
}

// measureUploads sends large layers, once and to four places at once.
func measureUploads(ctx context.Context, b *bench) (any, error) {
	var all []upload
	for round := range rounds {
		for _, exporter := range []string{"s3", "azblob"} {
			for _, exports := range []int{1, 4} {
				for _, of := range []column{{stock, limit}, {guarded, limit}, {stock, none}} {
					u := upload{Daemon: of.daemon, Limit: of.limit, Exporter: exporter, Exports: exports, Round: round + 1}
					what := fmt.Sprintf("round %d of %d: %v", u.Round, rounds, u)
					if err := b.step(what, func() error { return b.upload(ctx, &u) }); err != nil {
						return nil, fmt.Errorf("%v: %w", u, err)
					}
					all = append(all, u)
				}
			}
		}
	}
	return all, nil
}

// upload fills in u with a daemon and a server of its own. That the daemon is killed
// for its memory is an outcome, not an error.
func (b *bench) upload(ctx context.Context, u *upload) (err error) {
	base, err := b.base(ctx, uploadBase)
	if err != nil {
		return err
	}
	server, err := startUploadServer(ctx, u.Exporter)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop(context.WithoutCancel(ctx)), server.Remove()) }()
	build := harness.Build{Dockerfile: harness.RunSteps(base, 1)}
	var exports []harness.Build
	for n := range u.Exports {
		export := build
		export.ExportCache = []string{server.Attributes("cache-"+strconv.Itoa(n)) + ",mode=max"}
		exports = append(exports, export)
	}
	return b.withDaemon(ctx, u.Daemon, u.Limit, func(d *harness.Daemon) error {
		if _, err := d.Build(ctx, build); err != nil {
			return err
		}
		u.outcome, err = exportsAtOnce(ctx, d, exports)
		return err
	})
}

// UploadsTable has a row for each exporter and number of exports.
func (d *data) UploadsTable() string {
	if len(d.Uploads) == 0 {
		return ""
	}
	rows := [][]string{{"exporter", "exports", column{stock, limit}.String(), column{stock, none}.String(), column{guarded, limit}.String(), "guarded beside stock without a limit"}}
	for _, exporter := range []string{"s3", "azblob"} {
		for _, exports := range []int{1, 4} {
			limited, roomy, ours := d.uploaded(exporter, exports, column{stock, limit}), d.uploaded(exporter, exports, column{stock, none}), d.uploaded(exporter, exports, column{guarded, limit})
			rows = append(rows, []string{exporter, strconv.Itoa(exports), limited.text(), roomy.text(), ours.text(), ratio(ours.seconds / roomy.seconds)})
		}
	}
	return table(rows...)
}

// uploaded is what became of all rounds of an export.
func (d *data) uploaded(exporter string, exports int, of column) summary {
	var all []export
	for _, u := range d.Uploads {
		if u.Exporter == exporter && u.Exports == exports && (column{u.Daemon, u.Limit}) == of {
			all = append(all, export{setting: setting{u.Daemon, u.Limit, 0, 1, exports}, Round: u.Round, outcome: u.outcome})
		}
	}
	if len(all) == 0 {
		return summary{}
	}
	return summarize(all)[0]
}
