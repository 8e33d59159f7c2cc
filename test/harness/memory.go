package harness

import (
	"sync"
	"time"
)

// memorySamples is how long it takes from one sample of a daemon's memory to the next.
const memorySamples = 20 * time.Millisecond

// MemorySample is what a daemon has held at one moment, in bytes.
type MemorySample struct {
	At       time.Time
	Resident int64
}

// WatchMemory samples the memory of the daemon until stop is called, which returns all
// samples in order. What is mapped from files is left out. A daemon that has ended has no
// further samples.
func (d *Daemon) WatchMemory() (stop func() []MemorySample) {
	var samples []MemorySample
	ended := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			if bytes, err := d.resident(); err == nil {
				samples = append(samples, MemorySample{time.Now(), bytes})
			}
			select {
			case <-ended:
				return
			case <-time.After(memorySamples):
			}
		}
	})
	return func() []MemorySample {
		close(ended)
		watching.Wait()
		return samples
	}
}
