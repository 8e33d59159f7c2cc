package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
)

// spread is how many buckets a transaction of these tests writes to: enough for many pages.
const spread = 500

var numbers = []byte("numbers")

// openNumbers makes a database with the number 0 in many buckets.
func openNumbers(t *testing.T, path string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true, FreelistType: bolt.FreelistMapType})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, write(db, 0))
	return db
}

// write writes a number to all buckets, in one transaction.
func write(db *bolt.DB, n uint64) error {
	return db.Update(func(tx *bolt.Tx) error {
		all, err := tx.CreateBucketIfNotExists(numbers)
		if err != nil {
			return err
		}
		for i := range uint64(spread) {
			b, err := all.CreateBucketIfNotExists(binary.BigEndian.AppendUint64(nil, i))
			if err != nil {
				return err
			}
			if err := b.Put([]byte("n"), append(binary.BigEndian.AppendUint64(nil, n), make([]byte, 200)...)); err != nil {
				return err
			}
		}
		return nil
	})
}

// readNumber reads a copy, in which every bucket must have the same number.
func readNumber(t *testing.T, path string) uint64 {
	t.Helper()
	found := make(map[uint64]int)
	require.NoError(t, view(path, func(tx *bolt.Tx) error {
		return tx.Bucket(numbers).ForEachBucket(func(k []byte) error {
			found[binary.BigEndian.Uint64(tx.Bucket(numbers).Bucket(k).Get([]byte("n")))]++
			return nil
		})
	}))
	require.Len(t, found, 1, "the copy has more than one moment in it: %v", found)
	for n, buckets := range found {
		require.Equal(t, spread, buckets)
		return n
	}
	return 0
}

// TestCopiesAreOfOneMoment copies two databases that are written to all the time, one after
// the other.
func TestCopiesAreOfOneMoment(t *testing.T) {
	dir := t.TempDir()
	paths := []string{filepath.Join(dir, "first"), filepath.Join(dir, "second")}
	dbs := []*bolt.DB{openNumbers(t, paths[0]), openNumbers(t, paths[1])}
	ctx, cancel := context.WithCancel(t.Context())
	var writer errgroup.Group
	writer.Go(func() error {
		for n := uint64(1); ctx.Err() == nil; n++ {
			if err := errors.Join(write(dbs[0], n), write(dbs[1], n)); err != nil {
				return err
			}
			// A daemon has some rest between what it does, too.
			if n%20 == 0 {
				time.Sleep(50 * time.Millisecond)
			}
		}
		return nil
	})
	defer func() {
		cancel()
		require.NoError(t, writer.Wait())
	}()
	moments := make(map[uint64]bool)
	for range 20 {
		copies, err := copyDatabases(t.Context(), t.TempDir(), paths...)
		require.NoError(t, err)
		first, second := readNumber(t, copies[0]), readNumber(t, copies[1])
		if first != second {
			assert.Equal(t, first, second+1)
		}
		moments[first] = true
	}
	assert.Greater(t, len(moments), 1, "nothing was written meanwhile")
}

// TestCopyOnceTellsThatItIsTorn has a transaction that ends while the copies are made.
func TestCopyOnceTellsThatItIsTorn(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	db := openNumbers(t, path)
	// Whoever looks whether the copy of a database is to go on writes to it.
	ctx := &touched{Context: t.Context(), touch: func() { require.NoError(t, write(db, 1)) }}
	_, err := copyOnce(ctx, t.TempDir(), []string{path})
	require.ErrorIs(t, err, errTorn)
	assert.Equal(t, "copy "+path+": it changes faster than it can be copied; try again when the daemon has less to do", err.Error())
}

// touched is a context that calls a function whenever it was asked.
type touched struct {
	context.Context
	touch func()
}

func (c *touched) Err() error {
	defer c.touch()
	return c.Context.Err()
}

// TestCancelledCopy is cancelled while it waits for another try.
func TestCancelledCopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := openNumbers(t, path)
	inner, cancel := context.WithCancelCause(t.Context())
	ctx := &touched{Context: inner, touch: func() {
		require.NoError(t, write(db, 1))
		cancel(assert.AnError)
	}}
	_, err := copyDatabases(ctx, t.TempDir(), path)
	assert.ErrorIs(t, err, assert.AnError)
}

// TestCopyChangesNothing has a database as it was, byte by byte, with its time.
func TestCopyChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	openNumbers(t, path)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	_, err = copyDatabases(t.Context(), t.TempDir(), path)
	require.NoError(t, err)
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, before, after)
	now, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, info.ModTime(), now.ModTime())
}

// TestCopyHasWhatIsInUse has a file that goes on behind the pages that are in use, and is more
// than one chunk.
func TestCopyHasWhatIsInUse(t *testing.T) {
	const pageSize = 4096
	path := filepath.Join(t.TempDir(), "db")
	file, err := os.Create(path)
	require.NoError(t, err)
	defer file.Close()
	inUse := int64(copyChunk + 3*pageSize)
	require.NoError(t, file.Truncate(inUse+5*pageSize))
	last := []byte("the last page")
	_, err = file.WriteAt(last, inUse-pageSize)
	require.NoError(t, err)
	for _, tc := range []struct{ pages, want int64 }{
		{inUse / pageSize, inUse},
		{inUse/pageSize + 5, inUse + 5*pageSize},
		{inUse, inUse + 5*pageSize}, // more than there are
	} {
		require.NoError(t, copyPages(t.Context(), path+"-copy", file, meta{pageSize: pageSize, pages: uint64(tc.pages)}))
		data, err := os.ReadFile(path + "-copy")
		require.NoError(t, err)
		assert.Len(t, data, int(tc.want))
		assert.Equal(t, last, data[inUse-pageSize:][:len(last)])
	}
}

// TestCopyIsGivenUp has a database that changes whenever it is copied.
func TestCopyIsGivenUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	require.NoError(t, err)
	defer db.Close()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		tries := 0
		ctx := &touched{Context: t.Context(), touch: func() {
			tries++
			require.NoError(t, db.Update(func(tx *bolt.Tx) error {
				_, err := tx.CreateBucketIfNotExists(numbers)
				return err
			}))
		}}
		_, err := copyDatabases(ctx, t.TempDir(), path)
		require.ErrorIs(t, err, errTorn)
		assert.Equal(t, copyTries, tries)
		assert.Equal(t, (copyTries-1)*copyPause, time.Since(start))
	})
}
