package scan

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/util/compression"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/bkguard/bkguard/internal/cachetest"
)

// databases are those of a cache with some layers in two compressions, by their names.
func databases(tb testing.TB) map[string][]byte {
	tb.Helper()
	c := cachetest.New(tb)
	c.Chain(tb, 12, compression.Zstd)
	return atRest(tb, c)
}

// atRest are the databases of a cache as they are when nobody writes to them. Upstream gives
// back leases when it has answered already. Transactions without a change leave two whole
// states in a file.
func atRest(tb testing.TB, c *cachetest.Cache) map[string][]byte {
	tb.Helper()
	names := []string{recordsFile, contentFile}
	copies, err := copyDatabases(tb.Context(), tb.TempDir(), filepath.Join(c.Root, names[0]), filepath.Join(c.Root, names[1]))
	require.NoError(tb, err)
	found := make(map[string][]byte)
	for i, name := range names {
		db, err := bolt.Open(copies[i], 0o600, nil)
		require.NoError(tb, err)
		for range 2 {
			require.NoError(tb, db.Update(func(*bolt.Tx) error { return nil }))
		}
		require.NoError(tb, db.Close())
		found[name], err = os.ReadFile(copies[i])
		require.NoError(tb, err)
	}
	return found
}

// scanDamaged scans a root in which one database has other content.
func scanDamaged(tb testing.TB, root string, whole map[string][]byte, name string, data []byte) ([]Worker, error) {
	tb.Helper()
	for other, content := range whole {
		if other == name {
			content = data
		}
		require.NoError(tb, os.WriteFile(filepath.Join(root, other), content, 0o600))
	}
	return Root(tb.Context(), root, "")
}

// TestDamagedDatabases are told in one line that names the file.
func TestDamagedDatabases(t *testing.T) {
	all := databases(t)
	for name, whole := range all {
		root := t.TempDir()
		_, err := scanDamaged(t, root, all, name, whole)
		require.NoError(t, err)

		page := os.Getpagesize()
		damaged := map[string][]byte{
			"empty":        {},
			"a word":       []byte("garbage"),
			"text":         []byte(strings.Repeat("garbage ", 4096)),
			"no headers":   slices.Concat(make([]byte, 2*page), whole[2*page:]),
			"one page":     whole[:page],
			"headers":      whole[:2*page],
			"half":         whole[:len(whole)/2],
			"zeros behind": slices.Concat(whole[:2*page], make([]byte, len(whole)-2*page)),
		}
		for what, data := range damaged {
			t.Run(name+" "+what, func(t *testing.T) {
				workers, err := scanDamaged(t, root, all, name, data)
				require.ErrorContains(t, err, filepath.Join(root, name))
				assert.NotContains(t, err.Error(), "\n")
				assert.Empty(t, workers)
			})
		}
		t.Run(name+" without its first header", func(t *testing.T) {
			_, err := scanDamaged(t, root, all, name, slices.Concat(make([]byte, page), whole[page:]))
			assert.NoError(t, err, "the second one is there")
		})
	}
}

// TestEveryPageDamaged has each page in turn zeroed, filled with garbage, or another page in its
// place. No answer may be other than that of the whole database: pages that are not
// used do not matter, and the others are missed.
func TestEveryPageDamaged(t *testing.T) {
	all := databases(t)
	for name, whole := range all {
		root := t.TempDir()
		want, err := scanDamaged(t, root, all, name, whole)
		require.NoError(t, err)
		page := os.Getpagesize()
		random := rand.New(rand.NewPCG(1, 2))
		failed := 0
		for n := 2; n < len(whole)/page; n++ {
			garbage := make([]byte, page)
			for i := range garbage {
				garbage[i] = byte(random.Uint32())
			}
			contents := [][]byte{make([]byte, page), garbage, whole[2*page : 3*page]}
			data := slices.Clone(whole)
			copy(data[n*page:], contents[n%len(contents)])
			got, err := scanDamaged(t, root, all, name, data)
			if err != nil {
				failed++
				require.ErrorContains(t, err, filepath.Join(root, name)+" is damaged: page ")
				continue
			}
			require.Equal(t, want, got, "page %d of %s", n, name)
		}
		assert.NotZero(t, failed)
	}
}

// TestPagesInACircle has a page that is its own child: bolt would follow it until its stack is
// full.
func TestPagesInACircle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	openNumbers(t, path)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	m, err := readMeta(file)
	require.NoError(t, err)
	require.NoError(t, checkPages(file, m))
	changed := 0
	for id := uint64(2); id < m.pages; id++ {
		start := id * uint64(m.pageSize)
		if data[start+8] != branchPage {
			continue
		}
		changed++
		broken := slices.Clone(data)
		copy(broken[start+headerSize+8:], broken[start:start+8]) // its own number
		require.NoError(t, os.WriteFile(path+"-broken", broken, 0o600))
		if err := checkFile(path + "-broken"); err != nil {
			require.ErrorContains(t, err, fmt.Sprintf("page %d is in two places", id))
		}
	}
	assert.NotZero(t, changed)
}

// FuzzDamagedRoot changes some bytes of a database: whatever they are, the answer is an error
// or an inventory, and never a panic.
func FuzzDamagedRoot(f *testing.F) {
	all := databases(f)
	f.Add(true, uint32(5000), []byte{0xff})
	f.Add(false, uint32(8200), []byte("\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\xff\xff"))
	f.Add(false, uint32(4096+16), []byte{0})
	f.Add(true, uint32(0), []byte("garbage"))
	f.Fuzz(func(t *testing.T, records bool, offset uint32, change []byte) {
		name := map[bool]string{true: recordsFile, false: contentFile}[records]
		data := slices.Clone(all[name])
		copy(data[int(offset)%len(data):], change)
		workers, err := scanDamaged(t, t.TempDir(), all, name, data)
		if err != nil {
			require.NotContains(t, err.Error(), "\n")
			return
		}
		require.Len(t, workers, 1)
	})
}
