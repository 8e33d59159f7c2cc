package conversions

import (
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/moby/buildkit/util/bklog"
	"github.com/moby/buildkit/util/compression"
)

// Stats counts compressors that did not work. It is safe for concurrent use.
type Stats struct{ failed, panicked atomic.Int64 }

// Failed is the number of compressors that could not be made.
func (s *Stats) Failed() int64 { return s.failed.Load() }

// Panicked is the number of compressors that have panicked. Such a panic is an
// error of the layer: it must not end the daemon, as it would in a goroutine of
// its own (cache/blobs.go).
func (s *Stats) Panicked() int64 { return s.panicked.Load() }

// compressor is a compressor that holds memory until it is closed. Like those of
// upstream it is used by one goroutine.
type compressor struct {
	inner       io.WriteCloser
	compression string
	stats       *Stats
	renew       func()
	end         func()
	once        sync.Once
}

// open makes the inner compressor. If there is none, the memory is given back.
func (c *compressor) open(compress compression.Compressor, dest io.Writer, mediaType string) (err error) {
	defer func() {
		if err != nil {
			c.once.Do(c.end)
		}
	}()
	defer c.recover(&err)
	c.inner, err = compress(dest, mediaType)
	return err
}

// Write compresses p. Memory whose compressor writes nothing for long is taken
// back.
func (c *compressor) Write(p []byte) (n int, err error) {
	defer c.recover(&err)
	c.renew()
	return c.inner.Write(p)
}

// Close closes the inner compressor and gives its memory back, the first time. The
// memory can be collected then, although upstream has the compressor for longer.
func (c *compressor) Close() (err error) {
	defer c.once.Do(c.end)
	inner := c.inner
	c.inner = closed{}
	defer c.recover(&err)
	return inner.Close()
}

// closed is in the place of a compressor that was closed.
type closed struct{}

func (closed) Write([]byte) (int, error) { return 0, os.ErrClosed }
func (closed) Close() error              { return nil }

// recover makes an error of a panic.
func (c *compressor) recover(err *error) {
	p := recover()
	if p == nil {
		return
	}
	c.stats.panicked.Add(1)
	*err = fmt.Errorf("%s compressor panicked: %v", c.compression, p)
	bklog.L.WithField("stack", string(debug.Stack())).WithError(*err).Error("layer not compressed")
}
