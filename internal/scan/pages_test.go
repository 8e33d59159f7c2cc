package scan

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testPage is the size of the pages in these tests.
const testPage = 1 << 10

// element is one of a page: a child of a branch, or a key with a value.
type element struct {
	key    string
	child  uint64
	value  []byte
	bucket bool
}

// leaf is a page with keys and values, branch one with children; pages are as long as they
// need to be.
func leaf(id uint64, elements ...element) []byte   { return encode(id, leafPage, elements) }
func branch(id uint64, elements ...element) []byte { return encode(id, branchPage, elements) }

func encode(id uint64, flags uint16, elements []element) []byte {
	order := binary.NativeEndian
	page := make([]byte, headerSize+len(elements)*elementSize)
	order.PutUint64(page, id)
	order.PutUint16(page[8:], flags)
	order.PutUint16(page[10:], uint16(len(elements)))
	for i, e := range elements {
		at := page[headerSize+i*elementSize:]
		position := uint32(len(page) - headerSize - i*elementSize)
		if flags == branchPage {
			order.PutUint32(at, position)
			order.PutUint32(at[4:], uint32(len(e.key)))
			order.PutUint64(at[8:], e.child)
		} else {
			if e.bucket {
				order.PutUint32(at, bucketElement)
			}
			order.PutUint32(at[4:], position)
			order.PutUint32(at[8:], uint32(len(e.key)))
			order.PutUint32(at[12:], uint32(len(e.value)))
		}
		page = append(page, e.key...)
		page = append(page, e.value...)
	}
	return page
}

// flowing is a page that says that it flows over to so many.
func flowing(page []byte, overflow uint32) []byte {
	page = slices.Clone(page)
	binary.NativeEndian.PutUint32(page[12:], overflow)
	return page
}

// bucketOn is a bucket that has a page of its own, inline one whose page is in its value.
func bucketOn(root uint64) []byte {
	return append(binary.NativeEndian.AppendUint64(nil, root), make([]byte, bucketSize-8)...)
}

func inline(page []byte) []byte { return append(make([]byte, bucketSize), page...) }

// file puts pages one behind the other, from page 2 on.
func file(pages ...[]byte) []byte {
	data := make([]byte, 2*testPage)
	for _, page := range pages {
		data = append(data, page...)
		data = append(data, make([]byte, (testPage-len(page)%testPage)%testPage)...)
	}
	return data
}

// full is how many elements have room in a page.
const full = (testPage - headerSize) / elementSize

