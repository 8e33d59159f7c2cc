package inspect

import "fmt"

// Severity says how bad a finding is. The zero value is [Fine].
type Severity int

const (
	// Fine caches are imported whole.
	Fine Severity = iota
	// Wasteful caches are imported whole, and are larger than they need be.
	Wasteful
	// Broken caches cannot be imported, or steps are lost.
	Broken
)

var severities = [...]string{Fine: "fine", Wasteful: "wasteful", Broken: "broken"}

// String is the word for a severity.
func (s Severity) String() string { return severities[s] }

// MarshalText returns the word for a severity.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that is wrong with a cache, or worth to be known.
type Finding struct {
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
}

// find adds a finding to those of a cache.
func (c *Cache) find(s Severity, format string, args ...any) {
	c.Findings = append(c.Findings, Finding{s, fmt.Sprintf(format, args...)})
}

// Worst is the highest severity of a cache's findings.
func (c *Cache) Worst() Severity {
	worst := Fine
	for _, f := range c.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// Title is the name of the cache, with its platform if it has one.
func (c *Cache) Title() string {
	if c.Platform == "" {
		return c.Name
	}
	return c.Name + " for " + c.Platform
}

// Verdict says in one line what the cache is worth.
func (c *Cache) Verdict() string {
	worst := c.Worst()
	if worst == Fine {
		return fmt.Sprintf("fine: %d of %d records have a result", c.Results, c.Records)
	}
	text, more := "", -1
	for _, f := range c.Findings {
		if f.Severity == worst {
			if more++; text == "" {
				text = f.Text
			}
		}
	}
	if more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return worst.String() + ": " + text
}
