package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/util/suggest"
	toml "github.com/pelletier/go-toml/v2"
)

// Error is a fault in a buildkitd.toml: where it is, what is wrong and what is
// allowed, in one line.
type Error struct {
	// File is the path, as it was given.
	File string
	// Line counts from 1; it is 0 when the fault is not in one line.
	Line int
	// Key is the full key, such as "guard.maxRemotes", with quotes where TOML
	// needs them; it may be empty.
	Key string
	// Err is what is wrong and what is allowed.
	Err error
}

func (e *Error) Error() string {
	where := e.File
	if e.Line > 0 {
		where = fmt.Sprintf("%s:%d", where, e.Line)
	}
	if e.Key != "" {
		where += ": " + e.Key
	}
	return fmt.Sprintf("%s: %v", where, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// LoadFile reads the [guard] table of a buildkitd.toml. A file that does not
// exist is an empty one, as for upstream (cmd/buildkitd/config/load.go). Every
// error is an *Error.
func LoadFile(path string) (Config, error) {
	data, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Default(), nil
	}
	if err != nil {
		return Config{}, err
	}
	return Parse(path, data)
}

// readFile reads a file.
func readFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		if cause := new(fs.PathError); errors.As(err, &cause) {
			err = cause.Err // Error names the path already
		}
		return nil, &Error{File: path, Err: fmt.Errorf("cannot read the configuration: %w", err)}
	}
	return data, nil
}

// table is [guard] as it is written. Values are checked by hand after decoding,
// so that every message is ours; a pointer tells a zero from a missing key.
type table struct {
	Mode        *string                  `toml:"mode"`
	MaxRemotes  *int64                   `toml:"maxRemotes"`
	MaxMemory   *string                  `toml:"maxMemory"`
	MemoryLimit *string                  `toml:"memoryLimit"`
	SwitchFile  *string                  `toml:"switchFile"`
	Prefer      *string                  `toml:"prefer"`
	WarnImages  *bool                    `toml:"warnImages"`
	Exporter    map[string]exporterTable `toml:"exporter"`
}

type exporterTable struct {
	Mode   *string `toml:"mode"`
	Prefer *string `toml:"prefer"`
}

var (
	tableKeys    = []string{"mode", "maxRemotes", "maxMemory", "memoryLimit", "switchFile", "prefer", "warnImages", "exporter"}
	exporterKeys = []string{"mode", "prefer"}
)

// Parse reads the [guard] table out of the text of a buildkitd.toml; file names
// it in errors. Every error is an *Error.
func Parse(file string, data []byte) (Config, error) {
	c, err := parse(file, data, false)
	if err != nil {
		return Config{}, err
	}
	return c.WithDefaults(), nil
}

// parse is Parse without the defaults, of a file that has nothing but the [guard] table if
// it is the guard's own.
func parse(file string, data []byte, own bool) (Config, error) {
	t, err := decode(file, data, own)
	if err != nil {
		return Config{}, err
	}
	p := parser{file: file, data: data}
	c := p.config(t)
	return c, p.err
}

// decode reads the table as it is written; its values are not checked.
func decode(file string, data []byte, own bool) (table, error) {
	var doc struct {
		Guard table `toml:"guard"`
	}
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(&doc)
	return doc.Guard, decodeError(file, err, own)
}

// decodeError turns an error of the TOML decoder into one of ours; unknown keys
// outside of [guard] are upstream's affair, unless the file is the guard's own.
func decodeError(file string, err error, own bool) error {
	if strict := new(toml.StrictMissingError); errors.As(err, &strict) {
		for i := range strict.Errors {
			key := strict.Errors[i].Key()
			line, _ := strict.Errors[i].Position()
			switch {
			case len(key) > 0 && strings.EqualFold(key[0], "guard"):
				return &Error{File: file, Line: line, Key: fullKey(key), Err: unknownKey(key)}
			case len(key) > 0 && own:
				return &Error{File: file, Line: line, Key: fullKey(key), Err: notAllowed("unknown table", key[0], []string{"guard"})}
			}
		}
		return nil
	}
	if decode := new(toml.DecodeError); errors.As(err, &decode) {
		line, _ := decode.Position()
		return &Error{
			File: file,
			Line: line,
			Key:  fullKey(decode.Key()),
			Err:  errors.New(strings.TrimPrefix(decode.Error(), "toml: ")),
		}
	}
	if err != nil {
		return &Error{File: file, Err: err}
	}
	return nil
}

// fullKey is a key as it is written in one piece.
func fullKey(key []string) string {
	words := make([]string, len(key))
	for i, word := range key {
		if words[i] = word; !bareKey.MatchString(word) {
			words[i] = strconv.Quote(word)
		}
	}
	return strings.Join(words, ".")
}

// bareKey is what TOML takes for a key without quotes.
var bareKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func unknownKey(key toml.Key) error {
	allowed := tableKeys
	if len(key) > 2 && strings.EqualFold(key[1], "exporter") {
		allowed = exporterKeys
	}
	return notAllowed("unknown key", key[len(key)-1], allowed)
}

// notAllowed says what was written, the word that may have been meant, and what
// is allowed.
func notAllowed(what, word string, allowed []string) error {
	hint := ""
	if near, ok := suggest.Search(word, allowed, true); ok {
		hint = fmt.Sprintf(", did you mean %q?", near)
	}
	return fmt.Errorf("%s %q%s (allowed: %s)", what, word, hint, strings.Join(allowed, ", "))
}
