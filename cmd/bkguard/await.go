package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bkguard/bkguard/config"
)

// awaitInterval is the pause between two questions to the daemons.
const awaitInterval = 100 * time.Millisecond

// daemonView is what a daemon says of the switch file.
type daemonView struct {
	Address string `json:"address"`
	// InForce tells that the mode that was asked about is in force by the
	// switch file.
	InForce bool `json:"inForce"`
	// File is the switch file that the daemon reads.
	File string `json:"file,omitempty"`
	// Problem is why the mode is not in force; it may be empty.
	Problem string `json:"problem,omitempty"`
}

// await asks the daemons whether a mode is in force, empty for none. With a time
// to wait it asks until all of them say so; that they do not is an error then.
func await(ctx context.Context, daemons []daemon, mode config.Mode, wait time.Duration) ([]daemonView, error) {
	deadline := time.NewTimer(wait)
	defer deadline.Stop()
	ticker := time.NewTicker(awaitInterval)
	defer ticker.Stop()
	for {
		views, missing := ask(ctx, daemons, mode)
		if len(missing) == 0 || wait == 0 {
			return views, nil
		}
		select {
		case <-ctx.Done():
			return views, context.Cause(ctx)
		case <-deadline.C:
			return views, fmt.Errorf("not in force after %v: %s", wait, strings.Join(missing, ", "))
		case <-ticker.C:
		}
	}
}

// ask asks every daemon once, and returns the addresses of those in which the
// mode is not in force too.
func ask(ctx context.Context, daemons []daemon, mode config.Mode) (views []daemonView, missing []string) {
	for _, d := range daemons {
		v := d.view(ctx, mode)
		if !v.InForce {
			missing = append(missing, d.address)
		}
		views = append(views, v)
	}
	return views, missing
}

func (d daemon) view(ctx context.Context, mode config.Mode) daemonView {
	v := daemonView{Address: d.address}
	s, err := d.ask(ctx)
	switch {
	case err != nil:
		v.Problem = err.Error()
		return v
	case s.Switch == nil:
		v.Problem = "no switch file"
		return v
	}
	v.File = s.Switch.File
	switch {
	case s.Switch.Invalid != "":
		v.Problem = "ignored: " + s.Switch.Invalid
	case s.Switch.Mode == mode:
		v.InForce = true
	case s.Switch.Mode == "":
		v.Problem = "sees no mode"
	default:
		v.Problem = fmt.Sprintf("sees %s", s.Switch.Mode)
	}
	return v
}
