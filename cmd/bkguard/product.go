package main

import "github.com/bkguard/bkguard/cost"

// product is what stock makes of an export, and what becomes of it with limits.
type product struct {
	// Layers are all of the chain, each in so many Compressions at most.
	Layers       int `json:"layers"`
	Compressions int `json:"compressions"`
	// Remotes is for people, such as "2^60"; Log2 is its binary logarithm.
	Remotes string  `json:"remotes"`
	Log2    float64 `json:"log2"`
	// StockBytes is what stock would need at least, at most math.MaxUint64.
	StockBytes uint64  `json:"stockBytes"`
	Verdict    verdict `json:"verdict"`
}

// product is that of an estimate.
func (l limits) product(e cost.Estimate) product {
	return product{
		Layers:       e.Layers,
		Compressions: e.Compressions,
		Remotes:      e.Combinations(),
		Log2:         e.Log2,
		StockBytes:   e.UpstreamBytes(),
		Verdict:      l.judge(e),
	}
}
