package memory

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// waiter is a goroutine that acquires.
type waiter struct {
	hold *Hold
	err  error
	done atomic.Bool
}

// acquire lets work come that waits in a goroutine, and returns when it waits or is
// done.
func acquire(ctx context.Context, l *Line, kind Kind, bytes uint64) *waiter {
	w := &waiter{}
	go func() {
		w.hold, w.err = l.Acquire(ctx, kind, bytes)
		w.done.Store(true)
	}()
	synctest.Wait()
	return w
}

// release gives back what a waiter has got, and lets others go on.
func (w *waiter) release() {
	w.hold.Release()
	synctest.Wait()
}

// running reports whether a waiter has got what it waited for.
func (w *waiter) running() bool { return w.done.Load() && w.err == nil }

// requireIdle holds that everything was given back.
func requireIdle(tb testing.TB, g *Gate) {
	tb.Helper()
	require.Equal(tb, Status{
		Budget:  g.Budget(),
		Running: map[Kind]int{Conversion: 0, Upload: 0},
		Waiting: map[Kind]int{Conversion: 0, Upload: 0},
	}, g.Status())
}

func TestWorkWaitsForMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(100, 9, nil)
		l := g.Line(nil)
		first := acquire(t.Context(), l, Conversion, 60)
		second := acquire(t.Context(), l, Upload, 41)
		third := acquire(t.Context(), l, Upload, 1)
		assert.True(t, first.running())
		assert.False(t, second.running())
		assert.False(t, third.running(), "it would fit, but comes later")
		assert.Equal(t, Status{
			Budget:  100,
			Held:    60,
			Running: map[Kind]int{Conversion: 1, Upload: 0},
			Waiting: map[Kind]int{Conversion: 0, Upload: 2},
		}, g.Status())
		first.release()
		assert.True(t, second.running())
		assert.True(t, third.running())
		first.release()
		assert.EqualValues(t, 42, g.Status().Held, "a second release gives back nothing")
		second.release()
		third.release()
		requireIdle(t, g)
	})
}

// TestOversizedWorkRunsAlone has work that needs more than the whole budget.
func TestOversizedWorkRunsAlone(t *testing.T) {
	hook := captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(100, 9, nil)
		a, b := g.Line(nil), g.Line(nil)
		small := acquire(t.Context(), a, Conversion, 1)
		large := acquire(t.Context(), a, Conversion, math.MaxUint64)
		next := acquire(t.Context(), b, Upload, 1)
		assert.False(t, large.running())
		assert.False(t, next.running(), "the large work would wait for ever")
		small.release()
		assert.True(t, large.running())
		assert.False(t, next.running())
		assert.Equal(t, uint64(math.MaxUint64), g.Status().Held)
		large.release()
		assert.True(t, next.running())
		next.release()

		again := acquire(t.Context(), b, Upload, 101)
		assert.True(t, again.running())
		again.release()
		requireIdle(t, g)
	})
	require.Len(t, hook.AllEntries(), 1, "it is said once")
	assert.Equal(t, logrus.WarnLevel, hook.LastEntry().Level)
	assert.Equal(t, "the memory budget is too small for one layer, which runs alone", hook.LastEntry().Message)
	assert.Equal(t, logrus.Fields{"kind": Conversion, "bytes": uint64(math.MaxUint64), "budget": uint64(100)}, hook.LastEntry().Data)
}

// TestWorkOfTheWholeBudgetIsNotOversized is not worth a line in the log.
func TestWorkOfTheWholeBudgetIsNotOversized(t *testing.T) {
	hook := captureLog(t)
	hold, err := NewGate(100, 1, nil).Line(nil).Acquire(t.Context(), Conversion, 100)
	require.NoError(t, err)
	hold.Release()
	assert.Empty(t, hook.AllEntries())
}

