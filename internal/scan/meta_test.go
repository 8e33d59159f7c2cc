package scan

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sparse is a file of pages by their offsets, with an end behind the last one.
type sparse map[int64][]byte

func (s sparse) ReadAt(data []byte, offset int64) (int, error) {
	page, ok := s[offset]
	if !ok || len(page) < len(data) {
		return 0, io.EOF
	}
	return copy(data, page), nil
}

// metaPage is a page with a meta that is whole, but for a change that is in its checksum, too.
func metaPage(m meta, change func(data []byte)) []byte {
	page := make([]byte, headerSize+metaSize)
	data, order := page[headerSize:], binary.NativeEndian
	order.PutUint32(data, metaMagic)
	order.PutUint32(data[4:], metaVersion)
	order.PutUint32(data[8:], uint32(m.pageSize))
	order.PutUint64(data[16:], m.root)
	order.PutUint64(data[40:], m.pages)
	order.PutUint64(data[48:], m.transaction)
	if change != nil {
		change(data)
	}
	sum := fnv.New64a()
	sum.Write(data[:metaSumStart])
	order.PutUint64(data[metaSumStart:], sum.Sum64())
	return page
}

// TestMetas holds what makes the header of a bolt database.
func TestMetas(t *testing.T) {
	for name, tc := range map[string]struct {
		page []byte
		want bool
	}{
		"whole":                  {metaPage(meta{4096, 3, 9, 7}, nil), true},
		"smallest pages":         {metaPage(meta{leastPage, 3, 9, 7}, nil), true},
		"largest pages":          {metaPage(meta{mostPage, 3, 9, 7}, nil), true},
		"smaller pages":          {metaPage(meta{leastPage / 2, 3, 9, 7}, nil), false},
		"larger pages":           {metaPage(meta{mostPage * 2, 3, 9, 7}, nil), false},
		"pages of three kinds":   {metaPage(meta{3 << 10, 3, 9, 7}, nil), false},
		"another magic number":   {metaPage(meta{4096, 3, 9, 7}, func(data []byte) { data[0]++ }), false},
		"another version":        {metaPage(meta{4096, 3, 9, 7}, func(data []byte) { data[4]++ }), false},
		"a checksum of the past": {append(metaPage(meta{4096, 3, 9, 7}, nil)[:headerSize+metaSumStart], make([]byte, 8)...), false},
		"cut short":              {metaPage(meta{4096, 3, 9, 7}, nil)[:headerSize+metaSize-1], false},
	} {
		m, err := metaAt(sparse{0: tc.page}, 0)
		if !tc.want {
			assert.Equal(t, errNoDatabase, err, name)
			continue
		}
		require.NoError(t, err, name)
		assert.Equal(t, meta{m.pageSize, 3, 9, 7}, m, name)
	}
}

// TestNewerMeta has two metas, of which one may be damaged.
func TestNewerMeta(t *testing.T) {
	at := func(size int64, transaction uint64) meta { return meta{size, 3, 9 + transaction, transaction} }
	page := func(m meta) []byte { return metaPage(m, nil) }
	zero := make([]byte, headerSize+metaSize)
	for name, tc := range map[string]struct {
		file sparse
		want meta
	}{
		"the second is newer":                 {sparse{0: page(at(4096, 1)), 4096: page(at(4096, 2))}, at(4096, 2)},
		"the first is newer":                  {sparse{0: page(at(4096, 2)), 4096: page(at(4096, 1))}, at(4096, 2)},
		"both are of one transaction":         {sparse{0: page(meta{4096, 3, 9, 1}), 4096: page(meta{4096, 4, 9, 1})}, meta{4096, 3, 9, 1}},
		"the second is damaged":               {sparse{0: page(at(4096, 1)), 4096: zero}, at(4096, 1)},
		"the second has another size":         {sparse{0: page(at(4096, 1)), 4096: page(at(8192, 2))}, at(4096, 1)},
		"the first is damaged":                {sparse{0: zero, 8192: page(at(8192, 2))}, at(8192, 2)},
		"the first is damaged, largest pages": {sparse{0: zero, mostPage: page(at(mostPage, 2))}, at(mostPage, 2)},
		"what is found is no second":          {sparse{0: zero, 4096: page(at(8192, 1)), 8192: page(at(8192, 2))}, at(8192, 2)},
	} {
		m, err := readMeta(tc.file)
		require.NoError(t, err, name)
		assert.Equal(t, tc.want, m, name)
	}
	_, err := readMeta(sparse{0: zero, 4096: zero})
	assert.Equal(t, errNoDatabase, err)
}

// broken is a file that cannot be read from an offset on.
type broken struct {
	sparse
	from int64
	err  error
}

func (b broken) ReadAt(data []byte, offset int64) (int, error) {
	if offset >= b.from {
		return 0, b.err
	}
	return b.sparse.ReadAt(data, offset)
}

// TestUnreadableFile holds that an error of the disk is no damaged database.
func TestUnreadableFile(t *testing.T) {
	err := errors.New("input/output error")
	file := sparse{0: metaPage(meta{4096, 3, 9, 1}, nil)}
	for _, from := range []int64{0, 4096} {
		_, got := readMeta(broken{file, from, err})
		require.ErrorIs(t, got, err)
	}
	require.ErrorIs(t, checkPages(broken{file, 4096, err}, meta{4096, 3, 9, 1}), err)
}