// TestPages has databases of a few pages, the first one on page 2; none is wrong with those
// that have no fault.
func TestPages(t *testing.T) {
	text := []byte("text")
	many := make([]byte, headerSize)
	binary.NativeEndian.PutUint64(many, 2)
	binary.NativeEndian.PutUint16(many[8:], leafPage)
	count := func(n uint16) []byte {
		page := slices.Clone(many)
		binary.NativeEndian.PutUint16(page[10:], n)
		return page
	}
	for name, tc := range map[string]struct {
		file  []byte
		root  uint64
		fault string
	}{
		"nothing in it":            {file(leaf(2)), 2, ""},
		"keys":                     {file(leaf(2, element{key: "a", value: text}, element{key: "b"})), 2, ""},
		"a key without a letter":   {file(leaf(2, element{value: text}, element{key: "b"})), 2, ""},
		"children":                 {file(branch(2, element{key: "a", child: 3}, element{key: "b", child: 4}), leaf(3), leaf(4)), 2, ""},
		"buckets":                  {file(leaf(2, element{key: "a", bucket: true, value: bucketOn(3)}, element{key: "b", bucket: true, value: inline(leaf(0, element{key: "c"}))}), leaf(3)), 2, ""},
		"a value on another page":  {file(flowing(leaf(2, element{key: "a", value: bytes.Repeat(text, 300)}), 1)), 2, ""},
		"a page before the first":  {file(leaf(2)), 1, "page 1: out of range (there are 3 pages)"},
		"a page behind the last":   {file(leaf(2)), 3, "page 3: out of range (there are 3 pages)"},
		"another number":           {file(leaf(3)), 2, "page 2: says that it is page 3"},
		"other flags":              {file(encode(2, 0x10, nil)), 2, "page 2: has the flags 0x10"},
		"a branch alone":           {file(branch(2)), 2, "page 2: has no children"},
		"a child out of range":     {file(branch(2, element{key: "a", child: 9})), 2, "page 2: page 9: out of range"},
		"a child twice":            {file(branch(2, element{key: "a", child: 3}, element{key: "b", child: 3}), leaf(3)), 2, "page 2: page 3: page 3 is in two places"},
		"flows over the end":       {file(flowing(leaf(2), 1)), 2, "page 2: flows over to 1 pages (there are 3 pages)"},
		"flows over another page":  {file(branch(2, element{key: "a", child: 3}, element{key: "b", child: 4}), flowing(leaf(3), 1), leaf(4)), 2, "page 2: page 4: page 4 is in two places"},
		"as many as have room":     {file(count(full)), 2, "page 2: element 1 is out of order"},
		"more than have room":      {file(count(full + 1)), 2, "page 2: has no room for 64 elements"},
		"a value outside":          {file(leaf(2, element{key: "a", value: bytes.Repeat(text, 300)})), 2, "page 2: element 0 ends outside"},
		"the same key":             {file(leaf(2, element{key: "a"}, element{key: "a"})), 2, "page 2: element 1 is out of order"},
		"keys in another order":    {file(leaf(2, element{key: "b"}, element{key: "a"})), 2, "page 2: element 1 is out of order"},
		"a short bucket":           {file(leaf(2, element{key: "a", bucket: true, value: make([]byte, bucketSize-1)})), 2, "page 2: has a bucket without a header"},
		"a bucket without a page":  {file(leaf(2, element{key: "a", bucket: true, value: inline(make([]byte, headerSize-1))})), 2, "page 2: has a bucket without a page"},
		"a bucket of branches":     {file(leaf(2, element{key: "a", bucket: true, value: inline(branch(0))})), 2, "page 2: has a bucket whose page is no leaf"},
		"a bucket out of range":    {file(leaf(2, element{key: "a", bucket: true, value: bucketOn(9)})), 2, "page 2: page 9: out of range"},
		"a bucket in wrong order":  {file(leaf(2, element{key: "a", bucket: true, value: inline(leaf(0, element{key: "b"}, element{key: "a"}))})), 2, "page 2: element 1 is out of order"},
		"the file ends in a page":  {file(branch(2, element{key: "a", child: 3}), leaf(3))[:4*testPage-1], 2, "page 2: page 3: the file ends before it"},
		"the file ends in another": {file(flowing(leaf(2), 1), nil, make([]byte, 1))[:4*testPage-1], 2, "page 2: the file ends before it"},
	} {
		t.Run(name, func(t *testing.T) {
			pages := uint64((len(tc.file) + testPage - 1) / testPage)
			err := checkPages(bytes.NewReader(tc.file), meta{pageSize: testPage, pages: pages, root: tc.root})
			if tc.fault == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tc.fault)
			}
		})
	}
}

// TestDeepestPages has each page in the one before, in all ways.
func TestDeepestPages(t *testing.T) {
	within := map[string]func(levels int) []byte{
		"children": func(levels int) []byte {
			var pages [][]byte
			for i := range levels {
				pages = append(pages, branch(uint64(i+2), element{key: "a", child: uint64(i + 3)}))
			}
			return file(append(pages, leaf(uint64(levels+2)))...)
		},
		"buckets": func(levels int) []byte {
			var pages [][]byte
			for i := range levels {
				pages = append(pages, leaf(uint64(i+2), element{key: "a", bucket: true, value: bucketOn(uint64(i + 3))}))
			}
			return file(append(pages, leaf(uint64(levels+2)))...)
		},
		"buckets in values": func(levels int) []byte {
			page := leaf(0)
			for range levels {
				page = leaf(0, element{key: "a", bucket: true, value: inline(page)})
			}
			binary.NativeEndian.PutUint64(page, 2)
			return file(flowing(page, uint32(len(page)/testPage)))
		},
	}
	for name, of := range within {
		for _, levels := range []int{deepest, deepest + 1, deepest + 2} {
			t.Run(name+" "+strconv.Itoa(levels), func(t *testing.T) {
				data := of(levels)
				err := checkPages(bytes.NewReader(data), meta{pageSize: testPage, pages: uint64(len(data) / testPage), root: 2})
				// A bucket in a value is at the level of its page.
				allowed := deepest
				if strings.HasSuffix(name, "values") {
					allowed++
				}
				if levels <= allowed {
					assert.NoError(t, err)
				} else {
					assert.ErrorContains(t, err, "more than 100 levels deep")
				}
			})
		}
	}
}