func TestConversionsAreNoMoreThanTheMachineHasUseFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(100, 2, nil)
		a, b := g.Line(nil), g.Line(nil)
		first := acquire(t.Context(), a, Conversion, 1)
		second := acquire(t.Context(), a, Conversion, 1)
		third := acquire(t.Context(), a, Conversion, 1)
		upload := acquire(t.Context(), b, Upload, 1)
		other := acquire(t.Context(), b, Conversion, 1)
		assert.True(t, second.running())
		assert.False(t, third.running())
		assert.True(t, upload.running(), "it does not take what the conversion waits for")
		assert.False(t, other.running())
		first.release()
		assert.True(t, third.running(), "its line had the turn")
		assert.False(t, other.running())
		upload.release()
		assert.False(t, other.running())
		second.release()
		assert.True(t, other.running())
		third.release()
		other.release()
		requireIdle(t, g)
	})
}

// TestLinesTakeTurns has an export of one layer beside one of 127.
func TestLinesTakeTurns(t *testing.T) {
	for _, kind := range Kinds() {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(1, 1, nil)
			large, small := g.Line(nil), g.Line(nil)
			var layers []*waiter
			for range 127 {
				layers = append(layers, acquire(t.Context(), large, kind, 1))
			}
			one := acquire(t.Context(), small, kind, 1)
			layers[0].release()
			assert.True(t, layers[1].running())
			assert.False(t, one.running())
			layers[1].release()
			assert.True(t, one.running(), "it waits behind one turn of the other")
			assert.False(t, layers[2].running())
			one.release()
			for _, layer := range layers[2:] {
				require.True(t, layer.running())
				layer.release()
			}
			requireIdle(t, g)
		})
	}
}

// TestLargeWorkIsNotPassed has work of the whole budget beside lines that would
// always fill it with small work.
func TestLargeWorkIsNotPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 100, nil)
		busy := g.Line(nil)
		first, second := acquire(t.Context(), busy, Upload, 5), acquire(t.Context(), busy, Upload, 5)
		large := acquire(t.Context(), g.Line(nil), Conversion, 10)
		more := acquire(t.Context(), busy, Upload, 5)
		first.release()
		assert.False(t, more.running(), "it fits, but has not the turn")
		second.release()
		assert.True(t, large.running())
		large.release()
		assert.True(t, more.running())
		more.release()
		requireIdle(t, g)
	})
}

func TestTakeIsRefusedWhileOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 9, nil)
		free, ok := g.Take(4)
		require.True(t, ok)
		_, ok = g.Take(7)
		assert.False(t, ok, "more than is left")
		first := acquire(t.Context(), g.Line(nil), Conversion, 6)
		assert.True(t, first.running())
		second := acquire(t.Context(), g.Line(nil), Conversion, 4)
		first.release()
		assert.True(t, second.running())
		third := acquire(t.Context(), g.Line(nil), Conversion, 3)
		_, ok = g.Take(1)
		assert.False(t, ok, "it fits, but another has waited for longer")
		assert.EqualValues(t, 8, g.Status().Held)
		free()
		synctest.Wait()
		assert.True(t, third.running(), "what is freed lets others in")
		second.release()
		third.release()
		free, ok = g.Take(10)
		require.True(t, ok)
		alone := acquire(t.Context(), g.Line(nil), Upload, 1)
		assert.True(t, alone.running(), "one piece of work may always run")
		alone.release()
		free()
		requireIdle(t, g)
	})
}

// TestCancelledWorkLeavesTheQueueAtOnce has work that others wait behind.
func TestCancelledWorkLeavesTheQueueAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := NewGate(10, 9, nil)
		a, b := g.Line(nil), g.Line(nil)
		running := acquire(t.Context(), a, Conversion, 5)
		gone := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		var cancelled []*waiter
		for range 3 {
			cancelled = append(cancelled, acquire(ctx, a, Conversion, 6))
		}
		behind := acquire(t.Context(), a, Conversion, 2)
		beside := acquire(t.Context(), b, Conversion, 3)
		assert.False(t, behind.running())
		assert.False(t, beside.running())
		cancel(gone)
		synctest.Wait()
		for _, w := range cancelled {
			assert.Equal(t, gone, w.err)
			assert.Nil(t, w.hold)
		}
		assert.True(t, behind.running())
		assert.True(t, beside.running())
		assert.Zero(t, time.Since(start))
		running.release()
		behind.release()
		beside.release()
		requireIdle(t, g)
	})
}

