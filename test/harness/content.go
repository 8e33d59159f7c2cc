package harness

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
)

const (
	// blockSize is how much of one kind stands in content before the other kind
	// follows, and textBlocks how many blocks of text follow one of random bytes.
	blockSize  = 16 << 10
	textBlocks = 3
	// wordCount is the number of different words in a text.
	wordCount = 1 << 10
)

// contentReader is an endless file that compresses as a real layer does: most of
// it is text, in which a compressor finds words again, and the rest is random
// bytes, which stand for all that is compressed already. It is made while it is
// read, so that a large layer takes no memory. Equal seeds give equal content.
type contentReader struct {
	random *rand.ChaCha8
	words  [][]byte
	// blocks counts those that were made, rest is what is left of the last one.
	blocks int
	rest   []byte
	buffer []byte
}

// layerContent returns so many bytes of content, which no other layer has.
func layerContent(size int64, layer int) io.Reader {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(layer))
	c := &contentReader{random: rand.NewChaCha8(seed)}
	for range wordCount {
		c.words = append(c.words, c.word())
	}
	return io.LimitReader(c, size)
}

// word is made of four to eleven small letters and a space.
func (c *contentReader) word() []byte {
	bits := c.random.Uint64()
	length := 4 + int(bits>>61)
	word := make([]byte, 0, length+1)
	for range length {
		word = append(word, 'a'+byte(bits%26))
		bits /= 26
	}
	return append(word, ' ')
}

// Read never fails.
func (c *contentReader) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		c.fill()
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// fill makes the next block.
func (c *contentReader) fill() {
	c.buffer = c.buffer[:0]
	if c.blocks%(1+textBlocks) == 0 {
		c.buffer = append(c.buffer, make([]byte, blockSize)...)
		_, _ = c.random.Read(c.buffer) // never fails
	}
	for len(c.buffer) < blockSize {
		// A number of 64 bits is enough for four words.
		for bits := c.random.Uint64(); bits > 0; bits >>= 16 {
			c.buffer = append(c.buffer, c.words[bits%wordCount]...)
		}
	}
	c.blocks++
	c.rest = c.buffer
}
