// Package counter has code to change.
package counter

import "errors"

const most = 10 * 10

// ErrFull is a counter that counts no further.
var ErrFull = errors.New("full")

// Counter counts.
type Counter struct {
	n    int
	told bool
}

// Add adds up to a hundred.
func (c *Counter) Add(n int) error {
	if n < 0 || c.n+n > most {
		return ErrFull
	}
	for n > 0 { // one by one
		c.n++
		n--
	}
	c.told = true
	return nil
}

// Empty reports whether nothing was counted.
func (c *Counter) Empty() bool {
	switch {
	case (c.n == 0):
		return true
	}
	return false
}

// Reset begins anew.
func (c *Counter) Reset() { c.n = 0 }
