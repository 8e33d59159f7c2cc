package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// parser checks the values of a decoded table and keeps the first fault.
type parser struct {
	file string
	data []byte
	err  error
}

func (p *parser) config(t table) Config {
	c := Config{
		Mode:        word(p, Modes(), t.Mode, "guard", "mode"),
		MaxRemotes:  p.maxRemotes(t.MaxRemotes, "guard", "maxRemotes"),
		MaxMemory:   p.memory(t.MaxMemory, false, "guard", "maxMemory"),
		MemoryLimit: p.memory(t.MemoryLimit, true, "guard", "memoryLimit"),
		Prefer:      word(p, Preferences(), t.Prefer, "guard", "prefer"),
	}
	if t.SwitchFile != nil {
		c.SwitchFile = *t.SwitchFile
	}
	if t.WarnImages != nil {
		c.WarnImages = *t.WarnImages
	}
	// Sorted, so that the first fault is the same in every run.
	for _, name := range slices.Sorted(maps.Keys(t.Exporter)) {
		if !slices.Contains(ExporterTypes(), name) {
			p.fail(notAllowed("unknown cache exporter", name, ExporterTypes()), "guard", "exporter", name)
			break
		}
		if c.Exporters == nil {
			c.Exporters = make(map[string]Exporter)
		}
		c.Exporters[name] = Exporter{
			Mode:   word(p, Modes(), t.Exporter[name].Mode, "guard", "exporter", name, "mode"),
			Prefer: word(p, Preferences(), t.Exporter[name].Prefer, "guard", "exporter", name, "prefer"),
		}
	}
	return c
}

func (p *parser) fail(err error, key ...string) {
	if p.err == nil {
		p.err = &Error{File: p.file, Line: lineOf(p.data, key), Key: fullKey(key), Err: err}
	}
}

// word reads one of a set of words.
func word[T ~string](p *parser, allowed []T, value *string, key ...string) T {
	if value == nil {
		return ""
	}
	w, err := oneOf(allowed, key[len(key)-1], *value)
	if err != nil {
		p.fail(err, key...)
	}
	return w
}

// oneOf returns the value if it is one of a set of words; what names it in the
// error.
func oneOf[T ~string](allowed []T, what, value string) (T, error) {
	if slices.Contains(allowed, T(value)) {
		return T(value), nil
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	return "", notAllowed("unknown "+what, value, names)
}

func (p *parser) maxRemotes(value *int64, key ...string) int {
	if value == nil {
		return 0
	}
	if err := checkMaxRemotes(*value); err != nil {
		p.fail(err, key...)
		return 0
	}
	return int(*value)
}

func checkMaxRemotes(n int64) error {
	if n < 1 || n > MaxRemotesLimit {
		return fmt.Errorf("%d is out of range (allowed: 1 to %d; mode = \"single\" never builds more than one chain)", n, MaxRemotesLimit)
	}
	return nil
}

func (p *parser) memory(value *string, off bool, key ...string) Memory {
	if value == nil {
		return Memory{}
	}
	if off && *value == "off" {
		return Memory{Off: true}
	}
	m, err := ParseMemory(*value)
	if err != nil {
		if off {
			err = fmt.Errorf("%w, nor \"off\"", err)
		}
		p.fail(err, key...)
	}
	return m
}

// lineOf returns the line on which a key is written, or that of the table that
// ought to hold it; 0 when neither is found. Case does not matter, as it does
// not to the decoder.
func lineOf(data []byte, key []string) int {
	var (
		parser unstable.Parser
		table  []string
		line   int
	)
	parser.Reset(data)
	for parser.NextExpression() {
		expr := parser.Expression()
		var path []string
		at := 0
		for it := expr.Key(); it.Next(); {
			path = append(path, string(it.Node().Data))
			at = parser.Shape(it.Node().Raw).Start.Line
		}
		if expr.Kind == unstable.Table || expr.Kind == unstable.ArrayTable {
			table = path
		} else {
			path = slices.Concat(table, path)
		}
		if slices.EqualFunc(path, key, strings.EqualFold) {
			return at
		}
		if len(path) < len(key) && slices.EqualFunc(path, key[:len(path)], strings.EqualFold) {
			line = at // an inline table, or the header of the key's table
		}
	}
	return line
}
