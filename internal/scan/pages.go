package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// More of the format (go.etcd.io/bbolt/internal/common, page.go and bucket.go).
const (
	branchPage    = 0x01
	leafPage      = 0x02
	bucketElement = 0x01
	elementSize   = 16
	bucketSize    = 16
	// deepest is far more than the buckets of buildkit and containerd are nested.
	deepest = 100
)

// checkPages checks every page that the root bucket of a database reaches. bolt trusts its
// files: a damaged one makes it read outside of them, or go round in a circle until the
// stack is full, and a program survives neither. Its own check runs into the same.
func checkPages(file io.ReaderAt, m meta) error {
	c := checker{file: file, meta: m, seen: make(map[uint64]bool)}
	return c.page(m.root, 0)
}

type checker struct {
	file io.ReaderAt
	meta meta
	// seen are the pages that were reached; each belongs to one place.
	seen map[uint64]bool
}

// page checks a page, and all below it.
func (c *checker) page(id uint64, depth int) error {
	data, err := c.read(id)
	if err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if depth > deepest {
		return fmt.Errorf("page %d: more than %d levels deep", id, deepest)
	}
	if got := binary.NativeEndian.Uint64(data); got != id {
		return fmt.Errorf("page %d: says that it is page %d", id, got)
	}
	if err := c.elements(data, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// read reads a page with those that it flows over to.
func (c *checker) read(id uint64) ([]byte, error) {
	if id < 2 || id >= c.meta.pages {
		return nil, fmt.Errorf("out of range (there are %d pages)", c.meta.pages)
	}
	page := make([]byte, c.meta.pageSize)
	if err := c.readAt(page, id); err != nil {
		return nil, err
	}
	overflow := uint64(binary.NativeEndian.Uint32(page[12:]))
	if id+overflow >= c.meta.pages {
		return nil, fmt.Errorf("flows over to %d pages (there are %d pages)", overflow, c.meta.pages)
	}
	for i := id; i <= id+overflow; i++ {
		if c.seen[i] {
			return nil, fmt.Errorf("page %d is in two places", i)
		}
		c.seen[i] = true
	}
	if overflow == 0 {
		return page, nil
	}
	pages := make([]byte, int64(overflow+1)*c.meta.pageSize)
	return pages, c.readAt(pages, id)
}

func (c *checker) readAt(data []byte, id uint64) error {
	_, err := c.file.ReadAt(data, int64(id)*c.meta.pageSize)
	if errors.Is(err, io.EOF) {
		return errors.New("the file ends before it")
	}
	return err
}

// elements checks the elements of a page, or of a bucket that is part of one.
func (c *checker) elements(data []byte, depth int) error {
	order := binary.NativeEndian
	flags, count := order.Uint16(data[8:]), int(order.Uint16(data[10:]))
	if flags != branchPage && flags != leafPage {
		return fmt.Errorf("has the flags %#x", flags)
	}
	if flags == branchPage && count == 0 {
		return errors.New("has no children")
	}
	if headerSize+count*elementSize > len(data) {
		return fmt.Errorf("has no room for %d elements", count)
	}
	var last []byte
	for i := range count {
		start := headerSize + i*elementSize
		element := data[start : start+elementSize]
		var position, keyLength, valueLength uint64
		if flags == branchPage {
			position, keyLength = uint64(order.Uint32(element)), uint64(order.Uint32(element[4:]))
		} else {
			position, keyLength, valueLength = uint64(order.Uint32(element[4:])), uint64(order.Uint32(element[8:])), uint64(order.Uint32(element[12:]))
		}
		position += uint64(start)
		if position+keyLength+valueLength > uint64(len(data)) {
			return fmt.Errorf("element %d ends outside", i)
		}
		key, value := data[position:position+keyLength], data[position+keyLength:position+keyLength+valueLength]
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return fmt.Errorf("element %d is out of order", i)
		}
		last = key
		var err error
		switch {
		case flags == branchPage:
			err = c.page(order.Uint64(element[8:]), depth+1)
		case order.Uint32(element)&bucketElement != 0:
			err = c.bucket(value, depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket, which is in the value of an element if it is small.
func (c *checker) bucket(value []byte, depth int) error {
	if len(value) < bucketSize {
		return errors.New("has a bucket without a header")
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return c.page(root, depth+1)
	}
	inline := value[bucketSize:]
	if len(inline) < headerSize {
		return errors.New("has a bucket without a page")
	}
	if binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		return errors.New("has a bucket whose page is no leaf")
	}
	if depth > deepest {
		return fmt.Errorf("more than %d levels deep", deepest)
	}
	return c.elements(inline, depth+1)
}