// TestCancelAtTheLastMoment ends the context of work before or after it is admitted,
// and before it has heard of either: it has the hold or an error, never both.
func TestCancelAtTheLastMoment(t *testing.T) {
	var admitted, cancelled int
	for i := range 200 {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(1, 1, nil)
			l := g.Line(nil)
			first := acquire(t.Context(), l, Conversion, 1)
			ctx, cancel := context.WithCancel(t.Context())
			second := acquire(ctx, l, Conversion, 1)
			third := acquire(t.Context(), l, Conversion, 1)
			defer cancel()
			if i%2 == 0 {
				cancel()
			}
			first.hold.Release()
			cancel()
			synctest.Wait()
			if second.err == nil {
				admitted++
				assert.EqualValues(t, 1, g.Status().Held)
				second.release()
			} else {
				cancelled++
				assert.Nil(t, second.hold)
			}
			assert.True(t, third.running(), "it need not wait for a look at the leases")
			third.release()
			requireIdle(t, g)
		})
	}
	t.Logf("%d were admitted, %d cancelled", admitted, cancelled)
}

func TestHoldsExpireUnlessRenewed(t *testing.T) {
	hook := captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 9, nil)
		l := g.Line(nil)
		stuck, alive := acquire(t.Context(), l, Upload, 5), acquire(t.Context(), l, Upload, 5)
		first, second := acquire(t.Context(), l, Upload, 5), acquire(t.Context(), l, Upload, 5)
		time.Sleep(lease - time.Second)
		alive.hold.Renew()
		synctest.Wait()
		assert.False(t, first.running())
		time.Sleep(time.Second + lookInterval)
		synctest.Wait()
		assert.True(t, first.running())
		assert.False(t, second.running(), "the other hold was renewed")
		assert.EqualValues(t, 1, g.Status().Expired)
		stuck.hold.Renew()
		stuck.release()
		assert.EqualValues(t, 10, g.Status().Held, "what was taken back is not given back again")
		assert.False(t, second.running())
		alive.release()
		assert.True(t, second.running())
		first.release()
		second.release()
		assert.Zero(t, g.Status().Held)
	})
	require.Len(t, hook.AllEntries(), 1)
	assert.Equal(t, "memory taken back from a layer that makes no progress", hook.LastEntry().Message)
	assert.Equal(t, logrus.Fields{"kind": Upload, "bytes": uint64(5), "idle": lease}, hook.LastEntry().Data)
}

// TestIdleHoldsStayUntilOthersWantMemory finds work that is slow and disturbs
// nobody.
func TestIdleHoldsStayUntilOthersWantMemory(t *testing.T) {
	captureLog(t)
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 9, nil)
		slow := acquire(t.Context(), g.Line(nil), Upload, 6)
		time.Sleep(2 * lease)
		free, ok := g.Take(4)
		require.True(t, ok)
		free()
		assert.EqualValues(t, 6, g.Status().Held)
		free, ok = g.Take(5)
		assert.True(t, ok, "the hold has expired, and its memory is wanted")
		assert.EqualValues(t, 5, g.Status().Held)
		assert.EqualValues(t, 1, g.Status().Expired)
		free()
		slow.release()
		assert.Zero(t, g.Status().Held)
	})
}

// TestAllThatIsIdleExpiresBeforeAnybodyIsLetIn has a conversion that waits for the
// machine and has the turn. Were an upload let in between, it would lose it.
func TestAllThatIsIdleExpiresBeforeAnybodyIsLetIn(t *testing.T) {
	captureLog(t)
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			g := NewGate(10, 1, nil)
			a, b := g.Line(nil), g.Line(nil)
			acquire(t.Context(), a, Conversion, 1)
			for range 8 {
				acquire(t.Context(), b, Upload, 1)
			}
			conversion := acquire(t.Context(), a, Conversion, 10)
			upload := acquire(t.Context(), b, Upload, 2)
			time.Sleep(lease)
			synctest.Wait()
			assert.True(t, conversion.running())
			assert.False(t, upload.running())
			conversion.release()
			upload.release()
		})
	}
}

func TestExemptWorkIsLetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 9, nil)
		var exempt bool
		off, on := g.Line(func() bool { return exempt }), g.Line(nil)
		running := acquire(t.Context(), on, Conversion, 1)
		waiting := []*waiter{acquire(t.Context(), off, Conversion, 1), acquire(t.Context(), off, Upload, 1)}
		behind := acquire(t.Context(), on, Conversion, 1)
		g.Recheck()
		synctest.Wait()
		assert.False(t, waiting[0].running())

		start := time.Now()
		exempt = true
		g.Recheck()
		synctest.Wait()
		assert.Zero(t, time.Since(start))
		for _, w := range waiting {
			assert.True(t, w.running())
			assert.Nil(t, w.hold)
			w.release()
		}
		assert.False(t, behind.running())
		through := acquire(t.Context(), off, Conversion, 99)
		assert.True(t, through.running())
		assert.Nil(t, through.hold)
		assert.EqualValues(t, 1, g.Status().Held)
		running.release()
		assert.True(t, behind.running())
		behind.release()
		requireIdle(t, g)
	})
}

// TestExemptHeadLetsOthersIn has large work that others wait behind.
func TestExemptHeadLetsOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 9, nil)
		var exempt bool
		running := acquire(t.Context(), g.Line(nil), Upload, 5)
		large := acquire(t.Context(), g.Line(func() bool { return exempt }), Upload, 10)
		small := acquire(t.Context(), g.Line(nil), Upload, 5)
		assert.False(t, small.running())
		exempt = true
		g.Recheck()
		synctest.Wait()
		assert.True(t, large.running())
		assert.True(t, small.running())
		running.release()
		small.release()
		requireIdle(t, g)
	})
}

// TestLineBecomesExemptWhileWorkJoins has nobody who calls Recheck afterwards.
func TestLineBecomesExemptWhileWorkJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(1, 9, nil)
		running := acquire(t.Context(), g.Line(nil), Conversion, 1)
		var asked int
		l := g.Line(func() bool { asked++; return asked > 1 })
		w := acquire(t.Context(), l, Conversion, 1)
		assert.True(t, w.running())
		assert.Nil(t, w.hold)
		running.release()
		requireIdle(t, g)
	})
}

func TestNilLineLetsAllThrough(t *testing.T) {
	var l *Line
	hold, err := l.Acquire(t.Context(), Conversion, math.MaxUint64)
	require.NoError(t, err)
	assert.Nil(t, hold)
	hold.Renew()
	hold.Release()
}

func TestWaitsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type wait struct {
			kind Kind
			time time.Duration
		}
		var told []wait
		g := NewGate(1, 9, func(kind Kind, d time.Duration) { told = append(told, wait{kind, d}) })
		l := g.Line(nil)
		first := acquire(t.Context(), l, Conversion, 1)
		second := acquire(t.Context(), l, Upload, 1)
		ctx, cancel := context.WithCancel(t.Context())
		acquire(ctx, l, Upload, 1)
		time.Sleep(7 * time.Second)
		cancel()
		synctest.Wait()
		first.release()
		second.release()
		assert.Equal(t, []wait{{Conversion, 0}, {Upload, 7 * time.Second}}, told)
	})
}

// TestHeldSaturates has all that can be taken beside the one that may always run.
func TestHeldSaturates(t *testing.T) {
	g := NewGate(math.MaxUint64, 1, nil)
	free, ok := g.Take(math.MaxUint64)
	require.True(t, ok)
	hold, err := g.Line(nil).Acquire(t.Context(), Upload, math.MaxUint64)
	require.NoError(t, err)
	assert.Equal(t, uint64(math.MaxUint64), g.Status().Held)
	_, ok = g.Take(1)
	assert.False(t, ok, "the sum of all is beyond 64 bits")
	hold.Release()
	free()
	requireIdle(t, g)
}

