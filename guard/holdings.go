package guard

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/moby/buildkit/worker"

	"github.com/bkguard/bkguard/cost"
	"github.com/bkguard/bkguard/internal/inventory"
)

// How long an inventory is good for, and how long it may take to make one.
const (
	inventoryAge     = time.Minute
	inventoryTimeout = 5 * time.Second
)

// VariantStatus is what the workers hold in more than one compression, in a form for JSON.
type VariantStatus struct {
	// Layers counts the layers of all records that have blobs, Variants those of them in
	// more than one compression.
	Layers   int `json:"layers"`
	Variants int `json:"variants"`
	// Surplus is what the blobs of these take that no record owns, in bytes.
	Surplus uint64 `json:"surplus"`
	// Largest is the chain with the most combinations; nil if each has one.
	Largest *ChainStatus `json:"largest,omitempty"`
	// Taken is when this was found out, or could not be. It is at most a minute old, and is
	// found out again when somebody asks, within five seconds.
	Taken time.Time `json:"taken"`
	// Error is why it could not be found out; the figures are older ones then, or zero.
	Error string `json:"error,omitempty"`
}

// ChainStatus is a chain of layers, and what an export of it would have.
type ChainStatus struct {
	// Record is the ID of its topmost record, Description what upstream says of it.
	Record      string `json:"record"`
	Description string `json:"description"`
	// Image is a name of the image that the chain is built upon, if one is known.
	Image  string `json:"image,omitempty"`
	Layers int    `json:"layers"`
	// Compressions is the number of blobs of the layer that has the most.
	Compressions int `json:"compressions"`
	// Remotes is for people, such as "2^60"; Log2 is its binary logarithm.
	Remotes string  `json:"remotes"`
	Log2    float64 `json:"log2"`
	// StockBytes is what upstream would need at least, at most math.MaxUint64.
	StockBytes uint64 `json:"stockBytes"`
}

// holdings is what the workers of a guard hold. It is safe for concurrent use.
type holdings struct {
	mu sync.Mutex
	// workers are those that the guard has decorated, taken is the last answer; both are
	// protected by mu.
	workers []worker.Worker
	taken   VariantStatus
}

// add adds a worker, once.
func (h *holdings) add(w worker.Worker) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.Contains(h.workers, w) {
		h.workers = append(h.workers, w)
	}
}

// status returns what the workers hold, and finds it out if the last answer is too old. It
// is nil without a worker.
func (h *holdings) status() *VariantStatus {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.workers) == 0 {
		return nil
	}
	if time.Since(h.taken.Taken) > inventoryAge {
		// The answer is for whoever asks next, too.
		ctx, cancel := context.WithTimeout(context.Background(), inventoryTimeout)
		defer cancel()
		if s, err := h.find(ctx); err != nil {
			h.taken.Error = err.Error()
		} else {
			h.taken = s
		}
		h.taken.Taken = time.Now()
	}
	s := h.taken
	return &s
}

// find makes an inventory of each worker. One without a content store, as in moby, has no
// layers in compressions.
func (h *holdings) find(ctx context.Context) (VariantStatus, error) {
	var s VariantStatus
	for _, w := range h.workers {
		store, cached := w.ContentStore(), w.CacheManager()
		if store == nil || cached == nil {
			continue
		}
		records, err := inventory.ReadRecords(ctx, cached)
		if err != nil {
			return s, err
		}
		stored, err := inventory.ReadContent(ctx, store)
		if err != nil {
			return s, err
		}
		i, err := inventory.New(ctx, records, stored)
		if err != nil {
			return s, err
		}
		s.Layers += i.Layers
		s.Variants += len(i.Variants)
		s.Surplus = cost.AddSaturating(s.Surplus, i.Surplus)
		if len(i.Chains) > 0 && (s.Largest == nil || i.Chains[0].Estimate.Log2 > s.Largest.Log2) {
			s.Largest = newChainStatus(i.Chains[0])
		}
	}
	return s, nil
}

func newChainStatus(c inventory.Chain) *ChainStatus {
	return &ChainStatus{
		Record:       c.Record,
		Description:  c.Description,
		Image:        c.Image,
		Layers:       c.Estimate.Layers,
		Compressions: c.Estimate.Compressions,
		Remotes:      c.Estimate.Combinations(),
		Log2:         c.Estimate.Log2,
		StockBytes:   c.Estimate.UpstreamBytes(),
	}
}

// observable is the surplus as instruments take it.
func (s *VariantStatus) observable() int64 { return int64(min(s.Surplus, math.MaxInt64)) }
