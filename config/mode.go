package config

import "slices"

// Mode says how far the guard goes. The constants are ordered from lax to
// strict. The zero value stands for "not set".
type Mode string

const (
	// ModeOff leaves upstream's behaviour alone: the guard is out of the path.
	ModeOff Mode = "off"
	// ModeObserve keeps upstream's behaviour, and reports what ModeEnforce
	// would have done.
	ModeObserve Mode = "observe"
	// ModeEnforce builds the product of a record up to the limits, and a
	// single chain beyond them. It is the default.
	ModeEnforce Mode = "enforce"
	// ModeSingle never builds the product.
	ModeSingle Mode = "single"
	// ModeBlock skips cache exports; builds succeed without them.
	ModeBlock Mode = "block"
)

// Modes lists every mode, from lax to strict.
func Modes() []Mode {
	return []Mode{ModeOff, ModeObserve, ModeEnforce, ModeSingle, ModeBlock}
}

// Stricter returns the stricter of two modes. One that is not set is laxer than
// any other.
func Stricter(a, b Mode) Mode {
	if slices.Index(Modes(), a) < slices.Index(Modes(), b) {
		return b
	}
	return a
}

// ModeVariable is the environment variable of the daemon with a mode that wins
// over the [guard] table.
const ModeVariable = "BKGUARD_MODE"

// ParseOverride reads the value of ModeVariable. An empty one is no mode.
func ParseOverride(word string) (Mode, error) {
	if word == "" {
		return "", nil
	}
	return ParseMode(ModeVariable, word)
}

// ParseMode reads a mode from outside of the [guard] table; what names it in
// the error, which says what is allowed.
func ParseMode(what, word string) (Mode, error) {
	return oneOf(Modes(), what, word)
}

// Prefer says which blob of a layer a cache export writes. The zero value
// stands for "not set".
type Prefer string

const (
	// PreferRequested takes the blob in the compression that the export asks for with
	// compression=. Without that attribute, and where there is no such blob, it takes
	// the blob that the record owns. It is the default.
	PreferRequested Prefer = "requested"
	// PreferSmallest takes the smallest blob, whatever its compression.
	PreferSmallest Prefer = "smallest"
	// PreferMain takes the blob that the record owns, also with compression=.
	PreferMain Prefer = "main"
)

// Preferences lists every preference.
func Preferences() []Prefer {
	return []Prefer{PreferRequested, PreferSmallest, PreferMain}
}

// ParsePrefer reads a preference from outside of the [guard] table; what names
// it in the error, which says what is allowed.
func ParsePrefer(what, word string) (Prefer, error) {
	return oneOf(Preferences(), what, word)
}

// ExporterTypes lists the cache exporters of buildkitd, the names that
// [guard.exporter.<type>] takes.
func ExporterTypes() []string {
	return []string{"azblob", "gha", "inline", "local", "registry", "s3"}
}