// TestNoDeadlockOfConversionsAndUploads runs exports side by side whose layers are
// converted and then sent, with memory for one of them. A deadlock would end by the
// leases that expire: time stands still unless all goroutines wait.
func TestNoDeadlockOfConversionsAndUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		g := NewGate(10, 2, nil)
		var exports sync.WaitGroup
		for range 6 {
			l := g.Line(nil)
			for range 10 {
				exports.Go(func() {
					for _, kind := range []Kind{Conversion, Upload, Conversion, Upload} {
						hold, err := l.Acquire(t.Context(), kind, 10)
						assert.NoError(t, err)
						hold.Release()
					}
				})
			}
		}
		exports.Wait()
		assert.Zero(t, time.Since(start))
		requireIdle(t, g)
	})
}

// TestGateUnderRace lets everything happen at once.
func TestGateUnderRace(t *testing.T) {
	const budget, compute = 100, 3
	captureLog(t)
	g := NewGate(budget, compute, func(Kind, time.Duration) {})
	var (
		mu                 sync.Mutex
		held, running, now uint64 // now is the number of conversions
	)
	// account keeps an account of its own, of what has a hold at the moment.
	account := func(kind Kind, bytes uint64, sign uint64) {
		mu.Lock()
		defer mu.Unlock()
		held += sign * bytes
		running += sign
		if kind == Conversion {
			now += sign
		}
		if held > budget && running > 1 {
			t.Errorf("%d bytes are held by %d", held, running)
		}
		if now > compute {
			t.Errorf("%d conversions run", now)
		}
	}
	var all sync.WaitGroup
	for export := range uint64(6) {
		var off atomic.Bool
		l := g.Line(off.Load)
		for layer := range uint64(6) {
			all.Go(func() {
				random := rand.New(rand.NewPCG(export, layer))
				for range 40 {
					kind := Kinds()[random.IntN(2)]
					bytes := random.Uint64N(budget * 5 / 4)
					ctx, cancel := context.WithCancel(t.Context())
					if random.IntN(4) == 0 {
						go cancel()
					}
					hold, err := l.Acquire(ctx, kind, bytes)
					if hold != nil {
						account(kind, bytes, 1)
						hold.Renew()
						account(kind, bytes, math.MaxUint64) // minus one
						hold.Release()
					}
					if err != nil && (hold != nil || !errors.Is(err, context.Canceled)) {
						t.Errorf("error %v", err)
					}
					cancel()
				}
			})
		}
		all.Go(func() {
			for i := range 20 {
				off.Store(i%2 == 0 && export%2 == 0)
				g.Recheck()
				g.Status()
				if free, ok := g.Take(export); ok {
					free()
				}
			}
		})
	}
	all.Wait()
	requireIdle(t, g)
}

// TestShrunkHoldsLetOthersIn gives back a part of what is held.
func TestShrunkHoldsLetOthersIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(10, 1, nil)
		first := acquire(t.Context(), g.Line(nil), Upload, 8)
		next := acquire(t.Context(), g.Line(nil), Upload, 6)
		first.hold.Shrink(9)
		assert.EqualValues(t, 8, g.Status().Held, "it has no more")
		assert.Zero(t, g.garbage)
		first.hold.Shrink(5)
		assert.EqualValues(t, 3, g.garbage)
		synctest.Wait()
		assert.False(t, next.running())
		first.hold.Shrink(4)
		synctest.Wait()
		assert.True(t, next.running())
		assert.EqualValues(t, 10, g.Status().Held)
		first.release()
		assert.EqualValues(t, 8, g.garbage)
		first.hold.Release()
		first.hold.Shrink(0)
		assert.EqualValues(t, 8, g.garbage, "it was given back before")
		assert.EqualValues(t, 6, g.Status().Held)
		next.release()
		(*Hold)(nil).Shrink(0)
		requireIdle(t, g)
	})
}

// TestMuchGarbageIsCollected gives back as much as the runtime may not let pile up.
func TestMuchGarbageIsCollected(t *testing.T) {
	g := NewGate(4*leastGarbage, 1, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, want := range []uint64{leastGarbage, 0} {
		hold, err := g.Line(nil).Acquire(t.Context(), Conversion, leastGarbage)
		require.NoError(t, err)
		hold.Release()
		assert.Equal(t, want, g.garbage)
	}
	runtime.ReadMemStats(&after)
	assert.Greater(t, after.NumForcedGC, before.NumForcedGC)
	requireIdle(t, g)
}
