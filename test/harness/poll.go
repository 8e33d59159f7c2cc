package harness

import (
	"context"
	"fmt"
	"time"
)

// pollInterval is the pause between two looks at a condition.
const pollInterval = 20 * time.Millisecond

// poll calls done until it returns true or an error. When ctx ends first, the
// error says what was waited for.
func poll(ctx context.Context, what string, done func() (bool, error)) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		ok, err := done()
		if err != nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
