// Package rosetta stands in for a module that not every module proxy has. Docker's client asks
// it whether a Mac translates its instructions, for docker version.
package rosetta

// Enabled reports whether the client's instructions are translated, which is never so on Linux.
func Enabled() bool { return false }
