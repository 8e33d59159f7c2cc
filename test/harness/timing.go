package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ExportTimes says how long a cache export took, by the daemon's clock.
type ExportTimes struct {
	// Prepare is the time in which records are collected, Total that of the
	// whole export.
	Prepare, Total time.Duration
	// Ended is when the export has ended.
	Ended time.Time
}

// TimeExport runs a build with one cache export and returns the times of that
// export. The error is a *BuildError when the client reports a failure.
func (d *Daemon) TimeExport(ctx context.Context, b Build) (times ExportTimes, err error) {
	err = withTempDir(func(dir string) error {
		if err := b.write(dir); err != nil {
			return fmt.Errorf("prepare a build: %w", err)
		}
		out, err := d.Buildctl(ctx, b.args("rawjson", dir)...)
		if err != nil {
			return &BuildError{Err: err, Output: out}
		}
		times, err = parseTimes(out)
		return err
	})
	return times, err
}

// span is when something has begun and ended; the end is missing in reports
// from before.
type span struct {
	Started, Completed *time.Time
}

func (s span) took() time.Duration {
	if s.Started == nil || s.Completed == nil {
		return 0
	}
	return s.Completed.Sub(*s.Started)
}

// parseTimes reads raw progress: one report after the other, of steps and of
// what goes on within them.
func parseTimes(out string) (ExportTimes, error) {
	var times ExportTimes
	reports := json.NewDecoder(strings.NewReader(out))
	for {
		var report struct {
			Vertexes []struct {
				Name string
				span
			}
			Statuses []struct {
				ID string
				span
			}
		}
		err := reports.Decode(&report)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return ExportTimes{}, fmt.Errorf("read raw progress: %w", err)
		}
		for _, v := range report.Vertexes {
			if strings.HasPrefix(v.Name, "exporting cache to ") {
				times.Total = v.took()
				if v.Completed != nil {
					times.Ended = *v.Completed
				}
			}
		}
		for _, s := range report.Statuses {
			if s.ID == "preparing build cache for export" {
				times.Prepare = s.took()
			}
		}
	}
	if times.Prepare == 0 || times.Total == 0 {
		return ExportTimes{}, errors.New("the progress has no finished cache export")
	}
	return times, nil
}
